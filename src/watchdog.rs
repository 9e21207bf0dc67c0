//! The watchdog: ends the process when a part of it makes no progress while it should, so that its supervisor starts it
//! again; and tells systemd that the agent is ready, alive, and how it is.
//!
//! What was acknowledged is on disk, and what was not is sent again: an end costs nothing.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::pulse::Pulse;
use crate::status::LinkView;
use crate::store::Writer;

/// How late a part may be. Limits: a worn flash card may keep a sync waiting for half a minute.
pub const LATE_MAX: Duration = Duration::from_secs(120);

/// Until then the line that says why is in its file.
pub const LOG_TIME: Duration = Duration::from_secs(1);

/// How often it is looked, unless systemd asks for more.
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
    /// How often it is looked; [`INTERVAL`].
    pub interval: Duration,
    /// The link, for the line that systemd shows.
    pub link: watch::Receiver<LinkView>,
}

/// Tells systemd, if it asked to be told, that events are taken.
pub fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

impl Watchdog {
    /// Watches until `stop` turns true. `give_up` ends the process.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, give_up: impl Fn()) {
        let asked = sd_notify::watchdog_enabled();
        let interval = asked.map_or(self.interval, |within| within / 2);
        loop {
            let view = self.link.borrow_and_update().clone();
            let reason = view.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            notify(&[NotifyState::Status(&format!("{}{reason}", view.state.name()))]);
            let is_due = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                _ = self.link.changed() => false,
                () = tokio::time::sleep(interval) => true,
            };
            if !is_due {
                continue;
            }
            if let Some(part) = self.stuck().await {
                tracing::error!(part, "no progress; the agent ends, to be started again");
                tokio::time::sleep(LOG_TIME).await;
                give_up();
                break;
            }
            if asked.is_some() {
                notify(&[NotifyState::Watchdog]);
            }
        }
        notify(&[NotifyState::Stopping]);
    }

    /// The part that makes no progress, if one does not.
    async fn stuck(&self) -> Option<&'static str> {
        if self.forwarder.overdue(self.clock.elapsed()).is_some_and(|late| late > self.late_max) {
            return Some("forwarder");
        }
        // An empty transaction: it waits for its turn, and writes nothing.
        let turn = tokio::time::timeout(self.late_max, self.writer.act(|_| Ok(()))).await;
        turn.is_err().then_some("writer")
    }
}
