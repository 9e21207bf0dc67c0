//! One claim on its way: read first where others may have written, noted, sent in as many requests as it takes, and settled.

use std::collections::VecDeque;
use std::time::Duration;

use super::refusals::No;
use super::types::Request;
use crate::adobe::{Outcome, single};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::route::{Route, Situation, UpdateApi};
use crate::core::identity::IdentityKind;
use crate::core::limits::DELIVERY_PARAMETERS_MAX;
use crate::core::operation::Sent;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::forward::judge::{Outgoing, Update};
use crate::store::{Claim, ReadBack, Reading, Refusal, SendLog};

/// How a claim is delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The way that it goes, unless reading shows another.
    pub(super) route: Route,
    /// What decided that.
    pub(super) situation: Situation,
    /// Most requests.
    pub(super) budget: u64,
}

impl Plan {
    /// Of a claim that was judged, and is not sent.
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

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be delivered.
    Deliver,
    /// To be read back.
    ReadBack(ReadBack),
}

/// One request: the attributes that it carries, by their place in the update.
#[derive(Default)]
struct Part {
    places: Vec<usize>,
    /// Body of a single update; empty for the Delivery API.
    body: String,
}

/// A claim on its way.
pub(super) struct Flight {
    pub(super) claim: Claim,
    pub(super) purpose: Purpose,
    pub(super) plan: Plan,
    /// Requests that are spoken for in the quota of single updates.
    pub(super) reserved: u64,
    /// What is sent of it.
    pub(super) update: Update,
    /// The requests that are left, the next one first.
    parts: VecDeque<Part>,
    /// What the request carries that is on its way.
    sending: Part,
    /// When it was asked for the profile: what is read is as old as that.
    pub(super) asked_at: Duration,
    /// True if what is sent was noted before.
    pub(super) is_noted: bool,
    /// True if something of it gave way to others' while an attempt of ours was lost, which the log says.
    pub(super) gave_way: bool,
    pub(super) delivered: Vec<usize>,
    lost: Vec<usize>,
    pub(super) refused: Vec<Refusal>,
    pub(super) readings: Vec<Reading>,
    pub(super) learned: Option<Existence>,
    pub(super) look_at: Option<Timestamp>,
    pub(super) reads: i64,
    pub(super) requests: i64,
    pub(super) updates: i64,
    /// The last outcome; none if nothing was sent.
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
            sending: Part::default(),
            asked_at: Duration::ZERO,
            is_noted: false,
            gave_way: false,
            delivered: Vec::new(),
            lost: Vec::new(),
            refused: Vec::new(),
            readings: Vec::new(),
            learned: None,
            look_at: None,
            reads: 0,
            requests: 0,
            updates: 0,
            outcome: None,
        }
    }

    /// Returns whether what is sent of it must be noted before.
    pub(super) fn must_be_noted(&self) -> bool {
        !self.is_noted && self.update.0.iter().any(|outgoing| outgoing.own.is_some())
    }

    /// Notes what is about to be sent: the log as it is written before.
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

    /// Divides what is sent into requests. What is too large for any is refused.
    pub(super) fn divide(&mut self) {
        let all: Vec<usize> = (0..self.update.0.len()).collect();
        self.parts = self.encode(&all).into();
    }

    fn encode(&mut self, places: &[usize]) -> Vec<Part> {
        if self.plan.route.api() == UpdateApi::Delivery {
            let part = |places: &[usize]| Part { places: places.to_vec(), body: String::new() };
            return places.chunks(DELIVERY_PARAMETERS_MAX).map(part).collect();
        }
        let pairs = places.iter().map(|place| (*place, self.pair(*place)));
        let (fit, too_large): (Vec<_>, Vec<_>) =
            single::encode(&self.claim.identity, pairs).into_iter().partition(single::Update::fits);
        for single::Update { attributes, .. } in too_large {
            self.refuse(attributes, Reason::TooLarge, "it is larger than one request may be");
        }
        fit.into_iter().map(|update| Part { places: update.attributes, body: update.body }).collect()
    }

    fn pair(&self, place: usize) -> (&str, &str) {
        let outgoing = &self.update.0[place];
        (outgoing.name.as_str(), outgoing.value.as_str())
    }

    /// Returns whether a request is left.
    pub(super) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Returns whether a request is left, within the budget.
    pub(super) fn has_next(&self) -> bool {
        !self.parts.is_empty() && self.requests < i64::try_from(self.plan.budget).unwrap_or(i64::MAX)
    }

    /// The next request.
    pub(super) fn next(&mut self) -> Option<Request> {
        self.sending = self.parts.pop_front()?;
        if self.plan.route.api() == UpdateApi::Delivery {
            let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let pairs = self.sending.places.iter().map(|place| text(self.pair(*place))).collect();
            return Some(Request::Delivery(self.claim.identity.clone(), pairs));
        }
        Some(Request::Single(std::mem::take(&mut self.sending.body)))
    }

    /// What an answer to the request on its way refuses that cannot be divided.
    pub(super) fn refused_by(&self, outcome: &Outcome) -> Option<No> {
        let is_divided = *outcome == Outcome::TooLarge && self.sending.places.len() > 1;
        No::of(outcome).filter(|_| !is_divided)
    }

    /// Takes in the answer to the request on its way; `is_its` says whether a refusal is this update's. Tells whether
    /// the next request may be sent.
    pub(super) fn answered(&mut self, outcome: &Outcome, is_its: bool) -> bool {
        self.requests += i64::from(outcome.reached_target());
        let part = std::mem::take(&mut self.sending).places;
        let goes_on = match outcome {
            Outcome::Delivered => {
                self.updates += 1;
                if self.plan.route.api() == UpdateApi::Delivery {
                    // Such a call makes the profile. Source: Target Delivery API.
                    self.learned = Some(Existence::Yes);
                }
                self.delivered.extend(part);
                true
            }
            Outcome::TooLarge if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                let halves: Vec<Part> = [first, second].into_iter().flat_map(|half| self.encode(half)).collect();
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

    /// Refuses attributes, by their place in the update.
    pub(super) fn refuse(&mut self, part: Vec<usize>, reason: Reason, detail: &str) {
        let attributes = part.into_iter().map(|place| self.update.0[place].index).collect();
        self.refused.push(Refusal { attributes, reason, detail: detail.to_owned() });
    }

    /// Refuses all of it.
    pub(super) fn refuse_all(&mut self, reason: Reason, detail: &str) {
        let attributes = (0..self.claim.attributes.len()).collect();
        self.refused.push(Refusal { attributes, reason, detail: detail.to_owned() });
    }

    /// Returns whether an answer was lost.
    pub(super) fn is_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Returns whether its requests count against the quota of single updates.
    pub(super) fn is_quota_bound(&self) -> bool {
        self.purpose == Purpose::Deliver && self.plan.route.api() == UpdateApi::Single
    }

    /// Returns whether nobody knows that Target has the profile, so that a single update may vanish.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.plan.route.api() == UpdateApi::Single
            && self.plan.situation.existence != Existence::Yes
            && self.claim.identity.kind() == IdentityKind::ThirdPartyId
    }

    /// Returns whether nothing came of it that is to be written down.
    pub(super) fn is_nothing(&self) -> bool {
        self.requests == 0
            && self.reads == 0
            && !self.is_noted
            && self.refused.is_empty()
            && self.readings.is_empty()
            && self.look_at.is_none()
            && !self.is_lost()
            && !self.claim.attributes.is_empty()
    }

    /// The log as it is true now, where that is not what was noted: what was not sent, or was definitely not taken, is
    /// undone, and what may have been taken is marked.
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

    /// What was delivered, by index into the attributes of the claim.
    pub(super) fn delivered_indexes(&self) -> Vec<usize> {
        self.delivered.iter().map(|place| self.update.0[*place].index).collect()
    }
}

/// How old knowledge of a profile's existence becomes before a delivery renews it.
pub(super) const RENEWED_AFTER: Duration = Duration::from_secs(60 * 60);
