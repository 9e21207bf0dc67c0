//! `outpost log`: sets another log level for a while, without a restart.

use serde::Deserialize;

use super::failure::Failure;
use super::output::print_line;
use super::reach::AgentArgs;
use super::runtime::small_runtime;
use crate::device::log_level::LevelTime;
use crate::http::api::LogDocument;

/// Changes the log level of the running agent for a limited time
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost log debug --for 10m")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// error, warn, info, debug or trace
    level: tracing::Level,
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "10m",
        value_parser = time,
        help = format!("For how long, at most {}h; then the configured level applies again", LevelTime::HOURS_MAX)
    )]
    time: LevelTime,
}

fn time(text: &str) -> Result<LevelTime, String> {
    LevelTime::new(crate::sandbox::duration(text)?)
}

#[derive(Deserialize)]
struct Changed {
    level: String,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let otherwise = "the agent does not run; set level in [log] and start it with `outpost run`";
    let connection = args.agent.running(otherwise)?;
    let document = LogDocument { level: args.level.as_str().to_lowercase(), for_seconds: args.time.as_secs() };
    let body = serde_json::to_string(&document).map_err(|error| Failure::failed(&error))?;
    let changed: Changed = small_runtime()?.block_on(connection.post("/v1/log", "application/json", body))?;
    print_line(&format!("log level {} for {} s; then as configured", changed.level, args.time.as_secs()))
}
