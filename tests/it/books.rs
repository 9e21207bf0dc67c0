//! Each question has one answer, whether the agent runs or its store is at rest.

use outpost::sandbox::target::Unknown;
use serde_json::{Value, json};

use crate::device::Device;
use crate::process::start_sandbox;
use crate::support::MAPPINGS;

/// What only a running agent knows of the status: the link, which way it sent, and until when the quota is spent. And what
/// goes on by itself between two looks.
const OF_ONE_LOOK: [&str; 14] = [
    "/link",
    "/link_reason",
    "/verdict",
    "/is_running",
    "/next_try_at",
    "/is_told_to_wait",
    "/link_since",
    "/uptime_seconds",
    "/routes",
    "/quota/opens_at",
    "/pending/oldest_seconds",
    "/store/bytes",
    "/store/log_bytes",
    "/store/disk_free_bytes",
];

/// Questions about what is not there.
const UNANSWERED: [&[&str]; 5] = [
    &["explain", "third_party_id:nobody"],
    &["verify", "third_party_id:nobody"],
    &["rejected", "show", "99"],
    &["rejected", "retry", "99"],
    &["rejected", "drop", "99", "--yes"],
];

/// All that a store at rest and a running agent are asked, in order.
#[derive(Debug, PartialEq)]
struct Answers {
    status: Value,
    explained: Vec<Value>,
    /// Why the profile waits that waits, in words of the one that was asked.
    waits: Vec<Value>,
    rejected: Value,
    shown: Vec<Value>,
    unanswered: Vec<(Option<i32>, String)>,
}

impl Answers {
    fn of(device: &Device) -> Self {
        let ask =
            |args: &[&str]| -> Value { serde_json::from_str(&device.works(&[args, &["--json"]].concat())).unwrap() };
        let mut status = ask(&["status"]);
        for place in OF_ONE_LOOK {
            let (parent, name) = place.rsplit_once('/').unwrap();
            status.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        }
        let mut explained: Vec<Value> = ["7", "8", "last"].map(|card| ask(&["explain", &identity(card)])).to_vec();
        let waits = explained.iter_mut().map(|profile| profile.as_object_mut().unwrap().remove("waits"));
        let waits = waits.map(Option::unwrap_or_default).collect();
        let rejected = ask(&["rejected", "list"]);
        let ids = rejected["rejected"].as_array().unwrap().iter().map(|item| item["id"].to_string());
        let shown = ids.map(|id| ask(&["rejected", "show", &id])).collect();
        let unanswered = UNANSWERED.map(|args| device.fails(args)).to_vec();
        Self { status, explained, waits, rejected, shown, unanswered }
    }
}

fn identity(card: &str) -> String {
    format!("third_party_id:{card}")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_has_the_same_answer_of_a_running_agent_and_of_its_store_at_rest() {
    let ((sandbox, address), _stop) = start_sandbox(Unknown::Accept).await;
    sandbox.target().faults = "refuse=note".parse().unwrap();
    let device = Device::new();
    let mappings = MAPPINGS.replace("[target]\n", &format!("[target]\nendpoint = \"http://{address}\"\n"));
    // With the quota spent, what is pending stays so, and nothing is on its way when somebody asks.
    let config = format!(
        "[agent]\ndata_dir = \"data\"\n[intake.http]\nlisten = \"127.0.0.1:0\"\n{mappings}\n[target.quota]\nupdates_per_day = 4\n"
    );
    device.write("agent.toml", &config);

    let agent = device.run();
    device.record_use("7");
    device.works(&["record", "--type", "com.acme.note", "--data", r#"{"card":"8","note":"hello"}"#]);
    while device.status()["rejected"]["updates"] == 0 || device.status()["delivered"]["updates"] == 0 {}
    ["a", "b", "c", "d"].iter().for_each(|card| drop(device.record_use(card)));
    while device.status()["quota"]["opens_at"].is_null() || device.status()["delivered"]["updates"] != 3 {}
    ["last", "erased 1", "erased 2"].iter().for_each(|card| drop(device.record_use(card)));
    drop(agent);
    device.works(&["record", "--type", "com.acme.note", "--id", "wrong", "--data", "{}"]);

    let ask = |args: &[&str]| -> Value { serde_json::from_str(&device.works(args)).unwrap() };
    let verify = || ask(&["verify", &identity("7"), "--json"]);
    let forget = |card: &str| ask(&["forget", &identity(card), "--json"]);
    let retry = || device.fails(&["rejected", "retry", "2"]);
    // What changes something comes first at rest and last of the agent: in between both are asked the same.
    let (verified, forgotten, retried) = (verify(), forget("erased 1"), retry());
    let at_rest = Answers::of(&device);

    let agent = device.run();
    while device.status()["quota"]["opens_at"].is_null() {}
    let running = Answers::of(&device);
    assert_eq!(at_rest.unanswered, running.unanswered);
    assert!(running.waits[2]["reason"].as_str().unwrap().contains("quota"), "{:?}", running.waits);
    assert_eq!(at_rest.waits, [Value::Null, Value::Null, json!({ "reason": "the agent is not running" })]);
    assert_eq!(Answers { waits: Vec::new(), ..at_rest }, Answers { waits: Vec::new(), ..running });
    assert_eq!((verified["exists"].clone(), &verified), (Value::Bool(true), &verify()));
    assert_eq!((forgotten["pending"].clone(), &forgotten), (json!(3), &forget("erased 2")));
    assert_eq!(retried, retry());
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_a_change_of_the_destination_which_a_store_at_rest_does_not_adopt() {
    let ((_, address), _stop) = start_sandbox(Unknown::Accept).await;
    let device = Device::new();
    device.record_use("7");
    drop(device.run());
    let config = std::fs::read_to_string(device.dir.path().join("agent.toml")).unwrap();
    device.write("agent.toml", &config.replace("http://127.0.0.1:9", &format!("http://{address}")));
    let (code, said) = device.fails(&["verify", "third_party_id:7"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("ask again when the agent runs with the new configuration"), "{said}");
}
