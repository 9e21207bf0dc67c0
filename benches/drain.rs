//! Draining a backlog beside the same HTTP client in a bare loop, and intake meanwhile.
//!
//! `cargo bench --bench drain`, or with a name after `--`: `coalesced`, `distinct`, `intake`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outpost::adobe::single::encode;
use outpost::adobe::{Client, ClientOptions, HttpOptions, Naming, Outcome, Request};
use outpost::core::forwarding::destination::Destination;
use outpost::core::identity::{Identity, IdentityKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use common::{Agent, NOWHERE, PROFILES, backlog, event, load, request, row};

mod common;

/// Requests in flight, as the agent has by default.
const CONNECTIONS: usize = 4;

/// Rounds of a comparison, of which the median counts.
const ROUNDS: usize = 5;

/// Target's words for a yes.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html;charset=UTF-8\r\nContent-Length: 34\r\n\r\ntrueRequest successfully submitted";

fn main() {
    common::run(&[("coalesced", coalesced), ("distinct", distinct), ("intake", intake)]);
}

/// A server that says yes at once, on a thread of its own.
struct QuickTarget {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl QuickTarget {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(say_yes(stream, counter.clone()));
                }
            });
        });
        Self { address, requests }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for so many requests, and gives how long they took after the first.
    fn wait(&self, count: usize) -> Duration {
        let seen = || self.requests.load(Ordering::Relaxed);
        while seen() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        while seen() < count {
            std::thread::sleep(Duration::from_millis(1));
        }
        begun.elapsed()
    }
}

async fn say_yes(mut stream: TcpStream, requests: Arc<AtomicUsize>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(read) if read > 0 => filled += read,
            _ => return,
        }
        if common::is_complete(&buffer[..filled]) {
            filled = 0;
            requests.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await.unwrap();
        }
    }
}

/// 200,000 events on 10,000 profiles: about one request a profile.
fn coalesced() {
    let dir = backlog(200_000, PROFILES);
    let target = QuickTarget::start();
    let agent = Agent::start_in(dir, &target.endpoint(), &[]);
    let elapsed = target.wait(PROFILES);
    while agent.status()["pending"]["profiles"] != 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let requests = target.requests.load(Ordering::Relaxed);
    println!("{:<44} {requests:>9} requests in {elapsed:.1?}", "200,000 events on 10,000 profiles");
}

/// 100,000 events on 100,000 profiles, beside the client alone: the medians of several rounds.
fn distinct() {
    const COUNT: usize = 100_000;
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(bare_loop(&QuickTarget::start(), COUNT));
        let dir = backlog(COUNT, COUNT);
        let target = QuickTarget::start();
        let _agent = Agent::start_in(dir, &target.endpoint(), &[]);
        whole.push(target.wait(COUNT));
    }
    let per_second = |mut elapsed: Vec<Duration>| {
        elapsed.sort();
        COUNT as f64 / elapsed[ROUNDS / 2].as_secs_f64()
    };
    let (bare, whole) = (per_second(bare), per_second(whole));
    println!("{:<44} {bare:>9.0}/s", "bare loop of the HTTP client, 4 in flight");
    println!("{:<44} {whole:>9.0}/s", "outpost, 4 in flight");
    println!("{:<44} {:>9.0} %", "", 100.0 * whole / bare);
}

fn bare_loop(target: &QuickTarget, count: usize) -> Duration {
    let options = ClientOptions {
        destination: Destination::Target { client_code: "bench".to_owned(), endpoint: target.endpoint() },
        token: None,
        http: HttpOptions {
            timeout: Duration::from_secs(10),
            connections: CONNECTIONS,
            proxy: None,
            tls: Default::default(),
        },
    };
    let client = Client::new(&options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (client, next) = (client.clone(), next.clone());
            clients.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let outcome = client.send(Request::Single(body(number)), &Naming::default()).await.answer;
                    assert!(matches!(outcome, Outcome::Delivered), "{outcome:?}");
                }
            });
        }
        clients.join_all().await;
    });
    begun.elapsed()
}

fn body(number: usize) -> String {
    let identity = Identity::new(IdentityKind::ThirdPartyId, format!("{number:09}")).unwrap();
    encode(&identity, [(0, ("lastStore", "Store 42")), (1, ("visits", "1"))]).remove(0).body
}

/// Intake at 64 connections, alone and while a backlog is drained.
fn intake() {
    const BACKLOG: usize = 300_000;
    let requests = |agent: &Agent| -> Vec<Vec<u8>> {
        (0..100_000).map(|number| request(agent, &event(number, PROFILES), common::STRUCTURED)).collect()
    };
    let agent = Agent::start_in(backlog(BACKLOG, BACKLOG), NOWHERE, &[]);
    let alone = load(agent.address, 64, requests(&agent));
    row("outpost, 64 connections, nothing to send to", &alone);
    drop(agent);

    let target = QuickTarget::start();
    let agent = Agent::start_in(backlog(BACKLOG, BACKLOG), &target.endpoint(), &[]);
    let prepared = requests(&agent);
    let sent = || target.requests.load(Ordering::Relaxed);
    let (before, begun) = (sent(), Instant::now());
    let busy = load(agent.address, 64, prepared);
    let drained = (sent() - before) as f64 / begun.elapsed().as_secs_f64();
    assert!(agent.status()["pending"]["profiles"] != 0, "the backlog was too small to last");
    row("outpost, 64 connections, draining", &busy);
    println!("{:<44} {drained:>9.0} updates/s meanwhile", "");
    println!("{:<44} {:>9.0} %", "", 100.0 * busy.per_second() / alone.per_second());
}
