//! A directory that is held open. What is done in it is done in that directory, wherever its path leads by now, and no
//! link in it is followed: others may write there who are trusted less than this process.

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

/// Replaces a small file, whole or not at all; when this returns, a power cut no longer brings the one before back.
///
/// Written beside it under the same name with the end `.new`; a link that somebody put there is removed, not followed. As
/// root it belongs to the owner of the directory.
///
/// # Errors
/// The system's; then the file is as it was.
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

/// As [`replace`], by the path of a file in a directory that is trusted.
///
/// # Errors
/// The system's; then the file is as it was.
pub fn replace_at(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    replace(&Dir::open(parent(path))?, name(path)?, bytes, mode)
}

/// Makes a file that is not there, which a power cut does not remove once something in it is synced; does nothing if it
/// is there. As root it belongs to the owner of the directory.
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

/// Renames a file within its directory, so that a power cut does not undo it.
///
/// # Errors
/// The system's, also when the file is not there.
pub fn rename_at(path: &Path, to: &OsStr) -> io::Result<()> {
    let dir = Dir::open(parent(path))?;
    dir.rename(name(path)?, &dir, to)?;
    dir.sync()
}

/// Returns once what was written to a file, or cut from it, is on the disk; does nothing if it is not there.
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

/// Makes a directory and those above it that are not there, each synced in the one above it. As root each belongs to the
/// owner of the one above.
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

/// Removes a file; one that is not there is none to remove.
///
/// # Errors
/// The system's.
pub fn remove_if_there(dir: &Dir, name: &OsStr) -> io::Result<()> {
    match dir.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The directory that a path is in.
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

/// A file that was opened, if it is one: neither a directory, nor a pipe or a device, which would be waited for.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it must be a file")) }
}
