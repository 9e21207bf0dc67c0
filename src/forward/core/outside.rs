//! Queries to the core from outside: by the courier, at a stop, and for display.

use super::flight::Flight;
use super::{Core, News, Waits};
use crate::core::forwarding::link::Link;
use crate::core::identity::Identity;

impl Core {
    /// Returns the link.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Returns how many claims ended without a settlement since the last call.
    pub const fn take_released(&mut self) -> usize {
        std::mem::replace(&mut self.released, 0)
    }

    /// Returns the news since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Returns true if a single request, a note or a settlement is in progress, which ends within a known time.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.in_flight() > 0 || self.busy.settling > 0 || self.busy.is_noting || self.adding.is_some()
    }

    /// Returns the recorded values of profiles that are not in flight: if the process ended now, it would be unknown
    /// that they were not sent.
    #[must_use]
    pub fn noted_unsent(&self) -> Vec<(Identity, Vec<(String, String)>)> {
        let is_unsent = |flight: &&Flight| flight.is_noted && !self.sending.contains(&flight.claim.profile_id);
        let noted = |flight: &Flight| {
            let pairs = flight.update.0.iter().map(|outgoing| (outgoing.name.clone(), outgoing.value.clone()));
            (flight.claim.identity.clone(), pairs.collect())
        };
        self.flights.values().filter(is_unsent).map(noted).collect()
    }

    /// Returns the profiles that wait by themselves, if that has changed since the last call.
    pub fn take_waits(&mut self) -> Option<Waits> {
        self.setbacks.take_changed()
    }

    /// Returns true if the outbox is known to have more than was claimed.
    #[must_use]
    pub const fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// Returns true if something is being recorded or waits to be.
    #[must_use]
    pub const fn is_writing(&self) -> bool {
        !self.settlements.is_empty() || self.busy.settling > 0 || self.void.is_some() || self.busy.is_retracting
    }

    /// Returns true if a job is running on a batch, which may take long on a slow line.
    #[must_use]
    pub const fn is_busy_with_batch(&self) -> bool {
        self.batches.is_busy()
    }

    /// Returns the number of requests in flight, including those that wait for the store.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        let waiting = [self.batches.is_busy(), self.busy.is_noting, self.busy.is_claiming, self.adding.is_some()];
        self.in_flight() + waiting.into_iter().filter(|is_waiting| *is_waiting).count()
    }
}
