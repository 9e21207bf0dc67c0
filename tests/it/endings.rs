//! Every situation ends: each fault that had none once, tried with the defaults.
//!
//! Where hours must pass, the store is set back, or the core alone is driven.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use outpost::adobe::{Outcome, Refused};
use outpost::core::forwarding::link::{Link, LinkState};
use outpost::core::forwarding::quota::{Quota, QuotaTime};
use outpost::core::forwarding::route::Mode;
use outpost::core::identity::IdentityKind;
use outpost::core::timestamp::Timestamp;
use outpost::device::clock::Clock;
use outpost::device::secret::Secret;
use outpost::forward::core::{Action, BatchCame, Core, CoreParts, Input, Moment};
use outpost::forward::{ForwarderRules, ForwarderSettings};
use outpost::inspect::status::Status;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::Unknown;
use outpost::store::{BatchHead, BatchState, Claims, Ending, FILE_NAME, ReadBacks, SettledRows};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::model::journal::Who;
use crate::model::wire::Faults as ModelFaults;
use crate::model::world::{START, Step};
use crate::model::{customer, secs};
use crate::process::{Agent, client_of_one_connection, configure_mappings, post, start_sandbox};
use crate::right_values::{calm, check_story, event, pass, story, web};
use crate::simulation::tell;
use crate::support::{Fixture, MAPPINGS, PATIENCE, Setup, acme, noted, rules, used, write_private};
use crate::target::{attribute, learn, profile, requests, setup, visit};

/// The defaults, in a mode.
fn in_mode(mode: Mode) -> Setup {
    Setup { forwarding: ForwarderRules { late_after: setup().forwarding.late_after, ..rules(mode) }, ..setup() }
}

async fn change(fixture: &Fixture, next: Setup) {
    fixture.agent.change(next.settings(&format!("http://{}", fixture.sandbox_address))).await;
}

/// Sets the times of a stopped agent's store back.
fn set_back(fixture: &Fixture, sql: &str) {
    let store = rusqlite::Connection::open(fixture.dir.path().join(FILE_NAME)).unwrap();
    assert_eq!(store.execute(sql, []).unwrap(), 1, "{sql}");
}

fn used_by(cards: &[String]) -> Vec<Value> {
    cards.iter().map(|card| used(card, card, "Lund", 1.0)).collect()
}

fn assert_each_counted_once(fixture: &Fixture, cards: &[String], what: &str) {
    for card in cards {
        assert_eq!(fixture.held(card, "visits").as_deref(), Some("1"), "{what}: {card}");
    }
}

// Two updates that alone get 5xx take every probe.

/// A way to the sandbox on which single updates of cards whose name begins with "poisoned" are answered 500.
async fn poisoned_way(sandbox: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(relay(stream, sandbox));
        }
    });
    address
}

/// One request and its answer.
async fn relay(mut stream: TcpStream, sandbox: SocketAddr) {
    let Some((head, body)) = read_request(&mut stream).await else { return };
    let is_poisoned = head.contains("/profile/update") && String::from_utf8_lossy(&body).contains("poisoned");
    let answer = if is_poisoned {
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    } else {
        let mut onward = TcpStream::connect(sandbox).await.unwrap();
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        onward.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        let mut answer = Vec::new();
        onward.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end + 4].to_vec()).unwrap();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if read.len() >= end + 4 + length {
                return Some((head, read.split_off(end + 4)));
            }
        }
        let count = stream.read_buf(&mut read).await.ok().filter(|count| *count > 0)?;
        assert!(count > 0);
    }
}

