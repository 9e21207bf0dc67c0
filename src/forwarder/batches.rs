//! Batches on their way: when one is sent or asked after, decided purely. `jobs` does it.

use std::collections::VecDeque;
use std::time::Duration;

use super::jobs::Done;
use crate::backoff::backoff;
use crate::identity::IdentityKind;
use crate::limits::{BATCH_CALLS_A_MINUTE, BATCH_INTERVAL, BATCH_ROWS_MAX};
use crate::store::{BatchHead, BatchState};
use crate::target::Outcome;

/// How soon after its submission a batch is first asked after, and how long at most between two questions.
const POLL_MIN: Duration = Duration::from_secs(1);
const POLL_MAX: Duration = Duration::from_secs(5 * 60);

/// How often Target may not know a batch that it took, before it is given up.
const UNKNOWN_MAX: u32 = 10;

/// A batch is sent at the latest so long after its first row came, also while more come.
const FILLING_MAX: Duration = Duration::from_secs(2 * 60);

/// Calls of a minute that are left to other devices of the client.
const CALLS_SPARE: usize = 20;

/// How long to wait when the rows of a day are spent, before looking again.
const ROWS_WAIT: Duration = Duration::from_secs(10 * 60);

/// A batch as the forwarder sees it.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) head: BatchHead,
    pub(super) is_full: bool,
    /// When its first row came, in this run.
    since: Duration,
    /// Not before then is anything done with it.
    wait_until: Duration,
    failures: u32,
    polls: u32,
    unknown: u32,
    /// Target finds it too large.
    is_too_large: bool,
}

/// What is done next with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This one is sent or asked after.
    Now(i64),
    /// Nothing before then.
    WaitUntil(Duration),
    /// There is no batch.
    Nothing,
}

/// All batches that are not at their end.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: Vec<Open>,
    last_submitted: Option<Duration>,
    calls: VecDeque<Duration>,
    /// Most rows of a batch: fewer after Target found one too large.
    pub(super) rows_max: Option<usize>,
}

impl Batches {
    /// The batches of the last run. What was being filled, or sent, is sent now.
    pub(super) fn resume(heads: Vec<BatchHead>, now: Duration) -> Self {
        let resumed = |head: BatchHead| Open { is_full: head.rows > 0, ..Open::new(head, now) };
        let open = heads.into_iter().map(resumed).collect();
        Self { open, ..Self::default() }
    }

    /// The batch that takes rows of that kind, if there is one.
    pub(super) fn filling(&self, kind: IdentityKind) -> Option<i64> {
        let takes = |open: &&Open| open.head.state == BatchState::Filling && open.head.kind == kind && !open.is_full;
        self.open.iter().find(takes).map(|open| open.head.id)
    }

    /// Rows were put in a batch, which may be a new one.
    pub(super) fn filled(&mut self, head: BatchHead, is_full: bool, now: Duration) {
        match self.find(head.id) {
            Some(open) => {
                open.head = head;
                open.is_full |= is_full;
            }
            None => self.open.push(Open { is_full, ..Open::new(head, now) }),
        }
    }

    /// Profiles that wait in batches that are not sent yet.
    pub(super) fn filling_rows(&self) -> usize {
        self.open.iter().filter(|open| open.head.state == BatchState::Filling).map(|open| open.head.rows).sum()
    }

