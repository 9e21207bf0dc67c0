//! What has no text cannot be delivered: `first` and `append` ignore it, `set` holds it and sends nothing.

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
