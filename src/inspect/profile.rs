//! The document of a profile. `src/http/openapi.json` describes its fields.

use serde::{Deserialize, Serialize};

use crate::core::forwarding::existence::Existence;
use crate::core::identity::Identity;
use crate::core::operation::Sent;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::core::words::{Receiver, Voice, With, figures, profile as words};
use crate::store::{AttributeRow, ProfileEvent, ProfileRow, ReadBack, WithoutEffect};

/// The document of `GET /v1/profiles/{kind}/{key}`, as `src/http/openapi.json` describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Profile {
    pub identity: ProfileIdentity,
    /// Receiver of the device's updates. A device of a hub does not know what Target has.
    #[serde(default)]
    pub receiver: Receiver,
    pub exists: String,
    /// Time when that was learned, or last confirmed by a delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists_since: Option<String>,
    /// Since when it is waited for that Target has the profile, and when it is looked for next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_for_at: Option<String>,
    /// Time at which it is read back because an answer was lost, so that nobody knows what Target has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back_at: Option<String>,
    /// Why what is pending was not sent yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<ProfileWaitView>,
    pub attributes: Vec<ProfileAttribute>,
    /// The last events, newest first.
    pub events: Vec<ProfileEventView>,
    /// The last events of this person that changed nothing, newest first, as far as the mappings could tell whose they are.
    #[serde(default)]
    pub without_effect: Vec<WithoutEffectView>,
}

impl Profile {
    /// The document of a person who has no profile here.
    #[must_use]
    pub fn without_attributes(identity: &Identity) -> Self {
        Self {
            identity: ProfileIdentity::from(identity),
            receiver: Receiver::default(),
            exists: Existence::Unknown.name().to_owned(),
            exists_since: None,
            missing_since: None,
            looked_for_at: None,
            read_back_at: None,
            waits: None,
            attributes: Vec::new(),
            events: Vec::new(),
            without_effect: Vec::new(),
        }
    }
}

/// An event that changed nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct WithoutEffectView {
    /// `duplicate`, `unmapped` or `rejected`.
    pub status: String,
    pub seq: i64,
    /// As long as the journal has it; of a duplicate, the event that came first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<ProfileEventView>,
    pub times: i64,
    pub last_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its number in what is rejected, as long as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_id: Option<i64>,
}

impl WithoutEffectView {
    /// Returns the outcome, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { status, times, last_at, reason, rejected_id, .. } = self;
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match (status.as_str(), rejected_id) {
            ("duplicate", _) if *times == 1 => {
                format!("duplicate, received once more on {last_at}; counted once{reason}")
            }
            ("duplicate", _) => {
                format!("duplicate, received {times} times more, last on {last_at}; counted once{reason}")
            }
            ("rejected", Some(id)) => format!("rejected as number {id}{reason}"),
            ("rejected", None) => format!("rejected, and discarded since{reason}"),
            _ => format!("{status}{reason}"),
        }
    }
}

impl From<WithoutEffect> for WithoutEffectView {
    fn from(row: WithoutEffect) -> Self {
        let WithoutEffect { seq, fate, times, last_at, reason, rejected_id, event } = row;
        Self {
            status: fate.name().to_owned(),
            seq,
            event: event.map(ProfileEventView::from),
            times,
            last_at: last_at.to_string(),
            reason,
            rejected_id,
        }
    }
}

/// Why a profile waits, and when it is tried again, if that is known.
impl Profile {
    /// Returns what is known of the profile at Target, and what its updates wait for: a sentence each, for people.
    #[must_use]
    pub fn standing(&self, voice: &Voice) -> Vec<String> {
        let known = match (self.exists.as_str(), &self.exists_since) {
            _ if self.receiver == Receiver::Hub => figures::HANDED_OVER.said(),
            ("yes", Some(at)) => words::EXISTS.with([With::time(at)]),
            ("no", Some(at)) => words::EXISTS_NOT.with([With::time(at)]),
            _ => words::EXISTS_UNKNOWN.said(),
        };
        let waited_for = self.missing_since.as_ref().zip(self.looked_for_at.as_ref());
        let waited_for = waited_for.map(|(since, next)| words::WAITED_FOR.with([With::time(since), With::time(next)]));
        let read_back = self.read_back_at.as_ref().map(|at| words::READ_BACK.with([With::time(at)]));
        let waits = self.waits.as_ref().map(|ProfileWaitView { reason, until }| {
            let reason = With::from(voice.with_times(reason));
            match until {
                Some(until) => words::WAITS_UNTIL.with([reason, With::time(until)]),
                None => words::WAITS.with([reason]),
            }
        });
        let all = [Some(known), waited_for, read_back, waits];
        all.into_iter().flatten().map(|said| said.words(voice)).collect()
    }
}

