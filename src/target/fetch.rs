//! The Fetch profile API: what Target shows of one profile. Pure.
//!
//! Source: Target Fetch profile API.

use std::collections::BTreeMap;

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::Outcome;
use super::single::ENCODED;
use crate::identity::{Identity, IdentityKind};
use crate::merge::Shown;
use crate::timestamp::Timestamp;

/// The path and the query of a profile.
#[must_use]
pub fn path(client_code: &str, identity: &Identity) -> String {
    let key = utf8_percent_encode(identity.key(), ENCODED);
    match identity.kind() {
        IdentityKind::ThirdPartyId => format!("/rest/v1/profiles/thirdPartyId/{key}?client={client_code}"),
        IdentityKind::PcId => format!("/rest/v1/profiles/{key}?client={client_code}"),
    }
}

/// What reading a profile gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The profile.
    Found(FetchedProfile),
    /// Target does not know it.
    Missing,
    /// Our credentials may not read, which says nothing of updates.
    Denied(String),
    /// This profile cannot be read, or none can, which says nothing of updates either.
    Unreadable(String),
    /// Nothing that says anything of the profile.
    Failed(Outcome),
}

impl Reply {
    /// The name in metrics.
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

/// What Target shows of a profile, by name without a prefix.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FetchedProfile(pub BTreeMap<String, Shown>);

// Nobody's values may reach a log.
impl std::fmt::Debug for FetchedProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchedProfile").field("attributes", &self.0.len()).finish()
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "modifiedAt")]
    modified_at: Option<Value>,
    #[serde(rename = "profileAttributes")]
    attributes: Option<BTreeMap<String, Attribute>>,
    client: Option<String>,
}

#[derive(Deserialize)]
struct Attribute {
    value: Value,
    #[serde(rename = "modifiedAt")]
    modified_at: Option<Value>,
}

/// Reads the document of a profile; none if it is not Target's.
#[must_use]
pub fn read(body: &[u8]) -> Option<FetchedProfile> {
    let document: Document = serde_json::from_slice(body).ok()?;
    if document.client.is_none() && document.attributes.is_none() {
        return None;
    }
    let whole = document.modified_at.as_ref().and_then(time).unwrap_or_default();
    let shown = |(name, attribute): (String, Attribute)| {
        let value = match attribute.value {
            Value::String(text) => text,
            Value::Null => return None,
            other => other.to_string(),
        };
        let modified_at = attribute.modified_at.as_ref().and_then(time).unwrap_or(whole);
        Some((bare(&name).to_owned(), Shown { value, modified_at }))
    };
    Some(FetchedProfile(document.attributes.unwrap_or_default().into_iter().filter_map(shown).collect()))
}

/// Whether the body of a 404 is Target's own word that there is no such profile.
#[must_use]
pub fn is_missing(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|document| document["status"].as_i64() == Some(404))
}

/// A name without the prefix that it may come with. Source: public client code.
fn bare(name: &str) -> &str {
    name.strip_prefix("profile.").or_else(|| name.strip_prefix("user.")).unwrap_or(name)
}

/// A time as Target writes it: without an offset it is UTC; some tools write milliseconds.
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
        let profile = read(body).expect("Target's own").0;
        let at = Timestamp::parse("2026-01-01T16:35:45Z").expect("valid");
        assert_eq!(profile["visits"], Shown { value: "7".into(), modified_at: at });
        assert_eq!(profile["a"], Shown { value: "1".into(), modified_at: at });
        assert!(!profile.contains_key("b"));
    }

    #[test]
    fn what_is_not_target_s_is_no_profile() {
        assert_eq!(read(b"<html>"), None);
        assert_eq!(read(b"{}"), None);
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
