//! All of Target: profiles that do not exist yet, batches, reading, the Delivery API, tokens.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use outpost::core::forwarding::route::{Mode, RouteRules};
use outpost::core::identity::IdentityKind;
use outpost::device::secret::Secret;
use outpost::forward::ForwarderRules;
use outpost::inspect::status::Status;
use outpost::sandbox::exchange::LoggedRequest;
use outpost::sandbox::target::Unknown;
use serde_json::{Value, json};

use crate::support::{Fixture, MAPPINGS, Running, Setup, noted, rules, used, write_private};

/// A sandbox like the real one, and an agent with the documented defaults.
pub fn setup() -> Setup {
    let late_after = Some(Duration::from_secs(15 * 60));
    Setup {
        unknown: Unknown::Vanish,
        forwarding: ForwarderRules { late_after, ..rules(Mode::Auto) },
        ..Setup::default()
    }
}

/// The same, of an agent that never reads.
fn blind() -> Setup {
    Setup { forwarding: rules(Mode::Auto), ..setup() }
}

pub fn requests(fixture: &Fixture, api: &str) -> Vec<LoggedRequest> {
    fixture.sandbox.target().requests().iter().filter(|request| request.api == api).cloned().collect()
}

pub fn counts(fixture: &Fixture) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for request in fixture.sandbox.target().requests() {
        *counts.entry(request.api).or_default() += 1;
    }
    counts
}

pub fn assert_clean(fixture: &Fixture) {
    for request in fixture.sandbox.target().requests() {
        assert_eq!(request.wrong, None, "{request:?}");
    }
}

pub fn learn(fixture: &Fixture, card: &str) {
    fixture.sandbox.target().learn(&format!("third_party_id:{card}").parse().unwrap());
}

/// What the web site writes in a visit, now.
pub fn visit(fixture: &Fixture, card: &str, attribute: &str, value: &str) {
    let now = outpost::device::clock::Clock::system();
    let attributes = BTreeMap::from([(attribute.to_owned(), value.to_owned())]);
    let identity = format!("third_party_id:{card}").parse().unwrap();
    assert!(fixture.sandbox.target().visit(&identity, &attributes, now));
}

/// The same event, that long ago.
pub fn ago(mut event: Value, seconds: u64) -> Value {
    let time = outpost::device::clock::Clock::system().minus(Duration::from_secs(seconds));
    event["time"] = json!(time.to_string());
    event
}

pub async fn profile(agent: &Running, card: &str) -> Value {
    agent.get(&format!("/v1/profiles/third_party_id/{card}")).await.1
}

pub fn attribute<'p>(profile: &'p Value, name: &str) -> &'p Value {
    profile["attributes"].as_array().unwrap().iter().find(|attribute| attribute["name"] == name).unwrap()
}

#[tokio::test]
async fn a_profile_that_target_does_not_have_is_created_by_a_batch_and_then_updated_singly() {
    let fixture = blind().start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("hello"));
    assert_eq!(counts(&fixture), BTreeMap::from([("bulk_v2", 1), ("batch_status", 2)]));
    fixture.agent.record(&noted("2", "7", "again")).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(counts(&fixture)["single"], 1);
    assert_eq!(status.delivered.unconfirmed, 0);
    let routes: Vec<_> = status.routes.iter().map(|route| (route.api.as_str(), route.updates)).collect();
    assert_eq!(routes, [("single", 1), ("bulk", 1)]);
    let profile = profile(&fixture.agent, "7").await;
    assert_eq!(profile["exists"], "yes");
    let note = attribute(&profile, "note");
    assert_eq!((&note["state"], &note["why"]), (&json!("delivered"), &json!("Target has the profile")));
    assert_eq!(attribute(&profile, "other")["api"], "bulk");
    assert_clean(&fixture);
}

