//! Deciding what to do next.

use std::time::Duration;

use super::batches::{Next, Outlook, Step, row_bytes};
use super::flight::{Flight, Purpose};
use super::setbacks::NO_BATCH;
use super::{Action, Ask, Candidate, Core, Filling, Moment, News};
use crate::adobe::bulk;
use crate::core::forwarding::link::Permit;
use crate::core::forwarding::route::{Mode, UpdateApi};
use crate::core::limits::{BATCH_ROWS_A_DAY, OUTBOX_PAGE_PROFILES, READ_BACK_FIRST};
use crate::forward::judge::{By, fresh, judge};
use crate::store::{BatchEntry, Claim};

/// What a page should last for.
const PAGE_TIME: Duration = Duration::from_millis(20);

/// Profiles that wait to be put in a batch, beyond which no more are claimed; and those that are put in at once.
pub(super) const CANDIDATES_MAX: usize = 2_048;

/// Claims of which it is decided ahead what is sent, where that is noted before: a note is one commit for all of them.
const AHEAD: usize = 256;

/// Claims for a probe: one of them is sent.
const PROBE_CLAIMS: usize = 16;

/// Deliveries that are written down at once.
const SETTLEMENTS_MAX: usize = 1_024;

/// Profiles that are read back in one go.
const DUE_MAX: usize = 20;

/// How long at least between two looks whether profiles are to be read back.
pub(super) const DUE_INTERVAL: Duration = Duration::from_secs(1);

/// A wait that is worth giving up what was claimed: it may change before its turn comes.
const LONG_WAIT: Duration = Duration::from_millis(500);

impl Core {
    /// Decides what to do next. It is asked again until it says to wait.
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

    /// Nothing is begun any more; what is on its way comes to its end.
    pub fn stop(&mut self, moment: Moment) {
        self.is_stopping = true;
        self.release_unsent(moment);
    }

    /// The profiles whose requests are on their way.
    #[must_use]
    pub fn unanswered(&self) -> Vec<i64> {
        self.sending.iter().copied().collect()
    }

