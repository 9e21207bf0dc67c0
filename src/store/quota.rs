//! What was used of the rolling quotas, and what is reserved of them.

use std::collections::BTreeMap;

use super::StoreError;
use super::opening::Store;
use super::transaction::Transaction;
use crate::core::forwarding::quota::{Quota, QuotaTime};
use crate::core::timestamp::Timestamp;

impl Store {
    /// Requests to Target of the last 24 hours, with the limit handed in, and the quota's clock, when the system's says
    /// `wall`. What was reserved before a crash is counted as made now.
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

    /// As [`Self::quota`], of calls of the Fetch API.
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

    /// As [`Self::quota`], of a store that is being written, at that time of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn quota_now(&self, updates_per_day: u64, now: Timestamp) -> Result<Quota, StoreError> {
        Ok(Quota::new(updates_per_day, self.uses("quota", now)?))
    }
}

impl Transaction<'_> {
    /// Counts what was reserved as made now, within a transaction: whoever had reserved it has ended.
    pub fn count_reserved(&mut self, time: QuotaTime) {
        let reserved = self.numbers.totals.quota_reserved;
        if reserved > 0 {
            self.spend(reserved, time);
            self.reserve(-reserved);
        }
    }

    /// Reserves room for requests that will be made, or gives it back, within a transaction.
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

    /// Writes down what the transaction used.
    pub(super) fn save_uses(&self) -> rusqlite::Result<()> {
        save(self, "quota", &self.numbers.uses.updates)?;
        save(self, "read_quota", &self.numbers.uses.reads)
    }
}

/// Writes down uses of a rolling day, and forgets those that no longer count.
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
