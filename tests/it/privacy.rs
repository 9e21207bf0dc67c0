//! What is kept of people, and what takes its place: looked for in every file of the data directory.

use std::path::Path;

use outpost::config::{Config, Sources};
use outpost::core::verdict::Level;
use outpost::store::FILE_NAME;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Fixture, Setup, files_with, used};

/// Keys that stand nowhere by chance.
const CARD: &str = "4711-0815-my-card";
const MAIL: &str = "Anna@Private.example";
const ADDRESS: &str = "Secret Street 7";

/// HMAC-SHA256 of `47110815` and of `anna@private.example` under 32 bytes of 7; made with another program.
const CARD_HASH: &str = "94d4423cb67dee997c000bda5f1ff12d6e2b388a411deb8364a68b4d566499e9";
const MAIL_HASH: &str = "87ef8a2b8e5305d0e47d250a0a10c50bb0d4a2cab59cefc9b19689a4c797123e";

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn mappings(privacy: &str, value: &str) -> String {
    format!(
        r#"
[target]
client_code = "acme"
mode = "single"
shared_profiles = false
[privacy]
{privacy}
[[mapping]]
name = "card used"
event = "com.acme.loyalty.*"
identity = {{ third_party_id = "data.card" }}
hash = {{ normalise = ["digits"], attributes = {{ mail = ["trim", "lower"] }} }}
set = {{ lastStore = "{value}" }}
add = {{ visits = "1" }}
first = {{ mail = "data.mail" }}
"#
    )
}

fn hashing(value: &str) -> Setup {
    Setup { mappings: mappings(&format!("key = \"{KEY}\""), value), store_key: None, ..Setup::default() }
}

/// An event with all that a till knows of a person.
fn told(id: &str) -> Value {
    let mut event = used(id, CARD, "Lund", 5.0);
    event["subject"] = json!(MAIL);
    event["extension"] = json!(ADDRESS);
    event["data"]["mail"] = json!(format!(" {MAIL}"));
    event["data"]["address"] = json!(ADDRESS);
    event
}

fn assert_hidden(fixture: &Fixture) {
    for text in [CARD, MAIL, ADDRESS, "47110815"] {
        assert_eq!(files_with(fixture.dir.path(), text), Vec::<String>::new(), "{text}");
    }
}

async fn find(fixture: &Fixture, key: &str) -> (StatusCode, Value) {
    fixture.agent.get(&format!("/v1/profiles/third_party_id/{key}")).await
}

#[tokio::test]
async fn an_identity_and_an_attribute_are_hashed_before_anything_is_stored_or_sent() {
    let fixture = hashing("data.store").start().await;
    assert_eq!(fixture.agent.record(&told("1")).await["status"], "recorded");
    fixture.wait_held(CARD_HASH, "lastStore", "Lund").await;
    assert_eq!(fixture.held(CARD_HASH, "mail").as_deref(), Some(MAIL_HASH));
    fixture.agent.wait_drained().await;
    assert_hidden(&fixture);
    assert!(!files_with(fixture.dir.path(), CARD_HASH).is_empty(), "files are looked through as they should be");
}

#[tokio::test]
async fn a_person_is_found_and_forgotten_under_the_number_on_the_card() {
    let fixture = hashing("data.store").start().await;
    fixture.agent.record(&told("1")).await;
    let (_, profile) = find(&fixture, CARD).await;
    assert_eq!(
        (&profile["identity"]["key"], &profile["attributes"][0]["name"]),
        (&json!(CARD_HASH), &json!("lastStore"))
    );
    assert_eq!(find(&fixture, CARD_HASH).await.0, StatusCode::OK);
    let path = format!("/v1/profiles/third_party_id/{CARD}");
    let forgotten: Value = fixture.agent.request(Method::DELETE, &path).send().await.unwrap().json().await.unwrap();
    assert_eq!((&forgotten["attributes"], &forgotten["events"]), (&json!(3), &json!(1)));
    assert_eq!(find(&fixture, CARD).await.0, StatusCode::NOT_FOUND);
    assert_eq!(files_with(fixture.dir.path(), CARD_HASH), Vec::<String>::new());
}

