//! The model itself, one test for each of its ways.

use std::time::Duration;

use outpost::core::operation::Operation;
use outpost::core::timestamp::Timestamp;

use super::journal::{MisdeedKind, Outcome, Who};
use super::target::{LIFE, Nature, Target, Times, WebWrite};
use super::wire::{
    Answer, BatchState, Curse, Faults, FetchTold, Status, StatusTold, SubmitTold, Weather, throttled, told_wait,
};
use super::world::START;
use super::{customer, dice, hours, mins, ms, secs};

/// A Target that shows at once and drops nothing.
fn calm() -> Nature {
    Nature {
        single_shows_max: Duration::ZERO,
        batch_shows_max: Duration::ZERO,
        batch_takes_max: mins(10),
        has_caches: false,
        dropped: 0,
        failed: 0,
        stuck: 0,
        ..Nature::default()
    }
}

fn at(passed: Duration) -> Timestamp {
    START.plus(passed)
}

fn row(attributes: &[(&str, &str)]) -> Vec<(String, String)> {
    attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn web(name: &str, operation: Operation, operand: &str) -> WebWrite {
    WebWrite { name: name.to_owned(), operation, operand: operand.to_owned() }
}

/// A Target with customer 0, whom the web site knows.
fn known(nature: Nature) -> Target {
    let mut target = Target::new(1, nature, START);
    target.visit(&customer(0), &[web("seen", Operation::Set, "yes")], START);
    target
}

fn only(faults: impl Fn(&mut Faults)) -> Faults {
    let mut only = Faults::default();
    faults(&mut only);
    only
}

fn latest(target: &mut Target, number: usize, name: &str, now: Timestamp) -> Option<String> {
    target.latest(&customer(number), now).and_then(|mut held| held.remove(name))
}

fn shown(target: &mut Target, name: &str, now: Timestamp) -> Option<(String, Option<Timestamp>)> {
    match target.fetch(0, &customer(0), now).answer {
        FetchTold::Found { mut attributes, .. } => attributes.remove(name),
        told => panic!("{told:?}"),
    }
}

fn submitted(target: &mut Target, rows: &[(usize, &[(&str, &str)])], now: Timestamp) -> String {
    let rows: Vec<_> = rows.iter().map(|(number, attributes)| (customer(*number), row(attributes))).collect();
    match target.submit(0, &rows, now).answer {
        SubmitTold::Accepted(name) => name,
        told => panic!("{told:?}"),
    }
}

fn outcome(target: &mut Target, request: usize, now: Timestamp) -> Outcome {
    target.pass(now);
    target.journal.requests[request].outcome
}

fn misdeeds(target: &Target) -> Vec<MisdeedKind> {
    target.journal.misdeeds.iter().map(|misdeed| misdeed.kind).collect()
}

#[test]
fn a_single_is_applied_and_its_time_is_in_whole_seconds() {
    let mut target = known(calm());
    let told = target.single(0, &customer(0), &row(&[("visits", "1")]), at(secs(10)));
    assert_eq!(told.answer, Answer::Yes);
    let (value, time) = shown(&mut target, "visits", at(secs(20))).unwrap();
    assert_eq!((value.as_str(), time.unwrap().as_millis() % 1_000), ("1", 0));
    assert_eq!(outcome(&mut target, 0, at(secs(20))), Outcome::Yes);
}

#[test]
fn a_single_for_nobody_is_answered_true_and_vanishes() {
    let mut target = Target::new(1, calm(), START);
    assert_eq!(target.single(0, &customer(0), &row(&[("visits", "1")]), START).answer, Answer::Yes);
    assert_eq!(target.latest(&customer(0), at(mins(1))), None);
    assert!(target.journal.requests[0].vanished_at.is_some());
    assert_eq!(target.fetch(0, &customer(0), at(mins(1))).answer, FetchTold::Missing);
}

#[test]
fn a_write_shows_late_and_the_truth_has_it_at_once() {
    let late = (0..20).any(|seed| {
        let mut target = Target::new(seed, Nature { single_shows_max: mins(60), ..calm() }, START);
        target.visit(&customer(0), &[], START);
        target.single(0, &customer(0), &row(&[("visits", "1")]), START);
        let now = at(mins(1));
        assert_eq!(latest(&mut target, 0, "visits", now).as_deref(), Some("1"));
        let is_late = shown(&mut target, "visits", now).is_none();
        assert!(shown(&mut target, "visits", at(mins(61))).is_some());
        is_late
    });
    assert!(late);
}

#[test]
fn a_cache_shows_what_was_there_some_seconds_ago() {
    let stale = (0..40).filter(|seed| {
        let mut target = Target::new(*seed, Nature { has_caches: true, ..calm() }, START);
        target.visit(&customer(0), &[web("visits", Operation::Add, "1")], START);
        target.visit(&customer(0), &[web("visits", Operation::Add, "1")], at(secs(60)));
        // The first shows, and a third of the writes show at once.
        shown(&mut target, "visits", at(secs(60).saturating_add(ms(200)))).unwrap().0 == "1"
    });
    assert!((1..40).contains(&stale.count()));
}

#[test]
fn times_may_be_missing() {
    let mut target = known(Nature { times: Times::Profile, ..calm() });
    assert_eq!(shown(&mut target, "seen", at(secs(1))).unwrap().1, None);
    let FetchTold::Found { modified_at, .. } = target.fetch(0, &customer(0), at(secs(1))).answer else { panic!() };
    assert_eq!(modified_at, Some(START));
}

#[test]
fn a_row_creates_a_profile_some_time_after_it_was_submitted() {
    let mut target = Target::new(1, calm(), START);
    let name = submitted(&mut target, &[(0, &[("visits", "1")])], START);
    assert_eq!(target.latest(&customer(0), at(secs(5))), None);
    let StatusTold::State(status) = target.status(0, &name, at(secs(5))).answer else { panic!() };
    assert_eq!(status.state, BatchState::Incomplete);
    let StatusTold::State(status) = target.status(0, &name, at(mins(15))).answer else { panic!() };
    assert_eq!((status.state, status.failed_updates), (BatchState::Complete, Some(0)));
    assert_eq!(latest(&mut target, 0, "visits", at(mins(15))).as_deref(), Some("1"));
    assert_eq!(outcome(&mut target, 0, at(mins(16))), Outcome::Yes);
}

#[test]
fn a_row_overrides_what_the_batch_before_set_unless_there_was_a_visit() {
    let mut target = Target::new(1, calm(), START);
    submitted(&mut target, &[(0, &[("a", "1"), ("b", "1")])], START);
    submitted(&mut target, &[(0, &[("b", "2")])], at(mins(20)));
    assert_eq!(latest(&mut target, 0, "a", at(mins(40))), None);
    let removed = target.journal.writes.iter().find(|write| write.value.is_none()).unwrap();
    assert_eq!((removed.name.as_str(), removed.who), ("a", Who::Device(0)));
    target.visit(&customer(0), &[], at(mins(40)));
    submitted(&mut target, &[(0, &[("c", "3")])], at(mins(41)));
    assert_eq!(latest(&mut target, 0, "b", at(mins(60))).as_deref(), Some("2"));
}

#[test]
fn a_dropped_row_counts_as_complete_and_the_journal_knows() {
    let mut target = Target::new(1, Nature { dropped: 1_000, ..calm() }, START);
    let name = submitted(&mut target, &[(0, &[("a", "1")])], START);
    let StatusTold::State(status) = target.status(0, &name, at(mins(15))).answer else { panic!() };
    assert_eq!((status.state, status.failed_updates), (BatchState::Complete, Some(0)));
    assert!(target.journal.requests[0].dropped_at.is_some());
    assert_eq!(target.latest(&customer(0), at(mins(20))), None);
}

#[test]
fn failed_rows_are_named_raw_or_encoded_or_only_counted() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut target = Target::new(seed, Nature { failed: 1_000, ..calm() }, START);
        let name = submitted(&mut target, &[(0, &[("a", "1")])], START);
        let StatusTold::State(status) = target.status(0, &name, at(mins(15))).answer else { panic!() };
        let outcome = outcome(&mut target, 0, at(mins(16)));
        assert_eq!(outcome, if status.failed.is_empty() { Outcome::Lost } else { Outcome::No });
        assert_eq!(target.latest(&customer(0), at(mins(20))), None);
        seen.insert((status.failed, status.failed_updates, status.consumed));
    }
    let one = |name: &str| (vec![name.to_owned()], Some(1), Some(1));
    let expected = [(vec![], Some(0), Some(0)), (vec![], Some(1), Some(1)), one("customer 0"), one("customer%200")];
    assert_eq!(seen, expected.into_iter().collect());
}

