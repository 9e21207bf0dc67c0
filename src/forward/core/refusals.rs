//! A refusal that affects every update is the fault of the link, not of the update.
//!
//! A gateway, a wrong client code or an outage may answer every update with the same 4xx. So the same refusal for
//! several profiles in a row, with no acceptance in between, makes the earlier ones void; a profile that is refused
//! again after others were accepted is refused permanently.

use std::collections::HashMap;

use crate::adobe::{Outcome, Refused};
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;

/// Number of profiles in a row with the same refusal from which it affects everybody. Source: docs/promises.md.
const EVERYBODY: usize = 3;

/// Most profiles that are remembered as refused together with all others.
const SUSPECTS_MAX: usize = 1_000;

/// The refusal of something that cannot be divided: an update, a single attribute, a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct No {
    /// HTTP status.
    pub(super) status: u16,
    /// Reason for the rejection, if the update is the cause.
    pub(super) reason: Reason,
    /// Description of the refusal.
    pub(super) detail: String,
}

impl No {
    /// Returns the refusal in an outcome, if there is one.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Refused(refused @ Refused { status, .. }) => {
                Some(Self { status: *status, reason: Reason::RefusedByTarget, detail: refused.to_string() })
            }
            Outcome::TooLarge => {
                let detail = "Target answered that it is too large".to_owned();
                Some(Self { status: 413, reason: Reason::TooLarge, detail })
            }
            _ => None,
        }
    }
}

/// The meaning of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The update itself is refused.
    Its,
    /// Every update is refused. The refusals of these profiles since that time are void.
    Everybody(Vec<i64>, Timestamp),
}

/// The refusals since the last acceptance.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    accepted: u64,
    status: u16,
    streak: Vec<i64>,
    since: Timestamp,
    /// True if the refusals affect everybody, and nothing has been accepted since.
    is_everybody: bool,
    /// Profiles that were refused with all others, with the number of acceptances at that time.
    suspects: HashMap<i64, u64>,
}

impl Refusals {
    /// Returns the number of acceptances so far.
    pub(super) const fn accepted_count(&self) -> u64 {
        self.accepted
    }

    /// Records that Target accepted an update.
    pub(super) fn accepted(&mut self) {
        self.accepted += 1;
        self.streak.clear();
        self.is_everybody = false;
    }

    /// Judges a refusal of a profile's update with a status.
    pub(super) fn refused(&mut self, profile_id: i64, status: u16, at: Timestamp) -> Refusal {
        if self.suspects.get(&profile_id).is_some_and(|accepted| *accepted < self.accepted) {
            self.suspects.remove(&profile_id);
            return Refusal::Its;
        }
        // The same refuser may use another status, or an intermediary may refuse as well.
        if !self.is_everybody && (self.status != status || self.streak.is_empty()) {
            self.streak.clear();
            (self.status, self.since) = (status, at);
        }
        if !self.streak.contains(&profile_id) {
            self.streak.push(profile_id);
        }
        if self.streak.len() < EVERYBODY {
            return Refusal::Its;
        }
        let is_news = !std::mem::replace(&mut self.is_everybody, true);
        if self.suspects.len() >= SUSPECTS_MAX {
            self.suspects.clear();
        }
        let all = self.streak.iter().map(|profile_id| (*profile_id, self.accepted));
        self.suspects.extend(all);
        let before = self.streak.iter().copied().filter(|before| *before != profile_id);
        let void = if is_news { before.collect() } else { Vec::new() };
        // The list is bounded: later refusals affect everybody as well.
        self.streak.truncate(EVERYBODY + 1);
        Refusal::Everybody(void, self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn the_third_profile_in_a_row_makes_the_two_before_void() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.refused(1, 404, AT), Refusal::Its);
        assert_eq!(refusals.refused(1, 404, AT), Refusal::Its, "one profile is no crowd");
        assert_eq!(refusals.refused(2, 404, AT), Refusal::Its);
        assert_eq!(refusals.refused(3, 404, AT), Refusal::Everybody(vec![1, 2], AT));
        assert_eq!(refusals.refused(4, 404, AT), Refusal::Everybody(Vec::new(), AT));
        assert_eq!(refusals.refused(5, 404, AT), Refusal::Everybody(Vec::new(), AT));
    }

    #[test]
    fn what_is_accepted_between_or_another_status_ends_the_row() {
        let mut refusals = Refusals::default();
        refusals.refused(1, 400, AT);
        refusals.refused(2, 400, AT);
        refusals.accepted();
        assert_eq!(refusals.refused(3, 400, AT), Refusal::Its);
        refusals.refused(4, 400, AT);
        assert_eq!(refusals.refused(5, 404, AT), Refusal::Its);
    }

    #[test]
    fn once_everybody_is_refused_another_status_is_everybody_s_too_until_one_is_accepted() {
        let mut refusals = Refusals::default();
        (1..=3).for_each(|profile| drop(refusals.refused(profile, 400, AT)));
        assert_eq!(refusals.refused(1, 404, AT), Refusal::Everybody(Vec::new(), AT));
        assert_eq!(refusals.refused(9, 400, AT), Refusal::Everybody(Vec::new(), AT));
        refusals.accepted();
        assert_eq!(refusals.refused(10, 404, AT), Refusal::Its);
    }

    #[test]
    fn three_that_are_refused_again_after_others_were_accepted_are_refused_for_good() {
        let mut refusals = Refusals::default();
        (1..=3).for_each(|profile| drop(refusals.refused(profile, 400, AT)));
        refusals.accepted();
        for profile in 1..=3 {
            assert_eq!(refusals.refused(profile, 400, AT), Refusal::Its);
        }
    }
}
