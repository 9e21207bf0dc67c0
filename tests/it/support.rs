//! An agent and a sandbox in one process, and small ways to talk to both.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use outpost::adobe::{ClientOptions, HttpOptions, ProxyOptions, TlsOptions};
use outpost::agent::{self, AgentOptions, Change, Listeners, PushOptions, Settings};
use outpost::config::{Config, Sources, TargetConfig};
use outpost::core::forwarding::destination::Destination;
use outpost::core::forwarding::route::{Mode, RouteRules};
use outpost::core::identity::IdentityKind;
use outpost::core::mapping::Mappings;
use outpost::core::tokens::{Callers, NamedToken, Right, Tokens};
use outpost::device::live::Live;
use outpost::device::notices::Notices;
use outpost::device::secret::Secret;
use outpost::forward::ForwarderRules;
use outpost::http::server::ServerOptions;
use outpost::inspect::status::Status;
use outpost::intake::folder::FolderRules;
use outpost::intake::kinds::Kinds;
use outpost::intake::line::LineRules;
use outpost::sandbox::Sandbox;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::{Target, Unknown};
use outpost::store::{FILE_NAME, StoreFile, StoreKey, StoreLimits};
use reqwest::{Response, StatusCode};
use secrecy::{SecretSlice, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub const TOKEN: &str = "test-token";

/// How long a test waits for what should happen at once: the disk of a busy machine may stand still for half a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub const STRUCTURED: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";

/// The mappings that most tests use.
pub const MAPPINGS: &str = r#"
[target]
client_code = "acme"
mode = "single"
shared_profiles = false
[[mapping]]
name = "card used"
event = "com.acme.loyalty.*"
identity = { third_party_id = "data.card" }
set = { lastStore = "data.store" }
add = { visits = "1", spend = "data.total | default(0)" }
[[mapping]]
name = "noted"
event = "com.acme.note"
identity = { third_party_id = "data.card" }
set = { note = "data.note", other = "data.other | default('-')" }
"#;

/// The configuration of a text.
pub fn config(text: &str) -> Config {
    Config::parse(&Sources::of_text(Path::new("agent.toml"), text), |_| "device-1".to_owned())
        .unwrap_or_else(|error| panic!("{error}"))
}

pub fn mappings(text: &str) -> Arc<Mappings> {
    config(text).mappings
}

/// Forwarding in a mode, without reading profiles.
pub fn rules(mode: Mode) -> ForwarderRules {
    ForwarderRules { routes: RouteRules { mode, ..RouteRules::default() }, ..ForwarderRules::default() }
}

/// The client acme, there.
pub fn acme(endpoint: &str) -> Destination {
    Destination::Target { client_code: "acme".to_owned(), endpoint: endpoint.to_owned() }
}

/// How an agent is started.
pub struct Setup {
    pub mappings: String,
    pub faults: &'static str,
    pub unknown: Unknown,
    pub connections: usize,
    pub timeout: Duration,
    pub token: Option<Secret>,
    pub forwarding: ForwarderRules,
    pub reads_per_day: u64,
    pub tls: TlsOptions,
    pub proxy: Option<ProxyOptions>,
    pub updates_per_day: u64,
    pub limits: StoreLimits,
    pub keep_events: Duration,
    pub support: Option<&'static str>,
    pub push: Option<PushOptions>,
    pub allowed_origins: Vec<String>,
    pub socket_right: Right,
    pub store_key: Option<StoreKey>,
    /// The rules of the folder `drop` in the data directory.
    pub folder: Option<FolderRules>,
    pub lines: Vec<LineRules>,
    /// Tokens beside the one that is good for everything.
    pub tokens: Vec<NamedToken>,
    pub old_store_key: Option<StoreKey>,
    pub server: ServerOptions,
    /// URL of the hub that the device turns to once nothing is pending for Target.
    pub hub: Option<&'static str>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mappings: MAPPINGS.to_owned(),
            faults: "",
            unknown: Unknown::Accept,
            connections: 4,
            timeout: Duration::from_secs(5),
            token: None,
            // One update, one request: what most tests count.
            forwarding: rules(Mode::Single),
            reads_per_day: 1_000_000,
            tls: TlsOptions::default(),
            proxy: None,
            updates_per_day: 1_000_000,
            limits: StoreLimits { min_free_disk_bytes: 0, ..StoreLimits::default() },
            keep_events: Duration::from_secs(30 * 86_400),
            support: None,
            push: None,
            allowed_origins: Vec::new(),
            socket_right: Right::Record,
            store_key: sealed_suite(),
            folder: None,
            lines: Vec::new(),
            tokens: Vec::new(),
            old_store_key: None,
            server: ServerOptions::default(),
            hub: None,
        }
    }
}

