//! The handling of inputs.

use std::time::Duration;

use super::flight::{Flight, Plan, Purpose};
use super::{Candidate, Core, ForwarderSettings, Input, Moment, News, Settle, StoreFailed};
use crate::core::timestamp::Timestamp;
use crate::store::{Claims, ReadBacks};

/// Time that a delivery may wait to be recorded with others. Each commit waits for the disk and wears a flash card; a
/// power cut before it only means that the same states are sent again.
const SETTLE_DELAY: Duration = Duration::from_millis(25);

/// Shortest time between two checks for profiles to read back.
const DUE_INTERVAL: Duration = Duration::from_secs(1);

/// Time that a profile rests whose request was not made, and why.
const UNSENT_WAIT: Duration = Duration::from_secs(1);
const UNSENT: &str = "no request could be made for it just now";

impl Core {
    /// Takes an input. `chance` is a random number from 0 up to 1, a new one each time.
    pub fn take(&mut self, input: Input, moment: Moment, chance: f64) {
        match input {
            Input::OutboxChanged => (self.may_have_more, self.probes_failed) = (true, false),
            Input::NetworkChanged => self.network_changed(moment),
            Input::TryNow => self.try_now(moment),
            Input::TokenChanged => self.token_changed(moment),
            Input::Settings(settings) => self.settings_changed(*settings, moment),
            Input::Claimed(claims) => self.claimed(claims, moment, chance),
            Input::Due(due) => self.due(due, moment, chance),
            Input::Looked(next) => self.looked(next, moment, chance),
            Input::Read(profile_id, reply, date) => self.read(profile_id, reply, date, moment, chance),
            Input::Noted(profile_ids, result) => self.noted(profile_ids, &result, moment, chance),
            Input::Answered(profile_id, outcome, date) => self.answered(profile_id, &outcome, date, moment, chance),
            Input::Unsent(profile_id) => self.unsent(profile_id, moment, chance),
            Input::HandedOver(handed) => self.handed_over(handed, moment, chance),
            Input::RowsAdded(claims, result) => self.rows_added(claims, result, moment, chance),
            Input::Settled(result) => self.settled(&result, moment, chance),
            Input::Retracted(result) => self.retracted(&result, moment, chance),
            Input::Batch(id, came) => self.batch(id, came, moment, chance),
        }
    }

    fn network_changed(&mut self, moment: Moment) {
        if self.link.network_changed(moment.elapsed) {
            self.news.push(News::Probing("the network changed"));
        }
        self.may_have_more = true;
    }

    fn try_now(&mut self, moment: Moment) {
        if self.link.try_now(moment.elapsed) {
            self.news.push(News::Probing("somebody asked for it"));
        }
        self.let_all_try();
    }

    /// Lets all profiles that failed try again at once.
    fn let_all_try(&mut self) {
        self.setbacks.release_all();
        (self.may_have_more, self.probes_failed) = (true, false);
    }

