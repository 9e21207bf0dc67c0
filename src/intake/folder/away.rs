//! The directories for files that were read, and how long the files stay there.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::found::{Found, Look};
use super::notes::is_notes;
use super::opened::{FAILED, Identity, KEPT, Opened, Place, UNFIXED_LOOKED_AT};
use super::verified::Known;
use crate::device::dir::{self, Dir};

/// Longest file name. Units: bytes. Source: ext4, NTFS and APFS allow at least as much.
const NAME_BYTES_MAX: usize = 255;

/// Suffix that is added to a file's name for its list of errors.
const ERRORS: &str = ".errors";

/// Most bytes of what is wrong with a file. Limits: more than all errors that are written, each with its greatest length.
const ERRORS_BYTES_MAX: u64 = 16 << 20;

/// Permissions of a list of errors.
const ERRORS_MODE: u32 = 0o640;

/// Time by which two files differ that were written at once. Source: FAT keeps times of two seconds.
const TIMES_APART: Duration = Duration::from_secs(2);

/// The destination of a file that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away<'e> {
    /// Every line was recorded.
    Done,
    /// Every line had been recorded before.
    Duplicate,
    /// Some lines could not be recorded; the text lists them.
    Failed(&'e str),
}

impl Away<'_> {
    const fn folder(self) -> &'static str {
        match self {
            Self::Done => KEPT[0],
            Self::Duplicate => KEPT[1],
            Self::Failed(_) => KEPT[2],
        }
    }
}

