//! The level of log lines, which can be changed for a while as the agent runs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::Level;

/// A time for which another level is used, of whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelTime(Duration);

impl LevelTime {
    /// Longest time: a level that is forgotten must not fill a flash card. Units: hours.
    pub const HOURS_MAX: u64 = 24;

    /// Returns a time of whole seconds.
    ///
    /// # Errors
    /// A clause for people: it is too short or too long.
    pub fn new(time: Duration) -> Result<Self, String> {
        let (seconds, max) = (time.as_secs(), Self::HOURS_MAX * 60 * 60);
        if (1..=max).contains(&seconds) {
            return Ok(Self(Duration::from_secs(seconds)));
        }
        Err(format!("it must be from 1 s to {max} s ({} h); found {seconds} s", Self::HOURS_MAX))
    }

    /// The time in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

/// The log level, which can be changed. Cheap to clone.
#[derive(Clone)]
pub struct LogLevel(Arc<Inner>);

struct Inner {
    set: Box<dyn Fn(Level) + Send + Sync>,
    /// Level in the configuration.
    configured: Mutex<Level>,
    current: Mutex<Level>,
    /// Number of changes so far, so that the end of an older one changes nothing.
    changes: AtomicU64,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.current()).finish()
    }
}

impl LogLevel {
    /// Returns a level as configured; `set` puts another one into effect.
    pub fn new(configured: Level, set: impl Fn(Level) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            set: Box::new(set),
            configured: Mutex::new(configured),
            current: Mutex::new(configured),
            changes: AtomicU64::new(0),
        }))
    }

    /// Returns the effective level.
    #[must_use]
    pub fn current(&self) -> Level {
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the level of the configuration. A different level takes effect at once; the same one leaves a temporary
    /// change in effect.
    pub fn configure(&self, level: Level) {
        let before = std::mem::replace(&mut *self.0.configured.lock().unwrap_or_else(PoisonError::into_inner), level);
        if before != level {
            self.change(level);
        }
    }

    /// Changes the level for a while. Call it within a tokio runtime.
    pub fn change_for(&self, level: Level, time: LevelTime) {
        let change = self.change(level);
        let log_level = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time.0).await;
            if log_level.0.changes.load(Ordering::Relaxed) == change {
                let configured = *log_level.0.configured.lock().unwrap_or_else(PoisonError::into_inner);
                log_level.change(configured);
            }
        });
    }

    fn change(&self, level: Level) -> u64 {
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = level;
        (self.0.set)(level);
        // Logged at a level that appears for everyone who reads the log afterwards.
        tracing::info!(level = level.as_str(), "log level changed");
        self.0.changes.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_level_holds_for_a_while_and_the_newest_counts() {
        let level = LogLevel::new(Level::INFO, |_| {});
        let minute = Duration::from_secs(60);
        let time = |time| LevelTime::new(time).expect("within a day");
        level.change_for(Level::DEBUG, time(minute));
        level.change_for(Level::TRACE, time(minute * 3));
        tokio::time::sleep(minute * 2).await;
        assert_eq!(level.current(), Level::TRACE);
        tokio::time::sleep(minute * 2).await;
        assert_eq!(level.current(), Level::INFO);
        assert_eq!(
            [0, 999, 86_401_000].map(|millis| LevelTime::new(Duration::from_millis(millis)).is_ok()),
            [false; 3]
        );
    }
}
