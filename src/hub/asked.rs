//! Content of a request by the keys of the tables, and what is known of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::joining::{KnownPart, Merged};
use super::profile_hash::{kind_number, profile_hash};
use crate::core::fleet::{AttributePart, Handover, PartId, Reason, Refused};

/// A profile of a request, by its key in the tables.
pub(super) struct Asked<'h> {
    pub(super) hash: Uuid,
    pub(super) kind: i16,
    pub(super) key: &'h str,
    pub(super) attributes: Vec<Said<'h>>,
}

/// A part of a request, with the places of its profile and of itself.
pub(super) struct Said<'h> {
    profile: usize,
    place: usize,
    pub(super) part: &'h AttributePart,
}

impl Said<'_> {
    pub(super) fn refuse(&self, reason: &Reason) -> Refused {
        Refused::part(self.profile, (self.place, Some(self.part.name.as_str())), reason)
    }
}

/// Returns two halves of what is asked.
///
/// # Errors
/// The part, where there is but one.
pub(super) fn halves(mut asked: Vec<Asked<'_>>) -> Result<[Vec<Asked<'_>>; 2], Option<Said<'_>>> {
    if asked.len() > 1 {
        let second = asked.split_off(asked.len() / 2);
        return Ok([asked, second]);
    }
    let Some(Asked { hash, kind, key, mut attributes }) = asked.pop() else { return Err(None) };
    if attributes.len() < 2 {
        return Err(attributes.pop());
    }
    let second = attributes.split_off(attributes.len() / 2);
    Ok([attributes, second].map(|attributes| vec![Asked { hash, kind, key, attributes }]))
}

/// Attributes by profile and name.
pub(super) type Attributes = HashMap<(Uuid, String), Merged>;

/// Parts of sums by profile and id.
pub(super) type Parts = HashMap<(Uuid, PartId), KnownPart>;

/// Rows that the hub has of what a request says.
pub(super) struct Known {
    pub(super) attributes: Attributes,
    /// Attributes whose operation this program does not know: a newer node has written them.
    pub(super) foreign: HashSet<(Uuid, String)>,
    pub(super) parts: Parts,
    pub(super) early: Early,
}

/// Times that were taken for events of a device, by time and number of the event.
pub(super) type Early = HashMap<(i64, i64), i64>;

/// Returns the profiles of a request in the order of their keys; what stands twice is joined.
pub(super) fn asked(handover: &Handover) -> Vec<Asked<'_>> {
    let mut asked: BTreeMap<Uuid, Asked<'_>> = BTreeMap::new();
    for profile in &handover.profiles {
        let hash = profile_hash(&profile.identity);
        let entry = asked.entry(hash).or_insert_with(|| Asked {
            hash,
            kind: kind_number(profile.identity.kind()),
            key: profile.identity.key(),
            attributes: Vec::new(),
        });
        let parts = profile.attributes.iter().zip(handover.places(profile));
        entry.attributes.extend(parts.map(|(part, place)| Said { profile: profile.place, place, part }));
    }
    asked.into_values().collect()
}
