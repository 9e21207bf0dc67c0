//! Rejected items as people see them, and retrying them. The store's rows are in `store::rejected`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::core::event::EventStatus;
use crate::core::identity::Identity;
use crate::core::mapping::Mappings;
use crate::device::clock::Clock;
use crate::intake::{cloudevents, recording};
use crate::store::{Recording, RejectedRow, RejectedSubject, StoreError, Transaction};

/// The document of `GET /v1/rejected`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RejectedList {
    pub rejected: Vec<RejectedItem>,
}

/// One entry. Only `GET /v1/rejected/{id}`, where one is asked for, holds the event or the identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RejectedItem {
    pub id: i64,
    /// `event` or `update`.
    pub kind: String,
    pub rejected_at: String,
    pub reason: String,
    pub detail: String,
    /// Number, id and type of an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Names of the attributes of an update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// The whole event, as it stands in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<RawValue>>,
    /// Identity of an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// The names of an event.
#[derive(Default, Deserialize)]
struct Names {
    id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
}

impl RejectedItem {
    /// An entry of the list, which holds nobody's data.
    #[must_use]
    pub fn listed(row: &RejectedRow) -> Self {
        Self { event: None, identity: None, ..Self::shown(row) }
    }

    /// Returns the entry with its event, or with the attributes of its update.
    #[must_use]
    pub fn shown(row: &RejectedRow) -> Self {
        let mut item = Self {
            id: row.id,
            kind: "update".to_owned(),
            rejected_at: row.rejected_at.to_string(),
            reason: row.reason.clone(),
            detail: row.detail.clone(),
            seq: None,
            event_id: None,
            event_type: None,
            attributes: Vec::new(),
            event: None,
            identity: None,
        };
        match &row.subject {
            RejectedSubject::Event { seq, json, .. } => {
                let names: Names = serde_json::from_str(json).unwrap_or_default();
                item.kind = "event".to_owned();
                item.seq = Some(*seq);
                (item.event_id, item.event_type) = (names.id, names.event_type);
                item.event = serde_json::from_str(json).ok();
            }
            RejectedSubject::Update { identity, attributes } => {
                item.attributes = attributes.iter().map(|(name, _)| name.clone()).collect();
                item.identity = identity.as_ref().map(Identity::to_written);
            }
        }
        item
    }
}

/// Result of a retry: the answer of `POST /v1/rejected/{id}/retry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Retried {
    pub id: i64,
    /// `recorded`, `unmapped` or `rejected` for an event, `pending` or `outdated` for an update.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A rejected thing, ready to be tried again within a transaction of the store.
pub struct Retry {
    id: i64,
    /// The event, mapped again; none of an update.
    recording: Option<Recording>,
}

impl Retry {
    /// Maps an event again, with the present mappings.
    ///
    /// # Errors
    /// A clause for a person, when the journal no longer holds a readable event.
    pub fn prepare(row: &RejectedRow, mappings: &Mappings, clock: &Clock) -> Result<Self, String> {
        let RejectedSubject::Event { time, json, .. } = &row.subject else {
            return Ok(Self { id: row.id, recording: None });
        };
        let parsed =
            cloudevents::journalled(json).map_err(|invalid| format!("the event cannot be read any more: {invalid}"))?;
        // The time as it was taken then.
        let event = parsed.at(*time, clock.place(*time));
        // Whoever agreed then need not be asked again.
        let meaning = mappings.mapped(&event);
        let recording = recording(event, meaning, mappings, clock);
        Ok(Self { id: row.id, recording: Some(recording) })
    }

    /// Tries it again. None when it is no longer there.
    ///
    /// # Errors
    /// [`StoreError`]; then the transaction must be rolled back.
    pub fn run(&self, store: &mut Transaction<'_>) -> Result<Option<Retried>, StoreError> {
        let (status, reason) = match &self.recording {
            Some(recording) => match store.retry_event(self.id, recording)? {
                Some(recorded) => (recorded.status.name(), recorded.reason),
                None => return Ok(None),
            },
            None => match store.retry_update(self.id)? {
                Some(0) => ("outdated", Some("its values have changed since, and are sent by themselves".to_owned())),
                Some(_) => ("pending", None),
                None => return Ok(None),
            },
        };
        Ok(Some(Retried { id: self.id, status: status.to_owned(), reason }))
    }
}

impl Retried {
    /// Returns whether it is as rejected as before.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.status == EventStatus::Rejected.name()
    }
}
