//! `kill -9` in a loop, while several clients post: what was acknowledged counts once, and nothing twice.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outpost::sandbox::Sandbox;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::{Target, Unknown};
use outpost::status::Status;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{MAPPINGS, PATIENCE, STRUCTURED, held, used};

const KILLS: usize = 25;
const CLIENTS: usize = 4;
const CARDS: usize = 5;
/// Acknowledged events between two kills.
const EVENTS_A_LIFE: usize = 60;

/// Where the agent takes events now, and its token.
#[derive(Clone)]
struct Access {
    endpoint: String,
    token: String,
}

/// An agent in a process of its own, killed when dropped.
struct Agent {
    child: Child,
    access: Access,
}

impl Agent {
    async fn start(dir: &Path) -> Self {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || Self::start_and_wait(&dir)).await.unwrap()
    }

    fn start_and_wait(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["run", "-c"])
            .arg(dir.join("agent.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The greeting comes when events are taken.
        BufReader::new(child.stdout.take().unwrap()).lines().next().expect("the agent should start").unwrap();
        let json: Value = serde_json::from_slice(&std::fs::read(dir.join("data/agent.json")).unwrap()).unwrap();
        let endpoint = format!("http://{}", json["http"].as_str().unwrap());
        let token = std::fs::read_to_string(dir.join("data/intake.token")).unwrap();
        Self { child, access: Access { endpoint, token } }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_counts_once_and_none_twice() {
    let sandbox = Sandbox::new(Target::new([], Unknown::Accept, Faults::default(), 100_000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop_sandbox, stop) = watch::channel(false);
    tokio::spawn(sandbox.clone().serve(listener, stop));
    let dir = tempfile::tempdir().unwrap();
    let config = MAPPINGS.replace("[target]\n", &format!("[target]\nendpoint = \"http://{address}\"\n"));
    let config = format!(
        "[agent]\ndata_dir = '{}'\n[intake.http]\nlisten = \"127.0.0.1:0\"\n{config}",
        dir.path().join("data").display()
    );
    std::fs::write(dir.path().join("agent.toml"), config).unwrap();

    let mut agent = Agent::start(dir.path()).await;
    let (access_sender, access) = watch::channel(agent.access.clone());
    let (acknowledged_sender, mut acknowledged) = watch::channel(0);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(post_events(client, access.clone(), acknowledged_sender.clone())))
        .collect();
    // When all clients are gone, the waiting below ends too.
    drop(acknowledged_sender);
    for life in 1..=KILLS {
        acknowledged.wait_for(|&events| events >= life * EVENTS_A_LIFE).await.unwrap();
        drop(agent);
        agent = Agent::start(dir.path()).await;
        access_sender.send(agent.access.clone()).unwrap();
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for client in clients {
        for card in client.await.unwrap() {
            *counts.entry(card).or_default() += 1;
        }
    }

    let drained = drained(&agent.access).await;
    let total: usize = counts.values().sum();
    assert_eq!(drained.events.recorded, total as i64);
    for (card, count) in &counts {
        assert_eq!(held(&sandbox.target(), card, "visits"), Some(count.to_string()), "{card}");
    }
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    for request in sandbox.target().requests() {
        assert_eq!(request.wrong, None);
        let (_, card) = request.identity.clone().unwrap();
        let visits = request.attributes["visits"].parse().unwrap();
        let before = newest.insert(card, visits).unwrap_or(0);
        assert!(before <= visits, "an older update came after a newer one");
    }
}

/// Posts events, each until it is acknowledged, and gives the card of each.
async fn post_events(
    client: usize,
    mut access: watch::Receiver<Access>,
    acknowledged: watch::Sender<usize>,
) -> Vec<String> {
    let http = client_of_one_connection();
    let mut cards = Vec::new();
    while *acknowledged.borrow() < (KILLS + 1) * EVENTS_A_LIFE {
        let number = cards.len();
        let card = format!("card-{}", (client + number) % CARDS);
        let event = used(&format!("{client}-{number}"), &card, "Lund", 1.0).to_string();
        loop {
            let now = access.borrow_and_update().clone();
            if post(&http, &now, &event).await {
                break;
            }
            // The agent was killed: the next one says where it is.
            access.changed().await.unwrap();
        }
        acknowledged.send_modify(|events| *events += 1);
        cards.push(card);
    }
    cards
}

async fn post(http: &reqwest::Client, access: &Access, event: &str) -> bool {
    let url = format!("{}/v1/events", access.endpoint);
    let request = http.post(url).bearer_auth(&access.token).header("content-type", STRUCTURED).body(event.to_owned());
    let Ok(response) = request.send().await else { return false };
    let Ok(answer) = response.json::<Value>().await else { return false };
    assert!(matches!(answer["events"][0]["status"].as_str(), Some("recorded" | "duplicate")), "{answer}");
    true
}

/// The status once nothing is pending.
async fn drained(access: &Access) -> Status {
    let http = client_of_one_connection();
    let url = format!("{}/v1/status", access.endpoint);
    let asking = async {
        loop {
            let status: Status = http.get(&url).bearer_auth(&access.token).send().await.unwrap().json().await.unwrap();
            if status.pending.profiles == 0 {
                return status;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the outbox should become empty")
}

fn client_of_one_connection() -> reqwest::Client {
    // It fails only if there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}
