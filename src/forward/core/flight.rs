//! One claim in flight: read first if others may have written, recorded, sent in as many requests as needed, and
//! settled.

use std::collections::VecDeque;
use std::time::Duration;

use super::refusals::No;
use crate::adobe::update::{Part, divide};
use crate::adobe::{Outcome, Request};
use crate::core::fleet::PartId;
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::route::{ApiFacts, Route, Situation};
use crate::core::identity::IdentityKind;
use crate::core::operation::Sent;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::forward::judge::{Outgoing, Update};
use crate::store::{Claim, ReadBack, Reading, Refusal, SendLog};

/// The plan for delivering a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Route, unless reading the profile leads to another.
    pub(super) route: Route,
    /// Circumstances that decided the route.
    pub(super) situation: Situation,
    /// Most requests that may be made.
    pub(super) budget: u64,
}

impl Plan {
    /// Returns the plan for a claim that was judged but is not sent.
    pub(super) const fn unsent(route: Route) -> Self {
        let situation = Situation {
            kind: IdentityKind::ThirdPartyId,
            fits_delivery: false,
            existence: Existence::Unknown,
            is_urgent: false,
            backlog: 0,
            is_quota_spent: false,
        };
        Self { route, situation, budget: 0 }
    }
}

/// The purpose of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Delivery.
    Deliver,
    /// Reading back.
    ReadBack(ReadBack),
}

/// A claim in flight.
pub(super) struct Flight {
    pub(super) claim: Claim,
    pub(super) purpose: Purpose,
    pub(super) plan: Plan,
    /// Requests reserved in the quota of single updates.
    pub(super) reserved: u64,
    /// Attributes to send.
    pub(super) update: Update,
    /// Remaining requests, the next one first, each with its attributes by their index in the update.
    parts: VecDeque<(Vec<usize>, Request)>,
    /// Attributes of the request in progress.
    sending: Vec<usize>,
    /// Time when the profile was requested: a reading is as old as that.
    pub(super) asked_at: Duration,
    /// True if the values to send have been recorded.
    pub(super) is_noted: bool,
    /// True if the send log says that a value gave way to others' while an attempt of ours was lost.
    pub(super) gave_way: bool,
    pub(super) delivered: Vec<usize>,
    lost: Vec<usize>,
    pub(super) refused: Vec<Refusal>,
    /// Parts of sums that the hub has: attribute, id and version.
    pub(super) answered: Vec<(String, PartId, i64)>,
    pub(super) readings: Vec<Reading>,
    pub(super) learned: Option<Existence>,
    pub(super) look_at: Option<Timestamp>,
    pub(super) reads: i64,
    pub(super) requests: i64,
    pub(super) updates: i64,
    /// Last outcome; `None` if nothing was sent.
    pub(super) outcome: Option<Outcome>,
}

impl Flight {
    pub(super) fn new(claim: Claim, purpose: Purpose, plan: Plan) -> Self {
        Self {
            claim,
            purpose,
            plan,
            reserved: 0,
            update: Update::default(),
            parts: VecDeque::new(),
            sending: Vec::new(),
            asked_at: Duration::ZERO,
            is_noted: false,
            gave_way: false,
            delivered: Vec::new(),
            lost: Vec::new(),
            refused: Vec::new(),
            answered: Vec::new(),
            readings: Vec::new(),
            learned: None,
            look_at: None,
            reads: 0,
            requests: 0,
            updates: 0,
            outcome: None,
        }
    }

    /// Returns true if the values to send must be recorded first.
    pub(super) fn must_be_noted(&self) -> bool {
        !self.is_noted && self.update.0.iter().any(|outgoing| outgoing.own.is_some())
    }

    /// Adds the values about to be sent to the log, and returns it to be written.
    pub(super) fn note(&mut self, at: Timestamp) -> SendLog {
        let log = &mut self.claim.sends;
        for outgoing in &self.update.0 {
            let Some(own) = &outgoing.own else { continue };
            let Outgoing { value, version, seen_at, .. } = outgoing.clone();
            log.add(
                &outgoing.name,
                Sent { value, own: own.clone(), version, at, is_noted: true, seen_at, is_lost: false },
            );
        }
        self.is_noted = true;
        log.clone()
    }

    /// Divides the update into requests. An attribute too large for any request is refused.
    pub(super) fn divide(&mut self) {
        let all: Vec<usize> = (0..self.update.0.len()).collect();
        self.parts = self.encode(&all).into();
    }

    fn encode(&mut self, places: &[usize]) -> Vec<(Vec<usize>, Request)> {
        let pairs = places.iter().map(|place| (*place, self.pair(*place)));
        let mut requests = Vec::new();
        for Part { places, request } in divide(self.plan.route.api(), &self.claim.identity, pairs) {
            match request {
                Some(request) => requests.push((places, request)),
                None => self.refuse(places, Reason::TooLarge, "it is larger than one request may be"),
            }
        }
        requests
    }

