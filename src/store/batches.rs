//! Batches: how they stand, and what their rows hold.
//!
//! The row of a profile is kept as it is sent, so that the file can be read from the store piece by piece, and what came of it
//! is noted of exactly that. Every step is a small transaction.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::opening::Store;
use super::readings::Reading;
use super::sends::SendLog;
use super::stored::{Named, Stored, by_name, state, stored, time};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::route::Route;
use crate::core::identity::IdentityKind;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// Rows that one transaction or one query goes through. Limits: some milliseconds.
pub const PART_ROWS: usize = 500;

/// State of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Profiles are put in, or it waits to be sent.
    Filling,
    /// It is being sent; after a crash nobody knows whether it was.
    Submitting,
    /// Target has it, and works on it.
    Submitted,
    /// Target is done with it.
    Complete,
    /// Target got stuck, or took too long: its rows are pending again.
    GivenUp,
}

impl BatchState {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Submitting => "submitting",
            Self::Submitted => "submitted",
            Self::Complete => "complete",
            Self::GivenUp => "given_up",
        }
    }
}

stored!("batch.state" BatchState { 0 Filling, 1 Submitting, 2 Submitted, 3 Complete, 4 GivenUp });

/// One batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Its number in the store.
    pub id: i64,
    /// Which key its rows have.
    pub kind: IdentityKind,
    /// Version of the API: 2 creates profiles, 1 does not.
    pub api: i64,
    /// State.
    pub state: BatchState,
    /// Its rows.
    pub rows: usize,
    /// Bytes of its file, never too low.
    pub bytes: usize,
    /// Target's name for it.
    pub target_id: Option<String>,
    /// When it was submitted, on the quota's clock.
    pub submitted_at: Option<Timestamp>,
    /// The same on Target's clock.
    pub sent_at: Option<Timestamp>,
    /// When it ended, on the quota's clock.
    pub ended_at: Option<Timestamp>,
}

/// One row of a batch as its file holds it: whose, and names with values.
pub struct BatchRow {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Key.
    pub key: String,
    /// Attributes, by name.
    pub attributes: Vec<(String, String)>,
}

/// One attribute of a row, as it is sent: name, value, version, our own value at that time where it is to be known again when
/// it is read, and the time in ms of what was shown. Version 0 is an attribute of others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowAttribute(pub String, pub String, pub i64, pub Option<String>, pub Option<i64>);

// Nobody's values may reach a log.
impl std::fmt::Debug for RowAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowAttribute").field("version", &self.2).finish_non_exhaustive()
    }
}

/// A profile that is put in a batch.
#[derive(Debug)]
pub struct BatchEntry {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Why it goes in a batch.
    pub route: Route,
    /// Row, by name.
    pub row: Vec<RowAttribute>,
    /// Readings of it from before.
    pub readings: Vec<Reading>,
    /// Existence, where something was learned of it.
    pub learned: Option<Existence>,
    /// Calls of the Fetch API that this took.
    pub reads: i64,
    /// Bytes of its row in the file.
    pub bytes: usize,
    /// Values that were sent of it, where that is not what is noted.
    pub log: Option<SendLog>,
}

/// End of the rows of a batch.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Target is done with it.
    Complete {
        /// Keys of the rows that failed, by [`short_hash`](crate::core::short_hash::short_hash).
        failed: HashSet<u64>,
        /// True where rows failed that Target does not name: then none of the others is known to be delivered.
        is_uncertain: bool,
        /// When it was submitted, on Target's clock.
        sent_at: Timestamp,
        /// When the profiles of rows of which nothing is known are read back, on this device's clock.
        read_back_at: Timestamp,
    },
    /// It was not taken: its rows are pending as before.
    Released,
    /// Nobody knows whether it was taken, or will be applied later.
    Lost {
        /// When it was submitted, on Target's clock.
        sent_at: Timestamp,
        /// When its profiles are read back, on this device's clock.
        read_back_at: Timestamp,
    },
    /// It holds one row, which Target refused.
    Refused(Reason, String),
}

/// Counts of what came of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledRows {
    /// True while more are left.
    pub is_more: bool,
    /// Rows that Target took.
    pub delivered: i64,
    /// Rows that failed.
    pub failed: i64,
}

