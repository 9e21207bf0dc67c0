//! Failures of the store.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of the store, named after the work that failed.
#[derive(Debug)]
pub enum StoreError {
    /// The file could not be opened or set up.
    Open {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file was written by a newer program.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Schema version found.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The file is encrypted, and no key is configured.
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// The file's schema is another than that of its version.
    Changed {
        /// The file.
        path: PathBuf,
        /// Clause that says which part of the store was changed.
        words: String,
    },
    /// The file is encrypted with another key.
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be migrated to this program's schema; it is unchanged.
    Migrate {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file is damaged and cannot be renamed.
    PutAside {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A damaged store that was kept cannot be deleted.
    Kept {
        /// The damaged file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The log was emptied, but the system does not confirm that this is on the disk.
    Sync {
        /// The store's file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// There is no room; nothing of the group was recorded.
    Full(Full),
    /// The store's file, or its log, was removed or replaced while it was open.
    Gone {
        /// The missing file.
        path: PathBuf,
    },
    /// A transaction failed and was rolled back.
    Write(rusqlite::Error),
    /// A query failed.
    Read(rusqlite::Error),
    /// Another process is reading the store's file and keeps the log from being emptied.
    Busy,
    /// The writer has stopped because the agent is stopping.
    Stopped,
}

impl StoreError {
    /// Returns true if the error means that the store's file is damaged.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Migrate { source, .. } | Self::Write(source) | Self::Read(source) => {
                is_corruption(source)
            }
            _ => false,
        }
    }

    /// Returns the failure to open a file.
    pub(super) fn open(path: &Path, source: rusqlite::Error) -> Self {
        // A disk without room for the index of the log is told as one that does not work.
        let is_full =
            source.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(Full::Disk),
            _ if is_full => Self::Full(Full::Disk),
            _ => Self::Open { path: path.to_owned(), source },
        }
    }

    pub(crate) fn write(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(Full::Disk),
            _ => Self::Write(source),
        }
    }

    /// Returns the same failure for another of the jobs that waited for one transaction.
    pub(super) fn repeated(&self) -> Self {
        match self {
            Self::Full(full) => Self::Full(*full),
            Self::Read(error) => Self::Read(same(error)),
            Self::Write(error) => Self::Write(same(error)),
            Self::Stopped => Self::Stopped,
            Self::Gone { path } => Self::Gone { path: path.clone() },
            // A group as a whole fails in no other way; if it did, the message would be kept.
            error => Self::Write(rusqlite::Error::ToSqlConversionFailure(error.to_string().into())),
        }
    }
}

/// Returns a copy of an error of SQLite, or the message of another one.
fn same(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(error, message) => rusqlite::Error::SqliteFailure(*error, message.clone()),
        error => rusqlite::Error::ToSqlConversionFailure(error.to_string().into()),
    }
}

fn kept_words(path: &Path) -> String {
    format!(
        "the damaged store {} contains people's data and cannot be deleted; delete it, and the file of the same name with -wal",
        path.display()
    )
}

fn gone_words(path: &Path) -> String {
    format!(
        "somebody removed or replaced {} while the agent runs, and what is sent now may be only in that file; put the same \
         file back, or restart the agent, which begins without what was in it, and send it again",
        path.display()
    )
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, .. } => write!(
                f,
                "the store {} cannot be opened; check that the folder exists and that this user may write there",
                path.display()
            ),
            Self::NewerSchema { path, found, known } => write!(
                f,
                "the store {} has schema {found}, and this program knows up to {known}; install the newer outpost again, the store was not touched",
                path.display()
            ),
            Self::Sealed { path } => write!(
                f,
                "the store {} is encrypted, and there is no key in [store]; name the key, the store was not touched",
                path.display()
            ),
            Self::Changed { path, words } => write!(f, "the store {} {words}", path.display()),
            Self::WrongKey { path } => write!(
                f,
                "the key in [store] is not the one that {} is encrypted with; name the right one, or the new one if \
                 `outpost rekey` has changed it; the store was not touched",
                path.display()
            ),
            Self::Migrate { path, .. } => {
                write!(f, "the store {} cannot be brought to the newest schema; it was left as it was", path.display())
            }
            Self::PutAside { path, .. } => write!(
                f,
                "{} is damaged, and cannot be exchanged for what can be read of it; check that this user may write in its \
                 folder and that the disk has room",
                path.display()
            ),
            Self::Kept { path, .. } => f.write_str(&kept_words(path)),
            Self::Sync { path, .. } => write!(
                f,
                "the log of {} was emptied, and may come back after a power cut; run the same again",
                path.display()
            ),
            Self::Full(Full::MaxSize) => f.write_str(
                "the store has reached max_size of [store], and all in it waits for delivery; nothing was recorded",
            ),
            Self::Full(Full::DiskLow) => f.write_str(
                "the disk has less than min_free_disk of [store] left; nothing was recorded; free some space",
            ),
            Self::Full(Full::Disk) => f.write_str("the disk is full; nothing was recorded; free some space"),
            Self::Gone { path } => f.write_str(&gone_words(path)),
            Self::Write(_) => f.write_str("writing to the store failed; nothing was recorded"),
            Self::Read(_) => f.write_str("reading from the store failed"),
            Self::Busy => f.write_str(
                "another program reads in the store's file, and keeps the log from being emptied; close it and try again",
            ),
            Self::Stopped => f.write_str("the agent is stopping; nothing was recorded"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Migrate { source, .. } | Self::Write(source) | Self::Read(source) => {
                Some(source)
            }
            Self::PutAside { source, .. } | Self::Kept { source, .. } | Self::Sync { source, .. } => Some(source),
            Self::NewerSchema { .. }
            | Self::Sealed { .. }
            | Self::Changed { .. }
            | Self::WrongKey { .. }
            | Self::Full(_)
            | Self::Gone { .. }
            | Self::Busy
            | Self::Stopped => None,
        }
    }
}

/// A reason for having no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The store has grown to `max_size`.
    MaxSize,
    /// The disk has less than `min_free_disk` left.
    DiskLow,
    /// The disk did not accept a write.
    Disk,
}

/// Returns true if an error means that the file is damaged.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