    fn token_changed(&mut self, moment: Moment) {
        // With other credentials profiles may be readable too.
        (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
        if self.link.credentials_changed(moment.elapsed) {
            self.news.push(News::Probing("the token changed"));
        }
    }

    fn settings_changed(&mut self, settings: ForwarderSettings, moment: Moment) {
        let ForwarderSettings { rules, connections, updates_per_day, .. } = settings;
        if rules.routes != self.rules.routes {
            // Profiles that wait for Target to have them may take another route now.
            self.look_at = Some(moment.wall);
            self.looks_at_all = true;
        }
        (self.rules, self.connections) = (rules, connections);
        // The token may be another one.
        (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
        self.quota.set_limit(updates_per_day);
        // So may the proxy, certificates, and whatever else was in the way.
        let before = self.link.state();
        if self.link.way_changed(moment.elapsed) {
            self.news.push(News::Probing("the configuration was reloaded"));
            self.let_all_try();
        }
        if self.link.state() != before {
            self.news.push(News::Link);
        }
        self.may_have_more = true;
        // The claims were read for the old rules.
        self.release_unsent(moment);
    }

    fn claimed(&mut self, claims: Result<Claims, StoreFailed>, moment: Moment, chance: f64) {
        self.busy.is_claiming = false;
        match claims {
            // No new work is started.
            Ok(claims) if self.is_stopping => self.released += claims.claims.len(),
            Ok(claims) => {
                self.may_have_more |= claims.claims.len() >= self.asked;
                if claims.claims.is_empty() && self.is_careful {
                    // All pending profiles have failed: the next probe goes to one of them.
                    (self.probes_failed, self.may_have_more) = (true, true);
                }
                self.backlog = claims.backlog;
                if let Some(quota) = claims.quota {
                    self.quota = quota;
                }
                self.claims.extend(claims.claims);
            }
            Err(_) => self.store_failed(moment, chance),
        }
    }

    fn due(&mut self, due: Result<ReadBacks, StoreFailed>, moment: Moment, chance: f64) {
        self.busy.is_claiming = false;
        // Profiles in flight or in a batch are still due.
        let soonest = moment.wall.plus(DUE_INTERVAL);
        match due {
            Ok(due) => {
                let is_more = due.due.len() >= self.asked_due;
                // Times decided since the query count too.
                let promised = self.due_promises.first(moment.elapsed);
                let next = [due.next, self.due_at, promised].into_iter().flatten().min();
                self.due_at = if is_more { Some(moment.wall) } else { next.map(|next| next.max(soonest)) };
                due.due.into_iter().for_each(|(claim, is_lost)| self.read_back(claim, is_lost, moment));
            }
            Err(_) => {
                self.due_at = Some(soonest);
                self.store_failed(moment, chance);
            }
        }
    }

    fn looked(&mut self, next: Result<Option<Timestamp>, StoreFailed>, moment: Moment, chance: f64) {
        self.busy.is_looking = false;
        let soonest = moment.wall.plus(DUE_INTERVAL);
        match next {
            Ok(next) => {
                // Times decided since the query, or shortly before, count too.
                let promised = self.look_promises.first(moment.elapsed);
                let next = [next, self.look_at, promised].into_iter().flatten().min();
                self.look_at = next.map(|next| next.max(soonest));
                self.may_have_more = true;
            }
            Err(_) => {
                self.look_at = Some(soonest);
                self.store_failed(moment, chance);
            }
        }
    }

    fn noted(&mut self, profile_ids: Vec<i64>, result: &Result<(), StoreFailed>, moment: Moment, chance: f64) {
        self.busy.is_noting = false;
        if result.is_err() {
            self.store_failed(moment, chance);
        }
        for profile_id in profile_ids {
            let Some(flight) = self.flights.get_mut(&profile_id) else { continue };
            flight.is_noted = result.is_ok();
            if result.is_ok() && !self.is_stopping {
                self.ready(profile_id, moment, chance);
            } else {
                self.end(profile_id, moment, chance);
            }
        }
    }

    /// Ends a flight whose request was not made; the profile rests a moment, so that it is not claimed at once again.
    fn unsent(&mut self, profile_id: i64, moment: Moment, chance: f64) {
        self.reading.remove(&profile_id);
        self.sending.remove(&profile_id);
        self.setbacks.rest(profile_id, moment.elapsed + UNSENT_WAIT, UNSENT);
        self.end(profile_id, moment, chance);
    }

    fn settled(&mut self, result: &Result<(), StoreFailed>, moment: Moment, chance: f64) {
        self.busy.settling -= 1;
        match result {
            Ok(()) => self.store_failures = 0,
            Err(_) => self.store_failed(moment, chance),
        }
        self.may_have_more = true;
    }

    fn retracted(&mut self, result: &Result<(), StoreFailed>, moment: Moment, chance: f64) {
        self.busy.is_retracting = false;
        let retracting = self.retracting.take();
        if result.is_err() {
            let (mut void, mut since) = retracting.unwrap_or_default();
            if let Some((newer, newer_since)) = self.void.take() {
                void.extend(newer);
                since = since.min(newer_since);
            }
            self.void = Some((void, since));
            self.store_failed(moment, chance);
        }
    }

    /// Reserves the quota that a claim needs.
    pub(super) fn reserve(&mut self, flight: &mut Flight) {
        if flight.is_quota_bound() {
            flight.reserved = flight.plan.budget;
            self.spoken_for += flight.reserved;
        }
    }

    pub(super) fn settle(&mut self, settle: Settle, moment: Moment) {
        self.settlements.push(settle);
        self.settle_at.get_or_insert(moment.elapsed + SETTLE_DELAY);
    }

    /// Releases what is not in flight, and undoes its records.
    pub(super) fn release_unsent(&mut self, moment: Moment) {
        self.released += self.claims.len();
        self.claims.clear();
        let queues = [&mut self.to_read, &mut self.to_note, &mut self.to_send];
        let unsent: Vec<i64> = queues.into_iter().flat_map(std::mem::take).collect();
        for profile_id in unsent {
            if self.flights.get(&profile_id).is_some_and(|flight| flight.purpose != Purpose::Deliver) {
                // It was not requested yet, and is still due.
                self.flights.remove(&profile_id);
                self.due_at = Some(moment.wall);
                continue;
            }
            self.end(profile_id, moment, 1.0);
        }
        for Candidate { claim, route, readings, learned, reads, log, .. } in std::mem::take(&mut self.candidates) {
            let mut flight = Flight::new(claim, Purpose::Deliver, Plan::unsent(route));
            (flight.readings, flight.learned, flight.reads) = (readings, learned, reads);
            flight.gave_way = log.is_some();
            self.end_flight(flight, moment, 1.0);
        }
        self.may_have_more = true;
    }
}
