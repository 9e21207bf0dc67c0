//! Devices: how they join by an invitation, and who a token belongs to. Of codes and tokens only hashes are kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::database::{Database, now_ms};
use super::error::HubError;
use crate::core::timestamp::Timestamp;

/// Longest name of a device. Units: characters.
const NAME_CHARS_MAX: usize = 128;

/// A device that joined and was not revoked.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number in the hub.
    pub id: i64,
    /// Its name, unique in the fleet.
    pub name: Arc<str>,
    /// Group that it belongs to.
    pub group: Option<String>,
    /// True if the hub has taken another time for some of its events, which were ahead of the hub's clock.
    pub(super) has_early: bool,
    /// The database's clock when the device was looked up.
    pub(super) now: Timestamp,
}

/// A code by which devices may join.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The code itself: a secret.
    pub code: String,
    /// Group of the devices that join by it.
    pub group: Option<String>,
    /// Number of devices that may join by it.
    pub uses: u32,
    /// Time for which it is good.
    pub lasts: Duration,
}

/// A reason why a device may not join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinRefused {
    /// The code is unknown, used up or too old. Which of these is not told.
    Code,
    /// A device of that name has joined.
    NameTaken,
    /// The name is empty or too long, or holds a control character.
    Name,
}

impl fmt::Display for JoinRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("the invitation is not known, is used up or has expired; ask for another one"),
            Self::NameTaken => f.write_str(
                "a device of that name has joined; revoke it first (`outpost fleet revoke NAME`), or set another device_id",
            ),
            Self::Name => write!(f, "a device's name must have 1 to {NAME_CHARS_MAX} characters, and no control character"),
        }
    }
}

impl Database {
    /// Keeps an invitation.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn invite(&self, invitation: &Invitation) -> Result<(), HubError> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(concat!(
                "INSERT INTO invitation (code_hash, device_group, uses_left, expires_ms) VALUES ($1, $2, $3, ",
                now_ms!(),
                " + $4)"
            ))
            .await?;
        let uses = i32::try_from(invitation.uses).unwrap_or(i32::MAX);
        let lasts = i64::try_from(invitation.lasts.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let hash = hash(&invitation.code);
        client.execute(&statement, &[&hash.as_slice(), &invitation.group, &uses, &lasts]).await?;
        Ok(())
    }

    /// Lets a device join: keeps its name and the hash of its new token. A name whose device was revoked is free again.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn join(&self, code: &str, name: &str, token: &str) -> Result<Result<(), JoinRefused>, HubError> {
        if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Ok(Err(JoinRefused::Name));
        }
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let used = transaction
            .query_opt(
                concat!(
                    "UPDATE invitation SET uses_left = uses_left - 1 WHERE code_hash = $1 AND uses_left > 0 AND expires_ms > ",
                    now_ms!(),
                    " RETURNING device_group"
                ),
                &[&hash(code).as_slice()],
            )
            .await?;
        let Some(used) = used else { return Ok(Err(JoinRefused::Code)) };
        let group: Option<&str> = used.get("device_group");
        let joined = transaction
            .execute(
                concat!(
                    "INSERT INTO device (name, device_group, token_hash, joined_ms) VALUES ($1, $2, $3, ",
                    now_ms!(),
                    ") ON CONFLICT (name) DO UPDATE SET device_group = excluded.device_group, token_hash = excluded.token_hash,
                         joined_ms = excluded.joined_ms, revoked_ms = NULL, process = NULL, process_was = NULL, twins_ms = NULL
                     WHERE device.revoked_ms IS NOT NULL"
                ),
                &[&name, &group, &hash(token).as_slice()],
            )
            .await;
        match joined {
            Ok(0) => return Ok(Err(JoinRefused::NameTaken)),
            // Another device has just taken the name.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Ok(Err(JoinRefused::NameTaken)),
            joined => joined?,
        };
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Returns the device that a token belongs to, unless it was revoked.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn device(&self, token: &str) -> Result<Option<Device>, HubError> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(concat!(
                "SELECT id, name, device_group, has_early, ",
                now_ms!(),
                " AS now_ms FROM device WHERE token_hash = $1 AND revoked_ms IS NULL"
            ))
            .await?;
        let row = client.query_opt(&statement, &[&hash(token).as_slice()]).await?;
        Ok(row.as_ref().map(device))
    }

    /// Revokes a device's token. Returns false if there is no device of that name with a token that is good.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn revoke(&self, name: &str) -> Result<bool, HubError> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(concat!(
                "UPDATE device SET revoked_ms = ",
                now_ms!(),
                " WHERE name = $1 AND revoked_ms IS NULL"
            ))
            .await?;
        Ok(client.execute(&statement, &[&name]).await? > 0)
    }
}

fn device(row: &Row) -> Device {
    Device {
        id: row.get("id"),
        name: Arc::from(row.get::<_, &str>("name")),
        group: row.get("device_group"),
        has_early: row.get("has_early"),
        now: Timestamp::from_millis(row.get("now_ms")),
    }
}

/// Codes and tokens are random and long, so that a plain hash does not help to guess them.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
