//! Reloading the configuration while the agent runs: on a signal, or when `outpost reload` asks for it.
//!
//! The new configuration is validated first, with its examples, and then takes effect as a whole or not at all. Changes
//! that need a restart are reported.

use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::listen::bind_intake;
#[cfg(unix)]
use crate::agent::SocketChange;
use crate::agent::data_dir::{DataDir, Endpoint};
use crate::agent::token_files::TokenFiles;
use crate::agent::{Change, Settings};
use crate::cli::load::{ConfigArgs, Loaded};
use crate::config::{AgentConfig, Config, LogConfig};
use crate::core::tokens::Tokens;
use crate::device::live::Live;
use crate::device::log_level::LogLevel;
use crate::device::notices::{Area, Notices};
use crate::http::api::{NotReloaded, Reloaded};
use crate::intake::kinds::Kinds;

/// Time between two looks for changed files of tokens: a command that changed them may have been killed before it told the agent.
const TOKENS_INTERVAL: Duration = Duration::from_secs(2);

/// A request to reload, with the channel for its result.
pub(super) type Request = oneshot::Sender<Result<Reloaded, NotReloaded>>;

/// The part that reloads the configuration.
pub(super) struct Reloader {
    pub(super) args: ConfigArgs,
    pub(super) data_dir: DataDir,
    pub(super) tokens: Live<Tokens>,
    /// The files that these tokens are from.
    pub(super) token_files: TokenFiles,
    pub(super) log_level: LogLevel,
    pub(super) notices: Notices,
    pub(super) changes: mpsc::Sender<Change>,
    /// Endpoint that overrides the configured one: the embedded sandbox.
    pub(super) endpoint: Option<String>,
    /// Settings that only a restart can change.
    pub(super) agent: AgentConfig,
    pub(super) log: LogConfig,
    pub(super) intake: Kinds,
    /// Listening address, as configured and as bound.
    pub(super) listen: SocketAddr,
    pub(super) listens: Endpoint,
}

impl Reloader {
    /// Reloads on every request, until no more can come; and the tokens alone when their files have changed.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>, mut told: mpsc::Receiver<()>) {
        loop {
            let request = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => Some(request),
                    None => return,
                },
                Some(()) = told.recv() => None,
                () = sleep(TOKENS_INTERVAL) => {
                    self.look_at_tokens();
                    continue;
                }
            };
            let reloaded = self.reload().await;
            match &reloaded {
                Ok(Reloaded { needs_restart }) if needs_restart.is_empty() => tracing::info!("configuration reloaded"),
                Ok(Reloaded { needs_restart }) => {
                    tracing::warn!(
                        needs_restart = needs_restart.join(", "),
                        "configuration reloaded; some of it needs a restart"
                    );
                }
                Err(NotReloaded::Tokens(problem)) => {
                    tracing::error!(problem, "the tokens cannot be read; the previous ones stay in effect");
                }
                Err(NotReloaded::Configuration(problem)) => {
                    tracing::error!(problem, "the configuration was not reloaded; the old one stays in effect");
                }
            }
            // A caller that went away needs no answer.
            request.map(|request| request.send(reloaded));
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, NotReloaded> {
        // First, because a revoked token must become invalid whatever the configuration says.
        self.reload_tokens().map_err(NotReloaded::Tokens)?;
        let reloaded = self.reload_configuration().await;
        self.told(Area::Configuration, reloaded).map_err(NotReloaded::Configuration)
    }

    fn reload_tokens(&mut self) -> Result<(), String> {
        // Before they are read: what changes meanwhile is seen at the next look.
        self.token_files = self.data_dir.token_files();
        let tokens = self.data_dir.tokens().map_err(|error| crate::cli::failure::chain(&error));
        self.tokens.replace(self.told(Area::Tokens, tokens)?);
        Ok(())
    }

    fn look_at_tokens(&mut self) {
        if self.data_dir.token_files() == self.token_files {
            return;
        }
        match self.reload_tokens() {
            Ok(()) => tracing::info!("the files of tokens have changed, and are in effect"),
            Err(problem) => tracing::error!(problem, "the tokens cannot be read; the previous ones stay in effect"),
        }
    }

    /// Shows a failure to reload for as long as it lasts.
    fn told<T>(&self, area: Area, reloaded: Result<T, String>) -> Result<T, String> {
        match &reloaded {
            Ok(_) => self.notices.clear(area),
            Err(why) => self.notices.set(area, why),
        }
        reloaded
    }

    async fn reload_configuration(&mut self) -> Result<Reloaded, String> {
        let args = self.args.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let Loaded { config, sources } = args.load_and_name_device().map_err(|failure| failure.message)?;
            config.run_examples(&sources).map_err(|problems| problems.to_string())?;
            Ok::<Config, String>(config)
        });
        let mut config = loaded.await.map_err(|error| error.to_string())??;
        if let Some(endpoint) = &self.endpoint {
            config.target.client.destination.move_to(endpoint.clone());
        }
        let needs_restart = self.needs_restart(&config);
        let level = config.log.level;
        let (listen, socket) = (config.intake.listen, config.intake.socket.clone());
        let is_elsewhere = listen != self.listen;
        let http =
            if is_elsewhere { Some(bind_intake(listen).await.map_err(|failure| failure.message)?) } else { None };
        let address = http.as_ref().and_then(|http| http.local_addr().ok()).unwrap_or(self.listens.http);
        #[cfg(unix)]
        let socket_change = self.socket_change(socket.as_deref())?;
        let (done, answered) = oneshot::channel();
        let change = Change {
            settings: Settings::of(config),
            http,
            #[cfg(unix)]
            socket: socket_change,
            done,
        };
        let gone = || "the agent is stopping".to_owned();
        self.changes.send(change).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(|error| crate::cli::failure::chain(&error))?;
        if is_elsewhere || socket != self.listens.socket {
            self.moved(listen, Endpoint { http: address, socket });
        }
        self.log_level.configure(level);
        Ok(Reloaded { needs_restart })
    }

    /// Returns the change of the socket, binding a new one if needed.
    #[cfg(unix)]
    fn socket_change(&self, socket: Option<&Path>) -> Result<SocketChange, String> {
        match socket {
            socket if socket == self.listens.socket.as_deref() => Ok(SocketChange::Stays),
            None => Ok(SocketChange::Ends),
            Some(path) => crate::http::socket::bind(path)
                .map(SocketChange::Is)
                .map_err(|error| format!("the intake's socket {} cannot be made: {error}", path.display())),
        }
    }

    /// Announces the new addresses to other commands.
    fn moved(&mut self, listen: SocketAddr, listens: Endpoint) {
        if let Some(socket) = self.listens.socket.take().filter(|path| Some(path) != listens.socket.as_ref()) {
            let _ = std::fs::remove_file(socket);
        }
        if let Err(error) = self.data_dir.announce(&listens) {
            tracing::warn!(%error, "other commands cannot find this agent");
        }
        (self.listen, self.listens) = (listen, listens);
    }

    fn needs_restart(&self, config: &Config) -> Vec<String> {
        let mut named = Vec::new();
        let mut name = |is_changed: bool, setting: &str| {
            if is_changed {
                named.push(setting.to_owned());
            }
        };
        name(config.agent.data_dir != self.agent.data_dir, "data_dir in [agent]");
        name(config.agent.device_id != self.agent.device_id, "device_id in [agent]");
        config.intake.kinds.sections_changed(&self.intake).into_iter().for_each(|section| name(true, section));
        name(config.log.dir != self.log.dir, "dir in [log]");
        name(config.log.keep_files != self.log.keep_files, "keep_files in [log]");
        named
    }
}
