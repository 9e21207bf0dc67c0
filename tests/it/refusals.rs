//! Answers to a request that is not what it must be: they say what was found, where, and what must be.

use reqwest::header::{ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{BATCH, Fixture, STRUCTURED, Setup, TOKEN, used};

const EVENTS: &str = "/v1/events";
const PLAIN: &str = "application/json";

/// An answer, whole.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answered {
    async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.json().await.unwrap() }
    }

    fn header(&self, name: impl reqwest::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A problem of this status whose detail has all these words.
    fn check(&self, status: u16, words: &[&str]) {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{}", self.body);
        for word in words {
            assert!(self.detail().contains(word), "{word:?} is missing: {}", self.body);
        }
    }

    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap()
    }
}

async fn post(fixture: &Fixture, content_type: &str, body: impl Into<reqwest::Body>) -> Answered {
    let request = fixture.agent.request(Method::POST, EVENTS).header("content-type", content_type);
    Answered::to(request.body(body)).await
}

async fn recorded(fixture: &Fixture) -> i64 {
    fixture.agent.status().await.events.recorded
}

#[tokio::test]
async fn a_missing_token_is_told_from_a_wrong_one() {
    let fixture = Setup::default().start().await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let ask = async |path: &str, authorization: &[&str]| {
        let mut request = client.get(fixture.agent.url(path));
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        Answered::to(request).await
    };
    let missing = ask("/v1/status", &[]).await;
    missing.check(401, &["no Authorization header", "Authorization: Bearer", "intake.token"]);
    assert_eq!(missing.header(WWW_AUTHENTICATE), "Bearer realm=\"outpost\"");
    let wrong = ask("/v1/status", &["Bearer somebody-else"]).await;
    wrong.check(401, &["the token is not known", "outpost token list"]);
    assert!(!wrong.detail().contains("somebody-else"), "{}", wrong.body);
    assert_eq!(wrong.header(WWW_AUTHENTICATE), "Bearer realm=\"outpost\", error=\"invalid_token\"");
    let empty = ask("/v1/status", &["Bearer "]).await;
    empty.check(401, &["the token is empty"]);
    let basic = ask("/v1/status", &["Basic c2VjcmV0OnNlY3JldA=="]).await;
    basic.check(401, &["not of the form \"Bearer TOKEN\""]);
    assert!(!basic.detail().contains("c2Vj"), "{}", basic.body);
    assert_eq!(basic.header(WWW_AUTHENTICATE), "Bearer realm=\"outpost\"");
    ask("/v1/status", &["Bearer a", "Bearer b"]).await.check(401, &["2 Authorization headers", "must be one"]);
    let known = format!("Bearer {TOKEN}");
    assert_eq!(ask("/v1/status", &[&known]).await.status, 200);
    assert_eq!(ask("/openapi.json", &[]).await.status, 200, "what a refusal points to can be read by anyone");
}

#[tokio::test]
async fn an_unknown_path_points_to_the_description_of_the_api() {
    let fixture = Setup::default().start().await;
    for path in ["/v1/event", "/events", "/v2/events", "/v1/events/"] {
        let answer = Answered::to(fixture.agent.request(Method::POST, path)).await;
        answer.check(404, &["/openapi.json"]);
    }
    let answer = Answered::to(fixture.agent.request(Method::GET, EVENTS)).await;
    answer.check(405, &["GET", "POST", "/openapi.json"]);
    assert_eq!(answer.header(ALLOW), "POST");
    let answer = Answered::to(fixture.agent.request(Method::PUT, "/v1/profiles/third_party_id/7")).await;
    answer.check(405, &["PUT", "GET,HEAD,DELETE"]);
    assert!(!answer.detail().contains("third_party_id"), "{}", answer.body);
    assert_eq!(answer.header(ALLOW), "GET,HEAD,DELETE");
}