#[tokio::test]
async fn two_updates_that_alone_get_5xx_do_not_take_every_probe() {
    let mut fixture = setup().start().await;
    let way = poisoned_way(fixture.sandbox_address).await;
    let cards: Vec<String> =
        (0..22).map(|card| if card < 2 { format!("poisoned {card}") } else { format!("good {card}") }).collect();
    cards.iter().for_each(|card| learn(&fixture, card));
    fixture.agent.stop().await;
    fixture.agent = fixture.start_at(&format!("http://{way}")).await;
    // They come first, and alone.
    fixture.agent.record_batch(&used_by(&cards[..2])).await;
    let is_failing = |status: &Status| status.link == "offline" || status.quota.used >= 2;
    fixture.agent.wait_status(is_failing).await;
    fixture.agent.record_batch(&used_by(&cards[2..])).await;
    fixture.agent.wait_status(|status| status.pending.profiles == 2).await;
    cards[2..].iter().for_each(|card| assert_eq!(fixture.held(card, "visits").as_deref(), Some("1"), "{card}"));
    assert_eq!(fixture.agent.status().await.rejected.updates, 0);
}

// A refusal that hits everybody is the link, not the update.

#[tokio::test]
async fn a_refusal_that_hits_everybody_blocks_the_link_and_rejects_none_of_200_profiles() {
    let stories = [
        ("single=404", "client_code"),
        ("single=gateway=404", "404"),
        ("single=405", "405"),
        ("single=421", "421"),
        ("single=425", "425"),
        ("single=451", "451"),
        ("single=413", "too large"),
        ("single=414", "too large"),
    ];
    for (faults, words) in stories {
        let fixture = Setup { faults, ..setup() }.start().await;
        let cards: Vec<String> = (0..200).map(|card| card.to_string()).collect();
        cards.iter().for_each(|card| learn(&fixture, card));
        fixture.agent.record_batch(&used_by(&cards)).await;
        let is_blocked = |status: &Status| status.link == "blocked" && status.pending.profiles == 200;
        let status = fixture.agent.wait_status(|status| is_blocked(status) && status.rejected.updates == 0).await;
        assert!(status.link_reason.as_ref().is_some_and(|reason| reason.contains(words)), "{faults}: {status:?}");
        fixture.sandbox.target().faults = Faults::default();
        let status = fixture.agent.wait_drained().await;
        assert_eq!(status.rejected.updates, 0, "{faults}");
        assert_each_counted_once(&fixture, &cards, faults);
    }
}

#[tokio::test]
async fn three_updates_that_are_truly_bad_are_rejected_and_the_good_ones_go_on() {
    let fixture = Setup { faults: "refuse=note", ..setup() }.start().await;
    let cards: Vec<String> = (0..12).map(|card| card.to_string()).collect();
    let bad: Vec<String> = (0..3).map(|card| format!("bad {card}")).collect();
    cards.iter().chain(&bad).for_each(|card| learn(&fixture, card));
    let mut events: Vec<Value> = bad.iter().map(|card| noted(card, card, "x")).collect();
    events.extend(used_by(&cards));
    fixture.agent.record_batch(&events).await;
    let status = fixture.agent.wait_status(|status| status.pending.profiles == 0 && status.rejected.updates == 3).await;
    assert_eq!(status.link, "online");
    assert_each_counted_once(&fixture, &cards, "the good ones");
}

// A batch refused as a whole rejects everybody in it.

#[tokio::test]
async fn a_passing_404_of_a_gateway_rejects_no_row_of_a_batch() {
    for faults in ["bulk_v2=404*1", "bulk_v2=gateway=404*1", "bulk_v2=400*1"] {
        let fixture = Setup { faults, ..setup() }.start().await;
        let cards: Vec<String> = (0..31).map(|card| card.to_string()).collect();
        fixture.agent.record_batch(&used_by(&cards)).await;
        let status = fixture.agent.wait_drained().await;
        assert_eq!(status.rejected.updates, 0, "{faults}");
        assert_each_counted_once(&fixture, &cards, faults);
    }
}

#[tokio::test]
async fn a_gateway_that_finds_every_batch_too_large_rejects_no_row() {
    let fixture = Setup { faults: "bulk_v2=413", ..setup() }.start().await;
    let cards: Vec<String> = (0..5).map(|card| card.to_string()).collect();
    fixture.agent.record_batch(&used_by(&cards)).await;
    let status = fixture.agent.wait_status(|status| status.link == "blocked" && status.rejected.updates == 0).await;
    assert!(status.link_reason.as_ref().is_some_and(|reason| reason.contains("too large")), "{status:?}");
    fixture.sandbox.target().faults = Faults::default();
    fixture.agent.wait_drained().await;
    assert_each_counted_once(&fixture, &cards, "once it is gone");
}

