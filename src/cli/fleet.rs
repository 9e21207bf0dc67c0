//! `outpost fleet`: the devices of the hub, straight from its database.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::failure::Failure;
use super::hub::NodeArgs;
use super::output::{local, print, print_json, print_line};
use super::runtime::small_runtime;
use crate::core::timestamp::Timestamp;
use crate::core::visible::one_line;
use crate::hub::{Database, HubError, Invitation, Member, Standing, new_secret};

/// Longest time for which an invitation is good.
const LASTS_MAX: Duration = Duration::from_secs(3_650 * 86_400);

/// Manages the devices of the hub; needs its database and no running node
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost fleet list --silent 1h")]
pub(super) struct Args {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints an invitation code, by which devices join
    #[command(after_help = "Example:\n  outpost fleet invite --uses 40 --for 7d --group kiosks")]
    Invite {
        /// Number of devices that may join by it
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        uses: u32,
        /// Time for which it is good
        #[arg(long = "for", value_name = "DURATION", default_value = "30d", value_parser = duration)]
        lasts: Duration,
        /// Group of the devices that join by it
        #[arg(long)]
        group: Option<String>,
    },
    /// Lists the devices, with how they are
    #[command(after_help = "Example:\n  outpost fleet list --behind 1h --json")]
    List {
        /// Only devices of which nothing was heard for so long
        #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "1h", value_parser = duration)]
        silent: Option<Duration>,
        /// Only devices that have waited so long to hand something over
        #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "1h", value_parser = duration)]
        behind: Option<Duration>,
        /// Only devices of a group
        #[arg(long)]
        group: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows all about one device
    #[command(after_help = "Example:\n  outpost fleet show kiosk-3")]
    Show {
        /// Name of the device
        device: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revokes the token of a device; its name is free again
    #[command(after_help = "Example:\n  outpost fleet revoke kiosk-3")]
    Revoke {
        /// Name of the device
        device: String,
    },
}

/// After which time a device is silent or behind, unless a limit is given.
const HOUR: Duration = Duration::from_secs(60 * 60);

fn duration(text: &str) -> Result<Duration, String> {
    let span: Option<jiff::Span> = text.parse().ok();
    let duration = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
    duration.filter(|duration| *duration <= LASTS_MAX).ok_or_else(|| "a duration such as 1h or 30d".to_owned())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let database = args.node.database(&args.node.load()?)?;
    small_runtime()?.block_on(async {
        match &args.command {
            Command::Invite { uses, lasts, group } => invite(&database, *uses, *lasts, group.clone()).await,
            Command::List { silent, behind, group, json } => {
                list(&database, (*silent, *behind), group.as_deref(), *json).await
            }
            Command::Show { device, json } => show(&database, device, *json).await,
            Command::Revoke { device } => revoke(&database, device).await,
        }
    })
}

fn failed(error: &HubError) -> Failure {
    Failure::failed(error)
}

async fn invite(database: &Database, uses: u32, lasts: Duration, group: Option<String>) -> Result<(), Failure> {
    let code = new_secret().map_err(|error| Failure::failed(&error))?;
    let invitation = Invitation { code, group, uses, lasts };
    database.invite(&invitation).await.map_err(|error| failed(&error))?;
    print(&invitation.code)
}

async fn list(
    database: &Database,
    (silent, behind): (Option<Duration>, Option<Duration>),
    group: Option<&str>,
    is_json: bool,
) -> Result<(), Failure> {
    let (now, members) = database.fleet(group, None).await.map_err(|error| failed(&error))?;
    let standing = |member: &Member| member.standing(now, silent.unwrap_or(HOUR), behind.unwrap_or(HOUR));
    let is_asked = |member: &Member| match standing(member) {
        Standing::Silent => silent.is_some(),
        Standing::Behind => behind.is_some(),
        _ => false,
    };
    let is_all = silent.is_none() && behind.is_none();
    let mut members: Vec<&Member> = members.iter().filter(|member| is_all || is_asked(member)).collect();
    members.sort_by_key(|member| (standing(member), member.name.clone()));
    if is_json {
        let documents: Vec<_> = members.iter().map(|member| document(member, standing(member))).collect();
        return print_json(&documents);
    }
    if members.is_empty() {
        return print(if is_all { "No device has joined." } else { "No device is so." });
    }
    print(&format!("{:24} {:18} {:12} {:10} {:>8} last contact", "device", "state", "group", "version", "pending"))?;
    for member in members {
        let Member { name, group, contact_at, state, .. } = member;
        let contact = contact_at.map_or_else(|| "never".to_owned(), |at| local(&at.to_string()));
        let (standing, group) = (standing(member).name(), group.as_deref().unwrap_or("-"));
        let version = if state.version.is_empty() { "-" } else { &state.version };
        print_line(&format!(
            "{name:24} {standing:18} {group:12} {version:10} {:>8} {contact}",
            state.pending_profiles
        ))?;
    }
    Ok(())
}

async fn show(database: &Database, name: &str, is_json: bool) -> Result<(), Failure> {
    let (now, members) = database.fleet(None, Some(name)).await.map_err(|error| failed(&error))?;
    let member = members.first().ok_or_else(|| unknown(name))?;
    let standing = member.standing(now, HOUR, HOUR);
    if is_json {
        return print_json(&document(member, standing));
    }
    let time = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), |time| local(&time.to_string()));
    let state = &member.state;
    let clock = member
        .clock_off_ms
        .map_or_else(|| "not said".to_owned(), |off| format!("{} s ahead of the hub's", off / 1_000));
    let lines = [
        ("device", member.name.clone()),
        ("state", standing.name().to_owned()),
        ("group", member.group.clone().unwrap_or_else(|| "none".to_owned())),
        ("version", state.version.clone()),
        ("joined", time(Some(member.joined_at))),
        ("last contact", time(member.contact_at)),
        ("revoked", time(member.revoked_at)),
        ("clock", clock),
        ("pending", format!("{} profiles, the oldest since {} s", state.pending_profiles, state.oldest_seconds)),
        ("rejected", state.rejected.to_string()),
        ("unmapped", state.unmapped.to_string()),
        ("disk", format!("{} MiB free", state.disk_free_bytes >> 20)),
    ];
    for (what, said) in lines {
        print(&format!("{what:13} {}", one_line(&said)))?;
    }
    Ok(())
}

async fn revoke(database: &Database, name: &str) -> Result<(), Failure> {
    match database.revoke(name).await.map_err(|error| failed(&error))? {
        true => print_line(&format!("{name} is revoked: what it sends is refused from now on, and it keeps recording")),
        false => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Failure {
    Failure::because(format!("no device of the name {} has joined; outpost fleet list shows them", one_line(name)))
}

fn document(member: &Member, standing: Standing) -> serde_json::Value {
    json!({
        "device": member.name, "group": member.group, "standing": standing.name(), "joined_at": member.joined_at,
        "contact_at": member.contact_at, "revoked_at": member.revoked_at, "clock_off_ms": member.clock_off_ms,
        "twins_at": member.twins_at, "state": member.state,
    })
}
