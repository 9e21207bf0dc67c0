//! Profiles and their attributes: their values, and how changes are written.

use std::fmt;

use rusqlite::{Connection, OptionalExtension};

use super::opening::Repeats;
use super::parts::SumChange;
use super::place::{refresh_pending, set_pending};
use super::stored::{Named, Stored, by_name, pending, state, time};
use super::transaction::Transaction;
use crate::core::forwarding::existence::{Existence, Knowledge};
use crate::core::identity::Identity;
use crate::core::mapping::ProfileChanges;
use crate::core::operation::{Change, ChangeError, Held, Operation, Stamp};
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// Reads the identity in the columns `kind` and `key`.
pub(super) fn identity(row: &Named<'_>) -> rusqlite::Result<Identity> {
    Identity::new(state(row, "kind")?, row.get::<String>("key")?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(usize::MAX, rusqlite::types::Type::Text, error.into())
    })
}

/// Reads the known state of a profile at Target from the columns `existence` and `existence_at_ms`.
pub(super) fn knowledge(row: &Named<'_>) -> rusqlite::Result<Knowledge> {
    Ok(Knowledge { existence: state(row, "existence")?, at: time(row, "existence_at_ms")?.unwrap_or_default() })
}

/// Records whether Target has a profile.
pub(super) fn learn(
    transaction: &Transaction<'_>,
    profile_id: i64,
    existence: Existence,
    at: Timestamp,
) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached(
            "UPDATE profile SET existence = ?2, existence_at_ms = ?3,
                 missing_since_ms = CASE ?2 WHEN ?4 THEN NULL ELSE missing_since_ms END,
                 look_at_ms = CASE ?2 WHEN ?4 THEN NULL ELSE look_at_ms END
             WHERE id = ?1",
        )?
        .execute((profile_id, existence.stored(), at.as_millis(), Existence::Yes.stored()))
        .map(|_| ())
}

/// The changes of one event to one profile, computed before anything is written.
pub(super) struct ProfilePlan<'a> {
    identity: &'a Identity,
    profile: Option<ProfileHead>,
    attributes: Vec<AttributePlan<'a>>,
}

pub(super) struct ProfileHead {
    pub(super) id: i64,
    pub(super) is_pending: bool,
}

struct AttributePlan<'a> {
    name: &'a str,
    mapping: &'a str,
    operation: Operation,
    is_own: bool,
    is_urgent: bool,
    held: Option<Held>,
    exists: bool,
    /// Version of the value before the event; 0 if there was none.
    version: i64,
    /// True if that value was a sum.
    was_sum: bool,
    was_pending: bool,
    /// Value before the event, if there was one.
    before: Option<String>,
    /// True if Target has this value, but for so long that it is sent again: profiles expire there, and updates get
    /// lost.
    is_due_again: bool,
    is_changed: bool,
}

/// A failure to plan changes: of a change itself, or of the disk.
pub(super) enum PlanError {
    Coalesce { mapping: String, attribute: String, error: ChangeError },
    Read(rusqlite::Error),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coalesce { mapping, attribute, error } => {
                write!(f, "mapping \"{mapping}\", attribute \"{attribute}\": {error}")
            }
            Self::Read(error) => write!(f, "reading from the store failed: {error}"),
        }
    }
}

impl From<rusqlite::Error> for PlanError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error)
    }
}

/// Computes the effect of changes on a profile, without writing anything.
pub(super) fn plan<'a>(
    connection: &Connection,
    changes: &'a ProfileChanges,
    stamp: Stamp,
    repeats: Repeats,
) -> Result<ProfilePlan<'a>, PlanError> {
    let identity = &changes.identity;
    let profile = find(connection, identity)?;
    let mut attributes = Vec::with_capacity(changes.changes.len());
    for change in &changes.changes {
        if !attributes.iter().any(|plan: &AttributePlan<'_>| plan.name == change.name.as_str()) {
            attributes.push(AttributePlan {
                name: change.name.as_str(),
                mapping: &change.mapping,
                operation: change.operation,
                is_own: change.is_own,
                is_urgent: change.is_urgent,
                held: None,
                exists: false,
                version: 0,
                was_sum: false,
                was_pending: false,
                before: None,
                is_due_again: false,
                is_changed: false,
            });
        }
    }
    if let Some(profile) = &profile {
        load(connection, profile.id, &mut attributes, repeats.before)?;
    }
    for change in &changes.changes {
        let plan = attributes.iter_mut().find(|plan| plan.name == change.name.as_str());
        apply(plan.expect("planned above"), change, stamp)?;
    }
    for plan in &mut attributes {
        plan.is_due_again = plan.is_due_again(repeats);
    }
    Ok(ProfilePlan { identity, profile, attributes })
}

