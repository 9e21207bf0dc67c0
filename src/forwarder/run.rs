//! The loop: it owns what is in flight, and does what `plan` says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::aside::Aside;
use super::batches::Batches;
use super::deliver::{Delivery, Way};
use super::jobs::Done;
use super::pages::{Ask, Page, Pages};
use super::plan::{Step, plan};
use crate::backoff::backoff;
use crate::clock::Clock;
use crate::limits::STOP_TIMEOUT;
use crate::link::{Link, LinkState, Permit};
use crate::network::NetworkWatch;
use crate::pulse::Pulse;
use crate::quota::{Quota, QuotaClock};
use crate::route::{Mode, RouteRules};
use crate::status::{LinkView, ReadQuota, RouteCounts};
use crate::store::{BatchHead, Candidate, Claim, Outbox, Settlement, StoreError, StoreFile, Writer};
use crate::target::Client;

mod answers;
mod bulk;
mod sending;

use bulk::Filled;

/// Profiles that wait to be put in a batch, beyond which no more are claimed.
const CANDIDATES_MAX: usize = 2_048;

/// How often a token's file is looked at while the link is paused.
const TOKEN_INTERVAL: Duration = Duration::from_secs(2);

/// What an operator decides of forwarding.
#[derive(Clone, Debug, Default)]
pub struct ForwarderRules {
    /// Which way updates go.
    pub routes: RouteRules,
    /// Since when a value counts as late, where profiles are shared with other devices; none where they are not.
    pub late_after: Option<Duration>,
    /// Whether the customer uses ECID.
    pub has_ecid: bool,
    /// The property that calls of the Delivery API are for.
    pub property_token: Option<String>,
    /// The part of profiles that is read back, and how long after their delivery.
    pub verify: Option<(f64, Duration)>,
}

/// What an operator may change of forwarding while the agent runs.
#[derive(Clone, Debug)]
pub struct ForwarderSettings {
    /// What is decided.
    pub rules: ForwarderRules,
    /// Requests in flight at once.
    pub connections: usize,
    /// The device's share of Target's quota.
    pub updates_per_day: u64,
    /// How long one request may take.
    pub request_timeout: Duration,
}

/// What a forwarder is made of.
pub struct ForwarderParts {
    /// Where claims come from.
    pub outbox: Outbox,
    /// Where deliveries are settled.
    pub writer: Writer,
    /// The way to Target.
    pub client: Client,
    /// What the last 24 hours have used.
    pub quota: Quota,
    /// The quota's clock.
    pub quota_clock: QuotaClock,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// The link as it is at the start.
    pub link: Link,
    /// News of the network.
    pub network: NetworkWatch,
    /// Where the forwarder says that it goes on.
    pub pulse: Pulse,
    /// Where the state of the link is shown.
    pub link_view: watch::Sender<LinkView>,
    /// What an operator decides, and may change.
    pub settings: watch::Receiver<ForwarderSettings>,
    /// The key of the hashes that name sessions of the Delivery API.
    pub session_key: Vec<u8>,
    /// What the last 24 hours have used of the Fetch API.
    pub reads: ReadQuota,
    /// The batches of the last run.
    pub batches: Vec<BatchHead>,
    /// The store's file.
    pub store_file: StoreFile,
    /// Where it is counted which way updates went.
    pub route_counts: RouteCounts,
}

/// The forwarder.
pub struct Forwarder {
    writer: Writer,
    way: Arc<Way>,
    rules: ForwarderRules,
    store_file: StoreFile,
    route_counts: RouteCounts,
    settings: watch::Receiver<ForwarderSettings>,
    connections: usize,
    reads: ReadQuota,
    /// Until when profiles are not read.
    reads_denied_until: Duration,
    /// Profiles in a row that could not be read.
    unreadable: u32,
    /// Pending profiles when they were last counted, without those that wait for a batch.
    backlog: usize,
    /// What is to be put in a batch, with its claims.
    candidates: Vec<(Claim, Candidate)>,
    filling: JoinSet<Result<Filled, StoreError>>,
    batches: Batches,
    batch_job: JoinSet<(i64, Done)>,
    quota: Quota,
    quota_clock: QuotaClock,
    /// Requests that those in flight may make.
    budgeted: u64,
    is_quota_spent: bool,
    clock: Arc<Clock>,
    network: NetworkWatch,
    pulse: Pulse,
    request_timeout: Duration,
    link_view: watch::Sender<LinkView>,
    outbox_changed: Arc<Notify>,
    link: Link,
    aside: Aside,
    claims: VecDeque<Claim>,
    pages: Pages,
    /// Whether the outbox may hold more than was claimed.
    may_have_more: bool,
    sends: JoinSet<Delivery>,
    /// What came of deliveries, and when it is to be written down.
    unsettled: Vec<Settlement>,
    settle_at: Option<Instant>,
    settling: JoinSet<Result<(), StoreError>>,
    store_failures: u32,
    store_wait_until: Duration,
}

