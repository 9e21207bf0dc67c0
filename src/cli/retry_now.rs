//! `outpost retry-now`: has what waits tried now.

use super::connect::running;
use super::load::{ConfigArgs, Loaded};
use super::{Failure, print, small_runtime};
use crate::inspect::status::RetriedNow;

/// Has the running agent try now what waits for the network, instead of after its backoff
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost retry-now")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, .. } = args.config.load()?;
    let otherwise = "the agent does not run, and so sends nothing; start it with `outpost run`";
    let connection = running(&super::existing_store(&config)?, otherwise)?;
    let retried: RetriedNow =
        small_runtime()?.block_on(connection.post("/v1/retry-now", "application/json", String::new()))?;
    print(&retried.words())
}
