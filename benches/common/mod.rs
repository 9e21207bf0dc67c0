//! What the benches share: an agent as a process of its own, load over kept-alive connections, and the raw limits.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::print_stdout, unreachable_pub)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, event_at};
use outpost::store::{Recording, Store, StoreLimits};
use rusqlite::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Profiles that the events are spread over.
pub const PROFILES: usize = 10_000;

pub const STRUCTURED: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";

/// Runs the benches that the command line names, or all.
pub fn run(benches: &[(&str, fn())]) {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, bench) in benches {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("# {name}");
            bench();
        }
    }
}

/// Bytes of one event.
pub const EVENT_BYTES: usize = 600;

/// An agent as a process.
pub struct Agent {
    child: Child,
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub token: String,
    /// From the start of the process until it took events.
    pub start: Duration,
}

/// Where Target is, when nobody shall be there.
pub const NOWHERE: &str = "http://127.0.0.1:9";

impl Agent {
    pub fn start(endpoint: &str) -> Self {
        Self::start_in(tempfile::tempdir_in(bench_dir()).unwrap(), endpoint, &[])
    }

    /// Starts an agent in a directory, perhaps under another program such as strace.
    pub fn start_in(dir: tempfile::TempDir, endpoint: &str, wrapper: &[&str]) -> Self {
        let config = dir.path().join("agent.toml");
        std::fs::write(&config, config_text(dir.path(), endpoint)).unwrap();
        let program = env!("CARGO_BIN_EXE_outpost");
        let line: Vec<&str> = wrapper.iter().copied().chain([program, "run", "-c", config.to_str().unwrap()]).collect();
        let begun = Instant::now();
        let mut child =
            Command::new(line[0]).args(&line[1..]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut greeting = BufReader::new(child.stdout.take().unwrap()).lines();
        greeting.next().unwrap().unwrap();
        let start = begun.elapsed();
        let data = dir.path().join("data");
        let endpoint: serde_json::Value =
            serde_json::from_slice(&std::fs::read(data.join("agent.json")).unwrap()).unwrap();
        let address = endpoint["http"].as_str().unwrap().parse().unwrap();
        let token = std::fs::read_to_string(data.join("intake.token")).unwrap();
        Self { child, dir, address, token, start }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A number of `/proc/PID/status` or `/proc/PID/io`.
    pub fn proc_number(&self, file: &str, name: &str) -> u64 {
        proc_number(self.pid(), file, name)
    }

    /// The document of `GET /v1/status`.
    pub fn status(&self) -> serde_json::Value {
        let config = self.dir.path().join("agent.toml");
        let output = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(["status", "--json", "-c", config.to_str().unwrap()])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Ends the agent as a power cut would, and gives its directory back.
    pub fn kill(mut self) -> tempfile::TempDir {
        // Killed when `self` is dropped, while its directory lives on.
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub fn proc_number(pid: u32, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// On a disk and not in memory: fsync is what is measured.
pub fn bench_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub fn config_text(dir: &Path, endpoint: &str) -> String {
    format!(
        r#"
[agent]
data_dir = "{}"
[target]
client_code = "bench"
mode = "single"
shared_profiles = false
endpoint = "{endpoint}"
[target.quota]
updates_per_day = 1_000_000
[store]
max_size = "64GiB"
[intake.http]
listen = "127.0.0.1:0"
[[mapping]]
name = "loyalty card used"
event = "com.example.loyalty.*"
identity = {{ third_party_id = "data.card" }}
set = {{ lastStore = "data.store" }}
add = {{ visits = "1" }}
"#,
        dir.join("data").display()
    )
}

/// One event of [`EVENT_BYTES`].
pub fn event(number: usize, profiles: usize) -> String {
    let id = uuid::Uuid::new_v4();
    let head = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/store/42/kiosk/3","type":"com.example.loyalty.used","time":"2026-11-23T10:00:00Z","data":{{"card":"{:09}","store":"Store {}","total":99.5,"note":""#,
        number % profiles,
        number % 97,
    );
    let filler = "x".repeat(EVENT_BYTES.saturating_sub(head.len() + 3));
    format!("{head}{filler}\"}}}}")
}

pub fn request(agent: &Agent, body: &str, content_type: &str) -> Vec<u8> {
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        agent.token,
        body.len()
    )
    .into_bytes()
}

/// What a load did.
pub struct Load {
    pub requests: usize,
    pub elapsed: Duration,
    latencies: Vec<Duration>,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    pub fn quantile(&self, quantile: f64) -> Duration {
        self.latencies[((self.latencies.len() - 1) as f64 * quantile) as usize]
    }
}

/// Sends requests over so many connections, each waiting for its answer, and expects 200.
pub fn load(address: SocketAddr, connections: usize, requests: Vec<Vec<u8>>) -> Load {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = requests.len();
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut latencies = runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(address, requests.clone(), next.clone()));
        }
        clients.join_all().await.concat()
    });
    let elapsed = begun.elapsed();
    latencies.sort();
    Load { requests: count, elapsed, latencies }
}

async fn client(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    let mut latencies = Vec::new();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let begun = Instant::now();
        stream.write_all(request).await.unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if is_complete(&buffer[..filled]) {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..filled]));
        latencies.push(begun.elapsed());
    }
    latencies
}

/// Whether these bytes are a whole request or answer.
pub fn is_complete(message: &[u8]) -> bool {
    let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = std::str::from_utf8(&message[..end]).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    message.len() == end + 4 + length.parse::<usize>().unwrap()
}

