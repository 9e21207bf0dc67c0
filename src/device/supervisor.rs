//! Messages to the supervisor of the process: systemd on Linux, none elsewhere.

use std::time::Duration;

/// A message to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'n> {
    /// The agent accepts events.
    Ready,
    /// The agent makes progress.
    Alive,
    /// A one-line status.
    Status(&'n str),
    /// The agent is about to stop.
    Stopping,
}

/// Returns true if there is a supervisor that asked for messages. Source: `sd_notify(3)`.
#[must_use]
pub fn listens() -> bool {
    cfg!(target_os = "linux") && std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Sends a message to the supervisor, if there is one that asked for it.
#[cfg(target_os = "linux")]
pub fn tell(news: News<'_>) {
    use sd_notify::NotifyState;
    let state = match news {
        News::Ready => NotifyState::Ready,
        News::Alive => NotifyState::Watchdog,
        News::Status(status) => NotifyState::Status(status),
        News::Stopping => NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// Does nothing: there is no supervisor to notify.
#[cfg(not(target_os = "linux"))]
pub const fn tell(_: News<'_>) {}

/// Returns the time within which the supervisor expects to hear that the agent is alive; it ends an agent that is
/// silent for longer.
#[must_use]
#[cfg(target_os = "linux")]
pub fn alive_within() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Returns nothing: there is no supervisor.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub const fn alive_within() -> Option<Duration> {
    None
}
