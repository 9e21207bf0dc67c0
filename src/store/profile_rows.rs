//! Everything in the store about one identity, for display.

use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use super::readings::{self, Basis};
use super::sends::{self, SendLog};
use super::stored::{Named, Stored, by_name, optional_state, state, time};
use super::verification::ReadBack;
use super::{batches, profiles};
use crate::core::forwarding::existence::Knowledge;
use crate::core::forwarding::route::Route;
use crate::core::identity::{Identity, StoredForms};
use crate::core::operation::{Decision, Operation, Sent, Shown};
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// One profile with everything the device has about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    /// Number in the store.
    pub id: i64,
    /// Identity as it is stored.
    pub identity: Identity,
    /// Known state of the profile at Target.
    pub knowledge: Knowledge,
    /// Batch that contains it.
    pub batch_id: Option<i64>,
    /// Time since which it waits for Target to have the profile, and time of the next look.
    pub missing: Option<(Timestamp, Timestamp)>,
    /// Time when it will be read back, with the reason.
    pub read_back: Option<(Timestamp, ReadBack)>,
    /// Attributes by name.
    pub attributes: Vec<AttributeRow>,
    /// Attributes that may be sent, with the data that decides what Target should have.
    pub basis: Vec<Basis>,
    /// Values that were sent of it recently.
    pub sends: SendLog,
}

/// One attribute of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeRow {
    /// Its name.
    pub name: String,
    /// Newest value.
    pub value: String,
    /// The operation that made it.
    pub operation: Operation,
    /// Id of the event that decided it, as long as the journal has it.
    pub event_id: Option<String>,
    /// Time of that event.
    pub event_time: Timestamp,
    /// Name of the mapping that wrote it.
    pub mapping: String,
    /// Version of the value.
    pub version: i64,
    /// Version that Target has; 0 for none.
    pub delivered_version: i64,
    /// Time when Target accepted it.
    pub delivered_at: Option<Timestamp>,
    /// Version that was refused; 0 for none.
    pub refused_version: i64,
    /// Reason for the refusal.
    pub refused_reason: Option<String>,
    /// Version in the profile's batch; 0 for none.
    pub batched_version: i64,
    /// Route of its last delivery, or of the present one.
    pub route: Option<Route>,
    /// Values that were sent of it recently, oldest first, as far as known.
    pub sends: Vec<Sent>,
    /// Last reading of it: time, value shown, and decision.
    pub read: Option<(Timestamp, Option<Shown>, Decision)>,
}

impl AttributeRow {
    /// Returns true if its value is not sent at all.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        let reason = self.refused_reason.as_deref().and_then(Reason::of_label);
        self.refused_version == self.version && reason.is_some_and(Reason::is_withheld)
    }
}

/// Finds a profile under any of the forms that its identity may have in the store.
pub(super) fn find(snapshot: &Connection, forms: &StoredForms) -> rusqlite::Result<Option<ProfileRow>> {
    forms.iter().find_map(|form| find_form(snapshot, form).transpose()).transpose()
}

fn find_form(snapshot: &Connection, identity: &Identity) -> rusqlite::Result<Option<ProfileRow>> {
    let head = snapshot
        .prepare_cached(
            "SELECT id, existence, existence_at_ms, batch_id, missing_since_ms, look_at_ms, due_at_ms, is_ambiguous
             FROM profile LEFT JOIN verification ON profile_id = id
             WHERE key = seal(?1, 'profile', ?2) AND kind = ?2",
        )?
        .query_row((identity.key(), identity.kind().stored()), |row| {
            let row = &Named::of(row);
            let why = match row.get::<Option<bool>>("is_ambiguous")? {
                Some(true) => ReadBack::Ambiguous,
                _ => ReadBack::Sample,
            };
            Ok(ProfileRow {
                id: row.get("id")?,
                identity: identity.clone(),
                knowledge: profiles::knowledge(row)?,
                batch_id: row.get("batch_id")?,
                missing: time(row, "missing_since_ms")?.zip(time(row, "look_at_ms")?),
                read_back: time(row, "due_at_ms")?.map(|due| (due, why)),
                attributes: Vec::new(),
                basis: Vec::new(),
                sends: SendLog::default(),
            })
        })
        .optional()?;
    let Some(mut profile) = head else { return Ok(None) };
    let mut statement = snapshot.prepare_cached(
        "SELECT a.name AS name, open(value, 'attribute', a.profile_id, a.name) AS value,
                nullif(open(event, 'journal', seq), '') AS event,
                a.event_time_ms, mapping, version, delivered_version, delivered_at_ms,
                refused_version, refused_reason, route, operation,
                open(delivered_value, 'attribute', a.profile_id, a.name) AS delivered_value,
                read_at_ms, open(read_value, 'attribute', a.profile_id, a.name) AS read_value, read_modified_at_ms, decision
         FROM attribute a LEFT JOIN journal ON seq = event_seq
             LEFT JOIN reading r ON r.profile_id = a.profile_id AND r.name = a.name
         WHERE a.profile_id = ?1 ORDER BY a.name",
    )?;
    let batched = batches::batched_versions(snapshot, profile.id)?;
    let mut log = sends::load(snapshot, profile.id)?;
    profile.attributes = statement
        .query_map([profile.id], by_name(|row| attribute(row, &log, &batched)))?
        .collect::<rusqlite::Result<_>>()?;
    drop(statement);
    profile.basis = readings::basis(snapshot, profile.id)?;
    readings::lose_unanswered(&profile.basis, &mut log);
    profile.sends = log;
    Ok(Some(profile))
}

fn attribute(row: &Named<'_>, log: &SendLog, batched: &[(String, i64)]) -> rusqlite::Result<AttributeRow> {
    let name: String = row.get("name")?;
    let event: Option<String> = row.get("event")?;
    let (delivered_version, delivered_at) = (row.get("delivered_version")?, time(row, "delivered_at_ms")?);
    let delivered = readings::delivered(delivered_version, row.get("delivered_value")?, row.get("delivered_at_ms")?);
    let noted = log.of(&name);
    let unnoted = delivered.filter(|sent| noted.last().is_none_or(|last| last.version < sent.version));
    let modified_at = time(row, "read_modified_at_ms")?;
    let shown = row.get::<Option<String>>("read_value")?.map(|value| Shown { value, modified_at, is_whole: false });
    let decision = optional_state(row, "decision")?;
    Ok(AttributeRow {
        sends: noted.iter().cloned().chain(unnoted).collect(),
        batched_version: batched.iter().find(|(batched, _)| *batched == name).map_or(0, |(_, version)| *version),
        name,
        value: row.get("value")?,
        operation: state(row, "operation")?,
        event_id: event.and_then(|event| serde_json::from_str(&event).ok()).map(|EventId { id }| id),
        event_time: Timestamp::from_millis(row.get("event_time_ms")?),
        mapping: row.get("mapping")?,
        version: row.get("version")?,
        delivered_version,
        delivered_at,
        refused_version: row.get("refused_version")?,
        refused_reason: row.get("refused_reason")?,
        route: optional_state(row, "route")?,
        read: time(row, "read_at_ms")?.zip(decision).map(|(at, decision)| (at, shown, decision)),
    })
}

#[derive(Deserialize)]
struct EventId {
    id: String,
}
