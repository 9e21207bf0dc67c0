//! Encryption at rest: what the file of a store shows without its key, and what becomes of it when the key changes.

use std::collections::BTreeMap;
use std::path::Path;

use outpost::core::identity::{Identity, StoredForms};
use outpost::device::clock::Clock;
use outpost::store::{FILE_NAME, Reader, Store, StoreError, StoreFile, StoreKey};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::json;

use crate::device::{Device, outpost, text};
use crate::support::{Fixture, Setup, files_with, noted, store_key, used};

const CARD: &str = "4711-0815-my-card";
const NOTE: &str = "likes herring for breakfast";

fn with(key: Option<StoreKey>) -> Setup {
    Setup { store_key: key, ..Setup::default() }
}

/// The bytes of every file of a directory, by name.
fn bytes(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

fn shows_people(dir: &Path) -> bool {
    [CARD, NOTE].iter().any(|text| !files_with(dir, text).is_empty())
}

/// An agent that holds a delivered, a pending and a refused value, a rejected event, and a word of Target's.
async fn filled(key: Option<StoreKey>) -> Fixture {
    let fixture = with(key).start().await;
    fixture.agent.record(&noted("1", CARD, "first")).await;
    fixture.agent.wait_drained().await;
    let mut rejected = used("2", CARD, "Lund", 1.0);
    rejected["data"]["total"] = json!(NOTE);
    assert_eq!(fixture.agent.record(&rejected).await["status"], "rejected");
    fixture.sandbox.target().faults = "outage".parse().unwrap();
    fixture.agent.record(&noted("3", CARD, NOTE)).await;
    fixture.agent.record(&noted("4", CARD, &format!("{NOTE}!"))).await;
    fixture
}

async fn note(fixture: &Fixture) -> String {
    let (_, profile) = fixture.agent.get(&format!("/v1/profiles/third_party_id/{CARD}")).await;
    let attributes = profile["attributes"].as_array().unwrap();
    let note = attributes.iter().find(|attribute| attribute["name"] == "note").unwrap();
    note["value"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_sealed_store_shows_nothing_of_people_and_works_like_another() {
    let mut fixture = filled(Some(store_key(1))).await;
    assert!(!shows_people(fixture.dir.path()));
    assert_eq!(note(&fixture).await, format!("{NOTE}!"));
    let (_, shown) = fixture.agent.get("/v1/rejected/1").await;
    assert_eq!(shown["event"]["data"]["total"], NOTE);
    fixture.restart().await;
    fixture.sandbox.target().faults = "".parse().unwrap();
    fixture.wait_held(CARD, "note", &format!("{NOTE}!")).await;
    assert_eq!(fixture.agent.record(&noted("1", CARD, "first")).await["status"], "duplicate");
    let path = format!("/v1/profiles/third_party_id/{CARD}");
    let response = fixture.agent.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(fixture.agent.get(&path).await.0, StatusCode::NOT_FOUND);
    assert!(!shows_people(fixture.dir.path()));
}

#[tokio::test]
async fn a_store_that_was_not_sealed_is_sealed_at_the_next_start_and_anew_with_another_key() {
    let mut fixture = filled(None).await;
    assert!(shows_people(fixture.dir.path()), "files are looked through as they should be");
    fixture.restart_with(with(Some(store_key(1)))).await;
    assert!(!shows_people(fixture.dir.path()));
    assert_eq!(note(&fixture).await, format!("{NOTE}!"));
    fixture.restart_with(Setup { old_store_key: Some(store_key(1)), ..with(Some(store_key(2))) }).await;
    assert_eq!(note(&fixture).await, format!("{NOTE}!"));
    fixture.restart_with(with(Some(store_key(2)))).await;
    assert_eq!(note(&fixture).await, format!("{NOTE}!"));
    assert!(!shows_people(fixture.dir.path()));
}

#[tokio::test]
async fn a_wrong_key_and_no_key_are_refused_and_nothing_is_touched() {
    let mut fixture = filled(Some(store_key(1))).await;
    fixture.agent.stop().await;
    let path = fixture.dir.path().join(FILE_NAME);
    let before = bytes(fixture.dir.path());
    let wrong = StoreFile::new(&path, Some(store_key(2)));
    assert!(!Store::mend(&wrong, Clock::system()).unwrap());
    for refused in [Store::open(&wrong).map(|_| ()), Reader::open(&wrong).map(|_| ())] {
        assert!(matches!(refused, Err(StoreError::WrongKey { .. })));
    }
    assert!(matches!(Store::open(&path), Err(StoreError::Sealed { .. })));
    assert!(matches!(
        Store::rekey(&StoreFile { old_key: Some(store_key(3)), ..wrong }),
        Err(StoreError::WrongKey { .. })
    ));
    assert_eq!(bytes(fixture.dir.path()), before);
}

#[tokio::test]
async fn what_is_sealed_cannot_be_moved_to_another_row() {
    let mut fixture = filled(Some(store_key(1))).await;
    fixture.agent.stop().await;
    let path = fixture.dir.path().join(FILE_NAME);
    let file = StoreFile::new(&path, Some(store_key(1)));
    let raw = Connection::open(&path).unwrap();
    raw.execute(
        "UPDATE attribute SET value = (SELECT value FROM attribute WHERE name = 'note') WHERE name = 'other'",
        [],
    )
    .unwrap();
    drop(raw);
    let identity: Identity = format!("third_party_id:{CARD}").parse().unwrap();
    let error = Reader::open(&file).unwrap().profile(&StoredForms::exactly(identity.clone())).unwrap_err();
    assert!(error.is_corruption(), "{error:?}");

    // As the agent does when a value cannot be read: the next start looks at all of it, and goes on without the row.
    std::fs::write(path.with_extension("suspect"), "").unwrap();
    assert!(Store::mend(&file, Clock::system()).unwrap());
    let row = Reader::open(&file).unwrap().profile(&StoredForms::exactly(identity.clone())).unwrap().unwrap();
    let names: Vec<&str> = row.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert_eq!(names, ["note"]);
    assert!(!Store::mend(&file, Clock::system()).unwrap());
    assert!(!shows_people(fixture.dir.path()));
}

#[tokio::test]
async fn a_damaged_store_stays_sealed_when_it_is_mended() {
    for damaged_key in [None, Some(store_key(1))] {
        let mut fixture = filled(damaged_key).await;
        fixture.agent.stop().await;
        let path = fixture.dir.path().join(FILE_NAME);
        let raw = Connection::open(&path).unwrap();
        raw.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA writable_schema = on; UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'event_key'")
            .unwrap();
        drop(raw);
        std::fs::write(path.with_extension("suspect"), "").unwrap();
        let file = StoreFile::new(&path, Some(store_key(1)));
        assert!(Store::mend(&file, Clock::system()).unwrap());
        drop(Store::open(&file).unwrap());
        let identity: Identity = format!("third_party_id:{CARD}").parse().unwrap();
        let row = Reader::open(&file).unwrap().profile(&StoredForms::exactly(identity.clone())).unwrap().unwrap();
        assert_eq!(row.attributes[0].value, format!("{NOTE}!"));
        for name in [FILE_NAME, "outpost.db-wal"] {
            let bytes = std::fs::read(path.with_file_name(name)).unwrap_or_default();
            assert!(!bytes.windows(CARD.len()).any(|part| part == CARD.as_bytes()), "{name}");
        }
    }
}

#[test]
fn rekey_changes_the_key_and_takes_it_away_and_says_what_to_do_next() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let keyed = |name: &str| device.write("agent.toml", &format!("{config}[store]\nkey = {{ file = \"{name}\" }}\n"));
    for (name, digit) in [("one.key", "1"), ("two.key", "2")] {
        device.write_private(name, &digit.repeat(64));
    }
    let data = json!({ "card": CARD, "note": NOTE }).to_string();
    device.works(&["record", "--type", "com.acme.note", "--id", "1", "--data", &data]);
    assert!(shows_people(&device.dir.path().join("data")));

    insta::assert_snapshot!(device.works(&["rekey", "--new-key-file", "one.key"]), @r#"the store is encrypted with the new key; name the new key in [store], as in key = { file = "one.key" }"#);
    assert!(!shows_people(&device.dir.path().join("data")));
    insta::assert_snapshot!(device.fails(&["status"]).1, @"outpost: the store data/outpost.db is encrypted, and there is no key in [store]; name the key, the store was not touched");
    keyed("two.key");
    insta::assert_snapshot!(device.fails(&["status"]).1, @"outpost: the key in [store] is not the one that data/outpost.db is encrypted with; name the right one, or the new one if `outpost rekey` has changed it; the store was not touched");
    insta::assert_snapshot!(device.works(&["rekey", "--old-key-file", "one.key"]), @"the store is encrypted with the new key; start the agent");
    assert!(device.works(&["explain", &format!("third_party_id:{CARD}")]).contains(NOTE));
    let agent = device.run();
    insta::assert_snapshot!(device.fails(&["rekey", "--remove"]).1.split(", as process").next().unwrap(), @"outpost: another outpost already runs on data");
    drop(agent);
    insta::assert_snapshot!(device.works(&["rekey", "--remove"]), @"the store is no longer encrypted; remove the key from [store]");
    assert!(shows_people(&device.dir.path().join("data")));
}

#[test]
fn a_key_may_come_from_the_environment_or_from_systemd() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let check = |source: &str, environment: &[(&str, &str)]| {
        device.write("agent.toml", &format!("{config}[store]\nkey = {source}\n"));
        let output = outpost(device.dir.path()).arg("check").envs(environment.iter().copied()).output().unwrap();
        // Warnings of the mappings aside.
        let problems = text(&output.stderr);
        problems.lines().filter(|line| line.starts_with("agent.toml:")).collect::<Vec<_>>().join("\n")
    };
    let key = "1".repeat(64);
    assert_eq!(check("{ env = \"STORE_KEY\" }", &[("STORE_KEY", &key)]), "");
    device.write("store-key", &key);
    let here = device.dir.path().to_str().unwrap();
    assert_eq!(check("{ credential = \"store-key\" }", &[("CREDENTIALS_DIRECTORY", here)]), "");
    insta::assert_snapshot!(check("{ credential = \"store-key\" }", &[]), @"agent.toml:23:7: key in [store]: there is no credential store-key, since systemd has not started this; add LoadCredential=store-key:… to the unit");
    insta::assert_snapshot!(check("{ credential = \"../store-key\" }", &[("CREDENTIALS_DIRECTORY", here)]), @"agent.toml:23:7: key in [store]: a credential has a plain name, as in LoadCredential= of the unit");
    insta::assert_snapshot!(check("{ env = \"A\", file = \"b\" }", &[]), @r#"agent.toml:23:7: key in [store] must be one of a text, { env = "NAME" }, { file = "path" }, { credential = "name" } of systemd or { dpapi = "path" } of Windows"#);
    #[cfg(not(windows))]
    insta::assert_snapshot!(check("{ dpapi = \"store.key\" }", &[]), @"agent.toml:23:7: key in [store]: dpapi works only on Windows; use file, env or credential");
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_refused_with_what_to_type() {
    use std::os::unix::fs::PermissionsExt;

    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{config}[store]\nkey = {{ file = \"store.key\" }}\n"));
    device.write_private("store.key", &"1".repeat(64));
    let check = |mode: u32| {
        std::fs::set_permissions(device.dir.path().join("store.key"), std::fs::Permissions::from_mode(mode)).unwrap();
        device.works_or_not(&["check"])
    };
    for open in [0o604, 0o620, 0o644, 0o666] {
        assert!(check(open).is_empty(), "{open:o}");
    }
    insta::assert_snapshot!(device.fails(&["check"]).1, @"
    outpost: 1 problem in the configuration
    agent.toml:23:7: key in [store]: others can read or change the file store.key, which contains a secret; run `chmod 600 store.key`
    ");
    for private in [0o600, 0o400, 0o640] {
        assert!(check(private).contains("valid"), "{private:o}");
    }
}
