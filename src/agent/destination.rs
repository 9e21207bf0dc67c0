//! The destination of the agent's deliveries, and the messages when it has changed.

use std::net::IpAddr;

use super::settings::Settings;
use crate::adobe::ClientOptions;
use crate::store::{Adopted, Destination, Store, StoreError};

pub(super) fn destination(target: &ClientOptions, device_id: &str) -> Destination {
    Destination {
        client_code: target.client_code.clone(),
        endpoint: target.endpoint.clone(),
        device_id: device_id.to_owned(),
    }
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

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
