//! Taking in what happened.

use std::time::Duration;

use super::batches::{self, NotTaken};
use super::flight::{Flight, Plan, Purpose, RENEWED_AFTER};
use super::refusals::{No, Refusal};
use super::setbacks::NO_BATCH;
use super::step::{CANDIDATES_MAX, DUE_INTERVAL};
use super::{BatchCame, Candidate, Core, Filling, ForwarderSettings, Input, Moment, News, Settle, StoreFailed};
use crate::adobe::{BatchStatus, FetchedProfile, Outcome, Reply};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::link::{LinkState, Signal};
use crate::core::forwarding::route::{Mode, Route, UpdateApi, route};
use crate::core::limits::{MISSING_LOOK_MAX, MISSING_LOOK_MIN, MISSING_TIME, READ_BACK_FIRST};
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::forward::judge::{By, Judgement, Skew, judge};
use crate::store::{BatchHead, BatchState, Claim, Ending, ReadBack, SendLog, SettledRows, Settlement, Verified};

/// How long a delivery may wait to be written down with others. Each commit is a wait for the disk, and wear of a flash
/// card; a power cut before it means no more than that the same states are sent again.
const SETTLE_DELAY: Duration = Duration::from_millis(25);

/// Profiles that cannot be read, with none between that can, after which it is not them.
const UNREADABLE_MAX: usize = 10;

/// Times in a row that reading is refused, after which it is refused for everybody.
const DENIED_MAX: u32 = 3;

/// For how long profiles are not read after Target has refused that: then it is tried again.
const READS_DENIED_TIME: Duration = Duration::from_secs(5 * 60);

/// How long after a profile was read a refusal is taken as one that passes.
const READ_OF_LATE: Duration = Duration::from_secs(30);

/// Why profiles wait that have no place in the quota.
const QUOTA_SPENT: &str = "the quota of 24 hours is spent";

/// How long a profile that could not be read back waits.
const POSTPONED: Duration = Duration::from_secs(60 * 60);

