//! What others on this device may do with our files, and who we are ourselves.

use std::fs::File;
use std::io;
use std::path::Path;
#[cfg(unix)]
use std::sync::OnceLock;

/// Has every file that this process makes be one that others cannot read, and that its group cannot change.
pub fn make_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
}

/// Has the system write nothing of what this process holds to a core file, and no other program of this user read it.
pub fn keep_memory_private() {
    // What does not work leaves it as the system is set up; there is nobody to tell yet.
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    // A program that takes cores, as systemd's does, goes by this alone.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Returns whether this process may do anything on the device, which it does not need.
#[must_use]
pub fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}

/// Returns the user who made a link, if the path is one and he is neither this user nor root.
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

/// User whose secrets root's commands read too: the owner of the data directory.
#[cfg(unix)]
static SERVICE_USER: OnceLock<u32> = OnceLock::new();

/// Says where the service's data is: files of secrets may belong to the owner of that directory, where root reads them.
pub fn name_data_dir(path: &Path) {
    #[cfg(unix)]
    if let Ok(found) = std::fs::metadata(path) {
        let _ = SERVICE_USER.set(std::os::unix::fs::MetadataExt::uid(&found));
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Why a file of secrets cannot be read.
#[derive(Debug)]
pub enum SecretError {
    /// The system's words.
    File(io::Error),
    /// Somebody else can read or change it; a clause that says what to type.
    Rights(String),
}

/// Opens a file of secrets, which others can neither read nor change. It belongs to this user or root, or, where root
/// opens it, to the owner of its directory or of the data directory; its group may read it, as a service's may.
///
/// # Errors
/// [`SecretError`].
pub fn open_secret(path: &Path) -> Result<File, SecretError> {
    let file = File::open(path).map_err(SecretError::File)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = file.metadata().map_err(SecretError::File)?;
        let shown = path.display();
        if found.mode() & 0o027 != 0 {
            let words =
                format!("others can read or change the file {shown}, which holds a secret; run `chmod 600 {shown}`");
            return Err(SecretError::Rights(words));
        }
        let us = rustix::process::geteuid();
        let above = std::fs::metadata(super::dir::parent(path)).map_or(0, |above| above.uid());
        let is_service = found.uid() == above || SERVICE_USER.get() == Some(&found.uid());
        let is_ours = [0, us.as_raw()].contains(&found.uid()) || (us.is_root() && is_service);
        if !is_ours {
            let owner = found.uid();
            return Err(SecretError::Rights(format!(
                "the file {shown}, which holds a secret, belongs to the user {owner}, who can change it; run `chown root \
                 {shown}`, and let the service's group read it (`chmod 640`)"
            )));
        }
    }
    Ok(file)
}
