//! Recording: writes an event to the journal and coalesces its changes into its profiles, in one transaction.

use rusqlite::OptionalExtension;
use serde::Deserialize;

use super::StoreError;
use super::fingerprint::{Fingerprint, says_the_same};
use super::keys::Key;
use super::profiles::{self, PlanError, ProfilePlan};
use super::stored::stored_status;
use super::transaction::Transaction;
use crate::core::content_digest::ContentDigest;
use crate::core::event::{Event, EventStatus, Fate};
use crate::core::identity::Identity;
use crate::core::mapping::{Meaning, ProfileChanges};
use crate::core::operation::Stamp;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// An event to record, with its meaning.
#[derive(Debug)]
pub struct Recording {
    /// The event itself.
    pub event: Event,
    /// Time on this device's clock, which never runs backwards.
    pub recorded_at: Timestamp,
    /// Changes of the event, or the reason for none.
    pub meaning: Meaning,
    /// Digest of the content; `None` if its JSON cannot be read.
    pub digest: Option<ContentDigest>,
    /// Identities that it is about, as far as the mappings can tell, if none of them changes a profile.
    pub about: Vec<Identity>,
}

impl Recording {
    /// Identities that the event is about.
    fn about(&self) -> impl Iterator<Item = &Identity> {
        let changed = match &self.meaning {
            Meaning::Changes(profiles) => profiles.as_slice(),
            _ => &[],
        };
        changed.iter().map(|profile| &profile.identity).chain(&self.about)
    }

    /// Why no mapping matches it, if none does.
    fn unmapped(&self) -> Option<&str> {
        match &self.meaning {
            Meaning::Unmapped(why) => Some(why),
            _ => None,
        }
    }
}

/// The result of recording an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Number in the journal; for a duplicate, the number of the first; 0 if it is not stored.
    pub seq: i64,
    /// Status of the event.
    pub status: EventStatus,
    /// Reason why it was not recorded as intended: rejected, matched by no mapping, or different from an earlier event
    /// with the same id.
    pub reason: Option<String>,
}

/// Result of applying an event's changes: its status, the changed profiles, and the reason for a rejection.
type Applied = (EventStatus, Vec<i64>, Option<(Reason, String)>);

