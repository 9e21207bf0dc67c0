//! The routes of the local HTTP API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::admission::Admission;
use super::content::Content;
use super::problem::Problem;
use super::query::{self, Parameters};
use super::sessions::Sessions;
use crate::core::forwarding::destination::Destination;
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::{FORGET_TOGETHER_MAX, INTAKE_BODY_BYTES_MAX};
use crate::core::packed::unpacked;
use crate::core::words::{Said, figures};
use crate::device::live::Live;
use crate::device::log_level::{LevelTime, LogLevel};
use crate::device::metrics::Metrics;
use crate::inspect::books::Books;
use crate::intake::{Answers, Intake};
use crate::store::StoreError;

/// The resources of the routes.
pub struct Api {
    /// Receiver of events.
    pub intake: Intake,
    /// Source of answers about the device.
    pub books: Arc<Books>,
    /// Limit on concurrent requests.
    pub admission: Admission,
    /// Metrics.
    pub metrics: Metrics,
    /// Browsers that may look at the page.
    pub sessions: Arc<Sessions>,
    /// Level of log lines; `None` if somebody else logs.
    pub log_level: Option<LogLevel>,
    /// Channel to ask for a reload; `None` if there is none.
    pub reload: Option<ReloadSender>,
    /// The part of the configuration that the page shows.
    pub page: Live<PageInfo>,
    /// Makes the bundle for support; none where nobody does.
    pub bundle: Option<BundleMaker>,
    /// Turns true when the agent stops.
    pub stop: watch::Receiver<bool>,
    /// Longest time for receiving a body; see [`crate::core::limits::INTAKE_BODY_TIMEOUT`].
    pub body_timeout: Duration,
}

/// A channel to the part that reloads the configuration; it answers with the result or the error.
pub type ReloadSender = mpsc::Sender<oneshot::Sender<Result<Reloaded, NotReloaded>>>;

/// A failure to reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReloaded {
    /// The tokens could not be read, so nothing was reloaded.
    Tokens(String),
    /// The configuration could not be reloaded, but the tokens were.
    Configuration(String),
}

/// Makes the bundle for support, a ZIP file, or says why it cannot; it may take some seconds.
pub type BundleMaker = Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// The part of the configuration that the page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageInfo {
    /// Contact for support, from `[page]`.
    pub support: Option<String>,
    /// Destination of updates.
    pub destination: Destination,
}

impl PageInfo {
    /// Returns where updates go, in words.
    pub(super) fn sends_to(&self) -> Said {
        match &self.destination {
            Destination::Target { client_code, endpoint } => {
                figures::SENDS_TO.with([client_code.as_str().into(), endpoint.as_str().into()])
            }
            Destination::Hub { url } => figures::HANDS_OVER_TO.with([url.as_str().into()]),
        }
    }
}

/// The answer to `POST /v1/reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Changed settings that need a restart.
    pub needs_restart: Vec<String>,
}

/// Returns the routes of the API.
pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/events", post(record))
        .route("/v1/status", get(status))
        .route("/v1/history", get(history))
        .route("/v1/profiles/{kind}/{key}", get(profile).delete(forget))
        .route("/v1/profiles/{kind}/{key}/verify", post(verify))
        .route("/v1/forget", post(forget_together))
        .route("/v1/rejected", get(rejected))
        .route("/v1/rejected/{id}", get(rejected_item).delete(drop_rejected))
        .route("/v1/rejected/{id}/retry", post(retry_rejected))
        .route("/v1/reload", post(reload))
        .route("/v1/retry-now", post(retry_now))
        .route("/v1/log", get(log_level).post(set_log_level))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

async fn record(State(api): State<Arc<Api>>, request: Request<Body>) -> Result<Response<Body>, Problem> {
    let (head, body) = request.into_parts();
    let content = Content::of(&head.headers)?;
    // Held until the answer is sent.
    let _place = api.admission.admit(&body)?;
    let body = read_body(body, api.body_timeout).await?;
    let events = content.parse(&head.headers, &body)?;
    let events = api.intake.record(events).await?;
    Ok(json(&Answers { events }))
}

async fn read_body(body: Body, timeout: Duration) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(timeout, Limited::new(body, INTAKE_BODY_BYTES_MAX).collect());
    match read.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(format!(
            "the body is larger than {INTAKE_BODY_BYTES_MAX} bytes; nothing was recorded; send the events in smaller batches"
        ))),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "urn:outpost:problem:incomplete",
            "the body is not complete",
            "the body ended before its announced length; nothing was recorded",
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "urn:outpost:problem:timeout",
            "the body took too long",
            format!("the body did not arrive within {} s; nothing was recorded", timeout.as_secs()),
        )),
    }
}

async fn status(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    answer(&api, Books::status).await
}

async fn history(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    answer(&api, Books::history).await
}

async fn profile(
    State(api): State<Arc<Api>>,
    Path((kind, key)): Path<(String, String)>,
) -> Result<Response<Body>, Problem> {
    let identity = identity(&kind, key)?;
    answer(&api, move |books| books.profile(&identity)).await
}

async fn forget(
    State(api): State<Arc<Api>>,
    Path((kind, key)): Path<(String, String)>,
) -> Result<Response<Body>, Problem> {
    let identity = identity(&kind, key)?;
    answer(&api, move |books| books.forget(&identity)).await
}

/// The document of `POST /v1/forget`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ForgetDocument {
    /// Identities to forget, as people write them.
    pub identities: Vec<String>,
}