/// Moves a file that was read and looked so then, and returns its new place; `None` if another file has its name by now, or it was
/// written anew: that stays.
pub(super) fn put_away(
    opened: &Opened,
    found: &Found,
    (identity, known, look): (Identity, Known<'_>, Look),
    away: Away<'_>,
) -> io::Result<Option<Place>> {
    let is_ours = |place: &Place| opened.metadata(place).is_ok_and(|metadata| Identity::of(&metadata) == identity);
    if !is_ours(&found.place) {
        return Ok(None);
    }
    let to = opened.make(away.folder())?;
    let from = match found.place.kept {
        None => &opened.dir,
        Some(kept) => &opened.make(kept)?,
    };
    let is_there = found.place.kept == Some(away.folder());
    let name = if is_there { found.place.name.clone() } else { free_name(&to, &found.place.name) };
    if let Away::Failed(errors) = away {
        // Written first, so that a file in this directory always has its list of errors.
        dir::replace(&to, &errors_of(&name), errors.as_bytes(), ERRORS_MODE)?;
    }
    let place = Place { kept: Some(away.folder()), name };
    if !is_there {
        from.rename(&found.place.name, &to, &place.name)?;
        if !is_ours(&place) || !known.is_still(look)? {
            // Another was moved or copied over it at this moment and is still to be read.
            let _ = to.remove(&errors_of(&place.name));
            to.rename(&place.name, &opened.dir, &free_name(&opened.dir, &found.place.name))?;
            return Ok(None);
        }
    }
    if found.place.kept == Some(FAILED) && !is_there {
        // Nothing is wrong with it any more.
        let _ = from.remove(&errors_of(&found.place.name));
    }
    // It is kept for a while from now on; without such times on the file system, from when it was written.
    let _ = to.touch(known.file, &place.name);
    if place.kept == Some(FAILED) {
        // Last: what is newer was changed by somebody.
        let errors = errors_of(&place.name);
        let _ = to.file(&errors).and_then(|file| to.touch(&file, &errors));
    }
    Ok(Some(place))
}

/// Files in `failed` that were written to after what is wrong with them was written down, by their times; none on a file system
/// without such times.
///
/// # Errors
/// The system's.
pub(super) fn changed(opened: &Opened) -> io::Result<Vec<Place>> {
    let Some(failed) = opened.kept(FAILED)? else { return Ok(Vec::new()) };
    let modified = |name: &OsStr| failed.metadata_of(name).ok()?.modified().ok();
    let changed = |errors: OsString| {
        let name = Path::new(&errors).file_stem()?.to_owned();
        let (told, at) = (modified(&errors)?, modified(&name)?);
        let is_newer = at.duration_since(told).is_ok_and(|since| since > TIMES_APART);
        is_newer.then_some(Place { kept: Some(FAILED), name })
    };
    let errors =
        failed.names()?.take(UNFIXED_LOOKED_AT).filter(|name| name.as_encoded_bytes().ends_with(ERRORS.as_bytes()));
    Ok(errors.filter_map(changed).collect())
}

fn errors_of(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    name.push(ERRORS);
    name
}

/// Notes beside a file in `failed` that it was changed there and is not read again: it would be unclear which of its
/// lines were recorded.
///
/// # Errors
/// The system's.
pub(super) fn tell_changed(opened: &Opened, name: &OsStr) -> io::Result<()> {
    const CHANGED: &str = "This file was changed here since it was read, and was not read again, so that nothing is counted twice: \
        drop the lines that you fixed as a file of their own.\n";
    let (failed, errors_name) = (opened.make(FAILED)?, errors_of(name));
    let mut errors = Vec::new();
    match dir::open_in(&failed, &errors_name) {
        Ok(file) => drop(file.take(ERRORS_BYTES_MAX).read_to_end(&mut errors)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if !errors.starts_with(CHANGED.as_bytes()) {
        errors.splice(..0, CHANGED.bytes());
    }
    // In any case, so that the list is newer than the file, also where the file's time lies ahead.
    dir::replace(&failed, &errors_name, &errors, ERRORS_MODE)?;
    let at = failed.metadata_of(name)?.modified()?;
    if at > SystemTime::now() { failed.writable(&errors_name)?.set_modified(at) } else { Ok(()) }
}

/// Returns a name that is free in a directory: the file's own, or one with a number; shortened if a list of errors
/// would not fit beside it.
fn free_name(folder: &Dir, name: &OsStr) -> OsString {
    let path = Path::new(name);
    let stem = path.file_stem().unwrap_or_default();
    let end = path.extension().unwrap_or_default();
    let numbered = |number: usize| {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let room = NAME_BYTES_MAX - ERRORS.len() - suffix.len() - end.len() - 1;
        let mut name = shortened(stem, room);
        name.push(suffix);
        name.push(".");
        name.push(end);
        name
    };
    let mut names = (1..).map(numbered);
    names.find(|name| folder.metadata_of(name).is_err()).unwrap_or_else(|| name.to_owned())
}

fn shortened(stem: &OsStr, bytes_max: usize) -> OsString {
    if stem.len() <= bytes_max {
        return stem.to_owned();
    }
    let text = stem.to_string_lossy();
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    OsString::from(&text[..end])
}

/// Counts the files that were read and still exist.
pub(super) fn count_kept(folder: &Path) -> usize {
    let Ok(opened) = Opened::open(folder) else { return 0 };
    let count = |kept| Some(opened.kept(kept).ok()??.names().ok()?.filter(|name| !is_notes(name)).count());
    KEPT.into_iter().filter_map(count).sum()
}

/// Deletes files that were read longer ago than `keep`, skipping any that cannot be deleted.
///
/// # Errors
/// The first error of the system.
pub(super) fn purge(folder: &Path, keep: Duration) -> io::Result<()> {
    let opened = Opened::open(folder)?;
    let mut purged = Ok(());
    for away in [Away::Done, Away::Duplicate] {
        let one = opened.kept(away.folder()).and_then(|kept| kept.map_or(Ok(()), |kept| purge_one(&kept, keep)));
        purged = purged.and(one);
    }
    purged
}

fn purge_one(kept: &Dir, keep: Duration) -> io::Result<()> {
    let mut purged = Ok(());
    for name in kept.names()?.filter(|name| !is_notes(name)) {
        let is_old = |metadata: std::fs::Metadata| {
            let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            metadata.is_file() && age.is_some_and(|age| age >= keep)
        };
        // What has a list of errors was not recorded, whoever moved it here.
        let is_failed =
            || name.as_encoded_bytes().ends_with(ERRORS.as_bytes()) || kept.metadata_of(&errors_of(&name)).is_ok();
        let remove = |found| if is_old(found) && !is_failed() { kept.remove(&name) } else { Ok(()) };
        let one = kept.metadata_of(&name).and_then(remove);
        purged = purged.and(one);
    }
    purged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_leave_room_for_what_is_wrong() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("opened");
        let long = format!("{}.csv", "å".repeat(125));
        let name = free_name(&dir, OsStr::new(&long));
        assert!(name.len() <= NAME_BYTES_MAX - ERRORS.len() && name.to_string_lossy().ends_with("å.csv"), "{name:?}");
        std::fs::write(temporary.path().join("a.csv"), "").expect("written");
        assert_eq!(free_name(&dir, OsStr::new("a.csv")), "a-2.csv");
        assert_eq!(free_name(&dir, OsStr::new("b.csv")), "b.csv");
    }
}
