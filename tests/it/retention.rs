//! How large the store grows, what is purged, and what happens when there is no room.

use std::time::Duration;

use outpost::core::mapping::Mappings;
use outpost::core::timestamp::Timestamp;
use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{
    ClaimRules, FILE_NAME, InFlight, ProfilePurge, Reader, Room, Settlement, Store, StoreError, StoreLimits,
};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{MAPPINGS, Running, STRUCTURED, Setup, mappings, noted, used};

const MEBIBYTE: u64 = 1 << 20;

fn small(max_bytes: u64) -> StoreLimits {
    StoreLimits { max_bytes, min_free_disk_bytes: 0, ..StoreLimits::default() }
}

/// Records events of some 1,100 bytes, in batches, until one is refused or there are so many.
fn fill(store: &mut Store, mappings: &Mappings, from: usize, count: usize) -> Result<(), StoreError> {
    let clock = Clock::new(None);
    for begin in (from..from + count).step_by(100) {
        let event = |number: usize| {
            let mut event = used(&number.to_string(), &format!("card-{}", number % 50), "Lund", 1.0);
            event["data"]["filler"] = json!("x".repeat(900));
            cloudevents::structured(event.to_string().as_bytes()).unwrap()
        };
        record_directly(store, (begin..begin + 100).map(event).collect(), mappings, &clock)?;
    }
    Ok(())
}

/// Delivers all that is pending.
fn deliver(store: &mut Store) {
    let at = Clock::new(None).now();
    for claim in store.claim(&InFlight::default(), ClaimRules::alone(usize::MAX, &Default::default())).unwrap().claims {
        let delivered = (0..claim.attributes.len()).collect();
        let quota_time = outpost::core::forwarding::quota::QuotaTime { at, wall: at };
        let settlement = Settlement::of_update(claim, delivered, Vec::new(), at, quota_time);
        store.transact(|store| store.settle(&settlement)).unwrap();
    }
}

/// Purges until there is room or nothing is left to purge.
fn purge(store: &mut Store, before: i64) -> usize {
    let (mut after, mut purged) = (0, 0);
    loop {
        let step = store.transact(|store| store.purge_events(after, before)).unwrap();
        purged += step.purged;
        match step.next {
            Some(next) => after = next,
            None => return purged,
        }
    }
}

#[test]
fn a_full_store_refuses_events_and_goes_on_when_deliveries_made_room_without_growing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mappings = mappings(MAPPINGS);
    let mut store = Store::open_within(&path, small(4 * MEBIBYTE)).unwrap();
    let mut sizes = Vec::new();
    for round in 0..5 {
        let refused = fill(&mut store, &mappings, round * 100_000, 100_000).unwrap_err();
        assert!(matches!(refused, StoreError::Full(_)), "{refused}");
        assert!(
            purge(&mut store, i64::MAX) <= 1,
            "nothing that is pending is purged: only the last of the round before"
        );
        deliver(&mut store);
        assert!(purge(&mut store, i64::MAX) > 1_000);
        assert_eq!(store.room().unwrap(), Room::Enough);
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    assert!(sizes.iter().all(|size| *size <= 4 * MEBIBYTE), "{sizes:?}");
    assert!(sizes[4] <= sizes[1] + MEBIBYTE / 4, "room is used again: {sizes:?}");
    let log = std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    assert!(log <= MEBIBYTE, "the log is {log} bytes");
}

#[test]
fn the_age_of_an_event_counts_from_its_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_within(&dir.path().join(FILE_NAME), small(64 * MEBIBYTE)).unwrap();
    fill(&mut store, &mappings(MAPPINGS), 0, 300).unwrap();
    let day = Duration::from_secs(86_400);
    let start = Timestamp::from_millis(1_800_000_000_000);
    let mark = |store: &mut Store, now: Timestamp| {
        store.transact(|store| store.mark_settled(now, now.minus(30 * day))).unwrap()
    };
    assert_eq!(mark(&mut store, start), 0);
    deliver(&mut store);
    let delivered = start.plus(40 * day);
    assert!(mark(&mut store, delivered) <= 1, "it was pending for forty days, and is kept for thirty more");
    let before = mark(&mut store, delivered.plus(30 * day));
    assert_eq!(purge(&mut store, before), 299, "all but the newest");
}

