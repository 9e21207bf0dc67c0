//! Parts of pending attributes, as a device hands them over to a hub.
//!
//! A part of a sum has an id of its own, by which it counts once, whatever happens to requests and disks. It grows only in the
//! process that began it, and only until the hub has all of it; a start leaves it as it is, and what is added then is another
//! part. So a part is one history, also where the disk is a copy or an older state of itself.

use rusqlite::{Connection, OptionalExtension};

use super::claim::{Claim, ClaimedAttribute};
use super::stored::Named;
use super::transaction::Transaction;
use super::{Store, StoreError};
use crate::core::attribute::AttributeName;
use crate::core::fleet::{AttributePart, PartId};
use crate::core::operation::{ChangeError, Held, Operation, Stamp, StoredItem, sum_after};

/// Most parts of one attribute in a request; the oldest go first. Limits: with some 600 bytes each they are half of a body.
const OF_ATTRIBUTE_MAX: usize = 400;

/// A sum before and after an event.
pub(super) struct SumChange<'a> {
    /// Number of the event.
    pub(super) seq: i64,
    /// Value before it; `None` if there was none.
    pub(super) before: Option<&'a str>,
    /// Version of that value.
    pub(super) version: i64,
    /// Value after it.
    pub(super) after: &'a str,
}

/// The last part of an attribute, which may still grow.
struct Last {
    process: i64,
    before: String,
}

impl Transaction<'_> {
    /// Adds a change to the attribute's last part, if that may still grow, or begins another.
    pub(super) fn add_to_part(&self, (profile_id, name): (i64, &str), change: &SumChange<'_>) -> rusqlite::Result<()> {
        let last = last(&self.connection, profile_id, name)?;
        let grows = |last: &Last| last.process == self.process && difference(&last.before, change.after).is_ok();
        if last.as_ref().is_some_and(grows) {
            return Ok(());
        }
        if let (Some(_), Some(before)) = (last, change.before) {
            self.close_part((profile_id, name), before, change.version)?;
        }
        self.begin_part((profile_id, name), change.seq, change.before.unwrap_or("0"))
    }

    /// Ends the attribute's last part, if it has one that may still grow, at a value and its version.
    pub(super) fn close_part(
        &self,
        (profile_id, name): (i64, &str),
        value: &str,
        version: i64,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE part SET after = seal(?3, 'attribute', ?1, ?2), version = ?4
                 WHERE profile_id = ?1 AND name = ?2 AND after IS NULL",
            )?
            .execute((profile_id, name, value, version))
            .map(|_| ())
    }

    fn begin_part(&self, (profile_id, name): (i64, &str), begun_seq: i64, before: &str) -> rusqlite::Result<()> {
        let id = PartId::of_bits(uuid::Uuid::new_v4().as_u128());
        self.connection
            .prepare_cached(
                "INSERT INTO part (profile_id, name, begun_seq, part, process, before)
                 VALUES (?1, ?2, ?3, ?4, ?5, seal(?6, 'attribute', ?1, ?2))",
            )?
            .execute((profile_id, name, begun_seq, id.to_string(), self.process, before))
            .map(|_| ())
    }

    /// Begins a part for each sum without one that is not delivered, also where it was refused, since that may be tried again: of what
    /// Target does not have of it. So it is after a turn to a hub, and after parts were lost with a damaged store.
    pub(super) fn begin_parts(&self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT profile_id, name, version, open(delivered_value, 'attribute', profile_id, name) AS delivered
             FROM attribute
             WHERE operation = ?1 AND version > delivered_version AND NOT EXISTS (
                 SELECT 1 FROM part WHERE part.profile_id = attribute.profile_id AND part.name = attribute.name)",
        )?;
        let mut rows = statement.query([Operation::Add.number()])?;
        while let Some(row) = rows.next()? {
            let row = &Named::of(row);
            let (profile_id, name): (i64, String) = (row.get("profile_id")?, row.get("name")?);
            let (version, delivered) = (row.get("version")?, row.get::<Option<String>>("delivered")?);
            self.begin_part((profile_id, &name), version, delivered.as_deref().unwrap_or("0"))?;
        }
        Ok(())
    }

    /// Notes from which event on lists are handed over: what Target has of them itself is not handed over to the hub, which reads it
    /// there.
    pub(super) fn begin_lists(&self) -> rusqlite::Result<()> {
        self.connection
            .execute(
                "UPDATE fleet SET since_seq = coalesce((SELECT min(pending_seq) - 1 FROM profile), ?1)",
                [self.numbers.last_seq],
            )
            .map(|_| ())
    }

    /// Forgets all parts: what is pending goes to Target, as totals.
    pub(super) fn end_parts(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("DELETE FROM part; DELETE FROM part_answered")
    }

    /// Notes that the hub has these versions of parts. One that has grown meanwhile is handed over again.
    pub(super) fn answer_parts(&self, profile_id: i64, parts: &[(String, PartId, i64)]) -> rusqlite::Result<()> {
        for (name, id, version) in parts {
            let id = id.to_string();
            let answered = self
                .connection
                .prepare_cached(
                    "DELETE FROM part WHERE profile_id = ?1 AND name = ?2 AND part = ?3 AND ?4 >= coalesce(version, (
                         SELECT version FROM attribute WHERE attribute.profile_id = ?1 AND attribute.name = ?2))",
                )?
                .execute((profile_id, name, &id, version))?;
            if answered > 0 {
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO part_answered (part) VALUES (?1)")?
                    .execute([id])?;
            }
        }
        Ok(())
    }

    /// Forgets answered parts that the hub knows to be answered.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn confirm_parts(&mut self, parts: &[PartId]) -> Result<(), StoreError> {
        let confirm = |id: &PartId| {
            self.connection
                .prepare_cached("DELETE FROM part_answered WHERE part = ?1")?
                .execute([id.to_string()])
                .map(|_| ())
        };
        parts.iter().try_for_each(confirm).map_err(StoreError::write)
    }
}

