//! The decision on the next step.

use std::time::Duration;

use super::flight::{Flight, Purpose};
use super::rows::CANDIDATES_MAX;
use super::setbacks::NO_BATCH;
use super::{Action, Core, Moment, News};
use crate::core::forwarding::link::Permit;
use crate::forward::judge::{By, fresh, judge};
use crate::store::Claim;

/// Claims that are decided ahead if they must be recorded first: one commit serves for all of them.
const AHEAD: usize = 256;

/// Most deliveries recorded at once.
const SETTLEMENTS_MAX: usize = 1_024;

/// Most profiles read back at once.
pub(super) const DUE_MAX: usize = 20;

/// Wait from which claims are released, because they may have changed by its end.
const LONG_WAIT: Duration = Duration::from_millis(500);

impl Core {
    /// Decides the next step. Call it again until it says to wait.
    pub fn next(&mut self, moment: Moment) -> Action {
        let now = moment.elapsed;
        if self.wake_at.take_if(|at| *at <= now).is_some() {
            self.may_have_more = true;
        }
        self.show_reads(moment);
        self.show_quota(moment);
        if let Some(action) = self.write_down(now) {
            return action;
        }
        if self.is_stopping {
            return Action::Wait(self.settle_at);
        }
        if now < self.store_wait_until {
            self.release_unsent(moment);
            return self.wait(moment, Some(self.store_wait_until));
        }
        let permit = self.link.permit(now);
        if let Permit::WaitUntil(until) = permit {
            if until.saturating_sub(now) >= LONG_WAIT {
                self.release_unsent(moment);
            }
            let batch = self.batch_step(moment, false);
            return match batch {
                Ok(action) => action,
                Err(wake) => self.wait(moment, earliest(Some(until), wake)),
            };
        }
        self.work(permit, moment)
    }

    /// Starts no more work; requests in flight are completed.
    pub fn stop(&mut self, moment: Moment) {
        self.is_stopping = true;
        self.release_unsent(moment);
    }

    /// Returns the profiles with requests in flight.
    #[must_use]
    pub fn unanswered(&self) -> Vec<i64> {
        self.sending.iter().copied().collect()
    }

    /// Records the results of deliveries, when due, and void refusals.
    fn write_down(&mut self, now: Duration) -> Option<Action> {
        let is_due = self.settle_at.is_some_and(|at| at <= now) || self.settlements.len() >= SETTLEMENTS_MAX;
        if is_due || self.is_stopping && !self.settlements.is_empty() {
            self.settle_at = None;
            self.busy.settling += 1;
            return Some(Action::Settle(std::mem::take(&mut self.settlements)));
        }
        let may_write = self.is_stopping || now >= self.store_wait_until;
        if may_write && self.settlements.is_empty() && self.busy.settling == 0 && !self.busy.is_retracting {
            let (void, since) = self.void.take()?;
            self.retracting = Some((void.clone(), since));
            self.busy.is_retracting = true;
            return Some(Action::Retract(void, since));
        }
        None
    }

    fn work(&mut self, permit: Permit, moment: Moment) -> Action {
        let now = moment.elapsed;
        if let Some(every) = self.rules.hands_over {
            return self.hand_over_step(permit, every, moment);
        }
        let in_flight = self.in_flight();
        // A probe goes alone, also beside a batch.
        let beside = usize::from(permit == Permit::Probe && self.batches.is_busy());
        let places = permit.places(in_flight + beside, self.connections);
        self.decide(permit, places, moment);
        if !self.busy.is_noting
            && let Some(note) = self.note(moment)
        {
            return note;
        }
        if places > 0
            && let Some(action) = self.send(now)
        {
            return action;
        }
        if let Some(add) = self.add_rows(moment) {
            return add;
        }
        let may_send = permit != Permit::Probe || in_flight == 0;
        let batch_wake = match self.batch_step(moment, may_send) {
            Ok(action) => return action,
            Err(wake) => wake,
        };
        match self.claim(permit, moment) {
            Some(action) => action,
            None => {
                let waits = self.setbacks.next(now).into_iter().chain(self.batches.opens_at(now)).min();
                self.wait(moment, earliest(batch_wake, waits))
            }
        }
    }

    /// Decides the routes of claims, as far ahead as is useful.
    fn decide(&mut self, permit: Permit, places: usize, moment: Moment) {
        let ahead = match permit {
            Permit::Probe => 1,
            _ if self.is_shared() => AHEAD,
            _ => places,
        };
        while self.to_read.len() + self.to_note.len() + self.to_send.len() < ahead {
            let Some(claim) = self.pick(permit) else { return };
            self.decide_one(claim, moment);
            if self.candidates.len() >= CANDIDATES_MAX {
                return;
            }
        }
    }

    /// Returns the next claim; for a probe, the one that has failed least.
    fn pick(&mut self, permit: Permit) -> Option<Claim> {
        if permit != Permit::Probe {
            return self.claims.pop_front();
        }
        let failures = |place: &usize| self.setbacks.failures(self.claims[*place].profile_id);
        let place = (0..self.claims.len()).min_by_key(failures)?;
        self.claims.remove(place)
    }

