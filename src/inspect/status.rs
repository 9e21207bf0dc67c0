//! The document of `GET /v1/status`. `src/http/openapi.json` describes its fields.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::Route;
use crate::core::timestamp::Timestamp;
use crate::core::verdict::Verdict;
use crate::core::words::{Receiver, Said};
use crate::device::metrics::Refusal;
use crate::device::notices::Notice;
use crate::intake::kinds::KindViews;
use crate::store::{BatchHead, Counters, KeptStore, Totals};

/// The document of `GET /v1/status`, as `src/http/openapi.json` describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Status {
    /// Problem and advice: the worst of everything below.
    #[serde(default)]
    pub verdict: Verdict,
    /// Time of the next request, while the link waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<String>,
    /// True while the link waits since Target asked for it.
    #[serde(default)]
    pub is_told_to_wait: bool,
    /// Receiver of the updates.
    #[serde(default)]
    pub receiver: Receiver,
    /// False for a store at rest.
    #[serde(default = "yes")]
    pub is_running: bool,
    pub link: String,
    pub link_reason: Option<String>,
    /// The same as one of a few names: `dns`, `connection`, `tls`, `proxy`, `foreign`, `refused`, `failing`, `token`, `not_set_up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_cause: Option<String>,
    pub link_since: String,
    /// Why nothing can be sent with what is configured in `[target]`, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_set_up: Option<String>,
    /// Deviations from the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// Requests with events that were refused since the agent started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedCount>,
    pub events: EventCounts,
    pub pending: PendingCounts,
    pub delivered: DeliveredCounts,
    pub rejected: RejectedCounts,
    pub quota: QuotaCounts,
    /// Routes of updates since the agent started, and why.
    pub routes: Vec<RouteCount>,
    /// State of each configured kind of intake.
    #[serde(flatten)]
    pub intake: KindViews,
    /// Pushing of the metrics, if configured, once it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_push: Option<PushView>,
    /// Batches that are not at their end, and the last that are, newest first.
    pub batches: Vec<BatchView>,
    /// Reading profiles: before they are sent, and back.
    pub reads: ReadCounts,
    pub store: StoreCounts,
    /// Mappings that are configured.
    #[serde(default)]
    pub mappings: usize,
    /// By how much the system's clock is behind the newest event, where that is more than events may be ahead of it.
    #[serde(default)]
    pub clock_behind_seconds: u64,
    pub version: String,
    pub device_id: String,
    pub uptime_seconds: u64,
    /// Totals of the store, for metrics; no part of the document.
    #[serde(skip)]
    pub totals: Totals,
}

/// State of the pushing of metrics to a collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushView {
    /// Host of the collector.
    pub host: String,
    /// Time of the last push that was accepted, in RFC 3339; since the agent started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Reason why the last one was not, as a clause about the collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The answer of `POST /v1/retry-now`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RetriedNow {
    /// Profiles that wait.
    pub pending_profiles: i64,
    /// Until when nothing is tried all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RetriedNow {
    /// Returns the result, in a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.waits_until, &self.reason, self.pending_profiles) {
            (Some(at), Some(reason), _) => format!("{reason}: nothing is tried before {at}."),
            (_, _, 0) => "Nothing waits: there is nothing to try.".to_owned(),
            _ => "Retrying now.".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EventCounts {
    pub recorded: i64,
    pub duplicate: i64,
    /// Duplicates whose content differs from what was recorded under their id.
    #[serde(default)]
    pub differing: i64,
    pub unmapped: i64,
    pub rejected: i64,
    /// Counted and not stored, since the person did not agree.
    #[serde(default)]
    pub unconsented: i64,
    /// Of these, those for which `consent` could not be computed.
    #[serde(default)]
    pub consent_unknown: i64,
    /// Time of the last one of these, for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_unknown_at: Option<String>,
    /// Time since which the ids of all events are known; none where those of all events are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids_known_since: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PendingCounts {
    pub profiles: i64,
    pub attributes: i64,
    pub oldest_seconds: u64,
    /// Profiles among them that Target does not have, and that are looked for again: with single updates alone they vanish.
    #[serde(default)]
    pub missing_profiles: i64,
    /// Profiles that wait each for a reason of its own, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<SetAside>,
}

/// Profiles that wait each for a reason of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAside {
    /// Number of profiles.
    pub profiles: usize,
    /// Why the one waits that is tried first, as a clause.
    pub reason: String,
    /// Time of that.
    pub until: String,
}

