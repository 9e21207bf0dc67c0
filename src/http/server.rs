//! Accepting connections: limited in number, timed out when idle, closed gracefully.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;

use super::guard::{Admitted, Door, EVENTS_PATH, Refusal, allow_origin};
use super::page::EVENT_STREAM;
use super::places::{Busy, Place, Places, Watched};
use super::problem::{Problem, ProblemName};
use super::seating::{Seats, Stay};
use crate::core::limits::{
    INTAKE_BODY_TIMEOUT, INTAKE_CONNECTIONS_MAX, INTAKE_GRACE, INTAKE_IDLE_TIMEOUT, INTAKE_STALL_TIMEOUT,
    INTAKE_STRANGERS_MAX,
};
use crate::core::tokens::Right;
use crate::device::metrics::Metrics;

/// Time that a connection has whose place is another's: what it sends by then is read.
const MOMENT: Duration = Duration::from_millis(100);

/// Time in which what has arrived of a connection is read, whose place is gone. Limits: some turns of the runtime; as many
/// connections as are open at most come in it only where a program on the device does nothing else.
const GLANCE: Duration = Duration::from_millis(10);

/// The limits and timeouts of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// Most connections of callers that have authenticated.
    pub connections_max: usize,
    /// Most connections of other callers; when another comes, the oldest is closed after its grace.
    pub strangers_max: usize,
    /// Time that a new connection has for its first request, even where places are short.
    pub grace: Duration,
    /// Longest time from one request to the headers of the next.
    pub idle_timeout: Duration,
    /// Longest time from the headers of a request to the end of its body.
    pub body_timeout: Duration,
    /// Time after which a client that takes nothing of its answer gives its place where places are short.
    pub stall_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: INTAKE_CONNECTIONS_MAX,
            strangers_max: INTAKE_STRANGERS_MAX,
            grace: INTAKE_GRACE,
            idle_timeout: INTAKE_IDLE_TIMEOUT,
            body_timeout: INTAKE_BODY_TIMEOUT,
            stall_timeout: INTAKE_STALL_TIMEOUT,
        }
    }
}

/// The services, and the counter of refused events.
#[derive(Clone)]
pub struct Site {
    /// The routes.
    pub router: Router,
    /// The metrics.
    pub metrics: Metrics,
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
    site: Site,
    door: Door,
    options: ServerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let door = Arc::new(door);
    let ServerOptions { connections_max: known_max, strangers_max, stall_timeout: stall, .. } = options;
    let places = Places::new(Seats { known_max, strangers_max, stall });
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let is_full = connections.len() >= places.open_max();
        let accepted = tokio::select! {
            // Those that are about to leave do so within a moment.
            _ = connections.join_next(), if is_full => continue,
            accepted = listener.accept(), if !is_full => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                let place = places.enter();
                connections.spawn(serve_connection(stream, site.clone(), door.clone(), place, options, stop.clone()));
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
    site: Site,
    door: Arc<Door>,
    (place, mut stays): (Arc<Place>, watch::Receiver<Stay>),
    options: ServerOptions,
    mut stop: watch::Receiver<bool>,
) {
    let grace_ends_at = Instant::now() + options.grace;
    let stream = Watched::new(stream, place.clone());
    let service = service_fn(move |request| counted(site.clone(), door.clone(), place.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let (mut leaves_at, mut is_stopping) = (None, false);
    loop {
        // A client that breaks off has nobody to tell; what it had sent whole is recorded. First, what has arrived is read.
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            Ok(()) = stays.changed() => {
                let now = Instant::now();
                leaves_at = match *stays.borrow_and_update() {
                    Stay::Here => None,
                    Stay::Shortly => Some(grace_ends_at.max(now + MOMENT)),
                    Stay::ToItsEnd => {
                        connection.as_mut().graceful_shutdown();
                        Some(now + MOMENT)
                    }
                    Stay::Gone => Some(now + GLANCE),
                };
            }
            () = until(leaves_at) => return,
            _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Answers a request, and counts it if it brought events and was refused.
async fn counted(
    site: Site,
    door: Arc<Door>,
    place: Arc<Place>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let is_intake = request.method() == Method::POST && request.uri().path() == EVENTS_PATH;
    let response = answer(site.router, door, place, request).await?;
    let status = response.status();
    if is_intake && (status.is_client_error() || status.is_server_error()) {
        let name = response.extensions().get().map_or("other", |ProblemName(name)| *name);
        site.metrics.refused((status.as_u16(), name));
    }
    Ok(response)
}

async fn answer(
    router: Router,
    door: Arc<Door>,
    place: Arc<Place>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let origin = request.headers().get(ORIGIN).cloned();
    let checked = door.check(&request);
    let busy = match &checked {
        Ok(Admitted::Known(owner)) => match place.begin(owner.right == Right::Record) {
            None => return Ok(Problem::no_place().into_response()),
            busy => busy,
        },
        _ => place.begin_open(),
    };
    let mut response = match checked {
        Err(Refusal::Foreign(answer)) => return Ok(*answer),
        Err(Refusal::Unknown(answer)) => *answer,
        Err(Refusal::Right(problem)) => {
            missing(router, request.uri()).await?.unwrap_or_else(|| problem.into_response())
        }
        Ok(admitted) => match door.preflight(&request) {
            Some(response) => response,
            None => {
                if let Admitted::Known(owner) = admitted {
                    request.extensions_mut().insert(owner);
                }
                router.oneshot(request.map(Body::new)).await?
            }
        },
    };
    allow_origin(&mut response, origin);
    // What goes on without an end counts as answered: who looks on keeps nobody out, and comes again.
    let is_endless = response.headers().get(CONTENT_TYPE).is_some_and(|found| found == EVENT_STREAM);
    let busy = busy.filter(|_| !is_endless);
    Ok(response.map(|body| Body::new(Answer { body, _busy: busy })))
}

/// The body of an answer, which keeps its connection busy until all of it is there to be sent.
struct Answer {
    body: Body,
    _busy: Option<Busy>,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns the answer for a path that does not exist, by asking with a method that no path has.
async fn missing(router: Router, uri: &Uri) -> Result<Option<Response<Body>>, std::convert::Infallible> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::TRACE;
    *request.uri_mut() = uri.clone();
    let response = router.oneshot(request).await?;
    Ok((response.status() == StatusCode::NOT_FOUND).then_some(response))
}