    fn decide_one(&mut self, mut claim: Claim, moment: Moment) {
        let plan = self.plan(&claim, moment);
        let is_bulk = plan.route.api().facts().has_rows;
        if self.must_wait_for_quota(is_bulk, plan.situation.is_quota_spent) {
            self.released += 1;
            self.may_have_more = true;
            return;
        }
        if let Some(opens) = self.batches.opens_at(moment.elapsed).filter(|_| is_bulk) {
            // It would be read only to wait.
            self.setbacks.rest(claim.profile_id, opens, NO_BATCH);
            self.released += 1;
            return;
        }
        // An update that may overwrite others' values needs a read first: always for a row, otherwise if it has a total
        // or a late value.
        let is_shared = self.late_before(moment).is_some_and(|before| is_bulk || claim.is_shared(before));
        if (is_bulk || is_shared) && claim.basis.is_none() {
            self.wants_rows = true;
            self.released += 1;
            self.may_have_more = true;
            return;
        }
        let profile_id = claim.profile_id;
        let must_judge = is_bulk || is_shared;
        let reads = is_shared && self.can_read(moment);
        let basis = if must_judge && !reads { claim.basis.take() } else { None };
        let mut flight = Flight::new(claim, Purpose::Deliver, plan);
        self.reserve(&mut flight);
        if reads {
            self.flights.insert(profile_id, flight);
            self.to_read.push_back(profile_id);
        } else if let Some(basis) = basis {
            let by = if self.is_shared() { By::Memory } else { By::Alone };
            let judgement = judge(basis, &flight.claim.sends, by, self.skew, moment.wall);
            self.judged(flight, &judgement, None, moment, 1.0);
        } else {
            flight.update = fresh(&flight.claim, self.is_shared());
            self.goes_out(flight, moment, 1.0);
        }
    }

    /// Returns true if single updates must wait, because the quota is used up and there is no other route.
    const fn must_wait_for_quota(&self, is_bulk: bool, is_spent: bool) -> bool {
        is_spent && !is_bulk && !self.can_batch()
    }

    fn note(&mut self, moment: Moment) -> Option<Action> {
        let at = self.target_time(moment);
        let mut notes = Vec::new();
        while let Some(profile_id) = self.to_note.pop_front() {
            if let Some(flight) = self.flights.get_mut(&profile_id) {
                notes.push((profile_id, flight.note(at)));
            }
        }
        self.busy.is_noting = !notes.is_empty();
        (!notes.is_empty()).then_some(Action::Note(notes))
    }

    /// Returns the next request: judged updates first, then reads.
    fn send(&mut self, now: Duration) -> Option<Action> {
        while let Some(profile_id) = self.to_send.pop_front() {
            if let Some(request) = self.flights.get_mut(&profile_id).and_then(Flight::next) {
                self.link.sent(now);
                self.sending.insert(profile_id);
                return Some(Action::Send(profile_id, request));
            }
        }
        while let Some(profile_id) = self.to_read.pop_front() {
            if let Some(flight) = self.flights.get_mut(&profile_id) {
                flight.asked_at = now;
                self.link.sent(now);
                self.reading.insert(profile_id);
                return Some(Action::Read(profile_id, flight.claim.identity.clone()));
            }
        }
        None
    }

    fn wait(&mut self, moment: Moment, wake: Option<Duration>) -> Action {
        let now = moment.elapsed;
        let until = |at: crate::core::timestamp::Timestamp| now + at.since(moment.wall);
        let may_look = match self.link.permit(now) {
            Permit::WaitUntil(_) => false,
            Permit::Probe => self.flights.is_empty() && self.claims.is_empty(),
            _ => true,
        };
        // A request in progress needs no waking: its answer will come.
        let may_look = may_look && now >= self.store_wait_until;
        let may_read_back = may_look && !self.busy.is_claiming && self.to_read.len() < DUE_MAX;
        let due = self.due_at.filter(|_| may_read_back).map(until);
        let look = self.look_at.filter(|_| may_look && !self.busy.is_looking).map(until);
        let quota = if self.may_have_more && !self.has_room(moment) { self.quota_opens(moment) } else { None };
        let reads = (now < self.reads_denied_until).then_some(self.reads_denied_until);
        // Only these mean that there is more to claim; profiles to read back or to look for are not claimed.
        self.wake_at = [wake, quota, reads].into_iter().flatten().min();
        let waiting = [self.wake_at, due, look].into_iter().flatten().min();
        // A clock that stands still must not cause a busy loop.
        let soonest = now + Duration::from_millis(1);
        Action::Wait(waiting.into_iter().chain(self.settle_at).map(|at| at.max(soonest)).min())
    }

    /// Returns when the quota has room again, if it is used up.
    pub(super) fn quota_opens(&mut self, moment: Moment) -> Option<Duration> {
        let opens = self.quota.check(moment.quota.at).err()?;
        Some(moment.elapsed + opens.since(moment.quota.at))
    }

    /// Reports once that the quota is used up, and once that there is room again.
    fn show_quota(&mut self, moment: Moment) {
        let opens = self.quota.check(moment.quota.at).err();
        if self.is_quota_spent != opens.is_some() {
            self.is_quota_spent = opens.is_some();
            self.news.push(News::Quota(opens.map(|opens| opens.since(moment.quota.at))));
            self.may_have_more = true;
        }
    }

    /// Reports once that profiles are not read, and once that they are again.
    fn show_reads(&mut self, moment: Moment) {
        let is_spent = self.is_shared() && moment.reads_open_in.is_some();
        let is_denied = moment.elapsed < self.reads_denied_until;
        match (&self.reads_denied, is_denied || is_spent) {
            (None, true) if is_spent => {
                let reason = "the reads of 24 hours are spent".to_owned();
                self.reads_denied = Some(reason.clone());
                self.news.push(News::Reads(Some(reason)));
            }
            (Some(_), false) => {
                self.reads_denied = None;
                self.news.push(News::Reads(None));
                if self.is_shared() {
                    self.batches.release_unread();
                }
            }
            _ => {}
        }
    }
}

fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