/// The raw limit: one connection of SQLite that commits the same rows in groups.
pub struct BareLoop {
    connection: Connection,
    seq: i64,
    pub dir: tempfile::TempDir,
}

impl BareLoop {
    pub fn new() -> Self {
        let dir = tempfile::tempdir_in(bench_dir()).unwrap();
        let connection = Connection::open(dir.path().join("bare.db")).unwrap();
        connection
            .execute_batch(include_str!("../../src/store/sql/0001_store.sql"))
            .and_then(|()| connection.pragma_update(None, "journal_mode", "wal"))
            .and_then(|()| connection.pragma_update(None, "synchronous", "full"))
            .and_then(|()| connection.pragma_update(None, "cache_size", -4096))
            .unwrap();
        Self { connection, seq: 0, dir }
    }

    /// Commits events in groups; gives the duration of each group.
    pub fn run(&mut self, events: &[String], group: usize) -> Load {
        let begun = Instant::now();
        let mut latencies = Vec::new();
        for group in events.chunks(group) {
            let begun = Instant::now();
            self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            for event in group {
                self.write(event);
            }
            self.connection.execute_batch("COMMIT").unwrap();
            latencies.extend(std::iter::repeat_n(begun.elapsed(), group.len()));
        }
        let elapsed = begun.elapsed();
        latencies.sort();
        Load { requests: events.len(), elapsed, latencies }
    }

    fn write(&mut self, event: &str) {
        self.seq += 1;
        let seq = self.seq;
        let profile = (seq as usize % PROFILES) as i64;
        let key_hash = (seq as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as i64;
        let mut journal = self
            .connection
            .prepare_cached("INSERT INTO journal (seq, recorded_at_ms, time_ms, status, profile_id, event) VALUES (?1, ?2, ?3, 0, ?4, ?5)")
            .unwrap();
        journal.execute((seq, 1_790_000_000_000_i64 + seq, 1_790_000_000_000_i64, profile, event)).unwrap();
        let mut key = self
            .connection
            .prepare_cached("INSERT INTO event_key (generation, key_hash, seq) VALUES (0, ?1, ?2)")
            .unwrap();
        key.execute((key_hash, seq)).unwrap();
        let mut attribute = self
            .connection
            .prepare_cached(
                "INSERT INTO attribute (profile_id, name, value, event_time_ms, event_seq, mapping, version, changed_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'loyalty card used', ?5, ?4)
                 ON CONFLICT (profile_id, name) DO UPDATE SET value = excluded.value, event_time_ms = excluded.event_time_ms,
                     event_seq = excluded.event_seq, version = excluded.version, changed_at_ms = excluded.changed_at_ms",
            )
            .unwrap();
        for (name, value) in [("lastStore", format!("Store {}", seq % 97)), ("visits", seq.to_string())] {
            attribute.execute((profile, name, value, 1_790_000_000_000_i64, seq)).unwrap();
        }
    }
}

/// The raw limit of HTTP: an axum handler that answers at once, on a thread with a runtime of its own.
pub fn bare_server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router =
                axum::Router::new().route("/v1/events", axum::routing::post(|_: axum::body::Bytes| async { "{}" }));
            axum::serve(listener, router).await.unwrap();
        });
    });
    address
}

pub fn row(name: &str, load: &Load) {
    println!(
        "{name:<44} {:>9.0}/s   median {:>9.1?}   p99 {:>9.1?}",
        load.per_second(),
        load.quantile(0.5),
        load.quantile(0.99)
    );
}

/// The mappings of [`config_text`].
pub fn mappings() -> Arc<outpost::core::mapping::Mappings> {
    let text = config_text(Path::new("."), NOWHERE);
    outpost::config::Config::parse(&outpost::config::Sources::of_text(Path::new("agent.toml"), &text), |_| {
        String::new()
    })
    .unwrap()
    .mappings
}

/// Events of these numbers, ready to be recorded.
pub fn recordings(numbers: Range<usize>, profiles: usize) -> Vec<Recording> {
    let (mappings, clock) = (mappings(), Clock::new(None));
    let record = |number| {
        let (event, _) = event_at(cloudevents::structured(event(number, profiles).as_bytes()).unwrap(), &clock);
        let meaning = mappings.meaning(&event);
        outpost::intake::recording(event, meaning, &mappings, &clock)
    };
    numbers.map(record).collect()
}

/// A directory with a store that holds so many events on so many profiles, all pending.
pub fn backlog(events: usize, profiles: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir_in(bench_dir()).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let limits = StoreLimits { max_bytes: 64 << 30, ..StoreLimits::default() };
    let path = dir.path().join("data").join(outpost::store::FILE_NAME);
    let mut store = Store::open_within(&path, limits).unwrap();
    for begin in (0..events).step_by(10_000) {
        commit(&mut store, &recordings(begin..events.min(begin + 10_000), profiles), 2_000);
    }
    dir
}

/// Commits recordings in groups; gives the duration of each group.
pub fn commit(store: &mut Store, recordings: &[Recording], group: usize) -> Load {
    let begun = Instant::now();
    let mut latencies = Vec::new();
    for group in recordings.chunks(group) {
        let begun = Instant::now();
        let mut transaction = store.begin().unwrap();
        for recording in group {
            transaction.record(recording).unwrap();
        }
        transaction.commit().unwrap();
        latencies.extend(std::iter::repeat_n(begun.elapsed(), group.len()));
    }
    let elapsed = begun.elapsed();
    latencies.sort();
    Load { requests: recordings.len(), elapsed, latencies }
}
