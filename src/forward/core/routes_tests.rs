//! The routes that claims take, with the real store: by the backlog, the quota, what was read, and both clocks.

use std::time::Duration;

use super::target_device::{Sender, alone, in_mode, settings};
use super::target_told::{complete, failing};
use super::{Action, BatchCame, Input, News};
use crate::adobe::{FetchedProfile, Reply};
use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::{Mode, Route};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A device with so many customers of a visit each, that Target has.
fn with_known(customers: usize, bulk_above: usize, updates_per_day: u64) -> Sender {
    let mut changed = settings();
    changed.rules.routes.bulk_above = bulk_above;
    changed.updates_per_day = updates_per_day;
    let mut it = Sender::new(changed);
    (1..=customers).for_each(|customer| it.visit(customer));
    it
}

#[test]
fn more_profiles_than_bulk_above_go_in_one_batch_though_target_has_them_and_as_many_do_not() {
    let mut above = with_known(4, 3, 1_000);
    for _ in 0..4 {
        assert!(above.next().starts_with("read"));
        above.found(&[("visits", "5", HOUR)]);
    }
    assert_eq!(above.next(), "submit 4 visits");
    assert!(above.news.contains(&News::Routed(Route::BulkBacklog)));
    let mut within = with_known(3, 3, 1_000);
    assert!(within.next().starts_with("read"));
    within.found(&[("visits", "5", HOUR)]);
    assert!(within.next().starts_with("send"));
}

