//! `outpost reload`: has the running agent read its configuration anew.

use super::reach::AgentArgs;
use super::{Failure, print, small_runtime};
use crate::http::api::Reloaded;

/// Has the running agent read its configuration anew
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost reload -c /etc/outpost/agent.toml")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let otherwise = "the agent does not run; `outpost run` reads the configuration when it starts";
    let connection = args.agent.running(otherwise)?;
    let Reloaded { needs_restart } = small_runtime()?.block_on(connection.reload())?;
    match needs_restart.as_slice() {
        [] => print("the new configuration holds"),
        settings => {
            print(&format!("the new configuration holds, but for what takes a restart: {}", settings.join(", ")))
        }
    }
}
