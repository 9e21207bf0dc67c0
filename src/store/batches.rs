//! Batches: their state, and the content of their rows.
//!
//! A profile's row is kept as it is sent, so that the file can be read from the store piece by piece and the result is
//! recorded for exactly what was sent. Every step is a small transaction.

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

/// Rows handled by one transaction or query. Limits: takes some milliseconds.
pub const PART_ROWS: usize = 500;

/// State of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Profiles are being added, or the batch waits to be sent.
    Filling,
    /// The batch is being sent; after a crash it is unknown whether it arrived.
    Submitting,
    /// Target has the batch and is processing it.
    Submitted,
    /// Target has finished with the batch.
    Complete,
    /// Target got stuck or took too long; the rows are pending again.
    GivenUp,
}

impl BatchState {
    /// Returns the name used in answers.
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

/// One batch without its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Number in the store.
    pub id: i64,
    /// Kind of identity of its rows.
    pub kind: IdentityKind,
    /// Version of the bulk API: 2 creates profiles, 1 does not.
    pub api: i64,
    /// State of the batch.
    pub state: BatchState,
    /// Number of rows.
    pub rows: usize,
    /// Size of its file, never too low. Units: bytes.
    pub bytes: usize,
    /// Target's id of the batch.
    pub target_id: Option<String>,
    /// Time of submission, on the quota's clock.
    pub submitted_at: Option<Timestamp>,
    /// Time of submission, on Target's clock.
    pub sent_at: Option<Timestamp>,
    /// Time when it ended, on the quota's clock.
    pub ended_at: Option<Timestamp>,
}

/// One row of a batch as it is in the file: the profile's key, and names with values.
pub struct BatchRow {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Key of the profile.
    pub key: String,
    /// Attributes, as pairs of name and value.
    pub attributes: Vec<(String, String)>,
}

/// One attribute of a row, as it is sent: name, value, version, our own value at that time if it is needed to recognise
/// the value later, and the time in ms of the value that Target showed. Version 0 marks an attribute of others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowAttribute(pub String, pub String, pub i64, pub Option<String>, pub Option<i64>);

// Values are personal data and must not reach a log.
impl std::fmt::Debug for RowAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowAttribute").field("version", &self.2).finish_non_exhaustive()
    }
}

/// A profile to add to a batch.
#[derive(Debug)]
pub struct BatchEntry {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Route by which it goes in a batch.
    pub route: Route,
    /// Attributes of its row, by name.
    pub row: Vec<RowAttribute>,
    /// Earlier readings of the profile.
    pub readings: Vec<Reading>,
    /// Existence of the profile at Target, if something was learned about it.
    pub learned: Option<Existence>,
    /// Calls of the Fetch API that this took.
    pub reads: i64,
    /// Size of its row in the file. Units: bytes.
    pub bytes: usize,
    /// Values that were sent of it, if they differ from what is recorded.
    pub log: Option<SendLog>,
}

/// The way in which a batch's rows end.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Target has finished with the batch.
    Complete {
        /// Keys of the rows that failed, by [`short_hash`](crate::core::short_hash::short_hash).
        failed: HashSet<u64>,
        /// True if rows failed that Target does not name; then no other row is known to be delivered.
        is_uncertain: bool,
        /// Time of submission, on Target's clock.
        sent_at: Timestamp,
        /// Time, on this device's clock, to read back the profiles of rows whose result is unknown.
        read_back_at: Timestamp,
    },
    /// The batch was not accepted; its rows are pending as before.
    Released,
    /// It is unknown whether the batch was accepted or will be applied later.
    Lost {
        /// Time of submission, on Target's clock.
        sent_at: Timestamp,
        /// Time to read its profiles back, on this device's clock.
        read_back_at: Timestamp,
    },
    /// The batch has one row, which Target refused.
    Refused(Reason, String),
}

/// Counts of the results of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledRows {
    /// True if more rows are left.
    pub is_more: bool,
    /// Rows that Target accepted.
    pub delivered: i64,
    /// Rows that failed.
    pub failed: i64,
}

/// Returns the batches that have not ended, and the last `ended` of the others, newest first.
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

/// Returns the number of rows in batches submitted after `since`, on the quota's clock.
pub(super) fn rows_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<u64> {
    let rows: i64 = connection
        .prepare_cached("SELECT coalesce(sum(row_count), 0) FROM batch WHERE submitted_at_ms > ?1")?
        .query_row([since.as_millis()], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Returns some rows of a batch, after the profile with number `after`.
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

/// Returns the versions of a profile's attributes in its batch.
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
    /// Returns the batches that have not ended, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn open_batches(&self) -> Result<Vec<BatchHead>, StoreError> {
        heads(&self.connection, 0).map_err(StoreError::Read)
    }

    /// Returns a batch that has not ended.
    ///
    /// # Errors
    /// [`StoreError::Read`], also if the batch has ended.
    pub fn open_batch(&self, batch_id: i64) -> Result<BatchHead, StoreError> {
        let head = self.open_batches()?.into_iter().find(|head| head.id == batch_id);
        head.ok_or(StoreError::Read(rusqlite::Error::QueryReturnedNoRows))
    }

    /// Reads rows as [`super::Reader::batch_rows`] does, on the writing connection: for simulations, which have no
    /// second one.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows(&self, batch_id: i64, after: i64) -> Result<Vec<BatchRow>, StoreError> {
        rows(&self.connection, batch_id, after).map_err(StoreError::Read)
    }

    /// Returns the number of rows in batches submitted after `since`, on the quota's clock.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn batch_rows_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        rows_since(&self.connection, since).map_err(StoreError::Read)
    }
}
