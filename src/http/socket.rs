//! Binding the Unix socket of the intake.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use tokio::net::UnixListener;

/// Binds a socket that owner and group may use (mode 0660). A stale socket is replaced; anything else is left alone.
///
/// Call it within a tokio runtime.
///
/// # Errors
/// When something that is no socket, or a socket that answers, is at that path, and the system's own errors.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    refuse_living(path)?;
    // Bound beside its place and moved there, so that it never has other permissions.
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o660))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

fn refuse_living(path: &Path) -> io::Result<()> {
    let error = |kind, words: &str| Err(io::Error::new(kind, format!("{} {words}", path.display())));
    match std::fs::symlink_metadata(path) {
        Err(found) if found.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(found) => Err(found),
        Ok(found) if !found.file_type().is_socket() => {
            error(io::ErrorKind::AlreadyExists, "is there and is no socket; it was left alone, choose another path")
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            error(io::ErrorKind::AddrInUse, "is the socket of a program that runs; choose another path")
        }
        Ok(_) => Ok(()),
    }
}
