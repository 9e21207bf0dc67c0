//! The device's wall clock, which never runs backwards even if the system's does, and the position of an event's own
//! time on it. Pure.

use std::time::Duration;

use crate::core::limits::EVENT_TIME_AHEAD_MAX;
use crate::core::timestamp::Timestamp;

/// Smallest change of the system's clock that counts as a jump. A smaller one can misorder only events that lie within
/// it.
pub const JUMP_MIN: Duration = Duration::from_secs(5 * 60);

/// A wall clock beside the system's.
///
/// If the system's clock goes back, this one continues from the newest time it ever showed, at its own pace: a clock
/// that stood still for years would never open a quota again.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// Time of this clock at zero monotonic time, from the reading that is furthest ahead; it only grows.
    start: Timestamp,
    /// Time of the system's clock at that moment, from its last reading.
    system_start: Timestamp,
    /// Monotonic time of the last reading.
    read_at: Duration,
    /// Earliest time that the system's clock can have shown since its last jump, or since the start.
    since: Timestamp,
}

impl WallClock {
    /// Returns a clock that starts no earlier than `floor`, the time when the newest event was recorded.
    #[must_use]
    pub fn new(floor: Option<Timestamp>, system: Timestamp) -> Self {
        let start = floor.map_or(system, |floor| floor.max(system));
        // If it was set back, nobody knows when; events recorded now were made shortly before the start.
        let is_set_back = start.since(system) >= JUMP_MIN;
        let since = if is_set_back { system.minus(JUMP_MIN) } else { system };
        Self { start, system_start: system, read_at: Duration::ZERO, since }
    }

    /// Returns the time, given the system's clock and the elapsed monotonic time.
    pub fn read(&mut self, system: Timestamp, elapsed: Duration) -> Timestamp {
        let system_start = system.minus(elapsed);
        if system_start.since(self.system_start).max(self.system_start.since(system_start)) >= JUMP_MIN {
            // It may have jumped right after the last reading.
            self.since = system_start.plus(self.read_at);
        }
        (self.system_start, self.read_at) = (system_start, elapsed);
        self.start = self.start.max(system_start);
        self.start.plus(elapsed)
    }

    /// Converts an event's own time, read from the system's clock, to this clock, which orders events.
    ///
    /// Without it, an event after the system's clock was set back would be older than an event before. Times before the
    /// jump stay as they are; times shortly before the start count as the start.
    #[must_use]
    pub fn place(&self, time: Timestamp) -> Timestamp {
        let ahead = self.start.since(self.system_start);
        let system = self.system_start.plus(self.read_at);
        let is_of_now = time >= self.since && time.since(system) <= EVENT_TIME_AHEAD_MAX;
        if ahead >= JUMP_MIN && is_of_now { time.plus(ahead).max(self.start) } else { time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_starts_no_earlier_than_the_newest_event_and_never_runs_backwards() {
        let mut clock = WallClock::new(Some(at(5_000)), at(1_000));
        assert_eq!(clock.read(at(1_010), secs(10)), at(5_010));
        assert_eq!(clock.read(at(500), secs(20)), at(5_020));
        assert_eq!(clock.read(at(9_000), secs(30)), at(9_000));
        assert_eq!(clock.read(at(1_030), secs(40)), at(9_010));
    }

    #[test]
    fn what_happens_after_the_clock_was_set_back_is_newer_than_what_happened_before() {
        let mut clock = WallClock::new(None, at(10_000));
        clock.read(at(10_100), secs(100));
        assert_eq!(clock.place(at(10_050)), at(10_050));
        // An hour back, at some time in the last minute.
        clock.read(at(6_560), secs(160));
        assert_eq!(clock.place(at(6_555)), at(10_155));
        assert_eq!(clock.place(at(6_501)), at(10_101));
        // A late event belongs before the jump.
        assert_eq!(clock.place(at(6_000)), at(6_000));
        assert_eq!(clock.place(at(10_099)), at(10_099));
    }

    #[test]
    fn what_is_late_after_a_wrong_time_of_an_hour_keeps_its_place() {
        let mut clock = WallClock::new(None, at(1_000));
        assert_eq!(clock.read(at(4_610), secs(10)), at(4_610));
        // The clock was right before, and is again.
        clock.read(at(1_020), secs(20));
        assert_eq!(clock.place(at(990)), at(990));
        assert_eq!(clock.place(at(1_015)), at(4_615));
    }

    #[test]
    fn a_clock_that_is_kept_right_places_nothing_anew() {
        let mut clock = WallClock::new(None, at(1_000));
        clock.read(Timestamp::from_millis(1_008_500), secs(10));
        assert_eq!(clock.place(at(1_005)), at(1_005));
        clock.read(at(720), secs(20));
        assert_eq!(clock.place(at(715)), at(715), "less than a jump");
    }

    #[test]
    fn after_a_start_with_a_clock_that_was_set_back_new_events_are_newest() {
        let mut clock = WallClock::new(Some(at(90_000)), at(1_000));
        clock.read(at(1_010), secs(10));
        assert_eq!(clock.place(at(1_005)), at(90_005));
        // A client that records by itself took the time before the start.
        assert_eq!(clock.place(at(990)), at(90_000));
        assert_eq!(clock.place(at(600)), at(600));
    }
}
