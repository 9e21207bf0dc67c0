//! Whose deliveries a store notes: with another client code, endpoint or device, nothing is taken for delivered.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outpost::config::{Config, Sources};
use outpost::core::forwarding::destination::Destination;
use outpost::core::forwarding::route::Mode;
use outpost::device::clock::Clock;
use outpost::forward::ForwarderRules;
use outpost::intake::{cloudevents, record_directly};
use outpost::store::{Adopted, ClaimRules, Deliveries, FILE_NAME, InFlight, Pending, Reader, Store};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::device::{outpost, text};
use crate::support::{MAPPINGS, Setup, noted, rules, used};
use crate::target::{setup, visit};

const OWN: &str = r#"
[target]
client_code = "acme"
[[mapping]]
name = "card used"
event = "com.acme.loyalty.*"
identity = { third_party_id = "data.card" }
set = { lastStore = "data.store" }
add = { "visits_{device_id}" = "1" }
"#;

/// A store that a device writes, without an agent.
struct Device {
    _dir: TempDir,
    path: PathBuf,
    store: Store,
}

impl Device {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let store = Store::open(&path).unwrap();
        Self { _dir: dir, path, store }
    }

    fn record(&mut self, mappings: &str, device_id: &str, event: &Value) {
        let sources = Sources::of_text(Path::new("agent.toml"), mappings);
        let mappings = Config::parse(&sources, |_| device_id.to_owned()).unwrap().mappings;
        let parsed = vec![cloudevents::structured(event.to_string().as_bytes()).unwrap()];
        record_directly(&mut self.store, parsed, &mappings, &Clock::new(None)).unwrap();
    }

    fn adopt(&mut self, client_code: &str, endpoint: &str, device_id: &str) -> Adopted {
        let destination = destination(client_code, endpoint, device_id);
        let at = Clock::system();
        self.store.transact(|store| store.adopt_destination(&destination, at)).unwrap()
    }

    fn execute(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    fn number(&self, sql: &str) -> i64 {
        Connection::open(&self.path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The attributes that would be sent, by name.
    fn claimed(&self) -> Vec<String> {
        let claims =
            self.store.claim(&InFlight::default(), ClaimRules::alone(usize::MAX, &HashSet::new())).unwrap().claims;
        let names = claims.iter().flat_map(|claim| claim.attributes.iter().map(|attribute| attribute.name.clone()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn destination(client_code: &str, endpoint: &str, device_id: &str) -> Deliveries {
    let destination = Destination::Target { client_code: client_code.to_owned(), endpoint: endpoint.to_owned() };
    Deliveries { destination, device_id: device_id.to_owned() }
}

/// A store of two cards whose deliveries went to one client, with all that is noted of them.
fn delivered() -> Device {
    let mut device = Device::new();
    device.record(MAPPINGS, "device-1", &used("1", "7", "Lund", 1.0));
    device.record(MAPPINGS, "device-1", &used("2", "8", "", 1.0));
    assert_eq!(device.adopt("acme", "https://acme.example", "device-1"), Adopted::default(), "the first is noted");
    device.execute(
        "UPDATE attribute SET delivered_version = version, delivered_value = value, delivered_at_ms = 1, route = 0
         WHERE refused_version = 0;
         UPDATE attribute SET delivered_version = 0, delivered_value = NULL, delivered_at_ms = NULL, route = NULL,
             refused_version = version, refused_reason = 'refused_by_target' WHERE profile_id = 1 AND name = 'spend';
         INSERT INTO rejected (rejected_at_ms, profile_id, attributes, reason, detail)
             VALUES (1, 1, '[[\"spend\",1]]', 'refused_by_target', 'no');
         UPDATE profile SET pending_seq = NULL, pending_since_ms = NULL, existence = 1, existence_at_ms = 1,
             missing_since_ms = 1, look_at_ms = 1;
         INSERT INTO reading (profile_id, name, read_at_ms, read_value, decision) VALUES (1, 'visits', 1, '4', 0);
         INSERT INTO sends VALUES (1, '{}');
         INSERT INTO verification (profile_id, due_at_ms) VALUES (1, 1);
         INSERT INTO batch (id, kind, api, state, row_count, submitted_at_ms) VALUES (1, 0, 2, 2, 1, 1);
         INSERT INTO batch_row VALUES (1, 2, '[]');
         UPDATE profile SET batch_id = 1 WHERE id = 2;
         INSERT INTO quota VALUES (1, 5);
         INSERT INTO read_quota VALUES (1, 5);",
    );
    // Its numbers in memory are those of before.
    device.store = Store::open(&device.path).unwrap();
    assert_eq!(device.claimed(), Vec::<String>::new());
    device
}

#[test]
fn another_client_code_or_endpoint_inherits_nothing_and_everything_held_is_pending_again() {
    for (client_code, endpoint) in [("other", "https://acme.example"), ("acme", "https://gateway.example")] {
        let mut device = delivered();
        assert_eq!(device.adopt("acme", "https://acme.example", "device-1"), Adopted::default());
        assert_eq!(device.claimed(), Vec::<String>::new(), "the same destination changes nothing");

        let adopted = device.adopt(client_code, endpoint, "device-1");
        let pending = Pending { profiles: 2, attributes: 5 };
        assert_eq!(adopted, Adopted { voided: Some(pending), withheld: None });
        let counters = device.store.counters();
        assert_eq!((counters.pending_change, counters.totals.destination_changed_at_ms > 0), (pending, true));
        assert_eq!(Reader::open(&device.path).unwrap().count_pending().unwrap(), pending);
        // The empty value is refused still, and the refused one is tried there.
        assert_eq!(device.claimed(), ["lastStore", "spend", "spend", "visits", "visits"]);
        for table in ["reading", "sends", "verification", "batch_row", "rejected", "quota", "read_quota"] {
            assert_eq!(device.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
        }
        let known = "existence <> 0 OR existence_at_ms > 0 OR missing_since_ms > 0 OR look_at_ms > 0 OR batch_id > 0";
        assert_eq!(device.number(&format!("SELECT count(*) FROM profile WHERE {known}")), 0);
        assert_eq!(device.number("SELECT count(*) FROM batch WHERE state = 4 AND submitted_at_ms IS NULL"), 1);
        assert_eq!(device.adopt(client_code, endpoint, "device-1"), Adopted::default(), "once");
    }
}

#[test]
fn a_cloned_data_directory_does_not_send_names_of_the_old_device() {
    let mut device = Device::new();
    device.record(OWN, "till-10", &used("1", "7", "Lund", 1.0));
    device.adopt("acme", "https://acme.example", "till-10");
    device.execute(
        "INSERT INTO batch (id, kind, api, state) VALUES (1, 0, 2, 0);
         INSERT INTO batch_row VALUES (1, 1, '[]');
         UPDATE profile SET batch_id = 1;",
    );
    // Recorded on the clone before its agent starts.
    device.record(OWN, "till-1", &used("2", "8", "Lund", 1.0));
    let adopted = device.adopt("acme", "https://acme.example", "till-1");
    assert_eq!(adopted, Adopted { voided: None, withheld: Some(1) });
    assert_eq!(device.claimed(), ["lastStore", "lastStore", "visits_till-1"]);
    let pending = Reader::open(&device.path).unwrap().count_pending().unwrap();
    assert_eq!((device.store.counters().pending_change, pending.attributes), (pending, 3));
    assert_eq!(device.number("SELECT count(*) FROM attribute WHERE refused_reason = 'other_device'"), 1);
    assert_eq!(device.number("SELECT (SELECT count(*) FROM batch_row) + (SELECT count(*) FROM rejected)"), 0);

    device.record(OWN, "till-1", &used("3", "7", "Malmö", 1.0));
    assert_eq!(device.claimed(), ["lastStore", "lastStore", "visits_till-1", "visits_till-1"]);
    // Another client is not sent them either.
    device.adopt("other", "https://acme.example", "till-1");
    assert_eq!(device.claimed(), ["lastStore", "lastStore", "visits_till-1", "visits_till-1"]);
    // The name was a mistake, and is as before.
    device.adopt("other", "https://acme.example", "till-10");
    assert_eq!(device.claimed(), ["lastStore", "lastStore", "visits_till-10"]);
}

#[tokio::test]
async fn status_and_page_say_that_the_deliveries_were_to_another_endpoint() {
    let mut fixture = Setup::default().start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    assert_eq!(fixture.agent.status().await.store.destination_words(), None);
    fixture.agent.stop().await;
    fixture.agent = fixture.start_at("http://127.0.0.1:9").await;
    let status = fixture.agent.status().await;
    let words = status.store.destination_words().expect("it is said");
    assert!(words.contains("another client code or endpoint until 20"), "{words}");
    assert_eq!(status.pending.profiles, 1);
    let page = fixture.agent.request(reqwest::Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("another client code or endpoint until 20"), "{page}");
}

#[tokio::test]
async fn a_reload_with_another_endpoint_makes_deliveries_void_too() {
    let fixture = Setup::default().start().await;
    let settings = Setup { faults: "outage", ..Setup::default() }.settings("http://127.0.0.1:9");
    fixture.agent.change(settings).await;
    assert!(fixture.agent.status().await.store.destination_changed_at.is_some());
}

#[tokio::test]
async fn what_is_on_its_way_when_the_destination_changes_is_not_taken_for_the_new_one_s() {
    for faults in ["single=slow=500ms", "fetch=slow=500ms", "bulk_v2=slow=500ms", "batch-slow=1h", ""] {
        let old = Setup { faults, ..setup() }.start().await;
        let new = setup().start().await;
        for card in ["7", "8"] {
            visit(&old, card, "visits", "40");
            visit(&new, card, "visits", "10");
        }
        let cards = ["7", "8", "9", "10"].map(|card| used(card, card, "Lund", 1.0));
        old.agent.record_batch(&cards).await;
        old.wait_logged(3).await;
        old.agent.change(setup().settings(&format!("http://{}", new.sandbox_address))).await;
        for (card, visits) in [("7", "11"), ("8", "11"), ("9", "1"), ("10", "1")] {
            new.wait_held(card, "visits", visits).await;
        }
        old.agent.wait_drained().await;
        for (card, visits) in [("7", "11"), ("8", "11"), ("9", "1"), ("10", "1")] {
            assert_eq!(new.held(card, "visits").as_deref(), Some(visits), "{faults}: {card}");
        }
    }
}

#[tokio::test]
async fn a_change_of_the_destination_in_the_middle_of_a_backlog_goes_on_there() {
    let old = Setup { faults: "single=slow=5ms", ..Setup::default() }.start().await;
    let new = Setup::default().start().await;
    let cards: Vec<String> = (0..600).map(|card| card.to_string()).collect();
    for cards in cards.chunks(300) {
        let events: Vec<Value> = cards.iter().map(|card| used(card, card, "Lund", 1.0)).collect();
        old.agent.record_batch(&events).await;
    }
    for (there, here) in [(&new, &old), (&old, &new), (&new, &old)] {
        here.sandbox.wait_until(|target| target.requests_total() > 20).await;
        old.agent.change(Setup::default().settings(&format!("http://{}", there.sandbox_address))).await;
    }
    let status = old.agent.wait_drained().await;
    assert_eq!(status.rejected.updates, 0);
    for card in &cards {
        assert_eq!(new.held(card, "visits").as_deref(), Some("1"), "{card}");
    }
    old.agent.record(&used("later", "later", "Lund", 1.0)).await;
    new.wait_held("later", "visits", "1").await;
}

/// What `preview` shows of a use of card 7.
fn preview(device: &crate::device::Device) -> String {
    let event = used("previewed", "7", "Lund", 1.0).to_string();
    let output = outpost(device.dir.path()).arg("preview").write_stdin(event).output().unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

/// Value of a line of `doctor`.
fn doctor(device: &crate::device::Device, check: &str) -> String {
    let said = device.works_or_not(&["doctor"]);
    let line = said.lines().find(|line| line[5..].starts_with(check)).unwrap_or_else(|| panic!("{said}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

const HUB: &str = "[hub]\nurl = \"http://127.0.0.1:10\"\ntoken = \"of the hub\"\n";

#[test]
fn at_rest_a_device_that_drains_is_shown_as_the_one_of_target_that_its_agent_is() {
    let device = crate::device::Device::new();
    device.record_use("7");
    drop(device.run());
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &format!("{config}{HUB}"));
    let said = preview(&device);
    assert!(said.contains("POST http://127.0.0.1:9/m2/acme/profile/update"), "{said}");
    let destination = doctor(&device, "destination");
    let expected =
        "the hub at http://127.0.0.1:10, once what is pending has gone to client code acme at http://127.0.0.1:9";
    assert!(destination.ends_with(expected), "{destination}");
    assert!(doctor(&device, "answer").contains("Target"));
    let (_, said) = device.fails(&["verify", "third_party_id:7"]);
    assert!(said.contains("Target") && !said.contains("hub"), "{said}");
}

#[test]
fn at_rest_a_device_without_the_section_of_its_hub_is_shown_as_the_hub_s_that_its_agent_is() {
    let device = crate::device::Device::new();
    device.record_use("7");
    drop(device.run());
    let store = Connection::open(device.dir.path().join("data").join(FILE_NAME)).unwrap();
    store.execute("UPDATE destination SET client_code = '', endpoint = 'http://127.0.0.1:10'", []).unwrap();
    drop(store);
    let said = preview(&device);
    assert!(said.contains("POST http://127.0.0.1:10/v1/hub/parts") && !said.contains("/m2/"), "{said}");
    let answer = doctor(&device, "answer");
    assert!(answer.contains("hub") && !answer.contains("Target"), "{answer}");
}

/// Time that a shared value may be late.
const LATE_AFTER: Duration = Duration::from_secs(900);

#[tokio::test]
async fn a_device_that_drains_since_its_start_repeats_values_by_the_rules_for_target() {
    let shared = ForwarderRules { late_after: Some(LATE_AFTER), ..rules(Mode::Single) };
    let setup = |hub| Setup { forwarding: shared.clone(), hub, ..Setup::default() };
    let mut fixture = setup(None).start().await;
    fixture.agent.record(&noted("1", "7", "hello")).await;
    fixture.agent.wait_drained().await;
    fixture.sandbox.target().faults = "outage".parse().unwrap();
    fixture.agent.record(&noted("2", "8", "hello")).await;
    fixture.restart_with(setup(Some("http://127.0.0.1:9"))).await;
    assert_eq!(fixture.agent.status().await.pending.profiles, 1);
    // Others may have written another value since.
    fixture.agent.record(&noted("3", "7", "hello")).await;
    assert_eq!(fixture.agent.status().await.pending.profiles, 2);
}

#[tokio::test]
async fn the_page_of_a_device_of_a_hub_names_the_hub() {
    let fixture = Setup { hub: Some("http://127.0.0.1:9"), ..Setup::default() }.start().await;
    let page = fixture.agent.request(reqwest::Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Handed over to Outpost Hub at http"), "{page}");
    assert!(!page.contains("Client code"), "{page}");
}
