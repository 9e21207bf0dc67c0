//! `outpost check`: validates the configuration and runs its examples.

use super::load::{ConfigArgs, Loaded, report};
use super::{Failure, print};

/// Validates the configuration and runs every [[mapping.example]]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost check -c agent.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, path, text } = args.config.load()?;
    config.run_examples(&path, &text).map_err(|problems| report(&problems))?;
    print(&format!("{} is valid; {} examples passed", path.display(), config.examples.len()))
}
