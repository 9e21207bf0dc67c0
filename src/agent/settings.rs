//! Settings that may change while an agent runs, and how its parts look them up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::push::PushOptions;
use crate::adobe::ClientOptions;
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::live::Live;
use crate::forward::shown::Bounds;
use crate::forward::{ForwarderRules, ForwarderSettings};
use crate::http::api::PageInfo;
use crate::store::StoreLimits;

/// The settings that may change while an agent runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Callers allowed without a token.
    pub callers: Callers,
    /// Mappings of events.
    pub mappings: Arc<Mappings>,
    /// Settings of the client for Target.
    pub target: ClientOptions,
    /// Rules for forwarding.
    pub forwarding: ForwarderRules,
    /// This device's share of Target's quota. Units: single updates in 24 hours.
    pub updates_per_day: u64,
    /// This device's share of the calls of the Fetch API. Units: calls in 24 hours.
    pub reads_per_day: u64,
    /// Limits of the store, and rules for sending a value again.
    pub limits: StoreLimits,
    /// Time for which an event is kept after its delivery.
    pub keep_events: Duration,
    /// Contact for support that the page names.
    pub support: Option<String>,
    /// Collector that metrics are pushed to, if any.
    pub push: Option<PushOptions>,
    /// Destination to which what is pending goes first, on the way from Target to a hub.
    pub before: Option<Box<Before>>,
}

/// The destination of a device that turns to a hub, until nothing is pending for it.
#[derive(Clone, Debug)]
pub struct Before {
    /// Settings of the client for Target.
    pub target: ClientOptions,
    /// Rules for forwarding.
    pub forwarding: ForwarderRules,
    /// This device's share of Target's quota. Units: single updates in 24 hours.
    pub updates_per_day: u64,
    /// This device's share of the calls of the Fetch API. Units: calls in 24 hours.
    pub reads_per_day: u64,
    /// Time after a delivery from which an unchanged value is sent again when an event repeats it.
    pub resend_after: Duration,
}

impl Settings {
    /// Returns the settings with which what is pending goes to Target, if it goes there first.
    #[must_use]
    pub fn of_before(&self) -> Option<Self> {
        let Before { target, forwarding, updates_per_day, reads_per_day, resend_after } = *self.before.clone()?;
        let limits = StoreLimits { resend_after, shares_profiles: forwarding.late_after.is_some(), ..self.limits };
        Some(Self { target, forwarding, updates_per_day, reads_per_day, limits, before: None, ..self.clone() })
    }

    /// Returns the settings of forwarding.
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

    fn page(&self) -> PageInfo {
        let Self { support, target, .. } = self;
        let (client_code, endpoint) = (target.client_code.clone(), target.endpoint.clone());
        PageInfo { support: support.clone(), client_code, endpoint }
    }

    /// Returns the limits for display.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        let Self { updates_per_day, reads_per_day, limits, .. } = self;
        Bounds { updates_per_day: *updates_per_day, reads_per_day: *reads_per_day, max_bytes: limits.max_bytes }
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