#[test]
fn once_the_quota_is_spent_what_target_has_goes_in_a_batch_with_what_was_read() {
    let mut it = with_known(3, 1_000, 1);
    assert_eq!(it.next(), "read customer 1");
    it.found(&[("visits", "5", HOUR)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=6");
    it.delivered();
    for customer in 2..=3 {
        assert_eq!(it.next_within(SECOND), format!("read customer {customer}"));
        it.found(&[("visits", "5", HOUR), ("city", "Lund", HOUR)]);
    }
    assert_eq!(it.next_within(MINUTE), "submit 2 city,visits", "a batch would remove what others wrote");
    assert!(it.news.contains(&News::Routed(Route::BulkQuota)));
    assert!(it.asks.last().is_some_and(|ask| ask.goes_in_batch));
    it.batch(BatchCame::Submitted("/1".to_owned(), 2));
    it.next_within(MINUTE);
    it.batch(BatchCame::Complete(complete(2)));
    it.settled();
    assert_eq!(it.device.pending().profiles, 0);
}

#[test]
fn in_mode_bulk_a_set_alone_is_read_first_because_a_batch_removes_what_it_does_not_name() {
    let mut it = Sender::new(in_mode(Mode::Bulk));
    it.set(1, "lastStore", "Lund");
    assert_eq!(it.next(), "read customer 1");
    assert!(it.asks.iter().all(|ask| ask.goes_in_batch));
    it.found(&[("lastTopic", "parcel", HOUR), ("empty", "", HOUR)]);
    assert_eq!(it.next(), "submit 1 lastStore,lastTopic");
    let mut unshared = Sender::new(alone(in_mode(Mode::Bulk)));
    unshared.set(1, "lastStore", "Lund");
    assert_eq!(unshared.next(), "submit 1 lastStore");
}

#[test]
fn a_profile_with_others_attributes_that_cannot_be_read_goes_alone_and_never_in_a_batch() {
    let unreadable = |it: &mut Sender| {
        let found = FetchedProfile { unreadable: ["theirs".to_owned()].into(), ..FetchedProfile::default() };
        let profile_id = it.asked.pop().expect("asked");
        it.take(Input::Read(profile_id, Reply::Found(found), None));
    };
    let mut auto = with_known(4, 3, 1_000);
    assert_eq!(auto.next(), "read customer 1");
    unreadable(&mut auto);
    assert!(auto.next().starts_with("send mbox3rdPartyId=customer 1&visits=1"));
    let mut bulk = Sender::new(in_mode(Mode::Bulk));
    bulk.visit(1);
    bulk.next();
    unreadable(&mut bulk);
    assert_eq!(bulk.settled(), ["settle delivered [] Some(Yes) reads 1"]);
    assert_eq!((bulk.device.pending().profiles, bulk.core().take_waits().map(|waits| waits.len())), (1, Some(1)));
}

#[test]
fn the_time_of_an_event_is_put_on_target_s_clock_before_it_is_compared() {
    let mut it = Sender::new(settings());
    it.date = Some(it.moment().wall.minus(HOUR));
    it.visit(1);
    it.next();
    it.found(&[]);
    it.next();
    it.delivered();
    it.settled();
    it.visit(1);
    it.set(1, "city", "Lund");
    it.next();
    // By this device's clock Malmö is older than Lund, by Target's it is newer.
    it.found(&[("visits", "1", HOUR), ("city", "Malmö", HOUR / 2)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=2");
    it.delivered();
    it.settled();
    assert_eq!(it.device.pending().attributes, 0, "what gave way is not pending");
}

#[test]
fn what_was_recorded_and_not_sent_is_known_from_outside_until_it_is_sent() {
    let mut it = Sender::new(settings());
    it.visit(1);
    it.next();
    it.found(&[]);
    let at = it.moment();
    let Action::Note(notes) = it.core().next(at) else { panic!("a note") };
    it.take(Input::Noted(vec![notes[0].0], Ok(())));
    let unsent = it.core().noted_unsent();
    assert_eq!(unsent.len(), 1);
    assert_eq!(unsent[0].1, [("visits".to_owned(), "1".to_owned())]);
    assert!(it.next().starts_with("send"));
    assert!(it.core().noted_unsent().is_empty());
}

#[test]
fn rows_that_wait_for_a_batch_are_released_at_a_stop_with_what_was_read() {
    let mut it = Sender::new(settings());
    it.visit(1);
    it.next();
    it.missing();
    let at = it.moment();
    it.core().stop(at);
    assert_eq!(it.next(), "wait");
    assert_eq!(it.device.pending().profiles, 1);
    assert!(!it.core().is_busy() && it.core().may_have_more());
}

#[test]
fn while_updates_fail_a_read_is_no_sign_of_the_link_unless_nothing_is_left_to_send() {
    let mut it = Sender::new(settings());
    it.visit(1);
    for _ in 0..3 {
        assert_eq!(it.next_within(HOUR), "read customer 1");
        it.found(&[]);
        assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=1");
        it.answered(failing());
    }
    assert_eq!(it.state(), LinkState::Offline);
    it.set(2, "city", "Lund");
    it.pass(HOUR);
    assert_eq!(it.next(), "read customer 2");
    assert_eq!(it.state(), LinkState::Offline);
    it.found(&[("city", "Malmö", MINUTE)]);
    assert_eq!(it.state(), LinkState::Online);
}

#[test]
fn rows_that_wait_for_a_batch_and_what_is_pending_count_together_against_bulk_above() {
    let mut it = with_known(0, 3, 1_000);
    let add = |it: &mut Sender, customers: std::ops::RangeInclusive<usize>| {
        customers.clone().for_each(|customer| it.visit(customer));
        customers.for_each(|customer| assert_eq!(it.next(), format!("read customer {customer}")));
        it.asked.reverse();
    };
    add(&mut it, 1..=1);
    it.missing();
    assert_eq!(it.next(), "submit 1 visits");
    it.batch(BatchCame::Submitted("/1".to_owned(), 1));
    add(&mut it, 2..=3);
    (0..2).for_each(|_| it.missing());
    assert!(it.next().starts_with("wait"), "two rows wait for the next batch");
    add(&mut it, 4..=5);
    (0..2).for_each(|_| it.found(&[]));
    assert_eq!(it.next(), "submit 4 visits");
    assert!(it.news.contains(&News::Routed(Route::BulkBacklog)));
}
