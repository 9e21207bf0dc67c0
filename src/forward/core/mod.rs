//! The core of forwarding: one state machine that alone decides what is claimed, read, noted, sent, batched, polled, settled,
//! released, and when to wake. It is told what happens and what time it is, and answers with actions. It reads no clock, no
//! dice and no store; the courier does what it says.
//!
//! Of each attempt there are three ends: Target said yes, Target definitely did not take it, or its answer was lost. What is
//! about to be sent is noted before, where others write the same profile; a definite no undoes the note, and what was lost
//! is read back some time later, and put right.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

mod answers;
mod batch_answers;
mod batch_size;
mod batches;
mod claims;
mod flight;
mod judged;
mod open_batch;
mod outside;
mod promises;
mod readings;
mod refusals;
mod rows;
mod setbacks;
mod step;
mod take;
mod types;

pub use types::{
    Action, Ask, BatchCame, ForwarderRules, ForwarderSettings, Input, Moment, News, Request, Settle, StoreFailed,
};

pub use setbacks::Waits;

use batches::Batches;
use flight::{Flight, Plan};
use open_batch::Open;
use promises::Promises;
use refusals::Refusals;
use setbacks::Setbacks;

use crate::adobe::{Outcome, delivery};
use crate::core::forwarding::backoff::backoff;
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::link::{Link, LinkState, Signal};
use crate::core::forwarding::quota::Quota;
use crate::core::forwarding::route::{Mode, Route, Situation, route};
use crate::core::limits::{DELIVERY_REQUESTS_MAX, QUOTA_WINDOW, READ_BACK_FIRST, READ_BACK_LAST};
use crate::core::timestamp::Timestamp;
use crate::forward::judge::{Row, Skew};
use crate::store::{BatchHead, Claim, Reading, SendLog};

/// The core.
pub struct Core {
    rules: ForwarderRules,
    connections: usize,
    link: Link,
    quota: Quota,
    is_quota_spent: bool,
    /// Requests that flights may still make, of those that count against the quota.
    spoken_for: u64,
    setbacks: Setbacks,
    refusals: Refusals,
    /// Refusals that are to be made void.
    void: Option<(Vec<i64>, Timestamp)>,
    /// Those that the store is taking back.
    retracting: Option<(Vec<i64>, Timestamp)>,
    batches: Batches,
    /// Rows of batches that were submitted in the last 24 hours, by the quota's clock.
    rows_sent: VecDeque<(Timestamp, usize)>,
    skew: Skew,
    /// Claims of which nothing was decided yet.
    claims: VecDeque<Claim>,
    page_size: usize,
    page_begun: Duration,
    /// True if the outbox may hold more than was claimed.
    may_have_more: bool,
    /// Profiles that were asked for last, and of those that are to be read back.
    asked: usize,
    asked_due: usize,
    /// True if a claim was released since it lacked what a batch needs.
    wants_rows: bool,
    /// Pending profiles when they were last counted.
    backlog: usize,
    flights: HashMap<i64, Flight>,
    to_read: VecDeque<i64>,
    to_note: VecDeque<i64>,
    to_send: VecDeque<i64>,
    /// Profiles a request of which is on its way.
    reading: HashSet<i64>,
    sending: HashSet<i64>,
    /// Profiles that were judged, and go in a batch.
    candidates: VecDeque<Candidate>,
    /// Rows that are put in a batch at once: fewer after the store had no room for them.
    add_max: usize,
    /// Rows that are being added to a batch: their claims are with the store.
    adding: Option<Adding>,
    settlements: Vec<Settle>,
    settle_at: Option<Duration>,
    busy: Busy,
    /// Profiles that could not be read, with none between that could.
    unreadable: HashSet<i64>,
    /// When a profile was read last.
    read_at: Option<Duration>,
    /// Number of times in a row that reading was refused.
    denied: u32,
    /// True if the last update failed, though Target could be reached.
    updates_fail: bool,
    reads_denied_until: Duration,
    /// What was said of why profiles are not read.
    reads_denied: Option<String>,
    /// When profiles are to be read back, on this device's clock; none when nobody is.
    due_at: Option<Timestamp>,
    due_promises: Promises,
    /// When profiles that wait for Target to have them are looked for.
    look_at: Option<Timestamp>,
    look_promises: Promises,
    /// True if all of them are, since they may go another way.
    looks_at_all: bool,
    store_failures: u32,
    store_wait_until: Duration,
    /// When something that waited may go on.
    wake_at: Option<Duration>,
    /// True if a probe may go to a profile that has failed, since all that are pending have.
    probes_failed: bool,
    /// True if the last claim passed over profiles that have failed.
    is_careful: bool,
    /// True if nothing is begun any more.
    is_stopping: bool,
    /// Claims that ended without a settlement.
    released: usize,
    news: Vec<News>,
}

