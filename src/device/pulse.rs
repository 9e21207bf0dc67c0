//! Signs of life: each working part says when it will have made progress; a part that is late is stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The progress of one part of the agent. Times are from one monotonic clock.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<AtomicU64>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Pulse {
    /// Expects progress by a time.
    pub fn due(&self, by: Duration) {
        self.0.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Expects nothing: there is no work, and the part may rest.
    pub fn rest(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// Returns how long progress is overdue.
    #[must_use]
    pub fn overdue(&self, now: Duration) -> Option<Duration> {
        let due = Duration::from_millis(self.0.load(Ordering::Relaxed));
        now.checked_sub(due).filter(|late| *late > Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_rests_is_never_late_and_who_is_due_is() {
        let pulse = Pulse::default();
        assert_eq!(pulse.overdue(Duration::from_secs(9_999_999)), None);
        pulse.due(Duration::from_secs(5));
        assert_eq!(pulse.overdue(Duration::from_secs(5)), None);
        assert_eq!(pulse.overdue(Duration::from_secs(7)), Some(Duration::from_secs(2)));
        pulse.rest();
        assert_eq!(pulse.overdue(Duration::from_secs(7)), None);
    }
}
