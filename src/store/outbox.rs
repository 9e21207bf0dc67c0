//! The outbox: claims pending profiles, those that have waited longest first.

use std::collections::HashSet;

use rusqlite::Connection;

use super::claim::{Claim, ClaimedAttribute, InFlight};
use super::readings;
use super::seal::StoreFile;
use super::sends::{self, SendLog};
use super::stored::{Named, pending, state, time};
use super::{StoreError, parts, profiles, schema};
use crate::core::fleet::PartId;
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::quota::Quota;
use crate::core::timestamp::Timestamp;

/// The rules for claiming: which profiles, and how much is read of them.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRules<'r> {
    /// Largest number of profiles.
    pub limit: usize,
    /// Profiles to skip.
    pub aside: &'r HashSet<i64>,
    /// Largest number of pending profiles to count.
    pub backlog_max: usize,
    /// Time before which a value counts as late, if profiles are shared with other devices; `None` if they are not.
    pub late_before: Option<Timestamp>,
    /// True if everything claimed goes in a batch, whose rows have all attributes of a profile.
    pub goes_in_batch: bool,
    /// True if a profile that Target may not have can go in a batch.
    pub can_batch: bool,
    /// True if the claims go to a hub.
    pub hands_over: bool,
}

impl<'r> ClaimRules<'r> {
    /// Returns the rules for single updates of profiles that nobody else writes.
    #[must_use]
    pub const fn alone(limit: usize, aside: &'r HashSet<i64>) -> Self {
        Self {
            limit,
            aside,
            backlog_max: 0,
            late_before: None,
            goes_in_batch: false,
            can_batch: false,
            hands_over: false,
        }
    }
}

/// Claimed profiles.
#[derive(Debug, Default)]
pub struct Claims {
    /// The claims themselves.
    pub claims: Vec<Claim>,
    /// Pending profiles in no batch, including these claims, counted up to one more than `backlog_max`.
    pub backlog: usize,
    /// Rest of a quota that is shared with others; `None` if it is the device's own.
    pub quota: Option<Quota>,
}

/// The source of claims. There is only one, so that no profile is claimed twice.
pub struct Outbox {
    connection: Connection,
    in_flight: InFlight,
}

impl Outbox {
    /// Opens an outbox over the store's file, which a writer has opened before.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::NewerSchema`].
    pub fn open(file: &StoreFile, in_flight: InFlight) -> Result<Self, StoreError> {
        Ok(Self { connection: schema::open_reader(file)?, in_flight })
    }

    /// Claims profiles that are neither in flight nor in a batch.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn claim(&mut self, rules: ClaimRules<'_>) -> Result<Claims, StoreError> {
        claim_with(&self.connection, &self.in_flight, rules).map_err(StoreError::Read)
    }

    /// Returns up to a number of parts that the hub has, but may not know to be answered.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn answered_parts(&self, limit: usize) -> Result<Vec<PartId>, StoreError> {
        parts::answered(&self.connection, limit).map_err(StoreError::Read)
    }

    /// Claims up to `limit` profiles that are due to be read back, and returns when the next is due.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn claim_due(&mut self, now: Timestamp, limit: usize) -> Result<ReadBacks, StoreError> {
        claim_due(&self.connection, &self.in_flight, now, limit).map_err(StoreError::Read)
    }
}

/// Profiles to read back.
#[derive(Debug, Default)]
pub struct ReadBacks {
    /// Profiles due now, each with true if the reason is a lost answer.
    pub due: Vec<(Claim, bool)>,
    /// Time when the first of all profiles is due, including these.
    pub next: Option<Timestamp>,
}

/// The same on the writing connection, for simulations, which have no second one.
impl super::Store {
    /// Claims profiles as [`Outbox::claim`] does.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn claim(&self, in_flight: &InFlight, rules: ClaimRules<'_>) -> Result<Claims, StoreError> {
        claim_with(&self.connection, in_flight, rules).map_err(StoreError::Read)
    }

    /// Claims profiles to read back as [`Outbox::claim_due`] does.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn claim_due(&self, in_flight: &InFlight, now: Timestamp, limit: usize) -> Result<ReadBacks, StoreError> {
        claim_due(&self.connection, in_flight, now, limit).map_err(StoreError::Read)
    }
}

