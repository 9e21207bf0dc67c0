//! Reads calls of the Delivery API in the sandbox. Pure.
//!
//! Source: Target Delivery API, and the limits of its model in Adobe's SDKs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::wire::{Wrong, check_attribute, wrong};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::{DELIVERY_ID_CHARS_MAX, DELIVERY_PARAMETERS_MAX};

/// A valid call of the Delivery API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Target's visitor id, if given.
    pub tnt_id: Option<String>,
    /// The retailer's id, if given.
    pub third_party_id: Option<String>,
    /// Attributes to set.
    pub attributes: BTreeMap<String, String>,
    /// Property that the call is for.
    pub property: Option<String>,
    document: Value,
}

/// Reads a call.
///
/// # Errors
/// [`Wrong`], for anything that the API refuses.
pub fn read(query: &str, content_type: &str, body: &[u8]) -> Result<Call, Wrong> {
    match parameter(query, "sessionId") {
        Some(value) if (1..=DELIVERY_ID_CHARS_MAX).contains(&value.chars().count()) => {}
        _ => return wrong(400, format!("sessionId has 1 to {DELIVERY_ID_CHARS_MAX} characters")),
    }
    if !content_type.to_ascii_lowercase().starts_with("application/json") {
        return wrong(415, "the Content-Type must be application/json");
    }
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return wrong(400, "the body is not JSON") };
    let channel = document["context"]["channel"].as_str();
    if !matches!(channel, Some("web" | "mobile")) {
        return wrong(400, "context with a channel, web or mobile, is required");
    }
    let tnt_id = id(&document, "tntId")?;
    let third_party_id = id(&document, "thirdPartyId")?;
    id(&document, "marketingCloudVisitorId")?;
    text(&document["requestId"], "requestId")?;
    let mut attributes = BTreeMap::new();
    for parameters in places(&document) {
        read_parameters(parameters, &mut attributes)?;
    }
    let property = document["property"]["token"].as_str().map(str::to_owned);
    Ok(Call { tnt_id, third_party_id, attributes, property, document })
}

impl Call {
    /// Returns the identity of the profile; `None` for a new visitor without an id.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let third = self.third_party_id.as_ref().map(|key| (IdentityKind::ThirdPartyId, key));
        let (kind, key) = third.or_else(|| self.tnt_id.as_ref().map(|key| (IdentityKind::PcId, key)))?;
        Identity::new(kind, key).ok()
    }

    /// Returns the answer for a visitor with that id.
    #[must_use]
    pub fn answer(&self, client: &str, tnt_id: &str) -> Value {
        let mut id = self.document["id"].clone();
        if !id.is_object() {
            id = json!({});
        }
        id["tntId"] = json!(tnt_id);
        let mut answer = json!({
            "status": 200,
            "requestId": self.document["requestId"].as_str().map_or_else(|| "sandbox".to_owned(), str::to_owned),
            "id": id,
            "client": client,
            // No cluster: a client that is redirected to one would call Target's own.
            "edgeHost": "sandbox.invalid",
        });
        for section in ["execute", "prefetch"] {
            let asked = &self.document[section];
            if let Some(mboxes) = asked["mboxes"].as_array() {
                let mboxes =
                    mboxes.iter().map(|mbox| json!({ "index": mbox["index"], "name": mbox["name"], "options": [] }));
                answer[section]["mboxes"] = mboxes.collect();
            }
            if asked["pageLoad"].is_object() {
                answer[section]["pageLoad"] = json!({ "options": [] });
            }
        }
        answer
    }
}

/// Returns all places where a call may carry profile parameters.
fn places(document: &Value) -> impl Iterator<Item = &Value> {
    let sections = ["execute", "prefetch"].into_iter().flat_map(|section| {
        let section = &document[section];
        let lists = ["mboxes", "views"].into_iter().flat_map(|list| section[list].as_array().into_iter().flatten());
        lists.chain([&section["pageLoad"]])
    });
    let notifications = document["notifications"].as_array().into_iter().flatten();
    sections.chain(notifications).map(|place| &place["profileParameters"]).filter(|parameters| !parameters.is_null())
}

fn read_parameters(parameters: &Value, attributes: &mut BTreeMap<String, String>) -> Result<(), Wrong> {
    let Some(parameters) = parameters.as_object() else { return wrong(400, "profileParameters is an object") };
    if parameters.len() > DELIVERY_PARAMETERS_MAX {
        return wrong(
            400,
            format!("there are {} profileParameters, at most {DELIVERY_PARAMETERS_MAX}", parameters.len()),
        );
    }
    for (name, value) in parameters {
        let Some(value) = value.as_str() else { return wrong(400, "a profile parameter is not a text") };
        if name.trim().is_empty() || name.starts_with("profile.") {
            return wrong(400, "a profile parameter has a name, which does not begin with \"profile.\"");
        }
        check_attribute(name, value)?;
        attributes.insert(name.clone(), value.to_owned());
    }
    Ok(())
}

fn id(document: &Value, name: &str) -> Result<Option<String>, Wrong> {
    text(&document["id"][name], name)
}

fn text(value: &Value, name: &str) -> Result<Option<String>, Wrong> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if (1..=DELIVERY_ID_CHARS_MAX).contains(&text.chars().count()) => Ok(Some(text.clone())),
        _ => wrong(400, format!("{name} is a text of 1 to {DELIVERY_ID_CHARS_MAX} characters")),
    }
}

/// Returns a parameter of a query.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    super::wire::decode(pair).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(document: &Value) -> Result<Call, Wrong> {
        read("client=acme&sessionId=s", "application/json", document.to_string().as_bytes())
    }

    fn valid() -> Value {
        json!({
            "requestId": "r", "id": { "thirdPartyId": "123456" }, "context": { "channel": "web" },
            "execute": { "mboxes": [{ "index": 1, "name": "m", "profileParameters": { "visits": "7" } }] }
        })
    }

    fn check(change: impl FnOnce(&mut Value), problem: &str) {
        let mut document = valid();
        change(&mut document);
        let found = call(&document).expect_err(problem);
        assert!(found.problem.contains(problem), "{found:?}");
    }

    #[test]
    fn the_example_of_the_page_is_read() {
        let call = call(&valid()).expect("valid");
        assert_eq!(call.identity(), "third_party_id:123456".parse().ok());
        assert_eq!(call.attributes["visits"], "7");
        assert_eq!(call.answer("acme", "1-2")["id"]["tntId"], "1-2");
    }

    #[test]
    fn what_the_api_forbids_is_refused() {
        let parameters = |document: &mut Value, parameters: Value| {
            document["execute"]["mboxes"][0]["profileParameters"] = parameters;
        };
        check(|document| document["context"] = Value::Null, "context");
        check(|document| document["id"]["thirdPartyId"] = json!("x".repeat(129)), "thirdPartyId");
        check(|document| document["requestId"] = json!("x".repeat(129)), "requestId");
        check(|document| parameters(document, json!({ "profile.a": "1" })), "profile.");
        check(|document| parameters(document, json!({ " ": "1" })), "has a name");
        check(|document| parameters(document, json!({ "a": null })), "not a text");
        check(|document| parameters(document, json!({ "a": "x".repeat(5_001) })), "5001");
        let many: serde_json::Map<String, Value> = (0..51).map(|index| (format!("a{index}"), json!("1"))).collect();
        check(|document| parameters(document, Value::Object(many)), "51");
    }
}
