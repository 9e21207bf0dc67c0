//! The description of the local API, held against real answers.

use std::collections::BTreeSet;
use std::time::Duration;

use outpost::core::forwarding::route::Mode;
use outpost::forward::ForwarderRules;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Fixture, Setup, noted, rules, used};

/// A schema of the document, with all that it refers to.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&schema).unwrap()
}

struct Api {
    fixture: Fixture,
    document: Value,
    seen: BTreeSet<(String, String)>,
}

impl Api {
    /// Asks, and holds the answer against what the document says of it.
    async fn ask(&mut self, method: &str, path: &str, at: &str, body: Option<(&str, Value)>) -> Value {
        let request = self.fixture.agent.request(Method::from_bytes(method.as_bytes()).unwrap(), at);
        let request = match body {
            Some((content_type, body)) => request.header("content-type", content_type).body(body.to_string()),
            None => request,
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16().to_string();
        let content_type = response.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        let described = &self.document["paths"][path][method.to_lowercase()]["responses"][&status];
        assert!(described.is_object(), "{method} {path} answers {status}, which is not described: {text}");
        self.seen.insert((method.to_lowercase(), path.to_owned()));
        let Some(content_type) = content_type else { return Value::Null };
        let media_type = content_type.split(';').next().unwrap();
        let content = &described["content"][media_type];
        assert!(content.is_object(), "{method} {path} answers {content_type}, which is not described");
        let value = if media_type.ends_with("json") { serde_json::from_str(&text).unwrap() } else { json!(text) };
        let validator = validator(&self.document, &content["schema"]);
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{method} {path}: {errors:?}\n{value:#}");
        value
    }
}

#[tokio::test]
async fn every_path_answers_as_it_is_described() {
    let forwarding = ForwarderRules { late_after: Some(Duration::from_secs(900)), ..rules(Mode::Auto) };
    let fixture = Setup { forwarding, faults: "refuse=note*1", ..Setup::default() }.start().await;
    let (_, document) = fixture.agent.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut api = Api { fixture, document, seen: BTreeSet::new() };
    let event = "application/cloudevents+json";
    let batch = "application/cloudevents-batch+json";
    api.fixture.sandbox.target().learn(&"third_party_id:7".parse().unwrap());
    api.ask("POST", "/v1/events", "/v1/events", Some((event, used("1", "7", "Lund", 1.0)))).await;
    let mut wrong = used("2", "7", "Lund", 1.0);
    wrong["data"] = json!({});
    let mut other = used("3", "7", "Lund", 1.0);
    other["type"] = json!("com.other");
    let events = json!([used("1", "7", "Lund", 1.0), wrong, other, noted("4", "9", "hello")]);
    let answers = api.ask("POST", "/v1/events", "/v1/events", Some((batch, events))).await;
    let statuses: Vec<&str> =
        answers["events"].as_array().unwrap().iter().map(|answer| answer["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["duplicate", "rejected", "unmapped", "recorded"]);
    api.ask("POST", "/v1/events", "/v1/events", Some((event, json!({ "id": 7 })))).await;
    api.ask("POST", "/v1/events", "/v1/events", Some(("text/plain", json!({})))).await;
    api.fixture.agent.wait_drained().await;
    api.ask("GET", "/v1/status", "/v1/status", None).await;
    api.ask("GET", "/v1/history", "/v1/history", None).await;
    let profile = "/v1/profiles/{kind}/{key}";
    api.ask("GET", profile, "/v1/profiles/third_party_id/7", None).await;
    api.ask("GET", profile, "/v1/profiles/third_party_id/9", None).await;
    api.ask("GET", profile, "/v1/profiles/third_party_id/8", None).await;
    api.ask("POST", "/v1/profiles/{kind}/{key}/verify", "/v1/profiles/third_party_id/7/verify", None).await;
    let list = api.ask("GET", "/v1/rejected", "/v1/rejected", None).await;
    let id = list["rejected"][0]["id"].as_i64().unwrap();
    api.ask("GET", "/v1/rejected/{id}", &format!("/v1/rejected/{id}"), None).await;
    api.ask("POST", "/v1/rejected/{id}/retry", &format!("/v1/rejected/{id}/retry"), None).await;
    api.ask("DELETE", "/v1/rejected/{id}", &format!("/v1/rejected/{id}"), None).await;
    api.ask("GET", "/v1/rejected/{id}", "/v1/rejected/999", None).await;
    api.ask("DELETE", profile, "/v1/profiles/third_party_id/7", None).await;
    let forget = json!({ "identities": ["9", "third_party_id:8"] });
    api.ask("POST", "/v1/forget", "/v1/forget", Some(("application/json", forget))).await;
    api.ask("POST", "/v1/forget", "/v1/forget", Some(("application/json", json!({ "identities": ["card:9"] })))).await;
    // This agent was started by a test, which neither logs nor has a configuration.
    api.ask("GET", "/v1/log", "/v1/log", None).await;
    api.ask("POST", "/v1/log", "/v1/log", Some(("application/json", json!({ "level": "debug" })))).await;
    api.ask("POST", "/v1/reload", "/v1/reload", None).await;
    api.ask("POST", "/v1/retry-now", "/v1/retry-now", None).await;
    api.ask("POST", "/v1/page-codes", "/v1/page-codes", None).await;
    for path in ["/metrics", "/healthz", "/readyz", "/openapi.json"] {
        api.ask("GET", path, path, None).await;
    }
    let mut described = BTreeSet::new();
    for (path, operations) in api.document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|method| *method != "parameters") {
            described.insert((method.clone(), path.clone()));
        }
    }
    assert_eq!(api.seen, described, "every operation that is described was tried");
}
