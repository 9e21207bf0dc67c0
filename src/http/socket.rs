//! The Unix socket of the intake, which is bound again if somebody removes its file.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::time::{Instant, sleep_until};

use super::loopback::hold_little;
use super::server::Listener;
use crate::device::dir::{self, Dir};

/// Time between two checks that the socket still exists.
const INTERVAL: Duration = Duration::from_secs(2);

/// Permissions of a directory created for it: open to its owner and group.
const DIR_MODE: u32 = 0o750;

/// A socket at its path.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    look_at: Instant,
    /// True once a failure to create it again has been logged.
    is_told: bool,
}

impl Socket {
    /// Binds it again if its path is empty: nobody can reach the old one.
    fn look(&mut self) {
        if self.path.symlink_metadata().is_ok() {
            return;
        }
        match listen(&self.path) {
            Ok(listener) => {
                tracing::warn!("somebody removed the file of the intake's socket; it is made again");
                (self.listener, self.is_told) = (listener, false);
            }
            Err(error) if !self.is_told => {
                tracing::error!(%error, "somebody removed the file of the intake's socket, and it cannot be made again");
                self.is_told = true;
            }
            Err(_) => {}
        }
    }
}

impl Listener for Socket {
    type Stream = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<Self::Stream> {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    return accepted.map(|(stream, _)| stream).inspect(hold_little);
                }
                () = sleep_until(self.look_at) => {
                    self.look_at = Instant::now() + INTERVAL;
                    self.look();
                }
            }
        }
    }
}

/// Binds a socket that owner and group may use (mode 0660). A stale socket is replaced; anything else is left alone.
///
/// Call it within a tokio runtime.
///
/// # Errors
/// The path has something other than a socket, or a socket that answers; or an error of the system.
pub fn bind(path: &Path) -> io::Result<Socket> {
    let listener = listen(path)?;
    Ok(Socket { listener, path: path.to_owned(), look_at: Instant::now() + INTERVAL, is_told: false })
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    dir::make_dirs(dir::parent(path), DIR_MODE)?;
    refuse_living(path)?;
    // Bound under another name and then moved, so that it never has other permissions.
    let folder = Dir::open(dir::parent(path))?;
    let usual = path.with_extension("new");
    dir::with_temporary(&folder, usual.file_name().unwrap_or_default(), |new| {
        let new = path.with_file_name(new);
        let listener = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o660))?;
        std::fs::rename(&new, path)?;
        Ok(listener)
    })
}

fn refuse_living(path: &Path) -> io::Result<()> {
    let error = |kind, words: &str| Err(io::Error::new(kind, format!("{} {words}", path.display())));
    match std::fs::symlink_metadata(path) {
        Err(found) if found.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(found) => Err(found),
        Ok(found) if !found.file_type().is_socket() => {
            error(io::ErrorKind::AlreadyExists, "exists and is not a socket; it was left as it is; choose another path")
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            error(io::ErrorKind::AddrInUse, "is the socket of a program that runs; choose another path")
        }
        Ok(_) => Ok(()),
    }
}
