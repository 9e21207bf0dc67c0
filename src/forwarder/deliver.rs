//! One delivery: a claim is read first where others may have written, becomes requests, and their answers a settlement; or it
//! turns out to belong in a batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::shared::{self, Skew};
use crate::clock::Clock;
use crate::existence::Existence;
use crate::identity::IdentityKind;
use crate::merge::Decision;
use crate::quota::QuotaTime;
use crate::reason::Reason;
use crate::route::{Mode, Route, RouteRules, Situation, UpdateApi, route};
use crate::store::{Candidate, Claim, Reading, Refusal, Settlement, StoreError, Writer};
use crate::target::delivery::{self, Call};
use crate::target::single::{Update, encode};
use crate::target::{Client, Outcome, Reply};
use crate::timestamp::Timestamp;

/// How old knowledge of a profile's existence becomes before a delivery renews it.
const RENEWED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What all deliveries have in common.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) clock: Arc<Clock>,
    pub(super) rules: RouteRules,
    pub(super) property_token: Option<String>,
    /// The key of the hashes that name sessions of the Delivery API.
    pub(super) session_key: Vec<u8>,
}

/// How a claim is to be delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The way that it goes, unless reading shows another.
    pub(super) route: Route,
    /// What decided that.
    pub(super) situation: Situation,
    /// Whether the profile is read first.
    pub(super) reads: bool,
    /// Most requests.
    pub(super) budget: u64,
}

/// Why a profile could not be read.
pub(super) struct Denied {
    pub(super) reason: String,
    /// Whether that holds for every profile.
    pub(super) is_everyones: bool,
}

/// What came of a claim.
pub(super) struct Delivery {
    claim: Claim,
    pub(super) plan: Plan,
    delivered: Vec<usize>,
    refused: Vec<Refusal>,
    readings: Vec<Reading>,
    learned: Option<Existence>,
    reads: i64,
    requests: i64,
    updates: i64,
    /// Why profiles cannot be read, if that was tried and refused.
    pub(super) reads_denied: Option<Denied>,
    /// The store did not take what had to be noted before sending.
    pub(super) store_error: Option<StoreError>,
    /// The last answer; none if nothing had to be sent.
    pub(super) outcome: Option<Outcome>,
}

impl Delivery {
    /// The profile's number in the store.
    pub(super) const fn profile_id(&self) -> i64 {
        self.claim.profile_id
    }

    /// Attributes that Target took.
    pub(super) const fn delivered(&self) -> usize {
        self.delivered.len()
    }

    /// Attributes that were refused for good.
    pub(super) fn refused(&self) -> usize {
        self.refused.iter().map(|refusal| refusal.attributes.len()).sum()
    }

    /// Requests that count against the quota of updates.
    pub(super) fn quota_requests(&self) -> i64 {
        if self.plan.route.api() == UpdateApi::Single { self.requests } else { 0 }
    }

    /// Calls of the Fetch API that reached Target.
    pub(super) const fn reads(&self) -> i64 {
        self.reads
    }

    /// Whether it belongs in a batch: then nothing was sent.
    pub(super) fn goes_in_batch(&self) -> bool {
        self.plan.route.api() == UpdateApi::Bulk && self.outcome.is_none() && self.store_error.is_none()
    }

    /// The claim as it is put in a batch.
    pub(super) fn into_candidate(self) -> (Claim, Candidate) {
        let candidate = Candidate {
            profile_id: self.claim.profile_id,
            route: self.plan.route,
            readings: self.readings,
            learned: self.learned,
            reads: self.reads,
        };
        (self.claim, candidate)
    }

    /// What the store has to write down. None when there is nothing: then the claim is released here.
    pub(super) fn into_settlement(
        self,
        at: Timestamp,
        quota_time: QuotaTime,
        verify_at: Option<Timestamp>,
    ) -> Option<Settlement> {
        let is_nothing = self.requests == 0
            && self.reads == 0
            && self.refused.is_empty()
            && self.readings.is_empty()
            && !self.claim.attributes.is_empty();
        let is_delivered = !self.delivered.is_empty();
        let quota_requests = self.quota_requests();
        let unconfirmed = if self.is_unconfirmed() { self.updates } else { 0 };
        let Self { claim, plan, delivered, refused, mut readings, learned, reads, requests, updates, .. } = self;
        if !is_delivered {
            // What was not sent is not noted as sent.
            readings.iter_mut().for_each(|reading| reading.sent = None);
        }
        (!is_nothing).then_some(Settlement {
            learned: learned.filter(|_| reads > 0 || is_delivered),
            route: Some(plan.route).filter(|_| requests > 0),
            verify_at: verify_at.filter(|_| is_delivered),
            claim,
            delivered,
            refused,
            readings,
            reads,
            requests,
            quota_requests,
            updates,
            unconfirmed,
            at,
            quota_time,
        })
    }

