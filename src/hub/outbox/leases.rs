//! The claims that this node has, and how long each still lasts. No database: see `claims` for what stands there.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::hub::profile_hash::number;
use crate::store::InFlight;

/// Time before the end of a claim from which it counts as over: clocks do not run at quite the same pace.
const MARGIN: Duration = Duration::from_secs(1);

/// A claim in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) profile: Uuid,
    pub(super) fence: i64,
}

/// A claim with the time until which it lasts for certain, and since when.
struct Held {
    lease: Lease,
    renewed: Instant,
    until: Instant,
}

/// The claims of this node, by the number of their profile.
pub(super) struct Leases {
    lasts: Duration,
    in_flight: InFlight,
    held: Mutex<HashMap<i64, Held>>,
    /// Profiles that the forwarder has set aside, as far as it has claimed them: a number alone does not name one.
    known: Mutex<HashMap<i64, Uuid>>,
}

impl Leases {
    /// Returns no claims yet; each is to last that long from when it is asked for.
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, in_flight: InFlight::default(), held: Mutex::default(), known: Mutex::default() }
    }

    pub(super) const fn lasts(&self) -> Duration {
        self.lasts
    }

    pub(super) const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Notes a claim that was asked for at a time, and is in flight now.
    pub(super) fn add(&self, lease: Lease, asked_at: Instant) {
        let held = Held { lease, renewed: asked_at, until: asked_at + self.lasts - MARGIN };
        self.held().insert(number(lease.profile), held);
        lock(&self.known).insert(number(lease.profile), lease.profile);
    }

    /// Returns the claim of a profile.
    pub(super) fn of(&self, profile_id: i64) -> Option<Lease> {
        self.held().get(&profile_id).map(|held| held.lease)
    }

    /// Returns true if the claim of a profile lasts at least that much longer, for certain.
    pub(super) fn lasts_for(&self, profile_id: i64, time: Duration) -> bool {
        self.held().get(&profile_id).is_some_and(|held| Instant::now() + time <= held.until)
    }

    /// Notes that a claim has ended in the database.
    pub(super) fn remove(&self, leases: &[Lease]) {
        let mut held = self.held();
        for lease in leases {
            if held.get(&number(lease.profile)).is_some_and(|held| held.lease == *lease) {
                held.remove(&number(lease.profile));
            }
        }
    }

    /// Returns the claims that nobody holds any more, to be ended in the database.
    pub(super) fn released(&self) -> Vec<Lease> {
        let held = self.held();
        let is_free = |id: &i64| self.in_flight.newest_version(*id).is_none();
        held.iter().filter(|(id, _)| is_free(id)).map(|(_, held)| held.lease).collect()
    }

    /// Returns the claims that are held and were not renewed for that long.
    pub(super) fn older_than(&self, age: Duration) -> Vec<Lease> {
        let held = self.held();
        let is_old = |it: &&Held| it.renewed.elapsed() >= age;
        held.values().filter(is_old).map(|held| held.lease).collect()
    }

    /// Notes which of these claims still stand, as asked for at a time; the others are lost.
    pub(super) fn renewed(&self, asked: &[Lease], standing: &HashSet<Uuid>, asked_at: Instant) {
        let mut held = self.held();
        for lease in asked {
            let Some(held) = held.get_mut(&number(lease.profile)).filter(|held| held.lease == *lease) else { continue };
            held.renewed = asked_at;
            // One that is lost is not renewed by what was asked before.
            held.until = if standing.contains(&lease.profile) { asked_at + self.lasts - MARGIN } else { asked_at };
        }
    }

    /// Returns the profiles that are set aside, and forgets those that are not any more.
    pub(super) fn aside(&self, numbers: &HashSet<i64>) -> Vec<Uuid> {
        let (held, mut known) = (self.held(), lock(&self.known));
        known.retain(|id, _| numbers.contains(id) || held.contains_key(id));
        numbers.iter().filter_map(|id| known.get(id).copied()).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<i64, Held>> {
        lock(&self.held)
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each operation on it is whole, even if a holder panicked.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(number: u64, fence: i64) -> Lease {
        Lease { profile: Uuid::from_u64_pair(number, 7), fence }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_lasts_from_when_it_was_asked_for_and_one_that_is_lost_not_at_all() {
        let leases = Leases::new(20 * SECOND);
        leases.add(lease(1, 5), Instant::now());
        tokio::time::advance(9 * SECOND).await;
        assert!(leases.lasts_for(1, 10 * SECOND) && !leases.lasts_for(1, 11 * SECOND) && !leases.lasts_for(2, SECOND));
        assert_eq!((leases.older_than(9 * SECOND), leases.older_than(10 * SECOND)), (vec![lease(1, 5)], vec![]));
        leases.renewed(&[lease(1, 5)], &[lease(1, 5).profile].into(), Instant::now());
        assert!(leases.lasts_for(1, 19 * SECOND));
        leases.renewed(&[lease(1, 4)], &HashSet::new(), Instant::now());
        assert!(leases.lasts_for(1, 19 * SECOND), "an older claim of it was lost");
        leases.renewed(&[lease(1, 5)], &HashSet::new(), Instant::now());
        tokio::time::advance(SECOND).await;
        assert!(!leases.lasts_for(1, Duration::ZERO));
    }

    #[tokio::test]
    async fn what_is_set_aside_is_known_by_its_hash_as_long_as_it_is() {
        let leases = Leases::new(20 * SECOND);
        leases.add(lease(1, 5), Instant::now());
        assert_eq!(leases.released(), [lease(1, 5)], "nobody holds it");
        leases.remove(&[lease(1, 4)]);
        assert_eq!(leases.of(1), Some(lease(1, 5)));
        leases.remove(&[lease(1, 5)]);
        assert_eq!(leases.aside(&[1, 2].into()), [lease(1, 5).profile]);
        assert!(leases.aside(&HashSet::new()).is_empty());
        assert!(leases.aside(&[1].into()).is_empty(), "it is forgotten");
    }
}
