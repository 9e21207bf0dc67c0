//! The core of forwarding: one state machine that alone decides what is claimed, read, recorded, sent, batched, polled,
//! settled, released, and when to wake up. It is given events and times, and answers with actions. It uses no clock, no
//! random numbers and no store of its own; the courier does what it says.
//!
//! An attempt ends in one of three ways: Target accepted it, Target definitely did not, or its answer was lost. If
//! others write the same profile, values are recorded before they are sent; a definite refusal undoes the record, and
//! after a lost answer the profile is read back some time later and corrected.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

mod answers;
mod batch_answers;
mod batch_size;
mod batches;
#[cfg(test)]
mod batches_tests;
#[cfg(test)]
mod bulk_tests;
mod claims;
#[cfg(test)]
mod claims_tests;
#[cfg(test)]
mod delivery_tests;
mod flight;
mod handing_over;
#[cfg(test)]
mod handing_over_device;
#[cfg(test)]
mod handing_over_limits_tests;
#[cfg(test)]
mod handing_over_tests;
mod judged;
mod open_batch;
#[cfg(test)]
mod others_tests;
mod outside;
mod promises;
mod readings;
mod refusals;
#[cfg(test)]
mod routes_tests;
mod rows;
mod setbacks;
mod step;
mod take;
#[cfg(test)]
mod target_device;
#[cfg(test)]
mod target_told;
mod types;

pub use types::{Action, Ask, BatchCame, ForwarderRules, ForwarderSettings, Input, Moment, News, Settle, StoreFailed};

pub use setbacks::Waits;

use batches::Batches;
use flight::{Flight, Plan};
use handing_over::HandingOver;
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
use crate::core::forwarding::why::{Cause, Why};
use crate::core::limits::{DELIVERY_REQUESTS_MAX, QUOTA_WINDOW, READ_BACK_FIRST, READ_BACK_LAST};
use crate::core::timestamp::Timestamp;
use crate::forward::judge::{Row, Skew};
use crate::store::{BatchHead, Claim, Reading, SendLog};

/// The state machine that decides all forwarding of one outbox.
pub struct Core {
    rules: ForwarderRules,
    connections: usize,
    link: Link,
    quota: Quota,
    is_quota_spent: bool,
    /// Requests that flights may still make and that count against the quota.
    spoken_for: u64,
    setbacks: Setbacks,
    refusals: Refusals,
    /// Refusals to be made void: profiles, and the time since when.
    void: Option<(Vec<i64>, Timestamp)>,
    /// Refusals that the store is undoing.
    retracting: Option<(Vec<i64>, Timestamp)>,
    batches: Batches,
    /// Rows of batches submitted in the last 24 hours, by the quota's clock.
    rows_sent: VecDeque<(Timestamp, usize)>,
    skew: Skew,
    /// Claims that have not been decided on.
    claims: VecDeque<Claim>,
    page_size: usize,
    page_begun: Duration,
    /// True if the outbox may have more than was claimed.
    may_have_more: bool,
    /// Profiles asked for in the last claim, including those to be read back.
    asked: usize,
    asked_due: usize,
    /// True if a claim was released because it lacked what a batch needs.
    wants_rows: bool,
    /// Pending profiles at the last count.
    backlog: usize,
    flights: HashMap<i64, Flight>,
    to_read: VecDeque<i64>,
    to_note: VecDeque<i64>,
    to_send: VecDeque<i64>,
    /// Profiles that are being read.
    reading: HashSet<i64>,
    sending: HashSet<i64>,
    /// Judged profiles that go in a batch.
    candidates: VecDeque<Candidate>,
    /// Most rows added to a batch at once; fewer after the store had no room for them.
    add_max: usize,
    /// Rows being added to a batch, while the store has their claims.
    adding: Option<Adding>,
    handing: HandingOver,
    settlements: Vec<Settle>,
    settle_at: Option<Duration>,
    busy: Busy,
    /// Profiles in a row that could not be read.
    unreadable: HashSet<i64>,
    /// Time when a profile was last read.
    read_at: Option<Duration>,
    /// Refusals to read in a row.
    denied: u32,
    /// True if the last update failed although Target could be reached.
    updates_fail: bool,
    reads_denied_until: Duration,
    /// Last reported reason why profiles are not read.
    reads_denied: Option<String>,
    /// Time of the next read-back, on this device's clock; `None` if there is none.
    due_at: Option<Timestamp>,
    due_promises: Promises,
    /// Time of the next look for profiles that wait for Target to have them.
    look_at: Option<Timestamp>,
    look_promises: Promises,
    /// True if all of them are looked for, because their route may have changed.
    looks_at_all: bool,
    store_failures: u32,
    store_wait_until: Duration,
    /// Time when something that waits may continue.
    wake_at: Option<Duration>,
    /// True if a probe may use a profile that has failed, because all pending ones have.
    probes_failed: bool,
    /// True if the last claim skipped profiles that have failed.
    is_careful: bool,
    /// True once no new work is started.
    is_stopping: bool,
    /// Claims that ended without a settlement.
    released: usize,
    news: Vec<News>,
}

