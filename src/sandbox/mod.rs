//! A strict, local Target with its profile and delivery APIs: for trying out Outpost, for its tests, and for those of
//! other people.
//!
//! Beside Target's own paths it has `/sandbox/…` to read profiles and requests and to set faults.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub mod batches;
mod control;
pub mod delivery;
pub mod exchange;
pub mod faults;
pub mod profiles;
mod routes;
pub mod target;
pub mod wire;

pub use faults::duration;
use target::Target;

use crate::core::identity::{Identity, IdentityKind};

/// Identities that a sandbox knows at start by default.
const KNOWN: [(IdentityKind, &str); 4] = [
    (IdentityKind::ThirdPartyId, "123456"),
    (IdentityKind::ThirdPartyId, "123457"),
    (IdentityKind::ThirdPartyId, "123458"),
    (IdentityKind::PcId, "1368007744041-575948.01_00"),
];

/// Returns the identities that a sandbox knows at start.
pub fn known_profiles() -> impl Iterator<Item = Identity> {
    KNOWN.into_iter().map(|(kind, key)| Identity::new(kind, key).expect("the list holds valid keys"))
}

/// A sandbox, shared between its connections and its observers.
#[derive(Clone)]
pub struct Sandbox {
    target: Arc<Mutex<Target>>,
    /// Number of answered requests; changes with each.
    answered: watch::Sender<u64>,
}

impl Sandbox {
    /// Returns a sandbox around a Target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target: Arc::new(Mutex::new(target)), answered: watch::Sender::new(0) }
    }

    /// Waits until the Target inside meets a condition.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Target) -> bool) {
        let mut answered = self.answered.subscribe();
        while !condition(&self.target()) {
            // The sender lives as long as `self`.
            let _ = answered.changed().await;
        }
    }

    /// Locks the Target inside and returns it.
    pub fn target(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until `stop` turns true; open connections are then dropped.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(self.clone().serve_connection(stream));
                }
                Err(error) => tracing::warn!(%error, "the simulator could not accept a connection"),
            }
        }
    }

    async fn serve_connection(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.answer(request));
        // A dropped connection is either a requested fault or the client's own doing.
        let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
    }

    /// Answers a request. An error drops the connection.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        if request.uri().path().starts_with("/sandbox") {
            control::answer(self, request).await
        } else {
            let answer = routes::call(self, request).await;
            self.answered.send_modify(|answered| *answered += 1);
            answer
        }
    }
}
