//! Batches: filling them with profiles, what their rows hold, and what came of them.
//!
//! The row of a profile is kept as it is sent, so that the file can be read from the store piece by piece, and what came of it
//! is noted of exactly that. Every step is a small transaction.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::journal::Store;
use super::readings::{self, Reading};
use super::sends::{self, SendLog};
use super::verification::{self, ReadBack};
use super::{StoreError, profiles, settle};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::forwarding::route::Route;
use crate::core::identity::IdentityKind;
use crate::core::limits::BATCH_ROW_FAILURES_MAX;
use crate::core::operation::{LATE_MAX, Sent};
use crate::core::reason::Reason;
use crate::core::short_hash::short_hash;
use crate::core::timestamp::Timestamp;

/// Rows that one transaction or one query goes through. Limits: some milliseconds.
pub const PART_ROWS: usize = 500;

/// How a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Profiles are put in, or it waits to be sent.
    Filling,
    /// It is being sent; after a crash nobody knows whether it was.
    Submitting,
    /// Target has it, and works on it.
    Submitted,
    /// Target is done with it.
    Complete,
    /// Target got stuck, or took too long: its rows are pending again.
    GivenUp,
}

impl BatchState {
    const ALL: [Self; 5] = [Self::Filling, Self::Submitting, Self::Submitted, Self::Complete, Self::GivenUp];

    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Submitting => "submitting",
            Self::Submitted => "submitted",
            Self::Complete => "complete",
            Self::GivenUp => "given_up",
        }
    }

    const fn number(self) -> i64 {
        self as i64
    }
}

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Its number in the store.
    pub id: i64,
    /// Which key its rows have.
    pub kind: IdentityKind,
    /// Version of the API: 2 creates profiles, 1 does not.
    pub api: i64,
    /// How it stands.
    pub state: BatchState,
    /// Its rows.
    pub rows: usize,
    /// Bytes of its file, never too low.
    pub bytes: usize,
    /// Target's name for it.
    pub target_id: Option<String>,
    /// When it was submitted, on the quota's clock.
    pub submitted_at: Option<Timestamp>,
    /// The same on Target's clock.
    pub sent_at: Option<Timestamp>,
    /// When it ended, on the quota's clock.
    pub ended_at: Option<Timestamp>,
}

/// One row of a batch as its file holds it: whose, and names with values.
pub struct BatchRow {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Key.
    pub key: String,
    /// Attributes, by name.
    pub attributes: Vec<(String, String)>,
}

/// One attribute of a row, as it is sent: name, value, version, our own value at that time where it is to be known again when
/// it is read, and the time in ms of what was shown. Version 0 is an attribute of others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowAttribute(pub String, pub String, pub i64, pub Option<String>, pub Option<i64>);

// Nobody's values may reach a log.
impl std::fmt::Debug for RowAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowAttribute").field("version", &self.2).finish_non_exhaustive()
    }
}

/// A profile that is put in a batch.
#[derive(Debug)]
pub struct BatchEntry {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Why it goes in a batch.
    pub route: Route,
    /// Row, by name.
    pub row: Vec<RowAttribute>,
    /// What was read of it before.
    pub readings: Vec<Reading>,
    /// What was learned of its existence, if anything.
    pub learned: Option<Existence>,
    /// Calls of the Fetch API that this took.
    pub reads: i64,
    /// Bytes of its row in the file.
    pub bytes: usize,
    /// Values that were sent of it, where that is not what is noted.
    pub log: Option<SendLog>,
}

/// How the rows of a batch end.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Target is done with it.
    Complete {
        /// Keys of the rows that failed, by [`short_hash`].
        failed: HashSet<u64>,
        /// Whether rows failed that Target does not name: then none of the others is known to be delivered.
        is_uncertain: bool,
        /// When it was submitted, on Target's clock.
        sent_at: Timestamp,
        /// When the profiles of rows of which nothing is known are read back, on this device's clock.
        read_back_at: Timestamp,
    },
    /// It was not taken: its rows are pending as before.
    Released,
    /// Nobody knows whether it was taken, or will be applied later.
    Lost {
        /// When it was submitted, on Target's clock.
        sent_at: Timestamp,
        /// When its profiles are read back, on this device's clock.
        read_back_at: Timestamp,
    },
    /// It holds one row, which Target refused.
    Refused(Reason, String),
}

