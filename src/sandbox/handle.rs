//! The simulator's Target, shared between its connections and its observers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::target::Target;

/// A sandbox, shared between its connections and its observers.
#[derive(Clone)]
pub struct Sandbox {
    target: Arc<Mutex<Target>>,
    /// Number of answered requests; changes with each.
    pub(super) answered: watch::Sender<u64>,
}

impl Sandbox {
    /// Returns a sandbox around a Target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target: Arc::new(Mutex::new(target)), answered: watch::Sender::new(0) }
    }

    /// Waits until the Target inside meets a condition.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Target) -> bool) {
        let mut answered = self.answered.subscribe();
        while !condition(&self.target()) {
            // The sender lives as long as `self`.
            let _ = answered.changed().await;
        }
    }

    /// Locks the Target inside and returns it.
    pub fn target(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
