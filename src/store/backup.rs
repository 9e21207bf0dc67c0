//! A copy of a store, also while others write it: all of one commit, whole, and on the disk before it has its name.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use rusqlite::{Connection, OpenFlags};

use super::file as store_file;
use super::foreign;
use super::{schema, seal};
use crate::device::dir::{self, Dir, remove_if_there};

/// End of the name of a copy that is being made.
const PARTIAL: &str = ".partial";

/// Content of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Its size.
    pub bytes: u64,
    /// Version of its schema.
    pub schema: i64,
    /// Events in the journal.
    pub events: i64,
    /// Profiles.
    pub profiles: i64,
    /// Profiles among them with a value that Target does not have.
    pub pending: i64,
    /// Rejected events and updates.
    pub rejected: i64,
    /// True if people's data is encrypted in it, with the store's key.
    pub is_sealed: bool,
}

/// Why there is no copy. What was made of it is removed again.
#[derive(Debug)]
pub enum BackupError {
    /// There is such a file already.
    There {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be made, written or synced.
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The store cannot be read, or not be copied.
    Copy {
        /// The store's file.
        path: PathBuf,
        /// Cause, in SQLite's words.
        source: rusqlite::Error,
    },
    /// The store's schema is another than that of its version.
    Changed {
        /// The store's file.
        path: PathBuf,
        /// Clause that says which part of the store was changed.
        words: String,
    },
    /// The copy is damaged, and so is most likely the store.
    Damaged {
        /// The store's file.
        path: PathBuf,
    },
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::There { path } => {
                write!(f, "{} is there already, and is not overwritten: name another file", path.display())
            }
            Self::File { path, .. } => write!(
                f,
                "{} cannot be written; check that its folder is there, that this user may write in it and that the disk has room",
                path.display()
            ),
            Self::Copy { path, .. } => write!(f, "the store {} cannot be copied", path.display()),
            Self::Changed { path, words } => write!(f, "the store {} {words}", path.display()),
            Self::Damaged { path } => write!(
                f,
                "the store {} is damaged, and was not copied; restart the agent, which saves what can be read",
                path.display()
            ),
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Copy { source, .. } => Some(source),
            Self::There { .. } | Self::Changed { .. } | Self::Damaged { .. } => None,
        }
    }
}

/// Copies a store into a file that is not there yet, for its owner alone. Neither its key is needed nor a lock.
///
/// # Errors
/// [`BackupError`].
pub fn back_up(store: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    let file = |source| BackupError::File { path: to.to_owned(), source };
    let no_name = || file(io::Error::new(io::ErrorKind::InvalidInput, "the path must end in a name"));
    let name = to.file_name().ok_or_else(no_name)?;
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::There { path: to.to_owned() });
    }
    let mut partial = name.to_owned();
    partial.push(PARTIAL);
    let folder = Dir::open(dir::parent(to)).map_err(file)?;
    // One that a power cut left is nobody's copy.
    let made =
        dir::with_temporary(&folder, &partial, |partial| folder.create(partial, 0o600).map(|_| partial.to_owned()));
    let partial = made.map_err(file)?;
    let path = dir::parent(to).join(&partial);
    let made = copy(store, &path).and_then(|found| {
        dir::sync_at(&path).map_err(file)?;
        // Whoever made one of that name meanwhile keeps it.
        drop(folder.create(name, 0o600).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => BackupError::There { path: to.to_owned() },
            _ => file(source),
        })?);
        folder.rename(&partial, &folder, name).map_err(file)?;
        folder.sync().map_err(file)?;
        Ok(found)
    });
    made.inspect_err(|_| drop(remove_if_there(&folder, &partial)))
}

/// Copies it into an empty file, and reads that as a whole.
fn copy(store: &Path, to: &Path) -> Result<BackedUp, BackupError> {
    let failed = |source| BackupError::Copy { path: store.to_owned(), source };
    let open = |path| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = store_file::connect(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5)).map(|()| connection)
    };
    let Some(name) = to.to_str() else {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the path must be UTF-8");
        return Err(BackupError::File { path: to.to_owned(), source });
    };
    let source = open(store).map_err(failed)?;
    let version: i64 = source.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    // What a newer program makes is not known here, and copied as it is.
    let changed = || schema::of_version(version).and_then(|ours| foreign::changed(&source, &ours));
    let changed = if version > schema::VERSION { Ok(None) } else { changed() };
    if let Some(words) = changed.map_err(failed)? {
        return Err(BackupError::Changed { path: store.to_owned(), words });
    }
    // One transaction of reading, so that what it copies is of one commit; the agent's commits do not wait for it.
    source.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
    let found = open(to).and_then(|copy| {
        let found = look(&copy, to)?;
        let checked: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok((checked == "ok").then_some(found))
    });
    found.map_err(failed)?.ok_or_else(|| BackupError::Damaged { path: store.to_owned() })
}

fn look(copy: &Connection, path: &Path) -> rusqlite::Result<BackedUp> {
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get(0));
    let schema = copy.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(BackedUp {
        bytes: path.metadata().map(|metadata| metadata.len()).unwrap_or_default(),
        schema,
        events: count("SELECT count(*) FROM journal")?,
        profiles: count("SELECT count(*) FROM profile")?,
        pending: count("SELECT count(*) FROM profile WHERE pending_seq IS NOT NULL")?,
        rejected: count("SELECT count(*) FROM rejected")?,
        is_sealed: seal::proof(copy, schema)?.is_some(),
    })
}
