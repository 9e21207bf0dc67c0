//! Rejected items: listed, tried again, or dropped. A rejected event is mapped again by the caller and gets a new
//! number; a rejected update becomes pending again, as far as its values are still the newest.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use super::fingerprint::Fingerprint;
use super::journal::{Recorded, Recording};
use super::keys::Key;
use super::stored::{Named, by_name, time};
use super::transaction::Transaction;
use super::{place, profiles};
use crate::core::identity::Identity;
use crate::core::operation::Stamp;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// One rejected event or update, as the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Number of the item; never reused.
    pub id: i64,
    /// Time of the rejection.
    pub rejected_at: Timestamp,
    /// Rejected event or update.
    pub subject: RejectedSubject,
    /// Label of a [`Reason`].
    pub reason: String,
    /// Description of the failure, or the beginning of Target's answer.
    pub detail: String,
}

/// A rejected event or update.
#[derive(Clone, PartialEq, Eq)]
pub enum RejectedSubject {
    /// An event whose mapping failed.
    Event {
        /// Number in the journal.
        seq: i64,
        /// Time of the event as recorded.
        time: Timestamp,
        /// CloudEvents JSON; personal data.
        json: String,
    },
    /// An update that Target refused.
    Update {
        /// Identity of the profile; `None` if it was erased.
        identity: Option<Identity>,
        /// Names of the attributes, and the versions that were refused.
        attributes: Vec<(String, i64)>,
    },
}

const SELECT: &str = "SELECT r.id, r.rejected_at_ms, r.reason, open(r.detail, 'rejected') AS detail, r.seq, j.time_ms,
            open(j.event, 'journal', j.seq) AS event, p.kind, open(p.key, 'profile', p.kind) AS key, r.attributes
     FROM rejected r LEFT JOIN journal j ON j.seq = r.seq LEFT JOIN profile p ON p.id = r.profile_id";

/// Returns up to `limit` rows with a greater id, oldest first.
pub(super) fn list(connection: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<RejectedRow>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE r.id > ?1 ORDER BY r.id LIMIT ?2"))?;
    let rows = statement.query_map((after, i64::try_from(limit).unwrap_or(i64::MAX)), by_name(row))?;
    rows.collect()
}

pub(super) fn newest(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<RejectedRow>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY r.id DESC LIMIT ?1"))?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], by_name(row))?;
    rows.collect()
}

pub(super) fn find(connection: &Connection, id: i64) -> rusqlite::Result<Option<RejectedRow>> {
    connection.prepare_cached(&format!("{SELECT} WHERE r.id = ?1"))?.query_row([id], by_name(row)).optional()
}

fn row(row: &Named<'_>) -> rusqlite::Result<RejectedRow> {
    let subject = match row.get::<Option<i64>>("seq")? {
        Some(seq) => RejectedSubject::Event {
            seq,
            time: time(row, "time_ms")?.unwrap_or_default(),
            json: row.get::<Option<String>>("event")?.unwrap_or_default(),
        },
        None => RejectedSubject::Update {
            identity: row.get::<Option<i64>>("kind")?.map(|_| profiles::identity(row)).transpose()?,
            attributes: serde_json::from_str(&row.get::<String>("attributes")?).unwrap_or_default(),
        },
    };
    Ok(RejectedRow {
        id: row.get("id")?,
        rejected_at: Timestamp::from_millis(row.get("rejected_at_ms")?),
        subject,
        reason: row.get("reason")?,
        detail: row.get("detail")?,
    })
}

