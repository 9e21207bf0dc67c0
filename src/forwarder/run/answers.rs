//! What came of deliveries: taken in, shown, and written down.

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::Forwarder;
use crate::clock::Clock;
use crate::forwarder::deliver::Delivery;
use crate::link::{LinkState, Signal};
use crate::quota::QuotaTime;
use crate::store::StoreError;
use crate::target::Outcome;

/// Deliveries that are written down at once.
const SETTLEMENTS_MAX: usize = 1_024;

/// How long a delivery may wait to be written down with others. Each commit is a wait for the disk, and wear of a flash
/// card; a power cut before it means no more than that the same states are sent again.
const SETTLE_DELAY: Duration = Duration::from_millis(25);

/// Profiles in a row that cannot be read, after which it is not them.
const UNREADABLE_MAX: u32 = 10;

/// For how long profiles are not read after Target has refused that.
const READS_DENIED_TIME: Duration = Duration::from_secs(60 * 60);

impl Forwarder {
    pub(super) fn sent(&mut self, sent: Result<Delivery, JoinError>) {
        let mut delivery = sent.expect("a delivery does not panic");
        let (now, wall) = (self.clock.elapsed(), self.clock.now());
        let quota_time = self.quota_time();
        self.budgeted -= delivery.plan.budget;
        (0..delivery.quota_requests()).for_each(|_| self.quota.spend(quota_time.at));
        (0..delivery.reads()).for_each(|_| self.reads.spend(quota_time.at));
        if delivery.reads() > 0 {
            self.unreadable = if delivery.reads_denied.is_some() { self.unreadable + 1 } else { 0 };
        }
        let is_unreadable = self.unreadable >= UNREADABLE_MAX;
        let denied = delivery.reads_denied.take().filter(|denied| denied.is_everyones || is_unreadable);
        self.note_reads(denied.map(|denied| denied.reason), now);
        if let Some(error) = delivery.store_error.take() {
            self.store_failed(&error);
        }
        if let Some(outcome) = delivery.outcome.clone() {
            tracing::debug!(
                outcome = outcome.label(),
                delivered = delivery.delivered(),
                refused = delivery.refused(),
                "update sent"
            );
            self.observe(&outcome, delivery.profile_id(), now);
        } else if delivery.reads() > 0 {
            self.heard(&Outcome::Delivered, now);
        }
        if delivery.refused() > 0 {
            tracing::warn!(attributes = delivery.refused(), "update refused for good; kept as rejected");
        }
        if delivery.goes_in_batch() {
            self.route_counts.count(delivery.plan.route);
            self.candidates.push(delivery.into_candidate());
            return;
        }
        if delivery.delivered() > 0 {
            self.route_counts.count(delivery.plan.route);
        }
        let verify = self.rules.verify.filter(|(part, _)| fastrand::f64() < *part);
        let verify_at = verify.map(|(_, after)| wall.plus(after));
        match delivery.into_settlement(wall, quota_time, verify_at) {
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

    pub(super) fn quota_time(&self) -> QuotaTime {
        QuotaTime { at: self.quota_clock.at(self.clock.elapsed()), wall: Clock::system() }
    }

    /// Where reading is refused, or the reads of a day are spent, updates go on without it. That is said once.
    fn note_reads(&mut self, denied: Option<String>, now: Duration) {
        let spent = self.reads.opens(self.quota_clock.at(now));
        let (reason, time) = match (denied, spent) {
            (Some(reason), _) => (reason, READS_DENIED_TIME),
            (None, Some(wait)) => ("the reads of 24 hours are spent".to_owned(), wait),
            (None, None) => {
                if now >= self.reads_denied_until && self.link_view.borrow().reads_denied.is_some() {
                    self.link_view.send_modify(|view| view.reads_denied = None);
                }
                return;
            }
        };
        self.reads_denied_until = now + time;
        if self.link_view.borrow().reads_denied.as_ref() != Some(&reason) {
            tracing::warn!(
                reason,
                "profiles cannot be read; updates go on without that, and may overwrite newer values"
            );
            self.link_view.send_modify(|view| view.reads_denied = Some(reason));
        }
    }

    /// Has the store write down what came of deliveries.
    pub(super) fn settle(&mut self) {
        self.settle_at = None;
        let (writer, settlements) = (self.writer.clone(), std::mem::take(&mut self.unsettled));
        self.settling.spawn(async move { writer.settle(settlements).await });
    }

    /// Takes in what an answer says of the link and of the update.
    fn observe(&mut self, outcome: &Outcome, profile_id: i64, now: Duration) {
        let is_repeated = self.aside.has_failed(profile_id);
        match outcome {
            Outcome::Failing(_) | Outcome::Lost(_) => self.aside.put(profile_id, now, fastrand::f64()),
            _ => self.aside.remove(profile_id),
        }
        let is_online = self.link.state() == LinkState::Online;
        let is_alone = is_repeated && self.aside.len() == 1;
        if is_online && is_alone && matches!(outcome, Outcome::Failing(_) | Outcome::Lost(_)) {
            // This update alone keeps failing: that says nothing of the others.
            return;
        }
        self.heard(outcome, now);
    }

    /// Takes in what an answer says of the link.
    pub(super) fn heard(&mut self, outcome: &Outcome, now: Duration) {
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
        if was == LinkState::Paused {
            // With other credentials profiles may be readable too.
            self.reads_denied_until = Duration::ZERO;
        }
        let since = self.clock.now();
        self.link_view.send_modify(|view| {
            (view.state, view.reason, view.since) = (state, reason, since);
        });
    }

    pub(super) fn settled(&mut self, settled: Result<Result<(), StoreError>, JoinError>) {
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
}

fn signal(outcome: &Outcome) -> Signal {
    match outcome {
        Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge => Signal::Answered,
        Outcome::Throttled(asked) => Signal::Throttled(*asked),
        Outcome::Failing(reason) | Outcome::Lost(reason) => Signal::Failing(reason.clone()),
        Outcome::Unreachable(reason) => Signal::Unreachable(reason.clone()),
        Outcome::Foreign(reason) => Signal::Foreign(reason.clone()),
        Outcome::Unauthorized(reason) => Signal::Unauthorized(reason.clone()),
    }
}
