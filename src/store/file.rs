//! The one way in which SQLite opens a file: it would resolve a link, make a file where that leads, and wait for a pipe. Whose
//! directory it is may be trusted less than this process, as a service's is by root.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, ffi};

use super::foreign;
use super::kept::BESIDE;
use crate::device::dir::{self, Dir};

/// Opens a database whose file, and each that SQLite keeps beside it, is not there, or is a file of one name that belongs to
/// this user, to root, or to the owner of its directory. Nothing that the file brings with it is run.
///
/// # Errors
/// SQLite's; and in words of our own, with SQLite's code for what cannot be opened.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let (path, flags) = checked(path, flags)
        .map_err(|words| rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(words)))?;
    let connection = Connection::open_with_flags(path, flags)?;
    foreign::run_none(&connection)?;
    Ok(connection)
}

/// The path as SQLite is to open it, and how: links in it were followed, as far as the directory.
fn checked(path: &Path, flags: OpenFlags) -> Result<(PathBuf, OpenFlags), String> {
    let name = path.file_name().ok_or_else(|| "the path must end in a name".to_owned())?;
    // A directory that is not there holds nothing; SQLite says so.
    let Ok(dir) = Dir::reach(dir::parent(path)) else { return Ok((path.to_owned(), flags)) };
    for end in std::iter::once("").chain(BESIDE) {
        let mut name = name.to_owned();
        name.push(end);
        if let Ok(found) = dir.metadata_of(&name)
            && let Some(words) = dir.distrust_file(&found)
        {
            return Err(format!("{} {words}", name.display()));
        }
    }
    // There no link is a file's metadata, and SQLite follows none.
    if cfg!(windows) {
        return Ok((path.to_owned(), flags));
    }
    let real = std::fs::canonicalize(dir::parent(path)).map_err(|error| error.to_string())?;
    Ok((real.join(name), flags | OpenFlags::SQLITE_OPEN_NOFOLLOW))
}
