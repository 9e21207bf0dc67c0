//! A batch that has not ended: its content, and when it ends without an answer.

use std::time::Duration;

use super::batch_size::Size;
use crate::core::limits::{BATCH_INCOMPLETE_MAX, READING_AGE_MAX};
use crate::core::timestamp::Timestamp;
use crate::forward::judge::Row;
use crate::store::{BatchHead, BatchState, Ending};

/// Longest time that a batch with unread rows may wait to be accepted before its rows are claimed again.
const WAITING_MAX: Duration = Duration::from_secs(60 * 60);

/// Polls in a row in which Target may not know a batch that it accepted, before the batch is given up.
const UNKNOWN_MAX: u32 = 10;

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Rows are being added.
    Filling,
    /// The batch is full, or old enough.
    Closed,
    Submitted(String),
    Ending(Ending, BatchState),
}

/// A batch that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) head: BatchHead,
    pub(super) stage: Stage,
    pub(super) size: Size,
    /// Time of the oldest reading among its rows.
    pub(super) read_at: Option<Duration>,
    /// True if a row was not read.
    pub(super) has_unread: bool,
    /// Its profile, if there is only one.
    pub(super) sole: Option<i64>,
    /// Time of its first row in this run.
    pub(super) since: Duration,
    /// Time before which nothing is done with it.
    pub(super) wait_until: Duration,
    /// Time of submission, on Target's clock.
    pub(super) sent_at: Timestamp,
    pub(super) failures: u32,
    pub(super) polls: u32,
    pub(super) unknown: u32,
}

/// The circumstances that decide the next step of batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    pub(super) now: Duration,
    /// Time on the quota's clock.
    pub(super) quota: Timestamp,
    /// True if the outbox has nothing more for a batch now.
    pub(super) is_read: bool,
    /// Number of rows above which batches need not be apart in time.
    pub(super) bulk_above: usize,
    /// True if requests may be sent now.
    pub(super) may_send: bool,
    /// True if the mode uses batches.
    pub(super) can_batch: bool,
    /// Time to read back a profile whose batch was lost, on this device's clock.
    pub(super) read_back_at: Timestamp,
}

impl Open {
    /// Accepts no more rows: the batch is sent as it is.
    pub(super) fn close(&mut self) {
        self.stage = Stage::Closed;
    }

    /// Adds a row. Returns false and closes the batch if it does not fit.
    pub(super) fn add(&mut self, profile_id: i64, key: &str, row: &Row, rows_max: usize) -> bool {
        if self.head.rows >= rows_max || !self.size.add(key, row) {
            self.stage = Stage::Closed;
            return false;
        }
        self.head.rows += 1;
        self.sole = (self.head.rows == 1).then_some(profile_id);
        self.read_at = self.read_at.into_iter().chain(row.read_at).min();
        self.has_unread |= row.read_at.is_none();
        if self.head.rows >= rows_max {
            self.stage = Stage::Closed;
        }
        true
    }

    pub(super) fn new(head: BatchHead, now: Duration) -> Self {
        Self {
            head,
            stage: Stage::Filling,
            size: Size::default(),
            read_at: None,
            has_unread: false,
            sole: None,
            since: now,
            wait_until: Duration::ZERO,
            sent_at: Timestamp::default(),
            failures: 0,
            polls: 0,
            unknown: 0,
        }
    }

    /// Returns the names in the first line of its file.
    pub(super) fn names(&self) -> Vec<String> {
        self.size.names.iter().cloned().collect()
    }

    /// Returns when the batch ends without an answer, because a reading gets too old, or has been lost for too long.
    pub(super) fn expires_at(&self, outlook: Outlook) -> Option<Duration> {
        match &self.stage {
            Stage::Filling | Stage::Closed if self.head.rows > 0 => {
                let waiting = self.read_at.map_or(self.since + WAITING_MAX, |at| at + READING_AGE_MAX);
                Some(waiting)
            }
            Stage::Submitted(_) => {
                let age = outlook.quota.since(self.head.submitted_at.unwrap_or(outlook.quota));
                Some(outlook.now + BATCH_INCOMPLETE_MAX.saturating_sub(age))
            }
            _ => None,
        }
    }

    pub(super) fn expire(&mut self, outlook: Outlook) {
        let is_over = self.expires_at(outlook).is_some_and(|at| at <= outlook.now);
        let lost = Ending::Lost { sent_at: self.sent_at, read_back_at: outlook.read_back_at };
        let ending = match &self.stage {
            Stage::Filling | Stage::Closed if is_over || !outlook.can_batch && self.head.rows > 0 => Ending::Released,
            Stage::Submitted(_) if is_over || self.unknown >= UNKNOWN_MAX => lost,
            Stage::Submitted(_) if !outlook.can_batch && self.failures > 0 => lost,
            _ => return,
        };
        self.stage = Stage::Ending(ending, BatchState::GivenUp);
        self.wait_until = Duration::ZERO;
    }
}
