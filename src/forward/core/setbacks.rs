//! Profiles whose update alone keeps failing: each waits by itself, longer each time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::core::forwarding::backoff::backoff;
use crate::core::limits::ASIDE_PROFILES_MAX;

/// Failures after which the backoff has reached its longest wait.
const BACKOFF_FAILURES: u32 = 6;

/// Reason for profiles that wait for a batch.
pub(super) const NO_BATCH: &str = "no batch is taken at the moment";

/// Longest wait of a profile that alone keeps failing.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Profiles that wait by themselves, each with the reason and the end of the wait on the monotonic clock.
pub type Waits = HashMap<i64, (&'static str, Duration)>;

/// The profiles whose last attempt failed.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    profiles: HashMap<i64, Setback>,
    /// True if they have changed since they were last shown.
    is_changed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Setback {
    failures: u32,
    /// Failures with an acceptance of another profile in between.
    alone: u32,
    until: Duration,
    /// Number of acceptances by Target at that time.
    accepted: u64,
    /// Reason for its wait.
    why: &'static str,
}

impl Setbacks {
    /// Returns how often the profile has failed since its last answer.
    pub(super) fn failures(&self, profile_id: i64) -> u32 {
        self.profiles.get(&profile_id).map_or(0, |setback| setback.failures)
    }

    /// Returns true if others were accepted since the profile last failed, so that another failure says nothing about
    /// them.
    pub(super) fn is_alone(&self, profile_id: i64, accepted: u64) -> bool {
        self.profiles.get(&profile_id).is_some_and(|setback| setback.failures > 0 && accepted > setback.accepted)
    }

    /// Returns the profiles that wait by themselves, if that has changed since the last call.
    pub(super) fn take_changed(&mut self) -> Option<Waits> {
        std::mem::take(&mut self.is_changed)
            .then(|| self.profiles.iter().map(|(id, setback)| (*id, (setback.why, setback.until))).collect())
    }

    /// Sets a profile aside, for longer each time. `accepted` is the number of acceptances by Target.
    pub(super) fn put(&mut self, profile_id: i64, now: Duration, chance: f64, accepted: u64, why: &'static str) {
        let is_alone = self.is_alone(profile_id, accepted);
        let setback = self.entry(profile_id, now);
        setback.why = why;
        setback.failures = setback.failures.saturating_add(1);
        setback.alone = setback.alone.saturating_add(u32::from(is_alone));
        setback.accepted = accepted;
        // A profile that alone keeps failing is tried less often than a link that is down.
        let longer = 2_u32.pow(setback.alone.saturating_sub(BACKOFF_FAILURES).min(4));
        setback.until = now.saturating_add((backoff(setback.failures, chance) * longer).min(WAIT_MAX));
    }

    /// Sets a profile aside until a time, without counting a failure.
    pub(super) fn rest(&mut self, profile_id: i64, until: Duration, why: &'static str) {
        let setback = self.entry(profile_id, until);
        (setback.until, setback.why) = (until, why);
    }

    /// Shortens the wait of a profile to end no later than a time.
    pub(super) fn no_later(&mut self, profile_id: i64, until: Duration) {
        if let Some(setback) = self.profiles.get_mut(&profile_id).filter(|setback| setback.until > until) {
            setback.until = until;
            self.is_changed = true;
        }
    }

    fn entry(&mut self, profile_id: i64, until: Duration) -> &mut Setback {
        self.is_changed = true;
        if self.profiles.len() >= ASIDE_PROFILES_MAX && !self.profiles.contains_key(&profile_id) {
            let soonest = self.profiles.iter().min_by_key(|(_, setback)| setback.until).map(|(id, _)| *id);
            soonest.map(|id| self.profiles.remove(&id));
        }
        self.profiles.entry(profile_id).or_insert(Setback { failures: 0, alone: 0, until, accepted: 0, why: "" })
    }

    /// Removes a profile that has had its answer.
    pub(super) fn remove(&mut self, profile_id: i64) {
        self.is_changed |= self.profiles.remove(&profile_id).is_some();
    }

    /// Lets all profiles try at once, because the link is back and they may have failed only for its sake.
    pub(super) fn release_all(&mut self) {
        self.is_changed |= !self.profiles.is_empty();
        for setback in self.profiles.values_mut().filter(|setback| setback.failures > 0) {
            setback.until = Duration::ZERO;
        }
    }

    /// Lets profiles that wait for one reason try at once.
    pub(super) fn release(&mut self, why: &'static str) {
        for setback in self.profiles.values_mut().filter(|setback| setback.why == why) {
            self.is_changed = true;
            setback.until = Duration::ZERO;
        }
    }

    /// Returns the profiles that still wait.
    pub(super) fn waiting(&self, now: Duration) -> HashSet<i64> {
        self.profiles.iter().filter(|(_, setback)| setback.until > now).map(|(id, _)| *id).collect()
    }

    /// Returns the profiles that have failed or still wait: a probe uses another one.
    pub(super) fn all(&self) -> HashSet<i64> {
        self.profiles.keys().copied().collect()
    }

    /// Returns true if more profiles wait than can be remembered.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        let waiting = self.profiles.values().filter(|setback| setback.until > now).take(ASIDE_PROFILES_MAX);
        waiting.count() >= ASIDE_PROFILES_MAX
    }

    /// Returns when the next of them may try again.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        self.profiles.values().map(|setback| setback.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_lengthens_the_delay_of_that_profile_alone() {
        let mut setbacks = Setbacks::default();
        setbacks.put(1, Duration::ZERO, 1.0, 0, "");
        setbacks.put(1, SECOND, 1.0, 0, "");
        setbacks.put(2, SECOND, 1.0, 0, "");
        assert_eq!(setbacks.next(SECOND), Some(2 * SECOND));
        assert_eq!(setbacks.waiting(2 * SECOND), HashSet::from([1]));
        assert_eq!(setbacks.waiting(5 * SECOND), HashSet::new());
        assert_eq!((setbacks.failures(1), setbacks.failures(2), setbacks.failures(3)), (2, 1, 0));
    }

    #[test]
    fn a_profile_fails_alone_where_others_were_accepted_since() {
        let mut setbacks = Setbacks::default();
        assert!(!setbacks.is_alone(1, 5));
        setbacks.put(1, Duration::ZERO, 1.0, 5, "");
        assert!(!setbacks.is_alone(1, 5));
        assert!(setbacks.is_alone(1, 6));
        setbacks.rest(2, SECOND, "");
        assert!(!setbacks.is_alone(2, 6), "it has not failed");
    }

    #[test]
    fn a_profile_that_alone_keeps_failing_waits_up_to_an_hour() {
        let mut setbacks = Setbacks::default();
        let waits: Vec<u64> = (1..=12)
            .map(|accepted| {
                setbacks.put(1, Duration::ZERO, 1.0, accepted, "");
                setbacks.next(Duration::ZERO).expect("a wait").as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 4, 16, 64, 256, 300, 300, 600, 1_200, 2_400, 3_600, 3_600]);
    }

    #[test]
    fn what_changes_is_told_once() {
        let mut setbacks = Setbacks::default();
        let mut told = |change: fn(&mut Setbacks)| {
            change(&mut setbacks);
            setbacks.take_changed().map(|waits| waits.values().next().copied())
        };
        assert_eq!(told(Setbacks::release_all), None);
        assert_eq!(told(|setbacks| setbacks.put(1, SECOND, 1.0, 0, "failed")), Some(Some(("failed", 2 * SECOND))));
        assert_eq!(told(|_| ()), None);
        assert_eq!(told(|setbacks| setbacks.no_later(1, 2 * SECOND)), None);
        assert_eq!(told(|setbacks| setbacks.no_later(1, SECOND)), Some(Some(("failed", SECOND))));
        assert_eq!(told(|setbacks| setbacks.release("another")), None);
        assert_eq!(told(|setbacks| setbacks.release("failed")), Some(Some(("failed", Duration::ZERO))));
        assert_eq!(told(Setbacks::release_all), Some(Some(("failed", Duration::ZERO))));
        assert_eq!(told(|setbacks| setbacks.remove(1)), Some(None));
        assert_eq!(told(|setbacks| setbacks.remove(1)), None);
        let twice = |second: fn(&mut Setbacks)| {
            let mut setbacks = Setbacks::default();
            setbacks.put(1, SECOND, 1.0, 0, "failed");
            second(&mut setbacks);
            setbacks.take_changed().map(|waits| waits.len())
        };
        assert_eq!((twice(Setbacks::release_all), twice(|setbacks| setbacks.remove(1))), (Some(1), Some(0)));
    }

    #[test]
    fn when_the_link_is_back_those_that_failed_try_at_once() {
        let mut setbacks = Setbacks::default();
        setbacks.put(1, Duration::ZERO, 1.0, 0, "");
        setbacks.put(2, SECOND, 1.0, 0, "");
        assert_eq!((setbacks.next(Duration::ZERO), setbacks.next(SECOND)), (Some(SECOND), Some(2 * SECOND)));
        setbacks.release_all();
        assert_eq!((setbacks.next(Duration::ZERO), setbacks.failures(1)), (None, 1));
    }

    #[test]
    fn one_that_rests_has_not_failed_and_is_not_released_with_the_others() {
        let mut setbacks = Setbacks::default();
        setbacks.rest(1, 9 * SECOND, "");
        setbacks.put(2, Duration::ZERO, 1.0, 0, "");
        setbacks.release_all();
        assert_eq!(setbacks.failures(1), 0);
        assert_eq!(setbacks.waiting(SECOND), HashSet::from([1]));
        setbacks.remove(1);
        assert_eq!(setbacks.waiting(SECOND), HashSet::new());
    }

    #[test]
    fn a_wait_can_be_shortened_and_is_never_lengthened() {
        let mut setbacks = Setbacks::default();
        (0..5).for_each(|_| setbacks.put(1, Duration::ZERO, 1.0, 0, ""));
        setbacks.no_later(1, 3 * SECOND);
        assert_eq!(setbacks.next(SECOND), Some(3 * SECOND));
        setbacks.no_later(1, 9 * SECOND);
        setbacks.no_later(2, 9 * SECOND);
        assert_eq!((setbacks.next(SECOND), setbacks.all()), (Some(3 * SECOND), HashSet::from([1])));
    }

    #[test]
    fn the_number_of_profiles_is_bounded() {
        let mut setbacks = Setbacks::default();
        for profile in 0..=i64::try_from(ASIDE_PROFILES_MAX).expect("small") {
            assert!(!setbacks.is_full(Duration::ZERO) || profile >= ASIDE_PROFILES_MAX as i64);
            setbacks.put(profile, Duration::ZERO, 1.0, 0, "");
        }
        assert_eq!(setbacks.all().len(), ASIDE_PROFILES_MAX);
        assert!(setbacks.is_full(Duration::ZERO) && !setbacks.is_full(SECOND));
    }
}
