//! Damaged stores that are kept, for a time: their names, how one is exchanged for the store that was saved from it, and their
//! end. They hold people's data like the store.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::core::limits::DAMAGED_STORE_KEPT;
use crate::core::timestamp::Timestamp;
use crate::device::dir::{self, Dir, remove_if_there};

/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// End of the name of a store that is being built; what it holds is in the damaged one too.
const BUILDING: &str = ".salvaging";

/// End of the name of a store that is whole and on the disk, and takes the damaged one's place; a number follows.
const BUILT: &str = ".salvaged-";

/// End of the name of a damaged store; a number follows: when it was put aside, in seconds since 1970.
const KEPT: &str = ".corrupt-";

/// A damaged store that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStore {
    /// Its name in the data directory.
    pub name: String,
    /// When it is deleted.
    pub until: Timestamp,
}

/// Returns the damaged stores that are kept beside a store, by name. What cannot be listed is none.
#[must_use]
pub fn kept_stores(path: &Path) -> Vec<KeptStore> {
    let names = Dir::open(dir::parent(path)).and_then(|dir| names(&dir)).unwrap_or_default();
    let mut kept: Vec<KeptStore> = numbers(&names, path, KEPT)
        .map(|number| KeptStore { name: name(path, number), until: put_aside_at(number).plus(DAMAGED_STORE_KEPT) })
        .collect();
    kept.sort_by(|one, other| one.name.cmp(&other.name));
    kept.dedup();
    kept
}

/// Deletes the damaged stores that are kept beside a store and whose time is over at `now`, or all of them where it is none.
/// Returns how many; when it does, a power cut brings none of them back.
///
/// # Errors
/// [`StoreError::Kept`].
pub fn delete_kept(path: &Path, now: Option<Timestamp>) -> Result<usize, StoreError> {
    let is_over = |kept: &KeptStore| now.is_none_or(|now| kept.until <= now);
    let over: Vec<KeptStore> = kept_stores(path).into_iter().filter(is_over).collect();
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
    delete().map_err(|source| StoreError::Kept { path: path.with_file_name(&over[0].name), source })?;
    Ok(over.len())
}

/// Name of the damaged store with that number.
pub(super) fn name(path: &Path, number: i64) -> String {
    ended(path, &format!("{KEPT}{number}")).to_string_lossy().into_owned()
}

/// The number of a store that is put aside at that time, which no other has.
pub(super) fn free_number(path: &Path, at: Timestamp) -> i64 {
    let is_free = |number: &i64| !path.with_file_name(name(path, *number)).exists();
    (at.as_millis() / 1_000..).find(is_free).expect("there are more numbers than files")
}

/// Removes what is left of a store that was being built, and returns where one is built.
pub(super) fn clear_building(path: &Path) -> io::Result<PathBuf> {
    let building = ended(path, BUILDING);
    remove(&Dir::open(dir::parent(path))?, &building)?;
    Ok(path.with_file_name(building))
}

/// Says that a store is built: it is closed, and on the disk when this returns.
pub(super) fn build(path: &Path, number: i64) -> io::Result<()> {
    let (dir, building) = (Dir::open(dir::parent(path))?, ended(path, BUILDING));
    remove_beside(&dir, &building)?;
    dir::sync_at(&path.with_file_name(&building))?;
    dir.rename(&building, &dir, &ended(path, &format!("{BUILT}{number}")))?;
    dir.sync()
}

/// Exchanges a damaged store for the one that was built of it, if there is one: the damaged one is put aside with its log, which
/// must not meet the new one, and then the new one gets the name. Returns whether there was one. What is left of one that was
/// not built is removed.
pub(super) fn exchange(path: &Path) -> io::Result<bool> {
    // A directory that is not there holds nothing; whoever opens the store says so.
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

/// The file name of a store with another end.
fn ended(path: &Path, end: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    name
}

fn names(dir: &Dir) -> io::Result<Vec<OsString>> {
    Ok(dir.names()?.collect())
}

/// The numbers of the stores with such a name; of one whose log alone is there too.
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
