//! What an event means: which profiles it changes, and how. Pure; the live path, `check`, `preview` and the
//! examples all call [`Mappings::map`].

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use minijinja::Value;
use minijinja::value::Object;
use wildmatch::WildMatch;

use crate::attribute::{AttributeName, Change, Operation, check_value_length};
use crate::event::Event;
use crate::identity::{Identity, IdentityKind};
use crate::limits::ATTRIBUTE_VALUE_CHARS_MAX;

pub mod expression;
mod filters;

use expression::Expression;

/// One `[[mapping]]` of the configuration, compiled.
#[derive(Debug)]
pub struct Mapping {
    /// Its unique name.
    pub name: Arc<str>,
    /// The event types that it matches; `*` is any text, `?` any character.
    pub event_type: WildMatch,
    /// Further condition, if any.
    pub when: Option<Expression>,
    /// Which key of Target the identity is.
    pub identity_kind: IdentityKind,
    /// What gives the identity.
    pub identity: Expression,
    /// Whether the next page view must know.
    pub is_urgent: bool,
    /// The changes, in the order of the configuration.
    pub changes: Vec<ChangeRule>,
}

/// One right-hand side of a mapping.
#[derive(Debug)]
pub struct ChangeRule {
    /// How the attribute changes.
    pub operation: Operation,
    /// The attribute.
    pub name: AttributeName,
    /// What gives the operand.
    pub value: Expression,
    /// Whether the name is this device's own.
    pub is_own: bool,
}

/// The changes that an event makes to one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChanges {
    /// Whose profile.
    pub identity: Identity,
    /// What changes, in the order of the mappings.
    pub changes: Vec<Change>,
}

/// All mappings of a configuration.
#[derive(Debug, Default)]
pub struct Mappings(Vec<Mapping>);

/// The mappings that hold now; they may change while the agent runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedMappings(Arc<RwLock<Arc<Mappings>>>);

impl SharedMappings {
    /// Mappings that may change.
    #[must_use]
    pub fn new(mappings: Arc<Mappings>) -> Self {
        Self(Arc::new(RwLock::new(mappings)))
    }

    /// Those that hold now.
    #[must_use]
    pub fn now(&self) -> Arc<Mappings> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Others hold from now on.
    pub fn replace(&self, mappings: Arc<Mappings>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = mappings;
    }
}

impl Mappings {
    /// The mappings in the order of the configuration.
    #[must_use]
    pub const fn new(mappings: Vec<Mapping>) -> Self {
        Self(mappings)
    }

    /// Attributes that several devices total up, or might, by name: those with another operation than `set` whose name is
    /// not the device's own.
    pub fn shared_totals(&self) -> impl Iterator<Item = &str> {
        let rules = self.0.iter().flat_map(|mapping| &mapping.changes);
        rules.filter(|rule| rule.operation != Operation::Set && !rule.is_own).map(|rule| rule.name.as_str())
    }

    /// The names of the mappings that match an event, by type and condition.
    ///
    /// # Errors
    /// The first mapping whose condition failed.
    pub fn matching(&self, event: &Event) -> Result<Vec<Arc<str>>, MappingError> {
        let view = view(event);
        let mut names = Vec::new();
        for mapping in &self.0 {
            if mapping.matches(event, &view)? {
                names.push(mapping.name.clone());
            }
        }
        Ok(names)
    }

    /// The identities that the mappings would give for an event, if its type and their conditions did not matter.
    pub fn identities(&self, event: &Event) -> impl Iterator<Item = Identity> {
        let view = view(event);
        self.0.iter().filter_map(move |mapping| mapping.identity(&view).ok())
    }

    /// The changes that an event makes, one entry per profile; empty when no mapping matches.
    ///
    /// # Errors
    /// The first failure of any matching mapping: then the event changes nothing at all.
    pub fn map(&self, event: &Event) -> Result<Vec<ProfileChanges>, MappingError> {
        let mut profiles: Vec<ProfileChanges> = Vec::new();
        let mut event_view = None;
        for mapping in self.0.iter().filter(|mapping| mapping.event_type.matches(&event.event_type)) {
            let view = event_view.get_or_insert_with(|| view(event));
            if !mapping.matches(event, view)? {
                continue;
            }
            let mapped = mapping.apply(view)?;
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

    fn apply(&self, view: &Value) -> Result<ProfileChanges, MappingError> {
        let identity = self.identity(view).map_err(|problem| {
            self.error(&format!("identity.{}", self.identity_kind.name()), &self.identity, problem)
        })?;
        let changes = self.changes.iter().map(|rule| self.change(rule, view)).collect::<Result<_, _>>()?;
        Ok(ProfileChanges { identity, changes })
    }

    fn identity(&self, view: &Value) -> Result<Identity, String> {
        let value = self.identity.value(view)?;
        let is_key = value.as_str().is_some() || value.is_integer();
        if !is_key {
            return Err("an identity is a text or a whole number".to_owned());
        }
        let key = expression::text_of(&value)?;
        Identity::new(self.identity_kind, key).map_err(|error| error.to_string())
    }

    fn change(&self, rule: &ChangeRule, view: &Value) -> Result<Change, MappingError> {
        let error =
            |problem| self.error(&format!("{}.{}", rule.operation.name(), rule.name.as_str()), &rule.value, problem);
        let value = rule.value.text_value(view).map_err(error)?;
        check_value_length(&value)
            .map_err(|found| error(format!("the value has {found} characters, at most {ATTRIBUTE_VALUE_CHARS_MAX}")))?;
        if value.contains('\0') {
            return Err(error("the value holds a NUL character".to_owned()));
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

/// A mapping that failed on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// The mapping.
    pub mapping: Arc<str>,
    /// Where in it, such as `set.lastStore`.
    pub field: String,
    /// The expression as configured.
    pub expression: String,
    /// What went wrong, without a value of the event.
    pub problem: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapping, field, expression, problem } = self;
        write!(f, "mapping \"{mapping}\", {field} = \"{expression}\": {problem}")
    }
}

impl std::error::Error for MappingError {}

/// An event as expressions see it.
#[derive(Debug)]
struct EventView {
    id: Value,
    source: Value,
    event_type: Value,
    subject: Value,
    time: Value,
    data: Value,
}

fn view(event: &Event) -> Value {
    Value::from_object(EventView {
        id: Value::from(event.id.as_str()),
        source: Value::from(event.source.as_str()),
        event_type: Value::from(event.event_type.as_str()),
        subject: event.subject.as_deref().map_or(Value::UNDEFINED, Value::from),
        time: Value::from(event.time.to_string()),
        data: event.data.clone(),
    })
}

impl Object for EventView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "id" => Some(self.id.clone()),
            "source" => Some(self.source.clone()),
            "type" => Some(self.event_type.clone()),
            "subject" => Some(self.subject.clone()),
            "time" => Some(self.time.clone()),
            "data" => Some(self.data.clone()),
            _ => None,
        }
    }
}
