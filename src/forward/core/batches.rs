//! Batches on their way: what fits in, when one is sent or polled, and how each ends. Each state ends in time, also without an
//! answer.

use std::collections::VecDeque;
use std::time::Duration;

use super::open_batch::{Open, Outlook, Stage};
use super::types::Moment;
use crate::core::forwarding::backoff::backoff;
use crate::core::identity::IdentityKind;
use crate::core::limits::{BATCH_CALLS_A_MINUTE, BATCH_INTERVAL, BATCH_ROWS_MAX};
use crate::core::timestamp::Timestamp;
use crate::store::{BatchHead, BatchState, Ending};

/// How soon after its submission a batch is first polled, and how long at most between two polls.
const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(5 * 60);

/// A batch is sent at the latest so long after its first row came, also while more come.
const FILLING_MAX: Duration = Duration::from_secs(2 * 60);

/// Calls of a minute that are left to other devices of the client.
const CALLS_SPARE: usize = 20;

/// Time to wait when the rows of a day are spent, before looking again.
pub(super) const ROWS_WAIT: Duration = Duration::from_secs(10 * 60);

/// Time to wait for room in the store, before it is tried again, if no batch ends before.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// Least time that the answer to a trial is waited for.
const TRIAL_TIME: Duration = Duration::from_secs(1);

/// Rows of the batch with which it is tried whether Target takes batches again.
const TRIAL_ROWS: usize = 100;

/// What is next with a batch.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Submit,
    Poll(String),
    End(Ending, BatchState),
}

/// What came of a submission that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is tried again.
    Again,
    /// It is refused, with more than one row in it.
    Halve,
}

/// What to do next, over all batches.
#[derive(Clone, Debug)]
pub(super) enum Next {
    Now(i64, Step),
    WaitUntil(Duration),
    Nothing,
}

/// All batches that are not at their end.
#[derive(Debug)]
pub(super) struct Batches {
    open: Vec<Open>,
    last_submitted: Option<Duration>,
    calls: VecDeque<Duration>,
    /// Most rows of a batch: fewer after Target refused one.
    rows_max: usize,
    /// Number of times in a row that no batch was taken.
    failures: u32,
    /// Not before then is it looked whether the store has room for rows again.
    room_until: Duration,
    /// Not before then are profiles put in batches.
    closed_until: Duration,
    /// The batch that something is being done with.
    job: Option<i64>,
}

impl Batches {
    /// The batches of the last run: what was not sent is released, and of what was being sent nobody knows.
    pub(super) fn resume(heads: Vec<BatchHead>, moment: Moment, read_back_at: Timestamp) -> Self {
        let Moment { elapsed: now, wall, quota, .. } = moment;
        let resumed = |head: BatchHead| {
            let since = quota.at.since(head.submitted_at.unwrap_or(quota.at));
            // One that an earlier program sent has no time on Target's clock: then this device's must do.
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

    /// Takes out the batch that takes rows of that kind, or a new one, which has no number yet.
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

    /// Puts a batch back that was taken out.
    pub(super) fn put_back(&mut self, open: Open) {
        self.open.push(open);
    }

    /// When profiles may be put in batches again, if none may now: it was told so, or one batch tries whether Target
    /// takes them.
    pub(super) fn opens_at(&self, now: Duration) -> Option<Duration> {
        let is_trial = |open: &&Open| open.failures > 0 && matches!(open.stage, Stage::Filling | Stage::Closed);
        let tried_again = |open: &Open| open.wait_until.max(now + TRIAL_TIME);
        let trial = self.open.iter().filter(is_trial).map(tried_again).max();
        trial.into_iter().chain([self.closed_until, self.room_until]).max().filter(|at| *at > now)
    }

    /// Most rows that a batch may have now.
    pub(super) fn rows_max(&self) -> usize {
        if self.failures > 0 { self.rows_max.min(TRIAL_ROWS) } else { self.rows_max }
    }

    /// Profiles can be read again: rows that were not read are released, to be claimed anew.
    pub(super) fn release_unread(&mut self) {
        let is_unread = |open: &&mut Open| matches!(open.stage, Stage::Filling | Stage::Closed) && open.has_unread;
        let job = self.job;
        for open in self.open.iter_mut().filter(is_unread).filter(|open| job != Some(open.head.id)) {
            open.stage = Stage::Ending(Ending::Released, BatchState::GivenUp);
            open.wait_until = Duration::ZERO;
        }
    }

    /// Profiles that wait in batches that are not sent yet.
    pub(super) fn filling_rows(&self) -> usize {
        let waits = |open: &&Open| matches!(open.stage, Stage::Filling | Stage::Closed);
        self.open.iter().filter(waits).map(|open| open.head.rows).sum()
    }

    /// Returns whether a batch was taken by Target.
    pub(super) fn is_submitted(&self, id: i64) -> bool {
        self.get(id).is_some_and(|open| matches!(open.stage, Stage::Submitted(_)))
    }

    /// Returns whether something is being done with a batch.
    pub(super) const fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    pub(super) fn get(&self, id: i64) -> Option<&Open> {
        self.open.iter().find(|open| open.head.id == id)
    }

    fn find(&mut self, id: i64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.head.id == id)
    }

    /// Decides what to do next.
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
            // What is to be looked at again though nothing may be sent.
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

    /// When a batch that is being filled is to be sent.
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
        Some(if is_read { paced.min(latest.max(paced)) } else { latest.max(paced) })
    }

