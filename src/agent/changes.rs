//! What may change while an agent runs, and how new settings reach its parts: all of them, or none.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::destination::{destination, tell};
use super::forwarding::Forwarding;
use super::{AgentError, Listeners};
use crate::adobe::{Client, ClientOptions};
use crate::core::mapping::Mappings;
use crate::core::tokens::Callers;
use crate::device::clock::Clock;
use crate::device::live::Live;
use crate::forward::shown::{Bounds, ReadQuota, SharedBounds};
use crate::forward::{ForwarderRules, ForwarderSettings};
use crate::http::api::Api;
use crate::http::guard::{Door, Guard};
use crate::http::router::router;
use crate::http::server::{ServerOptions, serve};
use crate::store::{StoreError, StoreLimits, Writer};

/// What may change while an agent runs.
#[derive(Debug)]
pub struct Settings {
    /// Who may call beside those that have a token.
    pub callers: Callers,
    /// What events mean.
    pub mappings: Arc<Mappings>,
    /// How Target is reached.
    pub target: ClientOptions,
    /// How updates are forwarded.
    pub forwarding: ForwarderRules,
    /// The device's share of Target's quota.
    pub updates_per_day: u64,
    /// The device's share of the calls of the Fetch API.
    pub reads_per_day: u64,
    /// How large the store may grow, and when a value is sent again.
    pub limits: StoreLimits,
    /// Time that an event is kept after its delivery.
    pub keep_events: Duration,
}

impl Settings {
    /// What an operator decides of forwarding.
    #[must_use]
    pub fn forwarder(&self) -> ForwarderSettings {
        ForwarderSettings {
            rules: self.forwarding.clone(),
            connections: self.target.connections,
            updates_per_day: self.updates_per_day,
            request_timeout: self.target.timeout,
            destination: (self.target.client_code.clone(), self.target.endpoint.clone()),
        }
    }

    /// Bounds that are shown.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        let Self { updates_per_day, reads_per_day, limits, .. } = self;
        Bounds { updates_per_day: *updates_per_day, reads_per_day: *reads_per_day, max_bytes: limits.max_bytes }
    }
}

/// New settings for a running agent, perhaps with new listeners; the answer tells whether they hold.
pub struct Change {
    /// The settings.
    pub settings: Settings,
    /// Loopback TCP, where that is elsewhere from now on.
    pub http: Option<TcpListener>,
    /// The Unix socket.
    #[cfg(unix)]
    pub socket: SocketChange,
    /// Answered when they hold, or with why nothing has changed.
    pub done: oneshot::Sender<Result<(), AgentError>>,
}

/// What becomes of the Unix socket.
#[cfg(unix)]
#[derive(Debug, Default)]
pub enum SocketChange {
    /// It stays.
    #[default]
    Stays,
    /// There is none from now on.
    Ends,
    /// Another one.
    Is(tokio::net::UnixListener),
}

/// Takes in new settings while the agent runs, and serves.
pub(super) struct Changing {
    pub(super) parts: LiveParts,
    pub(super) forwarding: Forwarding,
    pub(super) serving: Serving,
}

/// What new settings reach.
pub(super) struct LiveParts {
    pub(super) mappings: Live<Mappings>,
    pub(super) callers: Live<Callers>,
    pub(super) bounds: SharedBounds,
    pub(super) keep: watch::Sender<Duration>,
    pub(super) reads: ReadQuota,
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) clock: Arc<Clock>,
    /// The device's name, which takes a restart to change.
    pub(super) device_id: String,
}

/// The listeners, which may change.
pub(super) struct Serving {
    pub(super) api: Arc<Api>,
    /// Checks of the present listeners, and of those to come.
    pub(super) guard: Guard,
    pub(super) server: ServerOptions,
    pub(super) servers: JoinSet<()>,
    /// End the present listeners.
    pub(super) end_http: Option<watch::Sender<bool>>,
    #[cfg(unix)]
    pub(super) end_socket: Option<watch::Sender<bool>>,
}

impl Changing {
    pub(super) async fn run(
        mut self,
        listeners: Listeners,
        mut changes: mpsc::Receiver<Change>,
        mut stop: watch::Receiver<bool>,
    ) {
        self.serving.listen_http(listeners.http);
        #[cfg(unix)]
        if let Some(socket) = listeners.socket {
            self.serving.change_socket(SocketChange::Is(socket));
        }
        loop {
            let change = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(change) = changes.recv() => change,
            };
            let applied = self.parts.apply(change.settings, &mut self.forwarding).await;
            if applied.is_ok() {
                if let Some(http) = change.http {
                    self.serving.listen_http(http);
                }
                #[cfg(unix)]
                self.serving.change_socket(change.socket);
            }
            // One that went away has no use for the answer.
            let _ = change.done.send(applied);
        }
        self.forwarding.stop();
        self.serving.end_http.map(|end| end.send(true));
        #[cfg(unix)]
        self.serving.end_socket.map(|end| end.send(true));
        while self.serving.servers.join_next().await.is_some() {}
        self.forwarding.end().await;
    }
}

impl LiveParts {
    /// All of it, or nothing: what can fail comes first.
    async fn apply(&self, settings: Settings, forwarding: &mut Forwarding) -> Result<(), AgentError> {
        let limits = settings.limits;
        let (forwarder, bounds) = (settings.forwarder(), settings.bounds());
        let next = self.client.prepare(&settings.target).map_err(AgentError::Client)?;
        let goes_elsewhere = forwarder.destination != forwarding.settings().destination;
        if goes_elsewhere {
            // What is on its way to the old place comes to its end first: none of it may be taken for the new one's.
            forwarding.end().await;
        }
        let adopted = self.adopt(&settings.target, limits).await;
        if adopted.is_ok() {
            self.client.install(next);
            forwarding.change(forwarder);
        }
        if goes_elsewhere {
            forwarding.begin_again();
        }
        adopted.map_err(AgentError::Store)?;
        self.mappings.replace(settings.mappings);
        self.callers.replace(settings.callers);
        self.bounds.replace(bounds);
        self.reads.set_limit(settings.reads_per_day);
        self.keep.send_replace(settings.keep_events);
        Ok(())
    }

    /// Takes in where deliveries go from now on, and other limits of the store.
    async fn adopt(&self, target: &ClientOptions, limits: StoreLimits) -> Result<(), StoreError> {
        let (whose, now) = (destination(target, &self.device_id), self.clock.now());
        let adopted = self
            .writer
            .act(move |store| {
                store.set_limits(limits)?;
                store.adopt_destination(&whose, now)
            })
            .await?;
        if adopted.voided.is_some() {
            self.reads.forget();
        }
        tell(&adopted, target);
        Ok(())
    }
}

impl Serving {
    /// Serves on this from now on; on the one before, what has begun comes to its end.
    fn listen_http(&mut self, http: TcpListener) {
        let (end, ended) = watch::channel(false);
        self.end_http.replace(end).map(|before| before.send(true));
        let door = Door::Tcp(self.guard.clone());
        self.servers.spawn(serve(http, router(self.api.clone()), door, self.server, ended));
    }

    #[cfg(unix)]
    fn change_socket(&mut self, change: SocketChange) {
        if matches!(change, SocketChange::Stays) {
            return;
        }
        self.end_socket.take().map(|before| before.send(true));
        if let SocketChange::Is(socket) = change {
            let (end, ended) = watch::channel(false);
            self.end_socket = Some(end);
            self.servers.spawn(serve(
                socket,
                router(self.api.clone()),
                Door::Socket(self.guard.clone()),
                self.server,
                ended,
            ));
        }
    }
}
