//! A number keeps its digits from the wire to Target, or its event is rejected with the reason.

use std::fs;
use std::sync::Arc;

use outpost::core::mapping::{Mappings, Meaning};
use outpost::core::operation::Stamp;
use outpost::device::clock::Clock;
use outpost::intake::{cloudevents, event_at};
use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::device::Device;
use crate::support::{STRUCTURED, Setup, mappings};

const MAPPING: &str = r#"
[target]
client_code = "acme"
mode = "single"
shared_profiles = false
[[mapping]]
name = "paid"
event = "paid"
when = "data.total > -1e300"
identity = { third_party_id = "data.card" }
add = { spend = "data.total" }
set = { last = "data.total" }
max = { most = "data.total" }
[[mapping]]
name = "deep"
event = "deep"
identity = { third_party_id = "data.card" }
set = { value = "data.a.b[1].c" }
[[mapping]]
name = "twice"
event = "twice"
identity = { third_party_id = "data.card" }
add = { twice = "data.total * 2 + 0.1" }
"#;

fn event(id: &str, event_type: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/till","type":"{event_type}","data":{data}}}"#)
}

fn device() -> Device {
    let device = Device::new();
    let config = MAPPING.replace("[target]\n", "[target]\nendpoint = \"http://127.0.0.1:9\"\n");
    device.write("agent.toml", &format!("[agent]\ndata_dir = \"data\"\n{config}"));
    device
}

/// Attributes of a profile as name and value.
fn values(profile: &Value) -> Vec<(String, String)> {
    let attributes = profile["attributes"].as_array().unwrap().iter();
    let mut values: Vec<_> = attributes
        .map(|attribute| {
            let text = |name: &str| attribute[name].as_str().unwrap().to_owned();
            (text("name"), text("value"))
        })
        .collect();
    values.sort();
    values
}

fn held(device: &Device, card: &str, name: &str) -> Option<String> {
    let profile = device.works(&["explain", "--json", &format!("third_party_id:{card}")]);
    let values = values(&serde_json::from_str(&profile).unwrap());
    values.into_iter().find(|(held, _)| held == name).map(|(_, value)| value)
}

