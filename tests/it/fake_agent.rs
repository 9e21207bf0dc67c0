//! Somebody in the agent's place: he listens at its address, or at the one that `--url` names, and answers what he likes. A command
//! reads no more of that than an agent would say, shows it as a line, and follows no announcement off this device.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outpost::agent::data_dir::{DataDir, Endpoint, Lock};
use serde_json::{Value, json};

use crate::device::{Device, text};
use crate::terminal::{HOSTILE, check};

/// More than any answer of an agent; a command that reads all of it takes that much memory.
const ENDLESS_BYTES: u64 = 256 << 20;

/// Most that a command may take in of such an answer, with what waits in the connection.
const READ_BYTES_MAX: u64 = 64 << 20;

/// Serves each connection with one answer, in a thread of its own.
fn served(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            answer(stream);
        }
    });
    address
}

/// Answers each request with a status and blanks without an end; counts what was taken.
fn endless(status: &'static str) -> (SocketAddr, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    let address = served(move |mut stream| {
        let blanks = [b' '; 64 << 10];
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
        let mut sent = stream.write_all(head.as_bytes());
        let mut bytes = 0;
        while sent.is_ok() && bytes < ENDLESS_BYTES {
            sent = stream.write_all(&blanks);
            bytes += blanks.len() as u64;
        }
        count.fetch_max(bytes, Ordering::Relaxed);
    });
    (address, taken)
}

/// Answers each request with one document.
fn answering(status: &'static str, document: &Value) -> SocketAddr {
    let document = document.to_string();
    served(move |mut stream| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
        let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{document}", document.len());
    })
}

/// A device whose data directory somebody holds, as an agent does, who announces that address.
fn held(device: &Device, http: SocketAddr) -> (DataDir, Lock) {
    let data_dir = DataDir::new(device.dir.path().join("data"));
    if !data_dir.has_store() {
        device.record_use("7");
    }
    // A program that another test starts at this moment has our open files until it is another program.
    let lock = data_dir.lock_within(Duration::from_secs(10)).unwrap();
    data_dir.token().unwrap();
    data_dir.announce(&Endpoint { http, socket: None }).unwrap();
    (data_dir, lock)
}

const RECORD: [&str; 5] = ["record", "--type", "t", "--data", "{}"];

#[test]
fn an_answer_without_an_end_is_read_as_far_as_an_agent_s_goes() {
    for status in ["200 OK", "500 Internal Server Error"] {
        let (address, taken) = endless(status);
        let device = Device::new();
        let _held = held(&device, address);
        for command in [
            RECORD.as_slice(),
            &["status"],
            &["doctor"],
            &["token", "create", "till", "--right", "record"],
            &["rejected", "list"],
            &["forget", "7"],
        ] {
            let (code, said) = device.fails(command);
            let code_of = code == Some(1);
            assert!(code_of && said.contains("as none of an agent's is; see who listens there"), "{command:?}: {said}");
        }
        device.write_private("a.token", "0123");
        let url = format!("http://{address}");
        let (_, said) = device.fails(&["status", "--url", &url, "--token-file", "a.token"]);
        assert!(said.contains(&format!("of {url} is larger than")), "{said}");
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken < READ_BYTES_MAX, "{taken} bytes of {status}");
    }
}

#[test]
fn a_list_without_an_end_is_read_as_far_as_a_store_s_goes() {
    let item = |id: i64| json!({"id": id, "kind": "event", "rejected_at": "", "reason": "", "detail": ""});
    let list: Vec<Value> = (1..=1_000).map(item).collect();
    let device = Device::new();
    let _held = held(&device, answering("200 OK", &json!({ "rejected": list })));
    let (code, said) = device.fails(&["rejected", "list"]);
    assert!(code == Some(1) && said.contains("the agent's list does not end after 1000"), "{said}");
}

/// The same document, with what is hostile in each of its texts but those that a program reads.
fn hostile(document: Value) -> Value {
    match document {
        Value::String(_) => HOSTILE.into(),
        Value::Array(items) => items.into_iter().map(hostile).collect(),
        Value::Object(members) => {
            let each = |(name, value): (String, Value)| {
                let value = if name == "level" || name == "code" { value } else { hostile(value) };
                (name, value)
            };
            members.into_iter().map(each).collect()
        }
        other => other,
    }
}

