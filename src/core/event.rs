//! An event as it was received: immutable, validated, with the bytes that go to the journal.
//!
//! Parsing lives in `intake`; what an event means lives in `mapping`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::timestamp::Timestamp;

/// Hashes that replace values which are not kept, keyed by the rule that hides them; empty for an event just received.
pub type Hashes = BTreeMap<String, String>;

/// One valid CloudEvent, with its time on the device's clock.
#[derive(Clone)]
pub struct Event {
    /// The producer's id; unique together with `source`.
    pub id: String,
    /// The producer of the event.
    pub source: String,
    /// The CloudEvents `type`, which mappings match.
    pub event_type: String,
    /// The CloudEvents `subject`, if any.
    pub subject: Option<String>,
    /// Time of the event by the producer's clock, or the time of receipt where that is missing or too far ahead.
    pub time: Timestamp,
    /// The same time on the device's clock, which never runs backwards; it orders events.
    pub ordered_at: Timestamp,
    /// The payload as a dynamic value; undefined when there is none.
    pub data: minijinja::Value,
    /// The whole event as CloudEvents JSON, as it goes to the journal.
    pub json: String,
    /// Hashes that replace the hidden values of a journalled event.
    pub hashes: Hashes,
    /// True if the payload is a row of a table, or may be one since the event is of the journal: then a text such as `1.500` may be
    /// 1500.
    pub may_be_of_table: bool,
}

// The payload and the ids are personal data; only the rest is shown.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("type", &self.event_type).field("time", &self.time).finish_non_exhaustive()
    }
}

/// The result of recording one event: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStatus {
    /// At least one mapping matched, and its changes are in the store.
    Recorded,
    /// The journal already had the event; nothing changed.
    Duplicate,
    /// Journalled, but no mapping matched.
    Unmapped,
    /// Journalled and kept as rejected, with the reason; none of its changes was applied.
    Rejected,
    /// Counted but not stored, because the person did not consent.
    Unconsented,
}

impl EventStatus {
    /// Returns the name used in answers and metrics.
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

/// Fate of an event that changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its id was known.
    Duplicate,
    /// No mapping matched.
    Unmapped,
    /// Its mapping failed.
    Rejected,
}

impl Fate {
    /// Returns the fate of an event that changed nothing.
    #[must_use]
    pub const fn of(status: EventStatus) -> Option<Self> {
        match status {
            EventStatus::Duplicate => Some(Self::Duplicate),
            EventStatus::Unmapped => Some(Self::Unmapped),
            EventStatus::Rejected => Some(Self::Rejected),
            EventStatus::Recorded | EventStatus::Unconsented => None,
        }
    }

    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duplicate => EventStatus::Duplicate.name(),
            Self::Unmapped => EventStatus::Unmapped.name(),
            Self::Rejected => EventStatus::Rejected.name(),
        }
    }
}
