//! What is said of one person: what arrived, what did not and why, and whose part of a total is whose.

use outpost::core::forwarding::route::Mode;
use outpost::inspect::verify::Verification;
use outpost::sandbox::target::Unknown;
use reqwest::Method;
use serde_json::{Value, json};

use crate::device::{Device, text};
use crate::process::start_sandbox;
use crate::support::{Fixture, MAPPINGS, Setup, noted, rules, used};
use crate::target::{learn, setup, visit};

async fn verify(fixture: &Fixture, card: &str) -> Value {
    let path = format!("/v1/profiles/third_party_id/{card}/verify");
    fixture.agent.request(Method::POST, &path).send().await.unwrap().json().await.unwrap()
}

fn named<'d>(document: &'d Value, name: &str) -> &'d Value {
    document["attributes"].as_array().unwrap().iter().find(|attribute| attribute["name"] == name).unwrap()
}

async fn page(fixture: &Fixture, identity: &str) -> String {
    let path = format!("/page/profile?identity={identity}");
    fixture.agent.request(Method::GET, &path).send().await.unwrap().text().await.unwrap()
}

#[test]
fn the_number_on_a_card_alone_is_a_third_party_id() {
    let device = Device::new();
    device.record_use("7");
    assert_eq!(device.works(&["explain", "7"]), device.works(&["explain", "third_party_id:7"]));
    assert!(device.works(&["forget", "7"]).starts_with("erased 3 attributes"));
    let (code, said) = device.fails(&["explain", "card:7"]);
    assert!(code == Some(2) && said.contains("third_party_id:KEY"), "{said}");
}