/// The actions that the courier is carrying out.
#[derive(Debug, Default)]
struct Busy {
    is_claiming: bool,
    is_noting: bool,
    is_looking: bool,
    is_retracting: bool,
    settling: usize,
}

/// A batch to which rows are being added, as before and as after.
struct Adding {
    before: Open,
    after: Open,
}

/// A judged profile that goes in a batch.
struct Candidate {
    claim: Claim,
    route: Route,
    row: Row,
    readings: Vec<Reading>,
    learned: Option<Existence>,
    reads: i64,
    /// Send log, if it has to be recorded.
    log: Option<SendLog>,
}

/// The initial state of a core.
pub struct CoreParts {
    /// The operator's settings.
    pub settings: ForwarderSettings,
    /// Link at the start.
    pub link: Link,
    /// Uses of the quota in the last 24 hours.
    pub quota: Quota,
    /// Batches of the last run.
    pub batches: Vec<BatchHead>,
    /// Rows in batches of the last 24 hours.
    pub rows_sent: u64,
}

impl Core {
    /// Returns a core before its first step.
    #[must_use]
    pub fn new(parts: CoreParts, moment: Moment) -> Self {
        let CoreParts { settings, link, quota, batches, rows_sent } = parts;
        let ForwarderSettings { rules, connections, .. } = settings;
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
            batches: Batches::resume(batches, moment, moment.wall.plus(READ_BACK_FIRST)),
            // It is unknown when they were sent: they count for a day from now.
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
            handing: HandingOver::default(),
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

    /// Returns the number of requests in flight, except those of a batch.
    fn in_flight(&self) -> usize {
        self.reading.len() + self.sending.len()
    }

    /// Returns true if profiles are shared with others.
    const fn is_shared(&self) -> bool {
        self.rules.is_shared()
    }

    /// Returns true if the mode uses batches; that includes the Delivery API, which does not accept every identity.
    const fn can_batch(&self) -> bool {
        self.rules.routes.has_batches && !matches!(self.rules.routes.mode, Mode::Single)
    }

    /// Returns the time before which a value is late, if profiles are shared.
    fn late_before(&self, moment: Moment) -> Option<Timestamp> {
        self.rules.late_after.map(|late_after| moment.wall.minus(late_after))
    }

    /// Returns true if profiles are read before an update, and can be read now.
    fn can_read(&self, moment: Moment) -> bool {
        self.is_shared() && self.reads_open_in(moment).is_none()
    }

    /// Returns the time until profiles can be read, if they cannot be read now.
    fn reads_open_in(&self, moment: Moment) -> Option<Duration> {
        let denied = self.reads_denied_until.checked_sub(moment.elapsed).filter(|wait| !wait.is_zero());
        denied.into_iter().chain(moment.reads_open_in).max()
    }

    /// Returns the time on Target's clock.
    fn target_time(&self, moment: Moment) -> Timestamp {
        self.skew.apply(moment.wall)
    }

    /// Returns the requests left in the quota beyond those that flights may make.
    fn quota_left(&mut self, moment: Moment) -> u64 {
        self.quota.left(moment.quota.at).saturating_sub(self.spoken_for)
    }

    /// Plans the route of a claim.
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
        // A profile that needs several requests gets them while there is plenty of quota; otherwise it continues after
        // the others.
        let is_plenty = left >= DELIVERY_REQUESTS_MAX.saturating_mul(4 * self.connections as u64);
        let budget = if is_plenty { DELIVERY_REQUESTS_MAX } else { 1 };
        Plan { route: route(self.rules.routes, situation), situation, budget }
    }

