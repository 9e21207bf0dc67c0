//! `outpost doctor`: what is well on this device and what is not, a line each, with what to do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::check::passed;
use super::connect::{Holder, holder};
use super::destination::{Standing, course};
use super::failure::Failure;
use super::load::{ConfigArgs, Loaded};
use super::output::{print, with_local_times};
use super::runtime::small_runtime;
use crate::agent::Course;
use crate::agent::data_dir::DataDir;
use crate::config::{Config, Sources};
use crate::core::forwarding::link::LinkState;
use crate::core::limits::EVENT_TIME_AHEAD_MAX;
use crate::core::verdict;
use crate::core::visible::one_line;
use crate::core::words::Receiver;
use crate::core::words::counted;
use crate::device::clock::Clock;
use crate::device::dir::{self, Dir};
use crate::device::machine;
use crate::device::rights::is_root;
use crate::inspect::status::{DamagedStore, Status};
use crate::inspect::verdict::for_support;
use crate::store::{Reader, Salvage, StoreError, StoreFile, kept_stores};

mod bundle;
mod finding;
mod network;

use finding::{Finding, Level};

/// A sync that takes longer makes tills wait.
const SYNC_SLOW: Duration = Duration::from_millis(100);

/// Syncs that are tried; the median counts.
const SYNCS: usize = 5;

/// Checks configuration, disk, store, clocks, destination, network, certificate, token, link and quota
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost doctor --json")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write what support needs into a ZIP file, without secrets or customer data
    #[arg(long, value_name = "FILE.zip")]
    bundle: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let examined = examine(&args.config)?;
    if let Some(path) = &args.bundle {
        let zip = examined.bundle().map_err(|why| bundle::cannot_be_written(path, &why))?;
        bundle::save(path, &zip)?;
    }
    let findings = examined.findings;
    if args.json {
        print(&serde_json::to_string_pretty(&findings).map_err(|error| Failure::failed(&error))?)?;
    } else {
        for Finding { check, level, detail } in &findings {
            let level = match level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            print(&format!("{level:<5}{check:<15}{}", one_line(&with_local_times(detail))))?;
        }
    }
    match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
        0 => Ok(()),
        failed => Err(Failure::because(format!("{failed} of {} checks failed", findings.len()))),
    }
}

/// All results, and what they are about.
struct Examined {
    findings: Vec<Finding>,
    config: Config,
    sources: Sources,
    /// Status of the agent, if it runs.
    status: Option<Status>,
}

fn examine(args: &ConfigArgs) -> Result<Examined, Failure> {
    let Loaded { config, sources } = args.load()?;
    let data_dir = DataDir::new(&config.agent.data_dir);
    let mut findings = vec![examples(&config, &sources), directory(data_dir.path()), disk(&config)];
    let status = if data_dir.was_used() { running(&data_dir)? } else { None };
    if data_dir.has_store() {
        let file = super::at_rest::store_file(&config);
        findings.push(store(&file));
        findings.push(clock(&file));
        findings.extend((!args.sandbox).then(|| destination(&config)));
    } else {
        findings.push(no_store(status.is_some()));
    }
    if data_dir.has_store() || status.is_some() {
        findings.extend(agent(status.as_ref()));
    }
    findings.push(machine(&config));
    findings.push(user());
    findings.push(service());
    let (Course { settings, .. }, _) = course(&config);
    findings.extend(network::examine(settings.target));
    Ok(Examined { findings, config, sources, status })
}

impl Examined {
    /// Returns the bundle for support.
    fn bundle(&self) -> Result<Vec<u8>, String> {
        let status = self.status.as_ref().map(for_support);
        // What the agent says of itself may name files that others dropped.
        let theirs = agent(status.as_ref());
        let of_bundle =
            |finding: &Finding| theirs.iter().find(|other| other.check == finding.check).unwrap_or(finding).clone();
        let findings: Vec<Finding> = self.findings.iter().map(of_bundle).collect();
        let Self { config, sources, .. } = self;
        bundle::Bundle { findings: &findings, config, sources, status: status.as_ref() }.zip()
    }
}

/// Examines this device, and returns the bundle for support; the agent's page has it downloaded.
pub(super) fn bundle(args: &ConfigArgs) -> Result<Vec<u8>, Failure> {
    examine(args)?.bundle().map_err(Failure::because)
}

