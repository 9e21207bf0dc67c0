//! The courier: does what the core says, and tells it what came of it. It decides nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::core::{Action, Core, CoreParts, ForwarderSettings, Input, Moment, News};
use super::errands::{Done, Errands};
use super::outbox::Outbox;
use crate::adobe::{Client, Outcome};
use crate::core::forwarding::link::{Link, LinkState, LinkWait};
use crate::core::forwarding::quota::{Quota, QuotaClock, QuotaTime};
use crate::core::forwarding::why::Why;
use crate::core::limits::STOP_TIMEOUT;
use crate::device::clock::Clock;
use crate::device::network::NetworkWatch;
use crate::device::pulse::Pulse;
use crate::forward::shown::{LinkView, ProfileWait, ProfileWaits, ReadQuota, RouteCounts, ShownWait};
use crate::store::BatchHead;

/// Interval at which files are looked at that may let requests go: a token's while the link is paused, all while the client is
/// not set up.
const TOKEN_INTERVAL: Duration = Duration::from_secs(2);

/// The parts of a forwarder.
pub struct ForwarderParts<O> {
    /// Source of claims, and place of results.
    pub outbox: O,
    /// The way to Target.
    pub client: Client,
    /// The quota used in the last 24 hours.
    pub quota: Quota,
    /// The quota's clock.
    pub quota_clock: QuotaClock,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// The link as it is at the start.
    pub link: Link,
    /// News of the network.
    pub network: NetworkWatch,
    /// The sign of life for the watchdog.
    pub pulse: Pulse,
    /// The state of the link as shown.
    pub link_view: watch::Sender<LinkView>,
    /// Settings, which may change while it runs.
    pub settings: watch::Receiver<ForwarderSettings>,
    /// The key of the hashes that name sessions of the Delivery API.
    pub session_key: Vec<u8>,
    /// The quota of the Fetch API used in the last 24 hours.
    pub reads: ReadQuota,
    /// The batches of the last run.
    pub batches: Vec<BatchHead>,
    /// Rows of batches of the last 24 hours.
    pub rows_sent: u64,
    /// Counts of updates by route.
    pub route_counts: RouteCounts,
    /// The reasons shown for single profiles that wait.
    pub waits: ProfileWaits,
    /// Told when somebody wants it tried now.
    pub try_now: Arc<Notify>,
}

/// The forwarder: a core, and a courier that does what it says until it is told to stop.
pub struct Forwarder<O> {
    core: Core,
    errands: Arc<Errands<O>>,
    running: JoinSet<Done>,
    clock: Arc<Clock>,
    quota_clock: QuotaClock,
    reads: ReadQuota,
    network: NetworkWatch,
    pulse: Pulse,
    request_timeout: Duration,
    settings: watch::Receiver<ForwarderSettings>,
    link_view: watch::Sender<LinkView>,
    route_counts: RouteCounts,
    waits: ProfileWaits,
    try_now: Arc<Notify>,
    /// The wait of the link that is shown.
    shown_wait: Option<LinkWait>,
}

impl<O: Outbox> Forwarder<O> {
    /// A forwarder that has not begun.
    #[must_use]
    pub fn new(parts: ForwarderParts<O>) -> Self {
        let ForwarderParts { clock, quota_clock, reads, mut settings, quota, link, batches, rows_sent, .. } = parts;
        let now = settings.borrow_and_update().clone();
        let moment = moment(&clock, quota_clock, &reads);
        let request_timeout = now.request_timeout;
        let property_token = Mutex::new(now.rules.property_token.clone());
        let verify = Mutex::new(now.rules.verify);
        Self {
            core: Core::new(CoreParts { settings: now, link, quota, batches, rows_sent }, moment),
            errands: Arc::new(Errands {
                outbox: parts.outbox,
                client: parts.client,
                clock: clock.clone(),
                session_key: parts.session_key,
                property_token,
                verify,
                is_failing: false.into(),
            }),
            running: JoinSet::new(),
            clock,
            quota_clock,
            reads,
            network: parts.network,
            pulse: parts.pulse,
            request_timeout,
            settings,
            link_view: parts.link_view,
            route_counts: parts.route_counts,
            waits: parts.waits,
            try_now: parts.try_now,
            shown_wait: None,
        }
    }

