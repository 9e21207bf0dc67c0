//! The Fetch profile API: the attributes of one profile at Target. Pure.
//!
//! Source: Target Fetch profile API.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::outcome::Outcome;
use super::single::ENCODED;
use crate::core::identity::{Identity, IdentityKind};
use crate::core::operation::Shown;
use crate::core::timestamp::Timestamp;

/// Returns the path and query of a profile.
#[must_use]
pub fn path(client_code: &str, identity: &Identity) -> String {
    let key = utf8_percent_encode(identity.key(), ENCODED);
    match identity.kind() {
        IdentityKind::ThirdPartyId => format!("/rest/v1/profiles/thirdPartyId/{key}?client={client_code}"),
        IdentityKind::PcId => format!("/rest/v1/profiles/{key}?client={client_code}"),
    }
}

/// The result of reading a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The profile was found.
    Found(FetchedProfile),
    /// Target does not have the profile.
    Missing,
    /// Our credentials do not allow reading; this says nothing about updates.
    Denied(String),
    /// This profile cannot be read, or none can; this says nothing about updates either.
    Unreadable(String),
    /// No answer about the profile.
    Failed(Outcome),
}

impl Reply {
    /// Returns the result of an answer without a profile, with the reason in words.
    #[must_use]
    pub fn without_profile(outcome: Outcome, reason: String) -> Self {
        match outcome {
            Outcome::Unauthorized(_) => Self::Denied(reason),
            // A path that is too long is caused by this profile's key.
            Outcome::Refused(_) | Outcome::TooLarge => Self::Unreadable(reason),
            outcome => Self::Failed(outcome),
        }
    }

    /// Returns the name used in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Missing => "missing",
            Self::Denied(_) => "denied",
            Self::Unreadable(_) => "unreadable",
            Self::Failed(outcome) => outcome.label(),
        }
    }
}

/// The attributes of a profile as Target shows them, by name without a prefix.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FetchedProfile {
    /// Attributes that have a value.
    pub attributes: BTreeMap<String, Shown>,
    /// Names of attributes with an unreadable value: it is unknown rather than absent.
    pub unreadable: BTreeSet<String>,
}

impl FetchedProfile {
    /// Returns a profile whose attributes can all be read.
    #[must_use]
    pub fn of(attributes: BTreeMap<String, Shown>) -> Self {
        Self { attributes, unreadable: BTreeSet::new() }
    }
}

// Values are personal data and must not reach a log.
impl std::fmt::Debug for FetchedProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchedProfile").field("attributes", &self.attributes.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "modifiedAt")]
    modified_at: Option<Value>,
    #[serde(rename = "profileAttributes", borrow)]
    attributes: Option<&'a RawValue>,
    client: Option<Value>,
}

#[derive(Deserialize)]
struct Attribute<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(rename = "modifiedAt")]
    modified_at: Option<Value>,
}

/// Reads the document of a profile; `None` if it is not Target's. An attribute that cannot be read is only named.
#[must_use]
pub fn read(body: &[u8]) -> Option<FetchedProfile> {
    let document: Document<'_> = serde_json::from_slice(body).ok()?;
    if document.client.is_none() && document.attributes.is_none() {
        return None;
    }
    let whole = document.modified_at.as_ref().and_then(time);
    let mut profile = FetchedProfile::default();
    for (name, raw) in attributes(document.attributes)? {
        let name = bare(&name).to_owned();
        match shown(raw, whole) {
            Ok(Some(shown)) => drop(profile.attributes.insert(name, shown)),
            Ok(None) => {}
            Err(Unreadable) => drop(profile.unreadable.insert(name)),
        }
    }
    Some(profile)
}

/// Marks an attribute that exists but has no known value.
struct Unreadable;

/// Reads an attribute; `None` if it has no value. Its object form is documented; a plain value is read as it is.
fn shown(raw: &RawValue, whole: Option<Timestamp>) -> Result<Option<Shown>, Unreadable> {
    let attribute = match raw.get().starts_with('{') {
        true => serde_json::from_str(raw.get()).map_err(|_| Unreadable)?,
        false => Attribute { value: Some(raw), modified_at: None },
    };
    let own = attribute.modified_at.as_ref().and_then(time);
    let (modified_at, is_whole) = (own.or(whole), own.is_none());
    let value = attribute.value.map_or(Ok(None), text)?;
    Ok(value.map(|value| Shown { value, modified_at, is_whole }))
}

/// Returns the attributes by name; an empty list counts as an empty object, as some tools write it. `None` for anything
/// else: reading it as "no attributes" would overwrite the others' values.
fn attributes(raw: Option<&RawValue>) -> Option<BTreeMap<String, &RawValue>> {
    match raw {
        None => Some(BTreeMap::new()),
        Some(raw) if raw.get().starts_with('[') => {
            serde_json::from_str::<[(); 0]>(raw.get()).ok().map(|_| BTreeMap::new())
        }
        Some(raw) => serde_json::from_str(raw.get()).ok(),
    }
}

