//! A node: what devices reach of the hub by HTTP. It keeps nothing that another node needs.

mod answer;
mod api;
mod body;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

pub use api::Node;
pub use tls::{Files, TlsError};

use super::database::Database;
use super::fold::{KEEP_CONFIRMED, KEEP_UNCONFIRMED};
use crate::device::metrics::Metrics;
use crate::http::guard::Door;
use crate::http::server::{ServerOptions, Site, serve};
use tls::Doorstep;

/// Most connections of devices that a node keeps open, and those beside them that have not asked for anything yet.
const CONNECTIONS_MAX: usize = 2_000;
const STRANGERS_MAX: usize = 250;

/// Longest time from one request of a connection to the next.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Time for which a node that is to stop still takes requests, so that a load balancer sees first that it is not ready.
const NOTICE: Duration = Duration::from_secs(2);

/// Longest time for what is in progress when a node stops.
const LAST: Duration = Duration::from_secs(20);

/// Time between two looks for parts to fold. Nodes do not share it: a busy profile has its turn another time.
const FOLD_EVERY: Duration = Duration::from_secs(60 * 60);

/// Serves until `stop` turns true, and then completes what is in progress.
pub async fn run(node: Arc<Node>, listener: TcpListener, tls: Option<tls::Acceptor>, mut stop: watch::Receiver<bool>) {
    let (last, ends) = watch::channel(false);
    let options = ServerOptions {
        connections_max: CONNECTIONS_MAX,
        strangers_max: STRANGERS_MAX,
        idle_timeout: IDLE_MAX,
        body_timeout: body::BODY_TIME,
        ..ServerOptions::default()
    };
    let site = Site { router: api::router(node.clone()), metrics: Metrics::new() };
    let serving = tokio::spawn(serve(Doorstep { tcp: listener, tls }, site, Door::Hub, options, ends));
    let folding = tokio::spawn(fold(node.database().clone()));
    // The sender ends with the process.
    let _ = stop.wait_for(|stop| *stop).await;
    node.drain();
    tracing::info!("the node is to stop: it is not ready any more, and completes what is in progress");
    sleep(NOTICE).await;
    let _ = last.send(true);
    if tokio::time::timeout(LAST, serving).await.is_err() {
        tracing::warn!("some requests took too long, and are left; devices send them again");
    }
    folding.abort();
}

async fn fold(database: Database) {
    loop {
        // Not all nodes at the same time.
        sleep(FOLD_EVERY.mul_f64(0.5 + fastrand::f64())).await;
        loop {
            match database.fold(KEEP_CONFIRMED, KEEP_UNCONFIRMED).await {
                Ok(0) => break,
                Ok(parts) => tracing::debug!(parts, "parts were folded"),
                Err(error) => {
                    tracing::warn!(%error, "parts could not be folded now");
                    break;
                }
            }
        }
    }
}
