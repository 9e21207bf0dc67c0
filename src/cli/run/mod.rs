//! `outpost run`: runs the agent in the foreground.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{mpsc, watch};

use super::destination;
use super::destination::Standing;
use super::failure::Failure;
use super::load::{self, ConfigArgs, Loaded};
use super::output::{print, warn};
use crate::agent::data_dir::{DataDir, Endpoint};
use crate::agent::token_files::TokenFiles;
use crate::agent::{self, AgentOptions, Change, Listeners, Settings};
use crate::config::Config;
use crate::core::limits::SANDBOX_REQUESTS_KEPT;
use crate::core::tokens::Tokens;
use crate::device::live::Live;
use crate::device::log_level::LogLevel;
use crate::device::logging;
use crate::device::notices::{Area, Notices};
use crate::device::rights;
use crate::http::api::ReloadSender;
use crate::http::server::ServerOptions;
use crate::http::sessions::Sessions;
use crate::sandbox::faults::Faults;
use crate::sandbox::target::{Target, Unknown};
use crate::sandbox::{Sandbox, known_profiles};

mod greeting;
mod listen;
mod orders;
mod reload;

use greeting::{Try, greeting};
pub(super) use listen::bind;
use listen::bind_intake;
pub(super) use orders::{Orders, wait_for_signal};
use reload::Reloader;

/// Threads for the intake and the forwarder; the store has its own.
const WORKERS: usize = 2;

/// Time for which another command may hold the data directory: `status` does so briefly, to see whether an agent runs.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Runs the agent in the foreground until it is stopped
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost run --sandbox")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Makes the bundle for support, which the page has downloaded.
pub(super) type MakeBundle = fn(&ConfigArgs) -> Result<Vec<u8>, Failure>;

pub(super) fn run(args: &Args, make_bundle: MakeBundle) -> Result<(), Failure> {
    run_under((&args.config, make_bundle), logging::nowhere_else(), Orders::of_signals)
}

/// Runs the agent until its orders end it. `elsewhere` is an additional destination of log lines; `orders` is called
/// within the runtime.
pub(super) fn run_under(
    (args, make_bundle): (&ConfigArgs, MakeBundle),
    elsewhere: logging::Elsewhere,
    orders: impl FnOnce() -> Orders,
) -> Result<(), Failure> {
    let ConfigArgs { sandbox, sandbox_listen, .. } = *args;
    args.wait_for_disk()?;
    load::warn_of_variables();
    let Loaded { config, .. } = args.load_and_name_device()?;
    let device_id = load::device_id(&config.agent)?;
    let data_dir = DataDir::new(&config.agent.data_dir);
    let lock = data_dir.lock_within(LOCK_PATIENCE).map_err(|error| Failure::failed(&error))?;
    let token = data_dir.token().map_err(|error| Failure::failed(&error))?;
    if sandbox {
        destination::check_sandbox(&config)?;
    } else if let Some(words) = Standing::of(&config).warning() {
        warn(&words);
    }
    let token_files = data_dir.token_files();
    let tokens = Live::new(data_dir.tokens().map_err(|error| Failure::failed(&error))?);
    let log = &config.log;
    let logging = logging::start(log.level, log.format, (&log.dir, log.keep_files), elsewhere);
    let logging = logging.map_err(|error| Failure::failed(&error))?;
    let notices = Notices::default();
    if let Some(error) = &logging.fault {
        let why = format!("the folder {} cannot be used: {}", log.dir.display(), super::failure::chain(error));
        tracing::error!(why, "no log files are written");
        notices.set(Area::Log, &why);
    }
    if rights::is_root() && !sandbox {
        tracing::warn!("running as root, which the agent does not need: run it as a user of its own");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("outpost")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))?;
    let args = args.clone();
    let log_level = logging.level.clone();
    let start = Start {
        args,
        make_bundle,
        config,
        data_dir: data_dir.clone(),
        device_id,
        token,
        tokens,
        token_files,
        log_level,
        notices,
    };
    let result = runtime.block_on(async { start.run(sandbox.then_some(sandbox_listen), orders()).await });
    data_dir.withdraw();
    drop(lock);
    drop(logging);
    result
}

/// The values handed over to the runtime.
struct Start {
    args: ConfigArgs,
    make_bundle: MakeBundle,
    config: Config,
    data_dir: DataDir,
    device_id: String,
    token: SecretString,
    tokens: Live<Tokens>,
    token_files: TokenFiles,
    log_level: LogLevel,
    notices: Notices,
}

