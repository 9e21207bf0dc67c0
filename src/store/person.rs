//! Knowledge about a person besides the profile: events that changed nothing, and that the person was forgotten. Both are
//! found by a keyed hash of the identity, and hold no other trace of it.

use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use super::StoreError;
use super::identity_key::IdentityKey;
use super::stored::{Named, Stored, by_name, state, time};
use super::transaction::Transaction;
use crate::core::event::Fate;
use crate::core::identity::{Identity, StoredForms};
use crate::core::limits::{FORGOTTEN_KEPT, WITHOUT_EFFECT_KEPT};
use crate::core::timestamp::Timestamp;

/// Rows that one transaction purges. Limits: some milliseconds.
const PART_ROWS: i64 = 500;

/// One event of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileEvent {
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// Its time, as taken.
    pub time: Timestamp,
}

impl ProfileEvent {
    /// Returns id, type and time of a journalled event, without its data.
    #[must_use]
    pub fn of(json: &str, time: Timestamp) -> Self {
        let EventName { id, event_type } = serde_json::from_str(json).unwrap_or_default();
        Self { id, event_type, time }
    }
}

#[derive(Default, Deserialize)]
struct EventName {
    id: String,
    #[serde(rename = "type", default)]
    event_type: String,
}

/// An event that changed no profile.
#[derive(Clone, PartialEq, Eq)]
pub struct WithoutEffect {
    /// Its number; of a duplicate, that of the first one of its id.
    pub seq: i64,
    /// Its fate.
    pub fate: Fate,
    /// Number of times that it was received.
    pub times: i64,
    /// Time when it came last.
    pub last_at: Timestamp,
    /// Why, where that is known and it was not dropped.
    pub reason: Option<String>,
    /// Its number among what is rejected, as long as it is.
    pub rejected_id: Option<i64>,
    /// Its id, type and time, as long as the journal has it.
    pub event: Option<ProfileEvent>,
}

impl Transaction<'_> {
    /// Notes by whom an event is about that changed nothing.
    pub(super) fn note_without_effect<'i>(
        &self,
        about: impl IntoIterator<Item = &'i Identity>,
        (seq, fate): (i64, Fate),
        at: Timestamp,
        reason: Option<&str>,
    ) -> rusqlite::Result<()> {
        for identity in about {
            self.connection
                .prepare_cached(
                    "INSERT INTO without_effect (identity, seq, fate, times, last_at_ms, reason)
                     VALUES (?1, ?2, ?3, 1, ?4, seal(?5, 'without_effect', ?2))
                     ON CONFLICT (identity, seq, fate) DO UPDATE SET times = times + 1, last_at_ms = excluded.last_at_ms,
                         reason = coalesce(excluded.reason, reason)",
                )?
                .execute((self.identity_key.hash(identity), seq, fate.stored(), at.as_millis(), reason))?;
            self.connection
                .prepare_cached("DELETE FROM without_effect WHERE id <= (SELECT max(id) FROM without_effect) - ?1")?
                .execute([WITHOUT_EFFECT_KEPT])?;
        }
        Ok(())
    }

    /// Goes on with the notes of an event that has another number now, since it was tried again and not rejected.
    pub(super) fn renumber_without_effect(&self, old: i64, new: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM without_effect WHERE seq = ?1 AND fate = ?2")?
            .execute((old, Fate::Rejected.stored()))?;
        self.connection
            .prepare_cached("UPDATE OR REPLACE without_effect SET seq = ?2, reason = NULL WHERE seq = ?1")?
            .execute((old, new))
            .map(|_| ())
    }

    /// Erases the notes of events of an identity, within a transaction, and notes that it was forgotten at that time; what Target
    /// shows as written until `until` is not taken for others' part any more. Gives how many notes of duplicates there were.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn forget_person(&mut self, identity: &Identity, at: Timestamp, until: Timestamp) -> Result<usize, StoreError> {
        let hash = self.identity_key.hash(identity);
        let forget = || {
            let run = |sql: &str, fate: Fate| self.connection.prepare_cached(sql)?.execute((hash, fate.stored()));
            let duplicates = run("DELETE FROM without_effect WHERE identity = ?1 AND fate = ?2", Fate::Duplicate)?;
            run("DELETE FROM without_effect WHERE identity = ?1 AND fate <> ?2", Fate::Duplicate)?;
            self.connection
                .prepare_cached(
                    "INSERT INTO forgotten (identity, at_ms, until_ms) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, until_ms = max(until_ms, excluded.until_ms)",
                )?
                .execute((hash, at.as_millis(), until.as_millis()))?;
            Ok(duplicates)
        };
        forget().map_err(StoreError::write)
    }

    /// Drops the oldest notes of who was forgotten, within a transaction, where there are too many.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn bound_forgotten(&mut self) -> Result<(), StoreError> {
        let drop = || {
            self.connection.execute(
                "DELETE FROM forgotten WHERE identity IN (
                     SELECT identity FROM forgotten ORDER BY at_ms DESC LIMIT -1 OFFSET ?1)",
                [FORGOTTEN_KEPT],
            )
        };
        drop().map(|_| ()).map_err(StoreError::write)
    }

    /// Purges some notes of events that changed nothing and came last before that time, within a transaction; those of what is kept
    /// as rejected stay. Gives how many.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn purge_without_effect(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        let purge = || {
            self.connection
                .prepare_cached(
                    "DELETE FROM without_effect WHERE id IN (
                         SELECT id FROM without_effect noted WHERE last_at_ms < ?1
                             AND NOT EXISTS (SELECT 1 FROM rejected WHERE rejected.seq = noted.seq) LIMIT ?2)",
                )?
                .execute((before.as_millis(), PART_ROWS))
        };
        purge().map_err(StoreError::write)
    }
}

