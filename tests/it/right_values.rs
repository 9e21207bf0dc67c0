//! What Target ends up with is right: each fault that made it wrong once, tried with the defaults.
//!
//! Where hours must pass, the real core and the real store run against the model of Target.

use std::collections::BTreeMap;
use std::time::Duration;

use outpost::core::forwarding::route::{Mode, RouteRules};
use outpost::core::operation::Operation;
use outpost::device::clock::Clock;
use outpost::forward::ForwarderRules;
use outpost::inspect::status::Status;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::{Target, Unknown};
use outpost::store::FILE_NAME;
use reqwest::Method;
use serde_json::{Value, json};

use crate::model::target::{Nature, Times, WebWrite};
use crate::model::wire::{Faults as ModelFaults, Weather};
use crate::model::world::{Change, Cut, Step, Story};
use crate::model::{customer, hours, mins, secs};
use crate::process::{Agent, client_of_one_connection, configure_mappings, drained, start_sandbox};
use crate::simulation::tell;
use crate::support::{BATCH, Fixture, MAPPINGS, PATIENCE, Running, Setup, held, noted, used};
use crate::target::{ago, attribute, counts, learn, profile, requests, setup, visit};

/// The mappings of most tests, with a list.
fn with_list() -> String {
    MAPPINGS.replace("add = { visits", "append = { stores = \"data.store\" }\nadd = { visits")
}

/// The defaults, where all goes in batches at once since the backlog is said to be large.
fn in_batches(mode: Mode) -> Setup {
    let routes = RouteRules { mode, bulk_above: 0, ..RouteRules::default() };
    Setup { forwarding: ForwarderRules { routes, ..setup().forwarding }, ..setup() }
}

fn assert_held(fixture: &Fixture, card: &str, expected: &[(&str, &str)], when: &str) {
    for (name, value) in expected {
        assert_eq!(fixture.held(card, name).as_deref(), Some(*value), "{name} of {card}: {when}");
    }
}

