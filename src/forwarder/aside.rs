//! Updates that alone keep failing: each steps aside with its own growing delay. Pure; time and chance are arguments.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::backoff::backoff;
use crate::limits::ASIDE_PROFILES_MAX;

/// The profiles that stand aside.
#[derive(Debug, Default)]
pub(super) struct Aside(HashMap<i64, Delay>);

#[derive(Clone, Copy, Debug)]
struct Delay {
    failures: u32,
    until: Duration,
}

impl Aside {
    /// Whether the profile's last attempt failed.
    pub(super) fn has_failed(&self, profile_id: i64) -> bool {
        self.0.contains_key(&profile_id)
    }

    /// How many profiles failed and had no answer since.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sets a profile aside, for longer each time.
    pub(super) fn put(&mut self, profile_id: i64, now: Duration, chance: f64) {
        if self.0.len() >= ASIDE_PROFILES_MAX && !self.0.contains_key(&profile_id) {
            let soonest = self.0.iter().min_by_key(|(_, delay)| delay.until).map(|(id, _)| *id);
            soonest.map(|id| self.0.remove(&id));
        }
        let delay = self.0.entry(profile_id).or_insert(Delay { failures: 0, until: now });
        delay.failures = delay.failures.saturating_add(1);
        delay.until = now.saturating_add(backoff(delay.failures, chance));
    }

    /// The profile had its answer.
    pub(super) fn remove(&mut self, profile_id: i64) {
        self.0.remove(&profile_id);
    }

    /// The link is back: whoever failed while it was away may try at once.
    pub(super) fn release_all(&mut self) {
        for delay in self.0.values_mut() {
            delay.until = Duration::ZERO;
        }
    }

    /// The profiles that still wait.
    pub(super) fn waiting(&self, now: Duration) -> HashSet<i64> {
        self.0.iter().filter(|(_, delay)| delay.until > now).map(|(id, _)| *id).collect()
    }

    /// When the next of them may try again.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        self.0.values().map(|delay| delay.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_failure_lengthens_the_delay_of_that_profile_alone() {
        let mut aside = Aside::default();
        aside.put(1, Duration::ZERO, 1.0);
        aside.put(1, SECOND, 1.0);
        aside.put(2, SECOND, 1.0);
        assert_eq!(aside.next(SECOND), Some(2 * SECOND));
        assert_eq!(aside.waiting(2 * SECOND), HashSet::from([1]));
        assert_eq!(aside.waiting(5 * SECOND), HashSet::new());
        assert!(aside.has_failed(1));
    }

    #[test]
    fn the_number_of_profiles_is_bounded() {
        let mut aside = Aside::default();
        for profile in 0..=i64::try_from(ASIDE_PROFILES_MAX).expect("small") {
            aside.put(profile, Duration::ZERO, 1.0);
        }
        assert_eq!(aside.waiting(Duration::ZERO).len(), ASIDE_PROFILES_MAX);
    }
}
