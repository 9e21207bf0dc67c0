//! The fields of an event that are used, and an event reduced to them: unused fields are not kept.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::expression::Expression;

/// Member of a journalled event with the hashes that replace fields which are not kept: JSON in a string.
pub const HASHES_MEMBER: &str = "outposthashes";

/// Members that every journalled event keeps, used or not: without them it would not be a valid event.
const ENVELOPE: [&str; 7] = ["specversion", "id", "source", "type", "time", "datacontenttype", "dataschema"];

/// Fields of an event, as a tree of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// True if everything below is included.
    is_whole: bool,
    members: BTreeMap<String, Self>,
}

impl Fields {
    /// Returns all fields.
    #[must_use]
    pub const fn all() -> Self {
        Self { is_whole: true, members: BTreeMap::new() }
    }

    /// Adds the fields that an expression uses.
    pub fn add(&mut self, expression: &Expression) {
        for path in expression.paths() {
            let field =
                path.split('.').fold(&mut *self, |field, name| field.members.entry(name.to_owned()).or_default());
            field.is_whole = true;
        }
    }

    /// Returns true if no field is included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_whole && self.members.is_empty()
    }

    /// Returns true if a top-level field, or something below it, is included.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.is_whole || self.members.contains_key(name)
    }
}

/// The part of an event that is kept: whatever `kept` names, without whatever `dropped` names.
#[derive(Clone, Debug)]
pub struct Selection<'f> {
    kept: Vec<&'f Fields>,
    dropped: Vec<&'f Fields>,
}

impl<'f> Selection<'f> {
    /// Returns a selection; a field in both lists is dropped.
    #[must_use]
    pub fn new(kept: Vec<&'f Fields>, dropped: Vec<&'f Fields>) -> Self {
        Self { kept, dropped }
    }

    /// Returns true if the whole event is kept.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.is_whole() && self.dropped.is_empty()
    }

    fn is_whole(&self) -> bool {
        self.kept.iter().any(|fields| fields.is_whole)
    }

    /// Returns the part of a member that is kept; `None` if nothing of it is.
    fn member(&self, name: &str) -> Option<Self> {
        let below = |fields: &'f Fields| if fields.is_whole { Some(fields) } else { fields.members.get(name) };
        let dropped: Vec<&Fields> = self.dropped.iter().copied().filter_map(below).collect();
        let kept: Vec<&Fields> = self.kept.iter().copied().filter_map(below).collect();
        let is_dropped = dropped.iter().any(|fields| fields.is_whole);
        (!is_dropped && !kept.is_empty()).then_some(Self { kept, dropped })
    }

    /// Returns an event reduced to the kept fields, with the hashes that replace the others. The text is a valid event.
    #[must_use]
    pub fn of_event(&self, json: &str, hashes: &BTreeMap<String, String>) -> String {
        let mut object = ObjectText::default();
        let is_envelope = |name: &str| ENVELOPE.contains(&name);
        let members = members(json).unwrap_or_default();
        let content_type = members.iter().find(|(name, _)| name == "datacontenttype");
        let content_type = content_type.and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok());
        for (name, value) in members {
            if is_envelope(&name) {
                object.push(&name, value.get());
            } else if name == "data_base64" {
                self.push_base64(&mut object, value.get(), content_type.as_deref());
            } else if name != HASHES_MEMBER
                && let Some(text) = self.member(&name).and_then(|selection| selection.of_value(value.get()))
            {
                object.push(&name, &text);
            }
        }
        if !hashes.is_empty() {
            let text = serde_json::to_string(hashes).expect("texts are JSON");
            object.push(HASHES_MEMBER, &quoted(&text));
        }
        object.finish()
    }

    /// Writes binary data unchanged or, if only a part of it is kept, as the JSON inside it.
    fn push_base64(&self, object: &mut ObjectText, value: &str, content_type: Option<&str>) {
        let Some(selection) = self.member("data") else { return };
        if selection.is_everything() {
            object.push("data_base64", value);
            return;
        }
        let is_json = content_type.is_some_and(|content_type| content_type.contains("json"));
        let text: Option<String> = serde_json::from_str(value).ok();
        let bytes = text.and_then(|text| BASE64_STANDARD.decode(text).ok()).filter(|_| is_json);
        let json = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(data) = json.and_then(|json| selection.of_value(&json)) {
            object.push("data", &data);
        }
    }

    fn of_value(&self, json: &str) -> Option<String> {
        if self.is_everything() {
            return Some(json.to_owned());
        }
        let Some(members) = members(json) else {
            // A value without names cannot be kept in part.
            return self.dropped.is_empty().then(|| json.to_owned());
        };
        let mut object = ObjectText::default();
        for (name, value) in members {
            if let Some(text) = self.member(&name).and_then(|selection| selection.of_value(value.get())) {
                object.push(&name, &text);
            }
        }
        Some(object.finish())
    }
}

