//! Metrics pushed to a collector of OpenTelemetry, of which a loopback server takes the place.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use outpost::adobe::{HttpOptions, TlsOptions};
use outpost::agent::PushOptions;
use outpost::device::secret::Secret;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::configuration::parse;
use crate::support::{Setup, used};

/// A push, as it reached the collector.
struct Pushed {
    authorization: String,
    body: Value,
}

/// A collector that refuses its first requests; gives its URL, and what it took.
async fn collector(refused: usize) -> (String, mpsc::UnboundedReceiver<Pushed>) {
    collector_that_says(refused, String::new()).await
}

/// A collector as [`collector`], which answers what it takes with those words.
async fn collector_that_says(refused: usize, words: String) -> (String, mpsc::UnboundedReceiver<Pushed>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let (taken, pushes) = mpsc::unbounded_channel();
    let refused = Arc::new(Mutex::new(refused));
    let take = move |headers: HeaderMap, body: String| async move {
        let mut refused = refused.lock().await;
        if *refused > 0 {
            *refused -= 1;
            return (StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
        // The test may have seen enough.
        let _ = taken.send(Pushed { authorization, body: serde_json::from_str(&body).unwrap() });
        (StatusCode::OK, words)
    };
    let app = Router::new().route("/v1/metrics", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, pushes)
}

fn to(url: &str) -> PushOptions {
    PushOptions {
        url: url.to_owned(),
        token: Some(Secret::Text(SecretString::from("collector-token"))),
        http: HttpOptions { timeout: Duration::from_secs(5), connections: 1, proxy: None, tls: TlsOptions::default() },
        every: Duration::from_millis(20),
    }
}

fn metric<'b>(body: &'b Value, name: &str) -> &'b Value {
    let metrics = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("{name} in {body}"))
}