#[test]
fn a_batch_may_be_stuck_and_its_status_may_flap() {
    let mut target = Target::new(1, Nature { stuck: 1_000, ..calm() }, START);
    let name = submitted(&mut target, &[(0, &[("a", "1")])], START);
    let StatusTold::State(status) = target.status(0, &name, at(mins(15))).answer else { panic!() };
    assert_eq!(status.state, BatchState::Stuck);
    assert_eq!(outcome(&mut target, 0, at(mins(16))), Outcome::No);
    target.set_faults(only(|faults| faults.flapping = 1_000));
    let told: Vec<_> = (16..40).map(|minute| target.status(0, &name, at(mins(minute))).answer).collect();
    assert!(told.contains(&StatusTold::NotFound));
    assert!(told.contains(&StatusTold::Status(Status::plain(500))));
    assert_eq!(outcome(&mut target, 0, at(mins(40))), Outcome::No);
}

#[test]
fn a_bad_row_refuses_the_whole_batch() {
    let mut target = Target::new(1, calm(), START);
    target.curse(customer(1), Curse::BadRow);
    let rows = [(customer(0), row(&[("a", "1")])), (customer(1), row(&[("a", "1")]))];
    let told = target.submit(0, &rows, START).answer;
    assert!(matches!(told, SubmitTold::Refused | SubmitTold::Status(Status { code: 400, .. })));
    assert_eq!(target.latest(&customer(0), at(hours(2))), None);
    assert_eq!(outcome(&mut target, 0, at(hours(2))), Outcome::No);
}

