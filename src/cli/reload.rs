//! `outpost reload`: makes the running agent reload its configuration.

use super::failure::Failure;
use super::output::{print_line, warn};
use super::reach::AgentArgs;
use super::runtime::small_runtime;
use crate::core::visible::one_line;
use crate::http::api::Reloaded;
use crate::inspect::status::Status;

/// Makes the running agent reload its configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost reload -c /etc/outpost/agent.toml")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let otherwise = "the agent does not run; `outpost run` reads the configuration when it starts";
    let connection = args.agent.running(otherwise)?;
    let (Reloaded { needs_restart }, status): (_, Status) = small_runtime()?.block_on(async {
        let reloaded = connection.reload().await?;
        Ok::<_, Failure>((reloaded, connection.get("/v1/status").await?))
    })?;
    if let Some(why) = status.not_set_up {
        warn(&format!("nothing can be sent to Adobe Target: {}", one_line(&why)));
    }
    match needs_restart.as_slice() {
        [] => print_line("the new configuration is in effect"),
        settings => print_line(&format!(
            "the new configuration is in effect, except for what needs a restart: {}",
            settings.join(", ")
        )),
    }
}