    /// Returns the number of profiles in unsent batches, or waiting to be added to one.
    fn waiting_rows(&self) -> usize {
        let adding = self.adding.as_ref().map_or(0, |adding| adding.after.head.rows);
        self.batches.filling_rows() + adding + self.candidates.len()
    }

    /// Applies an answer to the link.
    fn heard(&mut self, outcome: &Outcome, moment: Moment, chance: f64) {
        self.observe(signal(outcome), moment, chance);
    }

    fn observe(&mut self, signal: Signal, moment: Moment, chance: f64) {
        let was = self.link.state();
        let is_news = self.link.observe(signal, moment.elapsed, chance);
        let state = self.link.state();
        if was == LinkState::Paused || state == LinkState::Paused {
            // Not only reading is refused: the first request after that must be a read.
            (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
        }
        if !is_news {
            return;
        }
        self.news.push(News::Link);
        if state == LinkState::Online && was != LinkState::Online {
            self.probes_failed = false;
            // A hub is tried with nothing in the request, which says nothing of those on which it failed.
            if self.rules.hands_over.is_none() {
                self.setbacks.release_all();
            }
        }
    }

    /// Handles a failure of the store. Without the store no delivery can be recorded, and sending on would only repeat
    /// itself.
    fn store_failed(&mut self, moment: Moment, chance: f64) {
        self.store_failures = self.store_failures.saturating_add(1);
        self.store_wait_until = moment.elapsed + backoff(self.store_failures, chance);
    }

    /// Returns the rows that may still be sent in batches within 24 hours.
    fn rows_today(&mut self, moment: Moment) -> usize {
        let since = moment.quota.at.minus(QUOTA_WINDOW);
        while self.rows_sent.front().is_some_and(|(at, _)| *at < since) {
            self.rows_sent.pop_front();
        }
        self.rows_sent.iter().map(|(_, rows)| rows).sum()
    }

    /// Returns when to read back a profile with a lost answer, by its send log.
    fn read_back_at(&self, log: &SendLog, moment: Moment) -> Option<Timestamp> {
        let now = self.target_time(moment);
        let ago = now.since(log.lost_at()?);
        let wait = [READ_BACK_FIRST, READ_BACK_LAST].into_iter().find(|wait| *wait > ago)?;
        Some(moment.wall.plus(wait - ago))
    }
}

/// Returns the meaning of an answer for the link.
fn signal(outcome: &Outcome) -> Signal {
    match outcome {
        Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge => Signal::Answered,
        Outcome::Throttled(asked) => Signal::Throttled(*asked),
        Outcome::Failing(words) | Outcome::Lost(words) => Signal::Failing(Why::new(Cause::Failing, words)),
        Outcome::Unreachable(why) => Signal::Unreachable(why.clone()),
        Outcome::Foreign(why) => Signal::Foreign(why.clone()),
        Outcome::Unauthorized(words) => Signal::Unauthorized(Why::new(Cause::Token, words)),
        Outcome::NotSetUp(words) => Signal::Unauthorized(Why::new(Cause::NotSetUp, words)),
    }
}
