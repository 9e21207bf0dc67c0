//! Batches: filling them with profiles, what their rows hold, and what came of them.
//!
//! What is in a batch is frozen: the version of each attribute, and its value even when it changes meanwhile. So the file can
//! be read from the store piece by piece, and again after a crash. Every step is a small transaction.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::{Connection, Row};

use super::journal::Store;
use super::{Reader, StoreError, profiles};
use crate::identity::IdentityKind;
use crate::limits::BATCH_ROW_FAILURES_MAX;
use crate::reason::Reason;
use crate::timestamp::Timestamp;

/// Rows that one transaction or one query goes through. Limits: some milliseconds.
pub const PART_ROWS: usize = 500;

/// How a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Profiles are put in.
    Filling,
    /// It is complete, and is sent; after a crash nobody knows whether it was.
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
    /// When it ended, on the quota's clock.
    pub ended_at: Option<Timestamp>,
}

/// One row of a batch: whose, and names with values.
pub struct BatchRow {
    /// The profile's number in the store.
    pub profile_id: i64,
    /// The key.
    pub key: String,
    /// Its attributes, in no order.
    pub attributes: Vec<(String, String)>,
}

/// What came of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledRows {
    /// Where to go on; none at the end.
    pub next: Option<i64>,
    /// Rows that Target took.
    pub delivered: i64,
    /// Rows that failed.
    pub failed: i64,
}

/// How a key that failed is remembered: in 64 bits, as there may be many.
#[must_use]
pub fn key_hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The batches that are not at their end, and the last `ended` of the others, newest first.
pub(super) fn heads(connection: &Connection, ended: usize) -> rusqlite::Result<Vec<BatchHead>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, api, state, row_count, byte_count, target_id, submitted_at_ms, ended_at_ms FROM batch
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
    })
}

/// Rows of batches that were submitted after that time of the quota's clock.
pub(super) fn rows_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<u64> {
    let rows: i64 = connection
        .prepare_cached("SELECT coalesce(sum(row_count), 0) FROM batch WHERE submitted_at_ms > ?1")?
        .query_row([since.as_millis()], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

impl Reader {
    /// The batches that are not at their end, and the last `ended` of the others, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batches(&self, ended: usize) -> Result<Vec<BatchHead>, StoreError> {
        heads(&self.connection, ended).map_err(StoreError::Read)
    }

    /// The names in the first line of a batch, in order.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_names(&self, batch_id: i64) -> Result<Vec<String>, StoreError> {
        let names = || {
            let mut statement =
                self.connection.prepare_cached("SELECT name FROM batch_name WHERE batch_id = ?1 ORDER BY name")?;
            let names = statement.query_map([batch_id], |row| row.get(0))?;
            names.collect::<rusqlite::Result<_>>()
        };
        names().map_err(StoreError::Read)
    }

    /// Some rows of a batch, after that profile: none at its end.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows(&self, batch_id: i64, after: i64) -> Result<Vec<BatchRow>, StoreError> {
        let rows = || {
            let snapshot = self.connection.unchecked_transaction()?;
            let mut statement = snapshot
                .prepare_cached(
                    "SELECT id, open(key, 'profile', kind) FROM profile WHERE batch_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                )?;
            let part = i64::try_from(PART_ROWS).unwrap_or(i64::MAX);
            let rows = statement.query_map((batch_id, after, part), |row| Ok((row.get(0)?, row.get(1)?)))?;
            let rows = rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
            let full = |(profile_id, key): (i64, String)| {
                Ok(BatchRow { profile_id, key, attributes: row_attributes(&snapshot, profile_id)? })
            };
            rows.into_iter().map(full).collect::<rusqlite::Result<_>>()
        };
        rows().map_err(StoreError::Read)
    }
}