    /// What to do next. `is_read` says that the outbox holds nothing more for a batch; beyond `bulk_above` rows the backlog is
    /// large, and no time between batches is kept.
    pub(super) fn next(&mut self, now: Duration, is_read: bool, bulk_above: usize) -> Next {
        let minute_ago = now.saturating_sub(Duration::from_secs(60));
        while self.calls.front().is_some_and(|at| *at < minute_ago) && now >= Duration::from_secs(60) {
            self.calls.pop_front();
        }
        let due = |open: &Open| match open.head.state {
            BatchState::Filling => self.ripe_at(open, now, is_read, bulk_above).map(|at| at.max(open.wait_until)),
            _ => Some(open.wait_until),
        };
        let next = self.open.iter().filter_map(|open| Some((due(open)?, open.head.id))).min();
        match next {
            Some((at, id)) if at <= now => {
                if self.calls.len() + CALLS_SPARE >= BATCH_CALLS_A_MINUTE {
                    return Next::WaitUntil(self.calls[0] + Duration::from_secs(60));
                }
                Next::Now(id)
            }
            Some((at, _)) => Next::WaitUntil(at),
            None => Next::Nothing,
        }
    }

    /// When a batch that is being filled is to be sent.
    fn ripe_at(&self, open: &Open, now: Duration, is_read: bool, bulk_above: usize) -> Option<Duration> {
        if open.head.rows == 0 {
            return None;
        }
        if open.is_full || (is_read && open.head.rows > bulk_above) {
            return Some(now);
        }
        let latest = open.since + FILLING_MAX;
        let paced = self.last_submitted.map_or(now, |last| last + BATCH_INTERVAL);
        Some(if is_read { paced.min(latest.max(paced)) } else { latest.max(paced) })
    }

    pub(super) fn head(&self, id: i64) -> Option<&BatchHead> {
        self.open.iter().find(|open| open.head.id == id).map(|open| &open.head)
    }

    fn find(&mut self, id: i64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.head.id == id)
    }

    /// A job for that batch begins.
    pub(super) fn begun(&mut self, id: i64, now: Duration) {
        self.calls.push_back(now);
        if let Some(open) = self.find(id)
            && open.head.state == BatchState::Filling
        {
            open.head.state = BatchState::Submitting;
            open.is_full = true;
            self.last_submitted = Some(now);
        }
    }

    /// Takes in what came of a job. `chance` is from 0 up to 1.
    pub(super) fn ended(&mut self, id: i64, done: &Done, now: Duration, chance: f64) {
        let Some(open) = self.find(id) else { return };
        match done {
            Done::Submitted(head) => {
                *open = Open { wait_until: now + POLL_MIN, is_full: true, ..Open::new(head.clone(), now) };
            }
            Done::Incomplete => {
                open.polls += 1;
                open.wait_until = now + POLL_MAX.min(POLL_MIN * 2_u32.saturating_pow(open.polls.min(16)));
            }
            Done::TooLarge => {
                // Known before its rows are pending again.
                open.is_too_large = true;
                open.wait_until = now;
                self.rows_max = Some((open.head.rows / 2).max(1));
            }
            Done::Ended(_) => self.open.retain(|open| open.head.id != id),
            Done::RowsSpent => open.wait_until = now + ROWS_WAIT,
            Done::Failed(outcome) => {
                open.failures += 1;
                open.unknown += u32::from(matches!(outcome, Outcome::Refused(_)));
                open.wait_until = now + backoff(open.failures, chance);
            }
            Done::Store(_) => {
                open.failures += 1;
                open.wait_until = now + backoff(open.failures, chance);
            }
        }
    }

    /// Why a batch is to be given up, if it is.
    pub(super) fn given_up(&self, id: i64) -> Option<&'static str> {
        let open = self.open.iter().find(|open| open.head.id == id)?;
        if open.is_too_large {
            return Some("Target finds it too large");
        }
        (open.unknown >= UNKNOWN_MAX).then_some("Target does not know it")
    }
}

impl Open {
    fn new(head: BatchHead, now: Duration) -> Self {
        Self {
            head,
            is_full: false,
            since: now,
            wait_until: now,
            failures: 0,
            polls: 0,
            unknown: 0,
            is_too_large: false,
        }
    }
}

/// The version of the API for a kind of identity. Source: Target Bulk Profile Update API: a pc id goes by version 2 only where
/// the customer does not use ECID.
pub(super) const fn api_version(kind: IdentityKind, has_ecid: bool) -> i64 {
    match kind {
        IdentityKind::PcId if has_ecid => 1,
        _ => 2,
    }
}