impl Transaction<'_> {
    /// Records a rejected event again, within a transaction. `None` if there is no such event.
    ///
    /// If it succeeds, it has a new number in the journal and keeps its own time; otherwise it stays rejected, with the
    /// new reason.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn retry_event(&mut self, id: i64, recording: &Recording) -> Result<Option<Recorded>, StoreError> {
        self.map_anew(id, recording).map_err(StoreError::write)
    }

    fn map_anew(&mut self, id: i64, recording: &Recording) -> rusqlite::Result<Option<Recorded>> {
        let old: Option<i64> = self
            .connection
            .prepare_cached("SELECT seq FROM rejected WHERE id = ?1 AND seq IS NOT NULL")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let Some(old) = old else { return Ok(None) };
        let recorded_at = self.recorded_at(recording.recorded_at);
        let seq = self.numbers.next_seq();
        let (status, profile_ids, rejection) =
            self.apply(&recording.meaning, Stamp { time: recording.event.ordered_at, seq }, recorded_at)?;
        if let Some((reason, detail)) = rejection {
            self.reject_again(id, reason, &detail)?;
            return Ok(Some(Recorded { seq: old, status, reason: Some(detail) }));
        }
        self.connection.prepare_cached("DELETE FROM rejected WHERE id = ?1")?.execute([id])?;
        self.connection.prepare_cached("DELETE FROM journal WHERE seq = ?1")?.execute([old])?;
        let fingerprint = self.fingerprint_again(old, recording)?;
        self.insert(&recording.event, (seq, fingerprint), recorded_at, (status, &profile_ids))?;
        self.renumber_without_effect(old, seq)?;
        self.note_fate(recording, (seq, status), recorded_at)?;
        self.count(status, seq, recorded_at);
        Ok(Some(Recorded { seq, status, reason: None }))
    }

    /// Returns the fingerprint of an event that was journalled before and perhaps only in part: its fields are known
    /// only from the old fingerprint.
    fn fingerprint_again(&self, old: i64, recording: &Recording) -> rusqlite::Result<Option<Fingerprint>> {
        let Recording { event, digest, .. } = recording;
        let found = self.find_key(Key::of(&event.source, &event.id))?;
        let stored = found.into_iter().find_map(|(seq, stored)| stored.filter(|_| seq == old));
        Ok(digest.and_then(|digest| self.numbers.fingerprint_key.again(old, stored, digest)))
    }

    /// It was rejected when it first was: that time stays.
    fn reject_again(&self, id: i64, reason: Reason, detail: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE rejected SET reason = ?2, detail = seal(?3, 'rejected') WHERE id = ?1")?
            .execute((id, reason.label(), detail))
            .map(|_| ())
    }

    /// Makes the attributes of a refused update pending again, within a transaction, and returns their number. `None`
    /// if there is no such update. Values that changed since are pending or delivered anyway.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn retry_update(&mut self, id: i64) -> Result<Option<usize>, StoreError> {
        self.note_first_rejection(id).and_then(|()| self.release_refused(id)).map_err(StoreError::write)
    }

    /// Notes when values that are tried again were rejected first: that time stays, if they are again.
    fn note_first_rejection(&self, id: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO retried (profile_id, name, version, rejected_at_ms)
                 SELECT profile_id, json_extract(pair.value, '$[0]'), json_extract(pair.value, '$[1]'), rejected_at_ms
                 FROM rejected, json_each(attributes) pair WHERE rejected.id = ?1 AND profile_id IS NOT NULL",
            )?
            .execute([id])
            .map(|_| ())
    }

    /// Takes the time when values were rejected first that are rejected now, if they were before.
    pub(super) fn take_first_rejection(
        &self,
        profile_id: i64,
        versions: &[(String, i64)],
    ) -> rusqlite::Result<Option<Timestamp>> {
        let mut first: Option<i64> = None;
        for (name, version) in versions {
            let noted: Option<(i64, i64)> = self
                .connection
                .prepare_cached(
                    "DELETE FROM retried WHERE profile_id = ?1 AND name = ?2 RETURNING version, rejected_at_ms",
                )?
                .query_row((profile_id, name), |row| Ok((row.get("version")?, row.get("rejected_at_ms")?)))
                .optional()?;
            let at_ms = noted.filter(|(noted, _)| noted == version).map(|(_, at_ms)| at_ms);
            first = first.into_iter().chain(at_ms).min();
        }
        Ok(first.map(Timestamp::from_millis))
    }

    pub(super) fn release_refused(&mut self, id: i64) -> rusqlite::Result<Option<usize>> {
        let found: Option<(i64, String)> = self
            .connection
            .prepare_cached("SELECT profile_id, attributes FROM rejected WHERE id = ?1 AND profile_id IS NOT NULL")?
            .query_row([id], |row| Ok((row.get("profile_id")?, row.get("attributes")?)))
            .optional()?;
        let Some((profile_id, attributes)) = found else { return Ok(None) };
        let attributes: Vec<(String, i64)> = serde_json::from_str(&attributes).unwrap_or_default();
        let mut released = 0;
        for (name, version) in &attributes {
            released += self
                .connection
                .prepare_cached(
                    "UPDATE attribute SET refused_version = 0, refused_reason = NULL
                     WHERE profile_id = ?1 AND name = ?2 AND version = ?3 AND refused_version = ?3
                         AND refused_reason <> ?4",
                )?
                .execute((profile_id, name, version, Reason::OtherDevice.label()))?;
        }
        self.connection.prepare_cached("DELETE FROM rejected WHERE id = ?1")?.execute([id])?;
        self.numbers.pending_change.attributes += i64::try_from(released).unwrap_or(0);
        place::refresh_pending(self, profile_id)?;
        Ok(Some(released))
    }

    /// Discards a rejected item, within a transaction. Returns false if there is none with that number.
    ///
    /// A dropped event stays in the journal until it is purged; dropped values stay refused until they change.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn drop_rejected(&mut self, id: i64) -> Result<bool, StoreError> {
        let drop = || self.connection.prepare_cached("DELETE FROM rejected WHERE id = ?1")?.execute([id]);
        drop().map(|dropped| dropped > 0).map_err(StoreError::write)
    }
}
