//! What may change while an agent runs, and where its parts look it up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::adobe::ClientOptions;
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::live::Live;
use crate::forward::shown::Bounds;
use crate::forward::{ForwarderRules, ForwarderSettings};
use crate::store::StoreLimits;

/// What may change while an agent runs.
#[derive(Debug)]
pub struct Settings {
    /// Who may call beside those that have a token.
    pub callers: Callers,
    /// What events mean.
    pub mappings: Arc<Mappings>,
    /// How Target is reached.
    pub target: ClientOptions,
    /// How updates are forwarded.
    pub forwarding: ForwarderRules,
    /// The device's share of Target's quota.
    pub updates_per_day: u64,
    /// The device's share of the calls of the Fetch API.
    pub reads_per_day: u64,
    /// How large the store may grow, and when a value is sent again.
    pub limits: StoreLimits,
    /// Time that an event is kept after its delivery.
    pub keep_events: Duration,
}

impl Settings {
    /// What an operator decides of forwarding.
    #[must_use]
    pub fn forwarder(&self) -> ForwarderSettings {
        ForwarderSettings {
            rules: self.forwarding.clone(),
            connections: self.target.connections,
            updates_per_day: self.updates_per_day,
            request_timeout: self.target.timeout,
            destination: (self.target.client_code.clone(), self.target.endpoint.clone()),
        }
    }

    /// Bounds that are shown.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        let Self { updates_per_day, reads_per_day, limits, .. } = self;
        Bounds { updates_per_day: *updates_per_day, reads_per_day: *reads_per_day, max_bytes: limits.max_bytes }
    }
}

/// Settings that their parts look up whenever they need them.
pub(super) struct LiveSettings {
    pub(super) mappings: Live<Mappings>,
    pub(super) callers: Live<Callers>,
    pub(super) bounds: Live<Bounds>,
    pub(super) keep_events: watch::Sender<Duration>,
}

impl LiveSettings {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            mappings: Live::new(settings.mappings.clone()),
            callers: Live::new(settings.callers.clone()),
            bounds: Live::new(settings.bounds()),
            keep_events: watch::channel(settings.keep_events).0,
        }
    }

    /// Has other settings hold from now on.
    pub(super) fn replace(&self, settings: Settings) {
        self.bounds.replace(settings.bounds());
        self.mappings.replace(settings.mappings);
        self.callers.replace(settings.callers);
        self.keep_events.send_replace(settings.keep_events);
    }
}
