//! The row of the table `destination`: whose deliveries the store notes.

use rusqlite::{Connection, OptionalExtension};

/// The destination and the sender of deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Target's client code; empty for a hub.
    pub client_code: String,
    /// Scheme and host of the endpoint, or URL of the hub.
    pub endpoint: String,
    /// This device's name, which is part of the names of its own attributes.
    pub device_id: String,
}

impl Destination {
    /// Returns true if it is a hub.
    #[must_use]
    pub const fn is_hub(&self) -> bool {
        self.client_code.is_empty()
    }

    /// Returns true if what was delivered to the one is delivered to the other. A hub takes over from Target, and hands back
    /// to it; another URL is taken for the same hub.
    pub(super) fn has_what_went_to(&self, other: &Self) -> bool {
        self.is_hub() || other.is_hub() || self.is_same_place(other)
    }

    fn is_same_place(&self, other: &Self) -> bool {
        (&self.client_code, &self.endpoint) == (&other.client_code, &other.endpoint)
    }
}

/// Reads it; `None` before the first run.
pub(super) fn noted(connection: &Connection) -> rusqlite::Result<Option<Destination>> {
    connection
        .query_row("SELECT client_code, endpoint, device_id FROM destination", [], |row| {
            Ok(Destination {
                client_code: row.get("client_code")?,
                endpoint: row.get("endpoint")?,
                device_id: row.get("device_id")?,
            })
        })
        .optional()
}

/// Returns true if the destination is a hub.
pub(super) fn is_hub(connection: &Connection) -> rusqlite::Result<bool> {
    // A store that no newer program has opened yet may be of the first schemas.
    if !connection.table_exists(None, "destination")? {
        return Ok(false);
    }
    Ok(noted(connection)?.is_some_and(|noted| noted.is_hub()))
}