/// Returns a value as text; `None` for `null`. A number keeps its digits, some of which a binary float would lose.
fn text(raw: &RawValue) -> Result<Option<String>, Unreadable> {
    match raw.get() {
        "null" => Ok(None),
        text if text.starts_with('"') => serde_json::from_str(text).map(Some).map_err(|_| Unreadable),
        text if text.starts_with(['{', '[']) => Err(Unreadable),
        text => Ok(Some(text.to_owned())),
    }
}

/// Returns true if a body is Target's own statement that the profile does not exist. It may come with a 404 or a 200:
/// only the body is documented.
#[must_use]
pub fn is_missing(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|document| document["status"].as_i64() == Some(404))
}

/// Returns a name without the prefix that it may have. Source: public client code.
fn bare(name: &str) -> &str {
    name.strip_prefix("profile.").or_else(|| name.strip_prefix("user.")).unwrap_or(name)
}

/// Reads a time as Target writes it: UTC if there is no offset; some tools write milliseconds.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Timestamp::parse(text).or_else(|_| Timestamp::parse(&format!("{text}Z"))).ok(),
        Value::Number(millis) => millis.as_i64().map(Timestamp::from_millis),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_page_is_read() {
        let body = br#"{"mboxPC":"1383918368404-663054.17_05","client":"acme","thirdPartyId":"123456",
            "modifiedAt":"2026-01-01T16:35:45",
            "profileAttributes":{"visits":{"value":"7","modifiedAt":"2026-01-01T16:35:45"},
                                 "profile.a":{"value":1},"user.b":{"value":null}}}"#;
        let profile = read(body).expect("Target's own").attributes;
        let at = Timestamp::parse("2026-01-01T16:35:45Z").expect("valid");
        assert_eq!(profile["visits"], Shown { value: "7".into(), modified_at: Some(at), is_whole: false });
        assert_eq!(profile["a"], Shown { value: "1".into(), modified_at: Some(at), is_whole: true });
        assert!(!profile.contains_key("b"));
    }

    #[test]
    fn an_odd_attribute_does_not_lose_the_others() {
        let body = br#"{"client":"acme","profileAttributes":{"good":{"value":"7"},"none":{},"null":null,"text":"x",
            "list":[1],"twice":{"value":"1","value":"2"},"half":{"value":"\ud800"},"yes":{"value":true},
            "long":{"value":7777777777777777777777777777.10}}}"#;
        let profile = read(body).expect("Target's own");
        let found: Vec<(&str, &str)> =
            profile.attributes.iter().map(|(name, shown)| (name.as_str(), shown.value.as_str())).collect();
        let long = ("long", "7777777777777777777777777777.10");
        assert_eq!(found, [("good", "7"), long, ("text", "x"), ("yes", "true")]);
        assert_eq!(profile.unreadable.iter().collect::<Vec<_>>(), ["half", "list", "twice"]);
    }

    #[test]
    fn a_time_that_cannot_be_read_is_at_most_the_profile_s_own_or_unknown_and_never_1970() {
        let at = |own: &str, whole: &str| {
            let body = format!(
                r#"{{"client":"acme","modifiedAt":{whole},"profileAttributes":{{"a":{{"value":"7","modifiedAt":{own}}}}}}}"#
            );
            read(body.as_bytes()).expect("Target's own").attributes["a"].modified_at.map(|at| at.to_string())
        };
        let (new, old) = ("\"2026-01-01T16:35:45\"", "\"2025-01-01T00:00:00\"");
        assert_eq!(at(new, old).as_deref(), Some("2026-01-01T16:35:45Z"));
        for odd in ["null", "\"\"", "\"yesterday\"", "true", "{}", "1e99"] {
            assert_eq!(at(odd, old).as_deref(), Some("2025-01-01T00:00:00Z"), "{odd}");
            assert_eq!(at(odd, odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_not_target_s_is_no_profile() {
        assert_eq!(read(b"<html>"), None);
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(br#"{"client":"acme","profileAttributes":"none"}"#), None);
        assert_eq!(read(br#"{"client":"acme","profileAttributes":[1]}"#), None);
        assert_eq!(read(br#"{"client":"acme","profileAttributes":[]}"#), Some(FetchedProfile::default()));
        assert!(is_missing(br#"{"status":404,"message":"No profile found for client acme with third party id=1"}"#));
        assert!(!is_missing(b"<html>404"));
    }

    #[test]
    fn a_key_is_encoded_in_the_path() {
        let path = |written: &str| path("acme", &written.parse().expect("valid"));
        assert_eq!(path("third_party_id:a/b ö"), "/rest/v1/profiles/thirdPartyId/a%2Fb%20%C3%B6?client=acme");
        assert_eq!(path("pc_id:1.00_00"), "/rest/v1/profiles/1.00_00?client=acme");
    }
}
