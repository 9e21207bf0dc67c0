//! A damaged store: recognised, kept, and saved from.

use std::path::{Path, PathBuf};

use outpost::core::identity::{Identity, StoredForms};
use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{FILE_NAME, Reader, Store, StoreFile};

use crate::process::{Agent, configure};
use crate::support::{MAPPINGS, Setup, files_with, mappings, store_key, used};

const EVENTS: usize = 2_000;

/// Attributes of a card: each of its events changes the same.
const OF_A_CARD: i64 = 3;

/// A store with many pages, closed.
fn filled(dir: &Path) -> PathBuf {
    filled_with(dir, EVENTS)
}

fn filled_with(dir: &Path, events: usize) -> PathBuf {
    let path = dir.join(FILE_NAME);
    let mut store = Store::open(&path).unwrap();
    let (mappings, clock) = (mappings(MAPPINGS), Clock::new(None));
    let event = |number: usize| {
        let event = used(&number.to_string(), &format!("card-{}", number % 500), "Lund", 1.0);
        cloudevents::structured(event.to_string().as_bytes()).unwrap()
    };
    record_directly(&mut store, (0..events).map(event).collect(), &mappings, &clock).unwrap();
    path
}

/// Overwrites a part of a file.
fn damage(path: &Path, at: usize, length: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let end = (at + length).min(bytes.len());
    bytes[at..end].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

/// Overwrites a page of the journal: that of an event in its middle.
fn damage_journal(path: &Path) {
    let (file, event) = (std::fs::read(path).unwrap(), format!("\"id\":\"{}\"", EVENTS / 2));
    let at = file.windows(event.len()).position(|part| part == event.as_bytes()).expect("the event is in the file");
    damage(path, at / 2_048 * 2_048, 2_048);
}

fn kept(dir: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_str().unwrap().contains(".corrupt-")).collect()
}

#[test]
fn a_sound_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    assert!(!Store::mend(&path, Clock::system()).unwrap());
    assert!(kept(dir.path()).is_empty());
}

#[test]
fn a_file_that_is_no_database_is_kept_and_a_new_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let length = std::fs::metadata(&path).unwrap().len();
    damage(&path, 0, 4_096);
    assert!(Store::mend(&path, Clock::system()).unwrap());
    let kept = kept(dir.path());
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::metadata(&kept[0]).unwrap().len(), length);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.counters().recorded, 0);
    let salvage = store.last_salvage().unwrap().unwrap();
    assert_eq!((salvage.profiles, salvage.events), (0, 0));
    assert_eq!(
        store.counters().totals.ids_known_since_ms,
        salvage.at.as_millis(),
        "an event that is sent again is new"
    );
    assert!(kept[0].ends_with(&salvage.kept_as));
}

#[test]
fn what_can_be_read_is_saved_and_pending_attributes_are_still_pending() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    damage_journal(&path);
    assert!(Store::mend(&path, Clock::system()).unwrap());
    let store = Store::open(&path).unwrap();
    let salvage = store.last_salvage().unwrap().unwrap();
    assert!(salvage.attributes + salvage.events > 1_500, "{salvage}");
    let pending = Reader::open(&path).unwrap().count_pending().unwrap();
    assert_eq!(pending.attributes, salvage.attributes, "{salvage}");
    assert!(!Store::mend(&path, Clock::system()).unwrap(), "the new store is sound");
}

#[tokio::test]
async fn an_agent_starts_on_a_damaged_store_and_says_so() {
    let mut fixture = Setup { faults: "outage", ..Setup::default() }.start().await;
    for number in 0..50 {
        fixture.agent.record(&used(&number.to_string(), &format!("card-{}", number % 500), "Lund", 1.0)).await;
    }
    fixture.agent.stop().await;
    damage(&fixture.dir.path().join(FILE_NAME), 0, 100);
    fixture.sandbox.target().faults = "".parse().unwrap();
    fixture.start_again().await;
    let status = fixture.agent.status().await;
    assert!(status.store.salvage.as_deref().unwrap_or_default().contains("damaged"), "{:?}", status.store);
    fixture.agent.record(&used("new", "card", "Lund", 1.0)).await;
    fixture.wait_held("card", "visits", "1").await;
    assert_eq!(kept(fixture.dir.path()).len(), 1);
}

#[test]
fn a_damaged_header_of_the_file_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let before = Reader::open(&path).unwrap().count_pending().unwrap();
    damage(&path, 0, 100);
    assert!(Store::mend(&path, Clock::system()).unwrap());
    let salvage = Store::open(&path).unwrap().last_salvage().unwrap().unwrap();
    assert_eq!((salvage.profiles, salvage.events), (500, 2_000), "{salvage}");
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.count_pending().unwrap(), before);
    assert!(reader.is_sound().unwrap());
}

#[test]
fn what_is_no_store_of_ours_is_kept_as_it_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut bytes = vec![0xa5; 4_096];
    bytes[100] = 13;
    std::fs::write(&path, &bytes).unwrap();
    assert!(Store::mend(&path, Clock::system()).unwrap());
    assert_eq!(std::fs::read(&kept(dir.path())[0]).unwrap(), bytes);
}

