//! The device's clocks: the only place where time is read.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::core::timestamp::Timestamp;
use crate::core::wall_clock::WallClock;

/// A wall clock that never runs backwards, not even across restarts, and a monotonic one.
#[derive(Debug)]
pub struct Clock {
    wall: Mutex<WallClock>,
    started: Instant,
}

impl Clock {
    /// Returns a clock that starts no earlier than `floor`, the time when the newest event was recorded.
    #[must_use]
    pub fn new(floor: Option<Timestamp>) -> Self {
        Self { wall: Mutex::new(WallClock::new(floor, Self::system())), started: Instant::now() }
    }

    /// Returns the wall-clock time. If the system's clock went back, time continues from the newest value ever
    /// returned.
    pub fn now(&self) -> Timestamp {
        self.read(|_, now| now)
    }

    /// Converts an event's own time to this clock, which orders events.
    pub fn place(&self, time: Timestamp) -> Timestamp {
        self.read(|wall, _| wall.place(time))
    }

    fn read<T>(&self, of: impl FnOnce(&WallClock, Timestamp) -> T) -> T {
        let mut wall = self.wall.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall.read(Self::system(), self.elapsed());
        of(&wall, now)
    }

    /// Returns the system's wall clock as it is; it may jump either way.
    #[must_use]
    pub fn system() -> Timestamp {
        timestamp(SystemTime::now())
    }

    /// Returns the monotonic time since the clock was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the instant `elapsed` after the clock was made.
    #[must_use]
    pub fn instant(&self, elapsed: Duration) -> Instant {
        self.started + elapsed
    }
}

/// Returns a time of the system's as a timestamp; one before 1970 is 1970: a device whose clock says so has lost it.
#[must_use]
pub fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_starts_no_earlier_than_the_newest_event() {
        let future = Clock::system().plus(Duration::from_secs(3600));
        let clock = Clock::new(Some(future));
        let now = clock.now();
        assert!(now >= future && now.since(future) < Duration::from_secs(60));
        assert!(Clock::new(None).now() < future);
    }
}
