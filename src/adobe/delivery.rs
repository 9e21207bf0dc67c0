//! The Delivery API: an update becomes one or more JSON bodies. Pure.
//!
//! Source: Target Delivery API, and the limits of its model in Adobe's SDKs.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::outcome::Outcome;
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::{DELIVERY_ID_CHARS_MAX, DELIVERY_PARAMETERS_MAX};

/// Content type of calls.
pub(super) const CONTENT_TYPE: &str = "application/json";

/// Name of the mbox that carries the attributes.
const MBOX: &str = "outpost-offline-event";

/// Returns true if the API accepts an identity.
#[must_use]
pub fn fits(identity: &Identity) -> bool {
    identity.key().chars().count() <= DELIVERY_ID_CHARS_MAX
}

/// Returns the path and query of a call.
#[must_use]
pub fn path(client_code: &str, session: &str) -> String {
    format!("/rest/v1/delivery?client={client_code}&sessionId={session}")
}

/// Returns the session id of an identity: a keyed hash, which is the same each time and reveals nobody.
#[must_use]
pub fn session(key: &[u8], identity: &Identity) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(identity.to_written().as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..16])
}

/// Attributes of one call.
pub struct Call {
    /// The index of each, given by the caller.
    pub places: Vec<usize>,
    /// Pairs of name and value.
    pub attributes: Vec<(String, String)>,
}

/// Divides attributes of one profile, each with its index, into calls of at most [`DELIVERY_PARAMETERS_MAX`].
#[must_use]
pub fn divide<'a>(attributes: impl IntoIterator<Item = (usize, (&'a str, &'a str))>) -> Vec<Call> {
    let attributes: Vec<_> = attributes.into_iter().collect();
    let owned = |(place, (name, value)): &(usize, (&str, &str))| (*place, ((*name).to_owned(), (*value).to_owned()));
    let call = |part: &[(usize, (&str, &str))]| {
        let (places, attributes) = part.iter().map(owned).unzip();
        Call { places, attributes }
    };
    attributes.chunks(DELIVERY_PARAMETERS_MAX).map(call).collect()
}

/// Writes the body of one call, a JSON document, which `request_id` names.
#[must_use]
pub fn body(
    identity: &Identity,
    property_token: Option<&str>,
    attributes: &[(String, String)],
    request_id: &str,
) -> String {
    let kind = match identity.kind() {
        IdentityKind::ThirdPartyId => "thirdPartyId",
        IdentityKind::PcId => "tntId",
    };
    let parameters: Map<String, Value> = attributes.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut document = json!({
        "requestId": request_id,
        "id": { kind: identity.key() },
        "context": {
            "channel": "web",
            "browser": { "host": "outpost" },
            "address": { "url": "https://outpost.invalid/kiosk" },
        },
        "execute": { "mboxes": [{ "index": 1, "name": MBOX, "profileParameters": parameters }] },
    });
    if let Some(token) = property_token {
        document["property"] = json!({ "token": token });
    }
    document.to_string()
}

/// Reads the body of a 200; `None` if it is not Target's.
#[must_use]
pub fn read(body: &[u8]) -> Option<Outcome> {
    let document: Value = serde_json::from_slice(body).ok()?;
    (document["status"].as_i64() == Some(200)).then_some(Outcome::Delivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        "third_party_id:123456".parse().expect("valid")
    }

    #[test]
    fn a_call_is_what_the_reference_shows() {
        let body = body(&identity(), Some("p"), &[("visits".to_owned(), "7".to_owned())], "r");
        let document: Value = serde_json::from_str(&body).expect("JSON");
        let expected = json!({
            "requestId": "r", "id": { "thirdPartyId": "123456" },
            "context": { "channel": "web", "browser": { "host": "outpost" },
                         "address": { "url": "https://outpost.invalid/kiosk" } },
            "execute": { "mboxes": [{ "index": 1, "name": "outpost-offline-event", "profileParameters": { "visits": "7" } }] },
            "property": { "token": "p" }
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn fifty_attributes_go_in_one_call_and_fifty_one_in_two() {
        let sizes = |count: usize| {
            let calls = divide((0..count).map(|index| (index, ("a", "1"))));
            calls.iter().map(|call| call.places.len()).collect::<Vec<_>>()
        };
        assert_eq!((sizes(50), sizes(51)), (vec![50], vec![50, 1]));
    }

    #[test]
    fn a_session_is_the_same_each_time_and_names_nobody() {
        let session = |key: &[u8]| session(key, &identity());
        assert_eq!(session(b"k"), session(b"k"));
        assert_ne!(session(b"k"), session(b"l"));
        assert!(!session(b"k").contains("123456"));
    }

    #[test]
    fn an_identity_of_128_characters_fits_and_one_of_129_does_not() {
        let fits = |chars: usize| fits(&format!("pc_id:{}", "x".repeat(chars)).parse().expect("valid"));
        assert_eq!((fits(128), fits(129)), (true, false));
    }
}
