//! The status page at `/`: rendered here, live by server-sent events, and without any outside resource.
//!
//! It shows nobody's data unless somebody asks by identity. When nobody looks it costs nothing: what keeps a page live is
//! there only as long as that page is open.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::http::{Method, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper::body::Frame;
use minijinja::context;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::api::{Api, beside};
use super::problem::Problem;
use super::sessions::{CODE_TIME, COOKIE_NAME, Owner, SESSION_TIME, login_path};
use crate::core::words::{Text, With, answers};
use crate::store::StoreError;

mod actions;
mod chart;
mod show;
mod view;

use show::{Asked, Sections, Viewer, html, lead_to, page, render, voice};

/// Content that goes on as long as a page is open.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Interval at which an open page is looked after.
const INTERVAL: Duration = Duration::from_secs(1);

/// Paths that need no permission: they reveal nothing.
pub(super) const OPEN_PATHS: [&str; 4] = ["/page/style.css", "/page/script.js", "/page/icon.svg", "/page/login"];

/// Returns whether a path belongs to the page, so that a browser's cookie opens it.
pub(super) fn is_of_page(path: &str) -> bool {
    path == "/" || path.starts_with("/page/")
}

/// The routes of the page.
pub(super) fn routes() -> Router<Arc<Api>> {
    let file = |content_type: &'static str, text: &'static str| {
        get(move || async move { ([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text) })
    };
    Router::new()
        .route("/", get(index))
        .route("/page/login", get(login))
        .route("/page/live", get(live))
        .route("/page/profile", get(profile))
        .route("/page/style.css", file("text/css; charset=utf-8", include_str!("style.css")))
        .route("/page/script.js", file("text/javascript; charset=utf-8", include_str!("script.js")))
        .route("/page/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .route("/v1/page-codes", post(issue_code))
        .merge(actions::routes())
}

/// Returns the page for a browser that may not look.
pub(super) fn locked(text: Text, headers: &HeaderMap) -> Response<Body> {
    let voice = voice(headers);
    let text = render("locked", &voice, context! { words => text.line(voice.language) });
    let mut response = html(text);
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// The answer to `POST /v1/page-codes`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PageCode {
    /// The path of the link that opens the page, once.
    pub path: String,
    /// For how long.
    pub expires_in_seconds: u64,
}

async fn issue_code(
    State(api): State<Arc<Api>>,
    Extension(owner): Extension<Owner>,
) -> Result<Response<Body>, Problem> {
    let code = api.sessions.issue(owner, Instant::now()).map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "urn:outpost:problem:no-random-numbers",
            "the system has no random numbers now",
            "try again in a moment",
        )
    })?;
    let path = login_path(&code);
    Ok(super::api::json(&PageCode { path, expires_in_seconds: CODE_TIME.as_secs() }))
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    code: String,
}

async fn login(
    State(api): State<Arc<Api>>,
    method: Method,
    headers: HeaderMap,
    Query(login): Query<Login>,
) -> Response<Body> {
    // Programs that look at links before somebody follows them do not use the code up.
    if method == Method::HEAD {
        return Response::new(Body::empty());
    }
    let Some(session) = api.sessions.redeem(&login.code, Instant::now()) else {
        return locked(answers::LINK_USED, &headers);
    };
    let cookie =
        format!("{COOKIE_NAME}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", SESSION_TIME.as_secs());
    let mut response = lead_to("/");
    response.headers_mut().insert(SET_COOKIE, HeaderValue::try_from(cookie).expect("hexadecimal digits"));
    response
}

async fn index(State(api): State<Arc<Api>>, viewer: Viewer) -> Result<Response<Body>, Problem> {
    page(api, viewer, Asked::default()).await
}

#[derive(Deserialize)]
struct ProfileQuery {
    #[serde(default)]
    identity: String,
}

async fn profile(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(query): Query<ProfileQuery>,
) -> Result<Response<Body>, Problem> {
    page(api, viewer, Asked { identity: query.identity, ..Asked::default() }).await
}

/// Keeps a page live as long as it is open, the agent runs, and it may be looked at.
async fn live(State(api): State<Arc<Api>>, Extension(owner): Extension<Owner>, viewer: Viewer) -> Response<Body> {
    let (events, waiting) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut stop = api.stop.clone();
        let mut last = String::new();
        loop {
            let (rendering, viewer) = (api.clone(), viewer.clone());
            if !api.sessions.is_good(&owner) {
                return;
            }
            let Ok(event) = beside(move || event(&rendering, &viewer)).await else { return };
            // A comment where nothing has changed, so that a page that was closed is noticed.
            let text = if event == last { ": still\n\n".to_owned() } else { event.clone() };
            last = event;
            let is_over = tokio::select! {
                sent = events.send(Bytes::from(text)) => sent.is_err(),
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if is_over {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = events.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    });
    let mut response = Response::new(Body::new(Events(waiting)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[derive(Serialize)]
struct LiveEvent {
    title: String,
    now: String,
    sections: std::collections::BTreeMap<&'static str, String>,
}

fn event(api: &Api, viewer: &Viewer) -> Result<String, StoreError> {
    let Sections { status, headline, sections } = Sections::gather(api, viewer)?;
    let event = LiveEvent {
        title: format!("{} · Outpost {}", headline.title, status.device_id),
        now: answers::LIVE.with([With::Time(api.books.now())]).words(&viewer.voice),
        sections: sections.into_iter().collect(),
    };
    let data = serde_json::to_string(&event).expect("texts are JSON");
    Ok(format!("event: sections\ndata: {data}\n\n"))
}

/// Events as they come.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