#[tokio::test]
async fn the_number_7777777777777777777777777777_keeps_its_digits_to_target() {
    let fixture = Setup { mappings: MAPPING.to_owned(), ..Setup::default() }.start().await;
    for (card, written, expected) in [
        ("1", "7777777777777777777777777777", "7777777777777777777777777777"),
        ("2", "0.1234567890123456789", "0.1234567890123456789"),
        ("3", "12345678901234567.89", "12345678901234567.89"),
        ("4", "1e-28", "0.0000000000000000000000000001"),
        ("5", "1E+3", "1000"),
        ("6", "-0", "0"),
        ("7", "1.0", "1"),
        ("8", "-9223372036854775809", "-9223372036854775809"),
        ("9", "18446744073709551616.5", "18446744073709551616.5"),
    ] {
        let body = event(card, "paid", &format!(r#"{{"card":"{card}","total":{written}}}"#));
        let answer: Value = fixture.agent.post(STRUCTURED, body).await.json().await.unwrap();
        assert_eq!(answer["events"][0]["status"], "recorded", "{written}: {answer}");
        fixture.wait_held(card, "last", expected).await;
        fixture.wait_held(card, "spend", expected).await;
        fixture.wait_held(card, "most", expected).await;
    }
    let deep = r#"{"card":"deep","a":{"b":[1,{"c":98765432109876543210.123}]}}"#;
    assert_eq!(fixture.agent.post(STRUCTURED, event("d", "deep", deep)).await.status(), StatusCode::OK);
    fixture.wait_held("deep", "value", "98765432109876543210.123").await;
}

#[tokio::test]
async fn a_number_of_more_digits_than_a_sum_takes_rejects_its_event_with_the_reason() {
    let fixture = Setup { mappings: MAPPING.to_owned(), ..Setup::default() }.start().await;
    let total = "123456789012345678901234567890.12345";
    let body = event("1", "paid", &format!(r#"{{"card":"1","total":{total}}}"#));
    let answer: Value = fixture.agent.post(STRUCTURED, body).await.json().await.unwrap();
    assert_eq!(answer["events"][0]["status"], "rejected");
    let reason = answer["events"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("at most 28 digits") && !reason.contains(total), "{reason}");
    let list: Value =
        fixture.agent.request(reqwest::Method::GET, "/v1/rejected").send().await.unwrap().json().await.unwrap();
    let path = format!("/v1/rejected/{}", list["rejected"][0]["id"]);
    let shown = fixture.agent.request(reqwest::Method::GET, &path).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains(total), "the journal keeps the digits: {shown}");
    let answer = fixture.agent.post(STRUCTURED, event("2", "paid", r#"{"card":"1","total":1e400}"#)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.unwrap().contains("out of range"));
}

#[test]
fn adding_1e_minus_28_to_1000_is_refused_and_not_lost() {
    let device = device();
    let record = |total: &str| {
        let data = format!(r#"{{"card":"1","total":{total}}}"#);
        device.outpost(&["record", "--type", "paid", "--data", &data])
    };
    record("1000");
    let refused = record("1e-28");
    let words = crate::device::text(&refused.stderr);
    assert!(words.contains("the sum has more than 28 digits"), "{words}");
    assert_eq!(held(&device, "1", "spend").as_deref(), Some("1000"));
    record("0.001");
    assert_eq!(held(&device, "1", "spend").as_deref(), Some("1000.001"));
    let shown = device.works(&["rejected", "show", "1"]);
    assert!(shown.contains("1e-28"), "{shown}");
}

#[test]
fn every_way_in_keeps_the_digits_of_a_number() {
    const DIGITS: &str = "12345678901234567.891";
    let device = device();
    let data = |card: &str| format!(r#"{{"card":"{card}","total":{DIGITS}}}"#);
    device.works(&["record", "--type", "paid", "--data", &data("flag")]);
    device.write("events.ndjson", &(event("a", "paid", &data("lines")) + "\n"));
    device.works(&["record", "--batch", "events.ndjson"]);
    device.write("events.json", &format!("[{}]", event("b", "paid", &data("array"))));
    device.works(&["record", "--batch", "events.json"]);
    for card in ["flag", "lines", "array"] {
        assert_eq!(held(&device, card, "last").as_deref(), Some(DIGITS), "{card}");
    }
    let config = fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    let folder = "[intake.http]\nlisten = \"127.0.0.1:0\"\n[intake.folder]\npath = \"drop\"\nquiet = \"10ms\"\ntype = \"paid\"\n[intake.folder.csv]\nnumbers = [\"data.total\"]\n";
    device.write("agent.toml", &config.replacen("[target]", &format!("{folder}[target]"), 1));
    let drop_dir = device.dir.path().join("drop");
    fs::create_dir(&drop_dir).unwrap();
    fs::write(drop_dir.join("a.csv"), format!("card;total\ncsv;{DIGITS}\n")).unwrap();
    fs::write(drop_dir.join("b.ndjson"), event("c", "paid", &data("dropped")) + "\n").unwrap();
    let agent = device.run();
    let done = |name: &str| drop_dir.join("done").join(name).exists();
    while !(done("a.csv") && done("b.ndjson")) {
        std::thread::yield_now();
    }
    drop(agent);
    for card in ["csv", "dropped"] {
        assert_eq!(held(&device, card, "last").as_deref(), Some(DIGITS), "{card}");
    }
}

#[tokio::test]
async fn a_number_in_binary_mode_and_in_base64_keeps_its_digits() {
    let fixture = Setup { mappings: MAPPING.to_owned(), ..Setup::default() }.start().await;
    let data = r#"{"card":"binary","total":12345678901234567.891}"#;
    let request = fixture.agent.request(reqwest::Method::POST, "/v1/events").header("content-type", "application/json");
    let request = request.header("ce-specversion", "1.0").header("ce-id", "1").header("ce-source", "/till");
    let answer = request.header("ce-type", "paid").body(data).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    fixture.wait_held("binary", "last", "12345678901234567.891").await;
    // {"card":"64","total":0.1234567890123456789}
    let encoded = "eyJjYXJkIjoiNjQiLCJ0b3RhbCI6MC4xMjM0NTY3ODkwMTIzNDU2Nzg5fQ==";
    let body = json!({
        "specversion": "1.0", "id": "2", "source": "/till", "type": "paid",
        "datacontenttype": "application/json", "data_base64": encoded
    });
    assert_eq!(fixture.agent.post(STRUCTURED, body.to_string()).await.status(), StatusCode::OK);
    fixture.wait_held("64", "last", "0.1234567890123456789").await;
}

/// The exact value of a literal, without exponent and needless zeros: by moving its point in the text.
fn canonical(negative: bool, whole: &str, fraction: &str, exponent: i32) -> String {
    let mut digits = format!("{whole}{fraction}");
    let mut point = whole.len() as i32 + exponent;
    while point < 0 {
        digits.insert(0, '0');
        point += 1;
    }
    while (digits.len() as i32) < point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at(point as usize);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    if negative && text != "0" { format!("-{text}") } else { text }
}

/// A literal of JSON of up to 40 digits, and its exact value.
fn literal() -> impl Strategy<Value = (String, String)> {
    let exponent = prop_oneof![3 => Just(None), 1 => (-40_i32..40).prop_map(Some)];
    let parts = (proptest::bool::ANY, "0|[1-9][0-9]{0,19}", "[0-9]{0,20}", exponent, proptest::bool::ANY);
    parts.prop_map(|(negative, whole, fraction, exponent, is_upper)| {
        let sign = if negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        let e = if is_upper { "E" } else { "e" };
        let power = exponent.map_or_else(String::new, |exponent| format!("{e}{exponent}"));
        let value = canonical(negative, &whole, &fraction, exponent.unwrap_or(0));
        (format!("{sign}{whole}{point}{fraction}{power}"), value)
    })
}

/// What the changes of an event leave in an empty profile, by name; none if the event is rejected.
fn stored(mappings: &Mappings, total: &str) -> Option<Vec<(String, String)>> {
    let json = event("1", "paid", &format!(r#"{{"card":"1","total":{total}}}"#));
    let (event, _) = event_at(cloudevents::structured(json.as_bytes()).ok()?, &Clock::new(None));
    let Meaning::Changes(profiles) = mappings.meaning(&event) else { return None };
    let stamp = Stamp { time: event.time, seq: 1 };
    let held = |change: &outpost::core::operation::Change| {
        let held = change.operation.change(None, &change.value, stamp).ok()??;
        Some((change.name.as_str().to_owned(), held.value))
    };
    profiles[0].changes.iter().map(held).collect()
}

proptest! {
    /// Whatever number an event holds, its exact value is stored or the event is rejected.
    #[test]
    fn what_is_stored_of_a_number_is_its_exact_value((written, value) in literal()) {
        thread_local!(static MAPPINGS: Arc<Mappings> = mappings(MAPPING));
        let stored = MAPPINGS.with(|mappings| stored(mappings, &written));
        let digits = value.chars().filter(char::is_ascii_digit).count();
        prop_assert!(stored.is_some() || digits > 28, "{} was rejected", written);
        for (name, found) in stored.into_iter().flatten() {
            prop_assert_eq!(&found, &value, "{} of {}", name, written);
        }
    }

    /// Arithmetic in a mapping is exact, or the event is rejected.
    #[test]
    fn what_is_computed_of_numbers_is_exact((a, exact_a) in literal(), (b, exact_b) in literal()) {
        thread_local!(static MAPPINGS: Arc<Mappings> = mappings(&MAPPING.replace(
            "set = { last = \"data.total\" }\nmax = { most = \"data.total\" }",
            "set = { back = \"data.total[0] + data.total[1] - data.total[1]\", over = \"data.total[0] >= data.total[1]\" }",
        ).replace("data.total\" }", "data.total[0]\" }").replace("when = \"data.total >", "when = \"data.total[0] >")));
        if let Some(stored) = MAPPINGS.with(|mappings| stored(mappings, &format!("[{a},{b}]"))) {
            let found = |name: &str| stored.iter().find(|(stored, _)| stored == name).map(|(_, value)| value.as_str());
            prop_assert_eq!(found("back"), Some(exact_a.as_str()), "{} + {} - {}", a, b, b);
            if exact_a == exact_b {
                prop_assert_eq!(found("over"), Some("true"));
            }
        }
    }
}

#[test]
fn arithmetic_on_a_long_number_is_exact() {
    let device = device();
    let data = r#"{"card":"1","total":7777777777777777777777777.05}"#;
    device.works(&["record", "--type", "twice", "--data", data]);
    assert_eq!(held(&device, "1", "twice").as_deref(), Some("15555555555555555555555554.2"));
}

#[tokio::test]
async fn a_text_that_is_a_number_counts_as_one_and_another_text_is_an_error() {
    let conditions = MAPPING.replace("data.total > -1e300", "data.total > 0");
    let fixture = Setup { mappings: conditions, ..Setup::default() }.start().await;
    let record = async |id: &str, total: &str| {
        let answer =
            fixture.agent.post(STRUCTURED, event(id, "paid", &format!(r#"{{"card":"7","total":{total}}}"#))).await;
        let answer: Value = answer.json().await.unwrap();
        (answer["events"][0]["status"].clone(), answer["events"][0]["reason"].clone())
    };
    assert_eq!(record("1", "\"12.50\"").await.0, "recorded");
    let not_true = json!("`when` of mapping \"paid\" is not true: data.total > 0");
    assert_eq!(record("2", "\"-5\"").await, (json!("unmapped"), not_true));
    let (status, reason) = record("3", "\"12,50\"").await;
    assert_eq!(status, "rejected");
    assert!(reason.as_str().unwrap().contains("a text that is no number is compared with a number"), "{reason}");
    let (status, reason) = record("4", "null").await;
    assert!(status == "rejected" && reason.as_str().unwrap().contains("values of two kinds are compared"), "{reason}");
    fixture.wait_held("7", "spend", "12.5").await;
}

const STRICT: &str = r#"
[target]
client_code = "acme"
endpoint = "http://127.0.0.1:9"
shared_profiles = false
[[mapping]]
name = "sum"
event = "sum"
identity = { third_party_id = "data.card" }
add = { sum = "data.net + data.tax" }
[[mapping]]
name = "trimmed"
event = "trimmed"
identity = { third_party_id = "data.card | trim" }
set = { name = "'n/' ~ data.name" }
[[mapping]]
name = "flag"
event = "flag"
when = "data.member"
identity = { third_party_id = "data.card" }
set = { member = "'yes' if data.member == true else 'no'" }
"#;

/// What an event came to: the key that it was recorded for, or the words of why it was not.
fn came_to(device: &Device, event_type: &str, data: &str) -> String {
    let said = device.outpost(&["record", "--type", event_type, "--data", data]);
    assert_eq!(said.status.code(), Some(0), "{data}");
    String::from_utf8(said.stderr).unwrap()
}

#[test]
fn a_value_of_another_kind_than_an_expression_needs_is_an_error_of_its_event() {
    let device = Device::new();
    device.write("agent.toml", &format!("[agent]\ndata_dir = \"data\"\n{STRICT}"));
    assert_eq!(came_to(&device, "sum", r#"{"card":"1","net":"10","tax":"2"}"#), "");
    assert_eq!(held(&device, "1", "sum").as_deref(), Some("12"));
    let words = came_to(&device, "sum", r#"{"card":"1","net":"10,50","tax":"2"}"#);
    assert!(words.contains("a text that is no number is computed with; `~` joins texts"), "{words}");
    for card in ["null", "true", "[1]", r#"{"a":1}"#] {
        let words = came_to(&device, "trimmed", &format!(r#"{{"card":{card},"name":"x"}}"#));
        assert!(words.contains("rejected") && words.contains("a text is needed, and there is"), "{card}: {words}");
        let words = came_to(&device, "trimmed", &format!(r#"{{"card":"2","name":{card}}}"#));
        assert!(words.contains("rejected") && words.contains("a text is needed, and there is"), "{card}: {words}");
    }
    assert_eq!(came_to(&device, "trimmed", r#"{"card":4711.0,"name":7.0}"#), "");
    assert_eq!(held(&device, "4711", "name").as_deref(), Some("n/7"));
    let words = came_to(&device, "flag", r#"{"card":"3","member":"false"}"#);
    assert!(words.contains("rejected") && words.contains("a text is used as true or false"), "{words}");
    assert_eq!(came_to(&device, "flag", r#"{"card":"3","member":true}"#), "");
    assert_eq!(held(&device, "3", "member").as_deref(), Some("yes"));
}

#[test]
fn an_identity_that_is_a_whole_number_is_one_however_it_is_written() {
    let device = device();
    for card in ["47110", "47110.0", "4.711e4", "47110.000000000000000000"] {
        device.works(&["record", "--type", "paid", "--data", &format!(r#"{{"card":{card},"total":1}}"#)]);
    }
    assert_eq!(held(&device, "47110", "spend").as_deref(), Some("4"));
    device.works(&["record", "--type", "paid", "--data", r#"{"card":-0,"total":1}"#]);
    device.works(&["record", "--type", "paid", "--data", r#"{"card":0.0,"total":1}"#]);
    assert_eq!(held(&device, "0", "spend").as_deref(), Some("2"));
}