// Rows in a batch are held for ever.

#[tokio::test]
async fn a_batch_that_cannot_be_submitted_gives_its_rows_back_when_the_mode_becomes_single() {
    for faults in ["bulk_v2=500", "bulk_v2=403", "bulk_v2=429=3600", "bulk_v2=outage"] {
        let fixture = Setup { faults, ..setup() }.start().await;
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        fixture.sandbox.wait_until(|target| target.requests().iter().any(|request| request.api == "bulk_v2")).await;
        learn(&fixture, "7");
        change(&fixture, in_mode(Mode::Single)).await;
        let is_free = |status: &Status| status.batches.iter().all(|batch| batch.ended_at.is_some());
        fixture.agent.wait_status(is_free).await;
        // There, Target told all of the device to wait.
        if faults != "bulk_v2=429=3600" {
            fixture.wait_held("7", "visits", "1").await;
        }
    }
}

#[tokio::test]
async fn a_batch_whose_status_cannot_be_read_gives_its_rows_back_when_the_mode_becomes_single() {
    for faults in ["batch_status=500,batch-slow=1h", "batch_status=403,batch-slow=1h", "batch_status=404,batch-slow=1h"]
    {
        let fixture = Setup { faults, ..setup() }.start().await;
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        fixture.sandbox.wait_until(|target| target.requests().iter().any(|it| it.api == "batch_status")).await;
        learn(&fixture, "7");
        change(&fixture, in_mode(Mode::Single)).await;
        fixture.wait_held("7", "visits", "1").await;
        let status = fixture.agent.wait_drained().await;
        assert!(status.batches.iter().all(|batch| batch.ended_at.is_some()), "{faults}: {:?}", status.batches);
    }
}

#[tokio::test]
async fn a_batch_whose_status_cannot_be_read_for_a_day_is_given_up() {
    let mut fixture = Setup { faults: "batch_status=500", ..setup() }.start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.batches.iter().any(|batch| batch.state == "submitted")).await;
    fixture.agent.stop().await;
    set_back(&fixture, "UPDATE batch SET submitted_at_ms = submitted_at_ms - 86460000");
    fixture.start_again().await;
    // It was applied, which reading shows.
    let status = fixture.agent.wait_drained().await;
    assert!(status.batches.iter().any(|batch| batch.state == "given_up"), "{:?}", status.batches);
    assert_eq!((fixture.held("7", "visits").as_deref(), requests(&fixture, "bulk_v2").len()), (Some("1"), 1));
}

// `mode = "single"` and a profile that Target does not have.

