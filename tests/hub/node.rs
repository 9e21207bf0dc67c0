//! A node as it is: the program, HTTP, a database that stops and comes back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use outpost::core::fleet::{BODY_BYTES_MAX, Handover};
use outpost::core::operation::Operation;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cluster::{Own, database};
use super::tills::{Happened, Till, event, identity};

/// A node, with its files.
pub struct Node {
    child: Child,
    pub address: SocketAddr,
    config: PathBuf,
    _dir: TempDir,
}

/// An answer: status, headers in lower case, document.
struct Answer {
    status: u16,
    headers: String,
    document: Value,
}

pub fn outpost() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OUTPOST_")) {
        command.env_remove(name);
    }
    command
}

impl Node {
    pub fn start(url: &str, more: &str) -> Self {
        Self::with(url, more, "")
    }

    /// A node that sends to Target, as a section says.
    pub fn sending(url: &str, target: &str) -> Self {
        Self::with(url, "", target)
    }

    fn with(url: &str, more: &str, target: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("hub.toml");
        let secret = dir.path().join("hub.database");
        std::fs::write(&secret, url).unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let text = format!(
            "[hub]\nlisten = \"127.0.0.1:0\"\nstate_dir = '{0}'\n{more}\n[hub.database]\nurl = {{ file = '{1}' }}\nconnections = 3\n{target}",
            dir.path().display(),
            secret.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = outpost();
        let mut child = command.args(["hub", "run", "-c"]).arg(&config).stdout(Stdio::piped()).spawn().unwrap();
        let address = address(&mut child);
        Self { child, address, config, _dir: dir }
    }

    /// Runs a command of the fleet, and returns what it prints.
    pub fn fleet(&self, args: &[&str]) -> String {
        let out = outpost().arg("fleet").args(args).arg("-c").arg(&self.config).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn ask(&self, head: &str, body: &[u8]) -> Answer {
        ask(TcpStream::connect(self.address).unwrap(), head, body)
    }

    fn join(&self, code: &str, name: &str) -> Answer {
        let body = json!({ "code": code, "device_id": name, "attempt": "0123456789abcdef0123456789abcdef" });
        self.ask("POST /v1/hub/join HTTP/1.1", body.to_string().as_bytes())
    }

    fn hand_over(&self, token: &str, body: &[u8]) -> Answer {
        self.ask(&parts(token), body)
    }

    fn token(&self, name: &str) -> String {
        let code = self.fleet(&["invite", "--uses", "3"]);
        let joined = self.join(&code, name);
        assert_eq!(joined.status, 200, "{}", joined.document);
        joined.document["token"].as_str().unwrap().to_owned()
    }

    /// Hands over, and returns true if it was taken.
    pub fn takes(&self, token: &str, body: &[u8]) -> bool {
        self.hand_over(token, body).status == 200
    }

    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Ends it, and waits until it has.
    pub fn stop(&mut self) {
        self.terminate();
        assert!(self.child.wait().unwrap().success());
    }

    /// Lets it stand still, with its connections open.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the address that a node says it listens at.
fn address(child: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("://127.0.0.1:"))).expect("the node starts");
    let at = line.split("://").nth(1).unwrap();
    let address = at.split([',', ' ']).next().unwrap().parse().unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    address
}

fn parts(token: &str) -> String {
    format!("POST /v1/hub/parts HTTP/1.1\r\nAuthorization: Bearer {token}")
}

fn ask(mut stream: impl std::io::Read + std::io::Write, head: &str, body: &[u8]) -> Answer {
    let head = format!("{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // A body that is too large is refused before its end.
    let _ = stream.write_all(body);
    read(stream)
}

fn read(mut stream: impl std::io::Read) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
    let headers = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = bytes[end + 4..].to_vec();
    if headers.contains("content-encoding: gzip") {
        let packed = std::mem::take(&mut body);
        GzDecoder::new(packed.as_slice()).read_to_end(&mut body).unwrap();
    }
    Answer { status, headers, document: serde_json::from_slice(&body).unwrap_or_default() }
}

fn sign_of_life() -> String {
    Handover::default().write()
}

fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.document);
    assert!(answer.headers.contains("content-type: application/problem+json"), "{}", answer.headers);
    assert_eq!(answer.document["status"], status);
    let waits = matches!(status, 429 | 503 | 507);
    assert_eq!(answer.headers.contains("retry-after: "), waits, "{}", answer.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_till_joins_and_hands_over_and_a_lost_answer_counts_nothing_twice() {
    let (hub, url) = database(1).await;
    let nodes = [Node::start(&url, ""), Node::start(&url, "")];
    let code = nodes[0].fleet(&["invite", "--uses", "1", "--group", "kiosks"]);
    assert!(code.len() == 64 && code.bytes().all(|byte| byte.is_ascii_hexdigit()), "the code alone");
    refused(&nodes[0].join("no code", "till-1"), 403);
    refused(&nodes[0].join(&code, ""), 400);
    let lost = nodes[0].join(&code, "till-1").document["token"].as_str().unwrap().to_owned();
    let joined = nodes[1].join(&code, "till-1").document;
    assert_eq!(joined["group"], "kiosks");
    let token = joined["token"].as_str().unwrap();
    refused(&nodes[0].hand_over(&lost, sign_of_life().as_bytes()), 401);

    let mut random = fastrand::Rng::with_seed(7);
    let mut till = Till::new("till-1", token);
    (0..60).for_each(|_| till.record(&event(&mut random, 2)));
    let body = till.handover().write();
    for node in [&nodes[0], &nodes[1], &nodes[1]] {
        let answer = node.hand_over(token, body.as_bytes());
        assert_eq!((answer.status, &answer.document["refused"]), (200, &json!([])), "{}", answer.document);
        assert_eq!(answer.document["next_in_seconds"], 0);
    }
    assert!(!hub.profile(&identity(1)).await.unwrap().is_empty());
    assert_eq!(hub.audit().await.unwrap().differences, []);

    let list: Value = serde_json::from_str(&nodes[0].fleet(&["list", "--json"])).unwrap();
    assert_eq!((&list[0]["device"], &list[0]["standing"]), (&json!("till-1"), &json!("current")));
    assert!(nodes[0].fleet(&["show", "till-1"]).contains("group         kiosks"));
    assert_eq!(nodes[0].fleet(&["list", "--group", "tills"]), "No device has joined.");
    nodes[0].fleet(&["revoke", "till-1"]);
    refused(&nodes[1].hand_over(token, body.as_bytes()), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_refused_with_a_problem_in_words() {
    let (_, url) = database(1).await;
    let node = Node::start(&url, "max_in_flight = 1");
    let token = node.token("till-1");
    refused(&node.ask("POST /v1/hub/parts HTTP/1.1", b"{}"), 401);
    refused(&node.hand_over("no token", b"{}"), 401);
    refused(&node.hand_over(&token, b"<html>"), 400);
    refused(&node.hand_over(&token, br#"{"protocol":2}"#), 426);
    refused(&node.hand_over(&token, &vec![b' '; BODY_BYTES_MAX + 1]), 413);
    let pack = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let packed = format!("{}\r\nContent-Encoding: gzip\r\nAccept-Encoding: gzip", parts(&token));
    refused(&node.ask(&packed, &pack(&vec![b' '; 50 * BODY_BYTES_MAX])), 413);
    refused(&node.ask(&packed, b"no gzip"), 400);
    refused(&node.ask(&packed.replace(": gzip\r\nAccept", ": br\r\nAccept"), b"x"), 415);
    refused(&node.ask(&format!("{}\r\nOrigin: https://evil.example", parts(&token)), b"{}"), 403);
    refused(&node.ask("GET /v1/hub/parts HTTP/1.1", b""), 405);
    refused(&node.ask("GET /v2 HTTP/1.1", b""), 404);

    let wrong =
        vec![r#"{"name":"a","operation":"set","value":"","version":1,"time":"2026-11-27T08:00:00Z","seq":1}"#; 20];
    let body = format!(r#"{{"protocol":1,"profiles":[{{"pc_id":"1","attributes":[{}]}}]}}"#, wrong.join(","));
    let answer = node.ask(&packed, &pack(body.as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.document);
    assert!(answer.headers.contains("content-encoding: gzip"), "{}", answer.headers);
    assert_eq!(answer.document["refused"].as_array().unwrap().len(), 20);
    // More refusals than an answer holds: fewer at a time.
    let wrong = vec![r#"{"name":"a","operation":"o"}"#; 2_000].join(",");
    let profile = format!(r#"{{"pc_id":"1","attributes":[{wrong}]}}"#);
    for (profiles, status) in [(2, 200), (8, 413)] {
        let body = format!(r#"{{"protocol":1,"profiles":[{}]}}"#, vec![profile.as_str(); profiles].join(","));
        assert!(body.len() < BODY_BYTES_MAX);
        assert_eq!(node.hand_over(&token, body.as_bytes()).status, status);
    }

    // One request is in flight as long as its body does not arrive; the next one is asked to come again.
    let mut slow = TcpStream::connect(node.address).unwrap();
    let head = format!("{}\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", parts(&token));
    slow.write_all(head.as_bytes()).unwrap();
    // Its body is asked for once it is in flight.
    let mut asked = [0; 25];
    slow.read_exact(&mut asked).unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"));
    refused(&node.hand_over(&token, sign_of_life().as_bytes()), 503);
    slow.write_all(b"{}").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stops_is_503_at_once_and_200_when_it_is_back() {
    let own = Own::start();
    let node = Node::start(&own.url(), "");
    let token = node.token("till-1");
    let life = sign_of_life();
    assert_eq!(node.hand_over(&token, life.as_bytes()).status, 200);
    own.stop();
    for _ in 0..3 {
        refused(&node.hand_over(&token, life.as_bytes()), 503);
    }
    assert_eq!(node.ask("GET /readyz HTTP/1.1", b"").status, 200, "the node says itself what is the matter");
    let own = own.again();
    assert_eq!(node.hand_over(&token, life.as_bytes()).status, 200);
    // Frozen: connections are open, and nothing is answered.
    own.freeze();
    let begun = std::time::Instant::now();
    refused(&node.hand_over(&token, life.as_bytes()), 503);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    own.thaw();
    assert_eq!(node.hand_over(&token, life.as_bytes()).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_makes_a_node_unready_and_completes_what_is_in_progress() {
    let (_, url) = database(1).await;
    let mut node = Node::start(&url, "");
    let token = node.token("till-1");
    let body = sign_of_life();
    let mut slow = TcpStream::connect(node.address).unwrap();
    let head = format!(
        "{}\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        parts(&token),
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    slow.read_exact(&mut asked).unwrap();
    assert_eq!(node.ask("GET /readyz HTTP/1.1", b"").status, 200);
    node.terminate();
    while node.ask("GET /readyz HTTP/1.1", b"").status == 200 {}
    refused(&node.ask("GET /readyz HTTP/1.1", b""), 503);
    assert_eq!(node.ask("GET /healthz HTTP/1.1", b"").status, 200);
    slow.write_all(body.as_bytes()).unwrap();
    assert_eq!(read(slow).status, 200);
    assert!(node.child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_tls_does_not_open_itself_to_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hub.toml");
    std::fs::write(&config, "[hub]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let out = outpost().args(["hub", "run", "-c"]).arg(&config).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("listen in [hub] must be a loopback address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_reach_a_node_by_tls() {
    let (_, url) = database(1).await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let node = Node::start(&url, &format!("tls = {{ cert = '{cert}', key = '{key}' }}"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    // One that says nothing keeps nobody waiting.
    let _silent = TcpStream::connect(node.address).unwrap();
    let stream = rustls::StreamOwned::new(session, TcpStream::connect(node.address).unwrap());
    assert_eq!(ask(stream, "GET /healthz HTTP/1.1", b"").document["status"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_a_configuration_once_and_no_error_repeats_the_password() {
    let (_, url) = database(1).await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hub.toml");
    let init = |url: &str| {
        let mut command = outpost();
        command.args(["hub", "init", "--database", url, "--public-url", "https://hub.acme.example", "-c"]);
        command.arg(&config).output().unwrap()
    };
    assert!(init(&url).status.success());
    let written = std::fs::read_to_string(&config).unwrap();
    assert!(!written.contains("postgres://"), "{written}");
    let again = init(&url);
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("left as it is"));
    let code = outpost().args(["fleet", "invite", "-c"]).arg(&config).output().unwrap();
    assert_eq!(code.stdout.len(), 65, "{}", String::from_utf8_lossy(&code.stderr));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wrong = init(&format!("postgres://u:hunter2@127.0.0.1:{port}/d"));
    let words = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && words.contains("cannot be reached") && !words.contains("hunter2"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_brings_its_own_database_and_ends_it() {
    let dir = tempfile::Builder::new().prefix("hub").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = dir.path().join("hub.toml");
    let text = format!("[hub]\nlisten = \"127.0.0.1:0\"\nstate_dir = '{}'\n", dir.path().join("state").display());
    std::fs::write(&config, text).unwrap();
    let mut command = outpost();
    let mut child =
        command.args(["hub", "run", "--sandbox", "-c"]).arg(&config).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut of_line = |words: &str| {
        let line = lines.find(|line| line.contains(words)).expect("the node says so");
        line.split("://").nth(1).unwrap().split(['/', ',']).next().unwrap().parse::<SocketAddr>().unwrap()
    };
    let (address, simulator) = (of_line("devices"), of_line("/sandbox/profiles"));
    let code = std::fs::read_to_string(dir.path().join("state/invitation")).unwrap();
    let mut node = Node { child, address, config, _dir: dir };
    let joined = node.join(code.trim(), "till-1");
    assert_eq!(joined.status, 200);
    assert!(node.fleet(&["list", "--sandbox"]).contains("till-1"));
    let mut till = Till::new("till-1", joined.document["token"].as_str().unwrap());
    till.record(&Happened { customer: 1, operation: Operation::Set, operand: "Lund".to_owned(), time: 1_000_000 });
    let handover = till.handover().write();
    assert!(node.takes(&till.token, handover.as_bytes()));
    let shown = format!("GET /sandbox/profiles/third_party_id/{}?wait=1m HTTP/1.1", "customer%201");
    let shown = ask(TcpStream::connect(simulator).unwrap(), &shown, b"");
    assert_eq!(shown.document["attributes"]["set"]["value"], "Lund", "{}", shown.document);
    let socket: &Path = &node._dir.path().join("state/database/.s.PGSQL.5432");
    assert!(socket.exists());
    node.terminate();
    assert!(node.child.wait().unwrap().success());
    assert!(!socket.exists(), "the database is stopped with the node");
}
