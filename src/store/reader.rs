//! Queries for display, on a separate connection that never waits for the writer.

use std::path::PathBuf;

use rusqlite::Connection;

use super::batches::{self, BatchHead, BatchRow, BatchState};
use super::counters::{Counters, Numbers, Pending};
use super::erase::{self, JournalRow};
use super::fingerprint::FingerprintKey;
use super::keys::{self, KeyFilter};
use super::opening::Store;
use super::person::{self, ProfileEvent, WithoutEffect};
use super::profile_rows::{self, ProfileRow};
use super::rejected::{self, RejectedRow};
use super::salvage::{self, Salvage};
use super::seal::StoreFile;
use super::stored::Stored;
use super::{StoreError, history, schema};
use crate::core::forwarding::quota::Quota;
use crate::core::identity::{Identity, StoredForms};
use crate::core::timestamp::Timestamp;

/// A connection for reading.
pub struct Reader {
    pub(super) connection: Connection,
    path: PathBuf,
}

/// Events of the journal searched for those of one profile. Limits: takes a tenth of a second.
const EVENTS_LOOKED_AT: i64 = 200_000;

impl Reader {
    /// Opens the store's file, which a writer has opened before.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::NewerSchema`].
    pub fn open(file: impl Into<StoreFile>) -> Result<Self, StoreError> {
        let file = file.into();
        Ok(Self { connection: schema::open_reader(&file)?, path: file.path })
    }

    /// Returns a reader of a store in memory.
    #[must_use]
    pub fn of_memory(store: Store) -> Self {
        Self { connection: store.connection, path: PathBuf::new() }
    }

