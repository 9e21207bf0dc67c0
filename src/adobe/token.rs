//! The bearer token, which may change while the agent runs: from a file it is read again when that has changed.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::error::{ClientError, open_secret};

/// Where the token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// It stands in the configuration or in the environment.
    Text(SecretString),
    /// It stands in a file.
    File(PathBuf),
}

/// A token as a header.
#[derive(Debug)]
pub(super) struct Token {
    source: TokenSource,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    header: HeaderValue,
    modified: Option<SystemTime>,
}

impl Token {
    pub(super) fn new(source: &TokenSource) -> Result<Self, ClientError> {
        Ok(Self { current: RwLock::new(read(source)?), source: source.clone() })
    }

    pub(super) const fn is_file(&self) -> bool {
        matches!(self.source, TokenSource::File(_))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.current.read().unwrap_or_else(PoisonError::into_inner).header.clone()
    }

    /// Reads the file again if it has changed. Tells whether there is another token now.
    pub(super) fn refresh(&self) -> bool {
        let TokenSource::File(path) = &self.source else { return false };
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        if modified == self.current.read().unwrap_or_else(PoisonError::into_inner).modified {
            return false;
        }
        // A file that is just being written is read at the next look.
        let Ok(next) = read(&self.source) else { return false };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.header != next.header;
        *current = next;
        is_new
    }
}

fn read(source: &TokenSource) -> Result<Current, ClientError> {
    let (text, modified) = match source {
        TokenSource::Text(secret) => (secret.clone(), None),
        TokenSource::File(path) => {
            let file = |source| ClientError::File { path: path.clone(), source };
            let opened = open_secret(path)?;
            let modified = opened.metadata().and_then(|metadata| metadata.modified()).map_err(file)?;
            (SecretString::from(std::io::read_to_string(opened).map_err(file)?), Some(modified))
        }
    };
    let mut header =
        HeaderValue::try_from(format!("Bearer {}", text.expose_secret().trim())).map_err(|_| ClientError::Token)?;
    header.set_sensitive(true);
    Ok(Current { header, modified })
}
