//! Batches as the core makes them, with the real store: what goes in, and what follows from Target's answers.

use std::time::Duration;

use super::target_device::{Sender, alone, in_mode, settings};
use super::target_told::{complete, failing, lost, refused, unreachable};
use super::{BatchCame, ForwarderSettings, News, StoreFailed};
use crate::adobe::{BatchStatus, Outcome};
use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::Mode;
use crate::core::short_hash::short_hash;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A device whose customers have a visit each, and are not at Target.
fn with_missing(customers: usize) -> Sender {
    let mut it = Sender::new(settings());
    (1..=customers).for_each(|customer| it.visit(customer));
    for _ in 0..customers {
        assert!(it.next().starts_with("read"));
        it.missing();
    }
    it
}

fn submitted(it: &mut Sender, rows: usize) {
    it.batch(BatchCame::Submitted("/1".to_owned(), rows));
}

#[test]
fn profiles_that_target_does_not_have_go_in_one_batch_which_is_polled_until_it_is_complete() {
    let mut it = with_missing(3);
    assert_eq!(it.next(), "submit 3 visits");
    submitted(&mut it, 3);
    assert!(it.news.contains(&News::BatchSubmitted(3)));
    assert_eq!(it.next_within(MINUTE), "poll /1");
    it.batch(BatchCame::Incomplete);
    assert_eq!(it.next_within(MINUTE), "poll /1");
    it.take_done();
    it.batch(BatchCame::Complete(complete(3)));
    assert_eq!(it.settled(), ["end Complete"]);
    assert!(it.news.contains(&News::BatchEnded { delivered: 3, failed: 0 }));
    assert!(!it.news.iter().any(|news| matches!(news, News::RowsUnnamed(_))));
    assert_eq!(it.device.pending().profiles, 0);
    assert_eq!(it.next_within(HOUR), "quiet");
}

#[test]
fn rows_that_failed_without_a_name_are_told_and_none_is_taken_for_delivered() {
    let mut it = with_missing(3);
    it.next();
    submitted(&mut it, 3);
    it.next_within(MINUTE);
    it.batch(BatchCame::Complete(complete(2)));
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    assert!(it.news.contains(&News::RowsUnnamed(1)));
    assert!(!it.news.iter().any(|news| matches!(news, News::BatchEnded { delivered, .. } if *delivered > 0)));
    assert_eq!(it.device.pending().profiles, 3);
}

