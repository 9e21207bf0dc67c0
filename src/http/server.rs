//! Accepting connections: bounded in number, timed out when idle, closed gracefully.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::ORIGIN;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::guard::{Guard, allow_origin};
use crate::core::limits::{INTAKE_BODY_TIMEOUT, INTAKE_CONNECTIONS_MAX, INTAKE_IDLE_TIMEOUT};

/// How patient a server is.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Connections served at once.
    pub connections_max: usize,
    /// Time from one request to the headers of the next.
    pub idle_timeout: Duration,
    /// Time from the headers of a request to the end of its body.
    pub body_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: INTAKE_CONNECTIONS_MAX,
            idle_timeout: INTAKE_IDLE_TIMEOUT,
            body_timeout: INTAKE_BODY_TIMEOUT,
        }
    }
}

/// Where connections come from.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<Self::Stream> {
        let (stream, _) = Self::accept(self).await?;
        // Answers are single small writes: waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<Self::Stream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Serves until `stop` turns true, then lets requests that have begun come to their end.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    guard: Guard,
    options: ServerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let guard = Arc::new(guard);
    let places = Arc::new(Semaphore::new(options.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&mut listener, &places) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, place)) => {
                let connection = serve_connection(stream, router.clone(), guard.clone(), options, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must end before it gets better.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn accept<L: Listener>(
    listener: &mut L,
    places: &Arc<Semaphore>,
) -> io::Result<(L::Stream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?, place))
}

async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    guard: Arc<Guard>,
    options: ServerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| answer(router.clone(), guard.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A client that breaks off has nobody to tell; what it had sent whole is recorded.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    router: Router,
    guard: Arc<Guard>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    if let Err(refusal) = guard.check(&request) {
        return Ok(*refusal);
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = match guard.preflight(&request) {
        Some(response) => response,
        None => router.oneshot(request.map(Body::new)).await?,
    };
    allow_origin(&mut response, origin);
    Ok(response)
}
