//! Erasing everything in the store about one identity. With `secure_delete` nothing stays in the pages; [`checkpoint`]
//! empties the log.

use rusqlite::Connection;

use super::seal::StoreFile;
use super::stored::{Named, pending};
use super::transaction::Transaction;
use super::{StoreError, profiles, schema};
use crate::core::identity::Identity;
use crate::core::timestamp::Timestamp;

/// Counts of what was erased for one profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedProfile {
    /// Attributes.
    pub attributes: usize,
    /// Pending attributes among them.
    pub pending: usize,
    /// Rejected updates.
    pub rejected: usize,
}

/// One event of the journal.
pub struct JournalRow {
    /// Number in the journal.
    pub seq: i64,
    /// Time of the event as recorded.
    pub time: Timestamp,
    /// CloudEvents JSON; personal data.
    pub json: String,
    /// Profiles that it changed.
    pub profile_ids: Vec<i64>,
}

/// Returns up to `limit` events after the number `after`, skipping erased ones.
pub(super) fn journal_part(connection: &Connection, after: i64, limit: i64) -> rusqlite::Result<Vec<JournalRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, time_ms, open(event, 'journal', seq) AS event, profile_id, (
             SELECT group_concat(profile_id) FROM journal_profile more WHERE more.seq = journal.seq) AS more
         FROM journal WHERE seq > ?1 AND event <> '' ORDER BY seq LIMIT ?2",
    )?;
    let rows = statement.query_map((after, limit), |row| {
        let row = Named::of(row);
        let (seq, time, json) = (row.get("seq")?, Timestamp::from_millis(row.get("time_ms")?), row.get("event")?);
        let (first, more) = (row.get::<Option<i64>>("profile_id")?, row.get::<Option<String>>("more")?);
        let more = more.unwrap_or_default();
        let profile_ids = first.into_iter().chain(more.split(',').filter_map(|id| id.parse().ok())).collect();
        Ok(JournalRow { seq, time, json, profile_ids })
    })?;
    rows.collect()
}

impl Transaction<'_> {
    /// Erases a profile, its attributes and its rejected updates, within a transaction. `None` if there is no such
    /// profile.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn erase_profile(&mut self, identity: &Identity) -> Result<Option<ErasedProfile>, StoreError> {
        self.erase(identity).map_err(StoreError::write)
    }

    fn erase(&mut self, identity: &Identity) -> rusqlite::Result<Option<ErasedProfile>> {
        let Some(profile) = profiles::find(&self.connection, identity)? else { return Ok(None) };
        let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([profile.id]);
        let pending = run(concat!("DELETE FROM attribute WHERE profile_id = ?1 AND ", pending!()))?;
        let erased = ErasedProfile {
            pending,
            attributes: pending + run("DELETE FROM attribute WHERE profile_id = ?1")?,
            rejected: run("DELETE FROM rejected WHERE profile_id = ?1")?,
        };
        run("DELETE FROM reading WHERE profile_id = ?1")?;
        run("DELETE FROM sends WHERE profile_id = ?1")?;
        run("DELETE FROM retried WHERE profile_id = ?1")?;
        run("DELETE FROM part WHERE profile_id = ?1")?;
        // Searched by key: there are few batches, with many rows each.
        run("DELETE FROM batch_row WHERE batch_id IN (SELECT id FROM batch) AND profile_id = ?1")?;
        run("DELETE FROM verification WHERE profile_id = ?1")?;
        run("DELETE FROM profile WHERE id = ?1")?;
        let change = &mut self.numbers.pending_change;
        change.attributes -= i64::try_from(pending).unwrap_or(0);
        change.profiles -= i64::from(profile.is_pending);
        Ok(Some(erased))
    }

    /// Empties events, within a transaction, and gives which of them were kept as rejected. Their keys stay, so that they
    /// are not recorded again.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn erase_events(&mut self, seqs: &[i64]) -> Result<Vec<i64>, StoreError> {
        let erase = |seq: i64| {
            let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([seq]);
            run("UPDATE journal SET event = '', profile_id = NULL WHERE seq = ?1")?;
            run("DELETE FROM journal_profile WHERE seq = ?1")?;
            Ok(run("DELETE FROM rejected WHERE seq = ?1")? > 0)
        };
        let mut rejected = Vec::new();
        for seq in seqs {
            if erase(*seq).map_err(StoreError::write)? {
                rejected.push(*seq);
            }
        }
        Ok(rejected)
    }
}

/// Moves the whole log into the database, and empties it.
///
/// # Errors
/// [`StoreError::Open`] or [`StoreError::Write`].
pub fn checkpoint(file: &StoreFile) -> Result<(), StoreError> {
    schema::empty_log(&schema::open_writer(file)?)
}