#[tokio::test]
async fn in_mode_single_a_missing_profile_is_looked_for_at_growing_intervals_and_rejected_after_30_days() {
    let mut fixture = in_mode(Mode::Single).start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.pending.missing_profiles == 1).await;
    let in_hours = |hours: u64| Clock::system().plus(Duration::from_secs(hours * 3_600)).to_string();
    // A first look comes after an hour, one after six hours of waiting six hours later, and never more than a day.
    for (waited_hours, next) in [(0, 1), (6, 6), (7 * 24, 24)] {
        let looks = requests(&fixture, "fetch").len();
        fixture.agent.stop().await;
        let sql = format!(
            "UPDATE profile SET look_at_ms = 1, missing_since_ms = missing_since_ms - {waited_hours} * 3600000"
        );
        set_back(&fixture, &sql);
        fixture.start_again().await;
        fixture
            .sandbox
            .wait_until(|target| target.requests().iter().filter(|it| it.api == "fetch").count() > looks)
            .await;
        let (soonest, latest) = (in_hours(next - 1), in_hours(next + 1 + waited_hours / 24));
        let waiting = async {
            loop {
                let found = profile(&fixture.agent, "7").await;
                // It has none while it is being looked for.
                let looked_for_at = found["looked_for_at"].as_str().unwrap_or_default().to_owned();
                if soonest < looked_for_at && looked_for_at < latest {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("after {waited_hours} hours"));
        let status = fixture.agent.status().await;
        assert_eq!((status.pending.missing_profiles, status.rejected.updates), (1, 0), "after {waited_hours} hours");
    }
    fixture.agent.stop().await;
    set_back(&fixture, "UPDATE profile SET look_at_ms = 1, missing_since_ms = missing_since_ms - 30 * 86400000");
    fixture.start_again().await;
    // The numbers of a status are each of its own moment.
    fixture.agent.wait_status(|status| status.rejected.updates == 1 && status.pending.missing_profiles == 0).await;
    fixture.agent.wait_drained().await;
    let (_, rejected) = fixture.agent.get("/v1/rejected").await;
    assert_eq!(rejected["rejected"][0]["reason"], "profile_missing");
    // What comes next of this customer is waited for as long again.
    fixture.agent.record(&used("2", "7", "Ystad", 1.0)).await;
    let status = fixture.agent.wait_status(|status| status.pending.missing_profiles == 1).await;
    assert_eq!(status.rejected.updates, 1);
}

#[tokio::test]
async fn in_mode_single_a_missing_profile_that_comes_to_be_is_delivered() {
    let mut fixture = in_mode(Mode::Single).start().await;
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.pending.missing_profiles == 1).await;
    fixture.agent.stop().await;
    set_back(&fixture, "UPDATE profile SET look_at_ms = 1");
    visit(&fixture, "7", "visits", "4");
    fixture.start_again().await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((fixture.held("7", "visits").as_deref(), status.pending.missing_profiles), (Some("5"), 0));
}

// Auto and Bulk fall silent for minutes.

#[test]
fn after_a_few_lost_answers_in_a_row_a_device_is_not_silent_for_minutes() {
    for seed in 0..40 {
        let mut steps: Vec<Step> =
            (0..3).map(|number| web(number, &[(outpost::core::operation::Operation::Set, "seen", "1")])).collect();
        // Each profile is known to exist.
        for number in 0..3 {
            steps.push(event(number as u64, number, &[(outpost::core::operation::Operation::Add, "visits", "1")]));
            steps.push(pass(secs(1_200)));
        }
        steps.push(Step::Faults(ModelFaults { lost_before: 1_000, ..ModelFaults::default() }));
        for number in 0..3 {
            steps.push(event(10 + number as u64, number, &[(outpost::core::operation::Operation::Add, "visits", "1")]));
        }
        steps.extend([pass(secs(8)), Step::Faults(ModelFaults::default()), pass(secs(3_600))]);
        let story = story(seed, calm(), &steps);
        let told = tell(&story, false);
        assert!(told.findings.is_empty(), "{:?}\n{}", told.findings, story.lines());
        let healed_at = START.plus(secs(3 * 1_200 + 8));
        for number in 0..3 {
            let identity = customer(number);
            let mut writes = told.target.journal.of(&identity, "visits");
            let last = writes.rfind(|write| write.who == Who::Device(0) && write.value.as_deref() == Some("2"));
            let silent = last.map(|write| write.at.since(healed_at));
            assert!(silent.is_some_and(|silent| silent < secs(90)), "{silent:?}\n{}", story.lines());
        }
    }
}

/// A core that does nothing but to ask after one batch, which Target took just now.
struct Asking {
    core: Core,
    elapsed: Duration,
}

impl Asking {
    const ID: i64 = 7;

    fn begin() -> Self {
        let head = BatchHead {
            id: Self::ID,
            kind: IdentityKind::ThirdPartyId,
            api: 2,
            state: BatchState::Submitted,
            rows: 1,
            bytes: 10,
            target_id: Some("/status".to_owned()),
            submitted_at: Some(START),
            sent_at: Some(START),
            ended_at: None,
        };
        let settings = ForwarderSettings {
            rules: setup().forwarding,
            connections: 4,
            updates_per_day: 1_000,
            request_timeout: Duration::from_secs(10),
            destination: acme("https://target"),
        };
        let quota = Quota::new(1_000, []);
        let parts = CoreParts { settings, link: Link::default(), quota, batches: vec![head], rows_sent: 1 };
        Self { core: Core::new(parts, Self::moment(Duration::ZERO)), elapsed: Duration::ZERO }
    }

