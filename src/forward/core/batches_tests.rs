//! The rules of batches alone: what they take, when each is sent, polled and given up, and what waits for that.

use std::time::Duration;

use super::batches::{Batches, Next, NotTaken, Step};
use super::open_batch::{Outlook, Stage};
use super::types::Moment;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::identity::IdentityKind;
use crate::core::limits::{BATCH_INCOMPLETE_MAX, BATCH_INTERVAL, BATCH_ROWS_MAX, READING_AGE_MAX};
use crate::core::timestamp::Timestamp;
use crate::forward::judge::Row;
use crate::store::{BatchHead, BatchState, Ending, RowAttribute};

const KIND: IdentityKind = IdentityKind::ThirdPartyId;
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const TICK: Duration = Duration::from_millis(1);
const HOUR: Duration = secs(3_600);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn outlook(now: Duration) -> Outlook {
    Outlook {
        now,
        quota: START.plus(now),
        is_read: true,
        bulk_above: 1_000,
        may_send: true,
        can_batch: true,
        read_back_at: START,
    }
}

fn row(read_at: Option<Duration>) -> Row {
    Row { attributes: vec![RowAttribute("visits".to_owned(), "7".to_owned(), 1, None, None)], read_at }
}

fn resumed(heads: Vec<BatchHead>) -> Batches {
    let quota = QuotaTime { at: START, wall: START };
    Batches::resume(heads, Moment { elapsed: Duration::ZERO, wall: START, quota, reads_open_in: None }, START)
}

/// Adds a batch with so many rows at that time.
fn fill(batches: &mut Batches, id: i64, rows: usize, now: Duration, read_at: Option<Duration>) {
    let mut open = batches.take_filling(KIND, 2, now);
    open.head.id = id;
    (0..rows).for_each(|profile| assert!(open.add(profile as i64, "key", &row(read_at), BATCH_ROWS_MAX)));
    batches.put_back(open);
}

/// The batch 1 with so many rows at the time zero.
fn filled(rows: usize) -> Batches {
    let mut batches = resumed(Vec::new());
    fill(&mut batches, 1, rows, Duration::ZERO, Some(Duration::ZERO));
    batches
}

fn submit(batches: &mut Batches, id: i64, rows: usize, now: Duration) {
    batches.start(id, &Step::Submit, now, START);
    batches.submitted(id, format!("/{id}"), rows, now, START.plus(now));
}

/// Returns when the next step is, with its kind: submit, poll, or how it ends.
fn due(batches: &mut Batches, outlook: Outlook) -> (Duration, &'static str) {
    let ending = |ending: &Ending| match ending {
        Ending::Released => "released",
        Ending::Lost { .. } => "lost",
        _ => "other",
    };
    match batches.next(outlook) {
        Next::Nothing => (Duration::MAX, "nothing"),
        Next::WaitUntil(until) => (until, "wait"),
        Next::Now(_, Step::Submit) => (outlook.now, "submit"),
        Next::Now(_, Step::Poll(_)) => (outlook.now, "poll"),
        Next::Now(_, Step::End(how, _)) => (outlook.now, ending(&how)),
    }
}

/// Checks that nothing is due before a time, and that then it is this.
fn check_due(batches: &mut Batches, at: Duration, what: &'static str, outlook: impl Fn(Duration) -> Outlook) {
    if let Some(before) = at.checked_sub(TICK) {
        assert_eq!(due(batches, outlook(before)), (at, "wait"), "before {what} at {at:?}");
    }
    assert_eq!(due(batches, outlook(at)), (at, what));
}

