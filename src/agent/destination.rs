//! The destination of the agent's deliveries, and the messages when it has changed.

use std::path::Path;
use std::time::Duration;

use super::data_dir::HUB_TOKEN_FILE;
use super::settings::Settings;
use crate::adobe::ClientOptions;
use crate::core::limits::HUB_EVERY;
use crate::core::loopback::is_loopback;
use crate::core::timestamp::Timestamp;
use crate::device::secret::Secret;
use crate::forward::ForwarderRules;
use crate::store::{Adopted, Destination, Store, StoreError};

/// Time between two looks whether all that was pending for Target has gone.
const DRAINED_INTERVAL: Duration = Duration::from_secs(1);

/// A turn to a hub that waits until nothing is pending for Target.
pub(super) struct Turning {
    /// Settings for the hub.
    pub(super) settings: Settings,
    /// Time when that began, perhaps in an earlier process.
    pub(super) since: Timestamp,
    /// Time until the next look.
    pub(super) interval: Duration,
}

impl Turning {
    pub(super) fn new(settings: Settings, since: Timestamp) -> Self {
        Self { settings, since, interval: DRAINED_INTERVAL }
    }
}

pub(super) fn destination(target: &ClientOptions, device_id: &str) -> Destination {
    Destination {
        client_code: target.client_code.clone(),
        endpoint: target.endpoint.clone(),
        device_id: device_id.to_owned(),
    }
}

/// Goes on with the hub that this device has joined where the configuration has none any more: to Target it would send its own
/// totals in the place of the fleet's.
pub(super) fn stay_with_hub(settings: &mut Settings, hub: Option<String>, data_dir: Option<&Path>) {
    let (Some(url), Some(dir), None) = (hub, data_dir, settings.forwarding.hands_over) else { return };
    tracing::error!(
        hub = url,
        "the section [hub] is missing, and this device has joined a hub: it goes on handing over there; write agent.d/90-hub.toml \
         again with `outpost join`, or begin with another data_dir"
    );
    settings.target.endpoint = url;
    settings.target.client_code = String::new();
    settings.target.token = Some(Secret::File(dir.join(HUB_TOKEN_FILE)));
    settings.forwarding = ForwarderRules { hands_over: Some(HUB_EVERY), ..ForwarderRules::default() };
    settings.limits.shares_profiles = false;
}

/// Returns true if what is pending goes to Target before this device turns to a hub.
pub(super) fn must_drain(store: &Store) -> Result<bool, StoreError> {
    Ok(!store.hands_over() && !store.is_drained()?)
}

/// Puts the settings for Target in the place of those for the hub where what is pending goes to Target first. Returns those for
/// the hub then.
pub(super) fn turn(settings: &mut Settings, must_drain: bool) -> Option<Settings> {
    let before = settings.of_before().filter(|_| must_drain)?;
    tracing::info!("what is pending goes to Target first; then this device hands over to the hub");
    Some(std::mem::replace(settings, before))
}

/// Logs what a new destination has made void, if anything. Nothing is said for a sandbox: after a restart it has no
/// data and may have another address.
pub(super) fn tell(adopted: &Adopted, target: &ClientOptions) {
    match adopted.voided {
        Some(pending) if is_loopback(&target.host()) => {
            tracing::info!(
                profiles = pending.profiles,
                attributes = pending.attributes,
                "the store's deliveries went to another simulator; everything in it is sent to this one"
            );
        }
        Some(pending) => {
            tracing::warn!(
                profiles = pending.profiles,
                attributes = pending.attributes,
                "the store's deliveries went to another client code or endpoint; everything in it is sent again"
            );
        }
        None => {}
    }
    if let Some(attributes) = adopted.withheld {
        tracing::warn!(
            attributes,
            "the store is from a device with another name; attributes with that name are no longer sent"
        );
    }
}