impl Core {
    /// Takes in what happened. `chance` is from 0 up to 1, another one each time.
    pub fn take(&mut self, input: Input, moment: Moment, chance: f64) {
        match input {
            Input::OutboxChanged => {
                self.may_have_more = true;
                self.probes_failed = false;
            }
            Input::NetworkChanged => {
                if self.link.network_changed(moment.elapsed) {
                    self.news.push(News::Probing("the network changed"));
                }
                self.may_have_more = true;
            }
            Input::TokenChanged => {
                // With other credentials profiles may be readable too.
                (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
                if self.link.credentials_changed(moment.elapsed) {
                    self.news.push(News::Probing("the token changed"));
                }
            }
            Input::Settings(settings) => self.settings_changed(*settings, moment),
            Input::Claimed(claims) => {
                self.busy.is_claiming = false;
                match claims {
                    // Nothing is begun any more.
                    Ok(claims) if self.is_stopping => self.released += claims.claims.len(),
                    Ok(claims) => {
                        self.may_have_more |= claims.claims.len() >= self.asked;
                        if claims.claims.is_empty() && self.is_careful {
                            // All that are pending have failed: the next probe goes to one of them.
                            (self.probes_failed, self.may_have_more) = (true, true);
                        }
                        self.backlog = claims.backlog;
                        self.claims.extend(claims.claims);
                    }
                    Err(_) => self.store_failed(moment, chance),
                }
            }
            Input::Due(due) => {
                self.busy.is_claiming = false;
                match due {
                    Ok(due) => {
                        // Those that are in flight or in a batch are due still.
                        let soonest = moment.wall.plus(DUE_INTERVAL);
                        let is_more = due.due.len() >= self.asked_due;
                        // What was decided since it was asked counts too.
                        let promised = self.due_promises.first(moment.elapsed);
                        let next = [due.next, self.due_at, promised].into_iter().flatten().min();
                        self.due_at = if is_more { Some(moment.wall) } else { next.map(|next| next.max(soonest)) };
                        due.due.into_iter().for_each(|(claim, is_lost)| self.read_back(claim, is_lost, moment));
                    }
                    Err(_) => {
                        self.due_at = Some(moment.wall.plus(DUE_INTERVAL));
                        self.store_failed(moment, chance);
                    }
                }
            }
            Input::Looked(next) => {
                self.busy.is_looking = false;
                match next {
                    Ok(next) => {
                        // What was decided since it was asked, or shortly before, counts too.
                        let promised = self.look_promises.first(moment.elapsed);
                        let soonest = moment.wall.plus(DUE_INTERVAL);
                        let next = [next, self.look_at, promised].into_iter().flatten().min();
                        self.look_at = next.map(|next| next.max(soonest));
                        self.may_have_more = true;
                    }
                    Err(_) => {
                        self.look_at = Some(moment.wall.plus(DUE_INTERVAL));
                        self.store_failed(moment, chance);
                    }
                }
            }
            Input::Read(profile_id, reply, date) => self.read(profile_id, reply, date, moment, chance),
            Input::Noted(profile_ids, result) => {
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
            Input::Answered(profile_id, outcome, date) => self.answered(profile_id, &outcome, date, moment, chance),
            Input::Filled(claims, result) => self.filled(claims, result, moment, chance),
            Input::Settled(result) => {
                self.busy.settling -= 1;
                match result {
                    Ok(()) => self.store_failures = 0,
                    Err(_) => self.store_failed(moment, chance),
                }
                self.may_have_more = true;
            }
            Input::Retracted(result) => {
                self.busy.is_retracting = false;
                match result {
                    Ok(()) => self.retracting = None,
                    Err(_) => {
                        let (mut void, mut since) = self.retracting.take().unwrap_or_default();
                        if let Some((newer, newer_since)) = self.void.take() {
                            void.extend(newer);
                            since = since.min(newer_since);
                        }
                        self.void = Some((void, since));
                        self.store_failed(moment, chance);
                    }
                }
            }
            Input::Batch(id, came) => self.batch(id, came, moment, chance),
        }
    }

    fn settings_changed(&mut self, settings: ForwarderSettings, moment: Moment) {
        let ForwarderSettings { rules, connections, updates_per_day, .. } = settings;
        if rules.routes != self.rules.routes {
            // What waited for Target to have its profile may go another way now.
            self.look_at = Some(moment.wall);
            self.looks_at_all = true;
        }
        (self.rules, self.connections) = (rules, connections);
        // The token may be another one.
        (self.denied, self.reads_denied_until) = (0, Duration::ZERO);
        self.quota.set_limit(updates_per_day);
        // What was claimed was read for the old rules.
        self.release_unsent(moment);
    }

    /// A profile is to be read back.
    fn read_back(&mut self, claim: Claim, is_lost: bool, moment: Moment) {
        let why = if is_lost { ReadBack::Ambiguous } else { ReadBack::Sample };
        if is_lost && !self.is_shared() {
            // It is not read, so that its state is sent once more.
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

    fn read(&mut self, profile_id: i64, reply: Reply, date: Option<Timestamp>, moment: Moment, chance: f64) {
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
                let read_of_late = self.read_at.is_some_and(|at| moment.elapsed < at + READ_OF_LATE);
                if self.denied < DENIED_MAX || read_of_late {
                    // Perhaps the token has just expired; then updates are refused too.
                    return self.step_aside(flight, moment, chance);
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
            // It alone cannot be read, and nothing was sent of it before: its sum would undo others'.
            return self.step_aside(flight, moment, chance);
        }
        let read_at = found.is_some().then_some(flight.asked_at);
        self.judged(flight, &judgement, read_at, moment, chance);
    }

    /// It is known whether Target has the profile: that may be another way, and needs its place in the quota as it is now.
    fn reroute(&mut self, flight: &mut Flight, existence: Existence, moment: Moment) {
        self.spoken_for -= std::mem::take(&mut flight.reserved);
        let situation = &mut flight.plan.situation;
        situation.existence = existence;
        situation.is_quota_spent = self.quota.left(moment.quota.at) <= self.spoken_for;
        flight.plan.route = route(self.rules.routes, *situation);
        self.reserve(flight);
    }

    /// Takes the place in the quota that a claim needs.
    pub(super) fn reserve(&mut self, flight: &mut Flight) {
        if flight.is_quota_bound() {
            flight.reserved = flight.plan.budget;
            self.spoken_for += flight.reserved;
        }
    }

    /// A profile waits, it alone, for longer each time.
    fn step_aside(&mut self, flight: Flight, moment: Moment, chance: f64) {
        let accepted = self.refusals.accepted_count();
        let why = "the profile cannot be read, and what others wrote would be undone";
        self.setbacks.put(flight.claim.profile_id, moment.elapsed, chance, accepted, why);
        self.end_flight(flight, moment, chance);
    }

    /// Reading is refused for everybody: updates go on without it.
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
        // What is still to come late must not stand over theirs.
        let gave_way = gives_way(&mut claim.sends, &judgement);
        let sends = gave_way.then(|| claim.sends.clone());
        let verified = Verified { arrived, lost, existence, at: moment.wall, again_at, reads, sends };
        self.settle(Settle::ReadBack(claim, verified, moment.quota), moment);
    }

    /// A claim was judged: it goes on by its route.
    pub(super) fn judged(
        &mut self,
        mut flight: Flight,
        judgement: &Judgement,
        read_at: Option<Duration>,
        moment: Moment,
        chance: f64,
    ) {
        flight.readings.clone_from(&judgement.readings);
        flight.gave_way = gives_way(&mut flight.claim.sends, judgement);
        if !judgement.has_pending() {
            if flight.reads > 0 {
                // Target was heard, and nothing has to be sent.
                self.updates_fail = false;
                self.observe(Signal::Answered, moment, chance);
            }
            return self.end_flight(flight, moment, chance);
        }
        if flight.plan.route.api() == UpdateApi::Bulk {
            return self.goes_in_batch(flight, judgement, read_at, moment, chance);
        }
        let vanishes = flight.learned == Some(Existence::No)
            && self.rules.routes.creates_missing
            && flight.plan.route.api() == UpdateApi::Single;
        if vanishes {
            return self.wait_for_profile(flight, moment, chance);
        }
        flight.update = judgement.update(&flight.claim);
        self.goes_out(flight, moment, chance);
    }

    /// Target does not have the profile, and a single update would vanish: it is looked for again, more and more rarely.
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
        if batches::is_too_large(flight.claim.identity.key(), &row) {
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
            flight.refuse_all(Reason::TooLarge, "all that Target has of the profile is more than one batch may hold");
            return self.end_flight(flight, moment, chance);
        }
        self.news.push(News::Routed(flight.plan.route));
        self.spoken_for -= flight.reserved;
        let Flight { claim, plan, readings, learned, reads, gave_way, .. } = flight;
        let log = gave_way.then(|| claim.sends.clone());
        self.candidates.push_back(Candidate { claim, route: plan.route, row, readings, learned, reads, log });
    }

    /// What is to be sent of a claim is known: it is noted first, where others write the profile too.
    pub(super) fn goes_out(&mut self, flight: Flight, moment: Moment, chance: f64) {
        let profile_id = flight.claim.profile_id;
        if self.is_stopping || flight.update.0.is_empty() && !flight.claim.attributes.is_empty() {
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

    /// A claim may be sent.
    fn ready(&mut self, profile_id: i64, moment: Moment, chance: f64) {
        let Some(flight) = self.flights.get_mut(&profile_id) else { return };
        flight.divide();
        if flight.has_next() {
            self.to_send.push_back(profile_id);
        } else {
            self.end(profile_id, moment, chance);
        }
    }

    fn answered(&mut self, profile_id: i64, outcome: &Outcome, date: Option<Timestamp>, moment: Moment, chance: f64) {
        self.sending.remove(&profile_id);
        let Some(flight) = self.flights.get(&profile_id) else { return };
        if flight.is_quota_bound() && outcome.reached_target() {
            self.quota.spend(moment.quota.at);
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

    /// What is too large goes on in halves, which is a request more. Where the quota has no place for that, the profile waits:
    /// as a whole it would only be too large again.
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

    /// Target told its time.
    fn told_time(&mut self, date: Option<Timestamp>, moment: Moment) {
        if let Some(date) = date {
            self.skew = Skew::between(date, moment.wall);
        }
    }

    /// Takes in what an answer says of the link, and of the profile. Tells whether a refusal is the update's own.
    fn judge_outcome(&mut self, profile_id: i64, outcome: &Outcome, moment: Moment, chance: f64) -> bool {
        let accepted = self.refusals.accepted_count();
        match outcome {
            Outcome::Failing(_) | Outcome::Lost(_) => {
                let is_alone = self.setbacks.is_alone(profile_id, accepted);
                let why = "its last update failed, or had no answer";
                self.setbacks.put(profile_id, moment.elapsed, chance, accepted, why);
                if is_alone && self.link.state() == LinkState::Online {
                    // This update alone keeps failing: that says nothing of the others.
                    return true;
                }
            }
            Outcome::Delivered => {
                self.refusals.accepted();
                self.setbacks.remove(profile_id);
            }
            Outcome::Refused(_) | Outcome::TooLarge => {
                // What is divided has no answer yet: its parts will say whether it is the link.
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

    /// Whether a refusal is this update's; else it hits everybody, and those before it are void.
    fn is_refusal_its(&mut self, profile_id: i64, no: &No, moment: Moment, chance: f64) -> bool {
        let Refusal::Everybody(void, since) = self.refusals.refused(profile_id, no.status, moment.wall) else {
            return true;
        };
        for one in void.iter().chain([&profile_id]) {
            // What is on its way still is not rejected either, when it comes to its end.
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
        self.observe(Signal::Foreign(reason), moment, chance);
        false
    }

    pub(super) fn end(&mut self, profile_id: i64, moment: Moment, chance: f64) {
        if let Some(flight) = self.flights.remove(&profile_id) {
            self.end_flight(flight, moment, chance);
        }
    }

    /// A claim comes to its end: what came of it is to be written down, or it is simply released.
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
        // Of what could not be sent there may be more.
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
        // A delivery to a profile that exists keeps it alive. That is noted now and then.
        let renewed = (is_delivered && is_known && is_old).then_some(Existence::Yes);
        let is_lost = flight.is_lost();
        let sends = flight.true_log();
        let ambiguous = match self.is_shared() {
            // Also of what was found to have arrived: an older attempt may still come after it.
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
        let readings = std::mem::take(&mut flight.readings);
        let learned = flight.learned.or(renewed);
        let route = Some(flight.plan.route).filter(|_| requests > 0);
        let (look_at, reads, updates) = (flight.look_at, flight.reads, flight.updates);
        let (at, quota_time) = (moment.wall, moment.quota);
        // What was read is as old as the question.
        let read_at = at.minus(moment.elapsed.saturating_sub(flight.asked_at));
        move |claim| Settlement {
            claim,
            delivered,
            refused,
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

    /// A profile is to be read back at that time of this device.
    fn is_due(&mut self, at: Timestamp, moment: Moment) {
        self.due_at = Some(self.due_at.map_or(at, |due| due.min(at)));
        self.due_promises.add(at, moment.elapsed);
    }

    pub(super) fn settle(&mut self, settle: Settle, moment: Moment) {
        self.settlements.push(settle);
        self.settle_at.get_or_insert(moment.elapsed + SETTLE_DELAY);
    }

    /// Gives up what is not on its way. What was noted of it is undone.
    pub(super) fn release_unsent(&mut self, moment: Moment) {
        self.released += self.claims.len();
        self.claims.clear();
        let queues = [&mut self.to_read, &mut self.to_note, &mut self.to_send];
        let unsent: Vec<i64> = queues.into_iter().flat_map(std::mem::take).collect();
        for profile_id in unsent {
            if self.flights.get(&profile_id).is_some_and(|flight| flight.purpose != Purpose::Deliver) {
                // It was not asked for, and is due still.
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

    fn filled(&mut self, claims: usize, result: Result<BatchHead, StoreFailed>, moment: Moment, chance: f64) {
        self.released += claims;
        let Some(Filling { mut before, after: mut open }) = self.filling.take() else { return };
        match result {
            Ok(head) => {
                open.head = head;
                self.batches.put_back(open);
                self.fill_max = self.fill_max.saturating_mul(2).min(CANDIDATES_MAX);
            }
            Err(failed) => {
                match failed {
                    StoreFailed::NoRoom => {
                        if self.fill_max == 1 {
                            // There is room for none of those that wait for it.
                            self.release_unsent(moment);
                        }
                        self.fill_max = (self.fill_max / 2).max(1);
                        self.batches.no_room(moment.elapsed);
                        // It is sent as it is: what it delivers makes room.
                        before.close();
                    }
                    StoreFailed::Other => self.store_failed(moment, chance),
                }
                if before.head.id != 0 {
                    self.batches.put_back(before);
                }
                self.may_have_more = true;
            }
        }
    }

    fn batch(&mut self, id: i64, came: BatchCame, moment: Moment, chance: f64) {
        let now = moment.elapsed;
        let rows = self.batches.get(id).map_or(0, |open| open.head.rows);
        match came {
            BatchCame::Submitted(path, rows) => {
                self.refusals.accepted();
                self.rows_sent.push_back((moment.quota.at, rows));
                self.batches.submitted(id, path, rows, now, moment.quota.at);
                self.news.push(News::BatchSubmitted(rows));
                self.updates_fail = false;
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Empty => self.batches.end(id, Ending::Released, BatchState::GivenUp),
            BatchCame::Incomplete => {
                self.batches.incomplete(id, now);
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Stuck => {
                self.news.push(News::BatchGivenUp(rows, "Target got stuck with it"));
                self.batches.end(id, Ending::Released, BatchState::GivenUp);
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Complete(status) => {
                self.complete(id, status, rows, moment);
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Failed(outcome) if self.batches.is_submitted(id) => {
                let is_unknown = matches!(outcome, Outcome::Refused(_) | Outcome::TooLarge);
                self.batches.poll_failed(id, is_unknown, now, chance);
                self.heard_of_batch(&outcome, moment, chance);
            }
            BatchCame::Failed(outcome) => self.not_taken(id, rows, &outcome, moment, chance),
            BatchCame::Ended(settled) => self.batch_ended(id, settled, moment, chance),
            BatchCame::Store(_) => {
                self.batches.store_failed(id, now, chance);
                self.store_failed(moment, chance);
            }
        }
    }

    fn complete(&mut self, id: i64, status: BatchStatus, rows: usize, moment: Moment) {
        let sent_at = self.batches.get(id).map(|open| open.sent_at).unwrap_or_default();
        let unnamed = status.unnamed_failures(u64::try_from(rows).unwrap_or(u64::MAX));
        let read_back_at = moment.wall.plus(READ_BACK_FIRST);
        if unnamed > 0 {
            self.news.push(News::RowsUnnamed(unnamed));
        }
        let ending = Ending::Complete { failed: status.failed, is_uncertain: unnamed > 0, sent_at, read_back_at };
        self.batches.end(id, ending, BatchState::Complete);
    }

    fn not_taken(&mut self, id: i64, rows: usize, outcome: &Outcome, moment: Moment, chance: f64) {
        let now = moment.elapsed;
        match outcome {
            Outcome::Lost(_) => {
                let read_back_at = moment.wall.plus(READ_BACK_FIRST);
                self.news.push(News::BatchGivenUp(rows, "the answer to its submission was lost"));
                // Target may have them.
                self.rows_sent.push_back((moment.quota.at, rows));
                self.batches.lost(id, read_back_at, now, chance);
            }
            Outcome::Refused(_) | Outcome::TooLarge if rows > 1 => {
                self.news.push(News::BatchRefused(rows));
                self.batches.not_taken(id, NotTaken::Halve, now, chance);
                return self.observe(Signal::Answered, moment, chance);
            }
            outcome => match No::of(outcome) {
                Some(no) => return self.row_refused(id, no, moment, chance),
                None => self.batches.not_taken(id, NotTaken::Again, now, chance),
            },
        }
        self.heard_of_batch(outcome, moment, chance);
    }

    /// A batch of one row was refused.
    fn row_refused(&mut self, id: i64, no: No, moment: Moment, chance: f64) {
        let sole = self.batches.get(id).and_then(|open| open.sole).unwrap_or_default();
        let ending = match self.is_refusal_its(sole, &no, moment, chance) {
            true => {
                self.observe(Signal::Answered, moment, chance);
                Ending::Refused(no.reason, no.detail)
            }
            false => Ending::Released,
        };
        self.batches.end(id, ending, BatchState::GivenUp);
    }

    /// That batches fail says nothing of the rest, as long as that goes on.
    fn heard_of_batch(&mut self, outcome: &Outcome, moment: Moment, chance: f64) {
        let is_its =
            matches!(outcome, Outcome::Failing(_) | Outcome::Lost(_)) && self.link.state() == LinkState::Online;
        if !is_its {
            self.updates_fail = update_fails(outcome);
            self.heard(outcome, moment, chance);
        }
    }

    fn batch_ended(&mut self, id: i64, settled: SettledRows, moment: Moment, chance: f64) {
        self.batches.ended(id, moment.elapsed, chance);
        let SettledRows { delivered, failed, .. } = settled;
        if delivered + failed > 0 {
            self.news.push(News::BatchEnded { delivered, failed });
        }
        if self.batches.opens_at(moment.elapsed).is_none() {
            self.setbacks.release(NO_BATCH);
        }
        // Its rows may be due for a reading, whichever way it ended: the store knows when.
        self.due_at = Some(moment.wall);
        self.may_have_more = true;
    }
}

/// Notes what ours gives way to while an attempt of ours is lost, which may come over it. Tells whether there was any.
fn gives_way(log: &mut SendLog, judgement: &Judgement) -> bool {
    let mut gave_way = false;
    for (name, version, theirs) in judgement.gives_way() {
        if log.of(name).iter().any(|sent| sent.is_lost) {
            log.give_way(name, version, theirs);
            gave_way = true;
        }
    }
    gave_way
}

/// Whether updates fail, though Target can be reached: then a profile that can be read says nothing of them.
const fn update_fails(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failing(_) | Outcome::Lost(_) | Outcome::Foreign(_) | Outcome::Unauthorized(_) | Outcome::Throttled(_)
    )
}