#[test]
fn rejected_things_are_listed_by_reason_with_their_type_and_number() {
    let device = Device::new();
    device.record_use("7");
    device.works(&["record", "--type", "com.acme.note", "--data", "{}"]);
    let total = r#"{"card":"7","store":"Lund","total":"much"}"#;
    device.works(&["record", "--type", "com.acme.loyalty.used", "--data", total]);
    device.works(&["record", "--type", "com.acme.note", "--data", r#"{"card":"7"}"#]);
    let list = device.works(&["rejected", "list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 5, "{list}");
    assert!(lines[0].starts_with("mapping_failed: 2"), "{list}");
    assert!(lines[1].contains("event 2") && lines[1].contains("com.acme.note"), "{list}");
    assert!(lines[2].contains("event 4"), "{list}");
    assert!(lines[3].starts_with("coalesce_failed: 1") && lines[4].contains("com.acme.loyalty.used"), "{list}");
}

#[test]
fn a_retry_keeps_the_time_of_the_first_rejection() {
    let device = Device::new();
    device.works(&["record", "--type", "com.acme.note", "--data", "{}"]);
    let at = || {
        let list: Value = serde_json::from_str(&device.works(&["rejected", "list", "--json"])).unwrap();
        list["rejected"][0]["rejected_at"].clone()
    };
    let first = at();
    assert_eq!(device.fails(&["rejected", "retry", "1"]).0, Some(1));
    assert_eq!(at(), first);
}

#[tokio::test]
async fn verify_compares_what_is_held_now_and_names_what_target_refused() {
    let fixture = Setup { updates_per_day: 2, ..setup() }.start().await;
    learn(&fixture, "7");
    learn(&fixture, "8");
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.wait_held("7", "note", "a").await;
    fixture.sandbox.target().faults = "refuse=note".parse().unwrap();
    fixture.agent.record(&noted("2", "8", "a")).await;
    fixture.agent.wait_status(|status| status.rejected.updates == 1).await;
    fixture.agent.record(&noted("3", "7", "b")).await;
    let (held, refused) = (verify(&fixture, "7").await, verify(&fixture, "8").await);
    let note = named(&held, "note");
    assert_eq!((&note["here"], &note["there"], &note["verdict"]), (&json!("b"), &json!("a"), &json!("not_sent")));
    assert_eq!(named(&held, "other")["verdict"], "arrived");
    assert_eq!(named(&refused, "note")["verdict"], "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_fails_where_something_has_not_arrived() {
    let ((sandbox, address), _stop) = start_sandbox(Unknown::Accept).await;
    let device = Device::new();
    let mappings = MAPPINGS.replace("[target]\n", &format!("[target]\nendpoint = \"http://{address}\"\n"));
    let agent = format!("[agent]\ndata_dir = \"data\"\n[intake.http]\nlisten = \"127.0.0.1:0\"\n{mappings}");
    device.write("agent.toml", &agent);
    let agent = device.run();
    device.record_use("7");
    while device.status()["delivered"]["updates"] != 1 {}
    let arrived = device.works(&["verify", "7"]);
    assert!(arrived.contains("visits: arrived"), "{arrived}");
    sandbox.target().faults = "refuse=visits".parse().unwrap();
    device.record_use("7");
    while device.status()["rejected"]["updates"] != 1 {}
    drop(agent);
    let output = device.outpost(&["verify", "7"]);
    let (said, why) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), said.contains("visits: refused")), (Some(1), true), "{said}");
    assert!(why.contains("2 of 3 values have not arrived"), "{why}");
    assert!(device.works(&["verify", "--help"]).contains("1 a value has not arrived"));
}

#[tokio::test]
async fn a_total_is_told_in_the_parts_of_this_device_and_of_others() {
    let fixture = setup().start().await;
    learn(&fixture, "7");
    visit(&fixture, "7", "visits", "13");
    let events: Vec<Value> = (1..=8).map(|id| used(&id.to_string(), "7", "Lund", 1.0)).collect();
    fixture.agent.record_batch(&events).await;
    fixture.wait_held("7", "visits", "21").await;
    fixture.agent.wait_drained().await;
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7").await;
    let visits = named(&profile, "visits");
    assert_eq!(
        (&visits["value"], &visits["elsewhere"], &visits["sent_value"]),
        (&json!("8"), &json!("13"), &json!("21"))
    );
    assert!(page(&fixture, "7").await.contains("8 here, 13 elsewhere, sent 21"));
    let verified = verify(&fixture, "7").await;
    let visits = named(&verified, "visits");
    assert_eq!((&visits["here"], &visits["sent"], &visits["verdict"]), (&json!("8"), &json!("21"), &json!("arrived")));
    let spend = named(&verified, "spend");
    assert_eq!((&spend["here"], &spend["sent"]), (&json!("8"), &Value::Null));
}

#[test]
fn an_event_is_shown_once_where_one_mapping_hashes_the_identity_and_another_does_not() {
    let device = Device::new();
    let plain = "[[mapping]]\nname = \"plain\"\nevent = \"plain\"\nidentity = { third_party_id = \"data.card\" }\nset = { a = \"data.card\" }\n";
    let hashed = plain.replace("plain", "hashed").replace("a =", "b =") + "hash = \"hmac-sha256\"\n";
    let key = format!("[privacy]\nkey = \"{}\"\n", "7".repeat(64));
    let target = "[agent]\ndata_dir = \"data\"\n[target]\nclient_code = \"acme\"\n";
    device.write("agent.toml", &format!("{target}{key}{plain}{hashed}"));
    for id in ["1", "2"] {
        device.works(&["record", "--type", "mistyped", "--id", id, "--data", r#"{"card":"7"}"#]);
    }
    device.works(&["record", "--type", "mistyped", "--id", "1", "--data", r#"{"card":"7"}"#]);
    let said = device.works(&["explain", "7"]);
    let shown = |text: &str| said.lines().filter(|line| line.contains("mistyped") && line.ends_with(text)).count();
    assert_eq!((shown("  1"), shown("  2")), (2, 1), "unmapped and a duplicate, and unmapped: {said}");
    assert!(said.find("unmapped").unwrap() > said.find("duplicate").unwrap(), "newest first: {said}");
}

#[test]
fn times_in_all_parts_of_explain_are_in_the_zone_of_the_device() {
    let device = Device::new();
    let data = r#"{"card":"7","note":"b"}"#;
    let record = |kind: &str| {
        device.works(&["record", "--type", kind, "--id", kind, "--time", "2026-01-01T00:00:00Z", "--data", data]);
    };
    for kind in ["com.acme.note", "com.acme.note", "com.acme.mistyped"] {
        record(kind);
    }
    let mut command = crate::device::outpost(device.dir.path());
    let said = text(&command.env("TZ", "Europe/Stockholm").args(["explain", "7"]).output().unwrap().stdout);
    assert!(said.contains("unmapped") && said.contains("duplicate"), "{said}");
    assert_eq!(said.matches("2026-01-01 01:00:00 CET").count(), 5, "{said}");
    assert!(!said.split_whitespace().any(|word| word.trim_end_matches([',', ':', ';']).ends_with("00Z")), "{said}");
    assert!(!said.contains("Z,") && !said.contains("Z;"), "{said}");
}

#[tokio::test]
async fn verify_tells_what_is_in_flight_from_what_has_not_arrived() {
    let fixture = Setup { faults: "batch-slow=1h", forwarding: rules(Mode::Auto), ..setup() }.start().await;
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "submitted")).await;
    let verified = verify(&fixture, "7").await;
    assert_eq!(named(&verified, "note")["verdict"], "in_flight");
    let shortfall = |document: Value| serde_json::from_value::<Verification>(document).unwrap().shortfall();
    assert_eq!(shortfall(verified).as_deref(), Some("2 of 2 values are in flight"));
    fixture.agent.record(&noted("2", "7", "b")).await;
    let verified = verify(&fixture, "7").await;
    assert_eq!(shortfall(verified).as_deref(), Some("1 of 2 values has not arrived, and 1 is in flight"));
}

fn statuses(profile: &Value) -> Vec<(&str, &str)> {
    let events = profile["without_effect"].as_array().unwrap().iter();
    events.map(|it| (it["event"]["id"].as_str().unwrap(), it["status"].as_str().unwrap())).collect()
}

/// Events of one person of which some change nothing: six are recorded, one of them comes three times, two are unmapped, and
/// one is rejected.
async fn seven_and_not_eight() -> Fixture {
    let mappings =
        MAPPINGS.replace("event = \"com.acme.loyalty.*\"", "event = \"com.acme.loyalty.*\"\nwhen = \"data.total > 0\"");
    let fixture = Setup { mappings, ..Setup::default() }.start().await;
    let mut events: Vec<Value> = (1..=6).map(|id| used(&id.to_string(), "7", "Lund", 1.0)).collect();
    let mut mistyped = used("mistyped", "7", "Lund", 1.0);
    mistyped["type"] = json!("com.acme.loyality.used");
    let mut wrong = used("wrong", "7", "Lund", 1.0);
    wrong["data"].as_object_mut().unwrap().remove("store");
    events.extend([used("3", "7", "Lund", 1.0), used("free", "7", "Lund", 0.0), mistyped, wrong]);
    events.extend([used("3", "7", "Lund", 1.0), used("other", "8", "Lund", 0.0)]);
    fixture.agent.record_batch(&events).await;
    fixture.agent.wait_drained().await;
    fixture
}

#[tokio::test]
async fn the_events_of_a_person_that_changed_nothing_are_shown_with_the_reason() {
    let fixture = seven_and_not_eight().await;
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7").await;
    assert_eq!(named(&profile, "visits")["value"], "6");
    let expected = [("wrong", "rejected"), ("mistyped", "unmapped"), ("free", "unmapped"), ("3", "duplicate")];
    assert_eq!(statuses(&profile), expected);
    let events = profile["without_effect"].as_array().unwrap();
    assert_eq!((&events[0]["rejected_id"], &events[3]["times"]), (&json!(1), &json!(2)));
    for (event, reason) in [(0, "data.store is not in the event"), (1, "the nearest is"), (2, "`when` of mapping")] {
        assert!(events[event]["reason"].as_str().unwrap().contains(reason), "{profile}");
    }
    let page = page(&fixture, "7").await;
    assert!(page.contains("com.acme.loyality.used") && page.contains("a duplicate, received 2 times more"), "{page}");
    let (_, other) = fixture.agent.get("/v1/profiles/third_party_id/8").await;
    assert_eq!((statuses(&other), &other["attributes"]), (vec![("other", "unmapped")], &json!([])));
}

#[tokio::test]
async fn what_is_said_of_a_person_is_in_the_language_of_the_browser() {
    let fixture = seven_and_not_eight().await;
    for (language, words) in [
        ("de", ["Letzte Ereignisse ohne Wirkung", "kam noch 2-mal, zuletzt am ", "abgelehnt als Nummer 1: "]),
        ("fr", ["Derniers événements sans effet", "revenu 2 fois, la dernière le ", "rejeté sous le numéro 1: "]),
        ("es", ["Últimos eventos sin efecto", "llegó 2 veces más, la última el ", "rechazado con el número 1: "]),
        ("sv", ["Senaste händelser utan verkan", "kom 2 gånger till, senast ", "avvisad som nummer 1: "]),
    ] {
        let request =
            fixture.agent.request(Method::GET, "/page/profile?identity=7").header("accept-language", language);
        let page = request.send().await.unwrap().text().await.unwrap();
        assert!(words.iter().all(|words| page.contains(words)), "{language}: {page}");
    }
}

#[tokio::test]
async fn what_is_forgotten_takes_the_notes_of_what_changed_nothing_with_it_and_nobody_elses() {
    let fixture = seven_and_not_eight().await;
    let path = "/v1/profiles/third_party_id/7";
    let forgotten: Value = fixture.agent.request(Method::DELETE, path).send().await.unwrap().json().await.unwrap();
    // Of the mistyped one the journal keeps nothing that tells whose it is: the note does.
    assert_eq!(
        (&forgotten["events"], &forgotten["duplicates"], &forgotten["rejected"]),
        (&json!(9), &json!(1), &json!(1))
    );
    let (_, gone) = fixture.agent.get(path).await;
    assert!(gone["detail"].as_str().unwrap().contains("but for a note that it was forgotten on"), "{gone}");
    let (_, other) = fixture.agent.get("/v1/profiles/third_party_id/8").await;
    assert_eq!(statuses(&other), [("other", "unmapped")]);
    let connection = rusqlite::Connection::open(fixture.dir.path().join("outpost.db")).unwrap();
    let noted: i64 = connection.query_row("SELECT count(*) FROM without_effect", [], |row| row.get(0)).unwrap();
    assert_eq!(noted, 1);
    // A repeated event of a person who was forgotten is noted again, and found by forgetting again.
    assert_eq!(fixture.agent.record(&used("1", "7", "Lund", 1.0)).await["status"], "duplicate");
    let (_, again) = fixture.agent.get(path).await;
    assert_eq!(again["without_effect"][0]["status"], "duplicate");
    let forgotten: Value = fixture.agent.request(Method::DELETE, path).send().await.unwrap().json().await.unwrap();
    assert_eq!((&forgotten["events"], &forgotten["duplicates"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn an_event_that_was_rejected_and_is_recorded_since_is_no_longer_without_effect() {
    let mut fixture = seven_and_not_eight().await;
    let mappings = fixture.setup.mappings.replace("\"data.store\"", "\"data.store | default('-')\"");
    fixture.restart_with(Setup { mappings, ..Setup::default() }).await;
    fixture
        .agent
        .record(&json!({ "specversion": "1.0", "id": "wrong", "source": "/kiosk/3", "type": "com.acme.loyalty.used",
        "data": { "card": "7", "total": 1.0 } }))
        .await;
    let retried = fixture.agent.request(Method::POST, "/v1/rejected/1/retry").send().await.unwrap();
    assert_eq!(retried.json::<Value>().await.unwrap()["status"], "recorded");
    let (_, profile) = fixture.agent.get("/v1/profiles/third_party_id/7").await;
    assert_eq!(named(&profile, "visits")["value"], "7");
    assert_eq!(statuses(&profile)[0], ("wrong", "duplicate"));
    assert!(statuses(&profile).iter().all(|(_, status)| *status != "rejected"), "{profile}");
}

#[test]
fn it_is_not_said_that_nothing_is_held_where_forgetting_would_find_something() {
    let device = Device::new();
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write(
        "agent.toml",
        &config.replace("event = \"com.acme.loyalty.*\"", "event = \"com.acme.loyalty.*\"\nwhen = \"data.total > 5\""),
    );
    device.record_use("7");
    // As of an event from before there were notes.
    let connection = rusqlite::Connection::open(device.dir.path().join("data/outpost.db")).unwrap();
    connection.execute("DELETE FROM without_effect", []).unwrap();
    drop(connection);
    let held = device.works(&["explain", "7"]);
    assert!(held.contains("no attribute") && held.contains("com.acme.loyalty.used"), "{held}");
    assert!(device.works(&["forget", "7"]).starts_with("erased 0 attributes (0 of them not yet delivered), 1 event,"));
    let (code, said) = device.fails(&["explain", "7"]);
    assert!(code == Some(1) && said.contains("has nothing about that identity, but for a note"), "{said}");
    assert!(device.works(&["forget", "7"]).starts_with("this device has nothing about that identity\n"));
    let (_, said) = device.fails(&["explain", "8"]);
    assert_eq!(said, "outpost: this device has nothing about that identity\n");
}

#[tokio::test]
async fn a_refused_update_that_is_refused_again_keeps_its_first_time() {
    let fixture = Setup { faults: "refuse=note", ..Setup::default() }.start().await;
    fixture.agent.record(&noted("1", "7", "a")).await;
    fixture.agent.wait_status(|status| status.rejected.updates == 1).await;
    let rejected = async || fixture.agent.get("/v1/rejected").await.1["rejected"][0].clone();
    let first = rejected().await;
    fixture.agent.request(Method::POST, "/v1/rejected/1/retry").send().await.unwrap();
    fixture.agent.wait_status(|status| status.rejected.updates == 1).await;
    let again = rejected().await;
    assert_eq!((&again["rejected_at"], &again["id"]), (&first["rejected_at"], &json!(2)));
}