/// Changes something at Target between two tries of the only profile: when each of its readings was followed by a request.
async fn between_tries(fixture: &Fixture, api: &str, change: impl FnOnce(&mut Target)) {
    let waiting = async {
        loop {
            {
                let mut target = fixture.sandbox.target();
                let count = |api: &str| target.requests().iter().filter(|request| request.api == api).count();
                if count(api) > 0 && count("fetch") == count(api) {
                    return change(&mut target);
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("there should be a try");
}

/// The web site counts one visit on top, and nothing fails any more.
fn theirs_is_12(target: &mut Target) {
    let visits = BTreeMap::from([("visits".to_owned(), "12".to_owned())]);
    assert!(target.visit(&"third_party_id:7".parse().unwrap(), &visits, Clock::system()));
    target.faults = Faults::default();
}

// Stories, in simulated time.

/// A Target that does at once what it is asked for.
pub fn calm() -> Nature {
    Nature {
        single_shows_max: Duration::ZERO,
        batch_shows_max: Duration::ZERO,
        batch_takes_max: mins(5),
        times: Times::Each,
        has_caches: false,
        dropped: 0,
        failed: 0,
        stuck: 0,
        is_stuck_half_done: false,
        singles_per_day: None,
    }
}

pub fn event(id: u64, number: usize, changes: &[(Operation, &str, &str)]) -> Step {
    let change = |(operation, name, operand): &(Operation, &str, &str)| Change {
        name: (*name).to_owned(),
        operation: *operation,
        operand: (*operand).to_owned(),
    };
    let changes = changes.iter().map(change).collect();
    Step::Event { device: 0, id, customer: number, changes, late: Duration::ZERO }
}

pub fn web(number: usize, writes: &[(Operation, &str, &str)]) -> Step {
    let write = |(operation, name, operand): &(Operation, &str, &str)| WebWrite {
        name: (*name).to_owned(),
        operation: *operation,
        operand: (*operand).to_owned(),
    };
    Step::Visit { customer: number, writes: writes.iter().map(write).collect() }
}

pub fn pass(by: Duration) -> Step {
    Step::Advance { by }
}

/// The story of one device, by that seed.
pub fn story(seed: u64, nature: Nature, steps: &[Step]) -> Story {
    Story { seed, nature, devices: 1, steps: steps.to_vec(), quiet: hours(24) }
}

/// Tells a story with each seed: the oracle finds nothing, and Target ends with these values of these customers.
pub fn check_story(what: &str, nature: Nature, steps: &[Step], expected: &[(usize, &str, &str)]) {
    for seed in 0..20 {
        let story = story(seed, nature, steps);
        let mut told = tell(&story, true);
        let lines = || format!("{what}\n{}", story.lines());
        assert!(told.findings.is_empty(), "{:?}\n{}", told.findings, lines());
        for (number, name, value) in expected {
            let latest = told.target.latest(&customer(*number), told.ended_at).unwrap_or_default();
            assert_eq!(latest.get(*name).map(String::as_str), Some(*value), "{name} of {number}\n{}", lines());
        }
    }
}

// One device alone counts twice.

#[tokio::test]
async fn one_device_alone_whose_answer_is_lost_counts_once_and_appends_once() {
    for faults in ["single=lost*1", "single=outage*1", "single=reset*1"] {
        let fixture = Setup { faults, mappings: with_list(), ..setup() }.start().await;
        learn(&fixture, "7");
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        fixture.agent.wait_drained().await;
        let once = [("visits", "1"), ("spend", "1"), ("stores", "Lund"), ("lastStore", "Lund")];
        assert_held(&fixture, "7", &once, faults);
        fixture.agent.record(&used("2", "7", "Ystad", 0.5)).await;
        fixture.agent.wait_drained().await;
        let twice = [("visits", "2"), ("spend", "1.5"), ("stores", "Lund,Ystad"), ("lastStore", "Ystad")];
        assert_held(&fixture, "7", &twice, faults);
        assert_eq!(requests(&fixture, "single").len(), 3, "{faults}");
    }
}

#[test]
fn with_a_fifth_of_the_answers_lost_one_device_alone_counts_exactly() {
    const CUSTOMERS: usize = 8;
    let mut steps = vec![Step::Faults(ModelFaults { lost_after: 200, ..ModelFaults::default() })];
    for round in 0..6 {
        for number in 0..CUSTOMERS {
            let item = format!("i{round}");
            let changes = [(Operation::Add, "visits", "1"), (Operation::Append, "stores", item.as_str())];
            steps.push(event((round * CUSTOMERS + number) as u64, number, &changes));
            steps.push(pass(secs(40)));
        }
    }
    let visits = (0..CUSTOMERS).map(|number| (number, "visits", "6"));
    let stores = (0..CUSTOMERS).map(|number| (number, "stores", "i0,i1,i2,i3,i4,i5"));
    check_story("lost answers", calm(), &steps, &visits.chain(stores).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_device_alone_that_is_killed_before_the_answer_counts_once() {
    const CARDS: usize = 12;
    const ROUNDS: usize = 8;
    let ((sandbox, address), _stop) = start_sandbox(Unknown::Vanish).await;
    let dir = tempfile::tempdir().unwrap();
    let mappings = with_list().replace("mode = \"single\"\nshared_profiles = false\n", "");
    configure_mappings(dir.path(), address, "", &mappings);
    (0..CARDS).for_each(|card| sandbox.target().learn(&format!("third_party_id:{card}").parse().unwrap()));
    sandbox.target().faults = "single=slow=20ms".parse().unwrap();
    let http = client_of_one_connection();
    let singles = |target: &Target| target.requests().iter().filter(|request| request.api == "single").count();
    for round in 0..ROUNDS {
        let agent = Agent::start(dir.path()).await;
        let visit = |card: usize| used(&format!("{round}-{card}"), &card.to_string(), &format!("s{round}"), 1.0);
        let body = json!((0..CARDS).map(visit).collect::<Vec<Value>>()).to_string();
        let url = format!("{}/v1/events", agent.access.endpoint);
        let request = http.post(&url).bearer_auth(&agent.access.token).header("content-type", BATCH).body(body);
        assert!(request.send().await.unwrap().status().is_success());
        // In the midst of its requests, whichever they are.
        let before = singles(&sandbox.target());
        let more = fastrand::usize(1..CARDS / 2);
        sandbox.wait_until(|target| singles(target) >= before + more).await;
        drop(agent);
    }
    sandbox.target().faults = Faults::default();
    let agent = Agent::start(dir.path()).await;
    drained(&agent.access).await;
    let stores = (0..ROUNDS).map(|round| format!("s{round}")).collect::<Vec<_>>().join(",");
    for card in 0..CARDS {
        let held = |name| held(&sandbox.target(), &card.to_string(), name);
        let found = (held("visits"), held("spend"), held("stores"));
        assert_eq!(found, (Some(ROUNDS.to_string()), Some(ROUNDS.to_string()), Some(stores.clone())), "card {card}");
    }
}

#[tokio::test]
async fn a_late_set_is_not_left_out_for_our_own_lost_write() {
    let fixture = Setup { faults: "single=lost*1", ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&ago(noted("1", "7", "first"), 3_600)).await;
    fixture.wait_held("7", "note", "first").await;
    // Target's time of it is newer than the next event.
    fixture.agent.record(&ago(noted("2", "7", "second"), 1_800)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("second"));
    assert_eq!(status.delivered.superseded, 0);
}

// Own values taken for others'.

#[test]
fn reads_of_different_moments_lose_one_device_alone_no_count() {
    let mut steps = Vec::new();
    for id in 0..30 {
        steps.push(event(id, 0, &[(Operation::Add, "visits", "1")]));
        steps.push(pass(Duration::from_millis(200 + 300 * (id % 5))));
        if id == 3 {
            // The profile exists from here on, and is updated singly.
            steps.push(pass(mins(20)));
        }
    }
    let nature = Nature { has_caches: true, ..calm() };
    check_story("caches", nature, &steps, &[(0, "visits", "30")]);
    let nature = Nature { has_caches: true, single_shows_max: mins(60), batch_shows_max: mins(60), ..calm() };
    check_story("caches and late shows", nature, &steps, &[(0, "visits", "30")]);
}

#[tokio::test]
async fn verify_does_not_undo_what_another_device_set_in_the_same_second() {
    let fixture = setup().start().await;
    for card in ["7", "8", "9"] {
        learn(&fixture, card);
        fixture.agent.record(&noted(card, card, "ours")).await;
        fixture.wait_held(card, "note", "ours").await;
        visit(&fixture, card, "note", "theirs");
        fixture.agent.wait_drained().await;
        let path = format!("/v1/profiles/third_party_id/{card}/verify?resend=true");
        let verified: Value = fixture.agent.request(Method::POST, &path).send().await.unwrap().json().await.unwrap();
        assert_eq!(attribute(&verified, "note")["verdict"], "changed_by_others", "{verified}");
        assert_eq!(verified["resent"], 0, "{verified}");
        fixture.agent.wait_drained().await;
        assert_held(&fixture, card, &[("note", "theirs")], "after verify");
    }
}

// What Target applies late.

#[test]
fn what_target_applies_late_over_newer_values_is_read_back_and_put_right() {
    let late = |id| {
        [
            Step::Faults(ModelFaults { lost_later: 1_000, ..ModelFaults::default() }),
            event(id, 0, &[(Operation::Set, "lastStore", "a"), (Operation::Add, "visits", "1")]),
            pass(secs(5)),
            Step::Faults(ModelFaults::default()),
            pass(mins(2)),
            event(id + 1, 0, &[(Operation::Set, "lastStore", "b"), (Operation::Add, "visits", "1")]),
            pass(hours(6)),
        ]
    };
    let expected = [(0, "lastStore", "b"), (0, "visits", "2")];
    let known = [event(0, 0, &[(Operation::Set, "lastStore", "old")]), pass(mins(20))];
    check_story("a single", calm(), &[&known[..], &late(1)[..]].concat(), &expected);
    check_story("a batch", calm(), &late(1), &expected);
}

// Rows with totals go out unread.

#[tokio::test]
async fn a_customer_who_comes_back_after_14_days_with_a_set_alone_undoes_no_total() {
    let mut fixture = setup().start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    fixture.agent.stop().await;
    let store = rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap();
    store.execute("UPDATE profile SET existence_at_ms = existence_at_ms - 14 * 86400000", []).unwrap();
    drop(store);
    visit(&fixture, "7", "visits", "50");
    fixture.start_again().await;
    fixture.agent.record(&noted("2", "7", "back")).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "50"), ("note", "back")], "a set alone");
    fixture.agent.record(&used("3", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "51"), ("spend", "2")], "a total after it");
}

#[tokio::test]
async fn rows_with_totals_are_read_also_when_the_quota_runs_out_within_a_page() {
    let fixture = Setup { updates_per_day: 4, ..setup() }.start().await;
    let cards: Vec<String> = (0..10).map(|card| card.to_string()).collect();
    cards.iter().for_each(|card| visit(&fixture, card, "visits", "5"));
    let events: Vec<Value> = cards.iter().map(|card| used(card, card, "Lund", 1.0)).collect();
    fixture.agent.record_batch(&events).await;
    fixture.agent.wait_drained().await;
    cards.iter().for_each(|card| assert_held(&fixture, card, &[("visits", "6"), ("spend", "1")], "the quota is spent"));
    let counts = counts(&fixture);
    assert!(counts["single"] <= 4 && counts["bulk_v2"] >= 1, "{counts:?}");
}

#[tokio::test]
async fn rows_with_totals_are_read_also_when_only_backlog_and_waiting_rows_together_exceed_bulk_above() {
    let routes = RouteRules { bulk_above: 4, ..RouteRules::default() };
    let forwarding = ForwarderRules { routes, ..setup().forwarding };
    let fixture = Setup { forwarding, ..setup() }.start().await;
    // After a first batch the next one waits a minute, unless it is large.
    fixture.agent.record(&used("0", "first", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    let missing: Vec<Value> = (0..3).map(|card| used(&format!("m{card}"), &format!("m{card}"), "Lund", 1.0)).collect();
    fixture.agent.record_batch(&missing).await;
    let waits = |status: &Status| status.batches.iter().any(|batch| batch.state == "filling" && batch.rows == 3);
    fixture.agent.wait_status(waits).await;
    (0..4).for_each(|card| visit(&fixture, &format!("k{card}"), "visits", "5"));
    let known: Vec<Value> = (0..4).map(|card| used(&format!("k{card}"), &format!("k{card}"), "Lund", 1.0)).collect();
    fixture.agent.record_batch(&known).await;
    fixture.agent.wait_drained().await;
    (0..3).for_each(|card| assert_held(&fixture, &format!("m{card}"), &[("visits", "1")], "it was missing"));
    (0..4).for_each(|card| assert_held(&fixture, &format!("k{card}"), &[("visits", "6")], "it was known"));
}

// A frozen batch is sent hours later as it was.

#[test]
fn a_batch_that_cannot_be_submitted_for_hours_is_not_sent_as_it_was() {
    let counted = [(Operation::Add, "visits", "1"), (Operation::Set, "lastStore", "till")];
    let visited = [(Operation::Add, "visits", "7"), (Operation::Set, "lastStore", "web")];
    let steps = |trouble: &[Step]| {
        let mut steps = vec![event(0, 1, &counted), pass(secs(20))];
        // The batch of the first holds up that of the second for a minute.
        steps.push(event(1, 0, &counted));
        steps.extend_from_slice(trouble);
        steps.extend([pass(hours(3)), web(0, &visited), pass(hours(9))]);
        steps.push(Step::Link { device: 0, is_up: true });
        steps.push(pass(hours(1)));
        steps
    };
    let weather = |weather| Step::Weather { device: None, weather, lasts: hours(10) };
    let off = Step::Link { device: 0, is_up: false };
    let kill = Step::Kill { device: 0, after: 0, cut: Cut::Kill };
    let stories = [
        ("the device is off for the night", vec![pass(secs(10)), off.clone()]),
        ("it is killed and off", vec![pass(secs(10)), kill, off.clone()]),
        ("it is off before it reads", vec![off]),
        ("batches alone are forbidden", vec![weather(Weather::BatchesForbidden)]),
        ("updates fail", vec![weather(Weather::UpdatesRefused { code: 503 })]),
        ("a gateway answers", vec![weather(Weather::Gateway { code: 502, is_html: true })]),
        ("Target is down", vec![weather(Weather::ServerDown)]),
    ];
    for (what, trouble) in stories {
        let expected = [(0, "visits", "8"), (0, "lastStore", "web"), (1, "visits", "1")];
        check_story(what, calm(), &steps(&trouble), &expected);
    }
}

#[tokio::test]
async fn a_batch_that_waited_when_the_agent_stopped_is_read_again() {
    let mut fixture = setup().start().await;
    fixture.agent.record(&used("1", "6", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    fixture.agent.record(&ago(used("2", "7", "Lund", 1.0), 3_600)).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "filling")).await;
    fixture.agent.stop().await;
    visit(&fixture, "7", "visits", "7");
    visit(&fixture, "7", "lastStore", "web");
    fixture.start_again().await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "8"), ("lastStore", "web")], "read again");
}

#[tokio::test]
async fn a_batch_that_the_rows_of_a_day_hold_up_does_not_keep_its_rows() {
    let mut fixture = setup().start().await;
    fixture.agent.record(&used("1", "6", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    fixture.agent.stop().await;
    let set_rows = |fixture: &Fixture, rows: i64| {
        let store = rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(store.execute("UPDATE batch SET row_count = ?1 WHERE state = 3", [rows]).unwrap(), 1);
    };
    set_rows(&fixture, 1_000_000);
    fixture.start_again().await;
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "given_up")).await;
    assert_eq!(attribute(&profile(&fixture.agent, "7").await, "visits")["state"], "pending");
    fixture.agent.stop().await;
    set_rows(&fixture, 1);
    visit(&fixture, "7", "visits", "7");
    fixture.start_again().await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "8")], "read again");
    assert_eq!(requests(&fixture, "bulk_v2").len(), 1);
}