#[test]
fn what_a_fake_agent_says_forges_no_line() {
    let device = Device::new();
    device.record_use("7");
    let mut status = device.status();
    status["link_reason"] = "".into();
    status["metrics_push"] = json!({"host": "", "last_at": "", "problem": ""});
    status["routes"] = json!([{"api": "", "why": "", "updates": 1}]);
    status["refused"] = json!([{"reason": "", "status": 400, "requests": 1}]);
    status["batches"] = json!([{"rows": 1, "state": ""}]);
    let rejected =
        json!({"id": 1, "kind": "", "rejected_at": "", "reason": "", "detail": "", "attributes": [""], "identity": ""});
    let profile: Value = serde_json::from_str(&device.works(&["explain", "7", "--json"])).unwrap();
    let said = |address: SocketAddr, command: &[&str]| {
        let _held = held(&device, address);
        let output = device.outpost(command);
        let said = text(&output.stdout) + &text(&output.stderr);
        check(&command.join(" "), &said);
        assert!(
            said.contains("Lu\\u001b[2J\\u000aforged") || said.contains("Lu\\u001b[2J; forged"),
            "{command:?}: {said}"
        );
    };
    let answers = |document: Value, command: &[&str]| said(answering("200 OK", &hostile(document)), command);
    answers(status.clone(), &["status"]);
    answers(status, &["doctor"]);
    answers(json!({"rejected": [rejected.clone()]}), &["rejected", "list"]);
    answers(rejected, &["rejected", "show", "1"]);
    answers(json!({"id": 1, "status": "", "reason": ""}), &["rejected", "retry", "1"]);
    answers(profile, &["explain", "7"]);
    answers(json!({"events": [{"id": "", "status": "", "reason": ""}]}), &RECORD);
    said(answering("200 OK", &json!({"level": HOSTILE})), &["log", "debug"]);
    for command in [RECORD.as_slice(), &["status"], &["reload"], &["token", "create", "till", "--right", "record"]] {
        said(answering("422 Unprocessable Entity", &json!({"detail": HOSTILE})), command);
    }
    // A field that is unknown there, in the words of the parser.
    said(answering("200 OK", &json!({"verdict": {"level": HOSTILE}})), &["status"]);
}

#[test]
fn an_announcement_is_followed_nowhere_but_on_this_device() {
    let device = Device::new();
    let _held = held(&device, "192.0.2.1:7717".parse().unwrap());
    let (code, said) = device.fails(&["status"]);
    let words = "agent.json cannot be used: its http must be a loopback address; found 192.0.2.1:7717";
    assert!(code == Some(1) && said.contains(words), "{said}");
}

#[cfg(unix)]
#[test]
fn an_announcement_of_a_user_who_is_not_the_directory_s_owner_is_told_with_the_user() {
    let Some(device) = crate::doors::strangers_device() else { return };
    let data = device.dir.path().join("data");
    std::os::unix::fs::chown(&data, Some(0), Some(0)).unwrap();
    let (_data_dir, _lock) = held(&device, "127.0.0.1:9".parse().unwrap());
    std::os::unix::fs::chown(data.join("agent.json"), Some(crate::doors::STRANGER), None).unwrap();
    let (code, said) = device.fails(&["status"]);
    let words = format!("agent.json cannot be used: it belongs to the user {}", crate::doors::STRANGER);
    assert!(code == Some(1) && said.contains(&words), "{said}");
}

#[cfg(unix)]
#[test]
fn a_socket_that_is_not_the_agent_s_is_not_asked() {
    let Some(device) = crate::doors::strangers_device() else { return };
    let (data_dir, _lock) = held(&device, answering("200 OK", &json!({})));
    let address = data_dir.endpoint().unwrap().unwrap().http;
    std::fs::remove_file(data_dir.token_path()).unwrap();
    let socket = device.dir.path().join("of-root.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let asks = |socket: &std::path::Path, words: &str| {
        data_dir.announce(&Endpoint { http: address, socket: Some(socket.to_owned()) }).unwrap();
        let (code, said) = device.fails(&["status"]);
        assert!(code == Some(1) && said.contains(words), "{said}");
    };
    asks(&socket, "of-root.sock belongs to the user 0, who is not the agent's");
    let link = device.dir.path().join("link.sock");
    std::os::unix::fs::symlink(&socket, &link).unwrap();
    asks(&link, "link.sock must be a socket");
}