#[test]
fn a_batch_is_closed_with_its_last_row_and_knows_its_oldest_reading() {
    let mut open = resumed(Vec::new()).take_filling(KIND, 2, Duration::ZERO);
    assert!(open.add(7, "a", &row(Some(secs(9))), 4));
    assert_eq!((open.sole, open.read_at, open.has_unread), (Some(7), Some(secs(9)), false));
    assert!(open.add(8, "b", &row(Some(secs(5))), 4));
    assert_eq!((open.sole, open.read_at, open.head.rows), (None, Some(secs(5)), 2));
    assert!(matches!(open.stage, Stage::Filling));
    (9..=10).for_each(|profile| assert!(open.add(profile, "c", &row(None), 4)));
    assert_eq!((open.read_at, open.has_unread), (Some(secs(5)), true));
    assert!(matches!(open.stage, Stage::Closed) && !open.add(11, "d", &row(None), 4));
    assert_eq!((open.head.rows, open.names()), (4, vec!["visits".to_owned()]));
}

#[test]
fn rows_are_released_when_a_reading_is_too_old_and_unread_ones_after_an_hour() {
    let blocked = |now| Outlook { may_send: false, ..outlook(now) };
    let mut read = resumed(Vec::new());
    fill(&mut read, 1, 2, secs(30), Some(secs(10)));
    check_due(&mut read, secs(10) + READING_AGE_MAX, "released", blocked);
    let mut unread = resumed(Vec::new());
    fill(&mut unread, 1, 2, secs(30), None);
    check_due(&mut unread, secs(30) + HOUR, "released", blocked);
    let mut empty = filled(0);
    assert_eq!(due(&mut empty, blocked(HOUR * 9)), (Duration::MAX, "nothing"));
    // Too old, they are not sent either.
    assert_eq!(due(&mut filled(2), outlook(READING_AGE_MAX)), (READING_AGE_MAX, "released"));
}

#[test]
fn without_batches_rows_are_released_and_what_was_submitted_is_lost_at_the_first_failure() {
    let none = |now| Outlook { can_batch: false, ..outlook(now) };
    assert_eq!(due(&mut filled(1), none(Duration::ZERO)).1, "released");
    assert_eq!(due(&mut filled(0), none(Duration::ZERO)).1, "nothing");
    let mut batches = filled(1);
    submit(&mut batches, 1, 1, Duration::ZERO);
    assert_eq!(due(&mut batches, none(secs(1))).1, "poll");
    batches.poll_failed(1, false, secs(1), 1.0);
    assert_eq!(due(&mut batches, none(secs(1))).1, "lost");
}

#[test]
fn a_submitted_batch_is_lost_after_a_day_or_ten_times_unknown_in_a_row() {
    let mut batches = filled(1);
    submit(&mut batches, 1, 1, secs(5));
    let blocked = |now| Outlook { may_send: false, ..outlook(now) };
    check_due(&mut batches, secs(5) + BATCH_INCOMPLETE_MAX, "lost", blocked);
    let mut batches = filled(1);
    submit(&mut batches, 1, 1, Duration::ZERO);
    (0..9).for_each(|_| batches.poll_failed(1, true, Duration::ZERO, 1.0));
    batches.incomplete(1, Duration::ZERO);
    (0..9).for_each(|_| batches.poll_failed(1, true, Duration::ZERO, 1.0));
    (0..9).for_each(|_| batches.poll_failed(1, false, Duration::ZERO, 1.0));
    assert_eq!(due(&mut batches, outlook(HOUR)).1, "poll");
    batches.poll_failed(1, true, HOUR, 1.0);
    assert_eq!(due(&mut batches, outlook(HOUR)).1, "lost");
}

#[test]
fn polls_come_less_and_less_often_and_after_failures_by_the_backoff() {
    let mut batches = filled(1);
    submit(&mut batches, 1, 1, Duration::ZERO);
    let mut now = Duration::ZERO;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        now += secs(wait);
        check_due(&mut batches, now, "poll", outlook);
        batches.incomplete(1, now);
    }
    now += secs(300);
    for wait in [1, 4, 16] {
        batches.poll_failed(1, false, now, 1.0);
        now += secs(wait);
        check_due(&mut batches, now, "poll", outlook);
    }
    batches.incomplete(1, now);
    batches.poll_failed(1, false, now, 1.0);
    check_due(&mut batches, now + secs(1), "poll", outlook);
    batches.store_failed(1, now, 1.0);
    check_due(&mut batches, now + secs(4), "poll", outlook);
}