// An attempt is taken for a delivery.

#[tokio::test]
async fn an_attempt_that_was_answered_with_a_definite_no_is_no_delivery() {
    for faults in ["single=429=1", "single=403", "single=401", "single=portal", "single=redirect", "single=gateway=404"]
    {
        let fixture = Setup { faults, ..setup() }.start().await;
        visit(&fixture, "7", "visits", "11");
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        between_tries(&fixture, "single", theirs_is_12).await;
        let status = fixture.agent.wait_drained().await;
        assert_held(&fixture, "7", &[("visits", "13"), ("spend", "1")], faults);
        assert_eq!(status.rejected.updates, 0, "{faults}");
    }
}

#[tokio::test]
async fn an_update_or_a_row_that_was_refused_and_is_tried_again_is_no_delivery() {
    for (faults, how) in [("single=400*1", setup()), ("bulk_v2=400*1", in_batches(Mode::Auto))] {
        let fixture = Setup { faults, ..how }.start().await;
        visit(&fixture, "7", "visits", "11");
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        fixture.agent.wait_status(|status| status.rejected.updates == 1 && status.pending.profiles == 0).await;
        theirs_is_12(&mut fixture.sandbox.target());
        fixture.agent.request(Method::POST, "/v1/rejected/1/retry").send().await.unwrap();
        fixture.wait_held("7", "visits", "13").await;
    }
}

