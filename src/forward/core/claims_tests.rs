//! Claims and waking of the core, with the real store: pages, probes, quota, waits, and changes from outside.

use std::time::Duration;

use super::target_device::{Sender, alone, in_mode, settings};
use super::target_told::{failing, lost, refused, unreachable};
use super::{Action, Input, News, StoreFailed};
use crate::adobe::Outcome;
use crate::core::forwarding::link::LinkState;
use crate::core::forwarding::route::{Mode, Route};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A device alone, in mode single, with so many connections, to which Target has answered.
fn online(connections: usize) -> Sender {
    let mut changed = alone(in_mode(Mode::Single));
    (changed.connections, changed.updates_per_day) = (connections, 10_000);
    let mut it = Sender::new(changed);
    it.visit(0);
    it.next();
    it.delivered();
    it.settled();
    (it.news, it.asks) = (Vec::new(), Vec::new());
    it
}

fn sent_at_once(it: &mut Sender) -> usize {
    let mut sent = 0;
    while it.next().starts_with("send") {
        sent += 1;
    }
    sent
}

#[test]
fn the_first_request_goes_alone_and_then_as_many_as_there_are_connections() {
    let mut it = Sender::new(alone(in_mode(Mode::Single)));
    (0..20).for_each(|customer| it.visit(customer));
    assert_eq!(sent_at_once(&mut it), 1);
    assert_eq!((it.asks[0].limit, it.asks[0].is_probe), (16, true));
    it.delivered();
    assert_eq!(sent_at_once(&mut it), 4);
    assert_eq!((it.core().requests_in_flight(), it.core().unanswered().len(), it.core().is_busy()), (4, 4, true));
    it.delivered();
    assert_eq!(sent_at_once(&mut it), 1);
}

#[test]
fn a_probe_goes_to_a_profile_that_has_not_failed_and_to_one_that_has_only_if_there_is_no_other() {
    let mut it = Sender::new(alone(in_mode(Mode::Single)));
    it.visit(1);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&visits=1");
    it.answered(failing());
    assert_eq!(it.state(), LinkState::Offline);
    it.visit(2);
    assert_eq!(it.next_within(MINUTE), "send mbox3rdPartyId=customer 2&visits=1");
    assert_eq!(it.asks.last().map(|ask| ask.aside.len()), Some(1));
    it.answered(failing());
    // Now each has failed, the first one longer ago.
    assert_eq!(it.next_within(5 * MINUTE), "send mbox3rdPartyId=customer 1&visits=1");
    it.delivered();
    assert_eq!(it.state(), LinkState::Online);
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 2&visits=1", "the link is back: nobody waits for its sake");
}

#[test]
fn while_the_link_is_down_nothing_is_held_and_a_wait_ends_with_its_time() {
    let mut it = online(4);
    it.chance = 1.0;
    (1..=8).for_each(|customer| it.visit(customer));
    assert_eq!(sent_at_once(&mut it), 4);
    let before = it.released;
    it.answered(unreachable());
    assert_eq!((it.state(), it.next()), (LinkState::Offline, "wait 1000 ms".to_owned()));
    (0..3).for_each(|_| it.answered(unreachable()));
    assert!(it.news.contains(&News::Link));
    assert_eq!(it.news.iter().filter(|news| **news == News::Link).count(), 1);
    it.pass(Duration::from_millis(999));
    assert_eq!(it.next(), "wait 1 ms");
    assert_eq!(it.released - before, 8);
    it.pass(Duration::from_millis(1));
    assert!(it.next().starts_with("send"));
    assert_eq!(it.next(), "wait", "a probe goes alone");
}

#[test]
fn a_change_of_the_network_a_wish_and_a_token_bring_a_probe_forward_and_say_so() {
    let down = |outcome: Outcome| {
        let mut it = online(4);
        it.chance = 1.0;
        it.visit(1);
        it.next();
        it.answered(outcome);
        it.settled();
        it.news.clear();
        it
    };
    let mut network = down(unreachable());
    network.take(Input::NetworkChanged);
    assert_eq!(network.news, [News::Probing("the network changed")]);
    assert!(network.next().starts_with("send"));
    let mut wish = down(unreachable());
    wish.take(Input::TryNow);
    assert_eq!(wish.news, [News::Probing("somebody asked for it")]);
    assert!(wish.next().starts_with("send"));
    let mut token = down(Outcome::Unauthorized("401".to_owned()));
    assert_eq!(token.state(), LinkState::Paused);
    token.take(Input::TokenChanged);
    assert_eq!(token.news, [News::Probing("the token changed")]);
    assert!(token.next().starts_with("send"));
    let mut unchanged = down(unreachable());
    unchanged.take(Input::TokenChanged);
    assert_eq!(unchanged.news, []);
    let mut reloaded = down(unreachable());
    let same = reloaded.settings.clone();
    reloaded.take(Input::Settings(Box::new(same)));
    assert_eq!(reloaded.news, [News::Probing("the configuration was reloaded"), News::Link]);
    assert!(reloaded.next().starts_with("send"));
}

