//! The keys of events within a transaction: finding, adding and forgetting them.

use super::StoreError;
use super::fingerprint::{Fingerprint, FingerprintKey};
use super::keys::{self, Generations, Key, KeyFilter};
use super::transaction::Transaction;

impl Transaction<'_> {
    /// Returns the numbers and fingerprints of events with a key, the newest generation first.
    pub(super) fn find_key(&self, key: Key) -> rusqlite::Result<Vec<(i64, Option<i64>)>> {
        let Generations { oldest, newest } = self.numbers.generations;
        let mut found = Vec::new();
        for generation in (oldest..=newest).rev() {
            if self.filters.may_hold(generation, key) {
                let mut statement = self.connection.prepare_cached(
                    "SELECT seq, fingerprint FROM event_key WHERE generation = ?1 AND key_hash = ?2 ORDER BY seq",
                )?;
                let mut rows = statement.query((generation, key.0))?;
                while let Some(row) = rows.next()? {
                    found.push((row.get("seq")?, row.get("fingerprint")?));
                }
            }
        }
        Ok(found)
    }

    /// Adds the key and the fingerprint of a new event. A rollback leaves the key in a filter, which then says
    /// "perhaps" once too often.
    pub(super) fn insert_key(&mut self, key: Key, seq: i64, fingerprint: Option<Fingerprint>) -> rusqlite::Result<()> {
        let generation = keys::generation(seq);
        if keys::is_first(seq) {
            self.numbers.generations.newest = generation;
        }
        self.store.filters.insert(key, seq);
        self.connection
            .prepare_cached("INSERT INTO event_key (generation, key_hash, seq, fingerprint) VALUES (?1, ?2, ?3, ?4)")?
            .execute((generation, key.0, seq, fingerprint.map(Fingerprint::stored)))
            .map(|_| ())
    }

    /// Forgets up to `limit` keys of the oldest generation, if all its events are older than `seq`. Returns false if
    /// there are none.
    pub(super) fn forget_keys(&mut self, seq: i64, limit: i64) -> rusqlite::Result<bool> {
        let Generations { oldest, newest } = self.numbers.generations;
        if oldest >= keys::generation(seq) {
            return Ok(false);
        }
        let known_since = self.recorded_before(keys::first_of(oldest + 1))?;
        let totals = &mut self.numbers.totals;
        totals.ids_known_since_ms = totals.ids_known_since_ms.max(known_since);
        let forgotten = self
            .connection
            .prepare_cached(
                "DELETE FROM event_key WHERE generation = ?1 AND key_hash <= (
                     SELECT max(key_hash) FROM (
                         SELECT key_hash FROM event_key WHERE generation = ?1 ORDER BY key_hash LIMIT ?2))",
            )?
            .execute((oldest, limit))?;
        if forgotten == 0 {
            self.store.filters.remove(oldest);
            self.numbers.generations.oldest = keys::oldest_generation(&self.connection)?.unwrap_or(newest);
        }
        Ok(true)
    }

    /// Returns the earliest known time by which all events before number `seq` were recorded, in milliseconds since
    /// 1970.
    fn recorded_before(&self, seq: i64) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached(
                "SELECT coalesce(
                     (SELECT min(at_ms) FROM settled_mark WHERE seq >= ?1),
                     (SELECT recorded_at_ms FROM journal WHERE seq >= ?1 ORDER BY seq LIMIT 1),
                     0)",
            )?
            .query_row([seq], |row| row.get(0))
    }

    /// Makes the fingerprints of all events so far meaningless, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn forget_fingerprints(&mut self) -> Result<(), StoreError> {
        let replaced = FingerprintKey::replace(&self.connection, self.numbers.next_seq());
        self.numbers.fingerprint_key = replaced.map_err(StoreError::write)?;
        Ok(())
    }

    /// Adds a filter over keys that were recorded before this store was opened.
    pub fn adopt_key_filter(&mut self, filter: KeyFilter) {
        self.store.filters.adopt(filter);
    }
}
