//! Destinations of updates.

use std::fmt;

/// Destination of updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Adobe Target.
    Target {
        /// Client code.
        client_code: String,
        /// Scheme and host, without a slash at the end.
        endpoint: String,
    },
    /// The hub of a fleet, to which a device hands over.
    Hub {
        /// Scheme and host, without a slash at the end.
        url: String,
    },
}

impl Destination {
    /// Returns true if it is a hub.
    #[must_use]
    pub const fn is_hub(&self) -> bool {
        matches!(self, Self::Hub { .. })
    }

    /// Returns scheme and host that requests go to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::Target { endpoint, .. } => endpoint,
            Self::Hub { url } => url,
        }
    }

    /// Returns the client code; a hub has none.
    #[must_use]
    pub fn client_code(&self) -> &str {
        match self {
            Self::Target { client_code, .. } => client_code,
            Self::Hub { .. } => "",
        }
    }

    /// Moves it to another endpoint, as that of a simulator.
    pub fn move_to(&mut self, to: String) {
        match self {
            Self::Target { endpoint, .. } => *endpoint = to,
            Self::Hub { url } => *url = to,
        }
    }
}

/// Its name in messages.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { client_code, endpoint } => write!(f, "client code {client_code} at {endpoint}"),
            Self::Hub { url } => write!(f, "the hub at {url}"),
        }
    }
}