impl Forwarder {
    /// A forwarder that has not begun.
    #[must_use]
    pub fn new(parts: ForwarderParts) -> Self {
        let ForwarderParts { outbox, writer, client, quota, quota_clock, clock, link_view, mut settings, .. } = parts;
        let ForwarderSettings { rules, connections, request_timeout, .. } = settings.borrow_and_update().clone();
        let way = Way {
            client,
            writer: writer.clone(),
            clock: clock.clone(),
            rules: rules.routes,
            property_token: rules.property_token.clone(),
            session_key: parts.session_key,
        };
        Self {
            outbox_changed: writer.outbox_changed(),
            pages: Pages::new(outbox, writer.clone(), connections),
            writer,
            way: Arc::new(way),
            rules,
            store_file: parts.store_file,
            route_counts: parts.route_counts,
            connections,
            reads: parts.reads,
            reads_denied_until: Duration::ZERO,
            unreadable: 0,
            backlog: 0,
            candidates: Vec::new(),
            filling: JoinSet::new(),
            batches: Batches::resume(parts.batches, clock.elapsed()),
            batch_job: JoinSet::new(),
            quota,
            quota_clock,
            budgeted: 0,
            is_quota_spent: false,
            clock,
            network: parts.network,
            pulse: parts.pulse,
            request_timeout,
            settings,
            link_view,
            link: parts.link,
            aside: Aside::default(),
            claims: VecDeque::new(),
            may_have_more: true,
            sends: JoinSet::new(),
            unsettled: Vec::new(),
            settle_at: None,
            settling: JoinSet::new(),
            store_failures: 0,
            store_wait_until: Duration::ZERO,
        }
    }

