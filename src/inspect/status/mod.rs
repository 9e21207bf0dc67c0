//! What the agent tells of itself: the documents of `GET /v1/status` and `GET /v1/profiles`.
//!
//! Gathered from the writer's numbers, a reader's queries and the forwarder's view of the link.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::quota::QuotaClock;
use crate::core::identity::StoredForms;
use crate::core::limits::REJECTED_LISTED_MAX;
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::forward::shown::{LinkView, PendingAtStart, ProfileWait, ProfileWaits, RouteCounts, SharedBounds};
use crate::inspect::rejected::{RejectedItem, RejectedList};
use crate::intake::kinds::{KindViews, SharedKinds};
use crate::store::{Counters, InFlight, Pending, ProfileRow, Reader, RejectedRow, Room, StoreError, StoreFile, Writer};

mod documents;

pub use documents::{
    BatchView, DeliveredCounts, EventCounts, History, HistoryMoment, PendingCounts, Profile, ProfileAttribute,
    ProfileEventView, ProfileIdentity, ProfileReading, ProfileSend, ProfileWaitView, QuotaCounts, ReadCounts,
    RejectedCounts, RouteCount, Status, StoreCounts, profile,
};

/// How far the history goes back.
const HISTORY_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Events of a profile that are shown with it.
pub const EVENTS_SHOWN: usize = 20;

/// Time for which a change of the destination is told.
const DESTINATION_SHOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Batches at their end that the status shows.
const BATCHES_SHOWN: usize = 3;

/// What the gathering needs; all of it is shared with the parts that it shows.
pub struct StatusParts {
    /// The writer, for its numbers.
    pub writer: Writer,
    /// A connection of its own.
    pub reader: Mutex<Reader>,
    /// What was pending when the writer started, once it is counted.
    pub pending_at_start: Arc<PendingAtStart>,
    /// What is claimed.
    pub in_flight: InFlight,
    /// The forwarder's view of the link.
    pub link: watch::Receiver<LinkView>,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// The device's name.
    pub device_id: String,
    /// The configured bounds, which may change.
    pub bounds: SharedBounds,
    /// The quota's clock.
    pub quota_clock: QuotaClock,
    /// How each kind of intake is doing that is configured.
    pub intake: SharedKinds,
    /// Which way updates went.
    pub route_counts: RouteCounts,
    /// Why profiles wait, each alone.
    pub waits: ProfileWaits,
    /// The store's file.
    pub store_file: StoreFile,
}

impl StatusParts {
    /// The document of `GET /v1/status`. Reads from disk: not for an async thread.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn status(&self) -> Result<Status, StoreError> {
        let counters = self.writer.counters();
        let bounds = self.bounds.now();
        let known = Known {
            counters,
            pending: self.pending_at_start.wait().plus(counters.pending_change),
            link: self.link.borrow().clone(),
            now: self.clock.now(),
            uptime: self.clock.elapsed(),
            device_id: &self.device_id,
            updates_per_day: bounds.updates_per_day,
            reads_per_day: bounds.reads_per_day,
            routes: self.route_counts.counted().into_iter().map(RouteCount::from).collect(),
            intake: self.intake.now(),
            quota_now: self.quota_clock.at(self.clock.elapsed()),
            max_bytes: bounds.max_bytes,
            is_full: matches!(*self.writer.room().borrow(), Room::Full(_)),
            data_dir: self.store_file.path.parent().unwrap_or(Path::new("")),
        };
        gather(known, &self.reader())
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the store answers a query.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn check_store(&self) -> Result<(), StoreError> {
        self.reader().oldest_pending().map(|_| ())
    }

    /// The document of `GET /v1/history`. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn history(&self) -> Result<History, StoreError> {
        let now = self.clock.now();
        let moments = self.reader().history(now.minus(HISTORY_TIME))?;
        let mut moments: Vec<HistoryMoment> = moments.into_iter().map(HistoryMoment::from).collect();
        let counters = self.writer.counters();
        moments.push(HistoryMoment {
            at: now.to_string(),
            recorded: counters.recorded,
            delivered: counters.totals.updates,
            pending: Some(self.pending_at_start.wait().plus(counters.pending_change).profiles),
        });
        Ok(History { moments })
    }

    /// What is kept as rejected, after that number. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected(&self, after: i64) -> Result<RejectedList, StoreError> {
        let rows = self.reader().rejected(after, REJECTED_LISTED_MAX)?;
        Ok(RejectedList { rejected: rows.iter().map(RejectedItem::listed).collect() })
    }

    /// The newest of it, newest first. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected_newest(&self, limit: usize) -> Result<Vec<RejectedItem>, StoreError> {
        Ok(self.reader().rejected_newest(limit)?.iter().map(RejectedItem::listed).collect())
    }

    /// One of them. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected_row(&self, id: i64) -> Result<Option<RejectedRow>, StoreError> {
        self.reader().rejected_row(id)
    }

    /// The document of `GET /v1/profiles/{kind}/{key}`, if the store holds the identity. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn profile(&self, forms: &StoredForms) -> Result<Option<Profile>, StoreError> {
        let reader = self.reader();
        let Some(row) = reader.profile(forms)? else { return Ok(None) };
        let events = reader.profile_events(row.id, EVENTS_SHOWN)?;
        let in_flight = self.in_flight.newest_version(row.id);
        let waits = self.waits(row.id);
        let found = profile(row, events, in_flight, self.clock.now());
        let is_pending = found.attributes.iter().any(|attribute| attribute.state == "pending");
        Ok(Some(Profile { waits: waits.filter(|_| is_pending), ..found }))
    }

    /// Why a profile that is pending waits: with all others, or it alone.
    fn waits(&self, profile_id: i64) -> Option<ProfileWaitView> {
        let now = self.clock.now();
        let LinkView { state, reason, quota_opens_at, .. } = self.link.borrow().clone();
        if !matches!(state, LinkState::Online | LinkState::Unknown) {
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return Some(ProfileWaitView { reason: format!("the link is {}{why}", state.name()), until: None });
        }
        let alone = self.waits.of(profile_id).filter(|wait| wait.until > now);
        if let Some(ProfileWait { reason, until }) = alone {
            return Some(ProfileWaitView { reason: reason.to_owned(), until: Some(until.to_string()) });
        }
        let until = quota_opens_at.filter(|at| *at > now)?.to_string();
        Some(ProfileWaitView { reason: "the quota of 24 hours is spent".to_owned(), until: Some(until) })
    }

    /// All that the store holds of an identity, as it stands there. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn profile_row(&self, forms: &StoredForms) -> Result<Option<ProfileRow>, StoreError> {
        self.reader().profile(forms)
    }
}

