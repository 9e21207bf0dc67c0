//! Transactions of the store: what fails in one, and what becomes of the rest and of the numbers in memory.

use std::sync::mpsc;

use outpost::core::forwarding::quota::QuotaTime;
use outpost::core::identity::IdentityKind;
use outpost::device::clock::Clock;
use outpost::intake::cloudevents;
use outpost::store::{Counters, FILE_NAME, Reader, Recording, Store, StoreError, Writer};

use crate::support::{MAPPINGS, mappings, poll_once, used};

fn recording(id: &str, card: &str) -> Recording {
    let (mappings, clock) = (mappings(MAPPINGS), Clock::new(None));
    let json = used(id, card, "Lund", 1.0).to_string();
    let (event, _) = outpost::intake::event_at(cloudevents::structured(json.as_bytes()).unwrap(), &clock);
    let meaning = mappings.meaning(&event);
    outpost::intake::recording(event, meaning, &mappings, &clock)
}

/// The numbers that a store shows, beside those that its file holds.
fn assert_as_in_the_file(shown: Counters, path: &std::path::Path) {
    let stored = Store::open(path).unwrap().counters();
    assert_eq!((shown.recorded, shown.totals), (stored.recorded, stored.totals));
    assert_eq!(shown.pending_change, Reader::open(path).unwrap().count_pending().unwrap());
}

#[tokio::test]
async fn a_job_that_fails_leaves_the_tills_of_its_group_their_work_and_alone_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let (writer, thread) = Writer::start(Store::open(&path).unwrap()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let mut busy = Box::pin(writer.act(move |_| {
        wait.recv().unwrap();
        Ok(())
    }));
    assert!(poll_once(&mut busy).await.is_none());
    // All of them wait while the first is at work, so that they are one group with it.
    let mut before = Box::pin(writer.record(vec![recording("1", "7")]));
    assert!(poll_once(&mut before).await.is_none());
    let event = recording("2", "8");
    let mut failing = Box::pin(writer.act(move |store| {
        let at = event.recorded_at;
        store.record(&event)?;
        store.spend_reads(3, QuotaTime { at, wall: at });
        store.begin_batch(IdentityKind::ThirdPartyId, 2)?;
        Err::<(), StoreError>(StoreError::Busy)
    }));
    assert!(poll_once(&mut failing).await.is_none());
    let mut after = Box::pin(writer.record(vec![recording("2", "9"), recording("3", "9")]));
    assert!(poll_once(&mut after).await.is_none());
    go.send(()).unwrap();

    busy.await.unwrap();
    assert_eq!(before.await.unwrap()[0].seq, 1);
    let failed = failing.await.unwrap_err();
    assert!(matches!(failed, StoreError::Busy), "{failed}");
    let recorded: Vec<(i64, &str)> = after.await.unwrap().iter().map(|it| (it.seq, it.status.name())).collect();
    assert_eq!(recorded, [(2, "recorded"), (3, "recorded")]);
    let counters = writer.counters();
    assert_eq!((counters.recorded, counters.totals.reads, counters.pending_change.profiles), (3, 0, 2));
    drop(writer);
    thread.join().unwrap();
    assert!(Reader::open(&path).unwrap().batches(0).unwrap().is_empty(), "its batch is not there");
    assert_as_in_the_file(counters, &path);
}

#[test]
fn a_transaction_that_fails_leaves_the_numbers_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut store = Store::open(&path).unwrap();
    store.transact(|store| store.record(&recording("1", "7"))).unwrap();
    let before = store.counters();
    let failed = store.transact(|store| {
        store.record(&recording("2", "8"))?;
        store.reserve(5);
        Err::<(), StoreError>(StoreError::Busy)
    });
    assert!(matches!(failed, Err(StoreError::Busy)));
    assert_eq!(store.counters(), before);
    let recorded = store.transact(|store| store.record(&recording("2", "8"))).unwrap();
    assert_eq!((recorded.seq, recorded.status.name()), (2, "recorded"));
    let counters = store.counters();
    drop(store);
    assert_as_in_the_file(counters, &path);
}
