//! Damaged stores that are kept for a time: their names, the exchange with the store saved from one, and their
//! deletion. They contain personal data, as the store does.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use crate::core::limits::{DAMAGED_STORE_KEPT, DAMAGED_STORES_MAX};
use crate::core::timestamp::Timestamp;
use crate::device::dir::{self, Dir, remove_if_there};

/// Suffixes of the files that SQLite keeps beside a database.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Suffix of a store that is being built; its content is also in the damaged one.
const BUILDING: &str = ".salvaging";

/// Suffix of a complete, synced store that is to replace the damaged one; a number follows.
const BUILT: &str = ".salvaged-";

/// Suffix of a damaged store; followed by a number, the time when it was put aside, in seconds since 1970.
const KEPT: &str = ".corrupt-";

/// A damaged store that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStore {
    /// Name in the data directory.
    pub name: String,
    /// Time when it is deleted.
    pub until: Timestamp,
}

/// Returns the damaged stores that are kept beside a store, the oldest first. What cannot be listed is none.
#[must_use]
pub fn kept_stores(path: &Path) -> Vec<KeptStore> {
    list(path).unwrap_or_default()
}

fn list(path: &Path) -> io::Result<Vec<KeptStore>> {
    let names = names(&Dir::open(dir::parent(path))?)?;
    let mut numbers: Vec<i64> = numbers(&names, path, KEPT).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let kept = |number| KeptStore { name: name(path, number), until: put_aside_at(number).plus(DAMAGED_STORE_KEPT) };
    Ok(numbers.into_iter().map(kept).collect())
}

/// Kept damaged stores that are to be deleted.
#[derive(Clone, Copy, Debug)]
pub enum Over<'n> {
    /// All of them.
    All,
    /// All but the one of that name.
    AllBut(&'n str),
    /// Those whose time is over at this one, and the oldest of those that are too many.
    At(Timestamp),
}

/// Deletes damaged stores that are kept beside a store. Returns how many; when it does, a power cut brings none of them back.
///
/// # Errors
/// [`StoreError::Kept`].
pub fn delete_kept(path: &Path, over: Over<'_>) -> Result<usize, StoreError> {
    let failed = |name: Option<&KeptStore>| {
        let path = name.map_or_else(|| path.to_owned(), |kept| path.with_file_name(&kept.name));
        |source| StoreError::Kept { path, source }
    };
    let kept = list(path).map_err(failed(None))?;
    let too_many = kept.len().saturating_sub(DAMAGED_STORES_MAX);
    let is_over = |(place, kept): &(usize, KeptStore)| match over {
        Over::All => true,
        Over::AllBut(name) => kept.name != name,
        Over::At(now) => kept.until <= now || *place < too_many,
    };
    let over: Vec<KeptStore> = kept.into_iter().enumerate().filter(is_over).map(|(_, kept)| kept).collect();
    if over.is_empty() {
        return Ok(0);
    }
    let delete = || {
        let dir = Dir::open(dir::parent(path))?;
        for kept in &over {
            remove(&dir, kept.name.as_ref())?;
        }
        dir.sync()
    };
    delete().map_err(failed(over.first()))?;
    Ok(over.len())
}

/// Returns the name of the damaged store from which a store was made, if nothing has been recorded in it since.
pub(super) fn put_aside_now(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection
        .query_row(
            "SELECT kept_as FROM salvage WHERE at_ms >= coalesce((SELECT max(recorded_at_ms) FROM journal), 0)
             ORDER BY at_ms DESC LIMIT 1",
            [],
            |row| row.get("kept_as"),
        )
        .optional()
}

/// Returns the name of the damaged store with a number.
pub(super) fn name(path: &Path, number: i64) -> String {
    ended(path, &format!("{KEPT}{number}")).to_string_lossy().into_owned()
}

/// Returns an unused number for a store that is put aside at a time.
pub(super) fn free_number(path: &Path, at: Timestamp) -> i64 {
    let is_free = |number: &i64| !path.with_file_name(name(path, *number)).exists();
    (at.as_millis() / 1_000..).find(is_free).expect("there are more numbers than files")
}

/// Removes remains of a store that was being built, and returns the path for building one.
pub(super) fn clear_building(path: &Path) -> io::Result<PathBuf> {
    let building = ended(path, BUILDING);
    remove(&Dir::open(dir::parent(path))?, &building)?;
    Ok(path.with_file_name(building))
}

/// Marks a store as built. It must be closed; the mark is on the disk on return.
pub(super) fn build(path: &Path, number: i64) -> io::Result<()> {
    let (dir, building) = (Dir::open(dir::parent(path))?, ended(path, BUILDING));
    remove_beside(&dir, &building)?;
    dir::sync_at(&path.with_file_name(&building))?;
    dir.rename(&building, &dir, &ended(path, &format!("{BUILT}{number}")))?;
    dir.sync()
}

/// Exchanges a damaged store for the one built from it, if there is one. The damaged one is put aside with its log,
/// which must not be applied to the new one; then the new one gets the name. Returns true if there was one. Remains of
/// an unfinished one are removed.
pub(super) fn exchange(path: &Path) -> io::Result<bool> {
    // A missing directory contains nothing; opening the store will report it.
    let Ok(dir) = Dir::open(dir::parent(path)) else { return Ok(false) };
    let names = names(&dir)?;
    let building = ended(path, BUILDING);
    if names.iter().any(|name| name.as_encoded_bytes().starts_with(building.as_encoded_bytes())) {
        remove(&dir, &building)?;
    }
    let Some(number) = numbers(&names, path, BUILT).next() else { return Ok(false) };
    remove_if_there(&dir, &ended(path, "-shm"))?;
    let log = ended(path, "-wal");
    if dir.metadata_of(&log).is_ok_and(|log| log.len() == 0) {
        dir.remove(&log)?;
    }
    let kept = name(path, number);
    for end in ["-wal", ""] {
        match dir.rename(&ended(path, end), &dir, format!("{kept}{end}").as_ref()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    dir.sync()?;
    dir.rename(&ended(path, &format!("{BUILT}{number}")), &dir, &ended(path, ""))?;
    dir.sync()?;
    Ok(true)
}

fn put_aside_at(number: i64) -> Timestamp {
    Timestamp::from_millis(number.saturating_mul(1_000))
}

/// Returns the file name of a store with another suffix.
fn ended(path: &Path, end: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    name
}

fn names(dir: &Dir) -> io::Result<Vec<OsString>> {
    Ok(dir.names()?.collect())
}

/// Returns the numbers of the stores with a suffix, including those of which only the log exists.
fn numbers<'a>(names: &'a [OsString], path: &Path, end: &str) -> impl Iterator<Item = i64> + use<'a> {
    let begin = ended(path, end);
    names.iter().filter_map(move |name| {
        let number = name.to_str()?.strip_prefix(begin.to_str()?)?;
        BESIDE.iter().find_map(|beside| number.strip_suffix(beside)).unwrap_or(number).parse().ok()
    })
}

/// Removes a store with what SQLite keeps beside it.
fn remove(dir: &Dir, name: &OsStr) -> io::Result<()> {
    remove_beside(dir, name)?;
    remove_if_there(dir, name)
}

fn remove_beside(dir: &Dir, name: &OsStr) -> io::Result<()> {
    BESIDE.iter().try_for_each(|beside| {
        let mut name = name.to_owned();
        name.push(beside);
        remove_if_there(dir, &name)
    })
}
