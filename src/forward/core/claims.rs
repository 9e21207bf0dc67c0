//! The next claims: pages of the outbox, profiles to be read back, and profiles to look for.

use std::time::Duration;

use super::step::DUE_MAX;
use super::{Action, Ask, Core, Moment};
use crate::core::forwarding::link::Permit;
use crate::core::forwarding::route::Mode;
use crate::core::limits::OUTBOX_PAGE_PROFILES;

/// Time that a page should last.
const PAGE_TIME: Duration = Duration::from_millis(20);

/// Claims for a probe, of which one is sent.
const PROBE_CLAIMS: usize = 16;

impl Core {
    /// Claims more before the present claims are used up; also profiles to be read back or looked for.
    pub(super) fn claim(&mut self, permit: Permit, moment: Moment) -> Option<Action> {
        if self.busy.is_claiming {
            return None;
        }
        let now = moment.elapsed;
        let is_probe = permit == Permit::Probe;
        let is_low = self.claims.len() <= if is_probe { 0 } else { self.page_size / 2 };
        // There are too many profiles waiting for a batch to remember: they would be claimed again and again.
        let is_shut = self.batches.opens_at(now).is_some() && self.setbacks.is_full(now);
        let is_waiting = is_shut || self.candidates.len() >= self.add_max || is_probe && !self.flights.is_empty();
        if self.may_have_more && is_low && !is_waiting && self.has_room(moment) {
            self.may_have_more = false;
            self.busy.is_claiming = true;
            let ask = self.ask(is_probe, moment);
            self.asked = ask.limit;
            return Some(Action::Claim(ask));
        }
        // Pending profiles go first; if there are none, a read-back is the probe.
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

    /// Returns true if a profile claimed now could be sent.
    pub(super) fn has_room(&mut self, moment: Moment) -> bool {
        self.can_batch() || self.quota_left(moment) > 0
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
            hands_over: false,
            is_probe,
        }
    }
}

/// Returns the size of the next page, given that one of size `last` lasted for `elapsed`.
fn page_size(last: usize, elapsed: Duration, connections: usize) -> usize {
    let fitting = last as u128 * PAGE_TIME.as_micros() / elapsed.as_micros().max(1);
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(connections, OUTBOX_PAGE_PROFILES.max(connections))
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
