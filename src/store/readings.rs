//! The data that decides what Target should have of a profile, and readings of it.

use std::fmt;

use rusqlite::{Connection, OptionalExtension};

use super::sends::SendLog;
use super::stored::{Named, Stored, pending, state};
use super::transaction::Transaction;
use crate::core::operation::{Decision, Operation, Sent, Shown};
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// One attribute, with everything that decides what Target should have of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Basis {
    /// Name of the attribute.
    pub name: String,
    /// Value from this device's events.
    pub value: String,
    /// Version of that value.
    pub version: i64,
    /// Operation by which events change it.
    pub operation: Operation,
    /// True if only this device writes an attribute of that name.
    pub is_own: bool,
    /// Time of the event that decided the value, on this device's clock.
    pub event_time: Timestamp,
    /// Items of an `append`.
    pub items: Option<String>,
    /// True while it is pending.
    pub is_pending: bool,
    /// Version that Target has; 0 for none.
    pub delivered_version: i64,
    /// Value that was delivered without an entry in the send log, on this device's clock: by an older program, or while
    /// profiles were not shared.
    pub delivered: Option<Sent>,
}

impl Basis {
    /// Returns the values that were sent of it, oldest first; the last one is the newest. Logged values have their time
    /// on Target's clock; `on_target` converts a time of this device to it.
    #[must_use]
    pub fn sends(&self, log: &SendLog, on_target: impl Fn(Timestamp) -> Timestamp) -> Vec<Sent> {
        let noted = log.of(&self.name);
        let newest = noted.last().map_or(0, |sent| sent.version);
        let unnoted = self.delivered.clone().filter(|delivered| delivered.version > newest);
        let unnoted = unnoted.map(|sent| Sent { at: on_target(sent.at), ..sent });
        noted.iter().cloned().chain(unnoted).collect()
    }
}

/// Marks values newer than the delivered one as lost: the process ended before their answer came.
pub(super) fn lose_unanswered<'b>(basis: impl IntoIterator<Item = &'b Basis>, log: &mut SendLog) {
    for basis in basis {
        log.lose_after(&basis.name, basis.delivered_version);
    }
}

/// A value that was read of one attribute, with the decision on it.
#[derive(Clone, PartialEq, Eq)]
pub struct Reading {
    /// Name of the attribute.
    pub name: String,
    /// Value that Target showed, if any.
    pub shown: Option<Shown>,
    /// Decision on what to send.
    pub decision: Decision,
    /// Our version that was decided on; 0 if we have none.
    pub version: i64,
}

// Values are personal data and must not reach a log.
impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("decision", &self.decision).finish_non_exhaustive()
    }
}

impl fmt::Debug for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basis").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Returns the value as sent of an attribute that was delivered.
#[must_use]
pub fn delivered(version: i64, value: Option<String>, at_ms: Option<i64>) -> Option<Sent> {
    let at = Timestamp::from_millis(at_ms.unwrap_or_default());
    value.filter(|_| version > 0).map(|value| Sent {
        own: value.clone(),
        value,
        version,
        at,
        is_noted: false,
        seen_at: None,
        is_lost: false,
    })
}

/// Returns all attributes of a profile that may be sent: neither empty nor refused.
pub(super) fn basis(connection: &Connection, profile_id: i64) -> rusqlite::Result<Vec<Basis>> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT name, open(value, 'attribute', profile_id, name) AS value, version, operation, is_own, event_time_ms,
             open(items, 'attribute', profile_id, name) AS items, delivered_version, delivered_at_ms,
             open(delivered_value, 'attribute', profile_id, name) AS delivered_value, ",
        pending!(),
        " AS is_pending
         FROM attribute
         WHERE profile_id = ?1 AND value <> '' AND (refused_version < version OR refused_reason = ?2)
         ORDER BY name"
    ))?;
    let rows = statement.query_map((profile_id, Reason::Superseded.label()), |row| {
        let row = Named::of(row);
        let (name, value, version) = (row.get("name")?, row.get("value")?, row.get("version")?);
        let (operation, is_own) = (state(&row, "operation")?, row.get("is_own")?);
        let event_time = Timestamp::from_millis(row.get("event_time_ms")?);
        let (items, delivered_version) = (row.get("items")?, row.get("delivered_version")?);
        let (delivered_at_ms, delivered_value) = (row.get("delivered_at_ms")?, row.get("delivered_value")?);
        let delivered = delivered(delivered_version, delivered_value, delivered_at_ms);
        let is_pending = row.get("is_pending")?;
        Ok(Basis {
            name,
            value,
            version,
            operation,
            is_own,
            event_time,
            items,
            is_pending,
            delivered_version,
            delivered,
        })
    })?;
    rows.collect()
}

/// Writes readings of a profile, replacing older ones.
pub(super) fn write(
    transaction: &Transaction<'_>,
    profile_id: i64,
    readings: &[Reading],
    at: Timestamp,
) -> rusqlite::Result<()> {
    let exists: Option<bool> = transaction
        .connection
        .prepare_cached("SELECT 1 FROM profile WHERE id = ?1")?
        .query_row([profile_id], |row| row.get(0))
        .optional()?;
    if exists.is_none() {
        // The profile was erased meanwhile.
        return Ok(());
    }
    let mut statement = transaction.connection.prepare_cached(
        "INSERT OR REPLACE INTO reading (profile_id, name, read_at_ms, read_value, read_modified_at_ms, decision)
         VALUES (?1, ?2, ?3, seal(?4, 'attribute', ?1, ?2), ?5, ?6)",
    )?;
    for Reading { name, shown, decision, .. } in readings.iter().filter(|reading| reading.version > 0) {
        statement.execute((
            profile_id,
            name,
            at.as_millis(),
            shown.as_ref().map(|shown| &shown.value),
            shown.as_ref().and_then(|shown| shown.modified_at).map(Timestamp::as_millis),
            decision.stored(),
        ))?;
    }
    Ok(())
}
