//! Purging: removes settled events, and profiles that Target has, in small parts, so that recording never waits long.
//!
//! Pending and rejected data is never purged. The keys of purged events stay, so that duplicates are recognised, until
//! their room is needed. Profiles are removed last, and only for room: removing a profile loses what a total needs to
//! continue exactly, unless it is read from Target before it is sent.

use super::StoreError;
use super::batches::BatchState;
use super::stored::{Stored, pending};
use super::transaction::Transaction;
use crate::core::operation::Operation;
use crate::core::timestamp::Timestamp;

/// Events examined by one transaction. Limits: takes some milliseconds.
const PART_EVENTS: i64 = 500;

/// Keys removed by one transaction.
const PART_KEYS: i64 = 4_000;

/// Profiles examined by one transaction. Limits: takes some milliseconds.
const PART_PROFILES: i64 = 300;

/// The state of a purge of profiles, and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct ProfilePurge {
    /// Number of the last profile that was examined.
    pub after: i64,
    /// Profiles last touched before this time are removed now.
    pub before: Timestamp,
    /// Profiles last touched after this time are never removed.
    pub until: Timestamp,
}

/// The result of one step of purging profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfilePurgeStep {
    /// Profiles removed.
    pub purged: usize,
    /// The place to continue from; `None` at the end.
    pub next: Option<i64>,
    /// Earliest time of last touch among the profiles that stay now but may be removed later.
    pub oldest_left: Option<Timestamp>,
}

/// The result of one step of purging events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeStep {
    /// Events removed.
    pub purged: usize,
    /// The place to continue from; `None` at the end.
    pub next: Option<i64>,
}

impl Transaction<'_> {
    /// Records up to which event everything is settled at `now`, within a transaction. Returns the number of the event
    /// up to which everything was settled at `settled_before`: older ones may be purged.
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
                     UNION ALL SELECT min(oldest_seq) FROM batch WHERE state < ?1)",
            )?
            .query_row([BatchState::Complete.stored()], |row| row.get(0))?;
        // After the newest event if nothing is pending.
        let settled = oldest_pending.unwrap_or_else(|| self.numbers.next_seq());
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

    /// Purges the settled events among the next few after number `after` and before `before`, within a transaction. The
    /// newest event stays, because numbers continue from it.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn purge_events(&mut self, after: i64, before: i64) -> Result<PurgeStep, StoreError> {
        let before = before.min(self.numbers.next_seq() - 1);
        purge_events(self, after, before).map_err(StoreError::write)
    }

    /// Forgets some of the oldest keys of events that are no longer in the journal, within a transaction. Returns false
    /// if there are none.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn purge_keys(&mut self) -> Result<bool, StoreError> {
        let oldest: Result<Option<i64>, _> =
            self.connection.query_row("SELECT min(seq) FROM journal", [], |row| row.get(0));
        let oldest = oldest.map_err(StoreError::Read)?.unwrap_or_else(|| self.numbers.next_seq());
        self.forget_keys(oldest, PART_KEYS).map_err(StoreError::write)
    }

    /// Purges those of the next few profiles that Target has and that were not touched for long, and readings and send
    /// logs that belong to no profile, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn purge_profiles(&mut self, purge: ProfilePurge) -> Result<ProfilePurgeStep, StoreError> {
        let shares = self.limits.shares_profiles;
        let step = purge_profiles(self, purge, shares).map_err(StoreError::write)?;
        self.numbers.totals.profiles_purged += i64::try_from(step.purged).unwrap_or(0);
        Ok(step)
    }
}

