//! Used and reserved parts of the rolling quotas.

use std::collections::BTreeMap;

use super::StoreError;
use super::opening::Store;
use super::transaction::Transaction;
use crate::core::forwarding::quota::{Quota, QuotaTime};
use crate::core::timestamp::Timestamp;

impl Store {
    /// Returns the requests to Target in the last 24 hours, with the given limit, and the quota's clock when the
    /// system's shows `wall`. Requests reserved before a crash count as made now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn quota(&mut self, updates_per_day: u64, wall: Timestamp) -> Result<(Quota, QuotaTime), StoreError> {
        let time = self.committed.totals.quota_time(wall);
        if self.committed.totals.quota_reserved > 0 {
            self.transact(|transaction| {
                transaction.count_reserved(time);
                Ok(())
            })?;
        }
        Ok((Quota::new(updates_per_day, self.uses("quota", time.at)?), time))
    }

    /// Returns the calls of the Fetch API in the last 24 hours, with the given limit.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn read_quota(&self, reads_per_day: u64, now: Timestamp) -> Result<Quota, StoreError> {
        Ok(Quota::new(reads_per_day, self.uses("read_quota", now)?))
    }

    fn uses(&self, table: &str, now: Timestamp) -> Result<Vec<(i64, u64)>, StoreError> {
        let uses = || {
            let sql = format!("SELECT minute, requests FROM {table} WHERE minute >= ?1 ORDER BY minute");
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map([Quota::oldest_minute(now)], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        uses().map_err(StoreError::Read)
    }

    /// Returns the quota as [`Self::quota`] does, of a store that is in use, at a time of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn quota_now(&self, updates_per_day: u64, now: Timestamp) -> Result<Quota, StoreError> {
        Ok(Quota::new(updates_per_day, self.uses("quota", now)?))
    }
}

impl Transaction<'_> {
    /// Counts reserved requests as made now, within a transaction, because the process that reserved them has ended.
    pub fn count_reserved(&mut self, time: QuotaTime) {
        let reserved = self.numbers.totals.quota_reserved;
        if reserved > 0 {
            self.spend(reserved, time);
            self.reserve(-reserved);
        }
    }

    /// Reserves room for future requests, or returns it if negative, within a transaction.
    pub fn reserve(&mut self, requests: i64) {
        let reserved = &mut self.numbers.totals.quota_reserved;
        *reserved = reserved.saturating_add(requests).max(0);
    }

    /// Counts requests that were made.
    pub(super) fn spend(&mut self, requests: i64, time: QuotaTime) {
        if requests <= 0 {
            return;
        }
        *self.numbers.uses.updates.entry(Quota::minute(time.at)).or_default() += requests;
        self.numbers.totals.quota_clock_ms = time.at.as_millis();
        self.numbers.totals.quota_wall_ms = time.wall.as_millis();
    }

    /// Counts calls of the Fetch API that were made.
    pub fn spend_reads(&mut self, reads: i64, time: QuotaTime) {
        if reads <= 0 {
            return;
        }
        self.numbers.totals.reads += reads;
        *self.numbers.uses.reads.entry(Quota::minute(time.at)).or_default() += reads;
        self.numbers.totals.quota_clock_ms = time.at.as_millis();
        self.numbers.totals.quota_wall_ms = time.wall.as_millis();
    }

    /// Saves the uses of the transaction.
    pub(super) fn save_uses(&self) -> rusqlite::Result<()> {
        save(self, "quota", &self.numbers.uses.updates)?;
        save(self, "read_quota", &self.numbers.uses.reads)
    }
}

/// Saves uses within a rolling day, and deletes those that no longer count.
fn save(transaction: &Transaction<'_>, table: &str, spent: &BTreeMap<i64, i64>) -> rusqlite::Result<()> {
    for (minute, requests) in spent {
        let mut statement = transaction.connection.prepare_cached(&format!(
            "INSERT INTO {table} (minute, requests) VALUES (?1, ?2)
             ON CONFLICT (minute) DO UPDATE SET requests = requests + excluded.requests"
        ))?;
        statement.execute((minute, requests))?;
    }
    if let Some((minute, _)) = spent.first_key_value() {
        let oldest = minute - Quota::MINUTES;
        transaction.connection.prepare_cached(&format!("DELETE FROM {table} WHERE minute < ?1"))?.execute([oldest])?;
    }
    Ok(())
}
