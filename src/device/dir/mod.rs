//! A directory that is held open. Operations on it apply to that directory, wherever its path leads by now, and follow
//! no link in it: users who are trusted less than this process may write there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

mod regular;
#[cfg(not(windows))]
mod unix;
#[cfg(windows)]
mod windows;

pub use regular::kind;
#[cfg(not(windows))]
pub use unix::Dir;
#[cfg(windows)]
pub use windows::Dir;

/// Largest file that is read as a small one. Units: bytes. Limits: tokens by name take some 200 each, and keys and certificates
/// some thousands.
pub const SMALL_BYTES_MAX: u64 = 1024 * 1024;

/// Replaces a small file as a whole or not at all. Once it returns, a power cut no longer restores the old one.
///
/// The file is first written under a temporary name, as [`with_temporary`] finds one. If root writes it, it belongs to the owner
/// of the directory.
///
/// # Errors
/// The system's, and in words where something else stands in its place; the file is then unchanged.
pub fn replace(dir: &Dir, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = Path::new(name).with_extension("new");
    with_temporary(dir, new.as_os_str(), |new| replace_by(dir, new, name, bytes, mode))
}

/// Replaces a file in a directory of somebody's as [`replace`] does; no other file of theirs is touched.
///
/// # Errors
/// As for [`replace`].
pub fn place_at(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace_by(&Dir::open(parent(path))?, &unguessable(), name(path)?, bytes, mode)
}

/// Makes something under a temporary name that is not there yet. That is the usual one, of which the remains that a kill left are
/// removed, or, where something stands that cannot be removed, one that nobody can guess.
///
/// # Errors
/// Those of making it.
pub fn with_temporary<T>(dir: &Dir, usual: &OsStr, make: impl Fn(&OsStr) -> io::Result<T>) -> io::Result<T> {
    let _ = dir.remove(usual);
    match dir.metadata_of(usual) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(usual),
        _ => make(&unguessable()),
    }
}

fn unguessable() -> OsString {
    format!(".outpost-{}.new", uuid::Uuid::new_v4().simple()).into()
}

/// Writes a file under a name that is not there yet, and moves it.
fn replace_by(dir: &Dir, new: &OsStr, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = dir.create(new, mode)?;
    let write = || {
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        dir.rename(new, dir, name).map_err(|error| in_its_place(dir, name, error))
    };
    write().inspect_err(|_| drop(dir.remove(new)))?;
    dir.sync()
}

/// Replaces a file by its path as [`replace`] does, in a trusted directory.
///
/// # Errors
/// The system's; the file is then unchanged.
pub fn replace_at(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(&Dir::open(parent(path))?, name(path)?, bytes, mode)
}

