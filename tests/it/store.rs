//! The store's file: its schema, its limits, and what is refused.

use std::collections::HashSet;

use outpost::agent::data_dir::DataDir;
use outpost::core::forwarding::existence::Existence;
use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{ClaimRules, FILE_NAME, InFlight, Reader, SCHEMA_VERSION, Store, StoreError};
use rusqlite::Connection;

use crate::support::{MAPPINGS, mappings, used};

#[test]
fn a_store_of_a_newer_program_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    connection.pragma_update(None, "journal_mode", "delete").unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let newer = SCHEMA_VERSION + 1;
    match Store::open(&path).err().unwrap() {
        StoreError::NewerSchema { found, .. } => assert_eq!(found, newer),
        error => panic!("{error}"),
    }
    assert!(matches!(Reader::open(&path), Err(StoreError::NewerSchema { .. })));
    assert!(std::fs::read(&path).unwrap() == before, "the file changed");
}

#[test]
fn the_file_is_in_wal_mode_and_every_table_is_strict() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let sql =
        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'";
    let loose: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(loose, 0, "every table is STRICT");
}

/// A store of the first schema, with a profile of which one attribute is pending.
fn store_of_schema_1(path: &std::path::Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(include_str!("../../src/store/sql/0001_store.sql")).unwrap();
    connection
        .execute_batch(
            "PRAGMA user_version = 1;
             INSERT INTO journal VALUES (1, 1000, 1000, 0, 1, '{\"id\":\"1\",\"source\":\"s\"}'), (2, 2000, 2000, 0, 1, '{}');
             INSERT INTO profile VALUES (1, 0, '7', 2, 2000), (2, 1, 'a', NULL, NULL);
             INSERT INTO attribute
                 (profile_id, name, value, event_time_ms, event_seq, mapping, version, changed_at_ms, delivered_version,
                  delivered_value, delivered_at_ms)
             VALUES (1, 'visits', '2', 2000, 2, 'm', 2, 2000, 1, '1', 1500), (1, 'store', 'Lund', 1000, 1, 'm', 1, 1000, 1, 'Lund', 1500);",
        )
        .unwrap();
}

#[test]
fn a_store_of_the_first_schema_is_brought_to_this_one_with_all_that_is_pending() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    store_of_schema_1(&path);
    let store = Store::open(&path).unwrap();
    let claims = store.claim(&InFlight::default(), ClaimRules::alone(10, &HashSet::new())).unwrap().claims;
    let pending: Vec<(&str, &str)> =
        claims[0].attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_str())).collect();
    assert_eq!((claims.len(), pending), (1, vec![("visits", "2")]));
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.count_pending().unwrap().profiles, 1);
    let row = reader
        .profile(&outpost::core::identity::StoredForms::exactly("third_party_id:7".parse().unwrap()))
        .unwrap()
        .unwrap();
    assert_eq!(row.knowledge.existence, Existence::Unknown);
    let version: i64 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, SCHEMA_VERSION);
}

#[test]
fn a_damaged_store_of_the_first_schema_is_saved_into_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    store_of_schema_1(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4_096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    assert!(Store::mend(&path, Clock::system()).unwrap());
    let store = Store::open(&path).unwrap();
    assert_eq!(store.claim(&InFlight::default(), ClaimRules::alone(10, &HashSet::new())).unwrap().claims.len(), 1);
}

