//! Errors of a body, without any of its content.

use std::fmt;

/// A reason why a body is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Index of the event in the batch, from 0.
    pub index: Option<usize>,
    /// Name of the field, such as `data.card`.
    pub field: Option<String>,
    /// Description of the problem.
    pub problem: String,
    /// Place where the JSON is broken.
    pub place: Option<Place>,
    /// True if the problem is only the size.
    pub is_too_large: bool,
    /// Problems of later events in the same batch.
    pub later: Vec<Self>,
}

/// The extent of a text: its line ends, and the characters after the last of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    lines: usize,
    columns: usize,
}

impl Extent {
    /// Returns the extent of this text followed by another.
    pub(super) fn and(self, text: &str) -> Self {
        match text.rsplit_once('\n') {
            Some((_, last)) => Self { lines: self.lines + text.matches('\n').count(), columns: last.chars().count() },
            None => Self { columns: self.columns + text.chars().count(), ..self },
        }
    }
}

/// A place in a text: of the last byte read before an error. Line and column count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Returns the place of an error in the parsed text. The error's own column counts bytes.
    fn of(error: &serde_json::Error, text: &str) -> Self {
        let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
        let characters = (0..error.column().min(line.len())).filter(|byte| line.is_char_boundary(*byte)).count();
        Self { line: error.line(), column: characters.max(1) }
    }

    /// Returns the same place in a text that consists of `before` and the parsed one.
    const fn behind(self, before: Extent) -> Self {
        let column = if self.line == 1 { self.column + before.columns } else { self.column };
        Self { line: self.line + before.lines, column }
    }

    /// Returns the same place in the text without a prefix of one line.
    fn without(self, beginning: &str) -> Self {
        let column = self.column.saturating_sub(if self.line == 1 { beginning.chars().count() } else { 0 });
        Self { column: column.max(1), ..self }
    }
}

impl Invalid {
    /// Returns a problem of an event as a whole.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { index: None, field: None, problem: problem.into(), place: None, is_too_large: false, later: Vec::new() }
    }

    /// Returns a problem of a field.
    pub fn at(field: &str, problem: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(problem) }
    }

    pub(super) fn of_event(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    /// Returns the error for text that is not JSON. A premature end is not blamed on a field.
    pub(super) fn not_json(error: &serde_json::Error, text: &str) -> Self {
        let words = not_json(error);
        let words = words.split(" at line ").next().unwrap_or_default();
        let problem = if is_cut(error, text) { "the JSON is not complete, and must be: it ends" } else { words };
        Self { place: Some(Place::of(error, text)), ..Self::new(problem) }
    }

    /// Converts the place to one in a file, in which the parsed text begins at a line and column, from 1.
    #[must_use]
    pub fn in_file(self, line: usize, column: usize) -> Self {
        self.behind(Extent { lines: line.saturating_sub(1), columns: column.saturating_sub(1) })
    }

    /// Converts the place to one in a text that consists of `before` and the parsed one.
    pub(super) fn behind(self, before: Extent) -> Self {
        Self { place: self.place.map(|place| place.behind(before)), ..self }
    }

    /// Converts the place to one in the text as it was sent, before a prefix of one line was added.
    #[must_use]
    pub fn without(self, beginning: &str) -> Self {
        Self { place: self.place.map(|place| place.without(beginning)), ..self }
    }

    /// Returns the message of the event alone, without its index and field.
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

/// Returns the JSON in a body, without the byte order mark with which some programs begin it.
pub(super) fn json(body: &[u8]) -> Result<&str, Invalid> {
    utf8(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body))
}

/// Returns the text of a body.
pub(super) fn utf8(body: &[u8]) -> Result<&str, Invalid> {
    // Every gzip stream begins with these two bytes, and no JSON does. Source: RFC 1952, section 2.3.1.
    if body.starts_with(&[0x1f, 0x8b]) {
        return Err(Invalid::new("the body is compressed with gzip; it must be sent uncompressed"));
    }
    // No text begins with the mark of UTF-16 as UTF-8, and none has a zero beside its first character.
    if matches!(body, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..]) {
        return Err(Invalid::new("the body is UTF-16; it must be sent as UTF-8"));
    }
    std::str::from_utf8(body).map_err(|error| Invalid::new(format!("byte {} is not UTF-8", error.valid_up_to())))
}

/// Returns true if the text ends before its JSON does. A number that lacks digits is not recognised as cut.
fn is_cut(error: &serde_json::Error, text: &str) -> bool {
    let last = text.rsplit('\n').next().unwrap_or_default();
    let is_at_end = error.line() > text.matches('\n').count() && error.column() >= last.len();
    error.is_eof() || (is_at_end && error.to_string().starts_with("invalid number"))
}

/// Returns the message of a syntax error, with its place and without a value.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    format!("this is not valid JSON: {error}")
}
