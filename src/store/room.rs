//! Free room of the store: within its own bound, and on its disk.

use super::error::{Full, StoreError};
use super::opening::Store;
use super::schema::{LOG_PAGES, PAGE_BYTES};

/// Fill level from which delivered data is purged. Units: percent of the pages that the database may have, as for all
/// levels here.
const PURGE_FROM: i64 = 90;
const PURGE_TO: i64 = 80;
/// Fill level from which no more events are accepted; those being recorded may go a little further.
const FULL_FROM: i64 = 95;
const EVENTS_TO: i64 = 96;
/// Fill level up to which rows of batches are added. The rest is for settling what is pending, which frees room again.
const ROWS_TO: i64 = 98;

/// Room that delivering a pending profile needs beyond what purging its events frees: values sent and read, and the
/// state of its attributes. Units: bytes. Measured with the smallest events, where it is largest.
const PENDING_BYTES: i64 = 96;

/// Most that one transaction writes. Units: bytes. Limits: a group of requests, each with a body of the largest size.
const TRANSACTION_BYTES_MAX: i64 = 64 << 20;

/// Divisor of the bound that gives the log's share.
const LOG_PART: u64 = 8;

/// The room left for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Enough,
    /// There is room, but delivered data should be purged.
    Low,
    /// There is no room.
    Full(Full),
}

/// Bounds of a store's size, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pages_max: i64,
    log_pages: i64,
}

impl Bounds {
    /// Divides the store's bytes between database and log.
    pub(super) fn of(max_bytes: u64) -> Self {
        let pages = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX) / PAGE_BYTES;
        let log_pages = pages(max_bytes / LOG_PART).clamp(1, LOG_PAGES);
        Self { pages_max: (pages(max_bytes) - log_pages).max(1), log_pages }
    }
}

/// Pages of the log during a large purge: nearly all of them differ, and copying a full-size log would make tills wait.
const LOG_PAGES_PURGING: i64 = 1_000;

impl Store {
    /// Makes SQLite copy the log into the database more often, in smaller parts, during a large purge, or as usual
    /// again.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn copy_log_often(&self, is_purging: bool) -> Result<(), StoreError> {
        let usual = Bounds::of(self.limits.max_bytes).log_pages;
        let pages = if is_purging { usual.min(LOG_PAGES_PURGING) } else { usual };
        self.set_pragma("wal_autocheckpoint", pages)
    }

    /// Sets the bounds in SQLite too, so that no transaction exceeds them.
    pub(super) fn set_bounds(&self) -> Result<(), StoreError> {
        let Bounds { pages_max, log_pages } = Bounds::of(self.limits.max_bytes);
        self.set_pragma("max_page_count", pages_max)?;
        self.set_pragma("journal_size_limit", log_pages * PAGE_BYTES)?;
        self.copy_log_often(false)
    }

    /// Lets one transaction exceed the bounds; call [`Self::set_bounds`] after it.
    pub(super) fn lift_bounds(&self) -> Result<(), StoreError> {
        self.set_pragma("max_page_count", Bounds::of(self.limits.max_bytes).pages_max.saturating_mul(2))
    }

    /// Sets a pragma that answers with its new value.
    fn set_pragma(&self, name: &str, value: i64) -> Result<(), StoreError> {
        self.connection.pragma_update_and_check(None, name, value, |_| Ok(())).map_err(StoreError::write)
    }

    /// Returns the room left now.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn room(&self) -> Result<Room, StoreError> {
        let percent = self.percent_taken()?;
        // A disk that cannot be queried is not assumed to be full.
        let disk_free = self.dir.as_deref().and_then(|dir| fs4::available_space(dir).ok()).unwrap_or(u64::MAX);
        Ok(match percent {
            _ if disk_free < self.limits.min_free_disk_bytes => Room::Full(Full::DiskLow),
            FULL_FROM.. => Room::Full(Full::MaxSize),
            PURGE_FROM.. => Room::Low,
            _ => Room::Enough,
        })
    }

    /// Returns true if purging has freed enough room.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn is_purged(&self) -> Result<bool, StoreError> {
        Ok(self.percent_taken()? < PURGE_TO)
    }

    /// Refuses events in the open transaction that would use the room reserved for forwarding.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Read`].
    pub fn check_room_for_events(&self) -> Result<(), StoreError> {
        if self.percent_taken()? < EVENTS_TO { Ok(()) } else { Err(StoreError::Full(Full::MaxSize)) }
    }

    /// Refuses rows of batches in the open transaction that would use the room reserved for settling them.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Read`].
    pub(super) fn check_room_for_rows(&self) -> Result<(), StoreError> {
        if self.percent(self.pages_used()?) < ROWS_TO { Ok(()) } else { Err(StoreError::Full(Full::MaxSize)) }
    }

    /// Determines which bound was reached: SQLite reports its own and the disk's in the same way.
    pub(super) fn name_bound(&self, error: StoreError) -> StoreError {
        let disk_free = self.dir.as_deref().and_then(|dir| fs4::available_space(dir).ok()).unwrap_or_default();
        let most = self.limits.max_bytes;
        match error {
            // The disk has more free space than the store may use, and the store has less than a transaction may take.
            StoreError::Full(Full::Disk) if disk_free > most && self.bytes_left() < TRANSACTION_BYTES_MAX => {
                StoreError::Full(Full::MaxSize)
            }
            error => error,
        }
    }

    /// Returns the bytes that the database may still grow by.
    fn bytes_left(&self) -> i64 {
        let used = self.pages_used().unwrap_or_default();
        (Bounds::of(self.limits.max_bytes).pages_max - used).max(0) * PAGE_BYTES
    }

    /// Returns the used part of the bound in percent, including the room for delivering what is pending.
    fn percent_taken(&self) -> Result<i64, StoreError> {
        let pending = self.committed.pending_at_start.unwrap_or_default() + self.counters().pending_change.profiles;
        Ok(self.percent(self.pages_used()? + pending.max(0) * PENDING_BYTES / PAGE_BYTES))
    }

    fn percent(&self, pages: i64) -> i64 {
        pages * 100 / Bounds::of(self.limits.max_bytes).pages_max
    }

    /// Returns the number of pages in use.
    fn pages_used(&self) -> Result<i64, StoreError> {
        // Called for each commit of events, so the statements are cached.
        let pragma = |sql| self.connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let used = pragma("PRAGMA page_count").and_then(|pages| Ok(pages - pragma("PRAGMA freelist_count")?));
        used.map_err(StoreError::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_an_eighth_up_to_its_most() {
        assert_eq!(Bounds::of(8 << 20), Bounds { pages_max: 3_584, log_pages: 512 });
        assert_eq!(Bounds::of(1 << 30), Bounds { pages_max: (1 << 19) - LOG_PAGES, log_pages: LOG_PAGES });
    }

    #[test]
    fn a_disk_that_takes_no_more_is_not_told_as_a_store_that_is_full() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path().join("outpost.db").as_path()).expect("opened");
        let error = store.name_bound(StoreError::Full(Full::Disk));
        assert!(matches!(error, StoreError::Full(Full::Disk)), "{error}");
    }
}
