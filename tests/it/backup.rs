//! A copy of the store while the agent runs, what comes back of it, and what going back a version means.

use std::path::Path;

use rusqlite::Connection;

use crate::device::{Agent, Device, text};

/// Takes the store's place, as `outpost backup` says.
fn restore(device: &Device, copy: &Path) {
    let store = device.dir.path().join("data/outpost.db");
    std::fs::copy(copy, &store).unwrap();
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(store.with_file_name(format!("outpost.db{end}")));
    }
}

fn schema(path: &Path) -> i64 {
    Connection::open(path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_copy_of_a_running_agent_s_store_is_whole_and_comes_back() {
    let device = Device::new();
    let agent = device.run();
    device.record_use("1");
    device.record_use("2");
    let copy = device.dir.path().join("copy.db");
    let said = device.works(&["backup", "copy.db"]);
    let schema = outpost::store::SCHEMA_VERSION;
    let whole = format!("schema {schema}: 2 events, 2 profiles (2 with values that wait), 0 rejected\n");
    assert!(said.starts_with("copy.db: ") && said.contains(&whole), "{said}");
    assert!(said.contains("is not encrypted") && said.contains("To restore it: stop the agent"), "{said}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let names = || std::fs::read_dir(device.dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    assert!(!names().iter().any(|name| name.to_string_lossy().starts_with("copy.db.")), "{:?}", names());

    // Recorded after the copy, so that it is not in it.
    device.record_use("3");
    drop(agent);
    restore(&device, &copy);
    let _agent: Agent = device.run();
    let status = device.status();
    assert_eq!((&status["events"]["recorded"], &status["pending"]["profiles"]), (&2.into(), &2.into()), "{status}");
    assert!(device.works(&["explain", "third_party_id:2"]).contains("visits = 1"));
    device.record_use("3");
    assert_eq!(device.status()["events"]["recorded"], 3);
}

#[test]
fn a_copy_is_never_written_over_a_file_or_a_link() {
    let device = Device::new();
    device.record_use("1");
    device.write("copy.db", "mine");
    let (code, said) = device.fails(&["backup", "copy.db"]);
    assert_eq!(code, Some(1));
    assert_eq!(said, "outpost: copy.db is there already, and is not overwritten: name another file\n");
    assert_eq!(std::fs::read_to_string(device.dir.path().join("copy.db")).unwrap(), "mine");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.db", device.dir.path().join("link.db")).unwrap();
        assert_eq!(device.fails(&["backup", "link.db"]).0, Some(1));
        assert!(!device.dir.path().join("nowhere.db").exists());
    }
    let (_, said) = device.fails(&["backup", "no-folder/copy.db"]);
    assert!(said.contains("no-folder/copy.db cannot be written; check that its folder is there"), "{said}");
    // What a power cut left of an earlier one is in nobody's way.
    device.write("other.db.partial", "a half");
    device.works(&["backup", "other.db"]);
    assert!(!device.dir.path().join("other.db.partial").exists());
}

#[test]
fn a_damaged_store_is_not_copied() {
    let device = Device::new();
    for card in 0..40 {
        device.record_use(&card.to_string());
    }
    let path = device.dir.path().join("data/outpost.db");
    let mut store = std::fs::read(&path).unwrap();
    let half = store.len() / 2;
    store[2_048..half].fill(0xa5);
    std::fs::write(&path, store).unwrap();
    let (code, said) = device.fails(&["backup", "copy.db"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!device.dir.path().join("copy.db").exists() && !device.dir.path().join("copy.db.partial").exists());
}

/// An older program refuses the store of a newer one and leaves it as it is; the copy of before the update is what it goes on
/// with, and the newer program does so too.
#[test]
fn going_back_a_version_takes_the_copy_of_before_the_update() {
    let old: &[u8] = include_bytes!("stores/schema-6.db");
    let device = Device::new();
    let path = device.dir.path().join("data/outpost.db");
    std::fs::create_dir(device.dir.path().join("data")).unwrap();
    std::fs::write(&path, old).unwrap();
    // Before the new program has run: the copy has the old program's schema.
    let said = device.works(&["backup", "before.db"]);
    assert!(said.contains("schema 6: 5 events, 3 profiles"), "{said}");
    let copy = device.dir.path().join("before.db");
    assert_eq!((schema(&path), schema(&copy)), (6, 6));

    drop(device.run());
    assert_eq!(schema(&path), outpost::store::SCHEMA_VERSION);
    // What an older program does with it is what this one does with one that is newer than it.
    let newer = outpost::store::SCHEMA_VERSION + 1;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", newer).unwrap();
    let before = std::fs::read(&path).unwrap();
    let output = device.outpost(&["run"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("has schema {newer}, and this program knows up to {}", newer - 1)), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "it is not touched");

    restore(&device, &copy);
    assert_eq!(schema(&path), 6);
    let _agent = device.run();
    assert_eq!(device.status()["events"]["recorded"], 4);
}
