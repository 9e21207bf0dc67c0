//! What the agent tells of itself: the documents of `GET /v1/status` and `GET /v1/profiles`.
//!
//! Gathered from the writer's numbers, a reader's queries and the forwarder's view of the link.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::existence::Existence;
use crate::identity::Identity;
use crate::limits::REJECTED_LISTED_MAX;
use crate::link::LinkState;
use crate::metrics::Numbers;
use crate::quota::{Quota, QuotaClock};
use crate::reason::Reason;
use crate::rejected::{RejectedItem, RejectedList};
use crate::route::Route;
use crate::store::{
    AttributeRow, BatchHead, Counters, InFlight, Moment, Pending, ProfileEvent, ProfileRow, Reader, RejectedRow, Room,
    StoreError, Writer,
};
use crate::timestamp::Timestamp;

/// How far the history goes back.
const HISTORY_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Events of a profile that are shown with it.
pub const EVENTS_SHOWN: usize = 20;

/// Batches at their end that the status shows.
const BATCHES_SHOWN: usize = 3;

/// The link as the forwarder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// Its state.
    pub state: LinkState,
    /// Why it is not online.
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When the quota has room again, while it is spent.
    pub quota_opens_at: Option<Timestamp>,
    /// Why profiles are not read, while they should be.
    pub reads_denied: Option<String>,
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

/// Bounds that may change while the agent runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedBounds(Arc<Mutex<Bounds>>);

impl SharedBounds {
    /// Bounds that may change.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(bounds)))
    }

    /// Others hold from now on.
    pub fn replace(&self, bounds: Bounds) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    fn now(&self) -> Bounds {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn shown(&self) -> Vec<RouteCount> {
        let counted = |route: Route| {
            let place = usize::try_from(route.number()).unwrap_or(0);
            let updates = self.0[place].load(Ordering::Relaxed);
            (updates > 0).then(|| RouteCount {
                api: route.api().name().to_owned(),
                why: route.why().to_owned(),
                updates,
            })
        };
        Route::ALL.into_iter().filter_map(counted).collect()
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

    /// Counts a call.
    pub fn spend(&self, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spend(now);
    }

    /// How long until there is room again; none if there is.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Duration> {
        let opens = self.0.lock().unwrap_or_else(PoisonError::into_inner).check(now).err();
        opens.map(|at| at.since(now))
    }
}

