//! State that the parts of a running agent share for display: the link, limits, counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::quota::Quota;
use crate::core::forwarding::route::Route;
use crate::core::forwarding::why::Why;
use crate::core::timestamp::Timestamp;
use crate::store::{Pending, Reader};

/// The link as the forwarder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// State of the link.
    pub state: LinkState,
    /// Reason why it is not online.
    pub reason: Option<Why>,
    /// Time since which it is in this state.
    pub since: Timestamp,
    /// Present wait, if nothing is sent.
    pub wait: Option<ShownWait>,
    /// Time when the quota has room again, if it is used up.
    pub quota_opens_at: Option<Timestamp>,
    /// Time until which no batch is sent, since the rows of a day are used up.
    pub rows_open_at: Option<Timestamp>,
    /// Reason why profiles are not read although they should be.
    pub reads_denied: Option<String>,
}

/// A wait of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownWait {
    /// Time of the next request.
    pub until: Timestamp,
    /// True if Target asked for it.
    pub is_told: bool,
}

impl LinkView {
    /// Returns a link of which nothing is known yet.
    #[must_use]
    pub const fn unknown(since: Timestamp) -> Self {
        Self {
            state: LinkState::Unknown,
            reason: None,
            since,
            wait: None,
            quota_opens_at: None,
            rows_open_at: None,
            reads_denied: None,
        }
    }
}

/// Configured limits, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// This device's share of Target's quota.
    pub updates_per_day: u64,
    /// This device's share of the reads.
    pub reads_per_day: u64,
    /// Largest size of the store. Units: bytes.
    pub max_bytes: u64,
}

/// Numbers of updates by route since the start. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct RouteCounts(Arc<[AtomicU64; Route::ALL.len()]>);

impl RouteCounts {
    /// Counts an update that was delivered by a route.
    pub fn count(&self, route: Route) {
        let place = usize::try_from(route.number()).unwrap_or(0);
        self.0[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the routes that were used, with the number of updates of each.
    pub fn counted(&self) -> Vec<(Route, u64)> {
        let counted = |route: Route| {
            let place = usize::try_from(route.number()).unwrap_or(0);
            (route, self.0[place].load(Ordering::Relaxed))
        };
        Route::ALL.into_iter().map(counted).filter(|(_, updates)| *updates > 0).collect()
    }
}

/// The wait of one profile that the others do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileWait {
    /// Reason, as a clause.
    pub reason: &'static str,
    /// Time of the next try.
    pub until: Timestamp,
}

/// The profiles that wait by themselves, as last reported by the forwarder. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct ProfileWaits(Arc<Mutex<HashMap<i64, ProfileWait>>>);

impl ProfileWaits {
    /// Replaces the whole list.
    pub fn replace(&self, waits: HashMap<i64, ProfileWait>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits;
    }

    /// Returns how many profiles wait at that time, and the wait that ends first.
    pub fn count(&self, now: Timestamp) -> (usize, Option<ProfileWait>) {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = || waits.values().filter(|wait| wait.until > now);
        (waiting().count(), waiting().min_by_key(|wait| wait.until).copied())
    }

    /// Returns the wait of a profile, if it waits.
    pub fn of(&self, profile_id: i64) -> Option<ProfileWait> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&profile_id).copied()
    }
}

/// Uses of the Fetch API in the last 24 hours, shared by all who read.
#[derive(Clone, Debug)]
pub struct ReadQuota(Arc<Mutex<Quota>>);

impl ReadQuota {
    /// Returns a quota that can be shared.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self(Arc::new(Mutex::new(quota)))
    }

    /// Changes the limit. Units: calls of the Fetch API per 24 hours.
    pub fn set_limit(&self, reads_per_day: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set_limit(reads_per_day);
    }

    /// Forgets all calls, because they belong to another client code.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// Takes what is left of a quota that is shared with others.
    pub fn tell(&self, quota: Quota) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = quota;
    }

    /// Counts a call of the Fetch API as made at a time.
    pub fn spend(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spend(now);
    }

    /// Returns the time until there is room again; `None` if there is room now.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Duration> {
        let opens = self.0.lock().unwrap_or_else(PoisonError::into_inner).check(now).err();
        opens.map(|at| at.since(now)).filter(|wait| !wait.is_zero())
    }
}

/// The amount pending when the writer started. Counting reads every attribute, which a start must not wait for.
#[derive(Debug, Default)]
pub struct PendingAtStart(OnceLock<Pending>);

impl PendingAtStart {
    /// Counts on a separate thread, over a reader whose snapshot was taken before the writer's first change.
    ///
    /// # Errors
    /// The system's, if it has no more threads.
    pub fn count(snapshot: Reader) -> std::io::Result<Arc<Self>> {
        let counted = Arc::new(Self::default());
        let result = counted.clone();
        std::thread::Builder::new().name("count-pending".to_owned()).spawn(move || {
            let pending = snapshot.count_pending().unwrap_or_else(|error| {
                tracing::warn!(%error, "what is pending could not be counted");
                Pending::default()
            });
            let _ = result.0.set(pending);
        })?;
        Ok(counted)
    }

    /// Waits for the count and returns it.
    pub fn wait(&self) -> Pending {
        *self.0.wait()
    }
}
