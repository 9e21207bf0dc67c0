//! Filling batches with profiles, and recording the state of a batch.

use rusqlite::OptionalExtension;

use super::batches::{BatchEntry, BatchState};
use super::stored::{Stored, pending};
use super::transaction::Transaction;
use super::{StoreError, place, profiles, readings, sends, settle};
use crate::core::forwarding::quota::QuotaTime;
use crate::core::identity::IdentityKind;
use crate::core::timestamp::Timestamp;

impl Transaction<'_> {
    /// Starts a batch, within a transaction, and returns its number.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn begin_batch(&mut self, kind: IdentityKind, api: i64) -> Result<i64, StoreError> {
        let begin = || {
            self.connection.prepare_cached("INSERT INTO batch (kind, api, state) VALUES (?1, ?2, ?3)")?.insert((
                kind.stored(),
                api,
                BatchState::Filling.stored(),
            ))
        };
        begin().map_err(StoreError::write)
    }

    /// Adds profiles to a batch, within a transaction, and returns how many were added. Profiles that were erased
    /// meanwhile, or have nothing to send any more, are left out.
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
        // A single row may always be added: so updates in a store over its bound are delivered too.
        if entries.len() > 1 || self.has_rows_beside(entries.len())? {
            self.check_room_for_rows()?;
        }
        let reads = entries.iter().map(|entry| entry.reads).sum::<i64>();
        if reads > 0 {
            self.spend_reads(reads, quota_time);
        }
        Ok(filled)
    }

    /// Returns true if batches have more than `count` rows.
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
        readings::write(self, id, &entry.readings, at)?;
        if let Some(log) = &entry.log {
            sends::write(self, id, log)?;
        }
        if let Some(existence) = entry.learned {
            profiles::learn(self, id, existence, at)?;
        }
        let superseded = settle::supersede(self, id, &entry.readings)?;
        if superseded > 0 {
            self.numbers.pending_change.attributes -= superseded;
            self.numbers.totals.superseded += superseded;
            place::refresh_pending(self, id)?;
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
            .prepare_cached(concat!(
                "UPDATE attribute SET route = ?2
                 WHERE profile_id = ?1 AND ",
                pending!()
            ))?
            .execute((id, entry.route.stored()))?;
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

    /// Records that a batch is about to be sent, within a transaction. `at` is on the quota's clock, `sent_at` on
    /// Target's.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn submitting_batch(
        &mut self,
        batch_id: i64,
        at: Timestamp,
        sent_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET state = ?4, submitted_at_ms = ?2, sent_at_ms = ?3 WHERE id = ?1";
        self.set_batch(
            sql,
            (batch_id, at.as_millis(), sent_at.map(Timestamp::as_millis), BatchState::Submitting.stored()),
        )
    }

    /// Records that a batch was not accepted, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn unsubmitted_batch(&mut self, batch_id: i64) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET state = ?2, submitted_at_ms = NULL WHERE id = ?1";
        self.set_batch(sql, (batch_id, BatchState::Filling.stored()))
    }

    /// Records Target's id for a batch that it accepted, and the number of rows, within a transaction. `at` is on the
    /// quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn submitted_batch(
        &mut self,
        batch_id: i64,
        (target_id, rows): (&str, usize),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE batch SET state = ?5, target_id = ?2, submitted_at_ms = ?3, row_count = ?4
                   WHERE id = ?1 AND state = ?6";
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let (before, after) = (BatchState::Submitting.stored(), BatchState::Submitted.stored());
        self.set_batch(sql, (batch_id, target_id, at.as_millis(), rows, after, before))?;
        self.numbers.totals.requests += 1;
        self.numbers.totals.batches += 1;
        Ok(())
    }

    fn set_batch(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        let set = || self.connection.prepare_cached(sql)?.execute(parameters);
        set().map(|_| ()).map_err(StoreError::write)
    }

    /// Records the end of a batch, within a transaction, and deletes the batches that ended before `keep_since`. Both
    /// times are on the quota's clock.
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
        // A profile that points to a deleted batch would never be claimed again.
        self.set_batch("UPDATE profile SET batch_id = NULL WHERE batch_id = ?1", [batch_id])?;
        self.set_batch(
            "UPDATE batch SET state = ?2, ended_at_ms = ?3 WHERE id = ?1",
            (batch_id, state.stored(), at.as_millis()),
        )?;
        self.set_batch(
            "DELETE FROM batch WHERE state >= ?2 AND ended_at_ms < ?1 AND coalesce(submitted_at_ms, 0) < ?1",
            (keep_since.as_millis(), BatchState::Complete.stored()),
        )
    }
}
