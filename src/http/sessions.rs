//! Access to the page: whoever has the token creates a code, which admits one browser, once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use subtle::ConstantTimeEq;

/// Name of the cookie.
pub const COOKIE_NAME: &str = "outpost_page";

/// Time within which a code must be used.
pub const CODE_TIME: Duration = Duration::from_secs(10 * 60);

/// Time for which a browser stays admitted after its last request.
pub const SESSION_TIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Most codes, and most browsers, at a time; the oldest are dropped.
const KEPT_MAX: usize = 16;

/// The codes and the admitted browsers of one agent. They end with it.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    codes: Vec<(String, Instant)>,
    sessions: Vec<(String, Instant)>,
}

impl Sessions {
    /// Creates a code.
    ///
    /// # Errors
    /// The system's, if it has no random numbers.
    pub fn issue(&self, now: Instant) -> Result<String, getrandom::Error> {
        let code = random()?;
        keep(&mut self.lock().codes, code.clone(), now);
        Ok(code)
    }

    /// Redeems a code and returns the value for the browser's cookie; `None` if the code is wrong, used, or too old.
    pub fn redeem(&self, code: &str, now: Instant) -> Option<String> {
        let mut inner = self.lock();
        inner.codes.retain(|(_, at)| now.saturating_duration_since(*at) <= CODE_TIME);
        let place = inner.codes.iter().position(|(held, _)| is_same(held, code))?;
        inner.codes.swap_remove(place);
        let session = random().ok()?;
        keep(&mut inner.sessions, session.clone(), now);
        Some(session)
    }

    /// Returns true if a request comes from an admitted browser.
    pub fn admits(&self, headers: &HeaderMap, now: Instant) -> bool {
        let Some(given) = cookie(headers) else { return false };
        let mut inner = self.lock();
        inner.sessions.retain(|(_, at)| now.saturating_duration_since(*at) <= SESSION_TIME);
        let held = inner.sessions.iter_mut().find(|(held, _)| is_same(held, given));
        held.map(|(_, at)| *at = now).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(all: &mut Vec<(String, Instant)>, new: String, now: Instant) {
    if all.len() == KEPT_MAX {
        all.remove(0);
    }
    all.push((new, now));
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn is_same(held: &str, given: &str) -> bool {
    bool::from(held.as_bytes().ct_eq(given.as_bytes()))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(session: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, format!("a=b; {COOKIE_NAME}={session}").parse().expect("a header"))])
    }

    #[test]
    fn a_code_opens_one_browser_once() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let code = sessions.issue(now).expect("random numbers");
        let session = sessions.redeem(&code, now).expect("a session");
        assert!(sessions.admits(&headers(&session), now));
        assert_eq!(sessions.redeem(&code, now), None);
        assert!(!sessions.admits(&headers(&code), now));
        assert!(!sessions.admits(&HeaderMap::new(), now));
    }

    #[test]
    fn codes_and_browsers_grow_old() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let second = Duration::from_secs(1);
        let code = sessions.issue(now).expect("random numbers");
        assert_eq!(sessions.redeem(&code, now + CODE_TIME + second), None);
        let code = sessions.issue(now).expect("random numbers");
        let session = sessions.redeem(&code, now).expect("a session");
        assert!(sessions.admits(&headers(&session), now + SESSION_TIME));
        assert!(sessions.admits(&headers(&session), now + SESSION_TIME * 2), "looking renews it");
        assert!(!sessions.admits(&headers(&session), now + SESSION_TIME * 3 + second));
    }
}