impl Store {
    /// Returns this store's number among those of a fleet.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn fleet_number(&self) -> Result<PartId, StoreError> {
        let read = || {
            let number: String = self.connection.query_row("SELECT store FROM fleet", [], |row| row.get(0))?;
            number.parse().map_err(unreadable)
        };
        read().map_err(StoreError::Read)
    }
}

fn last(connection: &Connection, profile_id: i64, name: &str) -> rusqlite::Result<Option<Last>> {
    connection
        .prepare_cached(
            "SELECT process, open(before, 'attribute', profile_id, name) AS before FROM part
             WHERE profile_id = ?1 AND name = ?2 AND after IS NULL",
        )?
        .query_row((profile_id, name), |row| {
            let row = Named::of(row);
            Ok(Last { process: row.get("process")?, before: row.get("before")? })
        })
        .optional()
}

/// Returns the parts that the hub may not know to be answered, up to a number.
pub(super) fn answered(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<PartId>> {
    let mut statement = connection.prepare_cached("SELECT part FROM part_answered LIMIT ?1")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map([limit], |row| row.get::<_, String>(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Reads the parts of a claim's attributes.
pub(super) fn load(connection: &Connection, claim: &mut Claim) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT open(items, 'attribute', profile_id, name) AS items, event_seq, mapping,
             (SELECT open(event, 'journal', seq) FROM journal
              WHERE seq = event_seq AND event <> '' AND opens(event, 'journal', seq)) AS event,
             (SELECT since_seq FROM fleet) AS since_seq
         FROM attribute WHERE profile_id = ?1 AND name = ?2",
    )?;
    for attribute in &mut claim.attributes {
        let place = (claim.profile_id, &attribute.name);
        let found = statement.query_row(place, |row| {
            let row = Named::of(row);
            let (items, seq, mapping): (Option<String>, _, String) =
                (row.get("items")?, row.get("event_seq")?, row.get("mapping")?);
            let event: Option<String> = row.get("event")?;
            let since: Option<i64> = row.get("since_seq")?;
            Ok((newer_items(items.as_deref(), since.unwrap_or(0)), seq, mapping, named(event.as_deref())))
        });
        // Gone since it was claimed: its person was forgotten.
        let Some((items, seq, mapping, event)) = found.optional()? else { continue };
        let stamp = Stamp { time: attribute.event_time, seq };
        // A name in the store was one when it was recorded.
        let Ok(name) = AttributeName::new(&attribute.name) else { continue };
        let part = |value: String, id, version| {
            let held = Held { value, stamp, items: Option::clone(&items) };
            let part = attribute.operation.part(&held, &"".into());
            AttributePart {
                name: name.clone(),
                operation: attribute.operation,
                part,
                id,
                version,
                event: event.clone(),
                mapping: mapping.clone(),
            }
        };
        (attribute.parts, attribute.has_all_parts) = if attribute.operation.is_sum() {
            let sums = sums(connection, claim.profile_id, attribute)?;
            let has_all = !sums.is_empty() && sums.len() < OF_ATTRIBUTE_MAX;
            (sums.into_iter().map(|Sum { value, id, version }| part(value, Some(id), version)).collect(), has_all)
        } else {
            let value = items.as_deref().and_then(list_text).unwrap_or_else(|| attribute.value.clone());
            (vec![part(value, None, attribute.version)], true)
        };
    }
    Ok(())
}

/// Returns the items of a list, as it is stored, whose events are newer.
fn newer_items(items: Option<&str>, since_seq: i64) -> Option<String> {
    let mut list: Vec<StoredItem> = serde_json::from_str(items?).ok()?;
    list.retain(|(_, seq, _)| *seq > since_seq);
    serde_json::to_string(&list).ok()
}

/// Returns a list as its value is written.
fn list_text(items: &str) -> Option<String> {
    let list: Vec<StoredItem> = serde_json::from_str(items).ok()?;
    Some(list.into_iter().filter_map(|(.., item)| item).collect::<Vec<_>>().join(","))
}

/// Returns source and id of an event, for people.
fn named(event: Option<&str>) -> String {
    #[derive(serde::Deserialize)]
    struct Name {
        id: String,
        source: String,
    }
    let name: Option<Name> = event.and_then(|event| serde_json::from_str(event).ok());
    name.map(|Name { id, source }| format!("{source} {id}")).unwrap_or_default()
}

struct Sum {
    value: String,
    id: PartId,
    version: i64,
}

/// Returns the parts of a sum, the oldest first.
fn sums(connection: &Connection, profile_id: i64, attribute: &ClaimedAttribute) -> rusqlite::Result<Vec<Sum>> {
    let mut statement = connection.prepare_cached(
        "SELECT part, open(before, 'attribute', profile_id, name) AS before,
             open(after, 'attribute', profile_id, name) AS after, version
         FROM part WHERE profile_id = ?1 AND name = ?2 ORDER BY begun_seq LIMIT ?3",
    )?;
    let limit = i64::try_from(OF_ATTRIBUTE_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query((profile_id, &attribute.name, limit))?;
    let mut sums = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Named::of(row);
        let (part, before, after): (String, String, Option<String>) =
            (row.get("part")?, row.get("before")?, row.get("after")?);
        let version = row.get::<Option<i64>>("version")?.unwrap_or(attribute.version);
        let value = difference(&before, after.as_deref().unwrap_or(&attribute.value)).map_err(unreadable)?;
        sums.push(Sum { value, id: part.parse().map_err(unreadable)?, version });
    }
    Ok(sums)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(usize::MAX, rusqlite::types::Type::Text, Box::new(error))
}

/// Returns what was added between two values.
fn difference(before: &str, after: &str) -> Result<String, ChangeError> {
    sum_after("0", before, after)
}