fn claim_due(
    connection: &Connection,
    in_flight: &InFlight,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<ReadBacks> {
    let busy = in_flight.busy();
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, open(key, 'profile', kind) AS key, existence, existence_at_ms, missing_since_ms, is_ambiguous
         FROM verification JOIN profile ON id = profile_id
         WHERE due_at_ms <= ?1 AND batch_id IS NULL ORDER BY due_at_ms LIMIT ?2",
    )?;
    let limit = i64::try_from(limit + busy.len()).unwrap_or(i64::MAX);
    let mut rows = statement.query((now.as_millis(), limit))?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let row = &Named::of(row);
        let profile_id: i64 = row.get("id")?;
        if busy.contains(&profile_id) {
            continue;
        }
        let mut claim = Claim {
            profile_id,
            identity: profiles::identity(row)?,
            knowledge: profiles::knowledge(row)?,
            basis: Some(readings::basis(connection, profile_id)?),
            sends: sends::load(connection, profile_id)?,
            missing_since: time(row, "missing_since_ms")?,
            attributes: Vec::new(),
            in_flight: None,
        };
        claim.lose_unanswered();
        if claim.take_off(in_flight) {
            due.push((claim, row.get("is_ambiguous")?));
        }
    }
    let next: Option<i64> =
        connection.prepare_cached("SELECT min(due_at_ms) FROM verification")?.query_row([], |row| row.get(0))?;
    Ok(ReadBacks { due, next: next.map(Timestamp::from_millis) })
}

fn claim_with(connection: &Connection, in_flight: &InFlight, rules: ClaimRules<'_>) -> rusqlite::Result<Claims> {
    // A value and the event that decided it are of one view of the store.
    let _view = rules.hands_over.then(|| connection.unchecked_transaction()).transpose()?;
    let counted = i64::try_from(rules.backlog_max).unwrap_or(i64::MAX).saturating_add(1);
    let backlog: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM (
                 SELECT 1 FROM profile
                 WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL LIMIT ?1)",
        )?
        .query_row([counted], |row| row.get(0))?;
    let backlog = usize::try_from(backlog).unwrap_or(0);
    let mut claims = claim(connection, in_flight, rules.limit, rules.aside)?;
    let goes_in_batch = rules.goes_in_batch || rules.can_batch && backlog > rules.backlog_max;
    for claim in claims.iter_mut().filter(|_| rules.hands_over) {
        parts::load(connection, claim)?;
    }
    for claim in &mut claims {
        let may_be_created = rules.can_batch && claim.knowledge.existence != Existence::Yes;
        let is_shared = rules.late_before.is_some_and(|late_before| claim.is_shared(late_before));
        if goes_in_batch || may_be_created || is_shared {
            claim.basis = Some(readings::basis(connection, claim.profile_id)?);
        }
        if rules.late_before.is_some() {
            claim.sends = sends::load(connection, claim.profile_id)?;
            claim.lose_unanswered();
        }
    }
    Ok(Claims { claims, backlog, quota: None })
}

/// Selects pending attributes with their profiles, in the order in which the profiles became pending.
const PENDING: &str = concat!(
    "SELECT id, kind, open(key, 'profile', kind) AS key, existence, existence_at_ms, missing_since_ms,
         name, open(value, 'attribute', id, name) AS value, version, delivered_version, operation, is_own, is_urgent,
         event_time_ms
     FROM profile LEFT JOIN attribute ON profile_id = id AND ",
    pending!(),
    " WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL ORDER BY pending_seq, id"
);

fn claim(
    connection: &Connection,
    in_flight: &InFlight,
    limit: usize,
    aside: &HashSet<i64>,
) -> rusqlite::Result<Vec<Claim>> {
    let busy = in_flight.busy();
    // One statement for all: a query per profile would cost as much again. A profile without attributes should not
    // exist, but is claimed too, so that its settlement removes it from the outbox.
    let mut pending = connection.prepare_cached(PENDING)?;
    let mut rows = pending.query([])?;
    let mut claims: Vec<Claim> = Vec::new();
    let mut passed_over = None;
    while let Some(row) = rows.next()? {
        let row = &Named::of(row);
        let profile_id: i64 = row.get("id")?;
        if passed_over == Some(profile_id) {
            continue;
        }
        if claims.last().is_none_or(|claim| claim.profile_id != profile_id) {
            if claims.len() == limit {
                break;
            }
            if busy.contains(&profile_id) || aside.contains(&profile_id) {
                passed_over = Some(profile_id);
                continue;
            }
            claims.push(Claim {
                profile_id,
                identity: profiles::identity(row)?,
                knowledge: profiles::knowledge(row)?,
                basis: None,
                sends: SendLog::default(),
                missing_since: time(row, "missing_since_ms")?,
                attributes: Vec::new(),
                in_flight: None,
            });
        }
        if let Some(name) = row.get("name")? {
            let attribute = ClaimedAttribute {
                name,
                value: row.get("value")?,
                version: row.get("version")?,
                delivered_version: row.get("delivered_version")?,
                operation: state(row, "operation")?,
                is_own: row.get("is_own")?,
                is_urgent: row.get("is_urgent")?,
                event_time: Timestamp::from_millis(row.get("event_time_ms")?),
                parts: Vec::new(),
                has_all_parts: true,
            };
            claims.last_mut().expect("pushed above").attributes.push(attribute);
        }
    }
    claims.retain_mut(|claim| claim.take_off(in_flight));
    Ok(claims)
}