#[tokio::test]
async fn a_row_of_a_batch_that_got_stuck_is_no_delivery() {
    let fixture = Setup { faults: "batch-stuck", ..in_batches(Mode::Auto) }.start().await;
    visit(&fixture, "7", "visits", "11");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    between_tries(&fixture, "bulk_v2", theirs_is_12).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "13"), ("spend", "1")], "after it was stuck");
}

// A lost answer to a batch.

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_not_sent_again_over_newer_values() {
    for faults in ["bulk_v2=lost*1", "bulk_v2=reset*1"] {
        let fixture = Setup { faults, mappings: with_list(), ..setup() }.start().await;
        let cards: Vec<String> = (0..20).map(|card| card.to_string()).collect();
        for (round, store) in [(1, "Lund"), (2, "Ystad"), (3, "Malmö")] {
            let events = cards.iter().map(|card| used(&format!("{round}-{card}"), card, store, 1.0));
            fixture.agent.record_batch(&events.collect::<Vec<Value>>()).await;
            if round > 1 {
                fixture.agent.wait_drained().await;
            }
        }
        let all = [("visits", "3"), ("spend", "3"), ("stores", "Lund,Ystad,Malmö"), ("lastStore", "Malmö")];
        cards.iter().for_each(|card| assert_held(&fixture, card, &all, faults));
        assert_eq!(requests(&fixture, "bulk_v2").len(), 1, "{faults}");
    }
}