    fn moment(elapsed: Duration) -> Moment {
        let at: Timestamp = START.plus(elapsed);
        Moment { elapsed, wall: at, quota: QuotaTime { at, wall: at }, reads_open_in: None }
    }

    /// Lets time pass until the batch is asked after, and gives how long that took.
    fn until_asked(&mut self) -> Duration {
        let begun = self.elapsed;
        for _ in 0..1_000 {
            let input = match self.core.next(Self::moment(self.elapsed)) {
                Action::Poll(Self::ID, _) => return self.elapsed - begun,
                Action::Wait(until) => {
                    self.elapsed = until.expect("the batch is asked after");
                    continue;
                }
                Action::Claim(_) => Input::Claimed(Ok(Claims::default())),
                Action::ClaimDue(_) => Input::Due(Ok(ReadBacks::default())),
                Action::Look(_) => Input::Looked(Ok(None)),
                action => panic!("{action:?}"),
            };
            self.core.take(input, Self::moment(self.elapsed), 1.0);
        }
        panic!("it turns without asking after the batch");
    }

    fn told(&mut self, came: BatchCame) {
        self.core.take(Input::Batch(Self::ID, came), Self::moment(self.elapsed), 1.0);
    }
}

#[test]
fn an_answer_that_only_says_incomplete_ends_the_count_of_failures_of_a_batch() {
    let mut asking = Asking::begin();
    asking.until_asked();
    asking.told(BatchCame::Incomplete);
    assert_eq!(asking.core.link().state(), LinkState::Online);
    let lost = || BatchCame::Failed(Outcome::Lost("lost".to_owned()));
    asking.until_asked();
    let waits: Vec<u64> = (0..4)
        .map(|_| {
            asking.told(lost());
            asking.until_asked().as_secs()
        })
        .collect();
    assert!(waits.is_sorted() && waits[0] <= 4, "{waits:?}");
    asking.told(BatchCame::Incomplete);
    let next = asking.until_asked();
    asking.told(lost());
    let after_one = asking.until_asked();
    assert!(next <= secs(5) && after_one <= secs(2), "{next:?}, {after_one:?}");
    assert_eq!(asking.core.link().state(), LinkState::Online);
}

#[test]
fn after_a_batch_is_given_up_as_lost_the_store_is_asked_what_is_due() {
    let mut asking = Asking::begin();
    asking.until_asked();
    let failed = || BatchCame::Failed(Outcome::Refused(Refused { status: 404, words: String::new() }));
    asking.told(failed());
    let mut is_over = false;
    for _ in 0..100_000 {
        let input = match asking.core.next(Asking::moment(asking.elapsed)) {
            Action::Poll(id, _) => Input::Batch(id, failed()),
            Action::End(id, Ending::Lost { .. }, _) => {
                is_over = true;
                Input::Batch(id, BatchCame::Ended(SettledRows::default()))
            }
            Action::Claim(_) => Input::Claimed(Ok(Claims::default())),
            Action::ClaimDue(_) if is_over => return,
            Action::ClaimDue(_) => Input::Due(Ok(ReadBacks::default())),
            Action::Look(_) => Input::Looked(Ok(None)),
            Action::Wait(until) => {
                asking.elapsed = until.expect("its rows are read back");
                continue;
            }
            action => panic!("{action:?}"),
        };
        asking.core.take(input, Asking::moment(asking.elapsed), 1.0);
    }
    panic!("it turns without an end");
}

// One profile whose read is refused stops the whole verification sample.

