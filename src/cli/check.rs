//! `outpost check`: validates the configuration, runs its examples, and shows the effective values and their sources.

use super::destination::Standing;
use super::failure::Failure;
use super::load::{ConfigArgs, Loaded, report, warn_of_variables};
use super::output::{print, warn};
use crate::adobe::proxy;
use crate::config::{Config, Problems};
use crate::core::mapping::Use;
use crate::core::words::counted;

/// Validates the configuration, runs every [[mapping.example]], and shows the effective values and where they come from
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost check -c agent.toml")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Show also the settings that are not set, with their defaults
    #[arg(long)]
    defaults: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, sources } = args.config.load()?;
    let checks = [config.run_examples(&sources), config.check_client(&sources)];
    Problems::joined(checks).map_err(|problems| report(&problems))?;
    warn_of_proxies(&config);
    warn_of_variables();
    if !config.target.is_hub() && !config.target.forwarding.is_shared() {
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
    warn_of_texts(&config);
    if let Some(words) = Standing::of(&config).warning().filter(|_| !args.config.sandbox) {
        warn(&words);
    }
    print(&sources.effective())?;
    if args.defaults {
        print(&format!("\n# Not set, so the default applies:\n{}", sources.defaults()))?;
    }
    print(&format!("{} is valid; {}", sources.path().display(), passed(&config)))
}

/// Returns how many examples passed, in words.
pub(super) fn passed(config: &Config) -> String {
    format!("{} passed", counted(config.examples.len(), "example"))
}

/// Warns about proxy variables and exceptions that have no effect although somebody may rely on them.
fn warn_of_proxies(config: &Config) {
    let Some(proxy) = &config.target.client.http.proxy else {
        proxy::unused_variables().iter().for_each(|words| warn(words));
        return;
    };
    for entry in proxy.strange_exceptions() {
        warn(&format!(
            "{entry} in no_proxy is no host: it must be as in localhost, .acme.example, *.acme.example, host:443, 10.0.0.0/8"
        ));
    }
}

/// Says where a mapping uses a column as what it never is: a table's columns are texts, unless `numbers` names them.
fn warn_of_texts(config: &Config) {
    let Some(folder) = &config.intake.kinds.folder else { return };
    for (used, field, expression, place) in config.mappings.uses(folder.table_type()) {
        if folder.is_text(&field) {
            let advice = match used {
                Use::Truth | Use::AgainstTruth => "compare it with a text, such as == \"true\" or != \"\"",
                Use::Compared | Use::Computed | Use::Counted => {
                    "name it in numbers of [intake.folder.csv], so that 1.500 and 12,50 are read as they are meant"
                }
            };
            warn(&format!("{place}, \"{expression}\": {field} of a table {}, and is a text; {advice}", used.words()));
        }
    }
}
