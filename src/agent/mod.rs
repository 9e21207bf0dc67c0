//! The agent: wires intake, store and forwarder together, and stops them in order.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::adobe::Client;
use crate::core::limits::STOP_TIMEOUT;
use crate::core::tokens::Tokens;
use crate::device::live::Live;
use crate::device::log_level::LogLevel;
use crate::device::notices::Notices;
use crate::device::supervisor::{self, News};
use crate::http::admission::Admission;
use crate::http::api::{Api, BundleMaker, ReloadSender};
use crate::http::guard::Guard;
use crate::http::server::ServerOptions;
use crate::http::sessions::Sessions;
use crate::intake::kinds::Kinds;
use crate::store::StoreFile;

/// Time between two checks for changed certificate files.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(2);

pub mod data_dir;
pub mod housekeeping;
pub mod watchdog;

mod changes;
mod course;
mod destination;
mod error;
mod fleet_state;
mod forwarding;
mod listeners;
mod open;
mod push;
mod settings;
pub mod token_files;
mod wire;

pub use changes::Change;
#[cfg(unix)]
pub use changes::SocketChange;
use changes::{Changing, Serving};
pub use course::{Course, Next, notes};
pub use error::AgentError;
use fleet_state::state_reader;
use forwarding::Forwarding;
pub use listeners::Listeners;
use open::Opened;
pub use push::PushOptions;
use settings::LiveSettings;
pub use settings::Settings;
use wire::Shared;

/// The options of an agent; each part gets its own.
pub struct AgentOptions {
    /// Path of the store's file with its key; the caller has locked its directory.
    pub store_file: StoreFile,
    /// Name of the device.
    pub device_id: String,
    /// Tokens of the local API.
    pub tokens: Live<Tokens>,
    /// Key for naming sessions of the Delivery API.
    pub session_key: SecretString,
    /// Limits and timeouts of the intake.
    pub server: ServerOptions,
    /// Settings that may change while the agent runs.
    pub settings: Settings,
    /// Channel to ask for a reload; `None` if there is none.
    pub reload: Option<ReloadSender>,
    /// Makes the bundle for support; `None` if there is none.
    pub bundle: Option<BundleMaker>,
    /// The kinds of intake beside the API.
    pub intake: Kinds,
    /// Level of log lines; `None` if the caller logs for itself.
    pub log_level: Option<LogLevel>,
    /// Settings that could not take effect.
    pub notices: Notices,
}

/// Runs an agent until `stop` turns true and everything it has begun is on disk.
///
/// `ready` is called once events are accepted, with the sessions of the page.
///
/// # Errors
/// [`AgentError`], before any event is accepted.
pub async fn run(
    options: AgentOptions,
    listeners: Listeners,
    changes: mpsc::Receiver<Change>,
    stop: watch::Receiver<bool>,
    ready: impl FnOnce(&Sessions),
) -> Result<(), AgentError> {
    let opened = Opened::open(&options.store_file, &options.device_id, options.settings.clone(), &stop)?;
    let (tasks, writer_thread, sessions) = start(options, opened, listeners, changes, &stop);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "agent started");
    ready(&sessions);
    drop(sessions);
    supervisor::tell(News::Ready);
    finish(tasks, stop).await;
    // The last task drops the last writer; its thread ends once everything is committed.
    let _ = tokio::task::spawn_blocking(|| writer_thread.join()).await;
    tracing::info!("agent stopped");
    Ok(())
}

/// Wires the parts of an agent together and starts them. Returns its tasks, the writer's thread, and the sessions of the page.
fn start(
    options: AgentOptions,
    opened: Opened,
    listeners: Listeners,
    changes: mpsc::Receiver<Change>,
    stop: &watch::Receiver<bool>,
) -> (JoinSet<()>, JoinHandle<()>, Arc<Sessions>) {
    let AgentOptions { store_file, device_id, tokens, session_key, server, intake: kinds, .. } = options;
    let (reload, log_level, bundle) = (options.reload, options.log_level, options.bundle);
    let Opened { settings, writer_thread, reader, pending_at_start, metrics, first_link, connected, next } = opened;
    let shared = Shared::new(connected, store_file, device_id, LiveSettings::of(&settings), options.notices);
    let intake = shared.intake();
    let (intake_views, intake_works) = kinds.open(&intake, stop);
    let sessions = Arc::new(Sessions::new(tokens.clone(), shared.live.callers.clone()));
    let books = Arc::new(shared.books((reader, metrics.clone()), pending_at_start, intake_views));
    let push = shared.push(books.clone(), metrics.clone());
    let api = Api {
        intake,
        admission: Admission::default(),
        books: books.clone(),
        metrics,
        sessions: sessions.clone(),
        log_level,
        reload,
        page: shared.live.page.clone(),
        bundle,
        stop: stop.clone(),
        body_timeout: server.body_timeout,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(shared.housekeeping().run(stop.clone()));
    tasks.spawn(refresh_certificates(shared.connected.client.clone(), stop.clone()));
    tasks.spawn(push.run(stop.clone()));
    tasks.spawn(shared.watchdog(books.clone()).run(stop.clone(), || std::process::exit(1)));
    for work in intake_works {
        tasks.spawn(work);
    }
    let guard = Guard { tokens, callers: shared.live.callers.clone(), sessions: sessions.clone() };
    let session_key = session_key.expose_secret().as_bytes().to_vec();
    let state = state_reader(&books);
    let changing = Changing {
        next,
        forwarding: Forwarding::begin(shared.forwarding(session_key, state), settings.forwarder(), first_link),
        parts: shared.into_live_parts(),
        serving: Serving::new(Arc::new(api), guard, server),
    };
    tasks.spawn(changing.run(listeners, changes, stop.clone()));
    (tasks, writer_thread, sessions)
}

/// Puts changed files of certificates, keys and proxy secrets into effect.
async fn refresh_certificates(client: Client, mut stop: watch::Receiver<bool>) {
    let mut refused = false;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(CERTIFICATES_INTERVAL) => {}
        }
        match client.refresh_certificates() {
            Ok(false) => {}
            Ok(true) => {
                refused = false;
                tracing::info!("the files of [target.http] have changed and are in effect");
            }
            // A file that is being written is read next time.
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(%error, "the files of [target.http] have changed and cannot be used");
                }
            }
        }
    }
}

/// Waits for the stop, and then for the tasks, for as long as a stop may take.
async fn finish(mut tasks: JoinSet<()>, mut stop: watch::Receiver<bool>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    let deadline = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(STOP_TIMEOUT * 4 / 5).await;
    };
    tokio::select! {
        () = all => {}
        () = deadline => tracing::warn!("some connections did not end in time and were closed"),
    }
    tasks.shutdown().await;
}
