//! Target's quota: the number of updates in the last 24 hours, and the time when there is room again. Pure.
//!
//! Uses are counted by the minute, so that a day is at most 1,441 numbers. A minute counts in full until its end is 24
//! hours ago, so the count is never too low. Room for requests is reserved on disk before they are made, so that those
//! made before a crash are counted too.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::limits::QUOTA_WINDOW;
use crate::core::timestamp::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// The quota's clock and the system's clock at one moment.
///
/// While the agent runs, the quota's clock keeps step with the monotonic clock, whatever the system's clock does. Over
/// a stop it advances by as much as the system's clock did. So no clock jump counts twice or opens the quota early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaTime {
    /// Time on the quota's clock.
    pub at: Timestamp,
    /// Time on the system's wall clock.
    pub wall: Timestamp,
}

impl QuotaTime {
    /// Returns the quota's clock after a stop, when the system's clock shows `wall`.
    #[must_use]
    pub fn resumed(self, wall: Timestamp) -> Self {
        Self { at: self.at.plus(wall.since(self.wall)), wall }
    }
}

/// The quota's clock of a running agent.
#[derive(Clone, Copy, Debug)]
pub struct QuotaClock {
    at_start: Timestamp,
}

impl QuotaClock {
    /// Returns a clock that shows `at` when `elapsed` of the monotonic clock has passed.
    #[must_use]
    pub fn new(at: Timestamp, elapsed: Duration) -> Self {
        Self { at_start: at.minus(elapsed) }
    }

    /// Returns the time that the clock shows after `elapsed`.
    #[must_use]
    pub fn at(self, elapsed: Duration) -> Timestamp {
        self.at_start.plus(elapsed)
    }
}

/// The uses within a rolling 24 hours.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    updates_per_day: u64,
    /// `(minute, uses)`, oldest first; minutes count from 1970.
    minutes: VecDeque<(i64, u64)>,
    used: u64,
    /// Time when there may be more, where others tell how much there is.
    more_at: Option<Timestamp>,
}

impl Quota {
    /// Minutes in the window.
    pub const MINUTES: i64 = 24 * 60;

    /// Returns a quota of `updates_per_day` in any 24 hours. `minutes` are the stored uses, oldest first.
    #[must_use]
    pub fn new(updates_per_day: u64, minutes: impl IntoIterator<Item = (i64, u64)>) -> Self {
        let minutes: VecDeque<_> = minutes.into_iter().collect();
        let used = minutes.iter().map(|(_, uses)| uses).sum();
        Self { updates_per_day, minutes, used, more_at: None }
    }

    /// Returns what is left of a quota that is shared with others: `left` requests, and from `more_at` on at least one that is
    /// worth a try.
    #[must_use]
    pub const fn told(left: u64, more_at: Timestamp) -> Self {
        Self { updates_per_day: left, minutes: VecDeque::new(), used: 0, more_at: Some(more_at) }
    }

    /// Changes the limit; the uses stay counted.
    pub const fn set_limit(&mut self, updates_per_day: u64) {
        self.updates_per_day = updates_per_day;
    }

    /// Forgets all uses, because they belong to another client code.
    pub fn forget(&mut self) {
        self.minutes.clear();
        self.used = 0;
    }

    /// Returns the minute under which a use at `now` is stored.
    #[must_use]
    pub const fn minute(now: Timestamp) -> i64 {
        now.as_millis().div_euclid(MINUTE_MS)
    }

