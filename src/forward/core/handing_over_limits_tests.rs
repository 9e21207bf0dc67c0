//! Handing over: how much goes in one request, what follows from one that failed, and when the next is due.

use std::collections::BTreeMap;
use std::time::Duration;

use super::handing_over_device::{Device, Hub, all, moment, taken};
use super::{Action, Input};
use crate::adobe::{Handed, Outcome};
use crate::core::fleet::{ATTRIBUTES_MAX, AttributePart, BODY_BYTES_MAX, PROFILES_MAX, ProfileParts, Refused, Taken};
use crate::core::forwarding::link::LinkState;
use crate::core::operation::Operation;
use crate::core::timestamp::Timestamp;
use crate::store::RejectedSubject;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn failing() -> Handed {
    Handed::Failed(Outcome::Failing("status 500".to_owned()))
}

/// Returns the number of profiles in each of the next requests, all taken.
fn sizes(device: &mut Device, hub: &mut Hub, requests: usize) -> Vec<usize> {
    hub.requests.clear();
    for _ in 0..60 {
        device.run(hub, SECOND, all);
    }
    hub.requests.truncate(requests);
    hub.requests.clone()
}

/// Has the hub fail on what each of these customers has, one alone after the other.
fn fails_on(device: &mut Device, hub: &mut Hub, customers: &[usize]) {
    let names: Vec<String> = customers.iter().map(|customer| format!("customer {customer}")).collect();
    let mut failed = std::collections::HashSet::new();
    for customer in customers {
        device.visit(*customer);
        for _ in 0..60 {
            device.run(hub, Duration::from_millis(500), |hub, profiles| {
                let fails = profiles.iter().find(|profile| names.iter().any(|name| name == profile.identity.key()));
                let Some(profile) = fails else { return all(hub, profiles) };
                failed.insert(profile.identity.key().to_owned());
                failing()
            });
        }
    }
    assert_eq!(failed.len(), customers.len());
}

#[test]
fn after_a_failure_half_as_many_profiles_go_and_twice_as_many_each_time_that_they_are_taken() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    (0..3 * PROFILES_MAX).for_each(|customer| device.visit(customer));
    assert_eq!(device.request().map(|profiles| profiles.len()), Some(PROFILES_MAX));
    device.answer(failing());
    let half = PROFILES_MAX / 2;
    assert_eq!(sizes(&mut device, &mut hub, 4), [0, half, PROFILES_MAX, PROFILES_MAX]);
}

#[test]
fn a_request_that_is_too_large_is_followed_after_a_second_by_one_of_half_its_bytes() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    let long = "x".repeat(4_000);
    (0..300).for_each(|customer| device.record(customer, Operation::Set, "city", &long));
    let full = device.request().expect("a request").len();
    let at = device.now;
    device.answer(Handed::Failed(Outcome::TooLarge));
    let half = device_request_after(&mut device).len();
    assert!((SECOND..SECOND + Duration::from_millis(150)).contains(&(device.now - at)), "{:?}", device.now - at);
    assert!((full / 2 - 1..=full / 2).contains(&half), "{full}, then {half}");
    device.answer(all(&mut hub, &[]));
    let next = device_request_after(&mut device).len();
    assert!((full - 2..=full).contains(&next), "{full}, and then {next}");
}

/// Waits for the next request.
fn device_request_after(device: &mut Device) -> Vec<ProfileParts> {
    for _ in 0..6_000 {
        if let Some(profiles) = device.request() {
            return profiles;
        }
        device.now += Duration::from_millis(100);
    }
    panic!("no request within ten minutes");
}

