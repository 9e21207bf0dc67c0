//! A copy in memory of what a store knows about some profiles, to try what an event would do without doing it.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::identity_key::IdentityKey;
use super::seal::StoreFile;
use super::{Store, StoreError, StoreLimits, profiles, schema, seal};
use crate::core::identity::Identity;

/// Tables of which a profile's rows are copied, with the column that names the profile.
const OF_PROFILE: [(&str, &str); 5] = [
    ("profile", "id"),
    ("attribute", "profile_id"),
    ("reading", "profile_id"),
    ("sends", "profile_id"),
    ("verification", "profile_id"),
];

/// Tables copied as a whole, with a few rows each.
const WHOLE: [&str; 5] = ["quota", "read_quota", "batch", "counter", "identity_key"];

/// A store in memory with a few profiles.
pub struct Rehearsal {
    /// The store. Changes to it are discarded.
    pub store: Store,
    /// Other waiting profiles, counted up to a bound.
    pub backlog: usize,
    /// Profiles that are in a batch now. In the copy they are in none.
    pub in_batch: Vec<i64>,
}

impl Rehearsal {
    /// Copies what the store's file knows about profiles, and counts other waiting ones up to `backlog_max`. Without a
    /// file, the copy is as at a first start.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn of(
        file: &StoreFile,
        identities: &[&Identity],
        limits: StoreLimits,
        backlog_max: usize,
    ) -> Result<Self, StoreError> {
        let copy = schema::open_in_memory()?;
        let (mut backlog, mut in_batch) = (0, Vec::new());
        if file.path.symlink_metadata().is_ok() {
            let original = schema::open_reader(file)?;
            let standing = seal::look(&original, file, schema::refuse_newer(&original, &file.path)?)?;
            let filled =
                seal::install(&copy, standing.key(file)).and_then(|()| fill(&original, &copy, identities, backlog_max));
            (backlog, in_batch) = filled.map_err(StoreError::Read)?;
        }
        let mut store = Store::with(copy)?;
        store.limits = limits;
        Ok(Self { store, backlog, in_batch })
    }
}

fn fill(
    original: &Connection,
    copy: &Connection,
    identities: &[&Identity],
    backlog_max: usize,
) -> rusqlite::Result<(usize, Vec<i64>)> {
    // A single view of everything.
    let original = original.unchecked_transaction()?;
    for table in WHOLE {
        rows(&original, copy, table, "TRUE", None)?;
    }
    // Versions continue from the newest event.
    rows(&original, copy, "journal", "seq = (SELECT max(seq) FROM journal)", None)?;
    let key = IdentityKey::load(copy)?;
    for identity in identities {
        rows(&original, copy, "forgotten", "identity = ?1", Some(key.hash(identity)))?;
        let Some(profile) = profiles::find(&original, identity)? else { continue };
        for (table, column) in OF_PROFILE {
            rows(&original, copy, table, &format!("{column} = ?1"), Some(profile.id))?;
        }
    }
    // The reservation is for what the running agent sends.
    copy.execute("DELETE FROM counter WHERE name = 'quota_reserved'", [])?;
    let counted = i64::try_from(backlog_max + identities.len()).unwrap_or(i64::MAX).saturating_add(1);
    let count = |connection: &Connection| {
        // A profile of the first schema is in no batch.
        let known = ["batch_id", "look_at_ms"].into_iter().filter(|name| has_column(connection, "profile", name));
        let free: String = known.map(|name| format!(" AND {name} IS NULL")).collect();
        let waiting =
            format!("SELECT count(*) FROM (SELECT 1 FROM profile WHERE pending_seq IS NOT NULL{free} LIMIT ?1)");
        connection.query_row(&waiting, [counted], |row| row.get::<_, i64>(0))
    };
    let backlog = count(&original)? - count(copy)?;
    let in_batch = copy
        .prepare("UPDATE profile SET batch_id = NULL WHERE batch_id IS NOT NULL RETURNING id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok((usize::try_from(backlog).unwrap_or_default(), in_batch))
}

fn has_column(connection: &Connection, table: &str, column: &str) -> bool {
    connection.column_exists(None, table, column).unwrap_or(false)
}

/// Copies rows of a table, which a store of an older schema may not have, or with other columns.
fn rows(
    original: &Connection,
    copy: &Connection,
    table: &str,
    condition: &str,
    id: Option<i64>,
) -> rusqlite::Result<()> {
    if !original.table_exists(None, table)? {
        return Ok(());
    }
    let all = original.prepare(&format!("SELECT * FROM {table}"))?;
    let names: Vec<String> =
        all.column_names().filter(|name| has_column(copy, table, name)).map(str::to_owned).collect();
    let (columns, names) = (names.len(), names.join(", "));
    let places = vec!["?"; columns].join(", ");
    let mut select = original.prepare(&format!("SELECT {names} FROM {table} WHERE {condition}"))?;
    let mut insert = copy.prepare(&format!("INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})"))?;
    let mut rows = select.query(params_from_iter(id))?;
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| row.get::<_, Value>(column)).collect::<rusqlite::Result<Vec<_>>>()?;
        insert.execute(params_from_iter(values))?;
    }
    Ok(())
}
