//! Settings that nobody set, with their defaults, for people to read.
//!
//! They are those of the schema for editors; a test compares each with what the program does without it.

use std::fmt::Write;
use std::sync::LazyLock;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::layers::lay;
use super::places::default_data_dir;
use super::sources::Sources;
use crate::core::packed::unpacked;

/// Sections without which a feature is off, so that their defaults say nothing.
const OPTIONAL: [&str; 4] = ["hub", "intake.folder", "intake.socket", "metrics"];

/// The schema of the configuration, as it is written.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let packed = include_bytes!(concat!(env!("OUT_DIR"), "/agent.schema.json.gz"));
    serde_json::from_str(&unpacked(packed)).expect("our own schema is JSON")
});

impl Sources {
    /// Returns the settings that no source has and that have a default, as TOML.
    #[must_use]
    pub fn defaults(&self) -> String {
        let (table, _) = lay(self);
        let mut text = String::new();
        section(&mut text, "", &SCHEMA, Some(table.get_ref()));
        text.trim_start().to_owned()
    }
}

fn section(text: &mut String, path: &str, schema: &Value, set: Option<&DeTable<'_>>) {
    let properties = || schema["properties"].as_object().into_iter().flatten();
    let value = |name: &str| set.and_then(|set| set.get(name)).map(toml::Spanned::get_ref);
    let mut lines = String::new();
    for (name, definition) in properties().filter(|(name, _)| value(name).is_none()) {
        let default = match (path, name.as_str()) {
            ("agent", "data_dir") => Value::from(default_data_dir().display().to_string()),
            _ => definition["default"].clone(),
        };
        if !default.is_null() {
            // A text, a number or a flag of JSON is one of TOML. Writing to a string does not fail.
            let _ = writeln!(lines, "{name} = {default}");
        }
    }
    if !lines.is_empty() {
        let _ = write!(text, "\n[{path}]\n{lines}");
    }
    for (name, definition) in properties().filter(|(_, definition)| definition["properties"].is_object()) {
        let inner = value(name).and_then(DeValue::as_table);
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if inner.is_some() || !OPTIONAL.contains(&path.as_str()) {
            section(text, &path, definition, inner);
        }
    }
}