/// What the courier is doing for the core.
#[derive(Debug, Default)]
struct Busy {
    is_claiming: bool,
    is_noting: bool,
    is_looking: bool,
    is_retracting: bool,
    settling: usize,
}

/// A batch to which rows are being added: as it was, and as it is when the store has done it.
struct Adding {
    before: Open,
    after: Open,
}

/// A profile that was judged, and goes in a batch.
struct Candidate {
    claim: Claim,
    route: Route,
    row: Row,
    readings: Vec<Reading>,
    learned: Option<Existence>,
    reads: i64,
    /// What was sent of it, where that is to be written down.
    log: Option<SendLog>,
}

/// What a core begins with.
pub struct CoreParts {
    /// What an operator decides.
    pub settings: ForwarderSettings,
    /// The link as it is at the start.
    pub link: Link,
    /// What the last 24 hours have used.
    pub quota: Quota,
    /// The batches of the last run.
    pub batches: Vec<BatchHead>,
    /// Rows of batches of the last 24 hours.
    pub rows_sent: u64,
}

impl Core {
    /// A core that has not begun.
    #[must_use]
    pub fn new(parts: CoreParts, moment: Moment) -> Self {
        let CoreParts { settings, link, quota, batches, rows_sent } = parts;
        let ForwarderSettings { rules, connections, .. } = settings;
        let read_back_at = moment.wall.plus(READ_BACK_FIRST);
        Self {
            rules,
            connections,
            link,
            quota,
            is_quota_spent: false,
            spoken_for: 0,
            setbacks: Setbacks::default(),
            refusals: Refusals::default(),
            void: None,
            retracting: None,
            batches: Batches::resume(batches, moment, read_back_at),
            // Nobody knows when they were sent: they count for a day from now.
            rows_sent: [(moment.quota.at, usize::try_from(rows_sent).unwrap_or(usize::MAX))].into(),
            skew: Skew::None,
            claims: VecDeque::new(),
            page_size: connections,
            page_begun: moment.elapsed,
            may_have_more: true,
            asked: 0,
            asked_due: 0,
            wants_rows: false,
            backlog: 0,
            flights: HashMap::new(),
            to_read: VecDeque::new(),
            to_note: VecDeque::new(),
            to_send: VecDeque::new(),
            reading: HashSet::new(),
            sending: HashSet::new(),
            candidates: VecDeque::new(),
            add_max: rows::CANDIDATES_MAX,
            adding: None,
            settlements: Vec::new(),
            settle_at: None,
            busy: Busy::default(),
            unreadable: HashSet::new(),
            read_at: None,
            denied: 0,
            updates_fail: false,
            reads_denied_until: Duration::ZERO,
            reads_denied: None,
            due_at: Some(moment.wall),
            due_promises: Promises::default(),
            look_at: Some(moment.wall),
            look_promises: Promises::default(),
            looks_at_all: false,
            store_failures: 0,
            store_wait_until: Duration::ZERO,
            wake_at: None,
            probes_failed: false,
            is_careful: false,
            is_stopping: false,
            released: 0,
            news: Vec::new(),
        }
    }

    /// Requests on their way, but for that of a batch.
    fn in_flight(&self) -> usize {
        self.reading.len() + self.sending.len()
    }

    /// Returns whether profiles are shared with others.
    const fn is_shared(&self) -> bool {
        self.rules.late_after.is_some()
    }

    /// Returns whether the mode has batches: also where updates go by the Delivery API, which does not take every
    /// identity.
    const fn can_batch(&self) -> bool {
        !matches!(self.rules.routes.mode, Mode::Single)
    }

    /// Before when a value is late, where profiles are shared.
    fn late_before(&self, moment: Moment) -> Option<Timestamp> {
        self.rules.late_after.map(|late_after| moment.wall.minus(late_after))
    }

    /// Returns whether profiles are read before they are sent, and can be now.
    fn can_read(&self, moment: Moment) -> bool {
        self.is_shared() && self.reads_open_in(moment).is_none()
    }

