//! New settings for a running agent: applied to all its parts, or to none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::destination::{Turning, destination, must_drain, stay_with_hub, tell, turn};
use super::forwarding::Forwarding;
use super::open::Connected;
use super::settings::{LiveSettings, Settings};
use super::{AgentError, Listeners};
use crate::adobe::ClientOptions;
use crate::core::limits::HUB_DRAIN_MAX;
use crate::core::timestamp::Timestamp;
use crate::http::api::Api;
use crate::http::guard::{Door, Guard};
use crate::http::loopback::Loopback;
use crate::http::router::router;
use crate::http::server::{ServerOptions, Site, serve};
#[cfg(unix)]
use crate::http::socket::Socket;
use crate::store::{StoreError, StoreLimits};

/// The same after the turn failed.
const TURN_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// New settings for a running agent, possibly with new listeners; the answer tells whether they are in effect.
pub struct Change {
    /// The settings themselves.
    pub settings: Settings,
    /// Loopback listener, if the address changes.
    pub http: Option<Loopback>,
    /// Change of the Unix socket.
    #[cfg(unix)]
    pub socket: SocketChange,
    /// Answered once they are in effect, or with the reason why nothing has changed.
    pub done: oneshot::Sender<Result<(), AgentError>>,
}

/// The change of the Unix socket.
#[cfg(unix)]
#[derive(Debug, Default)]
pub enum SocketChange {
    /// The socket stays.
    #[default]
    Stays,
    /// The socket is closed.
    Ends,
    /// The socket is replaced.
    Is(Socket),
}

/// The part that takes new settings while the agent runs, and serves.
pub(super) struct Changing {
    /// The turn to a hub, while what is pending goes to Target first.
    pub(super) next: Option<Turning>,
    pub(super) parts: LiveParts,
    pub(super) forwarding: Forwarding,
    pub(super) serving: Serving,
}

/// Progress of draining what is pending for Target before a turn to a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// It is not, or not any longer.
    None,
    /// It is from now on, or still.
    Begins,
    /// It was, and must have come to its end.
    MustBeOver,
}

/// The parts that new settings affect.
pub(super) struct LiveParts {
    pub(super) connected: Connected,
    pub(super) live: LiveSettings,
    /// Name of the device, which only a restart can change.
    pub(super) device_id: String,
    /// Directory of the store.
    pub(super) data_dir: PathBuf,
}

/// The listeners, which may be replaced.
pub(super) struct Serving {
    site: Site,
    /// Checks of present and future listeners.
    guard: Guard,
    server: ServerOptions,
    servers: JoinSet<()>,
    /// Channels that end the present listeners.
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
                Some(change) = changes.recv() => Some(change),
                () = wait(self.next.as_ref().map(|next| next.interval)) => None,
            };
            let Some(change) = change else {
                self.turn_if_drained().await;
                continue;
            };
            let applied = self.apply(change.settings).await;
            if applied.is_ok() {
                if let Some(http) = change.http {
                    self.serving.listen_http(http);
                }
                #[cfg(unix)]
                self.serving.change_socket(change.socket);
            }
            // A caller that went away needs no answer.
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

impl Changing {
    async fn apply(&mut self, mut settings: Settings) -> Result<(), AgentError> {
        let looked = self.parts.connected.writer.act(|store| Ok((must_drain(store)?, store.hub_url()?))).await;
        let (must_drain, hub) = looked.map_err(AgentError::Store)?;
        stay_with_hub(&mut settings, hub, Some(&self.parts.data_dir));
        let next = turn(&mut settings, must_drain);
        let drain = if next.is_some() { Drain::Begins } else { Drain::None };
        let since = self.parts.apply(settings, &mut self.forwarding, drain).await?;
        self.next = next.zip(since).map(|(settings, since)| Turning::new(settings, since));
        Ok(())
    }

