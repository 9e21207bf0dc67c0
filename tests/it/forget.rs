//! Erasure: nothing of an identity stays on the device, and nobody else loses anything.

use std::time::Duration;

use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{FILE_NAME, Store};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::device::{Device, outpost, text};
use crate::support::{Fixture, MAPPINGS, Setup, files_with, mappings, noted, store_key, used};
use crate::target::learn;

/// A key that stands nowhere by chance.
const SECRET: &str = "4711-0815-erase-me";

async fn forget(fixture: &Fixture, key: &str) -> Value {
    let path = format!("/v1/profiles/third_party_id/{key}");
    let response = fixture.agent.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

#[tokio::test]
async fn nothing_of_an_identity_stays_in_any_file_and_its_events_stay_duplicates() {
    let mappings = format!("{MAPPINGS}\n[privacy]\nkeep_data = \"all\"");
    let fixture = Setup { mappings, store_key: None, ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", SECRET, "Lund", 1.0)).await;
    fixture.agent.record(&used("2", "other", "Lund", 1.0)).await;
    fixture.agent.record(&noted("3", SECRET, "note")).await;
    fixture.agent.wait_drained().await;
    let mut rejected = used("4", SECRET, "Lund", 1.0);
    rejected["data"]["total"] = json!("much");
    assert_eq!(fixture.agent.record(&rejected).await["status"], "rejected");
    let mut unmapped = used("5", SECRET, "Lund", 1.0);
    unmapped["type"] = json!("com.other");
    assert_eq!(fixture.agent.record(&unmapped).await["status"], "unmapped");
    assert!(!files_with(fixture.dir.path(), SECRET).is_empty());

    let forgotten = forget(&fixture, SECRET).await;
    let expected = json!({ "attributes": 5, "pending": 0, "events": 4, "rejected": 1, "was_in_flight": false,
        "duplicates": 0,
        "damaged_stores": 0 });
    assert_eq!(forgotten, expected);
    assert_eq!(files_with(fixture.dir.path(), SECRET), Vec::<String>::new());
    assert_eq!(fixture.agent.get(&format!("/v1/profiles/third_party_id/{SECRET}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(fixture.agent.record(&used("1", SECRET, "Lund", 1.0)).await["status"], "duplicate");
    assert_eq!(fixture.agent.get("/v1/profiles/third_party_id/other").await.0, StatusCode::OK);
    let again = forget(&fixture, SECRET).await;
    assert_eq!((&again["attributes"], &again["events"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn what_is_pending_is_not_sent_after_it_was_forgotten() {
    let fixture = Setup { faults: "outage", ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", SECRET, "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.link == "offline").await;
    let forgotten = forget(&fixture, SECRET).await;
    assert_eq!((&forgotten["pending"], &forgotten["events"]), (&json!(3), &json!(1)));
    fixture.sandbox.target().faults = "".parse().unwrap();
    let before = fixture.sandbox.target().requests_total();
    fixture.agent.record(&used("2", "other", "Lund", 1.0)).await;
    fixture.wait_held("other", "visits", "1").await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.pending.attributes, fixture.held(SECRET, "visits")), (0, None));
    assert_eq!(fixture.sandbox.target().requests_total(), before + 1);
}

#[tokio::test]
async fn an_update_in_flight_is_waited_for_and_does_not_bring_the_profile_back() {
    let fixture = Setup { faults: "slow=300ms*1", ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", SECRET, "Lund", 1.0)).await;
    fixture.wait_logged(1).await;
    let forgotten = forget(&fixture, SECRET).await;
    assert_eq!((&forgotten["was_in_flight"], &forgotten["pending"]), (&json!(true), &json!(0)));
    assert_eq!(files_with(fixture.dir.path(), SECRET), Vec::<String>::new());
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.pending.attributes, status.delivered.updates), (0, 1));
}

#[test]
fn what_was_sent_of_an_identity_and_its_row_in_a_batch_are_forgotten_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut store = Store::open(&path).unwrap();
    for event in [used("1", "7", "Lund", 1.0), used("2", "8", "Lund", 1.0)] {
        let parsed = vec![cloudevents::structured(event.to_string().as_bytes()).unwrap()];
        record_directly(&mut store, parsed, &mappings(MAPPINGS), &Clock::new(None)).unwrap();
    }
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO sends VALUES (1, '{}'), (2, '{}');
             INSERT INTO batch (id, kind, api, state) VALUES (1, 0, 2, 0);
             INSERT INTO batch_row VALUES (1, 1, '[]'), (1, 2, '[]');",
        )
        .unwrap();
    let identity = "third_party_id:7".parse().unwrap();
    store.transact(|store| store.erase_profile(&identity)).unwrap().expect("it was there");
    for table in ["sends", "batch_row"] {
        let left: i64 =
            connection.query_row(&format!("SELECT sum(profile_id) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 2, "{table}: that of the other alone");
    }
}

#[tokio::test]
async fn what_was_sent_before_a_person_was_forgotten_is_not_read_back_into_totals() {
    for sealed in [None, Some(store_key(1))] {
        let fixture = Setup { store_key: sealed, ..crate::target::setup() }.start().await;
        learn(&fixture, "7");
        learn(&fixture, "8");
        for card in ["7", "8"] {
            let events: Vec<Value> = (1..=5).map(|id| used(&format!("{card}-{id}"), card, "Lund", 2.0)).collect();
            fixture.agent.record_batch(&events).await;
            fixture.wait_held(card, "visits", "5").await;
        }
        fixture.agent.wait_drained().await;
        forget(&fixture, "7").await;
        // What others had, and was never this device's, is added to as before.
        fixture.agent.record(&used("8-6", "8", "Lund", 2.0)).await;
        fixture.wait_held("8", "visits", "6").await;
        for visits in 1..=3 {
            fixture.agent.record(&used(&format!("again-{visits}"), "7", "Lund", 1.0)).await;
            fixture.wait_held("7", "visits", &visits.to_string()).await;
            fixture.agent.wait_drained().await;
        }
        assert_eq!(fixture.held("7", "spend").as_deref(), Some("3"));
    }
}

#[test]
fn a_list_of_erasures_that_somebody_filled_keeps_its_newest_lines_and_no_erasure_from_being_told() {
    let device = Device::new();
    device.record_use("7");
    device.write("data/erasures.log", &"2026-11-26T00:00:00Z identities=1\n".repeat(40_000));
    assert!(device.works(&["forget", "7"]).starts_with("erased 3 attributes"));
    let list = std::fs::read_to_string(device.dir.path().join("data/erasures.log")).unwrap();
    assert!(list.len() <= 1 << 20 && list.starts_with("2026-11-26T00:00:00Z identities=1\n"));
    assert!(list.lines().last().unwrap().contains("identities=1 attributes=3 events=1"));
}

#[cfg(unix)]
#[test]
fn a_list_of_identities_is_a_file_of_bounded_size_or_standard_input() {
    let device = Device::new();
    device.record_use("7");
    let path = |name: &str| device.dir.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    // Without blocks on the disk; whoever reads all of it takes the memory.
    std::fs::File::create(path("huge")).unwrap().set_len(20 << 30).unwrap();
    for (name, words) in [("pipe", "pipe cannot be read: it must be a file"), ("huge", "huge must be at most 33554432")]
    {
        let command = outpost(device.dir.path())
            .args(["forget", "--file", name])
            .timeout(Duration::from_secs(60))
            .output()
            .unwrap();
        let said = text(&command.stderr);
        assert!(command.status.code() == Some(1) && said.contains(words), "{name}: {said}");
    }
    assert_eq!(device.status()["pending"]["profiles"], 1);
}

#[test]
fn a_file_of_identities_is_forgotten_with_one_look_and_one_line_of_the_list_of_erasures() {
    let device = Device::new();
    ["7", "8", "9"].iter().for_each(|card| drop(device.record_use(card)));
    device.write("erase.txt", "7\n\n third_party_id:8 \npc_id:nobody\n");
    device.write("wrong.txt", "7\ncard:8\n");
    let (code, said) = device.fails(&["forget", "--file", "wrong.txt"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("nothing was erased:\nwrong.txt:2: an identity is written as"), "{said}");
    let agent = device.run();
    let said = device.works(&["forget", "--file", "erase.txt"]);
    assert!(
        said.starts_with("erased 6 attributes (6 of them not yet delivered), 2 events, 0 rejected (of 3 identities)\n"),
        "{said}"
    );
    assert!(said.contains("this device had nothing about what is in line 4\n"), "{said}");
    assert!(said.contains("Adobe Experience Platform Privacy Service") && said.contains("TNTID"), "{said}");
    drop(agent);
    assert_eq!(device.fails(&["explain", "8"]).0, Some(1));
    assert!(device.works(&["explain", "9"]).contains("visits = 1"));
    let nothing = outpost(device.dir.path()).args(["forget", "--file", "-"]).write_stdin("7\n").output().unwrap();
    assert!(text(&nothing.stdout).starts_with("this device has nothing (of 1 identity)\n"), "{nothing:?}");
    let list = std::fs::read_to_string(device.dir.path().join("data/erasures.log")).unwrap();
    let lines: Vec<&str> = list.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "identities=3 attributes=6 events=2 rejected=0 damaged_stores=0",
            "identities=1 attributes=0 events=0 rejected=0 damaged_stores=0"
        ]
    );
}
