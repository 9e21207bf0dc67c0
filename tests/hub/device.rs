//! A device as it is: the program joins a real hub, drains what is pending for Target, and hands over.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use outpost::core::identity::{Identity, IdentityKind};
use outpost::hub::Database;
use serde_json::Value;
use tempfile::TempDir;

use super::cluster::database;
use super::node::{Node, outpost};

/// Adobe Target as far as a single update goes: it says yes once it may, and 503 before.
struct Target {
    address: SocketAddr,
    is_up: Arc<AtomicBool>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Target {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Self { address: listener.local_addr().unwrap(), is_up: Arc::default(), bodies: Arc::default() };
        let (is_up, bodies) = (target.is_up.clone(), target.bodies.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                    let header = line.to_lowercase();
                    length = header.strip_prefix("content-length:").map_or(length, |it| it.trim().parse().unwrap());
                    line.clear();
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_err() || length == 0 {
                    continue;
                }
                let answer = if is_up.load(Ordering::SeqCst) {
                    bodies.lock().unwrap().push(String::from_utf8(body).unwrap());
                    "200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntrue"
                } else {
                    "503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                };
                let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
            }
        });
        target
    }
}

/// A device with its files, and its agent while it runs.
struct Device {
    dir: TempDir,
    agent: Option<Child>,
}

