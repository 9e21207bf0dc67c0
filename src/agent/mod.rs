//! The agent: wires intake, store and forwarder together, and takes them down in order.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::adobe::{Client, ClientError};
use crate::agent::housekeeping::Housekeeping;
use crate::agent::watchdog::{INTERVAL, LATE_MAX, Watchdog};
use crate::core::forwarding::link::Link;
use crate::core::forwarding::pace::first_wait;
use crate::core::forwarding::quota::QuotaClock;
use crate::core::limits::STOP_TIMEOUT;
use crate::core::tokens::Tokens;
use crate::device::clock::Clock;
use crate::device::live::Live;
use crate::device::log_level::LogLevel;
use crate::device::metrics::Metrics;
use crate::device::pulse::Pulse;
use crate::device::supervisor::{self, News};
use crate::forward::shown::{LinkView, PendingAtStart, ProfileWaits, ReadQuota, RouteCounts, SharedBounds};
use crate::http::admission::Admission;
use crate::http::api::{Api, ReloadSender};
use crate::http::guard::Guard;
use crate::http::server::ServerOptions;
use crate::http::sessions::Sessions;
use crate::inspect::books::{Books, Keeper, Running};
use crate::intake::Intake;
use crate::intake::kinds::Kinds;
use crate::store::{InFlight, Reader, Store, StoreError, StoreFile, StoreLimits, Writer};

/// Interval at which to check whether a certificate has changed in its file.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(2);

pub mod data_dir;
pub mod housekeeping;
pub mod watchdog;

mod changes;
mod destination;
mod forwarding;

#[cfg(unix)]
pub use changes::SocketChange;
pub use changes::{Change, Settings};
use changes::{Changing, LiveParts, Serving};
use forwarding::{Forwarding, ForwardingParts};

/// What an agent needs; each part gets what is its own.
pub struct AgentOptions {
    /// The store's file and its key; its directory is locked by the caller.
    pub store_file: StoreFile,
    /// The device's name.
    pub device_id: String,
    /// Who may do what through the local API.
    pub tokens: Live<Tokens>,
    /// What the names of sessions of the Delivery API are made with.
    pub session_key: SecretString,
    /// How patient the intake is.
    pub server: ServerOptions,
    /// What may change while the agent runs.
    pub settings: Settings,
    /// How to ask for a reload; none where nobody reloads.
    pub reload: Option<ReloadSender>,
    /// The kinds of intake beside the API.
    pub intake: Kinds,
    /// The level of log lines; none where the caller logs for itself.
    pub log_level: Option<LogLevel>,
}

/// Where the agent listens: bound by the caller, so that it knows the addresses.
pub struct Listeners {
    /// Loopback TCP.
    pub http: TcpListener,
    /// The Unix socket.
    #[cfg(unix)]
    pub socket: Option<tokio::net::UnixListener>,
}

/// Why an agent could not start.
#[derive(Debug)]
pub enum AgentError {
    /// The store cannot be used.
    Store(StoreError),
    /// Target cannot be reached as configured.
    Client(ClientError),
    /// The system has no more threads.
    Thread(std::io::Error),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
            Self::Thread(_) => f.write_str("the system has no more threads"),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Client(error) => error.source(),
            Self::Thread(error) => Some(error),
        }
    }
}

