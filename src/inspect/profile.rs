//! The document of a profile. `src/http/openapi.json` describes its fields.

use serde::{Deserialize, Serialize};

use crate::core::forwarding::existence::Existence;
use crate::core::identity::Identity;
use crate::core::operation::Sent;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::store::{AttributeRow, ProfileEvent, ProfileRow, ReadBack};

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
