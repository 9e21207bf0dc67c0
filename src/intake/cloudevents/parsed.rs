//! A valid event as it came.

use minijinja::Value;

use crate::core::event::{Event, Hashes};
use crate::core::timestamp::Timestamp;

/// A valid event, before its time is compared with the device's clock.
#[derive(Clone)]
pub struct Parsed {
    /// See [`crate::core::event::Event`].
    pub id: String,
    /// See [`crate::core::event::Event`].
    pub source: String,
    /// See [`crate::core::event::Event`].
    pub event_type: String,
    /// See [`crate::core::event::Event`].
    pub subject: Option<String>,
    /// Time that the event claims.
    pub time: Option<Timestamp>,
    /// Payload; undefined if there is none.
    pub data: Value,
    /// Event as CloudEvents JSON.
    pub json: String,
    /// See [`crate::core::event::Event`].
    pub hashes: Hashes,
    /// See [`crate::core::event::Event`].
    pub may_be_of_table: bool,
}

impl Parsed {
    /// Returns the event with the given time, and the same time on the device's clock.
    #[must_use]
    pub fn at(self, time: Timestamp, ordered_at: Timestamp) -> Event {
        let Self { id, source, event_type, subject, data, json, hashes, may_be_of_table, .. } = self;
        Event { id, source, event_type, subject, time, ordered_at, data, json, hashes, may_be_of_table }
    }
}
