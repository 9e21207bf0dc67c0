//! Durable intake over HTTP beside its raw limits: a bare loop over SQLite, and a server that answers at once.
//!
//! `cargo bench --bench intake`, or with a name after `--`: `raw`, `single`, `batch`, `flash`, `bytes`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use outpost::store::Store;

use common::{
    Agent, BATCH, BareLoop, NOWHERE, PROFILES, STRUCTURED, bare_server, event, load, recordings, request, row,
};

mod common;

fn main() {
    common::run(&[
        ("raw", raw),
        ("store", store),
        ("single", single),
        ("batch", batch),
        ("flash", flash),
        ("bytes", bytes),
    ]);
}

fn events(count: usize) -> Vec<String> {
    (0..count).map(|number| event(number, PROFILES)).collect()
}

fn requests(agent: &Agent, count: usize) -> Vec<Vec<u8>> {
    events(count).iter().map(|event| request(agent, event, STRUCTURED)).collect()
}

/// The limits: commits in groups, and empty answers.
fn raw() {
    for (group, count) in [(1, 20_000), (16, 100_000), (64, 200_000), (512, 200_000)] {
        let mut bare = BareLoop::new();
        bare.run(&events(PROFILES), 512);
        row(&format!("bare loop, {group} a commit"), &bare.run(&events(count), group));
    }
    let address = bare_server();
    let agent = Agent::start(NOWHERE);
    for connections in [1, 16, 64] {
        row(
            &format!("empty handler, {connections} connections"),
            &load(address, connections, requests(&agent, 100_000)),
        );
    }
}

/// The store alone: what a commit costs without HTTP and threads.
fn store() {
    for (group, count) in [(1, 20_000), (16, 100_000), (64, 200_000), (512, 200_000)] {
        let dir = tempfile::tempdir_in(common::bench_dir()).unwrap();
        let mut store = Store::open(&dir.path().join("outpost.db")).unwrap();
        common::commit(&mut store, &recordings(0..PROFILES, PROFILES), 512);
        let recordings = recordings(0..count, PROFILES);
        row(&format!("store, {group} a commit"), &common::commit(&mut store, &recordings, group));
    }
}

/// One event a request.
fn single() {
    for (connections, count) in [(1, 20_000), (16, 100_000), (64, 200_000)] {
        let agent = Agent::start(NOWHERE);
        load(agent.address, 64, requests(&agent, PROFILES));
        row(&format!("outpost, {connections} connections"), &load(agent.address, connections, requests(&agent, count)));
    }
}

/// Batches of 500, from two clients. The figures are of requests; times 500 they are of events.
fn batch() {
    let agent = Agent::start(NOWHERE);
    load(agent.address, 64, requests(&agent, PROFILES));
    let batches: Vec<Vec<u8>> =
        events(200_000).chunks(500).map(|chunk| request(&agent, &format!("[{}]", chunk.join(",")), BATCH)).collect();
    let load = load(agent.address, 2, batches);
    row("outpost, batches of 500, 2 connections", &load);
    println!("{:<44} {:>9.0} events/s", "", load.per_second() * 500.0);
}

/// A slow flash card: each fsync takes 20 ms more.
fn flash() {
    const EVENTS: usize = 20_000;
    let dir = tempfile::tempdir_in(common::bench_dir()).unwrap();
    let trace = dir.path().join("trace");
    let wrapper = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        "inject=fdatasync,fsync:delay_exit=20000",
    ];
    let agent = Agent::start_in(dir, NOWHERE, &wrapper);
    let (log_syncs, checkpoints) = (|| count(&trace, "-wal>"), || count(&trace, "outpost.db>"));
    let before = (log_syncs(), checkpoints());
    let load = load(agent.address, 64, requests(&agent, EVENTS));
    // A checkpoint syncs the log once more, and then the database.
    let checkpoints = checkpoints() - before.1;
    let commits = log_syncs() - before.0 - checkpoints;
    row("outpost, fsync of 20 ms, 64 connections", &load);
    println!("{:<44} {:>9.1} events a commit", "", EVENTS as f64 / commits as f64);
}

/// Lines of a file that hold a text.
fn count(path: &std::path::Path, text: &str) -> usize {
    std::fs::read_to_string(path).unwrap().lines().filter(|line| line.contains(text)).count()
}

/// Bytes that reach the disk for each event.
fn bytes() {
    for (connections, count) in [(1, 10_000), (64, 100_000)] {
        let mut bare = BareLoop::new();
        bare.run(&events(PROFILES), 512);
        let (written, events) = (|| common::proc_number(std::process::id(), "io", "write_bytes:"), events(count));
        let before = written();
        bare.run(&events, connections);
        println!(
            "{:<44} {:>9} bytes/event",
            format!("bare loop, {connections} a commit"),
            (written() - before) / count as u64
        );

        let agent = Agent::start(NOWHERE);
        load(agent.address, 64, requests(&agent, PROFILES));
        let requests = requests(&agent, count);
        let before = agent.proc_number("io", "write_bytes:");
        load(agent.address, connections, requests);
        let bytes = (agent.proc_number("io", "write_bytes:") - before) / count as u64;
        println!("{:<44} {bytes:>9} bytes/event", format!("outpost, {connections} connections"));
    }
}