impl Device {
    fn new(target: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            r#"
[agent]
data_dir = '{0}/data'
device_id = "till-7"
[target]
client_code = "acme"
endpoint = "http://{target}"
mode = "single"
shared_profiles = false
[intake.http]
listen = "127.0.0.1:0"
[[mapping]]
name = "loyalty"
event = "com.acme.loyalty.used"
identity.third_party_id = "data.card"
set.lastStore = "data.store"
add.visits = "1"
append.stores = "data.store"
"#,
            dir.path().display()
        );
        std::fs::write(dir.path().join("agent.toml"), config).unwrap();
        Self { dir, agent: None }
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("agent.toml")
    }

    fn outpost(&self, args: &[&str]) -> Command {
        let mut command = outpost();
        command.args(args).arg("-c").arg(self.config());
        command
    }

    /// Runs a command to its end, and returns what it prints.
    fn say(&self, args: &[&str]) -> String {
        let out = self.outpost(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn start(&mut self) {
        let mut command = self.outpost(&["run"]);
        self.agent = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        // It may not be ready yet.
        while !self.outpost(&["status", "--json"]).output().unwrap().status.success() {}
    }

    fn kill(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    fn visit(&self, card: &str, store: &str) {
        let data = format!(r#"{{"card":"{card}","store":"{store}"}}"#);
        self.say(&["record", "--type", "com.acme.loyalty.used", "--data", &data]);
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.say(&["status", "--json"])).unwrap()
    }

    /// Waits until nothing is pending.
    fn wait_drained(&self) {
        while self.status()["pending"]["profiles"] != 0 {}
    }

    fn join(&self, node: &Node) -> String {
        let code = node.fleet(&["invite", "--uses", "1"]);
        let file = self.dir.path().join("invitation");
        std::fs::write(&file, code).unwrap();
        self.say(&["join", &format!("http://{}", node.address), "--invite", &format!("@{}", file.display())])
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

async fn held(hub: &Database, card: &str, name: &str) -> Option<String> {
    let identity = Identity::new(IdentityKind::ThirdPartyId, card).unwrap();
    hub.profile(&identity).await.unwrap().into_iter().find(|it| it.name == name).map(|it| it.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_joins_and_hands_over_and_kills_of_it_and_of_nodes_count_nothing_twice() {
    let (hub, url) = database(1).await;
    let node = Node::start(&url, "");
    let mut device = Device::new("127.0.0.1:1");
    let said = device.join(&node);
    assert!(said.contains("joined as till-7") && said.contains("nothing is pending for Target"), "{said}");
    let written = std::fs::read_to_string(device.dir.path().join("agent.d/90-hub.toml")).unwrap();
    assert!(written.contains("[hub]") && !written.contains("invitation"), "{written}");
    assert!(!device.dir.path().join("data/hub.attempt").exists());
    device.say(&["check"]);
    device.start();
    for round in 0..4 {
        device.visit("1", &format!("store-{round}"));
        device.visit("1", &format!("store-{round}"));
        device.visit("2", "Lund");
        if round % 2 == 0 {
            device.wait_drained();
        }
        device.kill();
        device.start();
    }
    device.wait_drained();
    assert_eq!(held(&hub, "1", "visits").await.as_deref(), Some("8"));
    assert_eq!(held(&hub, "2", "visits").await.as_deref(), Some("4"));
    assert_eq!(held(&hub, "1", "lastStore").await.as_deref(), Some("store-3"));
    assert_eq!(
        held(&hub, "1", "stores").await.as_deref(),
        Some("store-0,store-0,store-1,store-1,store-2,store-2,store-3,store-3")
    );
    assert_eq!(hub.audit().await.unwrap().differences, []);
    assert!(node.fleet(&["show", "till-7"]).contains("till-7"));
    // Revoked, it keeps what it records, and says why nothing goes.
    node.fleet(&["revoke", "till-7"]);
    device.visit("3", "Ystad");
    while device.status()["link"] != "paused" {}
    let status = device.status();
    assert!(status["link_reason"].as_str().unwrap().contains("the hub answered 401"), "{status}");
    assert_eq!((&status["pending"]["profiles"], &status["rejected"]["updates"]), (&1.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_a_hub_is_told_of_the_hub_and_not_of_target() {
    let (_hub, url) = database(1).await;
    let node = Node::start(&url, "");
    let mut device = Device::new("127.0.0.1:1");
    device.join(&node);
    device.start();
    device.visit("1", "Lund");
    device.wait_drained();
    let doctor = || String::from_utf8(device.outpost(&["doctor"]).output().unwrap().stdout).unwrap();
    let said = doctor();
    assert!(said.contains("the hub answers, and knows this device as till-7"), "{said}");
    assert!(said.contains("hub's clock"), "{said}");
    let status = device.status();
    assert_eq!(status["receiver"], "hub");
    assert_eq!(status["verdict"]["text"], "Everything that was recorded has reached Outpost Hub.");
    for said in [said, device.say(&["status"]), device.say(&["explain", "1"])] {
        assert!(!said.contains("Target"), "{said}");
    }
    node.fleet(&["revoke", "till-7"]);
    device.visit("1", "Kiel");
    while device.status()["link"] != "paused" {}
    let verdict = device.status()["verdict"].clone();
    assert!(verdict["text"].as_str().unwrap().contains("Outpost Hub does not accept the token"), "{verdict}");
    assert!(verdict["what_to_do"].as_str().unwrap().contains("`outpost join`"), "{verdict}");
    assert!(doctor().contains("the hub answered 401"), "{}", doctor());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_of_draining_goes_on_over_restarts_and_then_the_rest_is_the_hubs() {
    let (hub, url) = database(1).await;
    let node = Node::start(&url, "");
    let mut device = Device::new("127.0.0.1:1");
    device.start();
    device.visit("1", "Lund");
    device.join(&node);
    device.say(&["reload"]);
    assert_eq!(device.status()["receiver"], "target");
    device.kill();
    let store = rusqlite::Connection::open(device.dir.path().join("data/outpost.db")).unwrap();
    let day = 24 * 60 * 60 * 1_000;
    let moved = "UPDATE counter SET value = value - ?1 WHERE name = 'draining_since_ms' AND value > 0";
    assert_eq!(store.execute(moved, [day]).unwrap(), 1);
    drop(store);
    device.start();
    device.wait_drained();
    assert_eq!(device.status()["receiver"], "hub");
    assert_eq!(held(&hub, "1", "visits").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_for_target_goes_there_first_and_the_hub_gets_what_comes_then() {
    let (hub, url) = database(1).await;
    let (node, target) = (Node::start(&url, ""), Target::start());
    let mut device = Device::new(&target.address.to_string());
    device.start();
    device.visit("1", "Lund");
    device.visit("1", "Lund");
    let said = device.join(&node);
    assert!(said.contains("1 profile pending for Target"), "{said}");
    device.say(&["reload"]);
    // While Target is away, nothing goes to the hub.
    while device.status()["link"] != "degraded" && device.status()["link"] != "backing_off" {
        assert_eq!(held(&hub, "1", "visits").await, None);
        if device.status()["link"] != "online" {
            break;
        }
    }
    assert_eq!(held(&hub, "1", "visits").await, None);
    target.is_up.store(true, Ordering::SeqCst);
    device.say(&["retry-now"]);
    device.wait_drained();
    let sent = target.bodies.lock().unwrap().concat();
    assert!(sent.contains("visits=2"), "{sent}");
    // The hub's own view of it: what came since.
    let turned = || {
        let file = device.dir.path().join("data/outpost.db");
        let store = rusqlite::Connection::open(file).unwrap();
        store.query_row("SELECT client_code = '' FROM destination", [], |row| row.get::<_, bool>(0)).unwrap()
    };
    while !turned() {}
    device.visit("1", "Ystad");
    device.wait_drained();
    assert_eq!(held(&hub, "1", "visits").await.as_deref(), Some("1"));
    assert_eq!(held(&hub, "1", "lastStore").await.as_deref(), Some("Ystad"));
    device.kill();
    device.start();
    device.visit("1", "Malmö");
    device.wait_drained();
    assert_eq!(held(&hub, "1", "visits").await.as_deref(), Some("2"));
    let sent = target.bodies.lock().unwrap().concat();
    assert!(!sent.contains("Ystad"), "{sent}");
}
