//! The loop: it owns what is in flight, and does what `plan` says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::aside::Aside;
use super::deliver::{Delivery, deliver};
use super::plan::{Step, plan};
use crate::backoff::backoff;
use crate::clock::Clock;
use crate::limits::{OUTBOX_PAGE_PROFILES, STOP_TIMEOUT};
use crate::link::{Link, LinkState, Permit, Signal};
use crate::quota::Quota;
use crate::status::LinkView;
use crate::store::{Claim, Outbox, StoreError, Writer};
use crate::target::{Client, Outcome};

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
    /// None while a page is being read.
    outbox: Option<Outbox>,
    link: Link,
    aside: Aside,
    claims: VecDeque<Claim>,
    /// Whether the outbox may hold more than was claimed.
    may_have_more: bool,
    sends: JoinSet<Delivery>,
    settlements: JoinSet<Result<(), StoreError>>,
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
            outbox: Some(outbox),
            writer,
            client,
            connections,
            quota,
            clock,
            link_view,
            link: Link::default(),
            aside: Aside::default(),
            claims: VecDeque::new(),
            may_have_more: true,
            sends: JoinSet::new(),
            settlements: JoinSet::new(),
            store_failures: 0,
            store_wait_until: Duration::ZERO,
        }
    }

    /// Forwards until `stop` turns true, then lets what is in flight come to its end, within a bound.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let outbox_changed = self.outbox_changed.clone();
        loop {
            let wake = self.start().await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(sent) = self.sends.join_next() => self.sent(sent),
                Some(settled) = self.settlements.join_next() => self.settled(settled),
                // Not asked for while there is enough to do: intake need not wake us for every commit.
                () = outbox_changed.notified(), if !self.may_have_more => self.may_have_more = true,
                () = wait(wake) => self.may_have_more = true,
            }
        }
        self.finish().await;
    }

    /// Starts what may start now, and says when to look again if nothing happens before.
    async fn start(&mut self) -> Option<Instant> {
        loop {
            let now = self.clock.elapsed();
            match self.plan(now) {
                Step::Send(places) => {
                    if !self.claim(places).await {
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

    /// Sees to it that there are claims, for up to `places` deliveries; false if there is nothing to send.
    async fn claim(&mut self, places: usize) -> bool {
        if self.claims.is_empty() && self.may_have_more {
            let is_probe = self.link.permit(self.clock.elapsed()) == Permit::Probe;
            let limit = if is_probe { places } else { OUTBOX_PAGE_PROFILES };
            self.claims = self.read_page(limit).await.into();
            self.may_have_more = self.claims.len() == limit;
        }
        !self.claims.is_empty()
    }

    /// Claims a page on a thread that may wait for the disk.
    async fn read_page(&mut self, limit: usize) -> Vec<Claim> {
        let Some(mut outbox) = self.outbox.take() else { return Vec::new() };
        let aside = self.aside.waiting(self.clock.elapsed());
        let read = tokio::task::spawn_blocking(move || {
            let page = outbox.claim(limit, &aside);
            (outbox, page)
        });
        let (outbox, page) = read.await.expect("reading the outbox does not panic");
        self.outbox = Some(outbox);
        page.unwrap_or_else(|error| {
            self.store_failed(&error);
            Vec::new()
        })
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
        if let Some(settlement) = delivery.into_settlement(wall) {
            let writer = self.writer.clone();
            self.settlements.spawn(async move { writer.settle(settlement).await });
        } else {
            self.may_have_more = true;
        }
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
        while self.settlements.join_next().await.is_some() {}
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
