//! One mapping: which events it matches, and what it makes of them.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use wildmatch::WildMatch;

use super::expression::{self, Expression};
use super::fields::Fields;
use super::hash::HashRule;
use super::values;
use crate::core::attribute::{AttributeName, check_value_length};
use crate::core::event::{Event, Hashes};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::ATTRIBUTE_VALUE_CHARS_MAX;
use crate::core::number::Number;
use crate::core::operation::{Change, Operation};

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

/// The changes that one event makes to one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChanges {
    /// Identity of the profile.
    pub identity: Identity,
    /// Changes in the order of the mappings.
    pub changes: Vec<Change>,
}

impl Mapping {
    pub(super) fn matches(&self, event: &Event, view: &Value) -> Result<bool, MappingError> {
        if !self.event_type.matches(&event.event_type) {
            return Ok(false);
        }
        match &self.when {
            Some(when) => when.is_true(view).map_err(|problem| self.error("when", when, problem)),
            None => Ok(true),
        }
    }

    pub(super) fn apply(&self, view: &Value, hashes: &Hashes) -> Result<ProfileChanges, MappingError> {
        let identity = self.identity(view, hashes).map_err(|problem| {
            self.error(&format!("identity.{}", self.identity_kind.name()), &self.identity.expression, problem)
        })?;
        let changes = self.changes.iter().map(|rule| self.change(rule, view, hashes)).collect::<Result<_, _>>()?;
        Ok(ProfileChanges { identity, changes })
    }

    pub(super) fn identity(&self, view: &Value, hashes: &Hashes) -> Result<Identity, String> {
        let key = self.identity.text(view, hashes, |value| {
            let is_whole = || values::number_of(value).as_ref().is_some_and(Number::is_whole);
            let is_key = value.as_str().is_some() || value.is_integer() || is_whole();
            if is_key { Ok(()) } else { Err("an identity is a text or a whole number".to_owned()) }
        })?;
        Identity::new(self.identity_kind, key).map_err(|error| error.to_string())
    }

    /// Returns the fields that it uses, and those that it hides.
    pub(super) fn fields(&self) -> (Fields, Fields) {
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
    pub(super) fn hashes(&self, view: &Value, known: &Hashes) -> impl Iterator<Item = (String, String)> {
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
