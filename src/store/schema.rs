//! Opening the database file: pragmas, and migration to the newest schema.
//!
//! A migration is a frozen file under `sql/`; all missing ones run in one transaction. A file written by a newer
//! program is refused and not touched.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;
use super::file as store_file;
use super::foreign;
use super::kept::{self, Over};
use super::seal::{self, Standing, StoreFile};
use crate::device::dir;

const MIGRATIONS: [&str; 10] = [
    include_str!("sql/0001_store.sql"),
    include_str!("sql/0002_target.sql"),
    include_str!("sql/0003_history.sql"),
    include_str!("sql/0004_seal.sql"),
    include_str!("sql/0005_sends.sql"),
    include_str!("sql/0006_batch_sent.sql"),
    include_str!("sql/0007_fingerprint.sql"),
    include_str!("sql/0008_person.sql"),
    include_str!("sql/0009_parts.sql"),
    include_str!("sql/0010_joined.sql"),
];

/// Schema version that this program reads and writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Page size of the database. Units: bytes.
pub(super) const PAGE_BYTES: i64 = 2_048;

/// Pages of the log, 32 MiB, after which it is copied into the database, if the store is large enough: a page that
/// changes often is then copied once instead of many times. With SQLite's default of 1,000 pages, one answer in thirty
/// waits for a copy; with this, fewer than one in a hundred. If a long read made the log larger, the excess is returned
/// to the flash card.
pub(super) const LOG_PAGES: i64 = 16_000;

/// Prepared statements that are cached; more than the store has.
const STATEMENTS: usize = 80;

/// Opens the file for its only writer, creating or migrating it as needed.
pub(super) fn open_writer(file: &StoreFile) -> Result<Connection, StoreError> {
    let path = &file.path;
    let open = |source| StoreError::open(path, source);
    make_private(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = store_file::connect(path, flags).map_err(open)?;
    // The lock file excludes other processes; a reader's recovery may still lock the file for a moment.
    connection.busy_timeout(Duration::from_secs(5)).map_err(open)?;
    // Must come before the first pragma that writes.
    let found = refuse_newer(&connection, path)?;
    refuse_changed(&connection, path, found)?;
    let standing = seal::look(&connection, file, found)?;
    set_up_writer(&connection).map_err(open)?;
    // Migrations decrypt and encrypt what they move, with the key that the store has now.
    seal::install(&connection, standing.key(file)).map_err(open)?;
    migrate(&mut connection, path, found)?;
    if standing != Standing::Fits {
        seal::reseal(&mut connection, standing.key(file), file.key.as_ref()).map_err(StoreError::write)?;
        empty_log(&connection)?;
        // They are sealed as the store was before. One that was put aside just now holds what could not be saved of it.
        let new = kept::put_aside_now(&connection).map_err(StoreError::Read)?;
        kept::delete_kept(path, new.as_deref().map_or(Over::All, Over::AllBut))?;
    }
    seal::install(&connection, file.key.as_ref()).map_err(open)?;
    Ok(connection)
}

/// Encrypts a store again, and leaves none of the old content in the file or its log.
pub(super) fn rekey(file: &StoreFile) -> Result<(), StoreError> {
    let mut connection = match &file.key {
        Some(_) => open_writer(file)?,
        None => open_writer(&StoreFile::new(&file.path, file.old_key.clone()))?,
    };
    if file.key.is_none() {
        seal::reseal(&mut connection, file.old_key.as_ref(), None).map_err(StoreError::write)?;
    }
    empty_log(&connection)?;
    kept::delete_kept(&file.path, Over::All).map(|_| ())
}

/// Moves the whole log into the database and empties it. SQLite does not sync the emptying: a power cut would restore
/// the content of the log.
pub(super) fn empty_log(connection: &Connection) -> Result<(), StoreError> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(StoreError::write)?;
    if busy != 0 {
        return Err(StoreError::Busy);
    }
    let Some(path) = connection.path().filter(|path| !path.is_empty()) else { return Ok(()) };
    dir::sync_at(Path::new(&format!("{path}-wal"))).map_err(|source| StoreError::Sync { path: path.into(), source })
}

/// Creates the file readable only for this user, before SQLite would create it for all. If that fails, SQLite will
/// report it.
fn make_private(path: &Path) {
    let _ = dir::make_file(path, 0o600);
}

/// Opens a store in memory, for simulations.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    let mut connection = Connection::open_in_memory().map_err(|source| StoreError::open(path, source))?;
    keep_plans(&connection).map_err(|source| StoreError::open(path, source))?;
    seal::install(&connection, None).map_err(|source| StoreError::open(path, source))?;
    migrate(&mut connection, path, 0)?;
    Ok(connection)
}

/// Returns an empty store in memory as that version of its schema made it.
pub(super) fn of_version(version: i64) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    seal::install(&connection, None)?;
    for migration in MIGRATIONS.iter().take(usize::try_from(version).unwrap_or(0)) {
        connection.execute_batch(migration)?;
    }
    Ok(connection)
}

/// Opens the file for reading. The writer has created and migrated it before.
pub(super) fn open_reader(file: &StoreFile) -> Result<Connection, StoreError> {
    let path = &file.path;
    let open = |source| StoreError::open(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = store_file::connect(path, flags).map_err(open)?;
    keep_plans(&connection).map_err(open)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(open)?;
    // Readers read pages once or twice; the kernel caches them anyway.
    connection.pragma_update(None, "cache_size", -256).map_err(open)?;
    let found = refuse_newer(&connection, path)?;
    refuse_changed(&connection, path, found)?;
    // Rows that a writer has yet to encrypt are read as they are.
    let standing = seal::look(&connection, file, found)?;
    seal::install(&connection, standing.key(file)).map_err(open)?;
    Ok(connection)
}

fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    // Takes effect only in a new file. Half of SQLite's 4 KiB: most changes are a few bytes somewhere in a page, and
    // each such page goes to the log as a whole. For a single event this costs a quarter less time and disk; smaller
    // pages waste room.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // Readers never wait for the writer, nor it for them.
    connection.pragma_update(None, "journal_mode", "wal")?;
    // NORMAL may lose the last commits at a power cut, and an answer is a promise.
    connection.pragma_update(None, "synchronous", "full")?;
    // 4 MiB: enough for the inner pages of every index of a large store.
    connection.pragma_update(None, "cache_size", -4096)?;
    // Erased or purged data leaves nothing behind in its pages.
    connection.pragma_update(None, "secure_delete", true)
}

/// Keeps the plans of prepared statements. Otherwise SQLite plans those that could use a partial index again for every
/// bound value, which was a seventh of the cost of an event.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn migrate(connection: &mut Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    if found == VERSION {
        return Ok(());
    }
    run_migrations(connection, found).map_err(|source| StoreError::Migrate { path: path.to_owned(), source })
}

fn run_migrations(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn refuse_changed(connection: &Connection, path: &Path, version: i64) -> Result<(), StoreError> {
    let changed = of_version(version).and_then(|ours| foreign::changed(connection, &ours));
    match changed.map_err(|source| StoreError::open(path, source))? {
        None => Ok(()),
        Some(words) => Err(StoreError::Changed { path: path.to_owned(), words }),
    }
}

pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| StoreError::open(path, source))?;
    if found > VERSION {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}