/// The document of `GET /v1/status`; the contract names its fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Status {
    pub link: String,
    pub link_reason: Option<String>,
    pub link_since: String,
    pub events: EventCounts,
    pub pending: PendingCounts,
    pub delivered: DeliveredCounts,
    pub rejected: RejectedCounts,
    pub quota: QuotaCounts,
    /// Which way updates went since the agent started, and why.
    pub routes: Vec<RouteCount>,
    /// Batches that are not at their end, and the last that are, newest first.
    pub batches: Vec<BatchView>,
    /// Reading profiles: before they are sent, and back.
    pub reads: ReadCounts,
    pub store: StoreCounts,
    pub version: String,
    pub device_id: String,
    pub uptime_seconds: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EventCounts {
    pub recorded: i64,
    pub duplicate: i64,
    pub unmapped: i64,
    pub rejected: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PendingCounts {
    pub profiles: i64,
    pub attributes: i64,
    pub oldest_seconds: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DeliveredCounts {
    pub updates: i64,
    pub attributes: i64,
    pub requests: i64,
    /// Single updates to profiles of which nobody knew whether Target has them: there they may have vanished.
    pub unconfirmed: i64,
    /// Values that were left out, since somebody else's were newer.
    pub superseded: i64,
    pub last_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RouteCount {
    pub api: String,
    pub why: String,
    pub updates: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct BatchView {
    /// `filling`, `submitting`, `submitted`, `complete` or `given_up`.
    pub state: String,
    pub rows: usize,
    pub submitted_at: Option<String>,
    pub ended_at: Option<String>,
}

impl From<BatchHead> for BatchView {
    fn from(head: BatchHead) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            state: head.state.name().to_owned(),
            rows: head.rows,
            submitted_at: text(head.submitted_at),
            ended_at: text(head.ended_at),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ReadCounts {
    pub total: i64,
    pub reads_per_day: u64,
    pub used: u64,
    /// Values that were read back and had arrived.
    pub verified: i64,
    /// Values that had not, and were sent again.
    pub lost: i64,
    /// Why profiles are not read, while they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RejectedCounts {
    pub events: i64,
    pub updates: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct QuotaCounts {
    pub updates_per_day: u64,
    pub used: u64,
    pub remaining: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StoreCounts {
    pub bytes: u64,
    pub max_bytes: u64,
    pub log_bytes: u64,
    pub is_full: bool,
    pub disk_free_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salvage: Option<String>,
}

impl Status {
    /// The numbers as metrics tell them.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Numbers {
            events_recorded: count(self.events.recorded),
            events_duplicate: count(self.events.duplicate),
            events_unmapped: count(self.events.unmapped),
            events_rejected: count(self.events.rejected),
            updates_delivered: count(self.delivered.updates),
            attributes_delivered: count(self.delivered.attributes),
            pending_profiles: self.pending.profiles,
            pending_attributes: self.pending.attributes,
            oldest_pending_seconds: signed(self.pending.oldest_seconds),
            quota_remaining: signed(self.quota.remaining),
            store_bytes: signed(self.store.bytes),
            link_up: self.link == LinkState::Online.name(),
            updates_unconfirmed: count(self.delivered.unconfirmed),
            attributes_superseded: count(self.delivered.superseded),
            attributes_verified: count(self.reads.verified),
            attributes_lost: count(self.reads.lost),
            rejected: self.rejected.events + self.rejected.updates,
            disk_free_bytes: signed(self.store.disk_free_bytes.unwrap_or(0)),
            uptime_seconds: signed(self.uptime_seconds),
        }
    }
}

/// The document of `GET /v1/history`: how the numbers stood over the last day, oldest first; the last is now. Where nothing
/// happened for a while there is no moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct History {
    pub moments: Vec<HistoryMoment>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HistoryMoment {
    pub at: String,
    /// Events, since the store was made.
    pub recorded: i64,
    /// Updates, since the store was made.
    pub delivered: i64,
    /// Profiles, where they were counted.
    pub pending: Option<i64>,
}

impl From<Moment> for HistoryMoment {
    fn from(moment: Moment) -> Self {
        let Moment { at, recorded, delivered, pending } = moment;
        Self { at: at.to_string(), recorded, delivered, pending }
    }
}

/// The document of `GET /v1/profiles/{kind}/{key}`; the contract names its fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Profile {
    pub identity: ProfileIdentity,
    pub exists: String,
    /// When that was learned, or last confirmed by a delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists_since: Option<String>,
    pub attributes: Vec<ProfileAttribute>,
    /// The last events, newest first.
    pub events: Vec<ProfileEventView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileEventView {
    pub id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub time: String,
}

impl From<ProfileEvent> for ProfileEventView {
    fn from(event: ProfileEvent) -> Self {
        let ProfileEvent { id, event_type, time } = event;
        Self { id, event_type, time: time.to_string() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileIdentity {
    pub kind: String,
    pub key: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileAttribute {
    pub name: String,
    pub value: String,
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub event_id: Option<String>,
    pub event_time: String,
    pub mapping: String,
    pub version: i64,
    pub delivered_version: Option<i64>,
    pub delivered_at: Option<String>,
    /// `single`, `bulk` or `delivery`: the way that it went or goes, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was sent, where it is not the value itself: others' part is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_value: Option<String>,
    /// What was read of it before it was sent, and decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<ProfileReading>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileReading {
    pub at: String,
    pub value: Option<String>,
    pub modified_at: Option<String>,
    pub decision: String,
}

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
    /// Which way updates went.
    pub route_counts: RouteCounts,
    /// The store's file.
    pub store_path: PathBuf,
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
            routes: self.route_counts.shown(),
            quota_now: self.quota_clock.at(self.clock.elapsed()),
            max_bytes: bounds.max_bytes,
            is_full: matches!(*self.writer.room().borrow(), Room::Full(_)),
            data_dir: self.store_path.parent().unwrap_or(Path::new("")),
        };
        gather(known, &self.reader())
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store answers a query.
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
    pub fn profile(&self, identity: &Identity) -> Result<Option<Profile>, StoreError> {
        let reader = self.reader();
        let Some(row) = reader.profile(identity)? else { return Ok(None) };
        let events = reader.profile_events(row.id, EVENTS_SHOWN)?;
        let in_flight = self.in_flight.newest_version(row.id);
        Ok(Some(profile(identity, row, events, in_flight, self.clock.now())))
    }

    /// All that the store holds of an identity, as it stands there. Reads from disk.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn profile_row(&self, identity: &Identity) -> Result<Option<ProfileRow>, StoreError> {
        self.reader().profile(identity)
    }
}

/// The document of a profile, of which that version is in flight.
#[must_use]
pub fn profile(
    identity: &Identity,
    row: ProfileRow,
    events: Vec<ProfileEvent>,
    in_flight: Option<i64>,
    now: Timestamp,
) -> Profile {
    let exists = row.knowledge.now(now);
    Profile {
        identity: ProfileIdentity { kind: identity.kind().name().to_owned(), key: identity.key().to_owned() },
        exists: exists.name().to_owned(),
        exists_since: (exists != Existence::Unknown).then(|| row.knowledge.at.to_string()),
        attributes: row.attributes.into_iter().map(|row| attribute(row, in_flight)).collect(),
        events: events.into_iter().map(ProfileEventView::from).collect(),
    }
}

/// The document for a store whose agent does not run.
///
/// # Errors
/// [`StoreError::Read`].
pub fn status_at_rest(
    reader: &Reader,
    clock: &Clock,
    device_id: &str,
    (updates_per_day, reads_per_day): (u64, u64),
    max_bytes: u64,
    data_dir: &Path,
) -> Result<Status, StoreError> {
    let now = clock.now();
    let reason = Some("the agent is not running; these are the numbers of its store".to_owned());
    let counters = reader.counters()?;
    let known = Known {
        counters,
        quota_now: counters.totals.quota_time(Clock::system()).at,
        max_bytes,
        is_full: false,
        pending: reader.count_pending()?,
        link: LinkView { state: LinkState::Unknown, reason, since: now, quota_opens_at: None, reads_denied: None },
        now,
        uptime: Duration::ZERO,
        device_id,
        updates_per_day,
        reads_per_day,
        routes: Vec::new(),
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
    let last_at = Some(totals.last_delivered_at_ms).filter(|at_ms| *at_ms > 0).map(Timestamp::from_millis);
    Ok(Status {
        link: link.state.name().to_owned(),
        link_reason: link.reason,
        link_since: link.since.to_string(),
        events: EventCounts {
            recorded: counters.recorded,
            duplicate: totals.duplicate,
            unmapped: totals.unmapped,
            rejected: totals.rejected,
        },
        pending: PendingCounts {
            profiles: pending.profiles,
            attributes: pending.attributes,
            oldest_seconds: oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
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
            salvage: reader.last_salvage()?.map(|salvage| salvage.to_string()),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device_id: device_id.to_owned(),
        uptime_seconds: uptime.as_secs(),
    })
}

fn attribute(row: AttributeRow, in_flight: Option<i64>) -> ProfileAttribute {
    let is_superseded = row.refused_reason.as_deref() == Some(Reason::Superseded.label());
    let state = if row.refused_version == row.version {
        if is_superseded { "superseded" } else { "refused" }
    } else if row.delivered_version == row.version {
        "delivered"
    } else if row.batched_version == row.version || in_flight.is_some_and(|newest| row.version <= newest) {
        "in_flight"
    } else {
        "pending"
    };
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let is_known = row.delivered_version == row.version || row.batched_version == row.version;
    let route = row.route.filter(|_| is_known);
    let sent = row.sent.filter(|sent| sent.value != sent.own && state == "delivered");
    ProfileAttribute {
        state: state.to_owned(),
        api: route.map(|route| route.api().name().to_owned()),
        why: route.map(|route| route.why().to_owned()),
        sent_value: sent.map(|sent| sent.value),
        read: row.read.map(|(at, shown, decision)| ProfileReading {
            at: at.to_string(),
            modified_at: shown.as_ref().map(|shown| shown.modified_at.to_string()),
            value: shown.map(|shown| shown.value),
            decision: decision.words().to_owned(),
        }),
        reason: row.refused_reason.filter(|_| matches!(state, "refused" | "superseded")),
        name: row.name,
        value: row.value,
        event_id: row.event_id,
        event_time: row.event_time.to_string(),
        mapping: row.mapping,
        version: row.version,
        delivered_version: (row.delivered_version > 0).then_some(row.delivered_version),
        delivered_at: text(row.delivered_at),
    }
}
