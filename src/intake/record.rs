//! From parsed events to recorded ones.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cloudevents::Parsed;
use crate::core::content_digest::ContentDigest;
use crate::core::event::{Event, EventStatus};
use crate::core::limits::EVENT_TIME_AHEAD_MAX;
use crate::core::mapping::{Mappings, Meaning};
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::device::live::Live;
use crate::store::{Recorded, Recording, Reply, Room, Store, StoreError, Transaction, Writer};

/// The result of recording one event, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Id of the event.
    pub id: String,
    /// Number in the journal; 0 if it is not there.
    pub seq: i64,
    /// Result of the event.
    pub status: EventStatus,
    /// Reason why it was rejected, or description of a change made to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// True if its time was in the future and was replaced by the present, which `reason` then says.
    #[serde(skip)]
    pub was_ahead: bool,
    /// True if it was not stored because `consent` could not be computed, which `reason` then says.
    #[serde(skip)]
    pub has_no_known_consent: bool,
}

/// The answer to recorded events, in their order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answers {
    /// An answer for each.
    pub events: Vec<Answer>,
}

/// Maps events and hands them to the writer.
#[derive(Clone)]
pub struct Intake {
    writer: Writer,
    mappings: Live<Mappings>,
    pub(super) clock: Arc<Clock>,
}

impl Intake {
    /// Returns an intake in front of a writer.
    #[must_use]
    pub const fn new(writer: Writer, mappings: Live<Mappings>, clock: Arc<Clock>) -> Self {
        Self { writer, mappings, clock }
    }

    /// Records events, all or none, and returns once they are on disk.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was recorded.
    pub async fn record(&self, parsed: Vec<Parsed>) -> Result<Vec<Answer>, StoreError> {
        let Prepared { notes, recordings } = self.prepare(parsed, self.clock.now());
        let recorded = self.writer.record(recordings).await?;
        Ok(answers(notes, recorded))
    }

    /// Returns the mappings as they are now.
    #[must_use]
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.now()
    }

    /// Maps events, without recording them. Those without a time have `untimed_at`, by this device's clock.
    #[must_use]
    pub fn prepare(&self, parsed: Vec<Parsed>, untimed_at: Timestamp) -> Prepared {
        let mappings = self.mappings.now();
        Prepared::new(parsed, &mappings, (&self.clock, untimed_at))
    }

    /// Hands over events to be recorded, all or none, and returns before they are.
    ///
    /// # Errors
    /// [`StoreError::Stopped`], if the writer has ended.
    pub fn begin_record(&self, Prepared { notes, recordings }: Prepared) -> Result<Begun, StoreError> {
        Ok(Begun { notes, recorded: self.writer.begin_record(recordings)? })
    }
}

/// Events that the writer is recording.
pub struct Begun {
    notes: Vec<Note>,
    recorded: Reply<Vec<Recorded>>,
}

impl Begun {
    /// Blocks until they are on disk.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was recorded.
    pub fn wait(self) -> Result<Vec<Answer>, StoreError> {
        Ok(answers(self.notes, self.recorded.wait()?))
    }
}

/// Records events directly in a store without a running agent: one transaction, all or none.
///
/// # Errors
/// [`StoreError`]; then nothing was recorded.
pub fn record_directly(
    store: &mut Store,
    parsed: Vec<Parsed>,
    mappings: &Mappings,
    clock: &Clock,
) -> Result<Vec<Answer>, StoreError> {
    let Prepared { notes, recordings } = Prepared::new(parsed, mappings, (clock, clock.now()));
    if let Room::Full(full) = store.room()? {
        return Err(StoreError::Full(full));
    }
    let record = |store: &mut Transaction<'_>| {
        let recorded = recordings.iter().map(|recording| store.record(recording)).collect::<Result<_, _>>()?;
        store.check_room_for_events()?;
        Ok(recorded)
    };
    let recorded: Vec<Recorded> = store.transact(record)?;
    Ok(answers(notes, recorded))
}

/// Sets the time of an event: its own, unless that is missing or not credible to this device.
#[must_use]
pub fn event_at(parsed: Parsed, clock: &Clock) -> (Event, Option<String>) {
    event_of(parsed, clock, clock.now())
}

/// As [`event_at`], for an event that has another time than now, by this clock, where it has none of its own.
fn event_of(parsed: Parsed, clock: &Clock, untimed_at: Timestamp) -> (Event, Option<String>) {
    let now = clock.now();
    match parsed.time {
        None => (parsed.at(untimed_at, untimed_at), None),
        Some(time) if time.since(now) > EVENT_TIME_AHEAD_MAX => {
            let ahead = time.since(now).as_secs();
            (parsed.at(now, now), Some(format!("time is {ahead} s ahead of this device and was taken as now")))
        }
        Some(time) => (parsed.at(time, clock.place(time)), None),
    }
}

/// Returns everything needed to record an event, once its meaning is known.
#[must_use]
pub fn recording(mut event: Event, meaning: Meaning, mappings: &Mappings, clock: &Clock) -> Recording {
    let recorded_at = clock.now();
    // An event without consent goes nowhere, so nothing of it needs to be hidden.
    if matches!(meaning, Meaning::Unconsented(_)) {
        return Recording { event, recorded_at, meaning, digest: None, about: Vec::new() };
    }
    let about = match meaning {
        Meaning::Unmapped(_) | Meaning::Failed(_) => mappings.about(&event),
        Meaning::Changes(_) | Meaning::Unconsented(_) => Vec::new(),
    };
    let kept = mappings.journalled(&event);
    let digest = ContentDigest::of(&event.json, kept.as_deref().unwrap_or(&event.json));
    event.json = kept.unwrap_or(event.json);
    Recording { event, recorded_at, meaning, digest, about }
}

/// Events, mapped and ready to be recorded.
pub struct Prepared {
    notes: Vec<Note>,
    recordings: Vec<Recording>,
}

/// Members of an [`Answer`] that are known before the event is recorded.
struct Note {
    id: String,
    /// Description of a change made to it.
    change: Option<String>,
    has_no_known_consent: bool,
}

impl Prepared {
    fn new(parsed: Vec<Parsed>, mappings: &Mappings, (clock, untimed_at): (&Clock, Timestamp)) -> Self {
        let prepare = |parsed: Parsed| {
            let (event, change) = event_of(parsed, clock, untimed_at);
            let meaning = mappings.meaning(&event);
            let has_no_known_consent = matches!(&meaning, Meaning::Unconsented(none) if none.is_failure);
            let note = Note { id: event.id.clone(), change, has_no_known_consent };
            (note, recording(event, meaning, mappings, clock))
        };
        let (notes, recordings) = parsed.into_iter().map(prepare).unzip();
        Self { notes, recordings }
    }
}

fn answers(notes: Vec<Note>, recorded: Vec<Recorded>) -> Vec<Answer> {
    let answer = |(Note { id, change, has_no_known_consent }, recorded): (Note, Recorded)| {
        // A duplicate is not recorded, so no change to it matters.
        let note = change.filter(|_| recorded.status != EventStatus::Duplicate);
        let was_ahead = note.is_some();
        let reason = [recorded.reason, note].into_iter().flatten().reduce(|reason, note| format!("{reason}; {note}"));
        Answer { id, seq: recorded.seq, status: recorded.status, reason, was_ahead, has_no_known_consent }
    };
    notes.into_iter().zip(recorded).map(answer).collect()
}
