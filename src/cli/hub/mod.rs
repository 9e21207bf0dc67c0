//! `outpost hub`: a node of the hub, and its database.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Failure, load};
use crate::config::{DEFAULT_NODE_PATH, NodeConfig, NodeDatabase, Sources};
use crate::device::environment;
use crate::hub::{Database, DatabaseOptions};

mod cluster;
mod init;
mod run;

/// Runs a node of the hub, one place for a chain of devices
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost hub run --sandbox")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Init(init::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Run(args) => run::run(args),
        Command::Init(args) => init::run(args),
    }
}

/// The options that choose the configuration of a node.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// The configuration file of the hub, read together with the drop-in files next to it
    #[arg(short, long, global = true, value_name = "FILE", default_value = DEFAULT_NODE_PATH)]
    pub(super) config: PathBuf,
    /// Use a private database, made in a state directory; without -c, also a built-in configuration
    #[arg(long, global = true)]
    pub(super) sandbox: bool,
}

impl NodeArgs {
    /// Returns true for `--sandbox` without a configuration.
    fn is_built_in(&self) -> bool {
        self.sandbox && self.config == Path::new(DEFAULT_NODE_PATH)
    }

    /// Reads and validates the configuration.
    pub(super) fn load(&self) -> Result<NodeConfig, Failure> {
        let mut sources = match self.is_built_in() {
            true => {
                let text = format!("[hub]\nstate_dir = '{}'\n", cluster::default_dir().display());
                Sources::of_text(Path::new("sandbox.toml"), &text)
            }
            false => Sources::read(&self.config).map_err(|(path, error)| {
                Failure::usage(format!(
                    "the configuration {} cannot be read: {error}; `outpost hub init` writes one, and name another with -c",
                    path.display()
                ))
            })?,
        };
        sources.add_variables(environment::variables().into_iter()).map_err(|name| {
            Failure::usage(format!("the environment variable {name} is not valid UTF-8; set it again, or unset it"))
        })?;
        NodeConfig::parse(&sources).map_err(|problems| load::report(&problems))
    }

    /// Returns the way to the database that the configuration names, or that of a sandbox.
    pub(super) fn database(&self, config: &NodeConfig) -> Result<Database, Failure> {
        let NodeDatabase { url, connections, tls } = config.database.clone();
        let url = match url {
            Some(url) => url.read().map_err(|words| Failure::usage(format!("url in [hub.database]: {words}")))?,
            None if self.sandbox => cluster::url(&config.state_dir),
            None => {
                return Err(Failure::usage(
                    "url in [hub.database] is not set: it must say where the database is, as in { file = \"/etc/outpost/hub.database\" }; \
                     --sandbox makes a database of its own",
                ));
            }
        };
        Database::new(&DatabaseOptions { url, connections, tls }).map_err(|error| Failure::usage(super::chain(&error)))
    }
}
