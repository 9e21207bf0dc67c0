//! Opening: the connection that writes, and the numbers that are kept in memory beside the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;
use super::counters::{Counters, Numbers};
use super::fingerprint::FingerprintKey;
use super::keys::Filters;
use super::presence::Presence;
use super::salvage::{self, Salvage};
use super::schema;
use super::seal::StoreFile;
use crate::core::timestamp::Timestamp;

/// The one connection that writes, and the numbers as of its last commit. What it writes, it writes in a
/// [`Transaction`](super::Transaction).
pub struct Store {
    pub(super) connection: Connection,
    pub(super) committed: Numbers,
    pub(super) filters: Filters,
    pub(super) limits: StoreLimits,
    /// Folder of its file; none in memory.
    pub(super) dir: Option<PathBuf>,
    pub(super) presence: Presence,
}

/// Limits of a store that an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes that its file may take.
    pub max_bytes: u64,
    /// Bytes that stay free on its disk.
    pub min_free_disk_bytes: u64,
    /// Time after its delivery from which an unchanged value is sent again, when an event brings it.
    pub resend_after: Duration,
    /// True where others write the same profiles: then a value that a newer event sets is sent though it is the one that was
    /// delivered last.
    pub shares_profiles: bool,
}

/// When a value is sent again that stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Repeats {
    /// When it was delivered before this time: profiles expire, and updates get lost.
    pub before: Timestamp,
    /// When a newer event brings it, since others may have written another one in between.
    pub shared: bool,
}

impl StoreLimits {
    /// Returns when a value is sent again that stays as it is.
    #[must_use]
    pub fn repeats(&self, now: Timestamp) -> Repeats {
        Repeats { before: now.minus(self.resend_after), shared: self.shares_profiles }
    }
}

impl Default for StoreLimits {
    /// The defaults of the contract, section 3.
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            min_free_disk_bytes: 200 << 20,
            resend_after: Duration::from_secs(12 * 3600),
            shares_profiles: false,
        }
    }
}

impl Store {
    /// Opens the store of a data directory, making or migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError`], also for a store of a newer program, which is left untouched.
    pub fn open(file: impl Into<StoreFile>) -> Result<Self, StoreError> {
        Self::open_within(file, StoreLimits::default())
    }

    /// As [`Self::open`], within limits of an operator's.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_within(file: impl Into<StoreFile>, limits: StoreLimits) -> Result<Self, StoreError> {
        let file = file.into();
        salvage::finish(&file.path)?;
        let mut store = Self::with(schema::open_writer(&file)?)?;
        store.dir = file.path.parent().map(PathBuf::from);
        store.presence = Presence::of(&file.path);
        store.set_limits(limits)?;
        Ok(store)
    }

    /// Opens a store that lives in memory, for simulations and benches.
    ///
    /// # Errors
    /// [`StoreError`], when SQLite cannot make one.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        Self::with(schema::open_in_memory()?)
    }

    pub(super) fn with(connection: Connection) -> Result<Self, StoreError> {
        let load = || Numbers::load(&connection, FingerprintKey::load(&connection)?);
        let committed = load().map_err(StoreError::Read)?;
        Ok(Self {
            connection,
            committed,
            filters: Filters::default(),
            limits: StoreLimits::default(),
            dir: None,
            presence: Presence::default(),
        })
    }

    /// Opens what a start after a crash finds: the last commit, and nothing of what came after. For simulations of a store
    /// in memory, whose connection must live on.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn restart(self) -> Result<Self, StoreError> {
        Self::with(self.connection)
    }

    /// If the store's file is damaged: saves what can be read of it into a new one, and puts it aside. Call it before the store
    /// is opened, by whoever holds the data directory.
    ///
    /// # Errors
    /// [`StoreError`], when the file cannot be put aside or a new one cannot be written.
    pub fn mend(file: impl Into<StoreFile>, now: Timestamp) -> Result<bool, StoreError> {
        let file = file.into();
        let is_finished = salvage::finish(&file.path)?;
        let is_damaged = !is_finished && salvage::is_damaged(&file);
        if is_damaged {
            salvage::salvage(&file, now)?;
        }
        Ok(is_finished || is_damaged)
    }

    /// Seals a store again with the key of the file, from its old one or from none; or opens it for good, where the file
    /// has an old key alone. Nothing of what it held before stays in the file, in its log, or in damaged stores that are kept.
    ///
    /// # Errors
    /// [`StoreError`]; then the store is as it was.
    pub fn rekey(file: &StoreFile) -> Result<(), StoreError> {
        schema::rekey(file)
    }

    /// Returns what was saved the last time that the store was found damaged.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn last_salvage(&self) -> Result<Option<Salvage>, StoreError> {
        salvage::last(&self.connection).map_err(StoreError::Read)
    }

    /// Returns the numbers as of the last commit.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.committed.counters()
    }

    /// Uses other limits from now on.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn set_limits(&mut self, limits: StoreLimits) -> Result<(), StoreError> {
        self.limits = limits;
        self.set_bounds()
    }

    /// Has the next start look at the whole file.
    pub(super) fn suspect(&self) {
        if let Some(path) = self.connection.path() {
            salvage::suspect(Path::new(path));
        }
    }
}