/// Runs an agent until `stop` turns true, and until all that it began is on disk.
///
/// `ready` is called once events are taken.
///
/// # Errors
/// [`AgentError`], before anything is taken.
pub async fn run(
    options: AgentOptions,
    listeners: Listeners,
    changes: mpsc::Receiver<Change>,
    stop: watch::Receiver<bool>,
    ready: impl FnOnce(),
) -> Result<(), AgentError> {
    let AgentOptions { store_file, device_id, tokens, session_key, server, settings, intake: kinds, reload, log_level } =
        options;
    let (forwarder_settings, bounds) = (settings.forwarder(), settings.bounds());
    let Settings { callers, mappings, target, updates_per_day, reads_per_day, limits, keep_events, .. } = settings;
    let mappings = Live::new(mappings);
    let callers = Live::new(callers);
    let bounds = SharedBounds::new(bounds);
    let (keep_sender, keep_events) = watch::channel(keep_events);
    let Opened { mut store, snapshot, reader } = Opened::open(&store_file, limits).map_err(AgentError::Store)?;
    let clock = Arc::new(Clock::new(store.counters().recorded_at));
    // Before anything is read of what was delivered, used up or is on its way.
    let whose = destination::destination(&target, &device_id);
    let adopted = store.transact(|store| store.adopt_destination(&whose, clock.now()));
    destination::tell(&adopted.map_err(AgentError::Store)?, &target);
    let in_flight = InFlight::default();
    let (_, quota_time) = store.quota(updates_per_day, Clock::system()).map_err(AgentError::Store)?;
    let quota_clock = QuotaClock::new(quota_time.at, clock.elapsed());
    let reads = ReadQuota::new(store.read_quota(reads_per_day, quota_time.at).map_err(AgentError::Store)?);
    let metrics = Metrics::new();
    let client = Client::measured(&target, metrics.clone()).map_err(AgentError::Client)?;
    let pending_at_start = PendingAtStart::count(snapshot).map_err(AgentError::Thread)?;
    let (writer, writer_thread) = Writer::start_measured(store, metrics.clone()).map_err(AgentError::Thread)?;
    tell_pending(pending_at_start.clone(), writer.clone()).map_err(AgentError::Thread)?;
    load_key_filters(&store_file, writer.clone(), stop.clone())?;
    let oldest_pending = reader.oldest_pending().map_err(AgentError::Store)?;
    let first_link = first_link(oldest_pending.map(|oldest| clock.now().since(oldest)), &device_id, clock.elapsed());
    let (link_view, link) = watch::channel(LinkView::unknown(clock.now()));
    let pulse = Pulse::default();
    let watchdog = Watchdog {
        forwarder: pulse.clone(),
        writer: writer.clone(),
        clock: clock.clone(),
        late_max: LATE_MAX,
        interval: INTERVAL,
        link: link.clone(),
    };
    let route_counts = RouteCounts::default();
    let waits = ProfileWaits::default();
    let sessions = Arc::new(Sessions::default());
    let target_host = target.host();
    let housekeeping = Housekeeping::new(writer.clone(), clock.clone(), keep_events);

    let forwarding = ForwardingParts {
        writer: writer.clone(),
        client: client.clone(),
        clock: clock.clone(),
        quota_clock,
        in_flight: in_flight.clone(),
        store_file: store_file.clone(),
        session_key: session_key.expose_secret().as_bytes().to_vec(),
        reads: reads.clone(),
        pulse,
        link_view,
        route_counts: route_counts.clone(),
        waits: waits.clone(),
    };
    let intake = Intake::new(writer.clone(), mappings.clone(), clock.clone());
    let (intake_views, intake_works) = kinds.open(&intake, &stop);
    let api = Arc::new(Api {
        intake,
        admission: Admission::default(),
        books: Arc::new(Books {
            store_file,
            reader: Mutex::new(reader),
            device_id: device_id.clone(),
            clock: clock.clone(),
            quota_clock,
            bounds: bounds.clone(),
            mappings: mappings.clone(),
            keeper: Keeper::Agent(Running {
                writer: writer.clone(),
                client: client.clone(),
                reads: reads.clone(),
                pending_at_start,
                in_flight,
                link,
                intake: intake_views,
                route_counts,
                waits,
            }),
        }),
        metrics,
        sessions: sessions.clone(),
        target_host,
        log_level,
        reload,
        stop: stop.clone(),
        body_timeout: server.body_timeout,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(housekeeping.run(stop.clone()));
    tasks.spawn(refresh_certificates(client.clone(), stop.clone()));
    tasks.spawn(watchdog.run(stop.clone(), || std::process::exit(1)));
    for work in intake_works {
        tasks.spawn(work);
    }
    let guard = Guard { tokens, callers: callers.clone(), sessions };
    let changing = Changing {
        parts: LiveParts { mappings, callers, bounds, keep: keep_sender, reads, client, writer, clock, device_id },
        forwarding: Forwarding::begin(forwarding, forwarder_settings, first_link),
        serving: Serving {
            api,
            guard,
            server,
            servers: JoinSet::new(),
            end_http: None,
            #[cfg(unix)]
            end_socket: None,
        },
    };
    tasks.spawn(changing.run(listeners, changes, stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "agent started");
    ready();
    supervisor::tell(News::Ready);
    finish(tasks, stop).await;
    // With the last task the last writer is gone; its thread ends when everything is committed.
    let _ = tokio::task::spawn_blocking(|| writer_thread.join()).await;
    tracing::info!("agent stopped");
    Ok(())
}

/// The store's connections: one that writes, and those that read.
struct Opened {
    store: Store,
    /// As the store is now, for what is counted beside the work.
    snapshot: Reader,
    reader: Reader,
}

impl Opened {
    /// Opens a store, and mends it first if it is damaged.
    fn open(file: &StoreFile, limits: StoreLimits) -> Result<Self, StoreError> {
        let is_mended = Store::mend(file, Clock::system())?;
        let store = Store::open_within(file, limits)?;
        if is_mended && let Some(salvage) = store.last_salvage()? {
            tracing::error!(%salvage, "the store was damaged");
        }
        Ok(Self { snapshot: Reader::open_snapshot(file)?, reader: Reader::open(file)?, store })
    }
}

/// The link at the start. With a backlog that is old, thousands of devices may start in the same minute.
fn first_link(backlog_age: Option<Duration>, device_id: &str, now: Duration) -> Link {
    let digest = Sha256::digest(device_id);
    // From 0 to 1, the device's own.
    let chance = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX);
    match first_wait(backlog_age.unwrap_or_default(), chance) {
        Duration::ZERO => Link::default(),
        wait => {
            tracing::info!(wait_seconds = wait.as_secs(), "the backlog is old; the first request waits for its turn");
            Link::after_outage(now + wait)
        }
    }
}

/// Has the store know what was pending at the start, for its history, once that is counted.
fn tell_pending(pending: Arc<PendingAtStart>, writer: Writer) -> std::io::Result<()> {
    let tell = move || {
        let profiles = pending.wait().profiles;
        // One that stops has no history to write.
        let _ = writer.note_blocking(move |store| {
            store.set_pending_at_start(profiles);
            Ok(())
        });
    };
    std::thread::Builder::new().name("tell-pending".to_owned()).spawn(tell).map(|_| ())
}

/// Loads the filters over old events, beside the work: without them recording is right, and slower on a large store.
fn load_key_filters(store_file: &StoreFile, writer: Writer, stop: watch::Receiver<bool>) -> Result<(), AgentError> {
    let reader = Reader::open(store_file).map_err(AgentError::Store)?;
    let load = move || {
        let mut adopt = |filter| {
            let adopted = writer.act_blocking(|store| {
                store.adopt_key_filter(filter);
                Ok(())
            });
            adopted.is_ok() && !*stop.borrow()
        };
        let loaded = reader.load_key_filters(&mut adopt);
        if let Err(error) = loaded {
            tracing::warn!(%error, "the filters over old events could not be loaded; recording is slower");
        }
    };
    std::thread::Builder::new().name("key-filters".to_owned()).spawn(load).map(|_| ()).map_err(AgentError::Thread)
}

/// Has certificates and keys that change in their files hold soon after.
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
                tracing::info!("the certificates of [target.http] have changed and hold now");
            }
            // One that is just being written is read at the next look.
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(%error, "the certificates of [target.http] have changed and cannot be used");
                }
            }
        }
    }
}

/// Waits for the stop, and then for the tasks, as long as a stop may take.
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
