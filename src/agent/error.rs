//! Errors of starting an agent or changing its settings.

use std::fmt;

use crate::adobe::ClientError;
use crate::store::StoreError;

/// A reason why an agent could not start or change its settings.
#[derive(Debug)]
pub enum AgentError {
    /// The store cannot be used.
    Store(StoreError),
    /// The client for Target cannot be set up as configured.
    Client(ClientError),
    /// The system has no more threads.
    Thread(std::io::Error),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
            Self::Thread(_) => f.write_str("the system has no more threads"),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Client(error) => error.source(),
            Self::Thread(error) => Some(error),
        }
    }
}

impl From<StoreError> for AgentError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