    /// Forwards until `stop` turns true, then lets what is in flight come to its end, within a bound.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let wake = self.start();
            self.show_progress(wake);
            let input = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(done) = self.running.join_next() => self.done(done),
                // Not asked for while there is enough to do: intake need not wake us for every commit.
                () = self.errands.outbox.changed(), if !self.core.may_have_more() => Some(Input::OutboxChanged),
                () = self.network.changed() => Some(Input::NetworkChanged),
                () = self.try_now.notified() => Some(Input::TryNow),
                // One that ends means that the agent stops.
                Ok(()) = self.settings.changed() => Some(self.settings_changed()),
                () = wait(wake) => None,
            };
            if let Some(input) = input {
                self.take(input);
            }
        }
        self.finish().await;
    }

    /// Has everything started that is due now, and says when to look again if nothing happens before.
    fn start(&mut self) -> Option<Instant> {
        if self.waits_for_files() && self.errands.client.refresh_credentials() {
            self.take(Input::TokenChanged);
        }
        loop {
            let moment = self.moment();
            let action = self.core.next(moment);
            self.tell();
            match action {
                Action::Wait(until) => {
                    let looks_again = self.waits_for_files() && self.errands.client.can_change();
                    let credentials = looks_again.then(|| moment.elapsed + TOKEN_INTERVAL);
                    let until = until.into_iter().chain(credentials).min();
                    return until.map(|until| self.clock.instant(until));
                }
                action => self.begin(action, moment.quota),
            }
        }
    }

    /// Returns whether another token, or another file, may be what lets requests go: whatever else there is to do, and where
    /// nothing is.
    fn waits_for_files(&self) -> bool {
        self.core.link().state() == LinkState::Paused || self.errands.client.fault().is_some()
    }

    fn begin(&mut self, action: Action, quota_time: QuotaTime) {
        self.running.spawn(self.errands.clone().run(action, quota_time));
    }

    fn take(&mut self, input: Input) {
        let moment = self.moment();
        self.core.take(input, moment, fastrand::f64());
        self.tell();
    }

    fn moment(&self) -> Moment {
        moment(&self.clock, self.quota_clock, &self.reads)
    }

    /// Takes the result of an errand.
    fn done(&mut self, done: Result<Done, JoinError>) -> Option<Input> {
        let Done { input, reads } = done.expect("an errand does not panic");
        let now = self.quota_clock.at(self.clock.elapsed());
        (0..reads).for_each(|_| self.reads.spend(now));
        Some(input)
    }

    fn settings_changed(&mut self) -> Input {
        let settings = self.settings.borrow_and_update().clone();
        self.request_timeout = settings.request_timeout;
        self.errands.set_rules(&settings.rules);
        Input::Settings(Box::new(settings))
    }

    /// Says by when it will have gone on: a request ends within its timeout, and a wait at its end.
    fn show_progress(&self, wake: Option<Instant>) {
        match (self.core.is_busy(), wake) {
            // The file of a batch may take its time on a slow line.
            _ if self.core.is_busy_with_batch() => self.pulse.rest(),
            (true, _) => self.pulse.due(self.clock.elapsed() + self.request_timeout),
            (false, Some(wake)) => {
                self.pulse.due(self.clock.elapsed() + wake.saturating_duration_since(Instant::now()));
            }
            (false, None) => self.pulse.rest(),
        }
    }

    /// Says and shows what is new.
    fn tell(&mut self) {
        self.errands.outbox.released(self.core.take_released());
        if let Some(waits) = self.core.take_waits() {
            let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
            let wait = |(id, (reason, until)): (i64, (&'static str, Duration))| {
                (id, ProfileWait { reason, until: now.plus(until.saturating_sub(elapsed)) })
            };
            self.waits.replace(waits.into_iter().map(wait).collect());
        }
        self.show_wait();
        for news in self.core.take_news() {
            match news {
                News::Link => self.show_link(),
                News::Quota(opens_in) => self.show_quota(opens_in),
                News::Rows(opens_in) => self.show_rows(opens_in),
                News::Reads(denied) => self.show_reads(denied),
                News::Routed(route) => self.route_counts.count(route),
                news => log(&news),
            }
        }
    }

    fn show_link(&self) {
        let link = self.core.link();
        let (state, reason) = (link.state(), link.reason().cloned());
        if self.link_view.borrow().state == state {
            self.link_view.send_modify(|view| view.reason = reason);
            return;
        }
        match &reason {
            None => tracing::info!(state = state.name(), "link changed"),
            Some(Why { words, .. }) => tracing::warn!(state = state.name(), reason = words, "link changed"),
        }
        let since = self.clock.now();
        self.link_view.send_modify(|view| {
            (view.state, view.reason, view.since) = (state, reason, since);
        });
    }

    fn show_wait(&mut self) {
        let elapsed = self.clock.elapsed();
        let wait = self.core.link().wait(elapsed);
        if std::mem::replace(&mut self.shown_wait, wait) != wait {
            let shown = wait.map(|LinkWait { until, is_told }| ShownWait {
                until: self.clock.now().plus(until.saturating_sub(elapsed)),
                is_told,
            });
            self.link_view.send_modify(|view| view.wait = shown);
        }
    }

    fn show_quota(&self, opens_in: Option<Duration>) {
        let opens_at = opens_in.map(|wait| self.clock.now().plus(wait));
        match &opens_at {
            Some(opens_at) => {
                tracing::warn!(%opens_at, "the quota of single updates is spent until the oldest fall out");
            }
            None => tracing::info!("the quota has room again"),
        }
        self.link_view.send_modify(|view| view.quota_opens_at = opens_at);
    }

    fn show_rows(&self, opens_in: Option<Duration>) {
        let opens_at = opens_in.map(|wait| self.clock.now().plus(wait));
        match (self.link_view.borrow().rows_open_at.is_some(), opens_at.is_some()) {
            (false, true) => tracing::info!("the rows of batches of a day are spent; what is left waits"),
            (true, false) => tracing::info!("rows of batches are sent again"),
            _ => {}
        }
        self.link_view.send_modify(|view| view.rows_open_at = opens_at);
    }

    fn show_reads(&self, denied: Option<String>) {
        match &denied {
            Some(reason) => tracing::warn!(
                reason,
                "profiles cannot be read; updates continue without reading, and may overwrite newer values"
            ),
            None => tracing::info!("profiles are read again"),
        }
        self.link_view.send_modify(|view| view.reads_denied = denied);
    }

    async fn finish(mut self) {
        self.core.stop(self.moment());
        // A part of the time that a stop may take is left for the last commit.
        let _ = timeout(STOP_TIMEOUT * 3 / 5, async {
            while self.core.requests_in_flight() > 0 {
                self.start();
                let Some(done) = self.running.join_next().await else { break };
                self.done(done).into_iter().for_each(|input| self.take(input));
            }
        })
        .await;
        let unanswered = self.core.unanswered();
        for profile_id in &unanswered {
            // It may have arrived: it counts, and what Target shows later decides.
            let outcome = Outcome::Lost("the agent stopped before the answer".to_owned());
            self.take(Input::Answered(*profile_id, outcome, None));
        }
        // What has come to its end is written down; requests without an answer, and batches, end here.
        let _ = timeout(STOP_TIMEOUT / 5, async {
            while self.core.is_writing() {
                self.start();
                let Some(done) = self.running.join_next().await else { break };
                self.done(done).into_iter().for_each(|input| self.take(input));
            }
        })
        .await;
        self.running.shutdown().await;
        self.tell();
        self.errands.outbox.give_back().await;
        self.pulse.rest();
        tracing::info!(unanswered = unanswered.len(), "forwarding stopped");
    }
}