/// The document for a store whose agent does not run.
///
/// # Errors
/// [`StoreError::Read`].
pub fn status_at_rest(
    reader: &Reader,
    device_id: &str,
    (updates_per_day, reads_per_day): (u64, u64),
    max_bytes: u64,
    data_dir: &Path,
) -> Result<Status, StoreError> {
    let reason = Some("the agent is not running; these are the numbers of its store".to_owned());
    let counters = reader.counters()?;
    let now = Clock::new(counters.recorded_at).now();
    let known = Known {
        counters,
        quota_now: counters.totals.quota_time(Clock::system()).at,
        max_bytes,
        is_full: false,
        pending: reader.count_pending()?,
        link: LinkView { reason, ..LinkView::unknown(now) },
        now,
        uptime: Duration::ZERO,
        device_id,
        updates_per_day,
        reads_per_day,
        routes: Vec::new(),
        intake: KindViews::default(),
        data_dir,
    };
    gather(known, reader)
}

/// What is known without a query.
struct Known<'n> {
    counters: Counters,
    pending: Pending,
    link: LinkView,
    now: Timestamp,
    uptime: Duration,
    device_id: &'n str,
    updates_per_day: u64,
    reads_per_day: u64,
    routes: Vec<RouteCount>,
    intake: KindViews,
    quota_now: Timestamp,
    max_bytes: u64,
    is_full: bool,
    data_dir: &'n Path,
}

fn gather(known: Known<'_>, reader: &Reader) -> Result<Status, StoreError> {
    let Known { counters, pending, link, now, uptime, device_id, updates_per_day, max_bytes, is_full, .. } = known;
    let totals = counters.totals;
    let oldest = reader.oldest_pending()?;
    let (rejected_events, rejected_updates) = reader.count_rejected()?;
    let used = reader.quota_used(known.quota_now)?;
    let changed_at = Some(Timestamp::from_millis(totals.destination_changed_at_ms));
    let changed_at = changed_at.filter(|at| now.since(*at) < DESTINATION_SHOWN && *at > Timestamp::default());
    let last_at = Some(totals.last_delivered_at_ms).filter(|at_ms| *at_ms > 0).map(Timestamp::from_millis);
    Ok(Status {
        link: link.state.name().to_owned(),
        link_reason: link.reason,
        link_since: link.since.to_string(),
        events: EventCounts {
            recorded: counters.recorded,
            duplicate: totals.duplicate,
            differing: totals.differing,
            unmapped: totals.unmapped,
            rejected: totals.rejected,
            unconsented: totals.unconsented,
        },
        pending: PendingCounts {
            profiles: pending.profiles,
            attributes: pending.attributes,
            oldest_seconds: oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
            missing_profiles: reader.count_missing()?,
        },
        delivered: DeliveredCounts {
            updates: totals.updates,
            attributes: totals.attributes,
            requests: totals.requests,
            unconfirmed: totals.unconfirmed,
            superseded: totals.superseded,
            last_at: last_at.map(|at| at.to_string()),
        },
        rejected: RejectedCounts { events: rejected_events, updates: rejected_updates },
        quota: QuotaCounts {
            updates_per_day,
            used,
            remaining: updates_per_day.saturating_sub(used),
            opens_at: link.quota_opens_at.map(|at| at.to_string()),
        },
        routes: known.routes,
        intake: known.intake,
        batches: reader.batches(BATCHES_SHOWN)?.into_iter().map(BatchView::from).collect(),
        reads: ReadCounts {
            total: totals.reads,
            reads_per_day: known.reads_per_day,
            used: reader.reads_used(known.quota_now)?,
            verified: totals.verified,
            lost: totals.lost,
            denied: link.reads_denied,
        },
        store: StoreCounts {
            bytes: reader.size_bytes(),
            max_bytes,
            log_bytes: reader.log_bytes(),
            is_full,
            disk_free_bytes: fs4::available_space(known.data_dir).ok(),
            purged_profiles: totals.profiles_purged,
            salvage: reader.last_salvage()?.map(|salvage| salvage.to_string()),
            destination_changed_at: changed_at.map(|at| at.to_string()),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device_id: device_id.to_owned(),
        uptime_seconds: uptime.as_secs(),
        totals,
    })
}
