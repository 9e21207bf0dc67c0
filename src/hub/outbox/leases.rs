//! The claims that this node has, and how long each still lasts. No database: see `claims` for what stands there.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::moment::Moment;
use crate::hub::profile_hash::number;
use crate::store::InFlight;

/// Time before the end of a claim from which it counts as over: clocks do not run at quite the same pace.
const MARGIN: Duration = Duration::from_secs(1);

/// Time for which a profile that this node cannot read is left to others.
const UNREADABLE_TIME: Duration = Duration::from_secs(5 * 60);

/// Most profiles of which that is remembered.
const UNREADABLE_MAX: usize = 10_000;

/// A claim in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) profile: Uuid,
    pub(super) fence: i64,
}

/// A claim with the time until which it lasts for certain, and since when.
struct Held {
    lease: Lease,
    renewed: Moment,
    until: Moment,
    /// True once its result is being recorded: if that fails, the claim runs out, since what was sent is written nowhere.
    is_settling: bool,
}

/// The claims of this node, by the number of their profile.
pub(super) struct Leases {
    lasts: Duration,
    in_flight: InFlight,
    held: Mutex<HashMap<i64, Held>>,
    /// Claims that never were in flight, each with its end: they are to be ended in the database.
    abandoned: Mutex<Vec<(Lease, Moment)>>,
    /// Profiles that this node cannot read, each with the end of the time for which it does not claim them.
    unreadable: Mutex<HashMap<Uuid, Moment>>,
    /// Profiles that the forwarder has set aside, as far as it has claimed them: a number alone does not name one.
    known: Mutex<HashMap<i64, Uuid>>,
}

impl Leases {
    /// Returns no claims yet; each is to last that long from when it is asked for.
    pub(super) fn new(lasts: Duration) -> Self {
        Self {
            lasts,
            in_flight: InFlight::default(),
            held: Mutex::default(),
            abandoned: Mutex::default(),
            unreadable: Mutex::default(),
            known: Mutex::default(),
        }
    }

    pub(super) const fn lasts(&self) -> Duration {
        self.lasts
    }

    pub(super) const fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Notes a claim that was asked for at a time, and is in flight now.
    pub(super) fn add(&self, lease: Lease, asked_at: Moment) {
        let held = Held { lease, renewed: asked_at, until: self.end(asked_at), is_settling: false };
        self.held().insert(number(lease.profile), held);
        lock(&self.known).insert(number(lease.profile), lease.profile);
    }

    /// Returns until when what was asked for at a time lasts for certain.
    fn end(&self, asked_at: Moment) -> Moment {
        asked_at.plus(self.lasts.saturating_sub(MARGIN))
    }

    /// Notes claims that were asked for at a time, and will not be in flight.
    pub(super) fn abandon(&self, leases: impl IntoIterator<Item = Lease>, asked_at: Moment) {
        let end = self.end(asked_at);
        lock(&self.abandoned).extend(leases.into_iter().map(|lease| (lease, end)));
    }

    /// Notes that the results of these claims are being recorded.
    pub(super) fn settling(&self, leases: &[Lease]) {
        let mut held = self.held();
        for lease in leases {
            let held = held.get_mut(&number(lease.profile)).filter(|held| held.lease == *lease);
            held.into_iter().for_each(|held| held.is_settling = true);
        }
    }

    /// Returns the claim of a profile.
    pub(super) fn of(&self, profile_id: i64) -> Option<Lease> {
        self.held().get(&profile_id).map(|held| held.lease)
    }

    /// Returns true if the claim of a profile lasts at least that much longer, for certain.
    pub(super) fn lasts_for(&self, profile_id: i64, time: Duration) -> bool {
        self.held().get(&profile_id).is_some_and(|held| Moment::now().plus(time).is_before(held.until))
    }

    /// Notes that a claim has ended in the database.
    pub(super) fn remove(&self, leases: &[Lease]) {
        let mut held = self.held();
        for lease in leases {
            if held.get(&number(lease.profile)).is_some_and(|held| held.lease == *lease) {
                held.remove(&number(lease.profile));
            }
        }
        lock(&self.abandoned).retain(|(lease, _)| !leases.contains(lease));
    }

    /// Returns the claims that nobody holds any more, to be ended in the database. Those whose results could not be recorded are
    /// forgotten, and run out.
    pub(super) fn released(&self) -> Vec<Lease> {
        let (mut held, mut abandoned) = (self.held(), lock(&self.abandoned));
        let is_free = |id: &i64| self.in_flight.newest_version(*id).is_none();
        held.retain(|id, held| !(held.is_settling && is_free(id)));
        let now = Moment::now();
        abandoned.retain(|(_, end)| now.is_before(*end));
        let released = held.iter().filter(|(id, _)| is_free(id)).map(|(_, held)| held.lease);
        released.chain(abandoned.iter().map(|(lease, _)| *lease)).collect()
    }

