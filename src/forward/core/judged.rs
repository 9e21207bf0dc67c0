//! The destination of a judged update: a request, a batch, or a wait.

use std::time::Duration;

use super::batch_size::is_too_large;
use super::flight::Flight;
use super::setbacks::NO_BATCH;
use super::{Candidate, Core, Moment, News};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::link::Signal;
use crate::core::forwarding::route::{Mode, Route};
use crate::core::limits::{MISSING_LOOK_MAX, MISSING_LOOK_MIN, MISSING_TIME};
use crate::core::reason::Reason;
use crate::forward::judge::Judgement;

/// Reason for profiles that wait because the quota is used up.
pub(super) const QUOTA_SPENT: &str = "the quota of 24 hours is spent";

impl Core {
    /// Continues with a judged claim along its route.
    pub(super) fn judged(
        &mut self,
        mut flight: Flight,
        judgement: &Judgement,
        read_at: Option<Duration>,
        moment: Moment,
        chance: f64,
    ) {
        flight.readings.clone_from(&judgement.readings);
        flight.gave_way = judgement.give_way(&mut flight.claim.sends);
        if !judgement.has_pending() {
            if flight.reads > 0 {
                // Target has answered, and nothing needs to be sent.
                self.updates_fail = false;
                self.observe(Signal::Answered, moment, chance);
            }
            return self.end_flight(flight, moment, chance);
        }
        if flight.plan.route.api().facts().has_rows {
            return self.goes_in_batch(flight, judgement, read_at, moment, chance);
        }
        let vanishes = flight.learned == Some(Existence::No)
            && self.rules.routes.creates_missing
            && !flight.plan.route.api().facts().creates_profile;
        if vanishes {
            return self.wait_for_profile(flight, moment, chance);
        }
        flight.update = judgement.update(&flight.claim);
        self.goes_out(flight, moment, chance);
    }

    /// Postpones an update for a profile that Target does not have, on which a single update would have no effect; the
    /// next look comes later each time.
    fn wait_for_profile(&mut self, mut flight: Flight, moment: Moment, chance: f64) {
        let waited = moment.wall.since(flight.claim.missing_since.unwrap_or(moment.wall));
        if waited >= MISSING_TIME {
            let detail = "Target has not known this profile for 30 days, and a single update would vanish; use mode = \
                          \"auto\", or retry when the customer has visited the web site";
            flight.refuse_all(Reason::ProfileMissing, detail);
        } else {
            let wait = waited.clamp(MISSING_LOOK_MIN, MISSING_LOOK_MAX);
            let look_at = moment.wall.plus(wait);
            flight.look_at = Some(look_at);
            self.look_at = Some(self.look_at.map_or(look_at, |at| at.min(look_at)));
            self.look_promises.add(look_at, moment.elapsed);
        }
        self.end_flight(flight, moment, chance);
    }

    fn goes_in_batch(
        &mut self,
        mut flight: Flight,
        judgement: &Judgement,
        read_at: Option<Duration>,
        moment: Moment,
        chance: f64,
    ) {
        if self.is_stopping {
            return self.end_flight(flight, moment, chance);
        }
        let row = judgement.row(read_at);
        let profile_id = flight.claim.profile_id;
        if let Some(opens) = self.batches.opens_at(moment.elapsed) {
            self.setbacks.rest(profile_id, opens, NO_BATCH);
            return self.end_flight(flight, moment, chance);
        }
        let is_too_large = is_too_large(flight.claim.identity.key(), &row);
        if is_too_large || judgement.has_unreadable_others {
            if flight.plan.situation.existence == Existence::Yes && self.rules.routes.mode == Mode::Auto {
                if let Some(opens) = self.quota_opens(moment) {
                    self.setbacks.rest(profile_id, opens, QUOTA_SPENT);
                    return self.end_flight(flight, moment, chance);
                }
                flight.plan.route = Route::SingleKnown;
                self.reserve(&mut flight);
                flight.update = judgement.update(&flight.claim);
                return self.goes_out(flight, moment, chance);
            }
            if !is_too_large {
                // A batch would remove what cannot be read.
                return self.step_aside(flight, moment, chance);
            }
            flight.refuse_all(Reason::TooLarge, "all that Target has of the profile is more than one batch may hold");
            return self.end_flight(flight, moment, chance);
        }
        self.news.push(News::Routed(flight.plan.route));
        self.spoken_for -= flight.reserved;
        let Flight { claim, plan, readings, learned, reads, gave_way, .. } = flight;
        let log = gave_way.then(|| claim.sends.clone());
        self.candidates.push_back(Candidate { claim, route: plan.route, row, readings, learned, reads, log });
    }

    /// Continues with a claim whose values are decided: they are recorded first if others write the profile too.
    pub(super) fn goes_out(&mut self, flight: Flight, moment: Moment, chance: f64) {
        let profile_id = flight.claim.profile_id;
        if self.is_stopping {
            return self.end_flight(flight, moment, chance);
        }
        let must_be_noted = flight.must_be_noted();
        self.flights.insert(profile_id, flight);
        if must_be_noted {
            self.to_note.push_back(profile_id);
        } else {
            self.ready(profile_id, moment, chance);
        }
    }

    /// Marks a claim as ready to be sent.
    pub(super) fn ready(&mut self, profile_id: i64, moment: Moment, chance: f64) {
        let Some(flight) = self.flights.get_mut(&profile_id) else { return };
        flight.divide();
        if flight.has_next() {
            self.to_send.push_back(profile_id);
        } else {
            self.end(profile_id, moment, chance);
        }
    }
}
