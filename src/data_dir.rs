//! The data directory: its lock, the intake's token, the device's name, and how to reach the agent that runs there.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::store;

/// Bytes of chance in a token. Limits: 256 bits, as for any key.
const TOKEN_BYTES: usize = 32;

/// How often a lock that another process has is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

/// The right to write to the data directory; it ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// How to reach the agent that runs on a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where its HTTP intake listens.
    pub http: SocketAddr,
    /// Its Unix socket, if it has one.
    pub socket: Option<PathBuf>,
}

/// What went wrong with the data directory.
#[derive(Debug)]
pub enum DataDirError {
    /// Another process writes there.
    InUse(PathBuf),
    /// A file cannot be made, read or written.
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "another outpost already runs on {}", path.display()),
            Self::File { path, .. } => {
                write!(f, "{} cannot be used; check that this user may write there", path.display())
            }
        }
    }
}

impl std::error::Error for DataDirError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse(_) => None,
            Self::File { source, .. } => Some(source),
        }
    }
}

impl DataDir {
    /// The directory at that path, whether it is there or not.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The store's file.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.0.join(store::FILE_NAME)
    }

    /// The token's file.
    #[must_use]
    pub fn token_path(&self) -> PathBuf {
        self.0.join("intake.token")
    }

    /// Makes the directory if needed, and takes the right to write there.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] when another process has it.
    pub fn lock(&self) -> Result<Lock, DataDirError> {
        self.create()?;
        let path = self.0.join("outpost.lock");
        let error = |source| DataDirError::File { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(self.0.clone())),
            Err(TryLockError::Error(source)) => Err(error(source)),
        }
    }

    /// As [`Self::lock`], but waits a while for another process to end.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub fn lock_within(&self, patience: Duration) -> Result<Lock, DataDirError> {
        let begun = Instant::now();
        loop {
            match self.lock() {
                Err(DataDirError::InUse(_)) if begun.elapsed() < patience => std::thread::sleep(LOCK_INTERVAL),
                result => return result,
            }
        }
    }

    /// Makes the directory, for this user alone, if it is not there.
    fn create(&self) -> Result<(), DataDirError> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
        builder.create(&self.0).map_err(|source| DataDirError::File { path: self.0.clone(), source })
    }

    /// The intake's token; made on the first call.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn token(&self) -> Result<SecretString, DataDirError> {
        let path = self.token_path();
        // A power cut may have left an empty file, which is no token.
        if let Some(token) = read_if_there(&path)?.filter(|token| token.len() == 2 * TOKEN_BYTES) {
            return Ok(SecretString::from(token));
        }
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| DataDirError::File { path: path.clone(), source: io::Error::other(error) })?;
        let token = hex::encode(bytes);
        write_private(&path, &token)?;
        Ok(SecretString::from(token))
    }

    /// The token, if there is one that this user may read.
    #[must_use]
    pub fn existing_token(&self) -> Option<SecretString> {
        read_if_there(&self.token_path()).ok().flatten().map(SecretString::from)
    }

    /// The device's name; made on the first call.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn device_id(&self) -> Result<String, DataDirError> {
        if let Some(name) = self.existing_device_id() {
            return Ok(name);
        }
        self.create()?;
        let name = format!("device-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        write_private(&self.0.join("device_id"), &name)?;
        Ok(name)
    }

    /// The device's name, if one was made.
    #[must_use]
    pub fn existing_device_id(&self) -> Option<String> {
        read_if_there(&self.0.join("device_id")).ok().flatten().filter(|name| !name.is_empty())
    }

    /// Tells other commands how to reach this agent.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn announce(&self, endpoint: &Endpoint) -> Result<(), DataDirError> {
        let json = serde_json::to_string(endpoint).expect("addresses and paths are JSON");
        write_private(&self.endpoint_path(), &json)
    }

    /// Takes the announcement back; that of an agent that was killed stays, and is not believed.
    pub fn withdraw(&self) {
        let _ = std::fs::remove_file(self.endpoint_path());
    }

    /// How to reach the agent, if one announced itself.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        let json = read_if_there(&self.endpoint_path()).ok().flatten()?;
        serde_json::from_str(&json).ok()
    }

    fn endpoint_path(&self) -> PathBuf {
        self.0.join("agent.json")
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>, DataDirError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirError::File { path: path.to_owned(), source }),
    }
}

/// Writes a file that this user alone may read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), DataDirError> {
    let new = path.with_extension("new");
    let write = || {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|source| DataDirError::File { path: path.to_owned(), source })
}
