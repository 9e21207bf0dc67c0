//! `outpost reload`: has the running agent read its configuration anew.

use super::connect::running;
use super::load::{ConfigArgs, Loaded};
use super::{Failure, print, small_runtime};
use crate::http::api::Reloaded;

/// Has the running agent read its configuration anew
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost reload -c /etc/outpost/agent.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, .. } = args.config.load()?;
    let otherwise = "the agent does not run; `outpost run` reads the configuration when it starts";
    let connection = running(&super::existing_store(&config)?, otherwise)?;
    let Reloaded { needs_restart } = small_runtime()?.block_on(connection.reload())?;
    match needs_restart.as_slice() {
        [] => print("the new configuration holds"),
        settings => {
            print(&format!("the new configuration holds, but for what takes a restart: {}", settings.join(", ")))
        }
    }
}
