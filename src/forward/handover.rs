//! The request by which this device hands over to a hub.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::fleet::{DeviceState, Handover, PartId, ProfileParts};
use crate::core::packed::packed;
use crate::device::clock::Clock;

/// Time for which a reading of the device's state is told: it looks at the whole store.
const STATE_AGE: Duration = Duration::from_secs(10);

/// Most parts confirmed in one request. Limits: 36 bytes each.
pub(super) const CONFIRMED_MAX: usize = 200;

/// Reads how this device is; `None` if the store cannot be read.
pub type StateReader = Arc<dyn Fn() -> Option<DeviceState> + Send + Sync>;

/// The state of the device as it is told to the hub.
pub struct ToldState {
    /// Number of the store.
    store: Option<PartId>,
    read: StateReader,
    last: Mutex<Option<(Instant, DeviceState)>>,
}

impl ToldState {
    /// Returns a state that is read when it is needed.
    #[must_use]
    pub fn new(read: StateReader, store: Option<PartId>) -> Self {
        Self { store, read, last: Mutex::default() }
    }

    fn now(&self) -> DeviceState {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, state)) = last.as_ref().filter(|(at, _)| at.elapsed() < STATE_AGE) {
            return state.clone();
        }
        let state = (self.read)().unwrap_or_default();
        *last = Some((Instant::now(), state.clone()));
        state
    }
}

/// Makes one request. May block on the store.
pub(super) fn body(state: &ToldState, confirmed: &[PartId], profiles: Vec<ProfileParts>) -> Vec<u8> {
    let handover = Handover {
        store: state.store,
        // As the device's clock shows it: the hub names devices whose clock is off.
        sent_at: Some(Clock::system()),
        confirmed: confirmed.to_vec(),
        state: state.now(),
        profiles,
        refused: Vec::new(),
    };
    compressed(&handover)
}

/// Writes a request: JSON in gzip.
#[must_use]
pub fn compressed(handover: &Handover) -> Vec<u8> {
    packed(handover.write().as_bytes())
}
