//! Batches in progress: what they can take, when they are sent or polled, and how they end. Each state ends in limited
//! time, even without an answer.

use std::collections::VecDeque;
use std::time::Duration;

use super::open_batch::{Open, Outlook, Stage};
use super::types::Moment;
use crate::core::forwarding::backoff::backoff;
use crate::core::identity::IdentityKind;
use crate::core::limits::{BATCH_CALLS_A_MINUTE, BATCH_INTERVAL, BATCH_ROWS_MAX};
use crate::core::timestamp::Timestamp;
use crate::store::{BatchHead, BatchState, Ending};

/// Delay of the first poll after submission; [`POLL_MAX`] is the longest time between two polls.
const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(5 * 60);

/// Longest time from the first row to sending a batch, even while more rows come.
const FILLING_MAX: Duration = Duration::from_secs(2 * 60);

/// Calls per minute left to other devices of the client code.
const CALLS_SPARE: usize = 20;

/// Time to wait before checking again when the rows of a day are used up.
pub(super) const ROWS_WAIT: Duration = Duration::from_secs(10 * 60);

/// Time to wait for room in the store before trying again, if no batch ends earlier.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// Shortest time to wait for the answer to a trial.
const TRIAL_TIME: Duration = Duration::from_secs(1);

/// Rows of the batch that tries whether Target accepts batches again.
const TRIAL_ROWS: usize = 100;

/// The next step for a batch.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Submit,
    Poll(String),
    End(Ending, BatchState),
}

/// The consequence of a submission that was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The batch is submitted again.
    Again,
    /// The batch was refused and has more than one row: its rows are released, and later batches are half as large.
    Halve,
}

/// The next step over all batches.
#[derive(Clone, Debug)]
pub(super) enum Next {
    Now(i64, Step),
    WaitUntil(Duration),
    Nothing,
}

/// All batches that have not ended.
#[derive(Debug)]
pub(super) struct Batches {
    open: Vec<Open>,
    last_submitted: Option<Duration>,
    calls: VecDeque<Duration>,
    /// Most rows of a batch; fewer after Target refused one.
    rows_max: usize,
    /// Submissions in a row that were not accepted.
    failures: u32,
    /// Time before which the store is not checked for room again.
    room_until: Duration,
    /// Time before which no profile is added to a batch.
    closed_until: Duration,
    /// Batch on which a job is running.
    job: Option<i64>,
}

impl Batches {
    /// Resumes the batches of the last run: those not sent are released, and the state of those being sent is unknown.
    pub(super) fn resume(heads: Vec<BatchHead>, moment: Moment, read_back_at: Timestamp) -> Self {
        let Moment { elapsed: now, wall, quota, .. } = moment;
        let resumed = |head: BatchHead| {
            let since = quota.at.since(head.submitted_at.unwrap_or(quota.at));
            // A batch sent by an older program has no time on Target's clock; this device's must do.
            let sent_at = head.sent_at.unwrap_or_else(|| wall.minus(since));
            let stage = match (head.state, &head.target_id) {
                (BatchState::Submitted, Some(path)) => Stage::Submitted(path.clone()),
                (BatchState::Filling, _) => Stage::Ending(Ending::Released, BatchState::GivenUp),
                _ => Stage::Ending(Ending::Lost { sent_at, read_back_at }, BatchState::GivenUp),
            };
            Open { stage, sent_at, ..Open::new(head, now) }
        };
        let open = heads.into_iter().map(resumed).collect();
        Self {
            open,
            last_submitted: None,
            calls: VecDeque::new(),
            rows_max: BATCH_ROWS_MAX,
            failures: 0,
            room_until: Duration::ZERO,
            closed_until: Duration::ZERO,
            job: None,
        }
    }

    /// Removes and returns the batch that takes rows of a kind, or a new one, which has no number yet.
    pub(super) fn take_filling(&mut self, kind: IdentityKind, api: i64, now: Duration) -> Open {
        let takes =
            |open: &Open| matches!(open.stage, Stage::Filling) && (open.head.kind, open.head.api) == (kind, api);
        let place = self.open.iter().position(takes).filter(|place| self.job != Some(self.open[*place].head.id));
        let new = BatchHead {
            id: 0,
            kind,
            api,
            state: BatchState::Filling,
            rows: 0,
            bytes: 0,
            target_id: None,
            submitted_at: None,
            sent_at: None,
            ended_at: None,
        };
        place.map_or_else(|| Open::new(new, now), |place| self.open.swap_remove(place))
    }

    /// Puts back a batch that was taken out.
    pub(super) fn put_back(&mut self, open: Open) {
        self.open.push(open);
    }

