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
use crate::limits::STOP_TIMEOUT;
use crate::link::{Link, LinkState, Permit, Signal};
use crate::quota::Quota;
use crate::status::LinkView;
use crate::store::{Claim, Outbox, Settlement, StoreError, Writer};
use crate::target::{Client, Outcome};

/// Deliveries that are written down at once.
const SETTLEMENTS_MAX: usize = 512;

/// How long a delivery may wait to be written down with others. Each commit is a wait for the disk, and wear of a flash
/// card; a power cut before it means no more than that the same states are sent again.
const SETTLE_DELAY: Duration = Duration::from_millis(10);

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
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// Where the state of the link is shown.
    pub link_view: watch::Sender<LinkView>,
}

/// The forwarder.
pub struct Forwarder {
    writer: Writer,
    client: Client,
    connections: usize,
    quota: Quota,
    clock: Arc<Clock>,
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
        let ForwarderParts { outbox, writer, client, connections, quota, clock, link_view } = parts;
        Self {
            outbox_changed: writer.outbox_changed(),
            writer,
            client,
            connections,
            quota,
            clock,
            link_view,
            link: Link::default(),
            aside: Aside::default(),
            claims: VecDeque::new(),
            pages: Pages::new(outbox, connections),
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
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(sent) = self.sends.join_next() => self.sent(sent),
                page = self.pages.read() => self.claimed(page),
                Some(settled) = self.settling.join_next() => self.settled(settled),
                () = wait(self.settle_at) => self.settle(),
                // Not asked for while there is enough to do: intake need not wake us for every commit.
                () = outbox_changed.notified(), if !self.may_have_more => self.may_have_more = true,
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
                    for claim in self.claims.drain(..places.min(self.claims.len())) {
                        self.sends.spawn(deliver(self.client.clone(), claim));
                    }
                }
                Step::WaitUntil(time) => {
                    // What waits is released: it may change before its turn comes.
                    self.claims.clear();
                    self.may_have_more = true;
                    return Some(self.instant(time));
                }
                Step::Idle => return None,
            }
        }
    }

    fn plan(&mut self, now: Duration) -> Step {
        if now < self.store_wait_until {
            return Step::WaitUntil(self.store_wait_until);
        }
        let wall = self.clock.now();
        let left = self.quota.left(wall);
        let opens = match self.quota.check(wall) {
            Ok(()) => now,
            Err(opens) => now + opens.since(wall),
        };
        plan(self.link.permit(now), self.sends.len(), self.connections, left, opens)
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
        (0..delivery.requests()).for_each(|_| self.quota.spend(wall));
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
        match delivery.into_settlement(wall) {
            Some(settlement) => self.unsettled.push(settlement),
            None => self.may_have_more = true,
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
        if is_online && is_repeated && matches!(outcome, Outcome::Failing(_)) {
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
        self.link_view.send_replace(LinkView { state, reason, since: self.clock.now() });
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
        self.claims.clear();
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
        tracing::info!(unanswered, "forwarding stopped");
    }
}

fn signal(outcome: &Outcome) -> Signal {
    match outcome {
        Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge => Signal::Answered,
        Outcome::Throttled(asked) => Signal::Throttled(*asked),
        Outcome::Failing(reason) => Signal::Failing(reason.clone()),
        Outcome::Unreachable(reason) => Signal::Unreachable(reason.clone()),
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
