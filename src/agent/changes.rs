//! New settings for a running agent: applied to all its parts, or to none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::course::{Course, Next};
use super::destination::{Turning, adopt, tell};
use super::forwarding::Forwarding;
use super::open::Connected;
use super::settings::{LiveSettings, Settings};
use super::{AgentError, Listeners};
use crate::http::api::Api;
use crate::http::guard::{Door, Guard};
use crate::http::loopback::Loopback;
use crate::http::router::router;
use crate::http::server::{ServerOptions, Site, serve};
#[cfg(unix)]
use crate::http::socket::Socket;
use crate::store::{Noted, StoreError};

/// Time until a turn to a hub that failed is tried again.
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
    async fn apply(&mut self, settings: Settings) -> Result<(), AgentError> {
        let noted = self.parts.noted().await.map_err(AgentError::Store)?;
        let mut course = self.parts.course(settings.clone(), &noted);
        if !self.parts.apply(&course, &mut self.forwarding).await? {
            // Something was recorded meanwhile, or what was sent last had no answer.
            course = self.parts.course(settings, &Noted { is_drained: false, ..noted });
            self.parts.apply(&course, &mut self.forwarding).await?;
        }
        course.tell();
        self.next = Turning::of(course);
        Ok(())
    }

    /// Turns to the hub if nothing is pending for Target any more, or that takes too long: then the rest is the hub's.
    async fn turn_if_drained(&mut self) {
        let Some(next) = self.next.take() else { return };
        let Ok(noted) = self.parts.noted().await else {
            self.next = Some(next);
            return;
        };
        let course = self.parts.course(next.settings.clone(), &noted);
        if !matches!(course.next, Next::Same) {
            self.next = Some(next);
            return;
        }
        match self.parts.apply(&course, &mut self.forwarding).await {
            Ok(true) if noted.is_drained => {
                tracing::info!("nothing is pending for Target; this device hands over to the hub from now on");
            }
            Ok(true) => {
                tracing::warn!(
                    "what is pending for Target did not get there in a day; this device hands it over to the hub"
                );
            }
            Ok(false) => self.next = Some(next),
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
    /// Returns the store's notes of where deliveries go.
    async fn noted(&self) -> Result<Noted, StoreError> {
        self.connected.writer.act(|store| store.noted()).await
    }

    fn course(&self, settings: Settings, noted: &Noted) -> Course {
        Course::of(settings, noted, self.connected.clock.now(), &self.data_dir)
    }

    /// Applies everything or nothing: the steps that can fail come first. Returns false if something is pending that must go to
    /// Target first; then nothing has changed.
    async fn apply(&self, course: &Course, forwarding: &mut Forwarding) -> Result<bool, AgentError> {
        let Course { settings, .. } = course;
        let forwarder = settings.forwarder();
        let next = self.connected.client.prepare(&settings.target.client).map_err(AgentError::Client)?;
        let goes_elsewhere = forwarder.destination != forwarding.settings().destination;
        if goes_elsewhere {
            // Requests to the old destination are completed first: none may be taken for one to the new destination.
            forwarding.end().await;
        }
        let adopted = self.adopt(course).await;
        if matches!(adopted, Ok(true)) {
            self.connected.client.install(next);
            forwarding.change(forwarder);
        }
        if goes_elsewhere {
            forwarding.begin_again();
        }
        if !adopted.map_err(AgentError::Store)? {
            return Ok(false);
        }
        self.connected.reads.set_limit(settings.target.reads_per_day);
        self.live.replace(settings.clone());
        Ok(true)
    }

    /// Applies the destination of deliveries, and the limits of the store. Returns false if something must go to Target first.
    async fn adopt(&self, course: &Course) -> Result<bool, StoreError> {
        let (going, device_id, now) = (course.clone(), self.device_id.clone(), self.connected.clock.now());
        let adopted = self.connected.writer.act(move |store| adopt(store, &going, &device_id, now)).await?;
        let Some(adopted) = adopted else { return Ok(false) };
        if adopted.voided.is_some() {
            self.connected.reads.forget();
        }
        tell(&adopted, &course.settings.target.client.destination);
        Ok(true)
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
