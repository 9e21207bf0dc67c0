//! The row of the table `destination`: whose deliveries the store notes.

use rusqlite::{Connection, OptionalExtension};

use crate::core::forwarding::destination::Destination;

/// The destination and the sender of deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliveries {
    /// Destination of the deliveries.
    pub destination: Destination,
    /// This device's name, which is part of the names of its own attributes.
    pub device_id: String,
}

impl Deliveries {
    /// Returns true if what was delivered to the one is delivered to the other. A hub takes over from Target, and hands back
    /// to it; another URL is taken for the same hub.
    pub(super) fn has_what_went_to(&self, other: &Self) -> bool {
        self.destination.is_hub() || other.destination.is_hub() || self.destination == other.destination
    }
}

/// Reads it; `None` before the first run.
pub(super) fn noted(connection: &Connection) -> rusqlite::Result<Option<Deliveries>> {
    // A store that no newer program has opened yet may be of the first schemas.
    if !connection.table_exists(None, "destination")? {
        return Ok(None);
    }
    connection
        .query_row("SELECT client_code, endpoint, device_id FROM destination", [], |row| {
            let (client_code, endpoint): (String, String) = (row.get("client_code")?, row.get("endpoint")?);
            // A hub has no client code.
            let destination = match client_code.is_empty() {
                true => Destination::Hub { url: endpoint },
                false => Destination::Target { client_code, endpoint },
            };
            Ok(Deliveries { destination, device_id: row.get("device_id")? })
        })
        .optional()
}

/// Returns true if the destination is a hub.
pub(super) fn is_hub(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(noted(connection)?.is_some_and(|noted| noted.destination.is_hub()))
}
