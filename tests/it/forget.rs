//! Erasure: nothing of an identity stays on the device, and nobody else loses anything.

use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{FILE_NAME, Store};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Fixture, MAPPINGS, Setup, files_with, mappings, noted, used};

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