/// Checks that a copy of this disk would get another device's name.
fn machine(config: &Config) -> Finding {
    let finding = |level, detail| Finding::new("machine", level, detail);
    match (&config.agent.device_id, machine::id()) {
        (Some(_), _) => finding(Level::Ok, "named by device_id in [agent]"),
        (None, Some(_)) => finding(Level::Ok, "known by its machine-id"),
        (None, None) => finding(
            Level::Warn,
            "its system has no machine-id that lasts: a copy of this disk would have the same name; set device_id in [agent]",
        ),
    }
}

/// Checks that this user has no more rights than the agent needs.
fn user() -> Finding {
    if is_root() {
        let words = "root, which may do anything on this device: run the agent as a user of its own";
        return Finding::new("user", Level::Warn, words);
    }
    Finding::new("user", Level::Ok, "not root")
}

/// Checks that a service starts the agent with the device.
fn service() -> Finding {
    if super::service::is_installed() {
        return Finding::new("service", Level::Ok, "installed");
    }
    Finding::new("service", Level::Warn, "not installed: after a power cut somebody must start the agent")
}

fn examples(config: &Config, sources: &Sources) -> Finding {
    match config.run_examples(sources) {
        Ok(()) => Finding::new("configuration", Level::Ok, format!("valid; {}", passed(config))),
        Err(problems) => Finding::new("configuration", Level::Fail, problems.to_string()),
    }
}

fn directory(path: &Path) -> Finding {
    let finding = |level, detail| Finding::new("data directory", level, detail);
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return finding(Level::Fail, format!("{shown} cannot be read: {error}")),
    };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o007 != 0 {
        return finding(Level::Warn, format!("{shown} is open to every user; chmod o-rwx {shown}"));
    }
    if metadata.permissions().readonly() {
        return finding(Level::Fail, format!("{shown} cannot be written to"));
    }
    finding(Level::Ok, format!("{shown}"))
}

fn disk(config: &Config) -> Finding {
    let finding = |level, detail| Finding::new("disk", level, detail);
    let dir = &config.agent.data_dir;
    let free = fs4::available_space(dir).unwrap_or(0);
    let sync = match sync_time(dir) {
        Ok(sync) => sync,
        Err(error) => return finding(Level::Fail, format!("a file could not be written and synced: {error}")),
    };
    let detail = format!("{} MiB free, a sync takes {sync:.1?}", free >> 20);
    if free < config.store.min_free_disk_bytes {
        return finding(
            Level::Fail,
            format!("{detail}; less than min_free_disk is free, events are refused; free some space"),
        );
    }
    if sync > SYNC_SLOW {
        return finding(Level::Warn, format!("{detail}; each event waits for one: the card may be worn, or shared"));
    }
    finding(Level::Ok, detail)
}

/// Measures the time until a small file is on the disk.
fn sync_time(path: &Path) -> std::io::Result<Duration> {
    let dir = Dir::open(path)?;
    dir::with_temporary(&dir, "doctor.tmp".as_ref(), |name| {
        let mut file = dir.create(name, 0o600)?;
        let mut times = Vec::new();
        let mut sync = || {
            for _ in 0..SYNCS {
                let begun = Instant::now();
                file.write_all(&[0; 4_096])?;
                file.sync_data()?;
                times.push(begun.elapsed());
            }
            Ok(())
        };
        let synced = sync();
        dir.remove(name).and(synced)?;
        times.sort();
        Ok(times[SYNCS / 2])
    })
}

/// Checks that the store is sound, and reports what was saved if it was not. That is a failure as long as the damaged file
/// is there: somebody should look at it.
fn store(file: &StoreFile) -> Finding {
    let look = || -> Result<_, StoreError> {
        let reader = Reader::open(file)?;
        Ok((reader.is_sound()?, reader.last_salvage()?))
    };
    let finding = |level, detail| Finding::new("store", level, detail);
    match look() {
        Ok((false, _)) => {
            finding(Level::Fail, "it is damaged; restart the agent, which saves what can be read".to_owned())
        }
        Ok((true, salvage)) => {
            let kept: Vec<DamagedStore> = kept_stores(&file.path).into_iter().map(DamagedStore::from).collect();
            let words: Vec<String> = kept.iter().map(DamagedStore::words).collect();
            let is_there = |salvage: &Salvage| kept.iter().any(|kept| kept.file == salvage.kept_as);
            let salvage = salvage.filter(is_there).map(|salvage| format!("{salvage}; ")).unwrap_or_default();
            if words.is_empty() {
                finding(Level::Ok, "sound".to_owned())
            } else {
                finding(Level::Fail, format!("{salvage}{}", words.join("; ")))
            }
        }
        Err(error) => finding(Level::Fail, super::failure::chain(&error)),
    }
}

