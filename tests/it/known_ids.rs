//! The same id twice: the same event is one, and another event under a known id is told, never lost in silence.

use std::fs;

use serde_json::json;

use crate::device::{Device, text};
use crate::support::{Setup, used};

/// Records an event that always has the same id.
fn record_as_one(device: &Device, data: &str) -> std::process::Output {
    let named = ["--id", "1", "--source", "/till", "--type", "com.acme.loyalty.used", "--data", data];
    device.outpost(&[["record"].as_slice(), &named].concat())
}

#[tokio::test]
async fn another_event_under_a_known_id_is_a_duplicate_with_a_reason_and_counted() {
    let fixture = Setup::default().start().await;
    assert_eq!(fixture.agent.record(&used("1", "7", "Lund", 1.0)).await["status"], "recorded");
    let again = fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!((&again["status"], &again["reason"]), (&json!("duplicate"), &json!(null)));

    let other = fixture.agent.record_batch(&[used("2", "7", "Lund", 1.0), used("1", "8", "Lund", 1.0)]).await;
    assert_eq!(
        (&other[0]["status"], &other[1]["status"], &other[1]["seq"]),
        (&json!("recorded"), &json!("duplicate"), &json!(1))
    );
    let reason = other[1]["reason"].as_str().unwrap();
    assert!(reason.starts_with("differs from event 1, recorded on 2") && !reason.contains("Lund"), "{reason}");

    let status = fixture.agent.status().await;
    assert_eq!((status.events.recorded, status.events.duplicate, status.events.differing), (2, 2, 1));
    let metrics = fixture.agent.request(reqwest::Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("outpost_events_differing_total 1"), "{metrics}");
}

#[tokio::test]
async fn the_same_event_in_another_notation_does_not_differ() {
    let fixture = Setup::default().start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let written = "{ \"data\": {\"total\": 1.0, \"store\": \"L\\u0075nd\",\n \"card\": \"7\"}, \"type\": \"com.acme.loyalty.used\",
        \"source\": \"/kiosk/3\", \"id\": \"1\", \"specversion\": \"1.0\" }";
    let answer = fixture.agent.post(crate::support::STRUCTURED, written).await.text().await.unwrap();
    assert!(answer.contains("duplicate") && !answer.contains("reason"), "{answer}");
    assert_eq!(fixture.agent.status().await.events.differing, 0);
}

#[test]
fn an_event_of_which_other_fields_are_kept_by_now_does_not_differ() {
    let device = Device::new();
    let record = |store: &str| {
        let data = format!("{{\"card\":\"7\",\"store\":\"{store}\",\"total\":2,\"mail\":\"a@b.c\"}}");
        record_as_one(&device, &data)
    };
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    for keep in ["mapped", "all", "mapped"] {
        device.write("agent.toml", &format!("{config}\n[privacy]\nkeep_data = \"{keep}\"\n"));
        assert_eq!(record("Lund").status.code(), Some(0), "{keep}");
    }
    assert_eq!(record("Oslo").status.code(), Some(1));
    let events = device.status()["events"].clone();
    assert_eq!((&events["duplicate"], &events["differing"]), (&json!(3), &json!(1)));
}

#[test]
fn record_fails_where_the_id_is_of_another_event() {
    let device = Device::new();
    let record = |card: &str| {
        let data = format!("{{\"card\":\"{card}\",\"store\":\"Lund\",\"total\":2}}");
        record_as_one(&device, &data)
    };
    assert_eq!(record("7").status.code(), Some(0));
    assert_eq!(record("7").status.code(), Some(0), "the same once more");
    let other = record("8");
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("event 1: differs from event 1, recorded on 2"), "{}", text(&other.stderr));

    let lines = [used("1", "1", "Lund", 1.0), used("2", "2", "Lund", 1.0), used("1", "3", "Lund", 1.0)];
    device.write("lines.ndjson", &lines.map(|line| line.to_string()).join("\n"));
    let batch = device.outpost(&["record", "--batch", "lines.ndjson"]);
    assert_eq!(batch.status.code(), Some(1));
    assert_eq!(text(&batch.stdout), "recorded 2, duplicate 1, unmapped 0, rejected 0\n");
    assert!(text(&batch.stderr).contains("1 of the duplicates differ"), "{}", text(&batch.stderr));
    let said = device.works(&["status"]);
    assert!(said.contains("3 duplicate"), "{said}");
    assert!(said.contains("(2 of them with other content than their id had: not recorded)"), "{said}");
}
