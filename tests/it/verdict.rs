//! One verdict in each state of the device, and the same one everywhere it is shown.

use outpost::core::verdict::Level;
use outpost::inspect::status::Status;
use outpost::store::StoreLimits;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{Fixture, Setup, noted, used};

/// What a page writes where a text stands.
pub fn in_html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.replace('\'', "&#x27;").replace('/', "&#x2f;")
}

/// Waits for a verdict, and checks that it is the same on the page, in the metrics and for a load balancer.
async fn check(fixture: &Fixture, state: &str, level: Level, text: &str) -> Status {
    let agent = &fixture.agent;
    let is = |status: &Status| status.verdict.level == level && status.verdict.text.contains(text);
    let status = agent.wait_status(is).await;
    let page = agent.request(Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&format!("class=\"state {}\"", level.name())), "{state}: {page}");
    assert!(page.contains(&in_html(text)), "{state}: {page}");
    let (ready, problem) = agent.get("/readyz").await;
    let expected = if level == Level::Refusing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    assert_eq!(ready, expected, "{state}: {problem}");
    let metrics = agent.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let number = Level::ALL.iter().position(|it| *it == level).unwrap();
    assert!(metrics.contains(&format!("\noutpost_verdict {number}\n")), "{state}: {metrics}");
    assert_eq!(metrics.contains("\noutpost_store_full 1\n"), level == Level::Refusing, "{state}");
    let is_idle = status.link == "unknown" && status.pending.profiles == 0;
    let is_up = status.link == "online" || is_idle;
    assert_eq!(metrics.contains("\noutpost_link_up 1\n"), is_up, "{state}: {}", status.link);
    status
}

async fn record(fixture: &Fixture) {
    assert_eq!(fixture.agent.record(&used("1", "7", "Lund", 1.0)).await["status"], "recorded");
}

#[tokio::test]
async fn a_device_that_does_well_says_so() {
    let fixture = Setup::default().start().await;
    check(&fixture, "fresh", Level::Well, "Ready: nothing has been recorded yet.").await;
    record(&fixture).await;
    fixture.agent.wait_drained().await;
    check(&fixture, "delivered", Level::Well, "Everything that was recorded has reached Adobe Target.").await;
}

#[tokio::test]
async fn each_state_of_the_link_has_its_verdict() {
    for (fault, level, text) in [
        ("outage", Level::Waiting, "Adobe Target cannot be reached: "),
        ("portal", Level::Attention, "Something else answers instead of Adobe Target: "),
        ("401", Level::Attention, "Adobe Target does not accept the token: "),
        ("single=429=3600", Level::Waiting, "Adobe Target asks this device to wait"),
    ] {
        let fixture = Setup { faults: fault, ..Setup::default() }.start().await;
        record(&fixture).await;
        let status = check(&fixture, fault, level, text).await;
        assert!(status.next_try_at.is_some(), "{fault}: the next try is said");
        assert_eq!(status.is_told_to_wait, fault.contains("429"), "{fault}");
        assert!(status.verdict.what_to_do.contains("Nothing is lost"), "{fault}: {}", status.verdict.what_to_do);
    }
}

#[tokio::test]
async fn a_disk_that_is_low_is_the_worst_of_all() {
    let limits = StoreLimits { min_free_disk_bytes: u64::MAX, ..StoreLimits::default() };
    let fixture = Setup { limits, faults: "portal", ..Setup::default() }.start().await;
    let answer = fixture.agent.post(crate::support::STRUCTURED, used("1", "7", "Lund", 1.0).to_string()).await;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
    let text = "New events are refused: the disk has less than min_free_disk of [store] left.";
    check(&fixture, "disk low", Level::Refusing, text).await;
}

#[tokio::test]
async fn a_spent_quota_waits_and_a_rejected_event_needs_somebody() {
    let fixture = Setup { updates_per_day: 1, ..Setup::default() }.start().await;
    record(&fixture).await;
    fixture.agent.wait_drained().await;
    fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
    check(&fixture, "quota", Level::Waiting, "The quota of single updates is used up.").await;
    let mut broken = used("3", "9", "Lund", 1.0);
    broken["data"]["total"] = json!("much");
    assert_eq!(fixture.agent.record(&broken).await["status"], "rejected");
    let status =
        check(&fixture, "rejected", Level::Attention, "1 event or update was rejected and needs a decision").await;
    assert_eq!(status.verdict.also, ["The quota of single updates is used up."], "the other is said too");
}

