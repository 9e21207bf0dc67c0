//! `[[mapping]]`: names and expressions become mappings that run.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use secrecy::SecretSlice;
use toml::Spanned;
use toml::de::DeValue;
use wildmatch::WildMatch;

use super::document::Table;
use super::examples::{self, Example};
use crate::attribute::{AttributeName, Operation};
use crate::identity::IdentityKind;
use crate::mapping::expression::{Engine, Expression};
use crate::mapping::{ChangeRule, Mapping};

/// What stands for the device's name in the name of an attribute.
pub(super) const DEVICE_ID: &str = "{device_id}";

/// Reads all mappings and their examples.
pub(super) fn read(
    top: &Table<'_, '_>,
    hmac_key: Option<SecretSlice<u8>>,
    device_id: &str,
) -> (Vec<Mapping>, Vec<Example>) {
    let mut reader = Reader { engine: Engine::new(hmac_key), device_id, operations: HashMap::new() };
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
        table.unsupported("hash");
        table.finish();
        mappings.extend(mapping);
    }
    (mappings, all_examples)
}

struct Reader<'r> {
    engine: Engine,
    device_id: &'r str,
    /// With which operation each attribute is used, over all mappings.
    operations: HashMap<AttributeName, Operation>,
}

impl Reader<'_> {
    fn mapping(&mut self, table: &Table<'_, '_>, name: &str) -> Option<Mapping> {
        let event_type = table.required_text("event").map(|text| WildMatch::new(text.get_ref()));
        let when = table.text("when").map(|text| self.expression(table, &text));
        let identity = self.identity(table);
        let is_urgent = table.flag("urgent");
        let mut changes = Vec::new();
        for operation in Operation::ALL {
            if let Some(section) = table.table(operation.name()) {
                for (key, span, value) in section.entries() {
                    changes.push(self.change(&section, operation, (key, span), value));
                }
            }
        }
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

    fn identity(&self, table: &Table<'_, '_>) -> Option<(IdentityKind, Expression)> {
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
        let identity = given.and_then(|(kind, text)| self.expression(&section, &text).map(|it| (kind, it)));
        section.finish();
        identity
    }

    fn change(
        &mut self,
        section: &Table<'_, '_>,
        operation: Operation,
        (key, span): (&str, Range<usize>),
        value: &Spanned<DeValue<'_>>,
    ) -> Option<ChangeRule> {
        let name = self.attribute_name(section, operation, key, span);
        let Some(text) = value.get_ref().as_str() else {
            section.report(
                value.span(),
                format!("the value of {key} is an expression in quotes, such as \"data.total\" or \"1\""),
            );
            return None;
        };
        let value = self.expression(section, &Spanned::new(value.span(), text));
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