#[test]
fn a_batch_is_sent_at_once_if_it_is_large_and_otherwise_when_the_outbox_is_read_or_two_minutes_have_passed() {
    let unread = |now| Outlook { is_read: false, ..outlook(now) };
    check_due(&mut filled(1), secs(120), "submit", unread);
    check_due(&mut filled(1_001), secs(120), "submit", unread);
    assert_eq!(due(&mut filled(1), outlook(Duration::ZERO)).1, "submit");
    // Small ones are apart in time.
    let after_another = |rows| {
        let mut batches = filled(1);
        submit(&mut batches, 1, 1, Duration::ZERO);
        batches.end(1, Ending::Released, BatchState::Complete);
        batches.ended(1, Duration::ZERO, 1.0);
        fill(&mut batches, 2, rows, secs(1), Some(secs(1)));
        batches
    };
    check_due(&mut after_another(1_000), BATCH_INTERVAL, "submit", outlook);
    assert_eq!(due(&mut after_another(1_001), outlook(secs(1))).1, "submit");
    check_due(&mut after_another(1), secs(121), "submit", unread);
    // While batches are halved there is no pause between them.
    let mut halved = filled(10);
    halved.start(1, &Step::Submit, Duration::ZERO, START);
    halved.not_taken(1, NotTaken::Halve, Duration::ZERO, 1.0);
    assert_eq!((halved.rows_max(), due(&mut halved, outlook(Duration::ZERO)).1), (5, "released"));
    halved.ended(1, Duration::ZERO, 1.0);
    fill(&mut halved, 2, 5, secs(1), Some(secs(1)));
    assert_eq!(due(&mut halved, outlook(secs(1))).1, "submit");
    submit(&mut halved, 2, 5, secs(1));
    assert_eq!(halved.rows_max(), 10, "an accepted one doubles what the next may hold");
}

#[test]
fn thirty_calls_a_minute_are_made_and_one_job_at_a_time() {
    let mut batches = filled(1);
    submit(&mut batches, 1, 1, Duration::ZERO);
    for call in 1..30 {
        assert_eq!(due(&mut batches, outlook(secs(call))).1, "poll", "{call}");
        batches.start(1, &Step::Poll(String::new()), secs(call), START);
        assert!(batches.is_busy() && due(&mut batches, outlook(secs(call))).1 == "nothing");
        batches.store_failed(1, Duration::ZERO, 0.0);
    }
    assert_eq!(due(&mut batches, outlook(secs(59))), (secs(60), "wait"));
    assert_eq!(due(&mut batches, outlook(secs(60))).1, "poll");
}

#[test]
fn while_one_batch_tries_whether_any_is_taken_no_other_is_filled() {
    let mut batches = filled(200);
    assert_eq!((batches.opens_at(Duration::ZERO), batches.rows_max()), (None, BATCH_ROWS_MAX));
    batches.start(1, &Step::Submit, Duration::ZERO, START);
    batches.not_taken(1, NotTaken::Again, Duration::ZERO, 1.0);
    batches.start(1, &Step::Submit, secs(1), START);
    batches.not_taken(1, NotTaken::Again, secs(1), 1.0);
    check_due(&mut batches, secs(5), "submit", outlook);
    assert_eq!((batches.opens_at(secs(1)), batches.rows_max(), batches.filling_rows()), (Some(secs(5)), 100, 200));
    assert_eq!(batches.opens_at(secs(5)), Some(secs(6)), "its answer is waited for");
    submit(&mut batches, 1, 150, secs(5));
    assert_eq!((batches.opens_at(secs(5)), batches.rows_max(), batches.filling_rows()), (None, BATCH_ROWS_MAX, 0));
    assert_eq!(batches.get(1).map(|open| open.head.rows), Some(150), "as many as were in the file");
}

