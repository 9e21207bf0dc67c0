//! `outpost sandbox`: runs only the Target simulator.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::failure::Failure;
use super::output::print;
use super::run::{bind, wait_for_signal};
use super::runtime::small_runtime;
use crate::adobe::{bulk, delivery, single};
use crate::core::identity::Identity;
use crate::core::limits::SANDBOX_REQUESTS_KEPT;
use crate::sandbox::faults::Faults;
use crate::sandbox::target::{Target, Unknown};
use crate::sandbox::{Sandbox, known_profiles};

/// Runs only the Target simulator
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost sandbox --listen 127.0.0.1:7718 --faults '503=2*3,slow=500ms*1'")]
pub(super) struct Args {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7718")]
    listen: SocketAddr,
    /// Faults to inject: outage, lost, 5xx, 429=SECONDS, 429=date-5, 401, gateway=404, portal, redirect, slow=500ms,
    /// reset, refuse=ATTRIBUTE, fetch=403 or bulk_v2=lost and likewise for any API, fetch200, batch-slow=30s,
    /// batch-stuck, batch-fail=KEY, batch-fail-encoded=KEY, batch-fail-unnamed=KEY, batch-short=ROWS; each with *TIMES
    #[arg(long, default_value = "", hide_default_value = true)]
    faults: Faults,
    /// Treatment of updates for unknown identities
    #[arg(long, value_enum, default_value_t)]
    unknown: Unknown,
    /// Bearer token that requests must carry
    #[arg(long)]
    token: Option<String>,
    /// Time until a write shows, such as 1h; the real Target takes up to a day
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = crate::sandbox::duration)]
    delay: Duration,
    /// Single updates accepted in any 24 hours
    #[arg(long, value_name = "COUNT")]
    updates_per_day: Option<usize>,
    /// Profiles that may be fetched in any 24 hours
    #[arg(long, value_name = "COUNT")]
    reads_per_day: Option<usize>,
    /// An identity that is known besides the built-in ones
    #[arg(long, value_name = "IDENTITY")]
    known: Vec<Identity>,
    /// Number of requests kept for /sandbox/requests
    #[arg(long, value_name = "COUNT", default_value_t = SANDBOX_REQUESTS_KEPT)]
    keep_requests: usize,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { listen, faults, unknown, token, delay, updates_per_day, reads_per_day, known, keep_requests } = args;
    let mut target = Target::new(known_profiles().chain(known), unknown, faults, keep_requests);
    (target.token, target.updates_per_day, target.reads_per_day) = (token, updates_per_day, reads_per_day);
    target.set_delay(delay);
    small_runtime()?.block_on(async {
        let (listener, address) = bind(listen).await?;
        print(&format!(
            "The simulator is running; stop it with Ctrl-C\n  updates   POST http://{address}{}\n  \
             batches   POST http://{address}{}\n  \
             delivery  POST http://{address}{}\n  \
             profiles  GET  http://{address}/rest/v1/profiles/thirdPartyId/ID?client=CLIENT\n  \
             watch     http://{address}/sandbox/profiles and /sandbox/requests\n  \
             settings  http://{address}/sandbox lists them",
            single::path("CLIENT"),
            bulk::path("CLIENT", 2),
            delivery::path("CLIENT", "SESSION")
        ))?;
        let (stop_sender, stop) = watch::channel(false);
        tokio::select! {
            () = Sandbox::new(target).serve(listener, stop) => {}
            () = wait_for_signal() => {}
        }
        drop(stop_sender);
        Ok(())
    })
}
