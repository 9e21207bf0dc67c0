//! Settings that may change while an agent runs, and how its parts look them up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::push::PushOptions;
use crate::adobe::HttpOptions;
use crate::config::{Config, TargetConfig};
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::live::Live;
use crate::forward::ForwarderSettings;
use crate::forward::shown::Bounds;
use crate::http::api::PageInfo;
use crate::store::StoreLimits;

/// The settings that may change while an agent runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Callers allowed without a token.
    pub callers: Callers,
    /// Mappings of events.
    pub mappings: Arc<Mappings>,
    /// Destination of updates, and the rules for it.
    pub target: TargetConfig,
    /// Destination to which what is pending goes first, on the way from Target to a hub.
    pub before: Option<TargetConfig>,
    /// Largest size of the store. Units: bytes.
    pub max_bytes: u64,
    /// Space kept free on its disk. Units: bytes.
    pub min_free_disk_bytes: u64,
    /// Time for which an event is kept after its delivery.
    pub keep_events: Duration,
    /// Contact for support that the page names.
    pub support: Option<String>,
    /// Collector that metrics are pushed to, if any.
    pub push: Option<PushOptions>,
}

impl Settings {
    /// Returns the settings of a configuration.
    #[must_use]
    pub fn of(config: Config) -> Self {
        let Config { target, before, store, intake, .. } = config;
        // Target's token is for Target alone.
        let push = config.metrics.push.map(|push| PushOptions {
            url: push.url,
            token: push.token,
            http: HttpOptions { connections: 1, ..target.client.http.elsewhere() },
            every: push.every,
        });
        Self {
            callers: intake.callers,
            mappings: config.mappings,
            target,
            before,
            max_bytes: store.max_bytes,
            min_free_disk_bytes: store.min_free_disk_bytes,
            keep_events: store.keep_events,
            support: config.page.support,
            push,
        }
    }

    /// Returns the limits of the store, by the rules for where updates go.
    #[must_use]
    pub const fn limits(&self) -> StoreLimits {
        let Self { target, max_bytes, min_free_disk_bytes, .. } = self;
        StoreLimits {
            max_bytes: *max_bytes,
            min_free_disk_bytes: *min_free_disk_bytes,
            resend_after: target.resend_after,
            shares_profiles: target.forwarding.is_shared(),
        }
    }

    /// Returns the settings of forwarding.
    #[must_use]
    pub fn forwarder(&self) -> ForwarderSettings {
        let TargetConfig { client, forwarding, updates_per_day, .. } = &self.target;
        ForwarderSettings {
            rules: forwarding.clone(),
            connections: client.http.connections,
            updates_per_day: *updates_per_day,
            request_timeout: client.http.timeout,
            destination: client.destination.clone(),
        }
    }

    fn page(&self) -> PageInfo {
        PageInfo { support: self.support.clone(), destination: self.target.client.destination.clone() }
    }

    /// Returns the limits for display.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        let Self { target, max_bytes, .. } = self;
        let TargetConfig { updates_per_day, reads_per_day, .. } = target;
        Bounds { updates_per_day: *updates_per_day, reads_per_day: *reads_per_day, max_bytes: *max_bytes }
    }
}

/// The settings as their parts look them up.
pub(super) struct LiveSettings {
    pub(super) mappings: Live<Mappings>,
    pub(super) callers: Live<Callers>,
    pub(super) bounds: Live<Bounds>,
    pub(super) keep_events: watch::Sender<Duration>,
    pub(super) page: Live<PageInfo>,
    pub(super) push: watch::Sender<Option<PushOptions>>,
}

impl LiveSettings {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            mappings: Live::new(settings.mappings.clone()),
            callers: Live::new(settings.callers.clone()),
            bounds: Live::new(settings.bounds()),
            keep_events: watch::channel(settings.keep_events).0,
            page: Live::new(settings.page()),
            push: watch::channel(settings.push.clone()).0,
        }
    }

    /// Replaces the settings.
    pub(super) fn replace(&self, settings: Settings) {
        self.bounds.replace(settings.bounds());
        self.page.replace(settings.page());
        self.mappings.replace(settings.mappings);
        self.callers.replace(settings.callers);
        self.keep_events.send_replace(settings.keep_events);
        self.push.send_replace(settings.push);
    }
}