    /// Returns the facts of the API that it goes through.
    const fn api(&self) -> ApiFacts {
        self.plan.route.api().facts()
    }

    fn pair(&self, place: usize) -> (&str, &str) {
        let outgoing = &self.update.0[place];
        (outgoing.name.as_str(), outgoing.value.as_str())
    }

    /// Returns true if a request is left.
    pub(super) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Returns true if a request is left within the budget.
    pub(super) fn has_next(&self) -> bool {
        !self.parts.is_empty() && self.requests < i64::try_from(self.plan.budget).unwrap_or(i64::MAX)
    }

    /// Returns the next request.
    pub(super) fn next(&mut self) -> Option<Request> {
        let (places, request) = self.parts.pop_front()?;
        self.sending = places;
        Some(request)
    }

    /// Returns the refusal in an answer to the present request, if that cannot be divided further.
    pub(super) fn refused_by(&self, outcome: &Outcome) -> Option<No> {
        let is_divided = *outcome == Outcome::TooLarge && self.sending.len() > 1;
        No::of(outcome).filter(|_| !is_divided)
    }

    /// Applies the answer to the present request; `is_its` is true if a refusal is caused by this update. Returns true
    /// if the next request may be sent.
    pub(super) fn answered(&mut self, outcome: &Outcome, is_its: bool) -> bool {
        self.requests += i64::from(outcome.reached_target());
        let part = std::mem::take(&mut self.sending);
        let goes_on = match outcome {
            Outcome::Delivered => {
                self.updates += 1;
                if self.api().creates_profile {
                    self.learned = Some(Existence::Yes);
                }
                self.delivered.extend(part);
                true
            }
            Outcome::TooLarge if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                let halves: Vec<_> = [first, second].into_iter().flat_map(|half| self.encode(half)).collect();
                halves.into_iter().rev().for_each(|half| self.parts.push_front(half));
                true
            }
            Outcome::Lost(_) => {
                self.lost.extend(part);
                false
            }
            outcome => match No::of(outcome).filter(|_| is_its) {
                Some(No { reason, detail, .. }) => {
                    self.refuse(part, reason, &detail);
                    true
                }
                None => false,
            },
        };
        self.outcome = Some(outcome.clone());
        goes_on
    }

    /// Refuses attributes, by their index in the update.
    pub(super) fn refuse(&mut self, part: Vec<usize>, reason: Reason, detail: &str) {
        let attributes = part.into_iter().map(|place| self.update.0[place].index).collect();
        self.refused.push(Refusal { attributes, reason, detail: detail.to_owned() });
    }

    /// Refuses all attributes.
    pub(super) fn refuse_all(&mut self, reason: Reason, detail: &str) {
        let attributes = (0..self.claim.attributes.len()).collect();
        self.refused.push(Refusal { attributes, reason, detail: detail.to_owned() });
    }

    /// Returns true if an answer was lost.
    pub(super) fn is_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Returns true if its requests count against the quota of single updates.
    pub(super) fn is_quota_bound(&self) -> bool {
        self.purpose == Purpose::Deliver && self.api().is_counted
    }

    /// Returns true if Target may not have the profile, so that an update may have no effect.
    pub(super) fn is_unconfirmed(&self) -> bool {
        !self.api().creates_profile
            && self.plan.situation.existence != Existence::Yes
            && self.claim.identity.kind() == IdentityKind::ThirdPartyId
    }

    /// Returns true if there is nothing to record.
    pub(super) fn is_nothing(&self) -> bool {
        self.requests == 0
            && self.updates == 0
            && self.reads == 0
            && !self.is_noted
            && self.refused.is_empty()
            && self.readings.is_empty()
            && self.look_at.is_none()
            && !self.is_lost()
            && !self.claim.attributes.is_empty()
    }

    /// Returns the corrected log, if it differs from what was recorded: values that were not sent, or definitely not
    /// accepted, are removed, and values that may have been accepted are marked.
    pub(super) fn true_log(&mut self) -> Option<SendLog> {
        let is_as_noted = !self.is_noted || self.delivered.len() == self.update.0.len();
        if is_as_noted {
            return self.gave_way.then(|| self.claim.sends.clone());
        }
        for (place, outgoing) in self.update.0.iter().enumerate().filter(|(_, outgoing)| outgoing.own.is_some()) {
            if self.lost.contains(&place) {
                self.claim.sends.lose(&outgoing.name);
            } else if !self.delivered.contains(&place) {
                self.claim.sends.undo(&outgoing.name);
            }
        }
        Some(self.claim.sends.clone())
    }

    /// Returns what was delivered, by index into the attributes of the claim.
    pub(super) fn delivered_indexes(&self) -> Vec<usize> {
        self.delivered.iter().map(|place| self.update.0[*place].index).collect()
    }
}

/// Age of the knowledge that a profile exists from which a delivery renews it.
pub(super) const RENEWED_AFTER: Duration = Duration::from_secs(60 * 60);
