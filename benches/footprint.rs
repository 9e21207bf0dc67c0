//! What the agent costs when nothing happens, and what a large store costs: memory, wake-ups, start, intake.
//!
//! `cargo bench --bench footprint`, or with a name after `--`: `idle`, `start`, `journal`, `purge`. Linux only.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use outpost::core::forwarding::quota::QuotaTime;
use outpost::device::clock::Clock;
use outpost::store::{ClaimRules, InFlight, Settlement, Store};

use common::{Agent, NOWHERE, PROFILES, STRUCTURED, backlog, event, load, request, row};

mod common;

/// How long an idle agent is watched.
const WATCH: Duration = Duration::from_secs(30);

/// By then the work of a start is over.
const SETTLE: Duration = Duration::from_secs(5);

fn main() {
    common::run(&[("idle", idle), ("start", start), ("journal", journal), ("purge", purge)]);
}

fn resident_mebibytes(agent: &Agent) -> f64 {
    agent.proc_number("status", "VmRSS:") as f64 / 1024.0
}

/// Times that each thread of the process went to sleep, and so was woken.
fn wake_ups(agent: &Agent) -> HashMap<OsString, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    let switches = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("status")).unwrap();
        let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        (task.file_name(), line.split_whitespace().nth(1).unwrap().parse().unwrap())
    };
    tasks.map(|task| switches(task.unwrap())).collect()
}

fn idle() {
    let agent = Agent::start(NOWHERE);
    std::thread::sleep(SETTLE);
    let (woken, written) = (wake_ups(&agent), agent.proc_number("io", "write_bytes:"));
    std::thread::sleep(WATCH);
    let again = wake_ups(&agent).into_iter().map(|(task, count)| count - woken.get(&task).unwrap_or(&0)).sum::<u64>();
    let per_second = again as f64 / WATCH.as_secs_f64();
    let written = agent.proc_number("io", "write_bytes:") - written;
    println!("{:<44} {:>9.1} MiB resident", "idle", resident_mebibytes(&agent));
    println!("{:<44} {per_second:>9.2} wake-ups/s of all threads, {written} bytes written in {WATCH:?}", "");
    println!("{:<44} {:>9.1?} from start to ready", "", agent.start);
}

fn start() {
    const PENDING: usize = 1_000_000;
    let dir = backlog(PENDING, PENDING);
    // Twice: the first start also moves the log of the loading into the database.
    let dir = Agent::start_in(dir, NOWHERE, &[]).kill();
    let agent = Agent::start_in(dir, NOWHERE, &[]);
    println!("{:<44} {:>9.1?} from start to ready", "1,000,000 pending profiles", agent.start);
    std::thread::sleep(SETTLE);
    println!("{:<44} {:>9.1} MiB resident", "", resident_mebibytes(&agent));
}

/// How long intake waits for one step of a purge.
fn purge() {
    const EVENTS: usize = 300_000;
    let dir = tempfile::tempdir_in(common::bench_dir()).unwrap();
    let mut store = Store::open(&dir.path().join(outpost::store::FILE_NAME)).unwrap();
    for begin in (0..EVENTS).step_by(10_000) {
        common::commit(&mut store, &common::recordings(begin..begin + 10_000, PROFILES), 2_000);
    }
    let at = Clock::new(None).now();
    for claim in store.claim(&InFlight::default(), ClaimRules::alone(usize::MAX, &HashSet::new())).unwrap().claims {
        let delivered = (0..claim.attributes.len()).collect();
        let quota_time = QuotaTime { at, wall: at };
        let settlement = Settlement::of_update(claim, delivered, Vec::new(), at, quota_time);
        store.transact(|store| store.settle(&settlement)).unwrap();
    }
    store.copy_log_often(true).unwrap();
    let (mut after, mut purged, mut times) = (0, 0, Vec::new());
    loop {
        let begun = Instant::now();
        let step = store.transact(|store| store.purge_events(after, i64::MAX)).unwrap();
        times.push(begun.elapsed());
        purged += step.purged;
        match step.next {
            Some(next) => after = next,
            None => break,
        }
    }
    times.sort();
    let longest = times[times.len() - 1];
    println!(
        "{:<44} {purged:>9} events, a step takes {:.1?}, the longest {longest:.1?}",
        "purge",
        times[times.len() / 2]
    );
}

fn journal() {
    const EVENTS: usize = 5_000_000;
    let measure = |name: &str, agent: &Agent| {
        std::thread::sleep(SETTLE);
        let requests = (0..100_000).map(|number| request(agent, &event(number, PROFILES), STRUCTURED)).collect();
        let load = load(agent.address, 64, requests);
        row(name, &load);
        load.per_second()
    };
    let empty = measure(
        "64 connections, 10,000 events in the journal",
        &Agent::start_in(backlog(10_000, PROFILES), NOWHERE, &[]),
    );
    let full =
        measure("64 connections, 5,000,000 in the journal", &Agent::start_in(backlog(EVENTS, PROFILES), NOWHERE, &[]));
    println!("{:<44} {:>9.2} times the cost", "", empty / full);
}
