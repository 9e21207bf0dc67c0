//! `outpost explain`: why a profile's attributes are what they are, and what became of them.

use super::device::Device;
use super::failure::Failure;
use super::output::{here, local, print, print_json, with_local_times};
use super::reach::AgentArgs;
use crate::core::identity::Identity;
use crate::core::reason::Reason;
use crate::core::visible::one_line;
use crate::inspect::profile::{Profile, ProfileAttribute, ProfileEventView, WithoutEffectView};

/// Explains one profile: each attribute, what set it, and what became of it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost explain third_party_id:123456")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// The identity, such as 123456, third_party_id:123456 or pc_id:1368007744041-575948.01_00
    identity: Identity,
    /// Print the document of GET /v1/profiles/{kind}/{key}
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let found = Device::open(&args.agent)?.profile(&args.identity)?;
    if args.json { print_json(&found) } else { print(&text(&found)) }
}

fn text(profile: &Profile) -> String {
    let mut lines: Vec<String> = profile.standing(&here()).iter().map(|line| one_line(line).into_owned()).collect();
    for attribute in &profile.attributes {
        lines.push(String::new());
        lines.push(format!("{} = {}", one_line(&attribute.name), one_line(&attribute.value)));
        lines.extend(details(attribute).into_iter().map(|(name, text)| format!("  {name:<10}{}", one_line(&text))));
    }
    if profile.attributes.is_empty() {
        lines = vec!["this device has no attribute of that identity, only events about it".to_owned()];
    }
    if !profile.events.is_empty() {
        lines.push("\nlast events".to_owned());
        lines.extend(profile.events.iter().map(|event| format!("  {}", event_line(event))));
    }
    if !profile.without_effect.is_empty() {
        lines.push("\nlast events without effect".to_owned());
        lines.extend(profile.without_effect.iter().map(without_effect));
    }
    lines.join("\n")
}

fn event_line(event: &ProfileEventView) -> String {
    format!("{}  {}  {}", local(&event.time), one_line(&event.event_type), one_line(&event.id))
}

fn without_effect(it: &WithoutEffectView) -> String {
    let event = match &it.event {
        Some(event) => event_line(event),
        None => format!("event {}, no longer in the journal", it.seq),
    };
    format!("  {event}\n    {}", one_line(&with_local_times(&it.words())))
}

fn details(attribute: &ProfileAttribute) -> Vec<(&'static str, String)> {
    let ProfileAttribute { state, reason, event_id, event_time, mapping, .. } = attribute;
    let event = event_id.as_deref().unwrap_or("no longer in the journal");
    let mut details = vec![("set by", format!("event {event} of {}, mapping \"{mapping}\"", local(event_time)))];
    let when =
        attribute.delivered_at.as_deref().filter(|_| state == "delivered").map(|at| format!(" on {}", local(at)));
    let why = reason.as_deref().map(|reason| format!(": {reason}"));
    let known = reason.as_deref().and_then(Reason::of_label);
    let state = if known.is_some_and(Reason::is_withheld) { "not sent" } else { state };
    details.push(("state", format!("{state}{}{}", when.unwrap_or_default(), why.unwrap_or_default())));
    details.extend(known.and_then(Reason::words).map(|it| ("", it.to_owned())));
    if let (Some(api), Some(why)) = (&attribute.api, &attribute.why) {
        details.push(("by", format!("{api}, since {why}")));
    }
    details.extend(attribute.parts().map(|parts| ("parts", parts)));
    details.extend(attribute.unanswered(&here()).into_iter().map(|clause| ("not known", clause)));
    if let Some(read) = &attribute.read {
        let value = read.value.as_deref().unwrap_or("nothing");
        let modified = read.modified_at.as_deref().map(|at| format!(", written on {}", local(at))).unwrap_or_default();
        details.push(("read", format!("{value}{modified} (read on {}); {}", local(&read.at), read.decision)));
    }
    details
}