#[tokio::test]
async fn a_row_holds_all_attributes_of_a_profile_since_batches_override_each_other() {
    let forwarding = ForwarderRules {
        routes: RouteRules { mode: Mode::Bulk, bulk_above: 0, ..RouteRules::default() },
        ..ForwarderRules::default()
    };
    let fixture = Setup { forwarding, ..setup() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.5)).await;
    fixture.agent.wait_drained().await;
    fixture.agent.record(&noted("2", "7", "a,b\"c\nd ö")).await;
    fixture.agent.wait_drained().await;
    for (name, value) in
        [("lastStore", "Lund"), ("visits", "1"), ("spend", "1.5"), ("note", "a,b\"c\nd ö"), ("other", "-")]
    {
        assert_eq!(fixture.held("7", name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(requests(&fixture, "bulk_v2").len(), 2);
    assert_clean(&fixture);
}

#[tokio::test]
async fn a_quiet_shop_sends_one_batch_a_minute() {
    let fixture = blind().start().await;
    fixture.agent.record(&noted("1", "7", "first")).await;
    fixture.agent.wait_drained().await;
    fixture.agent.record(&noted("2", "8", "second")).await;
    let status = fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "filling")).await;
    assert_eq!(status.pending.profiles, 1);
    assert_eq!(requests(&fixture, "bulk_v2").len(), 1);
    // What changes while it waits or is on its way is not lost.
    fixture.agent.record(&noted("3", "8", "third")).await;
    assert_eq!(fixture.agent.status().await.pending.profiles, 1);
    assert_eq!(attribute(&profile(&fixture.agent, "8").await, "note")["state"], "pending");
}

#[tokio::test]
async fn a_value_that_changes_while_its_batch_is_on_its_way_stays_pending() {
    let fixture = Setup { faults: "batch-slow=1h", ..blind() }.start().await;
    fixture.agent.record(&noted("1", "7", "first")).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "submitted")).await;
    assert_eq!(attribute(&profile(&fixture.agent, "7").await, "note")["state"], "in_flight");
    fixture.agent.record(&noted("2", "7", "second")).await;
    assert_eq!(attribute(&profile(&fixture.agent, "7").await, "note")["state"], "pending");
    fixture.sandbox.target().faults = Default::default();
    fixture.sandbox.target().clock_ahead = Duration::from_secs(3_601);
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("second"));
    assert_eq!(counts(&fixture)["single"], 1, "the profile exists by then");
    assert_eq!(attribute(&profile(&fixture.agent, "7").await, "note")["state"], "delivered");
    assert_clean(&fixture);
}

