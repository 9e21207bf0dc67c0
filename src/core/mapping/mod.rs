//! The meaning of an event: the profiles that it changes, and the changes. Pure; the live path, `check`, `preview` and
//! the examples all call [`Mappings::map`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use wildmatch::WildMatch;

use crate::core::attribute::{AttributeName, check_value_length};
use crate::core::event::{Event, Hashes};
use crate::core::identity::{Identity, IdentityKind, StoredForms};
use crate::core::limits::ATTRIBUTE_VALUE_CHARS_MAX;
use crate::core::number::Number;
use crate::core::operation::{Change, Operation};

mod arithmetic;
mod consent;
mod equality;
mod event_view;
pub mod expression;
pub mod fields;
mod filter_error;
mod filters;
pub mod hash;
mod rewrite;
mod syntax;
mod texts;
mod uses;
pub mod values;

use event_view::view;
use expression::Expression;
use fields::{Fields, Selection};
use hash::HashRule;

pub use consent::NoConsent;
pub use uses::Use;

/// Characters of a type that are compared to find the nearest pattern.
const TYPE_CHARS_COMPARED: usize = 100;

/// One `[[mapping]]` of the configuration, compiled.
#[derive(Debug)]
pub struct Mapping {
    /// Its unique name.
    pub name: Arc<str>,
    /// The event types that it matches; `*` is any text, `?` any character.
    pub event_type: WildMatch,
    /// Condition besides the type, if any.
    pub when: Option<Expression>,
    /// Kind of the identity.
    pub identity_kind: IdentityKind,
    /// Rule that computes the identity.
    pub identity: TextRule,
    /// True if the update is needed at the next page view.
    pub is_urgent: bool,
    /// The changes, in the order of the configuration.
    pub changes: Vec<ChangeRule>,
}

/// One line of a mapping's `set`, `add` or other operation.
#[derive(Debug)]
pub struct ChangeRule {
    /// Operation that changes the attribute.
    pub operation: Operation,
    /// Name of the attribute.
    pub name: AttributeName,
    /// Rule that computes the operand.
    pub value: TextRule,
    /// True if only this device writes an attribute of that name.
    pub is_own: bool,
}

/// A rule that computes a text and may hash it before anyone sees it.
#[derive(Debug)]
pub struct TextRule {
    /// Expression that computes the text.
    pub expression: Expression,
    /// Hash that hides the text, if any.
    pub hash: Option<Arc<HashRule>>,
}

/// The rules for which events are kept, and how much of them.
#[derive(Debug, Default)]
pub struct PrivacyRules {
    /// True if an event is kept as received, false if only the fields used by mappings are kept.
    pub keeps_all: bool,
    /// Condition for an event to be kept at all.
    pub consent: Option<Expression>,
}

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

/// The changes that one event makes to one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChanges {
    /// Identity of the profile.
    pub identity: Identity,
    /// Changes in the order of the mappings.
    pub changes: Vec<Change>,
}

/// All mappings of a configuration, with their privacy rules.
#[derive(Debug, Default)]
pub struct Mappings {
    mappings: Vec<Mapping>,
    privacy: PrivacyRules,
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

impl Mapping {
    fn matches(&self, event: &Event, view: &Value) -> Result<bool, MappingError> {
        if !self.event_type.matches(&event.event_type) {
            return Ok(false);
        }
        match &self.when {
            Some(when) => when.is_true(view).map_err(|problem| self.error("when", when, problem)),
            None => Ok(true),
        }
    }

    fn apply(&self, view: &Value, hashes: &Hashes) -> Result<ProfileChanges, MappingError> {
        let identity = self.identity(view, hashes).map_err(|problem| {
            self.error(&format!("identity.{}", self.identity_kind.name()), &self.identity.expression, problem)
        })?;
        let changes = self.changes.iter().map(|rule| self.change(rule, view, hashes)).collect::<Result<_, _>>()?;
        Ok(ProfileChanges { identity, changes })
    }

