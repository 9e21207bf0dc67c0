//! A damaged store: recognised, kept, and saved from.

use std::path::{Path, PathBuf};

use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{FILE_NAME, Reader, Store};

use crate::support::{MAPPINGS, Setup, mappings, used};

const EVENTS: usize = 2_000;

/// A store with many pages, closed.
fn filled(dir: &Path) -> PathBuf {
    let path = dir.join(FILE_NAME);
    let mut store = Store::open(&path).unwrap();
    let (mappings, clock) = (mappings(MAPPINGS), Clock::new(None));
    let event = |number: usize| {
        let event = used(&number.to_string(), &format!("card-{}", number % 500), "Lund", 1.0);
        cloudevents::structured(event.to_string().as_bytes()).unwrap()
    };
    record_directly(&mut store, (0..EVENTS).map(event).collect(), &mappings, &clock).unwrap();
    path
}

/// Overwrites a part of a file.
fn damage(path: &Path, at: usize, length: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let end = (at + length).min(bytes.len());
    bytes[at..end].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
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
    assert!(kept[0].ends_with(&salvage.kept_as));
}

#[test]
fn what_can_be_read_is_saved_and_pending_attributes_are_still_pending() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path());
    // Some pages in the middle, which are pages of the journal: it is the largest part by far.
    let length = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    damage(&path, length / 2, 3 * 2_048);
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
        fixture.agent.record(&used(&number.to_string(), &format!("card-{number}"), "Lund", 1.0)).await;
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