#[test]
fn a_failed_profile_tries_at_once_when_somebody_asks_for_it() {
    let mut it = online(4);
    it.chance = 1.0;
    it.visit(1);
    it.next();
    it.answered(failing());
    it.settled();
    assert!(it.core().take_waits().is_some_and(|waits| waits.len() == 1));
    assert!(it.next().starts_with("wait"));
    it.take(Input::TryNow);
    assert!(it.next().starts_with("send"));
}

#[test]
fn in_mode_single_a_spent_quota_claims_nothing_until_it_has_room() {
    let mut limited = alone(in_mode(Mode::Single));
    limited.updates_per_day = 2;
    let mut it = Sender::new(limited);
    (1..=3).for_each(|customer| it.visit(customer));
    it.next();
    it.delivered();
    assert_eq!(sent_at_once(&mut it), 1, "one more is allowed, and two connections are free");
    it.delivered();
    it.settled();
    let (claims, begun) = (it.asks.len(), it.device.now);
    assert!(it.news.iter().any(|news| matches!(news, News::Quota(Some(_)))));
    assert!(it.next_within(25 * HOUR).starts_with("send"));
    assert!(it.device.now - begun > 23 * HOUR);
    assert_eq!(it.asks.len(), claims + 1);
    let mut more = it.settings.clone();
    more.updates_per_day = 1;
    it.take(Input::Settings(Box::new(more)));
    it.delivered();
    it.settled();
}

#[test]
fn a_larger_quota_opens_at_once() {
    let mut limited = alone(in_mode(Mode::Single));
    limited.updates_per_day = 1;
    let mut it = Sender::new(limited);
    (1..=2).for_each(|customer| it.visit(customer));
    it.next();
    it.delivered();
    it.settled();
    assert!(it.next().starts_with("wait"));
    let mut more = it.settings.clone();
    more.updates_per_day = 2;
    it.take(Input::Settings(Box::new(more)));
    assert!(it.next().starts_with("send"));
}

#[test]
fn without_the_store_nothing_is_sent_for_the_backoff_which_a_commit_ends() {
    let mut it = online(4);
    it.chance = 1.0;
    it.store_fails = Some(StoreFailed::Other);
    it.visit(1);
    assert_eq!(it.next(), "wait 1000 ms");
    it.pass(SECOND);
    assert_eq!(it.next(), "wait 4000 ms");
    it.store_fails = None;
    it.pass(4 * SECOND);
    assert!(it.next().starts_with("send"));
    it.delivered();
    it.settled();
    it.store_fails = Some(StoreFailed::Other);
    it.visit(2);
    assert_eq!(it.next(), "wait 1000 ms", "it begins again after a success");
}

#[test]
fn a_result_is_recorded_after_25_ms_with_others_or_at_a_thousand_and_twenty_four() {
    let mut it = online(2_000);
    (1..=1_500).for_each(|customer| it.visit(customer));
    assert_eq!(sent_at_once(&mut it), 1_500);
    it.take_done();
    it.delivered();
    assert_eq!(it.next(), "wait 25 ms");
    assert!(it.core().is_writing());
    it.pass(Duration::from_millis(24));
    assert_eq!(it.next(), "wait 1 ms");
    (0..1_022).for_each(|_| it.delivered());
    assert_eq!((it.next(), it.take_done().len()), ("wait 1 ms".to_owned(), 0));
    it.delivered();
    it.next();
    assert_eq!(it.take_done().len(), 1_024);
}

#[test]
fn a_stop_claims_nothing_and_what_is_in_flight_is_recorded_at_once() {
    let mut it = online(4);
    (1..=2).for_each(|customer| it.visit(customer));
    it.next();
    let at = it.moment();
    it.core().stop(at);
    assert_eq!(it.next(), "wait");
    it.delivered();
    it.take_done();
    assert_eq!((it.next(), it.take_done().len()), ("wait".to_owned(), 1));
    it.take(Input::OutboxChanged);
    assert_eq!((it.next(), it.core().is_busy()), ("wait".to_owned(), false));
}