/// What came of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledRows {
    /// Whether more are left.
    pub is_more: bool,
    /// Rows that Target took.
    pub delivered: i64,
    /// Rows that failed.
    pub failed: i64,
}

/// The batches that are not at their end, and the last `ended` of the others, newest first.
pub(super) fn heads(connection: &Connection, ended: usize) -> rusqlite::Result<Vec<BatchHead>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, api, state, row_count, byte_count, target_id, submitted_at_ms, ended_at_ms, sent_at_ms
         FROM batch
         WHERE state < 3 OR id IN (SELECT id FROM batch WHERE state >= 3 ORDER BY id DESC LIMIT ?1) ORDER BY id DESC",
    )?;
    let rows = statement.query_map([i64::try_from(ended).unwrap_or(0)], head)?;
    rows.collect()
}

fn head(row: &Row<'_>) -> rusqlite::Result<BatchHead> {
    let place: usize = row.get::<_, i64>(3)?.try_into().unwrap_or(0);
    let count = |column| row.get::<_, i64>(column).map(|count| usize::try_from(count).unwrap_or(0));
    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(BatchHead {
        id: row.get(0)?,
        kind: profiles::kind_of_number(row.get(1)?),
        api: row.get(2)?,
        state: BatchState::ALL[place.min(BatchState::ALL.len() - 1)],
        rows: count(4)?,
        bytes: count(5)?,
        target_id: row.get(6)?,
        submitted_at: time(7)?,
        ended_at: time(8)?,
        sent_at: time(9)?,
    })
}

/// Rows of batches that were submitted after that time of the quota's clock.
pub(super) fn rows_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<u64> {
    let rows: i64 = connection
        .prepare_cached("SELECT coalesce(sum(row_count), 0) FROM batch WHERE submitted_at_ms > ?1")?
        .query_row([since.as_millis()], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Some rows of a batch, after that profile.
pub(super) fn rows(connection: &Connection, batch_id: i64, after: i64) -> rusqlite::Result<Vec<BatchRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT profile_id, open(key, 'profile', kind), open(content, 'batch_row', profile_id)
         FROM batch_row JOIN profile ON id = profile_id
         WHERE batch_row.batch_id = ?1 AND profile_id > ?2 ORDER BY profile_id LIMIT ?3",
    )?;
    let part = i64::try_from(PART_ROWS).unwrap_or(i64::MAX);
    let rows = statement.query_map((batch_id, after, part), |row| {
        let content: Vec<RowAttribute> = parse(&row.get::<_, String>(2)?)?;
        let attributes = content.into_iter().map(|RowAttribute(name, value, ..)| (name, value)).collect();
        Ok(BatchRow { profile_id: row.get(0)?, key: row.get(1)?, attributes })
    })?;
    rows.collect()
}

fn parse(content: &str) -> rusqlite::Result<Vec<RowAttribute>> {
    serde_json::from_str(content)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))
}

/// The versions that are in the batch of a profile, by attribute.
pub(super) fn batched_versions(connection: &Connection, profile_id: i64) -> rusqlite::Result<Vec<(String, i64)>> {
    let content: Option<String> = connection
        .prepare_cached(
            "SELECT open(content, 'batch_row', profile_id) FROM batch_row JOIN profile ON id = profile_id
             WHERE batch_row.batch_id = profile.batch_id AND profile_id = ?1",
        )?
        .query_row([profile_id], |row| row.get(0))
        .optional()?;
    let row = content.map_or(Ok(Vec::new()), |content| parse(&content))?;
    Ok(row.into_iter().map(|RowAttribute(name, _, version, ..)| (name, version)).collect())
}

