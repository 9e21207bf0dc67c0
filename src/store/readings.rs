//! What was read of profiles that others write too, and what was sent because of it.

use std::fmt;

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use super::journal::Store;
use crate::attribute::Operation;
use crate::merge::{Decision, Sent, Shown};
use crate::timestamp::Timestamp;

/// An attribute with all that decides what Target shall hold of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Basis {
    /// Its name.
    pub name: String,
    /// The value over this device's events.
    pub value: String,
    /// The version of that value.
    pub version: i64,
    /// How events change it.
    pub operation: Operation,
    /// Whether the name is this device's own.
    pub is_own: bool,
    /// The time of the event that decided the value, on this device's clock.
    pub event_time: Timestamp,
    /// What `append` knows of its items.
    pub items: Option<String>,
    /// Whether it is pending.
    pub is_pending: bool,
    /// What was sent last.
    pub sent: Option<Sent>,
    /// Whether the time in `sent` is this device's, not Target's.
    pub is_sent_at_ours: bool,
}

/// What was read of one attribute, and decided.
#[derive(Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its name.
    pub name: String,
    /// What Target showed, if anything.
    pub shown: Option<Shown>,
    /// What was made of it.
    pub decision: Decision,
    /// Our version that was decided on; 0 where we have none.
    pub version: i64,
    /// What is sent, if anything is.
    pub sent: Option<Sent>,
}

impl Reading {
    /// Whether sending the same again after an answer that was lost would count something twice, were it not noted before.
    #[must_use]
    pub fn must_be_noted(&self) -> bool {
        self.decision == Decision::Together
    }
}

// Nobody's values may reach a log.
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

/// What was sent as it was, of an attribute that was delivered.
pub(super) fn delivered(version: i64, value: Option<String>, at_ms: Option<i64>) -> Option<Sent> {
    let at = Timestamp::from_millis(at_ms.unwrap_or_default());
    value.filter(|_| version > 0).map(|value| Sent { own: value.clone(), value, version, at })
}

/// All attributes of a profile that may be sent: neither empty nor refused.
pub(super) fn basis(connection: &Connection, profile_id: i64) -> rusqlite::Result<Vec<Basis>> {
    let mut statement = connection.prepare_cached(
        "SELECT a.name, open(value, 'attribute', a.profile_id, a.name), version, operation, is_own, event_time_ms,
                open(items, 'attribute', a.profile_id, a.name), version > max(delivered_version, refused_version),
                delivered_version, open(delivered_value, 'attribute', a.profile_id, a.name), delivered_at_ms,
                sent_version, open(sent_value, 'attribute', a.profile_id, a.name),
                open(sent_own, 'attribute', a.profile_id, a.name), sent_at_ms
         FROM attribute a LEFT JOIN reading r ON r.profile_id = a.profile_id AND r.name = a.name
         WHERE a.profile_id = ?1 AND value <> '' AND (refused_version < version OR refused_reason = 'superseded')
         ORDER BY a.name",
    )?;
    let rows = statement.query_map([profile_id], |row| {
        let version: i64 = row.get(8)?;
        let value: Option<String> = row.get(9)?;
        let at_ms: Option<i64> = row.get(10)?;
        let delivered = delivered(version, value, at_ms);
        let noted_version = row.get::<_, Option<i64>>(11)?.unwrap_or(0);
        let noted = match (row.get(12)?, row.get(13)?) {
            (Some(value), Some(own)) if noted_version > 0 && noted_version >= version => {
                let at = Timestamp::from_millis(row.get::<_, Option<i64>>(14)?.unwrap_or_default());
                Some(Sent { value, own, version: noted_version, at })
            }
            _ => None,
        };
        Ok(Basis {
            name: row.get(0)?,
            value: row.get(1)?,
            version: row.get(2)?,
            operation: Operation::of_number(row.get(3)?),
            is_own: row.get(4)?,
            event_time: Timestamp::from_millis(row.get(5)?),
            items: row.get(6)?,
            is_pending: row.get(7)?,
            is_sent_at_ours: noted.is_none(),
            sent: noted.or(delivered),
        })
    })?;
    rows.collect()
}

/// Writes readings of a profile, in the place of older ones.
pub(super) fn write(
    connection: &Connection,
    profile_id: i64,
    readings: &[Reading],
    at: Timestamp,
) -> rusqlite::Result<()> {
    let exists: Option<bool> = connection
        .prepare_cached("SELECT 1 FROM profile WHERE id = ?1")?
        .query_row([profile_id], |row| row.get(0))
        .optional()?;
    if exists.is_none() {
        // It was erased meanwhile.
        return Ok(());
    }
    // A newer reading that sends nothing says nothing of what was sent before it.
    let mut statement = connection.prepare_cached(
        "INSERT INTO reading (profile_id, name, read_at_ms, read_value, read_modified_at_ms, decision,
             sent_version, sent_value, sent_own, sent_at_ms)
         VALUES (?1, ?2, ?3, seal(?4, 'attribute', ?1, ?2), ?5, ?6, coalesce(?7, 0), seal(?8, 'attribute', ?1, ?2),
             seal(?9, 'attribute', ?1, ?2), ?10)
         ON CONFLICT DO UPDATE SET read_at_ms = ?3, read_value = excluded.read_value, read_modified_at_ms = ?5,
             decision = ?6, sent_version = coalesce(?7, sent_version), sent_value = coalesce(excluded.sent_value, sent_value),
             sent_own = coalesce(excluded.sent_own, sent_own), sent_at_ms = coalesce(?10, sent_at_ms)",
    )?;
    for Reading { name, shown, decision, sent, .. } in readings {
        statement.execute((
            profile_id,
            name,
            at.as_millis(),
            shown.as_ref().map(|shown| &shown.value),
            shown.as_ref().and_then(|shown| shown.modified_at).map(Timestamp::as_millis),
            decision.number(),
            sent.as_ref().map(|sent| sent.version),
            sent.as_ref().map(|sent| &sent.value),
            sent.as_ref().map(|sent| &sent.own),
            sent.as_ref().map(|sent| sent.at.as_millis()),
        ))?;
    }
    Ok(())
}

impl Store {
    /// Notes what is about to be sent of a profile, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn note_readings(&mut self, profile_id: i64, readings: &[Reading], at: Timestamp) -> Result<(), StoreError> {
        write(&self.connection, profile_id, readings, at).map_err(StoreError::write)
    }
}
