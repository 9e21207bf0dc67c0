//! Where files go that were read, and how long they stay.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::{Found, Identity};

/// Longest name of a file. Units: bytes. Source: ext4, NTFS and APFS allow as much, or more.
const NAME_BYTES_MAX: usize = 255;

/// What is behind the name of a file in the name of what is wrong with it.
const ERRORS: &str = ".errors";

/// Where a file goes that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away<'e> {
    /// Its every line was recorded.
    Done,
    /// Its every line had been recorded before.
    Duplicate,
    /// Some lines could not be recorded; the text names them.
    Failed(&'e str),
}

impl Away<'_> {
    const fn folder(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Duplicate => "duplicate",
            Self::Failed(_) => "failed",
        }
    }
}

/// Moves a file that was read, and gives where it is; none where another has its name by now, which stays.
pub(super) fn put_away(
    folder: &Path,
    found: &Found,
    identity: Identity,
    away: Away<'_>,
) -> io::Result<Option<PathBuf>> {
    let is_ours = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| Identity::of(&metadata) == identity);
    if !is_ours(&found.path) {
        return Ok(None);
    }
    let to = folder.join(away.folder());
    fs::create_dir_all(&to)?;
    let is_there = found.path.parent() == Some(&to);
    let name = if is_there { found.name.clone() } else { free_name(&to, &found.name) };
    if let Away::Failed(errors) = away {
        // First, so that a file in the folder is always with what is wrong with it.
        write_errors(&to, &name, errors)?;
    }
    let path = to.join(&name);
    if !is_there {
        fs::rename(&found.path, &path)?;
        if !is_ours(&path) {
            // Another was moved over it in this moment: that one is to be read.
            fs::rename(&path, folder.join(free_name(folder, &found.name)))?;
            return Ok(None);
        }
    }
    // From now on it is kept for a while; on a file system without such times it is kept from when it was written.
    let _ = OpenOptions::new().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(Some(path))
}

fn write_errors(to: &Path, name: &OsStr, errors: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut errors_name = name.to_owned();
    errors_name.push(ERRORS);
    let mut file = options.open(to.join(errors_name))?;
    file.write_all(errors.as_bytes())?;
    file.sync_all()
}

/// A name that nothing has in a folder: the file's own, or with a number; shorter, if what is wrong with it could not have
/// a name beside it.
fn free_name(folder: &Path, name: &OsStr) -> OsString {
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
    names.find(|name| fs::symlink_metadata(folder.join(name)).is_err()).unwrap_or_else(|| name.to_owned())
}

fn shortened(stem: &OsStr, bytes_max: usize) -> OsString {
    if stem.len() <= bytes_max {
        return stem.to_owned();
    }
    let text = stem.to_string_lossy();
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    OsString::from(&text[..end])
}

/// Files that were read and are still there.
pub(super) fn count_kept(folder: &Path) -> usize {
    let count = |away: Away<'_>| fs::read_dir(folder.join(away.folder())).map_or(0, Iterator::count);
    count(Away::Done) + count(Away::Duplicate) + count(Away::Failed(""))
}

/// Deletes what was read so long ago, and goes on past what cannot be deleted.
///
/// # Errors
/// The first that the system tells.
pub(super) fn purge(folder: &Path, keep: Duration) -> io::Result<()> {
    let mut purged = Ok(());
    for away in [Away::Done, Away::Duplicate] {
        let Ok(entries) = fs::read_dir(folder.join(away.folder())) else { continue };
        for entry in entries {
            let one = entry.and_then(|entry| purge_one(&entry, keep));
            purged = purged.and(one);
        }
    }
    purged
}

fn purge_one(entry: &fs::DirEntry, keep: Duration) -> io::Result<()> {
    let metadata = entry.metadata()?;
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    if metadata.is_file() && age.is_some_and(|age| age >= keep) { fs::remove_file(entry.path()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_leave_room_for_what_is_wrong() {
        let dir = tempfile::tempdir().expect("a directory");
        let long = format!("{}.csv", "å".repeat(125));
        let name = free_name(dir.path(), OsStr::new(&long));
        assert!(name.len() <= NAME_BYTES_MAX - ERRORS.len() && name.to_string_lossy().ends_with("å.csv"), "{name:?}");
        fs::write(dir.path().join("a.csv"), "").expect("written");
        assert_eq!(free_name(dir.path(), OsStr::new("a.csv")), "a-2.csv");
        assert_eq!(free_name(dir.path(), OsStr::new("b.csv")), "b.csv");
    }
}
