//! Filling a batch: what was read of a profile, which of its versions the batch freezes, and whether it still fits.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::batches::row_attributes;
use super::journal::Store;
use super::readings::{self, Reading};
use super::{StoreError, profiles};
use crate::existence::Existence;
use crate::limits::{BATCH_FILE_BYTES_MAX, BATCH_NAMES_MAX, BATCH_ROWS_MAX};
use crate::merge::Decision;
use crate::reason::Reason;
use crate::route::Route;
use crate::timestamp::Timestamp;

/// Room in a file for its first word.
const HEAD_BYTES: i64 = 32;

/// A profile to be put in a batch.
pub struct Candidate {
    /// Its number in the store.
    pub profile_id: i64,
    /// Why it goes in a batch.
    pub route: Route,
    /// What was read of it.
    pub readings: Vec<Reading>,
    /// What was learned of it, if anything.
    pub learned: Option<Existence>,
    /// Calls of the Fetch API that this took.
    pub reads: i64,
}

/// What became of candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// How many of them are in the batch, or have nothing to send any more.
    pub taken: usize,
    /// Whether the batch can take no more.
    pub is_full: bool,
}

impl Store {
    /// Puts profiles in a batch, within a transaction, as far as they fit: at most `rows_max`; `size` gives the bytes that a
    /// text takes in its file.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn fill_batch(
        &mut self,
        batch_id: i64,
        candidates: &[Candidate],
        at: Timestamp,
        (rows_max, size): (usize, fn(&str) -> usize),
    ) -> Result<Filled, StoreError> {
        self.fill(batch_id, candidates, at, (rows_max, size)).map_err(StoreError::write)
    }

    fn fill(
        &mut self,
        batch_id: i64,
        candidates: &[Candidate],
        at: Timestamp,
        (rows_max, size): (usize, fn(&str) -> usize),
    ) -> rusqlite::Result<Filled> {
        let mut filling = Filling::load(&self.connection, batch_id)?;
        filling.rows_max = i64::try_from(rows_max.min(BATCH_ROWS_MAX)).unwrap_or(i64::MAX);
        let mut filled = Filled::default();
        for candidate in candidates {
            let settled = prepare(&self.connection, candidate, at)?;
            let state = self.state_mut();
            state.pending_change.attributes -= settled.attributes;
            state.pending_change.profiles += settled.profiles;
            state.totals.superseded += settled.attributes;
            if settled.is_pending && !filling.add(&self.connection, candidate, size)? {
                filled.is_full = true;
                break;
            }
            filled.taken += 1;
        }
        filling.save(&self.connection)?;
        Ok(filled)
    }
}

/// What is known of a profile before it is put in a batch.
struct Prepared {
    /// Attributes that are pending no longer, since theirs wins.
    attributes: i64,
    profiles: i64,
    is_pending: bool,
}

