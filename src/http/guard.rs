//! Access control: a web page must not reach the agent by a trick, nor another program without the token.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse;

use super::page;
use super::problem::Problem;
use super::sessions::{Owner, Sessions};
use crate::core::loopback::is_loopback;
use crate::core::tokens::{Callers, NamedToken, Right, Tokens};
use crate::core::words::answers;
use crate::device::clock::Clock;
use crate::device::live::Live;

/// Paths that reveal nothing about this device and need no token: probes of a supervisor, and the description of the
/// API.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// Path of events.
pub(super) const EVENTS_PATH: &str = "/v1/events";

/// Header by which a page from the network asks for this device. Source: Private Network Access, section 2.4.
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");

/// Header of the answer to it.
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The rules for access.
#[derive(Clone)]
pub struct Guard {
    /// Callers with a token.
    pub tokens: Live<Tokens>,
    /// Callers without a token.
    pub callers: Live<Callers>,
    /// Browsers that may look at the page.
    pub sessions: Arc<Sessions>,
}

/// The checks of one kind of listener.
pub enum Door {
    /// On a Unix socket, file permissions identify the caller; callers without a token all have the same right.
    Socket(Guard),
    /// On loopback TCP: Host and Origin, then the token.
    Tcp(Guard),
    /// Of a hub, whose routes ask for tokens themselves; no web page calls them.
    Hub,
}

/// A refusal of a request, with the answer.
pub enum Refusal {
    /// Foreign Host or Origin: 403, which no web page can read.
    Foreign(Box<Response<Body>>),
    /// Unknown caller: 401 or, for the page, a page that says so.
    Unknown(Box<Response<Body>>),
    /// The caller has no right to the path: 403, or 404 if the path does not exist.
    Right(Box<Problem>),
}

impl Refusal {
    fn foreign(problem: Problem) -> Self {
        Self::Foreign(Box::new(problem.into_response()))
    }

    fn unknown(problem: Problem) -> Self {
        Self::Unknown(Box::new(problem.into_response()))
    }

    fn right(problem: Problem) -> Self {
        Self::Right(Box::new(problem))
    }
}

impl Door {
    /// Checks a request.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check<B>(&self, request: &Request<B>) -> Result<Admitted, Refusal> {
        match self {
            Self::Socket(guard) => guard.check_socket(request),
            Self::Tcp(guard) => guard.check_tcp(request),
            Self::Hub if request.headers().contains_key(ORIGIN) => {
                Err(Refusal::foreign(Problem::forbidden("no web page may send this")))
            }
            Self::Hub if is_open(request) => Ok(Admitted::Open),
            Self::Hub => Ok(Admitted::Known(Owner::socket(Right::Record))),
        }
    }

    /// Returns the answer to a browser that asks before it posts; its Origin has been checked.
    #[must_use]
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if !is_preflight(request) {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        if let Some(asked) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        // A page from the network asks whether it may reach this device. Source: Private Network Access, and Local
        // Network Access after it.
        if request.headers().contains_key(REQUEST_PRIVATE_NETWORK) {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }
}

impl Guard {
    fn check_socket<B>(&self, request: &Request<B>) -> Result<Admitted, Refusal> {
        if is_open(request) {
            return Ok(Admitted::Open);
        }
        let needed = needed(request);
        if request.headers().contains_key(AUTHORIZATION) {
            let tokens = self.tokens.now();
            let given = bearer(request.headers()).map_err(Refusal::unknown)?;
            let token = tokens.find(given, Clock::system()).ok_or_else(Problem::unknown_token);
            let token = token.map_err(Refusal::unknown)?;
            check_right(token, Caller::Program, needed).map_err(Refusal::right)?;
            return Ok(Admitted::Known(Owner::token(token, needed)));
        }
        let right = self.callers.now().socket_right;
        if right.allows(needed) {
            return Ok(Admitted::Known(Owner::socket(needed)));
        }
        let (has, needs) = (right.name(), needed.name());
        Err(Refusal::right(Problem::forbidden(format!(
            "without a token a program on the socket has the right to {has}, and this needs the right to {needs}: send a \
             token that has it, or set right in [intake.socket]"
        ))))
    }

    fn check_tcp<B>(&self, request: &Request<B>) -> Result<Admitted, Refusal> {
        check_host(request.uri(), request.headers()).map_err(Refusal::foreign)?;
        let callers = self.callers.now();
        let caller = caller(request.headers(), &callers.allowed_origins).map_err(Refusal::foreign)?;
        if is_open(request) {
            return Ok(Admitted::Open);
        }
        let (path, tokens) = (request.uri().path(), self.tokens.now());
        let given = bearer(request.headers());
        if let Some(token) = given.as_ref().ok().and_then(|given| tokens.find(given, Clock::system())) {
            let needed = needed(request);
            check_right(token, caller, needed).map_err(Refusal::right)?;
            return Ok(Admitted::Known(Owner::token(token, needed)));
        }
        if !page::is_of_page(path) {
            return Err(Refusal::unknown(given.err().unwrap_or_else(Problem::unknown_token)));
        }
        // To a browser, pages on other ports of this device are the same site: a request that changes something must
        // come from our own.
        let is_ours = request.method() == Method::GET || has_own_origin(request.headers());
        if is_ours && let Some(owner) = self.sessions.admits(request.headers(), Instant::now()) {
            return Ok(Admitted::Known(owner));
        }
        let locked = page::locked(answers::LOCKED_WHY, request.headers());
        Err(Refusal::Unknown(Box::new(locked)))
    }
}