/// Creates a file if it does not exist. A power cut does not remove it once something in it is synced. If root creates
/// it, it belongs to the owner of the directory.
///
/// # Errors
/// The system's.
pub fn make_file(path: &Path, mode: u32) -> io::Result<()> {
    let dir = Dir::open(parent(path))?;
    match dir.create(name(path)?, mode) {
        Ok(_) => dir.sync(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renames a file within its directory in a way that a power cut does not undo.
///
/// # Errors
/// The system's, also if the file does not exist.
pub fn rename_at(path: &Path, to: &OsStr) -> io::Result<()> {
    let dir = Dir::open(parent(path))?;
    dir.rename(name(path)?, &dir, to)?;
    dir.sync()
}

/// Syncs a file, including a change of its length, to the disk; does nothing if it does not exist.
///
/// # Errors
/// The system's.
pub fn sync_at(path: &Path) -> io::Result<()> {
    match Dir::reach(parent(path)).and_then(|dir| dir.writable(name(path)?)) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a small file in a directory where others may put something in its place. This is the one way in which such files are read:
/// only a file of one name that belongs to this user, to root or to the directory's owner is, through no link, and nothing is
/// waited for.
///
/// # Errors
/// The system's, and in words for what is no such file, or is larger than [`SMALL_BYTES_MAX`].
pub fn read_small_at(path: &Path) -> io::Result<Vec<u8>> {
    read_small(open_at(path)?)
}

/// Reads a small file of a directory as [`read_small_at`] does.
///
/// # Errors
/// As for [`read_small_at`].
pub fn read_small_in(dir: &Dir, name: &OsStr) -> io::Result<Vec<u8>> {
    read_small(open_in(dir, name)?)
}

/// Opens a file as [`read_small_at`] does.
///
/// # Errors
/// The system's, and in words for what is no such file.
pub fn open_at(path: &Path) -> io::Result<File> {
    open_in(&Dir::reach(parent(path))?, name(path)?)
}

/// Opens a file of a directory as [`open_at`] does.
///
/// # Errors
/// As for [`open_at`].
pub fn open_in(dir: &Dir, name: &OsStr) -> io::Result<File> {
    trusted(dir, dir.file(name).map_err(|error| in_its_place(dir, name, error))?)
}

/// Opens a file, through no link, to be read and written as it is. Whose it is must be known, or not matter, as for a lock.
///
/// # Errors
/// The system's, and in words for what is no file.
pub fn open_writable_at(path: &Path) -> io::Result<File> {
    let (dir, name) = (Dir::reach(parent(path))?, name(path)?);
    dir.writable(name).map_err(|error| in_its_place(&dir, name, error))
}

/// Returns a file of a directory only if it is nobody else's.
fn trusted(dir: &Dir, file: File) -> io::Result<File> {
    match dir.distrust_file(&file.metadata()?) {
        None => Ok(file),
        Some(words) => Err(io::Error::other(format!("it {words}"))),
    }
}

/// Reads all of a small file.
///
/// # Errors
/// The system's, and in words for one that is larger than [`SMALL_BYTES_MAX`].
pub fn read_small(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(SMALL_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SMALL_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

/// Reads the last bytes of a file of a directory, as [`open_in`] opens it, so many at most.
///
/// # Errors
/// As for [`open_in`].
pub fn read_end_in(dir: &Dir, name: &OsStr, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut file = open_in(dir, name)?;
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(bytes_max)))?;
    let mut content = Vec::new();
    file.take(bytes_max).read_to_end(&mut content)?;
    Ok(content)
}

/// A file is no small one.
#[must_use]
pub fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it must be at most {SMALL_BYTES_MAX} bytes"))
}

/// Opens a directory that may be one of somebody who is trusted less: its path ends in no link, unless it is one that this user or
/// root made, in a directory where nobody else could put another.
///
/// # Errors
/// The system's, and in words for a link.
pub fn open_unlinked(path: &Path) -> io::Result<Dir> {
    let Some(name) = path.file_name() else { return Dir::open(path) };
    let above = Dir::reach(parent(path))?;
    let is_link = || above.metadata_of(name).is_ok_and(|found| found.is_symlink());
    match above.dir(name) {
        Err(_) if is_link() => match above.distrust_link() {
            None => Dir::open(path),
            Some(words) => Err(io::Error::other(format!("{words}; it must be a folder"))),
        },
        opened => opened,
    }
}

/// Opens a directory as [`open_unlinked`] does, in which nobody else may write.
///
/// # Errors
/// The system's, and in words.
pub fn open_own(path: &Path) -> io::Result<Dir> {
    let dir = open_unlinked(path)?;
    match dir.distrust(&Dir::reach(parent(path))?)? {
        None => Ok(dir),
        Some(words) => Err(io::Error::other(format!("it {words}; it must be this user's, who alone may write to it"))),
    }
}

/// Opens a file to be continued at its end, and creates it if it is not there.
///
/// # Errors
/// The system's, and in words for what is no file of this user's, or of the directory's owner.
pub fn append(dir: &Dir, name: &OsStr, mode: u32) -> io::Result<File> {
    match dir.create(name, mode) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Before it is opened, since one that is no file may be opened for writing, too.
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", name.display()));
    if let Some(words) = dir.distrust_file(&dir.metadata_of(name)?) {
        return Err(named(io::Error::other(format!("it {words}"))));
    }
    trusted(dir, dir.appendable(name)?).map_err(named)
}

/// Opens a file at a path that is trusted: links in it are followed, and nothing is waited for.
///
/// # Errors
/// The system's, and in words for what is no file.
pub fn open_followed(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, unix::OPEN_AT_ONCE);
    regular::regular(options.open(path)?)
}

/// Returns why something could not be opened or replaced as a file; in words, where it is none.
fn in_its_place(dir: &Dir, name: &OsStr, error: io::Error) -> io::Error {
    match dir.metadata_of(name) {
        Ok(found) if !found.is_file() => {
            io::Error::other(format!("it must be a file; found {}: remove it", kind(found.file_type())))
        }
        _ => error,
    }
}

/// Creates a directory and any missing ones above it, each synced in its parent. If root creates them, each belongs to
/// the owner of its parent.
///
/// # Errors
/// The system's.
pub fn make_dirs(path: &Path, mode: u32) -> io::Result<()> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir());
    for missing in missing.collect::<Vec<_>>().into_iter().rev() {
        let above = Dir::open(parent(missing))?;
        match above.make_dir(name(missing)?, mode) {
            Ok(_) => above.sync()?,
            // Another process was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && missing.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes a file; a missing file is not an error.
///
/// # Errors
/// The system's.
pub fn remove_if_there(dir: &Dir, name: &OsStr) -> io::Result<()> {
    match dir.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) if dir.metadata_of(name).is_ok_and(|found| found.is_dir()) => {
            Err(io::Error::other(format!("{} is a folder, and must be none: remove it", name.display())))
        }
        result => result,
    }
}

/// Returns the directory that contains a path.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path must end in a name"))
}
