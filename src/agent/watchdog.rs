//! The watchdog: ends the process if a part makes no progress although it should, or if the store is found damaged, so
//! that the supervisor starts it again. It also tells the supervisor that the agent is alive, and its verdict.
//!
//! Acknowledged events are on disk, and others are sent again, so ending the process loses nothing.

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

/// Longest delay of a part. Limits: a worn flash card may delay a sync for half a minute.
pub const LATE_MAX: Duration = Duration::from_secs(120);

/// Time for the log line with the reason to reach its file.
const LOG_TIME: Duration = Duration::from_secs(1);

/// Time between its checks, unless the supervisor asks for more.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// The parts that the watchdog checks, and its settings.
pub struct Watchdog {
    /// Signs of life of the forwarder.
    pub forwarder: Pulse,
    /// Writer, which is asked for a sign of life.
    pub writer: Writer,
    /// Clock of the device.
    pub clock: Arc<Clock>,
    /// Longest delay of a part; usually [`LATE_MAX`].
    pub late_max: Duration,
    /// Time between its checks; usually [`INTERVAL`].
    pub interval: Duration,
    /// Link; a change may change the verdict.
    pub link: watch::Receiver<LinkView>,
    /// Source of the verdict for the supervisor, if it listens; runs on a blocking thread.
    pub verdict: Option<Verdict>,
}

/// A function that returns the verdict in one line and waits for the disk; `None` if there is no answer.
pub type Verdict = Arc<dyn Fn() -> Option<String> + Send + Sync>;

enum Wake {
    Link,
    /// The verdict has arrived.
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
        // Ticks keep their rhythm, however often the link changes.
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        // Asked in the background: it waits for the disk and, at the start, until everything pending is counted.
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
                    tracing::error!("the store is damaged; the agent ends, and repairs it at its next start");
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

    /// Returns true, and logs which, if a part makes no progress.
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
        // An empty transaction: it waits for its turn and writes nothing, unless the last write failed.
        let turn = tokio::time::timeout(self.late_max, self.writer.take_turn()).await;
        turn.is_err().then_some("writer")
    }
}