    /// Returns when profiles may be added to batches again, if not now: because of a wait, or because one batch tries
    /// whether Target accepts them.
    pub(super) fn opens_at(&self, now: Duration) -> Option<Duration> {
        let is_trial = |open: &&Open| open.failures > 0 && matches!(open.stage, Stage::Filling | Stage::Closed);
        let tried_again = |open: &Open| open.wait_until.max(now + TRIAL_TIME);
        let trial = self.open.iter().filter(is_trial).map(tried_again).max();
        trial.into_iter().chain([self.closed_until, self.room_until]).max().filter(|at| *at > now)
    }

    /// Returns the most rows that a batch may have now.
    pub(super) fn rows_max(&self) -> usize {
        if self.failures > 0 { self.rows_max.min(TRIAL_ROWS) } else { self.rows_max }
    }

    /// Releases rows that were not read, to be claimed again, because profiles can be read again.
    pub(super) fn release_unread(&mut self) {
        let is_unread = |open: &&mut Open| matches!(open.stage, Stage::Filling | Stage::Closed) && open.has_unread;
        let job = self.job;
        for open in self.open.iter_mut().filter(is_unread).filter(|open| job != Some(open.head.id)) {
            open.stage = Stage::Ending(Ending::Released, BatchState::GivenUp);
            open.wait_until = Duration::ZERO;
        }
    }

    /// Returns the number of profiles in batches that have not been sent.
    pub(super) fn filling_rows(&self) -> usize {
        let waits = |open: &&Open| matches!(open.stage, Stage::Filling | Stage::Closed);
        self.open.iter().filter(waits).map(|open| open.head.rows).sum()
    }

    /// Returns true if Target has accepted a batch.
    pub(super) fn is_submitted(&self, id: i64) -> bool {
        self.get(id).is_some_and(|open| matches!(open.stage, Stage::Submitted(_)))
    }

    /// Returns true if a job is running on a batch.
    pub(super) const fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    pub(super) fn get(&self, id: i64) -> Option<&Open> {
        self.open.iter().find(|open| open.head.id == id)
    }

