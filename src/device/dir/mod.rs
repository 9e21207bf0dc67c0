//! A directory that is held open. Operations on it apply to that directory, wherever its path leads by now, and follow
//! no link in it: users who are trusted less than this process may write there.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

#[cfg(not(windows))]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
pub use unix::Dir;
#[cfg(windows)]
pub use windows::Dir;

/// Replaces a small file as a whole or not at all. Once it returns, a power cut no longer restores the old one.
///
/// The file is first written under the same name with the suffix `.new`; a link that somebody put there is removed, not
/// followed. If root writes it, it belongs to the owner of the directory.
///
/// # Errors
/// The system's; the file is then unchanged.
pub fn replace(dir: &Dir, name: &OsStr, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = Path::new(name).with_extension("new");
    let new = new.as_os_str();
    remove_if_there(dir, new)?;
    let write = || {
        let mut file = dir.create(new, mode)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        dir.rename(new, dir, name)
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
    match File::options().write(true).open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
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

/// Returns a file only if it is a regular one: a pipe or a device would block.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it must be a file")) }
}
