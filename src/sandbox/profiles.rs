//! The sandbox's profiles: what Target shows of them now and later, and how batches overwrite each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::core::identity::{Identity, IdentityKind};
use crate::core::timestamp::Timestamp;

/// Largest size of one profile's external data. Units: bytes. Source: Target limits page.
const PROFILE_BYTES_MAX: usize = 64 * 1024;

/// One attribute in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldAttribute {
    /// Value of the attribute.
    pub value: String,
    /// Time of the last write.
    #[serde(rename = "modifiedAt")]
    pub modified_at: Timestamp,
}

/// The attributes of a profile by name.
pub type HeldProfile = BTreeMap<String, HeldAttribute>;

/// The kind of a write, which decides what else it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// An update; the rest of the profile stays as it is.
    Update,
    /// A row of a v2 batch. Without a visit in between it replaces what the previous batch set.
    /// Source: Target Bulk Profile Update API.
    BatchV2,
    /// A visit of the web site, or a call of the Delivery API.
    Visit,
}

#[derive(Debug, Default)]
struct Profile {
    /// Profile with every accepted write.
    latest: HeldProfile,
    /// Profile as a fetch shows it.
    shown: HeldProfile,
    /// Profile after each write that does not show yet, with the time from which it will.
    coming: VecDeque<(Timestamp, HeldProfile)>,
    /// Attributes set by the last v2 batch since the last visit.
    by_batch: BTreeSet<String>,
}

/// The profiles of the simulator by identity, with writes that do not show yet.
#[derive(Debug, Default)]
pub struct Profiles {
    held: BTreeMap<(IdentityKind, String), Profile>,
    /// Third-party id of a pc id, where a call named both.
    aliases: BTreeMap<String, String>,
    /// Time until a write shows.
    pub delay: Duration,
}

impl Profiles {
    /// Returns a profile as it will show once every write has come through, if the identity is known.
    #[must_use]
    pub fn latest(&self, kind: IdentityKind, key: &str) -> Option<&HeldProfile> {
        self.held.get(&self.place(kind, key)).map(|profile| &profile.latest)
    }

    /// Returns a profile as Target shows it now, if the identity is known.
    pub fn shown(&mut self, kind: IdentityKind, key: &str, now: Timestamp) -> Option<&HeldProfile> {
        let place = self.place(kind, key);
        let profile = self.held.get_mut(&place)?;
        while let Some((_, next)) = profile.coming.pop_front_if(|(shows_at, _)| *shows_at <= now) {
            profile.shown = next;
        }
        Some(&profile.shown)
    }

    /// Returns the pc id of an identity, or makes one from it. Unlike Target's own it names no cluster, so that clients
    /// stay here.
    #[must_use]
    pub fn pc_id(&self, kind: IdentityKind, key: &str) -> String {
        let alias = self.aliases.iter().find(|(_, third)| *third == key).map(|(pc_id, _)| pc_id.clone());
        match kind {
            IdentityKind::PcId => key.to_owned(),
            IdentityKind::ThirdPartyId => alias.unwrap_or_else(|| format!("sandbox-{key}")),
        }
    }

    /// Returns the third-party id of a pc id.
    #[must_use]
    pub fn third_party_id(&self, pc_id: &str) -> Option<&str> {
        self.aliases.get(pc_id).map(String::as_str)
    }

    /// Makes two keys refer to one profile.
    pub fn join(&mut self, pc_id: &str, third_party_id: &str) {
        self.aliases.insert(pc_id.to_owned(), third_party_id.to_owned());
    }

    /// Returns all profiles, as they will show.
    pub fn all(&self) -> impl Iterator<Item = (IdentityKind, &str, &HeldProfile)> {
        self.held.iter().map(|((kind, key), profile)| (*kind, key.as_str(), &profile.latest))
    }

    /// Makes an identity known.
    pub fn learn(&mut self, identity: &Identity) {
        self.held.entry(self.place(identity.kind(), identity.key())).or_default();
    }

    /// Forgets an identity, as Target does when a profile expires.
    pub fn expire(&mut self, identity: &Identity) -> bool {
        self.held.remove(&self.place(identity.kind(), identity.key())).is_some()
    }

    /// Returns true if an identity is known.
    #[must_use]
    pub fn knows(&self, identity: &Identity) -> bool {
        self.held.contains_key(&self.place(identity.kind(), identity.key()))
    }

    /// Writes attributes of a known profile; empty values are ignored. Returns false if the profile would get too
    /// large.
    pub fn write(
        &mut self,
        identity: &Identity,
        attributes: &BTreeMap<String, String>,
        write: Write,
        at: Timestamp,
    ) -> bool {
        let shows_at = at.plus(self.delay);
        let place = self.place(identity.kind(), identity.key());
        let Some(profile) = self.held.get_mut(&place) else { return true };
        let given = || attributes.iter().filter(|(_, value)| !value.is_empty());
        let mut next = profile.latest.clone();
        if write == Write::BatchV2 {
            next.retain(|name, _| !profile.by_batch.contains(name) || attributes.contains_key(name));
        }
        for (name, value) in given() {
            next.insert(name.clone(), HeldAttribute { value: value.clone(), modified_at: at });
        }
        if next.iter().map(|(name, held)| name.len() + held.value.len()).sum::<usize>() > PROFILE_BYTES_MAX {
            return false;
        }
        match write {
            Write::BatchV2 => profile.by_batch = given().map(|(name, _)| name.clone()).collect(),
            Write::Visit => profile.by_batch.clear(),
            Write::Update => {}
        }
        profile.latest = next.clone();
        if shows_at <= at && profile.coming.is_empty() {
            profile.shown = next;
        } else {
            profile.coming.push_back((shows_at, next));
        }
        true
    }

    fn place(&self, kind: IdentityKind, key: &str) -> (IdentityKind, String) {
        match self.aliases.get(key) {
            Some(third) if kind == IdentityKind::PcId => (IdentityKind::ThirdPartyId, third.clone()),
            _ => (kind, key.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn identity() -> Identity {
        "third_party_id:7".parse().expect("valid")
    }

    fn write(profiles: &mut Profiles, write: Write, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert!(profiles.write(&identity(), &attributes, write, START));
    }

    fn names(profiles: &Profiles) -> Vec<&str> {
        profiles.latest(IdentityKind::ThirdPartyId, "7").expect("known").keys().map(String::as_str).collect()
    }

    #[test]
    fn a_v2_batch_takes_the_place_of_the_one_before_unless_there_was_a_visit() {
        let mut profiles = Profiles::default();
        profiles.learn(&identity());
        write(&mut profiles, Write::Update, &[("u", "1")]);
        write(&mut profiles, Write::BatchV2, &[("a", "1"), ("b", "1")]);
        write(&mut profiles, Write::BatchV2, &[("b", "2"), ("c", "")]);
        assert_eq!(names(&profiles), ["b", "u"]);
        write(&mut profiles, Write::Visit, &[("w", "1")]);
        write(&mut profiles, Write::BatchV2, &[("d", "1")]);
        assert_eq!(names(&profiles), ["b", "d", "u", "w"]);
    }

    #[test]
    fn a_write_shows_after_the_delay() {
        let mut profiles = Profiles { delay: Duration::from_secs(60), ..Profiles::default() };
        profiles.learn(&identity());
        write(&mut profiles, Write::Update, &[("a", "1")]);
        let mut shown = |after| {
            profiles.shown(IdentityKind::ThirdPartyId, "7", START.plus(Duration::from_secs(after))).map(BTreeMap::len)
        };
        assert_eq!((shown(59), shown(60)), (Some(0), Some(1)));
    }
}
