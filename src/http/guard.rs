//! Who may call: a web page must not reach the agent by a trick, nor another program without the token.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::page;
use super::problem::Problem;
use super::sessions::Sessions;

/// Paths that tell nothing and need no token: probes of a supervisor.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// Origins of web pages that may call; they may change while the agent runs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SharedOrigins(Arc<RwLock<Arc<Vec<String>>>>);

impl SharedOrigins {
    /// Origins that may change.
    #[must_use]
    pub fn new(origins: Vec<String>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(origins))))
    }

    /// Others may call from now on.
    pub fn replace(&self, origins: Vec<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(origins);
    }

    fn now(&self) -> Arc<Vec<String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The checks of one listener.
#[derive(Debug)]
pub enum Guard {
    /// On a Unix socket, file permissions are the guard.
    Socket,
    /// On loopback TCP: Host, Origin, then the token.
    Tcp {
        /// The bearer token.
        token: SecretString,
        /// Origins of web pages that may call.
        allowed_origins: SharedOrigins,
        /// Browsers that may look at the page.
        sessions: Arc<Sessions>,
    },
}

impl Guard {
    /// Lets a request pass.
    ///
    /// # Errors
    /// The answer to give: 403 for a foreign Host or Origin, 401 without the token or, on the page, without a browser's
    /// permission.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Box<Response<Body>>> {
        let Self::Tcp { token, allowed_origins, sessions } = self else { return Ok(()) };
        let refuse = |problem: Problem| Box::new(problem.into_response());
        check_host(request.headers()).map_err(refuse)?;
        check_origin(request.headers(), &allowed_origins.now()).map_err(refuse)?;
        let path = request.uri().path();
        let is_open = OPEN_PATHS.contains(&path) || page::OPEN_PATHS.contains(&path) || is_preflight(request);
        if is_open || has_token(request.headers(), token) {
            return Ok(());
        }
        if !page::is_of_page(path) {
            return Err(refuse(Problem::unauthorized()));
        }
        // Pages of other ports of this device are the same site to a browser: what changes something comes from our own.
        let is_ours = request.method() == Method::GET || has_own_origin(request.headers());
        if is_ours && sessions.admits(request.headers(), Instant::now()) {
            return Ok(());
        }
        Err(Box::new(page::locked("It shows how this device is doing, to those who may know.")))
    }

    /// The answer to a browser that asks before it posts; its Origin has been checked.
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
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }
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

/// A page that resolved its own name to 127.0.0.1 still sends that name.
fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if hosts.next().is_none() && is_loopback(host) {
        return Ok(());
    }
    Err(Problem::forbidden("the Host header must name this device: localhost, 127.0.0.1 or [::1]"))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let own = || headers.get(HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    for origin in headers.get_all(ORIGIN) {
        let is_allowed = origin.to_str().is_ok_and(|origin| {
            allowed.iter().any(|allowed| allowed == origin) || own().is_some_and(|own| own == origin)
        });
        if !is_allowed {
            return Err(Problem::forbidden("this Origin is not in allowed_origins of [intake.http]"));
        }
    }
    Ok(())
}

fn has_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    text(ORIGIN).zip(text(HOST)).is_some_and(|(origin, host)| origin.strip_prefix("http://") == Some(host))
}

fn has_token(headers: &HeaderMap, token: &SecretString) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let given = values.next().and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()));
    let Some((scheme, given)) = given else { return false };
    values.next().is_none()
        && scheme.eq_ignore_ascii_case(b"Bearer ")
        && bool::from(given.ct_eq(token.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: bool) {
        assert_eq!(is_loopback(host), expected, "{host}");
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
