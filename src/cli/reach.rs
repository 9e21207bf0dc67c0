//! Connecting a command to the agent that runs on the data directory, to the one named by `--url`, or to a store at
//! rest.
//!
//! None of this needs `[target]`: the user need not have Target's secrets.

use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

use super::connect::{Connection, Holder, holder};
use super::failure::Failure;
use super::load::ConfigArgs;
use super::output::warn;
use crate::agent::data_dir::{DataDir, Lock};
use crate::config::{Config, default_data_dir};
use crate::device::listener::foreign_listener;
use crate::device::secret::Secret;
use crate::intake::folder::FolderRules;

/// The options that choose an agent.
#[derive(Clone, Debug, Args)]
pub(super) struct AgentArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Ask the agent at this URL, such as http://127.0.0.1:7717; no configuration is read
    #[arg(long, global = true, value_name = "URL", requires = "token_file", value_parser = local_url)]
    url: Option<Url>,
    /// File with a token of that agent, which others must not be able to read
    #[arg(long, global = true, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
}

/// The partner of a command.
pub(super) enum Reached {
    /// An agent that accepts requests.
    Agent(Connection),
    /// A store without an agent, which is ours as long as the lock lives.
    AtRest(DataDir, Lock),
}

impl AgentArgs {
    /// Connects a command that has nothing to do without a store.
    pub(super) fn reach(&self) -> Result<Reached, Failure> {
        match self.named()? {
            Some(connection) => Ok(Reached::Agent(connection)),
            None => self.reach_existing(),
        }
    }

    /// Connects a command that may create a store.
    pub(super) fn reach_or_make(&self) -> Result<Reached, Failure> {
        match self.named()? {
            Some(connection) => Ok(Reached::Agent(connection)),
            None => {
                let data_dir = self.config.mounted_agent()?.data_dir;
                if !data_dir.exists() {
                    // An invalid configuration must not create one.
                    self.config.load()?;
                }
                self.reach_in(DataDir::new(&data_dir))
            }
        }
    }

    /// Connects to the running agent.
    ///
    /// # Errors
    /// `otherwise`, if none runs.
    pub(super) fn running(&self, otherwise: &str) -> Result<Connection, Failure> {
        match self.reach()? {
            Reached::Agent(connection) => Ok(connection),
            Reached::AtRest(..) => Err(Failure::because(otherwise)),
        }
    }

    /// Returns a connection to the agent named by `--url`.
    fn named(&self) -> Result<Option<Connection>, Failure> {
        let (Some(url), Some(path)) = (&self.url, &self.token_file) else { return Ok(None) };
        let token = Secret::File(path.clone()).read().map_err(Failure::usage)?;
        // The owner of the system's data directory is the agent's user; if it does not exist, the user is unknown.
        let foreign = url.socket_addrs(|| None).ok().and_then(|addresses| addresses.first().copied());
        let foreign = foreign.filter(|_| default_data_dir().exists());
        if let Some(user) = foreign.and_then(|address| foreign_listener(address, &default_data_dir())) {
            return Err(Failure::because(format!(
                "the user {user} listens at {url}, who is not the agent's: nothing was sent there; see who that is"
            )));
        }
        Connection::to(url.as_str().trim_end_matches('/').to_owned(), token).map(Some)
    }

    /// Returns the configured folder, if any; an error if this user cannot read the configuration.
    pub(super) fn folder(&self) -> Result<Option<FolderRules>, Failure> {
        if self.url.is_some() {
            return Err(Failure::because("no configuration was read"));
        }
        Ok(self.config.load()?.config.intake.kinds.folder)
    }

    /// Connects to the agent that runs on a data directory, or to the store there. Whoever means another agent is told.
    fn reach_in(&self, data_dir: DataDir) -> Result<Reached, Failure> {
        match holder(&data_dir)? {
            Holder::Agent(connection) => Ok(Reached::Agent(connection)),
            Holder::Us(lock) => {
                if self.config.is_built_in() {
                    warn(&format!(
                        "no agent runs with the built-in configuration of --sandbox; this is about its store in {}. An agent that \
                         was started with -c FILE is reached with -c FILE",
                        data_dir.path().display()
                    ));
                }
                Ok(Reached::AtRest(data_dir, lock))
            }
        }
    }

    /// Connects to the agent of a data directory also where somebody removed its store: the agent says so. Creates nothing.
    fn reach_existing(&self) -> Result<Reached, Failure> {
        let data_dir = DataDir::new(&self.config.agent()?.data_dir);
        if !data_dir.was_used() {
            return Err(super::at_rest::no_store(&data_dir));
        }
        match self.reach_in(data_dir)? {
            Reached::AtRest(data_dir, _) if !data_dir.has_store() => Err(super::at_rest::no_store(&data_dir)),
            reached => Ok(reached),
        }
    }
}

/// Checks that a configuration still has the locked data directory.
///
/// # Errors
/// It was changed meanwhile: one store must not be opened under the lock of another.
pub(super) fn check_same(config: &Config, held: &DataDir) -> Result<(), Failure> {
    if config.agent.data_dir == held.path() {
        return Ok(());
    }
    Err(Failure::because("the configuration was changed meanwhile; try again"))
}

/// Reads the URL of an agent on this device: a token must not be sent anywhere else.
fn local_url(text: &str) -> Result<Url, String> {
    let words = || "it must be an address of this device, such as http://127.0.0.1:7717".to_owned();
    let url = Url::parse(text).map_err(|_| words())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_local = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !has_credentials;
    if url.scheme() == "http" && is_local && is_bare { Ok(url) } else { Err(words()) }
}
