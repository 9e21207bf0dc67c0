//! The status page at `/`: rendered here, live by server-sent events, and without any outside resource.
//!
//! It shows nobody's data unless somebody asks by identity. When nobody looks it costs nothing: what keeps a page live is
//! there only as long as that page is open.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use hyper::body::Frame;
use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::api::{Api, PageInfo, beside};
use super::problem::Problem;
use crate::core::identity::Identity;
use crate::core::tokens::Right;
use crate::core::words::{Language, Said, Text, Voice, With, answers};
use crate::inspect::Unanswered;
use crate::inspect::status::Status;
use crate::store::StoreError;
use view::{Headline, ProfileWords, RejectedLine, RequestLine};

mod actions;
mod chart;
mod view;

use super::sessions::{CODE_TIME, COOKIE_NAME, Owner, SESSION_TIME, login_path};

/// Content that goes on as long as a page is open.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Interval at which an open page is looked after.
const INTERVAL: Duration = Duration::from_secs(1);

/// Rejected things that the page shows.
const REJECTED_SHOWN: usize = 20;

/// Content policy of the page: nothing from elsewhere, and nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where the bundle for support is made.
const BUNDLE_PATH: &str = "/page/bundle";

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

async fn login(State(api): State<Arc<Api>>, headers: HeaderMap, Query(login): Query<Login>) -> Response<Body> {
    let Some(session) = api.sessions.redeem(&login.code, Instant::now()) else {
        return locked(answers::LINK_USED, &headers);
    };
    let cookie =
        format!("{COOKIE_NAME}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", SESSION_TIME.as_secs());
    let mut response = lead_to("/");
    response.headers_mut().insert(SET_COOKIE, HeaderValue::try_from(cookie).expect("hexadecimal digits"));
    response
}

/// Returns an answer that leads to another page.
fn lead_to(place: &str) -> Response<Body> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(place).expect("numbers and words of our own"));
    response
}

/// Returns how texts are written: in the language that the browser names, and in the time of this device.
fn voice(headers: &HeaderMap) -> Voice {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Voice { language: Language::accepted(accepted), zone: Some(TimeZone::system()), ..Voice::default() }
}

/// Somebody who looks at the page.
#[derive(Clone)]
struct Viewer {
    voice: Voice,
    /// True if the buttons work. Whoever may only read sees none.
    may_act: bool,
}

impl FromRequestParts<Arc<Api>> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        let may_act = parts.extensions.get().is_some_and(|owner| api.sessions.allows(owner, Right::Admin));
        Ok(Self { voice: Voice { receiver: api.books.receiver(), ..voice(&parts.headers) }, may_act })
    }
}

async fn index(State(api): State<Arc<Api>>, viewer: Viewer) -> Result<Response<Body>, Problem> {
    page(api, viewer, Asked::default()).await
}

