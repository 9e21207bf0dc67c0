//! Why a body is not what it should be, without a word of what it holds.

use std::fmt;

/// Why a body is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The event's place in the batch, from 0.
    pub index: Option<usize>,
    /// The field, such as `data.card`.
    pub field: Option<String>,
    /// What is wrong with it.
    pub problem: String,
    /// True if there is simply too much of it.
    pub is_too_large: bool,
}

impl Invalid {
    /// A problem of an event as a whole.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { index: None, field: None, problem: problem.into(), is_too_large: false }
    }

    /// A problem of a field.
    pub fn at(field: &str, problem: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(problem) }
    }

    pub(super) fn of_event(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "event {index}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Invalid {}

/// The text of a body.
pub(super) fn utf8(body: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(body).map_err(|error| Invalid::new(format!("byte {} is not UTF-8", error.valid_up_to())))
}

/// The words of a syntax error, which hold a place and no value.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    format!("this is not valid JSON: {error}")
}