/// Puts the data directory of an agent where it finds it, with a store whose header is damaged.
fn put_damaged(dir: &Path, events: usize) {
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    let path = filled_with(&data, events);
    damage(&path, 0, 100);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_salvage_that_is_cut_off_at_any_moment_loses_nothing() {
    use crate::power_cut::cut::{self, Record};

    const CARDS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    configure(&root, "127.0.0.1:9".parse().unwrap(), "");
    put_damaged(&root, CARDS);
    let data = root.join("data");
    // What is there before the agent starts is on the disk.
    let mut records = vec![Record::MakeDir { path: data.clone() }];
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        records.push(Record::Create { path: path.clone() });
        records.push(Record::Write { path: path.clone(), offset: 0, data: std::fs::read(&path).unwrap() });
        records.push(Record::Sync { path });
    }
    records.extend([Record::Sync { path: data.clone() }, Record::Sync { path: root.clone() }]);
    let first = records.len();

    let (library, log) = (cut::recorder(&root), root.join("log"));
    let environment = [("LD_PRELOAD", library.as_path()), ("CUT_DIR", &data), ("CUT_LOG", &log)];
    drop(Agent::start_with(&root, &environment));
    records.extend(cut::read(&std::fs::read(&log).unwrap()));
    assert!(records.iter().any(|record| matches!(record, Record::Rename { to, .. } if to.ends_with(FILE_NAME))));

    for at in first..=records.len() {
        for disk in [cut::killed_disk(&records[..at]), cut::synced_disk(&records[..at], &root)] {
            let dir = tempfile::tempdir().unwrap();
            for (path, bytes) in disk {
                let name = path.file_name().unwrap().to_str().unwrap();
                if path.parent() == Some(data.as_path()) && !name.ends_with("-shm") {
                    std::fs::write(dir.path().join(name), bytes).unwrap();
                }
            }
            let path = dir.path().join(FILE_NAME);
            Store::mend(&path, Clock::system()).unwrap();
            assert!(!Store::mend(&path, Clock::system()).unwrap(), "the store is not sound after a cut behind {at}");
            drop(Store::open(&path).unwrap());
            let pending = Reader::open(&path).unwrap().count_pending().unwrap();
            let expected = (CARDS as i64, CARDS as i64 * OF_A_CARD);
            assert_eq!(
                (pending.profiles, pending.attributes),
                expected,
                "after a cut behind {at} of {}",
                records.len()
            );
            let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(!left.iter().any(|name| name.to_str().unwrap().contains("salvag")), "{left:?}");
        }
    }
}

#[tokio::test]
async fn forgetting_deletes_damaged_stores_that_are_kept() {
    let mut fixture = Setup { faults: "outage", store_key: None, ..Setup::default() }.start().await;
    for number in 0..20 {
        fixture.agent.record(&used(&number.to_string(), &format!("card-of-{number}"), "Lund", 1.0)).await;
    }
    fixture.agent.stop().await;
    damage(&fixture.dir.path().join(FILE_NAME), 0, 100);
    fixture.start_again().await;
    let (_, status) = fixture.agent.get("/v1/status").await;
    let kept_as = kept(fixture.dir.path())[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(status["store"]["damaged_stores"][0]["file"], kept_as.as_str());
    let what_to_do = status["verdict"]["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains(&kept_as) && what_to_do.contains("must not leave this device"), "{what_to_do}");

    let path = fixture.agent.request(reqwest::Method::DELETE, "/v1/profiles/third_party_id/card-of-7");
    let forgotten: serde_json::Value = path.send().await.unwrap().json().await.unwrap();
    assert_eq!((&forgotten["damaged_stores"], &forgotten["attributes"]), (&1.into(), &OF_A_CARD.into()));
    assert_eq!(files_with(fixture.dir.path(), "card-of-7"), Vec::<String>::new());
    assert_eq!(kept(fixture.dir.path()), Vec::<PathBuf>::new());
    let status = fixture.agent.status().await;
    assert_eq!(status.store.salvage, None);
}

#[test]
fn another_key_deletes_damaged_stores_that_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled_with(dir.path(), 10);
    damage(&path, 0, 100);
    assert!(Store::mend(&path, Clock::system()).unwrap());
    assert_eq!(files_with(dir.path(), "card-7").len(), 2, "it is not sealed");
    Store::rekey(&StoreFile::new(&path, Some(store_key(1)))).unwrap();
    assert_eq!(files_with(dir.path(), "card-7"), Vec::<String>::new());
}

#[test]
fn another_key_at_the_start_that_finds_the_damage_leaves_what_could_not_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled_with(dir.path(), 10);
    damage(&path, 0, 100);
    let file = StoreFile::new(&path, Some(store_key(1)));
    assert!(Store::mend(&file, Clock::system()).unwrap());
    drop(Store::open(file.clone()).unwrap());
    assert_eq!(kept(dir.path()).len(), 1, "nobody has looked at it");
}

#[test]
fn who_was_forgotten_is_still_known_of_a_damaged_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    let (forgotten, at): (Identity, _) = ("third_party_id:7".parse().unwrap(), Clock::system());
    Store::open(&path).unwrap().transact(|store| store.forget_person(&forgotten, at, at)).unwrap();
    damage_journal(&path);
    assert!(Store::mend(&path, at).unwrap());
    // Found with the key of the store before.
    let reader = Reader::open(&path).unwrap();
    let known = |identity: Identity| reader.forgotten_at(&StoredForms::exactly(identity)).unwrap();
    let read = known(forgotten);
    assert_eq!((read, known("third_party_id:8".parse().unwrap())), (Some(at), None));
}
