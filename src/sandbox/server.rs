//! Connections to the simulator.

use std::io;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::handle::Sandbox;
use super::routes::text;
use super::{control, door, routes};

impl Sandbox {
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
        let is_here = stream.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let service = service_fn(|request: Request<Incoming>| async {
            match door::refused(request.headers()).filter(|_| is_here && is_of_sandbox(&request)) {
                Some(words) => Ok(text(403, words)),
                None => self.answer(request).await,
            }
        });
        // A dropped connection is either a requested fault or the client's own doing.
        let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
    }

    /// Answers a request. An error drops the connection.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        if is_of_sandbox(&request) {
            control::answer(self, request).await
        } else {
            let answer = routes::call(self, request).await;
            self.answered.send_modify(|answered| *answered += 1);
            answer
        }
    }
}

/// Returns true for the simulator's own paths: all others are Target's, which web pages call from anywhere.
fn is_of_sandbox(request: &Request<Incoming>) -> bool {
    request.uri().path().starts_with("/sandbox")
}