    /// Forwards until `stop` turns true, then lets what is in flight come to its end, within a bound.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let outbox_changed = self.outbox_changed.clone();
        loop {
            let wake = self.start();
            self.show_progress(wake);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(sent) = self.sends.join_next() => self.sent(sent),
                page = self.pages.read() => self.claimed(page),
                Some(settled) = self.settling.join_next() => self.settled(settled),
                Some(filled) = self.filling.join_next() => self.filled(filled),
                Some(done) = self.batch_job.join_next() => self.batch_done(done),
                () = wait(self.settle_at) => self.settle(),
                // Not asked for while there is enough to do: intake need not wake us for every commit.
                () = outbox_changed.notified(), if !self.may_have_more => self.may_have_more = true,
                () = self.network.changed() => self.network_changed(),
                // One that ends means that the agent stops.
                Ok(()) = self.settings.changed() => self.settings_changed(),
                () = wait(wake) => self.may_have_more = true,
            }
        }
        self.finish().await;
    }

    /// Starts what may start now, and says when to look again if nothing happens before.
    fn start(&mut self) -> Option<Instant> {
        loop {
            let now = self.clock.elapsed();
            self.fill();
            match self.plan(now) {
                Step::Send(places) => {
                    self.claim(now);
                    let batch_wake = self.start_batch(now);
                    if self.claims.is_empty() {
                        return earliest(self.aside.next(now), batch_wake).map(|time| self.instant(time));
                    }
                    let places = places.min(self.places(now));
                    let sent = self.send(places, now);
                    if !sent {
                        return batch_wake.map(|time| self.instant(time));
                    }
                }
                Step::WaitUntil(time) => {
                    // What waits is released: it may change before its turn comes.
                    self.release_claims();
                    self.may_have_more = true;
                    let wake = self.refresh_token(now).map_or(time, |soon| soon.min(time));
                    return Some(self.instant(wake));
                }
                Step::Idle => return None,
            }
        }
    }

    /// How many deliveries may still start: a batch on its way takes the place of one.
    fn places(&self, now: Duration) -> usize {
        match self.link.permit(now) {
            Permit::Probe if !self.batch_job.is_empty() => 0,
            Permit::WaitUntil(_) => 0,
            _ => usize::MAX,
        }
    }

    /// While the link is paused, a token that has changed brings the next probe forward. Says when to look again.
    fn refresh_token(&mut self, now: Duration) -> Option<Duration> {
        if self.link.state() != LinkState::Paused || !self.way.client.has_token_file() {
            return None;
        }
        if self.way.client.refresh_token() && self.link.credentials_changed(now) {
            tracing::info!("the token has changed; probing now");
            return Some(now);
        }
        Some(now + TOKEN_INTERVAL)
    }

    /// Gives up what was claimed and not sent.
    fn release_claims(&mut self) {
        self.pages.give_back(self.claims.len());
        self.claims.clear();
    }

    /// Says by when it will have gone on: a request ends within its timeout, and a wait at its end.
    fn show_progress(&self, wake: Option<Instant>) {
        let is_busy =
            !self.sends.is_empty() || !self.settling.is_empty() || !self.filling.is_empty() || self.settle_at.is_some();
        match (is_busy, wake) {
            // The file of a batch may take its time on a slow line.
            _ if !self.batch_job.is_empty() => self.pulse.rest(),
            (true, _) => self.pulse.due(self.clock.elapsed() + self.request_timeout),
            (false, Some(wake)) => {
                self.pulse.due(self.clock.elapsed() + wake.saturating_duration_since(Instant::now()));
            }
            (false, None) => self.pulse.rest(),
        }
    }

    fn network_changed(&mut self) {
        if self.link.network_changed(self.clock.elapsed()) {
            tracing::info!("the network changed; probing now");
        }
        self.may_have_more = true;
    }

    fn settings_changed(&mut self) {
        let ForwarderSettings { rules, connections, updates_per_day, request_timeout } =
            self.settings.borrow_and_update().clone();
        let property_token = rules.property_token.clone();
        let way = Way { rules: rules.routes, property_token, ..(*self.way).clone() };
        self.way = Arc::new(way);
        (self.rules, self.connections, self.request_timeout) = (rules, connections, request_timeout);
        self.quota.set_limit(updates_per_day);
        // What was claimed was read for the old rules.
        self.release_claims();
        self.may_have_more = true;
    }

    fn plan(&mut self, now: Duration) -> Step {
        if now < self.store_wait_until {
            return Step::WaitUntil(self.store_wait_until);
        }
        let quota_now = self.quota_clock.at(now);
        // Other ways than single updates do not use it up.
        let is_bound = self.rules.routes.mode == Mode::Single;
        // What those in flight may make beyond one each is spoken for.
        let left = self.quota.left(quota_now).saturating_sub(self.budgeted.saturating_sub(self.sends.len() as u64));
        let opens = if left > 0 { None } else { self.quota.check(quota_now).err() };
        let opens = opens.map(|opens| opens.since(quota_now));
        if self.is_quota_spent != opens.is_some() {
            self.is_quota_spent = opens.is_some();
            self.show_quota(opens);
        }
        let permit = self.link.permit(now);
        let left = if is_bound { left } else { u64::MAX };
        plan(permit, self.sends.len(), self.connections, left, now + opens.unwrap_or_default())
    }

    /// Tells once when the quota is spent, and once when there is room again.
    fn show_quota(&self, opens: Option<Duration>) {
        let opens_at = opens.map(|wait| self.clock.now().plus(wait));
        match &opens_at {
            Some(opens_at) => {
                tracing::warn!(%opens_at, "the quota of single updates is spent until the oldest fall out");
            }
            None => tracing::info!("the quota has room again"),
        }
        self.link_view.send_modify(|view| view.quota_opens_at = opens_at);
    }

    /// Begins to claim more before what was claimed is used up.
    fn claim(&mut self, now: Duration) {
        let is_ready = self.pages.is_due(self.claims.len()) && self.candidates.len() < CANDIDATES_MAX;
        if !self.may_have_more || !is_ready {
            return;
        }
        let RouteRules { mode, bulk_above, .. } = self.rules.routes;
        let can_batch = matches!(mode, Mode::Bulk | Mode::Auto);
        let filling = self.batches.filling_rows();
        let ask = Ask {
            // What goes in a batch is not sent now, and so is no probe.
            is_one: self.link.permit(now) == Permit::Probe && !can_batch,
            aside: self.aside.waiting(now),
            backlog_max: if can_batch { bulk_above } else { 0 },
            late_before: self.late_before(now),
            goes_in_batch: can_batch && (mode == Mode::Bulk || self.is_quota_spent || filling > bulk_above),
        };
        // What changes from now on, the page may not show.
        self.may_have_more = false;
        self.pages.begin(ask);
    }

    fn claimed(&mut self, page: Result<Page, StoreError>) {
        match page {
            Ok(page) => {
                self.may_have_more |= page.may_have_more;
                self.backlog = page.backlog;
                self.claims.extend(page.claims);
            }
            Err(error) => self.store_failed(&error),
        }
    }

    /// Without the store no delivery can be marked: sending on would only repeat itself.
    fn store_failed(&mut self, error: &StoreError) {
        self.writer.report(error);
        if self.store_failures == 0 {
            tracing::error!(%error, "the store does not take deliveries; forwarding waits");
        }
        self.store_failures = self.store_failures.saturating_add(1);
        self.store_wait_until = self.clock.elapsed() + backoff(self.store_failures, fastrand::f64());
    }

    fn instant(&self, time: Duration) -> Instant {
        self.clock.instant(time).into()
    }

    async fn finish(mut self) {
        self.release_claims();
        // A part of the time that a stop may take is left for the last commit.
        let _ = timeout(STOP_TIMEOUT * 3 / 5, async {
            while let Some(sent) = self.sends.join_next().await {
                self.sent(sent);
            }
        })
        .await;
        let unanswered = self.sends.len() + self.batch_job.len();
        self.sends.shutdown().await;
        // A batch goes on where it stands after the next start.
        self.batch_job.shutdown().await;
        self.settle();
        self.pages.give_back(self.candidates.len());
        self.candidates.clear();
        while self.filling.join_next().await.is_some() {}
        while self.settling.join_next().await.is_some() {}
        self.pages.give_back(unanswered);
        self.pages.finish().await;
        self.pulse.rest();
        tracing::info!(unanswered, "forwarding stopped");
    }
}

fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
