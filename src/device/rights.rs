//! Permissions of other users on our files, and the user of this process.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
#[cfg(unix)]
use std::sync::OnceLock;

use super::dir;

/// Makes new files of this process unreadable to others and unwritable for its group.
pub fn make_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
}

/// Keeps the memory of this process out of core files and from other programs of this user.
pub fn keep_memory_private() {
    // If a call fails, the system's own settings apply; nobody can be told yet.
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    // A program that collects cores, as systemd's does, obeys only this limit.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Lets this process have as many files and connections open as the system allows it.
#[cfg(feature = "hub")]
pub fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let limits = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limits.maximum, ..limits });
    }
}

/// Returns true if this process is root, which it does not need to be.
#[must_use]
pub fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}

/// Returns the owner of a symbolic link at a path, if that is neither this user nor root.
#[must_use]
pub fn foreign_link(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        let link = std::fs::symlink_metadata(path).ok().filter(|found| found.file_type().is_symlink())?;
        let owner = std::os::unix::fs::MetadataExt::uid(&link);
        let is_trusted = [0, rustix::process::geteuid().as_raw()].contains(&owner);
        (!is_trusted).then_some(owner)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Returns the owner of something, if that is not this user. `None` on a system without such owners.
#[must_use]
pub fn other_owner(found: &Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        let owner = std::os::unix::fs::MetadataExt::uid(found);
        (owner != rustix::process::geteuid().as_raw()).then_some(owner)
    }
    #[cfg(not(unix))]
    {
        let _ = found;
        None
    }
}

/// User whose secrets root's commands may also read: the owner of the data directory.
#[cfg(unix)]
static SERVICE_USER: OnceLock<u32> = OnceLock::new();

/// Sets the service's data directory: root may read secret files that belong to its owner.
pub fn name_data_dir(path: &Path) {
    #[cfg(unix)]
    if let Ok(found) = std::fs::metadata(path) {
        let _ = SERVICE_USER.set(std::os::unix::fs::MetadataExt::uid(&found));
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// A reason why a secret file cannot be read.
#[derive(Debug)]
pub enum SecretError {
    /// An error from the system.
    File(io::Error),
    /// Somebody else can read or change the file; the text says what to type.
    Rights(String),
}

/// Opens a file of secrets, which others can neither read nor change. It belongs to this user or root, or, where root
/// opens it, to the owner of its directory or of the data directory; its group may read it, as a service's may. Nothing is
/// waited for: it must be a file, of at most [`dir::SMALL_BYTES_MAX`].
///
/// # Errors
/// [`SecretError`].
pub fn open_secret(path: &Path) -> Result<File, SecretError> {
    check_secret(path, dir::open_followed(path).map_err(SecretError::File)?)
}

/// As [`open_secret`], in a directory where others may put a link in the place of the file: none is followed.
///
/// # Errors
/// [`SecretError`].
pub fn open_own_secret(path: &Path) -> Result<File, SecretError> {
    check_secret(path, dir::open_at(path).map_err(SecretError::File)?)
}

fn check_secret(path: &Path, file: File) -> Result<File, SecretError> {
    let bytes = file.metadata().map_err(SecretError::File)?.len();
    if bytes > dir::SMALL_BYTES_MAX {
        return Err(SecretError::File(dir::too_large()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = file.metadata().map_err(SecretError::File)?;
        let shown = path.display();
        if found.mode() & 0o027 != 0 {
            let words =
                format!("others can read or change the file {shown}, which contains a secret; run `chmod 600 {shown}`");
            return Err(SecretError::Rights(words));
        }
        let us = rustix::process::geteuid();
        let above = std::fs::metadata(dir::parent(path)).map_or(0, |above| above.uid());
        let is_service = found.uid() == above || SERVICE_USER.get() == Some(&found.uid());
        let is_ours = [0, us.as_raw()].contains(&found.uid()) || (us.is_root() && is_service);
        if !is_ours {
            let owner = found.uid();
            return Err(SecretError::Rights(format!(
                "the file {shown}, which contains a secret, belongs to the user {owner}, who can change it; run `chown root \
                 {shown}`, and let the service's group read it (`chmod 640`)"
            )));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(file)
}
