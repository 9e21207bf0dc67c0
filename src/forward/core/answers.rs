//! The consequences of Target's answer to an update, and the end of a delivery.

use std::time::Duration;

use super::flight::{Flight, Purpose, RENEWED_AFTER};
use super::judged::QUOTA_SPENT;
use super::readings::POSTPONED;
use super::refusals::{No, Refusal};
use super::{Core, Moment, News, Settle};
use crate::adobe::Outcome;
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::link::{LinkState, Signal};
use crate::core::forwarding::why::{Cause, Why};
use crate::core::limits::READ_BACK_FIRST;
use crate::core::timestamp::Timestamp;
use crate::forward::judge::Skew;
use crate::store::{Claim, ReadBack, Settlement};

impl Core {
    pub(super) fn answered(
        &mut self,
        profile_id: i64,
        outcome: &Outcome,
        date: Option<Timestamp>,
        moment: Moment,
        chance: f64,
    ) {
        self.sending.remove(&profile_id);
        let Some(flight) = self.flights.get_mut(&profile_id) else { return };
        if flight.is_quota_bound() && outcome.reached_target() {
            self.quota.spend(moment.quota.at);
            // Once made, it is not one that may still be made.
            flight.reserved -= 1;
            self.spoken_for -= 1;
        }
        if matches!(outcome, Outcome::Delivered | Outcome::Refused(_) | Outcome::TooLarge | Outcome::Throttled(_)) {
            self.told_time(date, moment);
        }
        let is_its = self.judge_outcome(profile_id, outcome, moment, chance);
        let flight = self.flights.get_mut(&profile_id).expect("looked up above");
        let goes_on = flight.answered(outcome, is_its);
        if *outcome == Outcome::TooLarge && flight.has_parts() {
            self.make_room_for_halves(profile_id, moment);
        }
        if goes_on && self.flights[&profile_id].has_next() {
            self.to_send.push_front(profile_id);
        } else {
            self.end(profile_id, moment, chance);
        }
    }

    /// Allows one more request for an update that is too large and continues in halves. If the quota has no room for
    /// it, the profile waits: as a whole it would only be too large again.
    fn make_room_for_halves(&mut self, profile_id: i64, moment: Moment) {
        let has_room = self.quota_left(moment) > 0;
        let opens = self.quota_opens(moment).unwrap_or(moment.elapsed + Duration::from_secs(1));
        let flight = self.flights.get_mut(&profile_id).expect("it was answered");
        if flight.is_quota_bound() && !has_room {
            if !flight.has_next() {
                self.setbacks.rest(profile_id, opens, QUOTA_SPENT);
            }
            return;
        }
        flight.plan.budget += 1;
        if flight.is_quota_bound() {
            flight.reserved += 1;
            self.spoken_for += 1;
        }
    }

    /// Takes the time from one of Target's answers.
    pub(super) fn told_time(&mut self, date: Option<Timestamp>, moment: Moment) {
        if let Some(date) = date {
            self.skew = Skew::between(date, moment.wall);
        }
    }

    /// Applies an answer to the state of the link and of the profile. Returns true if a refusal is caused by the update
    /// itself.
    pub(super) fn judge_outcome(&mut self, profile_id: i64, outcome: &Outcome, moment: Moment, chance: f64) -> bool {
        let accepted = self.refusals.accepted_count();
        match outcome {
            Outcome::Failing(_) | Outcome::Lost(_) => {
                let is_alone = self.setbacks.is_alone(profile_id, accepted);
                let why = "its last update failed, or had no answer";
                self.setbacks.put(profile_id, moment.elapsed, chance, accepted, why);
                if is_alone && self.link.state() == LinkState::Online {
                    // Only this update keeps failing, which says nothing about the others.
                    return true;
                }
            }
            Outcome::Delivered => {
                self.refusals.accepted();
                self.setbacks.remove(profile_id);
            }
            Outcome::Refused(_) | Outcome::TooLarge => {
                // A divided update has no answer yet: its parts will show whether the link is the cause.
                let Some(no) = self.flights.get(&profile_id).and_then(|flight| flight.refused_by(outcome)) else {
                    return true;
                };
                if !self.is_refusal_its(profile_id, &no, moment, chance) {
                    let why = "every update is refused at the moment";
                    self.setbacks.put(profile_id, moment.elapsed, chance, accepted, why);
                    return false;
                }
                self.setbacks.remove(profile_id);
            }
            _ => {}
        }
        self.updates_fail = update_fails(outcome);
        self.heard(outcome, moment, chance);
        true
    }

