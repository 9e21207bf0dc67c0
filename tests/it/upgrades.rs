//! Stores that earlier programs have filled: the newest one goes on with them, and loses nothing.
//!
//! `stores/schema-N.db` was written by the last program of schema N: cards 1 and 123456 were used (events `a`, `b`), the
//! simulator knew 123456 alone, the agent was stopped, then cards 1 and 2 were used (`c`, `d`), and `e` was rejected. For
//! schemas 7 and 8 the simulator made both profiles; those of schemas 9 and 10 are that of 8 after their migrations. No file is ever made again: a schema that was shipped is what it was.

use serde_json::json;

use crate::device::{Device, outpost};
use crate::support::{STRUCTURED, Setup};

const STORES: [&[u8]; 10] = [
    include_bytes!("stores/schema-1.db"),
    include_bytes!("stores/schema-2.db"),
    include_bytes!("stores/schema-3.db"),
    include_bytes!("stores/schema-4.db"),
    include_bytes!("stores/schema-5.db"),
    include_bytes!("stores/schema-6.db"),
    include_bytes!("stores/schema-7.db"),
    include_bytes!("stores/schema-8.db"),
    include_bytes!("stores/schema-9.db"),
    include_bytes!("stores/schema-10.db"),
];

#[test]
fn there_is_a_store_of_every_schema_that_was_shipped() {
    assert_eq!(i64::try_from(STORES.len()), Ok(outpost::store::SCHEMA_VERSION));
    for (schema, store) in (1_u8..).zip(STORES) {
        // Source: SQLite, file format, the user version at offset 60, big-endian.
        assert_eq!(store[60..64], [0, 0, 0, schema]);
    }
}

#[tokio::test]
async fn the_newest_program_goes_on_with_a_store_of_every_schema() {
    for (schema, store) in (1..).zip(STORES) {
        let mut fixture = Setup::default().start().await;
        fixture.agent.stop().await;
        // A directory of its own: a log that the first agent has left is not of this store.
        fixture.dir = tempfile::tempdir().unwrap();
        let path = fixture.dir.path().join("outpost.db");
        std::fs::write(&path, store).unwrap();
        if schema >= 5 {
            // It knows where its deliveries went, which was another port; and it waits for profiles that are accepted here.
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection
                .execute_batch("DELETE FROM destination; UPDATE profile SET look_at_ms = min(look_at_ms, 0)")
                .unwrap();
        }
        fixture.start_again().await;

        let status = fixture.agent.wait_drained().await;
        assert_eq!((status.events.recorded, status.rejected.events), (4, 1), "schema {schema}");
        // What was pending, as a whole: the sums go on from what was counted before.
        assert_eq!(fixture.held("1", "visits").as_deref(), Some("2"), "schema {schema}");
        assert_eq!(fixture.held("1", "lastStore").as_deref(), Some("Oslo"), "schema {schema}");
        assert_eq!(fixture.held("2", "spend").as_deref(), Some("2.5"), "schema {schema}");
        // What Target had is not sent again.
        assert_eq!(fixture.held("123456", "visits"), None, "schema {schema}");
        let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/123456").await;
        assert_eq!(profile["attributes"][0]["state"], json!("delivered"), "schema {schema}");
        let (_, rejected) = fixture.agent.get("/v1/rejected").await;
        assert!(rejected.to_string().contains("\"e\""), "schema {schema}: {rejected}");

        // An event that an earlier program has taken is known.
        let event = json!({ "specversion": "1.0", "id": "a", "source": "/till", "type": "com.acme.loyalty.used",
            "time": "2026-11-21T10:00:00Z", "data": { "card": "1", "store": "Lund", "total": 2.5 } });
        let answer = fixture.agent.post(STRUCTURED, event.to_string()).await.text().await.unwrap();
        assert!(answer.contains("\"duplicate\"") && !answer.contains("reason"), "schema {schema}: {answer}");
    }
}

#[test]
fn commands_answer_of_an_older_store_before_the_new_program_has_run() {
    for (schema, store) in (1..).zip(STORES) {
        for command in [
            ["status", "--json"].as_slice(),
            &["explain", "third_party_id:1"],
            &["rejected", "list"],
            &["forget", "third_party_id:1"],
        ] {
            let device = Device::new();
            let data = device.dir.path().join("data");
            std::fs::create_dir(&data).unwrap();
            std::fs::write(data.join("outpost.db"), store).unwrap();
            let output = device.outpost(command);
            let said = crate::device::text(&output.stderr);
            assert!(output.status.success(), "schema {schema}, {command:?}: {said}");
        }
        let device = Device::new();
        let data = device.dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("outpost.db"), store).unwrap();
        let event = json!({ "specversion": "1.0", "id": "new", "source": "/till", "type": "com.acme.loyalty.used",
            "data": { "card": "1", "store": "Lund", "total": 2.5 } });
        let output = outpost(device.dir.path()).arg("preview").write_stdin(event.to_string()).output().unwrap();
        let said = crate::device::text(&output.stderr);
        assert!(output.status.success(), "schema {schema}, preview: {said}");
    }
}

#[test]
fn an_older_program_refuses_a_newer_store_and_says_what_to_do() {
    let device = Device::new();
    device.works(&["record", "--type", "t"]);
    let path = device.dir.path().join("data/outpost.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    for command in [&["run"][..], &["record", "--type", "t"], &["status"]] {
        let (code, said) = device.fails(command);
        assert_eq!(code, Some(1), "{command:?}");
        assert!(
            said.contains("has schema 99") && said.contains("install the newer outpost again"),
            "{command:?}: {said}"
        );
    }
    assert!(std::fs::read(&path).unwrap() == before, "the file changed");
}