    fn find(&mut self, id: i64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.head.id == id)
    }

    /// Decides the next step.
    pub(super) fn next(&mut self, outlook: Outlook) -> Next {
        if self.job.is_some() {
            return Next::Nothing;
        }
        let now = outlook.now;
        self.open.iter_mut().for_each(|open| open.expire(outlook));
        self.calls.retain(|at| at.saturating_add(Duration::from_secs(60)) > now);
        let mut soonest: Option<(Duration, usize)> = None;
        for (place, open) in self.open.iter().enumerate() {
            let due = match &open.stage {
                Stage::Ending(..) => Some(open.wait_until),
                Stage::Submitted(_) | Stage::Closed if outlook.may_send => Some(open.wait_until),
                Stage::Filling if outlook.may_send => self.ripe_at(open, outlook).map(|at| at.max(open.wait_until)),
                _ => None,
            };
            // Some things are checked again although nothing may be sent.
            let due = due.into_iter().chain(open.expires_at(outlook)).min();
            soonest = soonest.into_iter().chain(due.map(|due| (due, place))).min();
        }
        let Some((at, place)) = soonest else { return Next::Nothing };
        if at > now {
            return Next::WaitUntil(at);
        }
        let open = &self.open[place];
        let step = match &open.stage {
            Stage::Ending(ending, state) => Step::End(ending.clone(), *state),
            Stage::Submitted(path) => Step::Poll(path.clone()),
            Stage::Filling | Stage::Closed => Step::Submit,
        };
        let is_call = !matches!(step, Step::End(..));
        if is_call && !outlook.may_send {
            return Next::Nothing;
        }
        if is_call && self.calls.len() + CALLS_SPARE >= BATCH_CALLS_A_MINUTE {
            return Next::WaitUntil(self.calls[0] + Duration::from_secs(60));
        }
        Next::Now(open.head.id, step)
    }

    /// Returns when a batch that is being filled is due to be sent.
    fn ripe_at(&self, open: &Open, outlook: Outlook) -> Option<Duration> {
        let Outlook { now, is_read, bulk_above, .. } = outlook;
        if open.head.rows == 0 {
            return None;
        }
        let is_halved = self.rows_max < BATCH_ROWS_MAX;
        if is_read && (open.head.rows > bulk_above || is_halved) {
            return Some(now);
        }
        let latest = open.since + FILLING_MAX;
        let paced = self.last_submitted.map_or(now, |last| last + BATCH_INTERVAL);
        Some(if is_read { paced } else { latest.max(paced) })
    }

    /// Notes that a job starts on a batch.
    pub(super) fn start(&mut self, id: i64, step: &Step, now: Duration, sent_at: Timestamp) {
        self.job = Some(id);
        match step {
            Step::Submit => {
                self.calls.push_back(now);
                self.last_submitted = Some(now);
                if let Some(open) = self.find(id) {
                    open.stage = Stage::Closed;
                    open.sent_at = sent_at;
                    open.head.sent_at = Some(sent_at);
                }
            }
            Step::Poll(_) => self.calls.push_back(now),
            Step::End(..) => {}
        }
    }

    /// Ends a batch in a given way, as soon as the store can.
    pub(super) fn end(&mut self, id: i64, ending: Ending, state: BatchState) {
        self.job = None;
        if let Some(open) = self.find(id) {
            open.stage = Stage::Ending(ending, state);
            open.wait_until = Duration::ZERO;
        }
    }

    /// Records that Target accepted a batch, with the number of rows in its file.
    pub(super) fn submitted(&mut self, id: i64, path: String, rows: usize, now: Duration, quota: Timestamp) {
        self.job = None;
        self.failures = 0;
        self.rows_max = self.rows_max.saturating_mul(2).min(BATCH_ROWS_MAX);
        if let Some(open) = self.find(id) {
            open.stage = Stage::Submitted(path);
            open.head.submitted_at = Some(quota);
            // Profiles that were forgotten meanwhile are not in the file.
            open.head.rows = rows;
            open.failures = 0;
            open.wait_until = now + POLL_MIN;
        }
    }

    /// Records that a batch was not accepted. `chance` is from 0 up to 1.
    pub(super) fn not_taken(&mut self, id: i64, what: NotTaken, now: Duration, chance: f64) {
        self.job = None;
        let Some(open) = self.find(id) else { return };
        match what {
            NotTaken::Again => {
                open.failures += 1;
                open.wait_until = now + backoff(open.failures, chance);
                self.failures += 1;
            }
            NotTaken::Halve => {
                let rows = open.head.rows;
                self.end(id, Ending::Released, BatchState::GivenUp);
                self.rows_max = (rows / 2).max(1);
            }
        }
    }

    /// Releases a batch that was to be sent, because the rows of a day are used up.
    pub(super) fn rows_spent(&mut self, id: i64, now: Duration) {
        self.end(id, Ending::Released, BatchState::GivenUp);
        self.closed_until = now + ROWS_WAIT;
    }

    /// Records that the store has no room for rows, until a batch ends or other updates are delivered.
    pub(super) fn no_room(&mut self, now: Duration) {
        self.room_until = now + ROOM_WAIT;
    }

    /// Records that Target has not finished with a batch; it is polled less and less often.
    pub(super) fn incomplete(&mut self, id: i64, now: Duration) {
        self.job = None;
        let Some(open) = self.find(id) else { return };
        (open.failures, open.unknown) = (0, 0);
        open.polls += 1;
        open.wait_until = now + POLL_MAX.min(POLL_MIN * 2_u32.saturating_pow(open.polls.min(16)));
    }

    /// Records that a poll had no answer, or that Target does not know the batch. `chance` is from 0 up to 1.
    pub(super) fn poll_failed(&mut self, id: i64, is_unknown: bool, now: Duration, chance: f64) {
        self.job = None;
        let Some(open) = self.find(id) else { return };
        open.failures += 1;
        open.unknown += u32::from(is_unknown);
        open.wait_until = now + backoff(open.failures, chance);
    }

    /// Records that the answer to a submission was lost.
    pub(super) fn lost(&mut self, id: i64, read_back_at: Timestamp, now: Duration, chance: f64) {
        let sent_at = self.get(id).map(|open| open.sent_at).unwrap_or_default();
        self.end(id, Ending::Lost { sent_at, read_back_at }, BatchState::GivenUp);
        self.failures += 1;
        self.closed_until = now + backoff(self.failures, chance);
    }

    /// Records that the store has ended a batch.
    pub(super) fn ended(&mut self, id: i64, now: Duration, chance: f64) {
        self.job = None;
        let was_waiting = self.get(id).is_some_and(|open| open.failures > 0 && open.head.submitted_at.is_none());
        self.open.retain(|open| open.head.id != id);
        self.room_until = Duration::ZERO;
        if was_waiting {
            // Its rows would be read again only to wait again.
            self.closed_until = now + backoff(self.failures.saturating_add(2), chance);
        }
    }

    /// Records that the store could not complete a step now.
    pub(super) fn store_failed(&mut self, id: i64, now: Duration, chance: f64) {
        self.job = None;
        if let Some(open) = self.find(id) {
            open.wait_until = now + backoff(2, chance);
        }
    }
}