/// A JSON object while it is being written.
#[derive(Default)]
struct ObjectText(String);

impl ObjectText {
    fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn finish(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// Returns the members of an object, in their order; `None` for anything else.
fn members(json: &str) -> Option<Vec<(String, &RawValue)>> {
    serde_json::Deserializer::from_str(json).deserialize_map(Members).ok()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mapping::expression::Engine;

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/k","type":"t","subject":"s","extra":"x",
        "data":{"card":"1234","total":5,"who":{"mail":"m","phone":"p"},"items":[{"a":1}]}}"#;

    fn fields(expressions: &[&str]) -> Fields {
        let mut fields = Fields::default();
        for text in expressions {
            fields.add(&Engine::new(None).compile(text).expect("an expression"));
        }
        fields
    }

    fn check(event: &str, kept: &Fields, dropped: &Fields, expected: &str) {
        let selection = Selection::new(vec![kept], vec![dropped]);
        let json = selection.of_event(event, &BTreeMap::new());
        let rest = json.strip_prefix(r#"{"specversion":"1.0","id":"1","source":"/k","type":"t""#);
        assert_eq!(rest, Some(expected), "{json}");
    }

    #[test]
    fn only_what_is_used_stays() {
        let nothing = Fields::default();
        check(EVENT, &nothing, &nothing, "}");
        check(EVENT, &fields(&["data.total > 3"]), &nothing, r#","data":{"total":5}}"#);
        check(
            EVENT,
            &fields(&["data.who.mail | lower", "subject"]),
            &nothing,
            r#","subject":"s","data":{"who":{"mail":"m"}}}"#,
        );
        check(EVENT, &fields(&["data.items[0].a"]), &nothing, r#","data":{"items":[{"a":1}]}}"#);
        check(EVENT, &fields(&["data.card.nothing"]), &nothing, r#","data":{"card":"1234"}}"#);
    }

    #[test]
    fn what_is_dropped_does_not_stay_whoever_uses_it() {
        let all = Fields::all();
        check(EVENT, &fields(&["data.card", "data.total"]), &fields(&["data.card"]), r#","data":{"total":5}}"#);
        check(
            EVENT,
            &all,
            &fields(&["data.who.mail", "data.items", "data.card", "subject"]),
            r#","extra":"x","data":{"total":5,"who":{"phone":"p"}}}"#,
        );
        check(EVENT, &all, &fields(&["data"]), r#","subject":"s","extra":"x"}"#);
        check(
            EVENT,
            &all,
            &fields(&["data.items.a"]),
            r#","subject":"s","extra":"x","data":{"card":"1234","total":5,"who":{"mail":"m","phone":"p"}}}"#,
        );
    }

    #[test]
    fn of_binary_data_the_json_within_counts() {
        let data = BASE64_STANDARD.encode(r#"{"card":"1","total":2}"#);
        let event = format!(
            r#"{{"specversion":"1.0","id":"1","source":"/k","type":"t","datacontenttype":"application/json","data_base64":"{data}"}}"#
        );
        let nothing = Fields::default();
        let json = r#","datacontenttype":"application/json""#;
        check(&event, &fields(&["data.card"]), &nothing, &format!(r#"{json},"data":{{"card":"1"}}}}"#));
        check(&event, &fields(&["data"]), &nothing, &format!(r#"{json},"data_base64":"{data}"}}"#));
        check(&event, &nothing, &nothing, &format!("{json}}}"));
    }

    #[test]
    fn a_field_at_the_top_is_had_with_what_is_below_it() {
        let some = fields(&["data.card", "subject"]);
        assert!(some.has("data") && some.has("subject") && !some.has("card") && !some.is_empty());
        assert!(Fields::default().is_empty() && !Fields::default().has("data"));
    }
}