// One unreadable profile.

#[tokio::test]
async fn a_profile_that_cannot_be_read_goes_on_from_what_was_sent_last_and_what_is_undelivered() {
    let fixture = setup().start().await;
    visit(&fixture, "7", "visits", "10");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "11")], "read");
    fixture.sandbox.target().faults = "fetch=400".parse().unwrap();
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "12")], "not read");
    assert_eq!((status.reads.denied, status.link.as_str()), (None, "online"));
}

#[tokio::test]
async fn a_profile_that_cannot_be_read_and_of_which_nothing_was_sent_waits_alone() {
    let fixture = Setup { faults: "fetch=400", ..setup() }.start().await;
    visit(&fixture, "7", "visits", "10");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    // It was tried, and tried again.
    fixture.wait_logged(2).await;
    assert_held(&fixture, "7", &[("visits", "10")], "it waits");
    assert_eq!(counts(&fixture).get("single"), None);
    fixture.sandbox.target().faults = Faults::default();
    visit(&fixture, "8", "visits", "5");
    fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
    fixture.wait_held("8", "visits", "6").await;
    let status = fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("visits", "11")], "it could be read");
    assert_eq!((status.reads.denied, status.rejected.updates), (None, 0));
}

// v2 batches wipe what another device's batch set.

const TWO_SETS: &str = r#"
[target]
client_code = "acme"
[[mapping]]
name = "till"
event = "com.acme.loyalty.*"
identity = { third_party_id = "data.card" }
set = { lastStore = "data.store" }
[[mapping]]
name = "call"
event = "com.acme.note"
identity = { third_party_id = "data.card" }
set = { lastTopic = "data.note" }
"#;

