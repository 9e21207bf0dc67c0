//! The table of states: in each of them the real program tells one truth, on the page, in `status`, `doctor`, `/readyz`, the metrics
//! and the alerts that read these.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outpost::core::verdict::Level;
use outpost::inspect::status::Status;
use outpost::sandbox::target::Unknown;
use outpost::store::FILE_NAME;
use reqwest::StatusCode;
use rusqlite::Connection;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::device::{Device, text};
use crate::network_faults::{YES, answer, certificate, server, tls_server};
use crate::process::{Access, client_of_one_connection, start_sandbox, wait_status};
use crate::support::MAPPINGS;
use crate::verdict::in_html;

/// States that are tried at a time.
const AT_A_TIME: usize = 4;

/// Where a device sends.
#[derive(Clone, Copy)]
enum Toward {
    /// A simulator with these faults.
    Sandbox(&'static str),
    /// An address as it is written.
    Endpoint(&'static str),
    /// A proxy that answers with this status, on the way to a host.
    Proxy(&'static str),
    /// A proxy of this name, which nobody knows.
    NoProxy,
    /// A server with a certificate for that name, of those years; the last says whether it is trusted.
    Tls(&'static str, (i32, i32), bool),
    /// A server that answers without TLS.
    Plain,
}

/// A state of a device, and what is told of it.
struct State {
    name: &'static str,
    toward: Toward,
    /// `[target]` and the mappings.
    mappings: String,
    /// More of its configuration.
    config: &'static str,
    /// Done before the agent starts.
    before: fn(&Device),
    /// Done while it runs.
    then: fn(&Device),
    level: Level,
    text: &'static str,
    /// Alerts besides that of the level.
    alerts: &'static [&'static str],
}

const NOTHING: fn(&Device) = |_| {};
const USED: fn(&Device) = |device| drop(device.record_use("7"));
const LINK: &[&str] = &["OutpostLinkDown"];
const NOWHERE: Toward = Toward::Endpoint("http://127.0.0.1:9");
const FOLDER: &str = "[intake.folder]\npath = \"drop\"\n";

/// A state of the link with something that waits.
fn link(name: &'static str, toward: Toward, level: Level, text: &'static str) -> State {
    State { toward, alerts: LINK, ..own(name, "", USED, level, text) }
}

/// A state of the device itself, whose link is well.
fn own(name: &'static str, config: &'static str, then: fn(&Device), level: Level, text: &'static str) -> State {
    let (toward, mappings) = (Toward::Sandbox(""), MAPPINGS.to_owned());
    State { name, toward, mappings, config, before: NOTHING, then, level, text, alerts: &[] }
}

fn links() -> Vec<State> {
    use Level::{Attention, Waiting};
    let (valid, old, late) = ((2020, 2090), (2020, 2021), (2080, 2090));
    vec![
        link("nobody listens", NOWHERE, Waiting, "no connection to Target"),
        link("no such name", Toward::Endpoint("https://target.invalid"), Waiting, "not found (DNS)"),
        link("a portal", Toward::Sandbox("portal"), Attention, "Something else answers instead of Adobe Target: "),
        link("a gateway fails", Toward::Sandbox("503"), Waiting, "Adobe Target cannot be reached: "),
        link(
            "a proxy refuses",
            Toward::Proxy("403 Forbidden"),
            Attention,
            "the proxy refuses to let Target's host pass",
        ),
        link("a proxy wants credentials", Toward::Proxy("407 No"), Attention, "the proxy wants credentials (407)"),
        link("no such proxy", Toward::NoProxy, Waiting, "the name of the proxy of [target.http] is not found"),
        link("an unknown authority", Toward::Tls("localhost", valid, false), Waiting, "issued by an unknown authority"),
        link("another host", Toward::Tls("other", valid, true), Waiting, "for another host"),
        link("expired", Toward::Tls("localhost", old, true), Waiting, "has expired"),
        link("not valid yet", Toward::Tls("localhost", late, true), Waiting, "not valid yet"),
        link("no TLS", Toward::Plain, Waiting, "what answers does not speak TLS"),
        link("a token is refused", Toward::Sandbox("401"), Attention, "Adobe Target does not accept the token: "),
        State {
            mappings: MAPPINGS.replace("[target]\n", "[target]\ntoken = { file = \"none\" }\n"),
            ..link(
                "no token",
                Toward::Sandbox(""),
                Attention,
                "Nothing can be sent to Adobe Target: token in [target]: ",
            )
        },
        State {
            alerts: &[],
            ..link("told to wait", Toward::Sandbox("single=429=3600"), Waiting, "Adobe Target asks this device to wait")
        },
    ]
}

fn devices() -> Vec<State> {
    use Level::{Attention, Refusing, Waiting, Well};
    vec![
        own("fresh", "", NOTHING, Well, "Ready: nothing has been recorded yet."),
        own("delivered", "", USED, Well, "Everything that was recorded has reached Adobe Target."),
        State {
            before: |device| {
                device.record_use("7");
                execute(
                    device,
                    "UPDATE journal SET recorded_at_ms = recorded_at_ms + 86400000;
                     UPDATE profile SET pending_since_ms = pending_since_ms + 86400000;",
                );
            },
            ..own("a clock that is behind", "", NOTHING, Attention, "The device's clock is ")
        },
        State {
            alerts: &["OutpostQuotaNearlySpent"],
            ..own(
                "a quota that is spent",
                "[target.quota]\nupdates_per_day = 1\n",
                |device| ["7", "8"].into_iter().for_each(|card| drop(device.record_use(card))),
                Waiting,
                "The quota of single updates is used up.",
            )
        },
        own(
            "a disk that is low",
            "[store]\nmin_free_disk = \"1TiB\"\n",
            |device| drop(device.fails(&["record", "--type", "com.acme.note"])),
            Refusing,
            "New events are refused: the disk has less than min_free_disk of [store] left.",
        ),
        State {
            toward: NOWHERE,
            alerts: LINK,
            ..own(
                "a store that is full",
                "[store]\nmax_size = \"16MiB\"\n[privacy]\nkeep_data = \"all\"\n",
                fill,
                Refusing,
                "New events are refused: the store has reached max_size of [store].",
            )
        },
        State {
            alerts: &["OutpostRejected"],
            ..own(
                "a rejected event",
                "",
                |device| drop(device.works_or_not(&["record", "--type", "com.acme.note", "--data", "{}"])),
                Attention,
                "1 event or update was rejected and needs a decision",
            )
        },
        State {
            before: |device| {
                device.record_use("7");
                let path = data(device).join(FILE_NAME);
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[..100].fill(0xa5);
                std::fs::write(&path, bytes).unwrap();
            },
            ..own("a damaged store", "", NOTHING, Attention, "A damaged store is kept: ")
        },
        own(
            "a store that somebody removed",
            "",
            |device| {
                device.record_use("7");
                while device.status()["pending"]["profiles"] != 0 {}
                std::fs::rename(data(device).join(FILE_NAME), data(device).join("aside")).unwrap();
                device.fails(&["record", "--type", "com.acme.note", "--data", "{\"card\":\"7\",\"note\":\"n\"}"]);
            },
            Refusing,
            "New events are refused: the last write to the store failed: ",
        ),
        State {
            alerts: &["OutpostConfigurationNotReloaded"],
            ..own(
                "a configuration that is not valid",
                "",
                |device| {
                    std::fs::create_dir(device.dir.path().join("agent.d")).unwrap();
                    device.write("agent.d/1.toml", "[nonsense]\n");
                    device.works_or_not(&["reload"]);
                    std::fs::remove_dir_all(device.dir.path().join("agent.d")).unwrap();
                },
                Attention,
                "The configuration was changed and could not be reloaded",
            )
        },
        own("no log files", "[log]\ndir = \"agent.toml\"\n", NOTHING, Attention, "No log files are written: "),
        State {
            toward: Toward::Sandbox("fetch=403"),
            mappings: MAPPINGS.replace("shared_profiles = false\n", ""),
            ..own(
                "profiles that cannot be read",
                "",
                USED,
                Attention,
                "Profiles cannot be read before they are updated",
            )
        },
    ]
}

fn intakes() -> Vec<State> {
    use Level::{Attention, Waiting};
    vec![
        State {
            mappings: "[target]\nclient_code = \"acme\"\n".to_owned(),
            ..own("no mapping", "", NOTHING, Attention, "No mapping is configured")
        },
        own(
            "no known consent",
            "[privacy]\nconsent = \"data.agreed == true\"\n",
            |device| drop(device.works_or_not(&["record", "--type", "com.acme.loyalty.used", "--data", "{}"])),
            Attention,
            "1 event was not stored, since consent of [privacy] could not be computed for it",
        ),
        own("a file that waits", FOLDER, |device| drop_file(device, "a.ndjson", ""), Waiting, "1 dropped file waits"),
        own(
            "a link that is never read",
            FOLDER,
            |device| {
                std::fs::create_dir_all(device.dir.path().join("drop")).unwrap();
                #[cfg(unix)]
                std::os::unix::fs::symlink("../agent.toml", device.dir.path().join("drop/a.ndjson")).unwrap();
                #[cfg(not(unix))]
                device.write("drop/a.ndjson", "");
            },
            Waiting,
            "1 dropped file waits",
        ),
        own(
            "a file with a bad line",
            FOLDER,
            |device| drop_file(device, "a.ndjson", "{\n"),
            Attention,
            "1 dropped file has lines that could not be recorded",
        ),
    ]
}

fn data(device: &Device) -> PathBuf {
    device.dir.path().join("data")
}

fn execute(device: &Device, sql: &str) {
    Connection::open(data(device).join(FILE_NAME)).unwrap().execute_batch(sql).unwrap();
}

fn drop_file(device: &Device, name: &str, content: &str) {
    let folder = device.dir.path().join("drop");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("new.part"), content).unwrap();
    std::fs::rename(folder.join("new.part"), folder.join(name)).unwrap();
}

/// Records until the store takes no more; nothing is purged, since all of it waits.
fn fill(device: &Device) {
    let filler = "x".repeat(50_000);
    let event = |card: u32| {
        let data = serde_json::json!({ "card": card.to_string(), "note": "n", "filler": filler });
        let event = serde_json::json!({ "specversion": "1.0", "id": card.to_string(), "source": "till", "type": "com.acme.note", "data": data });
        event.to_string() + "\n"
    };
    device.write("many.ndjson", &(0..400).map(event).collect::<String>());
    device.fails(&["record", "--batch", "many.ndjson"]);
}

/// The configuration of a device, with what serves where it sends.
async fn configure(device: &Device, state: &State) -> Option<tokio::sync::watch::Sender<bool>> {
    let (mut http, mut sandbox) = (String::new(), None);
    let here = |address: SocketAddr| format!("https://localhost:{}", address.port());
    let endpoint = match state.toward {
        Toward::Sandbox(faults) => {
            let ((running, address), stop) = start_sandbox(Unknown::Accept).await;
            running.target().faults = faults.parse().unwrap();
            sandbox = Some(stop);
            format!("http://{address}")
        }
        Toward::Endpoint(endpoint) => endpoint.to_owned(),
        Toward::Proxy(status) => {
            let answered = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes();
            let proxy = server(move |stream| answer(stream, vec![answered.clone()])).await;
            http = format!("proxy = \"http://{proxy}\"\n");
            "https://target.example".to_owned()
        }
        Toward::NoProxy => {
            "proxy = \"http://proxy.invalid:3128\"\n".clone_into(&mut http);
            "https://target.example".to_owned()
        }
        Toward::Tls(name, years, is_trusted) => {
            let (address, ca_file) = tls_server(certificate(name, years)).await;
            let trusted = if is_trusted { ca_file.path().to_owned() } else { other_authority(device) };
            std::fs::copy(trusted, device.dir.path().join("ca.pem")).unwrap();
            "ca_file = \"ca.pem\"\n".clone_into(&mut http);
            here(address)
        }
        Toward::Plain => here(server(greet).await),
    };
    let mappings = state.mappings.replace("[target]\n", &format!("[target]\nendpoint = \"{endpoint}\"\n"));
    let agent = "[agent]\ndata_dir = \"data\"\n[intake.http]\nlisten = \"127.0.0.1:0\"\n";
    let config = format!("{agent}{mappings}[target.http]\ntimeout = \"2s\"\n{http}{}", state.config);
    device.write("agent.toml", &config);
    sandbox
}

/// What a server does that waits for no word of TLS.
async fn greet(mut stream: TcpStream) {
    let _ = stream.write_all(YES).await;
    let _ = stream.shutdown().await;
}

fn other_authority(device: &Device) -> PathBuf {
    let path = device.dir.path().join("other.pem");
    std::fs::write(&path, certificate("other", (2020, 2090)).cert.pem()).unwrap();
    path
}

/// The alerts of the rules that hold of these metrics, of those that compare a number with another.
fn alerts(metrics: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/outpost.rules.yml");
    let rules = std::fs::read_to_string(path).unwrap();
    let of = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not told: {metrics}")).parse().unwrap()
    };
    let number = |text: &str| text.parse().unwrap_or_else(|_| of(text));
    let mut holding = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let (name, expression) = (rule.lines().next().unwrap(), rule.split("expr: ").nth(1).unwrap());
        let words: Vec<&str> = expression.lines().next().unwrap().split(' ').collect();
        let (left, sign, right) = match words[..] {
            [left, sign, right] if left.starts_with("outpost_") => (left, sign, number(right)),
            [left, sign, factor, "*", right] if left.starts_with("outpost_") => {
                (left, sign, number(factor) * number(right))
            }
            _ => continue,
        };
        let holds = match sign {
            "==" => (of(left) - right).abs() < f64::EPSILON,
            "<" => of(left) < right,
            ">" => of(left) > right,
            _ => panic!("{name}: {sign}"),
        };
        if holds {
            holding.insert(name.to_owned());
        }
    }
    holding
}

