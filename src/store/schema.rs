//! Opening the database file: pragmas, and migration to the newest schema.
//!
//! A migration is a frozen file under `sql/`; all that are missing run in one transaction. A file that a newer
//! program wrote is refused and not touched.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;
use super::kept;
use super::seal::{self, Standing, StoreFile};
use crate::device::dir;

const MIGRATIONS: [&str; 7] = [
    include_str!("sql/0001_store.sql"),
    include_str!("sql/0002_target.sql"),
    include_str!("sql/0003_history.sql"),
    include_str!("sql/0004_seal.sql"),
    include_str!("sql/0005_sends.sql"),
    include_str!("sql/0006_batch_sent.sql"),
    include_str!("sql/0007_fingerprint.sql"),
];

/// The schema that this program reads and writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Bytes of a page of the database.
pub(super) const PAGE_BYTES: i64 = 2_048;

/// Pages of the log, 32 MiB, after which it is copied into the database, in a store that is large enough: a page that
/// changes often is copied once, not many times. With SQLite's 1,000 pages, one answer in thirty waits for a copy; so it
/// is less than one in a hundred. What a reader that stayed long made it grow beyond that goes back to the flash card.
pub(super) const LOG_PAGES: i64 = 16_000;

/// Statements that stay prepared; more than the store has.
const STATEMENTS: usize = 80;

/// Opens the file for its one writer, making or migrating it as needed.
pub(super) fn open_writer(file: &StoreFile) -> Result<Connection, StoreError> {
    let path = &file.path;
    let open = |source| StoreError::Open { path: path.clone(), source };
    make_private(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(open)?;
    // Another process is kept out by the lock file; a reader's recovery may still hold the file for a moment.
    connection.busy_timeout(Duration::from_secs(5)).map_err(open)?;
    // Before the first pragma that writes.
    let found = refuse_newer(&connection, path)?;
    let standing = seal::look(&connection, file, found)?;
    set_up_writer(&connection).map_err(open)?;
    // Migrations open and seal what they move, with the key that the store has now.
    seal::install(&connection, standing.key(file)).map_err(open)?;
    migrate(&mut connection, path, found)?;
    if standing != Standing::Fits {
        seal::reseal(&mut connection, standing.key(file), file.key.as_ref()).map_err(StoreError::write)?;
        empty_log(&connection)?;
        // They are sealed as the store was before.
        kept::delete_kept(path, None)?;
    }
    seal::install(&connection, file.key.as_ref()).map_err(open)?;
    Ok(connection)
}

/// Seals a store anew, and leaves nothing of what was there before in the file or in its log.
pub(super) fn rekey(file: &StoreFile) -> Result<(), StoreError> {
    let mut connection = match &file.key {
        Some(_) => open_writer(file)?,
        None => open_writer(&StoreFile::new(&file.path, file.old_key.clone()))?,
    };
    if file.key.is_none() {
        seal::reseal(&mut connection, file.old_key.as_ref(), None).map_err(StoreError::write)?;
    }
    empty_log(&connection)?;
    kept::delete_kept(&file.path, None).map(|_| ())
}

/// Moves the whole log into the database, and empties it. SQLite does not sync that: a power cut would bring back what the
/// log held.
pub(super) fn empty_log(connection: &Connection) -> Result<(), StoreError> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(StoreError::write)?;
    if busy != 0 {
        return Err(StoreError::Busy);
    }
    let Some(path) = connection.path().filter(|path| !path.is_empty()) else { return Ok(()) };
    dir::sync_at(Path::new(&format!("{path}-wal"))).map_err(|source| StoreError::Sync { path: path.into(), source })
}

/// Makes the file for this user alone, before SQLite would make it for all. If that fails, so will SQLite, with words.
fn make_private(path: &Path) {
    let _ = dir::make_file(path, 0o600);
}

/// A store that lives in memory, for simulations.
pub(super) fn open_in_memory() -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    let mut connection =
        Connection::open_in_memory().map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    keep_plans(&connection).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    seal::install(&connection, None).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    migrate(&mut connection, path, 0)?;
    Ok(connection)
}

/// Opens the file for reading. The writer has made and migrated it before.
pub(super) fn open_reader(file: &StoreFile) -> Result<Connection, StoreError> {
    let path = &file.path;
    let open = |source| StoreError::Open { path: path.clone(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    keep_plans(&connection).map_err(open)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(open)?;
    // Readers read pages once or twice; the kernel keeps them anyway.
    connection.pragma_update(None, "cache_size", -256).map_err(open)?;
    let found = refuse_newer(&connection, path)?;
    // What a writer has yet to seal is read as it is.
    let standing = seal::look(&connection, file, found)?;
    seal::install(&connection, standing.key(file)).map_err(open)?;
    Ok(connection)
}

fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    // Only a new file takes it. Half of SQLite's 4 KiB: most changes are of a few bytes somewhere in a page, and each such
    // page goes to the log as a whole. Alone an event costs a quarter less time and disk; smaller pages waste room.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    // Readers never wait for the writer, nor it for them.
    connection.pragma_update(None, "journal_mode", "wal")?;
    // NORMAL may lose the last commits at a power cut, and our answer is a promise.
    connection.pragma_update(None, "synchronous", "full")?;
    // 4 MiB: the inner pages of every index of a large store, and no more.
    connection.pragma_update(None, "cache_size", -4096)?;
    // What is erased or purged leaves nothing behind in the pages that it stood in.
    connection.pragma_update(None, "secure_delete", true)
}

/// Prepared statements stay prepared. Else SQLite plans those that could use a partial index anew for every value bound
/// to them, which was a seventh of what an event costs.
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

fn refuse_newer(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    if found > VERSION {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found });
    }
    Ok(found)
}