#[tokio::test]
async fn two_devices_whose_batches_hold_only_fresh_sets_keep_each_other_s() {
    for how in [setup, || in_batches(Mode::Auto), || in_batches(Mode::Bulk)] {
        let how = || Setup { mappings: TWO_SETS.to_owned(), ..how() };
        let fixture = how().start().await;
        let dir = tempfile::tempdir().unwrap();
        let endpoint = format!("http://{}", fixture.sandbox_address);
        let call_centre = Running::start(&how(), dir.path(), &endpoint, None).await;
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        fixture.agent.wait_drained().await;
        call_centre.record(&noted("1", "7", "returns")).await;
        call_centre.wait_drained().await;
        let both = [("lastStore", "Lund"), ("lastTopic", "returns")];
        assert_held(&fixture, "7", &both, "the second device");
        fixture.agent.record(&used("2", "7", "Ystad", 1.0)).await;
        fixture.agent.wait_drained().await;
        assert_held(&fixture, "7", &[("lastStore", "Ystad"), both[1]], "the first again");
    }
}

// A reading is good for one delivery.

#[tokio::test]
async fn a_value_that_once_won_is_not_written_back_by_later_batches() {
    let fixture = in_batches(Mode::Auto).start().await;
    visit(&fixture, "7", "note", "web 1");
    fixture.agent.record(&ago(noted("1", "7", "late"), 3_600)).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("note", "web 1")], "theirs won");
    visit(&fixture, "7", "note", "web 2");
    fixture.agent.record(&used("3", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "7", &[("note", "web 2"), ("visits", "1")], "theirs is newer still");
    // The other way round: ours won.
    fixture.agent.record(&ago(noted("2", "8", "ours"), 10)).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "8", &[("note", "ours")], "ours won");
    visit(&fixture, "8", "note", "web 3");
    fixture.agent.record(&used("4", "8", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_held(&fixture, "8", &[("note", "web 3"), ("visits", "1")], "theirs is newer");
}

// Rows counted as failed are booked as delivered.

#[tokio::test]
async fn a_row_that_failed_and_is_named_percent_encoded_is_not_delivered_and_the_others_are() {
    let fixture = Setup { faults: "batch-fail-encoded=a b", ..in_batches(Mode::Auto) }.start().await;
    fixture.agent.record_batch(&[used("1", "a b", "Lund", 1.0), used("2", "8", "Lund", 1.0)]).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(status.rejected.updates, 1);
    assert_held(&fixture, "8", &[("visits", "1")], "it did not fail");
    assert_eq!(fixture.held("a b", "visits"), None);
    assert_eq!(requests(&fixture, "bulk_v2").iter().map(|it| it.rows).collect::<Vec<_>>(), [2, 1, 1]);
}

#[tokio::test]
async fn rows_that_failed_and_are_not_named_or_were_not_consumed_are_not_delivered() {
    for faults in ["batch-fail-unnamed=7*1", "batch-short=1*1", "batch-short=2*1"] {
        let fixture = Setup { faults, ..in_batches(Mode::Auto) }.start().await;
        fixture.agent.record_batch(&[used("1", "7", "Lund", 1.0), used("2", "8", "Lund", 1.0)]).await;
        let status = fixture.agent.wait_drained().await;
        for card in ["7", "8"] {
            assert_held(&fixture, card, &[("visits", "1"), ("spend", "1")], faults);
            assert_eq!(profile(&fixture.agent, card).await["exists"], "yes", "{faults}");
        }
        assert_eq!(status.rejected.updates, 0, "{faults}");
    }
}

#[tokio::test]
async fn a_row_that_always_fails_unnamed_is_rejected_after_three_times_and_never_booked_as_delivered() {
    let fixture = Setup { faults: "batch-fail-unnamed=7", ..in_batches(Mode::Auto) }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.rejected.updates, status.delivered.updates), (1, 0));
    assert_eq!(requests(&fixture, "bulk_v2").len(), 3);
}

