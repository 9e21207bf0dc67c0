//! The sections `[[mapping.example]]`: an event and its expected result, run through the live code.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use toml::Spanned;
use toml::de::DeValue;

use super::document::{Document, Problems, Table};
use super::sources::Sources;
use super::values::{Config, Example};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::mapping::{Mappings, Meaning, ProfileChanges};
use crate::core::operation::Stamp;
use crate::device::clock::Clock;
use crate::intake::{cloudevents, event_at};

/// An event of an example, for people to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The event's type.
    pub event_type: String,
    /// Its data, as JSON.
    pub data: String,
    /// Kind of the identity whose profile it changes.
    pub kind: IdentityKind,
    /// The same.
    pub key: String,
}

pub(super) fn read(table: Table<'_, '_>) -> Option<Example> {
    let span = table.span();
    let event = table.table("event");
    let expect = table.table("expect");
    if event.is_none() || expect.is_none() {
        table.report(span.clone(), "a [[mapping.example]] has event = { … } and expect = { … }");
    }
    table.finish();
    let mut example = Example { span, event: event_json(&event?), identity: None, attributes: Vec::new() };
    let expect = expect?;
    for (key, at, value) in expect.entries() {
        let Some(text) = value.get_ref().as_str() else {
            expect.report(at, format!("the expected {key} is a text in quotes: all values reach Target as texts"));
            continue;
        };
        match IdentityKind::from_name(key) {
            Some(kind) => example.identity = Some((kind, text.to_owned())),
            None => example.attributes.push((key.to_owned(), text.to_owned())),
        }
    }
    Some(example)
}

/// Returns the event with defaults for the members that the example leaves out.
fn event_json(event: &Table<'_, '_>) -> String {
    let mut members: BTreeMap<String, Box<RawValue>> =
        event.entries().map(|(key, _, value)| (key.to_owned(), json_of(value))).collect();
    for (key, value) in [("specversion", "1.0"), ("id", "example"), ("source", "/example")] {
        members.entry(key.to_owned()).or_insert_with(|| raw(&value));
    }
    raw(&members).get().to_owned()
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("what the configuration holds is JSON")
}

fn json_of(value: &Spanned<DeValue<'_>>) -> Box<RawValue> {
    match value.get_ref() {
        DeValue::String(text) => raw(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => raw(&number),
            Err(_) => number_json(number.as_str()),
        },
        DeValue::Float(number) => number_json(number.as_str()),
        DeValue::Boolean(value) => raw(value),
        DeValue::Datetime(time) => raw(&time.to_string()),
        DeValue::Array(items) => raw(&items.iter().map(json_of).collect::<Vec<_>>()),
        DeValue::Table(table) => {
            raw(&table.iter().map(|(key, value)| (key.get_ref(), json_of(value))).collect::<BTreeMap<_, _>>())
        }
    }
}

/// Returns a number with its digits in the file; null if JSON cannot represent it.
fn number_json(text: &str) -> Box<RawValue> {
    let number = text.replace('_', "").trim_start_matches('+').to_owned();
    RawValue::from_string(number).unwrap_or_else(|_| raw(&()))
}

impl Config {
    /// Runs every example. `sources` are those that were parsed.
    ///
    /// # Errors
    /// [`Problems`], one for each example with a different result.
    pub fn run_examples(&self, sources: &Sources) -> Result<(), Problems> {
        let document = Document::new(sources);
        for example in &self.examples {
            for difference in example.run(&self.mappings) {
                document.report(example.span.clone(), format!("example: {difference}"));
            }
        }
        document.finish()
    }
}

impl Example {
    /// Returns what to type to send the event; `None` if it changes no profile, or has no data in JSON.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        let (kind, key) = self.identity.clone()?;
        let event: serde_json::Value = serde_json::from_str(&self.event).ok()?;
        let event_type = event["type"].as_str()?.to_owned();
        Some(Sample { event_type, data: event.get("data")?.to_string(), kind, key })
    }

    /// Returns the differences between the expected and the actual result.
    fn run(&self, mappings: &Mappings) -> Vec<String> {
        let parsed = match cloudevents::structured(self.event.as_bytes()) {
            Ok(parsed) => parsed,
            Err(invalid) => return vec![format!("the event is not valid: {invalid}")],
        };
        let (event, _) = event_at(parsed, &Clock::new(None));
        let profiles = match mappings.meaning(&event) {
            Meaning::Changes(profiles) => profiles,
            Meaning::Unmapped(_) if self.identity.is_none() => return Vec::new(),
            Meaning::Unmapped(why) => return vec![why],
            Meaning::Failed(error) => return vec![error.to_string()],
            Meaning::Unconsented(_) if self.identity.is_none() => return Vec::new(),
            Meaning::Unconsented(none) => return vec![none.why],
        };
        let Some((kind, key)) = &self.identity else {
            return vec!["a mapping matches; expect names no identity".to_owned()];
        };
        let is_expected = |identity: &Identity| identity.kind() == *kind && identity.key() == key;
        match profiles.iter().find(|profile| is_expected(&profile.identity)) {
            Some(profile) => self.compare(profile, Stamp { time: event.time, seq: 1 }),
            None if profiles.is_empty() => vec!["no mapping matches the event".to_owned()],
            None => vec![format!("expected {} = \"{key}\", and the mapping gives another identity", kind.name())],
        }
    }

    fn compare(&self, profile: &ProfileChanges, stamp: Stamp) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, expected) in &self.attributes {
            let mut held = None;
            for change in profile.changes.iter().filter(|change| change.name.as_str() == name) {
                match change.operation.change(held.as_ref(), &change.value, stamp) {
                    Ok(next) => held = next.or(held),
                    Err(error) => differences.push(format!("{name}: {error}")),
                }
            }
            match held {
                Some(held) if held.value == *expected => {}
                Some(held) => differences.push(format!("expected {name} = \"{expected}\", got \"{}\"", held.value)),
                None => differences.push(format!("expected {name} = \"{expected}\", got no such attribute")),
            }
        }
        differences
    }
}
