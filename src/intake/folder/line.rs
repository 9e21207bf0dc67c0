//! The interface between the parsers and recording: one event of a file, or its error.

use crate::intake::cloudevents::Invalid;

/// One event of a file, or its error.
pub(super) struct Line {
    /// Line on which it begins, from 1.
    pub(super) number: u64,
    /// Column at which it begins, from 1.
    pub(super) column: u64,
    /// Index in the file, from 0, if the file is an array.
    pub(super) index: Option<usize>,
    /// True if something behind it was not read, of which nobody knows how many events it holds.
    pub(super) is_unread: bool,
    /// CloudEvents JSON, possibly without the members that the folder's settings add.
    pub(super) event: Result<String, Invalid>,
}

impl Line {
    /// Returns an event that begins at the start of a line.
    pub(super) const fn new(number: u64, event: Result<String, Invalid>) -> Self {
        Self { number, column: 1, index: None, is_unread: false, event }
    }
}

/// The reason why a file as a whole cannot be read, and the line that shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) number: u64,
    pub(super) problem: String,
}