fn no_store(is_running: bool) -> Finding {
    let (level, words) = if is_running {
        (Level::Fail, "somebody removed it while the agent runs; put the same file back, or restart the agent")
    } else {
        (Level::Warn, "there is none yet; start the agent with `outpost run`")
    };
    Finding::new("store", level, words)
}

fn clock(file: &StoreFile) -> Finding {
    let newest = Reader::open(file).and_then(|reader| reader.counters());
    let newest = newest.ok().and_then(|counters| counters.recorded_at);
    let (now, finding) = (Clock::system(), |level, detail| Finding::new("clock", level, detail));
    match newest {
        Some(newest) if newest.since(now) > EVENT_TIME_AHEAD_MAX => {
            finding(Level::Warn, format!("it says {now}, which is before the newest event, of {newest}; set the clock"))
        }
        _ => finding(Level::Ok, now.to_string()),
    }
}

/// Checks that the store's deliveries went where the configuration says.
fn destination(config: &Config) -> Finding {
    let (level, words) = match Standing::of(config) {
        Standing::Same(words) | Standing::TurnsToHub(words) => (Level::Ok, words),
        Standing::Moves(words) => (Level::Warn, words),
        Standing::LacksHub(words) => (Level::Fail, words),
    };
    Finding::new("destination", level, words)
}

/// Status of the agent, if it runs.
fn running(data_dir: &DataDir) -> Result<Option<Status>, Failure> {
    match holder(data_dir)? {
        Holder::Agent(connection) => small_runtime()?.block_on(connection.get("/v1/status")).map(Some),
        Holder::Us(_lock) => Ok(None),
    }
}

fn agent(status: Option<&Status>) -> Vec<Finding> {
    let Some(status) = status else {
        return vec![Finding::new("agent", Level::Fail, "it does not run; start it with `outpost run`")];
    };
    let verdict = match status.verdict.level {
        verdict::Level::Well => Level::Ok,
        verdict::Level::Waiting => Level::Warn,
        verdict::Level::Attention | verdict::Level::Refusing => Level::Fail,
    };
    let reason = status.link_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let link = match status.link == LinkState::Unknown.name() {
        _ if status.link_is_good() => Level::Ok,
        true => Level::Warn,
        false => Level::Fail,
    };
    let quota = match &status.quota.opens_at {
        Some(at) => (Level::Warn, format!("spent until {}", super::output::local(at))),
        None => (Level::Ok, format!("{} of {} used in 24 hours", status.quota.used, status.quota.updates_per_day)),
    };
    let reads = match &status.reads.denied {
        Some(reason) => (
            Level::Warn,
            format!(
                "{reason}; updates continue without reading, and may overwrite what others wrote: allow the token to read profiles"
            ),
        ),
        None => (Level::Ok, format!("{} of {} used in 24 hours", status.reads.used, status.reads.reads_per_day)),
    };
    let unconfirmed = match status.delivered.unconfirmed {
        0 => (Level::Ok, "no update went to a profile that Target may not have".to_owned()),
        count => (
            Level::Warn,
            format!(
                "{} went to profiles that Target may not have, and may be lost; use mode = \"auto\"",
                counted(count, "update")
            ),
        ),
    };
    let rejected = match status.rejected.events + status.rejected.updates {
        0 => (Level::Ok, "nothing".to_owned()),
        count => (Level::Warn, format!("{count} kept for a decision; see `outpost rejected list`")),
    };
    let mut findings = vec![
        Finding::new("agent", Level::Ok, format!("runs, version {}", status.version)),
        Finding::new("verdict", verdict, format!("{} {}", status.verdict.text, status.verdict.what_to_do).trim_end()),
        Finding::new("link", link, format!("{}{reason}", status.link)),
        Finding::new("rejected", rejected.0, rejected.1),
    ];
    // A hub has its own quota, and reads for its devices.
    if status.receiver == Receiver::Target {
        findings.push(Finding::new("quota", quota.0, quota.1));
        findings.push(Finding::new("reading", reads.0, reads.1));
        findings.push(Finding::new("existence", unconfirmed.0, unconfirmed.1));
    }
    findings
}
