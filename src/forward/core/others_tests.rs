//! Values that others write beside this device, with the real store: what gives way, and what is written again.

use std::time::Duration;

use super::target_device::{Sender, in_mode, settings};
use super::target_told::{failing, lost};
use super::{BatchCame, Input};
use crate::adobe::{FetchedProfile, Outcome, Reply};
use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::Mode;
use crate::core::limits::{QUOTA_WINDOW, READ_BACK_FIRST};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A device whose late value had no answer.
fn with_lost_city() -> Sender {
    let mut it = Sender::new(settings());
    it.set(1, "city", "Lund");
    it.pass(HOUR);
    assert_eq!(it.next(), "read customer 1");
    it.found(&[]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&city=Lund");
    it.answered(lost());
    it
}

#[test]
fn where_a_lost_attempt_overwrites_late_what_others_wrote_their_value_is_written_again() {
    let mut it = with_lost_city();
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    it.found(&[("city", "Malmö", SECOND)]);
    assert_eq!(it.next_within(MINUTE), "quiet");
    assert_eq!(it.device.pending().attributes, 0, "it gave way");
    assert_eq!(it.next_within(READ_BACK_FIRST), "read customer 1");
    it.found(&[("city", "Lund", MINUTE)]);
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    it.found(&[("city", "Lund", MINUTE)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&city=Malmö");
    it.delivered();
    assert_eq!(it.next_within(MINUTE), "quiet");
    assert_eq!(it.device.pending().attributes, 0);
}

#[test]
fn a_value_that_cannot_be_read_back_has_neither_arrived_nor_got_lost() {
    let mut it = with_lost_city();
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    it.found(&[("city", "Lund", SECOND)]);
    it.next_within(MINUTE);
    it.delivered();
    it.settled();
    assert_eq!(it.next_within(READ_BACK_FIRST), "read customer 1");
    let found = FetchedProfile { unreadable: ["city".to_owned()].into(), ..FetchedProfile::default() };
    let profile_id = it.asked.pop().expect("asked");
    it.take(Input::Read(profile_id, Reply::Found(found), None));
    let told = it.settled();
    assert!(told[0].starts_with("read back: arrived 0 lost []"), "{told:?}");
}

#[test]
fn while_no_batch_is_taken_single_updates_go_on() {
    let mut it = Sender::new(settings());
    it.visit(2);
    it.next();
    it.found(&[]);
    it.next();
    it.delivered();
    it.settled();
    it.visit(1);
    assert_eq!(it.next(), "read customer 1");
    it.missing();
    assert_eq!(it.next(), "submit 1 visits");
    it.batch(BatchCame::Failed(failing()));
    it.visit(2);
    assert_eq!(it.next(), "read customer 2");
    it.found(&[("visits", "1", SECOND)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 2&visits=2");
}

#[test]
fn after_the_token_was_refused_profiles_are_read_again_though_reading_was_denied_before() {
    let mut it = Sender::new(in_mode(Mode::Single));
    it.visit(1);
    while it.next_within(10 * MINUTE) == "read customer 1" {
        it.denied();
    }
    it.answered(Outcome::Unauthorized("status 401".to_owned()));
    assert_eq!(it.state(), LinkState::Paused);
    assert_eq!(it.next_within(10 * MINUTE), "read customer 1");
}

#[test]
fn an_update_that_is_too_large_waits_for_the_quota_where_no_request_is_left_for_its_halves() {
    let mut limited = in_mode(Mode::Auto);
    limited.updates_per_day = 1;
    let mut it = Sender::new(limited);
    ["a", "b"].iter().for_each(|name| it.set(1, name, "1"));
    it.pass(HOUR);
    it.next();
    it.found(&[]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&a=1&b=1");
    it.answered(Outcome::TooLarge);
    assert_eq!(it.next_within(QUOTA_WINDOW - HOUR), "quiet");
    let waits = it.core().take_waits().expect("one waits");
    assert_eq!(waits.values().map(|(why, _)| *why).collect::<Vec<_>>(), ["the quota of 24 hours is spent"]);
    assert!(it.next_within(2 * HOUR).starts_with("read customer 1"));
}
