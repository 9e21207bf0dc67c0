//! What others wrote, in a terminal and in the log: it moves no cursor, turns no letters round, and begins no line.

use std::fs;

use crate::device::{Device, outpost, text};

/// Clears the screen, begins a line, turns the rest round, and sets the title of a terminal.
pub const HOSTILE: &str = "Lu\u{1b}[2J\nforged\u{202e}\u{9b}31m\u{1b}]0;owned\u{7}nd";

pub fn check(what: &str, shown: &str) {
    let is_hostile = |character: char| {
        (character.is_control() && !matches!(character, '\n' | '\t')) || "\u{202e}\u{2066}".contains(character)
    };
    assert!(!shown.contains(is_hostile), "{what}: {shown:?}");
    assert!(!shown.lines().any(|line| line.trim_start().starts_with("forged")), "{what}: {shown}");
}

/// A device with a folder, and an agent on it that records what is hostile in all ways.
fn device() -> Device {
    let device = Device::new();
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write(
        "agent.toml",
        &format!("{config}\n[intake.folder]\npath = \"drop\"\ntype = \"com.acme.loyalty.used\"\n"),
    );
    device
}

#[test]
fn what_others_wrote_is_escaped_by_each_command() {
    let device = device();
    let data = serde_json::json!({"card": "7", "store": HOSTILE, "total": 2}).to_string();
    let recorded = |data: &str, id: &str, event_type: &str| {
        let output = device.outpost(&["record", "--type", event_type, "--id", id, "--data", data]);
        check("record", &(text(&output.stdout) + &text(&output.stderr)));
    };
    recorded(&data, "1", "com.acme.loyalty.used");
    recorded(&data.replace("Lu", "Bo"), "1", "com.acme.loyalty.used");
    let rejected = serde_json::json!({"card": HOSTILE.repeat(40), "store": "Lund", "total": HOSTILE}).to_string();
    recorded(&rejected, "2", "com.acme.loyalty.used");
    recorded(&data, HOSTILE, "com.acme.loyalty.used");
    recorded(&data, "3", HOSTILE);
    let explained = device.works(&["explain", "third_party_id:7"]);
    assert!(explained.contains("lastStore = Lu\\u001b[2J\\u000aforged\\u202e\\u009b31m"), "{explained}");
    let event = serde_json::json!({
        "specversion": "1.0", "id": "4", "source": "/till", "type": "com.acme.loyalty.used",
        "data": {"card": "7", "store": HOSTILE, "total": 2},
    });
    let output = outpost(device.dir.path()).arg("preview").write_stdin(event.to_string()).output().unwrap();
    check("preview", &(text(&output.stdout) + &text(&output.stderr)));
    for command in [
        ["explain", "third_party_id:7"].as_slice(),
        &["explain", "third_party_id:7", "--json"],
        &["explain", &format!("third_party_id:{HOSTILE}")],
        &["verify", "third_party_id:7"],
        &["rejected", "list"],
        &["rejected", "show", "1"],
        &["rejected", "retry", "--all"],
        &["status"],
        &["doctor"],
        &["check", "--config", "no\u{1b}[2J.toml"],
    ] {
        let output = device.outpost(command);
        check(&command.join(" "), &(text(&output.stdout) + &text(&output.stderr)));
    }
}

#[cfg(unix)]
#[test]
fn a_name_of_a_file_forges_no_line_of_status() {
    let device = device();
    let _agent = device.run();
    let drop = device.dir.path().join("drop");
    // What was read cannot be put away.
    let is_made = || drop.is_dir();
    while !is_made() {}
    let _ = fs::remove_dir_all(drop.join("failed"));
    fs::write(drop.join("failed"), "").unwrap();
    fs::write(drop.join("a\u{1b}[2J\nforged INFO \u{202e}.csv"), "card;store;total\n7;\"Lund;2\n").unwrap();
    fs::write(drop.join("b\nforged.csv"), "").unwrap();
    while device.status()["folder"]["problem"].is_null() {}
    let status = device.works(&["status"]);
    assert!(status.contains("b\\u000aforged.csv waits: it is empty"), "{status}");
    for command in [["status"], ["doctor"]] {
        let output = device.outpost(&command);
        check(command[0], &(text(&output.stdout) + &text(&output.stderr)));
    }
}

#[test]
fn a_name_in_a_batch_or_in_the_list_of_tokens_forges_no_line() {
    let device = device();
    let event = serde_json::json!({
        "specversion": "1.0", "id": "1", "source": "/till", "type": "t", HOSTILE: 1, "data": {HOSTILE: {HOSTILE: 1}},
    });
    let twice = format!("{{{0}:1,{0}:1}}", serde_json::json!(HOSTILE));
    let wrong =
        serde_json::json!({"specversion": HOSTILE, "id": HOSTILE, "source": HOSTILE, "type": HOSTILE, "time": HOSTILE});
    for batch in [event.to_string(), twice.clone(), format!("[{event}]"), format!("[{twice}]"), wrong.to_string()] {
        device.write("batch", &batch);
        let output = device.outpost(&["record", "--batch", "batch"]);
        check(&batch, &(text(&output.stdout) + &text(&output.stderr)));
    }
    device.works(&["token", "create", "till", "--right", "record"]);
    let tokens = device.dir.path().join("data/tokens.json");
    let mut list: serde_json::Value = serde_json::from_slice(&fs::read(&tokens).unwrap()).unwrap();
    (list[0]["name"], list[0]["origin"]) = (HOSTILE.into(), HOSTILE.into());
    // Over the file, so that it stays closed to others.
    fs::write(&tokens, list.to_string()).unwrap();
    let said = device.works(&["token", "list"]);
    check("token list", &said);
    assert!(said.contains("Lu\\u001b[2J\\u000aforged"), "{said}");
}

/// A server in Target's place that answers each request with one document.
fn in_targets_place(document: String) -> std::net::SocketAddr {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{document}", document.len());
        }
    });
    address
}

#[test]
fn a_name_that_target_answers_forges_no_line_of_verify() {
    let attribute = serde_json::json!({"value": HOSTILE, "modifiedAt": "2027-01-01T00:00:00Z"});
    let document = serde_json::json!({"client": "acme", "profileAttributes": {HOSTILE: attribute}});
    let address = in_targets_place(document.to_string());
    let device = Device::new();
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("http://127.0.0.1:9", &format!("http://{address}")));
    device.record_use("7");
    let said = device.works_or_not(&["verify", "third_party_id:7"]);
    check("verify", &said);
    assert!(said.contains("Lu\\u001b[2J\\u000aforged\\u202e"), "{said}");
}

#[test]
fn what_is_given_on_the_command_line_forges_no_line() {
    let device = device();
    let identity = format!("x:{HOSTILE}");
    for command in [
        ["explain", &identity].as_slice(),
        &["verify", &identity],
        &["forget", &identity],
        &["forget", "--file", HOSTILE],
        &["rejected", "show", HOSTILE],
        &["rejected", HOSTILE],
        &["record", "--batch", HOSTILE],
        &["token", "revoke", HOSTILE],
        &["token", "create", HOSTILE, "--right", "record"],
        &["check", "-c", HOSTILE],
        &["log", HOSTILE],
        &["status", "--url", HOSTILE],
        &["status", "--token-file", HOSTILE],
        &[HOSTILE],
    ] {
        let output = device.outpost(command);
        assert!(!output.status.success(), "{command:?}");
        check(&command.join(" "), &(text(&output.stdout) + &text(&output.stderr)));
    }
}