/// Requests with events that were refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedCount {
    /// The status of the answers.
    pub status: u16,
    /// The name of the problem in them, such as `store-full`.
    pub reason: String,
    /// Number of requests.
    pub requests: u64,
}

impl From<(Refusal, u64)> for RefusedCount {
    fn from(((status, reason), requests): (Refusal, u64)) -> Self {
        Self { status, reason: reason.to_owned(), requests }
    }
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
    /// Values that were not sent, since they are empty.
    #[serde(default)]
    pub empty: i64,
    pub last_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RouteCount {
    pub api: String,
    pub why: String,
    pub updates: u64,
}

impl From<(Route, u64)> for RouteCount {
    fn from((route, updates): (Route, u64)) -> Self {
        Self { api: route.api().name().to_owned(), why: route.why().to_owned(), updates }
    }
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
    /// Time from which batches may be sent again, while the rows of a day are used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches_open_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StoreCounts {
    pub bytes: u64,
    pub max_bytes: u64,
    pub log_bytes: u64,
    pub is_full: bool,
    /// Why new events are refused, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses: Option<String>,
    /// The same in no language yet; no part of the document.
    #[serde(skip)]
    pub refusal: Option<Said>,
    pub disk_free_bytes: Option<u64>,
    /// Profiles that Target has, and that were purged for room since the store was made.
    #[serde(default)]
    pub purged_profiles: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salvage: Option<String>,
    /// Damaged stores that are kept for a time; they hold people's data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_stores: Vec<DamagedStore>,
    /// Until when deliveries went to another client code or endpoint, for a while after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_changed_at: Option<String>,
}

/// A damaged store that is kept beside the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DamagedStore {
    /// Its name in the data directory.
    pub file: String,
    /// Time at which it is deleted, unless `forget` does so before.
    pub deleted_at: String,
}

impl From<KeptStore> for DamagedStore {
    fn from(kept: KeptStore) -> Self {
        Self { file: kept.name, deleted_at: kept.until.to_string() }
    }
}

impl DamagedStore {
    /// Returns what the file is, and when it is deleted.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { file, deleted_at } = self;
        format!(
            "{file} contains people's data: it must not leave this device; it is deleted on {deleted_at}, or by `outpost forget`"
        )
    }
}

/// An agent that does not say so is one that answers.
const fn yes() -> bool {
    true
}

impl StoreCounts {
    /// Returns the sentence about a change of the destination.
    #[must_use]
    pub fn destination_words(&self) -> Option<String> {
        let at = self.destination_changed_at.as_deref()?;
        Some(format!(
            "the store's deliveries went to another client code or endpoint until {at}; everything in it is sent again"
        ))
    }
}

impl From<(i64, i64)> for RejectedCounts {
    fn from((events, updates): (i64, i64)) -> Self {
        Self { events, updates }
    }
}

/// Time for which it is said that `consent` could not be computed. Source: ours; a person looks once a day.
const CONSENT_SHOWN: Duration = Duration::from_secs(24 * 60 * 60);

impl EventCounts {
    /// The counts as they are shown now.
    pub(super) fn of(counters: &Counters, now: Timestamp) -> Self {
        let Totals { duplicate, differing, unmapped, rejected, unconsented, consent_unknown, .. } = counters.totals;
        let time = |at_ms: i64| (at_ms > 0).then(|| Timestamp::from_millis(at_ms));
        let unknown_at = time(counters.totals.consent_unknown_at_ms).filter(|at| now.since(*at) < CONSENT_SHOWN);
        Self {
            recorded: counters.recorded,
            duplicate,
            differing,
            unmapped,
            rejected,
            unconsented,
            consent_unknown,
            consent_unknown_at: unknown_at.map(|at| at.to_string()),
            ids_known_since: time(counters.totals.ids_known_since_ms).map(|at| at.to_string()),
        }
    }
}

impl From<&Totals> for DeliveredCounts {
    fn from(totals: &Totals) -> Self {
        let Totals { updates, attributes, requests, unconfirmed, superseded, empty, last_delivered_at_ms, .. } =
            *totals;
        let last_at = (last_delivered_at_ms > 0).then(|| Timestamp::from_millis(last_delivered_at_ms).to_string());
        Self { updates, attributes, requests, unconfirmed, superseded, empty, last_at }
    }
}

impl Status {
    /// Returns true if nothing is wrong with the link, as far as is known: a device that has nothing to send has nothing that would
    /// show whether anybody answers.
    #[must_use]
    pub fn link_is_good(&self) -> bool {
        let is_idle = self.link == LinkState::Unknown.name() && self.pending.profiles == 0;
        self.link == LinkState::Online.name() || is_idle
    }
}
