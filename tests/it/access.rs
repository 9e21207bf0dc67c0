//! Who may do what through the local API: named tokens, web pages of other origins, and many clients at once.

use std::sync::mpsc;

use outpost::core::limits::{INTAKE_BODY_BYTES_MAX, INTAKE_LARGE_BYTES_MAX};
use outpost::core::tokens::{NamedToken, Right, TokenHash};
use outpost::device::clock::Clock;
use outpost::sandbox::target::Unknown;
use outpost::store::{FILE_NAME, Recording, Store, Writer};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::device::Device;
use crate::process::start_sandbox;
use crate::support::{BATCH, Fixture, PATIENCE, STRUCTURED, Setup, TOKEN, mappings, poll_once, used};

const KIOSK: &str = "https://kiosk.acme.example";
const OTHER: &str = "https://menu.acme.example";

fn token(name: &str, right: Right, origin: Option<&str>) -> NamedToken {
    let origin = origin.map(str::to_owned);
    NamedToken { name: name.to_owned(), right, hash: TokenHash::of(name.as_bytes()), origin, until_ms: None }
}

async fn start() -> Fixture {
    let tokens = vec![
        token("till", Right::Record, None),
        token("monitoring", Right::Read, None),
        token("helpdesk", Right::Admin, None),
        token("page", Right::Record, Some(KIOSK)),
    ];
    let allowed_origins = vec![KIOSK.to_owned(), OTHER.to_owned()];
    Setup { tokens, allowed_origins, ..Setup::default() }.start().await
}