#[tokio::test]
async fn a_row_that_fails_is_tried_three_times_and_then_rejected() {
    let forwarding =
        ForwarderRules { routes: RouteRules { bulk_above: 0, ..RouteRules::default() }, ..ForwarderRules::default() };
    let fixture = Setup { forwarding, faults: "batch-fail=7", ..setup() }.start().await;
    fixture.agent.record_batch(&[noted("1", "7", "bad"), noted("2", "8", "good")]).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(status.rejected.updates, 1);
    assert_eq!(requests(&fixture, "bulk_v2").iter().map(|request| request.rows).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!((fixture.held("7", "note"), fixture.held("8", "note").as_deref()), (None, Some("good")));
    let (_, rejected) = fixture.agent.get("/v1/rejected").await;
    assert_eq!(rejected["rejected"][0]["reason"], "batch_failed");
    fixture.sandbox.target().faults = Default::default();
    fixture.agent.request(reqwest::Method::POST, "/v1/rejected/1/retry").send().await.unwrap();
    fixture.wait_held("7", "note", "bad").await;
}

#[tokio::test]
async fn of_a_stuck_batch_all_rows_are_pending_again() {
    let forwarding =
        ForwarderRules { routes: RouteRules { bulk_above: 0, ..RouteRules::default() }, ..ForwarderRules::default() };
    let fixture = Setup { forwarding, faults: "batch-stuck*1", ..setup() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    let is_ended = |status: &Status| status.batches.len() == 2 && status.batches.iter().all(|it| it.ended_at.is_some());
    let status = fixture.agent.wait_status(is_ended).await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("hello"));
    let ended: Vec<&str> = status.batches.iter().map(|batch| batch.state.as_str()).collect();
    assert_eq!(ended, ["complete", "given_up"]);
    assert_eq!(status.rejected.updates, 0);
}

#[tokio::test]
async fn a_batch_that_target_finds_too_large_goes_in_halves() {
    let forwarding =
        ForwarderRules { routes: RouteRules { bulk_above: 1, ..RouteRules::default() }, ..ForwarderRules::default() };
    let fixture = Setup { forwarding, faults: "bulk_v2=413*1", ..setup() }.start().await;
    let events: Vec<Value> = (0..8).map(|card| noted(&card.to_string(), &card.to_string(), "hello")).collect();
    fixture.agent.record_batch(&events).await;
    fixture.agent.wait_drained().await;
    let rows: Vec<usize> = requests(&fixture, "bulk_v2").iter().map(|request| request.rows).collect();
    assert_eq!(rows.iter().sum::<usize>(), 8, "{rows:?}");
    assert!(rows.iter().skip(1).all(|rows| *rows <= 4), "{rows:?}");
    assert_eq!(fixture.held("7", "note").as_deref(), Some("hello"));
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_is_halved_until_the_row_is_alone() {
    let forwarding =
        ForwarderRules { routes: RouteRules { bulk_above: 0, ..RouteRules::default() }, ..ForwarderRules::default() };
    // One bad row among 31: all batches with it are refused.
    let fixture = Setup { forwarding: forwarding.clone(), faults: "bulk_v2=400*3", ..setup() }.start().await;
    let events: Vec<Value> = (0..8).map(|card| noted(&card.to_string(), &card.to_string(), "hello")).collect();
    fixture.agent.record_batch(&events).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(status.rejected.updates, 0, "eight, four and two were refused together, and each alone was taken");
    (0..8).for_each(|card: usize| assert_eq!(fixture.held(&card.to_string(), "note").as_deref(), Some("hello")));
    for fault in ["bulk_v2=400*1", "bulk_v2=413*1"] {
        let fixture = Setup { forwarding: forwarding.clone(), faults: fault, ..setup() }.start().await;
        fixture.agent.record(&noted("1", "7", "hello")).await;
        let status = fixture.agent.wait_drained().await;
        assert_eq!((requests(&fixture, "bulk_v2").len(), status.rejected.updates), (1, 1), "{fault}: it was alone");
    }
}

#[tokio::test]
async fn a_pc_id_goes_by_version_1_where_the_customer_uses_ecid() {
    for (has_ecid, api) in [(false, "bulk_v2"), (true, "bulk_v1")] {
        let mappings = MAPPINGS.replace("third_party_id", "pc_id");
        let mut forwarding = rules(Mode::Bulk);
        forwarding.routes.has_ecid = has_ecid;
        let fixture = Setup { mappings, forwarding, ..setup() }.start().await;
        fixture.sandbox.target().learn(&"pc_id:1.00_00".parse().unwrap());
        fixture.agent.record(&noted("1", "1.00_00", "hello")).await;
        fixture.agent.wait_drained().await;
        assert_eq!(requests(&fixture, api).len(), 1);
        let held = fixture.sandbox.target().profile(IdentityKind::PcId, "1.00_00").unwrap()["note"].value.clone();
        assert_eq!(held, "hello");
    }
}

#[tokio::test]
async fn a_spent_quota_sends_batches_in_the_place_of_single_updates() {
    let fixture = Setup { updates_per_day: 2, ..blind() }.start().await;
    let events: Vec<Value> = (1..=3).map(|card| noted(&format!("a{card}"), &card.to_string(), "first")).collect();
    fixture.agent.record_batch(&events).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.agent.status().await.quota.used, 0, "batches do not use it up");
    for card in 1..=3 {
        fixture.agent.record(&noted(&format!("b{card}"), &card.to_string(), "second")).await;
    }
    let is_filling = |status: &Status| status.batches.iter().any(|batch| batch.state == "filling");
    let status = fixture.agent.wait_status(|status| is_filling(status) && status.quota.used == 2).await;
    assert_eq!(counts(&fixture)["single"], 2);
    assert!(status.routes.iter().any(|route| route.why.contains("quota")), "{:?}", status.routes);
}

#[tokio::test]
async fn a_total_is_read_first_and_what_others_wrote_stays_in_it() {
    let fixture = setup().start().await;
    visit(&fixture, "7", "visits", "5");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("6"));
    assert_eq!(counts(&fixture), BTreeMap::from([("fetch", 1), ("single", 1)]));
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("7"));
    let profile = profile(&fixture.agent, "7").await;
    let visits = attribute(&profile, "visits");
    assert_eq!((&visits["value"], &visits["sent_value"]), (&json!("2"), &json!("7")));
    assert_eq!(visits["read"]["value"], "6");
    assert_clean(&fixture);
}

