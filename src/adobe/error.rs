//! What stands in the way of a client: files, secrets and addresses that cannot be used.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::device::rights::{self, SecretError};

/// Why no client could be made.
#[derive(Debug)]
pub enum ClientError {
    /// A file cannot be read.
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    Pem {
        /// The file.
        path: PathBuf,
    },
    /// A secret file is open to others.
    Rights(String),
    /// The certificates and keys do not go together, or the system has none.
    Tls(rustls::Error),
    /// The token cannot stand in a header.
    Token,
    /// The proxy's URL cannot be used; it is not shown, as it may hold a password.
    Proxy,
    /// The endpoint and the client code make no URL.
    Endpoint,
    /// TLS cannot be set up.
    Setup(reqwest::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{} cannot be read", path.display()),
            Self::Rights(words) => f.write_str(words),
            Self::Tls(_) => {
                f.write_str("TLS cannot be set up with the files of [target.http] and the certificates of the system")
            }
            Self::Pem { path } => write!(f, "{} is not a PEM file of the kind that is needed", path.display()),
            Self::Token => f.write_str("the token of [target] holds characters that a header cannot carry"),
            Self::Proxy => f.write_str("the proxy of [target.http] is not a URL such as http://proxy.example:3128"),
            Self::Endpoint => f.write_str("the endpoint of [target] is not a URL such as https://gateway.example"),
            Self::Setup(_) => f.write_str("the HTTP client cannot be set up"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Setup(source) => Some(source),
            Self::Tls(source) => Some(source),
            Self::Pem { .. } | Self::Rights(_) | Self::Token | Self::Proxy | Self::Endpoint => None,
        }
    }
}

/// Opens a file of secrets, which others can neither read nor change.
pub(super) fn open_secret(path: &Path) -> Result<File, ClientError> {
    rights::open_secret(path).map_err(|error| match error {
        SecretError::File(source) => ClientError::File { path: path.to_owned(), source },
        SecretError::Rights(words) => ClientError::Rights(words),
    })
}
