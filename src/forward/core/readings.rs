//! The consequences of reading a profile, or of failing to.

use std::time::Duration;

use super::flight::{Flight, Purpose};
use super::{Core, Moment, News, Settle};
use crate::adobe::{FetchedProfile, Reply};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::link::Signal;
use crate::core::forwarding::route::route;
use crate::core::timestamp::Timestamp;
use crate::forward::judge::{By, judge};
use crate::store::{Claim, ReadBack, Verified};

/// Unreadable profiles in a row after which the profiles are not the cause.
const UNREADABLE_MAX: usize = 10;

/// Refusals to read in a row after which reading is refused for everybody.
const DENIED_MAX: u32 = 3;

/// Time for which profiles are not read after Target has refused that.
const READS_DENIED_TIME: Duration = Duration::from_secs(5 * 60);

/// Time after a successful read within which a refusal is treated as temporary.
const READ_OF_LATE: Duration = Duration::from_secs(30);

/// Time that a profile waits if it could not be read back.
pub(super) const POSTPONED: Duration = Duration::from_secs(60 * 60);

impl Core {
    /// Starts reading a profile back.
    pub(super) fn read_back(&mut self, claim: Claim, is_lost: bool, moment: Moment) {
        let why = if is_lost { ReadBack::Ambiguous } else { ReadBack::Sample };
        if is_lost && !self.is_shared() {
            // It is not read, so its state is sent once more.
            let delivered = claim.basis.iter().flatten().filter(|basis| basis.delivered_version == basis.version);
            let lost = delivered.map(|basis| (basis.name.clone(), basis.version)).collect();
            let verified = Verified { lost, at: moment.wall, ..Verified::default() };
            self.settle(Settle::ReadBack(claim, verified, moment.quota), moment);
            return;
        }
        if let Some(wait) = self.reads_open_in(moment) {
            return self.settle(Settle::Postpone(claim, moment.wall.plus(wait)), moment);
        }
        let plan = self.plan(&claim, moment);
        let profile_id = claim.profile_id;
        self.flights.insert(profile_id, Flight::new(claim, Purpose::ReadBack(why), plan));
        self.to_read.push_back(profile_id);
    }

    pub(super) fn read(&mut self, profile_id: i64, reply: Reply, date: Option<Timestamp>, moment: Moment, chance: f64) {
        self.reading.remove(&profile_id);
        let Some(mut flight) = self.flights.remove(&profile_id) else { return };
        let is_own_words = !matches!(reply, Reply::Failed(_));
        if is_own_words {
            flight.reads += 1;
            self.told_time(date, moment);
            if !self.updates_fail {
                self.observe(Signal::Answered, moment, chance);
            }
        }
        let (found, existence) = match reply {
            Reply::Found(profile) => (Some(profile), Some(Existence::Yes)),
            Reply::Missing => (Some(FetchedProfile::default()), Some(Existence::No)),
            Reply::Denied(reason) => {
                self.denied += 1;
                let passes_until = self.read_at.map(|at| at + READ_OF_LATE).filter(|until| moment.elapsed < *until);
                if self.denied < DENIED_MAX || passes_until.is_some() {
                    return self.wait_for_reading(flight, passes_until, moment, chance);
                }
                self.deny_reads(reason, moment);
                (None, None)
            }
            Reply::Unreadable(reason) => {
                self.unreadable.insert(profile_id);
                if self.unreadable.len() >= UNREADABLE_MAX {
                    self.deny_reads(reason, moment);
                }
                (None, None)
            }
            Reply::Failed(outcome) => {
                flight.reads += i64::from(outcome.reached_target());
                flight.outcome = Some(outcome.clone());
                self.judge_outcome(profile_id, &outcome, moment, chance);
                return self.end_flight(flight, moment, chance);
            }
        };
        if found.is_some() {
            self.read_at = Some(moment.elapsed);
            self.unreadable.clear();
            (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
        }
        flight.learned = existence;
        if let Purpose::ReadBack(_) = flight.purpose {
            return self.was_read_back(flight, found.as_ref(), moment);
        }
        let by = found.as_ref().map_or(By::Memory, By::Reading);
        let basis = flight.claim.basis.take().unwrap_or_default();
        let judgement = judge(basis, &flight.claim.sends, by, self.skew, moment.wall);
        if let Some(existence) = existence {
            self.reroute(&mut flight, existence, moment);
        }
        if judgement.is_groundless && self.can_read(moment) {
            // Only this profile cannot be read, and nothing was sent of it before: our sum would overwrite the others'.
            return self.step_aside(flight, moment, chance);
        }
        let read_at = found.is_some().then_some(flight.asked_at);
        self.judged(flight, &judgement, read_at, moment, chance);
    }

    /// Chooses the route again once it is known whether Target has the profile, with the quota as it is now.
    fn reroute(&mut self, flight: &mut Flight, existence: Existence, moment: Moment) {
        self.spoken_for -= std::mem::take(&mut flight.reserved);
        let situation = &mut flight.plan.situation;
        situation.existence = existence;
        situation.is_quota_spent = self.quota.left(moment.quota.at) <= self.spoken_for;
        flight.plan.route = route(self.rules.routes, *situation);
        self.reserve(flight);
    }

    /// Sets a profile aside by itself, for longer each time.
    pub(super) fn step_aside(&mut self, flight: Flight, moment: Moment, chance: f64) {
        let accepted = self.refusals.accepted_count();
        let why = "the profile cannot be read, and what others wrote would be undone";
        self.setbacks.put(flight.claim.profile_id, moment.elapsed, chance, accepted, why);
        self.end_flight(flight, moment, chance);
    }

    /// Waits after a refusal to read. Perhaps the token has just expired, and updates will be refused too. No profile
    /// waits longer than until it is known whether the refusal is temporary.
    fn wait_for_reading(&mut self, flight: Flight, known_at: Option<Duration>, moment: Moment, chance: f64) {
        let profile_id = flight.claim.profile_id;
        self.step_aside(flight, moment, chance);
        if let Some(known_at) = known_at {
            self.setbacks.no_later(profile_id, known_at);
        }
    }

    /// Stops reading for a while because it is refused for everybody; updates continue without it.
    fn deny_reads(&mut self, reason: String, moment: Moment) {
        self.reads_denied_until = moment.elapsed + READS_DENIED_TIME;
        self.unreadable.clear();
        if self.reads_denied.as_ref() != Some(&reason) {
            self.reads_denied = Some(reason.clone());
            self.news.push(News::Reads(Some(reason)));
        }
    }

    fn was_read_back(&mut self, flight: Flight, found: Option<&FetchedProfile>, moment: Moment) {
        let Flight { mut claim, reads, learned, .. } = flight;
        let Some(found) = found else {
            return self.settle(Settle::Postpone(claim, moment.wall.plus(POSTPONED)), moment);
        };
        let basis = claim.basis.take().unwrap_or_default();
        let judgement = judge(basis, &claim.sends, By::Reading(found), self.skew, moment.wall);
        let (arrived, lost) = judgement.arrived();
        if !lost.is_empty() {
            self.news.push(News::NotArrived(lost.len()));
            self.may_have_more = true;
        }
        let again_at = self.read_back_at(&claim.sends, moment);
        let existence = learned.unwrap_or_default();
        // A late attempt of ours must not overwrite theirs.
        let gave_way = judgement.give_way(&mut claim.sends);
        let sends = gave_way.then(|| claim.sends.clone());
        let verified = Verified { arrived, lost, existence, at: moment.wall, again_at, reads, sends };
        self.settle(Settle::ReadBack(claim, verified, moment.quota), moment);
    }
}