#[tokio::test]
async fn a_fresh_value_is_not_read_first_and_a_late_one_is() {
    let fixture = setup().start().await;
    learn(&fixture, "7");
    visit(&fixture, "7", "note", "from the web site");
    fixture.agent.record(&ago(noted("1", "7", "late"), 3_600)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("from the web site"));
    assert_eq!((status.delivered.superseded, counts(&fixture)["fetch"]), (1, 1));
    let note = profile(&fixture.agent, "7").await;
    let note = attribute(&note, "note");
    assert_eq!((&note["state"], &note["reason"]), (&json!("superseded"), &json!("superseded")));
    assert_eq!(fixture.agent.status().await.rejected.updates, 0);
    fixture.agent.record(&noted("2", "7", "fresh")).await;
    fixture.wait_held("7", "note", "fresh").await;
    assert_eq!(counts(&fixture)["fetch"], 1);
}

#[tokio::test]
async fn a_total_whose_name_is_the_device_s_own_is_not_read() {
    let mappings =
        MAPPINGS.replace("add = { visits = \"1\", spend", "add = { \"visits_{device_id}\" = \"1\" }\nmax = { spend");
    let mappings = mappings.replace("max = { spend = \"data.total | default(0)\" }", "");
    let fixture = Setup { mappings, ..setup() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits_device-1").as_deref(), Some("1"));
    // Once, since a batch may override what others' batches have set.
    assert_eq!(counts(&fixture)["fetch"], 1);
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits_device-1").as_deref(), Some("2"));
    assert_eq!(counts(&fixture)["fetch"], 1);
}

#[tokio::test]
async fn what_others_wrote_is_carried_along_in_a_batch() {
    let forwarding =
        ForwarderRules { routes: RouteRules { mode: Mode::Bulk, ..RouteRules::default() }, ..setup().forwarding };
    let fixture = Setup { forwarding, ..setup() }.start().await;
    // Another device's batch, without a visit since.
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let url = format!("http://{}/m2/acme/v2/profile/batchUpdate", fixture.sandbox_address);
    let body = "batch=thirdPartyId,theirs,visits\n7,kept,5\n";
    http.post(url).body(body).send().await.unwrap();
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "theirs").as_deref(), Some("kept"));
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("6"));
    assert_clean(&fixture);
}

#[tokio::test]
async fn where_reading_alone_is_refused_updates_go_on_without_it() {
    let fixture = Setup { faults: "fetch=403", ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
    assert!(status.reads.denied.unwrap().contains("403"));
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    fixture.wait_held("7", "visits", "2").await;
    // Three refusals in a row, since one may be a token that has just expired.
    assert_eq!((status.link.as_str(), requests(&fixture, "fetch").len()), ("online", 3));
}

#[tokio::test]
async fn a_total_whose_answer_was_lost_counts_once_also_after_a_restart() {
    let mut fixture = Setup { faults: "single=reset*1", ..setup() }.start().await;
    visit(&fixture, "7", "visits", "5");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.sandbox.wait_until(|target| target.requests().iter().any(|request| request.api == "single")).await;
    fixture.restart().await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("6"));
    assert_eq!(requests(&fixture, "single").len(), 2);
}

#[tokio::test]
async fn a_profile_that_cannot_be_read_keeps_no_other_from_being_read() {
    let fixture = Setup { faults: "fetch=400*1", ..setup() }.start().await;
    for card in ["7", "8"] {
        learn(&fixture, card);
        visit(&fixture, card, "visits", "5");
    }
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
    fixture.wait_held("8", "visits", "6").await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.reads.denied, status.link.as_str()), (None, "online"));
}

