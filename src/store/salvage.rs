//! Damaged stores: recognising one, putting it aside under another name, and saving whatever can be read.
//!
//! The damaged file is kept for a time (see `kept`): its events exist nowhere else, and better tools may read more of
//! it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ToSql};

use super::error::{StoreError, is_corruption};
use super::file as store_file;
use super::header;
use super::kept;
use super::schema;
use super::seal::{self, StoreFile, StoreKey};
use super::stored::{Stored, pending};
use crate::core::operation::Decision;
use crate::core::timestamp::Timestamp;
use crate::core::words::counted;
use crate::device::clock::timestamp;
use crate::device::dir;

/// Steps of SQLite's check that a start spends looking for damage. A store too large for this is checked completely
/// once a part of it could not be read.
///
/// Limits: some 15 ms on the machine where it was measured.
const CHECK_STEPS_MAX: u64 = 5_000;

/// Steps between two checks of the limit.
const CHECK_STEPS: i32 = 100;

/// Rows saved from a damaged store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// Time of saving.
    pub at: Timestamp,
    /// Name under which the damaged file is kept.
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
            "the store was damaged on {at} and is kept as {kept_as}; saved from it: {}, {}, {}, {rejected} rejected",
            counted(*profiles, "profile"),
            counted(*attributes, "attribute"),
            counted(*events, "event")
        )
    }
}

/// Tables that are saved, most valuable first: data that Target does not have yet.
const TABLES: [(&str, &str); 21] = [
    ("profile", "pending_seq IS NULL, id"),
    ("attribute", "profile_id, name"),
    ("part", "profile_id, name, begun_seq"),
    ("part_answered", "part"),
    ("destination", "id"),
    ("fleet", "id"),
    ("sends", "profile_id"),
    ("identity_key", "id"),
    ("forgotten", "identity"),
    ("reading", "profile_id, name"),
    ("read_quota", "minute"),
    ("verification", "profile_id"),
    ("counter", "name"),
    ("quota", "minute"),
    ("rejected", "id"),
    ("retried", "profile_id, name"),
    ("without_effect", "id"),
    ("settled_mark", "at_ms"),
    ("journal_profile", "seq, profile_id"),
    ("journal", "seq"),
    ("event_key", "generation, key_hash, seq"),
];

/// Returns true if SQLite finds the file damaged in a short check, or in a complete one if a part of it could not be
/// read before.
pub(super) fn is_damaged(file: &StoreFile) -> bool {
    let path = &file.path;
    if !path.exists() {
        return false;
    }
    let limit = if suspicion_path(path).exists() { u64::MAX } else { CHECK_STEPS_MAX };
    match check(file, limit) {
        Ok(is_sound) => !is_sound,
        Err(error) => is_corruption(&error),
    }
}

/// Records that a part of the file could not be read, so that the next start checks all of it.
pub(super) fn suspect(path: &Path) {
    let _ = dir::replace_at(&suspicion_path(path), b"something in the store could not be read\n", 0o600);
}

fn suspicion_path(path: &Path) -> PathBuf {
    path.with_extension("suspect")
}