#[test]
fn an_answer_is_lost_before_after_or_long_before_it_is_done() {
    let lost = |faults: Faults, now: Timestamp| {
        let mut target = known(calm());
        target.set_faults(faults);
        assert_eq!(target.single(0, &customer(0), &row(&[("a", "1")]), START).answer, Answer::Lost);
        let value = latest(&mut target, 0, "a", now);
        (outcome(&mut target, 0, at(hours(2))), value, latest(&mut target, 0, "a", at(hours(2))))
    };
    let one = || Some("1".to_owned());
    assert_eq!(lost(only(|faults| faults.lost_after = 1_000), at(secs(11))), (Outcome::Lost, one(), one()));
    assert_eq!(lost(only(|faults| faults.lost_before = 1_000), at(secs(11))), (Outcome::Lost, None, None));
    assert_eq!(lost(only(|faults| faults.lost_later = 1_000), at(secs(11))), (Outcome::Lost, None, one()));
}

#[test]
fn a_batch_whose_answer_was_lost_is_worked_off_or_is_not() {
    for (faults, is_done) in [
        (only(|faults| faults.lost_after = 1_000), true),
        (only(|faults| faults.lost_later = 1_000), true),
        (only(|faults| faults.lost_before = 1_000), false),
    ] {
        let mut target = Target::new(1, calm(), START);
        target.set_faults(faults);
        let told = target.submit(0, &[(customer(0), row(&[("a", "1")]))], START);
        assert_eq!(told.answer, SubmitTold::Lost);
        assert_eq!(target.latest(&customer(0), at(hours(3))).is_some(), is_done);
    }
}