    /// Whether nobody knows that Target has the profile, so that a single update may vanish.
    fn is_unconfirmed(&self) -> bool {
        self.plan.route.api() == UpdateApi::Single
            && self.plan.situation.existence != Existence::Yes
            && self.claim.identity.kind() == IdentityKind::ThirdPartyId
    }

    fn refuse(&mut self, attributes: Vec<usize>, reason: Reason, detail: impl Into<String>) {
        self.refused.push(Refusal { attributes, reason, detail: detail.into() });
    }

    /// The attributes that are to be sent: what is pending, but for what theirs wins over.
    fn to_send(&self) -> Vec<usize> {
        let is_superseded = |name: &str| {
            self.readings.iter().any(|reading| reading.decision == Decision::Superseded && reading.name == name)
        };
        let all = self.claim.attributes.iter().enumerate();
        all.filter(|(_, attribute)| !is_superseded(&attribute.name)).map(|(index, _)| index).collect()
    }

    /// Name and value of attributes as they are sent: with others' part, where there is one.
    fn pairs<'d>(&'d self, indexes: &'d [usize]) -> impl Iterator<Item = (usize, (&'d str, &'d str))> {
        indexes.iter().map(|index| {
            let attribute = &self.claim.attributes[*index];
            let reading = self.readings.iter().find(|reading| reading.name == attribute.name);
            let merged = reading.and_then(|reading| reading.sent.as_ref()).map(|sent| sent.value.as_str());
            (*index, (attribute.name.as_str(), merged.unwrap_or(&attribute.value)))
        })
    }
}

/// Delivers a claim. What was not sent stays pending.
pub(super) async fn deliver(way: Arc<Way>, claim: Claim, plan: Plan) -> Delivery {
    // A delivery to a profile that exists keeps it alive. That is noted now and then.
    let is_renewed =
        plan.situation.existence == Existence::Yes && way.clock.now().since(claim.knowledge.at) >= RENEWED_AFTER;
    let learned = is_renewed.then_some(Existence::Yes);
    let mut delivery = Delivery {
        claim,
        plan,
        delivered: Vec::new(),
        refused: Vec::new(),
        readings: Vec::new(),
        learned,
        reads: 0,
        requests: 0,
        updates: 0,
        reads_denied: None,
        store_error: None,
        outcome: None,
    };
    if plan.reads && !delivery.read(&way).await {
        return delivery;
    }
    match delivery.plan.route.api() {
        UpdateApi::Bulk => {}
        UpdateApi::Single => delivery.send_single(&way).await,
        UpdateApi::Delivery => delivery.send_calls(&way).await,
    }
    delivery
}

impl Delivery {
    /// Reads the profile, and decides what Target shall hold. False when it is not to be sent now.
    async fn read(&mut self, way: &Way) -> bool {
        let exchange = way.client.fetch(&self.claim.identity).await;
        let now = way.clock.now();
        let (found, existence) = match exchange.answer {
            Reply::Found(profile) => (profile, Existence::Yes),
            Reply::Missing => (crate::target::FetchedProfile::default(), Existence::No),
            Reply::Denied(reason) => {
                self.reads += 1;
                self.reads_denied = Some(Denied { reason, is_everyones: true });
                return true;
            }
            Reply::Unreadable(reason) => {
                self.reads += 1;
                self.reads_denied = Some(Denied { reason, is_everyones: false });
                return true;
            }
            Reply::Failed(outcome) => {
                self.reads += i64::from(outcome.reached_target());
                self.outcome = Some(outcome);
                return false;
            }
        };
        self.reads += 1;
        self.learned = Some(existence);
        self.plan.situation.existence = existence;
        self.plan.route = route(way.rules, self.plan.situation);
        let skew = Skew::between(exchange.date, now);
        let basis = self.claim.basis.take().unwrap_or_default();
        self.readings = match self.plan.route.api() {
            UpdateApi::Bulk => shared::read_row(&basis, &found, skew, now),
            _ => shared::read_pending(&basis, &found, skew, now),
        };
        let is_lost = existence == Existence::No && way.rules.mode == Mode::Single && way.rules.creates_missing;
        if is_lost && self.plan.route.api() == UpdateApi::Single {
            let all = (0..self.claim.attributes.len()).collect();
            let detail = "Target does not know this profile, and a single update would vanish; use mode = \"auto\", or \
                          retry when the customer has visited the web site";
            self.refuse(all, Reason::ProfileMissing, detail);
            self.readings.clear();
            return false;
        }
        self.note(way).await
    }