/// Most rows of a batch, when Target has found none too large.
pub(super) const ROWS_MAX: usize = BATCH_ROWS_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarder::jobs::Settled;

    const SECOND: Duration = Duration::from_secs(1);

    fn head(id: i64, state: BatchState, rows: usize) -> BatchHead {
        let kind = IdentityKind::ThirdPartyId;
        BatchHead { id, kind, api: 2, state, rows, bytes: 0, target_id: None, submitted_at: None, ended_at: None }
    }

    fn with(rows: usize, is_full: bool) -> Batches {
        let mut batches = Batches::default();
        batches.filled(head(1, BatchState::Filling, rows), is_full, 100 * SECOND);
        batches
    }

    #[test]
    fn the_first_batch_goes_when_the_outbox_is_read() {
        let mut batches = with(3, false);
        assert_eq!(batches.next(100 * SECOND, true, 1_000), Next::Now(1));
        assert!(matches!(batches.next(100 * SECOND, false, 1_000), Next::WaitUntil(_)));
        assert_eq!(with(0, false).next(100 * SECOND, true, 1_000), Next::Nothing);
    }

    #[test]
    fn a_quiet_shop_sends_one_a_minute_and_a_large_backlog_does_not_wait() {
        for (rows, is_full, expected) in
            [(3, false, Next::WaitUntil(160 * SECOND)), (1_001, false, Next::Now(2)), (3, true, Next::Now(2))]
        {
            let mut batches = with(3, false);
            batches.begun(1, 100 * SECOND);
            batches.ended(1, &Done::Ended(Settled::default()), 100 * SECOND, 1.0);
            batches.filled(head(2, BatchState::Filling, rows), is_full, 101 * SECOND);
            assert_eq!(batches.next(101 * SECOND, true, 1_000), expected, "{rows} rows");
        }
    }

    #[test]
    fn while_rows_keep_coming_a_batch_goes_after_two_minutes() {
        let mut batches = with(3, false);
        assert_eq!(batches.next(101 * SECOND, false, 1_000), Next::WaitUntil(220 * SECOND));
        assert_eq!(batches.next(220 * SECOND, false, 1_000), Next::Now(1));
    }

    #[test]
    fn a_submitted_batch_is_asked_after_more_and_more_rarely() {
        let mut batches = with(3, false);
        batches.begun(1, 100 * SECOND);
        batches.ended(1, &Done::Submitted(head(1, BatchState::Submitted, 3)), 100 * SECOND, 1.0);
        let mut waits = Vec::new();
        let mut now = 100 * SECOND;
        for _ in 0..12 {
            if let Next::WaitUntil(at) = batches.next(now, true, 1_000) {
                waits.push((at - now).as_secs());
                now = at;
            }
            batches.ended(1, &Done::Incomplete, now, 1.0);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn a_minute_has_at_most_thirty_calls() {
        let mut batches = with(3, true);
        (0..30).for_each(|_| batches.begun(9, 100 * SECOND));
        assert_eq!(batches.next(101 * SECOND, true, 1_000), Next::WaitUntil(160 * SECOND));
        assert_eq!(batches.next(161 * SECOND, true, 1_000), Next::Now(1));
    }

    #[test]
    fn after_a_restart_what_was_filled_or_being_sent_goes_at_once() {
        let heads = vec![head(2, BatchState::Filling, 3), head(1, BatchState::Submitting, 3)];
        let mut batches = Batches::resume(heads, SECOND);
        assert_eq!(batches.next(SECOND, false, 1_000), Next::Now(1));
    }

    #[test]
    fn a_file_that_was_too_large_halves_the_next() {
        let mut batches = with(9, true);
        batches.ended(1, &Done::TooLarge, SECOND, 1.0);
        assert_eq!(batches.rows_max, Some(4));
    }
}