async fn status(fixture: &Fixture, method: Method, path: &str, token: &str, origin: Option<&str>) -> u16 {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let mut request = client.request(method.clone(), fixture.agent.url(path)).bearer_auth(token);
    if method == Method::POST && path == "/v1/events" {
        request = request.header("content-type", STRUCTURED).body(used("1", "7", "Lund", 1.0).to_string());
    }
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_token_is_good_for_what_its_right_says() {
    let fixture = start().await;
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    for (token, record, read, change) in [
        ("till", 200, 403, 403),
        ("monitoring", 403, 200, 403),
        ("helpdesk", 200, 200, 404),
        (TOKEN, 200, 200, 404),
        ("nobody", 401, 401, 401),
    ] {
        let status = async |method: &Method, path| status(&fixture, method.clone(), path, token, None).await;
        assert_eq!(status(&post, "/v1/events").await, record, "{token}");
        for path in ["/v1/status", "/v1/rejected", "/metrics", "/v1/profiles/third_party_id/7"] {
            let found = status(&get, path).await;
            assert!(found == read || (found == 404 && read == 200), "{token} {path} {found}");
        }
        assert_eq!(status(&delete, "/v1/rejected/1").await, change, "{token}");
        assert_eq!(status(&post, "/v1/rejected/1/retry").await, change, "{token}");
        assert_eq!(status(&get, "/healthz").await, 200);
    }
}

#[tokio::test]
async fn a_web_page_may_record_with_its_own_key_and_nothing_else() {
    let fixture = start().await;
    let post = async |token, origin| status(&fixture, Method::POST, "/v1/events", token, origin).await;
    assert_eq!(post("page", Some(KIOSK)).await, 200);
    assert_eq!(post("page", Some(OTHER)).await, 403, "the key of one page is not good for another");
    assert_eq!(post("page", None).await, 403, "nor for a program");
    assert_eq!(post("page", Some("https://evil.example")).await, 403);
    assert_eq!(post("page", Some("null")).await, 403);
    assert_eq!(post("till", Some(OTHER)).await, 200);
    for admin in ["helpdesk", TOKEN] {
        assert_eq!(post(admin, Some(KIOSK)).await, 403, "a page has no use for all rights");
    }
    for path in ["/v1/status", "/v1/profiles/third_party_id/7", "/metrics"] {
        assert_eq!(status(&fixture, Method::GET, path, "page", Some(KIOSK)).await, 403, "{path}");
    }
    let path = "/v1/profiles/third_party_id/7";
    assert_eq!(status(&fixture, Method::DELETE, path, "page", Some(KIOSK)).await, 403);
    assert_eq!(
        status(&fixture, Method::GET, "/", "page", Some(KIOSK)).await,
        403,
        "nor is the page of the agent for it"
    );
}

#[tokio::test]
async fn a_browser_that_asks_first_is_answered_for_allowed_origins_alone() {
    let fixture = start().await;
    let ask = async |origin: &str| {
        let request = fixture.agent.request(Method::OPTIONS, "/v1/events").header("origin", origin);
        let request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .header("access-control-request-private-network", "true");
        request.send().await.unwrap()
    };
    let answer = ask(KIOSK).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some(KIOSK));
    assert_eq!(header("access-control-allow-methods").as_deref(), Some("GET, POST"));
    assert_eq!(header("access-control-allow-headers").as_deref(), Some("authorization,content-type"));
    assert_eq!(header("access-control-allow-private-network").as_deref(), Some("true"));
    assert_eq!(header("vary").as_deref(), Some("origin"));
    let refused = ask("https://evil.example").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn a_mistyped_path_is_not_found_with_a_hint_whatever_the_right() {
    let fixture = start().await;
    for (method, path) in [(Method::POST, "/v1/event"), (Method::GET, "/v1/events/"), (Method::POST, "/events")] {
        let request = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let request = request.request(method, fixture.agent.url(path)).bearer_auth("till");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("events are sent to /v1/events"), "{problem}");
    }
    assert_eq!(status(&fixture, Method::DELETE, "/v1/status", "till", None).await, 403);
    assert_eq!(status(&fixture, Method::POST, "/v1/event", "nobody", None).await, 401);
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_can_read_why_it_was_refused() {
    let fixture = start().await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let ask = async |token: &str, path: &str, origin: &str| {
        let request = client.post(fixture.agent.url(path)).bearer_auth(token).header("origin", origin);
        let answer = request.send().await.unwrap();
        let allowed = answer.headers().get("access-control-allow-origin");
        (answer.status().as_u16(), allowed.map(|value| value.to_str().unwrap().to_owned()))
    };
    let kiosk = Some(KIOSK.to_owned());
    assert_eq!(ask("nobody", "/v1/events", KIOSK).await, (401, kiosk.clone()));
    assert_eq!(ask("page", "/v1/reload", KIOSK).await, (403, kiosk.clone()));
    assert_eq!(ask("page", "/v1/event", KIOSK).await, (404, kiosk));
    assert_eq!(ask("nobody", "/v1/events", "https://evil.example").await, (403, None));
}

#[tokio::test]
async fn a_query_parameter_that_is_wrong_is_named_with_what_must_be() {
    let fixture = Setup::default().start().await;
    let verify = "/v1/profiles/third_party_id/7/verify";
    for (method, path, words) in [
        (Method::GET, "/v1/rejected?after=ten", "parameter after must be a whole number, such as 0; found \"ten\""),
        (Method::GET, "/v1/rejected?after=", "parameter after must be a whole number, such as 0; found \"\""),
        (Method::GET, "/v1/rejected?afer=1", "no query parameter \"afer\"; it has after"),
        (Method::GET, "/v1/rejected?after=1&after=2", "after must be given once; found 2 times"),
        (Method::POST, &format!("{verify}?resend=yes"), "parameter resend must be true or false; found \"yes\""),
    ] {
        let answer = fixture.agent.request(method, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{path}: {problem}");
    }
}

#[tokio::test]
async fn an_error_within_base64_says_that_its_place_is_in_the_decoded_text() {
    let fixture = Setup::default().start().await;
    let mut event = used("1", "7", "Lund", 1.0);
    event.as_object_mut().unwrap().remove("data");
    event["datacontenttype"] = "application/json".into();
    // {"card": oops}
    event["data_base64"] = "eyJjYXJkIjogb29wc30=".into();
    let problem: Value = fixture.agent.post(STRUCTURED, event.to_string()).await.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("data_base64: ") && detail.contains("line 1 column 10 of the decoded text"), "{detail}");
}

/// A connection that announces a large body, and sends only its beginning.
async fn large_one(fixture: &Fixture) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.agent.address).await.unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {BATCH}\r\nContent-Length: {INTAKE_BODY_BYTES_MAX}\r\n\r\n["
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn more_than_there_is_room_for_is_refused_at_once_and_small_requests_pass() {
    let mut setup = Setup::default();
    setup.server.body_timeout = std::time::Duration::from_secs(3_600);
    let fixture = setup.start().await;
    let mut held = Vec::new();
    for _ in 0..INTAKE_LARGE_BYTES_MAX / INTAKE_BODY_BYTES_MAX {
        held.push(large_one(&fixture).await);
    }
    let events: Vec<Value> = (0..500).map(|id| used(&id.to_string(), "7", "Lund", 1.0)).collect();
    let large = serde_json::to_string(&events).unwrap();
    // Until the last of them has its place.
    let refused = loop {
        let answer = fixture.agent.post(BATCH, large.clone()).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let problem: Value = refused.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().starts_with("nothing was recorded"), "{problem}");
    let recorded = fixture.agent.status().await.events.recorded;
    assert_eq!(fixture.agent.record(&used("small", "7", "Lund", 1.0)).await["status"], "recorded");
    assert_eq!(fixture.agent.status().await.events.recorded, recorded + 1);

    let mut one = held.pop().unwrap();
    one.write_all(" ".repeat(INTAKE_BODY_BYTES_MAX - 2).as_bytes()).await.unwrap();
    one.write_all(b"]").await.unwrap();
    let mut answer = [0; 12];
    one.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(fixture.agent.post(BATCH, large).await.status(), StatusCode::OK, "its room is free again");
}

#[tokio::test]
async fn one_who_sends_much_does_not_keep_the_others_waiting() {
    const LARGE: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let (writer, _thread) = Writer::start(Store::open(&dir.path().join(FILE_NAME)).unwrap()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let mut busy = Box::pin(writer.act(move |_| {
        wait.recv().unwrap();
        Ok(())
    }));
    assert!(poll_once(&mut busy).await.is_none());
    let (mappings, clock) = (mappings(crate::support::MAPPINGS), Clock::new(None));
    let recordings = |ids: std::ops::Range<usize>| -> Vec<Recording> {
        let one = |id: usize| {
            let json = used(&id.to_string(), "7", "Lund", 1.0).to_string();
            let (event, _) =
                outpost::intake::event_at(outpost::intake::cloudevents::structured(json.as_bytes()).unwrap(), &clock);
            let meaning = mappings.meaning(&event);
            outpost::intake::recording(event, meaning, &mappings, &clock)
        };
        ids.map(one).collect()
    };
    // Each is in the queue before the next: a future that is polled once has sent its job.
    let mut waiting = Vec::new();
    for batch in 0..6 {
        let mut record = Box::pin(writer.record(recordings(batch * LARGE..(batch + 1) * LARGE)));
        assert!(poll_once(&mut record).await.is_none());
        waiting.push(record);
    }
    let mut small = Box::pin(writer.record(recordings(10_000..10_001)));
    assert!(poll_once(&mut small).await.is_none());
    go.send(()).unwrap();
    let seq = small.await.unwrap()[0].seq;
    assert!(seq <= 1 + LARGE as i64, "{seq}");
    for record in waiting {
        assert_eq!(record.await.unwrap().len(), LARGE);
    }
    busy.await.unwrap();
}

/// The status of a request to the agent of a device.
fn ask(device: &Device, token: &str, method: &str, path: &str) -> u16 {
    let endpoint = std::fs::read_to_string(device.dir.path().join("data/agent.json")).unwrap();
    let endpoint: Value = serde_json::from_str(&endpoint).unwrap();
    let url = format!("http://{}{path}", endpoint["http"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        client.request(method.parse().unwrap(), url).bearer_auth(token).send().await.unwrap().status().as_u16()
    })
}

#[test]
fn tokens_are_made_rotated_and_taken_back_while_the_agent_runs() {
    let device = Device::new();
    let intake = || std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    let agent = device.run();
    let first = intake();
    let till = device.works(&["token", "create", "till-3", "--right", "record"]);
    let till = till.trim();
    assert_eq!((ask(&device, till, "GET", "/v1/status"), ask(&device, &first, "GET", "/v1/status")), (403, 200));
    assert_eq!(ask(&device, till, "POST", "/v1/events"), 415, "it may record, had it sent an event");

    let rotated = device.works(&["token", "rotate", "till-3"]);
    assert_eq!(
        (ask(&device, till, "POST", "/v1/events"), ask(&device, rotated.trim(), "POST", "/v1/events")),
        (401, 415)
    );

    device.works(&["token", "rotate", "--grace", "1h"]);
    let second = intake();
    assert_ne!(first, second);
    assert_eq!((ask(&device, &first, "GET", "/v1/status"), ask(&device, &second, "GET", "/v1/status")), (200, 200));
    insta::assert_snapshot!(device.works(&["token", "list"]).split(" until ").next().unwrap(), @"
    intake              admin   in data/intake.token
    till-3              record
    intake before       admin
    ");
    device.works(&["token", "rotate"]);
    let third = intake();
    assert_eq!((ask(&device, &second, "GET", "/v1/status"), ask(&device, &third, "GET", "/v1/status")), (401, 200));

    assert!(device.works(&["token", "revoke", "till-3"]).contains("no longer valid"));
    assert_eq!(ask(&device, rotated.trim(), "POST", "/v1/events"), 401);
    drop(agent);
    let page = device.works(&["token", "create", "page", "--right", "record", "--origin", KIOSK]);
    let agent = device.run();
    assert_eq!(ask(&device, page.trim(), "POST", "/v1/events"), 403, "it is for a web page");
    drop(agent);
    for text in [till, rotated.trim(), page.trim()] {
        assert_eq!(crate::support::files_with(&device.dir.path().join("data"), text), Vec::<String>::new());
    }
}

#[test]
fn what_cannot_be_a_token_is_told() {
    let device = Device::new();
    let fails = |args: &[&str]| device.fails(&[&["token"], args].concat()).1;
    device.works(&["token", "create", "a", "--right", "read"]);
    insta::assert_snapshot!(fails(&["create", "a", "--right", "read"]), @"outpost: there is a token named a; use `outpost token rotate`, or another name");
    insta::assert_snapshot!(fails(&["create", "a b", "--right", "read"]), @"outpost: the name of a token has 1 to 64 letters, digits, dots, hyphens and underscores");
    insta::assert_snapshot!(fails(&["create", "b", "--right", "admin", "--origin", KIOSK]), @"outpost: a web page may only record; use --right record");
    insta::assert_snapshot!(fails(&["create", "b", "--right", "record", "--origin", "kiosk"]), @"outpost: an origin is a scheme and a host, as in https://kiosk.acme.example");
    insta::assert_snapshot!(fails(&["revoke", "b"]), @"outpost: there is no token named b; `outpost token list` lists them");
}

#[cfg(unix)]
#[test]
fn files_of_the_agent_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;

    let device = Device::new();
    let agent = device.run();
    device.works(&["token", "create", "a", "--right", "read"]);
    device.record_use("7");
    let mut seen = Vec::new();
    let mut folders = vec![device.dir.path().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (metadata, name) = (entry.metadata().unwrap(), entry.file_name().into_string().unwrap());
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            let mode = metadata.permissions().mode() & 0o777;
            let is_secret =
                ["outpost.db", "outpost.db-wal", "intake.token", "tokens.json", "device_id"].contains(&name.as_str());
            assert_eq!(mode & if is_secret { 0o077 } else { 0o027 }, 0, "{name} {mode:o}");
            seen.push(name);
        }
    }
    for name in ["outpost.db", "outpost.db-wal", "intake.token", "tokens.json", "log", "outpost.lock"] {
        assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
    }
    drop(agent);
}

#[cfg(unix)]
#[test]
fn a_token_file_that_others_can_read_keeps_the_agent_from_starting() {
    use std::os::unix::fs::PermissionsExt;

    let device = Device::new();
    device.record_use("7");
    drop(device.run());
    let path = device.dir.path().join("data/intake.token");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = device.fails(&["run"]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(said, @"outpost: others can read or change the file data/intake.token, which contains a secret; run `chmod 600 data/intake.token`");
}

#[test]
fn an_agent_that_runs_as_root_says_so() {
    let device = Device::new();
    let doctor = device.works_or_not(&["doctor"]);
    let is_root = outpost::device::rights::is_root();
    assert_eq!(doctor.contains("warn user"), is_root, "{doctor}");
    assert_eq!(doctor.contains("ok   user"), !is_root, "{doctor}");
}

#[test]
fn a_token_that_was_rotated_by_a_command_that_was_killed_comes_into_effect() {
    let device = Device::new();
    let _agent = device.run();
    // As the command leaves it that is cut off before it tells the agent; over the file, so that it stays closed to others.
    std::fs::write(device.dir.path().join("data/intake.token"), "0123456789abcdef".repeat(4)).unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    while !device.outpost(&["reload"]).status.success() {
        assert!(std::time::Instant::now() < until, "the agent still has the token before");
    }
}

#[tokio::test]
async fn no_web_page_from_elsewhere_uses_the_simulator() {
    let ((_, address), _stop) = start_sandbox(Unknown::Accept).await;
    let http = reqwest::Client::new();
    let status = async |host: &str, origin: Option<&str>| {
        let url = format!("http://{address}/sandbox/profiles/third_party_id/7");
        let request = http.post(url).header("host", host).body("{\"store\":\"Lund\"}");
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        request.send().await.unwrap().status()
    };
    for (host, origin) in
        [("evil.example", None), ("127.0.0.1", Some("https://evil.example")), ("127.0.0.1", Some("null"))]
    {
        assert_eq!(status(host, origin).await, StatusCode::FORBIDDEN, "{host} {origin:?}");
    }
    assert!(status("localhost:7718", Some("http://localhost:3000")).await.is_success());
}