    /// Turns to the hub if nothing is pending for Target any more, or that takes too long: then the rest is the hub's.
    async fn turn_if_drained(&mut self) {
        let Some(next) = self.next.take() else { return };
        let is_late = self.parts.connected.clock.now().since(next.since) >= HUB_DRAIN_MAX;
        let must_wait = self.parts.connected.writer.act(|store| must_drain(store)).await.unwrap_or(true) && !is_late;
        if must_wait {
            self.next = Some(next);
            return;
        }
        let drain = if is_late { Drain::None } else { Drain::MustBeOver };
        match self.parts.apply(next.settings.clone(), &mut self.forwarding, drain).await {
            Ok(Some(_)) if is_late => {
                tracing::warn!(
                    "what is pending for Target did not get there in a day; this device hands it over to the hub"
                );
            }
            Ok(Some(_)) => {
                tracing::info!("nothing is pending for Target; this device hands over to the hub from now on");
            }
            Ok(None) => self.next = Some(next),
            Err(error) => {
                tracing::warn!(%error, "this device cannot turn to the hub; it is tried again");
                self.next = Some(Turning { interval: TURN_RETRY_INTERVAL, ..next });
            }
        }
    }
}

async fn wait(interval: Option<Duration>) {
    match interval {
        Some(interval) => sleep(interval).await,
        None => std::future::pending().await,
    }
}

impl LiveParts {
    /// Applies everything or nothing: the steps that can fail come first. Returns since when what is pending for Target is drained, or
    /// now; `None` if something is pending that must not be.
    async fn apply(
        &self,
        settings: Settings,
        forwarding: &mut Forwarding,
        drain: Drain,
    ) -> Result<Option<Timestamp>, AgentError> {
        let limits = settings.limits;
        let forwarder = settings.forwarder();
        let next = self.connected.client.prepare(&settings.target).map_err(AgentError::Client)?;
        let goes_elsewhere = forwarder.destination != forwarding.settings().destination;
        if goes_elsewhere {
            // Requests to the old destination are completed first: none may be taken for one to the new destination.
            forwarding.end().await;
        }
        let adopted = self.adopt(&settings.target, limits, drain).await;
        if matches!(adopted, Ok(Some(_))) {
            self.connected.client.install(next);
            forwarding.change(forwarder);
        }
        if goes_elsewhere {
            forwarding.begin_again();
        }
        let Some(since) = adopted.map_err(AgentError::Store)? else { return Ok(None) };
        self.connected.reads.set_limit(settings.reads_per_day);
        self.live.replace(settings);
        Ok(Some(since))
    }

    /// Applies the destination of deliveries, and the limits of the store.
    async fn adopt(
        &self,
        target: &ClientOptions,
        limits: StoreLimits,
        drain: Drain,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (whose, now) = (destination(target, &self.device_id), self.connected.clock.now());
        let adopted = self
            .connected
            .writer
            .act(move |store| {
                // What is sent last may have had no answer.
                if drain == Drain::MustBeOver && !store.is_drained()? {
                    return Ok(None);
                }
                store.set_limits(limits)?;
                let adopted = store.adopt_destination(&whose, now)?;
                Ok(Some((adopted, store.note_draining(drain == Drain::Begins, now))))
            })
            .await?;
        let Some((adopted, since)) = adopted else { return Ok(None) };
        if adopted.voided.is_some() {
            self.connected.reads.forget();
        }
        tell(&adopted, target);
        Ok(Some(since))
    }
}

impl Serving {
    /// Returns the listeners' state before anything is served.
    pub(super) fn new(api: Arc<Api>, guard: Guard, server: ServerOptions) -> Self {
        let site = Site { metrics: api.metrics.clone(), router: router(api) };
        Self {
            site,
            guard,
            server,
            servers: JoinSet::new(),
            end_http: None,
            #[cfg(unix)]
            end_socket: None,
        }
    }

    /// Serves on a new listener; requests in progress on the old one are completed.
    fn listen_http(&mut self, http: Loopback) {
        let (end, ended) = watch::channel(false);
        self.end_http.replace(end).map(|before| before.send(true));
        let door = Door::Tcp(self.guard.clone());
        self.servers.spawn(serve(http, self.site.clone(), door, self.server, ended));
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
            self.servers.spawn(serve(socket, self.site.clone(), Door::Socket(self.guard.clone()), self.server, ended));
        }
    }
}
