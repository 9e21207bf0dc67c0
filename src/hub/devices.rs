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

/// Longest name of a device, and of a group. Units: characters.
const NAME_CHARS_MAX: usize = 128;

/// Shortest text that a device chooses for an attempt to join: nobody may guess it. Units: characters.
pub const ATTEMPT_CHARS_MIN: usize = 32;

/// A device that joined and was not revoked.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number in the hub.
    pub id: i64,
    /// Its name, unique in the fleet.
    pub name: Arc<str>,
    /// Group that it belongs to.
    pub group: Option<String>,
    /// The database's clock when the device was looked up.
    pub now: Timestamp,
}

/// A device's wish to join.
#[derive(Clone, Debug)]
pub struct Joining<'j> {
    /// The invitation's code.
    pub code: &'j str,
    /// Name of the device.
    pub name: &'j str,
    /// Group that it asks for, if any.
    pub group: Option<&'j str>,
    /// Random text that the device chose for this attempt, at least [`ATTEMPT_CHARS_MIN`] long: with the same one it may ask again,
    /// as after a lost answer, and gets another token instead of the one that nobody has.
    pub attempt: Option<&'j str>,
    /// Its token, if it may join.
    pub token: &'j str,
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
    /// The name of the device or of its group is empty or too long, or holds a control character.
    Name,
    /// The invitation is for this other group.
    Group(String),
}

impl fmt::Display for JoinRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("the invitation is not known, is used up or has expired; ask for another one"),
            Self::NameTaken => f.write_str(
                "a device of that name has joined; revoke it first (`outpost fleet revoke NAME`), or set another device_id",
            ),
            Self::Name => write!(
                f,
                "the name of a device or a group must have 1 to {NAME_CHARS_MAX} characters, and no control character"
            ),
            Self::Group(group) => write!(f, "the invitation is for the group {group}; leave --group out, or ask for another one"),
        }
    }
}

impl Database {
    /// Keeps an invitation.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn invite(&self, invitation: &Invitation) -> Result<(), HubError> {
        let work = async {
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
            client.done();
            Ok(())
        };
        self.in_time(work).await
    }

    /// Lets a device join: keeps its name and the hash of its new token. A name whose device was revoked is free again. Returns
    /// the device's group.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn join(&self, joining: &Joining<'_>) -> Result<Result<Option<String>, JoinRefused>, HubError> {
        let is_name =
            |name: &str| (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !is_name(joining.name) || joining.group.is_some_and(|group| !is_name(group)) {
            return Ok(Err(JoinRefused::Name));
        }
        let work = async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let joined = match again(&transaction, joining).await? {
                Some(group) => Ok(group),
                None => first(&transaction, joining).await?,
            };
            if joined.is_ok() {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            client.done();
            Ok(joined)
        };
        self.in_time(work).await
    }

    /// Returns the device that a token belongs to, unless it was revoked.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn device(&self, token: &str) -> Result<Option<Device>, HubError> {
        let work = async {
            let client = self.client().await?;
            let statement = client
                .prepare_cached(concat!(
                    "SELECT id, name, device_group, ",
                    now_ms!(),
                    " AS now_ms FROM device WHERE token_hash = $1 AND revoked_ms IS NULL"
                ))
                .await?;
            let row = client.query_opt(&statement, &[&hash(token).as_slice()]).await?;
            client.done();
            Ok(row.as_ref().map(device))
        };
        self.in_time(work).await
    }

    /// Revokes a device's token. Returns false if there is no device of that name with a token that is good.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn revoke(&self, name: &str) -> Result<bool, HubError> {
        let work = async {
            let client = self.client().await?;
            let statement = client
                .prepare_cached(concat!(
                    "UPDATE device SET revoked_ms = ",
                    now_ms!(),
                    " WHERE name = $1 AND revoked_ms IS NULL"
                ))
                .await?;
            let is_revoked = client.execute(&statement, &[&name]).await? > 0;
            client.done();
            Ok(is_revoked)
        };
        self.in_time(work).await
    }
}

/// Gives a device that repeats its attempt the token of this one, if the attempt has succeeded before and nothing was handed over
/// since. Returns its group then.
async fn again(
    transaction: &deadpool_postgres::Transaction<'_>,
    Joining { name, attempt, token, .. }: &Joining<'_>,
) -> Result<Option<Option<String>>, HubError> {
    let Some(attempt) = attempt.filter(|attempt| attempt.len() >= ATTEMPT_CHARS_MIN) else { return Ok(None) };
    let row = transaction
        .query_opt(
            "UPDATE device SET token_hash = $3
             WHERE name = $1 AND attempt_hash = $2 AND revoked_ms IS NULL AND contact_ms IS NULL RETURNING device_group",
            &[name, &hash(attempt).as_slice(), &hash(token).as_slice()],
        )
        .await?;
    Ok(row.map(|row| row.get("device_group")))
}

/// Lets a device join by a use of its invitation.
async fn first(
    transaction: &deadpool_postgres::Transaction<'_>,
    Joining { code, name, group, attempt, token }: &Joining<'_>,
) -> Result<Result<Option<String>, JoinRefused>, HubError> {
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
    let group = match (used.get::<_, Option<String>>("device_group"), group) {
        (Some(of_code), Some(asked)) if of_code != *asked => return Ok(Err(JoinRefused::Group(of_code))),
        (of_code, asked) => of_code.or_else(|| asked.map(str::to_owned)),
    };
    let attempt = attempt.filter(|attempt| attempt.len() >= ATTEMPT_CHARS_MIN).map(|attempt| hash(attempt).to_vec());
    let joined = transaction
        .execute(
            concat!(
                "INSERT INTO device (name, device_group, token_hash, attempt_hash, joined_ms) VALUES ($1, $2, $3, $4, ",
                now_ms!(),
                ") ON CONFLICT (name) DO UPDATE SET device_group = excluded.device_group, token_hash = excluded.token_hash,
                     attempt_hash = excluded.attempt_hash, joined_ms = excluded.joined_ms, revoked_ms = NULL, contact_ms = NULL,
                     processes = '{}', twins_ms = NULL
                 WHERE device.revoked_ms IS NOT NULL"
            ),
            &[name, &group, &hash(token).as_slice(), &attempt],
        )
        .await;
    match joined {
        Ok(0) => return Ok(Err(JoinRefused::NameTaken)),
        // Another device has just taken the name.
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Ok(Err(JoinRefused::NameTaken)),
        joined => joined?,
    };
    Ok(Ok(group))
}

/// Returns a code or token that nobody can guess: 64 hexadecimal digits.
///
/// # Errors
/// The system's, if it has no random numbers.
pub fn new_secret() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(hex::encode(bytes))
}

fn device(row: &Row) -> Device {
    Device {
        id: row.get("id"),
        name: Arc::from(row.get::<_, &str>("name")),
        group: row.get("device_group"),
        now: Timestamp::from_millis(row.get("now_ms")),
    }
}

/// Codes and tokens are random and long, so that a plain hash does not help to guess them.
fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
