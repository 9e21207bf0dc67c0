//! Recently decided times, which the store may not have yet when it is asked for the next one.

use std::time::Duration;

use crate::core::timestamp::Timestamp;

/// Shortest time for which a decided time is remembered, until the store certainly has it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The earliest times decided in the present period and in the one before.
#[derive(Debug, Default)]
pub(super) struct Promises {
    new: Option<Timestamp>,
    old: Option<Timestamp>,
    /// Start of the present period, on the monotonic clock.
    since: Duration,
}

impl Promises {
    /// Adds a decided time.
    pub(super) fn add(&mut self, at: Timestamp, now: Duration) {
        self.pass(now);
        self.new = Some(self.new.map_or(at, |new| new.min(at)));
    }

    /// Returns the earliest time that the store may not have yet.
    pub(super) fn first(&mut self, now: Duration) -> Option<Timestamp> {
        self.pass(now);
        self.new.into_iter().chain(self.old).min()
    }

    fn pass(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed >= KEPT_FOR {
            self.old = self.new.take().filter(|_| passed < 2 * KEPT_FOR);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_remembered_for_a_minute_at_least() {
        let (at, second) = (Timestamp::from_millis, Duration::from_secs);
        let mut promises = Promises::default();
        assert_eq!(promises.first(second(0)), None);
        [9, 7, 8].into_iter().for_each(|decided| promises.add(at(decided), second(59)));
        for now in [59, 60, 119] {
            assert_eq!(promises.first(second(now)), Some(at(7)), "{now}");
        }
        assert_eq!(promises.first(second(120)), None);
        // Without a call between, for less than two minutes.
        for (now, expected) in [(119, Some(at(7))), (120, None)] {
            let mut promises = Promises::default();
            promises.add(at(7), second(0));
            assert_eq!(promises.first(second(now)), expected, "{now}");
        }
        // No call for an hour.
        promises.add(at(7), second(121));
        assert_eq!(promises.first(second(3_700)), None);
    }
}
