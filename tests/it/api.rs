//! The local HTTP API, as its clients see it.

use outpost::core::limits::{BATCH_EVENTS_MAX, INTAKE_BODY_BYTES_MAX};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{BATCH, STRUCTURED, Setup, TOKEN, noted, used};

#[tokio::test]
async fn each_mode_of_cloudevents_is_recorded() {
    let fixture = Setup::default().start().await;
    let agent = &fixture.agent;
    let answer = agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!(answer, json!({ "id": "1", "seq": 1, "status": "recorded" }));

    let answers = agent.record_batch(&[used("2", "7", "Lund", 1.0), used("3", "8", "Lund", 1.0)]).await;
    assert_eq!(answers.iter().map(|answer| answer["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [2, 3]);

    let binary = agent
        .request(Method::POST, "/v1/events")
        .header("ce-specversion", "1.0")
        .header("ce-id", "4")
        .header("ce-source", "/kiosk/3")
        .header("ce-type", "com.acme.loyalty.used")
        .header("content-type", "application/json")
        .body(r#"{"card":"9","store":"Lund"}"#);
    let answer: Value = binary.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["events"][0]["status"], "recorded");

    fixture.wait_held("9", "lastStore", "Lund").await;
    assert_eq!(agent.status().await.events.recorded, 4);
}

#[tokio::test]
async fn the_same_source_and_id_is_one_event_across_restarts() {
    let mut fixture = Setup::default().start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let again = fixture.agent.record(&used("1", "8", "Malmö", 9.0)).await;
    assert_eq!((again["status"].as_str(), again["seq"].as_i64()), (Some("duplicate"), Some(1)));
    fixture.restart().await;
    let again = fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    assert_eq!((again["status"].as_str(), again["seq"].as_i64()), (Some("duplicate"), Some(1)));

    let mut elsewhere = used("1", "7", "Lund", 1.0);
    elsewhere["source"] = json!("/kiosk/4");
    assert_eq!(fixture.agent.record(&elsewhere).await["status"], "recorded");
    let twice = [used("2", "7", "Lund", 1.0), used("2", "7", "Lund", 1.0)];
    let answers = fixture.agent.record_batch(&twice).await;
    assert_eq!((answers[0]["status"].as_str(), answers[1]["status"].as_str()), (Some("recorded"), Some("duplicate")));

    fixture.wait_held("7", "visits", "3").await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.events.recorded, status.events.duplicate), (3, 3));
}

#[tokio::test]
async fn unmapped_and_rejected_events_are_acknowledged_and_counted() {
    let fixture = Setup::default().start().await;
    let mut unmapped = used("1", "7", "Lund", 1.0);
    unmapped["type"] = json!("com.other");
    let answer = fixture.agent.record(&unmapped).await;
    assert_eq!(answer["status"], "unmapped");
    assert_eq!(answer["reason"], "no mapping has its type; the nearest is \"com.acme.note\"");
    let mut failing = used("2", "7", "Lund", 1.0);
    failing["data"].as_object_mut().unwrap().remove("store");
    let answer = fixture.agent.record(&failing).await;
    assert_eq!(answer["status"], "rejected");
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("\"card used\"") && reason.contains("data.store is not in the event"), "{reason}");
    let status = fixture.agent.status().await;
    assert_eq!((status.events.recorded, status.events.unmapped, status.events.rejected), (0, 1, 1));
    assert_eq!((status.rejected.events, status.pending.profiles), (1, 0));
}

#[tokio::test]
async fn a_time_ahead_of_the_device_is_taken_as_now_and_said_so() {
    let fixture = Setup::default().start().await;
    let mut event = used("1", "7", "Lund", 1.0);
    event["time"] = json!("2999-01-01T00:00:00Z");
    let answer = fixture.agent.record(&event).await;
    assert!(answer["reason"].as_str().unwrap().contains("taken as now"), "{answer}");
    fixture.agent.record(&used("2", "7", "Malmö", 1.0)).await;
    fixture.wait_held("7", "lastStore", "Malmö").await;
}

