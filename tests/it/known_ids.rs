//! The same id twice: the same event is one, and another event under a known id is told, never lost in silence.

use std::fs;

use outpost::store::FILE_NAME;
use serde_json::json;

use crate::device::{Device, text};
use crate::support::{Fixture, MAPPINGS, Setup, store_key, used};

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

/// Purges an event of an agent, which is not the newest.
fn purge(fixture: &Fixture, seq: i64) {
    let connection = rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap();
    assert_eq!(connection.execute("DELETE FROM journal WHERE seq = ?1", [seq]).unwrap(), 1);
}

/// A fixture in which event 1 was purged.
async fn purged(setup: Setup) -> Fixture {
    let fixture = setup.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
    purge(&fixture, 1);
    fixture
}

/// The reason with which another event under the id of event 1 is a duplicate.
async fn reason_of_another(fixture: &Fixture) -> Option<String> {
    let answer = fixture.agent.record(&used("1", "9", "Lund", 1.0)).await;
    assert_eq!((&answer["status"], &answer["seq"]), (&json!("duplicate"), &json!(1)));
    answer["reason"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn another_event_under_the_id_of_a_purged_one_is_told_too() {
    let fixture = purged(Setup::default()).await;
    let again = fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!((&again["status"], &again["reason"]), (&json!("duplicate"), &json!(null)));
    let reason = reason_of_another(&fixture).await.unwrap();
    assert!(reason.starts_with("differs from event 1, recorded under the same id and purged since"), "{reason}");
    assert_eq!(fixture.agent.status().await.events.differing, 1);
}

#[tokio::test]
async fn a_purged_event_of_which_other_fields_are_kept_by_now_does_not_differ() {
    let keeping = |keep: &str| {
        let mappings = format!("{MAPPINGS}\n[privacy]\nkeep_data = \"{keep}\"");
        Setup { mappings, ..Setup::default() }
    };
    let mut event = used("1", "7", "Lund", 1.0);
    event["data"]["mail"] = json!("a@b.c");
    let mut fixture = keeping("mapped").start().await;
    fixture.agent.record(&event).await;
    fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
    purge(&fixture, 1);
    fixture.restart_with(keeping("all")).await;
    assert_eq!(fixture.agent.record(&event).await["reason"], json!(null));
    fixture.restart_with(keeping("mapped")).await;
    assert!(reason_of_another(&fixture).await.is_some());
}

#[tokio::test]
async fn after_somebody_was_forgotten_nobody_can_try_what_a_purged_event_said() {
    let fixture = purged(Setup::default()).await;
    assert!(reason_of_another(&fixture).await.is_some());
    let forget = fixture.agent.request(reqwest::Method::DELETE, "/v1/profiles/third_party_id/7").send().await.unwrap();
    assert_eq!(forget.status(), reqwest::StatusCode::OK);
    assert_eq!(reason_of_another(&fixture).await, None);
    // What is recorded from now on has a fingerprint again.
    fixture.agent.record(&used("3", "7", "Lund", 1.0)).await;
    fixture.agent.record(&used("4", "8", "Lund", 1.0)).await;
    purge(&fixture, 3);
    assert!(fixture.agent.record(&used("3", "9", "Lund", 1.0)).await["reason"].is_string());
}

#[tokio::test]
async fn the_key_of_fingerprints_is_sealed_and_outlives_another_key_of_the_store() {
    let with = |byte| Setup { store_key: Some(store_key(byte)), ..Setup::default() };
    let mut fixture = purged(with(1)).await;
    let stored = || {
        let connection = rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap();
        connection.query_row("SELECT key FROM fingerprint_key", [], |row| row.get::<_, String>(0)).unwrap()
    };
    assert!(hex::decode(stored()).is_err(), "it is sealed");
    fixture.restart_with(Setup { old_store_key: Some(store_key(1)), ..with(2) }).await;
    assert!(reason_of_another(&fixture).await.is_some());
}

#[tokio::test]
async fn a_repeat_with_a_field_missing_or_added_differs_whether_the_first_is_held_or_purged() {
    let mut full = used("1", "7", "Lund", 1.0);
    full["data"]["mail"] = json!("a@b.c");
    let without = |field: &str| {
        let mut event = full.clone();
        event["data"].as_object_mut().unwrap().remove(field).unwrap();
        event
    };
    let mut more = full.clone();
    more["data"]["till"] = json!(4);
    let mut at = full.clone();
    at["time"] = json!("2026-11-23T10:00:00Z");
    for keep in ["all", "mapped"] {
        let mappings = format!("{MAPPINGS}\n[privacy]\nkeep_data = \"{keep}\"");
        let fixture = Setup { mappings, ..Setup::default() }.start().await;
        fixture.agent.record(&full).await;
        fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
        for purged in [false, true] {
            if purged {
                purge(&fixture, 1);
            }
            assert_eq!(fixture.agent.record(&full).await["reason"], json!(null), "{keep}");
            for other in [without("store"), without("mail"), more.clone(), at.clone()] {
                let reason = fixture.agent.record(&other).await["reason"].clone();
                let reason = reason.as_str().unwrap_or_else(|| panic!("{keep}, purged {purged}: {other}"));
                assert!(reason.starts_with("differs from event 1"), "{reason}");
            }
        }
        assert_eq!(fixture.agent.status().await.events.differing, 8);
    }
}

#[tokio::test]
async fn a_repeat_with_another_digit_of_a_long_number_differs() {
    let fixture = Setup::default().start().await;
    let event = |total: &str| {
        used("1", "7", "Lund", 1.0)
            .to_string()
            .replace("1.0,", &format!("{total},"))
            .replace("1.0}", &format!("{total}}}"))
    };
    let answer = async |total| fixture.agent.post(crate::support::STRUCTURED, event(total)).await.text().await.unwrap();
    assert!(answer("7777777777777777777777777777").await.contains("recorded"));
    assert!(!answer("7777777777777777777777777777").await.contains("reason"));
    assert!(answer("7777777777777777777777777778").await.contains("differs from event 1"));
}