#[tokio::test]
async fn one_profile_whose_read_is_refused_does_not_stop_the_verification_sample() {
    for fault in ["fetch=400*1", "fetch=403*1", "fetch=500*1", "fetch=lost*1"] {
        let forwarding = ForwarderRules { verify: Some((1.0, Duration::from_secs(1))), ..setup().forwarding };
        let fixture = Setup { forwarding, ..setup() }.start().await;
        let cards: Vec<String> = (0..4).map(|card| card.to_string()).collect();
        cards.iter().for_each(|card| learn(&fixture, card));
        let notes =
            |round: &str| cards.iter().map(|card| noted(&format!("{round}{card}"), card, round)).collect::<Vec<_>>();
        fixture.agent.record_batch(&notes("first")).await;
        // Two attributes each.
        let status =
            fixture.agent.wait_status(|status| status.pending.profiles == 0 && status.reads.verified >= 8).await;
        fixture.sandbox.target().faults = fault.parse().unwrap();
        fixture.agent.record_batch(&notes("second")).await;
        let verified = status.reads.verified + 6;
        let status = fixture.agent.wait_status(|status| status.reads.verified >= verified).await;
        assert_eq!((status.reads.denied, status.reads.lost), (None, 0), "{fault}");
        assert_eq!(fixture.sandbox.target().faults, Faults::default(), "{fault} has struck");
    }
}

// Requests in flight at a stop are not in the quota.

#[tokio::test]
async fn requests_in_flight_at_a_stop_are_in_the_quota_of_the_next_run() {
    let timeout = Duration::from_secs(600);
    let mut fixture =
        Setup { faults: "single=slow=1h", timeout, updates_per_day: 3, ..in_mode(Mode::Single) }.start().await;
    let cards: Vec<String> = (0..3).map(|card| card.to_string()).collect();
    cards.iter().for_each(|card| learn(&fixture, card));
    fixture.agent.record_batch(&used_by(&cards)).await;
    // Each was read, and is being updated.
    fixture.wait_logged(6).await;
    fixture.agent.stop().await;
    fixture.start_again().await;
    let status = fixture.agent.status().await;
    assert_eq!((status.quota.used, status.quota.remaining), (3, 0));
    assert_eq!(status.pending.profiles, 3, "nobody knows whether they were delivered");
}

// Explain tells the truth.

