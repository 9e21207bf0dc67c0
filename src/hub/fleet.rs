//! The devices of a fleet, as a person asks about them.

use std::time::Duration;

use tokio_postgres::Row;

use super::database::{Database, now_ms};
use super::error::HubError;
use crate::core::fleet::DeviceState;
use crate::core::timestamp::Timestamp;

/// Difference of clocks from which a device's is off.
const CLOCK_OFF: Duration = Duration::from_secs(5 * 60);

/// Time for which two devices with one token are named after they were seen last.
const TWINS_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A device of the fleet, joined or revoked.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: Option<String>,
    /// Time at which it joined.
    pub joined_at: Timestamp,
    /// Time at which it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Time of its last request.
    pub contact_at: Option<Timestamp>,
    /// Its clock minus ours at its last request. Units: milliseconds.
    pub clock_off_ms: Option<i64>,
    /// Time at which two devices were seen with its token.
    pub twins_at: Option<Timestamp>,
    /// State, as the device said itself.
    pub state: DeviceState,
}

/// State of a device, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Two devices have its token.
    Twins,
    /// Nothing was heard of it for a while.
    Silent,
    /// It has waited to hand something over for a while.
    Behind,
    /// Its clock is off.
    ClockOff,
    /// All is well.
    Current,
    /// It has joined and was not heard of yet.
    Joined,
    /// Its token was revoked.
    Revoked,
}

impl Standing {
    /// Returns it in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Twins => "two with one token",
            Self::Silent => "silent",
            Self::Behind => "behind",
            Self::ClockOff => "clock off",
            Self::Current => "current",
            Self::Joined => "joined",
            Self::Revoked => "revoked",
        }
    }
}

impl Member {
    /// Returns how it is, if it is silent or behind after so long.
    #[must_use]
    pub fn standing(&self, now: Timestamp, silent: Duration, behind: Duration) -> Standing {
        let Some(contact_at) = self.contact_at else {
            return if self.revoked_at.is_some() { Standing::Revoked } else { Standing::Joined };
        };
        match () {
            () if self.revoked_at.is_some() => Standing::Revoked,
            () if self.twins_at.is_some_and(|at| now.since(at) < TWINS_FOR) => Standing::Twins,
            () if now.since(contact_at) > silent => Standing::Silent,
            () if self.state.oldest_seconds > behind.as_secs() => Standing::Behind,
            () if self.clock_off_ms.is_some_and(|off| u128::from(off.unsigned_abs()) > CLOCK_OFF.as_millis()) => {
                Standing::ClockOff
            }
            () => Standing::Current,
        }
    }
}

impl Database {
    /// Returns the devices of the fleet by name, of one group if it is named, or the one of a name; with the database's clock.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn fleet(&self, group: Option<&str>, name: Option<&str>) -> Result<(Timestamp, Vec<Member>), HubError> {
        let work = async {
            let client = self.client().await?;
            let now: i64 = client.query_one(concat!("SELECT ", now_ms!()), &[]).await?.get(0);
            let rows = client
                .query(
                    "SELECT name, device_group, joined_ms, revoked_ms, contact_ms, clock_off_ms, twins_ms, state FROM device
                     WHERE ($1::text IS NULL OR device_group = $1) AND ($2::text IS NULL OR name = $2) ORDER BY name",
                    &[&group, &name],
                )
                .await?;
            client.done();
            Ok((Timestamp::from_millis(now), rows.iter().map(member).collect()))
        };
        self.in_time(work).await
    }
}

fn member(row: &Row) -> Member {
    let time = |column| row.get::<_, Option<i64>>(column).map(Timestamp::from_millis);
    Member {
        name: row.get("name"),
        group: row.get("device_group"),
        joined_at: time("joined_ms").unwrap_or_default(),
        revoked_at: time("revoked_ms"),
        contact_at: time("contact_ms"),
        clock_off_ms: row.get("clock_off_ms"),
        twins_at: time("twins_ms"),
        state: serde_json::from_str(row.get("state")).unwrap_or_default(),
    }
}