    /// What came of deliveries, when it is time, and refusals that are void.
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
        if let Some(fill) = self.fill(moment) {
            return fill;
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

    /// Decides which way claims go, as far ahead as is worth it.
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

    /// The next claim: for a probe the one that has failed least.
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
        let is_bulk = plan.route.api() == UpdateApi::Bulk;
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
        // What may override others' is read first: a row always does, an update where it holds a total or a late value.
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

    /// Whether what goes singly must wait, since the quota is spent and there is no other way.
    const fn must_wait_for_quota(&self, is_bulk: bool, is_spent: bool) -> bool {
        is_spent && !is_bulk && matches!(self.rules.routes.mode, Mode::Single)
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

    /// The next request, of what was judged before what is to be read.
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

    /// Puts what waits for it in a batch.
    fn fill(&mut self, moment: Moment) -> Option<Action> {
        if self.filling.is_some() || self.candidates.is_empty() {
            return None;
        }
        let kind = self.candidates[0].claim.identity.kind();
        let api = bulk::version(kind, self.rules.routes.has_ecid);
        let rows_max = self.batches.rows_max();
        let mut open = self.batches.take_filling(kind, api, moment.elapsed);
        let mut before = open.clone();
        let (mut entries, mut claims, mut others) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(candidate) = self.candidates.pop_front() {
            let Candidate { claim, row, .. } = &candidate;
            if claim.identity.kind() != kind {
                others.push(candidate);
                continue;
            }
            if entries.len() >= self.fill_max {
                self.candidates.push_front(candidate);
                break;
            }
            if !open.add(claim.profile_id, claim.identity.key(), row, rows_max) {
                self.candidates.push_front(candidate);
                if entries.is_empty() {
                    // The batch was full: the next one begins with this.
                    self.batches.put_back(open);
                    open = self.batches.take_filling(kind, api, moment.elapsed);
                    before = open.clone();
                    continue;
                }
                break;
            }
            let Candidate { claim, route, row, readings, learned, reads, log } = candidate;
            let (profile_id, bytes) = (claim.profile_id, row_bytes(claim.identity.key(), &row));
            entries.push(BatchEntry { profile_id, route, row: row.attributes, readings, learned, reads, bytes, log });
            claims.push(claim);
        }
        others.into_iter().rev().for_each(|candidate| self.candidates.push_front(candidate));
        let batch = Some(open.head.id).filter(|id| *id != 0);
        self.filling = Some(Filling { before, after: open });
        Some(Action::Fill { batch, kind, api, entries, claims })
    }

    /// What is due with a batch, or when to look again.
    fn batch_step(&mut self, moment: Moment, may_send: bool) -> Result<Action, Option<Duration>> {
        let outlook = Outlook {
            now: moment.elapsed,
            quota: moment.quota.at,
            is_read: self.is_read(),
            bulk_above: self.rules.routes.bulk_above,
            may_send,
            can_batch: self.can_batch(),
            read_back_at: moment.wall.plus(READ_BACK_FIRST),
        };
        let (id, step) = match self.batches.next(outlook) {
            Next::Now(id, step) => (id, step),
            Next::WaitUntil(wake) => return Err(Some(wake)),
            Next::Nothing => return Err(None),
        };
        let rows_next = self.batches.get(id).map_or(0, |open| open.head.rows);
        if matches!(step, Step::Submit) {
            let rows = self.rows_today(moment) + rows_next;
            if u64::try_from(rows).unwrap_or(u64::MAX) > BATCH_ROWS_A_DAY {
                self.news.push(News::RowsSpent);
                self.batches.rows_spent(id, moment.elapsed);
                return self.batch_step(moment, may_send);
            }
        }
        self.batches.start(id, &step, moment.elapsed, self.target_time(moment));
        if !matches!(step, Step::End(..)) {
            self.link.sent(moment.elapsed);
        }
        Ok(match step {
            Step::Submit => {
                let open = self.batches.get(id).expect("it is open");
                Action::Submit(open.head.clone(), open.names())
            }
            Step::Poll(path) => Action::Poll(id, path),
            Step::End(ending, state) => Action::End(id, ending, state),
        })
    }

    /// Whether the outbox holds nothing more for a batch.
    fn is_read(&self) -> bool {
        !self.may_have_more
            && !self.busy.is_claiming
            && self.claims.is_empty()
            && self.to_read.is_empty()
            && self.reading.is_empty()
            && self.candidates.is_empty()
            && self.filling.is_none()
    }

    /// Claims more before what was claimed is used up; and what is to be read back, or looked for.
    fn claim(&mut self, permit: Permit, moment: Moment) -> Option<Action> {
        if self.busy.is_claiming {
            return None;
        }
        let now = moment.elapsed;
        let is_probe = permit == Permit::Probe;
        let is_low = self.claims.len() <= if is_probe { 0 } else { self.page_size / 2 };
        // Those that wait for a batch are more than can be remembered: they would be claimed again and again.
        let is_shut = self.batches.opens_at(now).is_some() && self.setbacks.is_full(now);
        let is_waiting = is_shut || self.candidates.len() >= self.fill_max || is_probe && !self.flights.is_empty();
        if self.may_have_more && is_low && !is_waiting && self.has_room(moment) {
            self.may_have_more = false;
            self.busy.is_claiming = true;
            let ask = self.ask(is_probe, moment);
            self.asked = ask.limit;
            return Some(Action::Claim(ask));
        }
        // What is pending goes first; where nothing is, a read-back is the probe.
        if is_probe && (!self.flights.is_empty() || !self.claims.is_empty()) {
            return None;
        }
        if self.due_at.is_some_and(|at| at <= moment.wall) && self.to_read.len() < DUE_MAX {
            self.busy.is_claiming = true;
            self.due_at = None;
            self.asked_due = if is_probe { 1 } else { DUE_MAX };
            return Some(Action::ClaimDue(self.asked_due));
        }
        if !self.busy.is_looking && self.look_at.is_some_and(|at| at <= moment.wall) {
            self.busy.is_looking = true;
            self.look_at = None;
            let all = std::mem::take(&mut self.looks_at_all);
            let until = if all { moment.wall.plus(crate::core::limits::MISSING_TIME) } else { moment.wall };
            return Some(Action::Look(until));
        }
        None
    }

    /// Whether anything could be sent that is claimed now.
    fn has_room(&mut self, moment: Moment) -> bool {
        self.rules.routes.mode != Mode::Single || self.quota_left(moment) > 0
    }

    fn ask(&mut self, is_probe: bool, moment: Moment) -> Ask {
        let now = moment.elapsed;
        self.page_size = page_size(self.page_size, now.saturating_sub(self.page_begun), self.connections);
        self.page_begun = now;
        let can_batch = self.can_batch();
        let backlog_max = if can_batch { self.rules.routes.bulk_above } else { 0 };
        let is_spent = self.quota_left(moment) == 0;
        let wants_rows = std::mem::take(&mut self.wants_rows);
        let rows = self.waiting_rows();
        // A probe goes to a profile that has not failed, as long as there is one.
        self.is_careful = is_probe && !self.probes_failed;
        Ask {
            limit: if is_probe && !can_batch { PROBE_CLAIMS } else { self.page_size },
            aside: if self.is_careful { self.setbacks.all() } else { self.setbacks.waiting(now) },
            backlog_max,
            late_before: self.late_before(moment),
            goes_in_batch: can_batch
                && (self.rules.routes.mode == Mode::Bulk || is_spent || wants_rows || rows > backlog_max),
            can_batch,
            is_probe,
        }
    }

    fn wait(&mut self, moment: Moment, wake: Option<Duration>) -> Action {
        let now = moment.elapsed;
        let until = |at: crate::core::timestamp::Timestamp| now + at.since(moment.wall);
        let may_look = match self.link.permit(now) {
            Permit::WaitUntil(_) => false,
            Permit::Probe => self.flights.is_empty() && self.claims.is_empty(),
            _ => true,
        };
        // What is asked for already needs no waking: its answer comes.
        let may_look = may_look && now >= self.store_wait_until;
        let may_read_back = may_look && !self.busy.is_claiming && self.to_read.len() < DUE_MAX;
        let due = self.due_at.filter(|_| may_read_back).map(until);
        let look = self.look_at.filter(|_| may_look && !self.busy.is_looking).map(until);
        let quota = if self.may_have_more && !self.has_room(moment) { self.quota_opens(moment) } else { None };
        let reads = (now < self.reads_denied_until).then_some(self.reads_denied_until);
        // Only these say that there is more to claim; what is to be read back or looked for is not claimed.
        self.wake_at = [wake, quota, reads].into_iter().flatten().min();
        let waiting = [self.wake_at, due, look].into_iter().flatten().min();
        // A clock that stands still must not make it turn.
        let soonest = now + Duration::from_millis(1);
        Action::Wait(waiting.into_iter().chain(self.settle_at).map(|at| at.max(soonest)).min())
    }

    /// When the quota has room again, while it is spent.
    pub(super) fn quota_opens(&mut self, moment: Moment) -> Option<Duration> {
        let opens = self.quota.check(moment.quota.at).err()?;
        Some(moment.elapsed + opens.since(moment.quota.at))
    }

    /// Tells once when the quota is spent, and once when there is room again.
    fn show_quota(&mut self, moment: Moment) {
        let opens = self.quota.check(moment.quota.at).err();
        if self.is_quota_spent != opens.is_some() {
            self.is_quota_spent = opens.is_some();
            self.news.push(News::Quota(opens.map(|opens| opens.since(moment.quota.at))));
            self.may_have_more = true;
        }
    }

    /// Tells once that profiles are not read, and once that they are again.
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

/// The size of the next page, when one of the size `last` lasted for `elapsed`.
fn page_size(last: usize, elapsed: Duration, connections: usize) -> usize {
    let fitting = last as u128 * PAGE_TIME.as_micros() / elapsed.as_micros().max(1);
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(connections, OUTBOX_PAGE_PROFILES.max(connections))
}

fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_is_sent_in_a_moment() {
        let check = |last, elapsed_ms, expected| {
            assert_eq!(page_size(last, Duration::from_millis(elapsed_ms), 4), expected, "{last} in {elapsed_ms} ms");
        };
        check(4, 0, OUTBOX_PAGE_PROFILES);
        check(4, 1, 80);
        check(80, 3, OUTBOX_PAGE_PROFILES);
        check(OUTBOX_PAGE_PROFILES, 10, OUTBOX_PAGE_PROFILES);
        check(90, 30, 60);
        check(OUTBOX_PAGE_PROFILES, 30_000, 4);
        check(4, 100, 4);
    }
}
