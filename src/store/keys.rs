//! The keys of all recorded events, including those that the journal no longer has, to recognise duplicates.
//!
//! Keys are hashes and arrive in any order. In a single index of millions, each new key would change a page anywhere in
//! a large part of the file, which costs as much as the event itself. So keys are stored by generation, a run of event
//! numbers: new keys change only the few pages of the newest generation, and a filter in memory for each older one
//! nearly always tells that it need not be searched.

use std::collections::HashMap;

use fastbloom::BloomFilter;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use crate::core::limits::KEY_FILTERS_MAX;

/// Events of one generation. Limits: its keys take some 3 MiB, which stay in memory and are written often.
const GENERATION_EVENTS: i64 = 1 << 17;

/// Fraction of unknown keys for which a filter may say "perhaps".
const FALSE_POSITIVES: f64 = 0.002;

/// Seed of all filters; the keys are hashes already.
const SEED: u128 = 0;

/// The key of an event: 64 bits of SHA-256 over source and id. Must never change, since it is stored.
#[derive(Clone, Copy)]
pub(super) struct Key(pub(super) i64);

impl Key {
    pub(super) fn of(source: &str, id: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(source);
        // Neither contains a NUL, so that no two pairs join to the same text.
        hasher.update([0]);
        hasher.update(id);
        let digest = hasher.finalize();
        Self(i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes")))
    }
}

/// A filter over the keys of one generation.
pub struct KeyFilter {
    generation: i64,
    filter: BloomFilter,
}

impl KeyFilter {
    fn new(generation: i64) -> Self {
        let items = usize::try_from(GENERATION_EVENTS).expect("a small number");
        Self { generation, filter: BloomFilter::with_false_pos(FALSE_POSITIVES).seed(&SEED).expected_items(items) }
    }

    fn load(connection: &Connection, generation: i64) -> rusqlite::Result<Self> {
        let mut loaded = Self::new(generation);
        let mut statement = connection.prepare_cached("SELECT key_hash FROM event_key WHERE generation = ?1")?;
        let mut rows = statement.query([generation])?;
        while let Some(row) = rows.next()? {
            loaded.insert(Key(row.get(0)?));
        }
        Ok(loaded)
    }

    fn insert(&mut self, key: Key) {
        self.filter.insert_hash(key.0.cast_unsigned());
    }

    fn may_hold(&self, key: Key) -> bool {
        self.filter.contains_hash(key.0.cast_unsigned())
    }
}

/// The existing generations, with their filters.
#[derive(Clone, Copy)]
pub(super) struct Generations {
    pub(super) oldest: i64,
    pub(super) newest: i64,
}

/// Filters over the keys of some generations.
#[derive(Default)]
pub(super) struct Filters(HashMap<i64, KeyFilter>);

impl Generations {
    /// Returns the generations of a store whose newest event has number `last_seq`.
    pub(super) fn load(connection: &Connection, last_seq: i64) -> rusqlite::Result<Self> {
        let newest = generation(last_seq);
        Ok(Self { oldest: oldest_generation(connection)?.unwrap_or(newest), newest })
    }
}

impl Filters {
    /// Returns true if a generation may contain a key; always true if it has no filter.
    pub(super) fn may_hold(&self, generation: i64, key: Key) -> bool {
        self.0.get(&generation).is_none_or(|filter| filter.may_hold(key))
    }

    /// Adds the key of an event; the first event of a generation starts its filter.
    pub(super) fn insert(&mut self, key: Key, seq: i64) {
        let generation = generation(seq);
        if is_first(seq) {
            self.adopt(KeyFilter::new(generation));
        }
        if let Some(filter) = self.0.get_mut(&generation) {
            filter.insert(key);
        }
    }

    pub(super) fn remove(&mut self, generation: i64) {
        self.0.remove(&generation);
    }

    /// Adds a filter; the oldest are dropped if there are too many.
    pub(super) fn adopt(&mut self, filter: KeyFilter) {
        self.0.insert(filter.generation, filter);
        if self.0.len() > KEY_FILTERS_MAX {
            let oldest = self.0.keys().min().copied();
            oldest.map(|oldest| self.0.remove(&oldest));
        }
    }
}

/// Reads the filters of all complete generations, newest first, and hands each to `adopt` until it declines. This reads
/// all keys, so do not let a start wait for it.
pub(super) fn load_filters(
    connection: &Connection,
    last_seq: i64,
    mut adopt: impl FnMut(KeyFilter) -> bool,
) -> rusqlite::Result<()> {
    let Some(oldest) = oldest_generation(connection)? else { return Ok(()) };
    for generation in (oldest..generation(last_seq)).rev().take(KEY_FILTERS_MAX) {
        if !adopt(KeyFilter::load(connection, generation)?) {
            break;
        }
    }
    Ok(())
}

pub(super) fn oldest_generation(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .query_row("SELECT generation FROM event_key ORDER BY generation LIMIT 1", [], |row| row.get(0))
        .optional()
}

pub(super) const fn generation(seq: i64) -> i64 {
    seq.div_euclid(GENERATION_EVENTS)
}

/// Returns the number of the first event of a generation.
pub(super) const fn first_of(generation: i64) -> i64 {
    generation * GENERATION_EVENTS
}

/// Returns true if an event is the first of its generation.
pub(super) fn is_first(seq: i64) -> bool {
    seq == first_of(generation(seq)).max(1)
}