#[test]
fn a_purged_event_is_still_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let mappings = mappings(MAPPINGS);
    let mut store = Store::open_within(&dir.path().join(FILE_NAME), small(64 * MEBIBYTE)).unwrap();
    fill(&mut store, &mappings, 0, 100).unwrap();
    deliver(&mut store);
    assert_eq!(purge(&mut store, i64::MAX), 99);
    fill(&mut store, &mappings, 0, 100).unwrap();
    assert_eq!((store.counters().recorded, store.counters().totals.duplicate), (100, 100));
}

#[test]
fn a_low_disk_refuses_events() {
    let dir = tempfile::tempdir().unwrap();
    let limits = StoreLimits { min_free_disk_bytes: u64::MAX, ..StoreLimits::default() };
    let mut store = Store::open_within(&dir.path().join(FILE_NAME), limits).unwrap();
    let refused = fill(&mut store, &mappings(MAPPINGS), 0, 100).unwrap_err();
    assert!(refused.to_string().contains("min_free_disk"), "{refused}");
}

#[tokio::test]
async fn a_full_agent_answers_507_with_retry_after_and_goes_on_by_itself() {
    let setup = Setup { limits: small(4 * MEBIBYTE), faults: "outage", ..Setup::default() };
    let fixture = setup.start().await;
    let mut event = used("0", "card", "Lund", 1.0);
    event["data"]["filler"] = json!("x".repeat(100_000));
    let mut number = 0;
    let refused = loop {
        event["id"] = json!(number.to_string());
        let response = fixture.agent.post(STRUCTURED, event.to_string()).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        number += 1;
    };
    assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert!(refused.headers().contains_key("retry-after"));
    let status = fixture.agent.status().await;
    assert_eq!((status.events.recorded, status.store.is_full), (number, true));
    assert!(status.store.bytes <= 4 * MEBIBYTE && number > 20, "{number} events, {} bytes", status.store.bytes);

    fixture.sandbox.target().faults = "".parse().unwrap();
    fixture.wait_held("card", "visits", &number.to_string()).await;
    // Housekeeping hears of it by itself, and purges.
    let status = fixture.agent.wait_status(|status| !status.store.is_full || status.pending.profiles == 0).await;
    assert_eq!(status.events.recorded, number);
    let recorded =
        async { while fixture.agent.post(STRUCTURED, event.to_string()).await.status() != StatusCode::OK {} };
    tokio::time::timeout(crate::support::PATIENCE, recorded).await.expect("there is room again");
}

