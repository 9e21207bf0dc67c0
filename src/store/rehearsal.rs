//! A copy in memory of what a store knows of some profiles: for trying what an event would do, without doing it.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::seal::StoreFile;
use super::{SCHEMA_VERSION, Store, StoreError, StoreLimits, profiles, schema, seal};
use crate::core::identity::Identity;

/// Tables whose rows of a profile are copied, by the column that names it.
const OF_PROFILE: [(&str, &str); 5] = [
    ("profile", "id"),
    ("attribute", "profile_id"),
    ("reading", "profile_id"),
    ("sends", "profile_id"),
    ("verification", "profile_id"),
];

/// Tables that are copied whole: a few rows each.
const WHOLE: [&str; 4] = ["quota", "read_quota", "batch", "counter"];

/// A store in memory that knows some profiles.
pub struct Rehearsal {
    /// The store. Nothing that is done to it stays.
    pub store: Store,
    /// Profiles that wait beside these, counted up to a bound.
    pub backlog: usize,
    /// Profiles that are in a batch now. In the copy they are not.
    pub in_batch: Vec<i64>,
}

impl Rehearsal {
    /// Copies what the store's file knows of profiles; `backlog_max` is the bound for others that wait. Without a file, it is
    /// as at the first start.
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
        if file.path.exists() {
            let original = schema::open_reader(file)?;
            let standing = seal::look(&original, file, SCHEMA_VERSION)?;
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
    // One view of all of it.
    let original = original.unchecked_transaction()?;
    for table in WHOLE {
        rows(&original, copy, table, "TRUE", None)?;
    }
    // Versions are counted from the newest event.
    rows(&original, copy, "journal", "seq = (SELECT max(seq) FROM journal)", None)?;
    for identity in identities {
        let Some(profile) = profiles::find(&original, identity)? else { continue };
        for (table, column) in OF_PROFILE {
            rows(&original, copy, table, &format!("{column} = ?1"), Some(profile.id))?;
        }
    }
    // What is reserved is for what the agent sends beside this.
    copy.execute("DELETE FROM counter WHERE name = 'quota_reserved'", [])?;
    let counted = i64::try_from(backlog_max + identities.len()).unwrap_or(i64::MAX).saturating_add(1);
    let waiting = "SELECT count(*) FROM (SELECT 1 FROM profile
                   WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL LIMIT ?1)";
    let count = |connection: &Connection| connection.query_row(waiting, [counted], |row| row.get::<_, i64>(0));
    let backlog = count(&original)? - count(copy)?;
    let in_batch = copy
        .prepare("UPDATE profile SET batch_id = NULL WHERE batch_id IS NOT NULL RETURNING id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok((usize::try_from(backlog).unwrap_or_default(), in_batch))
}

/// Copies rows of a table.
fn rows(
    original: &Connection,
    copy: &Connection,
    table: &str,
    condition: &str,
    id: Option<i64>,
) -> rusqlite::Result<()> {
    let mut select = original.prepare(&format!("SELECT * FROM {table} WHERE {condition}"))?;
    let columns = select.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut insert = copy.prepare(&format!("INSERT OR REPLACE INTO {table} VALUES ({places})"))?;
    let mut rows = select.query(params_from_iter(id))?;
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| row.get::<_, Value>(column)).collect::<rusqlite::Result<Vec<_>>>()?;
        insert.execute(params_from_iter(values))?;
    }
    Ok(())
}
