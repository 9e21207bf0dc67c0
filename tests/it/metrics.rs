//! What an operator of many devices reads of each: in metrics, and in `status`.

use outpost::core::forwarding::route::Mode;
use outpost::core::verdict::Level;
use outpost::forward::ForwarderRules;
use outpost::store::{FILE_NAME, StoreLimits};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::device::Device;
use crate::process::client_of_one_connection;
use crate::support::{Fixture, Running, STRUCTURED, Setup, noted, rules, used};

async fn metrics(agent: &Running) -> String {
    agent.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap()
}

fn assert_has(metrics: &str, line: &str) {
    assert!(metrics.lines().any(|it| it == line), "{line}\n{metrics}");
}

#[tokio::test]
async fn refused_events_are_counted_by_status_and_reason() {
    let fixture = Setup { allowed_origins: vec!["https://kiosk.example".into()], ..Setup::default() }.start().await;
    let agent = &fixture.agent;
    assert_has(&metrics(agent).await, "outpost_intake_refused_total{reason=\"store-full\",status=\"507\"} 0");
    assert!(agent.status().await.refused.is_empty());
    let http = client_of_one_connection();
    let post = |token: &str| http.post(agent.url("/v1/events")).bearer_auth(token).header("content-type", STRUCTURED);
    assert_eq!(post("wrong").body("{}").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    for _ in 0..2 {
        assert_eq!(agent.post(STRUCTURED, "{}").await.status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(agent.post("text/plain", "x").await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let foreign = agent.request(Method::POST, "/v1/events").header("origin", "https://elsewhere.example");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    // What is no event is not counted.
    assert_eq!(agent.get("/v1/rejected/7").await.0, StatusCode::NOT_FOUND);
    agent.record(&noted("1", "7", "a")).await;
    let told = metrics(agent).await;
    for (reason, status, count) in [
        ("unknown-token", 401, 1),
        ("invalid-event", 400, 2),
        ("unsupported-media-type", 415, 1),
        ("forbidden", 403, 1),
        ("store-full", 507, 0),
    ] {
        let line = format!("outpost_intake_refused_total{{reason=\"{reason}\",status=\"{status}\"}} {count}");
        assert_has(&told, &line);
    }
    let refused = serde_json::to_value(agent.status().await.refused).unwrap();
    assert_eq!(refused[0], json!({"status": 400, "reason": "invalid-event", "requests": 2}));
    assert_eq!(refused.as_array().unwrap().len(), 4, "{refused}");
}

#[tokio::test]
async fn events_without_room_are_counted_as_such() {
    let limits = StoreLimits { min_free_disk_bytes: u64::MAX, ..StoreLimits::default() };
    let fixture = Setup { limits, ..Setup::default() }.start().await;
    let answer = fixture.agent.post(STRUCTURED, used("1", "7", "Lund", 1.0).to_string()).await;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let told = metrics(&fixture.agent).await;
    assert_has(&told, "outpost_intake_refused_total{reason=\"store-full\",status=\"507\"} 1");
    assert_has(&told, "outpost_store_full 1");
    assert_has(&told, "outpost_verdict 3");
}

#[tokio::test]
async fn the_link_is_told_with_its_cause() {
    for (faults, line, cause) in [
        ("", "outpost_link_info{reason=\"\",state=\"online\"} 1", None),
        ("portal", "outpost_link_info{reason=\"foreign\",state=\"blocked\"} 1", Some("foreign")),
        ("401", "outpost_link_info{reason=\"token\",state=\"paused\"} 1", Some("token")),
        ("503", "outpost_link_info{reason=\"failing\",state=\"offline\"} 1", Some("failing")),
    ] {
        let fixture = Setup { faults, ..Setup::default() }.start().await;
        assert_has(&metrics(&fixture.agent).await, "outpost_last_delivery_timestamp_seconds 0");
        fixture.agent.record(&noted("1", "7", "a")).await;
        let status = fixture.agent.wait_status(|status| status.link != "unknown").await;
        assert_eq!(status.link_cause.as_deref(), cause, "{faults}");
        if faults.is_empty() {
            fixture.agent.wait_drained().await;
        }
        let told = metrics(&fixture.agent).await;
        assert_has(&told, line);
        assert_eq!(told.contains("\noutpost_last_delivery_timestamp_seconds 0\n"), !faults.is_empty(), "{told}");
    }
    for (endpoint, cause) in [("http://127.0.0.1:9", "connection"), ("http://no-such-host.invalid", "dns")] {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = Running::start(&Setup::default(), dir.path(), endpoint, None).await;
        agent.record(&noted("1", "7", "a")).await;
        agent.wait_status(|status| status.link_cause.as_deref() == Some(cause)).await;
        assert_has(&metrics(&agent).await, &format!("outpost_link_info{{reason=\"{cause}\",state=\"offline\"}} 1"));
        agent.stop().await;
    }
}

#[tokio::test]
async fn what_it_was_built_from_and_how_its_configuration_is_are_told() {
    let device = Device::new();
    let _agent = device.run();
    let endpoint: serde_json::Value =
        serde_json::from_slice(&std::fs::read(device.dir.path().join("data/agent.json")).unwrap()).unwrap();
    let token = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    let url = format!("http://{}/metrics", endpoint["http"].as_str().unwrap());
    let http = client_of_one_connection();
    let metrics = async || http.get(&url).bearer_auth(&token).send().await.unwrap().text().await.unwrap();
    let told = metrics().await;
    assert!(told.contains("\noutpost_build_info{commit=\""), "{told}");
    assert!(told.contains(&format!(",version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"))), "{told}");
    assert_has(&told, "outpost_configuration_ok 1");
    assert_has(&told, "outpost_target_set_up 1");
    assert_has(&told, "outpost_link_up 1");
    let text = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{text}\n[nonsense]\n"));
    assert!(!device.outpost(&["reload"]).status.success());
    assert_has(&metrics().await, "outpost_configuration_ok 0");
    device.write("agent.toml", &text);
    device.works(&["reload"]);
    assert_has(&metrics().await, "outpost_configuration_ok 1");
}

#[tokio::test]
async fn batch_rows_that_are_spent_are_in_the_verdict() {
    let forwarding = rules(Mode::Bulk);
    let mut fixture = Setup { forwarding, ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.agent.wait_drained().await;
    fixture.agent.stop().await;
    let store = rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap();
    assert_eq!(store.execute("UPDATE batch SET row_count = 1000000", []).unwrap(), 1);
    drop(store);
    fixture.start_again().await;
    fixture.agent.record(&noted("2", "8", "b")).await;
    let status = fixture.agent.wait_status(|status| status.quota.batches_open_at.is_some()).await;
    assert_eq!(status.verdict.level, Level::Waiting, "{:?}", status.verdict);
    assert_eq!(status.verdict.text, "The rows that batches may have in a day are used up.");
}

#[tokio::test]
async fn when_all_that_waits_was_set_aside_the_verdict_says_so() {
    let forwarding = ForwarderRules { late_after: Some(std::time::Duration::from_secs(900)), ..rules(Mode::Single) };
    let fixture: Fixture = Setup { forwarding, ..Setup::default() }.start().await;
    for card in ["7", "8"] {
        fixture.sandbox.target().learn(&format!("third_party_id:{card}").parse().unwrap());
    }
    fixture.agent.record(&used("0", "8", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    fixture.sandbox.target().faults = "fetch=500".parse().unwrap();
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let is_told = |text: &str| text.starts_with("All waiting profiles have been set aside: ");
    let status = fixture.agent.wait_status(|status| is_told(&status.verdict.text)).await;
    assert_eq!((status.verdict.level, status.link.as_str()), (Level::Waiting, "online"));
    assert_eq!(status.pending.set_aside.unwrap().profiles, 1);
}

#[tokio::test]
async fn after_a_reload_nobody_says_that_target_was_never_asked() {
    let fixture = Setup { faults: "portal", ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.agent.wait_status(|status| status.link == "blocked").await;
    // Nothing is tried for an hour, so that the link stays unknown.
    fixture.sandbox.target().faults = "slow=3600s".parse().unwrap();
    fixture.agent.change(fixture.setup.settings(&format!("http://{}", fixture.sandbox_address))).await;
    let status = fixture.agent.wait_status(|status| status.link == "unknown").await;
    assert_eq!(status.verdict.text, "Updates wait for the next try.");
    let page = fixture.agent.request(Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains("Nothing has been sent to Adobe Target since ") && !page.contains("was not asked yet"),
        "{page}"
    );
}
