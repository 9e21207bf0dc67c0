//! Transactions: changes to the file, and to the numbers in memory that follow it.
//!
//! Everything that writes needs a [`Transaction`]. It works on its own copy of the numbers, so that dropping it leaves
//! both the store's numbers and the file unchanged.

use std::ops::Deref;

use super::counters::Numbers;
use super::opening::{Store, StoreLimits};
use super::{StoreError, schema};
use crate::core::timestamp::Timestamp;

/// A transaction of the store. It can read everything that the store can; dropped without [`Self::commit`], it changes
/// nothing.
pub struct Transaction<'s> {
    pub(super) store: &'s mut Store,
    /// Numbers as they will be after the commit.
    pub(super) numbers: Numbers,
    limits_before: StoreLimits,
}

impl Deref for Transaction<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

impl Store {
    /// Starts a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`].
    pub fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        let (numbers, limits_before) = (self.committed.clone(), self.limits);
        Ok(Transaction { store: self, numbers, limits_before })
    }

    /// Runs a closure within its own transaction, and commits it durably.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn transact<T>(
        &mut self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.begin()?;
        let done = act(&mut transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Runs a closure as [`Self::transact`] does, with a commit that is not synced: it survives the end of the process,
    /// but perhaps not a power cut.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed, unless the failure was switching syncing back on.
    pub(super) fn transact_unsynced<T>(
        &mut self,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // SQLite accepts this only between transactions. Not "off", with which the log could reach the database before
        // it is on the disk.
        self.set_synchronous("normal")?;
        let done = self.transact(act);
        let synced = self.set_synchronous("full");
        done.and_then(|done| synced.map(|()| done))
    }

    fn set_synchronous(&self, level: &str) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "synchronous", level).map_err(StoreError::write)
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql).and_then(|mut it| it.execute([])).map(|_| ()).map_err(StoreError::write)
    }
}

impl Transaction<'_> {
    /// Commits the transaction durably.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then nothing was changed.
    pub fn commit(mut self) -> Result<(), StoreError> {
        self.save_numbers().map_err(StoreError::write)?;
        self.execute("COMMIT")?;
        self.numbers.uses.clear();
        self.limits_before = self.limits;
        std::mem::swap(&mut self.store.committed, &mut self.numbers);
        Ok(())
    }

    /// Makes a write that changes nothing, to find out whether writing works again.
    pub(super) fn try_writing(&self) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "user_version", schema::VERSION).map_err(StoreError::write)
    }

    /// Runs a part of the transaction; if it fails, only that part is undone.
    ///
    /// # Errors
    /// Those of the part. SQLite itself may have rolled back everything, as it does when the disk is full: see
    /// [`Self::is_over`].
    pub(super) fn attempt<T>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.execute("SAVEPOINT part")?;
        let (numbers, limits) = (self.numbers.clone(), self.limits);
        let done = part(self).and_then(|done| self.execute("RELEASE part").map(|()| done));
        if done.is_err() {
            self.numbers = numbers;
            self.restore_limits(limits);
            if self.execute("ROLLBACK TO part").and_then(|()| self.execute("RELEASE part")).is_err() {
                // If a failed part cannot be undone, nothing may be committed.
                self.roll_back();
            }
        }
        done
    }

    /// Returns true if everything was rolled back already.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_autocommit()
    }

    /// Notes that something happens at a time.
    pub(super) fn happens(&mut self, at: Timestamp) {
        self.numbers.now = self.numbers.now.max(at);
    }

    /// Records the number of profiles pending when the store was opened, once it is known, for the history.
    pub const fn set_pending_at_start(&mut self, profiles: i64) {
        self.numbers.pending_at_start = Some(profiles);
    }

    /// Changes the limits, also for this transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn set_limits(&mut self, limits: StoreLimits) -> Result<(), StoreError> {
        self.store.set_limits(limits)
    }

    fn save_numbers(&mut self) -> rusqlite::Result<()> {
        self.numbers.totals.save(self.committed.totals, &self.connection)?;
        self.save_uses()?;
        self.save_history()
    }

    fn restore_limits(&mut self, limits: StoreLimits) {
        if self.limits != limits {
            // SQLite's own bounds are set again with the next limits at the latest.
            let _ = self.store.set_limits(limits);
        }
    }

    fn roll_back(&mut self) {
        // SQLite may have rolled back by itself; then there is nothing to do.
        let _ = self.execute("ROLLBACK");
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_over() {
            self.roll_back();
        }
        self.restore_limits(self.limits_before);
    }
}
