//! A damaged store: recognised, put aside under another name, and saved from as far as it can be read.
//!
//! The damaged file is kept for a time (see `kept`): its events exist nowhere else, and better tools than this may read more of
//! it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ToSql};

use super::StoreError;
use super::header;
use super::kept;
use super::schema;
use super::seal::{self, StoreFile, StoreKey};
use super::stored::{Stored, pending};
use crate::core::operation::Decision;
use crate::core::timestamp::Timestamp;
use crate::device::dir;

/// Steps of SQLite's check that a start spends looking for damage. A store that is too large for them is looked at as a
/// whole when something in it could not be read.
///
/// Limits: some 15 ms on the machine where it was measured.
const CHECK_STEPS_MAX: u64 = 5_000;

/// Steps between two looks at the limit.
const CHECK_STEPS: i32 = 100;

/// Rows that were saved from a damaged store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// When.
    pub at: Timestamp,
    /// Under which name the damaged file is kept.
    pub kept_as: String,
    /// Profiles.
    pub profiles: i64,
    /// Attributes.
    pub attributes: i64,
    /// Events of the journal.
    pub events: i64,
    /// Rejected events and updates.
    pub rejected: i64,
}

impl fmt::Display for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, kept_as, profiles, attributes, events, rejected } = self;
        write!(
            f,
            "the store was damaged on {at}; it is kept as {kept_as}, and {profiles} profiles, {attributes} attributes, \
             {events} events and {rejected} rejected were saved from it"
        )
    }
}

/// The tables that are saved, in the order of their worth: what Target has not yet is first.
const TABLES: [(&str, &str); 14] = [
    ("profile", "pending_seq IS NULL, id"),
    ("attribute", "profile_id, name"),
    ("destination", "id"),
    ("sends", "profile_id"),
    ("reading", "profile_id, name"),
    ("read_quota", "minute"),
    ("verification", "profile_id"),
    ("counter", "name"),
    ("quota", "minute"),
    ("rejected", "id"),
    ("settled_mark", "at_ms"),
    ("journal_profile", "seq, profile_id"),
    ("journal", "seq"),
    ("event_key", "generation, key_hash, seq"),
];

/// Returns whether SQLite calls the file damaged, as far as can be seen in a moment; or in any time, when something could not
/// be read before.
pub(super) fn is_damaged(file: &StoreFile) -> bool {
    let path = &file.path;
    if !path.exists() {
        return false;
    }
    let limit = if suspicion_path(path).exists() { u64::MAX } else { CHECK_STEPS_MAX };
    match check(file, limit) {
        Ok(is_sound) => !is_sound,
        Err(error) => header::is_corruption(&error),
    }
}

/// Notes that something in the file could not be read: the next start looks at all of it.
pub(super) fn suspect(path: &Path) {
    let _ = dir::replace_at(&suspicion_path(path), b"something in the store could not be read\n", 0o600);
}

fn suspicion_path(path: &Path) -> PathBuf {
    path.with_extension("suspect")
}

fn check(file: &StoreFile, limit: u64) -> rusqlite::Result<bool> {
    let path = &file.path;
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Else the whole log would be copied now, while somebody waits for the start.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > schema::VERSION {
        // A newer program's: it is refused, and not touched.
        return Ok(true);
    }
    let mut steps = 0;
    let is_enough = move || {
        steps += u64::from(CHECK_STEPS.unsigned_abs());
        steps > limit
    };
    connection.progress_handler(CHECK_STEPS, Some(is_enough))?;
    let found: rusqlite::Result<String> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        // No damage was seen in that time.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(true),
        found => {
            let mut is_sound = found? == "ok";
            if is_sound && limit == u64::MAX {
                is_sound = opens(&connection, file, version)?;
            }
            if is_sound {
                let _ = std::fs::remove_file(suspicion_path(path));
            }
            Ok(is_sound)
        }
    }
}

/// Returns whether all that is sealed opens. With another key nothing would, which says nothing of damage.
fn opens(connection: &Connection, file: &StoreFile, version: i64) -> rusqlite::Result<bool> {
    let Ok(standing) = seal::look(connection, file, version) else { return Ok(true) };
    seal::install(connection, standing.key(file))?;
    seal::is_whole(connection)
}

/// Saves what can be read of a damaged store into a new one beside it, and puts the damaged one aside once that is on the disk.
/// Cut off at any moment, the next start does it again or finishes it.
pub(super) fn salvage(file: &StoreFile, now: Timestamp) -> Result<(), StoreError> {
    let path = &file.path;
    let put_aside = |source| StoreError::PutAside { path: path.clone(), source };
    header::restore(path).map_err(put_aside)?;
    let key = holding(file)?;
    let building = kept::clear_building(path).map_err(put_aside)?;
    let new = schema::open_writer(&StoreFile::new(&building, key.clone()))?;
    let mut saved = save(&StoreFile::new(path, key), &new).map_err(StoreError::write)?;
    saved.at = newest(&new).map_err(StoreError::write)?.map_or(now, |newest| newest.max(now));
    let number = kept::free_number(path, saved.at);
    saved.kept_as = kept::name(path, number);
    note(&new, &saved).map_err(StoreError::write)?;
    schema::empty_log(&new)?;
    drop(new);
    kept::build(path, number).map_err(put_aside)?;
    finish(path).map(|_| ())
}

/// Finishes a salvage that was cut off after all was saved. Returns whether there was one.
pub(super) fn finish(path: &Path) -> Result<bool, StoreError> {
    let is_finished = kept::exchange(path).map_err(|source| StoreError::PutAside { path: path.to_owned(), source })?;
    if is_finished {
        let _ = std::fs::remove_file(suspicion_path(path));
    }
    Ok(is_finished)
}

