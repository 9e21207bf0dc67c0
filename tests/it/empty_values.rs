//! What has no text cannot be delivered: `first` and `append` ignore it, `set` holds it and sends nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Fixture, Setup};

const MAPPING: &str = r#"
[target]
client_code = "acme"
mode = "single"
shared_profiles = false
[[mapping]]
name = "visit"
event = "visit"
identity = { third_party_id = "data.card" }
set = { last = "data.store" }
first = { first = "data.store" }
append = { stores = "data.store" }
"#;

async fn visit(fixture: &Fixture, hour: u32, store: &str) -> Value {
    let time = format!("2026-11-23T{hour:02}:00:00Z");
    let data = json!({ "card": "1", "store": store });
    let event = json!({
        "specversion": "1.0", "id": time, "source": "/till", "type": "visit", "time": time, "data": data
    });
    fixture.agent.record(&event).await
}

#[tokio::test]
async fn first_whose_oldest_event_had_an_empty_value_is_delivered() {
    let fixture = Setup { mappings: MAPPING.to_owned(), ..Setup::default() }.start().await;
    assert_eq!(visit(&fixture, 9, "").await["status"], "recorded");
    visit(&fixture, 10, "Lund").await;
    visit(&fixture, 11, "Ystad").await;
    fixture.wait_held("1", "first", "Lund").await;
    fixture.wait_held("1", "last", "Ystad").await;
}

#[tokio::test]
async fn append_of_an_empty_item_sends_no_lone_comma() {
    let fixture = Setup { mappings: MAPPING.to_owned(), ..Setup::default() }.start().await;
    visit(&fixture, 9, "").await;
    visit(&fixture, 10, "Lund").await;
    fixture.wait_held("1", "stores", "Lund").await;
    visit(&fixture, 11, "").await;
    visit(&fixture, 12, "Ystad").await;
    fixture.wait_held("1", "stores", "Lund,Ystad").await;
    let answer = visit(&fixture, 13, "Malmö,Lund").await;
    assert_eq!(answer["status"], "rejected", "{answer}");
}

/// Target refuses nothing here, and what is never sent is counted where the rest is.
#[tokio::test]
async fn an_empty_set_is_not_sent_and_says_so_everywhere() {
    let fixture = Setup { mappings: MAPPING.to_owned(), ..Setup::default() }.start().await;
    visit(&fixture, 9, "Lund").await;
    fixture.wait_held("1", "last", "Lund").await;
    visit(&fixture, 10, "").await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.delivered.empty, status.rejected.updates), (1, 0));
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/1").await;
    let last = profile["attributes"].as_array().unwrap().iter().find(|it| it["name"] == "last").unwrap();
    assert_eq!((&last["value"], &last["reason"]), (&json!(""), &json!("empty_value")));
    let page =
        fixture.agent.request(Method::GET, "/page/profile?identity=1").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("not sent: the value is empty") && !page.contains("refused"), "{page}");
    let verify = fixture.agent.request(Method::POST, "/v1/profiles/third_party_id/1/verify").send().await.unwrap();
    let verified: Value = verify.json().await.unwrap();
    let last = verified["attributes"].as_array().unwrap().iter().find(|it| it["name"] == "last").unwrap();
    assert_eq!((&last["verdict"], &last["there"]), (&json!("withheld"), &json!("Lund")));
    let metrics = fixture.agent.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("outpost_attributes_empty_total 1"), "{metrics}");
}

#[test]
fn an_empty_set_is_not_refused_in_explain_and_counted_in_status() {
    let device = crate::device::Device::new();
    let data = r#"{"card":"7","store":"","total":2}"#;
    device.works(&["record", "--type", "com.acme.loyalty.used", "--data", data]);
    let explained = device.works(&["explain", "7"]);
    assert!(explained.contains("not sent: empty_value") && !explained.contains("refused"), "{explained}");
    assert!(device.works(&["status"]).contains("1 empty value not sent"), "{}", device.works(&["status"]));
}
