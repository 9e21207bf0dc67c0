//! One profile, as the hub holds it.

use super::database::Database;
use super::error::HubError;
use super::profile_hash::profile_hash;
use crate::core::identity::Identity;

/// An attribute of a profile as the hub holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldAttribute {
    /// Name of the attribute.
    pub name: String,
    /// The parts of all devices as one value.
    pub value: String,
    /// Device that brought the event that decided it.
    pub device: String,
    /// Source and id of that event.
    pub event: String,
    /// Version of the profile with which the value last changed.
    pub version: i64,
}

impl Database {
    /// Returns the attributes of a profile, by name; none if the hub does not have it.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn profile(&self, identity: &Identity) -> Result<Vec<HeldAttribute>, HubError> {
        let work = async {
            let client = self.client().await?;
            let statement = client
                .prepare_cached(
                    "SELECT name, value, said_by, event, version FROM attribute WHERE profile = $1 ORDER BY name",
                )
                .await?;
            let rows = client.query(&statement, &[&profile_hash(identity)]).await?;
            client.done();
            Ok(rows)
        };
        let rows = self.in_time(work).await?;
        let held = |row: &tokio_postgres::Row| HeldAttribute {
            name: row.get("name"),
            value: row.get("value"),
            device: row.get("said_by"),
            event: row.get("event"),
            version: row.get("version"),
        };
        Ok(rows.iter().map(held).collect())
    }
}
