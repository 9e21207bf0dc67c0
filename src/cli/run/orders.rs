//! Orders to the agent from outside the process: signals, or the Windows service manager.

use std::pin::Pin;

use tokio::sync::mpsc;

/// The orders to stop and to reload, and the notice that the agent has started.
pub(in crate::cli) struct Orders {
    /// Future that ends when the agent is to stop.
    pub(in crate::cli) stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Channel that receives a message for each reload.
    pub(in crate::cli) reload: mpsc::Receiver<()>,
    /// Called once events are accepted.
    pub(in crate::cli) started: Box<dyn FnOnce() + Send>,
}

impl Orders {
    /// Returns orders by signals, for an agent in the foreground. Call it within a tokio runtime.
    pub(in crate::cli) fn of_signals() -> Self {
        let (sender, reload) = mpsc::channel(1);
        tokio::spawn(pass_hangups_on(sender));
        Self { stop: Box::pin(wait_for_signal()), reload, started: Box::new(|| {}) }
    }
}

/// Forwards SIGHUP, where it exists.
async fn pass_hangups_on(reload: mpsc::Sender<()>) {
    #[cfg(unix)]
    {
        let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        let Ok(mut hangups) = hangups else { return };
        while hangups.recv().await.is_some() {
            // A waiting request stands for all.
            let _ = reload.try_send(());
        }
    }
    #[cfg(not(unix))]
    drop(reload);
}

/// Waits until the process is asked to stop.
pub(in crate::cli) async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler, SIGTERM ends the process at once, which is no worse than a power cut.
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
