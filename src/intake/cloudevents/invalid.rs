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
    /// Where its JSON is broken.
    pub place: Option<Place>,
    /// True if there is simply too much of it.
    pub is_too_large: bool,
    /// Problems of later events of the same batch.
    pub later: Vec<Self>,
}

/// Extent of a text: its ends of lines, and the characters behind the last of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    lines: usize,
    columns: usize,
}

impl Extent {
    /// The extent of this text and one that follows it.
    pub(super) fn and(self, text: &str) -> Self {
        match text.rsplit_once('\n') {
            Some((_, last)) => Self { lines: self.lines + text.matches('\n').count(), columns: last.chars().count() },
            None => Self { columns: self.columns + text.chars().count(), ..self },
        }
    }
}

/// Place in a text: of the last byte that was read before an error. Both count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Place of an error in the text that was parsed. Its own column counts bytes.
    fn of(error: &serde_json::Error, text: &str) -> Self {
        let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
        let characters = (0..error.column().min(line.len())).filter(|byte| line.is_char_boundary(*byte)).count();
        Self { line: error.line(), column: characters.max(1) }
    }

    /// The same place in a text of which the parsed one is all that follows `before`.
    const fn behind(self, before: Extent) -> Self {
        let column = if self.line == 1 { self.column + before.columns } else { self.column };
        Self { line: self.line + before.lines, column }
    }

    /// The same place in what remains without a beginning of one line.
    fn without(self, beginning: &str) -> Self {
        let column = self.column.saturating_sub(if self.line == 1 { beginning.chars().count() } else { 0 });
        Self { column: column.max(1), ..self }
    }
}

impl Invalid {
    /// A problem of an event as a whole.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { index: None, field: None, problem: problem.into(), place: None, is_too_large: false, later: Vec::new() }
    }

    /// A problem of a field.
    pub fn at(field: &str, problem: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(problem) }
    }

    pub(super) fn of_event(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    /// Text that is not JSON. An end that comes too early is the fault of no field.
    pub(super) fn not_json(error: &serde_json::Error, text: &str) -> Self {
        let words = not_json(error);
        let words = words.split(" at line ").next().unwrap_or_default();
        let problem = if is_cut(error, text) { "the JSON is not complete, and must be: it ends" } else { words };
        Self { place: Some(Place::of(error, text)), ..Self::new(problem) }
    }

    /// The same with its place in a file, of which the parsed text begins at a line and column, from 1.
    #[must_use]
    pub fn in_file(self, line: usize, column: usize) -> Self {
        self.behind(Extent { lines: line.saturating_sub(1), columns: column.saturating_sub(1) })
    }

    /// The same with the place in a text of which the parsed one is all that follows `before`.
    pub(super) fn behind(self, before: Extent) -> Self {
        Self { place: self.place.map(|place| place.behind(before)), ..self }
    }

    /// The same with the place in what was sent, where a beginning of one line was put before it.
    #[must_use]
    pub fn without(self, beginning: &str) -> Self {
        Self { place: self.place.map(|place| place.without(beginning)), ..self }
    }

    /// Error of the event alone, without its index and field.
    #[must_use]
    pub fn detail(&self) -> String {
        let Some(Place { line, column }) = self.place else { return self.problem.clone() };
        format!("{} at line {line} column {column}", self.problem)
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
        f.write_str(&self.detail())?;
        match self.later.len() {
            0 => Ok(()),
            1 => write!(f, "; 1 more event is wrong"),
            more => write!(f, "; {more} more events are wrong"),
        }
    }
}

impl std::error::Error for Invalid {}

/// The text of a body.
pub(super) fn utf8(body: &[u8]) -> Result<&str, Invalid> {
    // Two bytes that begin every gzip stream and no JSON. Source: RFC 1952, section 2.3.1.
    if body.starts_with(&[0x1f, 0x8b]) {
        return Err(Invalid::new("the body is compressed with gzip; it must be sent uncompressed"));
    }
    std::str::from_utf8(body).map_err(|error| Invalid::new(format!("byte {} is not UTF-8", error.valid_up_to())))
}

/// Returns whether the text ends before its JSON does. A number without its last digit is not told as an end.
fn is_cut(error: &serde_json::Error, text: &str) -> bool {
    let last = text.rsplit('\n').next().unwrap_or_default();
    let is_at_end = error.line() > text.matches('\n').count() && error.column() >= last.len();
    error.is_eof() || (is_at_end && error.to_string().starts_with("invalid number"))
}

/// The words of a syntax error, which hold a place and no value.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    format!("this is not valid JSON: {error}")
}
