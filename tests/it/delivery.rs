//! From the outbox to Target, through every way in which that goes wrong.

use std::time::Duration;

use outpost::sandbox::exchange::LoggedRequest;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::Target;
use outpost::store::StoreLimits;
use serde_json::json;

use crate::support::{Fixture, Running, Setup, noted, used};

fn log(fixture: &Fixture) -> Vec<LoggedRequest> {
    fixture.sandbox.target().requests().iter().cloned().collect()
}

fn is_clean(target: &Target) -> bool {
    target.requests().iter().all(|request| request.wrong.is_none())
}

#[tokio::test]
async fn an_outage_costs_one_update_for_each_changed_profile() {
    let fixture = Setup { faults: "outage", ..Setup::default() }.start().await;
    for visit in 0..30 {
        fixture.agent.record(&used(&format!("e{visit}"), &format!("card-{}", visit % 3), "Lund", 0.1)).await;
    }
    fixture.agent.wait_status(|status| status.link == "offline").await;
    fixture.sandbox.target().faults = Faults::default();
    let before = fixture.sandbox.target().requests_total();
    let status = fixture.agent.wait_drained().await;
    assert_eq!(fixture.sandbox.target().requests_total() - before, 3);
    for card in ["card-0", "card-1", "card-2"] {
        assert_eq!(fixture.held(card, "visits").as_deref(), Some("10"));
        assert_eq!(fixture.held(card, "spend").as_deref(), Some("1"));
    }
    assert_eq!((status.link.as_str(), status.delivered.updates, status.delivered.attributes), ("online", 3, 9));
    assert!(is_clean(&fixture.sandbox.target()));
}