#[tokio::test]
async fn dropped_files_that_wait_or_were_bad_are_said() {
    let rules = crate::support::config("[target]\nclient_code = \"acme\"\n[intake.folder]\npath = \"drop\"\n");
    let mut fixture = Setup { folder: rules.intake.kinds.folder, ..Setup::default() }.start().await;
    let drop = fixture.dir.path().join("drop");
    fixture.agent.wait_status(|_| drop.is_dir()).await;
    std::fs::write(drop.join("empty.ndjson"), "").unwrap();
    check(&fixture, "a file that waits", Level::Waiting, "1 dropped file waits to be read").await;
    std::fs::write(drop.join("new.part"), "{\n").unwrap();
    std::fs::rename(drop.join("new.part"), drop.join("bad.ndjson")).unwrap();
    let text = "1 dropped file has lines that could not be recorded";
    check(&fixture, "a bad line", Level::Attention, text).await;
    fixture.restart().await;
    check(&fixture, "a bad line of before the start", Level::Attention, text).await;
    std::fs::remove_dir_all(drop.join("failed")).unwrap();
    check(&fixture, "the file was taken away", Level::Waiting, "1 dropped file waits to be read").await;
}

#[tokio::test]
async fn a_device_without_mappings_says_that_events_change_nothing() {
    let fixture = Setup { mappings: "[target]\nclient_code = \"acme\"\n".to_owned(), ..Setup::default() }.start().await;
    check(&fixture, "no mapping", Level::Attention, "No mapping is configured").await;
}

#[tokio::test]
async fn what_waits_is_tried_when_somebody_wants_it_unless_target_asked_to_wait() {
    for fault in ["outage", "500", "portal"] {
        let fixture = Setup { faults: fault, ..Setup::default() }.start().await;
        let ask = async || fixture.agent.request(Method::POST, "/v1/retry-now").send().await.unwrap();
        let nothing: serde_json::Value = ask().await.json().await.unwrap();
        assert_eq!(nothing, json!({"pending_profiles": 0}));
        record(&fixture).await;
        fixture.agent.wait_status(|status| status.next_try_at.is_some()).await;
        let requests = fixture.sandbox.target().requests_total();
        assert_eq!(ask().await.status(), StatusCode::OK, "{fault}");
        fixture.wait_logged(requests + 1).await;
    }

    let told = Setup { faults: "single=429=3600", ..Setup::default() }.start().await;
    record(&told).await;
    told.agent.wait_status(|status| status.is_told_to_wait).await;
    let answer = told.agent.request(Method::POST, "/v1/retry-now").send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert!(answer["waits_until"].is_string(), "{answer}");
}

#[tokio::test]
async fn a_reload_forgets_why_the_link_was_down_and_tries_at_once() {
    let fixture = Setup { faults: "portal", ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.agent.wait_status(|status| status.link == "blocked").await;
    fixture.sandbox.target().faults = "".parse().unwrap();
    fixture.agent.change(fixture.setup.settings(&format!("http://{}", fixture.sandbox_address))).await;
    fixture.agent.wait_drained().await;
    let status = fixture.agent.status().await;
    assert_eq!((status.link.as_str(), status.link_reason), ("online", None));
}

/// What is committed to a file that nobody can open any more is not on the disk.
#[cfg(unix)]
#[tokio::test]
async fn a_store_that_somebody_removed_takes_no_event_and_says_so_until_it_is_back() {
    for file in ["outpost.db", "outpost.db-wal"] {
        let fixture = Setup { faults: "outage", ..Setup::default() }.start().await;
        record(&fixture).await;
        let (path, aside) = (fixture.dir.path().join(file), fixture.dir.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let event = used("2", "8", "Lund", 1.0).to_string();
        let answer = fixture.agent.post(crate::support::STRUCTURED, event.clone()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{file}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        let words = format!("somebody removed or replaced {}", path.display());
        assert!(problem["detail"].as_str().unwrap().contains(&words), "{problem}");
        let status = fixture.agent.wait_status(|status| status.verdict.level == Level::Refusing).await;
        assert!(status.verdict.text.contains(&words), "{:?}", status.verdict);
        assert_eq!(fixture.agent.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);

        std::fs::rename(&aside, &path).unwrap();
        let answer = fixture.agent.post(crate::support::STRUCTURED, event).await;
        assert_eq!(answer.status(), StatusCode::OK, "{file}");
        fixture.agent.wait_status(|status| status.verdict.level != Level::Refusing).await;
    }
}