async fn check(state: State) {
    let device = Arc::new(Device::new());
    let _sandbox = configure(&device, &state).await;
    let State { name, before, then, level, text: words, alerts: more, .. } = state;
    let running = device.clone();
    let agent = tokio::task::spawn_blocking(move || {
        before(&running);
        let agent = running.run();
        then(&running);
        agent
    });
    let _agent = agent.await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let json: Value = serde_json::from_slice(&std::fs::read(data(&device).join("agent.json")).unwrap()).unwrap();
    let token = std::fs::read_to_string(data(&device).join("intake.token")).unwrap();
    let access = Access { endpoint: format!("http://{}", json["http"].as_str().unwrap()), token };
    let is_it = |status: &Status| {
        let is_up = status.link == "online" || (status.link == "unknown" && status.pending.profiles == 0);
        let is_link = is_up != more.contains(&"OutpostLinkDown");
        is_link && status.verdict.level == level && status.verdict.text.contains(words)
    };
    let status = wait_status(&access, is_it).await;

    let http = client_of_one_connection();
    let get = async |path: &str| {
        let answer = http.get(format!("{}{path}", access.endpoint)).bearer_auth(&access.token).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (_, page) = get("/").await;
    assert!(page.contains(&format!("class=\"state {}\"", level.name())), "{name}: {page}");
    assert!(page.contains(&in_html(words)), "{name}: {page}");
    let (ready, problem) = get("/readyz").await;
    let expected = if level == Level::Refusing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    assert_eq!(ready, expected, "{name}: {problem}");
    let (_, metrics) = get("/metrics").await;
    let number = Level::ALL.iter().position(|it| *it == level).unwrap();
    assert!(metrics.contains(&format!("\noutpost_verdict {number}\n")), "{name}: {metrics}");
    let of_level = match level {
        Level::Refusing => Some("OutpostRefusesEvents"),
        Level::Attention => Some("OutpostNeedsAttention"),
        Level::Well | Level::Waiting => None,
    };
    let expected: BTreeSet<String> = of_level.into_iter().chain(more.iter().copied()).map(str::to_owned).collect();
    assert_eq!(alerts(&metrics), expected, "{name}: {:?}", status.verdict);

    let said = tokio::task::spawn_blocking(move || ["status", "doctor"].map(|command| said(&device, command)));
    let [shown, examined] = said.await.unwrap();
    let line = format!("verdict {}: ", level.name());
    assert!(shown.contains(&line) && shown.contains(&one_line(words)), "{name}: {shown}");
    let line = match level {
        Level::Well => "ok verdict ",
        Level::Waiting => "warn verdict ",
        Level::Attention | Level::Refusing => "FAIL verdict ",
    };
    let examined =
        examined.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{name}: {examined}"));
    assert!(examined.contains(&one_line(words)), "{name}: {examined}");
}

/// What a command prints, with one blank where there are several.
fn said(device: &Device, command: &str) -> String {
    let output = text(&device.outpost(&[command]).stdout);
    output.lines().map(|line| one_line(line) + "\n").collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_each_state_page_status_doctor_readiness_metrics_and_alerts_tell_one_truth() {
    let (places, mut rows) = (Arc::new(Semaphore::new(AT_A_TIME)), JoinSet::new());
    for state in links().into_iter().chain(devices()).chain(intakes()) {
        let places = places.clone();
        rows.spawn_on(
            async move {
                let _place = places.acquire_owned().await.unwrap();
                let name = state.name;
                (name, tokio::spawn(check(state)).await)
            },
            &Handle::current(),
        );
    }
    let mut wrong = Vec::new();
    while let Some(row) = rows.join_next().await {
        let (name, checked) = row.unwrap();
        wrong.extend(checked.err().map(|_| name));
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
