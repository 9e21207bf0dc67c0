//! The destination of the agent's deliveries, and the messages when it has changed.

use std::time::Duration;

use super::course::{Course, Next, must_drain};
use super::settings::Settings;
use crate::adobe::host;
use crate::core::forwarding::destination::Destination;
use crate::core::loopback::is_loopback;
use crate::core::timestamp::Timestamp;
use crate::store::{Adopted, Deliveries, StoreError, Transaction};

/// Time between two looks whether all that was pending for Target has gone.
const DRAINED_INTERVAL: Duration = Duration::from_secs(1);

/// A turn to a hub that waits until nothing is pending for Target.
pub(super) struct Turning {
    /// Settings for the hub.
    pub(super) settings: Settings,
    /// Time until the next look.
    pub(super) interval: Duration,
}

impl Turning {
    /// Returns the turn that a course leads to, if any.
    pub(super) fn of(course: Course) -> Option<Self> {
        match course.next {
            Next::Hub(settings) => Some(Self { settings: *settings, interval: DRAINED_INTERVAL }),
            Next::Same | Next::HubUnconfigured => None,
        }
    }
}

/// Applies a course to the store, within a transaction: the limits, and the destination of deliveries. Returns what that changed;
/// `None` if something is pending that must go to Target first.
pub(super) fn adopt(
    store: &mut Transaction<'_>,
    course: &Course,
    device_id: &str,
    now: Timestamp,
) -> Result<Option<Adopted>, StoreError> {
    let Course { settings, next } = course;
    if must_drain(settings, &store.noted()?, now) {
        return Ok(None);
    }
    store.set_limits(settings.limits())?;
    let destination = settings.target.client.destination.clone();
    let adopted = store.adopt_destination(&Deliveries { destination, device_id: device_id.to_owned() }, now)?;
    store.note_draining(matches!(next, Next::Hub(_)), now);
    Ok(Some(adopted))
}

/// Logs what a new destination has made void, if anything. Nothing is said for a sandbox: after a restart it has no
/// data and may have another address.
pub(super) fn tell(adopted: &Adopted, destination: &Destination) {
    match adopted.voided {
        Some(pending) if is_loopback(&host(destination.endpoint())) => {
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
