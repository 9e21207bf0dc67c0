//! Opening the store: the connection that writes, and the numbers kept in memory beside the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;
use super::counters::{Counters, Numbers};
use super::fingerprint::FingerprintKey;
use super::identity_key::IdentityKey;
use super::keys::Filters;
use super::presence::Presence;
use super::salvage::{self, Salvage};
use super::schema;
use super::seal::StoreFile;
use crate::core::timestamp::Timestamp;

/// The only connection that writes, and the numbers as of its last commit. Everything is written in a
/// [`Transaction`](super::Transaction).
pub struct Store {
    pub(super) connection: Connection,
    pub(super) committed: Numbers,
    pub(super) filters: Filters,
    pub(super) identity_key: IdentityKey,
    pub(super) limits: StoreLimits,
    /// Directory of the file; `None` in memory.
    pub(super) dir: Option<PathBuf>,
    pub(super) presence: Presence,
    /// Number of the process, chosen at random: a part of a sum grows only in the one that began it.
    pub(super) process: i64,
}

/// Limits of a store that an operator may configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Largest size of the file. Units: bytes.
    pub max_bytes: u64,
    /// Space kept free on its disk. Units: bytes.
    pub min_free_disk_bytes: u64,
    /// Time after a delivery from which an unchanged value is sent again when an event repeats it.
    pub resend_after: Duration,
    /// True if others write the same profiles: then a value set by a newer event is sent even if it equals the last
    /// delivered one.
    pub shares_profiles: bool,
}

/// The conditions for sending an unchanged value again.
#[derive(Clone, Copy, Debug)]
pub struct Repeats {
    /// Send again if it was delivered before this time: profiles expire, and updates get lost.
    pub before: Timestamp,
    /// Send again if a newer event repeats it, because others may have written a different value since.
    pub shared: bool,
    /// Send again if the event that decides it is another one: the hub compares it with those of other devices.
    pub handed_over: bool,
}

impl StoreLimits {
    /// Returns the conditions for sending an unchanged value again.
    #[must_use]
    pub fn repeats(&self, now: Timestamp, hands_over: bool) -> Repeats {
        Repeats { before: now.minus(self.resend_after), shared: self.shares_profiles, handed_over: hands_over }
    }
}

impl Default for StoreLimits {
    /// Returns the defaults, as `agent.toml.example` shows them.
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
    /// Opens the store of a data directory, creating or migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError`], also for a store of a newer program, which stays unchanged.
    pub fn open(file: impl Into<StoreFile>) -> Result<Self, StoreError> {
        Self::open_within(file, StoreLimits::default())
    }

    /// Opens the store as [`Self::open`] does, with configured limits.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_within(file: impl Into<StoreFile>, limits: StoreLimits) -> Result<Self, StoreError> {
        let file = file.into();
        salvage::finish(&file.path)?;
        let mut store = Self::with(schema::open_writer(&file)?)?;
        if let Some(words) = store.committed.impossible() {
            return Err(StoreError::Changed { path: file.path, words });
        }
        store.dir = file.path.parent().map(PathBuf::from);
        store.presence = Presence::of(&file.path);
        store.set_limits(limits)?;
        Ok(store)
    }

    /// Opens a store in memory, for simulations and benches.
    ///
    /// # Errors
    /// [`StoreError`], if SQLite cannot create one.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        Self::with(schema::open_in_memory()?)
    }

    pub(super) fn with(connection: Connection) -> Result<Self, StoreError> {
        let load = || {
            let committed = Numbers::load(&connection, FingerprintKey::load(&connection)?)?;
            Ok((committed, IdentityKey::load(&connection)?))
        };
        let (committed, identity_key) = load().map_err(StoreError::Read)?;
        Ok(Self {
            connection,
            committed,
            filters: Filters::default(),
            identity_key,
            limits: StoreLimits::default(),
            dir: None,
            presence: Presence::default(),
            process: uuid::Uuid::new_v4().as_u64_pair().0.cast_signed(),
        })
    }

    /// Opens the store as a start after a crash would find it: as of the last commit. For simulations of a store in
    /// memory, whose connection must stay open.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn restart(self) -> Result<Self, StoreError> {
        Self::with(self.connection)
    }

    /// Repairs a damaged store: saves the readable part into a new one and puts the damaged one aside. Call it
    /// before opening the store, from the process that owns the data directory. Returns true if the file was damaged.
    ///
    /// # Errors
    /// [`StoreError`], if the file cannot be put aside or a new one cannot be written.
    pub fn mend(file: impl Into<StoreFile>, now: Timestamp) -> Result<bool, StoreError> {
        let file = file.into();
        let is_finished = salvage::finish(&file.path)?;
        let is_damaged = !is_finished && salvage::is_damaged(&file);
        if is_damaged {
            salvage::salvage(&file, now)?;
        }
        Ok(is_finished || is_damaged)
    }

    /// Encrypts a store with the file's key again, from its old key or from none; or decrypts it, if the file has only
    /// an old key. None of the old content stays in the file, in its log, or in damaged stores that are kept.
    ///
    /// # Errors
    /// [`StoreError`]; the store is then unchanged.
    pub fn rekey(file: &StoreFile) -> Result<(), StoreError> {
        schema::rekey(file)
    }

    /// Returns what was saved when the store was last found damaged.
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

    /// Changes the limits.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn set_limits(&mut self, limits: StoreLimits) -> Result<(), StoreError> {
        self.limits = limits;
        self.set_bounds()
    }

    /// Makes the next start check the whole file.
    pub(super) fn suspect(&self) {
        if let Some(path) = self.connection.path() {
            salvage::suspect(Path::new(path));
        }
    }
}
