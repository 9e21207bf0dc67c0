//! Clients that never come to an end: timed out, so that the next one gets its place; and those that show no token keep no
//! place from one that does.

use std::time::Duration;

use outpost::core::limits::{INTAKE_CONNECTIONS_MAX, INTAKE_STRANGERS_MAX};
use outpost::http::server::ServerOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[cfg(unix)]
use crate::support::BATCH;
use crate::support::{Fixture, STRUCTURED, Setup, TOKEN, used};

/// An agent with one place, and little patience.
async fn start() -> Fixture {
    let patience = Duration::from_millis(50);
    let places = ServerOptions { connections_max: 1, strangers_max: 1, ..ServerOptions::default() };
    let server = ServerOptions { idle_timeout: patience, body_timeout: patience, ..places };
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

/// Reads an answer with a body that is short.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 64 * 1024];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await;
    let count = read.expect("an answer").expect("an answer");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

/// Sends a request of a till and reads the first line of its answer.
async fn swipe(stream: &mut TcpStream, id: &str, token: &str) -> String {
    let body = used(id, "7", "Lund", 1.0).to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {STRUCTURED}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await.lines().next().unwrap_or_default().to_owned()
}

/// An agent whose clients have an hour for anything.
async fn patient() -> Fixture {
    let hour = Duration::from_secs(3_600);
    let server = ServerOptions { idle_timeout: hour, body_timeout: hour, ..ServerOptions::default() };
    Setup { server, ..Setup::default() }.start().await
}

#[tokio::test]
async fn silent_connections_without_a_token_do_not_keep_a_till_waiting() {
    let fixture = patient().await;
    let mut silent = Vec::new();
    for _ in 0..INTAKE_CONNECTIONS_MAX + 50 {
        silent.push(TcpStream::connect(fixture.agent.address).await.unwrap());
    }
    let mut till = TcpStream::connect(fixture.agent.address).await.unwrap();
    assert_eq!(swipe(&mut till, "1", TOKEN).await, "HTTP/1.1 200 OK");
    // The first of them were sent away for those who came later.
    let mut byte = [0];
    assert!(matches!(silent[0].read(&mut byte).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_known_connection_is_not_sent_away_by_strangers_with_wrong_tokens() {
    let fixture = patient().await;
    let mut till = TcpStream::connect(fixture.agent.address).await.unwrap();
    assert_eq!(swipe(&mut till, "1", TOKEN).await, "HTTP/1.1 200 OK");
    let mut strangers = Vec::new();
    for id in 0..INTAKE_STRANGERS_MAX * 2 {
        let mut stranger = TcpStream::connect(fixture.agent.address).await.unwrap();
        assert_eq!(swipe(&mut stranger, &id.to_string(), "wrong").await, "HTTP/1.1 401 Unauthorized");
        strangers.push(stranger);
    }
    assert_eq!(swipe(&mut till, "2", TOKEN).await, "HTTP/1.1 200 OK");
    let mut byte = [0];
    assert!(matches!(strangers[0].read(&mut byte).await, Ok(0) | Err(_)), "a wrong token is no token");
}

/// Places of an agent whose clients take them all.
const PLACES: usize = 64;

/// An agent with few places, whose clients have an hour for anything.
async fn few_places() -> Fixture {
    let hour = Duration::from_secs(3_600);
    let server =
        ServerOptions { connections_max: PLACES, idle_timeout: hour, body_timeout: hour, ..ServerOptions::default() };
    Setup { server, ..Setup::default() }.start().await
}

#[tokio::test]
async fn idle_connections_with_a_token_keep_nobody_out() {
    let fixture = few_places().await;
    let mut idle = Vec::new();
    for id in 0..PLACES {
        let mut stream = TcpStream::connect(fixture.agent.address).await.unwrap();
        assert_eq!(swipe(&mut stream, &format!("idle {id}"), TOKEN).await, "HTTP/1.1 200 OK");
        idle.push(stream);
    }
    let mut till = TcpStream::connect(fixture.agent.address).await.unwrap();
    assert_eq!(swipe(&mut till, "1", TOKEN).await, "HTTP/1.1 200 OK");
    assert_eq!(fixture.agent.get("/v1/status").await.0, 200);
    // The one that was idle longest was closed for it, and not the last one.
    let mut byte = [0];
    assert!(matches!(idle[0].read(&mut byte).await, Ok(0) | Err(_)));
    assert_eq!(swipe(idle.last_mut().unwrap(), "2", TOKEN).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn busy_connections_that_record_leave_a_place_to_look_and_others_are_refused_at_once() {
    let fixture = few_places().await;
    let begin = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\nContent-Length: 500\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut busy = Vec::new();
    let refusal = loop {
        let mut stream = TcpStream::connect(fixture.agent.address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        if !answer.starts_with("HTTP/1.1 100 Continue") {
            break answer;
        }
        busy.push(stream);
        assert!(busy.len() < PLACES);
    };
    assert!(refusal.starts_with("HTTP/1.1 503") && refusal.contains("too many connections are open"), "{refusal}");
    assert_eq!(fixture.agent.get("/v1/status").await.0, 200);
}

#[tokio::test]
async fn what_a_till_has_sent_is_read_however_many_connections_come_behind_it() {
    let server = ServerOptions { strangers_max: 2, ..ServerOptions::default() };
    let fixture = Setup { server, ..Setup::default() }.start().await;
    let body = used("1", "7", "Lund", 1.0).to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // The agent is not awake meanwhile: it finds all of them at once.
    let connect = || std::net::TcpStream::connect(fixture.agent.address).unwrap();
    let tills: Vec<_> = (0..8)
        .map(|_| {
            let mut till = connect();
            std::io::Write::write_all(&mut till, request.as_bytes()).unwrap();
            till.set_nonblocking(true).unwrap();
            till
        })
        .collect();
    let flood: Vec<_> = (0..64).map(|_| connect()).collect();
    for till in tills {
        let mut till = TcpStream::from_std(till).unwrap();
        assert!(answer(&mut till).await.starts_with("HTTP/1.1 200 OK"));
    }
    drop(flood);
}

#[tokio::test]
async fn a_till_that_sends_a_while_after_it_connects_is_not_sent_away_by_those_that_come_meanwhile() {
    const STRANGERS: usize = 4;
    let grace = Duration::from_secs(3_600);
    let server = ServerOptions { strangers_max: STRANGERS, grace, ..ServerOptions::default() };
    let fixture = Setup { server, ..Setup::default() }.start().await;
    let mut tills = Vec::new();
    for _ in 0..STRANGERS {
        tills.push(TcpStream::connect(fixture.agent.address).await.unwrap());
    }
    // As many as are held beside them.
    let mut flood = Vec::new();
    for _ in 0..2 * STRANGERS {
        flood.push(TcpStream::connect(fixture.agent.address).await.unwrap());
    }
    let mut byte = [0];
    let end = tokio::time::timeout(Duration::from_millis(500), tills[1].read(&mut byte)).await;
    assert!(end.is_err(), "a connection that is new ended: {end:?}");
    for (id, till) in tills[1..].iter_mut().enumerate() {
        assert_eq!(swipe(till, &id.to_string(), TOKEN).await, "HTTP/1.1 200 OK");
    }
    // One that sends nothing goes once all that are held are younger.
    for _ in 0..=3 * STRANGERS {
        flood.push(TcpStream::connect(fixture.agent.address).await.unwrap());
    }
    assert!(matches!(tills[0].read(&mut byte).await, Ok(0) | Err(_)));
}

/// A client that asks for much, and reads none of it.
async fn unread(fixture: &Fixture) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.agent.address).await.unwrap();
    assert_eq!(swipe(&mut stream, "unread", TOKEN).await, "HTTP/1.1 200 OK");
    let ask = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(ask.repeat(400).as_bytes()).await.unwrap();
    stream
}

/// An agent with one place, and clients that have an hour for anything but to take something of an answer.
async fn one_place(stall_timeout: Duration) -> Fixture {
    let hour = Duration::from_secs(3_600);
    let one = ServerOptions { connections_max: 1, idle_timeout: hour, body_timeout: hour, ..ServerOptions::default() };
    Setup { server: ServerOptions { stall_timeout, ..one }, ..Setup::default() }.start().await
}

#[tokio::test]
async fn who_does_not_read_its_answers_gives_its_place() {
    let fixture = one_place(Duration::ZERO).await;
    let _unread = unread(&fixture).await;
    let begun = std::time::Instant::now();
    let mut id = 0;
    loop {
        id += 1;
        let mut till = TcpStream::connect(fixture.agent.address).await.unwrap();
        match &*swipe(&mut till, &id.to_string(), TOKEN).await {
            "HTTP/1.1 200 OK" => break,
            refused => assert!(refused.starts_with("HTTP/1.1 503"), "{refused}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "one that does not read keeps its place");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn who_reads_a_long_answer_slowly_keeps_its_place_where_places_are_short() {
    let stall = Duration::from_secs(1);
    let fixture = one_place(stall).await;
    // The answer has the ids of all of them, which is far more than the system holds.
    let event = |number: u32| used(&format!("{number:01000}"), "7", "Lund", 1.0);
    let body = serde_json::Value::from((0..800).map(event).collect::<Vec<_>>()).to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {BATCH}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(fixture.agent.address).await.unwrap();
    slow.write_all((head + &body).as_bytes()).await.unwrap();
    let mut part = [0; 2_048];
    let mut read = slow.read(&mut part).await.unwrap();
    assert!(part.starts_with(b"HTTP/1.1 200 OK"));
    let begun = std::time::Instant::now();
    let mut id = 0;
    while begun.elapsed() < stall * 3 / 2 {
        let since = std::time::Instant::now();
        while since.elapsed() < Duration::from_millis(10) {
            id += 1;
            let mut till = TcpStream::connect(fixture.agent.address).await.unwrap();
            assert_eq!(swipe(&mut till, &format!("till {id}"), TOKEN).await, "HTTP/1.1 503 Service Unavailable");
        }
        read += slow.read(&mut part).await.unwrap();
    }
    assert!(read < body.len() / 2, "there is a part left");
    let mut rest = vec![0; body.len()];
    while read < 800_000 {
        let count = slow.read(&mut rest).await.unwrap();
        assert!(count > 0, "the answer ended after {read} bytes");
        read += count;
    }
}