    fn identity(&self, view: &Value, hashes: &Hashes) -> Result<Identity, String> {
        let key = self.identity.text(view, hashes, |value| {
            let is_whole = || values::number_of(value).as_ref().is_some_and(Number::is_whole);
            let is_key = value.as_str().is_some() || value.is_integer() || is_whole();
            if is_key { Ok(()) } else { Err("an identity is a text or a whole number".to_owned()) }
        })?;
        Identity::new(self.identity_kind, key).map_err(|error| error.to_string())
    }

    /// Returns the fields that it uses, and those that it hides.
    fn fields(&self) -> (Fields, Fields) {
        let (mut used, mut hidden) = (Fields::default(), Fields::default());
        if let Some(when) = &self.when {
            used.add(when);
        }
        for rule in self.texts() {
            let fields = if rule.hash.is_some() { &mut hidden } else { &mut used };
            fields.add(&rule.expression);
        }
        (used, hidden)
    }

    fn texts(&self) -> impl Iterator<Item = &TextRule> {
        std::iter::once(&self.identity).chain(self.changes.iter().map(|rule| &rule.value))
    }

    /// Returns the hashes that replace the fields it hides.
    fn hashes(&self, view: &Value, known: &Hashes) -> impl Iterator<Item = (String, String)> {
        self.texts().filter_map(|rule| {
            let label = rule.hash.as_ref()?.label(rule.expression.text());
            Some((label, rule.text(view, known, |_| Ok(())).ok()?))
        })
    }

    fn change(&self, rule: &ChangeRule, view: &Value, hashes: &Hashes) -> Result<Change, MappingError> {
        let error = |problem| {
            let field = format!("{}.{}", rule.operation.name(), rule.name.as_str());
            self.error(&field, &rule.value.expression, problem)
        };
        let is_of_table = view.get_attr(values::OF_TABLE).is_ok_and(|of_table| of_table.is_true());
        let is_one_number = |value: &Value| match value.as_str() {
            Some(text) if rule.operation.is_of_numbers() && is_of_table && values::may_be_thousands(text) => {
                Err(values::THOUSANDS.to_owned())
            }
            _ => Ok(()),
        };
        let value = rule.value.text(view, hashes, is_one_number).map_err(error)?;
        check_value_length(&value)
            .map_err(|found| error(format!("the value has {found} characters, at most {ATTRIBUTE_VALUE_CHARS_MAX}")))?;
        if value.contains('\0') {
            return Err(error("the value contains a NUL character".to_owned()));
        }
        Ok(Change {
            name: rule.name.clone(),
            operation: rule.operation,
            value,
            mapping: self.name.clone(),
            is_own: rule.is_own,
            is_urgent: self.is_urgent,
        })
    }

    fn error(&self, field: &str, expression: &Expression, problem: String) -> MappingError {
        MappingError {
            mapping: self.name.clone(),
            field: field.to_owned(),
            expression: expression.text().to_owned(),
            problem,
        }
    }
}

impl TextRule {
    /// Returns the text for an event, or its hash if it is hidden. A journalled event may contain only that hash.
    fn text(
        &self,
        view: &Value,
        hashes: &Hashes,
        check: impl FnOnce(&Value) -> Result<(), String>,
    ) -> Result<String, String> {
        if let Some(hash) = &self.hash
            && let Some(known) = hashes.get(&hash.label(self.expression.text()))
        {
            return Ok(known.clone());
        }
        let value = self.expression.value(view)?;
        check(&value)?;
        let text = expression::text_of(&value)?;
        match &self.hash {
            Some(hash) => hash.hash(&text),
            None => Ok(text),
        }
    }
}

/// An error of a mapping on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// Name of the mapping.
    pub mapping: Arc<str>,
    /// Setting of the mapping, such as `set.lastStore`.
    pub field: String,
    /// Expression as configured.
    pub expression: String,
    /// Description of the error, without a value of the event.
    pub problem: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapping, field, expression, problem } = self;
        write!(f, "mapping \"{mapping}\", {field} = \"{expression}\": {problem}")
    }
}

impl std::error::Error for MappingError {}