fn apply<'a>(plan: &mut AttributePlan<'a>, change: &'a Change, stamp: Stamp) -> Result<(), PlanError> {
    let next = change.operation.change(plan.held.as_ref(), &change.value, stamp).map_err(|error| {
        PlanError::Coalesce { mapping: change.mapping.to_string(), attribute: plan.name.to_owned(), error }
    })?;
    if let Some(next) = next {
        plan.held = Some(next);
        plan.mapping = &change.mapping;
        plan.is_urgent |= change.is_urgent;
        plan.is_changed = true;
    }
    Ok(())
}

pub(super) fn find(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<ProfileHead>> {
    connection
        .prepare_cached(
            "SELECT id, pending_seq IS NOT NULL AS is_pending FROM profile WHERE key = seal(?1, 'profile', ?2) AND kind = ?2",
        )?
        .query_row(
            (identity.key(), identity.kind().stored()),
            by_name(|row| Ok(ProfileHead { id: row.get("id")?, is_pending: row.get("is_pending")? })),
        )
        .optional()
}

/// Reads the present values of the planned attributes. One range read is quicker than a lookup for each.
fn load(
    connection: &Connection,
    profile_id: i64,
    plans: &mut [AttributePlan<'_>],
    repeat_before: Timestamp,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT name, open(value, 'attribute', profile_id, name) AS value,
             open(items, 'attribute', profile_id, name) AS items, event_time_ms, event_seq, version, operation, ",
        pending!(),
        " AS is_pending, version = delivered_version AND delivered_at_ms <= ?2 AS is_due_again
         FROM attribute WHERE profile_id = ?1"
    ))?;
    let mut rows = statement.query((profile_id, repeat_before.as_millis()))?;
    while let Some(row) = rows.next()? {
        let row = Named::of(row);
        let name = row.get_ref("name")?.as_str()?;
        let Some(plan) = plans.iter_mut().find(|plan| plan.name == name) else { continue };
        let value: String = row.get("value")?;
        let items = row.get("items")?;
        let stamp = Stamp { time: Timestamp::from_millis(row.get("event_time_ms")?), seq: row.get("event_seq")? };
        plan.before = Some(value.clone());
        plan.held = Some(Held { value, stamp, items });
        plan.version = row.get("version")?;
        plan.was_sum = state::<Operation>(&row, "operation")?.is_sum();
        plan.was_pending = row.get("is_pending")?;
        plan.is_due_again = row.get::<Option<bool>>("is_due_again")?.unwrap_or(false);
        plan.exists = true;
    }
    Ok(())
}

/// Writes a plan; the stamp is the event's number and time of recording. Returns the profile's number.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    plan: &ProfilePlan<'_>,
    (seq, recorded_at): (i64, Timestamp),
) -> rusqlite::Result<i64> {
    let becomes_pending = plan.attributes.iter().any(AttributePlan::becomes_pending);
    let (id, was_pending) = match &plan.profile {
        Some(profile) => (profile.id, profile.is_pending),
        None => (insert(transaction, plan.identity)?, false),
    };
    let mut change = 0;
    for attribute in plan.attributes.iter().filter(|attribute| attribute.is_changed || attribute.is_due_again) {
        attribute.write(transaction, id, seq, recorded_at)?;
        let is_pending = attribute.becomes_pending() || (attribute.was_pending && !attribute.has_new_version());
        change += i64::from(is_pending) - i64::from(attribute.was_pending);
    }
    transaction.numbers.pending_change.attributes += change;
    if becomes_pending && !was_pending {
        set_pending(transaction, id, seq, recorded_at.as_millis())?;
        transaction.numbers.pending_change.profiles += 1;
    } else if was_pending && change < 0 {
        // An empty value replaced a pending one: perhaps nothing is left to send.
        refresh_pending(transaction, id)?;
    }
    Ok(id)
}

