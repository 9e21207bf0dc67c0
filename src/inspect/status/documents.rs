//! The documents of the local API that show how the agent is doing. `src/http/openapi.json` describes their fields.

use serde::{Deserialize, Serialize};

use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::Route;
use crate::core::identity::Identity;
use crate::core::operation::Sent;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::device::metrics::Number;
use crate::intake::kinds::KindViews;
use crate::store::{AttributeRow, BatchHead, Moment, ProfileEvent, ProfileRow, ReadBack, Totals};

/// The document of `GET /v1/status`, as `src/http/openapi.json` describes it.
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
    /// How each kind of intake is doing that is configured.
    #[serde(flatten)]
    pub intake: KindViews,
    /// Batches that are not at their end, and the last that are, newest first.
    pub batches: Vec<BatchView>,
    /// Reading profiles: before they are sent, and back.
    pub reads: ReadCounts,
    pub store: StoreCounts,
    pub version: String,
    pub device_id: String,
    pub uptime_seconds: u64,
    /// Totals of the store, for metrics; no part of the document.
    #[serde(skip)]
    pub totals: Totals,
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
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StoreCounts {
    pub bytes: u64,
    pub max_bytes: u64,
    pub log_bytes: u64,
    pub is_full: bool,
    pub disk_free_bytes: Option<u64>,
    /// Profiles that Target has, and that were purged for room since the store was made.
    #[serde(default)]
    pub purged_profiles: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salvage: Option<String>,
    /// Until when deliveries went to another client code or endpoint, for a while after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_changed_at: Option<String>,
}

impl StoreCounts {
    /// What is to be said of a change of the destination.
    #[must_use]
    pub fn destination_words(&self) -> Option<String> {
        let at = self.destination_changed_at.as_deref()?;
        Some(format!(
            "the store's deliveries were to another client code or endpoint until {at}; everything it holds is sent again"
        ))
    }
}

impl Status {
    /// Returns the numbers that metrics show: the totals of the store, and these. A new one is one line.
    #[must_use]
    pub fn numbers(&self) -> Vec<Number> {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let Self { events, pending, quota, store, .. } = self;
        let is_up = self.link == LinkState::Online.name();
        let rejected = self.rejected.events + self.rejected.updates;
        let disk_free = store.disk_free_bytes.unwrap_or(0);
        let (total, gauge) = (Number::total, Number::gauge);
        let mut numbers = self.totals.metrics();
        numbers.extend([
            total("events_recorded_total", "Events that were recorded and changed a profile.", events.recorded),
            gauge("pending_profiles", "Profiles with a value that Target does not have yet.", pending.profiles),
            gauge("pending_attributes", "Values that Target does not have yet.", pending.attributes),
            gauge(
                "oldest_pending_seconds",
                "For how long the longest waiting profile has been pending.",
                signed(pending.oldest_seconds),
            ),
            gauge(
                "quota_remaining",
                "Single updates that the quota of 24 hours still allows.",
                signed(quota.remaining),
            ),
            gauge("store_bytes", "Bytes that the store takes on disk.", signed(store.bytes)),
            gauge("link_up", "1 while Target answers, else 0.", i64::from(is_up)),
            gauge("rejected", "Rejected events and updates that wait for a decision.", rejected),
            gauge("disk_free_bytes", "Bytes that are free on the disk of the store.", signed(disk_free)),
            gauge("uptime_seconds", "Time since the agent started.", signed(self.uptime_seconds)),
        ]);
        numbers
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

/// The document of `GET /v1/profiles/{kind}/{key}`, as `src/http/openapi.json` describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Profile {
    pub identity: ProfileIdentity,
    pub exists: String,
    /// When that was learned, or last confirmed by a delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists_since: Option<String>,
    /// Since when it is waited for that Target has the profile, and when it is looked for next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_for_at: Option<String>,
    /// When it is read back since an answer was lost, so that nobody knows what Target has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back_at: Option<String>,
    /// Why what is pending was not sent yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<ProfileWaitView>,
    pub attributes: Vec<ProfileAttribute>,
    /// The last events, newest first.
    pub events: Vec<ProfileEventView>,
}

/// Why a profile waits, and when it is tried again, if that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileWaitView {
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
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

impl From<&Identity> for ProfileIdentity {
    fn from(identity: &Identity) -> Self {
        Self { kind: identity.kind().name().to_owned(), key: identity.key().to_owned() }
    }
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
    /// What was sent of it lately, oldest first, where others may write it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends: Vec<ProfileSend>,
    /// What was read of it before it was sent, and decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<ProfileReading>,
}

/// A value that was sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileSend {
    pub at: String,
    pub value: String,
    /// `taken`, `lost` (its answer was, and nobody knows), or `sending`.
    pub outcome: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ProfileReading {
    pub at: String,
    pub value: Option<String>,
    pub modified_at: Option<String>,
    pub decision: String,
}

/// The document of a profile, of which that version is in flight.
#[must_use]
pub fn profile(row: ProfileRow, events: Vec<ProfileEvent>, in_flight: Option<i64>, now: Timestamp) -> Profile {
    let exists = row.knowledge.now(now);
    Profile {
        identity: ProfileIdentity::from(&row.identity),
        exists: exists.name().to_owned(),
        exists_since: (exists != Existence::Unknown).then(|| row.knowledge.at.to_string()),
        missing_since: row.missing.map(|(since, _)| since.to_string()),
        looked_for_at: row.missing.map(|(_, look_at)| look_at.to_string()),
        read_back_at: row.read_back.filter(|(_, why)| *why == ReadBack::Ambiguous).map(|(at, _)| at.to_string()),
        waits: None,
        attributes: row.attributes.into_iter().map(|it| attribute(it, in_flight, row.missing.is_some())).collect(),
        events: events.into_iter().map(ProfileEventView::from).collect(),
    }
}

fn attribute(row: AttributeRow, in_flight: Option<i64>, is_missing: bool) -> ProfileAttribute {
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
    let send = |sent: &Sent| ProfileSend {
        at: sent.at.to_string(),
        value: sent.value.clone(),
        outcome: match sent {
            sent if sent.is_lost => "lost",
            sent if sent.version <= row.delivered_version => "taken",
            _ => "sending",
        }
        .to_owned(),
    };
    let sends = row.sends.iter().map(send).collect();
    let sent = row.sends.last().cloned().filter(|sent| sent.value != sent.own && state == "delivered");
    ProfileAttribute {
        state: state.to_owned(),
        api: route.map(|route| route.api().name().to_owned()),
        why: route.map(|route| route.why().to_owned()),
        sent_value: sent.map(|sent| sent.value),
        read: row.read.map(|(at, shown, decision)| ProfileReading {
            at: at.to_string(),
            modified_at: shown.as_ref().and_then(|shown| shown.modified_at).map(|at| at.to_string()),
            value: shown.map(|shown| shown.value),
            decision: decision.words().to_owned(),
        }),
        reason: match state {
            "pending" if is_missing => Some(Reason::ProfileMissing.label().to_owned()),
            "refused" | "superseded" => row.refused_reason,
            _ => None,
        },
        sends,
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