#[tokio::test]
async fn the_document_of_a_profile_tells_a_lost_answer_and_none_of_a_definite_no() {
    let fixture = Setup { faults: "single=lost", ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let told = async {
        loop {
            let found = profile(&fixture.agent, "7").await;
            let visits = attribute(&found, "visits");
            if visits["sends"].as_array().is_some_and(|sends| sends.iter().any(|sent| sent["outcome"] == "lost")) {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, told).await.expect("a lost answer is told");
    assert!(found["read_back_at"].is_string(), "{found}");
    assert_ne!(attribute(&found, "visits")["state"], "delivered", "{found}");

    let fixture = Setup { faults: "single=400*1", ..setup() }.start().await;
    visit(&fixture, "7", "visits", "11");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.rejected.updates == 1).await;
    let found = profile(&fixture.agent, "7").await;
    let visits = attribute(&found, "visits");
    assert_eq!((&visits["sends"], &visits["reason"]), (&Value::Null, &json!("refused_by_target")), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_tells_a_lost_answer() {
    let ((sandbox, address), _stop) = start_sandbox(Unknown::Vanish).await;
    sandbox.target().faults = "single=lost".parse().unwrap();
    sandbox.target().learn(&"third_party_id:7".parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mappings = MAPPINGS.replace("mode = \"single\"\nshared_profiles = false\n", "");
    configure_mappings(dir.path(), address, "", &mappings);
    let agent = Agent::start(dir.path()).await;
    let http = client_of_one_connection();
    assert!(post(&http, &agent.access, &used("1", "7", "Lund", 1.0).to_string()).await);
    let config = dir.path().join("agent.toml");
    let explaining = async {
        loop {
            let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
            command.arg("explain").arg("-c").arg(&config).arg("third_party_id:7");
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            if text.contains("there was no answer: Target may have it, or apply it late") {
                return text;
            }
        }
    };
    let text = tokio::time::timeout(PATIENCE, explaining).await.expect("explain tells it");
    assert!(
        text.contains("There was no answer to an update, so what Target has is not known: it is read on"),
        "{text}"
    );
    drop(agent);
}

#[tokio::test]
async fn the_document_of_a_profile_tells_why_it_waits() {
    for (faults, expected) in [
        ("single=500*1", "its last update failed"),
        ("401", "the link is paused: "),
        ("portal", "the link is blocked: "),
    ] {
        let fixture = Setup { faults, ..setup() }.start().await;
        learn(&fixture, "7");
        fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
        let told = async {
            loop {
                let found = profile(&fixture.agent, "7").await;
                if found["waits"]["reason"].as_str().is_some_and(|reason| reason.starts_with(expected)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{faults}: {expected}"));
    }
}

// What a first cold reading of the core found.

#[tokio::test]
async fn after_a_new_token_a_total_is_read_before_it_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    write_private(&path, "old");
    let token = Some(Secret::File(path.clone()));
    let fixture = Setup { token, faults: "401", ..setup() }.start().await;
    visit(&fixture, "7", "visits", "11");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.agent.wait_status(|status| status.link == "paused").await;
    fixture.sandbox.target().faults = Faults::default();
    write_private(&path, "new");
    fixture.agent.wait_drained().await;
    assert_eq!(fixture.held("7", "visits").as_deref(), Some("12"));
}

#[tokio::test]
async fn in_mode_delivery_an_identity_that_is_too_long_for_it_goes_in_a_batch() {
    let fixture = in_mode(Mode::Delivery).start().await;
    let (card, other) = ("7".repeat(200), "8".repeat(200));
    fixture.agent.record(&used("1", &card, "Lund", 1.0)).await;
    fixture.agent.record(&noted("2", &other, "hello")).await;
    fixture.wait_held(&card, "visits", "1").await;
    fixture.wait_held(&other, "note", "hello").await;
    let status = fixture.agent.wait_drained().await;
    assert!(status.reads.total <= 4, "{:?}", status.reads);
}

#[test]
fn the_lost_answer_of_an_own_total_is_read_back_and_put_right() {
    let own = |id| event(id, 0, &[(outpost::core::operation::Operation::Add, "visits_0", "1")]);
    let steps = [
        web(0, &[(outpost::core::operation::Operation::Set, "seen", "1")]),
        own(1),
        pass(secs(1_200)),
        Step::Faults(ModelFaults { lost_later: 1_000, ..ModelFaults::default() }),
        own(2),
        pass(secs(5)),
        Step::Faults(ModelFaults::default()),
        pass(secs(60)),
        own(3),
        pass(secs(6 * 3_600)),
    ];
    check_story("an own total", calm(), &steps, &[(0, "visits_0", "3")]);
}

#[tokio::test]
async fn a_profile_that_a_413_splits_is_delivered_where_the_quota_is_small() {
    let fixture = Setup { faults: "single=413*1", updates_per_day: 20, ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((fixture.held("7", "visits").as_deref(), status.rejected.updates), (Some("1"), 0));
    assert!(requests(&fixture, "single").len() <= 6);
}

#[tokio::test]
async fn one_who_is_forgotten_out_of_a_batch_makes_none_of_the_others_count_as_failed() {
    let fixture = Setup { faults: "bulk_v2=429=1*1", ..setup() }.start().await;
    fixture.agent.record_batch(&used_by(&["7".to_owned(), "8".to_owned()])).await;
    fixture.sandbox.wait_until(|target| target.requests().iter().any(|request| request.api == "bulk_v2")).await;
    let forgotten =
        fixture.agent.request(reqwest::Method::DELETE, "/v1/profiles/third_party_id/8").send().await.unwrap();
    assert!(forgotten.status().is_success(), "{}", forgotten.status());
    let status = fixture.agent.wait_drained().await;
    assert_eq!((fixture.held("7", "visits").as_deref(), requests(&fixture, "bulk_v2").len()), (Some("1"), 2));
    assert!(status.batches.iter().all(|batch| batch.rows == 1 || batch.submitted_at.is_none()), "{:?}", status.batches);
}

#[tokio::test]
async fn a_pc_id_that_target_lost_is_made_again_by_a_batch() {
    let mappings = MAPPINGS.replace("third_party_id = \"data.card\"", "pc_id = \"data.card\"");
    let fixture = Setup { mappings, ..setup() }.start().await;
    let pc_id = "1368007744041-575948.01_00";
    fixture.agent.record(&used("1", pc_id, "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    assert_eq!((requests(&fixture, "single").len(), requests(&fixture, "bulk_v2").len()), (0, 1));
}

#[test]
fn what_ours_gave_way_to_is_put_back_when_a_lost_attempt_of_ours_comes_late_over_it() {
    use outpost::core::operation::Operation;
    for (name, operation, ours, theirs) in
        [("largest", Operation::Max, "9", "10"), ("smallest", Operation::Min, "9", "8")]
    {
        let steps = [
            web(0, &[(Operation::Set, "seen", "1")]),
            event(1, 0, &[(Operation::Add, "visits", "1")]),
            pass(secs(1_200)),
            Step::Faults(ModelFaults { lost_later: 1_000, ..ModelFaults::default() }),
            event(2, 0, &[(operation, name, ours)]),
            pass(secs(10)),
            web(0, &[(operation, name, theirs)]),
            pass(secs(30)),
            Step::Faults(ModelFaults::default()),
            pass(secs(6 * 3_600)),
        ];
        check_story(name, calm(), &steps, &[(0, name, theirs)]);
    }
}

// What a second cold reading found.

#[tokio::test]
async fn more_than_a_thousand_profiles_whose_batches_are_lost_go_on_within_seconds() {
    let fixture = Setup { faults: "bulk_v2=lost*2", ..setup() }.start().await;
    let cards: Vec<String> = (0..1_200).map(|card| card.to_string()).collect();
    for cards in cards.chunks(400) {
        fixture.agent.record_batch(&used_by(cards)).await;
    }
    fixture.sandbox.wait_until(|target| target.requests().iter().filter(|it| it.api == "bulk_v2").count() >= 2).await;
    fixture.agent.record(&used("later", "later", "Lund", 1.0)).await;
    fixture.agent.wait_drained().await;
    for card in ["0", "700", "1199", "later"] {
        assert_eq!(fixture.held(card, "visits").as_deref(), Some("1"), "{card}");
    }
}

#[tokio::test]
async fn values_that_are_too_large_alone_hold_nothing_up_that_comes_later() {
    let fixture = Setup { faults: "single=413*5", ..setup() }.start().await;
    learn(&fixture, "7");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    let all = |status: &Status| status.rejected.updates == 3 && status.pending.profiles == 0;
    fixture.agent.wait_status(all).await;
    fixture.agent.record(&used("2", "7", "Ystad", 1.0)).await;
    fixture.wait_held("7", "visits", "2").await;
}

#[tokio::test]
async fn where_profiles_are_not_shared_the_state_is_sent_once_more_after_a_lost_answer() {
    let forwarding = rules(Mode::Single);
    let mut fixture = Setup { forwarding, faults: "single=lost*1", ..setup() }.start().await;
    learn(&fixture, "7");
    learn(&fixture, "8");
    fixture.agent.record(&used("1", "7", "Lund", 1.0)).await;
    fixture.wait_logged(2).await;
    fixture.agent.wait_drained().await;
    fixture.agent.stop().await;
    set_back(&fixture, "UPDATE verification SET due_at_ms = 1");
    fixture.start_again().await;
    fixture.agent.record(&used("2", "8", "Lund", 1.0)).await;
    fixture.wait_logged(4).await;
    let status = fixture.agent.wait_drained().await;
    assert_eq!((status.rejected.updates, requests(&fixture, "single").len()), (0, 4));
}

#[tokio::test]
async fn a_refusal_to_read_that_passes_lets_no_total_go_unread() {
    let fixture = setup().start().await;
    let cards: Vec<String> = (0..9).map(|card| card.to_string()).collect();
    cards.iter().for_each(|card| visit(&fixture, card, "visits", "50"));
    fixture.agent.record_batch(&used_by(&cards[..1])).await;
    fixture.agent.wait_drained().await;
    fixture.sandbox.target().faults = "fetch=403*4".parse().unwrap();
    fixture.agent.record_batch(&used_by(&cards[1..])).await;
    fixture.agent.wait_drained().await;
    for card in &cards {
        assert_eq!(fixture.held(card, "visits").as_deref(), Some("51"), "{card}");
    }
}
