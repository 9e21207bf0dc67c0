//! `outpost rejected`: what was rejected, with reasons; tried again, or dropped.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::device::Device;
use super::failure::Failure;
use super::output::{local, print, print_json, print_line, warn};
use super::reach::AgentArgs;
use crate::core::limits::REJECTED_LISTED_MAX;
use crate::core::reason::Reason;
use crate::inspect::rejected::{RejectedItem, RejectedList};

/// Most that all lists together may have, as JSON. Units: bytes. Limits: half a million entries; somebody in the agent's place could
/// send lists for ever.
const LISTED_BYTES_MAX: usize = 128 << 20;

/// Shows, retries or drops rejected events and updates
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost rejected retry --all")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists what was rejected, by reason, oldest first
    #[command(after_help = "Example:\n  outpost rejected list --json")]
    List {
        #[command(flatten)]
        agent: AgentArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one of them in full, with the event or the identity
    #[command(after_help = "Example:\n  outpost rejected show 17")]
    Show {
        #[command(flatten)]
        agent: AgentArgs,
        /// The number that `list` shows
        id: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Maps rejected events again with the current configuration, and sends rejected updates again
    #[command(after_help = "Example:\n  outpost rejected retry 17 18")]
    Retry {
        #[command(flatten)]
        agent: AgentArgs,
        #[command(flatten)]
        which: Which,
    },
    /// Discards them permanently
    #[command(after_help = "Example:\n  outpost rejected drop 17 --yes")]
    Drop {
        #[command(flatten)]
        agent: AgentArgs,
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true)]
struct Which {
    /// The numbers that `list` shows
    ids: Vec<i64>,
    /// All of them
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::List { agent, json } => list(&Device::open(agent)?, *json),
        Action::Show { agent, id, json } => show(&Device::open(agent)?, *id, *json),
        Action::Retry { agent, which } => retry(&Device::open(agent)?, which),
        Action::Drop { agent, which, yes } => drop_all(&Device::open(agent)?, which, *yes),
    }
}

fn list(device: &Device, json: bool) -> Result<(), Failure> {
    let items = all(device)?;
    if json {
        return print_json(&RejectedList { rejected: items });
    }
    if items.is_empty() {
        return print("nothing is rejected");
    }
    let mut reasons: Vec<&str> = Vec::new();
    for item in &items {
        if !reasons.contains(&item.reason.as_str()) {
            reasons.push(&item.reason);
        }
    }
    for reason in reasons {
        let of_reason = || items.iter().filter(|item| item.reason == reason);
        let words = Reason::of_label(reason).and_then(Reason::words).map(|words| format!(" ({words})"));
        print_line(&format!("{reason}: {}{}", of_reason().count(), words.unwrap_or_default()))?;
        of_reason().try_for_each(|item| print_line(&format!("  {}", line(item))))?;
    }
    Ok(())
}

/// All that is rejected, which comes in parts.
fn all(device: &Device) -> Result<Vec<RejectedItem>, Failure> {
    let (mut items, mut bytes): (Vec<RejectedItem>, usize) = (Vec::new(), 0);
    loop {
        let after = items.last().map_or(0, |item| item.id);
        let part = device.rejected(after)?.rejected;
        let is_last = part.len() < REJECTED_LISTED_MAX;
        bytes += part.iter().map(|item| serde_json::to_vec(item).map_or(0, |json| json.len())).sum::<usize>();
        if part.first().is_some_and(|first| first.id <= after) || bytes > LISTED_BYTES_MAX {
            return Err(Failure::because(format!(
                "the agent's list does not end after {after}; see who listens there"
            )));
        }
        items.extend(part);
        if is_last {
            return Ok(items);
        }
    }
}

fn ids(device: &Device, which: &Which) -> Result<Vec<i64>, Failure> {
    if which.all { Ok(all(device)?.iter().map(|item| item.id).collect()) } else { Ok(which.ids.clone()) }
}

fn line(item: &RejectedItem) -> String {
    let RejectedItem { id, kind, rejected_at, detail, seq, event_type, attributes, .. } = item;
    let what = match (seq, event_type) {
        (Some(seq), Some(event_type)) => format!("event {seq}, {event_type}"),
        (Some(seq), None) => format!("event {seq}"),
        (None, _) => format!("{kind} of {}", attributes.join(", ")),
    };
    format!("{id:<6} {}  {what}: {detail}", local(rejected_at))
}

fn show(device: &Device, id: i64, json: bool) -> Result<(), Failure> {
    let item = device.rejected_item(id)?;
    if json {
        return print_json(&item);
    }
    print_line(&line(&item))?;
    print_line(&format!("reason      {}", item.reason))?;
    if let Some(identity) = &item.identity {
        print_line(&format!("identity    {identity}"))?;
    }
    if !item.attributes.is_empty() {
        print_line(&format!("attributes  {}", item.attributes.join(", ")))?;
    }
    match &item.event {
        Some(event) => print_json(&Tree::of(event)),
        None => Ok(()),
    }
}

/// JSON that is printed in lines, with its scalars as they are written: numbers keep all their digits.
#[derive(Serialize)]
#[serde(untagged)]
enum Tree<'j> {
    Object(BTreeMap<String, Self>),
    List(Vec<Self>),
    Scalar(&'j RawValue),
}

impl<'j> Tree<'j> {
    fn of(json: &'j RawValue) -> Self {
        let text = json.get();
        if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            return Self::Object(members.into_iter().map(|(name, value)| (name, Self::of(value))).collect());
        }
        match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => Self::List(items.into_iter().map(Self::of).collect()),
            Err(_) => Self::Scalar(json),
        }
    }
}

fn retry(device: &Device, which: &Which) -> Result<(), Failure> {
    let mut still = 0;
    let ids = ids(device, which)?;
    for id in &ids {
        let retried = device.retry_rejected(*id)?;
        let reason = retried.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        print_line(&format!("{id}: {}{reason}", retried.status))?;
        still += usize::from(retried.is_rejected());
    }
    if still > 0 {
        return Err(Failure::because(format!("still rejected: {still} of {}; fix the mapping and retry", ids.len())));
    }
    Ok(())
}

fn drop_all(device: &Device, which: &Which, yes: bool) -> Result<(), Failure> {
    let ids = ids(device, which)?;
    if ids.is_empty() {
        return print("nothing is rejected");
    }
    if !yes && !confirmed(ids.len())? {
        return Err(Failure::because("nothing was dropped"));
    }
    for id in &ids {
        device.drop_rejected(*id)?;
    }
    print(&format!("dropped {}", ids.len()))
}

/// Asks whoever sits before the terminal; without one, the answer is no.
fn confirmed(count: usize) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        warn("nobody can be asked; add --yes to drop without asking");
        return Ok(false);
    }
    let mut stderr = io::stderr();
    let asked =
        write!(stderr, "Discard {count} permanently? There is no other copy. [y/N] ").and_then(|()| stderr.flush());
    asked.map_err(|error| Failure::failed(&error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::failed(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
