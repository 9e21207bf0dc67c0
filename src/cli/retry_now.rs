//! `outpost retry-now`: ends the wait for the network.

use super::failure::Failure;
use super::output::{print_line, with_local_times};
use super::reach::AgentArgs;
use super::runtime::small_runtime;
use crate::inspect::status::RetriedNow;

/// Makes the running agent retry at once, instead of after its backoff
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost retry-now")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let otherwise = "the agent does not run, and so sends nothing; start it with `outpost run`";
    let connection = args.agent.running(otherwise)?;
    let retried: RetriedNow =
        small_runtime()?.block_on(connection.post("/v1/retry-now", "application/json", String::new()))?;
    print_line(&with_local_times(&retried.words()))
}
