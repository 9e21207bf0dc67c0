//! The meaning of an event by all mappings of a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::consent::{NoConsent, PrivacyRules};
use super::event_view::view;
use super::fields::{Fields, Selection};
use super::hash::HashRule;
use super::rule::{Mapping, MappingError, ProfileChanges};
use crate::core::event::Event;
use crate::core::identity::{Identity, IdentityKind, StoredForms};

/// Characters of a type that are compared to find the nearest pattern.
const TYPE_CHARS_COMPARED: usize = 100;

/// The meaning of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Changes to one or more profiles.
    Changes(Vec<ProfileChanges>),
    /// No mapping matches; the text says why.
    Unmapped(String),
    /// A mapping failed on the event.
    Failed(MappingError),
    /// The person did not consent to keeping the event.
    Unconsented(NoConsent),
}

/// All mappings of a configuration, with their privacy rules.
#[derive(Debug, Default)]
pub struct Mappings {
    pub(super) mappings: Vec<Mapping>,
    pub(super) privacy: PrivacyRules,
    /// For each mapping, the fields that it uses and those that it hides.
    fields: Vec<(Fields, Fields)>,
    /// Every rule that hashes identities, with the kind of identity.
    identity_hashes: Vec<(IdentityKind, Arc<HashRule>)>,
}

impl Mappings {
    /// Wraps mappings, in the order of the configuration.
    #[must_use]
    pub fn new(mappings: Vec<Mapping>, privacy: PrivacyRules) -> Self {
        let fields = mappings.iter().map(Mapping::fields).collect();
        let hash = |mapping: &Mapping| mapping.identity.hash.clone().map(|hash| (mapping.identity_kind, hash));
        let identity_hashes = mappings.iter().filter_map(hash).collect();
        Self { mappings, privacy, fields, identity_hashes }
    }

    /// Returns the number of mappings.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.mappings.len()
    }

    /// Returns the meaning of an event. Everything recorded of an event is decided here.
    #[must_use]
    pub fn meaning(&self, event: &Event) -> Meaning {
        match self.privacy.unconsented(event) {
            Some(none) => Meaning::Unconsented(none),
            None => self.mapped(event),
        }
    }

    /// Returns the meaning of an event that may be kept.
    #[must_use]
    pub fn mapped(&self, event: &Event) -> Meaning {
        match self.map(event) {
            Ok(profiles) if profiles.is_empty() => Meaning::Unmapped(self.why_unmapped(event)),
            Ok(profiles) => Meaning::Changes(profiles),
            Err(error) => Meaning::Failed(error),
        }
    }

    /// Returns why no mapping matches, without any data of the event.
    fn why_unmapped(&self, event: &Event) -> String {
        let of_type = self.mappings.iter().filter(|mapping| mapping.event_type.matches(&event.event_type));
        let not_true = of_type.filter_map(|mapping| Some((&mapping.name, mapping.when.as_ref()?.text())));
        let not_true: Vec<String> =
            not_true.map(|(name, when)| format!("`when` of mapping \"{name}\" is not true: {when}")).collect();
        if !not_true.is_empty() {
            return not_true.join("; ");
        }
        // A type can be almost as long as its event, and the cost of the distance is the product of both lengths.
        let event_type: String = event.event_type.chars().take(TYPE_CHARS_COMPARED).collect::<String>().to_lowercase();
        let distance = |pattern: &String| strsim::damerau_levenshtein(&pattern.to_lowercase(), &event_type);
        match self.mappings.iter().map(|mapping| mapping.event_type.to_string()).min_by_key(distance) {
            Some(nearest) => format!("no mapping has its type; the nearest is \"{nearest}\""),
            None => "there is no mapping".to_owned(),
        }
    }

    /// Returns an event as it is journalled: with the fields that mappings use, and hashes instead of what they hide.
    /// `None` if it is journalled as received.
    #[must_use]
    pub fn journalled(&self, event: &Event) -> Option<String> {
        let matching = || {
            let matches = |(mapping, _): &(&Mapping, _)| mapping.event_type.matches(&event.event_type);
            self.mappings.iter().zip(&self.fields).filter(matches)
        };
        let all = Fields::all();
        let used = matching().map(|(_, (used, _))| used);
        let kept = if self.privacy.keeps_all { vec![&all] } else { used.collect() };
        let dropped = matching().map(|(_, (_, hidden))| hidden).filter(|hidden| !hidden.is_empty()).collect();
        let selection = Selection::new(kept, dropped);
        if selection.is_everything() {
            return None;
        }
        let view = view(event);
        let hashes: BTreeMap<String, String> =
            matching().flat_map(|(mapping, _)| mapping.hashes(&view, &event.hashes)).collect();
        Some(selection.of_event(&event.json, &hashes))
    }

    /// Returns all forms that an identity may have in the store: as it is, and hashed by each rule for its kind.
    #[must_use]
    pub fn stored_forms(&self, identity: &Identity) -> StoredForms {
        let rules = self.identity_hashes.iter().filter(|(kind, _)| *kind == identity.kind());
        let hashed = rules.filter_map(|(kind, hash)| Identity::new(*kind, hash.hash(identity.key()).ok()?).ok());
        StoredForms::new(identity.clone(), hashed)
    }

    /// Returns the names of attributes that several devices may total up: those with an operation other than `set` that
    /// other devices write too.
    pub fn shared_totals(&self) -> impl Iterator<Item = &str> {
        let rules = self.mappings.iter().flat_map(|mapping| &mapping.changes);
        rules.filter(|rule| !rule.operation.replaces() && !rule.is_own).map(|rule| rule.name.as_str())
    }

    /// Returns the names of the mappings that match an event by type and condition.
    ///
    /// # Errors
    /// The first mapping whose condition failed.
    pub fn matching(&self, event: &Event) -> Result<Vec<Arc<str>>, MappingError> {
        let view = view(event);
        let mut names = Vec::new();
        for mapping in &self.mappings {
            if mapping.matches(event, &view)? {
                names.push(mapping.name.clone());
            }
        }
        Ok(names)
    }

    /// Returns the identities that an event is about: those that the mappings would give regardless of its type and their conditions.
    #[must_use]
    pub fn about(&self, event: &Event) -> Vec<Identity> {
        let view = view(event);
        let identities = self.mappings.iter().filter_map(|mapping| mapping.identity(&view, &event.hashes).ok());
        identities.collect::<BTreeSet<Identity>>().into_iter().collect()
    }

    /// Returns the changes that an event makes, one entry per profile; empty when no mapping matches.
    ///
    /// # Errors
    /// The first failure of any matching mapping; the event then changes nothing at all.
    pub fn map(&self, event: &Event) -> Result<Vec<ProfileChanges>, MappingError> {
        let mut profiles: Vec<ProfileChanges> = Vec::new();
        let mut event_view = None;
        for mapping in self.mappings.iter().filter(|mapping| mapping.event_type.matches(&event.event_type)) {
            let view = event_view.get_or_insert_with(|| view(event));
            if !mapping.matches(event, view)? {
                continue;
            }
            let mapped = mapping.apply(view, &event.hashes)?;
            match profiles.iter_mut().find(|profile| profile.identity == mapped.identity) {
                Some(profile) => profile.changes.extend(mapped.changes),
                None => profiles.push(mapped),
            }
        }
        Ok(profiles)
    }
}