    /// Notes what is about to be sent, where it would count twice if the answer were lost.
    async fn note(&mut self, way: &Way) -> bool {
        let is_sent = self.plan.route.api() != UpdateApi::Bulk;
        if !is_sent || !self.readings.iter().any(Reading::must_be_noted) {
            return true;
        }
        let (profile_id, readings, at) = (self.claim.profile_id, self.readings.clone(), way.clock.now());
        let noted = way.writer.act(move |store| store.note_readings(profile_id, &readings, at)).await;
        self.store_error = noted.err();
        self.store_error.is_none()
    }

    /// Sends it in as many single updates as it takes and the budget allows, one after the other. It stops at the first
    /// answer that is neither yes nor no.
    async fn send_single(&mut self, way: &Way) {
        let mut updates: VecDeque<Update> = self.encode_single(&self.to_send()).into();
        let mut left = self.plan.budget;
        while let Some(update) = updates.pop_front() {
            if !update.fits() {
                self.refuse(update.attributes, Reason::TooLarge, "it is larger than one request may be");
                continue;
            }
            if left == 0 {
                break;
            }
            left -= 1;
            let Update { body, attributes } = update;
            let exchange = way.client.send(body).await;
            if let Some(parts) = self.answered(exchange.answer, attributes, exchange.date) {
                for part in parts.iter().rev() {
                    self.encode_single(part).into_iter().rev().for_each(|update| updates.push_front(update));
                }
            } else if self.is_stopped() {
                break;
            }
        }
    }

    fn encode_single(&self, indexes: &[usize]) -> Vec<Update> {
        encode(&self.claim.identity, self.pairs(indexes))
    }

    /// As [`Self::send_single`], in calls of the Delivery API.
    async fn send_calls(&mut self, way: &Way) {
        let session = delivery::session(&way.session_key, &self.claim.identity);
        let mut calls: VecDeque<Call> = self.encode_calls(way, &self.to_send()).into();
        while let Some(Call { body, attributes }) = calls.pop_front() {
            let exchange = way.client.deliver(&session, body).await;
            if let Some(parts) = self.answered(exchange.answer, attributes, exchange.date) {
                for part in parts.iter().rev() {
                    self.encode_calls(way, part).into_iter().rev().for_each(|call| calls.push_front(call));
                }
            } else if self.is_stopped() {
                break;
            }
        }
    }

    fn encode_calls(&self, way: &Way, indexes: &[usize]) -> Vec<Call> {
        let request_id = || uuid::Uuid::new_v4().to_string();
        delivery::encode(&self.claim.identity, way.property_token.as_deref(), self.pairs(indexes), request_id)
    }

    /// Takes in the answer to a request that carried these attributes. Gives its two halves when it is to be sent in parts.
    fn answered(
        &mut self,
        outcome: Outcome,
        attributes: Vec<usize>,
        date: Option<Timestamp>,
    ) -> Option<[Vec<usize>; 2]> {
        self.requests += i64::from(outcome.reached_target());
        let mut parts = None;
        match &outcome {
            Outcome::Delivered => {
                self.updates += 1;
                self.sent_at(date);
                if self.plan.route.api() == UpdateApi::Delivery {
                    // Such a call makes the profile. Source: Target Delivery API.
                    self.learned = Some(Existence::Yes);
                }
                self.delivered.extend(attributes);
            }
            Outcome::Refused(refused) => self.refuse(attributes, Reason::RefusedByTarget, refused.to_string()),
            Outcome::TooLarge if attributes.len() == 1 => {
                self.refuse(attributes, Reason::TooLarge, "Target answered that it is too large");
            }
            Outcome::TooLarge => {
                let (first, second) = attributes.split_at(attributes.len() / 2);
                parts = Some([first.to_vec(), second.to_vec()]);
            }
            _ => {}
        }
        self.outcome = Some(outcome);
        parts
    }

    /// What is sent counts from Target's own time of it, where that is known.
    fn sent_at(&mut self, date: Option<Timestamp>) {
        let Some(date) = date else { return };
        for sent in self.readings.iter_mut().filter_map(|reading| reading.sent.as_mut()) {
            sent.at = date;
        }
    }

    /// Whether the last answer was neither yes nor no.
    fn is_stopped(&self) -> bool {
        !matches!(self.outcome, Some(Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge) | None)
    }
}
