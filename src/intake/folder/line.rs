//! What the parsers hand to what records: one event of a file, or what is wrong with it.

use crate::intake::cloudevents::Invalid;

/// One event of a file, or what is wrong with it.
pub(super) struct Line {
    /// The line that it begins on, from 1.
    pub(super) number: u64,
    /// The column that it begins at, from 1.
    pub(super) column: u64,
    /// Its place in the file, from 0, where a file numbers its events.
    pub(super) index: Option<usize>,
    /// CloudEvents JSON, perhaps without what every event has.
    pub(super) event: Result<String, Invalid>,
}

impl Line {
    /// A line as a whole.
    pub(super) const fn new(number: u64, event: Result<String, Invalid>) -> Self {
        Self { number, column: 1, index: None, event }
    }
}

/// Why a file as a whole cannot be read, and the line that shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) number: u64,
    pub(super) problem: String,
}
