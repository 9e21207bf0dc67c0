//! Handing over with the real store, against a hub that takes, refuses, fails and disappears.

use std::time::Duration;

use super::handing_over_device::{Device, Hub, all, taken};
use crate::adobe::{Handed, Outcome};
use crate::core::fleet::{ProfileParts, Refused, Taken};
use crate::core::operation::Operation;
use crate::core::timestamp::Timestamp;
use crate::store::{Pending, Transaction};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_is_pending_goes_in_one_request_and_a_sign_of_life_when_nothing_is() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    for customer in 0..40 {
        device.visit(customer);
        device.visit(customer);
    }
    device.run(&mut hub, MINUTE, all);
    assert_eq!(hub.requests, [40]);
    assert_eq!((hub.total("customer 0"), hub.parts.len()), ("2".to_owned(), 40));
    assert_eq!(device.pending(), Pending::default());
    device.run(&mut hub, Duration::from_secs(1_300), all);
    assert_eq!(hub.requests, [40, 0, 0, 0, 0]);
}

#[test]
fn a_lost_answer_brings_the_same_part_again_and_what_came_since_counts_once() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    device.visit(1);
    let profiles = device.request().expect("a request");
    hub.take(&profiles);
    // While it is under way.
    device.visit(1);
    device.answer(Handed::Failed(Outcome::Lost("no answer".to_owned())));
    device.visit(1);
    device.run(&mut hub, MINUTE, all);
    assert_eq!((hub.total("customer 1"), hub.parts.len()), ("3".to_owned(), 1));
    // An answered part is complete: what comes then is another.
    device.visit(1);
    device.run(&mut hub, MINUTE, all);
    assert_eq!((hub.total("customer 1"), hub.parts.len()), ("4".to_owned(), 2));
}

#[test]
fn what_comes_while_a_request_is_under_way_and_is_answered_is_handed_over_afterwards() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    device.visit(1);
    let profiles = device.request().expect("a request");
    device.visit(1);
    let answer = all(&mut hub, &profiles);
    device.answer(answer);
    device.run(&mut hub, MINUTE, all);
    assert_eq!((hub.total("customer 1"), hub.parts.len()), ("2".to_owned(), 1));
}

#[test]
fn parts_on_which_the_hub_fails_wait_alone_and_the_others_arrive() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    (0..300).for_each(|customer| device.visit(customer));
    let answer = |hub: &mut Hub, profiles: &[ProfileParts]| {
        let fails = ["customer 0", "customer 1", "customer 2", "customer 3", "customer 7"];
        if profiles.iter().any(|profile| fails.contains(&profile.identity.key())) {
            return Handed::Failed(Outcome::Failing("the hub answered status 500".to_owned()));
        }
        all(hub, profiles)
    };
    device.run(&mut hub, 30 * MINUTE, answer);
    assert_eq!(hub.parts.len(), 295);
    // It is no refusal, and they arrive once the hub can.
    assert_eq!((device.rejected(), device.pending().profiles), (Vec::new(), 5));
    device.run(&mut hub, 120 * MINUTE, all);
    assert_eq!((hub.parts.len(), device.pending().profiles), (300, 0));
}

#[test]
fn a_hub_that_fails_on_everything_rejects_nothing_and_is_tried_with_nothing_in_it() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    (0..300).for_each(|customer| device.visit(customer));
    device.run(&mut hub, 60 * MINUTE, |_, _| Handed::Failed(Outcome::Failing("status 500".to_owned())));
    assert_eq!((device.rejected(), device.pending().profiles), (Vec::new(), 300));
    assert_eq!(hub.requests[0], 300);
    assert!(hub.requests.len() < 200 && hub.requests[1..].iter().all(|profiles| *profiles == 0), "{:?}", hub.requests);
    device.run(&mut hub, 10 * MINUTE, all);
    assert_eq!((hub.parts.len(), device.pending().profiles), (300, 0));
}

#[test]
fn a_request_that_is_too_large_is_halved_and_one_attribute_too_large_is_rejected() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    for customer in 0..200 {
        device.record(customer, Operation::Set, "city", &"Lund ".repeat(900));
    }
    // What stands before the hub takes a tenth of what the hub does.
    let bytes = |profiles: &[ProfileParts]| {
        profiles.iter().flat_map(|it| &it.attributes).map(|part| part.part.value.len()).sum::<usize>()
    };
    device.run(&mut hub, 10 * MINUTE, |hub, profiles| match bytes(profiles) {
        0..50_000 => all(hub, profiles),
        _ => Handed::Failed(Outcome::TooLarge),
    });
    assert_eq!((hub.parts.len(), device.rejected()), (200, Vec::new()));
    device.visit(1);
    device.record(2, Operation::Set, "city", &"Ystad".repeat(900));
    device.run(&mut hub, 10 * MINUTE, |hub, profiles| match bytes(profiles) {
        0..4_000 => all(hub, profiles),
        _ => Handed::Failed(Outcome::TooLarge),
    });
    assert_eq!(hub.total("customer 1"), "1");
    assert_eq!(device.rejected().iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["too_large"]);
    assert_eq!(device.pending().profiles, 0);
}