/// What the row of a profile holds: our own attributes as they were frozen, with what others had merged in, and what was read
/// of other attributes, since a batch takes the place of the one before it.
pub(super) fn row_attributes(connection: &Connection, profile_id: i64) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT a.name, open(CASE WHEN r.sent_version = a.batched_version AND r.sent_value IS NOT NULL THEN r.sent_value
                                  WHEN a.version = a.batched_version THEN a.value
                                  ELSE a.batched_value END, 'attribute', a.profile_id, a.name)
         FROM attribute a LEFT JOIN reading r ON r.profile_id = a.profile_id AND r.name = a.name
         WHERE a.profile_id = ?1 AND a.batched_version > 0
         UNION ALL
         SELECT name, open(read_value, 'attribute', profile_id, name) FROM reading
         WHERE profile_id = ?1 AND decision IN (2, 3) AND read_value <> '' AND NOT EXISTS (
             SELECT 1 FROM attribute a
             WHERE a.profile_id = ?1 AND a.name = reading.name AND a.batched_version > 0)",
    )?;
    let rows = statement.query_map([profile_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

impl Store {
    /// The batches that are not at their end, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn open_batches(&self) -> Result<Vec<BatchHead>, StoreError> {
        heads(&self.connection, 0).map_err(StoreError::Read)
    }

    /// Rows of batches that were submitted after that time of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        rows_since(&self.connection, since).map_err(StoreError::Read)
    }

    /// One batch, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch(&self, id: i64) -> Result<Option<BatchHead>, StoreError> {
        Ok(self.open_batches()?.into_iter().find(|head| head.id == id))
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

    /// Notes that a batch is about to be submitted, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn submitting_batch(&mut self, batch_id: i64) -> Result<(), StoreError> {
        self.set_batch("UPDATE batch SET state = 1 WHERE id = ?1", [batch_id])
    }

    /// Notes under which name Target took a batch, within a transaction; `at` is the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn submitted_batch(&mut self, batch_id: i64, target_id: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET state = 2, target_id = ?2, submitted_at_ms = ?3 WHERE id = ?1";
        self.set_batch(sql, (batch_id, target_id, at.as_millis()))?;
        self.state_mut().totals.requests += 1;
        self.state_mut().totals.batches += 1;
        Ok(())
    }

    fn set_batch(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        let set = || self.connection.prepare_cached(sql)?.execute(parameters);
        set().map(|_| ()).map_err(StoreError::write)
    }

    /// Settles some rows of a batch that Target is done with, within a transaction; `failed` are the hashes of the keys whose
    /// rows failed.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn settle_rows(
        &mut self,
        batch: &BatchHead,
        failed: &HashSet<u64>,
        at: Timestamp,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> Result<SettledRows, StoreError> {
        self.settle_part(
            batch,
            at,
            |key| if failed.contains(&key_hash(key)) { Fate::Failed } else { Fate::Done },
            verify,
        )
        .map_err(StoreError::write)
    }

    /// Counts a failure for some rows of a batch that was refused as a whole, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn fail_rows(&mut self, batch: &BatchHead, at: Timestamp) -> Result<SettledRows, StoreError> {
        self.settle_part(batch, at, |_| Fate::Failed, &mut || None).map_err(StoreError::write)
    }

    /// Makes some rows of a batch that was given up pending again, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn release_rows(&mut self, batch: &BatchHead, at: Timestamp) -> Result<SettledRows, StoreError> {
        self.settle_part(batch, at, |_| Fate::Released, &mut || None).map_err(StoreError::write)
    }

    fn settle_part(
        &mut self,
        batch: &BatchHead,
        at: Timestamp,
        fate: impl Fn(&str) -> Fate,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> rusqlite::Result<SettledRows> {
        self.happens(at);
        // What was settled is in the batch no longer, so that the next part begins where this one ends.
        let rows: Vec<(i64, String)> = self
            .connection
            .prepare_cached(
                "SELECT id, open(key, 'profile', kind) FROM profile WHERE batch_id = ?1 ORDER BY id LIMIT ?2",
            )?
            .query_map((batch.id, i64::try_from(PART_ROWS).unwrap_or(i64::MAX)), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut settled = SettledRows { next: rows.last().map(|(id, _)| *id), ..SettledRows::default() };
        for (profile_id, key) in rows {
            match fate(&key) {
                Fate::Done => {
                    settled.delivered += 1;
                    self.deliver_row(profile_id, at)?;
                    if let Some(due) = verify() {
                        super::verification::schedule(&self.connection, profile_id, due)?;
                    }
                }
                Fate::Failed => {
                    settled.failed += 1;
                    self.fail_row(profile_id, at)?;
                }
                Fate::Released => {}
            }
            self.leave_batch(profile_id)?;
        }
        if settled.delivered > 0 {
            self.state_mut().totals.last_delivered_at_ms = at.as_millis();
        }
        self.state_mut().totals.updates += settled.delivered;
        Ok(settled)
    }

    fn deliver_row(&mut self, profile_id: i64, at: Timestamp) -> rusqlite::Result<()> {
        let (settled, sent): (i64, i64) = self
            .connection
            .prepare_cached(
                "SELECT coalesce(sum(version = batched_version AND version > max(delivered_version, refused_version)), 0),
                        count(*)
                 FROM attribute WHERE profile_id = ?1 AND batched_version > 0",
            )?
            .query_row([profile_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.connection
            .prepare_cached(
                "UPDATE attribute SET delivered_version = batched_version, delivered_at_ms = ?2,
                     delivered_value = CASE WHEN version = batched_version THEN value ELSE batched_value END
                 WHERE profile_id = ?1 AND batched_version > 0 AND batched_version >= delivered_version",
            )?
            .execute((profile_id, at.as_millis()))?;
        self.connection
            .prepare_cached("UPDATE profile SET existence = 1, existence_at_ms = ?2, batch_failures = 0 WHERE id = ?1")?
            .execute((profile_id, at.as_millis()))?;
        let state = self.state_mut();
        state.pending_change.attributes -= settled;
        state.totals.attributes += sent;
        Ok(())
    }

    /// Counts a failure; after several the row is rejected.
    fn fail_row(&mut self, profile_id: i64, at: Timestamp) -> rusqlite::Result<()> {
        let failures: i64 = self
            .connection
            .prepare_cached(
                "UPDATE profile SET batch_failures = batch_failures + 1 WHERE id = ?1 RETURNING batch_failures",
            )?
            .query_row([profile_id], |row| row.get(0))?;
        if failures < BATCH_ROW_FAILURES_MAX {
            return Ok(());
        }
        let sent: Vec<(String, i64)> = self
            .connection
            .prepare_cached(
                "SELECT name, batched_version FROM attribute
                 WHERE profile_id = ?1 AND batched_version > max(delivered_version, refused_version)",
            )?
            .query_map([profile_id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let detail = format!("its row failed in {failures} batches");
        let settled = self.refuse_versions(profile_id, &sent, (Reason::BatchFailed, &detail), at)?;
        self.state_mut().pending_change.attributes -= settled;
        self.connection.prepare_cached("UPDATE profile SET batch_failures = 0 WHERE id = ?1")?.execute([profile_id])?;
        Ok(())
    }

    fn leave_batch(&mut self, profile_id: i64) -> rusqlite::Result<()> {
        let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([profile_id]);
        run(
            "UPDATE attribute SET batched_version = 0, batched_value = NULL WHERE profile_id = ?1 AND batched_version > 0",
        )?;
        run("DELETE FROM reading WHERE profile_id = ?1 AND decision = 3")?;
        run("UPDATE profile SET batch_id = NULL WHERE id = ?1")?;
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
        self.set_batch(
            "UPDATE batch SET state = ?2, ended_at_ms = ?3 WHERE id = ?1",
            (batch_id, state.number(), at.as_millis()),
        )?;
        self.set_batch("DELETE FROM batch_name WHERE batch_id = ?1", [batch_id])?;
        self.set_batch(
            "DELETE FROM batch WHERE state >= 3 AND ended_at_ms < ?1 AND coalesce(submitted_at_ms, 0) < ?1",
            [keep_since.as_millis()],
        )
    }
}

#[derive(Clone, Copy)]
enum Fate {
    Done,
    Failed,
    Released,
}