/// A request for more than the page itself.
#[derive(Clone, Debug, Default)]
struct Asked {
    identity: String,
    /// Its result.
    notice: Vec<Said>,
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

async fn page(api: Arc<Api>, viewer: Viewer, asked: Asked) -> Result<Response<Body>, Problem> {
    Ok(html(beside(move || whole(&api, &viewer, &asked)).await?))
}

/// The whole page. Reads from disk.
fn whole(api: &Api, viewer: &Viewer, asked: &Asked) -> Result<String, StoreError> {
    let Sections { status, headline, sections } = Sections::gather(api, viewer)?;
    let voice = &viewer.voice;
    let now = api.books.now();
    let profile = if asked.identity.is_empty() { None } else { Some(found(api, voice, &asked.identity)?) };
    let PageInfo { support, client_code, endpoint } = &*api.page.now();
    let since = With::Time(now.minus(Duration::from_secs(status.uptime_seconds)));
    let sends_to = answers::SENDS_TO.with([client_code.as_str().into(), endpoint.as_str().into()]);
    Ok(render(
        "page",
        voice,
        context! {
            headline => shown(&headline),
            device => status.device_id,
            running => answers::RUNNING_SINCE.with([status.version.as_str().into(), since]).words(voice),
            as_of => answers::AS_OF.with([With::Time(now)]).words(voice),
            notice => voice.sentences(&asked.notice),
            sections => Value::from_pairs(sections.into_iter().map(|(id, html)| (id, Value::from_safe_string(html)))),
            asked => asked.identity.as_str(),
            profile => profile.map(Value::from_safe_string),
            support => support.as_deref().map(|contact| answers::SUPPORT.with([contact.into()]).words(voice)),
            sends_to => sends_to.words(voice),
            can_bundle => viewer.may_act && api.bundle.is_some(),
        },
    ))
}

/// Returns the part of the page about an identity. Reads from disk.
fn found(api: &Api, voice: &Voice, written: &str) -> Result<String, StoreError> {
    let words = match written.trim().parse::<Identity>() {
        Err(_) => answers::NO_IDENTITY,
        Ok(identity) => match api.books.profile(&identity) {
            Ok(profile) => {
                let found = ProfileWords::of(&profile, voice);
                return Ok(render("profile", voice, context! { found => shown(&found) }));
            }
            Err(Unanswered::Store(error)) => return Err(error),
            Err(_) => answers::HOLDS_NOTHING,
        },
    };
    Ok(render("profile", voice, context! { words => words.line(voice.language) }))
}

/// The parts of the page that are kept live, by the id of their element.
struct Sections {
    status: Status,
    headline: Headline,
    sections: [(&'static str, String); 5],
}

impl Sections {
    fn gather(api: &Api, viewer: &Viewer) -> Result<Self, StoreError> {
        let Viewer { voice, may_act } = viewer;
        let status = api.books.status()?;
        let history = api.books.history()?;
        let rejected = api.books.rejected_newest(REJECTED_SHOWN)?;
        let rejected: Vec<RejectedLine> = rejected.iter().map(|item| RejectedLine::of(item, voice)).collect();
        let (all, some) = (status.rejected.events + status.rejected.updates, rejected.len());
        let more = (usize::try_from(all).unwrap_or(0) > some)
            .then(|| answers::NEWEST_OF.with([With::count(some), all.into()]).words(voice));
        let requests: Vec<RequestLine> =
            api.metrics.recent().iter().rev().map(|request| RequestLine::of(request, voice)).collect();
        let charts = chart::charts(&history, api.books.now(), voice);
        let headline = Headline::of(&status, voice);
        let numbers = view::numbers(&status, voice);
        let sections = [
            ("link", render("link", voice, context! { headline => shown(&headline), may_act })),
            ("numbers", render("numbers", voice, context! { numbers => shown(&numbers) })),
            ("charts", render("charts", voice, context! { charts => shown(&charts) })),
            (
                "rejected",
                render("rejected", voice, context! { rejected => shown(&rejected), rejected_more => more, may_act }),
            ),
            ("requests", render("requests", voice, context! { requests => shown(&requests) })),
        ];
        Ok(Self { status, headline, sections })
    }
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

/// The templates, by name.
const TEMPLATES: [(&str, &str); 8] = [
    ("page", include_str!("page.html")),
    ("locked", include_str!("locked.html")),
    ("link", include_str!("link.html")),
    ("numbers", include_str!("numbers.html")),
    ("charts", include_str!("charts.html")),
    ("rejected", include_str!("rejected.html")),
    ("requests", include_str!("requests.html")),
    ("profile", include_str!("profile.html")),
];

/// The templates, read once they are needed.
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source).expect("our own templates are valid");
        }
        environment
    })
}

fn shown(value: &impl Serialize) -> Value {
    Value::from(Serde(value))
}

fn render(name: &str, voice: &Voice, context: Value) -> String {
    let template = environment().get_template(name).expect("our own template is there");
    let texts = context! { lang => voice.language.tag(), t => Value::from_object(view::Texts(voice.clone())) };
    template.render(context! { ..texts, ..context }).expect("our own templates know what they get")
}

fn html(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        // With "no-referrer" a browser would not say either where a form comes from.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