#[tokio::test]
async fn what_was_received_and_what_must_be_stand_in_a_415() {
    let fixture = Setup::default().start().await;
    let event = used("1", "7", "Lund", 1.0).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/cloudevents+xml"] {
        let answer = post(&fixture, content_type, event.clone()).await;
        answer.check(415, &[content_type, STRUCTURED, BATCH, PLAIN, "ce-"]);
    }
    let answer = post(&fixture, "application/cloudevents+json; charset=latin1", event.clone()).await;
    answer.check(415, &["latin1", "utf-8"]);
    let none = fixture.agent.request(Method::POST, EVENTS).body(event);
    Answered::to(none).await.check(415, &["no Content-Type", STRUCTURED, BATCH]);
    let long = post(&fixture, &format!("text/{}", "x".repeat(5_000)), "").await;
    long.check(415, &["text/xxx"]);
    assert!(long.detail().len() < 600, "{}", long.body);
    assert_eq!(recorded(&fixture).await, 0);
}

#[tokio::test]
async fn two_content_types_are_refused_whatever_they_say() {
    let fixture = Setup::default().start().await;
    let event = used("1", "7", "Lund", 1.0).to_string();
    for types in [vec![STRUCTURED, "text/plain"], vec![STRUCTURED, STRUCTURED], vec!["application/json, text/plain"]] {
        let mut request = fixture.agent.request(Method::POST, EVENTS).body(event.clone());
        for content_type in &types {
            request = request.header("content-type", *content_type);
        }
        let answer = Answered::to(request).await;
        answer.check(400, &["one Content-Type must be given; found ", "nothing was recorded"]);
    }
    let request = fixture.agent.request(Method::POST, EVENTS).header("content-type", "text/plain");
    let request = ["specversion", "id", "source", "type", "id"].iter().fold(request, |request, name| {
        let value = if *name == "specversion" { "1.0" } else { "a" };
        request.header(format!("ce-{name}"), value)
    });
    Answered::to(request.body("x")).await.check(400, &["id: it occurs twice"]);
    let twice = post(&fixture, "application/cloudevents+json; charset=utf-8; charset=latin1", event).await;
    twice.check(415, &["latin1"]);
    assert_eq!(recorded(&fixture).await, 0);
}