fn moment(clock: &Clock, quota_clock: QuotaClock, reads: &ReadQuota) -> Moment {
    let elapsed = clock.elapsed();
    let at = quota_clock.at(elapsed);
    Moment {
        elapsed,
        wall: clock.now(),
        quota: QuotaTime { at, wall: Clock::system() },
        reads_open_in: reads.opens(at),
    }
}

fn log(news: &News) {
    match news {
        News::Probing(why) => tracing::info!(why, "probing now"),
        News::Delivery { outcome, delivered, refused } => {
            tracing::debug!(outcome, delivered, refused, "update sent");
            if *refused > 0 {
                tracing::warn!(attributes = refused, "update refused permanently; kept as rejected");
            }
        }
        News::BatchSubmitted(rows) => tracing::info!(rows, "batch submitted"),
        // Its words are not logged: they may repeat a row.
        News::BatchRefused(rows) => tracing::warn!(rows, "batch refused; it is halved until the bad row is found"),
        News::BatchGivenUp(rows, why) => tracing::warn!(rows, why, "batch abandoned; its rows are pending again"),
        News::RowsUnnamed(rows) => {
            tracing::warn!(rows, "Target does not name every row that failed; none of the others counts as delivered");
        }
        News::BatchEnded { delivered, failed } => {
            tracing::info!(delivered, failed, "batch complete");
            if *failed > 0 {
                tracing::warn!(rows = failed, "rows of a batch failed");
            }
        }
        News::NotArrived(attributes) => {
            tracing::warn!(attributes, "values had not arrived, and are sent again");
        }
        News::Link | News::Quota(_) | News::Rows(_) | News::Reads(_) | News::Routed(_) => {}
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
