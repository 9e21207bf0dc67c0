//! `kill -9` at every step of a batch's life: nothing is lost, and all of it arrives.

use std::path::Path;
use std::time::Duration;

use outpost::sandbox::Sandbox;
use outpost::sandbox::faults::Faults;
use outpost::sandbox::target::Unknown;
use serde_json::Value;
use tokio::sync::watch;

use crate::process::{Agent, client_of_one_connection, configure_mappings, drained, post, start_sandbox, wait_status};
use crate::support::{BATCH, MAPPINGS, held, used};

struct Story {
    sandbox: Sandbox,
    dir: tempfile::TempDir,
    _stop_sandbox: watch::Sender<bool>,
}

impl Story {
    async fn begin(faults: &str) -> Self {
        let ((sandbox, address), stop_sandbox) = start_sandbox(Unknown::Vanish).await;
        sandbox.target().faults = faults.parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mappings = MAPPINGS.replace("mode = \"single\"", "mode = \"auto\"");
        configure_mappings(dir.path(), address, "", &mappings);
        Self { sandbox, dir, _stop_sandbox: stop_sandbox }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn batches(&self) -> usize {
        self.sandbox.target().requests().iter().filter(|request| request.api == "bulk_v2").count()
    }

    /// Records a visit of each of so many cards.
    async fn visit(&self, agent: &Agent, round: usize, cards: usize) {
        let http = client_of_one_connection();
        let url = format!("{}/v1/events", agent.access.endpoint);
        let events: Vec<Value> =
            (0..cards).map(|card| used(&format!("{round}-{card}"), &card.to_string(), "Lund", 1.0)).collect();
        for part in events.chunks(500) {
            let body = serde_json::to_string(part).unwrap();
            let request = http.post(&url).bearer_auth(&agent.access.token).header("content-type", BATCH).body(body);
            assert!(request.send().await.unwrap().status().is_success());
        }
    }

    fn assert_visits(&self, cards: usize, visits: usize) {
        let target = self.sandbox.target();
        for card in 0..cards {
            assert_eq!(held(&target, &card.to_string(), "visits"), Some(visits.to_string()), "card {card}");
        }
        assert!(target.requests().iter().all(|request| request.wrong.is_none()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_call_the_rows_are_there_after_the_kill() {
    let story = Story::begin("").await;
    let agent = Agent::start(story.dir()).await;
    let http = client_of_one_connection();
    assert!(post(&http, &agent.access, &used("first", "first", "Lund", 1.0).to_string()).await);
    drained(&agent.access).await;
    // The next batch waits for its minute.
    story.visit(&agent, 1, 3).await;
    wait_status(&agent.access, |status| status.batches.iter().any(|it| it.state == "filling" && it.rows == 3)).await;
    drop(agent);
    let agent = Agent::start(story.dir()).await;
    drained(&agent.access).await;
    story.assert_visits(3, 1);
    assert_eq!(story.batches(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_call_and_before_its_answer_the_batch_is_sent_again() {
    let story = Story::begin("slow=10m*1").await;
    let agent = Agent::start(story.dir()).await;
    story.visit(&agent, 1, 3).await;
    while story.batches() == 0 {
        tokio::task::yield_now().await;
    }
    drop(agent);
    let agent = Agent::start(story.dir()).await;
    drained(&agent.access).await;
    story.assert_visits(3, 1);
    assert_eq!(story.batches(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_target_works_on_it_the_batch_is_asked_after_and_not_sent_again() {
    let story = Story::begin("batch-slow=1h").await;
    let agent = Agent::start(story.dir()).await;
    story.visit(&agent, 1, 3).await;
    wait_status(&agent.access, |status| status.batches.iter().any(|it| it.state == "submitted")).await;
    drop(agent);
    let agent = Agent::start(story.dir()).await;
    // What changes meanwhile waits for its end.
    story.visit(&agent, 2, 3).await;
    story.sandbox.target().faults = Faults::default();
    story.sandbox.target().clock_ahead = Duration::from_secs(3_601);
    drained(&agent.access).await;
    story.assert_visits(3, 2);
    assert_eq!(story.batches(), 1, "the profiles exist by then, and are updated singly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_moment_of_filling_sending_and_settling() {
    const CARDS: usize = 4_000;
    const ROUNDS: usize = 12;
    let story = Story::begin("").await;
    for round in 1..=ROUNDS {
        let agent = Agent::start(story.dir()).await;
        story.visit(&agent, round, CARDS).await;
        // Some round trips later, at whatever it is then.
        let left = std::cell::Cell::new(fastrand::usize(1..150));
        wait_status(&agent.access, |_| left.replace(left.get() - 1) == 1).await;
        drop(agent);
    }
    let agent = Agent::start(story.dir()).await;
    let status = drained(&agent.access).await;
    story.assert_visits(CARDS, ROUNDS);
    assert_eq!(status.events.recorded as usize, CARDS * ROUNDS);
    assert_eq!((status.pending.attributes, status.rejected.updates), (0, 0));
}