/// The credentials of a request that was let in.
pub enum Admitted {
    /// A valid token, a browser's permission, or the socket.
    Known(Owner),
    /// None: the path is open to everybody.
    Open,
}

/// The caller, by its Origin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller<'c> {
    /// A program.
    Program,
    /// The agent's own page.
    OwnPage,
    /// A web page from an allowed origin.
    Page(&'c str),
}

/// Returns true if everybody may send this request.
fn is_open<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    OPEN_PATHS.contains(&path) || page::OPEN_PATHS.contains(&path) || is_preflight(request)
}

/// Returns the right that a request needs.
fn needed<B>(request: &Request<B>) -> Right {
    match (request.uri().path(), request.method()) {
        (EVENTS_PATH, _) => Right::Record,
        (_, &Method::GET) => Right::Read,
        _ => Right::Admin,
    }
}

/// Checks that a token gives a caller the right that it needs.
fn check_right(token: &NamedToken, caller: Caller<'_>, needed: Right) -> Result<(), Problem> {
    let is_its_own = match (&token.origin, caller) {
        (Some(origin), Caller::Page(page)) => origin == page,
        (Some(_), _) => false,
        (None, _) => true,
    };
    if !is_its_own {
        return Err(Problem::forbidden("this token is for the web pages of another origin"));
    }
    let is_for_pages = token.right == Right::Record || (token.origin.is_some() && token.right != Right::Admin);
    if matches!(caller, Caller::Page(_)) && !is_for_pages {
        return Err(Problem::forbidden(
            "a web page needs a token of its own, which may record and nothing else: make one with `outpost token create NAME \
             --right record --origin ORIGIN`",
        ));
    }
    if token.right.allows(needed) {
        return Ok(());
    }
    let (has, needs) = (token.right.name(), needed.name());
    Err(Problem::forbidden(format!("this token has the right to {has}, and this needs the right to {needs}")))
}

/// Lets the page that asked read the answer.
pub fn allow_origin(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    }
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ORIGIN)
}

/// Checks the Host: a page that resolved its own name to 127.0.0.1 still sends that name. A target in absolute form counts more than the header.
/// Source: RFC 9112, section 3.2.2.
fn check_host(target: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if hosts.next().is_some() || !is_this_device(host) {
        return Err(Problem::forbidden("the Host header must name this device: localhost, 127.0.0.1 or [::1]"));
    }
    if target.authority().is_some_and(|authority| !is_this_device(authority.as_str())) {
        return Err(Problem::forbidden("the host of the target must be this device: localhost, 127.0.0.1 or [::1]"));
    }
    Ok(())
}

/// Returns true if a host, perhaps with a port, is this device.
fn is_this_device(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    is_loopback(name)
}

/// Returns the caller, unless it is a web page that is not allowed.
fn caller<'h>(headers: &'h HeaderMap, allowed: &[String]) -> Result<Caller<'h>, Problem> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(Caller::Program) };
    let refused = || Problem::forbidden("this Origin is not in allowed_origins of [intake.http]");
    let origin = origin.to_str().ok().filter(|_| origins.next().is_none()).ok_or_else(refused)?;
    if has_own_origin(headers) {
        return Ok(Caller::OwnPage);
    }
    if allowed.iter().any(|allowed| allowed == origin) { Ok(Caller::Page(origin)) } else { Err(refused()) }
}

fn has_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    text(ORIGIN).zip(text(HOST)).is_some_and(|(origin, host)| origin.strip_prefix("http://") == Some(host))
}

/// Returns the bearer token.
///
/// # Errors
/// 401, unless there is exactly one.
pub fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next().ok_or_else(|| Problem::no_token("there is no Authorization header"))?;
    let more = values.count();
    if more > 0 {
        return Err(Problem::no_token(&format!("there are {} Authorization headers, and there must be one", more + 1)));
    }
    let (scheme, given) = first.as_bytes().split_at_checked("Bearer".len()).unwrap_or_default();
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer");
    match given {
        _ if is_bearer && given.trim_ascii().is_empty() => Err(Problem::no_token("the token is empty")),
        [b' ', token @ ..] if is_bearer => Ok(token),
        _ => Err(Problem::no_token("the Authorization header is not of the form \"Bearer TOKEN\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: bool) {
        assert_eq!(is_this_device(host), expected, "{host}");
    }

    #[test]
    fn only_names_of_this_device_are_its_host() {
        check("localhost:7717", true);
        check("LOCALHOST", true);
        check("127.0.0.1:7717", true);
        check("127.8.0.1", true);
        check("[::1]:7717", true);
        check("outpost.example", false);
        check("localhost.evil.example", false);
        check("127.0.0.1.evil.example:7717", false);
        check("10.0.0.1:7717", false);
        check("", false);
    }
}
