//! The level of log lines, which can be changed while the agent runs, for a while.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::Level;

/// The longest time for which another level holds: a forgotten one must not fill a flash card.
pub const FOR_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Changes the level. Cheap to clone.
#[derive(Clone)]
pub struct LogLevel(Arc<Inner>);

struct Inner {
    set: Box<dyn Fn(Level) + Send + Sync>,
    /// What the configuration says.
    configured: Mutex<Level>,
    current: Mutex<Level>,
    /// Counts the changes, so that the end of an older one changes nothing.
    changes: AtomicU64,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.current()).finish()
    }
}

impl LogLevel {
    /// A level as configured; `set` makes another one hold.
    pub fn new(configured: Level, set: impl Fn(Level) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            set: Box::new(set),
            configured: Mutex::new(configured),
            current: Mutex::new(configured),
            changes: AtomicU64::new(0),
        }))
    }

    /// The level that holds now.
    #[must_use]
    pub fn current(&self) -> Level {
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the configuration say a level. Another one than before holds from now on; the same one leaves a level that holds for
    /// a while as it is.
    pub fn configure(&self, level: Level) {
        let before = std::mem::replace(&mut *self.0.configured.lock().unwrap_or_else(PoisonError::into_inner), level);
        if before != level {
            self.change(level);
        }
    }

    /// Has another level hold for a while; call it within a runtime.
    pub fn change_for(&self, level: Level, time: Duration) {
        let change = self.change(level);
        let log_level = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time.min(FOR_MAX)).await;
            if log_level.0.changes.load(Ordering::Relaxed) == change {
                let configured = *log_level.0.configured.lock().unwrap_or_else(PoisonError::into_inner);
                log_level.change(configured);
            }
        });
    }

    fn change(&self, level: Level) -> u64 {
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = level;
        (self.0.set)(level);
        // At the level that shows it to everybody who reads the log afterwards.
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
        level.change_for(Level::DEBUG, minute);
        level.change_for(Level::TRACE, minute * 3);
        tokio::time::sleep(minute * 2).await;
        assert_eq!(level.current(), Level::TRACE);
        tokio::time::sleep(minute * 2).await;
        assert_eq!(level.current(), Level::INFO);
    }
}
