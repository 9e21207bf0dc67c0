//! A batch that is not at its end: what is in it, and when it ends though nothing is heard.

use std::time::Duration;

use super::batch_size::Size;
use crate::core::limits::{BATCH_INCOMPLETE_MAX, READING_AGE_MAX};
use crate::core::timestamp::Timestamp;
use crate::forward::judge::Row;
use crate::store::{BatchHead, BatchState, Ending};

/// Time that a batch that was never read may wait to be taken, before its rows are claimed again.
const WAITING_MAX: Duration = Duration::from_secs(60 * 60);

/// Number of times in a row that Target may not know a batch that it took, before it is given up.
const UNKNOWN_MAX: u32 = 10;

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Rows are put in.
    Filling,
    /// It is full, or old enough.
    Closed,
    Submitted(String),
    Ending(Ending, BatchState),
}

/// A batch that is not at its end.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) head: BatchHead,
    pub(super) stage: Stage,
    pub(super) size: Size,
    /// The oldest reading among its rows.
    pub(super) read_at: Option<Duration>,
    /// True if a row was not read.
    pub(super) has_unread: bool,
    /// The profile, while it is one alone.
    pub(super) sole: Option<i64>,
    /// When its first row came, in this run.
    pub(super) since: Duration,
    /// Not before then is anything done with it.
    pub(super) wait_until: Duration,
    /// When it was submitted, on Target's clock.
    pub(super) sent_at: Timestamp,
    pub(super) failures: u32,
    pub(super) polls: u32,
    pub(super) unknown: u32,
}

/// What batches are to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    pub(super) now: Duration,
    /// The quota's clock.
    pub(super) quota: Timestamp,
    /// True if the outbox holds nothing more for a batch now.
    pub(super) is_read: bool,
    /// Rows above which no time between batches is kept.
    pub(super) bulk_above: usize,
    /// True if requests may be sent now.
    pub(super) may_send: bool,
    /// True if the mode has batches.
    pub(super) can_batch: bool,
    /// When a profile whose batch was lost is read back, on this device's clock.
    pub(super) read_back_at: Timestamp,
}

impl Open {
    /// Takes no more rows: it is sent as it is.
    pub(super) fn close(&mut self) {
        self.stage = Stage::Closed;
    }

    /// Puts a row in. False when there is no room for it: then it is closed.
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

    /// The names in the first line of its file.
    pub(super) fn names(&self) -> Vec<String> {
        self.size.names.iter().cloned().collect()
    }

    /// When it ends though nothing is heard: what was read has an age, and so has what was lost.
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
