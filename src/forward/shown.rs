//! What the parts of a running agent share with whoever shows it: the link, bounds, counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::quota::Quota;
use crate::core::forwarding::route::Route;
use crate::core::timestamp::Timestamp;
use crate::store::{Pending, Reader};

/// The link as the forwarder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// Its state.
    pub state: LinkState,
    /// Why it is not online.
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// Until when nothing is sent, while that is so.
    pub wait: Option<ShownWait>,
    /// When the quota has room again, while it is spent.
    pub quota_opens_at: Option<Timestamp>,
    /// Why profiles are not read, while they should be.
    pub reads_denied: Option<String>,
}

/// A wait of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownWait {
    /// When the next request is sent.
    pub until: Timestamp,
    /// True if Target asked for it.
    pub is_told: bool,
}

impl LinkView {
    /// A link of which nothing is known yet.
    #[must_use]
    pub const fn unknown(since: Timestamp) -> Self {
        Self { state: LinkState::Unknown, reason: None, since, wait: None, quota_opens_at: None, reads_denied: None }
    }
}

/// Configured bounds that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The device's share of Target's quota.
    pub updates_per_day: u64,
    /// The device's share of the reads.
    pub reads_per_day: u64,
    /// Of the store. Units: bytes.
    pub max_bytes: u64,
}

/// Which way updates went since the start, shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct RouteCounts(Arc<[AtomicU64; Route::ALL.len()]>);

impl RouteCounts {
    /// Counts an update.
    pub fn count(&self, route: Route) {
        let place = usize::try_from(route.number()).unwrap_or(0);
        self.0[place].fetch_add(1, Ordering::Relaxed);
    }

    /// The routes that were taken, with the updates of each.
    pub fn counted(&self) -> Vec<(Route, u64)> {
        let counted = |route: Route| {
            let place = usize::try_from(route.number()).unwrap_or(0);
            (route, self.0[place].load(Ordering::Relaxed))
        };
        Route::ALL.into_iter().map(counted).filter(|(_, updates)| *updates > 0).collect()
    }
}

/// Why a profile waits, it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileWait {
    /// Why, as a clause.
    pub reason: &'static str,
    /// When it is tried again.
    pub until: Timestamp,
}

/// Why profiles wait, each alone, as the forwarder last said, shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct ProfileWaits(Arc<Mutex<HashMap<i64, ProfileWait>>>);

impl ProfileWaits {
    /// Others wait from now on.
    pub fn replace(&self, waits: HashMap<i64, ProfileWait>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits;
    }

    /// Why a profile waits.
    pub fn of(&self, profile_id: i64) -> Option<ProfileWait> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&profile_id).copied()
    }
}

/// What the last 24 hours have used of the Fetch API, shared by all who read.
#[derive(Clone, Debug)]
pub struct ReadQuota(Arc<Mutex<Quota>>);

impl ReadQuota {
    /// A quota that may be shared.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self(Arc::new(Mutex::new(quota)))
    }

    /// Another bound holds from now on.
    pub fn set_limit(&self, reads_per_day: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set_limit(reads_per_day);
    }

    /// Forgets all calls: they were another client's.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// Counts a call.
    pub fn spend(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spend(now);
    }

    /// Time until there is room again; none if there is.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Duration> {
        let opens = self.0.lock().unwrap_or_else(PoisonError::into_inner).check(now).err();
        opens.map(|at| at.since(now))
    }
}

/// What was pending when the writer started. Counting reads every attribute, which a start must not wait for.
#[derive(Debug, Default)]
pub struct PendingAtStart(OnceLock<Pending>);

impl PendingAtStart {
    /// Counts on a thread of its own, over a reader whose snapshot was taken before the writer's first change.
    ///
    /// # Errors
    /// The system's, when it has no more threads.
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

    /// Waits until it is counted.
    pub fn wait(&self) -> Pending {
        *self.0.wait()
    }
}
