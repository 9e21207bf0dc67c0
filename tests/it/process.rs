//! An agent in a process of its own, which can be killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outpost::inspect::status::Status;
use outpost::sandbox::Sandbox;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::{Target, Unknown};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{MAPPINGS, PATIENCE, STRUCTURED};

/// Where the agent takes events now, and its token.
#[derive(Clone)]
pub struct Access {
    pub endpoint: String,
    pub token: String,
}

/// An agent in a process of its own, killed when dropped.
pub struct Agent {
    child: Child,
    pub access: Access,
}

impl Agent {
    pub async fn start(dir: &Path) -> Self {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || Self::start_and_wait(&dir)).await.unwrap()
    }

    fn start_and_wait(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// With further variables of the environment.
    pub fn start_with(dir: &Path, environment: &[(&str, &Path)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["run", "-c"])
            .arg(dir.join("agent.toml"))
            .envs(environment.iter().copied())
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

pub async fn start_sandbox(unknown: Unknown) -> ((Sandbox, SocketAddr), watch::Sender<bool>) {
    let sandbox = Sandbox::new(Target::new([], unknown, Faults::default(), 100_000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop_sandbox, stop) = watch::channel(false);
    tokio::spawn(sandbox.clone().serve(listener, stop));
    ((sandbox, address), stop_sandbox)
}

/// Writes the configuration of an agent that sends to a sandbox, one update a request.
pub fn configure(dir: &Path, sandbox: SocketAddr, more: &str) {
    configure_mappings(dir, sandbox, more, MAPPINGS);
}

/// As [`configure`], with other mappings and another way to forward.
pub fn configure_mappings(dir: &Path, sandbox: SocketAddr, more: &str, mappings: &str) {
    let config = mappings.replace("[target]\n", &format!("[target]\nendpoint = \"http://{sandbox}\"\n"));
    let data_dir = dir.join("data");
    let config = format!(
        "{more}[agent]\ndata_dir = '{}'\n[intake.http]\nlisten = \"127.0.0.1:0\"\n{config}",
        data_dir.display()
    );
    std::fs::write(dir.join("agent.toml"), config).unwrap();
}

pub async fn post(http: &reqwest::Client, access: &Access, event: &str) -> bool {
    let url = format!("{}/v1/events", access.endpoint);
    let request = http.post(url).bearer_auth(&access.token).header("content-type", STRUCTURED).body(event.to_owned());
    let Ok(response) = request.send().await else { return false };
    let Ok(answer) = response.json::<Value>().await else { return false };
    assert!(matches!(answer["events"][0]["status"].as_str(), Some("recorded" | "duplicate")), "{answer}");
    true
}

/// The status once nothing is pending.
pub async fn drained(access: &Access) -> Status {
    wait_status(access, |status| status.pending.profiles == 0).await
}

pub fn client_of_one_connection() -> reqwest::Client {
    // It fails only if there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// The status, until it fulfils a condition.
pub async fn wait_status(access: &Access, condition: impl Fn(&Status) -> bool) -> Status {
    let http = client_of_one_connection();
    let url = format!("{}/v1/status", access.endpoint);
    let asking = async {
        loop {
            let status: Status = http.get(&url).bearer_auth(&access.token).send().await.unwrap().json().await.unwrap();
            if condition(&status) {
                return status;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the status should have changed")
}