impl Store {
    /// The batches that are not at their end, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn open_batches(&self) -> Result<Vec<BatchHead>, StoreError> {
        heads(&self.connection, 0).map_err(StoreError::Read)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError::Read`], also where the batch has ended.
    pub fn open_batch(&self, batch_id: i64) -> Result<BatchHead, StoreError> {
        let head = self.open_batches()?.into_iter().find(|head| head.id == batch_id);
        head.ok_or(StoreError::Read(rusqlite::Error::QueryReturnedNoRows))
    }

    /// As [`super::Reader::batch_rows`], on the writing connection: for simulations, which have no second one.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows(&self, batch_id: i64, after: i64) -> Result<Vec<BatchRow>, StoreError> {
        rows(&self.connection, batch_id, after).map_err(StoreError::Read)
    }

    /// Rows of batches that were submitted after that time of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        rows_since(&self.connection, since).map_err(StoreError::Read)
    }

    /// Begins a batch, within a transaction, and gives its number.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn begin_batch(&mut self, kind: IdentityKind, api: i64) -> Result<i64, StoreError> {
        let begin = || {
            self.connection
                .prepare_cached("INSERT INTO batch (kind, api, state) VALUES (?1, ?2, 0)")?
                .insert((profiles::kind_number(kind), api))
        };
        begin().map_err(StoreError::write)
    }

    /// Puts profiles in a batch, within a transaction, and gives how many are in: not those that were erased meanwhile, or have
    /// nothing to send any more.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn fill_batch(
        &mut self,
        batch_id: i64,
        entries: &[BatchEntry],
        at: Timestamp,
        quota_time: QuotaTime,
    ) -> Result<usize, StoreError> {
        let mut filled = 0;
        for entry in entries {
            filled += usize::from(self.fill(batch_id, entry, at).map_err(StoreError::write)?);
        }
        // One row alone goes in wherever it fits: what waits in a store that is fuller than it may be is delivered too.
        if entries.len() > 1 || self.has_rows_beside(entries.len())? {
            self.check_room_for_rows()?;
        }
        let reads = entries.iter().map(|entry| entry.reads).sum::<i64>();
        if reads > 0 {
            self.spend_reads(reads, quota_time);
        }
        Ok(filled)
    }

    /// Whether batches hold more rows than so many.
    fn has_rows_beside(&self, count: usize) -> Result<bool, StoreError> {
        let limit = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1);
        let rows: i64 = self
            .connection
            .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM batch_row LIMIT ?1)")
            .and_then(|mut statement| statement.query_row([limit], |row| row.get(0)))
            .map_err(StoreError::Read)?;
        Ok(rows == limit)
    }

    fn fill(&mut self, batch_id: i64, entry: &BatchEntry, at: Timestamp) -> rusqlite::Result<bool> {
        let id = entry.profile_id;
        readings::write(&self.connection, id, &entry.readings, at)?;
        if let Some(log) = &entry.log {
            sends::write(&self.connection, id, log)?;
        }
        if let Some(existence) = entry.learned {
            profiles::learn(&self.connection, id, existence, at)?;
        }
        let superseded = settle::supersede(&self.connection, id, &entry.readings)?;
        if superseded > 0 {
            let profiles = profiles::refresh_pending(&self.connection, id)?;
            let state = self.state_mut();
            state.pending_change.attributes -= superseded;
            state.pending_change.profiles += profiles;
            state.totals.superseded += superseded;
        }
        let oldest: Option<(i64, i64)> = self
            .connection
            .prepare_cached(
                "UPDATE profile SET batch_id = ?2 WHERE id = ?1 AND pending_seq IS NOT NULL AND batch_id IS NULL
                 RETURNING pending_seq, pending_since_ms",
            )?
            .query_row((id, batch_id), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((seq, since)) = oldest else { return Ok(false) };
        let content = serde_json::to_string(&entry.row).expect("names, texts and numbers are JSON");
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO batch_row (batch_id, profile_id, content)
                 VALUES (?1, ?2, seal(?3, 'batch_row', ?2))",
            )?
            .execute((batch_id, id, content))?;
        self.connection
            .prepare_cached(
                "UPDATE attribute SET route = ?2
                 WHERE profile_id = ?1 AND version > max(delivered_version, refused_version)",
            )?
            .execute((id, entry.route.number()))?;
        self.connection
            .prepare_cached(
                "UPDATE batch SET row_count = row_count + 1, byte_count = byte_count + ?2,
                     oldest_since_ms = CASE WHEN oldest_seq < ?3 THEN oldest_since_ms ELSE ?4 END,
                     oldest_seq = min(coalesce(oldest_seq, ?3), ?3)
                 WHERE id = ?1",
            )?
            .execute((batch_id, i64::try_from(entry.bytes).unwrap_or(i64::MAX), seq, since))?;
        Ok(true)
    }

    /// Notes that a batch is about to be sent, within a transaction; `at` is on the quota's clock, `sent_at` on Target's.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn submitting_batch(
        &mut self,
        batch_id: i64,
        at: Timestamp,
        sent_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET state = 1, submitted_at_ms = ?2, sent_at_ms = ?3 WHERE id = ?1";
        self.set_batch(sql, (batch_id, at.as_millis(), sent_at.map(Timestamp::as_millis)))
    }

    /// Notes that a batch was not taken, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn unsubmitted_batch(&mut self, batch_id: i64) -> Result<(), StoreError> {
        self.set_batch("UPDATE batch SET state = 0, submitted_at_ms = NULL WHERE id = ?1", [batch_id])
    }

    /// Notes under which name Target took a batch, and with how many rows, within a transaction; `at` is on the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn submitted_batch(
        &mut self,
        batch_id: i64,
        (target_id, rows): (&str, usize),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET state = 2, target_id = ?2, submitted_at_ms = ?3, row_count = ?4
                   WHERE id = ?1 AND state = 1";
        self.set_batch(sql, (batch_id, target_id, at.as_millis(), i64::try_from(rows).unwrap_or(i64::MAX)))?;
        self.state_mut().totals.requests += 1;
        self.state_mut().totals.batches += 1;
        Ok(())
    }

    fn set_batch(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        let set = || self.connection.prepare_cached(sql)?.execute(parameters);
        set().map(|_| ()).map_err(StoreError::write)
    }

    /// Ends some rows of a batch, within a transaction: recording never waits long. `verify` says of each row that was
    /// delivered when it is read back, if it is.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn end_rows(
        &mut self,
        batch_id: i64,
        ending: &Ending,
        at: Timestamp,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> Result<SettledRows, StoreError> {
        self.end_part(batch_id, ending, at, verify).map_err(StoreError::write)
    }

    fn end_part(
        &mut self,
        batch_id: i64,
        ending: &Ending,
        at: Timestamp,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> rusqlite::Result<SettledRows> {
        self.happens(at);
        // What was ended is in the batch no longer, so that the next part begins where this one ends.
        let rows: Vec<(i64, Option<String>, String)> = self
            .connection
            .prepare_cached(
                "SELECT profile_id, open(key, 'profile', kind), open(content, 'batch_row', profile_id)
                 FROM batch_row LEFT JOIN profile ON id = profile_id
                 WHERE batch_row.batch_id = ?1 ORDER BY profile_id LIMIT ?2",
            )?
            .query_map((batch_id, i64::try_from(PART_ROWS).unwrap_or(i64::MAX)), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut settled = SettledRows { is_more: rows.len() == PART_ROWS, ..SettledRows::default() };
        for (profile_id, key, content) in rows {
            if let Some(key) = key {
                self.end_row(profile_id, &key, &parse(&content)?, ending, at, &mut settled, verify)?;
            }
            self.leave_batch(batch_id, profile_id)?;
        }
        if settled.delivered > 0 {
            self.state_mut().totals.last_delivered_at_ms = at.as_millis();
        }
        self.state_mut().totals.updates += settled.delivered;
        Ok(settled)
    }

    #[allow(clippy::too_many_arguments)]
    fn end_row(
        &mut self,
        profile_id: i64,
        key: &str,
        row: &[RowAttribute],
        ending: &Ending,
        at: Timestamp,
        settled: &mut SettledRows,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> rusqlite::Result<()> {
        match ending {
            Ending::Complete { failed, .. } if failed.contains(&short_hash(key)) => {
                settled.failed += 1;
                self.fail_row(profile_id, row, at)
            }
            Ending::Complete { is_uncertain: true, sent_at, read_back_at, .. } => {
                settled.failed += 1;
                self.lose_row(profile_id, row, (*sent_at, *read_back_at))?;
                self.fail_row(profile_id, row, at)
            }
            Ending::Complete { sent_at, read_back_at, .. } => {
                settled.delivered += 1;
                let lost_at = self.log_row(profile_id, row, (*sent_at, false))?;
                self.deliver_row(profile_id, row, at)?;
                // What was lost before may still come, over this.
                let may_come = lost_at.is_some_and(|lost_at| sent_at.since(lost_at) < LATE_MAX);
                let late = may_come.then_some((*read_back_at, ReadBack::Ambiguous));
                let due = late.or_else(|| verify().map(|due| (due, ReadBack::Sample)));
                due.map_or(Ok(()), |due| verification::schedule(&self.connection, profile_id, due))
            }
            Ending::Lost { sent_at, read_back_at } => self.lose_row(profile_id, row, (*sent_at, *read_back_at)),
            Ending::Refused(reason, detail) => self.refuse_row(profile_id, row, (*reason, detail), at),
            Ending::Released => Ok(()),
        }
    }

    /// Notes that nobody knows what became of a row: it is read back.
    fn lose_row(
        &self,
        profile_id: i64,
        row: &[RowAttribute],
        (sent_at, read_back_at): (Timestamp, Timestamp),
    ) -> rusqlite::Result<()> {
        self.log_row(profile_id, row, (sent_at, true))?;
        verification::schedule(&self.connection, profile_id, (read_back_at, ReadBack::Ambiguous))
    }

    /// Adds what was sent to the log of the profile, so that it is known again when it is read. Gives when the last value was
    /// sent whose answer was lost, by then.
    fn log_row(
        &self,
        profile_id: i64,
        row: &[RowAttribute],
        (at, is_lost): (Timestamp, bool),
    ) -> rusqlite::Result<Option<Timestamp>> {
        if row.iter().all(|attribute| attribute.3.is_none() && attribute.4.is_none()) {
            return Ok(None);
        }
        let mut log = sends::load(&self.connection, profile_id)?;
        let mut delivered = self
            .connection
            .prepare_cached("SELECT delivered_version FROM attribute WHERE profile_id = ?1 AND name = ?2")?;
        for RowAttribute(name, ..) in row.iter().filter(|attribute| attribute.3.is_some()) {
            let delivered: Option<i64> = delivered.query_row((profile_id, name), |row| row.get(0)).optional()?;
            log.lose_after(name, delivered.unwrap_or(0));
        }
        let lost_at = log.lost_at();
        for RowAttribute(name, value, version, own, seen_ms) in row {
            let seen_at = seen_ms.map(Timestamp::from_millis);
            match (own, seen_at) {
                (Some(own), _) => {
                    let (value, own, version) = (value.clone(), own.clone(), *version);
                    log.add(name, Sent { value, own, version, at, is_noted: true, seen_at, is_lost });
                }
                (None, Some(written_at)) if *version == 0 => log.carry(name, value, written_at, at),
                (None, _) => {}
            }
        }
        sends::write(&self.connection, profile_id, &log)?;
        Ok(lost_at)
    }

    fn deliver_row(&mut self, profile_id: i64, row: &[RowAttribute], at: Timestamp) -> rusqlite::Result<()> {
        let mut settled = 0;
        let mut deliver = self.connection.prepare_cached(
            "UPDATE attribute SET delivered_version = ?3, delivered_at_ms = ?4,
                 delivered_value = CASE WHEN version = ?3 THEN value
                     WHEN delivered_version < ?3 THEN seal(?5, 'attribute', ?1, ?2) ELSE delivered_value END
             WHERE profile_id = ?1 AND name = ?2 AND version >= ?3 AND delivered_version <= ?3
             RETURNING version = ?3 AND refused_version < ?3",
        )?;
        let mut was_pending = self.connection.prepare_cached(
            "SELECT version > max(delivered_version, refused_version) FROM attribute WHERE profile_id = ?1 AND name = ?2",
        )?;
        let ours = || row.iter().filter(|attribute| attribute.2 > 0);
        for RowAttribute(name, value, version, own, _) in ours() {
            let before: Option<bool> = was_pending.query_row((profile_id, name), |row| row.get(0)).optional()?;
            let own = own.as_ref().unwrap_or(value);
            let after: Option<bool> =
                deliver.query_row((profile_id, name, version, at.as_millis(), own), |row| row.get(0)).optional()?;
            settled += i64::from(before == Some(true) && after == Some(true));
        }
        drop((deliver, was_pending));
        self.connection
            .prepare_cached(
                "UPDATE profile SET existence = 1, existence_at_ms = ?2, batch_failures = 0, missing_since_ms = NULL
                 WHERE id = ?1",
            )?
            .execute((profile_id, at.as_millis()))?;
        let sent = i64::try_from(ours().count()).unwrap_or(0);
        let state = self.state_mut();
        state.pending_change.attributes -= settled;
        state.totals.attributes += sent;
        Ok(())
    }

    /// Counts a failure; after several the row is rejected.
    fn fail_row(&mut self, profile_id: i64, row: &[RowAttribute], at: Timestamp) -> rusqlite::Result<()> {
        let failures: i64 = self
            .connection
            .prepare_cached(
                "UPDATE profile SET batch_failures = batch_failures + 1 WHERE id = ?1 RETURNING batch_failures",
            )?
            .query_row([profile_id], |row| row.get(0))?;
        if failures < BATCH_ROW_FAILURES_MAX {
            return Ok(());
        }
        let detail = format!("its row failed in {failures} batches");
        self.refuse_row(profile_id, row, (Reason::BatchFailed, &detail), at)?;
        self.connection.prepare_cached("UPDATE profile SET batch_failures = 0 WHERE id = ?1")?.execute([profile_id])?;
        Ok(())
    }

    fn refuse_row(
        &mut self,
        profile_id: i64,
        row: &[RowAttribute],
        why: (Reason, &str),
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let mut sent = Vec::new();
        let mut is_pending = self.connection.prepare_cached(
            "SELECT ?3 > max(delivered_version, refused_version) FROM attribute WHERE profile_id = ?1 AND name = ?2",
        )?;
        for RowAttribute(name, _, version, ..) in row.iter().filter(|attribute| attribute.2 > 0) {
            let pending: Option<bool> =
                is_pending.query_row((profile_id, name, version), |row| row.get(0)).optional()?;
            if pending == Some(true) {
                sent.push((name.clone(), *version));
            }
        }
        drop(is_pending);
        let settled = self.refuse_versions(profile_id, &sent, why, at)?;
        self.state_mut().pending_change.attributes -= settled;
        Ok(())
    }

    fn leave_batch(&mut self, batch_id: i64, profile_id: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM batch_row WHERE batch_id = ?1 AND profile_id = ?2")?
            .execute((batch_id, profile_id))?;
        self.connection
            .prepare_cached("UPDATE profile SET batch_id = NULL WHERE id = ?1 AND batch_id = ?2")?
            .execute((profile_id, batch_id))?;
        let profiles = profiles::refresh_pending(&self.connection, profile_id)?;
        self.state_mut().pending_change.profiles += profiles;
        Ok(())
    }

    /// Notes that a batch is at its end, within a transaction, and forgets those that ended before `keep_since`. Both are times
    /// of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn end_batch(
        &mut self,
        batch_id: i64,
        state: BatchState,
        at: Timestamp,
        keep_since: Timestamp,
    ) -> Result<(), StoreError> {
        // A profile that points to a batch that is gone would never be claimed again.
        self.set_batch("UPDATE profile SET batch_id = NULL WHERE batch_id = ?1", [batch_id])?;
        self.set_batch(
            "UPDATE batch SET state = ?2, ended_at_ms = ?3 WHERE id = ?1",
            (batch_id, state.number(), at.as_millis()),
        )?;
        self.set_batch(
            "DELETE FROM batch WHERE state >= 3 AND ended_at_ms < ?1 AND coalesce(submitted_at_ms, 0) < ?1",
            [keep_since.as_millis()],
        )
    }
}
