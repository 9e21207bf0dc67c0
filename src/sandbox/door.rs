//! Access to a simulator that listens on this device alone: for programs on it, and for no web page from elsewhere.
//!
//! It may hold what an agent's own data directory holds of people. A page whose host name leads here by now is known by its `Host`;
//! one that sends a form by its `Origin`.

use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::uri::{Authority, Uri};

use crate::core::loopback::is_loopback;

/// Returns why a request is refused, if it is.
pub(super) fn refused(headers: &HeaderMap) -> Option<&'static str> {
    let is_here = |name: HeaderName, host: fn(&str) -> Option<String>| {
        headers.get_all(name).iter().all(|value| {
            let host = value.to_str().ok().and_then(host);
            host.is_some_and(|host| is_loopback(&host))
        })
    };
    match () {
        () if !is_here(HOST, |value| Some(value.parse::<Authority>().ok()?.host().to_owned())) => {
            Some("the Host must be this device, such as 127.0.0.1: a name that leads here may be a web page's\n")
        }
        () if !is_here(ORIGIN, |value| Some(value.parse::<Uri>().ok()?.host()?.to_owned())) => {
            Some("a web page from elsewhere must not use the simulator\n")
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn web_pages_from_elsewhere_are_kept_out_and_programs_are_not() {
        let is_refused = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            refused(&pairs.collect()).is_some()
        };
        for host in ["127.0.0.1", "127.0.0.1:7718", "localhost:7718", "[::1]:7718"] {
            assert!(!is_refused(&[(HOST, host)]), "{host}");
            assert!(is_refused(&[(HOST, host), (ORIGIN, "https://evil.example")]), "{host}");
            assert!(is_refused(&[(HOST, host), (ORIGIN, "null")]), "{host}");
            assert!(!is_refused(&[(HOST, host), (ORIGIN, "http://localhost:3000")]), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:7718", "10.0.0.1", ""] {
            assert!(is_refused(&[(HOST, host)]), "{host}");
        }
    }
}
