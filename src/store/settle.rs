//! Settling a delivery: acknowledges exactly the versions that were sent, and keeps those that were refused.

use super::claim::{Claim, ClaimedAttribute};
use super::readings::{self, Reading};
use super::sends::{self, SendLog};
use super::stored::{Stored, pending};
use super::transaction::Transaction;
use super::verification::{self, ReadBack};
use super::{StoreError, place, profiles};
use crate::core::fleet::PartId;
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::forwarding::route::Route;
use crate::core::operation::Decision;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// The result of delivering a claim. Whatever is neither delivered nor refused is pending again.
#[derive(Debug)]
pub struct Settlement {
    /// Claim, which settling releases.
    pub claim: Claim,
    /// Attributes that Target accepted, by index into the attributes of the claim.
    pub delivered: Vec<usize>,
    /// Updates that Target refused permanently.
    pub refused: Vec<Refusal>,
    /// Parts of sums that the hub has: attribute, id and version.
    pub answered: Vec<(String, PartId, i64)>,
    /// Route of the update; `None` if nothing was sent.
    pub route: Option<Route>,
    /// Earlier readings, with decisions; an attribute that is
    /// [`Superseded`](crate::core::operation::Decision::Superseded) is no longer pending.
    pub readings: Vec<Reading>,
    /// Send log, if it differs from the recorded one: some values were not sent, or their answer was lost.
    pub sends: Option<SendLog>,
    /// Existence of the profile at Target, if it was learned or is still known.
    pub learned: Option<Existence>,
    /// Time of the next look for a profile that Target does not have and only the web site can create.
    pub look_at: Option<Timestamp>,
    /// Calls of the Fetch API that were made.
    pub reads: i64,
    /// Time and reason for reading the profile back, if it will be.
    pub read_back: Option<(Timestamp, ReadBack)>,
    /// Requests that reached Target.
    pub requests: i64,
    /// Requests among them that count against the quota of updates.
    pub quota_requests: i64,
    /// Requests among them that Target accepted.
    pub updates: i64,
    /// Single updates among them for a profile that may not exist at Target.
    pub unconfirmed: i64,
    /// Time on this device's clock.
    pub at: Timestamp,
    /// Time of the request that read the profile, if it was read.
    pub read_at: Timestamp,
    /// Time on the quota's clock.
    pub quota_time: QuotaTime,
}

/// One update that Target refused permanently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its attributes, by index into those of the claim.
    pub attributes: Vec<usize>,
    /// Reason for the refusal.
    pub reason: Reason,
    /// Beginning of Target's answer, or name of what is too large.
    pub detail: String,
}

impl Settlement {
    /// Returns the settlement of one single update, whose profile was not read.
    #[must_use]
    pub fn of_update(
        claim: Claim,
        delivered: Vec<usize>,
        refused: Vec<Refusal>,
        at: Timestamp,
        quota_time: QuotaTime,
    ) -> Self {
        Self {
            claim,
            updates: i64::from(!delivered.is_empty()),
            delivered,
            refused,
            answered: Vec::new(),
            route: Some(Route::SingleMode),
            readings: Vec::new(),
            sends: None,
            learned: None,
            look_at: None,
            reads: 0,
            read_back: None,
            requests: 1,
            quota_requests: 1,
            unconfirmed: 0,
            at,
            read_at: at,
            quota_time,
        }
    }
}