impl Setup {
    /// What may change while an agent runs that sends there.
    pub fn settings(&self, endpoint: &str) -> Settings {
        let of_target = TargetConfig {
            client: ClientOptions {
                destination: acme(endpoint),
                token: self.token.clone(),
                http: HttpOptions {
                    timeout: self.timeout,
                    connections: self.connections,
                    proxy: self.proxy.clone(),
                    tls: self.tls.clone(),
                },
            },
            forwarding: self.forwarding.clone(),
            updates_per_day: self.updates_per_day,
            reads_per_day: self.reads_per_day,
            resend_after: self.limits.resend_after,
        };
        let of_hub = self.hub.map(|url| {
            let destination = Destination::Hub { url: url.to_owned() };
            let client = ClientOptions { destination, ..of_target.client.clone() };
            TargetConfig::of_hub(client, Duration::from_secs(300))
        });
        let (target, before) = match of_hub {
            Some(of_hub) => (of_hub, Some(of_target)),
            None => (of_target, None),
        };
        Settings {
            callers: Callers { allowed_origins: self.allowed_origins.clone(), socket_right: self.socket_right },
            mappings: mappings(&self.mappings),
            target,
            before,
            max_bytes: self.limits.max_bytes,
            min_free_disk_bytes: self.limits.min_free_disk_bytes,
            keep_events: self.keep_events,
            support: self.support.map(str::to_owned),
            push: self.push.clone(),
        }
    }

    /// The store's file in a directory.
    pub fn store_file(&self, dir: &Path) -> StoreFile {
        let (key, old_key) = (self.store_key.clone(), self.old_store_key.clone());
        StoreFile { path: dir.join(FILE_NAME), key, old_key }
    }

    /// Starts a sandbox and an agent that sends there.
    pub async fn start(self) -> Fixture {
        let target = Target::new([], self.unknown, self.faults.parse::<Faults>().unwrap(), 100_000);
        let sandbox = Sandbox::new(target);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox_address = listener.local_addr().unwrap();
        let (stop_sandbox, stop) = watch::channel(false);
        tokio::spawn(sandbox.clone().serve(listener, stop));
        let dir = tempfile::tempdir().unwrap();
        let agent = Running::start(&self, dir.path(), &format!("http://{sandbox_address}"), None).await;
        Fixture { setup: self, dir, sandbox, sandbox_address, agent, _stop_sandbox: stop_sandbox }
    }
}

/// A sandbox, an agent, and the agent's directory.
pub struct Fixture {
    pub setup: Setup,
    pub dir: TempDir,
    pub sandbox: Sandbox,
    pub sandbox_address: SocketAddr,
    pub agent: Running,
    _stop_sandbox: watch::Sender<bool>,
}

impl Fixture {
    /// Stops the agent gracefully and starts it anew.
    pub async fn restart(&mut self) {
        self.agent.stop().await;
        self.start_again().await;
    }

    /// Starts an agent after the last one was stopped.
    pub async fn start_again(&mut self) {
        let endpoint = format!("http://{}", self.sandbox_address);
        self.agent = Running::start(&self.setup, self.dir.path(), &endpoint, None).await;
    }

    /// An agent on this directory that sends elsewhere, after the last one was stopped.
    pub async fn start_at(&self, endpoint: &str) -> Running {
        Running::start(&self.setup, self.dir.path(), endpoint, None).await
    }

    /// Waits until so many requests came; the last may still wait for its answer.
    pub async fn wait_logged(&self, count: u64) {
        while self.sandbox.target().requests_total() < count {
            tokio::task::yield_now().await;
        }
    }

    /// As [`Self::restart`], with another setup.
    pub async fn restart_with(&mut self, setup: Setup) {
        self.setup = setup;
        self.restart().await;
    }

    /// The value of an attribute of a card in the sandbox.
    pub fn held(&self, key: &str, attribute: &str) -> Option<String> {
        held(&self.sandbox.target(), key, attribute)
    }

    /// Waits until the sandbox holds that value.
    pub async fn wait_held(&self, key: &str, attribute: &str, value: &str) {
        self.sandbox.wait_until(|target| held(target, key, attribute).as_deref() == Some(value)).await;
    }
}

pub fn held(target: &Target, key: &str, attribute: &str) -> Option<String> {
    target.profile(IdentityKind::ThirdPartyId, key)?.get(attribute).map(|held| held.value.clone())
}

