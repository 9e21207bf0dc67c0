//! Errors of the filters and of the arithmetic of expressions.

use std::fmt;

use minijinja::{Error, ErrorKind};

/// An error of our own filters; its message contains no data and is safe to show.
#[derive(Debug)]
pub struct FilterError(String);

impl FilterError {
    /// Returns an error with that message.
    pub(super) fn new(words: &str) -> Self {
        Self(words.to_owned())
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FilterError {}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Self::new(ErrorKind::InvalidOperation, "a filter failed").with_source(error)
    }
}