impl AttributePlan<'_> {
    /// Returns true if the value is sent again although it is the same.
    fn is_due_again(&self, repeats: Repeats) -> bool {
        if repeats.handed_over && self.operation.is_sum() {
            // A part that the hub has counts there, and need not come again.
            return false;
        }
        let is_others = repeats.shared && !self.was_pending && self.operation.replaces() && !self.is_own;
        self.is_due_again || self.is_changed && (is_others || repeats.handed_over)
    }

    fn value_changes(&self) -> bool {
        self.is_changed && self.before.as_deref() != self.held.as_ref().map(|held| held.value.as_str())
    }

    fn has_new_version(&self) -> bool {
        self.value_changes() || self.is_due_again
    }

    fn is_empty(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.value.is_empty())
    }

    fn becomes_pending(&self) -> bool {
        self.has_new_version() && !self.is_empty()
    }

    fn write(
        &self,
        transaction: &mut Transaction<'_>,
        profile_id: i64,
        seq: i64,
        recorded_at: Timestamp,
    ) -> rusqlite::Result<()> {
        let Some(held) = &self.held else { return Ok(()) };
        let at = (held.stamp.time.as_millis(), held.stamp.seq);
        if !self.has_new_version() {
            let mut statement = transaction.connection.prepare_cached(
                "UPDATE attribute SET items = seal(?3, 'attribute', ?1, ?2), event_time_ms = ?4, event_seq = ?5, mapping = ?6
                 WHERE profile_id = ?1 AND name = ?2",
            )?;
            statement.execute((profile_id, self.name, &held.items, at.0, at.1, self.mapping))?;
            return Ok(());
        }
        if !self.is_changed {
            let mut statement = transaction.connection.prepare_cached(
                "UPDATE attribute SET version = ?3, changed_at_ms = ?4 WHERE profile_id = ?1 AND name = ?2",
            )?;
            return statement.execute((profile_id, self.name, seq, recorded_at.as_millis())).map(|_| ());
        }
        let sql = if self.exists {
            "UPDATE attribute SET value = seal(?3, 'attribute', ?1, ?2), items = seal(?4, 'attribute', ?1, ?2), event_time_ms = ?5, event_seq = ?6, mapping = ?7,
                 version = ?8, changed_at_ms = ?9, operation = ?10, is_own = ?11,
                 is_urgent = ?12 OR (is_urgent AND version > delivered_version)
             WHERE profile_id = ?1 AND name = ?2"
        } else {
            "INSERT INTO attribute
                 (profile_id, name, value, items, event_time_ms, event_seq, mapping, version, changed_at_ms,
                  operation, is_own, is_urgent)
             VALUES (?1, ?2, seal(?3, 'attribute', ?1, ?2), seal(?4, 'attribute', ?1, ?2), ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        };
        transaction.connection.prepare_cached(sql)?.execute((
            profile_id,
            self.name,
            &held.value,
            &held.items,
            at.0,
            at.1,
            self.mapping,
            seq,
            recorded_at.as_millis(),
            self.operation.stored(),
            self.is_own,
            self.is_urgent,
        ))?;
        if transaction.numbers.hands_over {
            self.write_part(transaction, (profile_id, seq), &held.value)?;
        }
        if self.is_empty() {
            refuse(transaction, profile_id, self.name, seq, Reason::EmptyValue)?;
            transaction.numbers.totals.empty += 1;
        }
        Ok(())
    }
}

impl AttributePlan<'_> {
    fn write_part(
        &self,
        transaction: &Transaction<'_>,
        (profile_id, seq): (i64, i64),
        after: &str,
    ) -> rusqlite::Result<()> {
        let (place, before) = ((profile_id, self.name), self.before.as_deref());
        match before.filter(|_| self.was_sum && !self.operation.is_sum()) {
            Some(before) => transaction.close_part(place, before, self.version),
            None if self.operation.is_sum() => {
                transaction.add_to_part(place, &SumChange { seq, before, version: self.version, after })
            }
            None => Ok(()),
        }
    }
}

/// Writes a new profile. A number is not reused in the life of a process: an old claim may still have it.
fn insert(transaction: &mut Transaction<'_>, identity: &Identity) -> rusqlite::Result<i64> {
    let id = transaction.numbers.last_profile_id + 1;
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO profile (id, kind, key, forgotten_until_ms)
             VALUES (?1, ?2, seal(?3, 'profile', ?2), (SELECT until_ms FROM forgotten WHERE identity = ?4))",
        )?
        .execute((id, identity.kind().stored(), identity.key(), transaction.identity_key.hash(identity)))?;
    transaction.numbers.last_profile_id = id;
    Ok(id)
}

/// Marks a version of an attribute as refused, unless a newer one already is: an answer may come after the value has
/// changed to an empty one.
pub(super) fn refuse(
    transaction: &Transaction<'_>,
    profile_id: i64,
    name: &str,
    version: i64,
    reason: Reason,
) -> rusqlite::Result<()> {
    let mut statement = transaction.connection.prepare_cached(
        "UPDATE attribute SET refused_version = ?3, refused_reason = ?4
         WHERE profile_id = ?1 AND name = ?2 AND refused_version < ?3",
    )?;
    statement.execute((profile_id, name, version, reason.label())).map(|_| ())
}

/// Returns the present version of an attribute; `None` if it was erased.
pub(super) fn version(connection: &Connection, profile_id: i64, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT version FROM attribute WHERE profile_id = ?1 AND name = ?2")?
        .query_row((profile_id, name), |row| row.get(0))
        .optional()
}
