//! How much room the store has: within its own bound, and on its disk.

use super::StoreError;
use super::journal::Store;
use super::schema::{LOG_PAGES, PAGE_BYTES};

/// Parts of the bound, in percent of the pages that the database may have.
const PURGE_FROM: i64 = 90;
const PURGE_TO: i64 = 80;
/// The rest is for settling what is pending, which makes room again.
const FULL_FROM: i64 = 95;

/// The part of the bound that is for the log.
const LOG_PART: u64 = 8;

/// Whether events can be recorded.
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

/// What an operator may set of a store's size.
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
    pub fn copy_log_often(&mut self, is_purging: bool) -> Result<(), StoreError> {
        let usual = Bounds::of(self.limits.max_bytes).log_pages;
        let pages = if is_purging { usual.min(LOG_PAGES_PURGING) } else { usual };
        self.set_pragma("wal_autocheckpoint", pages)
    }

    /// Has the bounds of its limits kept by SQLite too, so that no transaction goes beyond them.
    pub(super) fn set_bounds(&mut self) -> Result<(), StoreError> {
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

    /// How much room there is now.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn room(&self) -> Result<Room, StoreError> {
        let percent = self.percent_used()?;
        // A disk that cannot be asked is not known to be full.
        let disk_free = self.dir.as_deref().and_then(|dir| fs4::available_space(dir).ok()).unwrap_or(u64::MAX);
        Ok(match percent {
            _ if disk_free < self.limits.min_free_disk_bytes => Room::Full(Full::DiskLow),
            FULL_FROM.. => Room::Full(Full::MaxSize),
            PURGE_FROM.. => Room::Low,
            _ => Room::Enough,
        })
    }

    /// Whether purging has made room enough.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn is_purged(&self) -> Result<bool, StoreError> {
        Ok(self.percent_used()? < PURGE_TO)
    }

    /// The part of the pages that hold something, in percent of those that there may be.
    fn percent_used(&self) -> Result<i64, StoreError> {
        let pragma = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let used = pragma("page_count").and_then(|pages| Ok(pages - pragma("freelist_count")?));
        Ok(used.map_err(StoreError::Read)? * 100 / Bounds::of(self.limits.max_bytes).pages_max)
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