    /// Time until profiles can be read, if they cannot be now.
    fn reads_open_in(&self, moment: Moment) -> Option<Duration> {
        let denied = self.reads_denied_until.checked_sub(moment.elapsed).filter(|wait| !wait.is_zero());
        denied.into_iter().chain(moment.reads_open_in).max()
    }

    /// Target's time.
    fn target_time(&self, moment: Moment) -> Timestamp {
        self.skew.apply(moment.wall)
    }

    /// Requests that still fit into the quota beyond those that flights may make.
    fn quota_left(&mut self, moment: Moment) -> u64 {
        self.quota.left(moment.quota.at).saturating_sub(self.spoken_for)
    }

    /// Which way a claim goes.
    fn plan(&mut self, claim: &Claim, moment: Moment) -> Plan {
        let left = self.quota_left(moment);
        let situation = Situation {
            kind: claim.identity.kind(),
            fits_delivery: delivery::fits(&claim.identity),
            existence: claim.knowledge.now(moment.wall),
            is_urgent: claim.is_urgent(),
            backlog: self.backlog + self.waiting_rows(),
            is_quota_spent: left == 0,
        };
        // A profile that takes several requests gets them while there is plenty; else it goes on after the others.
        let is_plenty = left >= DELIVERY_REQUESTS_MAX.saturating_mul(4 * self.connections as u64);
        let budget = if is_plenty { DELIVERY_REQUESTS_MAX } else { 1 };
        Plan { route: route(self.rules.routes, situation), situation, budget }
    }

    /// Profiles that wait in batches that are not sent yet, or to be put in one.
    fn waiting_rows(&self) -> usize {
        let adding = self.adding.as_ref().map_or(0, |adding| adding.after.head.rows);
        self.batches.filling_rows() + adding + self.candidates.len()
    }

    /// Takes in what an answer says of the link.
    fn heard(&mut self, outcome: &Outcome, moment: Moment, chance: f64) {
        self.observe(signal(outcome), moment, chance);
    }

    fn observe(&mut self, signal: Signal, moment: Moment, chance: f64) {
        let was = self.link.state();
        let is_news = self.link.observe(signal, moment.elapsed, chance);
        let state = self.link.state();
        if was == LinkState::Paused || state == LinkState::Paused {
            // It is not reading alone that is refused: what goes out first after that must be read.
            (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
        }
        if !is_news {
            return;
        }
        self.news.push(News::Link);
        if state == LinkState::Online && was != LinkState::Online {
            self.probes_failed = false;
            self.setbacks.release_all();
        }
    }

    /// Without the store no delivery can be marked: sending on would only repeat itself.
    fn store_failed(&mut self, moment: Moment, chance: f64) {
        self.store_failures = self.store_failures.saturating_add(1);
        self.store_wait_until = moment.elapsed + backoff(self.store_failures, chance);
    }

    /// Rows that may still be sent in batches of the last 24 hours.
    fn rows_today(&mut self, moment: Moment) -> usize {
        let since = moment.quota.at.minus(QUOTA_WINDOW);
        while self.rows_sent.front().is_some_and(|(at, _)| *at < since) {
            self.rows_sent.pop_front();
        }
        self.rows_sent.iter().map(|(_, rows)| rows).sum()
    }

    /// When a profile is read back of which an answer was lost, by the log of what was sent of it.
    fn read_back_at(&self, log: &SendLog, moment: Moment) -> Option<Timestamp> {
        let now = self.target_time(moment);
        let ago = now.since(log.lost_at()?);
        let wait = [READ_BACK_FIRST, READ_BACK_LAST].into_iter().find(|wait| *wait > ago)?;
        Some(moment.wall.plus(wait - ago))
    }
}

/// What an answer says of the link.
fn signal(outcome: &Outcome) -> Signal {
    match outcome {
        Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge => Signal::Answered,
        Outcome::Throttled(asked) => Signal::Throttled(*asked),
        Outcome::Failing(reason) | Outcome::Lost(reason) => Signal::Failing(reason.clone()),
        Outcome::Unreachable(reason) => Signal::Unreachable(reason.clone()),
        Outcome::Foreign(reason) => Signal::Foreign(reason.clone()),
        Outcome::Unauthorized(reason) | Outcome::NotSetUp(reason) => Signal::Unauthorized(reason.clone()),
    }
}
