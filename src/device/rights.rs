//! What others on this device may do with our files, and who we are ourselves.

use std::path::Path;

/// Has every file that this process makes be one that others cannot read, and that its group cannot change.
pub fn make_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
}

/// Returns whether this process may do anything on the device, which it does not need.
#[must_use]
pub fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}

/// Refuses a file of secrets that others can read or change. Its group may read it, as a service's may.
///
/// # Errors
/// A clause that says what to type.
pub fn check_secret(path: &Path) -> Result<(), String> {
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path)
        && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o027 != 0
    {
        let path = path.display();
        return Err(format!("others can read or change the file {path}, which holds a secret; run `chmod 600 {path}`"));
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
