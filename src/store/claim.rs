//! Claims: profiles that are taken for a delivery, each by one at a time.
//!
//! Being in flight is a fact about the process, not about the disk: after a crash everything that was not acknowledged
//! is simply pending.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::readings::{Basis, lose_unanswered};
use super::sends::SendLog;
use crate::core::fleet::AttributePart;
use crate::core::forwarding::existence::Knowledge;
use crate::core::identity::Identity;
use crate::core::operation::Operation;
use crate::core::timestamp::Timestamp;

/// The claimed profiles, shared with those who display them.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<Flights>>);

#[derive(Debug, Default)]
struct Flights {
    /// Newest version in flight, by profile.
    claimed: HashMap<i64, i64>,
    /// Erased profiles, which must not be claimed from an older view of the store. Their numbers are not reused in the
    /// life of the process.
    grounded: HashSet<i64>,
}

impl InFlight {
    /// Returns the newest version of a profile that is in flight, if any.
    #[must_use]
    pub fn newest_version(&self, profile_id: i64) -> Option<i64> {
        self.with(|flights| flights.claimed.get(&profile_id).copied())
    }

    /// Prevents all further claims of a profile.
    pub fn ground(&self, profile_id: i64) {
        self.with(|flights| flights.grounded.insert(profile_id));
    }

    /// Returns the profiles that must not be claimed. Call it before taking a snapshot of the store: a profile released
    /// in between may be older in the snapshot than what was acknowledged, and must not be sent from it.
    pub(super) fn busy(&self) -> HashSet<i64> {
        self.with(|flights| flights.claimed.keys().chain(&flights.grounded).copied().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Flights) -> T) -> T {
        // The map is consistent even if a holder panicked: each operation is a single call on it.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One profile, taken for one delivery. It cannot be cloned; dropping it releases the profile, so that whatever was not
/// settled is pending again.
pub struct Claim {
    /// Number of the profile in the store.
    pub profile_id: i64,
    /// Identity of the profile.
    pub identity: Identity,
    /// Known state of the profile at Target.
    pub knowledge: Knowledge,
    /// Pending attributes, by name.
    pub attributes: Vec<ClaimedAttribute>,
    /// All attributes, with the data that decides what Target should have; `None` if that will not be needed.
    pub basis: Option<Vec<Basis>>,
    /// Values that were sent of it recently; empty if profiles are not shared.
    pub sends: SendLog,
    /// Time since which it waits for Target to have the profile.
    pub missing_since: Option<Timestamp>,
    /// `None` until it is in flight.
    pub(super) in_flight: Option<InFlight>,
}

/// The parts of a claim that another store than a device's has made.
pub struct ClaimParts {
    /// Number of the profile, for as long as the process lives.
    pub profile_id: i64,
    /// Identity of the profile.
    pub identity: Identity,
    /// Known state of the profile at Target.
    pub knowledge: Knowledge,
    /// Pending attributes, by name.
    pub attributes: Vec<ClaimedAttribute>,
    /// All attributes that may be sent, by name.
    pub basis: Vec<Basis>,
    /// Values that were sent of it recently.
    pub sends: SendLog,
    /// Time since which it waits for Target to have the profile.
    pub missing_since: Option<Timestamp>,
}

/// One pending attribute, as it will be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedAttribute {
    /// Name of the attribute.
    pub name: String,
    /// Value to send.
    pub value: String,
    /// Version of that value.
    pub version: i64,
    /// Version that Target has; 0 for none.
    pub delivered_version: i64,
    /// Operation by which events change it.
    pub operation: Operation,
    /// True if only this device writes an attribute of that name.
    pub is_own: bool,
    /// True if the update is needed at the next page view.
    pub is_urgent: bool,
    /// Time of the event that decided the value, on this device's clock.
    pub event_time: Timestamp,
    /// Parts to hand over to a hub; empty if the update goes to Target.
    pub parts: Vec<AttributePart>,
    /// True if these are all parts of it that are not answered.
    pub has_all_parts: bool,
}

/// Returns true if others may have written the value meanwhile, so that the profile is read before it is sent.
#[must_use]
pub fn is_shared(operation: Operation, is_own: bool, event_time: Timestamp, late_before: Timestamp) -> bool {
    !is_own && (!operation.replaces() || event_time < late_before)
}

impl Claim {
    /// Returns true if an urgent mapping wrote any of its attributes.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.attributes.iter().any(|attribute| attribute.is_urgent)
    }

    /// Returns true if others may have written any of the pending attributes meanwhile.
    #[must_use]
    pub fn is_shared(&self, late_before: Timestamp) -> bool {
        let is_shared = |it: &ClaimedAttribute| is_shared(it.operation, it.is_own, it.event_time, late_before);
        self.attributes.iter().any(is_shared)
    }

    /// Marks what was sent and is newer than what Target is known to have as lost: the process ended before the answer came.
    pub(super) fn lose_unanswered(&mut self) {
        for attribute in &self.attributes {
            self.sends.lose_after(&attribute.name, attribute.delivered_version);
        }
        lose_unanswered(self.basis.iter().flatten(), &mut self.sends);
    }

    /// Puts a claim that another store has made in flight; `None` if its profile already is.
    #[must_use]
    pub fn made(parts: ClaimParts, in_flight: &InFlight) -> Option<Self> {
        let ClaimParts { profile_id, identity, knowledge, attributes, basis, sends, missing_since } = parts;
        let basis = Some(basis);
        let mut claim =
            Self { profile_id, identity, knowledge, attributes, basis, sends, missing_since, in_flight: None };
        claim.lose_unanswered();
        claim.take_off(in_flight).then_some(claim)
    }

    /// Puts the profile in flight. Returns false if it already is.
    pub(super) fn take_off(&mut self, in_flight: &InFlight) -> bool {
        let newest = self.attributes.iter().map(|attribute| attribute.version).max().unwrap_or(0);
        let is_first = in_flight.with(|flights| match flights.claimed.entry(self.profile_id) {
            Entry::Vacant(place) if !flights.grounded.contains(&self.profile_id) => {
                place.insert(newest);
                true
            }
            _ => false,
        });
        self.in_flight = is_first.then(|| in_flight.clone());
        is_first
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.with(|flights| flights.claimed.remove(&self.profile_id));
        }
    }
}

// Identity and values are personal data and must not reach a log.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("attributes", &self.attributes.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClaimedAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedAttribute").field("version", &self.version).finish_non_exhaustive()
    }
}
