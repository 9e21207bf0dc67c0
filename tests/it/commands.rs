//! What people type, and what they read.

use std::time::Duration;

use outpost::store::{FILE_NAME, SCHEMA_VERSION, Store};
use serde_json::Value;

use crate::device::{Device, outpost, text};
use crate::support::used;

#[test]
fn every_help_ends_with_an_example() {
    let device = Device::new();
    for command in [
        "run", "record", "status", "check", "preview", "rejected", "explain", "verify", "forget", "doctor", "token",
        "rekey", "log", "reload", "sandbox",
    ] {
        let help = device.works(&[command, "--help"]);
        let last = help.trim_end().lines().last().unwrap().trim();
        assert!(last.starts_with(&format!("outpost {command} ")), "{help}");
    }
    assert!(device.works(&["--help"]).trim_end().ends_with("outpost run --sandbox"));
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let device = Device::new();
    assert!(device.works(&["check"]).ends_with("\n\nagent.toml is valid; 0 examples passed\n"));
    device.write("wrong.toml", "[target]\nclient_cod = \"acme\"\n[agnet]\n");
    let (code, said) = device.fails(&["check", "-c", "wrong.toml"]);
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(said, @r#"
    outpost: 3 problems in the configuration
    wrong.toml:1:1: client_code is missing in [target]
    wrong.toml:2:1: unknown key "client_cod" in [target]; did you mean "client_code"?
    wrong.toml:3:2: unknown key "agnet" at the top; did you mean "agent"?
    "#);
    let (code, said) = device.fails(&["check", "-c", "none.toml"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("none.toml"), "{said}");
}

#[test]
fn check_warns_of_totals_that_devices_overwrite_for_each_other() {
    let device = Device::new();
    let checked = device.outpost(&["check"]);
    assert_eq!(checked.status.code(), Some(0));
    let said = text(&checked.stderr);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("overwrites the visits of the others") && said.contains("\"visits_{device_id}\""), "{said}");
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("shared_profiles = false\n", ""));
    assert_eq!(text(&device.outpost(&["check"]).stderr), "");
}

#[test]
fn check_warns_of_a_column_that_is_a_text_and_is_compared_with_a_number() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let config = config.replace("shared_profiles = false\n", "");
    let warned = |table: &str, event: &str| {
        let mapping = "[[mapping]]\nname = \"paid\"\nevent = \"com.acme.receipt\"\nwhen = \"data.total > 0\"\n\
                       identity = { third_party_id = \"data.card\" }\nset.paid = \"'yes'\"";
        let folder = format!("[intake.folder]\npath = \"drop\"\ntype = \"{event}\"\n[intake.folder.csv]\n{table}");
        device.write("agent.toml", &format!("{config}\n{mapping}\n{folder}\n"));
        let checked = device.outpost(&["check"]);
        assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
        text(&checked.stderr)
    };
    let columns = "columns = { \"data.card\" = \"Card\", \"data.total\" = \"Total\" }";
    let said = warned(columns, "com.acme.receipt");
    assert!(
        said.contains("mapping \"paid\", \"data.total > 0\": data.total of a table") && said.contains("numbers"),
        "{said}"
    );
    assert!(warned("numbers = [\"data.points\"]", "com.acme.receipt").contains("data.total of a table"));
    assert_eq!(warned(&format!("{columns}\nnumbers = [\"data.total\"]"), "com.acme.receipt"), "");
    assert_eq!(warned(columns, "com.acme.other"), "", "its mappings do not match what the folder brings");
    assert_eq!(warned("", "com.acme.receipt"), "", "which columns there are is not known");
}

#[test]
fn check_warns_of_a_column_that_is_a_text_and_is_counted_computed_or_a_condition() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let config = config.replace("shared_profiles = false\n", "");
    let mapping = "[[mapping]]\nname = \"paid\"\nevent = \"com.acme.receipt\"\nwhen = \"data.member\"\n\
                   identity = { third_party_id = \"data.card\" }\nadd = { total = \"data.total\" }\n\
                   set = { gross = \"data.net + data.tax\", rest = \"data.card | trim\" }";
    let warned = |numbers: &str| {
        let fields = ["member", "card", "total", "net", "tax"].map(|name| format!("\"data.{name}\" = \"{name}\""));
        let folder = "[intake.folder]\npath = \"drop\"\ntype = \"com.acme.receipt\"\n[intake.folder.csv]";
        let columns = fields.join(", ");
        let text = format!("{config}\n{mapping}\n{folder}\ncolumns = {{ {columns} }}\nnumbers = [{numbers}]\n");
        device.write("agent.toml", &text);
        text_of_check(&device)
    };
    let said = warned("");
    for words in [
        "\"data.member\": data.member of a table is used as true or false, and is a text; compare it",
        "\"data.total\": data.total of a table goes into add, max or min, and is a text; name it in numbers",
        "\"data.net + data.tax\": data.net of a table is computed with, and is a text; name it in numbers",
        "\"data.net + data.tax\": data.tax of a table is computed with",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(warned("\"data.total\", \"data.net\", \"data.tax\", \"data.member\""), "");
}

