//! Whatever is sent, the answer is one of those documented, and nothing of it is recorded.

use std::time::Duration;

use outpost::intake::cloudevents;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{BATCH, STRUCTURED, Setup, TOKEN, used};

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let fixture = Setup::default().start().await;
    let valid = used("1", "7", "Lund", 1.0).to_string();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"7".to_vec(),
        b"\"event\"".to_vec(),
        b"{}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
        deep.clone().into_bytes(),
        valid.replace("\"Lund\"", &deep).into_bytes(),
        valid.replace("\"Lund\"", "\"\\u0000\"").into_bytes(),
        valid.replace("\"Lund\"", "\"\\ud800\"").into_bytes(),
        valid.replace("\"Lund\"", "\"\0\"").into_bytes(),
        valid.replace("Lund", &"x".repeat(2 << 20)).into_bytes(),
        valid.replace("\"Lund\"", "1e999").into_bytes(),
        valid.replace("\"1\"", "[]").into_bytes(),
        valid.replace("\"/kiosk/3\"", "7").into_bytes(),
        [valid.as_bytes(), b"\xff"].concat(),
        valid.as_bytes()[..valid.len() - 1].to_vec(),
    ];
    for body in bodies {
        for content_type in [STRUCTURED, BATCH] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let response = fixture.agent.post(content_type, body.clone()).await;
            let is_refused = matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
            assert!(is_refused, "{} {shown}", response.status());
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }
    let status = fixture.agent.status().await;
    assert_eq!((status.events.recorded, status.events.unmapped, status.events.rejected), (0, 0, 0));
}

/// Ten thousand mutations of a valid batch: each is read or refused, and none panics. Those that are still valid
/// hold what was sent and nothing else.
#[test]
fn ten_thousand_random_mutations_are_read_or_refused() {
    let valid = format!("[{},{}]", used("1", "7", "Lund", 1.0), used("2", "8", "Malmö ☕", 2.5)).into_bytes();
    let length = valid.len();
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8),
        Just(b"\\u0000".to_vec()),
        Just(b"\\ud83d".to_vec()),
        Just(b"{\"a\":".to_vec()),
        Just(b"]]]]".to_vec()),
        Just(b"\"\",".to_vec()),
        Just(b"1e9999".to_vec()),
        Just(b"null".to_vec()),
    ];
    let mutation = (0..length, 0..12_usize, bytes);
    let mutations = proptest::collection::vec(mutation, 1..4).prop_map(move |mutations| {
        let mut body = valid.clone();
        for (at, removed, inserted) in mutations {
            let at = at.min(body.len());
            let end = (at + removed).min(body.len());
            body.splice(at..end, inserted);
        }
        body
    });
    let mut runner = TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&mutations, |body| {
            let events = cloudevents::batch(&body);
            if let Ok(events) = events {
                for event in events {
                    assert!(!event.id.is_empty() && !event.json.contains('\0'));
                    assert!(cloudevents::structured(event.json.as_bytes()).is_ok());
                }
            }
            let _ = cloudevents::structured(&body);
            Ok(())
        })
        .unwrap();
}

/// The same over HTTP, some hundreds of times: each answer is one of those documented.
#[tokio::test]
async fn mutated_requests_get_answers_that_are_documented() {
    let fixture = Setup::default().start().await;
    let valid = used("1", "7", "Lund", 1.0).to_string().into_bytes();
    for at in 0..valid.len() {
        let mut body = valid.clone();
        body[at] ^= 0x15;
        let status = fixture.agent.post(STRUCTURED, body).await.status();
        assert!(matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST), "byte {at}: {status}");
    }
    assert_eq!(fixture.agent.get("/healthz").await.0, StatusCode::OK);
}

/// Sends raw bytes, and gives the first line of the answer.
async fn raw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    read.await.expect("the server closes the connection").unwrap_or_default();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn broken_http_and_bodies_that_end_early_are_refused() {
    let fixture = Setup::default().start().await;
    let address = fixture.agent.address;
    assert!(raw(address, b"NONSENSE\r\n\r\n").await.contains("400"));
    assert!(
        raw(address, &[b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 1 << 20], b"\r\n\r\n"].concat())
            .await
            .contains("431")
    );
    assert!(raw(address, b"GET /v1/status HTTP/1.1\r\n\r\n").await.contains("403"));
    let short = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\nContent-Length: 500\r\n\r\n{{"
    );
    assert!(!raw(address, short.as_bytes()).await.contains("200"));
    assert_eq!(fixture.agent.status().await.events.recorded, 0);
}