    /// Reads the filters over the keys of all events, and hands each to `adopt` until it declines. This reads all keys.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn load_key_filters(&self, adopt: impl FnMut(KeyFilter) -> bool) -> Result<(), StoreError> {
        let load = || {
            keys::load_filters(
                &self.connection,
                Numbers::load(&self.connection, FingerprintKey::UNKNOWN)?.last_seq,
                adopt,
            )
        };
        load().map_err(StoreError::Read)
    }

    /// Opens the store's file and sees it as it is now for as long as this reader lives.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_snapshot(file: impl Into<StoreFile>) -> Result<Self, StoreError> {
        let reader = Self::open(file)?;
        // The first read takes the snapshot, not BEGIN.
        reader.connection.execute_batch("BEGIN; SELECT 1 FROM counter;").map_err(StoreError::Read)?;
        Ok(reader)
    }

    /// Returns the numbers of a store that no writer has open.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn counters(&self) -> Result<Counters, StoreError> {
        Numbers::load(&self.connection, FingerprintKey::UNKNOWN)
            .map(|numbers| numbers.counters())
            .map_err(StoreError::Read)
    }

    /// Returns the numbers since a time, oldest first: at most one entry per minute, and none for a minute without
    /// activity.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn history(&self, since: Timestamp) -> Result<Vec<history::Moment>, StoreError> {
        history::read(&self.connection, since).map_err(StoreError::Read)
    }

    /// Returns the batches that have not ended, and the last `ended` of the others, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batches(&self, ended: usize) -> Result<Vec<BatchHead>, StoreError> {
        batches::heads(&self.connection, ended).map_err(StoreError::Read)
    }

    /// Returns some rows of a batch, after the profile with number `after`; none at the end.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows(&self, batch_id: i64, after: i64) -> Result<Vec<BatchRow>, StoreError> {
        batches::rows(&self.connection, batch_id, after).map_err(StoreError::Read)
    }

    /// Counts what is pending. This reads every attribute: do it once at start, not once per request.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn count_pending(&self) -> Result<Pending, StoreError> {
        Pending::count(&self.connection).map_err(StoreError::Read)
    }

    /// Counts the profiles that wait for Target to have them.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn count_missing(&self) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM profile WHERE look_at_ms IS NOT NULL";
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(StoreError::Read)
    }

    /// Returns the time since which the longest waiting profile is pending.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn oldest_pending(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(since) FROM (
                       SELECT since FROM (
                           SELECT pending_since_ms AS since FROM profile
                           WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL
                           ORDER BY pending_seq LIMIT 1)
                       UNION ALL SELECT min(pending_since_ms) FROM profile WHERE look_at_ms IS NOT NULL
                       UNION ALL SELECT min(oldest_since_ms) FROM batch WHERE state < ?1)";
        let ended = BatchState::Complete.stored();
        let at_ms: Option<i64> = self.connection.query_row(sql, [ended], |row| row.get(0)).map_err(StoreError::Read)?;
        Ok(at_ms.map(Timestamp::from_millis))
    }

    /// Counts the events and the updates that are kept as rejected.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn count_rejected(&self) -> Result<(i64, i64), StoreError> {
        self.connection
            .query_row("SELECT count(seq), count(profile_id) FROM rejected", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(StoreError::Read)
    }

    /// Returns rejected items: up to `limit` rows with a number greater than `after`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected(&self, after: i64, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        rejected::list(&self.connection, after, limit).map_err(StoreError::Read)
    }

    /// Returns the newest rejected items, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected_newest(&self, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        rejected::newest(&self.connection, limit).map_err(StoreError::Read)
    }

    /// Returns one rejected item.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected_row(&self, id: i64) -> Result<Option<RejectedRow>, StoreError> {
        rejected::find(&self.connection, id).map_err(StoreError::Read)
    }

    /// Returns true if the store has this program's schema; opening an older one for writing migrates it.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn is_current(&self) -> Result<bool, StoreError> {
        let version = self.connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        version.map(|version| version == schema::VERSION).map_err(StoreError::Read)
    }

    /// Returns true if SQLite finds no damage in the whole file. This reads all of it.
    ///
    /// # Errors
    /// [`StoreError::Read`], if the file cannot be read at all.
    pub fn is_sound(&self) -> Result<bool, StoreError> {
        let found: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(StoreError::Read)?;
        Ok(found == "ok")
    }

    /// Counts the rows of each table, by name. This may read all of them.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn table_counts(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let read = || {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
            let names: Vec<String> =
                self.connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let count = |name: String| {
                let rows = self.connection.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get(0))?;
                Ok((name, rows))
            };
            names.into_iter().map(count).collect::<rusqlite::Result<_>>()
        };
        read().map_err(StoreError::Read)
    }

    /// Returns what was saved when the store was last found damaged.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn last_salvage(&self) -> Result<Option<Salvage>, StoreError> {
        salvage::last(&self.connection).map_err(StoreError::Read)
    }

    /// Up to `limit` events after the number `after`, with the profiles that each changed.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn journal_part(&self, after: i64, limit: i64) -> Result<Vec<JournalRow>, StoreError> {
        erase::journal_part(&self.connection, after, limit).map_err(StoreError::Read)
    }

    /// Returns the number of requests to Target in the last 24 hours of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn quota_used(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(requests), 0) FROM quota WHERE minute >= ?1";
        let used: i64 =
            self.connection.query_row(sql, [Quota::oldest_minute(now)], |row| row.get(0)).map_err(StoreError::Read)?;
        Ok(u64::try_from(used).unwrap_or(0))
    }

    /// Returns the number of calls of the Fetch API in the last 24 hours of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn reads_used(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(requests), 0) FROM read_quota WHERE minute >= ?1";
        let used: i64 =
            self.connection.query_row(sql, [Quota::oldest_minute(now)], |row| row.get(0)).map_err(StoreError::Read)?;
        Ok(u64::try_from(used).unwrap_or(0))
    }

    /// Returns the size of the database file and its log.
    ///
    /// Units: bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.file_bytes("") + self.log_bytes()
    }

    /// Returns the size of the log.
    ///
    /// Units: bytes.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.file_bytes("-wal")
    }

    fn file_bytes(&self, suffix: &str) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        std::fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    /// Returns up to `limit` events of a profile, newest first, from the newest 200,000 events of all.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn profile_events(&self, profile_id: i64, limit: usize) -> Result<Vec<ProfileEvent>, StoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT time_ms, open(event, 'journal', seq) AS event FROM journal
                 WHERE seq > (SELECT max(seq) FROM journal) - ?3 AND event <> '' AND (profile_id = ?1 OR seq IN (
                     SELECT seq FROM journal_profile
                     WHERE profile_id = ?1 AND seq > (SELECT max(seq) FROM journal) - ?3))
                 ORDER BY seq DESC LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map((profile_id, limit, EVENTS_LOOKED_AT), |row| {
                let (time, json) = (Timestamp::from_millis(row.get("time_ms")?), row.get::<_, String>("event")?);
                Ok(ProfileEvent::of(&json, time))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(StoreError::Read)
    }

    /// The newest events that changed nothing and are about an identity, as far as the mappings could tell when they came.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn without_effect(&self, forms: &StoredForms, limit: usize) -> Result<Vec<WithoutEffect>, StoreError> {
        person::without_effect(&self.connection, forms, limit).map_err(StoreError::Read)
    }

    /// The numbers of events that are noted as about an identity, and are its own.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn noted_events(&self, identity: &Identity) -> Result<Vec<i64>, StoreError> {
        person::noted_events(&self.connection, identity).map_err(StoreError::Read)
    }

    /// Returns the time when an identity was last forgotten, if it was.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn forgotten_at(&self, forms: &StoredForms) -> Result<Option<Timestamp>, StoreError> {
        person::forgotten_at(&self.connection, forms).map_err(StoreError::Read)
    }

    /// Returns everything in the store about one identity; `None` if there is nothing.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn profile(&self, forms: &StoredForms) -> Result<Option<ProfileRow>, StoreError> {
        let read = || {
            let snapshot = self.connection.unchecked_transaction()?;
            profile_rows::find(&snapshot, forms)
        };
        read().map_err(StoreError::Read)
    }
}

/// The same on the writing connection, for simulations, which have no second one.
impl Store {
    /// Reads a profile as [`Reader::profile`] does.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn profile(&self, forms: &StoredForms) -> Result<Option<ProfileRow>, StoreError> {
        profile_rows::find(&self.connection, forms).map_err(StoreError::Read)
    }

    /// Lists rejected items as [`Reader::rejected`] does.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected(&self, after: i64, limit: usize) -> Result<Vec<RejectedRow>, StoreError> {
        rejected::list(&self.connection, after, limit).map_err(StoreError::Read)
    }
}
