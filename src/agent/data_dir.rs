//! The data directory: its lock, the intake's token, the device's name, and the address of the agent that runs there.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::device::dir::{self, Dir};
use crate::device::machine;
use crate::device::rights::{SecretError, open_own_secret};
use crate::store;

/// Random bytes in a token. Limits: 256 bits, as for any key.
pub(super) const TOKEN_BYTES: usize = 32;

/// Permissions of the lock: whoever can read it can also take it.
const LOCK_MODE: u32 = 0o600;

/// Permissions of the file with the process id.
const PID_MODE: u32 = 0o640;

/// Time between two tries for a lock that another process has.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The directory of one device's store, tokens, name and lock.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// The right to write to the data directory; it ends when dropped, or with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The addresses of the agent that runs on a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address of its HTTP intake.
    pub http: SocketAddr,
    /// Path of its Unix socket, if it has one.
    pub socket: Option<PathBuf>,
}

/// The name of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceId {
    /// The name.
    pub name: String,
    /// True if it was created again because the disk comes from another machine.
    pub is_cloned: bool,
}

/// A failure to use the data directory.
#[derive(Debug)]
pub enum DataDirError {
    /// Another process is using it.
    InUse {
        /// The directory.
        path: PathBuf,
        /// Id of that process, if known.
        pid: Option<u32>,
    },
    /// A file of secrets is open to others.
    Rights(String),
    /// A file cannot be created, read or written.
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path, pid: Some(pid) } => {
                write!(f, "another outpost already runs on {}, as process {pid}", path.display())
            }
            Self::InUse { path, pid: None } => write!(f, "another outpost already runs on {}", path.display()),
            Self::Rights(words) => f.write_str(words),
            Self::File { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{} cannot be used; check that this user may write there", path.display())
            }
            Self::File { path, .. } => write!(f, "{} cannot be used", path.display()),
        }
    }
}

impl std::error::Error for DataDirError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } | Self::Rights(_) => None,
            Self::File { source, .. } => Some(source),
        }
    }
}

/// Name of the file of the token for a hub.
pub const HUB_TOKEN_FILE: &str = "hub.token";

