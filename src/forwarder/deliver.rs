//! One delivery: a claim becomes requests, and their answers become a settlement.

use std::collections::VecDeque;

use crate::quota::QuotaTime;
use crate::reason::Reason;
use crate::store::{Claim, Refusal, Settlement};
use crate::target::single::{Update, encode};
use crate::target::{Client, Outcome};
use crate::timestamp::Timestamp;

/// What came of a claim.
#[derive(Debug)]
pub(super) struct Delivery {
    claim: Claim,
    delivered: Vec<usize>,
    refused: Vec<Refusal>,
    requests: i64,
    budget: u64,
    updates: i64,
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

    /// Attributes that Target refused for good.
    pub(super) fn refused(&self) -> usize {
        self.refused.iter().map(|refusal| refusal.attributes.len()).sum()
    }

    /// Requests that reached Target.
    pub(super) const fn requests(&self) -> i64 {
        self.requests
    }

    /// Requests that it might have made.
    pub(super) const fn budget(&self) -> u64 {
        self.budget
    }

    /// What the store has to write down. None when there is nothing: then the claim is released here.
    pub(super) fn into_settlement(self, at: Timestamp, quota_time: QuotaTime) -> Option<Settlement> {
        let is_nothing = self.requests == 0 && self.refused.is_empty() && !self.claim.attributes.is_empty();
        let Self { claim, delivered, refused, requests, updates, .. } = self;
        (!is_nothing).then_some(Settlement { claim, delivered, refused, requests, updates, at, quota_time })
    }
}

/// Sends a claim, in as many requests as it takes and `budget` allows, one after the other. It stops at the first answer
/// that is neither yes nor no; what was not sent by then stays pending.
pub(super) async fn deliver(client: Client, claim: Claim, budget: u64) -> Delivery {
    let all: Vec<usize> = (0..claim.attributes.len()).collect();
    let mut updates: VecDeque<Update> = encode_part(&claim, &all).into();
    let mut delivery =
        Delivery { claim, delivered: Vec::new(), refused: Vec::new(), requests: 0, budget, updates: 0, outcome: None };
    let mut left = budget;
    while let Some(update) = updates.pop_front() {
        if !update.fits() {
            delivery.refuse(update.attributes, Reason::TooLarge, "it is larger than one request may be".to_owned());
            continue;
        }
        if left == 0 {
            break;
        }
        left -= 1;
        let Update { body, attributes } = update;
        let outcome = client.send(body).await;
        delivery.requests += i64::from(outcome.reached_target());
        match &outcome {
            Outcome::Delivered => {
                delivery.updates += 1;
                delivery.delivered.extend(attributes);
            }
            Outcome::Refused(words) => delivery.refuse(attributes, Reason::RefusedByTarget, words.clone()),
            Outcome::TooLarge if attributes.len() == 1 => {
                delivery.refuse(attributes, Reason::TooLarge, "Target answered that it is too large".to_owned());
            }
            Outcome::TooLarge => {
                let (first, second) = attributes.split_at(attributes.len() / 2);
                for half in [second, first] {
                    encode_part(&delivery.claim, half).into_iter().rev().for_each(|part| updates.push_front(part));
                }
            }
            _ => updates.clear(),
        }
        delivery.outcome = Some(outcome);
    }
    delivery
}

impl Delivery {
    fn refuse(&mut self, attributes: Vec<usize>, reason: Reason, detail: String) {
        self.refused.push(Refusal { attributes, reason, detail });
    }
}

fn encode_part(claim: &Claim, indexes: &[usize]) -> Vec<Update> {
    let attributes = indexes.iter().map(|index| {
        let attribute = &claim.attributes[*index];
        (*index, (attribute.name.as_str(), attribute.value.as_str()))
    });
    encode(&claim.identity, attributes)
}
