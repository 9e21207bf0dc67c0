//! The watchdog: ends the process when a part of it makes no progress while it should, or when the store is found damaged,
//! so that its supervisor starts it again; and tells the supervisor that the agent is alive, and how it is.
//!
//! What was acknowledged is on disk, and what was not is sent again: an end costs nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::device::clock::Clock;
use crate::device::pulse::Pulse;
use crate::device::supervisor::{self, News};
use crate::forward::shown::LinkView;
use crate::store::Writer;

/// How late a part may be. Limits: a worn flash card may keep a sync waiting for half a minute.
pub const LATE_MAX: Duration = Duration::from_secs(120);

/// Until then the line that says why is in its file.
const LOG_TIME: Duration = Duration::from_secs(1);

/// Interval of its checks, unless the supervisor asks for more.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// What the watchdog watches.
pub struct Watchdog {
    /// The forwarder says by when it will have gone on.
    pub forwarder: Pulse,
    /// The writer is asked.
    pub writer: Writer,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// How late a part may be; [`LATE_MAX`].
    pub late_max: Duration,
    /// Interval of its checks; [`INTERVAL`].
    pub interval: Duration,
    /// The link: with it the verdict may change.
    pub link: watch::Receiver<LinkView>,
    /// What the supervisor is told of the device, if it listens; asked beside the async threads.
    pub verdict: Option<Verdict>,
}

/// Asks for the verdict in a line, and waits for the disk; none if it cannot be had.
pub type Verdict = Arc<dyn Fn() -> Option<String> + Send + Sync>;

enum Wake {
    Link,
    /// The verdict that was asked for is there.
    Told,
    Damage,
    Time,
}

impl Watchdog {
    /// Watches until `stop` turns true. `give_up` ends the process.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, give_up: impl Fn()) {
        let mut damaged = self.writer.damaged();
        let asked = supervisor::alive_within();
        let interval = asked.map_or(self.interval, |within| within / 2);
        // Ticks keep their time, however often the link changes.
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        // Asked beside the watch: it waits for the disk, at the start until all that is pending is counted.
        let mut verdicts = JoinSet::new();
        // True if something has changed since the verdict was asked for.
        let mut is_stale = true;
        loop {
            if is_stale && verdicts.is_empty() {
                is_stale = false;
                self.ask(&mut verdicts);
            }
            let wake = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = self.link.changed() => Wake::Link,
                Some(line) = verdicts.join_next() => {
                    if let Ok(Some(line)) = line {
                        supervisor::tell(News::Status(&line));
                    }
                    Wake::Told
                }
                damaged = damaged.wait_for(|damaged| *damaged) => damaged.map_or(Wake::Link, |_| Wake::Damage),
                _ = ticks.tick() => Wake::Time,
            };
            let is_over = match wake {
                Wake::Told => continue,
                Wake::Link => {
                    is_stale = true;
                    continue;
                }
                Wake::Damage => {
                    tracing::error!("the store is damaged; the agent ends, and mends it at its next start");
                    true
                }
                Wake::Time => self.is_stuck().await,
            };
            if is_over {
                tokio::time::sleep(LOG_TIME).await;
                give_up();
                break;
            }
            if asked.is_some() {
                supervisor::tell(News::Alive);
            }
            is_stale = true;
        }
        supervisor::tell(News::Stopping);
    }

    /// Asks for the verdict.
    fn ask(&self, verdicts: &mut JoinSet<Option<String>>) {
        if let Some(verdict) = self.verdict.clone() {
            verdicts.spawn_blocking(move || verdict());
        }
    }

    /// Returns whether a part makes no progress, and says which.
    async fn is_stuck(&self) -> bool {
        let stuck = self.stuck().await;
        if let Some(part) = stuck {
            tracing::error!(part, "no progress; the agent ends, to be started again");
        }
        stuck.is_some()
    }

    async fn stuck(&self) -> Option<&'static str> {
        if self.forwarder.overdue(self.clock.elapsed()).is_some_and(|late| late > self.late_max) {
            return Some("forwarder");
        }
        // An empty transaction: it waits for its turn, and writes nothing, but after a write that failed.
        let turn = tokio::time::timeout(self.late_max, self.writer.take_turn()).await;
        turn.is_err().then_some("writer")
    }
}