#[tokio::test]
async fn when_the_reads_of_a_day_are_spent_updates_go_on_without_them() {
    let fixture = Setup { reads_per_day: 1, ..setup() }.start().await;
    learn(&fixture, "7");
    for visit in 1..=3 {
        fixture.agent.record(&used(&visit.to_string(), "7", "Lund", 1.0)).await;
        fixture.wait_held("7", "visits", &visit.to_string()).await;
        fixture.agent.wait_drained().await;
    }
    let status = fixture.agent.status().await;
    assert_eq!((status.reads.used, requests(&fixture, "fetch").len()), (1, 1));
    assert!(status.reads.denied.unwrap().contains("spent"));
}

#[tokio::test]
async fn in_single_mode_a_profile_that_is_missing_is_waited_for_and_not_silently_lost() {
    let forwarding = ForwarderRules { late_after: Some(Duration::from_secs(900)), ..rules(Mode::Single) };
    let fixture = Setup { forwarding, ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record_batch(&[used("1", "7", "Lund", 1.0), used("2", "8", "Lund", 1.0)]).await;
    let is_waiting = |status: &Status| status.pending.missing_profiles == 1 && status.pending.profiles == 1;
    let status = fixture.agent.wait_status(is_waiting).await;
    assert_eq!((status.rejected.updates, status.delivered.unconfirmed), (0, 0));
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
    let waiting = profile(&fixture.agent, "8").await;
    let visits = attribute(&waiting, "visits");
    assert_eq!(
        (&waiting["exists"], &visits["state"], &visits["reason"]),
        (&json!("no"), &json!("pending"), &json!("profile_missing"))
    );
    assert!(waiting["missing_since"].is_string(), "{waiting}");
    // Another mode has another way.
    let forwarding = ForwarderRules { late_after: Some(Duration::from_secs(900)), ..rules(Mode::Auto) };
    let next = Setup { forwarding, ..setup() };
    fixture.agent.change(next.settings(&format!("http://{}", fixture.sandbox_address))).await;
    fixture.wait_held("8", "visits", "1").await;
    assert_eq!(fixture.agent.wait_drained().await.pending.missing_profiles, 0);
}

#[tokio::test]
async fn single_updates_that_may_have_vanished_are_counted() {
    let fixture = Setup { forwarding: rules(Mode::Single), ..setup() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.delivered.unconfirmed, fixture.held("7", "note")), (1, None));
}