#[test]
fn what_is_answered_no_is_never_done() {
    for faults in [
        only(|faults| faults.unreachable = 1_000),
        only(|faults| faults.server_error = 1_000),
        only(|faults| faults.throttled = 1_000),
        only(|faults| faults.unauthorized = 1_000),
        only(|faults| faults.portal = 1_000),
        only(|faults| faults.stranger = 1_000),
    ] {
        let mut target = known(calm());
        target.set_faults(faults);
        let told = target.single(0, &customer(0), &row(&[("a", "1")]), START);
        assert!(matches!(told.answer, Answer::Status(_) | Answer::Unreachable), "{told:?}");
        assert_eq!(latest(&mut target, 0, "a", at(hours(2))), None);
        assert_eq!(outcome(&mut target, 0, at(hours(2))), Outcome::No);
    }
}

#[test]
fn weather_is_for_all_or_for_one_and_ends() {
    let mut target = known(calm());
    target.set_weather(Some(0), Weather::Gateway { code: 404, is_html: true }, at(hours(1)));
    let told = target.single(0, &customer(0), &row(&[("a", "1")]), START).answer;
    assert_eq!(told, Answer::Status(Status { code: 404, retry_after: None, is_html: true }));
    assert_eq!(target.single(1, &customer(0), &row(&[("a", "1")]), START).answer, Answer::Yes);
    assert_eq!(target.single(0, &customer(0), &row(&[("a", "1")]), at(hours(1))).answer, Answer::Yes);
    target.set_weather(None, Weather::ReadingForbidden, at(hours(3)));
    assert_eq!(target.fetch(1, &customer(0), at(hours(2))).answer, FetchTold::Status(Status::plain(403)));
    assert_eq!(target.single(1, &customer(0), &row(&[("a", "1")]), at(hours(2))).answer, Answer::Yes);
}

#[test]
fn a_curse_is_for_one_profile_and_one_request() {
    let mut target = known(calm());
    target.curse(customer(0), Curse::Unreadable);
    assert_eq!(target.fetch(0, &customer(0), START).answer, FetchTold::Status(Status::plain(400)));
    assert_eq!(target.single(0, &customer(0), &row(&[("a", "1")]), START).answer, Answer::Yes);
    target.curse(customer(0), Curse::Refused);
    let told = target.single(0, &customer(0), &row(&[("a", "1")]), at(mins(1))).answer;
    assert_eq!(told, Answer::Status(Status::plain(400)));
    target.curse(customer(0), Curse::ServerError);
    target.heal(at(mins(2)));
    assert_eq!(target.single(0, &customer(0), &row(&[("a", "1")]), at(mins(3))).answer, Answer::Yes);
}

#[test]
fn singles_have_a_quota_in_a_rolling_day() {
    let mut target = known(Nature { singles_per_day: Some(2), ..calm() });
    let mut send = |passed| target.single(0, &customer(0), &row(&[("a", "1")]), at(passed)).answer;
    assert_eq!((send(mins(1)), send(mins(2))), (Answer::Yes, Answer::Yes));
    assert!(matches!(send(mins(3)), Answer::Status(Status { code: 429, .. })));
    assert_eq!(send(hours(25)), Answer::Yes);
}

#[test]
fn a_profile_expires_without_activity() {
    let mut target = known(calm());
    let last = at(hours(24));
    target.single(0, &customer(0), &row(&[("visits", "5")]), last);
    assert!(target.latest(&customer(0), last.plus(LIFE)).is_some());
    let gone = last.plus(LIFE).plus(mins(1));
    assert_eq!(target.latest(&customer(0), gone), None);
    assert_eq!(target.journal.expiries.len(), 1);
    target.visit(&customer(0), &[web("visits", Operation::Add, "1")], gone);
    assert_eq!(latest(&mut target, 0, "visits", gone).as_deref(), Some("1"));
}

#[test]
fn the_web_site_writes_on_top_of_the_latest_truth() {
    let mut target = known(Nature { single_shows_max: mins(60), ..calm() });
    target.single(0, &customer(0), &row(&[("visits", "5"), ("most", "7"), ("list", "a"), ("origin", "x")]), START);
    let writes = [
        web("visits", Operation::Add, "2"),
        web("most", Operation::Max, "6"),
        web("least", Operation::Min, "6"),
        web("list", Operation::Append, "b"),
        web("origin", Operation::First, "y"),
    ];
    target.visit(&customer(0), &writes, at(secs(30)));
    let held = target.latest(&customer(0), at(secs(30))).unwrap();
    let of = |name: &str| held[name].as_str();
    assert_eq!((of("visits"), of("most"), of("least"), of("list"), of("origin")), ("7", "7", "6", "a,b", "x"));
}