/// What `check` warns of, with a configuration that is valid.
fn text_of_check(device: &Device) -> String {
    let checked = device.outpost(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    text(&checked.stderr)
}

#[test]
fn explain_says_what_set_an_attribute_and_what_became_of_it() {
    let device = Device::new();
    device.works(&[
        "record",
        "--type",
        "com.acme.note",
        "--id",
        "a",
        "--time",
        "2026-01-01T00:00:00Z",
        "--data",
        r#"{"card":"7","note":"hello"}"#,
    ]);
    insta::assert_snapshot!(device.works(&["explain", "third_party_id:7"]), @r#"
    It is not known whether Target has this profile.
    What is pending waits: the agent is not running

    note = hello
      set by    event a of 2026-01-01 00:00:00 UTC, mapping "noted"
      state     pending

    other = -
      set by    event a of 2026-01-01 00:00:00 UTC, mapping "noted"
      state     pending

    last events
      2026-01-01 00:00:00 UTC  com.acme.note  a
    "#);
    let json: Value = serde_json::from_str(&device.works(&["explain", "third_party_id:7", "--json"])).unwrap();
    assert_eq!(json["attributes"][0]["state"], "pending");
    assert_eq!(device.fails(&["explain", "third_party_id:8"]).0, Some(1));
    let agent = device.run();
    assert!(device.works(&["explain", "third_party_id:7"]).contains("note = hello"));
    drop(agent);
}

#[test]
fn verify_without_a_way_to_target_says_so() {
    let device = Device::new();
    device.record_use("7");
    let (code, said) = device.fails(&["verify", "third_party_id:7"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("outpost: the profile cannot be read from Target: no connection to Target"), "{said}");
}

#[test]
fn record_writes_through_the_agent_or_straight_into_its_store() {
    let device = Device::new();
    let id = device.record_use("7");
    assert_eq!(id.trim().len(), 36, "a UUID of its own");
    assert_eq!(device.status()["events"]["recorded"], 1);

    let agent = device.run();
    device.record_use("8");
    let status = device.status();
    assert_eq!((&status["events"]["recorded"], &status["pending"]["profiles"]), (&Value::from(2), &Value::from(2)));
    drop(agent);
    assert_eq!(device.status()["events"]["recorded"], 2);
}

#[test]
fn record_tells_what_became_of_the_event() {
    let device = Device::new();
    let once = ["record", "--type", "com.acme.note", "--id", "a", "--data", r#"{"card":"7","note":"x"}"#];
    assert_eq!(device.works(&once), "a\n");
    assert_eq!(text(&device.outpost(&once).stderr), "outpost: duplicate\n");
    let unmapped = device.outpost(&["record", "--type", "com.other"]);
    assert_eq!(
        (unmapped.status.code(), text(&unmapped.stderr)),
        (Some(0), "outpost: unmapped: no mapping has its type; the nearest is \"com.acme.note\"\n".to_owned())
    );
    let rejected = device.outpost(&["record", "--type", "com.acme.note", "--data", "{}"]);
    assert_eq!(rejected.status.code(), Some(0));
    insta::assert_snapshot!(text(&rejected.stderr), @r#"outpost: rejected: mapping "noted", identity.third_party_id = "data.card": data.card is not in the event; use the default filter or a `when` if it may be missing"#);

    let (code, said) = device.fails(&["record", "--type", "t", "--data", "{"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--data is not valid JSON"), "{said}");
    let (code, said) = device.fails(&["record", "--type", "t", "--time", "yesterday"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("time"), "{said}");
    assert_eq!(device.fails(&["record"]).0, Some(2));
}

#[test]
fn a_batch_is_recorded_up_to_its_first_bad_line_and_can_be_run_again() {
    let device = Device::new();
    let event = |id: &str| used(id, "7", "Lund", 1.0).to_string();
    device.write("events.ndjson", &format!("{}\n\n{}\n{{\"id\":3}}\n{}\n", event("1"), event("2"), event("4")));
    let (code, said) = device.fails(&["record", "--batch", "events.ndjson"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("outpost: line 4: "), "{said}");
    assert!(said.contains("recorded before it: 2 events;"), "{said}");
    device.write("events.ndjson", &format!("{}\n{}\n{}\n{}", event("1"), event("2"), event("3"), event("4")));
    let done = device.works(&["record", "--batch", "events.ndjson"]);
    assert_eq!(done, "recorded 2, duplicate 2, unmapped 0, rejected 0\n");

    let array = format!("[{},\n{}]", event("4"), event("5"));
    let output = outpost(device.dir.path()).args(["record", "--batch", "-"]).write_stdin(array).output().unwrap();
    assert_eq!(text(&output.stdout), "recorded 1, duplicate 1, unmapped 0, rejected 0\n");
    assert_eq!(device.status()["events"]["recorded"], 5);
}

#[test]
fn a_line_of_a_batch_that_is_no_text_is_named_after_those_before_it() {
    let device = Device::new();
    let event = |id: &str| used(id, "7", "Lund", 1.0).to_string();
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(2 * 1024 * 1024));
    let wrongs =
        [("1", b"{\"\xFF\":1}".to_vec(), "it is not UTF-8"), ("2", long.into_bytes(), "it is longer than 1 MiB")];
    for (id, wrong, words) in wrongs {
        let lines = [event(id).as_bytes(), b"\n\n", &wrong, b"\n", event("9").as_bytes(), b"\n"].concat();
        std::fs::write(device.dir.path().join("events.ndjson"), lines).unwrap();
        let (code, said) = device.fails(&["record", "--batch", "events.ndjson"]);
        assert_eq!(code, Some(1));
        assert!(said.starts_with(&format!("outpost: line 3: {words}\nrecorded before it: 1 event;")), "{said}");
    }
    let array = [b"[\n", event("3").as_bytes(), b",\n{\"\xFF\":1}]"].concat();
    std::fs::write(device.dir.path().join("events.json"), array).unwrap();
    let (code, said) = device.fails(&["record", "--batch", "events.json"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("outpost: line 3: it is not UTF-8\nrecorded before it: 0 events;"), "{said}");
    let mut units: Vec<u16> = format!("{}\n{{\"x\":\"", event("4")).encode_utf16().collect();
    units.push(0xD800);
    units.extend("\"}\n".encode_utf16());
    let wide: Vec<u8> = units.into_iter().flat_map(u16::to_le_bytes).collect();
    std::fs::write(device.dir.path().join("events.ndjson"), wide).unwrap();
    let (code, said) = device.fails(&["record", "--batch", "events.ndjson"]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("outpost: line 2: it holds half a character of UTF-16\nrecorded before it: 1 event;"),
        "{said}"
    );
    assert_eq!(device.status()["events"]["recorded"], 3);
}

#[test]
fn a_batch_says_of_which_events_the_time_is_in_the_future() {
    let device = Device::new();
    let event = |id: &str, time: &str| {
        let mut event = used(id, "7", "Lund", 1.0);
        event["time"] = time.into();
        event.to_string()
    };
    let late = "2199-01-01T00:00:00Z";
    let lines = [event("1", late), event("2", late), event("3", "2026-01-01T00:00:00Z")];
    device.write("events.ndjson", &lines.join("\n"));
    let done = device.outpost(&["record", "--batch", "events.ndjson"]);
    let counted = "recorded 3, duplicate 0, unmapped 0, rejected 0\n";
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), counted.to_owned()));
    let said = text(&done.stderr);
    assert!(said.contains("2 of the events were recorded with a change: event 1: time is"), "{said}");
}

#[test]
fn rejected_things_are_listed_retried_and_dropped_with_and_without_an_agent() {
    let device = Device::new();
    assert_eq!(device.works(&["record", "--type", "com.acme.note", "--id", "a", "--data", "{}"]), "a\n");
    device.works(&["record", "--type", "com.acme.note", "--id", "b", "--data", r#"{"card":"7"}"#]);
    let list = device.works(&["rejected", "list"]);
    assert_eq!(list.lines().count(), 3);
    assert!(
        list.contains("event 1, com.acme.note")
            && list.contains("mapping_failed")
            && list.contains("data.card is not in"),
        "{list}"
    );
    assert!(device.works(&["rejected", "show", "1"]).contains("\"id\": \"a\""));

    let (code, said) = device.fails(&["rejected", "retry", "1"]);
    assert_eq!((code, said.as_str()), (Some(1), "outpost: still rejected: 1 of 1; fix the mapping and retry\n"));
    let (code, said) = device.fails(&["rejected", "drop", "1"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(device.works(&["rejected", "drop", "1", "--yes"]), "dropped 1\n");
    assert_eq!(device.fails(&["rejected", "show", "1"]).0, Some(1));

    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("data.note", "data.note | default('none')"));
    let agent = device.run();
    assert_eq!(device.works(&["rejected", "retry", "--all"]), "2: recorded\n");
    assert_eq!(device.works(&["rejected", "list"]), "nothing is rejected\n");
    drop(agent);
    assert_eq!(device.status()["pending"]["profiles"], 1);
}

#[test]
fn forget_says_what_it_erased_with_and_without_an_agent() {
    let device = Device::new();
    device.record_use("7 ö");
    device.record_use("8");
    let said = device.works(&["forget", "third_party_id:7 ö"]);
    assert!(said.starts_with("erased 3 attributes (3 of them not yet delivered), 1 event, 0 rejected\n"), "{said}");
    let agent = device.run();
    let json: Value = serde_json::from_str(&device.works(&["forget", "third_party_id:8", "--json"])).unwrap();
    assert_eq!((&json["attributes"], &json["events"]), (&Value::from(3), &Value::from(1)));
    let again = device.works(&["forget", "third_party_id:8"]);
    assert!(again.starts_with("this device has nothing about that identity\n"), "{again}");
    drop(agent);
    assert_eq!(device.fails(&["forget", "card:8"]).0, Some(2));
}

#[test]
fn doctor_says_what_is_not_well_and_what_was_saved_from_a_damaged_store() {
    let device = Device::new();
    device.record_use("7");
    let levels = |findings: &str| {
        let findings: Vec<Value> = serde_json::from_str(findings).unwrap();
        let level =
            |finding: &Value| format!("{} {}", finding["check"].as_str().unwrap(), finding["level"].as_str().unwrap());
        findings.iter().map(level).collect::<Vec<_>>()
    };
    let at_rest = device.outpost(&["doctor", "--json"]);
    assert_eq!(at_rest.status.code(), Some(1));
    let found = levels(&text(&at_rest.stdout));
    assert!(found.contains(&"store ok".to_owned()) && found.contains(&"agent fail".to_owned()), "{found:?}");

    let path = device.dir.path().join("data").join(FILE_NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..100].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    assert!(device.works_or_not(&["doctor"]).contains("FAIL store"));
    let agent = device.run();
    let said = device.works_or_not(&["doctor"]);
    let line = said.lines().find(|line| line.starts_with("FAIL store")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("saved from it: ") && line.contains(".corrupt-"), "{line}");
    assert!(line.contains("must not leave this device") && !line.contains("support"), "{line}");
    for entry in std::fs::read_dir(device.dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().contains(".corrupt-") {
            std::fs::rename(&path, device.dir.path().join("for-support")).unwrap();
        }
    }
    assert!(device.works_or_not(&["doctor"]).contains("ok   store"), "what was looked at is no failure any more");
    drop(agent);
}

#[test]
fn doctor_says_where_the_store_sends_and_where_it_did_before() {
    let device = Device::new();
    device.record_use("7");
    let check = |expected: &str| {
        let said = device.works_or_not(&["doctor"]);
        let line = said.lines().find(|line| line[5..].starts_with("destination ")).unwrap_or_else(|| panic!("{said}"));
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.starts_with(expected), "{words}");
    };
    let here = "ok destination client code acme at http://127.0.0.1:9";
    check(&format!("{here}; nothing has been sent yet"));
    drop(device.run());
    check(here);
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("client_code = \"acme\"", "client_code = \"other\""));
    check("warn destination the store in data was for client code acme at http://127.0.0.1:9; with this configuration");
    device.write("agent.toml", &config);
    let store = rusqlite::Connection::open(device.dir.path().join("data").join(FILE_NAME)).unwrap();
    store.execute("UPDATE destination SET client_code = '', endpoint = 'https://hub.example'", []).unwrap();
    drop(store);
    check("FAIL destination the section [hub] is missing, and this device has joined the hub at https://hub.example");
    let (_, said) = (device.works(&["check"]), text(&device.outpost(&["check"]).stderr));
    assert!(said.contains("the section [hub] is missing"), "{said}");
}

#[test]
fn a_bundle_for_support_holds_no_secret_and_nothing_of_a_customer() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let token = "client_code = \"acme\" # ask Britta, 0701-23\ntoken = \"target-s3cret\"";
    let key = format!("[privacy]\nkey = \"{}\"\n", "5ec2e7".repeat(11));
    device.write("agent.toml", &format!("{}{key}", config.replace("client_code = \"acme\"", token)));
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{config}\n[intake.folder]\npath = \"drop\" # Britta's\n"));
    std::fs::create_dir(device.dir.path().join("drop")).unwrap();
    device.write("drop/greta-svensson.ndjson", "");
    let agent = device.run();
    while device.status()["folder"]["waits"][0]["file"] != "greta-svensson.ndjson" {}
    for (card, note) in [("4711-0815", "likes-herring"), ("Åsa 7", "calls-often")] {
        let data = serde_json::json!({ "card": card, "note": note }).to_string();
        device.works(&["record", "--type", "com.acme.note", "--id", &format!("id-{note}"), "--data", &data]);
    }
    device.works(&["record", "--type", "com.acme.note", "--data", "{\"wrong\":\"unmapped-secret\"}"]);
    device.works_or_not(&["doctor", "--bundle", "bundle.zip"]);
    let intake_token = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    drop(agent);

    let mut zip = zip::ZipArchive::new(std::fs::File::open(device.dir.path().join("bundle.zip")).unwrap()).unwrap();
    let mut names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.retain(|name| !name.starts_with("log/"));
    names.sort_unstable();
    assert_eq!(names, ["agent.toml", "doctor.json", "effective.toml", "metrics.txt", "status.json", "store.txt"]);
    let secrets = [
        "4711-0815",
        "likes-herring",
        "Åsa 7",
        "calls-often",
        "unmapped-secret",
        "target-s3cret",
        "5ec2e75ec2e7",
        "Britta",
        "greta-svensson",
        intake_token.trim(),
    ];
    let mut whole = String::new();
    for index in 0..zip.len() {
        std::io::Read::read_to_string(&mut zip.by_index(index).unwrap(), &mut whole).unwrap();
    }
    for secret in secrets {
        assert!(!whole.contains(secret), "{secret} is in the bundle");
    }
    assert!(whole.contains("attribute: 4 rows") && whole.contains("outpost_events_recorded_total 2"), "{whole}");
    assert!(whole.contains("(removed)") && whole.contains("client_code = \"acme\""));
}

#[test]
fn reload_holds_whole_or_not_at_all_and_says_what_takes_a_restart() {
    let device = Device::new();
    let (code, said) = device.fails(&["reload"]);
    assert_eq!((code, said.contains("there is no store")), (Some(1), true), "{said}");
    let agent = device.run();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.works(&["record", "--type", "com.acme.other", "--data", r#"{"card":"7"}"#]);
    assert_eq!(device.status()["events"]["unmapped"], 1);

    let mapping = r#"
[[mapping]]
name = "other"
event = "com.acme.other"
identity = { third_party_id = "data.card" }
set = { seen = "'yes'" }
"#;
    let changed = config.replace("[intake.http]", "[target.quota]\nupdates_per_day = 77\n[intake.http]");
    device.write("agent.toml", &format!("{changed}{mapping}[log]\nkeep_files = 3\n"));
    assert_eq!(
        device.works(&["reload"]),
        "the new configuration is in effect, except for what needs a restart: keep_files in [log]\n"
    );
    device.works(&["record", "--type", "com.acme.other", "--data", r#"{"card":"7"}"#]);
    let status = device.status();
    assert_eq!((&status["events"]["unmapped"], &status["quota"]["updates_per_day"]), (&1.into(), &77.into()));

    let example = r#"
[[mapping.example]]
event = { type = "com.acme.other", data = { card = "7" } }
expect = { third_party_id = "7", seen = "no" }
"#;
    device.write("agent.toml", &format!("{config}{mapping}{example}"));
    let (code, said) = device.fails(&["reload"]);
    assert_eq!(code, Some(1));
    assert!(said.contains(r#"expected seen = "no", got "yes""#), "{said}");
    assert_eq!(device.status()["quota"]["updates_per_day"], 77, "the old one holds");
    drop(agent);
}

#[cfg(unix)]
#[test]
fn a_hangup_moves_the_agent_to_another_address() {
    let device = Device::new();
    let agent = device.run();
    device.record_use("7");
    let announced = || std::fs::read_to_string(device.dir.path().join("data/agent.json")).unwrap_or_default();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("127.0.0.1:0", "127.0.0.2:0"));
    assert!(std::process::Command::new("kill").args(["-HUP", &agent.0.id().to_string()]).status().unwrap().success());
    let begun = std::time::Instant::now();
    while !announced().contains("127.0.0.2") {
        assert!(begun.elapsed() < crate::support::PATIENCE);
        std::thread::yield_now();
    }
    device.record_use("8");
    assert_eq!(device.status()["events"]["recorded"], 2);
    drop(agent);
}

#[test]
fn the_log_level_can_be_changed_for_a_while() {
    let device = Device::new();
    let agent = device.run();
    assert_eq!(device.works(&["log", "debug", "--for", "10m"]), "log level debug for 600 s; then as configured\n");
    assert_eq!(device.fails(&["log", "loud"]).0, Some(2));
    drop(agent);
    device.record_use("7");
    assert_eq!(device.fails(&["log", "debug"]).0, Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_is_told_when_the_agent_is_ready_and_how_it_does() {
    let device = Device::new();
    let path = device.dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let agent = device.run_with(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let mut told = String::new();
    let mut buffer = [0; 1_024];
    while !(told.contains("READY=1") && told.contains("STATUS=well: Ready")) {
        let read = socket.recv(&mut buffer).expect("systemd is told");
        told.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    drop(agent);
}

#[test]
fn status_is_a_screenful() {
    let device = Device::new();
    let (code, said) = device.fails(&["status"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "outpost: there is no store in data; start the agent with `outpost run`\n")
    );
    device.record_use("7");
    let names: Vec<String> = device
        .works(&["status"])
        .lines()
        .map(|line| line.split_whitespace().next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "verdict",
            "Start",
            "device",
            "link",
            "events",
            "pending",
            "delivered",
            "reads",
            "batches",
            "routes",
            "rejected",
            "quota",
            "store"
        ]
    );
}

#[test]
fn preview_shows_the_exact_request_and_records_nothing() {
    let device = Device::new();
    let event = used("1", "7", "Malmö", 2.5).to_string();
    let output = outpost(device.dir.path()).arg("preview").write_stdin(event).output().unwrap();
    insta::assert_snapshot!(text(&output.stdout), @r#"
    mapping "card used" matches

    by single, since mode is single

    POST http://127.0.0.1:9/m2/acme/profile/update
    Content-Type: application/x-www-form-urlencoded

    mbox3rdPartyId=7&profile.lastStore=Malm%C3%B6&profile.spend=2.5&profile.visits=1

    kept on this device:
    {"data":{"card":"7","store":"Malmö","total":2.5},"id":"1","source":"/kiosk/3","specversion":"1.0","type":"com.acme.loyalty.used"}
    "#);
    assert!(!device.dir.path().join("data").join(FILE_NAME).exists());
}

#[test]
fn preview_shows_which_way_an_update_goes_and_what_is_read_before() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("mode = \"single\"\nshared_profiles = false\n", ""));
    let event = used("1", "7", "Malmö", 2.5).to_string();
    let output = outpost(device.dir.path()).arg("preview").write_stdin(event).output().unwrap();
    insta::assert_snapshot!(text(&output.stdout), @r#"
    mapping "card used" matches

    GET http://127.0.0.1:9/rest/v1/profiles/thirdPartyId/7?client=acme
    reads the profile first: others may have written it, and their part stays

    where that shows that Target has the profile:

    by single, since Target has the profile

    POST http://127.0.0.1:9/m2/acme/profile/update
    Content-Type: application/x-www-form-urlencoded

    mbox3rdPartyId=7&profile.lastStore=Malm%C3%B6&profile.spend=2.5&profile.visits=1

    and else:

    by bulk, since Target may not have the profile, and a batch creates it

    POST http://127.0.0.1:9/m2/acme/v2/profile/batchUpdate
    a file with this row among others:

    batch=thirdPartyId,lastStore,spend,visits
    7,Malm%C3%B6,2.5,1

    kept on this device:
    {"data":{"card":"7","store":"Malmö","total":2.5},"id":"1","source":"/kiosk/3","specversion":"1.0","type":"com.acme.loyalty.used"}
    "#);
}

#[test]
fn preview_says_what_the_forwarder_would_wait_for() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let config = config.replace("shared_profiles = false\n", "");
    device.write("agent.toml", &format!("{config}\n[target.quota]\nupdates_per_day = 1\n"));
    device.record_use("7");
    let preview = || {
        let event = used("1", "7", "Malmö", 2.5).to_string();
        text(&outpost(device.dir.path()).arg("preview").write_stdin(event).output().unwrap().stdout)
    };
    assert!(preview().contains("profile.spend=4.5&profile.visits=2"), "with what waits already: {}", preview());

    let store = rusqlite::Connection::open(device.dir.path().join("data").join(FILE_NAME)).unwrap();
    let now = "CAST(strftime('%s', 'now') AS INTEGER)";
    store.execute_batch(&format!("INSERT INTO quota (minute, requests) VALUES ({now} / 60, 1)")).unwrap();
    let said = preview();
    assert!(said.contains("the quota of single updates is spent: there is room again at 20"), "{said}");
    assert!(!said.contains("POST"), "{said}");

    store
        .execute_batch(&format!("DELETE FROM quota; UPDATE profile SET existence = 2, existence_at_ms = {now} * 1000"))
        .unwrap();
    let said = preview();
    assert!(
        said.contains("Target does not have the profile, and a single update would vanish; it is looked for"),
        "{said}"
    );
    assert!(!said.contains("POST"), "{said}");
}

#[test]
fn a_clock_that_was_two_days_ahead_does_not_hold_back_what_happens_after_it_was_set_right() {
    let device = Device::new();
    let used_at = |store: &str, time: jiff::Timestamp| {
        let data = format!("{{\"card\":\"7\",\"store\":\"{store}\"}}");
        device.works(&["record", "--type", "com.acme.loyalty.used", "--time", &time.to_string(), "--data", &data]);
    };
    used_at("Lund", jiff::Timestamp::now());
    let path = device.dir.path().join("data").join(FILE_NAME);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE journal SET recorded_at_ms = recorded_at_ms + 172800000, time_ms = time_ms + 172800000;
             UPDATE attribute SET event_time_ms = event_time_ms + 172800000",
        )
        .unwrap();
    // The time was taken before the command began.
    used_at("Ystad", jiff::Timestamp::now() - Duration::from_secs(1));
    assert!(
        device.works(&["explain", "third_party_id:7"]).contains("Ystad"),
        "{}",
        device.works(&["explain", "third_party_id:7"])
    );
    // What happened before the start is of before.
    used_at("Malmö", jiff::Timestamp::now() - Duration::from_secs(3_600));
    assert!(
        !device.works(&["explain", "third_party_id:7"]).contains("Malmö"),
        "{}",
        device.works(&["explain", "third_party_id:7"])
    );
}

#[test]
fn a_store_at_rest_is_told_by_the_device_s_clock_though_the_system_s_was_set_back() {
    let device = Device::new();
    device.record_use("7");
    let path = device.dir.path().join("data").join(FILE_NAME);
    // It was recorded two days ahead, and Target was known to have the profile a fortnight before.
    let now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000";
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "UPDATE journal SET recorded_at_ms = {now} + 172800000;
             UPDATE profile SET existence = 1, existence_at_ms = {now} + 172800000 - 14 * 86400000"
        ))
        .unwrap();
    let told = device.works(&["explain", "third_party_id:7"]);
    assert!(told.starts_with("It is not known whether Target has this profile."), "{told}");
}

#[test]
fn run_refuses_a_store_of_a_newer_program_and_a_second_agent() {
    let device = Device::new();
    let agent = device.run();
    let (code, said) = device.fails(&["run"]);
    let pid = agent.0.id();
    let expected = format!("outpost: another outpost already runs on data, as process {pid}\n");
    assert_eq!((code, said), (Some(1), expected));
    drop(agent);

    let path = device.dir.path().join("data").join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let (code, said) = device.fails(&["run"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("install the newer outpost again, the store was not touched"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_terminated_agent_ends_well_and_leaves_no_announcement() {
    let device = Device::new();
    let mut agent = device.run();
    device.record_use("7");
    let pid = agent.0.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    assert!(!device.dir.path().join("data/agent.json").exists());
    assert_eq!(device.status()["pending"]["profiles"], 1);
}

#[cfg(unix)]
#[test]
fn a_token_that_is_missing_beside_a_socket_that_is_gone_is_said_with_what_to_do() {
    use outpost::agent::data_dir::{DataDir, Endpoint};
    let device = Device::new();
    let agent = device.run();
    let data_dir = DataDir::new(device.dir.path().join("data"));
    let endpoint = data_dir.endpoint().unwrap().unwrap();
    data_dir.announce(&Endpoint { socket: Some(device.dir.path().join("gone.sock")), ..endpoint }).unwrap();
    std::fs::remove_file(data_dir.token_path()).unwrap();
    let (_, said) = device.fails(&["status"]);
    assert!(said.contains("intake.token is not there: restart the agent, which makes one"), "{said}");
    assert!(said.contains("the agent's socket DIR/gone.sock is not there"), "{said}");
    drop(agent);
}

#[test]
fn the_lines_to_try_name_the_configuration_and_hold_no_token() {
    use std::io::{BufRead, BufReader};
    let device = Device::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["run", "--sandbox", "--sandbox-listen", "127.0.0.1:0", "-c", "agent.toml"])
        .current_dir(device.dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut greeting = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        greeting.push(line.unwrap());
        if greeting.last().unwrap().contains(" status ") && greeting.len() > 5 {
            break;
        }
    }
    let token = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let said = greeting.join("\n");
    assert!(!said.contains(token.trim()), "{said}");
    for line in greeting.iter().filter(|line| line.contains(" status -")) {
        assert!(line.contains("-c 'agent.toml' --sandbox --sandbox-listen 127.0.0.1:0"), "{line}");
    }
}

#[test]
fn a_level_that_holds_for_a_while_outlasts_a_reload_and_is_bounded() {
    let device = Device::new();
    let agent = device.run();
    let level = || {
        let token = std::fs::read_to_string(device.dir.path().join("data/intake.token")).unwrap();
        let link = device.works(&["status", "--open"]);
        let base = reqwest::Url::parse(link.lines().next().unwrap()).unwrap().origin().ascii_serialization();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        runtime.block_on(async {
            let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
            let answer = http.get(format!("{base}/v1/log")).bearer_auth(token.trim()).send().await.unwrap();
            answer.json::<Value>().await.unwrap()["level"].as_str().unwrap().to_owned()
        })
    };
    device.works(&["log", "debug", "--for", "10m"]);
    device.works(&["reload"]);
    device.works(&["token", "create", "till", "--right", "record"]);
    assert_eq!(level(), "debug");
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{config}\n[log]\nlevel = \"warn\"\n"));
    device.works(&["reload"]);
    assert_eq!(level(), "warn");
    for time in ["48h", "0s", "900ms"] {
        let (code, words) = device.fails(&["log", "debug", "--for", time]);
        assert!(code == Some(2) && words.contains("from 1 s to 86400 s (24 h)"), "{words}");
    }
    drop(agent);
}

#[test]
fn the_log_says_when_events_are_accepted_again() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{config}\n[store]\nmin_free_disk = \"1TiB\"\n"));
    let agent = device.run();
    let record = ["record", "--type", "com.acme.note", "--data", r#"{"card":"7","note":"x"}"#];
    let (code, said) = device.fails(&record);
    assert!(code == Some(1) && said.contains("min_free_disk"), "{said}");
    device.write("agent.toml", &format!("{config}\n[store]\nmin_free_disk = \"0B\"\n"));
    device.works(&["reload"]);
    let begun = std::time::Instant::now();
    let is_logged = || {
        let files = std::fs::read_dir(device.dir.path().join("data/log")).unwrap();
        let holds = |path: &std::path::Path| {
            std::fs::read_to_string(path).is_ok_and(|text| text.contains("events are accepted again"))
        };
        files.map(|file| file.unwrap().path()).any(|path| holds(&path))
    };
    while !is_logged() {
        assert!(begun.elapsed() < crate::support::PATIENCE, "it should be logged");
        drop(device.outpost(&record));
    }
    device.works(&record);
    drop(agent);
}

#[test]
fn a_token_that_is_revoked_or_replaced_takes_those_before_it_along() {
    let device = Device::new();
    let names = || {
        let listed: Value = serde_json::from_str(&device.works(&["token", "list", "--json"])).unwrap();
        listed.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    device.works(&["token", "create", "till", "--right", "record"]);
    device.works(&["token", "rotate", "till", "--grace", "1h"]);
    device.works(&["token", "rotate", "till", "--grace", "1h"]);
    assert_eq!(names(), ["intake", "till", "till before"], "one is enough for programs that have yet to change");
    device.works(&["token", "revoke", "till"]);
    assert_eq!(names(), ["intake"]);
    device.works(&["token", "rotate", "--grace", "1h"]);
    device.works(&["token", "rotate"]);
    assert_eq!(names(), ["intake"]);
}

#[test]
fn a_watched_status_is_one_document_a_line() {
    use std::io::BufRead;
    let device = Device::new();
    let agent = device.run();
    let mut watching = std::process::Command::new(env!("CARGO_BIN_EXE_outpost"))
        .args(["status", "--json", "--watch"])
        .current_dir(device.dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(watching.stdout.take().unwrap()).lines();
    for line in lines.take(2) {
        let status: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(status["is_running"], true);
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
    drop(agent);
}