    /// Something is done with a batch from now on.
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

    /// The batch is to end like that, as soon as the store can.
    pub(super) fn end(&mut self, id: i64, ending: Ending, state: BatchState) {
        self.job = None;
        if let Some(open) = self.find(id) {
            open.stage = Stage::Ending(ending, state);
            open.wait_until = Duration::ZERO;
        }
    }

    /// Target took the batch, with so many rows in its file.
    pub(super) fn submitted(&mut self, id: i64, path: String, rows: usize, now: Duration, quota: Timestamp) {
        self.job = None;
        self.failures = 0;
        self.rows_max = self.rows_max.saturating_mul(2).min(BATCH_ROWS_MAX);
        if let Some(open) = self.find(id) {
            open.stage = Stage::Submitted(path);
            open.head.submitted_at = Some(quota);
            // Who was forgotten meanwhile is not in the file.
            open.head.rows = rows;
            open.failures = 0;
            open.wait_until = now + POLL_MIN;
        }
    }

    /// The batch was not taken. `chance` is from 0 up to 1.
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

    /// The rows of a day are spent: what was to be sent is released.
    pub(super) fn rows_spent(&mut self, id: i64, now: Duration) {
        self.end(id, Ending::Released, BatchState::GivenUp);
        self.closed_until = now + ROWS_WAIT;
    }

    /// The store has no room for rows: that comes when a batch ends, or other things are delivered.
    pub(super) fn no_room(&mut self, now: Duration) {
        self.room_until = now + ROOM_WAIT;
    }

    /// Target is not done with the batch: it is polled more and more rarely.
    pub(super) fn incomplete(&mut self, id: i64, now: Duration) {
        self.job = None;
        let Some(open) = self.find(id) else { return };
        (open.failures, open.unknown) = (0, 0);
        open.polls += 1;
        open.wait_until = now + POLL_MAX.min(POLL_MIN * 2_u32.saturating_pow(open.polls.min(16)));
    }

    /// A poll had no answer; or Target does not know the batch. `chance` is from 0 up to 1.
    pub(super) fn poll_failed(&mut self, id: i64, is_unknown: bool, now: Duration, chance: f64) {
        self.job = None;
        let Some(open) = self.find(id) else { return };
        open.failures += 1;
        open.unknown += u32::from(is_unknown);
        open.wait_until = now + backoff(open.failures, chance);
    }

    /// The answer to a submission was lost.
    pub(super) fn lost(&mut self, id: i64, read_back_at: Timestamp, now: Duration, chance: f64) {
        let sent_at = self.get(id).map(|open| open.sent_at).unwrap_or_default();
        self.end(id, Ending::Lost { sent_at, read_back_at }, BatchState::GivenUp);
        self.failures += 1;
        self.closed_until = now + backoff(self.failures, chance);
    }

    /// The store has ended a batch.
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

    /// The store could not do it now.
    pub(super) fn store_failed(&mut self, id: i64, now: Duration, chance: f64) {
        self.job = None;
        if let Some(open) = self.find(id) {
            open.wait_until = now + backoff(2, chance);
        }
    }
}