#[test]
fn claims_that_come_after_a_stop_are_released() {
    let mut it = online(4);
    (1..=2).for_each(|customer| it.visit(customer));
    let at = it.moment();
    let Action::Claim(ask) = it.core().next(at) else { panic!("a claim") };
    assert_eq!(it.core().requests_in_flight(), 1);
    let claims = it.device.store.claim(&it.device.in_flight, ask.rules()).expect("read");
    it.core().take_released();
    it.core().stop(at);
    it.take(Input::Claimed(Ok(claims)));
    assert_eq!(it.core().take_released(), 2);
}

#[test]
fn one_request_of_many_that_asks_to_wait_stops_all() {
    let mut it = online(4);
    (1..=8).for_each(|customer| it.visit(customer));
    assert_eq!(sent_at_once(&mut it), 4);
    it.chance = 0.0;
    it.answered(Outcome::Throttled(Some(9 * SECOND)));
    it.delivered();
    it.settled();
    assert_eq!(it.next(), "wait 8975 ms");
    it.take(Input::TryNow);
    assert_eq!(it.next(), "wait 8975 ms", "what Target asked for ends with time alone");
    it.pass(9 * SECOND);
    assert!(it.next().starts_with("send"));
}

#[test]
fn an_update_that_fails_alone_says_nothing_of_the_link() {
    let mut it = online(1);
    it.chance = 1.0;
    it.visit(1);
    for others in 0..5 {
        assert!(it.next_within(10 * MINUTE).contains("customer 1&"));
        it.answered(lost());
        it.settled();
        it.set(9, "city", &format!("{others}"));
        assert!(it.next().contains("customer 9"));
        it.delivered();
        it.settled();
        assert_eq!(it.state(), LinkState::Online);
    }
}

#[test]
fn three_that_each_fail_alone_one_after_the_other_say_nothing_of_the_link() {
    let mut it = online(1);
    it.chance = 1.0;
    for customer in 1..=3 {
        it.visit(customer);
        assert!(it.next().contains(&format!("customer {customer}&")));
        it.answered(failing());
        it.visit(9);
        assert!(it.next().contains("customer 9&"));
        it.delivered();
        it.settled();
    }
    for _ in 0..3 {
        assert!(it.next_within(MINUTE).starts_with("send"));
        it.answered(failing());
        assert_eq!(it.state(), LinkState::Online);
    }
}

#[test]
fn refusals_of_two_profiles_are_theirs() {
    let mut it = online(1);
    (1..=2).for_each(|customer| it.visit(customer));
    for _ in 0..2 {
        it.next();
        it.answered(refused(400));
    }
    it.settled();
    assert_eq!((it.device.rejected().len(), it.state()), (2, LinkState::Online));
}

#[test]
fn a_total_that_others_write_is_claimed_with_its_basis_and_a_new_set_is_sent_unread() {
    let mut it = Sender::new(settings());
    it.visit(1);
    it.next();
    it.found(&[]);
    it.next();
    it.delivered();
    it.settled();
    it.set(1, "city", "Lund");
    assert_eq!(it.next(), "send mbox3rdPartyId=customer 1&city=Lund");
    it.delivered();
    it.settled();
    assert!(it.asks.iter().all(|ask| ask.late_before.is_some() && ask.can_batch && ask.backlog_max == 1_000));
}

#[test]
fn a_request_that_could_not_be_made_is_made_after_a_second_and_costs_no_quota() {
    let mut limited = alone(in_mode(Mode::Single));
    limited.updates_per_day = 2;
    let mut it = Sender::new(limited);
    it.visit(1);
    it.next();
    it.delivered();
    it.settled();
    it.visit(1);
    let told = it.next();
    let profile_id = it.asked.pop().expect("asked");
    it.take(Input::Unsent(profile_id));
    assert_eq!(it.next_within(SECOND - Duration::from_millis(1)), "quiet");
    assert_eq!(it.next_within(Duration::from_millis(1)), told);
    it.delivered();
    assert_eq!(it.settled(), ["settle delivered [0] Some(SingleMode) requests 1 quota 1 updates 1 unconfirmed 1"]);
}

#[test]
fn when_the_link_is_back_those_that_failed_try_at_once() {
    let mut it = online(1);
    it.chance = 1.0;
    it.visit(1);
    for failures in 1..=6 {
        assert!(it.next_within(HOUR).contains("customer 1&"));
        it.answered(failing());
        assert_eq!(it.state() == LinkState::Offline, failures >= 3);
        assert_eq!(it.settled(), ["settle delivered [] Some(SingleMode) requests 1 quota 1"]);
    }
    assert!(!it.news.iter().any(|news| matches!(news, News::Routed(_))), "nothing was delivered");
    it.visit(2);
    assert!(it.next_within(HOUR).contains("customer 2&"));
    it.delivered();
    assert!(it.news.contains(&News::Routed(Route::SingleMode)));
    assert!(it.next().contains("customer 1&"));
}