impl Transaction<'_> {
    /// Records one event within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn record(&mut self, recording: &Recording) -> Result<Recorded, StoreError> {
        self.record_event(recording).map_err(StoreError::write)
    }

    fn record_event(&mut self, recording: &Recording) -> rusqlite::Result<Recorded> {
        let event = &recording.event;
        if let Meaning::Unconsented(none) = &recording.meaning {
            let totals = &mut self.numbers.totals;
            totals.unconsented += 1;
            if none.is_failure {
                totals.consent_unknown += 1;
                totals.consent_unknown_at_ms = recording.recorded_at.as_millis();
            }
            let reason = Some(format!("it was counted, and not stored: {}", none.why));
            return Ok(Recorded { seq: 0, status: EventStatus::Unconsented, reason });
        }
        if let Some((seq, reason)) = self.find(recording)? {
            self.numbers.totals.duplicate += 1;
            self.numbers.totals.differing += i64::from(reason.is_some());
            let at = self.recorded_at(recording.recorded_at);
            self.note_without_effect(recording.about(), (seq, Fate::Duplicate), at, reason.as_deref())?;
            return Ok(Recorded { seq, status: EventStatus::Duplicate, reason });
        }
        let (seq, recorded_at) = (self.numbers.next_seq(), self.recorded_at(recording.recorded_at));
        self.happens(recorded_at);
        let (status, profile_ids, rejection) =
            self.apply(&recording.meaning, Stamp { time: event.ordered_at, seq }, recorded_at)?;
        let fingerprint = recording.digest.map(|digest| self.numbers.fingerprint_key.of(digest));
        self.insert(event, (seq, fingerprint), recorded_at, (status, &profile_ids))?;
        if let Some((reason, detail)) = &rejection {
            self.reject(seq, recorded_at, *reason, detail)?;
        }
        self.count(status, seq, recorded_at);
        let (unmapped, rejected) = (recording.unmapped(), rejection.map(|(_, detail)| detail));
        self.note_fate(recording, (seq, status), recorded_at)?;
        let reason = unmapped.map(str::to_owned).or(rejected);
        Ok(Recorded { seq, status, reason })
    }

    /// Notes whom an event is about that changed nothing.
    pub(super) fn note_fate(
        &self,
        recording: &Recording,
        (seq, status): (i64, EventStatus),
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        match Fate::of(status) {
            Some(fate) => self.note_without_effect(recording.about(), (seq, fate), at, recording.unmapped()),
            None => Ok(()),
        }
    }

    /// Returns the time under which to journal an event: events are prepared concurrently, but their times in the
    /// journal must not decrease.
    pub(super) fn recorded_at(&self, at: Timestamp) -> Timestamp {
        self.numbers.recorded_at.map_or(at, |last| last.max(at))
    }

    /// Applies all changes of an event or none. Returns the status, the changed profiles, and the reason for a
    /// rejection.
    pub(super) fn apply(
        &mut self,
        meaning: &Meaning,
        stamp: Stamp,
        recorded_at: Timestamp,
    ) -> rusqlite::Result<Applied> {
        let rejected = |reason, detail| (EventStatus::Rejected, Vec::new(), Some((reason, detail)));
        Ok(match meaning {
            Meaning::Unmapped(_) => (EventStatus::Unmapped, Vec::new(), None),
            Meaning::Changes(profiles) => match self.coalesce(profiles, stamp, recorded_at)? {
                Ok(profile_ids) => (EventStatus::Recorded, profile_ids, None),
                Err(detail) => rejected(Reason::CoalesceFailed, detail),
            },
            Meaning::Failed(error) => rejected(Reason::MappingFailed, error.to_string()),
            Meaning::Unconsented(_) => (EventStatus::Unconsented, Vec::new(), None),
        })
    }

    /// Counts a journalled event.
    pub(super) fn count(&mut self, status: EventStatus, seq: i64, recorded_at: Timestamp) {
        match status {
            EventStatus::Unmapped => self.numbers.totals.unmapped += 1,
            EventStatus::Rejected => self.numbers.totals.rejected += 1,
            EventStatus::Recorded | EventStatus::Duplicate | EventStatus::Unconsented => {}
        }
        self.numbers.last_seq = seq;
        self.numbers.recorded_at = Some(recorded_at);
    }

    /// Finds the number of the event if it was recorded before, with a message if its content was different.
    fn find(&self, recording: &Recording) -> rusqlite::Result<Option<(i64, Option<String>)>> {
        let (Recording { event, digest, .. }, key) = (recording, &self.numbers.fingerprint_key);
        let mut gone = None;
        for (seq, fingerprint) in self.find_key(Key::of(&event.source, &event.id))? {
            let held: Option<(i64, String)> = self
                .connection
                .prepare_cached(
                    "SELECT recorded_at_ms, open(event, 'journal', seq) AS event FROM journal
                     WHERE seq = ?1 AND event <> ''",
                )?
                .query_row([seq], |row| Ok((row.get("recorded_at_ms")?, row.get("event")?)))
                .optional()?;
            match held {
                // For an event that is no longer stored the key must do: of a billion events, two share one with a
                // chance of 1 in 40.
                None => gone = gone.or(Some((seq, fingerprint))),
                Some((at_ms, held)) if held == event.json || is_same(&held, event) => {
                    let is_other = key.tells_fields_apart(seq, fingerprint, *digest)
                        || (held != event.json && !says_the_same(&held, &event.json));
                    let when = format!("recorded on {} under the same id", Timestamp::from_millis(at_ms));
                    return Ok(Some((seq, is_other.then(|| differs(seq, &when)))));
                }
                Some(_) => {}
            }
        }
        let purged = |(seq, fingerprint)| {
            let is_other = key.tells_apart(seq, fingerprint, *digest);
            (seq, is_other.then(|| differs(seq, "recorded under the same id and purged since")))
        };
        Ok(gone.map(purged))
    }

    /// Applies all changes of an event and returns the profiles, or applies none and returns the error.
    fn coalesce(
        &mut self,
        profiles: &[ProfileChanges],
        stamp: Stamp,
        recorded_at: Timestamp,
    ) -> rusqlite::Result<Result<Vec<i64>, String>> {
        let repeats = self.limits.repeats(recorded_at, self.numbers.hands_over);
        let plans: Result<Vec<ProfilePlan<'_>>, PlanError> =
            profiles.iter().map(|changes| profiles::plan(&self.connection, changes, stamp, repeats)).collect();
        match plans {
            Ok(plans) => {
                let write = |plan: &ProfilePlan<'_>| profiles::write(self, plan, (stamp.seq, recorded_at));
                plans.iter().map(write).collect::<rusqlite::Result<_>>().map(Ok)
            }
            Err(PlanError::Read(error)) => Err(error),
            Err(error @ PlanError::Coalesce { .. }) => Ok(Err(error.to_string())),
        }
    }

    /// Writes an event and its key to the journal.
    pub(super) fn insert(
        &mut self,
        event: &Event,
        (seq, fingerprint): (i64, Option<Fingerprint>),
        recorded_at: Timestamp,
        (status, profile_ids): (EventStatus, &[i64]),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO journal (seq, recorded_at_ms, time_ms, status, profile_id, event)
             VALUES (?1, ?2, ?3, ?4, ?5, seal(?6, 'journal', ?1))",
        )?;
        let times = (recorded_at.as_millis(), event.time.as_millis());
        statement.execute((seq, times.0, times.1, stored_status(status), profile_ids.first(), &event.json))?;
        drop(statement);
        for profile_id in profile_ids.iter().skip(1) {
            self.connection
                .prepare_cached("INSERT INTO journal_profile (seq, profile_id) VALUES (?1, ?2)")?
                .execute((seq, profile_id))?;
        }
        self.insert_key(Key::of(&event.source, &event.id), seq, fingerprint)
    }

    fn reject(&self, seq: i64, at: Timestamp, reason: Reason, detail: &str) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO rejected (rejected_at_ms, seq, reason, detail) VALUES (?1, ?2, ?3, seal(?4, 'rejected'))",
        )?;
        statement.execute((at.as_millis(), seq, reason.label(), detail)).map(|_| ())
    }
}

/// Returns true if a journalled event has the same id and source as another.
fn is_same(held: &str, event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Name {
        id: String,
        source: String,
    }
    serde_json::from_str(held).is_ok_and(|Name { id, source }| id == event.id && source == event.source)
}

/// Returns the message for a different event under the id of a recorded one.
fn differs(seq: i64, when: &str) -> String {
    format!("differs from event {seq}, {when}, and was not recorded; each event must have an id of its own")
}
