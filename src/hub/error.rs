//! What can go wrong between a node and its database.

use std::fmt;

use crate::adobe::ClientError;

/// A failure of the hub's store.
#[derive(Debug)]
pub enum HubError {
    /// The URL of the database cannot be used: why.
    Url(String),
    /// TLS cannot be set up.
    Tls(ClientError),
    /// The database was migrated by a newer program: its schema.
    NewerSchema {
        /// Schema version found.
        found: i32,
        /// Schema version that this program knows.
        known: i32,
    },
    /// No connection was free, or none could be made: nothing was done.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// A statement failed: its transaction was rolled back. If the connection was lost in the commit, the outcome is unknown.
    Failed(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for HubError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<deadpool_postgres::PoolError> for HubError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::Unavailable(error.into()),
            error => Self::Unavailable(error.into()),
        }
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "[hub.database] url: {why}"),
            Self::Tls(_) => f.write_str("TLS to the database cannot be set up"),
            Self::NewerSchema { found, known } => {
                write!(f, "the database has schema {found}, and this program knows up to {known}; update this node")
            }
            Self::Unavailable(_) => f.write_str("the database cannot be reached; what was asked was not done"),
            Self::Failed(_) => {
                f.write_str("the database failed; what was asked was not done, unless its answer was lost")
            }
        }
    }
}

impl std::error::Error for HubError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            Self::Unavailable(error) => Some(error.as_ref()),
            Self::Failed(error) => Some(error),
            Self::Url(_) | Self::NewerSchema { .. } => None,
        }
    }
}