#[test]
fn a_refused_part_is_rejected_with_the_hub_s_words_and_one_that_is_held_is_not() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    device.visit(1);
    device.record(1, Operation::Set, "city", "Lund");
    let refused = |hold| Refused {
        profile: 0,
        attribute: Some("city".to_owned()),
        place: Some(0),
        reason: "operation_changed: the hub adds it up".to_owned(),
        hold,
    };
    let mut answers = 0;
    device.run(&mut hub, 10 * MINUTE, |hub, profiles| {
        answers += usize::from(!profiles.is_empty());
        hub.take(profiles);
        taken(vec![refused(true)])
    });
    assert_eq!((device.rejected(), device.pending().attributes, answers), (Vec::new(), 1, 1));
    device.run(&mut hub, 20 * MINUTE, |_, _| taken(vec![refused(false)]));
    let words = "operation_changed: the hub adds it up";
    assert_eq!(device.rejected(), [("refused_by_hub".to_owned(), words.to_owned())]);
    assert_eq!((device.pending().attributes, hub.total("customer 1")), (0, "1".to_owned()));
}

#[test]
fn a_hub_that_wants_the_rest_later_gets_it_later() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    (0..700).for_each(|customer| device.visit(customer));
    let at = device.now;
    let mut times = Vec::new();
    let time = Timestamp::from_millis(1_800_000_000_000);
    while hub.parts.len() < 700 {
        if let Some(profiles) = device.request() {
            times.push((device.now - at).as_secs());
            hub.take(&profiles);
            device.answer(Handed::Taken(Taken { refused: Vec::new(), mappings: 0, next_in_seconds: 90, time }));
        } else {
            device.now += Duration::from_secs(1);
        }
    }
    assert_eq!(times.len(), 2);
    assert!((90..93).contains(&times[1]), "{times:?}");
}

#[test]
fn a_start_begins_another_part_and_hands_the_one_before_over_as_it_was() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    device.visit(1);
    device.store = device.store.restart().expect("opened");
    device.store.transact(|store: &mut Transaction<'_>| store.hand_over_from_now()).expect("written");
    device.visit(1);
    device.visit(1);
    device.run(&mut hub, MINUTE, all);
    let values: Vec<&str> = hub.parts.values().map(|(_, value)| value.as_str()).collect();
    assert_eq!(hub.total("customer 1"), "3");
    assert_eq!((values.len(), values.contains(&"1"), values.contains(&"2")), (2, true, true));
}

#[test]
fn a_sum_that_became_another_operation_keeps_its_parts_as_they_were() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    device.visit(1);
    device.record(1, Operation::Set, "visits", "many");
    device.run(&mut hub, MINUTE, all);
    assert_eq!(hub.parts.values().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["many"]);
    assert_eq!(device.pending(), Pending::default());
}

#[test]
fn what_target_has_of_a_sum_and_a_list_is_not_handed_over_and_what_it_refused_is() {
    let (mut device, mut hub) = (Device::of_target(), Hub::default());
    for store in ["Lund", "Ystad"] {
        device.visit(1);
        device.record(1, Operation::Append, "stores", store);
    }
    device.send_to_target(true);
    (0..5).for_each(|_| device.visit(2));
    device.send_to_target(false);
    device.turn();
    assert_eq!(device.pending(), Pending::default());
    for customer in [1, 2] {
        device.visit(customer);
        device.record(customer, Operation::Append, "stores", "Kiel");
    }
    device.run(&mut hub, MINUTE, all);
    assert_eq!([hub.total("customer 1"), hub.total("customer 2")], ["1", "6"]);
    let lists = hub.parts.iter().filter(|((_, name, _), _)| name == "stores").map(|(_, (_, value))| value.as_str());
    assert_eq!(lists.collect::<Vec<_>>(), ["Kiel", "Kiel"]);
}

#[test]
fn more_profiles_than_can_wait_each_by_itself_are_held_without_a_request_after_the_other() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    (0..3_000).for_each(|customer| device.record(customer, Operation::Set, "city", "Lund"));
    device.run(&mut hub, 10 * MINUTE, |_, profiles| {
        let held = |place| Refused {
            profile: place,
            attribute: Some("city".to_owned()),
            place: Some(0),
            reason: "a newer operation".to_owned(),
            hold: true,
        };
        taken((0..profiles.len()).map(held).collect())
    });
    assert!(hub.requests.len() < 20, "{} requests", hub.requests.len());
    device.run(&mut hub, 120 * MINUTE, all);
    assert_eq!((hub.parts.len(), device.pending().profiles), (3_000, 0));
}
