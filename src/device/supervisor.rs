//! What the supervisor of the process is told: systemd on Linux, nobody elsewhere.

use std::time::Duration;

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'n> {
    /// Events are taken.
    Ready,
    /// The agent makes progress.
    Alive,
    /// How it is, in a line.
    Status(&'n str),
    /// It is about to end.
    Stopping,
}

/// Returns whether there is a supervisor that asked to be told. Source: `sd_notify(3)`.
#[must_use]
pub fn listens() -> bool {
    cfg!(target_os = "linux") && std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells the supervisor, if there is one that asked to be told.
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

/// Tells the supervisor, if there is one that asked to be told.
#[cfg(not(target_os = "linux"))]
pub const fn tell(_: News<'_>) {}

/// How often the supervisor wants to hear that the agent is alive; it ends one that says nothing for so long.
#[must_use]
#[cfg(target_os = "linux")]
pub fn alive_within() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// How often the supervisor wants to hear that the agent is alive.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub const fn alive_within() -> Option<Duration> {
    None
}
