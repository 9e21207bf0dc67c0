//! One line of a file on its way from the parsers to whoever records it.

use crate::intake::cloudevents::Invalid;

/// One event of a file, or what is wrong with it.
pub(super) struct Line {
    /// The line that it begins on, from 1.
    pub(super) number: u64,
    /// CloudEvents JSON, perhaps without what every event has.
    pub(super) event: Result<String, Invalid>,
}
