//! The loop: it owns what is in flight, and does what `plan` says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::aside::Aside;
use super::deliver::{Delivery, deliver};
use super::pages::{Page, Pages};
use super::plan::{Step, plan};
use crate::backoff::backoff;
use crate::clock::Clock;
use crate::limits::{DELIVERY_REQUESTS_MAX, STOP_TIMEOUT};
use crate::link::{Link, LinkState, Permit, Signal};
use crate::network::NetworkWatch;
use crate::pulse::Pulse;
use crate::quota::{Quota, QuotaClock, QuotaTime};
use crate::status::LinkView;
use crate::store::{Claim, Outbox, Settlement, StoreError, Writer};
use crate::target::{Client, Outcome};

/// Deliveries that are written down at once.
const SETTLEMENTS_MAX: usize = 1_024;

/// How long a delivery may wait to be written down with others. Each commit is a wait for the disk, and wear of a flash
/// card; a power cut before it means no more than that the same states are sent again.
const SETTLE_DELAY: Duration = Duration::from_millis(25);

/// What a forwarder is made of.
pub struct ForwarderParts {
    /// Where claims come from.
    pub outbox: Outbox,
    /// Where deliveries are settled.
    pub writer: Writer,
    /// The way to Target.
    pub client: Client,
    /// Requests in flight at once.
    pub connections: usize,
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
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Where the state of the link is shown.
    pub link_view: watch::Sender<LinkView>,
}