#[test]
fn a_request_has_as_many_parts_as_the_body_has_room_for() {
    let mut device = Device::new();
    let long = "x".repeat(4_000);
    (0..300).for_each(|customer| device.record(customer, Operation::Set, "city", &long));
    let profiles = device.request().expect("a request");
    let bytes = |profile: &ProfileParts| {
        profile.head_bytes() + profile.attributes.iter().map(AttributePart::bytes).sum::<usize>()
    };
    let max = BODY_BYTES_MAX - 96 * 1024;
    let total: usize = profiles.iter().map(bytes).sum();
    assert!(total <= max && total + bytes(&profiles[0]) + 8 > max, "{total} of {max}");
    device.answer(taken(Vec::new()));
    assert!(device.request().is_some(), "the rest goes at once");
}

#[test]
fn the_rest_of_one_large_profile_goes_in_the_next_request() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    let long = "x".repeat(4_000);
    (0..150).for_each(|number| device.record(1, Operation::Set, &format!("a{number:03}"), &long));
    assert_eq!(sizes(&mut device, &mut hub, 2), [1, 1]);
    assert_eq!((hub.parts.len(), device.pending().attributes), (150, 0));
}

#[test]
fn a_profile_has_at_most_two_thousand_attributes_in_one_request() {
    let mut device = Device::new();
    (0..=ATTRIBUTES_MAX).for_each(|number| device.record(1, Operation::Set, &format!("a{number}"), "1"));
    let profiles = device.request().expect("a request");
    let most = profiles[0].attributes.len();
    assert!(most <= ATTRIBUTES_MAX, "{most}");
}

#[test]
fn one_request_at_a_time_is_made_and_one_claim() {
    let mut device = Device::new();
    device.visit(1);
    let at = moment(device.now);
    let Action::Claim(ask) = device.core.next(at) else { panic!("a claim") };
    assert!(matches!(device.core.next(at), Action::Wait(None)));
    let claims = device.store.claim(&device.in_flight, ask.rules()).expect("read");
    device.core.take(Input::Claimed(Ok(claims)), at, 0.5);
    assert!(matches!(device.core.next(at), Action::HandOver(_)));
    device.visit(2);
    assert!(matches!(device.core.next(at), Action::Wait(None)));
}

#[test]
fn a_profile_on_which_the_hub_failed_has_its_turn_alone_and_after_the_others() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    fails_on(&mut device, &mut hub, &[1, 2]);
    device.now += 5 * MINUTE;
    device.visit(3);
    let keys = |profiles: Vec<ProfileParts>| -> Vec<String> {
        profiles.iter().map(|profile| profile.identity.key().to_owned()).collect()
    };
    let mut turns = Vec::new();
    for _ in 0..10 {
        let profiles = device_request_after(&mut device);
        hub.take(&profiles);
        device.answer(taken(Vec::new()));
        if !profiles.is_empty() {
            turns.push(keys(profiles));
        }
    }
    turns.truncate(3);
    assert_eq!(turns, [["customer 3"], ["customer 1"], ["customer 2"]]);
}

#[test]
fn a_hub_that_wants_the_rest_later_is_asked_then_and_one_without_a_rest_at_the_sign_of_life() {
    let mut device = Device::new();
    let later = |seconds| {
        let time = Timestamp::from_millis(1_800_000_000_000);
        Handed::Taken(Taken { refused: Vec::new(), mappings: 0, next_in_seconds: seconds, time })
    };
    (0..=PROFILES_MAX).for_each(|customer| device.visit(customer));
    device.request().expect("a request");
    let at = device.now;
    device.answer(later(90));
    assert!(device.request().is_none());
    let Action::Wait(until) = device.core.next(moment(device.now)) else { panic!("a wait") };
    assert_eq!(until, Some(at + 90 * SECOND));
    device.now = at + 90 * SECOND;
    assert_eq!(device.request().map(|profiles| profiles.len()), Some(1));
    let at = device.now;
    device.answer(later(90));
    assert!(device.request().is_none());
    let Action::Wait(until) = device.core.next(moment(device.now)) else { panic!("a wait") };
    assert_eq!(until, Some(at + 300 * SECOND), "with nothing left it is not waited for");
    device.visit(1);
    assert!(device.request().is_some(), "what comes then goes at once");
}

