//! Totals are exact, whatever happens to requests, nodes, processes and disks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use outpost::core::operation::{Operation, Stamp, sum};
use outpost::core::timestamp::Timestamp;
use outpost::hub::Database;

use super::cluster::{database, node};
use super::joining::join;
use super::tills::{Copied, Happened, OPERATIONS, Till, event, identity};

const CUSTOMERS: usize = 3;

/// Time, number of the device's store, number in its journal, operand.
type Recorded = (i64, u128, i64, String);

/// What all acknowledged events make together, by customer and operation: each till's events in their order.
#[derive(Default)]
struct Model {
    /// By customer and number of the operation.
    events: BTreeMap<(usize, i64), Vec<Recorded>>,
}

impl Model {
    fn record(&mut self, device: u128, seq: i64, event: &Happened) {
        let entry = self.events.entry((event.customer, event.operation.number())).or_default();
        entry.push((event.time, device, seq, event.operand.clone()));
    }

    fn value(&self, customer: usize, operation: Operation) -> Option<String> {
        let mut events = self.events.get(&(customer, operation.number()))?.clone();
        if operation == Operation::Add {
            return Some(sum(events.iter().map(|event| event.3.as_str())).unwrap());
        }
        events.sort();
        let mut held = None;
        for (seq, (time, _, _, operand)) in (1..).zip(events) {
            let stamp = Stamp { time: Timestamp::from_millis(time), seq };
            held = operation.change(held.as_ref(), &operand, stamp).unwrap().or(held);
        }
        held.map(|held| held.value)
    }
}

/// Compares all that the hub holds with the model.
async fn check(database: &Database, model: &Model, what: &str) {
    for customer in 0..CUSTOMERS {
        let held = database.profile(&identity(customer)).await.unwrap();
        for operation in OPERATIONS {
            let found = held.iter().find(|attribute| attribute.name == operation.name()).map(|it| it.value.clone());
            assert_eq!(found, model.value(customer, operation), "{what}: customer {customer}, {}", operation.name());
        }
    }
    let audit = database.audit().await.unwrap();
    assert_eq!(audit.differences, [], "{what}");
}

async fn hand_over(database: &Database, till: &mut Till, is_answered: bool) {
    let device = database.device(&till.token).await.unwrap().unwrap();
    let handover = till.handover();
    assert_eq!(database.take(&device, &handover).await.unwrap(), []);
    if is_answered {
        till.answered(&handover);
    }
}

/// Answers that are lost, requests that come late and again, processes that end, parts that are folded.
#[tokio::test]
async fn lost_late_and_repeated_requests_restarts_and_folding_count_each_event_once() {
    let (database, _) = database(2).await;
    let tokens = join(&database, &["till-0", "till-1", "till-2"]).await;
    let mut random = Rng::with_seed(1);
    let mut model = Model::default();
    let mut tills: Vec<Till> = (0..3).map(|n| Till::new(&format!("till-{n}"), &tokens[n])).collect();
    let mut seqs = [0; 3];
    let mut late = Vec::new();
    for step in 0..3_000 {
        let which = random.usize(..3);
        match random.u32(..12) {
            0..=5 => {
                let event = event(&mut random, CUSTOMERS);
                seqs[which] += 1;
                model.record(tills[which].number().bits(), seqs[which], &event);
                tills[which].record(&event);
            }
            6 => hand_over(&database, &mut tills[which], true).await,
            7 => hand_over(&database, &mut tills[which], false).await,
            8 => late.push((tills[which].token.clone(), tills[which].handover())),
            9 if !late.is_empty() => {
                let (token, handover) = &late[random.usize(..late.len())];
                let device = database.device(token).await.unwrap().unwrap();
                assert_eq!(database.take(&device, handover).await.unwrap(), []);
            }
            10 => tills[which].restart(),
            _ if step % 50 == 0 => {
                // Nothing that is late can still come.
                late.clear();
                database.fold(Duration::ZERO, Duration::from_secs(1_000_000)).await.unwrap();
            }
            _ => {}
        }
    }
    for till in &mut tills {
        hand_over(&database, till, true).await;
    }
    check(&database, &model, "at the end").await;
    // What was confirmed just now stays.
    assert!(database.fold(Duration::from_secs(1_000), Duration::from_secs(1_000)).await.unwrap() == 0);
}

/// The rules of a story, so that each can be taken out.
#[derive(Clone, Copy)]
struct Rules {
    /// What was begun before a start grows no more after it.
    freezes: bool,
    /// Time for which the hub keeps parts that nobody confirmed.
    unconfirmed: Duration,
}