#[test]
fn what_waited_in_vain_waits_longer_and_what_was_accepted_does_not() {
    let end = |batches: &mut Batches| {
        batches.end(1, Ending::Released, BatchState::GivenUp);
        batches.ended(1, secs(10), 1.0);
        batches.opens_at(secs(10))
    };
    let mut refused = filled(1);
    refused.not_taken(1, NotTaken::Again, Duration::ZERO, 1.0);
    assert_eq!(end(&mut refused), Some(secs(10 + 16)));
    let mut accepted = filled(1);
    submit(&mut accepted, 1, 1, Duration::ZERO);
    accepted.poll_failed(1, false, Duration::ZERO, 1.0);
    assert_eq!(end(&mut accepted), None);
    assert_eq!(end(&mut filled(1)), None);
    let mut lost = filled(1);
    lost.lost(1, START, Duration::ZERO, 1.0);
    lost.lost(1, START, Duration::ZERO, 1.0);
    assert_eq!((lost.opens_at(secs(1)), due(&mut lost, outlook(secs(1))).1), (Some(secs(4)), "lost"));
    let mut spent = filled(1);
    spent.rows_spent(1, secs(1));
    assert_eq!((spent.opens_at(secs(1)), due(&mut spent, outlook(secs(1))).1), (Some(secs(601)), "released"));
    let mut full = filled(1);
    full.no_room(secs(1));
    assert_eq!((full.opens_at(secs(1)), full.opens_at(secs(6))), (Some(secs(6)), None));
    full.no_room(secs(9));
    assert_eq!(end(&mut full), None, "a batch that ends makes room");
}

#[test]
fn rows_that_could_not_be_read_are_released_once_they_can_be_except_those_of_a_job() {
    let mut batches = resumed(Vec::new());
    fill(&mut batches, 1, 1, Duration::ZERO, None);
    batches.start(1, &Step::Submit, Duration::ZERO, START);
    fill(&mut batches, 2, 1, Duration::ZERO, None);
    batches.release_unread();
    let is_ending = |batches: &Batches, id| batches.get(id).is_some_and(|open| matches!(open.stage, Stage::Ending(..)));
    assert!(!is_ending(&batches, 1) && is_ending(&batches, 2));
    let mut read = filled(1);
    read.release_unread();
    assert!(!is_ending(&read, 1));
}

#[test]
fn a_batch_takes_rows_of_its_kind_until_it_is_sent() {
    let mut batches = filled(1);
    assert_eq!(batches.take_filling(IdentityKind::PcId, 2, Duration::ZERO).head.id, 0);
    assert_eq!(batches.take_filling(KIND, 1, Duration::ZERO).head.id, 0);
    let open = batches.take_filling(KIND, 2, Duration::ZERO);
    assert_eq!((open.head.id, batches.get(1).is_none()), (1, true));
    batches.put_back(open);
    assert!(!batches.is_submitted(1));
    batches.start(1, &Step::End(Ending::Released, BatchState::GivenUp), Duration::ZERO, START);
    assert_eq!(batches.take_filling(KIND, 2, Duration::ZERO).head.id, 0, "a job is running on it");
    submit(&mut batches, 1, 1, Duration::ZERO);
    assert!(batches.is_submitted(1) && batches.take_filling(KIND, 2, Duration::ZERO).head.id == 0);
}

#[test]
fn after_a_start_each_batch_goes_on_from_what_is_known_of_it() {
    let head = |state, target_id: Option<&str>| {
        let open = resumed(Vec::new()).take_filling(KIND, 2, Duration::ZERO);
        BatchHead { id: 1, state, target_id: target_id.map(str::to_owned), ..open.head }
    };
    let next = |head| due(&mut resumed(vec![head]), outlook(Duration::ZERO)).1;
    assert_eq!(next(head(BatchState::Submitted, Some("/1"))), "poll");
    assert_eq!(next(head(BatchState::Filling, None)), "released");
    assert_eq!(next(head(BatchState::Submitting, None)), "lost");
}