#[test]
fn a_refusal_is_of_the_profile_and_the_part_that_it_names() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    for customer in 1..=2 {
        device.visit(customer);
        device.record(customer, Operation::Set, "city", "Lund");
    }
    let refused = Refused { profile: 1, attribute: None, place: Some(0), reason: "no".to_owned(), hold: false };
    // By its name, as an older hub says it.
    let named = Refused { profile: 0, attribute: Some("city".to_owned()), place: None, ..refused.clone() };
    let mut answers = vec![taken(vec![refused, named])];
    device.run(&mut hub, SECOND, |hub, profiles| {
        hub.take(profiles);
        answers.pop().unwrap_or_else(|| taken(Vec::new()))
    });
    let refused = device.store.rejected(0, 100).expect("read").into_iter().map(|row| match row.subject {
        RejectedSubject::Update { identity, attributes } => {
            (identity.expect("kept").key().to_owned(), attributes[0].0.clone())
        }
        RejectedSubject::Event { .. } => panic!("an update"),
    });
    let refused: BTreeMap<String, String> = refused.collect();
    let expected =
        [("customer 1", "city"), ("customer 2", "city")].map(|(key, name)| (key.to_owned(), name.to_owned()));
    assert_eq!((refused, device.pending().attributes), (BTreeMap::from(expected), 0));
}

#[test]
fn one_profile_that_is_too_large_goes_in_parts_down_to_8_kib_and_is_refused_below() {
    let tell = |bytes: usize| {
        let (mut device, mut hub) = (Device::new(), Hub::default());
        let long = "x".repeat(bytes);
        ["a", "b", "c", "d"].iter().for_each(|name| device.record(1, Operation::Set, name, &long));
        device.run(&mut hub, 5 * SECOND, |hub, profiles| {
            let attributes: usize = profiles.iter().map(|profile| profile.attributes.len()).sum();
            if attributes > 2 { Handed::Failed(Outcome::TooLarge) } else { all(hub, profiles) }
        });
        (hub.parts.len(), device.rejected().len(), device.pending().attributes)
    };
    assert_eq!(tell(4_000), (4, 0, 0));
    assert_eq!(tell(100), (0, 1, 0), "in one rejection");
}

#[test]
fn a_request_that_fails_as_a_whole_sets_nobody_aside_and_one_alone_only_where_others_were_taken_since() {
    let mut device = Device::new();
    (1..=2).for_each(|customer| device.visit(customer));
    device.request().expect("a request");
    device.answer(failing());
    assert_eq!(device.core.take_waits(), None);
    assert_eq!(device.core.link().state(), LinkState::Offline);
    let (mut device, mut hub) = (Device::new(), Hub::default());
    device.visit(9);
    device.run(&mut hub, SECOND, all);
    assert_eq!(device.core.link().state(), LinkState::Online);
    device.visit(1);
    device.request().expect("a request");
    device.answer(Handed::Failed(Outcome::Foreign(super::Why::new(super::Cause::Foreign, "a portal"))));
    assert_eq!(device.core.take_waits(), None, "a portal is not its fault");
    assert_eq!(device.core.link().state(), LinkState::Blocked);
}

#[test]
fn one_on_which_the_hub_fails_again_after_others_were_taken_says_nothing_of_the_link() {
    let (mut device, mut hub) = (Device::new(), Hub::default());
    fails_on(&mut device, &mut hub, &[1]);
    for customer in 2..8 {
        device.visit(customer);
        let mut failures = 0;
        for _ in 0..400 {
            device.run(&mut hub, SECOND, |hub, profiles| {
                let fails = profiles.iter().any(|profile| profile.identity.key() == "customer 1");
                failures += usize::from(fails);
                if fails { failing() } else { all(hub, profiles) }
            });
            if failures > 0 {
                break;
            }
        }
        assert_eq!((failures, device.core.link().state()), (1, LinkState::Online), "{customer}");
    }
}