/// Selects the profiles from `?1` to `?2` that may be removed, with the time of the last touch. `?3`: totals are read
/// from Target before they are sent; `?4`: the operation `set`. The newest profile stays, because numbers continue from
/// it and none is reused.
///
/// An attribute that was delivered without a route was delivered by a program of the first schema, which recorded no
/// operation: it may be a total.
const PURGEABLE: &str = concat!(
    "SELECT id, max(coalesce(existence_at_ms, 0), coalesce((
         SELECT max(max(changed_at_ms, coalesce(delivered_at_ms, 0))) FROM attribute WHERE profile_id = id), 0)
     ) AS touched_ms
     FROM profile
     WHERE id > ?1 AND id <= ?2 AND id < (SELECT max(id) FROM profile)
         AND pending_seq IS NULL AND batch_id IS NULL AND look_at_ms IS NULL
         AND id NOT IN (SELECT profile_id FROM rejected WHERE profile_id IS NOT NULL)
         AND NOT EXISTS (SELECT 1 FROM verification WHERE verification.profile_id = profile.id)
         AND NOT EXISTS (
             SELECT 1 FROM attribute
             WHERE attribute.profile_id = profile.id AND (",
    pending!(),
    "            OR (is_own = 1 OR NOT ?3) AND (operation <> ?4 OR route IS NULL AND delivered_version > 0)))
     ORDER BY id"
);

fn purge_profiles(
    transaction: &Transaction<'_>,
    purge: ProfilePurge,
    shares: bool,
) -> rusqlite::Result<ProfilePurgeStep> {
    let ProfilePurge { after, before, until } = purge;
    let next: Option<i64> = transaction
        .connection
        .prepare_cached("SELECT max(id) FROM (SELECT id FROM profile WHERE id > ?1 ORDER BY id LIMIT ?2)")?
        .query_row((after, PART_PROFILES), |row| row.get(0))?;
    let last = next.unwrap_or(i64::MAX);
    let mut step = ProfilePurgeStep { purged: 0, next, oldest_left: None };
    let touched: Vec<(i64, i64)> = transaction
        .connection
        .prepare_cached(PURGEABLE)?
        .query_map((after, last, shares, Operation::Set.stored()), |row| Ok((row.get("id")?, row.get("touched_ms")?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, touched_ms) in touched {
        let touched = Timestamp::from_millis(touched_ms);
        if touched < before && touched < until {
            transaction.connection.prepare_cached("DELETE FROM attribute WHERE profile_id = ?1")?.execute([id])?;
            transaction.connection.prepare_cached("DELETE FROM profile WHERE id = ?1")?.execute([id])?;
            step.purged += 1;
        } else if touched < until {
            step.oldest_left = Some(step.oldest_left.map_or(touched, |oldest| oldest.min(touched)));
        }
    }
    for table in ["reading", "sends", "retried", "part"] {
        let sql = format!(
            "DELETE FROM {table} WHERE profile_id > ?1 AND profile_id <= ?2
                 AND NOT EXISTS (SELECT 1 FROM profile WHERE id = {table}.profile_id)"
        );
        transaction.connection.prepare_cached(&sql)?.execute((after, last))?;
    }
    Ok(step)
}

fn purge_events(transaction: &Transaction<'_>, after: i64, before: i64) -> rusqlite::Result<PurgeStep> {
    let last: Option<i64> = transaction
        .connection
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM journal WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)",
        )?
        .query_row((after, before, PART_EVENTS), |row| row.get(0))?;
    let Some(last) = last else { return Ok(PurgeStep { purged: 0, next: None }) };
    let purged = transaction
        .connection
        .prepare_cached(
            "DELETE FROM journal WHERE seq > ?1 AND seq <= ?2
                 AND NOT EXISTS (SELECT 1 FROM rejected WHERE rejected.seq = journal.seq)
                 AND NOT EXISTS (SELECT 1 FROM profile WHERE id = journal.profile_id AND pending_seq <= journal.seq)
                 AND NOT EXISTS (
                     SELECT 1 FROM journal_profile more JOIN profile ON id = more.profile_id
                     WHERE more.seq = journal.seq AND pending_seq <= journal.seq)",
        )?
        .execute((after, last))?;
    transaction
        .connection
        .prepare_cached(
            "DELETE FROM journal_profile WHERE seq > ?1 AND seq <= ?2
                 AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.seq = journal_profile.seq)",
        )?
        .execute((after, last))?;
    Ok(PurgeStep { purged, next: Some(last) })
}
