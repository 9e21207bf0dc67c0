//! Changes by deliveries and read-backs, as columns for one statement a table. Pure.

use uuid::Uuid;

use super::leases::Lease;
use crate::core::forwarding::existence::Existence;
use crate::core::operation::Decision;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::forward::core::Settle;
use crate::hub::rows::existence_number;
use crate::store::{Claim, ReadBack, Reading, Settlement, Verified};

/// All changes of one transaction.
#[derive(Default)]
pub(super) struct Results {
    pub(super) delivered: Vec<Delivered>,
    pub(super) refused: Vec<Refused>,
    /// Versions that Target does not have after all.
    pub(super) lost: Vec<(Uuid, String, i64)>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) readings: Vec<Read>,
    pub(super) logs: Vec<(Uuid, String)>,
    pub(super) profiles: Vec<Profile>,
    /// Attributes that this node may have sent when it had no right to any more.
    pub(super) late: Vec<(Uuid, String)>,
}

pub(super) struct Delivered {
    pub(super) profile: Uuid,
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) value: String,
    pub(super) at_ms: i64,
    pub(super) route: Option<i16>,
}

pub(super) struct Refused {
    pub(super) profile: Uuid,
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) reason: &'static str,
}

pub(super) struct Rejected {
    pub(super) profile: Uuid,
    pub(super) at_ms: i64,
    pub(super) attributes: String,
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

pub(super) struct Read {
    pub(super) profile: Uuid,
    pub(super) name: String,
    pub(super) at_ms: i64,
    pub(super) value: Option<String>,
    pub(super) modified_ms: Option<i64>,
    pub(super) decision: i16,
}

/// Changes of a profile and of its row in the outbox.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) profile: Uuid,
    pub(super) at_ms: i64,
    pub(super) existence: Option<i16>,
    /// True if the next update has the full time again to wait for Target to have the profile.
    pub(super) waits_anew: bool,
    pub(super) look_ms: Option<i64>,
    /// Read-backs by this time are done.
    pub(super) read_until_ms: Option<i64>,
    pub(super) due_ms: Option<i64>,
    pub(super) is_ambiguous: bool,
    pub(super) postponed_ms: Option<i64>,
    /// True if a request may still be on its way: its claim runs out, so that no other node is at Target at the same time.
    pub(super) is_unanswered: bool,
}

impl Results {
    /// Adds a result. `lease` is that of its claim, `None` if it is another node's by now.
    pub(super) fn add(&mut self, settle: &Settle, profile: Uuid, lease: Option<Lease>) {
        match (settle, lease) {
            (Settle::Delivery(settlement), None) => self.late(settlement, profile),
            (_, None) => {}
            (Settle::Delivery(settlement), Some(_)) => self.delivery(settlement, profile),
            (Settle::ReadBack(_, verified, _), Some(_)) => self.read_back(verified, profile),
            (Settle::Postpone(_, until), Some(_)) => {
                let postponed_ms = Some(until.as_millis());
                self.profiles.push(Profile { profile, postponed_ms, ..Profile::default() });
            }
        }
    }

    /// Another node may have sent newer values before this one sent these.
    fn late(&mut self, settlement: &Settlement, profile: Uuid) {
        if settlement.requests > 0 || settlement.updates > 0 {
            self.late.extend(settlement.claim.attributes.iter().map(|it| (profile, it.name.clone())));
        }
    }

    fn delivery(&mut self, settlement: &Settlement, profile: Uuid) {
        let at_ms = settlement.at.as_millis();
        let route = settlement.route.map(|route| i16::try_from(route.number()).expect("a small number"));
        self.delivered.extend(settlement.delivered.iter().map(|index| {
            let sent = &settlement.claim.attributes[*index];
            let (name, value) = (sent.name.clone(), sent.value.clone());
            Delivered { profile, name, version: sent.version, value, at_ms, route }
        }));
        let superseded = settlement.readings.iter().filter(|reading| reading.decision == Decision::Superseded);
        self.refused.extend(superseded.map(|reading| Refused {
            profile,
            name: reading.name.clone(),
            version: reading.version,
            reason: Reason::Superseded.label(),
        }));
        for refusal in &settlement.refused {
            self.refuse(profile, &settlement.claim, at_ms, refusal);
        }
        self.readings(&settlement.readings, profile, settlement.read_at);
        self.logs.extend(settlement.sends.iter().map(|log| (profile, log.to_json())));
        let existence = settlement.learned.map(existence_number);
        let waits_anew = settlement.refused.iter().any(|refusal| refusal.reason == Reason::ProfileMissing);
        self.profiles.push(Profile {
            profile,
            at_ms,
            existence,
            waits_anew,
            look_ms: settlement.look_at.map(Timestamp::as_millis),
            due_ms: settlement.read_back.map(|(at, _)| at.as_millis()),
            is_ambiguous: settlement.read_back.is_some_and(|(_, why)| why == ReadBack::Ambiguous),
            is_unanswered: is_unanswered(settlement),
            ..Profile::default()
        });
    }

    fn refuse(&mut self, profile: Uuid, claim: &Claim, at_ms: i64, refusal: &crate::store::Refusal) {
        let reason = refusal.reason.label();
        let attributes = refusal.attributes.iter().map(|index| &claim.attributes[*index]);
        let versions: Vec<(&str, i64)> = attributes.map(|it| (it.name.as_str(), it.version)).collect();
        let refused =
            |(name, version): &(&str, i64)| Refused { profile, name: (*name).to_owned(), version: *version, reason };
        self.refused.extend(versions.iter().map(refused));
        let attributes = serde_json::to_string(&versions).expect("names and numbers are JSON");
        // A text of the database has no NUL.
        let detail = refusal.detail.replace('\0', "");
        self.rejected.push(Rejected { profile, at_ms, attributes, reason, detail });
    }

    fn readings(&mut self, readings: &[Reading], profile: Uuid, at: Timestamp) {
        let storable = readings.iter().filter(|reading| reading.version > 0);
        self.readings.extend(storable.map(|reading| Read {
            profile,
            name: reading.name.clone(),
            at_ms: at.as_millis(),
            value: reading.shown.as_ref().map(|shown| shown.value.replace('\0', "")),
            modified_ms: reading.shown.as_ref().and_then(|shown| shown.modified_at).map(Timestamp::as_millis),
            decision: i16::try_from(reading.decision.number()).expect("a small number"),
        }));
    }

    fn read_back(&mut self, verified: &Verified, profile: Uuid) {
        let at_ms = verified.at.as_millis();
        self.lost.extend(verified.lost.iter().map(|(name, version)| (profile, name.clone(), *version)));
        self.logs.extend(verified.sends.iter().map(|log| (profile, log.to_json())));
        let existence = Some(verified.existence).filter(|existence| *existence != Existence::Unknown);
        self.profiles.push(Profile {
            profile,
            at_ms,
            existence: existence.map(existence_number),
            read_until_ms: Some(at_ms),
            due_ms: verified.again_at.map(Timestamp::as_millis),
            is_ambiguous: verified.again_at.is_some(),
            ..Profile::default()
        });
    }
}

/// Returns true if the answer to a request may have been lost: it reached Target, and some of its values are neither delivered nor
/// refused.
fn is_unanswered(settlement: &Settlement) -> bool {
    let is_ambiguous = settlement.read_back.is_some_and(|(_, why)| why == ReadBack::Ambiguous);
    let refused: usize = settlement.refused.iter().map(|refusal| refusal.attributes.len()).sum();
    let is_open = settlement.delivered.len() + refused < settlement.claim.attributes.len();
    is_ambiguous && is_open && settlement.requests > settlement.updates
}