#[tokio::test]
async fn missing_profiles_that_are_not_created_go_singly() {
    let routes = RouteRules { creates_missing: false, ..RouteRules::default() };
    let fixture = Setup { forwarding: ForwarderRules { routes, ..rules(Mode::Auto) }, ..setup() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_drained().await;
    assert_eq!(counts(&fixture), BTreeMap::from([("single", 1)]));
}

#[tokio::test]
async fn the_delivery_api_takes_what_is_urgent_and_all_where_that_is_the_mode() {
    let mappings = MAPPINGS.replace("name = \"noted\"", "name = \"noted\"\nurgent = true");
    let fixture = Setup { mappings, ..blind() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("hello"));
    assert_eq!(counts(&fixture), BTreeMap::from([("delivery", 1)]));
    let profile = profile(&fixture.agent, "7").await;
    assert_eq!(
        (&profile["exists"], &attribute(&profile, "note")["why"]),
        (&json!("yes"), &json!("the mapping is urgent"))
    );
    assert_clean(&fixture);

    let fixture = Setup { forwarding: rules(Mode::Delivery), ..setup() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
    assert_eq!(counts(&fixture), BTreeMap::from([("delivery", 1)]));
}

#[tokio::test]
async fn the_delivery_api_asks_to_wait_with_420() {
    let fixture = Setup { forwarding: rules(Mode::Delivery), faults: "delivery=420*1", ..setup() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_drained().await;
    let statuses: Vec<u16> = requests(&fixture, "delivery").iter().map(|request| request.status).collect();
    assert_eq!(statuses, [420, 200]);
}

#[tokio::test]
async fn a_token_that_was_reset_pauses_the_link_until_its_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("target.token");
    write_private(&path, "old\n");
    let fixture = Setup { token: Some(Secret::File(path.clone())), ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.sandbox.target().token = Some("old".to_owned());
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    fixture.sandbox.target().token = Some("new".to_owned());
    fixture.agent.record(&used("2", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_status(|status| status.link == "paused").await;
    assert!(status.link_reason.unwrap().contains("token"));
    assert_eq!((status.pending.profiles, status.rejected.updates), (1, 0));
    std::fs::write(&path, "new\n").unwrap();
    fixture.wait_held("7", "visits", "2").await;
    fixture.agent.wait_drained().await;
    // Profiles are read again too.
    visit(&fixture, "7", "visits", "50");
    fixture.agent.record(&used("3", "7", "Lund", 1.0)).await;
    fixture.wait_held("7", "visits", "51").await;
    assert_eq!(fixture.agent.wait_drained().await.reads.denied, None);
}

#[tokio::test]
async fn the_agent_goes_on_asking_after_a_batch_when_it_starts_again() {
    let mut fixture = Setup { faults: "batch-slow=1h", ..blind() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "submitted")).await;
    fixture.restart().await;
    fixture.sandbox.target().clock_ahead = Duration::from_secs(3_601);
    fixture.agent.wait_drained().await;
    assert_eq!(requests(&fixture, "bulk_v2").len(), 1);
    assert_eq!(profile(&fixture.agent, "7").await["exists"], "yes");
}

#[tokio::test]
async fn a_batch_that_target_is_not_done_with_in_a_day_is_given_up() {
    let mut fixture = Setup { faults: "batch-slow=48h*1", ..blind() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "submitted")).await;
    fixture.agent.stop().await;
    // A day and a minute pass.
    let store = rusqlite::Connection::open(fixture.dir.path().join(outpost::store::FILE_NAME)).unwrap();
    store.execute("UPDATE batch SET submitted_at_ms = submitted_at_ms - 86460000", []).unwrap();
    drop(store);
    fixture.start_again().await;
    let status = fixture.agent.wait_drained().await;
    assert!(status.batches.iter().any(|batch| batch.state == "given_up"), "{:?}", status.batches);
    assert_eq!((requests(&fixture, "bulk_v2").len(), fixture.held("7", "note").as_deref()), (2, Some("hello")));
}

#[tokio::test]
async fn what_is_forgotten_leaves_a_batch_that_is_not_sent_yet() {
    let fixture = blind().start().await;
    fixture.agent.record(&noted("1", "6", "first")).await;
    fixture.agent.wait_drained().await;
    fixture.agent.record_batch(&[noted("2", "7", "secret"), noted("3", "8", "kept")]).await;
    fixture
        .agent
        .wait_status(|status| status.batches.iter().any(|batch| batch.state == "filling" && batch.rows == 2))
        .await;
    let path = "/v1/profiles/third_party_id/7";
    let forgotten: Value =
        fixture.agent.request(reqwest::Method::DELETE, path).send().await.unwrap().json().await.unwrap();
    assert_eq!((&forgotten["attributes"], &forgotten["was_in_flight"]), (&json!(2), &json!(true)));
    let status = fixture.agent.status().await;
    assert_eq!((status.pending.profiles, status.pending.attributes), (1, 2));
}

#[tokio::test]
async fn verify_shows_here_and_there_and_sends_again_what_was_lost() {
    let fixture = blind().start().await;
    learn(&fixture, "7");
    visit(&fixture, "7", "theirs", "x");
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_drained().await;
    let verify = async |query: &str| -> Value {
        let path = format!("/v1/profiles/third_party_id/7/verify{query}");
        fixture.agent.request(reqwest::Method::POST, &path).send().await.unwrap().json().await.unwrap()
    };
    let verdicts = |verified: &Value| -> HashMap<String, String> {
        let attributes = verified["attributes"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        attributes.map(|attribute| (text(&attribute["name"]), text(&attribute["verdict"]))).collect()
    };
    let arrived = verdicts(&verify("").await);
    assert_eq!((arrived["note"].as_str(), arrived["theirs"].as_str()), ("arrived", "others"));

    // The profile expires there, and with it what was delivered.
    assert!(fixture.sandbox.target().expire(&"third_party_id:7".parse().unwrap()));
    let lost = verify("").await;
    assert_eq!((&lost["exists"], verdicts(&lost)["note"].as_str()), (&json!(false), "not_arrived"));
    assert_eq!(fixture.agent.status().await.pending.profiles, 0, "only asked for");
    assert_eq!(verify("?resend=true").await["resent"], 2);
    let status = fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "filling")).await;
    assert_eq!(status.reads.lost, 2);
}

#[tokio::test]
async fn a_sample_is_read_back_by_itself() {
    let forwarding = ForwarderRules { verify: Some((1.0, Duration::from_secs(1))), ..rules(Mode::Auto) };
    let fixture = Setup { forwarding, ..setup() }.start().await;
    learn(&fixture, "7");
    // The first update is answered with success, and lost.
    fixture.agent.record(&noted("0", "7", "known")).await;
    let status = fixture.agent.wait_status(|status| status.reads.verified >= 2).await;
    assert_eq!(status.reads.lost, 0);
    assert!(fixture.sandbox.target().expire(&"third_party_id:7".parse().unwrap()));
    fixture.agent.record(&noted("1", "7", "lost")).await;
    let status = fixture.agent.wait_status(|status| status.reads.lost > 0).await;
    assert_eq!(status.rejected.updates, 0);
}

#[tokio::test]
async fn new_settings_hold_at_once() {
    let fixture = Setup { faults: "401", ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_status(|status| status.link == "paused").await;
    fixture.sandbox.target().faults = Default::default();
    // Another mode, another quota, other mappings.
    let next = Setup {
        forwarding: rules(Mode::Delivery),
        mappings: MAPPINGS.replace("set = { note = ", "set = { remark = "),
        updates_per_day: 7,
        ..setup()
    };
    fixture.agent.change(next.settings(&format!("http://{}", fixture.sandbox_address))).await;
    fixture.agent.record(&noted("2", "7", "again")).await;
    fixture.wait_held("7", "remark", "again").await;
    assert_eq!(fixture.held("7", "note").as_deref(), Some("hello"));
    let status = fixture.agent.wait_status(|status| status.quota.updates_per_day == 7).await;
    assert_eq!(status.rejected.updates, 0);
    assert!(!requests(&fixture, "delivery").is_empty());
}

/// Half of the profiles are unknown to Target, and a week's events wait.
async fn week_offline(setup: Setup, profiles: usize) -> Fixture {
    let nowhere = "http://127.0.0.1:9";
    let mut fixture = setup.start().await;
    fixture.agent.stop().await;
    fixture.agent = fixture.start_at(nowhere).await;
    for first in (0..profiles).step_by(500) {
        let mut events = Vec::new();
        for card in first..(first + 500).min(profiles) {
            if card % 2 == 0 {
                learn(&fixture, &card.to_string());
            }
            events.push(ago(used(&format!("a{card}"), &card.to_string(), "Lund", 0.25), 7 * 86_400));
            events.push(ago(used(&format!("b{card}"), &card.to_string(), "Malmö", 1.0), 86_400));
        }
        for part in events.chunks(500) {
            fixture.agent.record_batch(part).await;
        }
    }
    fixture.agent.stop().await;
    fixture
}

fn assert_held(fixture: &Fixture, card: usize, store: &str, visits: &str) {
    let held = |name| fixture.held(&card.to_string(), name);
    let found = (held("lastStore"), held("visits"), held("spend"));
    let expected = (Some(store.to_owned()), Some(visits.to_owned()), Some("1.25".to_owned()));
    assert_eq!(found, expected, "card {card}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_week_offline_a_blind_agent_needs_a_few_requests() {
    const PROFILES: usize = 5_000;
    let mut fixture = week_offline(blind(), PROFILES).await;
    fixture.start_again().await;
    fixture.agent.wait_drained().await;
    (0..PROFILES).for_each(|card| assert_held(&fixture, card, "Malmö", "2"));
    let counts = counts(&fixture);
    let requests: usize = counts.iter().filter(|(api, _)| **api != "batch_status").map(|(_, count)| count).sum();
    assert!(requests < 30, "{counts:?}");
    assert_clean(&fixture);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_week_offline_what_others_wrote_meanwhile_stays() {
    const PROFILES: usize = 3_000;
    let mut fixture = week_offline(setup(), PROFILES).await;
    for card in (0..PROFILES).step_by(3) {
        visit(&fixture, &card.to_string(), "lastStore", "the web site");
        visit(&fixture, &card.to_string(), "visits", "40");
        visit(&fixture, &card.to_string(), "theirs", "kept");
    }
    fixture.start_again().await;
    fixture.agent.wait_drained().await;
    for card in 0..PROFILES {
        if card % 3 == 0 {
            assert_held(&fixture, card, "the web site", "42");
            assert_eq!(fixture.held(&card.to_string(), "theirs").as_deref(), Some("kept"));
        } else {
            assert_held(&fixture, card, "Malmö", "2");
        }
    }
    let counts = counts(&fixture);
    assert!(counts["fetch"] <= PROFILES, "{counts:?}");
    let others: usize =
        counts.iter().filter(|(api, _)| !["batch_status", "fetch"].contains(api)).map(|(_, count)| count).sum();
    assert!(others < 30, "{counts:?}");
    assert_clean(&fixture);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_week_offline_single_mode_reports_the_unknown_half() {
    const PROFILES: usize = 400;
    let forwarding = ForwarderRules { late_after: Some(Duration::from_secs(900)), ..rules(Mode::Single) };
    let mut fixture = week_offline(Setup { forwarding, ..setup() }, PROFILES).await;
    fixture.start_again().await;
    let is_done = |status: &Status| status.pending.missing_profiles as usize == PROFILES / 2;
    let status =
        fixture.agent.wait_status(|status| is_done(status) && status.pending.profiles as usize == PROFILES / 2).await;
    assert_eq!(status.rejected.updates, 0);
    assert_eq!(status.delivered.updates as usize, PROFILES / 2);
    (0..PROFILES).step_by(2).for_each(|card| assert_held(&fixture, card, "Malmö", "2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_end_with_the_newest_values_and_exact_totals() {
    let fixture = setup().start().await;
    learn(&fixture, "7");
    learn(&fixture, "8");
    let endpoint = format!("http://{}", fixture.sandbox_address);
    let (b_dir, c_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let b = Running::start(&setup(), b_dir.path(), &endpoint, None).await;
    // C is offline for a day, in which it sees two visits.
    let mut c = Running::start(&setup(), c_dir.path(), "http://127.0.0.1:9", None).await;
    c.record(&ago(used("c1", "7", "Ystad", 1.0), 86_400)).await;
    c.record(&ago(used("c2", "8", "Ystad", 1.0), 60)).await;
    fixture.agent.record(&ago(used("a1", "7", "Lund", 1.0), 40_000)).await;
    fixture.agent.wait_drained().await;
    b.record(&used("b1", "7", "Malmö", 1.0)).await;
    b.wait_drained().await;
    fixture.agent.record(&ago(used("a2", "8", "Lund", 1.0), 80_000)).await;
    fixture.agent.wait_drained().await;
    c.stop().await;
    let c = Running::start(&setup(), c_dir.path(), &endpoint, None).await;
    c.wait_drained().await;
    assert_eq!(fixture.held("7", "lastStore").as_deref(), Some("Malmö"), "the newest event was at B");
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("3"));
    assert_eq!(fixture.held("8", "visits").as_deref(), Some("2"));
    // A again: the others' part stays.
    fixture.agent.record(&used("a3", "7", "Lund", 0.5)).await;
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("4"));
    assert_eq!(fixture.held("7", "spend").as_deref(), Some("3.5"));
    assert_eq!(fixture.held("7", "lastStore").as_deref(), Some("Lund"));
    assert_clean(&fixture);
}

#[tokio::test]
async fn while_its_own_write_does_not_show_yet_an_agent_goes_on_from_what_it_sent() {
    let fixture = setup().start().await;
    learn(&fixture, "7");
    fixture.sandbox.target().set_delay(Duration::from_secs(3_600));
    visit(&fixture, "7", "visits", "10");
    fixture.sandbox.target().clock_ahead = Duration::from_secs(3_601);
    for visit in 1..=3 {
        fixture.agent.record(&used(&visit.to_string(), "7", "Lund", 1.0)).await;
        fixture.agent.wait_drained().await;
    }
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("13"));
}