/// Arms a fault, records one event, expects a state of the link, then heals and expects the delivery.
async fn check_link(faults: &'static str, link: &str, reason: &str) {
    let fixture = Setup { faults, ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_status(|status| status.link != "unknown").await;
    assert_eq!(status.link, link, "{faults}");
    assert!(status.link_reason.as_deref().unwrap_or_default().contains(reason), "{faults}: {status:?}");
    assert_eq!((status.pending.profiles, status.delivered.updates), (1, 0), "{faults}");
    assert_eq!((status.rejected.events, status.rejected.updates), (0, 0), "{faults}");
    fixture.sandbox.target().faults = Faults::default();
    fixture.wait_held("7", "visits", "1").await;
    assert_eq!(fixture.agent.wait_drained().await.link, "online", "{faults}");
}

#[tokio::test]
async fn a_dropped_connection_is_offline() {
    check_link("outage", "offline", "broke off").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_offline_and_sent_again() {
    check_link("reset", "offline", "broke off").await;
}

#[tokio::test]
async fn server_errors_are_offline() {
    check_link("5xx", "offline", "500").await;
}

#[tokio::test]
async fn a_portal_and_a_redirect_are_blocked() {
    check_link("portal", "blocked", "login page").await;
    check_link("redirect", "blocked", "redirect").await;
}

#[tokio::test]
async fn refused_credentials_pause() {
    check_link("401", "paused", "token").await;
    check_link("403", "paused", "token").await;
}

#[tokio::test]
async fn a_slow_answer_times_out_and_is_sent_again() {
    let setup = Setup { faults: "slow=60s*1", timeout: Duration::from_millis(200), ..Setup::default() };
    let fixture = setup.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.delivered.updates, status.delivered.requests), (1, 2));
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_throttled_device_waits_as_told() {
    let fixture = Setup { faults: "429=1*1", ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    let log = log(&fixture);
    assert_eq!(log.iter().map(|request| request.status).collect::<Vec<_>>(), [429, 200]);
    assert!(log[1].at.since(log[0].at) >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_refused_for_good_is_rejected_alone() {
    let fixture = Setup { faults: "refuse=note", ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    for card in 0..20 {
        fixture.agent.record(&used(&format!("u{card}"), &format!("card-{card}"), "Lund", 1.0)).await;
    }
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.rejected.updates, status.delivered.updates), (1, 20));
    assert_eq!(status.link, "online");
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7").await;
    let note = &profile["attributes"][0];
    assert_eq!((&note["name"], &note["state"]), (&json!("note"), &json!("refused")));
    assert_eq!(note["reason"], "refused_by_target");

    // A newer value is sent again, and alone.
    fixture.sandbox.target().faults = Faults::default();
    fixture.agent.record(&noted("2", "7", "hello again")).await;
    fixture.wait_held("7", "note", "hello again").await;
    assert_eq!(fixture.held("7", "other"), None);
}

#[tokio::test]
async fn a_value_that_changes_in_flight_stays_pending_and_one_profile_has_one_update_in_flight() {
    let fixture = Setup { faults: "slow=300ms*1", ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.sandbox.wait_until(|target| target.requests_total() == 0 || target.requests_total() == 1).await;
    let in_flight = async {
        loop {
            let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7").await;
            let state = profile["attributes"][0]["state"].clone();
            if state != "pending" {
                return state;
            }
        }
    };
    assert_eq!(in_flight.await, "in_flight");
    for visit in 2..=9 {
        fixture.agent.record(&used(&visit.to_string(), "7", "Lund", 1.0)).await;
    }
    fixture.wait_held("7", "visits", "9").await;
    fixture.agent.wait_drained().await;
    assert!(is_clean(&fixture.sandbox.target()), "{:?}", log(&fixture));
}

#[tokio::test]
async fn updates_of_one_profile_arrive_in_order() {
    let fixture = Setup::default().start().await;
    for visit in 0..200 {
        fixture.agent.record(&used(&visit.to_string(), "7", "Lund", 1.0)).await;
    }
    fixture.wait_held("7", "visits", "200").await;
    let visits: Vec<u32> = log(&fixture).iter().map(|request| request.attributes["visits"].parse().unwrap()).collect();
    assert!(visits.is_sorted(), "{visits:?}");
    assert!(is_clean(&fixture.sandbox.target()));
}

#[tokio::test]
async fn a_large_profile_is_split_between_attributes() {
    let fixture = Setup::default().start().await;
    // Each character of the value takes 12 bytes on the wire.
    let long = "🎁".repeat(3_000);
    let mut event = noted("1", "7", &long);
    event["data"]["other"] = json!(long);
    fixture.agent.record(&event).await;
    fixture.wait_held("7", "other", &long).await;
    fixture.wait_held("7", "note", &long).await;
    fixture.agent.wait_drained().await;
    let bytes: Vec<usize> = log(&fixture).iter().map(|request| request.bytes).collect();
    assert!(bytes.len() == 2 && bytes.iter().all(|bytes| *bytes <= 60_000), "{bytes:?}");
}

#[tokio::test]
async fn an_attribute_that_no_request_can_carry_is_rejected_and_the_rest_goes_on() {
    let fixture = Setup::default().start().await;
    let mut event = noted("1", &"ö".repeat(256), &"🎁".repeat(5_000));
    event["data"]["other"] = json!("small");
    fixture.agent.record(&event).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.rejected.updates, status.delivered.attributes), (1, 1));
}

#[tokio::test]
async fn a_request_that_target_finds_too_large_is_sent_in_parts() {
    let fixture = Setup { faults: "413*1", ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.delivered.requests, status.delivered.updates, status.rejected.updates), (3, 2, 0));
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
}

#[tokio::test]
async fn the_quota_bounds_the_requests_and_survives_a_restart() {
    let mut fixture = Setup { updates_per_day: 5, ..Setup::default() }.start().await;
    for card in 0..8 {
        fixture.agent.record(&used(&card.to_string(), &format!("card-{card}"), "Lund", 1.0)).await;
    }
    let spent = fixture.agent.wait_status(|status| status.pending.profiles == 3).await;
    assert_eq!((spent.quota.used, spent.quota.remaining), (5, 0));
    fixture.restart().await;
    fixture.agent.record(&used("last", "card-9", "Lund", 1.0)).await;
    let status = fixture.agent.status().await;
    assert_eq!((status.quota.used, status.pending.profiles), (5, 4));
    assert_eq!(fixture.sandbox.target().requests_total(), 5);
}

#[tokio::test]
async fn an_update_that_alone_keeps_failing_steps_aside() {
    let fixture = Setup::default().start().await;
    fixture.agent.record(&used("0", "card-0", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    // Struck once, the poisoned update waits for its own delay while the others pass.
    fixture.sandbox.target().faults = "500*1".parse().unwrap();
    fixture.agent.record(&used("1", "card-1", "Lund", 1.0)).await;
    fixture.sandbox.wait_until(|target| target.requests_total() >= 2).await;
    fixture.agent.record(&used("2", "card-2", "Lund", 1.0)).await;
    fixture.wait_held("card-2", "visits", "1").await;
    assert_eq!(fixture.agent.status().await.link, "online");
    fixture.wait_held("card-1", "visits", "1").await;
}

#[tokio::test]
async fn a_graceful_stop_waits_for_what_is_in_flight_and_keeps_the_rest() {
    let mut fixture = Setup { faults: "slow=300ms", connections: 1, ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", "card-1", "Lund", 1.0)).await;
    fixture.agent.record(&used("2", "card-2", "Lund", 1.0)).await;
    // The sandbox logs a request when it comes, before it answers.
    fixture.wait_logged(1).await;
    fixture.agent.stop().await;
    assert_eq!(fixture.sandbox.target().requests_total(), 1);
    fixture.sandbox.target().faults = Faults::default();
    let endpoint = format!("http://{}", fixture.sandbox_address);
    fixture.agent = Running::start(&Setup::default(), fixture.dir.path(), &endpoint, None).await;
    fixture.agent.wait_drained().await;
    // What was in flight was acknowledged before the stop, and is not sent again.
    assert_eq!(fixture.sandbox.target().requests_total(), 2);
}

#[tokio::test]
async fn an_unchanged_value_is_sent_again_only_after_resend_after() {
    for (resend_after, requests) in [(Duration::from_secs(12 * 3_600), 1), (Duration::ZERO, 2)] {
        let limits = StoreLimits { min_free_disk_bytes: 0, resend_after, ..StoreLimits::default() };
        let fixture = Setup { limits, ..Setup::default() }.start().await;
        fixture.agent.record(&noted("1", "7", "same")).await;
        fixture.agent.wait_drained().await;
        fixture.agent.record(&noted("2", "7", "same")).await;
        fixture.agent.record(&noted("3", "8", "other")).await;
        fixture.wait_held("8", "note", "other").await;
        fixture.agent.wait_drained().await;
        let to_7 = |request: &&LoggedRequest| request.identity.as_ref().is_some_and(|(_, key)| key == "7");
        assert_eq!(fixture.sandbox.target().requests().iter().filter(to_7).count(), requests, "{resend_after:?}");
    }
}