/// Records events of new customers while Target is away, until the store takes no more. Gives how many.
async fn fill_with_pending(fixture: &crate::support::Fixture) -> usize {
    for page in 0.. {
        let event = |number: usize| noted(&format!("{page}-{number}"), &format!("{page}-{number}"), "hello");
        let body = serde_json::Value::from((0..100).map(event).collect::<Vec<_>>()).to_string();
        match fixture.agent.post(crate::support::BATCH, body).await.status() {
            StatusCode::OK => {}
            status => {
                assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
                return 100 * page;
            }
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_store_full_of_what_waits_delivers_all_of_it() {
    use outpost::core::forwarding::route::Mode;
    // In the smallest the last percents hold less than an ordinary part of a batch, or of deliveries, takes.
    let sizes = [2 * MEBIBYTE, 4 * MEBIBYTE];
    for (mode, bytes) in sizes.into_iter().flat_map(|bytes| [(Mode::Single, bytes), (Mode::Bulk, bytes)]) {
        let mut forwarding = crate::support::rules(mode);
        forwarding.late_after = Some(Duration::from_secs(900));
        // No batch waits for more rows.
        forwarding.routes.bulk_above = 0;
        let setup = Setup { limits: small(bytes), forwarding, faults: "outage", ..Setup::default() };
        let fixture = setup.start().await;
        let count = fill_with_pending(&fixture).await;
        assert!(count > 1_000, "{count}");
        fixture.sandbox.target().faults = "".parse().unwrap();
        fixture.agent.wait_status(|status| status.pending.profiles == 0).await;
        let last = format!("{}-99", count / 100 - 1);
        for card in ["0-0", "5-50", &last] {
            assert_eq!(fixture.held(card, "note").as_deref(), Some("hello"), "{mode:?} {bytes} {card}");
        }
    }
}

#[tokio::test]
async fn an_agent_on_a_low_disk_answers_507_and_records_nothing() {
    let limits = StoreLimits { min_free_disk_bytes: u64::MAX, ..StoreLimits::default() };
    let fixture = Setup { limits, ..Setup::default() }.start().await;
    let response = fixture.agent.post(STRUCTURED, used("1", "7", "Lund", 1.0).to_string()).await;
    assert_eq!(response.status(), StatusCode::INSUFFICIENT_STORAGE);
    let problem: serde_json::Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("min_free_disk"), "{problem}");
    let status = fixture.agent.status().await;
    assert_eq!((status.events.recorded, status.store.is_full), (0, true));
}

const HOUR: Duration = Duration::from_secs(3_600);

fn shared(max_bytes: u64) -> StoreLimits {
    StoreLimits { shares_profiles: true, ..small(max_bytes) }
}

/// Records an event for each of so many customers, until one is refused.
fn fill_profiles(store: &mut Store, mappings: &Mappings, from: usize, count: usize) -> Result<(), StoreError> {
    let clock = Clock::new(None);
    for begin in (from..from + count).step_by(100) {
        let event = |number: usize| {
            let event = used(&number.to_string(), &format!("card-{number}"), "Lund", 1.0);
            cloudevents::structured(event.to_string().as_bytes()).unwrap()
        };
        record_directly(store, (begin..begin + 100).map(event).collect(), mappings, &clock)?;
    }
    Ok(())
}

/// Fills a store with profiles that are delivered, until purging events and their keys makes no room.
// A method of one lifetime is no closure over all.
#[allow(clippy::redundant_closure_for_method_calls)]
fn fill_delivered(store: &mut Store, mappings: &Mappings) {
    for round in 0..1_000 {
        let refused = fill_profiles(store, mappings, round * 1_000, 1_000).is_err();
        deliver(store);
        if refused || store.room().unwrap() != Room::Enough {
            purge(store, i64::MAX);
            while store.transact(|store| store.purge_keys()).unwrap() {}
            if store.room().unwrap() != Room::Enough {
                return;
            }
        }
    }
    panic!("the store should be full");
}

/// Purges profiles that were untouched until then, at a time, as housekeeping does. Gives how many went.
fn purge_profiles(store: &mut Store, now: Timestamp, untouched: Duration) -> usize {
    let mut purge = ProfilePurge { after: 0, before: now.minus(untouched), until: now.minus(25 * HOUR) };
    let mut purged = 0;
    loop {
        let step = store.transact(|store| store.purge_profiles(purge)).unwrap();
        purged += step.purged;
        match step.next {
            Some(next) => purge.after = next,
            None => return purged,
        }
    }
}

#[test]
fn a_store_full_of_delivered_profiles_takes_events_again_and_pending_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mappings = mappings(MAPPINGS);
    let mut store = Store::open_within(&path, shared(4 * MEBIBYTE)).unwrap();
    fill_profiles(&mut store, &mappings, 900_000_000, 100).unwrap();
    deliver(&mut store);
    // These have a value that Target does not have.
    let clock = Clock::new(None);
    for number in 900_000_000..900_000_050 {
        let event = used(&format!("again-{number}"), &format!("card-{number}"), "Oslo", 1.0);
        let parsed = vec![cloudevents::structured(event.to_string().as_bytes()).unwrap()];
        record_directly(&mut store, parsed, &mappings, &clock).unwrap();
    }
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            // In a batch, so that nothing below delivers them.
            "UPDATE profile SET batch_id = 1 WHERE pending_seq IS NOT NULL;
             INSERT INTO sends SELECT id, '{}' FROM profile;
             INSERT INTO sends VALUES (99999999, '{}');",
        )
        .unwrap();
    fill_delivered(&mut store, &mappings);
    rusqlite::Connection::open(&path).unwrap().execute_batch("UPDATE profile SET batch_id = NULL").unwrap();
    let pending = Reader::open(&path).unwrap().count_pending().unwrap();
    assert_eq!(pending.profiles, 50);

    let now = clock.now();
    assert_eq!(purge_profiles(&mut store, now.plus(24 * HOUR), 25 * HOUR), 0, "a write may take a day to show");
    assert_eq!(purge_profiles(&mut store, now.plus(26 * HOUR), 28 * HOUR), 0, "older ones go first");
    let purged = purge_profiles(&mut store, now.plus(26 * HOUR), 25 * HOUR);
    assert!(purged > 1_000, "{purged}");
    assert_eq!(store.counters().totals.profiles_purged, i64::try_from(purged).unwrap());
    assert_eq!(store.room().unwrap(), Room::Enough);
    assert_eq!(Reader::open(&path).unwrap().count_pending().unwrap(), pending);
    let left: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sends WHERE profile_id NOT IN (SELECT id FROM profile)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "what was sent of those that went is gone");
    fill_profiles(&mut store, &mappings, 500_000_000, 1_000).unwrap();
}