/// Reads the newest events that changed nothing and are about an identity, newest first. An event that is noted under two forms of
/// it, since one mapping hashes the identity and another does not, is one event. Only those that are shown are opened: there may be
/// as many as are kept.
pub(super) fn without_effect(
    connection: &Connection,
    forms: &StoredForms,
    limit: usize,
) -> rusqlite::Result<Vec<WithoutEffect>> {
    let key = IdentityKey::load(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT noted.id AS id, noted.seq AS seq, fate, times, last_at_ms, open(noted.reason, 'without_effect', noted.seq) AS reason,
                j.time_ms AS time_ms, nullif(open(j.event, 'journal', j.seq), '') AS event, r.id AS rejected_id,
                open(r.detail, 'rejected') AS detail
         FROM (SELECT id FROM without_effect WHERE identity = ?1 ORDER BY id DESC LIMIT ?3) newest
             JOIN without_effect noted ON noted.id = newest.id
             LEFT JOIN journal j ON j.seq = noted.seq
             LEFT JOIN rejected r ON r.seq = noted.seq AND fate = ?2
         ORDER BY noted.id DESC",
    )?;
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found: Vec<(i64, WithoutEffect)> = Vec::new();
    for form in forms.iter() {
        let numbered = by_name(|note: &Named<'_>| Ok((note.get("id")?, row(note)?)));
        let rows = statement.query_map((key.hash(form), Fate::Rejected.stored(), most), numbered)?;
        for noted in rows {
            let (id, it) = noted?;
            let is_new = |(_, known): &(i64, WithoutEffect)| (known.seq, known.fate) != (it.seq, it.fate);
            if found.iter().all(is_new) {
                found.push((id, it));
            }
        }
    }
    found.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    found.truncate(limit);
    Ok(found.into_iter().map(|(_, it)| it).collect())
}

/// The numbers of events that are noted as about an identity, and are its own.
pub(super) fn noted_events(connection: &Connection, identity: &Identity) -> rusqlite::Result<Vec<i64>> {
    let key = IdentityKey::load(connection)?;
    let mut statement =
        connection.prepare_cached("SELECT seq FROM without_effect WHERE identity = ?1 AND fate <> ?2")?;
    let rows = statement.query_map((key.hash(identity), Fate::Duplicate.stored()), |row| row.get(0))?;
    rows.collect()
}

/// Returns the time when an identity was last forgotten, if it was.
pub(super) fn forgotten_at(connection: &Connection, forms: &StoredForms) -> rusqlite::Result<Option<Timestamp>> {
    let key = IdentityKey::load(connection)?;
    let mut statement = connection.prepare_cached("SELECT at_ms FROM forgotten WHERE identity = ?1")?;
    let mut newest = None;
    for form in forms.iter() {
        newest = newest.max(statement.query_row([key.hash(form)], |row| row.get(0)).optional()?);
    }
    Ok(newest.map(Timestamp::from_millis))
}

fn row(row: &Named<'_>) -> rusqlite::Result<WithoutEffect> {
    let (seq, fate, times) = (row.get("seq")?, state(row, "fate")?, row.get("times")?);
    let (last_at, reason) = (time(row, "last_at_ms")?.unwrap_or_default(), row.get::<Option<String>>("reason")?);
    let happened = time(row, "time_ms")?.unwrap_or_default();
    let event = row.get::<Option<String>>("event")?;
    Ok(WithoutEffect {
        seq,
        fate,
        times,
        last_at,
        event: event.map(|event| ProfileEvent::of(&event, happened)),
        rejected_id: row.get("rejected_id")?,
        reason: row.get::<Option<String>>("detail")?.or(reason),
    })
}
