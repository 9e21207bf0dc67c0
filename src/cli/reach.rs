//! Whom a command asks: the agent that runs on the data directory, the one that `--url` names, or nobody.
//!
//! None of this needs `[target]`: whoever asks need not have Target's secrets.

use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

use super::Failure;
use super::connect::{Connection, Holder, holder};
use super::load::ConfigArgs;
use crate::agent::data_dir::{DataDir, Lock};
use crate::device::secret::Secret;
use crate::intake::folder::FolderRules;

/// The options that choose an agent.
#[derive(Clone, Debug, Args)]
pub(super) struct AgentArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Ask the agent that listens there, such as http://127.0.0.1:7717; no configuration is read
    #[arg(long, global = true, value_name = "URL", requires = "token_file", value_parser = local_url)]
    url: Option<Url>,
    /// The file of a token of that agent, which others cannot read
    #[arg(long, global = true, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
}

/// Whom there is to ask.
pub(super) enum Reached {
    /// An agent, which takes requests.
    Agent(Connection),
    /// Nobody runs there; the store is ours as long as the lock lives.
    AtRest(DataDir, Lock),
}

impl AgentArgs {
    /// Finds out whom to ask, for a command that has nothing to do without a store.
    pub(super) fn reach(&self) -> Result<Reached, Failure> {
        match self.named()? {
            Some(connection) => Ok(Reached::Agent(connection)),
            None => reach(self.existing_store()?),
        }
    }

    /// Finds out whom to ask, for a command that may make a store.
    pub(super) fn reach_or_make(&self) -> Result<Reached, Failure> {
        match self.named()? {
            Some(connection) => Ok(Reached::Agent(connection)),
            None => reach(DataDir::new(&self.config.mounted_agent()?.data_dir)),
        }
    }

    /// Reaches the agent that runs.
    ///
    /// # Errors
    /// `otherwise`, where none runs.
    pub(super) fn running(&self, otherwise: &str) -> Result<Connection, Failure> {
        match self.reach()? {
            Reached::Agent(connection) => Ok(connection),
            Reached::AtRest(..) => Err(Failure::because(otherwise)),
        }
    }

    /// The agent that `--url` names.
    fn named(&self) -> Result<Option<Connection>, Failure> {
        let (Some(url), Some(path)) = (&self.url, &self.token_file) else { return Ok(None) };
        let token = Secret::File(path.clone()).read().map_err(Failure::usage)?;
        Connection::to(url.as_str().trim_end_matches('/').to_owned(), token).map(Some)
    }

    /// The folder that is configured beside the agent, as far as this user can read that.
    pub(super) fn folder(&self) -> Option<FolderRules> {
        let is_elsewhere = self.url.is_some();
        let loaded = (!is_elsewhere).then(|| self.config.load().ok()).flatten();
        loaded.and_then(|loaded| loaded.config.intake.kinds.folder)
    }

    fn existing_store(&self) -> Result<DataDir, Failure> {
        super::existing_store(&self.config.agent()?.data_dir)
    }
}

fn reach(data_dir: DataDir) -> Result<Reached, Failure> {
    Ok(match holder(&data_dir)? {
        Holder::Agent(connection) => Reached::Agent(connection),
        Holder::Us(lock) => Reached::AtRest(data_dir, lock),
    })
}

/// An agent listens on this device alone: a token is sent nowhere else.
fn local_url(text: &str) -> Result<Url, String> {
    let words = || "it must be an address of this device, such as http://127.0.0.1:7717".to_owned();
    let url = Url::parse(text).map_err(|_| words())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_local = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    if url.scheme() == "http" && is_local && is_bare { Ok(url) } else { Err(words()) }
}