const RULES: Rules = Rules { freezes: true, unconfirmed: Duration::from_secs(1_000) };

/// Tells a story of disks that are put back to an older copy of themselves, and of copies of one disk in several tills. What
/// was recorded and never handed over goes with its disk, so each event is handed over at once; nothing else is lost, and
/// nothing counts twice. Returns whether that held.
async fn is_exact_with_disks_put_back_and_copied(seed: u64, rules: Rules) -> bool {
    let (database, _) = database(2).await;
    let tokens = join(&database, &["till-0"]).await;
    let mut random = Rng::with_seed(seed);
    let mut model = BTreeMap::<usize, Vec<String>>::new();
    let mut tills = vec![Till::new("till-0", &tokens[0])];
    let mut copies: Vec<Copied> = Vec::new();
    let start = |copy: &Copied| if rules.freezes { copy.start() } else { copy.start_without_freezing() };
    for _ in 0..120 {
        let which = random.usize(..tills.len());
        match random.u32(..11) {
            0..=4 => {
                let step = Happened { operation: Operation::Add, operand: "1".into(), ..event(&mut random, CUSTOMERS) };
                tills[which].record(&step);
                model.entry(step.customer).or_default().push(step.operand);
                // The answer may be lost.
                let is_answered = random.bool();
                hand_over(&database, &mut tills[which], is_answered).await;
            }
            5 => copies.push(tills[which].copy()),
            6 if !copies.is_empty() => {
                tills[which] = start(&copies[random.usize(..copies.len())]);
            }
            // The one that was copied while it ran goes on.
            7 if tills.len() < 4 => tills.push(start(&tills[which].copy())),
            8 => tills[which].restart(),
            9 => drop(database.fold(Duration::from_secs(1_000), rules.unconfirmed).await.unwrap()),
            _ => hand_over(&database, &mut tills[which], random.bool()).await,
        }
    }
    for till in &mut tills {
        hand_over(&database, till, true).await;
    }
    assert_eq!(database.audit().await.unwrap().differences, [], "seed {seed}");
    for customer in 0..CUSTOMERS {
        let held = database.profile(&identity(customer)).await.unwrap();
        let expected = model.get(&customer).map(|steps| sum(steps.iter().map(String::as_str)).unwrap());
        if held.first().map(|it| it.value.clone()) != expected {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn disks_that_are_put_back_and_copied_count_each_event_once() {
    for seed in 0..40 {
        assert!(is_exact_with_disks_put_back_and_copied(seed, RULES).await, "seed {seed}");
    }
}

/// That the stories find something: without either rule some of them end wrong.
#[tokio::test]
async fn without_freezing_or_with_folding_at_once_copies_of_a_disk_count_wrongly() {
    let broken = [Rules { freezes: false, ..RULES }, Rules { unconfirmed: Duration::ZERO, ..RULES }];
    for rules in broken {
        let mut wrong = 0;
        for seed in 0..20 {
            wrong += usize::from(!is_exact_with_disks_put_back_and_copied(seed, rules).await);
        }
        assert!(wrong > 0);
    }
}

/// Three nodes and twenty tills at once, all with the same few customers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_tills_hand_over_to_several_nodes_at_once_is_exact() {
    const TILLS: usize = 20;
    let (first, url) = database(3).await;
    let nodes = Arc::new([first, node(&url, 3), node(&url, 3)]);
    let names: Vec<String> = (0..TILLS).map(|n| format!("till-{n:02}")).collect();
    let tokens = join(&nodes[0], &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let tasks = (0..TILLS).map(|number| {
        let (nodes, token, name) = (nodes.clone(), tokens[number].clone(), names[number].clone());
        tokio::spawn(async move {
            let mut random = Rng::with_seed(number as u64);
            let mut till = Till::new(&name, &token);
            let mut recorded = Vec::new();
            for _ in 0..20 {
                for _ in 0..random.usize(..12) {
                    let event = event(&mut random, CUSTOMERS);
                    till.record(&event);
                    recorded.push(event);
                }
                let is_answered = random.u32(..4) > 0;
                hand_over(&nodes[random.usize(..3)], &mut till, is_answered).await;
            }
            hand_over(&nodes[0], &mut till, true).await;
            (till.number().bits(), recorded)
        })
    });
    let mut model = Model::default();
    for task in tasks.collect::<Vec<_>>() {
        let (number, recorded) = task.await.unwrap();
        for (seq, event) in (1..).zip(recorded) {
            model.record(number, seq, &event);
        }
    }
    check(&nodes[1], &model, "at the end").await;
}