fn check(file: &StoreFile, limit: u64) -> rusqlite::Result<bool> {
    let path = &file.path;
    let mut connection = store_file::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Otherwise the whole log would be copied now, while somebody waits for the start.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > schema::VERSION {
        // Written by a newer program: it is refused and not touched.
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
        // No damage was found within that time.
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

/// Returns true if all encrypted values can be decrypted. With another key none could, which says nothing about damage.
fn opens(connection: &Connection, file: &StoreFile, version: i64) -> rusqlite::Result<bool> {
    let Ok(standing) = seal::look(connection, file, version) else { return Ok(true) };
    seal::install(connection, standing.key(file))?;
    seal::is_whole(connection)
}

/// Saves the readable part of a damaged store into a new one beside it, and puts the damaged one aside once the new one
/// is on the disk. If interrupted at any point, the next start repeats or finishes it.
pub(super) fn salvage(file: &StoreFile, now: Timestamp) -> Result<(), StoreError> {
    let path = &file.path;
    let put_aside = |source| StoreError::PutAside { path: path.clone(), source };
    let written = std::fs::metadata(path).and_then(|found| found.modified()).map(timestamp);
    header::restore(path).map_err(put_aside)?;
    let key = holding(file)?;
    let building = kept::clear_building(path).map_err(put_aside)?;
    let new = schema::open_writer(&StoreFile::new(&building, key.clone()))?;
    let (mut saved, knows_ids) = save(&StoreFile::new(path, key), &new).map_err(StoreError::write)?;
    // A clock that is not set yet says less than the newest event, or where no event can be read, than the file.
    let newest = newest(&new).map_err(StoreError::write)?;
    saved.at = newest.or(written.ok()).map_or(now, |known| known.max(now));
    if !knows_ids {
        forget_ids(&new, saved.at).map_err(StoreError::write)?;
    }
    let number = kept::free_number(path, saved.at);
    saved.kept_as = kept::name(path, number);
    note(&new, &saved).map_err(StoreError::write)?;
    schema::empty_log(&new)?;
    drop(new);
    kept::build(path, number).map_err(put_aside)?;
    finish(path).map(|_| ())
}

/// Finishes a salvage that was interrupted after everything was saved. Returns true if there was one.
pub(super) fn finish(path: &Path) -> Result<bool, StoreError> {
    let is_finished = kept::exchange(path).map_err(|source| StoreError::PutAside { path: path.to_owned(), source })?;
    if is_finished {
        let _ = std::fs::remove_file(suspicion_path(path));
    }
    Ok(is_finished)
}

/// Returns the time when the newest event was recorded; a clock that was set back may show less.
fn newest(new: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let newest: Option<i64> = new.query_row("SELECT max(recorded_at_ms) FROM journal", [], |row| row.get(0))?;
    Ok(newest.map(Timestamp::from_millis))
}

/// Returns the key with which the rows of a damaged store are encrypted: the configured one, unless they are not
/// encrypted.
fn holding(file: &StoreFile) -> Result<Option<StoreKey>, StoreError> {
    let look = || -> rusqlite::Result<_> {
        let connection = store_file::connect(&file.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        seal::proof(&connection, version)?;
        Ok(seal::look(&connection, file, version))
    };
    match look() {
        Ok(Ok(standing)) => Ok(standing.key(file).cloned()),
        Ok(Err(wrong)) => Err(wrong),
        // If nothing is readable any more, the rows were encrypted as configured.
        Err(_) => Ok(file.key.clone()),
    }
}

/// Says that ids of events are known from that time on alone.
fn forget_ids(new: &Connection, at: Timestamp) -> rusqlite::Result<()> {
    new.execute(
        "INSERT INTO counter (name, value) VALUES ('ids_known_since_ms', ?1)
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        [at.as_millis()],
    )
    .map(|_| ())
}

/// Saves what can be read. Tells what that was, and whether it has the ids of all events.
fn save(damaged: &StoreFile, new: &Connection) -> rusqlite::Result<(Salvage, bool)> {
    let (mut saved, mut knows_ids) = (Salvage::default(), true);
    // A file that cannot even be opened is kept all the same.
    let Ok(old) = store_file::connect(&damaged.path, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
        return Ok((saved, false));
    };
    // Its log stays beside it.
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    seal::install(&old, damaged.key.as_ref())?;
    // Hashes of identities are of the key with which they were made.
    new.execute_batch("BEGIN IMMEDIATE; DELETE FROM identity_key; DELETE FROM fleet")?;
    for (table, order) in TABLES {
        // A value that cannot be decrypted is as unreadable as a damaged page; it stays in the damaged file.
        let condition = damaged.key.as_ref().and_then(|_| seal::condition(table));
        let Copied { rows, is_whole } = copy(&old, new, table, order, condition.as_deref())?;
        match table {
            "event_key" | "counter" => knows_ids &= is_whole,
            "profile" => saved.profiles = rows,
            "attribute" => saved.attributes = rows,
            "journal" => saved.events = rows,
            "rejected" => saved.rejected = rows,
            _ => {}
        }
    }
    // Attributes without a readable profile belong to nobody. Values in a batch are pending and sent again.
    new.execute(
        "DELETE FROM reading WHERE profile_id NOT IN (SELECT id FROM profile) OR decision = ?1",
        [Decision::Carried.stored()],
    )?;
    new.execute_batch(concat!(
        "DELETE FROM attribute WHERE profile_id NOT IN (SELECT id FROM profile);
         DELETE FROM sends WHERE profile_id NOT IN (SELECT id FROM profile);
         DELETE FROM retried WHERE profile_id NOT IN (SELECT id FROM profile);
         DELETE FROM part WHERE NOT EXISTS (
             SELECT 1 FROM attribute WHERE attribute.profile_id = part.profile_id AND attribute.name = part.name);
         INSERT OR IGNORE INTO fleet (id, store) VALUES (1, lower(hex(randomblob(16))));
         DELETE FROM forgotten WHERE NOT EXISTS (SELECT 1 FROM identity_key);
         DELETE FROM without_effect WHERE NOT EXISTS (SELECT 1 FROM identity_key);
         INSERT OR IGNORE INTO identity_key (id, key) VALUES (1, seal(hex(randomblob(16)), 'identity_key'));
         UPDATE fingerprint_key SET since_seq = (SELECT coalesce(max(seq), 0) + 1 FROM event_key);
         UPDATE attribute SET batched_version = 0, batched_value = NULL WHERE batched_version > 0;
         UPDATE profile SET batch_id = NULL WHERE batch_id IS NOT NULL;
         UPDATE profile SET (pending_seq, pending_since_ms) = (
             SELECT min(version), changed_at_ms FROM attribute WHERE profile_id = id AND ",
        pending!(),
        "); COMMIT"
    ))?;
    Ok((saved, knows_ids))
}

/// The rows copied from a table.
struct Copied {
    rows: i64,
    is_whole: bool,
}

/// Copies the rows of a table that meet a condition, from its beginning up to an unreadable one, and from its end back
/// to there.
fn copy(
    old: &Connection,
    new: &Connection,
    table: &str,
    order: &str,
    condition: Option<&str>,
) -> rusqlite::Result<Copied> {
    let mut copied = Copied { rows: 0, is_whole: false };
    for direction in ["", " DESC"] {
        let order = order.replace(',', &format!("{direction},"));
        // The damaged store may have an older schema, without some tables and columns of the new one, and with others.
        let Ok(kept) = column_names(old, table) else { continue };
        let names: Vec<String> = column_names(new, table)?.into_iter().filter(|name| kept.contains(name)).collect();
        let (columns, places) = (names.len(), vec!["?"; names.len()].join(","));
        let names = names.join(",");
        let condition = condition.unwrap_or("true");
        let sql = format!("SELECT {names} FROM {table} WHERE {condition} ORDER BY {order}{direction}");
        let Ok(mut statement) = old.prepare(&sql) else { continue };
        let mut insert = new.prepare(&format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})"))?;
        let Ok(mut rows) = statement.query([]) else { continue };
        copied.is_whole = loop {
            match rows.next() {
                Ok(Some(row)) => copied.rows += i64::try_from(insert_row(&mut insert, row, columns)?).unwrap_or(0),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if copied.is_whole {
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

/// Inserts a row; one that the new schema rejects counts as unreadable.
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

/// Returns the last time that something was saved from a damaged store.
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
