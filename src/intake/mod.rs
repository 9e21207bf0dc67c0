//! The intake: from received bytes to recorded events. Transports stand above it, in `http` and `cli`.

use std::sync::Arc;

use serde::Serialize;

use crate::core::event::{Event, EventStatus};
use crate::core::limits::{CLOCK_SET_BACK_MIN, EVENT_TIME_AHEAD_MAX};
use crate::core::mapping::{Mappings, Meaning};
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::device::shared::Shared;
use crate::store::{Recorded, Recording, Room, Store, StoreError, Writer};

pub mod cloudevents;
pub mod folder;
pub mod line;
mod numbers;
pub mod view;

use cloudevents::Parsed;

/// What became of one event, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The event's id.
    pub id: String,
    /// Its number in the journal; 0 when it is not there.
    pub seq: i64,
    /// `recorded`, `duplicate`, `unmapped`, `rejected` or `unconsented`.
    pub status: &'static str,
    /// Why it was rejected, or what was changed on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Maps events and hands them to the writer.
#[derive(Clone)]
pub struct Intake {
    writer: Writer,
    mappings: Shared<Mappings>,
    clock: Arc<Clock>,
}

impl Intake {
    /// An intake in front of a writer.
    #[must_use]
    pub const fn new(writer: Writer, mappings: Shared<Mappings>, clock: Arc<Clock>) -> Self {
        Self { writer, mappings, clock }
    }

    /// What events mean now.
    #[must_use]
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.now()
    }

    /// Records events, all or none, and answers once they are on disk.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was recorded.
    pub async fn record(&self, parsed: Vec<Parsed>) -> Result<Vec<Answer>, StoreError> {
        let (notes, recordings) = self.prepare(parsed);
        let recorded = self.writer.record(recordings).await?;
        Ok(answers(notes, recorded))
    }

    /// As [`Self::record`], for a thread that may wait.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn record_blocking(&self, parsed: Vec<Parsed>) -> Result<Vec<Answer>, StoreError> {
        let (notes, recordings) = self.prepare(parsed);
        let recorded = self.writer.record_blocking(recordings)?;
        Ok(answers(notes, recorded))
    }

    fn prepare(&self, parsed: Vec<Parsed>) -> (Vec<Note>, Vec<Recording>) {
        let mappings = self.mappings.now();
        split(parsed.into_iter().map(|event| Prepared::new(event, &mappings, &self.clock)).collect())
    }
}

/// Records events straight into a store that no agent holds: one transaction, all or none.
///
/// # Errors
/// [`StoreError`]; then nothing was recorded.
pub fn record_directly(
    store: &mut Store,
    parsed: Vec<Parsed>,
    mappings: &Mappings,
    clock: &Clock,
) -> Result<Vec<Answer>, StoreError> {
    let (notes, recordings) = split(parsed.into_iter().map(|event| Prepared::new(event, mappings, clock)).collect());
    if let Room::Full(full) = store.room()? {
        return Err(StoreError::Full(full));
    }
    let record = |store: &mut Store| {
        let recorded = recordings.iter().map(|recording| store.record(recording)).collect::<Result<_, _>>()?;
        store.check_room_for_events()?;
        Ok(recorded)
    };
    let recorded: Vec<Recorded> = store.transact(record)?;
    Ok(answers(notes, recorded))
}

/// Gives an event its time: its own, unless it has none or one that this device cannot believe.
#[must_use]
pub fn event_at(parsed: Parsed, clock: &Clock) -> (Event, Option<String>) {
    let (own, now) = (parsed.time, clock.now());
    let note = own.filter(|time| time.since(now) > EVENT_TIME_AHEAD_MAX).map(|time| {
        let ahead = time.since(now).as_secs();
        format!("time is {ahead} s ahead of this device and was taken as now")
    });
    let believed = own.filter(|_| note.is_none());
    let event = parsed.at(believed.unwrap_or(now));
    let ordered_at = believed.map_or(now, |time| on_clock(time, now, Clock::system()));
    (Event { ordered_at, ..event }, note)
}

/// Puts a time that was read from the system's clock on the device's, which stands at `now` and never runs backwards: since the
/// system's was set back, it is ahead. Else what comes after that would count as older than what came before.
#[must_use]
pub fn on_clock(time: Timestamp, now: Timestamp, system: Timestamp) -> Timestamp {
    let ahead = now.since(system);
    let moved = time.plus(ahead);
    // Smaller differences are how a clock is kept right; and what would lie in the future was read before it was set back.
    let is_of_now = ahead > CLOCK_SET_BACK_MIN && moved.since(now) <= EVENT_TIME_AHEAD_MAX;
    if is_of_now { moved } else { time }
}

/// All that recording an event needs, once it is known what the event means.
#[must_use]
pub fn recording(mut event: Event, meaning: Meaning, mappings: &Mappings, clock: &Clock) -> Recording {
    // What nobody agreed to goes nowhere, so that nothing of it is to be hidden.
    if meaning != Meaning::Unconsented
        && let Some(json) = mappings.journalled(&event)
    {
        event.json = json;
    }
    Recording { event, recorded_at: clock.now(), meaning }
}

/// An event with all that recording it needs.
struct Prepared {
    recording: Recording,
    note: Option<String>,
}

impl Prepared {
    fn new(parsed: Parsed, mappings: &Mappings, clock: &Clock) -> Self {
        let (event, note) = event_at(parsed, clock);
        let meaning = mappings.meaning(&event);
        Self { recording: recording(event, meaning, mappings, clock), note }
    }
}

type Note = (String, Option<String>);

fn split(prepared: Vec<Prepared>) -> (Vec<Note>, Vec<Recording>) {
    prepared.into_iter().map(|Prepared { recording, note }| ((recording.event.id.clone(), note), recording)).unzip()
}

fn answers(notes: Vec<Note>, recorded: Vec<Recorded>) -> Vec<Answer> {
    let answer = |((id, note), recorded): (Note, Recorded)| {
        // Of a duplicate, nothing was taken in this time.
        let note = note.filter(|_| recorded.status != EventStatus::Duplicate);
        Answer { id, seq: recorded.seq, status: recorded.status.name(), reason: recorded.reason.or(note) }
    };
    notes.into_iter().zip(recorded).map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_system_s_clock_is_moved_once_that_was_set_back() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        assert_eq!(on_clock(at(100), at(1_000), at(1_000)), at(100));
        // It is kept right a little.
        assert_eq!(on_clock(at(100), at(1_002), at(1_000)), at(100));
        assert_eq!(on_clock(at(100), at(1_000), at(1_001)), at(100));
        // What happened after the clock was set back by an hour is after what happened before.
        assert_eq!(on_clock(at(1_010), at(4_610), at(1_010)), at(4_610));
        // It was read before.
        assert_eq!(on_clock(at(4_500), at(4_610), at(1_010)), at(4_500));
    }
}