async fn forget_together(State(api): State<Arc<Api>>, body: Bytes) -> Result<Response<Body>, Problem> {
    let invalid = |detail: String| {
        let title = "this is no list of identities; nothing was erased";
        Problem::new(StatusCode::BAD_REQUEST, "urn:outpost:problem:invalid-identities", title, detail)
    };
    let document: ForgetDocument = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    let found = document.identities.len();
    if found > FORGET_TOGETHER_MAX {
        return Err(invalid(format!("identities must be at most {FORGET_TOGETHER_MAX}; found {found}")));
    }
    let read = |(place, written): (usize, &String)| {
        written.parse::<Identity>().map_err(|error| invalid(format!("identities[{place}]: {error}")))
    };
    let identities: Vec<Identity> = document.identities.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    answer(&api, move |books| books.forget_together(&identities)).await
}

async fn verify(
    State(api): State<Arc<Api>>,
    Path((kind, key)): Path<(String, String)>,
    Query(given): Query<Parameters>,
) -> Result<Response<Body>, Problem> {
    let resend = query::only(&given, "resend", "true or false")?;
    Ok(json(&api.books.verify(identity(&kind, key)?, resend).await?))
}

fn identity(kind: &str, key: String) -> Result<Identity, Problem> {
    let kind = IdentityKind::from_name(kind)
        .ok_or_else(|| Problem::not_found("the kinds of identities are third_party_id and pc_id"))?;
    Identity::new(kind, key).map_err(|error| Problem::not_found(error.to_string()))
}

async fn rejected(State(api): State<Arc<Api>>, Query(given): Query<Parameters>) -> Result<Response<Body>, Problem> {
    let after = query::only(&given, "after", "a whole number, such as 0")?;
    answer(&api, move |books| books.rejected(after)).await
}

async fn rejected_item(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response<Body>, Problem> {
    let id = rejected_id(&id)?;
    answer(&api, move |books| books.rejected_item(id)).await
}

async fn retry_rejected(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Response<Body>, Problem> {
    let id = rejected_id(&id)?;
    answer(&api, move |books| books.retry_rejected(id)).await
}

async fn drop_rejected(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id = rejected_id(&id)?;
    ask(&api, move |books| books.drop_rejected(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn rejected_id(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| Problem::not_found("the number of a rejected event or update must be whole, such as 17"))
}

/// Answers `POST /v1/retry-now`.
async fn retry_now(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    answer(&api, Books::retry_now).await
}

async fn reload(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    let reload = api.reload.as_ref().ok_or_else(|| Problem::not_found("this agent has no configuration of its own"))?;
    let (answer, answered) = oneshot::channel();
    let gone = || Problem::from(StoreError::Stopped);
    reload.send(answer).await.map_err(|_| gone())?;
    match answered.await.map_err(|_| gone())? {
        Ok(reloaded) => Ok(json(&reloaded)),
        Err(NotReloaded::Tokens(detail)) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "urn:outpost:problem:tokens-unreadable",
            "the tokens cannot be read; the previous ones stay in effect",
            detail,
        )),
        Err(NotReloaded::Configuration(detail)) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "urn:outpost:problem:invalid-configuration",
            "the configuration is not valid; the old one stays in effect",
            detail,
        )),
    }
}

/// The document of `POST /v1/log` and of its answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogDocument {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Seconds until the configured level applies again.
    #[serde(default)]
    pub for_seconds: u64,
}

async fn log_level(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    let level = api.log_level.as_ref().ok_or_else(|| Problem::not_found("this agent does not write its own log"))?;
    Ok(json(&LogDocument { level: level.current().as_str().to_lowercase(), for_seconds: 0 }))
}

async fn set_log_level(State(api): State<Arc<Api>>, body: Bytes) -> Result<Response<Body>, Problem> {
    let log_level =
        api.log_level.as_ref().ok_or_else(|| Problem::not_found("this agent does not write its own log"))?;
    let invalid = |detail: String| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "urn:outpost:problem:invalid-log-level",
            "the log level cannot be changed",
            detail,
        )
    };
    let document: LogDocument = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    let level =
        document.level.parse().map_err(|_| invalid("a level is error, warn, info, debug or trace".to_owned()))?;
    let time = LevelTime::new(Duration::from_secs(document.for_seconds));
    let time = time.map_err(|words| invalid(format!("for_seconds: {words}")))?;
    log_level.change_for(level, time);
    Ok(json(&document))
}

async fn metrics(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    let numbers = ask(&api, |books| books.status().map(|status| status.numbers())).await?;
    let text = api.metrics.text(&numbers);
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"))], text).into_response())
}

/// The description of this API, packed.
const OPENAPI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// Returns the description of this API; a test compares it with real answers.
async fn openapi() -> Response<Body> {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], unpacked(OPENAPI)).into_response()
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers whether events are accepted: not if the store is full, the disk is low, or the last write failed.
async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    match ask(&api, Books::readiness).await? {
        None => Ok("ok\n"),
        Some(why) => Err(Problem::not_ready(&why)),
    }
}

/// Answers with the document of a query.
async fn answer<T: Serialize + Send + 'static, E: Into<Problem> + Send + 'static>(
    api: &Arc<Api>,
    question: impl FnOnce(&Books) -> Result<T, E> + Send + 'static,
) -> Result<Response<Body>, Problem> {
    ask(api, question).await.map(|document| json(&document))
}

/// Runs a query on the books. It may wait for the disk, so it runs on a blocking thread.
async fn ask<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    api: &Arc<Api>,
    question: impl FnOnce(&Books) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    let books = api.books.clone();
    beside(move || question(&books)).await
}

/// Runs work that waits for the disk on a blocking thread.
pub(super) async fn beside<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Problem::from(StoreError::Stopped)),
    }
}

pub(super) fn json(document: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(document).expect("our own documents are JSON");
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
