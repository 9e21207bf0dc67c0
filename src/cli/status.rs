//! `outpost status`: shows what the agent does, in a screenful.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::device::Device;
use super::failure::Failure;
use super::output::{local, print, print_json, with_local_times};
use super::reach::AgentArgs;
use super::runtime::small_runtime;
use super::watch::Watch;
use crate::core::visible::one_line;
use crate::core::words::Receiver;
use crate::core::words::counted;
use crate::http::page::PageCode;
use crate::inspect::status::{
    BatchView, DeliveredCounts, EventCounts, PushView, RefusedCount, RouteCount, Status, StoreCounts,
};
use crate::intake::view::Shown;

/// Time between two looks of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Shows the verdict and the numbers: link, pending, delivered, rejected, quota and store
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost status --watch")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// Refresh every second until Ctrl-C; with --json, print one document per line
    #[arg(long)]
    watch: bool,
    /// Print the document of GET /v1/status
    #[arg(long)]
    json: bool,
    /// Print a link that opens the status page in a browser on this device, once
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    open: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.open {
        return open(&args.agent);
    }
    if args.watch && !args.json {
        return watch(&args.agent);
    }
    loop {
        let status = Device::open(&args.agent)?.status()?;
        match (args.json, args.watch) {
            (false, _) => return print(&table(&status)),
            (true, false) => return print_json(&status),
            // One document per line, for programs that read on.
            (true, true) => {
                let line = serde_json::to_string(&status).map_err(|error| Failure::failed(&error))?;
                if writeln!(io::stdout(), "{line}").is_err() {
                    return Ok(());
                }
            }
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// Refreshes the status every second, until Ctrl-C.
fn watch(agent: &AgentArgs) -> Result<(), Failure> {
    let is_terminal = io::stdout().is_terminal();
    let mut watch = Watch::new();
    let mut stdout = io::stdout();
    if is_terminal {
        let _ = write!(stdout, "\x1b[2J");
    }
    loop {
        let status = Device::open(agent)?.status()?;
        watch.look(&status, Instant::now());
        let text = if is_terminal { watch.screen(&status) } else { watch.line(&status) };
        // The reader went away.
        if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn pushed(PushView { host, last_at, problem }: &PushView) -> String {
    let last = last_at.as_deref().map_or("never yet".to_owned(), |at| format!("last at {}", local(at)));
    match problem {
        None => format!("pushed to {host}, {last}"),
        Some(problem) => format!("not pushed to {host}: {problem} ({last})"),
    }
}

/// Prints a link to the page.
fn open(agent: &AgentArgs) -> Result<(), Failure> {
    let otherwise = "the agent does not run, and so shows no page; start it with `outpost run`";
    let connection = agent.running(otherwise)?;
    let code: PageCode =
        small_runtime()?.block_on(connection.post("/v1/page-codes", "application/json", String::new()))?;
    print(&format!(
        "{}{}\nopens the status page in a browser on this device, once, within {} minutes",
        connection.base(),
        code.path,
        code.expires_in_seconds / 60
    ))
}

fn table(status: &Status) -> String {
    let Status { events, pending, rejected, quota, store, .. } = status;
    let reason = status.link_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let next = status.next_try_at.as_deref().map(|at| format!(", next try at {}", local(at))).unwrap_or_default();
    let opens = quota.opens_at.as_deref().map(|at| format!(", spent until {}", local(at))).unwrap_or_default();
    let rows = [
        ("device", format!("{}, outpost {}, up {} s", status.device_id, status.version, status.uptime_seconds)),
        ("link", format!("{}{reason} (since {}{next})", status.link, local(&status.link_since))),
        ("events", recorded(events)),
        (
            "pending",
            format!(
                "{}, {}, oldest {} s{}",
                counted(pending.profiles, "profile"),
                counted(pending.attributes, "attribute"),
                pending.oldest_seconds,
                missing(pending.missing_profiles)
            ),
        ),
        ("delivered", delivered(&status.delivered)),
        ("reads", reads(status)),
        ("batches", batches(status)),
        ("routes", routes(status)),
        ("rejected", format!("{}, {} kept", counted(rejected.events, "event"), counted(rejected.updates, "update"))),
        ("quota", format!("{} of {} used in 24 hours{opens}", quota.used, quota.updates_per_day)),
        ("store", room(store)),
    ]
    // A hub has its own quota, reads for its devices, and gets everything the same way.
    .into_iter()
    .filter(|(name, _)| {
        status.receiver == Receiver::Target || !matches!(*name, "reads" | "batches" | "routes" | "quota")
    })
    .map(|(name, value)| format!("{name:<10}{value}"));
    let verdict =
        status.verdict.rows().into_iter().map(|(name, words)| format!("{name:<10}{}", with_local_times(&words)));
    let refused = refused(status).map(|words| format!("{:<10}{words}", "refused"));
    let push = status.metrics_push.as_ref().map(|push| format!("{:<10}{}", "metrics", pushed(push)));
    let intake = status.intake.shown().map(Shown::line).chain(store.salvage.clone());
    let intake = intake.map(|line| with_local_times(&line));
    verdict
        .chain(rows)
        .chain(refused)
        .chain(push)
        .chain(intake)
        .chain(store.destination_words().map(|words| with_local_times(&words)))
        .map(|line| one_line(&line).into_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn delivered(delivered: &DeliveredCounts) -> String {
    let last = delivered.last_at.as_deref().map(|at| format!(", last at {}", local(at))).unwrap_or_default();
    let unconfirmed = match delivered.unconfirmed {
        0 => String::new(),
        count => format!(", {count} to profiles that Target may not have"),
    };
    let empty = match delivered.empty {
        0 => String::new(),
        count => format!(", {} not sent", counted(count, "empty value")),
    };
    format!(
        "{}, {}, {}, {} superseded{empty}{unconfirmed}{last}",
        counted(delivered.updates, "update"),
        counted(delivered.attributes, "attribute"),
        counted(delivered.requests, "request"),
        delivered.superseded
    )
}

fn recorded(events: &EventCounts) -> String {
    let unknown = match events.consent_unknown {
        0 => String::new(),
        count => format!(" ({count} of them since consent could not be computed)"),
    };
    let unconsented = match events.unconsented {
        0 => String::new(),
        count => format!(", {count} without consent and not stored{unknown}"),
    };
    let differing = match events.differing {
        0 => String::new(),
        count => format!(" ({count} of them with other content than their id had: not recorded)"),
    };
    let known =
        events.ids_known_since.as_ref().map(|at| format!("; ids known since {}", local(at))).unwrap_or_default();
    format!(
        "{} recorded, {} duplicate{differing}, {} unmapped, {} rejected{unconsented}{known}",
        events.recorded, events.duplicate, events.unmapped, events.rejected
    )
}

fn room(store: &StoreCounts) -> String {
    let free = store.disk_free_bytes.map(|bytes| format!(", {} free on disk", mebibytes(bytes))).unwrap_or_default();
    let full = if store.is_full { "; full, events are refused" } else { "" };
    let purged = match store.purged_profiles {
        0 => String::new(),
        count => format!("; {} purged for room", counted(count, "delivered profile")),
    };
    format!("{} of {}{free}{full}{purged}", mebibytes(store.bytes), mebibytes(store.max_bytes))
}

fn reads(status: &Status) -> String {
    let reads = &status.reads;
    let denied = reads.denied.as_deref().map(|reason| format!("; {reason}")).unwrap_or_default();
    format!(
        "{} of {} used in 24 hours; read back: {} arrived, {} sent again{denied}",
        reads.used, reads.reads_per_day, reads.verified, reads.lost
    )
}

fn batches(status: &Status) -> String {
    let each = |batch: &BatchView| format!("{} {}", counted(batch.rows, "row"), batch.state.replace('_', " "));
    let all: Vec<String> = status.batches.iter().map(each).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// Returns the requests with events that were refused since the start, if there were any.
fn refused(status: &Status) -> Option<String> {
    let each = |it: &RefusedCount| format!("{} {} ({})", it.requests, it.reason.replace('-', " "), it.status);
    let all: Vec<String> = status.refused.iter().map(each).collect();
    (!all.is_empty()).then(|| format!("{} since the start", all.join(", ")))
}

/// Returns the routes of updates since the start, with their reasons.
fn routes(status: &Status) -> String {
    let each = |route: &RouteCount| format!("{} {} ({})", route.updates, route.api, route.why);
    let all: Vec<String> = status.routes.iter().map(each).collect();
    if all.is_empty() { "no update since the start".to_owned() } else { all.join(", ") }
}

#[allow(clippy::cast_precision_loss)] // A tenth of a mebibyte is all that is shown.
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Returns the text about profiles that Target does not have.
fn missing(profiles: i64) -> String {
    match profiles {
        0 => String::new(),
        count => format!(
            "; Target does not have {}, which wait: use mode = \"auto\" to create profiles",
            counted(count, "profile")
        ),
    }
}
