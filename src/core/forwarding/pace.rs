//! The rate of sending after an outage: slow at first, faster with each success. Pure; time is an argument.
//!
//! Thousands of devices come back in the same minute, each with a backlog. Their first requests are spread over a
//! minute, and after its first request each device still takes a second to reach full speed.

use std::time::Duration;

use crate::core::limits::{OUTAGE_MIN, OUTAGE_SPREAD};

/// Time between the first two requests.
const INTERVAL_MAX: Duration = Duration::from_millis(250);

/// Interval below which the pace ends.
const INTERVAL_MIN: Duration = Duration::from_millis(2);

/// The pace of sending after an outage; otherwise there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    next: Duration,
}

impl Pace {
    /// Returns the pace to start with after an outage.
    #[must_use]
    pub const fn gentle() -> Self {
        Self { interval: INTERVAL_MAX, next: Duration::ZERO }
    }

    /// Returns the time before which nothing may be sent; `None` without a pace.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        (self.interval > Duration::ZERO).then_some(self.next)
    }

    /// Notes that a request is being sent.
    pub fn sent(&mut self, now: Duration) {
        self.next = now.saturating_add(self.interval);
    }

    /// Notes that Target has answered.
    pub fn answered(&mut self) {
        let interval = self.interval * 3 / 4;
        self.interval = if interval < INTERVAL_MIN { Duration::ZERO } else { interval };
    }
}

/// Returns how long a device waits before its first request when the oldest entry of its backlog is `backlog_age` old.
///
/// After a power cut in a whole region thousands of devices start in the same minute. `chance`, from 0 up to 1, is the
/// device's own.
#[must_use]
pub fn first_wait(backlog_age: Duration, chance: f64) -> Duration {
    if backlog_age < OUTAGE_MIN { Duration::ZERO } else { OUTAGE_SPREAD.mul_f64(chance.clamp(0.0, 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_shrinks_with_every_success_and_then_there_is_none() {
        let mut pace = Pace::gentle();
        let mut now = Duration::ZERO;
        let mut sends = 0;
        while let Some(next) = pace.next() {
            now = now.max(next);
            pace.sent(now);
            pace.answered();
            sends += 1;
        }
        assert_eq!((sends, now.as_millis()), (17, 989));
        assert_eq!(Pace::default().next(), None);
    }

    #[test]
    fn only_an_old_backlog_waits() {
        assert_eq!(first_wait(Duration::from_secs(1), 0.5), Duration::ZERO);
        assert_eq!(first_wait(OUTAGE_MIN, 0.5), OUTAGE_SPREAD / 2);
    }
}