impl DataDir {
    /// Returns the directory at a path, whether or not it exists.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the path of the store's file.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.0.join(store::FILE_NAME)
    }

    /// Returns whether there is a store, or something in its place: a link that leads nowhere is refused like any other, and not
    /// taken for none.
    #[must_use]
    pub fn has_store(&self) -> bool {
        self.store_path().symlink_metadata().is_ok()
    }

    /// Returns whether an agent or a command has used it: there is a store, or only its lock is left.
    #[must_use]
    pub fn was_used(&self) -> bool {
        self.has_store() || self.lock_path().symlink_metadata().is_ok()
    }

    /// Returns the path of the lock, which belongs to the agent's user.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.0.join("outpost.lock")
    }

    /// Returns the path of the token.
    #[must_use]
    pub fn token_path(&self) -> PathBuf {
        self.0.join("intake.token")
    }

    /// Creates the directory if needed, and takes the right to write there.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] if another process has it.
    pub fn lock(&self) -> Result<Lock, DataDirError> {
        self.create()?;
        let path = self.lock_path();
        let error = |source| DataDirError::File { path: path.clone(), source };
        dir::make_file(&path, LOCK_MODE).map_err(error)?;
        let file = dir::open_writable_at(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => {
                self.sync();
                // Only for the error message of a second process, which otherwise says less.
                let _ = write(&self.pid_path(), &std::process::id().to_string(), PID_MODE);
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let pid = read_if_there(&self.pid_path()).ok().flatten().and_then(|pid| pid.parse().ok());
                Err(DataDirError::InUse { path: self.0.clone(), pid })
            }
            Err(TryLockError::Error(source)) => Err(error(source)),
        }
    }

    /// Takes the lock as [`Self::lock`] does, but waits a while for another process to end.
    ///
    /// # Errors
    /// As for [`Self::lock`].
    pub fn lock_within(&self, patience: Duration) -> Result<Lock, DataDirError> {
        let begun = Instant::now();
        loop {
            match self.lock() {
                Err(DataDirError::InUse { .. }) if begun.elapsed() < patience => std::thread::sleep(LOCK_INTERVAL),
                result => return result,
            }
        }
    }

    /// Creates the directory, for this user only, if it does not exist.
    fn create(&self) -> Result<(), DataDirError> {
        dir::make_dirs(&self.0, 0o750).map_err(|source| DataDirError::File { path: self.0.clone(), source })
    }

    /// Syncs the names in the directory, and its own: a process that created them may have been killed since.
    fn sync(&self) {
        for path in [self.path(), dir::parent(&self.0)] {
            // A directory that cannot be opened was created by somebody else.
            let _ = Dir::open(path).and_then(|dir| dir.sync());
        }
    }

    /// Returns the path of the named tokens.
    pub(super) fn tokens_path(&self) -> PathBuf {
        self.0.join("tokens.json")
    }

    /// Returns the token, if there is one.
    ///
    /// # Errors
    /// [`DataDirError::File`], if this user may not read it, or must not trust it.
    pub fn existing_token(&self) -> Result<Option<SecretString>, DataDirError> {
        Ok(read_if_there(&self.token_path())?.map(SecretString::from))
    }

    /// Returns the device's name, creating it on the first call, and again on another machine: two machines installed
    /// from one disk image must not share it. `machine_id` is the system's identifier of the machine, if it has one; a
    /// value that identifies no machine, such as a placeholder in the first seconds after a start, changes nothing.
    ///
    /// # Errors
    /// [`DataDirError::File`], also if it cannot be read: another name would be another device's.
    pub fn device_id(&self, machine_id: Option<&str>) -> Result<DeviceId, DataDirError> {
        let machine = machine_id
            .filter(|id| machine::is_id(id))
            .map(|id| hex::encode(&Sha256::digest(format!("outpost {}", id.trim()))[..8]));
        let (name, named_on) = self.kept_device_id()?.unwrap_or_default();
        let is_cloned = machine.is_some() && named_on.is_some() && machine != named_on;
        if !name.is_empty() && !is_cloned && (machine.is_none() || machine == named_on) {
            return Ok(DeviceId { name, is_cloned });
        }
        let is_kept = !name.is_empty() && !is_cloned;
        let name = if is_kept { name } else { new_device_id() };
        self.create()?;
        write_private(&self.device_id_path(), &format!("{name}\n{}\n", machine.unwrap_or_default()))?;
        Ok(DeviceId { name, is_cloned })
    }

    /// Returns the device's name, if one was created.
    #[must_use]
    pub fn existing_device_id(&self) -> Option<String> {
        self.kept_device_id().ok().flatten().map(|(name, _)| name)
    }

    /// Returns the name, and the machine on which it was created, if known.
    fn kept_device_id(&self) -> Result<Option<(String, Option<String>)>, DataDirError> {
        let text = read_if_there(&self.device_id_path())?.unwrap_or_default();
        let mut lines = text.lines().map(str::to_owned);
        let name = lines.next().filter(|name| !name.is_empty());
        Ok(name.map(|name| (name, lines.next().filter(|machine| !machine.is_empty()))))
    }

    fn device_id_path(&self) -> PathBuf {
        self.0.join("device_id")
    }

    fn pid_path(&self) -> PathBuf {
        self.0.join("outpost.pid")
    }

    /// Tells other commands how to reach this agent.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn announce(&self, endpoint: &Endpoint) -> Result<(), DataDirError> {
        let json = serde_json::to_string(endpoint).expect("addresses and paths are JSON");
        write_private(&self.endpoint_path(), &json)
    }

    /// Removes the announcement; that of an agent that was killed stays but is not trusted.
    pub fn withdraw(&self) {
        let _ = std::fs::remove_file(self.endpoint_path());
    }

    /// Returns how to reach the agent, if one has announced itself.
    ///
    /// # Errors
    /// [`DataDirError::File`], also for an announcement that names no address of this device: whoever may write it may be trusted
    /// less than this user, and is followed nowhere else.
    pub fn endpoint(&self) -> Result<Option<Endpoint>, DataDirError> {
        let path = self.endpoint_path();
        let Some(json) = read_if_there(&path)? else { return Ok(None) };
        let endpoint: io::Result<Endpoint> = serde_json::from_str(&json).map_err(io::Error::other);
        let endpoint = endpoint.and_then(|endpoint| match endpoint.http.ip().to_canonical().is_loopback() {
            true => Ok(endpoint),
            false => Err(io::Error::other(format!("its http must be a loopback address; found {}", endpoint.http))),
        });
        endpoint.map(Some).map_err(|source| DataDirError::File { path, source })
    }

    fn endpoint_path(&self) -> PathBuf {
        self.0.join("agent.json")
    }
}

/// Creates a token of 64 hexadecimal digits.
///
/// # Errors
/// The system's, if it has no random numbers.
pub fn new_token() -> io::Result<SecretString> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(SecretString::from(hex::encode(bytes)))
}

fn new_device_id() -> String {
    format!("device-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

fn read_if_there(path: &Path) -> Result<Option<String>, DataDirError> {
    match dir::read_small_at(path).and_then(text) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirError::File { path: path.to_owned(), source }),
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    Ok(text.trim().to_owned())
}

/// Reads a file as [`read_if_there`] does; others must not be able to read or change it.
pub(super) fn read_secret(path: &Path) -> Result<Option<String>, DataDirError> {
    let unread = |source| DataDirError::File { path: path.to_owned(), source };
    match open_own_secret(path) {
        Ok(file) => dir::read_small(file).and_then(text).map(Some).map_err(unread),
        Err(SecretError::File(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(SecretError::File(source)) => Err(unread(source)),
        Err(SecretError::Rights(words)) => Err(DataDirError::Rights(words)),
    }
}

/// Replaces a file that only this user may read, and syncs it to the disk.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), DataDirError> {
    write(path, text, 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), DataDirError> {
    dir::replace_at(path, text.as_bytes(), mode).map_err(|source| DataDirError::File { path: path.to_owned(), source })
}