#[tokio::test]
async fn metrics_reach_a_collector_with_the_name_of_the_device() {
    let (url, mut pushes) = collector(0).await;
    let fixture = Setup { push: Some(to(&url)), ..Setup::default() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    let delivered = |body: &Value| {
        metric(body, "outpost_updates_delivered_total")["sum"]["dataPoints"][0]["asDouble"].as_f64().unwrap() > 0.0
    };
    let Pushed { authorization, body } = loop {
        let pushed = pushes.recv().await.unwrap();
        if delivered(&pushed.body) {
            break pushed;
        }
    };
    assert_eq!(authorization, "Bearer collector-token");
    let attributes = body["resourceMetrics"][0]["resource"]["attributes"].as_array().unwrap();
    assert!(attributes.contains(&json!({ "key": "service.instance.id", "value": { "stringValue": "device-1" } })));
    let sum = &metric(&body, "outpost_updates_delivered_total")["sum"];
    assert_eq!((&sum["isMonotonic"], &sum["aggregationTemporality"]), (&json!(true), &json!(2)));
    let requests = &metric(&body, "outpost_requests_total")["sum"]["dataPoints"][0];
    let labels: Vec<&Value> = requests["attributes"].as_array().unwrap().iter().map(|label| &label["key"]).collect();
    assert_eq!(labels, ["api", "outcome"]);
    let histogram = &metric(&body, "outpost_request_seconds")["histogram"]["dataPoints"][0];
    let counts = histogram["bucketCounts"].as_array().unwrap();
    assert_eq!(counts.len(), histogram["explicitBounds"].as_array().unwrap().len() + 1);
    let counted: u64 = counts.iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(histogram["count"], counted.to_string());
    assert!(metric(&body, "outpost_link_up")["gauge"]["dataPoints"][0]["asDouble"].is_number());
    let text = body.to_string();
    assert!(!text.contains("Lund") && !text.contains("collector-token"), "{text}");
}

#[tokio::test]
async fn a_collector_that_refuses_is_shown_until_it_takes_a_push() {
    let (url, mut pushes) = collector(3).await;
    let fixture = Setup { push: Some(to(&url)), ..Setup::default() }.start().await;
    let push = |status: &outpost::inspect::status::Status| status.metrics_push.clone();
    let refused = |problem: &Option<String>| problem.as_deref() == Some("it answered 503");
    let status = fixture.agent.wait_status(|status| push(status).is_some()).await;
    let first = push(&status).unwrap();
    assert_eq!(first.host, "127.0.0.1");
    assert!(refused(&first.problem) || first.last_at.is_some(), "{first:?}");
    pushes.recv().await.unwrap();
    let well = |push: outpost::inspect::status::PushView| push.problem.is_none() && push.last_at.is_some();
    fixture.agent.wait_status(|status| push(status).is_some_and(well)).await;
    let endpoint = format!("http://{}", fixture.sandbox_address);
    fixture.agent.change(Setup::default().settings(&endpoint)).await;
    fixture.agent.wait_status(|status| push(status).is_none()).await;
}

#[tokio::test]
async fn what_a_collector_takes_in_part_or_answers_without_an_end_is_not_shown_as_pushed() {
    let partial = json!({"partialSuccess": {"rejectedDataPoints": "4", "errorMessage": "too old".repeat(100)}});
    let refused = format!("it refused 4 numbers: {}", &"too old".repeat(100)[..200]);
    let long = "its answer is longer than 65536 bytes; is it a collector?";
    for (answer, expected) in [(partial.to_string(), refused.as_str()), (" ".repeat(1 << 20), long)] {
        let (url, _pushes) = collector_that_says(0, answer).await;
        let fixture = Setup { push: Some(to(&url)), ..Setup::default() }.start().await;
        let status = fixture.agent.wait_status(|status| status.metrics_push.is_some()).await;
        let push = status.metrics_push.unwrap();
        assert_eq!((push.problem.as_deref(), push.last_at), (Some(expected), None));
    }
}

#[tokio::test]
async fn a_token_for_the_collector_that_is_none_is_told_and_nothing_is_sent() {
    let (url, mut pushes) = collector(0).await;
    let mut push = to(&url);
    push.token = Some(Secret::Text(SecretString::from("Bearer collector-token")));
    let fixture = Setup { push: Some(push), ..Setup::default() }.start().await;
    let status = fixture.agent.wait_status(|status| status.metrics_push.is_some()).await;
    let problem = status.metrics_push.unwrap().problem;
    let expected = "push_token in [metrics]: it begins like a header; it must be only the token";
    assert_eq!(problem.as_deref(), Some(expected));
    assert!(pushes.try_recv().is_err());
}

#[test]
fn a_collector_is_a_whole_url_and_gets_its_token_over_https() {
    let check = |section: &str, expected: &str| {
        let told = parse(&format!("[target]\nclient_code = \"acme\"\n[metrics]\n{section}")).map(|_| ()).unwrap_err();
        assert!(told.contains(expected), "{told}");
    };
    let whole = "push in [metrics] must be a whole URL such as https://collector.example:4318/v1/metrics";
    for url in ["collector:4318", "https://collector.example", "ftp://collector.example/x", ""] {
        check(&format!("push = \"{url}\""), whole);
    }
    check("push = \"https://a:b@collector.example/v1/metrics\"", "must hold no credentials; use push_token");
    check("push = \"http://collector.example/v1/metrics\"\npush_token = \"abc\"", "must begin with https://");
    check("push = \"https://collector.example/v1/metrics\"\npush_every = \"1s\"", "push_every");
    check("push_every = \"1m\"", "push_every in [metrics] needs push, the URL of the collector");
    check("push = \"http://127.0.0.1:4318/v1/metrics\"\npush_token = \"abc\"", "must begin with https://");
    check("push = \"http://collector.example/v1/metrics\"", "must begin with https://; http:// is for loopback");
    for push in ["http://127.0.0.1:4318/v1/metrics", "https://collector.example:4318/v1/metrics"] {
        parse(&format!("[target]\nclient_code = \"acme\"\n[metrics]\npush = \"{push}\"")).unwrap();
    }
}
