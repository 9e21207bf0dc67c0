//! `outpost verify`: a profile here and in Target, attribute by attribute.

use super::device::Device;
use super::failure::Failure;
use super::output::{local, print, print_json};
use super::reach::AgentArgs;
use crate::core::identity::Identity;
use crate::core::visible::one_line;
use crate::core::words::counted;
use crate::inspect::verify::Verification;

/// Reads a profile back from Target, and compares it with this device attribute by attribute
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 Target has everything that this device sends, 1 a value has not arrived or is in flight, 2 the command \
                  line or the configuration is wrong\n\nExample:\n  outpost verify third_party_id:123456"
)]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// The identity, such as 123456, third_party_id:123456 or pc_id:1368007744041-575948.01_00
    identity: Identity,
    /// Send again what has not arrived
    #[arg(long)]
    resend: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let verification = Device::open(&args.agent)?.verify(&args.identity, args.resend)?;
    if args.json {
        print_json(&verification)?;
    } else {
        print(&text(&verification))?;
    }
    verification.shortfall().map_or(Ok(()), |words| Err(Failure::because(words)))
}

fn text(verification: &Verification) -> String {
    let exists = if verification.exists { "Target has the profile" } else { "Target does not have the profile" };
    let mut lines = vec![exists.to_owned()];
    for attribute in &verification.attributes {
        let here = one_line(attribute.here.as_deref().unwrap_or("-"));
        let there = one_line(attribute.there.as_deref().unwrap_or("-"));
        let modified = attribute
            .modified_at
            .as_deref()
            .map(|at| format!(" (written on {})", one_line(&local(at))))
            .unwrap_or_default();
        lines.push(format!("\n{}: {}", one_line(&attribute.name), attribute.verdict.words()));
        let sent = attribute.sent.as_deref().map(|sent| format!(" (sent as {})", one_line(sent))).unwrap_or_default();
        lines.push(format!("  here   {here}{sent}\n  there  {there}{modified}"));
    }
    if verification.resent > 0 {
        lines.push(format!("\nnot arrived, and sent again: {}", counted(verification.resent, "value")));
    }
    lines.join("\n")
}