#[test]
fn a_killed_device_never_hears_and_what_it_sent_is_done() {
    let mut target = known(calm());
    target.single(0, &customer(0), &row(&[("a", "1")]), START);
    target.kill(0, Vec::new(), START);
    assert_eq!(latest(&mut target, 0, "a", at(mins(1))).as_deref(), Some("1"));
    assert_eq!(outcome(&mut target, 0, at(hours(2))), Outcome::Open);
    // Its next process may send at once.
    target.single(0, &customer(0), &row(&[("a", "2")]), START);
    assert!(misdeeds(&target).is_empty());
}

#[test]
fn what_a_device_must_not_do_is_noted() {
    let mut target = known(calm());
    target.single(0, &customer(0), &row(&[("a", "1")]), START);
    target.single(0, &customer(0), &row(&[("a", "2")]), START);
    assert_eq!(misdeeds(&target), [MisdeedKind::TwoAtOnce]);
    let mut target = known(calm());
    target.single(0, &customer(0), &row(&[("a", "1"), ("a", "2")]), START);
    target.single(0, &customer(1), &row(&[("a", "")]), START);
    target.single(0, &customer(2), &row(&[]), START);
    assert_eq!(misdeeds(&target), [MisdeedKind::Twice, MisdeedKind::EmptyValue, MisdeedKind::Malformed]);
    let mut target = known(calm());
    let rows = [(customer(0), row(&[("a", "1")])), (customer(0), row(&[("b", "1")]))];
    target.submit(0, &rows, START);
    assert_eq!(misdeeds(&target), [MisdeedKind::Twice]);
    let mut target = known(calm());
    for number in 0..400 {
        target.fetch(0, &customer(0), at(ms(number)));
    }
    assert_eq!(misdeeds(&target), [MisdeedKind::Hammering]);
}

#[test]
fn who_does_not_wait_as_told_is_impatient() {
    let noted = (0..40).filter(|seed| {
        let mut target = Target::new(*seed, calm(), START);
        target.set_faults(only(|faults| faults.throttled = 1_000));
        let told = target.fetch(0, &customer(0), START);
        target.set_faults(Faults::default());
        let FetchTold::Status(status) = told.answer else { panic!() };
        let wait = told_wait(&status, told.date.unwrap()).unwrap_or_default();
        target.fetch(0, &customer(0), told.at.plus(wait).plus(secs(1)));
        assert!(misdeeds(&target).is_empty());
        let soon = told.at.plus(wait / 2);
        let mut target = Target::new(*seed, calm(), START);
        target.set_faults(only(|faults| faults.throttled = 1_000));
        target.fetch(0, &customer(0), START);
        target.fetch(0, &customer(0), soon);
        misdeeds(&target) == [MisdeedKind::Impatient]
    });
    assert!((5..40).contains(&noted.count()));
}

#[test]
fn a_told_wait_is_read_against_the_date_of_the_answer_and_bounded() {
    let wait = |text: &str| told_wait(&Status { code: 429, retry_after: Some(text.to_owned()), is_html: false }, START);
    assert_eq!(wait("120"), Some(secs(120)));
    assert_eq!(wait("86400"), Some(hours(1)));
    assert_eq!((wait("0"), wait("-5"), wait("soon")), (Some(Duration::ZERO), None, None));
    let forms: std::collections::BTreeSet<_> =
        (0..200).map(|seed| throttled(&mut dice(seed, "form"), START).retry_after).collect();
    assert_eq!(forms.len(), 9);
}

#[test]
fn the_same_story_is_told_the_same_way() {
    use super::agents::{Flaw, Small};
    use super::world::Story;
    let story = Story::of_seed(3);
    let tell = || format!("{:?}", story.tell(|device| Small::new(device, Flaw::None)).target.journal);
    assert!(tell() == tell());
}
