//! Purging the journal: events that were settled, in small parts, so that recording never waits long.
//!
//! What is pending or rejected is never purged. The keys of purged events stay, so that they are known as duplicates,
//! until room is needed for something else.

use rusqlite::Connection;

use super::StoreError;
use super::journal::Store;
use crate::timestamp::Timestamp;

/// Events that one transaction looks at. Limits: some milliseconds.
const PART_EVENTS: i64 = 500;

/// Keys that one transaction removes.
const PART_KEYS: i64 = 4_000;

/// One step of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeStep {
    /// Events that were purged.
    pub purged: usize,
    /// Where to go on; none at the end.
    pub next: Option<i64>,
}

impl Store {
    /// Notes up to where all is settled now, within a transaction, and gives the number of the event up to which all
    /// was settled at `settled_before`: older ones may be purged.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn mark_settled(&mut self, now: Timestamp, settled_before: Timestamp) -> Result<i64, StoreError> {
        self.mark(now, settled_before).map_err(StoreError::write)
    }

    fn mark(&self, now: Timestamp, settled_before: Timestamp) -> rusqlite::Result<i64> {
        let oldest_pending: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT min(seq) FROM (
                     SELECT min(pending_seq) AS seq FROM profile
                     WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL
                     UNION ALL SELECT min(pending_seq) FROM profile WHERE look_at_ms IS NOT NULL
                     UNION ALL SELECT min(oldest_seq) FROM batch WHERE state < 3)",
            )?
            .query_row([], |row| row.get(0))?;
        // After the newest event when nothing is pending.
        let settled = oldest_pending.unwrap_or_else(|| self.next_seq());
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO settled_mark (at_ms, seq)
                 SELECT ?1, ?2 WHERE ?2 > (SELECT coalesce(max(seq), 0) FROM settled_mark)",
            )?
            .execute((now.as_millis(), settled))?;
        let before: i64 = self
            .connection
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM settled_mark WHERE at_ms <= ?1")?
            .query_row([settled_before.as_millis()], |row| row.get(0))?;
        self.connection.prepare_cached("DELETE FROM settled_mark WHERE seq < ?1")?.execute([before])?;
        Ok(before)
    }

    /// Purges the settled events among the next few after the number `after` and before `before`, within a transaction.
    /// The newest event stays: numbers are counted from it.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn purge_events(&mut self, after: i64, before: i64) -> Result<PurgeStep, StoreError> {
        let before = before.min(self.next_seq() - 1);
        purge_events(&self.connection, after, before).map_err(StoreError::write)
    }

    /// Forgets some of the oldest keys of events that are no longer in the journal, within a transaction. False when
    /// there are none.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn purge_keys(&mut self) -> Result<bool, StoreError> {
        let oldest: Result<Option<i64>, _> =
            self.connection.query_row("SELECT min(seq) FROM journal", [], |row| row.get(0));
        let oldest = oldest.map_err(StoreError::Read)?.unwrap_or_else(|| self.next_seq());
        self.forget_keys(oldest, PART_KEYS).map_err(StoreError::write)
    }
}

fn purge_events(connection: &Connection, after: i64, before: i64) -> rusqlite::Result<PurgeStep> {
    let last: Option<i64> = connection
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM journal WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)",
        )?
        .query_row((after, before, PART_EVENTS), |row| row.get(0))?;
    let Some(last) = last else { return Ok(PurgeStep { purged: 0, next: None }) };
    let purged = connection
        .prepare_cached(
            "DELETE FROM journal WHERE seq > ?1 AND seq <= ?2
                 AND NOT EXISTS (SELECT 1 FROM rejected WHERE rejected.seq = journal.seq)
                 AND NOT EXISTS (SELECT 1 FROM profile WHERE id = journal.profile_id AND pending_seq <= journal.seq)
                 AND NOT EXISTS (
                     SELECT 1 FROM journal_profile more JOIN profile ON id = more.profile_id
                     WHERE more.seq = journal.seq AND pending_seq <= journal.seq)",
        )?
        .execute((after, last))?;
    connection
        .prepare_cached(
            "DELETE FROM journal_profile WHERE seq > ?1 AND seq <= ?2
                 AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.seq = journal_profile.seq)",
        )?
        .execute((after, last))?;
    Ok(PurgeStep { purged, next: Some(last) })
}
