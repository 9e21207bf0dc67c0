//! Accepting connections: limited in number, timed out when idle, closed gracefully.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::ORIGIN;
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use super::guard::{Admitted, Door, Refusal, allow_origin};
use super::places::{Place, Places};
use super::problem::Problem;
use crate::core::limits::{INTAKE_BODY_TIMEOUT, INTAKE_CONNECTIONS_MAX, INTAKE_IDLE_TIMEOUT, INTAKE_STRANGERS_MAX};

/// Longest time that a known caller waits for a place if all are taken.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// The limits and timeouts of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Most connections of callers that have authenticated.
    pub connections_max: usize,
    /// Most connections of other callers; the oldest is closed when another comes.
    pub strangers_max: usize,
    /// Longest time from one request to the headers of the next.
    pub idle_timeout: Duration,
    /// Longest time from the headers of a request to the end of its body.
    pub body_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: INTAKE_CONNECTIONS_MAX,
            strangers_max: INTAKE_STRANGERS_MAX,
            idle_timeout: INTAKE_IDLE_TIMEOUT,
            body_timeout: INTAKE_BODY_TIMEOUT,
        }
    }
}

/// A source of connections.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Serves until `stop` turns true, then completes the requests in progress.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    door: Door,
    options: ServerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let door = Arc::new(door);
    let places = Places::new(options.connections_max, options.strangers_max);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(stream) => {
                let (place, sent_away) = places.enter();
                let connection = serve_connection(stream, router.clone(), door.clone(), place, options, stop.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        _ = sent_away => {}
                    }
                });
            }
            Err(error) => {
                // Most likely there are no file descriptors left: other connections must end first.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    door: Arc<Door>,
    place: Place,
    options: ServerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let place = Arc::new(place);
    let service = service_fn(move |request| answer(router.clone(), door.clone(), place.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A client that breaks off cannot be told anything; complete events it had sent are recorded.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    router: Router,
    door: Arc<Door>,
    place: Arc<Place>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let origin = request.headers().get(ORIGIN).cloned();
    let checked = door.check(&request);
    if matches!(checked, Ok(Admitted::Known)) && !matches!(timeout(PLACE_TIMEOUT, place.become_known()).await, Ok(true))
    {
        return Ok(Problem::no_place().into_response());
    }
    let mut response = match checked {
        Err(Refusal::Foreign(answer)) => return Ok(*answer),
        Err(Refusal::Unknown(answer)) => *answer,
        Err(Refusal::Right(problem)) => {
            missing(router, request.uri()).await?.unwrap_or_else(|| problem.into_response())
        }
        Ok(_) => match door.preflight(&request) {
            Some(response) => response,
            None => router.oneshot(request.map(Body::new)).await?,
        },
    };
    allow_origin(&mut response, origin);
    Ok(response)
}

/// Returns the answer for a path that does not exist, by asking with a method that no path has.
async fn missing(router: Router, uri: &Uri) -> Result<Option<Response<Body>>, std::convert::Infallible> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::TRACE;
    *request.uri_mut() = uri.clone();
    let response = router.oneshot(request).await?;
    Ok((response.status() == StatusCode::NOT_FOUND).then_some(response))
}