// A profile with more than 1,000 attributes of others loops.

/// A profile with more attributes than a batch can name.
fn many_attributes(fixture: &Fixture, card: &str) {
    let theirs: BTreeMap<String, String> = (0..1_001).map(|it| (format!("theirs{it}"), "x".to_owned())).collect();
    let identity = format!("third_party_id:{card}").parse().unwrap();
    assert!(fixture.sandbox.target().visit(&identity, &theirs, Clock::system()));
}

#[tokio::test]
async fn a_profile_with_more_than_1000_attributes_of_others_does_not_loop() {
    for (how, single, rejected) in [(setup(), 1, 0), (in_batches(Mode::Auto), 1, 0), (in_batches(Mode::Bulk), 0, 1)] {
        let fixture = how.start().await;
        many_attributes(&fixture, "7");
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        let status = fixture.agent.wait_drained().await;
        let counts = counts(&fixture);
        let count = |api| counts.get(api).copied().unwrap_or(0);
        assert_eq!((count("fetch"), count("single"), count("bulk_v2")), (1, single, 0), "{counts:?}");
        assert_eq!(status.rejected.updates, rejected);
        assert_eq!(fixture.held("7", "theirs1000").as_deref(), Some("x"));
    }
}

#[tokio::test]
async fn a_profile_that_no_batch_can_hold_waits_for_the_quota_without_being_read_again_and_again() {
    let fixture = Setup { updates_per_day: 1, ..setup() }.start().await;
    learn(&fixture, "6");
    fixture.agent.record(&noted("1", "6", "x")).await;
    fixture.agent.wait_drained().await;
    many_attributes(&fixture, "7");
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    fixture
        .sandbox
        .wait_until(|target| {
            target
                .requests()
                .iter()
                .any(|it| it.attributes.is_empty() && it.identity.as_ref().is_some_and(|(_, key)| key == "7"))
        })
        .await;
    // What comes after it goes on.
    fixture.agent.record(&used("3", "8", "Lund", 1.0)).await;
    fixture.wait_held("8", "visits", "1").await;
    let counts = counts(&fixture);
    assert!(counts["single"] <= 1 && counts["fetch"] <= 6, "{counts:?}");
}
