//! What came of a delivery: acknowledging exactly the versions that were sent, and keeping those refused.

use rusqlite::Connection;

use super::StoreError;
use super::journal::Store;
use super::outbox::{Claim, ClaimedAttribute};
use super::profiles;
use crate::quota::{Quota, QuotaTime};
use crate::reason::Reason;
use crate::timestamp::Timestamp;

/// The result of delivering a claim. What is neither delivered nor refused is pending again.
#[derive(Debug)]
pub struct Settlement {
    /// What was claimed; settling releases it.
    pub claim: Claim,
    /// What Target accepted, by index into the attributes of the claim.
    pub delivered: Vec<usize>,
    /// What Target refused for good.
    pub refused: Vec<Refusal>,
    /// Requests that reached Target.
    pub requests: i64,
    /// Requests among them that Target accepted.
    pub updates: i64,
    /// This device's time.
    pub at: Timestamp,
    /// The quota's.
    pub quota_time: QuotaTime,
}

/// One update that was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its attributes, by index into those of the claim.
    pub attributes: Vec<usize>,
    /// Why.
    pub reason: Reason,
    /// The first words of Target's answer, or what is too large.
    pub detail: String,
}

impl Store {
    /// Settles one delivery within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreError> {
        self.settle_claim(settlement).map_err(StoreError::write)
    }

    fn settle_claim(&mut self, settlement: &Settlement) -> rusqlite::Result<()> {
        let claim = &settlement.claim;
        let mut settled = 0;
        for indexes in settlement.delivered.chunks(TOGETHER) {
            let sent: Vec<&ClaimedAttribute> = indexes.iter().map(|index| &claim.attributes[*index]).collect();
            settled += deliver(&self.connection, claim.profile_id, &sent, settlement.at)?;
        }
        for refusal in &settlement.refused {
            settled += refuse(&self.connection, settlement, refusal)?;
        }
        let profiles = profiles::refresh_pending(&self.connection, claim.profile_id)?;
        if settlement.requests > 0 {
            self.spend(settlement.requests, settlement.quota_time);
        }
        // One was reserved for each claim.
        self.reserve(-1);
        let state = self.state_mut();
        state.pending_change.attributes -= settled;
        state.pending_change.profiles += profiles;
        state.totals.requests += settlement.requests;
        state.totals.updates += settlement.updates;
        state.totals.attributes += i64::try_from(settlement.delivered.len()).unwrap_or(0);
        if settlement.updates > 0 {
            state.totals.last_delivered_at_ms = settlement.at.as_millis();
        }
        Ok(())
    }

    pub(super) fn save_quota(&self) -> rusqlite::Result<()> {
        for (minute, requests) in &self.quota_spent {
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO quota (minute, requests) VALUES (?1, ?2)
                 ON CONFLICT (minute) DO UPDATE SET requests = requests + excluded.requests",
            )?;
            statement.execute((minute, requests))?;
        }
        if let Some((minute, _)) = self.quota_spent.first_key_value() {
            let oldest = minute - Quota::MINUTES;
            self.connection.prepare_cached("DELETE FROM quota WHERE minute < ?1")?.execute([oldest])?;
        }
        Ok(())
    }
}

/// Marks what was sent as delivered. Gives the number of attributes that are no longer pending: those that did not change
/// meanwhile.
fn deliver(
    connection: &Connection,
    profile_id: i64,
    sent: &[&ClaimedAttribute],
    at: Timestamp,
) -> rusqlite::Result<i64> {
    let mut unchanged = connection.prepare_cached(UNCHANGED[sent.len() - 1])?;
    unchanged.raw_bind_parameter(1, profile_id)?;
    unchanged.raw_bind_parameter(2, at.as_millis())?;
    for (index, attribute) in sent.iter().enumerate() {
        unchanged.raw_bind_parameter(3 + 2 * index, &attribute.name)?;
        unchanged.raw_bind_parameter(4 + 2 * index, attribute.version)?;
    }
    let settled = unchanged.raw_execute()?;
    if settled < sent.len() {
        let mut changed = connection.prepare_cached(CHANGED)?;
        for attribute in sent {
            changed.execute((profile_id, at.as_millis(), &attribute.name, attribute.version, &attribute.value))?;
        }
    }
    Ok(i64::try_from(settled).expect("at most a few"))
}

/// Attributes that one statement settles.
const TOGETHER: usize = 4;

/// For one to [`TOGETHER`] attributes. One statement for all, without the values, costs half as much as one for
/// each; the plus keeps SQLite from looking each name up.
const UNCHANGED: [&str; TOGETHER] = [
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2
     WHERE profile_id = ?1 AND name = ?3 AND version = ?4",
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2
     WHERE profile_id = ?1 AND (+name = ?3 AND version = ?4 OR +name = ?5 AND version = ?6)",
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2
     WHERE profile_id = ?1 AND (+name = ?3 AND version = ?4 OR +name = ?5 AND version = ?6 OR +name = ?7 AND version = ?8)",
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2
     WHERE profile_id = ?1 AND (+name = ?3 AND version = ?4 OR +name = ?5 AND version = ?6 OR +name = ?7 AND version = ?8
         OR +name = ?9 AND version = ?10)",
];

/// A value that changed in flight: Target has the one that was sent.
const CHANGED: &str = "UPDATE attribute SET delivered_version = ?4, delivered_value = ?5, delivered_at_ms = ?2
     WHERE profile_id = ?1 AND name = ?3 AND version > ?4 AND delivered_version < ?4";

/// Gives the number of attributes that are no longer pending.
fn refuse(connection: &Connection, settlement: &Settlement, refusal: &Refusal) -> rusqlite::Result<i64> {
    let claim = &settlement.claim;
    let mut settled = 0;
    let mut versions = Vec::new();
    for index in &refusal.attributes {
        let sent = &claim.attributes[*index];
        profiles::refuse(connection, claim.profile_id, &sent.name, sent.version, refusal.reason)?;
        settled += i64::from(profiles::version(connection, claim.profile_id, &sent.name)? == Some(sent.version));
        versions.push((&sent.name, sent.version));
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO rejected (rejected_at_ms, profile_id, attributes, reason, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let versions = serde_json::to_string(&versions).expect("names and numbers are JSON");
    let at_ms = settlement.at.as_millis();
    statement.execute((at_ms, claim.profile_id, versions, refusal.reason.label(), &refusal.detail))?;
    Ok(settled)
}