impl Transaction<'_> {
    /// Settles one delivery within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreError> {
        self.settle_claim(settlement).map_err(StoreError::write)
    }

    fn settle_claim(&mut self, settlement: &Settlement) -> rusqlite::Result<()> {
        let claim = &settlement.claim;
        self.happens(settlement.at);
        let mut settled = 0;
        for indexes in settlement.delivered.chunks(TOGETHER) {
            let sent: Vec<&ClaimedAttribute> = indexes.iter().map(|index| &claim.attributes[*index]).collect();
            settled += deliver(self, settlement, &sent)?;
        }
        self.answer_parts(claim.profile_id, &settlement.answered)?;
        if !settlement.readings.is_empty() {
            readings::write(self, claim.profile_id, &settlement.readings, settlement.read_at)?;
            let superseded = supersede(self, claim.profile_id, &settlement.readings)?;
            self.numbers.totals.superseded += superseded;
            settled += superseded;
        }
        if let Some(existence) = settlement.learned {
            profiles::learn(self, claim.profile_id, existence, settlement.at)?;
        }
        if let Some(log) = &settlement.sends {
            sends::write(self, claim.profile_id, log)?;
        }
        if let Some(read_back) = settlement.read_back {
            verification::schedule(self, claim.profile_id, read_back)?;
        }
        if let Some(look_at) = settlement.look_at {
            self.connection
                .prepare_cached(
                    "UPDATE profile SET look_at_ms = ?2, missing_since_ms = coalesce(missing_since_ms, ?3) WHERE id = ?1",
                )?
                .execute((claim.profile_id, look_at.as_millis(), settlement.at.as_millis()))?;
        }
        settled += self.settle_refusals(settlement)?;
        place::refresh_pending(self, claim.profile_id)?;
        if settlement.quota_requests > 0 {
            self.spend(settlement.quota_requests, settlement.quota_time);
        }
        if settlement.reads > 0 {
            self.spend_reads(settlement.reads, settlement.quota_time);
        }
        // One request was reserved for each claim.
        self.reserve(-1);
        self.numbers.pending_change.attributes -= settled;
        let totals = &mut self.numbers.totals;
        totals.requests += settlement.requests;
        totals.unconfirmed += settlement.unconfirmed;
        totals.updates += settlement.updates;
        totals.attributes += i64::try_from(settlement.delivered.len()).unwrap_or(0);
        if settlement.updates > 0 {
            totals.last_delivered_at_ms = settlement.at.as_millis();
        }
        Ok(())
    }

    /// Keeps refused updates as rejected, and returns how many attributes are no longer pending.
    fn settle_refusals(&mut self, settlement: &Settlement) -> rusqlite::Result<i64> {
        let claim = &settlement.claim;
        let mut settled = 0;
        for refusal in &settlement.refused {
            let version = |index: &usize| (claim.attributes[*index].name.clone(), claim.attributes[*index].version);
            let versions: Vec<(String, i64)> = refusal.attributes.iter().map(version).collect();
            let why = (refusal.reason, refusal.detail.as_str());
            if refusal.reason == Reason::ProfileMissing {
                // The next update for this customer gets the full waiting time again.
                self.connection
                    .prepare_cached("UPDATE profile SET missing_since_ms = NULL WHERE id = ?1")?
                    .execute([claim.profile_id])?;
            }
            settled += self.refuse_versions(claim.profile_id, &versions, why, settlement.at)?;
        }
        Ok(settled)
    }

    /// Undoes refusals by Target since a time, within a transaction, because the updates were not the cause. Returns
    /// how many attributes are pending again.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn retract_refusals(&mut self, profile_ids: &[i64], since: Timestamp) -> Result<usize, StoreError> {
        let mut released = 0;
        for profile_id in profile_ids {
            let rows = || {
                let mut statement = self.connection.prepare_cached(
                    "SELECT id FROM rejected
                     WHERE profile_id = ?1 AND reason IN (?2, ?3) AND rejected_at_ms >= ?4",
                )?;
                let [refused, too_large] = [Reason::RefusedByTarget, Reason::TooLarge].map(Reason::label);
                let rows =
                    statement.query_map((profile_id, refused, too_large, since.as_millis()), |row| row.get(0))?;
                rows.collect::<rusqlite::Result<Vec<i64>>>()
            };
            for id in rows().map_err(StoreError::write)? {
                released += self.release_refused(id).map_err(StoreError::write)?.unwrap_or(0);
            }
        }
        Ok(released)
    }

    /// Schedules a look for profiles that Target does not have yet and that are due at `now`, within a transaction.
    /// Returns when the next is due.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn look_again(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let look = || {
            self.connection
                .prepare_cached("UPDATE profile SET look_at_ms = NULL WHERE look_at_ms <= ?1")?
                .execute([now.as_millis()])?;
            self.connection
                .prepare_cached("SELECT min(look_at_ms) FROM profile WHERE look_at_ms IS NOT NULL")?
                .query_row([], |row| row.get::<_, Option<i64>>(0))
        };
        look().map(|next| next.map(Timestamp::from_millis)).map_err(StoreError::write)
    }

    /// Keeps refused versions of a profile's attributes as rejected, and returns how many are no longer pending.
    pub(super) fn refuse_versions(
        &mut self,
        profile_id: i64,
        versions: &[(String, i64)],
        (reason, detail): (Reason, &str),
        at: Timestamp,
    ) -> rusqlite::Result<i64> {
        let mut settled = 0;
        for (name, version) in versions {
            profiles::refuse(self, profile_id, name, *version, reason)?;
            settled += i64::from(profiles::version(&self.connection, profile_id, name)? == Some(*version));
        }
        let at = self.take_first_rejection(profile_id, versions)?.unwrap_or(at);
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO rejected (rejected_at_ms, profile_id, attributes, reason, detail)
             VALUES (?1, ?2, ?3, ?4, seal(?5, 'rejected'))",
        )?;
        let versions = serde_json::to_string(versions).expect("names and numbers are JSON");
        statement.execute((at.as_millis(), profile_id, versions, reason.label(), detail))?;
        Ok(settled)
    }
}

