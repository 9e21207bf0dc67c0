//! The edge: what an answer means, and what the link makes of it, with an agent and a sandbox that is told to be unkind.

use std::time::{Duration, Instant};

use outpost::core::forwarding::route::Mode;
use outpost::forward::ForwarderRules;
use outpost::sandbox::target::Unknown;
use serde_json::{Value, json};

use crate::support::{Running, Setup, noted, rules, used};

/// With profiles that are read before they are written.
fn sharing(mode: Mode) -> ForwarderRules {
    ForwarderRules { late_after: Some(Duration::from_secs(15 * 60)), ..rules(mode) }
}

#[tokio::test]
async fn a_gateway_that_refuses_everybody_blocks_the_link_and_rejects_nobody() {
    for (faults, words) in [
        ("gateway=404", "status 404"),
        ("gateway=403", "status 403"),
        ("405", "405"),
        ("421", "421"),
        ("425", "425"),
        ("431", "431"),
        ("451", "451"),
    ] {
        let fixture = Setup { faults, ..Setup::default() }.start().await;
        let events: Vec<Value> = (0..20).map(|card| noted(&format!("{card}"), &format!("{card}"), "x")).collect();
        fixture.agent.record_batch(&events).await;
        let status = fixture.agent.wait_status(|status| status.link == "blocked").await;
        assert!(status.link_reason.as_ref().is_some_and(|reason| reason.contains(words)), "{faults}: {status:?}");
        assert_eq!((status.pending.profiles, status.rejected.updates, status.quota.used), (20, 0, 0), "{faults}");
    }
}

#[tokio::test]
async fn a_retry_after_of_nothing_has_a_floor() {
    let tried = ["429=0*2", "429=-1*2", "503=date-5*2"].map(|faults| async move {
        let fixture = Setup { faults, connections: 1, ..Setup::default() }.start().await;
        let begun = Instant::now();
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        fixture.agent.wait_drained().await;
        // The first wait is a second at least, and so is the second.
        assert!(begun.elapsed() >= Duration::from_secs(2), "{faults}: {:?}", begun.elapsed());
        assert_eq!(fixture.sandbox.target().requests_total(), 3, "{faults}");
    });
    let [zero, negative, past] = tried;
    tokio::join!(zero, negative, past);
}

#[tokio::test]
async fn a_date_in_retry_after_is_read_by_target_s_clock() {
    let fixture = Setup { faults: "429=date+2*1", connections: 1, ..Setup::default() }.start().await;
    // By the device's clock that date is a day ahead, and the wait would be an hour.
    fixture.sandbox.target().clock_ahead = Duration::from_secs(24 * 60 * 60);
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
}

#[tokio::test]
async fn a_profile_that_is_missing_with_status_200_is_missing_and_the_link_goes_on() {
    let forwarding = sharing(Mode::Auto);
    let fixture = Setup { faults: "fetch200", unknown: Unknown::Vanish, forwarding, ..Setup::default() }.start().await;
    // A total is read first.
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.link.as_str(), status.rejected.updates), ("online", 0));
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("1"));
    assert!(fixture.sandbox.target().expire(&"third_party_id:7".parse().unwrap()));
    let request = fixture.agent.request(reqwest::Method::POST, "/v1/profiles/third_party_id/7/verify");
    let verified: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(verified["exists"], json!(false));
}

#[tokio::test]
async fn an_update_whose_answer_is_lost_was_done_and_counts_against_the_quota_and_one_that_never_left_does_not() {
    let fixture = Setup { faults: "lost*1", ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.wait_held("7", "note", "hello").await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.delivered.updates, status.quota.used), (1, 2));
    let (total, log) = {
        let target = fixture.sandbox.target();
        (target.requests_total(), target.requests().iter().map(|request| request.status).collect::<Vec<_>>())
    };
    assert_eq!((total, log), (2, vec![0, 200]));

    // Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let agent = Running::start(&Setup::default(), dir.path(), &endpoint, None).await;
    agent.record(&noted("1", "7", "hello")).await;
    let status = agent.wait_status(|status| status.link == "offline").await;
    assert_eq!((status.pending.profiles, status.quota.used), (1, 0));
}