impl ProfileAttribute {
    /// Returns what was sent of it without an answer: a clause for each value, for people.
    #[must_use]
    pub fn unanswered(&self, voice: &Voice) -> Vec<String> {
        let lost = self.sends.iter().filter(|sent| sent.outcome == "lost");
        lost.map(|ProfileSend { at, value, .. }| {
            words::UNANSWERED.with([With::from(value.as_str()), With::time(at)]).words(voice)
        })
        .collect()
    }
}

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
    /// Value that was sent last, if it includes others' part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_value: Option<String>,
    /// This device's part of what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_part: Option<String>,
    /// Others' part of it, where a sum tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// Values sent recently, oldest first, if others may write it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sends: Vec<ProfileSend>,
    /// Last reading before it was sent, and the decision.
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

impl ProfileAttribute {
    /// Returns the parts of the sent value, in words; `None` if all of it is this device's.
    #[must_use]
    pub fn parts(&self) -> Option<String> {
        let (sent, part) = (self.sent_value.as_deref()?, self.sent_part.as_deref()?);
        let Some(elsewhere) = &self.elsewhere else {
            return Some(format!("sent as {sent}, with what others had written"));
        };
        let since = if part == self.value { String::new() } else { format!(" ({part} when it was sent)") };
        Some(format!("{} here{since}, {elsewhere} elsewhere, sent {sent}", self.value))
    }
}

/// Standing of the value that an attribute has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Pending,
    InFlight,
    Delivered,
    /// Theirs won.
    Superseded,
    Refused,
}

impl Standing {
    /// Decides it; `in_flight` is the newest version of the profile that is claimed.
    pub(super) fn of(row: &AttributeRow, in_flight: Option<i64>) -> Self {
        if row.refused_version == row.version {
            let is_superseded = row.refused_reason.as_deref() == Some(Reason::Superseded.label());
            if is_superseded { Self::Superseded } else { Self::Refused }
        } else if row.delivered_version == row.version {
            Self::Delivered
        } else if row.batched_version == row.version || in_flight.is_some_and(|newest| row.version <= newest) {
            Self::InFlight
        } else {
            Self::Pending
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Delivered => "delivered",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
        }
    }
}

/// The document of a profile, of which that version is in flight.
#[must_use]
pub fn profile(row: ProfileRow, events: Vec<ProfileEvent>, in_flight: Option<i64>, now: Timestamp) -> Profile {
    let exists = row.knowledge.now(now);
    Profile {
        identity: ProfileIdentity::from(&row.identity),
        receiver: Receiver::default(),
        exists: exists.name().to_owned(),
        exists_since: (exists != Existence::Unknown).then(|| row.knowledge.at.to_string()),
        missing_since: row.missing.map(|(since, _)| since.to_string()),
        looked_for_at: row.missing.map(|(_, look_at)| look_at.to_string()),
        read_back_at: row.read_back.filter(|(_, why)| *why == ReadBack::Ambiguous).map(|(at, _)| at.to_string()),
        waits: None,
        attributes: row.attributes.into_iter().map(|it| attribute(it, in_flight, row.missing.is_some())).collect(),
        events: events.into_iter().map(ProfileEventView::from).collect(),
        without_effect: Vec::new(),
    }
}

fn attribute(row: AttributeRow, in_flight: Option<i64>, is_missing: bool) -> ProfileAttribute {
    let standing = Standing::of(&row, in_flight);
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
    let sent = row.sends.last().filter(|sent| sent.value != sent.own);
    ProfileAttribute {
        state: standing.name().to_owned(),
        api: route.map(|route| route.api().name().to_owned()),
        why: route.map(|route| route.why().to_owned()),
        elsewhere: sent.and_then(|sent| row.operation.elsewhere(sent)),
        sent_value: sent.map(|sent| sent.value.clone()),
        sent_part: sent.map(|sent| sent.own.clone()),
        read: row.read.map(|(at, shown, decision)| ProfileReading {
            at: at.to_string(),
            modified_at: shown.as_ref().and_then(|shown| shown.modified_at).map(|at| at.to_string()),
            value: shown.map(|shown| shown.value),
            decision: decision.words().to_owned(),
        }),
        reason: match standing {
            Standing::Pending if is_missing => Some(Reason::ProfileMissing.label().to_owned()),
            Standing::Refused | Standing::Superseded => row.refused_reason,
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
