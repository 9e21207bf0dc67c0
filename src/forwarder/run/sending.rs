//! Sending what was claimed: which way each goes, and whether its profile is read first.

use std::time::Duration;

use super::Forwarder;
use crate::forwarder::deliver::{Plan, deliver};
use crate::limits::DELIVERY_REQUESTS_MAX;
use crate::route::{Route, Situation, UpdateApi, route};
use crate::store::{Candidate, Claim};
use crate::target::delivery;
use crate::timestamp::Timestamp;

impl Forwarder {
    /// Sends claims as far as there are places; what goes in a batch needs none. Tells whether any went.
    pub(super) fn send(&mut self, places: usize, now: Duration) -> bool {
        let left = self.quota.left(self.quota_clock.at(now)).saturating_sub(self.budgeted);
        // A profile that takes several requests gets them while there is plenty; else it goes on after the others.
        let is_plenty = left >= DELIVERY_REQUESTS_MAX.saturating_mul(places.min(self.connections) as u64);
        let budget = if is_plenty { DELIVERY_REQUESTS_MAX } else { 1 };
        let (mut used, before) = (0, self.claims.len());
        while let Some(claim) = self.claims.pop_front() {
            // What is in flight may use up the rest.
            let is_spent = self.is_quota_spent || left <= budget * used as u64;
            let plan = self.route(&claim, is_spent, budget, now);
            if plan.route.api() == UpdateApi::Bulk && !plan.reads {
                self.route_counts.count(plan.route);
                let candidate = candidate(&claim, plan.route);
                self.candidates.push((claim, candidate));
                continue;
            }
            if used == places {
                self.claims.push_front(claim);
                break;
            }
            used += 1;
            self.budgeted += plan.budget;
            self.link.sent(now);
            self.sends.spawn(deliver(self.way.clone(), claim, plan));
        }
        self.claims.len() < before
    }

    /// Which way a claim goes, and whether its profile is read first.
    fn route(&self, claim: &Claim, is_quota_spent: bool, budget: u64, now: Duration) -> Plan {
        let wall = self.clock.now();
        let situation = Situation {
            kind: claim.identity.kind(),
            fits_delivery: delivery::fits(&claim.identity),
            existence: claim.knowledge.now(wall),
            is_urgent: claim.is_urgent(),
            backlog: self.backlog + self.batches.filling_rows(),
            is_quota_spent,
        };
        let route = route(self.rules.routes, situation);
        let reads = self.late_before(now).is_some_and(|late_before| match route.api() {
            UpdateApi::Bulk => claim.is_row_shared(late_before),
            // What cannot be merged is not read.
            _ => claim.basis.is_some() && claim.is_shared(late_before),
        });
        Plan { route, situation, reads, budget }
    }

    /// Before when a value is late, where profiles are read.
    pub(super) fn late_before(&self, now: Duration) -> Option<Timestamp> {
        let late_after = self.rules.late_after.filter(|_| now >= self.reads_denied_until)?;
        Some(self.clock.now().minus(late_after))
    }
}

fn candidate(claim: &Claim, route: Route) -> Candidate {
    Candidate { profile_id: claim.profile_id, route, readings: Vec::new(), learned: None, reads: 0 }
}