/// Asks as each of those would who looks for a person: all find what is stored under a hash.
#[tokio::test]
async fn the_page_and_verify_at_rest_find_a_person_under_the_number_on_the_card() {
    let fixture = hashing("data.store").start().await;
    fixture.agent.record(&told("1")).await;
    let path = format!("/page/profile?identity=third_party_id%3A{CARD}");
    let page = fixture.agent.request(Method::GET, &path).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("lastStore"), "{page}");

    let device = crate::device::Device::new();
    let config = mappings(&format!("key = \"{KEY}\""), "data.store");
    let config =
        config.replace("[target]", "[agent]\ndata_dir = \"data\"\n[target]\nendpoint = \"http://127.0.0.1:9\"");
    device.write_private("agent.toml", &config);
    let data = told("1")["data"].to_string();
    device.works(&["record", "--type", "com.acme.loyalty.used", "--data", &data]);
    assert!(device.works(&["explain", &format!("third_party_id:{CARD}")]).contains("lastStore = Lund"));
    let (code, said) = device.fails(&["verify", &format!("third_party_id:{CARD}")]);
    assert!(said.contains("the profile cannot be read from Target"), "{said}");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_rejected_event_is_tried_again_with_the_hash_alone() {
    let mut fixture = hashing("data.store ~ data.nowhere").start().await;
    assert_eq!(fixture.agent.record(&told("1")).await["status"], "rejected");
    assert_hidden(&fixture);
    fixture.restart_with(hashing("data.store")).await;
    let retried = fixture.agent.request(Method::POST, "/v1/rejected/1/retry").send().await.unwrap();
    assert_eq!(retried.json::<Value>().await.unwrap()["status"], "recorded");
    fixture.wait_held(CARD_HASH, "lastStore", "Lund").await;
    assert_eq!(fixture.held(CARD_HASH, "mail").as_deref(), Some(MAIL_HASH));
    assert_hidden(&fixture);
}

#[tokio::test]
async fn a_client_cannot_bring_its_own_hash() {
    let fixture = hashing("data.nowhere").start().await;
    let mut event = used("1", CARD, "Lund", 5.0);
    event["outposthashes"] = json!(json!({ "hex digits: data.card": "of somebody else" }).to_string());
    event["data"].as_object_mut().unwrap().remove("card");
    assert_eq!(fixture.agent.record(&event).await["status"], "rejected");
    assert_eq!(files_with(fixture.dir.path(), "of somebody else"), Vec::<String>::new());
}

#[tokio::test]
async fn what_no_mapping_uses_is_not_kept_unless_all_is_to_be() {
    for (privacy, kept) in [("", false), ("keep_data = \"mapped\"", false), ("keep_data = \"all\"", true)] {
        let mappings = mappings(privacy, "data.store").replace("hash = ", "# ");
        let fixture = Setup { mappings, store_key: None, ..Setup::default() }.start().await;
        fixture.agent.record(&told("1")).await;
        let mut unmapped = told("2");
        unmapped["type"] = json!("com.other");
        assert_eq!(fixture.agent.record(&unmapped).await["status"], "unmapped");
        assert_eq!(fixture.agent.record(&told("1")).await["status"], "duplicate");
        assert_eq!(!files_with(fixture.dir.path(), ADDRESS).is_empty(), kept, "{privacy}");
        assert!(!files_with(fixture.dir.path(), CARD).is_empty());
    }
}

#[tokio::test]
async fn without_consent_an_event_is_counted_and_not_stored() {
    let mappings = mappings("consent = \"data.consent == true\"", "data.store").replace("hash = ", "# ");
    let mut fixture = Setup { mappings, store_key: None, ..Setup::default() }.start().await;
    let mut agreed = told("1");
    agreed["data"]["consent"] = json!(true);
    let mut refused = told("2");
    refused["data"]["consent"] = json!(false);
    refused["data"]["card"] = json!("somebody-who-refused");
    let mut silent = told("3");
    silent["data"]["card"] = json!("somebody-who-refused");
    let answers = fixture.agent.record_batch(&[refused.clone(), agreed, silent]).await;
    let statuses: Vec<&str> = answers.iter().map(|answer| answer["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["unconsented", "recorded", "unconsented"]);
    let reason = |answer: &Value| answer["reason"].as_str().unwrap().to_owned();
    let [no, none] = [reason(&answers[0]), reason(&answers[2])];
    assert_eq!(no, "it was counted, and not stored: consent of [privacy] is not true of it");
    assert!(none.contains("cannot be computed for it, so there is none: data.consent is not in the event"), "{none}");
    assert_eq!((&answers[0]["seq"], &answers[1]["seq"]), (&json!(0), &json!(1)));
    assert_eq!(fixture.agent.record(&refused).await["status"], "unconsented");
    fixture.restart().await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.events.unconsented, status.events.recorded), (3, 1));
    assert_eq!(files_with(fixture.dir.path(), "somebody-who-refused"), Vec::<String>::new());
    let metrics = fixture.agent.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("outpost_events_unconsented_total 3"), "{metrics}");
    assert!(metrics.contains("outpost_events_consent_unknown_total 1"), "{metrics}");
}

