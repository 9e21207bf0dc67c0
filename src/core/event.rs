//! An event as it was received: immutable, validated, with the bytes that go to the journal.
//!
//! Parsing lives in `intake`; what an event means lives in `mapping`.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::timestamp::Timestamp;

/// What took the place of texts that are not kept, by the rule that hides them; empty for an event that was just received.
pub type Hashes = BTreeMap<String, String>;

/// One valid CloudEvent.
#[derive(Clone)]
pub struct Event {
    /// The producer's id; unique together with `source`.
    pub id: String,
    /// Who produced it.
    pub source: String,
    /// The CloudEvents `type`, which mappings match.
    pub event_type: String,
    /// The CloudEvents `subject`, if any.
    pub subject: Option<String>,
    /// When it happened, as far as this device believes it.
    pub time: Timestamp,
    /// The same on the device's clock, which never runs backwards: the order of events.
    pub ordered_at: Timestamp,
    /// The payload as a dynamic value; undefined when there is none.
    pub data: minijinja::Value,
    /// The whole event as CloudEvents JSON, as it goes to the journal.
    pub json: String,
    /// What a journalled event holds in the place of what is hidden.
    pub hashes: Hashes,
}

// The payload and the ids are personal data, so that only what cannot be is shown.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("type", &self.event_type).field("time", &self.time).finish_non_exhaustive()
    }
}

/// What became of an event when it was recorded: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// At least one mapping matched, and its changes are in the store.
    Recorded,
    /// The journal held it already; nothing changed.
    Duplicate,
    /// Journalled; no mapping matched.
    Unmapped,
    /// Journalled and kept as rejected, with the reason; none of its changes was made.
    Rejected,
    /// Counted and not stored, since the person did not agree to it.
    Unconsented,
}

impl EventStatus {
    /// The name in answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Unmapped => "unmapped",
            Self::Rejected => "rejected",
            Self::Unconsented => "unconsented",
        }
    }
}