    /// Returns the start of a minute.
    #[must_use]
    pub const fn minute_begins(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * MINUTE_MS)
    }

    /// Returns the oldest minute that still counts.
    #[must_use]
    pub const fn oldest_minute(now: Timestamp) -> i64 {
        Self::minute(now) - Self::MINUTES
    }

    /// Counts one request as made at a time.
    pub fn spend(&mut self, now: Timestamp) {
        self.forget_old(now);
        // A clock that went back must not reorder the minutes.
        let minute = self.minutes.back().map_or(Self::minute(now), |(last, _)| Self::minute(now).max(*last));
        match self.minutes.back_mut() {
            Some((last, uses)) if *last == minute => *uses += 1,
            _ => self.minutes.push_back((minute, 1)),
        }
        self.used += 1;
    }

    /// Returns the number of requests in the last 24 hours.
    pub fn used(&mut self, now: Timestamp) -> u64 {
        self.forget_old(now);
        self.used
    }

    /// Returns how many more requests are allowed now.
    pub fn left(&mut self, now: Timestamp) -> u64 {
        let used = self.used(now);
        let has_more = self.more_at.is_some_and(|more_at| more_at <= now);
        self.updates_per_day.saturating_sub(used).max(u64::from(has_more))
    }

    /// Checks that one more request is allowed now.
    ///
    /// # Errors
    /// The time when the oldest use expires.
    pub fn check(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.forget_old(now);
        if let Some(more_at) = self.more_at {
            // Spent until it is told otherwise, also while that is tried.
            return if self.used < self.updates_per_day { Ok(()) } else { Err(more_at) };
        }
        match self.minutes.front() {
            Some((oldest, _)) if self.used >= self.updates_per_day => {
                Err(Self::minute_begins(oldest + 1).plus(QUOTA_WINDOW))
            }
            _ => Ok(()),
        }
    }

    fn forget_old(&mut self, now: Timestamp) {
        let oldest = Self::oldest_minute(now);
        while let Some((minute, uses)) = self.minutes.front().copied() {
            if minute >= oldest {
                break;
            }
            self.used -= uses;
            self.minutes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_spent_quota_opens_when_the_oldest_use_falls_out() {
        let mut quota = Quota::new(2, []);
        quota.spend(START);
        quota.spend(START.plus(Duration::from_secs(3600)));
        let opens = quota.check(START.plus(Duration::from_secs(7200))).expect_err("spent");
        assert!(opens >= START.plus(QUOTA_WINDOW));
        assert!(opens <= START.plus(QUOTA_WINDOW + Duration::from_secs(60)));
        assert_eq!(quota.check(opens), Ok(()));
        assert_eq!(quota.used(opens), 1);
    }

    #[test]
    fn a_quota_that_is_told_has_what_is_left_and_is_tried_again_at_its_time() {
        let later = START.plus(Duration::from_secs(60));
        let mut quota = Quota::told(2, later);
        (0..2).for_each(|_| quota.spend(START));
        assert_eq!((quota.left(START), quota.check(START)), (0, Err(later)));
        assert_eq!((quota.left(later), quota.check(later)), (1, Err(later)));
    }

    #[test]
    fn over_a_stop_the_quota_s_clock_follows_the_system_s_forward_and_never_back() {
        let time = QuotaTime { at: START, wall: START.plus(Duration::from_secs(9)) };
        let later = time.wall.plus(Duration::from_secs(60));
        assert_eq!(time.resumed(later), QuotaTime { at: START.plus(Duration::from_secs(60)), wall: later });
        let earlier = time.wall.minus(QUOTA_WINDOW * 3_650);
        assert_eq!(time.resumed(earlier), QuotaTime { at: START, wall: earlier });
    }

    #[test]
    fn a_clock_that_jumps_back_never_frees_quota() {
        let mut quota = Quota::new(2, []);
        quota.spend(START);
        let earlier = Timestamp::from_millis(START.as_millis() - 86_400_000);
        quota.spend(earlier);
        assert_eq!(quota.used(earlier), 2);
        assert!(quota.check(earlier).is_err());
    }

    #[test]
    fn uses_of_one_minute_fall_out_together_and_what_is_left_follows() {
        let mut quota = Quota::new(5, []);
        (0..3).for_each(|_| quota.spend(START));
        quota.spend(START.plus(Duration::from_secs(600)));
        assert_eq!(quota.minutes.len(), 2, "a day is at most so many numbers as it has minutes");
        assert_eq!((quota.used(START), quota.left(START)), (4, 1));
        let later = START.plus(QUOTA_WINDOW + Duration::from_secs(300));
        assert_eq!((quota.used(later), quota.left(later)), (1, 4));
        quota.set_limit(3);
        assert_eq!(quota.left(later), 2);
        quota.forget();
        assert_eq!((quota.used(later), quota.left(later)), (0, 3));
        assert_eq!(
            QuotaClock::new(START, Duration::from_secs(9)).at(Duration::from_secs(10)),
            START.plus(Duration::from_secs(1))
        );
    }
}