#[test]
fn a_batch_whose_answer_was_lost_ends_at_once_and_its_rows_are_read_back_before_they_go_again() {
    let mut it = with_missing(2);
    it.next();
    it.batch(BatchCame::Failed(lost()));
    assert!(it.settled().contains(&"end Lost".to_owned()));
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    it.found(&[("visits", "1", SECOND)]);
    assert_eq!(it.next_within(MINUTE), "send mbox3rdPartyId=customer 1&visits=1", "it is not counted twice");
    it.delivered();
    assert_eq!(it.next_within(MINUTE), "read customer 2");
    it.missing();
    assert_eq!(it.next_within(MINUTE), "submit 1 visits");
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_halved_until_the_row_is_alone() {
    let mut it = with_missing(2);
    assert_eq!(it.next(), "submit 2 visits");
    it.batch(BatchCame::Failed(refused(400)));
    assert!(it.news.contains(&News::BatchRefused(2)));
    assert_eq!(it.state(), LinkState::Online);
    for _ in 0..2 {
        assert!(it.next_within(MINUTE).starts_with("read"));
        it.missing();
    }
    assert_eq!(it.next_within(MINUTE), "submit 1 visits");
    it.batch(BatchCame::Failed(refused(400)));
    assert_eq!(it.next_within(MINUTE), "submit 1 visits");
    assert_eq!(it.device.rejected()[0].0, "refused_by_target");
    submitted(&mut it, 1);
    it.next_within(MINUTE);
    it.batch(BatchCame::Complete(complete(1)));
    it.settled();
    assert_eq!((it.device.rejected().len(), it.device.pending().profiles), (1, 0));
}

#[test]
fn a_batch_that_target_did_not_take_is_submitted_again_and_says_nothing_of_a_link_that_is_online() {
    let mut it = with_missing(1);
    it.next();
    assert_eq!(it.state(), LinkState::Online, "the profile was read");
    it.batch(BatchCame::Failed(failing()));
    assert_eq!(it.state(), LinkState::Online);
    assert_eq!(it.next_within(MINUTE), "submit 1 visits");
    it.batch(BatchCame::Failed(unreachable()));
    assert_eq!(it.state(), LinkState::Offline);
    assert_eq!(it.next_within(MINUTE), "submit 1 visits");
    it.batch(BatchCame::Failed(failing()));
    assert_eq!(it.state(), LinkState::Offline);
    assert_eq!(it.next_within(MINUTE), "submit 1 visits");
    submitted(&mut it, 1);
    assert_eq!(it.state(), LinkState::Online);
    it.next_within(MINUTE);
    it.batch(BatchCame::Failed(unreachable()));
    assert_eq!(it.state(), LinkState::Offline);
}

#[test]
fn a_batch_that_is_stuck_or_empty_is_released() {
    let mut stuck = with_missing(2);
    stuck.next();
    submitted(&mut stuck, 2);
    stuck.next_within(MINUTE);
    stuck.take_done();
    stuck.batch(BatchCame::Stuck);
    assert_eq!(stuck.next_within(MINUTE), "read customer 1");
    assert!(stuck.recorded().contains(&"end Released".to_owned()));
    assert!(!stuck.news.iter().any(|news| matches!(news, News::BatchEnded { .. })));
    assert!(stuck.news.contains(&News::BatchGivenUp(2, "Target got stuck with it")));
    assert_eq!(stuck.device.pending().profiles, 2);
    let mut empty = with_missing(1);
    empty.next();
    empty.take_done();
    empty.batch(BatchCame::Empty);
    empty.next();
    assert!(empty.recorded().contains(&"end Released".to_owned()));
}

#[test]
fn three_single_rows_refused_in_a_row_are_the_link_and_none_is_rejected() {
    let mut it = Sender::new(alone(in_mode(Mode::Bulk)));
    for customer in 1..=3 {
        it.visit(customer);
        assert_eq!(it.next_within(2 * MINUTE), "submit 1 visits");
        it.batch(BatchCame::Failed(refused(404)));
        it.settled();
    }
    assert_eq!(it.state(), LinkState::Blocked);
    assert_eq!((it.device.rejected().len(), it.device.pending().profiles), (0, 3));
}

#[test]
fn a_batch_with_rows_is_sent_at_once_as_it_is_when_the_store_has_no_room_for_more() {
    let mut it = Sender::new(alone(in_mode(Mode::Bulk)));
    it.visit(1);
    assert_eq!(it.next(), "submit 1 visits");
    submitted(&mut it, 1);
    it.visit(2);
    assert!(it.next().starts_with("wait"), "the next batch is being filled for a minute");
    it.store_fails = Some(StoreFailed::NoRoom);
    it.visit(3);
    assert_eq!(it.next(), "submit 1 visits");
    submitted(&mut it, 1);
    it.store_fails = None;
    let mut told = it.next_within(MINUTE);
    while told == "poll /1" {
        it.batch(BatchCame::Complete(complete(1)));
        told = it.next_within(2 * MINUTE);
    }
    assert_eq!(told, "submit 1 visits", "an ended batch makes room");
}

#[test]
fn rows_that_the_store_has_no_room_for_are_offered_in_half_the_number_down_to_one() {
    let mut it = Sender::new(ForwarderSettings { connections: 8, ..alone(in_mode(Mode::Bulk)) });
    it.next();
    (1..=8).for_each(|customer| it.visit(customer));
    it.store_fails = Some(StoreFailed::NoRoom);
    it.take_done();
    assert_eq!(it.next_within(MINUTE), "quiet");
    let offered: Vec<String> = it.take_done().into_iter().filter(|done| done.starts_with("add")).collect();
    let sizes = |sizes: &[usize]| sizes.iter().map(|size| format!("add {size} to None")).collect::<Vec<_>>();
    assert_eq!(offered, sizes(&[8, 8, 8, 8, 8, 8, 8, 8, 8, 4, 2, 1, 1, 1, 1]));
    it.store_fails = None;
    assert_eq!(it.next_within(MINUTE), "submit 8 visits");
}

#[test]
fn a_store_that_fails_is_left_alone_for_the_backoff_and_a_step_of_a_batch_comes_again() {
    let mut it = with_missing(1);
    it.next();
    submitted(&mut it, 1);
    it.next_within(MINUTE);
    it.take_done();
    it.chance = 1.0;
    it.store_fails = Some(StoreFailed::Other);
    it.batch(BatchCame::Complete(complete(1)));
    assert_eq!(it.next(), "wait 1000 ms");
    it.store_fails = None;
    it.settled();
    assert_eq!(it.next_within(MINUTE), "quiet");
    assert_eq!(it.device.pending().profiles, 0);
}

#[test]
fn rows_of_more_than_a_million_a_day_wait() {
    let mut it = Sender::new(alone(in_mode(Mode::Bulk)));
    it.visit(1);
    it.next();
    submitted(&mut it, 999_999);
    it.next_within(MINUTE);
    it.batch(BatchCame::Complete(complete(999_999)));
    it.settled();
    (2..=3).for_each(|customer| it.visit(customer));
    assert_eq!(it.next_within(5 * MINUTE), "quiet");
    assert!(it.news.iter().any(|news| matches!(news, News::Rows(Some(_)))));
    assert_eq!(it.next_within(25 * HOUR), "submit 2 visits");
    submitted(&mut it, 2);
    assert_eq!(it.news.last(), Some(&News::Rows(None)));
}

#[test]
fn rows_that_were_not_read_are_released_once_reading_is_possible() {
    let mut it = Sender::new(in_mode(Mode::Bulk));
    it.set(1, "city", "Lund");
    it.reads_open_in = Some(HOUR);
    assert_eq!(it.next(), "submit 1 city");
    assert!(it.news.contains(&News::Reads(Some("the reads of 24 hours are spent".to_owned()))));
    it.batch(BatchCame::Failed(failing()));
    it.reads_open_in = None;
    it.take_done();
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    assert!(it.take_done().contains(&"end Released".to_owned()));
    assert!(it.news.contains(&News::Reads(None)));
}

#[test]
fn a_batch_that_is_refused_with_one_row_that_is_too_large_is_refused_as_too_large() {
    let mut it = with_missing(1);
    it.next();
    it.batch(BatchCame::Failed(Outcome::TooLarge));
    it.settled();
    assert_eq!(it.device.rejected()[0].0, "too_large");
}

#[test]
fn a_poll_that_is_refused_says_nothing_of_the_rows() {
    let mut it = with_missing(1);
    it.next();
    submitted(&mut it, 1);
    for _ in 0..5 {
        assert_eq!(it.next_within(MINUTE), "poll /1");
        it.batch(BatchCame::Failed(refused(404)));
    }
    assert_eq!(it.next_within(HOUR), "poll /1");
    let failed = BatchStatus { failed: [short_hash("customer 1")].into(), named: 1, failed_count: 1, ..complete(0) };
    it.batch(BatchCame::Complete(failed));
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    assert!(it.news.contains(&News::BatchEnded { delivered: 0, failed: 1 }));
    assert_eq!(it.device.rejected().len(), 0);
}
