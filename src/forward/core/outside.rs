//! What is asked of the core from outside: by the courier, at a stop, and by whoever shows how it stands.

use super::flight::Flight;
use super::{Core, News, Waits};
use crate::core::forwarding::link::Link;
use crate::core::identity::Identity;

impl Core {
    /// The link.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Gives how many claims ended without a settlement since it was last asked.
    pub const fn take_released(&mut self) -> usize {
        std::mem::replace(&mut self.released, 0)
    }

    /// Gives what is to be said since it was last asked.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Returns whether a request of its own, a note or a settlement is on its way: it comes to its end within a known
    /// time.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.in_flight() > 0 || self.busy.settling > 0 || self.busy.is_noting || self.adding.is_some()
    }

    /// Gives what is noted of profiles and not on its way: if the process ended now, nobody would know that it was not
    /// sent.
    #[must_use]
    pub fn noted_unsent(&self) -> Vec<(Identity, Vec<(String, String)>)> {
        let is_unsent = |flight: &&Flight| flight.is_noted && !self.sending.contains(&flight.claim.profile_id);
        let noted = |flight: &Flight| {
            let pairs = flight.update.0.iter().map(|outgoing| (outgoing.name.clone(), outgoing.value.clone()));
            (flight.claim.identity.clone(), pairs.collect())
        };
        self.flights.values().filter(is_unsent).map(noted).collect()
    }

    /// Gives why profiles wait, each alone, if that has changed since it was last asked.
    pub fn take_waits(&mut self) -> Option<Waits> {
        self.setbacks.take_changed()
    }

    /// Returns whether the outbox is known to hold more than was claimed.
    #[must_use]
    pub const fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// Returns whether something is to be written down, or is being.
    #[must_use]
    pub const fn is_writing(&self) -> bool {
        !self.settlements.is_empty() || self.busy.settling > 0 || self.void.is_some() || self.busy.is_retracting
    }

    /// Returns whether something is being done with a batch, which may take its time on a slow line.
    #[must_use]
    pub const fn is_busy_with_batch(&self) -> bool {
        self.batches.is_busy()
    }

    /// Requests on their way, and what the store does for some.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        let waiting = [self.batches.is_busy(), self.busy.is_noting, self.busy.is_claiming, self.adding.is_some()];
        self.in_flight() + waiting.into_iter().filter(|is_waiting| *is_waiting).count()
    }
}