/// The forwarder.
pub struct Forwarder {
    writer: Writer,
    client: Client,
    connections: usize,
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
        let ForwarderParts { outbox, writer, client, connections, quota, quota_clock, clock, link_view, .. } = parts;
        Self {
            outbox_changed: writer.outbox_changed(),
            pages: Pages::new(outbox, writer.clone(), connections),
            writer,
            client,
            connections,
            quota,
            quota_clock,
            budgeted: 0,
            is_quota_spent: false,
            clock,
            network: parts.network,
            pulse: parts.pulse,
            request_timeout: parts.request_timeout,
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
                () = wait(self.settle_at) => self.settle(),
                // Not asked for while there is enough to do: intake need not wake us for every commit.
                () = outbox_changed.notified(), if !self.may_have_more => self.may_have_more = true,
                () = self.network.changed() => self.network_changed(),
                () = wait(wake) => self.may_have_more = true,
            }
        }
        self.finish().await;
    }

    /// Starts what may start now, and says when to look again if nothing happens before.
    fn start(&mut self) -> Option<Instant> {
        loop {
            let now = self.clock.elapsed();
            match self.plan(now) {
                Step::Send(places) => {
                    self.claim(now);
                    if self.claims.is_empty() {
                        return self.aside.next(now).map(|time| self.instant(time));
                    }
                    self.send(places, now);
                }
                Step::WaitUntil(time) => {
                    // What waits is released: it may change before its turn comes.
                    self.release_claims();
                    self.may_have_more = true;
                    return Some(self.instant(time));
                }
                Step::Idle => return None,
            }
        }
    }

    /// Gives up what was claimed and not sent.
    fn release_claims(&mut self) {
        self.pages.give_back(self.claims.len());
        self.claims.clear();
    }

    fn send(&mut self, places: usize, now: Duration) {
        let places = places.min(self.claims.len());
        let left = self.quota.left(self.quota_clock.at(now)).saturating_sub(self.budgeted);
        // A profile that takes several requests gets them while there is plenty; else it goes on after the others.
        let is_plenty = left >= DELIVERY_REQUESTS_MAX * places as u64;
        let budget = if is_plenty { DELIVERY_REQUESTS_MAX } else { 1 };
        for claim in self.claims.drain(..places) {
            self.budgeted += budget;
            self.link.sent(now);
            self.sends.spawn(deliver(self.client.clone(), claim, budget));
        }
    }

    /// Says by when it will have gone on: a request ends within its timeout, and a wait at its end.
    fn show_progress(&self, wake: Option<Instant>) {
        let is_busy = !self.sends.is_empty() || !self.settling.is_empty() || self.settle_at.is_some();
        match (is_busy, wake) {
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

    fn plan(&mut self, now: Duration) -> Step {
        if now < self.store_wait_until {
            return Step::WaitUntil(self.store_wait_until);
        }
        let quota_now = self.quota_clock.at(now);
        // What those in flight may make beyond one each is spoken for.
        let left = self.quota.left(quota_now).saturating_sub(self.budgeted.saturating_sub(self.sends.len() as u64));
        let opens = if left > 0 { None } else { self.quota.check(quota_now).err() };
        let opens = opens.map(|opens| opens.since(quota_now));
        if self.is_quota_spent != opens.is_some() {
            self.is_quota_spent = opens.is_some();
            self.show_quota(opens);
        }
        let permit = self.link.permit(now);
        plan(permit, self.sends.len(), self.connections, left, now + opens.unwrap_or_default())
    }

    /// Tells once when the quota is spent, and once when there is room again.
    fn show_quota(&self, opens: Option<Duration>) {
        let opens_at = opens.map(|wait| self.clock.now().plus(wait));
        match &opens_at {
            Some(opens_at) => tracing::warn!(%opens_at, "the quota is spent; updates wait until the oldest fall out"),
            None => tracing::info!("the quota has room again"),
        }
        self.link_view.send_modify(|view| view.quota_opens_at = opens_at);
    }

    /// Begins to claim more before what was claimed is used up.
    fn claim(&mut self, now: Duration) {
        if self.may_have_more && self.pages.is_due(self.claims.len()) {
            let is_probe = self.link.permit(now) == Permit::Probe;
            // What changes from now on, the page may not show.
            self.may_have_more = false;
            self.pages.begin(is_probe, self.aside.waiting(now));
        }
    }

    fn claimed(&mut self, page: Result<Page, StoreError>) {
        match page {
            Ok(page) => {
                self.may_have_more |= page.may_have_more;
                self.claims.extend(page.claims);
            }
            Err(error) => self.store_failed(&error),
        }
    }

    fn sent(&mut self, sent: Result<Delivery, JoinError>) {
        let delivery = sent.expect("a delivery does not panic");
        let (now, wall) = (self.clock.elapsed(), self.clock.now());
        let quota_time = QuotaTime { at: self.quota_clock.at(now), wall: Clock::system() };
        self.budgeted -= delivery.budget();
        (0..delivery.requests()).for_each(|_| self.quota.spend(quota_time.at));
        if let Some(outcome) = delivery.outcome.clone() {
            tracing::debug!(
                outcome = outcome.label(),
                delivered = delivery.delivered(),
                refused = delivery.refused(),
                "update sent"
            );
            self.observe(&outcome, delivery.profile_id(), now);
        }
        if delivery.refused() > 0 {
            tracing::warn!(attributes = delivery.refused(), "update refused for good; kept as rejected");
        }
        match delivery.into_settlement(wall, quota_time) {
            Some(settlement) => self.unsettled.push(settlement),
            None => {
                self.pages.give_back(1);
                self.may_have_more = true;
            }
        }
        if self.unsettled.len() >= SETTLEMENTS_MAX {
            self.settle();
        } else if self.settle_at.is_none() && !self.unsettled.is_empty() {
            self.settle_at = Some(Instant::now() + SETTLE_DELAY);
        }
    }

    /// Has the store write down what came of deliveries.
    fn settle(&mut self) {
        self.settle_at = None;
        let (writer, settlements) = (self.writer.clone(), std::mem::take(&mut self.unsettled));
        self.settling.spawn(async move { writer.settle(settlements).await });
    }

    /// Takes in what an answer says of the link and of the update.
    fn observe(&mut self, outcome: &Outcome, profile_id: i64, now: Duration) {
        let is_repeated = self.aside.has_failed(profile_id);
        match outcome {
            Outcome::Failing(_) => self.aside.put(profile_id, now, fastrand::f64()),
            _ => self.aside.remove(profile_id),
        }
        let is_online = self.link.state() == LinkState::Online;
        let is_alone = is_repeated && self.aside.len() == 1;
        if is_online && is_alone && matches!(outcome, Outcome::Failing(_)) {
            // This update alone keeps failing: that says nothing of the others.
            return;
        }
        let was = self.link.state();
        if self.link.observe(signal(outcome), now, fastrand::f64()) {
            self.show_link(was);
        }
    }

    fn show_link(&mut self, was: LinkState) {
        let state = self.link.state();
        let reason = self.link.reason().map(str::to_owned);
        if state == was {
            self.link_view.send_modify(|view| view.reason = reason);
            return;
        }
        match (&reason, state) {
            (None, _) => tracing::info!(state = state.name(), "link changed"),
            (Some(reason), _) => tracing::warn!(state = state.name(), reason, "link changed"),
        }
        if state == LinkState::Online {
            self.aside.release_all();
        }
        let since = self.clock.now();
        self.link_view.send_modify(|view| {
            let quota_opens_at = view.quota_opens_at;
            *view = LinkView { state, reason, since, quota_opens_at };
        });
    }

    fn settled(&mut self, settled: Result<Result<(), StoreError>, JoinError>) {
        match settled.expect("settling does not panic") {
            Ok(()) => {
                if self.store_failures > 0 {
                    tracing::info!(failures = self.store_failures, "the store takes deliveries again");
                }
                self.store_failures = 0;
            }
            Err(error) => self.store_failed(&error),
        }
        self.may_have_more = true;
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
        let unanswered = self.sends.len();
        self.sends.shutdown().await;
        self.settle();
        while self.settling.join_next().await.is_some() {}
        self.pages.give_back(unanswered);
        self.pages.finish().await;
        self.pulse.rest();
        tracing::info!(unanswered, "forwarding stopped");
    }
}

fn signal(outcome: &Outcome) -> Signal {
    match outcome {
        Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge => Signal::Answered,
        Outcome::Throttled(asked) => Signal::Throttled(*asked),
        Outcome::Failing(reason) => Signal::Failing(reason.clone()),
        Outcome::Unreachable(reason) | Outcome::Broken(reason) => Signal::Unreachable(reason.clone()),
        Outcome::Foreign(reason) => Signal::Foreign(reason.clone()),
        Outcome::Unauthorized(reason) => Signal::Unauthorized(reason.clone()),
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
