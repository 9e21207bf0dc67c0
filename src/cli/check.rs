//! `outpost check`: validates the configuration and runs its examples.

use super::load::{ConfigArgs, Loaded, report};
use super::{Failure, print, warn};

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
    if config.target.forwarding.late_after.is_none() {
        let mut totals: Vec<&str> = config.mappings.shared_totals().collect();
        totals.sort_unstable();
        totals.dedup();
        for name in totals {
            warn(&format!(
                "with shared_profiles = false each device overwrites the {name} of the others; give it a name of the \
                 device's own, such as \"{name}_{{device_id}}\", or share profiles"
            ));
        }
    }
    print(&format!("{} is valid; {} examples passed", path.display(), config.examples.len()))
}