#[test]
fn profiles_whose_totals_are_counted_here_alone_are_never_purged() {
    let dir = tempfile::tempdir().unwrap();
    let mappings = mappings(MAPPINGS);
    let mut store = Store::open_within(&dir.path().join(FILE_NAME), small(4 * MEBIBYTE)).unwrap();
    let clock = Clock::new(None);
    fill_profiles(&mut store, &mappings, 0, 100).unwrap();
    let event = |number: usize| {
        let event = noted(&format!("note-{number}"), &format!("other-{number}"), "hello");
        cloudevents::structured(event.to_string().as_bytes()).unwrap()
    };
    record_directly(&mut store, (0..100).map(event).collect(), &mappings, &clock).unwrap();
    deliver(&mut store);
    let later = clock.now().plus(26 * HOUR);
    assert_eq!(purge_profiles(&mut store, later, 25 * HOUR), 99, "the notes, but for the newest profile");
    store.set_limits(shared(4 * MEBIBYTE)).unwrap();
    assert_eq!(purge_profiles(&mut store, later, 25 * HOUR), 100, "shared totals are read before they are sent");
}

#[test]
fn profiles_that_wait_or_were_rejected_or_will_be_read_back_are_never_purged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut store = Store::open_within(&path, shared(4 * MEBIBYTE)).unwrap();
    fill_profiles(&mut store, &mappings(MAPPINGS), 0, 100).unwrap();
    deliver(&mut store);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE profile SET batch_id = 1 WHERE id = 1;
             UPDATE profile SET look_at_ms = 1 WHERE id = 2;
             INSERT INTO verification (profile_id, due_at_ms) VALUES (3, 1);
             INSERT INTO rejected (rejected_at_ms, profile_id, attributes, reason, detail) VALUES (1, 4, '[]', 'x', 'x');
             UPDATE attribute SET is_own = 1 WHERE profile_id = 5 AND name = 'visits';
             UPDATE profile SET existence = 1, existence_at_ms = 9000000000000 WHERE id = 6;
             DELETE FROM verification WHERE profile_id > 3;",
        )
        .unwrap();
    assert_eq!(purge_profiles(&mut store, Clock::new(None).now().plus(26 * HOUR), 25 * HOUR), 100 - 7);
}

