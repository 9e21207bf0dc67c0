//! What was rejected: listed, shown, tried again and dropped, over HTTP and by command.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Fixture, MAPPINGS, Setup, noted, used};

async fn list(fixture: &Fixture) -> Vec<Value> {
    let (status, list) = fixture.agent.get("/v1/rejected").await;
    assert_eq!(status, StatusCode::OK);
    list["rejected"].as_array().unwrap().clone()
}

async fn retry(fixture: &Fixture, id: &Value) -> (StatusCode, Value) {
    let response = fixture.agent.request(Method::POST, &format!("/v1/rejected/{id}/retry")).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn drop_one(fixture: &Fixture, id: &Value) -> StatusCode {
    fixture.agent.request(Method::DELETE, &format!("/v1/rejected/{id}")).send().await.unwrap().status()
}

fn without_store(id: &str) -> Value {
    let mut event = used(id, "7", "Lund", 1.5);
    event["data"].as_object_mut().unwrap().remove("store");
    event
}

#[tokio::test]
async fn a_rejected_event_is_mapped_anew_after_the_mapping_was_mended_and_keeps_its_time() {
    let mut fixture = Setup::default().start().await;
    let mut event = without_store("1");
    event["time"] = json!("2026-01-01T00:00:00Z");
    fixture.agent.record(&event).await;
    let rejected = list(&fixture).await;
    let (id, reason) = (&rejected[0]["id"], rejected[0]["detail"].as_str().unwrap());
    assert_eq!((&rejected[0]["kind"], &rejected[0]["event_id"]), (&json!("event"), &json!("1")));
    assert!(reason.contains("data.store is not in the event"), "{reason}");
    assert!(!rejected[0].to_string().contains("\"card\""), "the list holds nobody's data");
    let (_, shown) = fixture.agent.get(&format!("/v1/rejected/{id}")).await;
    assert_eq!(shown["event"]["data"]["card"], "7");

    assert_eq!(retry(&fixture, id).await.1["status"], "rejected");
    assert_eq!(list(&fixture).await.len(), 1);
    let mended = MAPPINGS.replace("\"data.store\"", "\"data.store | default('-')\"");
    fixture.restart_with(Setup { mappings: mended, ..Setup::default() }).await;
    assert_eq!(retry(&fixture, id).await.1["status"], "recorded");
    fixture.wait_held("7", "visits", "1").await;
    assert_eq!(list(&fixture).await.len(), 0);
    assert_eq!(retry(&fixture, id).await.0, StatusCode::NOT_FOUND);

    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.events.recorded, status.events.rejected, status.rejected.events), (1, 1, 0));
    assert_eq!(fixture.agent.record(&event).await["status"], "duplicate");
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7").await;
    assert_eq!(profile["attributes"][0]["event_time"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_refused_update_is_sent_again_unless_its_values_have_changed() {
    let fixture = Setup { faults: "refuse=note", ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.agent.record(&noted("2", "8", "a")).await;
    fixture.agent.wait_status(|status| status.rejected.updates == 2).await;
    let rejected = list(&fixture).await;
    assert_eq!(rejected[0]["attributes"], json!(["note", "other"]));
    assert!(rejected[0]["detail"].as_str().unwrap().starts_with("400: "), "{}", rejected[0]);
    fixture.sandbox.target().faults = "".parse().unwrap();

    fixture.agent.record(&noted("3", "8", "b")).await;
    fixture.wait_held("8", "note", "b").await;
    assert_eq!(retry(&fixture, &rejected[0]["id"]).await.1["status"], "pending");
    fixture.wait_held("7", "note", "a").await;
    // Of the other, `other` is as it was, and still refused.
    assert_eq!(retry(&fixture, &rejected[1]["id"]).await.1["status"], "pending");
    fixture.wait_held("8", "other", "-").await;
    assert_eq!(fixture.held("8", "note").as_deref(), Some("b"));
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.rejected.updates, status.pending.attributes), (0, 0));
}

#[tokio::test]
async fn what_is_dropped_is_gone_and_the_event_is_still_a_duplicate() {
    let fixture = Setup::default().start().await;
    fixture.agent.record(&without_store("1")).await;
    let rejected = list(&fixture).await;
    assert_eq!(drop_one(&fixture, &rejected[0]["id"]).await, StatusCode::NO_CONTENT);
    assert_eq!(drop_one(&fixture, &rejected[0]["id"]).await, StatusCode::NOT_FOUND);
    assert_eq!(fixture.agent.record(&without_store("1")).await["status"], "duplicate");
    assert_eq!(fixture.agent.status().await.rejected.events, 0);
    assert_eq!(fixture.agent.get("/v1/rejected/nonsense").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_event_that_was_rejected_and_is_recorded_since_does_not_differ_from_itself() {
    let keeping = |mappings: &str| {
        let mappings = format!("{mappings}\n[privacy]\nkeep_data = \"mapped\"");
        Setup { mappings, ..Setup::default() }
    };
    let mut fixture = keeping(MAPPINGS).start().await;
    let mut event = without_store("1");
    event["data"]["mail"] = json!("a@b.c");
    fixture.agent.record(&event).await;
    fixture.restart_with(keeping(&MAPPINGS.replace("\"data.store\"", "\"data.store | default('-')\""))).await;
    assert_eq!(retry(&fixture, &list(&fixture).await[0]["id"]).await.1["status"], "recorded");
    let again = fixture.agent.record(&event).await;
    assert_eq!((&again["status"], &again["reason"]), (&json!("duplicate"), &json!(null)));
    let other = fixture.agent.record(&without_store("1")).await;
    assert!(other["reason"].as_str().unwrap().contains("differs from event"), "{other}");
}