#[tokio::test]
async fn what_is_wrong_is_answered_as_a_problem_with_index_and_field_and_nothing_is_recorded() {
    let fixture = Setup::default().start().await;
    let agent = &fixture.agent;
    let valid = used("1", "7", "Lund", 1.0);
    let mut invalid = valid.clone();
    invalid["time"] = json!("yesterday");

    let response = agent.post(BATCH, json!([valid, invalid]).to_string()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!((problem["event"].as_u64(), problem["field"].as_str()), (Some(1), Some("time")));
    assert_eq!(problem["status"], 400);

    let check = async |content_type: &str, body: String, status: StatusCode| {
        let response = agent.post(content_type, body).await;
        assert_eq!(response.status(), status, "{content_type}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    };
    check(STRUCTURED, "{".to_owned(), StatusCode::BAD_REQUEST).await;
    check("text/json", valid.to_string(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    check("application/cloudevents+xml", "<a/>".to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    check(&format!("{STRUCTURED}; charset=utf-16"), valid.to_string(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    check(STRUCTURED, "x".repeat(INTAKE_BODY_BYTES_MAX + 1), StatusCode::PAYLOAD_TOO_LARGE).await;
    check(BATCH, format!("[{}1]", "1,".repeat(BATCH_EVENTS_MAX)), StatusCode::PAYLOAD_TOO_LARGE).await;

    let status = agent.status().await;
    assert_eq!((status.events.recorded, status.events.unmapped, status.events.rejected), (0, 0, 0));
}

#[tokio::test]
async fn the_token_the_host_and_the_origin_are_checked() {
    let setup = Setup { allowed_origins: vec!["https://kiosk.acme.example".to_owned()], ..Setup::default() };
    let fixture = setup.start().await;
    let agent = &fixture.agent;
    let plain = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();

    assert_eq!(status(plain.get(agent.url("/v1/status"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(plain.get(agent.url("/v1/status")).bearer_auth("wrong")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(plain.get(agent.url("/healthz"))).await, StatusCode::OK);
    assert_eq!(status(plain.get(agent.url("/readyz"))).await, StatusCode::OK);
    let get = || agent.request(Method::GET, "/v1/status");
    assert_eq!(status(get().header("host", "evil.example")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(get().header("origin", "https://evil.example")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(get().header("origin", "null")).await, StatusCode::FORBIDDEN);

    let allowed = get().header("origin", "https://kiosk.acme.example").send().await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://kiosk.acme.example");
    let preflight = plain
        .request(Method::OPTIONS, agent.url("/v1/events"))
        .header("origin", "https://kiosk.acme.example")
        .header("access-control-request-headers", "authorization, content-type");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(preflight.headers()["access-control-allow-headers"], "authorization, content-type");
}

#[tokio::test]
async fn unknown_paths_methods_and_identities_are_problems_too() {
    let fixture = Setup::default().start().await;
    let agent = &fixture.agent;
    assert_eq!(agent.get("/v1/nope").await.0, StatusCode::NOT_FOUND);
    assert_eq!(agent.get("/v1/events").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(agent.get("/v1/profiles/third_party_id/7").await.0, StatusCode::NOT_FOUND);
    assert_eq!(agent.get("/v1/profiles/ecid/7").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_profile_is_explained_attribute_by_attribute() {
    let fixture = Setup::default().start().await;
    fixture.agent.record(&used("e1", "7 ö", "Lund", 1.5)).await;
    fixture.agent.record(&noted("e2", "7 ö", "")).await;
    fixture.agent.wait_drained().await;
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7%20%C3%B6").await;
    assert_eq!(profile["identity"], json!({ "kind": "third_party_id", "key": "7 ö" }));
    assert_eq!(profile["exists"], "unknown");
    let attribute = |name: &str| {
        let all = profile["attributes"].as_array().unwrap();
        all.iter().find(|attribute| attribute["name"] == name).unwrap().clone()
    };
    let spend = attribute("spend");
    assert_eq!(
        (&spend["value"], &spend["state"], &spend["event_id"]),
        (&json!("1.5"), &json!("delivered"), &json!("e1"))
    );
    assert_eq!((&spend["version"], &spend["delivered_version"]), (&json!(1), &json!(1)));
    let note = attribute("note");
    assert_eq!((&note["state"], &note["reason"]), (&json!("refused"), &json!("empty_value")));
    assert_eq!(note["delivered_version"], Value::Null);
}

#[tokio::test]
async fn a_target_that_names_another_host_is_refused() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let fixture = Setup::default().start().await;
    for (host, expected) in [("evil.example", 403), ("localhost@evil.example", 403), ("localhost", 200)] {
        let mut stream = tokio::net::TcpStream::connect(fixture.agent.address).await.unwrap();
        let request = format!(
            "GET http://{host}/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(first.starts_with(&format!("HTTP/1.1 {expected}")), "{host}: {first}");
    }
}
