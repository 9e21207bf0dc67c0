//! Options that name a node's configuration.

use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::load;
use crate::config::{DEFAULT_NODE_PATH, NodeConfig, NodeDatabase, Sources};
use crate::device::environment;
use crate::hub::{Database, DatabaseOptions};

/// The options that choose the configuration of a node.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct NodeArgs {
    /// The configuration file of the hub, read together with the drop-in files next to it
    #[arg(short, long, global = true, value_name = "FILE", default_value = DEFAULT_NODE_PATH)]
    pub(super) config: PathBuf,
    /// Use a private database, made in a state directory; without -c, also a built-in configuration
    #[arg(long, global = true)]
    pub(super) sandbox: bool,
}

impl NodeArgs {
    /// Returns true for `--sandbox` without a configuration.
    pub(in crate::cli) fn is_built_in(&self) -> bool {
        self.sandbox && self.config == Path::new(DEFAULT_NODE_PATH)
    }

    /// Reads and validates the configuration.
    pub(in crate::cli) fn load(&self) -> Result<NodeConfig, Failure> {
        let mut sources = match self.is_built_in() {
            true => {
                let text = format!("[hub]\nstate_dir = '{}'\n", super::cluster::default_dir().display());
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
    pub(in crate::cli) fn database(&self, config: &NodeConfig) -> Result<Database, Failure> {
        let NodeDatabase { url, connections, tls } = config.database.clone();
        let url = match url {
            Some(url) => url.read().map_err(|words| Failure::usage(format!("url in [hub.database]: {words}")))?,
            None if self.sandbox => super::cluster::url(&config.state_dir),
            None => {
                return Err(Failure::usage(
                    "url in [hub.database] is not set: it must say where the database is, as in { file = \"/etc/outpost/hub.database\" }; \
                     --sandbox makes a database of its own",
                ));
            }
        };
        Database::new(&DatabaseOptions { url, connections, tls })
            .map_err(|error| Failure::usage(crate::cli::failure::chain(&error)))
    }
}
