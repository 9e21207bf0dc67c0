//! The sections `[[mapping]]`: compiles names and expressions to mappings.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;
use wildmatch::WildMatch;

use super::document::Table;
use super::examples;
use super::privacy::{Hiding, Privacy};
use super::values::Example;
use crate::core::attribute::AttributeName;
use crate::core::identity::IdentityKind;
use crate::core::mapping::expression::{Engine, Expression};
use crate::core::mapping::hash::{HashKey, HashRule};
use crate::core::mapping::{ChangeRule, Mapping, TextRule};
use crate::core::operation::Operation;

/// Placeholder for the device's name in the name of an attribute.
pub(super) const DEVICE_ID: &str = "{device_id}";

/// Reads all mappings and their examples.
pub(super) fn read(top: &Table<'_, '_>, privacy: &Privacy, device_id: &str) -> (Vec<Mapping>, Vec<Example>) {
    let key = privacy.key.as_ref();
    let mut reader = Reader { engine: privacy.engine, key, device_id, operations: HashMap::new() };
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut all_examples = Vec::new();
    for mut table in top.tables("mapping") {
        let name = table.required_text("name");
        if let Some(name) = &name {
            table.rename(format!("[[mapping]] \"{}\"", name.get_ref()));
            if mappings.iter().any(|mapping| *mapping.name == **name.get_ref()) {
                table.report(name.span(), format!("there are two mappings named \"{}\"", name.get_ref()));
            }
        }
        let mapping = reader.mapping(&table, name.map_or("", Spanned::into_inner));
        all_examples.extend(table.tables("example").into_iter().filter_map(examples::read));
        table.finish();
        mappings.extend(mapping);
    }
    (mappings, all_examples)
}

struct Reader<'r> {
    engine: Engine,
    key: Option<&'r HashKey>,
    device_id: &'r str,
    /// Operation of each attribute, over all mappings.
    operations: HashMap<AttributeName, Operation>,
}

impl Reader<'_> {
    fn mapping(&mut self, table: &Table<'_, '_>, name: &str) -> Option<Mapping> {
        let event_type = table.required_text("event").map(|text| WildMatch::new(text.get_ref()));
        let when = table.text("when").map(|text| self.expression(table, &text));
        let hiding = Hiding::read(table, self.key);
        let identity = self.identity(table, &hiding);
        let is_urgent = table.flag("urgent");
        let mut changes = Vec::new();
        let mut names = Vec::new();
        for operation in Operation::ALL {
            if let Some(section) = table.table(operation.name()) {
                for (key, span, value) in section.entries() {
                    names.push(key);
                    changes.push(self.change(&section, operation, (key, span), value, hiding.of_attribute(key)));
                }
            }
        }
        hiding.check(table, |name| names.contains(&name));
        if changes.is_empty() {
            table.report(
                table.span(),
                "a mapping changes at least one attribute, with set, add, max, min, first or append",
            );
        }
        let (identity_kind, identity) = identity?;
        let when = match when {
            Some(when) => Some(when?),
            None => None,
        };
        let changes = changes.into_iter().collect::<Option<Vec<_>>>()?;
        let is_urgent = is_urgent.unwrap_or(false);
        Some(Mapping {
            name: Arc::from(name),
            event_type: event_type?,
            when,
            identity_kind,
            identity,
            is_urgent,
            changes,
        })
    }

    fn expression(&self, table: &Table<'_, '_>, text: &Spanned<&str>) -> Option<Expression> {
        let compiled = self.engine.compile(text.get_ref());
        compiled.inspect_err(|error| table.report(text.span(), error.to_string())).ok()
    }

    fn identity(&self, table: &Table<'_, '_>, hiding: &Hiding) -> Option<(IdentityKind, TextRule)> {
        let Some(section) = table.table("identity") else {
            if table.entries().all(|(key, ..)| key != "identity") {
                table.report(
                    table.span(),
                    "identity is missing in a [[mapping]]; write identity = { third_party_id = \"data.card\" }",
                );
            }
            return None;
        };
        let [third_party_id, pc_id] = IdentityKind::ALL.map(|kind| section.text(kind.name()).map(|text| (kind, text)));
        let given = match (third_party_id, pc_id) {
            (Some(given), None) | (None, Some(given)) => Some(given),
            _ => {
                section.report(section.span(), "identity has one of third_party_id and pc_id");
                None
            }
        };
        let identity = given.and_then(|(kind, text)| {
            let hash = hiding.of_identity();
            if hash.is_some() && kind == IdentityKind::PcId {
                section.report(text.span(), "a pc_id is Target's own, which it would not know again as a hash");
            }
            self.text_rule(&section, &text, hash).map(|rule| (kind, rule))
        });
        section.finish();
        identity
    }

    /// Reads an expression whose text may be hashed, in which case it cannot use members that every journalled event
    /// keeps.
    fn text_rule(
        &self,
        section: &Table<'_, '_>,
        text: &Spanned<&str>,
        hash: Option<Arc<HashRule>>,
    ) -> Option<TextRule> {
        let expression = self.expression(section, text)?;
        let is_shown = |path: &String| ["id", "source", "type", "time"].contains(&path.as_str());
        if let Some(shown) = expression.paths().find(is_shown).filter(|_| hash.is_some()) {
            let message =
                format!("{shown} is kept with every event, and so cannot be hidden by hash; use a field of data");
            section.report(text.span(), message);
        }
        Some(TextRule { expression, hash })
    }

    fn change(
        &mut self,
        section: &Table<'_, '_>,
        operation: Operation,
        (key, span): (&str, Range<usize>),
        value: &Spanned<DeValue<'_>>,
        hash: Option<Arc<HashRule>>,
    ) -> Option<ChangeRule> {
        if hash.is_some() && operation.is_of_numbers() {
            section.report(span.clone(), format!("a hash is no number, and {} needs one", operation.name()));
        }
        let name = self.attribute_name(section, operation, key, span);
        let Some(text) = value.get_ref().as_str() else {
            section.report(
                value.span(),
                format!("the value of {key} is an expression in quotes, such as \"data.total\" or \"1\""),
            );
            return None;
        };
        let value = self.text_rule(section, &Spanned::new(value.span(), text), hash);
        Some(ChangeRule { operation, name: name?, value: value?, is_own: key.contains(DEVICE_ID) })
    }

    fn attribute_name(
        &mut self,
        section: &Table<'_, '_>,
        operation: Operation,
        key: &str,
        span: Range<usize>,
    ) -> Option<AttributeName> {
        let name = match AttributeName::new(&key.replace(DEVICE_ID, self.device_id)) {
            Ok(name) => name,
            Err(error) => {
                section.report(span, error.to_string());
                return None;
            }
        };
        let first = *self.operations.entry(name.clone()).or_insert(operation);
        if first != operation {
            let message = format!(
                "the attribute {key} is used with {} here and with {} elsewhere; one attribute has one operation",
                operation.name(),
                first.name()
            );
            section.report(span, message);
            return None;
        }
        Some(name)
    }
}