/// Writes down what was read, and takes out what theirs wins over.
fn prepare(connection: &Connection, candidate: &Candidate, at: Timestamp) -> rusqlite::Result<Prepared> {
    let id = candidate.profile_id;
    readings::write(connection, id, &candidate.readings, at)?;
    if let Some(existence) = candidate.learned {
        profiles::learn(connection, id, existence, at)?;
    }
    let attributes = supersede(connection, id, &candidate.readings)?;
    let profiles = if attributes > 0 { profiles::refresh_pending(connection, id)? } else { 0 };
    let is_pending: Option<bool> = connection
        .prepare_cached("SELECT pending_seq IS NOT NULL AND batch_id IS NULL FROM profile WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(Prepared { attributes, profiles, is_pending: is_pending.unwrap_or(false) })
}

/// Takes attributes that theirs wins over out of what is pending, and gives how many of them were.
pub(super) fn supersede(connection: &Connection, profile_id: i64, readings: &[Reading]) -> rusqlite::Result<i64> {
    let mut settled = 0;
    for reading in readings.iter().filter(|reading| reading.decision == Decision::Superseded) {
        settled += connection
            .prepare_cached(
                "UPDATE attribute SET refused_version = ?3, refused_reason = ?4
                 WHERE profile_id = ?1 AND name = ?2 AND version = ?3 AND version > max(delivered_version, refused_version)",
            )?
            .execute((profile_id, &reading.name, reading.version, Reason::Superseded.label()))?;
    }
    Ok(i64::try_from(settled).unwrap_or(0))
}

/// A batch while profiles are put in.
struct Filling {
    id: i64,
    rows: i64,
    rows_max: i64,
    bytes: i64,
    names: BTreeSet<String>,
    name_bytes: i64,
    oldest: Option<(i64, i64)>,
}

impl Filling {
    fn load(connection: &Connection, id: i64) -> rusqlite::Result<Self> {
        let (rows, bytes, oldest_seq, oldest_since): (i64, i64, Option<i64>, Option<i64>) = connection
            .prepare_cached("SELECT row_count, byte_count, oldest_seq, oldest_since_ms FROM batch WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let names: BTreeSet<String> = connection
            .prepare_cached("SELECT name FROM batch_name WHERE batch_id = ?1")?
            .query_map([id], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        // Encoded, a name has at most three bytes for each of its own.
        let name_bytes = names.iter().map(|name| 3 * length(name) + 1).sum();
        Ok(Self { id, rows, rows_max: 0, bytes, names, name_bytes, oldest: oldest_seq.zip(oldest_since) })
    }

    /// Puts a profile in, unless there is no room for it.
    fn add(
        &mut self,
        connection: &Connection,
        candidate: &Candidate,
        size: fn(&str) -> usize,
    ) -> rusqlite::Result<bool> {
        let id = candidate.profile_id;
        connection
            .prepare_cached(
                "UPDATE attribute SET batched_version = version, batched_value = NULL, route = ?2
                 WHERE profile_id = ?1 AND value <> '' AND refused_version < version",
            )?
            .execute((id, candidate.route.number()))?;
        let (key, seq, since): (String, i64, i64) = connection
            .prepare_cached(
                "SELECT open(key, 'profile', kind), pending_seq, pending_since_ms FROM profile WHERE id = ?1",
            )?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let attributes = row_attributes(connection, id)?;
        let row_bytes: usize = size(&key) + 1 + attributes.iter().map(|(_, value)| size(value)).sum::<usize>();
        let bytes = self.bytes + i64::try_from(row_bytes).unwrap_or(i64::MAX);
        let new = || attributes.iter().map(|(name, _)| name).filter(|name| !self.names.contains(*name));
        let names = self.names.len() + new().count();
        let name_bytes = self.name_bytes + new().map(|name| 3 * length(name) + 1).sum::<i64>();
        let commas = (self.rows + 1).saturating_mul(i64::try_from(names).unwrap_or(i64::MAX));
        let total = HEAD_BYTES + name_bytes + commas + bytes;
        let fits = total < i64::try_from(BATCH_FILE_BYTES_MAX).unwrap_or(i64::MAX)
            && self.rows < self.rows_max
            && names <= BATCH_NAMES_MAX;
        if !fits {
            connection
                .prepare_cached("UPDATE attribute SET batched_version = 0, route = NULL WHERE profile_id = ?1")?
                .execute([id])?;
            return Ok(false);
        }
        connection.prepare_cached("UPDATE profile SET batch_id = ?2 WHERE id = ?1")?.execute((id, self.id))?;
        let new: Vec<String> = new().cloned().collect();
        for name in new {
            connection
                .prepare_cached("INSERT OR IGNORE INTO batch_name (batch_id, name) VALUES (?1, ?2)")?
                .execute((self.id, &name))?;
            self.names.insert(name);
        }
        (self.rows, self.bytes, self.name_bytes) = (self.rows + 1, bytes, name_bytes);
        self.oldest = Some(self.oldest.map_or((seq, since), |oldest| oldest.min((seq, since))));
        Ok(true)
    }

    fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let oldest = (self.oldest.map(|(seq, _)| seq), self.oldest.map(|(_, since)| since));
        connection
            .prepare_cached(
                "UPDATE batch SET row_count = ?2, byte_count = ?3, oldest_seq = ?4, oldest_since_ms = ?5 WHERE id = ?1",
            )?
            .execute((self.id, self.rows, self.bytes, oldest.0, oldest.1))
            .map(|_| ())
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}