impl Start {
    async fn run(mut self, sandbox_listen: Option<SocketAddr>, orders: Orders) -> Result<(), Failure> {
        let Orders { stop: told_to_stop, reload: told_to_reload, started } = orders;
        let (stop_sender, stop) = watch::channel(false);
        let sandbox_address = match sandbox_listen {
            Some(address) => Some(self.start_sandbox(address, stop.clone()).await?),
            None => None,
        };
        let listeners = self.listen().await?;
        let endpoint = Endpoint {
            http: listeners.http.local_addr().map_err(|error| Failure::failed(&error))?,
            socket: self.config.intake.socket.clone(),
        };
        tokio::spawn(async move {
            told_to_stop.await;
            let _ = stop_sender.send(true);
        });
        let (changes, reload) = self.start_reloader(&endpoint, sandbox_address, told_to_reload);
        let store_file = super::at_rest::store_file(&self.config);
        let Self { args, make_bundle, config, data_dir, device_id, token, tokens, log_level, notices, .. } = self;
        let announced = endpoint.clone();
        let attempt = sandbox_address.map(|address| Try::new(address, &args, &config));
        let first_token = token.clone();
        let ready = |sessions: &Sessions| {
            if let Err(error) = data_dir.announce(&announced) {
                tracing::warn!(%error, "other commands cannot find this agent");
            }
            // A code that nobody is shown would wait for somebody to find it.
            let page = attempt.as_ref().and_then(|_| sessions.link(first_token.expose_secret(), Instant::now()));
            if let Err(failure) = print(&greeting(&announced, &data_dir, page.as_deref(), attempt.as_ref())) {
                tracing::warn!(%failure, "the greeting could not be printed");
            }
            started();
        };
        let options = AgentOptions {
            store_file,
            device_id,
            tokens,
            session_key: token,
            server: ServerOptions::default(),
            intake: config.intake.kinds.clone(),
            settings: Settings::of(config),
            reload: Some(reload),
            bundle: Some(Arc::new(move || make_bundle(&args).map_err(|failure| failure.message))),
            log_level: Some(log_level),
            notices,
        };
        let result =
            agent::run(options, listeners, changes, stop, ready).await.map_err(|error| Failure::failed(&error));
        if let Some(socket) = &endpoint.socket {
            let _ = std::fs::remove_file(socket);
        }
        result
    }

    /// Starts the part that reloads the configuration on request. Returns the channel of changes, and the channel for
    /// requests.
    fn start_reloader(
        &self,
        endpoint: &Endpoint,
        sandbox: Option<SocketAddr>,
        told_to_reload: mpsc::Receiver<()>,
    ) -> (mpsc::Receiver<Change>, ReloadSender) {
        let (changes, changed) = mpsc::channel(1);
        let (reload, requests) = mpsc::channel(1);
        let reloader = Reloader {
            args: self.args.clone(),
            data_dir: self.data_dir.clone(),
            tokens: self.tokens.clone(),
            token_files: self.token_files,
            log_level: self.log_level.clone(),
            notices: self.notices.clone(),
            changes,
            endpoint: sandbox.map(|address| format!("http://{address}")),
            agent: self.config.agent.clone(),
            log: self.config.log.clone(),
            intake: self.config.intake.kinds.clone(),
            listen: self.config.intake.listen,
            listens: endpoint.clone(),
        };
        tokio::spawn(reloader.run(requests, told_to_reload));
        (changed, reload)
    }

    async fn start_sandbox(&mut self, address: SocketAddr, stop: watch::Receiver<bool>) -> Result<SocketAddr, Failure> {
        let (listener, address) = bind(address).await?;
        self.config.target.client.destination.move_to(format!("http://{address}"));
        let target = Target::new(known_profiles(), Unknown::Vanish, Faults::default(), SANDBOX_REQUESTS_KEPT);
        tokio::spawn(Sandbox::new(target).serve(listener, stop));
        Ok(address)
    }

    async fn listen(&self) -> Result<Listeners, Failure> {
        let http = bind_intake(self.config.intake.listen).await?;
        #[cfg(unix)]
        let socket = match &self.config.intake.socket {
            Some(path) => Some(crate::http::socket::bind(path).map_err(|error| {
                Failure::because(format!("the intake's socket {} cannot be made: {error}", path.display()))
            })?),
            None => None,
        };
        Ok(Listeners {
            http,
            #[cfg(unix)]
            socket,
        })
    }
}
