//! How much room the store has: within its own bound, and on its disk.

use super::StoreError;
use super::opening::Store;
use super::schema::{LOG_PAGES, PAGE_BYTES};

/// Parts of the bound, in percent of the pages that the database may have.
const PURGE_FROM: i64 = 90;
const PURGE_TO: i64 = 80;
/// From here on no more events are taken; those that are being recorded may go a little further.
const FULL_FROM: i64 = 95;
const EVENTS_TO: i64 = 96;
/// The rest is for forwarding, which makes room again: for rows of batches up to here, and then for settling what is pending.
const ROWS_TO: i64 = 98;

/// Room that a pending profile needs to be delivered beyond what its events give back when they are purged: what was sent and read of
/// it, and how its attributes stand. Measured with the smallest events, where it is the most.
const PENDING_BYTES: i64 = 96;

/// The part of the bound that is for the log.
const LOG_PART: u64 = 8;

/// Room for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Enough,
    /// There is room, and what was delivered should be purged.
    Low,
    /// There is none.
    Full(Full),
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The store has grown to `max_size`.
    MaxSize,
    /// The disk has less than `min_free_disk` left.
    DiskLow,
    /// The disk did not take what was written.
    Disk,
}

/// Bounds of a store's size, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pages_max: i64,
    log_pages: i64,
}

impl Bounds {
    /// The bytes of the store, divided between database and log.
    pub(super) fn of(max_bytes: u64) -> Self {
        let pages = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX) / PAGE_BYTES;
        let log_pages = pages(max_bytes / LOG_PART).clamp(1, LOG_PAGES);
        Self { pages_max: (pages(max_bytes) - log_pages).max(1), log_pages }
    }
}

/// Pages of the log while much is purged: nearly all of them differ, and a copy of the whole log would make tills wait.
const LOG_PAGES_PURGING: i64 = 1_000;

impl Store {
    /// Has the log copied into the database more often, in smaller parts, while much is purged; and as before afterwards.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn copy_log_often(&self, is_purging: bool) -> Result<(), StoreError> {
        let usual = Bounds::of(self.limits.max_bytes).log_pages;
        let pages = if is_purging { usual.min(LOG_PAGES_PURGING) } else { usual };
        self.set_pragma("wal_autocheckpoint", pages)
    }

    /// Has the bounds of its limits kept by SQLite too, so that no transaction goes beyond them.
    pub(super) fn set_bounds(&self) -> Result<(), StoreError> {
        let Bounds { pages_max, log_pages } = Bounds::of(self.limits.max_bytes);
        self.set_pragma("max_page_count", pages_max)?;
        self.set_pragma("journal_size_limit", log_pages * PAGE_BYTES)?;
        self.copy_log_often(false)
    }

    /// Lets one transaction go beyond the bounds; [`Self::set_bounds`] is due after it.
    pub(super) fn lift_bounds(&self) -> Result<(), StoreError> {
        self.set_pragma("max_page_count", Bounds::of(self.limits.max_bytes).pages_max.saturating_mul(2))
    }

    /// Sets a pragma that answers with its new value.
    fn set_pragma(&self, name: &str, value: i64) -> Result<(), StoreError> {
        self.connection.pragma_update_and_check(None, name, value, |_| Ok(())).map_err(StoreError::write)
    }

    /// Returns how much room there is now.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn room(&self) -> Result<Room, StoreError> {
        let percent = self.percent_taken()?;
        // A disk that cannot be asked is not known to be full.
        let disk_free = self.dir.as_deref().and_then(|dir| fs4::available_space(dir).ok()).unwrap_or(u64::MAX);
        Ok(match percent {
            _ if disk_free < self.limits.min_free_disk_bytes => Room::Full(Full::DiskLow),
            FULL_FROM.. => Room::Full(Full::MaxSize),
            PURGE_FROM.. => Room::Low,
            _ => Room::Enough,
        })
    }

    /// Returns whether purging has made room enough.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn is_purged(&self) -> Result<bool, StoreError> {
        Ok(self.percent_taken()? < PURGE_TO)
    }

    /// Refuses events in the open transaction that would take what is left for forwarding.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Read`].
    pub fn check_room_for_events(&self) -> Result<(), StoreError> {
        if self.percent_taken()? < EVENTS_TO { Ok(()) } else { Err(StoreError::Full(Full::MaxSize)) }
    }

    /// Refuses rows of batches in the open transaction that would take what is left for settling them.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Read`].
    pub(super) fn check_room_for_rows(&self) -> Result<(), StoreError> {
        if self.percent(self.pages_used()?) < ROWS_TO { Ok(()) } else { Err(StoreError::Full(Full::MaxSize)) }
    }

    /// Says which bound was reached: SQLite's answer is the same for its own and for the disk's.
    pub(super) fn name_bound(&self, error: StoreError) -> StoreError {
        let disk_free = self.dir.as_deref().and_then(|dir| fs4::available_space(dir).ok()).unwrap_or_default();
        let most = self.limits.max_bytes;
        match error {
            // As much as all of it may take is free: the disk cannot have been the bound.
            StoreError::Full(Full::Disk) if disk_free > most => StoreError::Full(Full::MaxSize),
            error => error,
        }
    }

    /// The part of the bound that is taken, also for the delivery of what is pending, in percent.
    fn percent_taken(&self) -> Result<i64, StoreError> {
        let pending = self.committed.pending_at_start.unwrap_or_default() + self.counters().pending_change.profiles;
        Ok(self.percent(self.pages_used()? + pending.max(0) * PENDING_BYTES / PAGE_BYTES))
    }

    fn percent(&self, pages: i64) -> i64 {
        pages * 100 / Bounds::of(self.limits.max_bytes).pages_max
    }

    /// Pages that hold something.
    fn pages_used(&self) -> Result<i64, StoreError> {
        // Asked with each commit of events: the statements are kept.
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
}