/// Marks attributes as not pending where another writer's value wins, and returns how many were pending.
pub(super) fn supersede(transaction: &Transaction<'_>, profile_id: i64, readings: &[Reading]) -> rusqlite::Result<i64> {
    let mut settled = 0;
    for reading in readings.iter().filter(|reading| reading.decision == Decision::Superseded) {
        settled += transaction
            .connection
            .prepare_cached(concat!(
                "UPDATE attribute SET refused_version = ?3, refused_reason = ?4
                 WHERE profile_id = ?1 AND name = ?2 AND version = ?3 AND ",
                pending!()
            ))?
            .execute((profile_id, &reading.name, reading.version, Reason::Superseded.label()))?;
    }
    Ok(i64::try_from(settled).unwrap_or(0))
}

/// Marks sent versions as delivered. Returns how many attributes are no longer pending: those that have not changed
/// meanwhile.
fn deliver(
    transaction: &Transaction<'_>,
    settlement: &Settlement,
    sent: &[&ClaimedAttribute],
) -> rusqlite::Result<i64> {
    let (profile_id, at) = (settlement.claim.profile_id, settlement.at);
    let route = settlement.route.map(Stored::stored);
    let mut unchanged = transaction.connection.prepare_cached(UNCHANGED[sent.len() - 1])?;
    unchanged.raw_bind_parameter(1, profile_id)?;
    unchanged.raw_bind_parameter(2, at.as_millis())?;
    unchanged.raw_bind_parameter(3, route)?;
    for (index, attribute) in sent.iter().enumerate() {
        unchanged.raw_bind_parameter(4 + 2 * index, &attribute.name)?;
        unchanged.raw_bind_parameter(5 + 2 * index, attribute.version)?;
    }
    let settled = unchanged.raw_execute()?;
    if settled < sent.len() {
        let mut changed = transaction.connection.prepare_cached(CHANGED)?;
        for attribute in sent {
            let sent = (&attribute.name, attribute.version, &attribute.value);
            changed.execute((profile_id, at.as_millis(), sent.0, sent.1, sent.2, route))?;
        }
    }
    Ok(i64::try_from(settled).expect("at most a few"))
}

/// Attributes settled by one statement.
const TOGETHER: usize = 4;

/// For one to [`TOGETHER`] attributes. One statement for all, without the values, costs half as much as one for each;
/// the plus keeps SQLite from looking up each name.
const UNCHANGED: [&str; TOGETHER] = [
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2, route = ?3
     WHERE profile_id = ?1 AND name = ?4 AND version = ?5",
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2, route = ?3
     WHERE profile_id = ?1 AND (+name = ?4 AND version = ?5 OR +name = ?6 AND version = ?7)",
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2, route = ?3
     WHERE profile_id = ?1 AND (+name = ?4 AND version = ?5 OR +name = ?6 AND version = ?7 OR +name = ?8 AND version = ?9)",
    "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = ?2, route = ?3
     WHERE profile_id = ?1 AND (+name = ?4 AND version = ?5 OR +name = ?6 AND version = ?7 OR +name = ?8 AND version = ?9
         OR +name = ?10 AND version = ?11)",
];

/// For a value that changed in flight: Target has the one that was sent.
const CHANGED: &str =
    "UPDATE attribute SET delivered_version = ?4, delivered_value = seal(?5, 'attribute', ?1, ?3), delivered_at_ms = ?2, route = ?6
     WHERE profile_id = ?1 AND name = ?3 AND version > ?4 AND delivered_version < ?4";