    /// Returns the claims that are held and were not renewed for that long.
    pub(super) fn older_than(&self, age: Duration) -> Vec<Lease> {
        let held = self.held();
        let now = Moment::now();
        let is_old = |it: &&Held| !now.is_before(it.renewed.plus(age));
        held.values().filter(is_old).map(|held| held.lease).collect()
    }

    /// Notes which of these claims still stand, as asked for at a time; the others are lost.
    pub(super) fn renewed(&self, asked: &[Lease], standing: &HashSet<Uuid>, asked_at: Moment) {
        let mut held = self.held();
        for lease in asked {
            let Some(held) = held.get_mut(&number(lease.profile)).filter(|held| held.lease == *lease) else { continue };
            held.renewed = asked_at;
            // One that is lost is not renewed by what was asked before.
            held.until = if standing.contains(&lease.profile) { self.end(asked_at) } else { asked_at };
        }
    }

    /// Returns the profiles that are set aside, also because they cannot be read, and forgets those that are not any more.
    pub(super) fn aside(&self, numbers: &HashSet<i64>) -> Vec<Uuid> {
        let mut aside = self.unreadable();
        let (held, mut known) = (self.held(), lock(&self.known));
        known.retain(|id, _| numbers.contains(id) || held.contains_key(id));
        aside.extend(numbers.iter().filter_map(|id| known.get(id).copied()));
        aside
    }

    /// Sets profiles aside that this node cannot read.
    pub(super) fn set_aside(&self, profiles: impl Iterator<Item = Uuid>) {
        let until = Moment::now().plus(UNREADABLE_TIME);
        let mut unreadable = lock(&self.unreadable);
        let room = UNREADABLE_MAX.saturating_sub(unreadable.len());
        unreadable.extend(profiles.take(room).map(|profile| (profile, until)));
    }

    /// Returns the profiles that this node cannot read.
    pub(super) fn unreadable(&self) -> Vec<Uuid> {
        let (mut unreadable, now) = (lock(&self.unreadable), Moment::now());
        unreadable.retain(|_, until| now.is_before(*until));
        unreadable.keys().copied().collect()
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
        leases.add(lease(1, 5), Moment::now());
        tokio::time::advance(9 * SECOND).await;
        assert!(leases.lasts_for(1, 9 * SECOND) && !leases.lasts_for(1, 10 * SECOND) && !leases.lasts_for(2, SECOND));
        assert_eq!((leases.older_than(9 * SECOND), leases.older_than(10 * SECOND)), (vec![lease(1, 5)], vec![]));
        leases.renewed(&[lease(1, 5)], &[lease(1, 5).profile].into(), Moment::now());
        assert!(leases.lasts_for(1, 18 * SECOND));
        leases.renewed(&[lease(1, 4)], &HashSet::new(), Moment::now());
        assert!(leases.lasts_for(1, 18 * SECOND), "an older claim of it was lost");
        leases.renewed(&[lease(1, 5)], &HashSet::new(), Moment::now());
        tokio::time::advance(SECOND).await;
        assert!(!leases.lasts_for(1, Duration::ZERO));
    }

    #[tokio::test]
    async fn what_is_set_aside_is_known_by_its_hash_as_long_as_it_is() {
        let leases = Leases::new(20 * SECOND);
        leases.add(lease(1, 5), Moment::now());
        assert_eq!(leases.released(), [lease(1, 5)], "nobody holds it");
        leases.remove(&[lease(1, 4)]);
        assert_eq!(leases.of(1), Some(lease(1, 5)));
        leases.remove(&[lease(1, 5)]);
        assert_eq!(leases.aside(&[1, 2].into()), [lease(1, 5).profile]);
        assert!(leases.aside(&HashSet::new()).is_empty());
        assert!(leases.aside(&[1].into()).is_empty(), "it is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_let_go_and_left_to_others_for_a_while() {
        let leases = Leases::new(20 * SECOND);
        leases.abandon([lease(1, 5), lease(2, 6)], Moment::now());
        leases.set_aside([lease(1, 5).profile].into_iter());
        assert_eq!((leases.released(), leases.of(1)), (vec![lease(1, 5), lease(2, 6)], None));
        leases.remove(&[lease(1, 5)]);
        assert_eq!((leases.released(), leases.aside(&HashSet::new())), (vec![lease(2, 6)], vec![lease(1, 5).profile]));
        tokio::time::advance(UNREADABLE_TIME).await;
        assert!(leases.released().is_empty() && leases.unreadable().is_empty(), "its time is over");
    }

    #[tokio::test]
    async fn a_claim_whose_result_could_not_be_recorded_runs_out() {
        let leases = Leases::new(20 * SECOND);
        leases.add(lease(1, 5), Moment::now());
        leases.settling(&[lease(1, 5)]);
        assert!(leases.released().is_empty() && leases.of(1).is_none());
    }
}