/// Overwrites the end of a file.
fn damage_the_end(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes.len();
    bytes[end - 4_096..].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn of_a_damaged_store_of_an_older_schema_the_columns_are_saved_that_this_one_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let connection = Connection::open(&path).unwrap();
    for sql in [
        include_str!("../../src/store/sql/0001_store.sql"),
        include_str!("../../src/store/sql/0002_target.sql"),
        include_str!("../../src/store/sql/0003_history.sql"),
        include_str!("../../src/store/sql/0004_seal.sql"),
        "PRAGMA user_version = 4;
         INSERT INTO profile (id, kind, key) VALUES (1, 0, '7');
         INSERT INTO reading (profile_id, name, read_at_ms, read_value, decision, sent_version, sent_value)
             VALUES (1, 'visits', 1, '4', 0, 1, '5');
         CREATE TABLE filler (text TEXT);
         INSERT INTO filler VALUES (hex(zeroblob(20000)));",
    ] {
        connection.execute_batch(sql).unwrap();
    }
    drop(connection);
    damage_the_end(&path);
    assert!(Store::mend(&path, Clock::system()).unwrap());
    let connection = Connection::open(&path).unwrap();
    let read: String = connection.query_row("SELECT read_value FROM reading", [], |row| row.get(0)).unwrap();
    assert_eq!(read, "4");
}

#[test]
fn of_a_damaged_store_what_was_sent_and_to_whom_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO profile (id, kind, key, batch_id, missing_since_ms, look_at_ms) VALUES (1, 0, '7', 1, 2, 3);
             INSERT INTO destination VALUES (1, 'acme', 'https://acme.example', 'device-1');
             INSERT INTO sends VALUES (1, '{}'), (2, '{}');
             INSERT INTO batch (id, kind, api, state) VALUES (1, 0, 2, 1);
             INSERT INTO batch_row VALUES (1, 1, '[]');
             CREATE TABLE filler (text TEXT);
             INSERT INTO filler VALUES (hex(zeroblob(20000)));
             PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    drop(connection);
    damage_the_end(&path);
    assert!(Store::mend(&path, Clock::system()).unwrap());
    let connection = Connection::open(&path).unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM destination WHERE client_code = 'acme'"), 1);
    assert_eq!(number("SELECT count(*) FROM sends"), 1, "that of no profile goes");
    assert_eq!(number("SELECT count(*) FROM batch_row"), 0);
    let waits = "SELECT count(*) FROM profile WHERE batch_id IS NULL AND missing_since_ms = 2 AND look_at_ms = 3";
    assert_eq!(number(waits), 1);
}

#[test]
fn numbers_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mappings = mappings(MAPPINGS);
    let clock = Clock::new(None);
    let mut store = Store::open(&path).unwrap();
    let mut other = used("2", "7", "Lund", 1.0);
    other["type"] = "com.other".into();
    for event in [used("1", "7", "Lund", 1.0), used("1", "7", "Lund", 1.0), other] {
        let parsed = vec![cloudevents::structured(event.to_string().as_bytes()).unwrap()];
        record_directly(&mut store, parsed, &mappings, &clock).unwrap();
    }
    let before = store.counters();
    drop(store);
    let after = Store::open(&path).unwrap().counters();
    assert_eq!((after.recorded, after.totals), (before.recorded, before.totals));
    assert_eq!((after.recorded, after.totals.duplicate, after.totals.unmapped), (1, 1, 1));
    assert!(after.recorded_at.is_some());
    let pending = Reader::open(&path).unwrap().count_pending().unwrap();
    assert_eq!((pending.profiles, pending.attributes), (1, 3));
}

#[test]
fn a_batch_that_cannot_be_written_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut store = Store::open(&path).unwrap();
    // Another writer makes every write fail for good once the waiting is over; here it is a table that is gone.
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE attribute RENAME TO elsewhere").unwrap();
    let parsed = vec![cloudevents::structured(used("1", "7", "Lund", 1.0).to_string().as_bytes()).unwrap()];
    let result = record_directly(&mut store, parsed, &mappings(MAPPINGS), &Clock::new(None));
    assert!(matches!(result, Err(StoreError::Write(_))));
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE elsewhere RENAME TO attribute").unwrap();
    assert_eq!(store.counters().recorded, 0);
    let parsed = vec![cloudevents::structured(used("2", "7", "Lund", 1.0).to_string().as_bytes()).unwrap()];
    let answers = record_directly(&mut store, parsed, &mappings(MAPPINGS), &Clock::new(None)).unwrap();
    assert_eq!((answers[0].seq, answers[0].status.name()), (1, "recorded"));
}