/// A running agent.
pub struct Running {
    pub address: SocketAddr,
    http: reqwest::Client,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    changes: mpsc::Sender<Change>,
}

impl Running {
    /// Starts an agent on a directory; with a socket, if a path is given.
    pub async fn start(setup: &Setup, dir: &Path, endpoint: &str, socket: Option<&Path>) -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = http.local_addr().unwrap();
        let listeners = Listeners {
            http: http.into(),
            #[cfg(unix)]
            socket: socket.map(|path| outpost::http::socket::bind(path).unwrap()),
        };
        let options = AgentOptions {
            store_file: setup.store_file(dir),
            device_id: "device-1".to_owned(),
            tokens: Live::new(Tokens::of_admin(TOKEN).with(setup.tokens.clone())),
            session_key: SecretString::from(TOKEN),
            server: setup.server,
            settings: setup.settings(endpoint),
            intake: Kinds {
                folder: setup.folder.clone().map(|rules| FolderRules { path: dir.join("drop"), ..rules }),
                lines: setup.lines.clone(),
            },
            reload: None,
            bundle: None,
            log_level: None,
            notices: Notices::default(),
        };
        let (stop, stopped) = watch::channel(false);
        let (changes, changed) = mpsc::channel(1);
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            agent::run(options, listeners, changed, stopped, move |_| ready.send(()).unwrap()).await.unwrap();
        });
        is_ready.await.unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { address, http, stop, task, changes }
    }

    /// Has other settings hold from now on.
    pub async fn change(&self, settings: Settings) {
        let (done, answered) = oneshot::channel();
        let change = Change { settings, http: None, socket: Default::default(), done };
        assert!(self.changes.send(change).await.is_ok());
        answered.await.unwrap().unwrap();
    }

    /// Stops gracefully, and waits until all is on disk.
    pub async fn stop(&mut self) {
        self.stop.send(true).unwrap();
        (&mut self.task).await.unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with the token.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(TOKEN)
    }

    pub async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.request(reqwest::Method::POST, "/v1/events");
        request.header("content-type", content_type).body(body).send().await.unwrap()
    }

    /// Posts one event, and gives its answer.
    pub async fn record(&self, event: &Value) -> Value {
        let response = self.post(STRUCTURED, event.to_string()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.unwrap();
        answer["events"][0].clone()
    }

    /// Posts a batch, and gives the answers.
    pub async fn record_batch(&self, events: &[Value]) -> Vec<Value> {
        let response = self.post(BATCH, json!(events).to_string()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.unwrap();
        answer["events"].as_array().unwrap().clone()
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.request(reqwest::Method::GET, path).send().await.unwrap();
        (response.status(), response.json().await.unwrap_or_default())
    }

    pub async fn status(&self) -> Status {
        let (_, status) = self.get("/v1/status").await;
        serde_json::from_value(status).unwrap()
    }

    /// Asks for the status until it fulfils a condition: each question is a round trip, so that nothing needs to sleep.
    pub async fn wait_status(&self, condition: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        let asking = async {
            loop {
                let status = last.insert(self.status().await);
                if condition(status) {
                    return;
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, asking).await.is_ok();
        let last = last.expect("a status in time");
        assert!(in_time, "the status should have changed from this: {last:#?}");
        last
    }

    /// Waits until nothing is pending.
    pub async fn wait_drained(&self) -> Status {
        self.wait_status(|status| status.pending.profiles == 0).await
    }
}

/// Writes a file that this user alone may read, as secrets must be kept.
pub fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A store's key.
pub fn store_key(byte: u8) -> StoreKey {
    StoreKey::new(&SecretSlice::from(vec![byte; 32]))
}

/// Every agent of the suite seals its store where this variable is set, as CI does once.
pub fn sealed_suite() -> Option<StoreKey> {
    std::env::var_os("OUTPOST_TEST_SEALED").map(|_| store_key(1))
}

/// A card event.
pub fn used(id: &str, card: &str, store: &str, total: f64) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/kiosk/3", "type": "com.acme.loyalty.used",
        "data": { "card": card, "store": store, "total": total }
    })
}

/// A note event, whose value is the test's own.
pub fn noted(id: &str, card: &str, note: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/kiosk/3", "type": "com.acme.note",
        "data": { "card": card, "note": note }
    })
}

/// The files of a directory that hold a text.
pub fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let holds = |path: &Path| std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes());
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

/// The value of a future, if it is there at once.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
