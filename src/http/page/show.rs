//! The page as it is shown to one viewer.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use jiff::tz::TimeZone;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::chart;
use super::view::{self, Headline, ProfileWords, RejectedLine, RequestLine};
use crate::core::identity::Identity;
use crate::core::tokens::Right;
use crate::core::words::{Language, Said, Voice, With, answers};
use crate::http::api::{Api, beside};
use crate::http::problem::Problem;
use crate::inspect::Unanswered;
use crate::inspect::status::Status;
use crate::store::StoreError;

/// Rejected things that the page shows.
const REJECTED_SHOWN: usize = 20;

/// Content policy of the page: nothing from elsewhere, and nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Path that makes the bundle for support.
pub(super) const BUNDLE_PATH: &str = "/page/bundle";

/// Returns an answer that leads to another page.
pub(super) fn lead_to(place: &str) -> Response<Body> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(place).expect("numbers and words of our own"));
    response
}

/// Returns how texts are written: in the language that the browser names, and in the time of this device.
pub(super) fn voice(headers: &HeaderMap) -> Voice {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Voice { language: Language::accepted(accepted), zone: Some(TimeZone::system()), ..Voice::default() }
}

/// Somebody who looks at the page.
#[derive(Clone)]
pub(super) struct Viewer {
    pub(super) voice: Voice,
    /// True if the buttons work. Whoever may only read sees none.
    pub(super) may_act: bool,
}

impl FromRequestParts<Arc<Api>> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        let may_act = parts.extensions.get().is_some_and(|owner| api.sessions.allows(owner, Right::Admin));
        Ok(Self { voice: Voice { receiver: api.books.receiver(), ..voice(&parts.headers) }, may_act })
    }
}

/// A request for more than the page itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) identity: String,
    /// Its result.
    pub(super) notice: Vec<Said>,
}

pub(super) async fn page(api: Arc<Api>, viewer: Viewer, asked: Asked) -> Result<Response<Body>, Problem> {
    Ok(html(beside(move || whole(&api, &viewer, &asked)).await?))
}

/// The whole page. Reads from disk.
fn whole(api: &Api, viewer: &Viewer, asked: &Asked) -> Result<String, StoreError> {
    let Sections { status, headline, sections } = Sections::gather(api, viewer)?;
    let voice = &viewer.voice;
    let now = api.books.now();
    let profile = if asked.identity.is_empty() { None } else { Some(found(api, voice, &asked.identity)?) };
    let info = api.page.now();
    let since = With::Time(now.minus(Duration::from_secs(status.uptime_seconds)));
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
            support => info.support.as_deref().map(|contact| answers::SUPPORT.with([contact.into()]).words(voice)),
            sends_to => info.sends_to().words(voice),
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
pub(super) struct Sections {
    pub(super) status: Status,
    pub(super) headline: Headline,
    pub(super) sections: [(&'static str, String); 5],
}

impl Sections {
    pub(super) fn gather(api: &Api, viewer: &Viewer) -> Result<Self, StoreError> {
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

/// The templates, by name.
pub(super) const TEMPLATES: [(&str, &str); 8] = [
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

pub(super) fn render(name: &str, voice: &Voice, context: Value) -> String {
    let template = environment().get_template(name).expect("our own template is there");
    let texts = context! { lang => voice.language.tag(), t => Value::from_object(view::Texts(voice.clone())) };
    template.render(context! { ..texts, ..context }).expect("our own templates know what they get")
}

pub(super) fn html(text: String) -> Response<Body> {
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