    /// Returns true if a refusal is caused by the update itself; otherwise it affects everybody, and the previous ones
    /// are void.
    pub(super) fn is_refusal_its(&mut self, profile_id: i64, no: &No, moment: Moment, chance: f64) -> bool {
        let Refusal::Everybody(void, since) = self.refusals.refused(profile_id, no.status, moment.wall) else {
            return true;
        };
        for one in void.iter().chain([&profile_id]) {
            // Nor are updates in flight rejected when they end.
            self.flights.get_mut(one).into_iter().for_each(|flight| flight.refused.clear());
        }
        if !void.is_empty() {
            self.void = Some((void, since));
        }
        let reason = format!(
            "every update is refused ({}), so that it is not the updates: check client_code and endpoint in [target], and \
             what stands between here and Target",
            no.detail
        );
        self.updates_fail = true;
        self.observe(Signal::Foreign(Why::new(Cause::Refused, reason)), moment, chance);
        false
    }

    pub(super) fn end(&mut self, profile_id: i64, moment: Moment, chance: f64) {
        if let Some(flight) = self.flights.remove(&profile_id) {
            self.end_flight(flight, moment, chance);
        }
    }

    /// Ends a claim: its result is recorded, or it is simply released.
    pub(super) fn end_flight(&mut self, mut flight: Flight, moment: Moment, chance: f64) {
        self.spoken_for -= flight.reserved;
        if let Purpose::ReadBack(_) = flight.purpose {
            return self.settle(Settle::Postpone(flight.claim, moment.wall.plus(POSTPONED)), moment);
        }
        if let Some(outcome) = &flight.outcome {
            let refused = flight.refused.iter().map(|refusal| refusal.attributes.len()).sum();
            self.news.push(News::Delivery { outcome: outcome.label(), delivered: flight.delivered.len(), refused });
        }
        if !flight.delivered.is_empty() {
            self.news.push(News::Routed(flight.plan.route));
        }
        // There may be more to send of what could not be sent.
        self.may_have_more = true;
        if flight.is_nothing() {
            self.released += 1;
            return;
        }
        let settlement = self.settlement(&mut flight, moment, chance);
        self.settle(Settle::Delivery(Box::new(settlement(flight.claim))), moment);
    }

    fn settlement(
        &mut self,
        flight: &mut Flight,
        moment: Moment,
        chance: f64,
    ) -> impl FnOnce(Claim) -> Settlement + use<> {
        let is_delivered = !flight.delivered.is_empty();
        let is_known = flight.plan.situation.existence == Existence::Yes;
        let is_old = moment.wall.since(flight.claim.knowledge.at) >= RENEWED_AFTER;
        // A delivery to an existing profile keeps it alive, which is recorded from time to time.
        let renewed = (is_delivered && is_known && is_old).then_some(Existence::Yes);
        let is_lost = flight.is_lost();
        let sends = flight.true_log();
        let ambiguous = match self.is_shared() {
            // Also for values that were found to have arrived: an older attempt may still overwrite them.
            true => self.read_back_at(&flight.claim.sends, moment),
            false if is_lost => Some(moment.wall.plus(READ_BACK_FIRST)),
            _ => None,
        };
        let sample = self.rules.verify.filter(|(part, _)| is_delivered && chance < *part);
        let sample = sample.map(|(_, after)| (moment.wall.plus(after), ReadBack::Sample));
        let read_back = ambiguous.map(|at| (at, ReadBack::Ambiguous)).or(sample);
        if let Some((at, _)) = read_back {
            self.is_due(at, moment);
        }
        let requests = flight.requests;
        let quota_requests = if flight.is_quota_bound() { requests } else { 0 };
        let unconfirmed = if flight.is_unconfirmed() { flight.updates } else { 0 };
        let (delivered, refused) = (flight.delivered_indexes(), std::mem::take(&mut flight.refused));
        let answered = std::mem::take(&mut flight.answered);
        let readings = std::mem::take(&mut flight.readings);
        let learned = flight.learned.or(renewed);
        let is_sent = requests > 0 || flight.updates > 0;
        let route = Some(flight.plan.route).filter(|_| is_sent);
        let (look_at, reads, updates) = (flight.look_at, flight.reads, flight.updates);
        let (at, quota_time) = (moment.wall, moment.quota);
        // A reading is as old as the request for it.
        let read_at = at.minus(moment.elapsed.saturating_sub(flight.asked_at));
        move |claim| Settlement {
            claim,
            delivered,
            refused,
            answered,
            route,
            readings,
            sends,
            learned,
            look_at,
            reads,
            read_back,
            requests,
            quota_requests,
            updates,
            unconfirmed,
            at,
            read_at,
            quota_time,
        }
    }

    /// Notes that a profile is to be read back at a time of this device.
    fn is_due(&mut self, at: Timestamp, moment: Moment) {
        self.due_at = Some(self.due_at.map_or(at, |due| due.min(at)));
        self.due_promises.add(at, moment.elapsed);
    }
}

/// Returns true if updates fail although Target can be reached: a successful read of a profile then says nothing about
/// them.
pub(super) const fn update_fails(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failing(_) | Outcome::Lost(_) | Outcome::Foreign(_) | Outcome::Unauthorized(_) | Outcome::Throttled(_)
    )
}
