//! Failures between a node and its database.

use std::fmt;
use std::time::Duration;

use tokio_postgres::error::SqlState;

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
    /// It took longer than this: the outcome is unknown.
    TooSlow(Duration),
    /// The device was revoked, or joined again with another token.
    Revoked,
    /// So much of a request is refused that the answer would be too large: nothing was taken.
    TooManyRefused,
    /// The database keeps its texts in this encoding, which does not have all characters.
    Encoding(String),
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
            Self::TooSlow(limit) => {
                let seconds = limit.as_secs();
                write!(f, "the database did not answer within {seconds} s; what was asked may or may not be done")
            }
            Self::Revoked => f.write_str("the device was revoked, or has joined again with another token"),
            Self::TooManyRefused => f.write_str(
                "too many parts of the request are refused for one answer; nothing was taken; send fewer at a time",
            ),
            Self::Encoding(found) => {
                write!(
                    f,
                    "the database has the encoding {found}, and must have UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
                )
            }
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
            _ => None,
        }
    }
}

impl HubError {
    /// Returns true if the database has no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state().is_some_and(|state| *state == SqlState::DISK_FULL)
    }

    /// Returns true if what was to be written is the cause: it breaks a rule of the database, or one of its limits.
    pub(super) fn is_of_data(&self) -> bool {
        // Source: PostgreSQL, "Error Codes": data exception, integrity constraint violation, program limit exceeded.
        self.state().is_some_and(|state| ["22", "23", "54"].iter().any(|class| state.code().starts_with(class)))
    }

    /// Returns true if trying again some time later may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::TooSlow(_) => true,
            // Starting, stopping, or lost in the middle.
            Self::Failed(error) => error.is_closed() || error.code().is_some_and(|code| code.code().starts_with("57P")),
            _ => false,
        }
    }

    /// Returns true if the host takes no writes any more.
    pub(super) fn is_read_only(&self) -> bool {
        self.state().is_some_and(|state| *state == SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    fn state(&self) -> Option<&SqlState> {
        if let Self::Failed(error) = self { error.code() } else { None }
    }
}