#[tokio::test]
async fn where_consent_cannot_be_computed_somebody_has_to_look_for_a_day() {
    let mappings = mappings("consent = \"data.consent == true\"", "data.store").replace("hash = ", "# ");
    let mut fixture = Setup { mappings, ..Setup::default() }.start().await;
    let mut refused = told("1");
    refused["data"]["consent"] = json!(false);
    fixture.agent.record(&refused).await;
    let status = fixture.agent.status().await;
    assert_eq!(
        (status.verdict.level, status.events.consent_unknown),
        (Level::Well, 0),
        "who refuses does what is right"
    );
    fixture.agent.record(&told("2")).await;
    fixture.restart().await;
    let status = fixture.agent.status().await;
    assert_eq!((status.verdict.level, status.events.consent_unknown), (Level::Attention, 1));
    let words = "1 event was not stored, since consent of [privacy] could not be computed for it";
    assert!(status.verdict.text.starts_with(words), "{:?}", status.verdict);
    assert!(status.events.consent_unknown_at.is_some());
    fixture.agent.stop().await;
    let old = "UPDATE counter SET value = value - 86400000 WHERE name = 'consent_unknown_at_ms'";
    rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap().execute(old, []).unwrap();
    fixture.agent = fixture.start_at("http://127.0.0.1:9").await;
    let status = fixture.agent.status().await;
    assert_eq!((status.verdict.level, status.events.consent_unknown_at), (Level::Well, None));
    assert_eq!(status.events.consent_unknown, 1, "it stays counted");
}

#[test]
fn what_cannot_be_hidden_is_said_when_the_configuration_is_read() {
    let text = r#"
[target]
client_code = "acme"
[privacy]
key = "abcd"
keep_data = "some"
consent = "data.consent ="
[[mapping]]
name = "a"
event = "*"
identity = { third_party_id = "id" }
hash = { normalise = ["upcase"], attributes = { mail = [], spend = [] }, encoding = "hexx" }
add = { spend = "data.total" }
[[mapping]]
name = "b"
event = "*"
identity = { pc_id = "data.pc" }
hash = "md5"
set = { a = "1" }
"#;
    let parse =
        |text: &str| Config::parse(&Sources::of_text(Path::new("agent.toml"), text), |_| String::new()).map(|_| ());
    insta::assert_snapshot!(parse(text).unwrap_err().to_string(), @r#"
    agent.toml:5:7: key in [privacy] is 32 bytes or more, in hex or base64url
    agent.toml:6:13: keep_data in [privacy] must be "mapped" or "all"; found "some"
    agent.toml:7:11: the expression cannot be read: column 14: unexpected input after expression; "==" compares, as in "data.store == 'Lund'"
    agent.toml:12:8: hash needs a key; set key in [privacy]
    agent.toml:18:8: hash needs a key; set key in [privacy]
    "#);
    let text = text.replace("\"abcd\"", &format!("\"{KEY}\"")).replace("consent = ", "# ");
    insta::assert_snapshot!(parse(&text).unwrap_err().to_string(), @r#"
    agent.toml:6:13: keep_data in [privacy] must be "mapped" or "all"; found "some"
    agent.toml:11:31: id is kept with every event, and so cannot be hidden by hash; use a field of data
    agent.toml:12:23: unknown step "upcase"; there are trim, lower, digits
    agent.toml:12:49: hash names the attribute mail, which this mapping does not change
    agent.toml:12:85: encoding in hash of [[mapping]] "a" must be "hex" or "base64url"; found "hexx"
    agent.toml:13:9: a hash is no number, and add needs one
    agent.toml:17:22: a pc_id is Target's own, which it would not know again as a hash
    agent.toml:18:8: hash in [[mapping]] "b" must be "hmac-sha256"; found "md5"
    "#);
}
