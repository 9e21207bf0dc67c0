//! What somebody outside of the process wants of the agent: with signals, or through the service manager of Windows.

use std::pin::Pin;

use tokio::sync::mpsc;

/// How the agent is told to stop and to reload, and how it tells that it has started.
pub(in crate::cli) struct Orders {
    /// Ends when the agent is to stop.
    pub(in crate::cli) stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Something comes whenever the configuration is to be read anew.
    pub(in crate::cli) reload: mpsc::Receiver<()>,
    /// Called once events are taken.
    pub(in crate::cli) started: Box<dyn FnOnce() + Send>,
}

impl Orders {
    /// Signals, for an agent in the foreground. Call it within a tokio runtime.
    pub(in crate::cli) fn of_signals() -> Self {
        let (sender, reload) = mpsc::channel(1);
        tokio::spawn(pass_hangups_on(sender));
        Self { stop: Box::pin(wait_for_signal()), reload, started: Box::new(|| {}) }
    }
}

/// Passes SIGHUP on, where there is one.
async fn pass_hangups_on(reload: mpsc::Sender<()>) {
    #[cfg(unix)]
    {
        let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        let Ok(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() {
            // One that waits already stands for all.
            let _ = reload.try_send(());
        }
    }
    #[cfg(not(unix))]
    drop(reload);
}

/// Waits until the process is told to stop.
pub(in crate::cli) async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler for it, SIGTERM ends the process at once: no worse than a power cut.
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