#[tokio::test]
async fn an_agent_on_a_store_full_of_delivered_profiles_makes_room_by_itself() {
    let limits = small(4 * MEBIBYTE);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let mut store = Store::open_within(&path, shared(4 * MEBIBYTE)).unwrap();
    fill_delivered(&mut store, &mappings(MAPPINGS));
    drop(store);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE attribute SET changed_at_ms = changed_at_ms - 93600000, delivered_at_ms = delivered_at_ms - 93600000;
             UPDATE profile SET existence_at_ms = existence_at_ms - 93600000;",
        )
        .unwrap();
    let mut forwarding = crate::support::rules(outpost::core::forwarding::route::Mode::Single);
    forwarding.late_after = Some(Duration::from_secs(900));
    let setup = Setup { limits, forwarding, store_key: None, ..Setup::default() };
    let agent = Running::start(&setup, dir.path(), "http://127.0.0.1:9", None).await;
    let status = agent.wait_status(|status| status.store.purged_profiles > 1_000).await;
    assert_eq!(status.pending.profiles, 0);
    let event = used("new", "new", "Lund", 1.0);
    let recorded = async { while agent.post(STRUCTURED, event.to_string()).await.status() != StatusCode::OK {} };
    tokio::time::timeout(crate::support::PATIENCE, recorded).await.expect("there is room again");
}

/// A store that has no room for the keys of old events says since when ids are known.
// A method of one lifetime is no closure over all.
#[allow(clippy::redundant_closure_for_method_calls)]
#[test]
fn a_store_that_forgot_old_ids_says_since_when_they_are_known() {
    /// Source: `keys.rs`, `GENERATION_EVENTS`: keys are forgotten together.
    const FORGOTTEN: usize = 1 << 17;
    let device = crate::device::Device::new();
    let data = device.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut store = Store::open(&data.join(FILE_NAME)).unwrap();
    let (mappings, clock) = (mappings(MAPPINGS), Clock::new(None));
    let event = |number: usize| {
        let event = used(&number.to_string(), &format!("card-{}", number % 50), "Lund", 1.0);
        cloudevents::structured(event.to_string().as_bytes()).unwrap()
    };
    let record = |store: &mut Store, numbers: std::ops::Range<usize>| {
        record_directly(store, numbers.map(event).collect(), &mappings, &clock).unwrap()
    };
    for begin in (0..FORGOTTEN).step_by(4_096) {
        record(&mut store, begin..begin + 4_096);
    }
    deliver(&mut store);
    let settled = clock.now();
    store.transact(|store| store.mark_settled(settled, Timestamp::default())).unwrap();
    record(&mut store, FORGOTTEN..FORGOTTEN + 100);
    deliver(&mut store);
    purge(&mut store, i64::MAX);
    assert_eq!(store.counters().totals.ids_known_since_ms, 0, "all are known");
    while store.transact(|store| store.purge_keys()).unwrap() {}
    let answers = record(&mut store, 0..1);
    assert_eq!(answers[0].status.name(), "recorded", "its id was forgotten");
    let answers = record(&mut store, FORGOTTEN + 50..FORGOTTEN + 51);
    assert_eq!(answers[0].status.name(), "duplicate");
    drop(store);
    let status: serde_json::Value = serde_json::from_str(&device.works(&["status", "--json"])).unwrap();
    assert_eq!(status["events"]["ids_known_since"], settled.to_string());
    let shown = settled.in_zone(&jiff::tz::TimeZone::UTC);
    assert!(device.works(&["status"]).contains(&format!("; ids known since {shown}")));
}