/// The batches that are not at their end, and the last `ended` of the others, newest first.
pub(super) fn heads(connection: &Connection, ended: usize) -> rusqlite::Result<Vec<BatchHead>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, api, state, row_count, byte_count, target_id, submitted_at_ms, ended_at_ms, sent_at_ms
         FROM batch
         WHERE state < ?2 OR id IN (SELECT id FROM batch WHERE state >= ?2 ORDER BY id DESC LIMIT ?1) ORDER BY id DESC",
    )?;
    let rows =
        statement.query_map((i64::try_from(ended).unwrap_or(0), BatchState::Complete.stored()), by_name(head))?;
    rows.collect()
}

fn head(row: &Named<'_>) -> rusqlite::Result<BatchHead> {
    let count = |name| row.get::<i64>(name).map(|count| usize::try_from(count).unwrap_or(0));
    Ok(BatchHead {
        id: row.get("id")?,
        kind: state(row, "kind")?,
        api: row.get("api")?,
        state: state(row, "state")?,
        rows: count("row_count")?,
        bytes: count("byte_count")?,
        target_id: row.get("target_id")?,
        submitted_at: time(row, "submitted_at_ms")?,
        ended_at: time(row, "ended_at_ms")?,
        sent_at: time(row, "sent_at_ms")?,
    })
}

/// Rows of batches that were submitted after that time of the quota's clock.
pub(super) fn rows_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<u64> {
    let rows: i64 = connection
        .prepare_cached("SELECT coalesce(sum(row_count), 0) FROM batch WHERE submitted_at_ms > ?1")?
        .query_row([since.as_millis()], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Some rows of a batch, after that profile.
pub(super) fn rows(connection: &Connection, batch_id: i64, after: i64) -> rusqlite::Result<Vec<BatchRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT profile_id, open(key, 'profile', kind) AS key, open(content, 'batch_row', profile_id) AS content
         FROM batch_row JOIN profile ON id = profile_id
         WHERE batch_row.batch_id = ?1 AND profile_id > ?2 ORDER BY profile_id LIMIT ?3",
    )?;
    let part = i64::try_from(PART_ROWS).unwrap_or(i64::MAX);
    let rows = statement.query_map((batch_id, after, part), |row| {
        let row = Named::of(row);
        let (profile_id, key) = (row.get("profile_id")?, row.get("key")?);
        let content: Vec<RowAttribute> = parse(&row.get::<String>("content")?)?;
        let attributes = content.into_iter().map(|RowAttribute(name, value, ..)| (name, value)).collect();
        Ok(BatchRow { profile_id, key, attributes })
    })?;
    rows.collect()
}

pub(super) fn parse(content: &str) -> rusqlite::Result<Vec<RowAttribute>> {
    serde_json::from_str(content)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))
}

/// The versions that are in the batch of a profile, by attribute.
pub(super) fn batched_versions(connection: &Connection, profile_id: i64) -> rusqlite::Result<Vec<(String, i64)>> {
    let content: Option<String> = connection
        .prepare_cached(
            "SELECT open(content, 'batch_row', profile_id) FROM batch_row JOIN profile ON id = profile_id
             WHERE batch_row.batch_id = profile.batch_id AND profile_id = ?1",
        )?
        .query_row([profile_id], |row| row.get(0))
        .optional()?;
    let row = content.map_or(Ok(Vec::new()), |content| parse(&content))?;
    Ok(row.into_iter().map(|RowAttribute(name, _, version, ..)| (name, version)).collect())
}

impl Store {
    /// The batches that are not at their end, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn open_batches(&self) -> Result<Vec<BatchHead>, StoreError> {
        heads(&self.connection, 0).map_err(StoreError::Read)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError::Read`], also where the batch has ended.
    pub fn open_batch(&self, batch_id: i64) -> Result<BatchHead, StoreError> {
        let head = self.open_batches()?.into_iter().find(|head| head.id == batch_id);
        head.ok_or(StoreError::Read(rusqlite::Error::QueryReturnedNoRows))
    }

    /// As [`super::Reader::batch_rows`], on the writing connection: for simulations, which have no second one.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows(&self, batch_id: i64, after: i64) -> Result<Vec<BatchRow>, StoreError> {
        rows(&self.connection, batch_id, after).map_err(StoreError::Read)
    }

    /// Rows of batches that were submitted after that time of the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        rows_since(&self.connection, since).map_err(StoreError::Read)
    }
}
