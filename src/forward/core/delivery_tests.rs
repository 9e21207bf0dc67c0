//! Deliveries of single updates and of the Delivery API, with the real store: what is read, sent, recorded and read back.

use std::time::Duration;

use super::News;
use super::target_device::{Sender, alone, in_mode, settings};
use super::target_told::{failing, lost, refused, unreachable};
use crate::adobe::Outcome;
use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::Mode;
use crate::core::limits::QUOTA_WINDOW;
use crate::core::operation::Operation;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A device whose customer 1 is at Target with five visits, of which this device knows nothing.
fn with_visit() -> Sender {
    let mut it = Sender::new(settings());
    it.visit(1);
    assert_eq!(it.next(), "read customer 1");
    it
}

#[test]
fn a_total_is_read_noted_sent_and_settled_with_what_it_cost() {
    let mut it = with_visit();
    it.found(&[("visits", "5", HOUR)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=6");
    assert!(it.take_done().contains(&"note 1".to_owned()));
    it.delivered();
    let told = "settle delivered [0] Some(SingleKnown) Some(Yes) reads 1 requests 1 quota 1 updates 1";
    assert_eq!(it.settled(), [told]);
    assert_eq!(it.next_within(3 * HOUR), "quiet");
    assert_eq!(it.device.pending().profiles, 0);
}

#[test]
fn after_a_lost_answer_the_same_value_goes_again_and_is_read_back_after_70_and_150_minutes() {
    let mut it = with_visit();
    it.found(&[("visits", "5", HOUR)]);
    it.next();
    let sent_at = it.device.now;
    it.answered(lost());
    let told =
        "settle delivered [] Some(SingleKnown) Some(Yes) reads 1 requests 1 quota 1 read back (4200s, Ambiguous) log";
    assert_eq!(it.settled(), [told]);
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    it.found(&[("visits", "5", HOUR + SECOND)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=6", "the lost one is not counted twice");
    it.delivered();
    assert!(it.settled()[0].starts_with("settle delivered [0]"));
    assert_eq!(it.next_within(2 * HOUR), "read customer 1");
    assert_eq!(it.device.now - sent_at, 70 * MINUTE);
    it.found(&[("visits", "6", 70 * MINUTE)]);
    assert_eq!(it.settled(), ["read back: arrived 1 lost [] again Some(4800s)"]);
    assert_eq!(it.next_within(2 * HOUR), "read customer 1");
    assert_eq!(it.device.now - sent_at, 150 * MINUTE);
    it.found(&[("visits", "6", 150 * MINUTE)]);
    assert_eq!(it.settled(), ["read back: arrived 1 lost [] again None"]);
    assert_eq!(it.next_within(24 * HOUR), "quiet");
}

#[test]
fn a_value_that_did_not_arrive_is_pending_again_and_goes_again() {
    let mut it = with_visit();
    it.found(&[]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=1");
    it.answered(lost());
    it.settled();
    assert_eq!(it.next_within(MINUTE), "read customer 1");
    it.found(&[]);
    it.next();
    it.delivered();
    it.settled();
    assert_eq!(it.next_within(2 * HOUR), "read customer 1");
    it.found(&[]);
    assert_eq!(it.next_within(SECOND), "read customer 1", "it is claimed at once");
    assert!(it.news.contains(&News::NotArrived(1)));
    it.found(&[]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=1");
}

#[test]
fn where_only_this_device_writes_a_lost_answer_sends_the_state_once_more_without_reading() {
    let mut it = Sender::new(alone(in_mode(Mode::Single)));
    it.visit(1);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=1");
    it.answered(lost());
    let told = "settle delivered [] Some(SingleMode) requests 1 quota 1 read back (4200s, Ambiguous)";
    assert_eq!(it.settled(), [told]);
    assert_eq!(it.next_within(MINUTE), "send mbox3rdPartyId=customer 1&visits=1");
    it.delivered();
    let told = "settle delivered [0] Some(SingleMode) requests 1 quota 1 updates 1 unconfirmed 1";
    assert_eq!(it.settled(), [told]);
    assert_eq!(it.next_within(2 * HOUR), "send mbox3rdPartyId=customer 1&visits=1");
    assert!(it.take_done().contains(&r#"read back: arrived 0 lost [("visits", 1)] again None"#.to_owned()));
    it.delivered();
    it.settled();
    assert_eq!(it.next_within(3 * HOUR), "quiet");
}

#[test]
fn what_is_refused_is_not_in_the_log_so_that_the_next_value_builds_on_what_target_has() {
    let mut it = with_visit();
    it.found(&[("visits", "5", HOUR)]);
    it.next();
    it.answered(refused(400));
    let told =
        "settle delivered [] refused [RefusedByTarget] Some(SingleKnown) Some(Yes) reads 1 requests 1 quota 1 log";
    assert_eq!(it.settled(), [told]);
    it.visit(1);
    assert_eq!(it.next(), "read customer 1");
    it.found(&[("visits", "5", HOUR)]);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=7");
}

#[test]
fn the_third_refusal_in_a_row_makes_the_two_before_void_and_rejects_nothing() {
    let mut it = Sender::new(alone(in_mode(Mode::Single)));
    (1..=4).for_each(|customer| it.visit(customer));
    it.next();
    it.delivered();
    for _ in 0..3 {
        assert!(it.next().starts_with("send"));
        it.answered(refused(404));
    }
    assert_eq!(it.state(), LinkState::Blocked);
    let settled = it.settled();
    assert!(settled.contains(&"retract [2, 3]".to_owned()), "{settled:?}");
    assert_eq!((it.device.rejected().len(), it.device.pending().profiles), (0, 3));
    // All are sent again, and one that is refused after another was accepted is its own.
    for _ in 0..2 {
        assert!(it.next_within(HOUR).starts_with("send"));
        it.delivered();
    }
    assert!(it.next_within(HOUR).starts_with("send"));
    it.answered(refused(404));
    it.settled();
    assert_eq!((it.device.rejected().len(), it.device.pending().profiles), (1, 0));
}

#[test]
fn an_update_that_is_too_large_goes_in_halves_and_one_attribute_that_is_too_large_is_refused() {
    let mut it = Sender::new(alone(in_mode(Mode::Single)));
    ["a", "b", "c"].iter().for_each(|name| it.set(1, name, "1"));
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&a=1&b=1&c=1");
    it.answered(Outcome::TooLarge);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&a=1");
    it.delivered();
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&b=1&c=1");
    it.answered(Outcome::TooLarge);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&b=1");
    it.delivered();
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&c=1");
    it.answered(Outcome::TooLarge);
    let told = "settle delivered [0, 1] refused [TooLarge] Some(SingleMode) requests 5 quota 5 updates 2 unconfirmed 2";
    assert_eq!(it.settled(), [told]);
}

#[test]
fn the_last_request_of_the_quota_carries_a_half_and_the_other_half_waits_for_room() {
    let mut limited = alone(in_mode(Mode::Single));
    limited.updates_per_day = 2;
    let mut it = Sender::new(limited);
    let begun = it.device.now;
    ["a", "b"].iter().for_each(|name| it.set(1, name, "1"));
    it.next();
    it.answered(Outcome::TooLarge);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&a=1");
    it.delivered();
    let told = "settle delivered [0] Some(SingleMode) requests 2 quota 2 updates 1 unconfirmed 1";
    assert_eq!(it.settled(), [told]);
    assert_eq!(it.news.iter().filter(|news| matches!(news, News::Quota(Some(_)))).count(), 1);
    assert_eq!(it.next_within(2 * QUOTA_WINDOW), "send mbox3rdPartyId=customer 1&b=1");
    assert!(
        (QUOTA_WINDOW..=QUOTA_WINDOW + 2 * MINUTE).contains(&(it.device.now - begun)),
        "{:?}",
        it.device.now - begun
    );
    assert!(it.news.contains(&News::Quota(None)));
}

#[test]
fn an_update_of_several_requests_takes_one_at_a_time_where_the_quota_is_scarce() {
    let long = "x".repeat(5_000);
    let sends = |updates_per_day| {
        let mut limited = alone(in_mode(Mode::Single));
        limited.updates_per_day = updates_per_day;
        let mut it = Sender::new(limited);
        (0..13).for_each(|number| it.set(1, &format!("a{number:02}"), &long));
        it.set(2, "a", "1");
        let mut sent = Vec::new();
        for _ in 0..3 {
            let told = it.next_within(MINUTE);
            sent.push(told.split('&').next().expect("a first").to_owned());
            it.delivered();
        }
        it.settled();
        assert_eq!(it.device.pending().profiles, 0);
        sent
    };
    let (one, two) = ("send mbox3rdPartyId=customer 1", "send mbox3rdPartyId=customer 2");
    assert_eq!(sends(4 * 4 * 16 + 1), [one, one, two]);
    assert_eq!(sends(4 * 4 * 16 - 1), [one, two, one]);
}

#[test]
fn an_urgent_update_goes_by_the_delivery_api_which_creates_the_profile_and_costs_no_quota() {
    let mut it = Sender::new(alone(in_mode(Mode::Delivery)));
    (0..51).for_each(|number| it.set(1, &format!("a{number:02}"), "1"));
    let told = it.next();
    assert!(told.starts_with("deliver customer 1&a00=1") && told.matches('&').count() == 50, "{told}");
    it.delivered();
    assert_eq!(it.next(), "deliver customer 1&a50=1");
    it.delivered();
    let settled = it.settled();
    let told = "Some(DeliveryMode) Some(Yes) requests 2 updates 2";
    assert!(settled.len() == 1 && settled[0].ends_with(told), "{settled:?}");
}

#[test]
fn a_part_of_the_deliveries_is_read_back() {
    let check = |chance: f64, reads: bool| {
        let mut sampled = alone(in_mode(Mode::Single));
        sampled.rules.verify = Some((0.25, 10 * MINUTE));
        let mut it = Sender::new(sampled);
        it.chance = chance;
        it.set(1, "city", "Lund");
        it.next();
        it.delivered();
        let settled = it.settled();
        assert_eq!(settled[0].contains("read back (600s, Sample)"), reads, "{settled:?}");
        let told = it.next_within(HOUR);
        assert_eq!(told, if reads { "read customer 1" } else { "quiet" });
        if !reads {
            return;
        }
        it.found(&[("city", "Ystad", HOUR)]);
        assert_eq!(it.next_within(SECOND), "send mbox3rdPartyId=customer 1&city=Lund");
        assert_eq!(it.recorded(), [r#"read back: arrived 0 lost [("city", 1)] again None"#]);
        assert!(it.news.contains(&News::NotArrived(1)));
    };
    check(0.24, true);
    check(0.25, false);
}

#[test]
fn a_profile_that_target_does_not_have_is_looked_for_for_30_days_in_mode_single() {
    let mut it = Sender::new(in_mode(Mode::Single));
    it.visit(1);
    let begun = it.device.now;
    assert_eq!(it.next(), "read customer 1");
    let mut looks = Vec::new();
    loop {
        it.missing();
        let settled = it.settled();
        if settled[0].contains("refused") {
            break;
        }
        assert!(settled[0].contains("Some(No) reads 1 look"), "{settled:?}");
        assert_eq!(it.next_within(48 * HOUR), "read customer 1");
        looks.push((it.device.now - begun).as_secs() / 3_600);
    }
    assert_eq!(looks[..7], [1, 2, 4, 8, 16, 32, 56]);
    assert_eq!(looks[looks.len() - 2..], [704, 728], "from 720 hours on it is given up");
    assert_eq!(it.device.rejected()[0].0, "profile_missing");
}

#[test]
fn another_route_looks_for_those_that_wait_at_once() {
    let mut it = Sender::new(in_mode(Mode::Single));
    it.visit(1);
    it.next();
    it.missing();
    it.settled();
    let mut changed = it.settings.clone();
    changed.rules.routes.mode = Mode::Auto;
    it.take(super::Input::Settings(Box::new(changed)));
    assert_eq!(it.next_within(SECOND), "read customer 1");
    let all = format!("look {:?}", 30 * 24 * HOUR);
    assert!(it.take_done().contains(&all));
}

#[test]
fn a_delivery_renews_what_is_known_of_a_profile_once_an_hour() {
    let mut it = Sender::new(settings());
    it.visit(1);
    it.next();
    it.found(&[]);
    it.next();
    it.delivered();
    it.settled();
    let mut cities = ["Lund", "Ystad", "Lund", "Ystad"].into_iter();
    let mut deliver = |after: Duration| {
        it.pass(after);
        let city = cities.next().expect("one more");
        it.set(1, "city", city);
        let told = format!("send mbox3rdPartyId=customer 1&city={city}");
        assert_eq!(it.next(), told, "a new value is not read first");
        it.delivered();
        it.settled().concat().contains("Some(Yes)")
    };
    assert_eq!(
        [deliver(HOUR / 2), deliver(HOUR / 2), deliver(HOUR / 2), deliver(HOUR / 2)],
        [false, true, false, true]
    );
}

#[test]
fn reads_that_are_denied_three_times_stop_for_five_minutes_and_updates_go_on_from_memory() {
    let mut it = with_visit();
    let last_read = it.device.now;
    it.found(&[("visits", "5", HOUR)]);
    it.next();
    it.delivered();
    it.settled();
    it.visit(1);
    // Shortly after a reading it may pass, and the profile waits no longer than until that is known.
    let mut denials = 0;
    while it.next_within(MINUTE) == "read customer 1" {
        denials += 1;
        it.denied();
    }
    assert_eq!((denials, it.asked.len()), (5, 1), "then it is sent from memory");
    assert_eq!(it.device.now - last_read, 30 * SECOND);
    assert!(it.news.contains(&News::Reads(Some("no right to read".to_owned()))));
    it.delivered();
    it.settled();
    it.pass(5 * MINUTE - SECOND);
    it.visit(1);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=8");
    it.delivered();
    it.settled();
    it.pass(2 * SECOND);
    it.visit(1);
    assert_eq!(it.next(), "read customer 1");
    assert!(it.news.contains(&News::Reads(None)));
}

#[test]
fn a_profile_that_alone_cannot_be_read_steps_aside_and_ten_in_a_row_stop_reading() {
    let mut it = with_visit();
    it.unreadable();
    assert_eq!(it.settled(), ["settle delivered [] reads 1"]);
    assert_eq!(it.device.pending().profiles, 1, "nothing was sent of it before: our sum would overwrite the others'");
    (2..=10).for_each(|customer| it.visit(customer));
    for _ in 0..9 {
        assert!(it.next().starts_with("read"));
        it.unreadable();
    }
    assert!(it.news.contains(&News::Reads(Some("400".to_owned()))));
}

#[test]
fn a_read_without_an_answer_sets_the_profile_aside_and_tells_the_link() {
    let mut it = with_visit();
    it.found(&[]);
    it.next();
    it.delivered();
    it.settled();
    it.visit(2);
    it.next();
    it.read_fails(failing());
    assert_eq!(it.settled(), ["settle delivered [] reads 1"]);
    assert_eq!(it.state(), LinkState::Online);
    assert_eq!(it.next_within(SECOND), "read customer 2");
    it.read_fails(unreachable());
    assert_eq!(it.settled(), Vec::<String>::new(), "it did not reach Target");
    assert_eq!(it.state(), LinkState::Offline);
}

#[test]
fn values_that_could_not_be_recorded_are_not_sent() {
    let mut it = with_visit();
    it.found(&[]);
    it.store_fails = Some(super::StoreFailed::Other);
    assert!(it.next().starts_with("wait"));
    it.store_fails = None;
    assert_eq!(it.next_within(MINUTE), "read customer 1", "it is claimed again");
}

#[test]
fn a_stop_sends_nothing_more_and_undoes_what_was_recorded() {
    let mut it = Sender::new(settings());
    it.device.record(1, Operation::Add, "visits", "1");
    it.next();
    it.found(&[]);
    let at = it.moment();
    let super::Action::Note(notes) = it.core().next(at) else { panic!("a note") };
    it.device.store.transact(|store| store.note_sends(&notes)).expect("written");
    it.core().stop(at);
    it.take(super::Input::Noted(vec![notes[0].0], Ok(())));
    assert_eq!(it.next(), "wait");
    assert_eq!(it.take_done().last().map(String::as_str), Some("settle delivered [] Some(Yes) reads 1 log"));
    it.visit(2);
    assert_eq!(it.next(), "wait");
}
