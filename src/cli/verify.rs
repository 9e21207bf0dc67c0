//! `outpost verify`: a profile here and in Target, attribute by attribute.

use std::sync::Arc;

use super::connect::{Holder, holder};
use super::load::{ConfigArgs, Loaded};
use super::{Failure, client_options, print, profile_path, small_runtime};
use crate::adobe::Client;
use crate::config::Config;
use crate::core::forwarding::quota::QuotaClock;
use crate::core::identity::Identity;
use crate::core::visible::one_line;
use crate::device::clock::Clock;
use crate::forward::shown::ReadQuota;
use crate::inspect::verify::{Verification, Verifier};
use crate::store::{Reader, Store, Writer};

/// Reads a profile back from Target, and shows it attribute by attribute, here and there
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost verify third_party_id:123456")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Whose profile, such as third_party_id:123456 or pc_id:1368007744041-575948.01_00
    identity: Identity,
    /// Send again what has not arrived
    #[arg(long)]
    resend: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, .. } = args.config.load()?;
    let data_dir = super::existing_store(&config)?;
    let verification: Verification = match holder(&data_dir)? {
        Holder::Agent(connection) => {
            let path = profile_path(&args.identity, &format!("/verify?resend={}", args.resend));
            small_runtime()?.block_on(connection.post(&path, "application/json", String::new()))?
        }
        Holder::Us(_lock) => at_rest(config, args)?,
    };
    if args.json {
        return print(&serde_json::to_string_pretty(&verification).map_err(|error| Failure::failed(&error))?);
    }
    print(&text(&verification))
}

/// The same without an agent.
fn at_rest(config: Config, args: &Args) -> Result<Verification, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::failed(error);
    let file = super::store_file(&config);
    let mut store = Store::open_within(&file, super::store_limits(&config)).map_err(|error| failed(&error))?;
    let forms = config.mappings.stored_forms(&args.identity);
    let row = Reader::open(&file).and_then(|reader| reader.profile(&forms)).map_err(|error| failed(&error))?;
    let row = row.ok_or_else(|| Failure::because("this device holds nothing of that identity"))?;
    let clock = Arc::new(Clock::new(store.counters().recorded_at));
    let (_, quota_time) = store.quota(1, Clock::system()).map_err(|error| failed(&error))?;
    let reads = store.read_quota(config.target.reads_per_day, quota_time.at).map_err(|error| failed(&error))?;
    let client = Client::new(&client_options(config.target)).map_err(|error| failed(&error))?;
    let (writer, thread) = Writer::start(store).map_err(|error| failed(&error))?;
    let quota_clock = QuotaClock::new(quota_time.at, clock.elapsed());
    let verifier = Verifier { client, writer, clock, quota_clock, reads: ReadQuota::new(reads) };
    let verified = small_runtime()?.block_on(verifier.verify(row, args.resend));
    drop(verifier);
    let _ = thread.join();
    verified.map_err(|error| failed(&error))
}

fn text(verification: &Verification) -> String {
    let exists = if verification.exists { "Target has the profile" } else { "Target does not have the profile" };
    let mut lines = vec![exists.to_owned()];
    for attribute in &verification.attributes {
        let here = one_line(attribute.here.as_deref().unwrap_or("-"));
        let there = one_line(attribute.there.as_deref().unwrap_or("-"));
        let modified = attribute.modified_at.as_deref().map(|at| format!(" (written on {at})")).unwrap_or_default();
        lines.push(format!("\n{}: {}", attribute.name, attribute.verdict.words()));
        lines.push(format!("  here   {here}\n  there  {there}{modified}"));
    }
    if verification.resent > 0 {
        lines.push(format!("\n{} values had not arrived, and are sent again", verification.resent));
    }
    lines.join("\n")
}