/// When the newest event was recorded: a clock that was set back says less.
fn newest(new: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let newest: Option<i64> = new.query_row("SELECT max(recorded_at_ms) FROM journal", [], |row| row.get(0))?;
    Ok(newest.map(Timestamp::from_millis))
}

/// The key that the rows of a damaged store are sealed with: the one that is handed in, unless they are not sealed.
fn holding(file: &StoreFile) -> Result<Option<StoreKey>, StoreError> {
    let look = || -> rusqlite::Result<_> {
        let connection = Connection::open_with_flags(&file.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        seal::proof(&connection, version)?;
        Ok(seal::look(&connection, file, version))
    };
    match look() {
        Ok(Ok(standing)) => Ok(standing.key(file).cloned()),
        Ok(Err(wrong)) => Err(wrong),
        // What cannot be read any more was sealed as it is configured.
        Err(_) => Ok(file.key.clone()),
    }
}

fn save(damaged: &StoreFile, new: &Connection) -> rusqlite::Result<Salvage> {
    let mut saved = Salvage::default();
    // What cannot even be opened is kept all the same.
    let Ok(old) = Connection::open_with_flags(&damaged.path, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Ok(saved);
    };
    // It is kept as it was found.
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    seal::install(&old, damaged.key.as_ref())?;
    new.execute_batch("BEGIN IMMEDIATE")?;
    for (table, order) in TABLES {
        // A sealed value that does not open is as unreadable as a page; it stays in the damaged file.
        let condition = damaged.key.as_ref().and_then(|_| seal::condition(table));
        let rows = copy(&old, new, table, order, condition.as_deref())?;
        match table {
            "profile" => saved.profiles = rows,
            "attribute" => saved.attributes = rows,
            "journal" => saved.events = rows,
            "rejected" => saved.rejected = rows,
            _ => {}
        }
    }
    // Attributes whose profile could not be read belong to nobody. What was in a batch is pending: it is sent again.
    new.execute(
        "DELETE FROM reading WHERE profile_id NOT IN (SELECT id FROM profile) OR decision = ?1",
        [Decision::Carried.stored()],
    )?;
    new.execute_batch(concat!(
        "DELETE FROM attribute WHERE profile_id NOT IN (SELECT id FROM profile);
         DELETE FROM sends WHERE profile_id NOT IN (SELECT id FROM profile);
         UPDATE fingerprint_key SET since_seq = (SELECT coalesce(max(seq), 0) + 1 FROM event_key);
         UPDATE attribute SET batched_version = 0, batched_value = NULL WHERE batched_version > 0;
         UPDATE profile SET batch_id = NULL WHERE batch_id IS NOT NULL;
         UPDATE profile SET (pending_seq, pending_since_ms) = (
             SELECT min(version), changed_at_ms FROM attribute WHERE profile_id = id AND ",
        pending!(),
        "); COMMIT"
    ))?;
    Ok(saved)
}

/// Copies the rows of a table that fulfil a condition, from its beginning until one cannot be read, and from its end until then.
fn copy(
    old: &Connection,
    new: &Connection,
    table: &str,
    order: &str,
    condition: Option<&str>,
) -> rusqlite::Result<i64> {
    let mut copied = 0;
    for direction in ["", " DESC"] {
        let order = order.replace(',', &format!("{direction},"));
        // The damaged store may be of an older schema, which has not all tables and columns of the new one, and some more.
        let Ok(kept) = column_names(old, table) else { continue };
        let names: Vec<String> = column_names(new, table)?.into_iter().filter(|name| kept.contains(name)).collect();
        let (columns, places) = (names.len(), vec!["?"; names.len()].join(","));
        let names = names.join(",");
        let condition = condition.unwrap_or("true");
        let sql = format!("SELECT {names} FROM {table} WHERE {condition} ORDER BY {order}{direction}");
        let Ok(mut statement) = old.prepare(&sql) else { continue };
        let mut insert = new.prepare(&format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})"))?;
        let Ok(mut rows) = statement.query([]) else { continue };
        let mut is_whole = true;
        loop {
            match rows.next() {
                Ok(Some(row)) => copied += i64::try_from(insert_row(&mut insert, row, columns)?).unwrap_or(0),
                Ok(None) => break,
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        if is_whole {
            break;
        }
    }
    Ok(copied)
}

fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = columns.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// A row that the new schema does not take is as unreadable as another.
fn insert_row(insert: &mut rusqlite::Statement<'_>, row: &Row<'_>, columns: usize) -> rusqlite::Result<usize> {
    let mut values = Vec::with_capacity(columns);
    for column in 0..columns {
        match row.get::<_, rusqlite::types::Value>(column) {
            Ok(value) => values.push(value),
            Err(_) => return Ok(0),
        }
    }
    let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
    match insert.execute(values.as_slice()) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(0),
        result => result,
    }
}

fn note(new: &Connection, saved: &Salvage) -> rusqlite::Result<()> {
    new.execute(
        "INSERT OR REPLACE INTO salvage (at_ms, kept_as, profiles, attributes, events, rejected)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (saved.at.as_millis(), &saved.kept_as, saved.profiles, saved.attributes, saved.events, saved.rejected),
    )
    .map(|_| ())
}

/// The last time that something was saved from a damaged store.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Option<Salvage>> {
    connection
        .query_row(
            "SELECT at_ms, kept_as, profiles, attributes, events, rejected FROM salvage ORDER BY at_ms DESC LIMIT 1",
            [],
            |row| {
                Ok(Salvage {
                    at: Timestamp::from_millis(row.get("at_ms")?),
                    kept_as: row.get("kept_as")?,
                    profiles: row.get("profiles")?,
                    attributes: row.get("attributes")?,
                    events: row.get("events")?,
                    rejected: row.get("rejected")?,
                })
            },
        )
        .optional()
}
