//! New settings for a running agent, and how they reach its parts: all of them, or none.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::destination::{destination, tell};
use super::forwarding::Forwarding;
use super::open::Connected;
use super::settings::{LiveSettings, Settings};
use super::{AgentError, Listeners};
use crate::adobe::ClientOptions;
use crate::http::api::Api;
use crate::http::guard::{Door, Guard};
use crate::http::loopback::Loopback;
use crate::http::router::router;
use crate::http::server::{ServerOptions, serve};
#[cfg(unix)]
use crate::http::socket::Socket;
use crate::store::{StoreError, StoreLimits};

/// New settings for a running agent, perhaps with new listeners; the answer tells whether they hold.
pub struct Change {
    /// The settings.
    pub settings: Settings,
    /// Loopback TCP, where that is elsewhere from now on.
    pub http: Option<Loopback>,
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
    Is(Socket),
}

/// Takes in new settings while the agent runs, and serves.
pub(super) struct Changing {
    pub(super) parts: LiveParts,
    pub(super) forwarding: Forwarding,
    pub(super) serving: Serving,
}

/// What new settings reach.
pub(super) struct LiveParts {
    pub(super) connected: Connected,
    pub(super) live: LiveSettings,
    /// The device's name, which takes a restart to change.
    pub(super) device_id: String,
}

/// The listeners, which may change.
pub(super) struct Serving {
    api: Arc<Api>,
    /// Checks of the present listeners, and of those to come.
    guard: Guard,
    server: ServerOptions,
    servers: JoinSet<()>,
    /// End the present listeners.
    end_http: Option<watch::Sender<bool>>,
    #[cfg(unix)]
    end_socket: Option<watch::Sender<bool>>,
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
        let forwarder = settings.forwarder();
        let next = self.connected.client.prepare(&settings.target).map_err(AgentError::Client)?;
        let goes_elsewhere = forwarder.destination != forwarding.settings().destination;
        if goes_elsewhere {
            // What is on its way to the old place comes to its end first: none of it may be taken for the new one's.
            forwarding.end().await;
        }
        let adopted = self.adopt(&settings.target, limits).await;
        if adopted.is_ok() {
            self.connected.client.install(next);
            forwarding.change(forwarder);
        }
        if goes_elsewhere {
            forwarding.begin_again();
        }
        adopted.map_err(AgentError::Store)?;
        self.connected.reads.set_limit(settings.reads_per_day);
        self.live.replace(settings);
        Ok(())
    }

    /// Takes in where deliveries go from now on, and other limits of the store.
    async fn adopt(&self, target: &ClientOptions, limits: StoreLimits) -> Result<(), StoreError> {
        let (whose, now) = (destination(target, &self.device_id), self.connected.clock.now());
        let adopted = self
            .connected
            .writer
            .act(move |store| {
                store.set_limits(limits)?;
                store.adopt_destination(&whose, now)
            })
            .await?;
        if adopted.voided.is_some() {
            self.connected.reads.forget();
        }
        tell(&adopted, target);
        Ok(())
    }
}

impl Serving {
    /// Serves nothing yet.
    pub(super) fn new(api: Arc<Api>, guard: Guard, server: ServerOptions) -> Self {
        Self {
            api,
            guard,
            server,
            servers: JoinSet::new(),
            end_http: None,
            #[cfg(unix)]
            end_socket: None,
        }
    }

    /// Serves on this from now on; on the one before, what has begun comes to its end.
    fn listen_http(&mut self, http: Loopback) {
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
