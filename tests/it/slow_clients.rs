//! Clients that never come to an end: timed out, so that the next one gets its place.

use std::time::Duration;

use outpost::http::server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Fixture, STRUCTURED, Setup, TOKEN, used};

/// An agent with one place, and little patience.
async fn start() -> Fixture {
    let patience = Duration::from_millis(50);
    let server = ServerOptions { connections_max: 1, idle_timeout: patience, body_timeout: patience };
    Setup { server, ..Setup::default() }.start().await
}

/// Sends a part of a request, and then nothing more; gives the first line of the answer.
async fn stall(fixture: &Fixture, begin: &str) -> String {
    let mut stream = TcpStream::connect(fixture.agent.address).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer));
    let _ = read.await.expect("the server ends the connection");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_loses_its_place() {
    let fixture = start().await;
    let first_line = stall(&fixture, "POST /v1/events HTTP/1.1\r\nHost: loc").await;
    assert!(first_line.is_empty() || first_line.contains("408"), "{first_line}");
    assert_eq!(fixture.agent.record(&used("1", "7", "Lund", 1.0)).await["status"], "recorded");
}

#[tokio::test]
async fn a_client_that_never_ends_its_body_is_told_and_loses_its_place() {
    let fixture = start().await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\nContent-Length: 500\r\n\r\n{{"
    );
    assert!(stall(&fixture, &head).await.contains("408"));
    assert_eq!(fixture.agent.record(&used("1", "7", "Lund", 1.0)).await["seq"], 1);
}
