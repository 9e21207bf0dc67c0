//! Moments by two clocks: while a virtual machine is suspended, the one that runs evenly may stand still, and the wall's goes on.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    even: Instant,
    wall: Timestamp,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { even: Instant::now(), wall: Clock::system() }
    }

    pub(super) fn plus(self, time: Duration) -> Self {
        Self { even: self.even + time, wall: self.wall.plus(time) }
    }

    /// Returns true if it is before another by both clocks: a wall's that jumps ahead ends things too early, never too late.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.even < other.even && self.wall < other.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_by_either_clock_is_over() {
        let (now, second) = (Moment::now(), Duration::from_secs(1));
        let end = now.plus(10 * second);
        assert!(now.plus(9 * second).is_before(end) && !end.is_before(end));
        let suspended = Moment { wall: now.wall.plus(60 * second), ..now };
        let set_back = Moment { wall: now.wall.minus(60 * second), ..now.plus(11 * second) };
        assert!(!suspended.is_before(end) && !set_back.is_before(end));
    }
}
