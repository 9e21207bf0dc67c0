//! Access to the page: whoever has a token creates a code, which admits one browser, once, as long as that token is valid.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use subtle::ConstantTimeEq;

use crate::core::tokens::{Callers, NamedToken, Right, TokenHash, Tokens};
use crate::device::clock::Clock;
use crate::device::live::Live;

/// Name of the cookie.
pub const COOKIE_NAME: &str = "outpost_page";

/// Time within which a code must be used.
pub const CODE_TIME: Duration = Duration::from_secs(10 * 60);

/// Time for which a browser stays admitted after its last request.
pub const SESSION_TIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Most codes, and most browsers, at a time; the oldest are dropped.
const KEPT_MAX: usize = 16;

/// The credentials by which a caller was let in.
#[derive(Clone)]
pub struct Owner {
    /// Hash of the token; `None` on the socket.
    token: Option<TokenHash>,
    /// The right that was needed.
    pub right: Right,
}

impl Owner {
    /// A caller with a token.
    #[must_use]
    pub fn token(token: &NamedToken, needed: Right) -> Self {
        Self { token: Some(token.hash.clone()), right: needed }
    }

    /// A caller on the socket, without a token.
    #[must_use]
    pub const fn socket(needed: Right) -> Self {
        Self { token: None, right: needed }
    }
}

/// The codes and the admitted browsers of one agent. They end with it, and with the tokens that they were created with.
pub struct Sessions {
    tokens: Live<Tokens>,
    callers: Live<Callers>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    codes: Vec<Kept>,
    sessions: Vec<Kept>,
}

struct Kept {
    secret: String,
    /// Time when it was created or last used.
    at: Instant,
    owner: Owner,
}

impl Sessions {
    /// No codes and no browsers, for those who may call.
    #[must_use]
    pub fn new(tokens: Live<Tokens>, callers: Live<Callers>) -> Self {
        Self { tokens, callers, inner: Mutex::default() }
    }

    /// Returns true if the credentials are still valid.
    #[must_use]
    pub fn is_good(&self, owner: &Owner) -> bool {
        self.allows(owner, owner.right)
    }

    /// Returns true if the credentials are valid and cover a right.
    #[must_use]
    pub fn allows(&self, owner: &Owner, needed: Right) -> bool {
        match &owner.token {
            Some(token) => self.tokens.now().allows(token, needed, Clock::system()),
            None => self.callers.now().socket_right.allows(needed),
        }
    }

    /// Creates a code.
    ///
    /// # Errors
    /// The system's, if it has no random numbers.
    pub fn issue(&self, owner: Owner, now: Instant) -> Result<String, getrandom::Error> {
        let code = random()?;
        keep(&mut self.lock().codes, Kept { secret: code.clone(), at: now, owner });
        Ok(code)
    }

    /// Returns the path of a link that opens the page in one browser, once, for who has a token; `None` if the token is not
    /// valid, or the system has no random numbers.
    #[must_use]
    pub fn link(&self, token: &str, now: Instant) -> Option<String> {
        let tokens = self.tokens.now();
        let owner = Owner::token(tokens.find(token.as_bytes(), Clock::system())?, Right::Admin);
        self.issue(owner, now).ok().map(|code| login_path(&code))
    }

    /// Redeems a code and returns the value for the browser's cookie; `None` if the code is wrong, used, or too old.
    pub fn redeem(&self, code: &str, now: Instant) -> Option<String> {
        let mut inner = self.lock();
        self.retain(&mut inner.codes, now, CODE_TIME);
        let place = inner.codes.iter().position(|kept| is_same(&kept.secret, code))?;
        let Kept { owner, .. } = inner.codes.swap_remove(place);
        let session = random().ok()?;
        keep(&mut inner.sessions, Kept { secret: session.clone(), at: now, owner });
        Some(session)
    }

    /// Returns the credentials with which the browser of a request was admitted; `None` if it is not.
    pub fn admits(&self, headers: &HeaderMap, now: Instant) -> Option<Owner> {
        let given = cookie(headers)?;
        let mut inner = self.lock();
        self.retain(&mut inner.sessions, now, SESSION_TIME);
        let kept = inner.sessions.iter_mut().find(|kept| is_same(&kept.secret, given))?;
        kept.at = now;
        Some(kept.owner.clone())
    }

    fn retain(&self, all: &mut Vec<Kept>, now: Instant, time: Duration) {
        all.retain(|kept| now.saturating_duration_since(kept.at) <= time && self.is_good(&kept.owner));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the path that redeems a code.
#[must_use]
pub fn login_path(code: &str) -> String {
    format!("/page/login?code={code}")
}

fn keep(all: &mut Vec<Kept>, new: Kept) {
    if all.len() == KEPT_MAX {
        all.remove(0);
    }
    all.push(new);
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

    fn sessions() -> Sessions {
        let callers = Callers { socket_right: Right::Admin, ..Callers::default() };
        Sessions::new(Live::new(Tokens::default()), Live::new(callers))
    }

    fn owner() -> Owner {
        Owner::socket(Right::Admin)
    }

    fn headers(session: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, format!("a=b; {COOKIE_NAME}={session}").parse().expect("a header"))])
    }

    #[test]
    fn a_code_opens_one_browser_once() {
        let (sessions, now) = (sessions(), Instant::now());
        let code = sessions.issue(owner(), now).expect("random numbers");
        let session = sessions.redeem(&code, now).expect("a session");
        assert!(sessions.admits(&headers(&session), now).is_some());
        assert_eq!(sessions.redeem(&code, now), None);
        assert!(sessions.admits(&headers(&code), now).is_none());
        assert!(sessions.admits(&HeaderMap::new(), now).is_none());
    }

    #[test]
    fn codes_and_browsers_grow_old() {
        let (sessions, now) = (sessions(), Instant::now());
        let second = Duration::from_secs(1);
        let code = sessions.issue(owner(), now).expect("random numbers");
        assert_eq!(sessions.redeem(&code, now + CODE_TIME + second), None);
        let code = sessions.issue(owner(), now).expect("random numbers");
        let session = sessions.redeem(&code, now).expect("a session");
        assert!(sessions.admits(&headers(&session), now + SESSION_TIME).is_some());
        assert!(sessions.admits(&headers(&session), now + SESSION_TIME * 2).is_some(), "looking renews it");
        assert!(sessions.admits(&headers(&session), now + SESSION_TIME * 3 + second).is_none());
    }
}