#[tokio::test]
async fn a_time_out_of_range_is_told_the_range_and_a_name_twice_its_path() {
    let fixture = Setup::default().start().await;
    let mut event = used("1", "7", "Lund", 1.0);
    event["time"] = json!("9999-12-31T23:59:59Z");
    post(&fixture, STRUCTURED, event.to_string()).await.check(400, &["time: it must be between -009999-", "9999-12-3"]);
    let twice = used("1", "7", "Lund", 1.0).to_string().replace("\"card\":\"7\"", "\"card\":\"7\",\"card\":\"8\"");
    let answer = post(&fixture, BATCH, format!("[{twice}]")).await;
    answer.check(400, &["event 0: data.card: it occurs twice"]);
    assert_eq!(answer.body["field"], "data.card");
    assert_eq!(recorded(&fixture).await, 0);
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_the_name_of_its_encoding() {
    let fixture = Setup::default().start().await;
    for (encoding, content_type) in
        [("gzip", STRUCTURED), ("br", BATCH), ("deflate, gzip", PLAIN), ("zstd", "text/plain")]
    {
        let request = fixture.agent.request(Method::POST, EVENTS).header("content-type", content_type);
        let answer = Answered::to(request.header(CONTENT_ENCODING, encoding).body(b"\x1f\x8b\x08".to_vec())).await;
        answer.check(415, &[encoding, "Content-Encoding", "uncompressed", "nothing was recorded"]);
        assert_eq!(answer.header(ACCEPT_ENCODING), "identity");
    }
    let request = fixture.agent.request(Method::POST, EVENTS).header("content-type", STRUCTURED);
    let request = request.header(CONTENT_ENCODING, "Identity").body(used("1", "7", "Lund", 1.0).to_string());
    assert_eq!(Answered::to(request).await.status, 200);
    // Compressed, and not said to be.
    let answer = post(&fixture, STRUCTURED, b"\x1f\x8b\x08\x00\x00".to_vec()).await;
    answer.check(400, &["gzip", "uncompressed"]);
}

#[tokio::test]
async fn plain_json_is_an_event_or_a_batch_where_it_can_be_nothing_else() {
    let fixture = Setup::default().start().await;
    let event = used("1", "7", "Lund", 1.0);
    for (content_type, body, ids) in [
        (PLAIN, event.to_string(), &["1"][..]),
        ("application/json; charset=utf-8", format!(" \r\n{}", used("2", "7", "Lund", 1.0)), &["2"]),
        (PLAIN, json!([used("3", "7", "Lund", 1.0), used("4", "8", "Lund", 1.0)]).to_string(), &["3", "4"]),
    ] {
        let answer = post(&fixture, content_type, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let found: Vec<&Value> = answer.body["events"].as_array().unwrap().iter().map(|event| &event["id"]).collect();
        assert_eq!(found, ids);
    }
    let binary = fixture.agent.request(Method::POST, EVENTS).header("content-type", PLAIN);
    let binary = binary.header("ce-specversion", "1.0").header("ce-id", "5").header("ce-source", "/s");
    let binary = binary.header("ce-type", "com.acme.loyalty.used").body(event.to_string());
    let answer = Answered::to(binary).await;
    assert_eq!(answer.body["events"][0]["id"], "5", "headers make it binary, whatever the body looks like");
    let profile = fixture.agent.get("/v1/profiles/third_party_id/7").await.1;
    let visits = profile["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "visits").unwrap();
    assert_eq!(visits["value"], "3");

    let no_event = post(&fixture, PLAIN, r#"{"card":"7"}"#).await;
    no_event.check(400, &["specversion: it is missing", "nothing was recorded"]);
    let no_events = post(&fixture, PLAIN, r#"[{"card":"7"}]"#).await;
    no_events.check(400, &["event 0: specversion: it is missing"]);
    for body in ["7", "\"event\"", "null", "", "  ", "card=7"] {
        post(&fixture, PLAIN, body).await.check(415, &[PLAIN, "neither", STRUCTURED]);
    }
}

#[tokio::test]
async fn an_error_of_json_has_the_line_and_column_of_what_was_sent() {
    let fixture = Setup::default().start().await;
    let check = async |content_type: &str, body: &str, place: &str| {
        let answer = post(&fixture, content_type, body.to_owned()).await;
        answer.check(400, &[place]);
    };
    let (valid, bad) = (used("1", "7", "Lund", 1.0).to_string(), "{\"specversion\": }");
    let column = valid.len() + "[,{\"specversion\": }".len();
    check(STRUCTURED, bad, "expected value at line 1 column 17").await;
    check(STRUCTURED, "\n\n {\"id\": x}", "at line 3 column 9").await;
    check(
        BATCH,
        &format!("[{valid},{bad}]"),
        &format!("event 1: this is not valid JSON: expected value at line 1 column {column}"),
    )
    .await;
    check(
        BATCH,
        &format!("[\n  {valid},\n  {bad}\n]"),
        "event 1: this is not valid JSON: expected value at line 3 column 19",
    )
    .await;
    check(BATCH, &format!("[\n  {valid},\n  {{\n  \"id\": x}}\n]"), "at line 4 column 9").await;
    check(
        BATCH,
        &format!("[\n  {valid},\n  {{\"data\":1e999}}]"),
        "event 1: data: this is not valid JSON: number out of range at line 3 column",
    )
    .await;
    check(STRUCTURED, "{\"subject\":\"Malmö\", \"id\": x}", "at line 1 column 27").await;
    check(PLAIN, &format!("[{valid},{bad}]"), &format!("at line 1 column {column}")).await;
    for (body, place) in [
        ("{\"a\":1,}", "at line 1 column 8"),
        ("{\n\"a\": 1e999}", "at line 2 column 10"),
        ("{\n \"a\": \"\\ud800\"}", "at line 2 column"),
        ("  {\"a\":\n1", "at line 2 column 1"),
    ] {
        let request = fixture.agent.request(Method::POST, EVENTS).header("content-type", PLAIN).body(body);
        let request = request.header("ce-specversion", "1.0").header("ce-id", "a long id of this event");
        let answer = Answered::to(request.header("ce-source", "/s").header("ce-type", "t")).await;
        answer.check(400, &["data: ", place]);
    }
    assert_eq!(recorded(&fixture).await, 0);
}

#[tokio::test]
async fn json_that_ends_early_is_blamed_on_no_field() {
    let fixture = Setup::default().start().await;
    let valid = used("1", "7", "Lund", 1.0).to_string();
    for length in 1..valid.len() {
        let answer = post(&fixture, STRUCTURED, valid[..length].to_owned()).await;
        answer.check(400, &["the JSON is not complete, and must be: it ends at line 1 column"]);
        assert!(answer.body.get("field").is_none(), "{}", answer.body);
        let answer = post(&fixture, BATCH, format!("[{valid},{}", &valid[..length])).await;
        answer.check(400, &["event 1: the JSON is not complete"]);
        assert!(answer.body.get("field").is_none(), "{}", answer.body);
    }
    // Nor is what stands behind a field.
    let missing_comma = valid.replacen(",\"id\"", " \"id\"", 1);
    let answer = post(&fixture, STRUCTURED, missing_comma).await;
    answer.check(400, &["expected `,` or `}` at line 1 column"]);
    assert!(answer.body.get("field").is_none(), "{}", answer.body);
    assert_eq!(recorded(&fixture).await, 0);
}

#[tokio::test]
async fn each_event_of_a_batch_that_is_wrong_is_named() {
    let fixture = Setup::default().start().await;
    let valid = |id: &str| used(id, "7", "Lund", 1.0).to_string();
    let no_id = valid("1").replace("\"id\":\"1\"", "\"id\":\"\"");
    let body = format!(
        "[{},{{\"specversion\": }},{},{no_id},\n7,{{\"id\":\"]}},{{\\\"\", \"data\": [}}],{}]",
        valid("0"),
        valid("2"),
        valid("6")
    );
    let answer = post(&fixture, BATCH, body).await;
    answer.check(400, &["event 1: ", "3 more events are wrong", "nothing was recorded"]);
    assert_eq!((&answer.body["event"], answer.body.get("field")), (&json!(1), None));
    let errors = answer.body["errors"].as_array().unwrap();
    let places: Vec<&Value> = errors.iter().map(|error| &error["event"]).collect();
    assert_eq!(places, [1, 3, 4, 5], "{}", answer.body);
    assert_eq!(errors[1]["field"], "id");
    let details: Vec<&str> = errors.iter().map(|error| error["detail"].as_str().unwrap()).collect();
    assert!(details[0].contains("expected value at line 1 column"), "{details:?}");
    assert_eq!(details[1], "id: it is empty");
    assert_eq!(details[2], "an event is a JSON object");
    assert!(
        details[3].starts_with("data: this is not valid JSON: ") && details[3].contains("at line 2 column"),
        "{details:?}"
    );
    assert_eq!(recorded(&fixture).await, 0, "a batch is recorded whole or not at all");

    // Each has its own place, also where several are on one line.
    let answer = post(&fixture, BATCH, "[{x},{\n  y}, {z}, {z},\n\n {\"ö\": w}]".to_owned()).await;
    let details: Vec<&Value> = answer.body["errors"].as_array().unwrap().iter().map(|error| &error["detail"]).collect();
    let ends = ["line 1 column 3", "line 2 column 3", "line 2 column 8", "line 2 column 13", "line 4 column 8"];
    assert_eq!(details.len(), ends.len(), "{details:?}");
    assert!(details.iter().zip(ends).all(|(detail, end)| detail.as_str().unwrap().ends_with(end)), "{details:?}");

    // The commas between events are JSON too.
    for (body, event) in [
        (format!("[{},]", valid("0")), 1),
        (format!("[,{}]", valid("0")), 0),
        (format!("[{} {}]", valid("0"), valid("1")), 1),
        (format!("[{}] x", valid("0")), 1),
        (format!("[{}", valid("0")), 1),
    ] {
        let answer = post(&fixture, BATCH, body.clone()).await;
        answer.check(400, &["at line 1 column"]);
        assert_eq!(answer.body["event"], event, "{body} {}", answer.body);
    }
    assert_eq!(recorded(&fixture).await, 0);
}