/// The whole chain of an error.
fn chain(error: &StoreError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

#[test]
fn an_unknown_operation_or_state_in_a_store_is_refused_with_its_table_and_value() {
    let cases = [
        ("attribute", "operation", "operation = 9 WHERE name = 'visits'", true),
        ("profile", "existence", "existence = 7", true),
        ("attribute", "route", "route = 99 WHERE name = 'visits'", false),
        ("reading", "decision", "decision = 42", false),
    ];
    for (table, column, set, stops_claims) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let mut store = Store::open(&path).unwrap();
        let parsed = vec![cloudevents::structured(used("1", "7", "Lund", 1.0).to_string().as_bytes()).unwrap()];
        record_directly(&mut store, parsed, &mappings(MAPPINGS), &Clock::new(None)).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(&format!(
                "INSERT INTO reading (profile_id, name, read_at_ms, decision) VALUES (1, 'visits', 1, 0);
                 UPDATE {table} SET {set};"
            ))
            .unwrap();
        let value = set.split([' ', '=']).filter_map(|word| word.parse::<i64>().ok()).next().unwrap();
        let whose = outpost::core::identity::StoredForms::exactly("third_party_id:7".parse().unwrap());
        let read = Reader::open(&path).unwrap().profile(&whose).map(|_| ());
        let claimed = store.claim(&InFlight::default(), ClaimRules::alone(10, &HashSet::new())).map(|_| ());
        for refused in [Some(read), stops_claims.then_some(claimed)].into_iter().flatten() {
            let refused = chain(&refused.expect_err(column));
            assert!(refused.contains(&format!("{table}.{column} is {value}")), "{refused}");
        }
    }
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// As Linux and Windows name machines.
const MACHINE_1: &str = "8f1c0a52d3e94b7f9a6e2d1b5c7f0a39";
const MACHINE_2: &str = "4c4c4544-0042-3510-8052-b4c04f4d3332";

#[test]
fn a_placeholder_is_no_machine_and_the_device_keeps_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::new(dir.path());
    let first = data_dir.device_id(Some(MACHINE_1)).unwrap();
    let placeholders = [
        "",
        "uninitialized",
        "0123456789abcde",
        "00000000000000000000000000000000",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "System Serial Number",
    ];
    for placeholder in placeholders {
        assert_eq!(data_dir.device_id(Some(placeholder)).unwrap(), first, "{placeholder}");
    }
    assert_eq!(data_dir.device_id(Some(MACHINE_1)).unwrap(), first);
    assert!(data_dir.device_id(Some(MACHINE_2)).unwrap().is_cloned);
}

#[test]
fn a_disk_that_was_copied_to_another_machine_gets_a_name_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::new(dir.path());
    let first = data_dir.device_id(Some(MACHINE_1)).unwrap();
    assert_eq!(data_dir.device_id(Some(MACHINE_1)).unwrap(), first);
    assert_eq!(data_dir.device_id(None).unwrap().name, first.name, "a system that does not say keeps the name");
    let second = data_dir.device_id(Some(MACHINE_2)).unwrap();
    assert!(second.is_cloned && second.name != first.name);
    assert!(!data_dir.device_id(Some(MACHINE_2)).unwrap().is_cloned, "once");
    let kept = std::fs::read_to_string(dir.path().join("device_id")).unwrap();
    assert!(!kept.contains(MACHINE_2), "{kept}");
}

#[test]
fn a_name_of_before_is_kept_and_bound_to_its_machine() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("device_id"), "device-0123456789ab").unwrap();
    let data_dir = DataDir::new(dir.path());
    assert_eq!(data_dir.device_id(Some(MACHINE_1)).unwrap().name, "device-0123456789ab");
    assert!(data_dir.device_id(Some(MACHINE_2)).unwrap().is_cloned);
}
