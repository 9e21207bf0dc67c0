//! The bearer token, which may change while the agent runs: its source is read again.

use std::sync::{PoisonError, RwLock};

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;

use super::error::{ClientError, Setting};
use crate::device::secret::Secret;

/// Message about characters that a header cannot contain.
const NOT_ASCII: &str = "it contains characters that no token has; it must be plain ASCII";

/// The token as a header.
#[derive(Debug)]
pub(super) struct Token {
    source: Secret,
    header: RwLock<HeaderValue>,
}

impl Token {
    pub(super) fn new(source: &Secret) -> Result<Self, ClientError> {
        let header = bearer(source).map_err(|words| Setting::Token.error(words))?;
        Ok(Self { header: RwLock::new(header), source: source.clone() })
    }

    pub(super) const fn can_change(&self) -> bool {
        self.source.can_change()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the token again. Returns true if it has changed.
    pub(super) fn refresh(&self) -> bool {
        // A file that is being written is read next time.
        let Some(next) = self.can_change().then(|| bearer(&self.source).ok()).flatten() else { return false };
        let mut header = self.header.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *header, next.clone()) != next
    }
}

/// Reads a token as the value of the header `Authorization`.
///
/// # Errors
/// A clause about the token, which says what it must be.
pub fn bearer(source: &Secret) -> Result<HeaderValue, String> {
    let secret = source.read()?;
    let token = secret.expose_secret().trim();
    if let Some(words) = wrong(token) {
        return Err(words.to_owned());
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| NOT_ASCII.to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

/// Returns why a text is not a valid token, if so.
fn wrong(token: &str) -> Option<&'static str> {
    let is_quoted = token.starts_with(['"', '\'', '\u{201c}']) || token.ends_with(['"', '\'', '\u{201d}']);
    let (first, rest) = token.split_once(char::is_whitespace).unwrap_or((token, ""));
    if token.is_empty() {
        Some("it is empty; it must hold the token")
    } else if is_quoted {
        Some("it is in quotes; it must be only the token")
    } else if first.eq_ignore_ascii_case("bearer") || first.eq_ignore_ascii_case("authorization:") {
        Some("it begins like a header; it must be only the token")
    } else if !token.is_ascii() {
        Some(NOT_ASCII)
    } else if !rest.is_empty() {
        Some("it contains a space or a line break; it must be only the token")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn what_is_no_token_is_named() {
        let words = |token: &str| bearer(&Secret::Text(SecretString::from(token)));
        assert!(words(" eyJ0eXAiOiJKV1QifQ.e30.x ").is_ok());
        for (token, said) in [
            ("", "empty"),
            (" \n", "empty"),
            ("\"t\"", "quotes"),
            ("'t'", "quotes"),
            ("Bearer t", "like a header"),
            ("authorization: Bearer t", "like a header"),
            ("one\ntwo", "line break"),
            ("tökén", "plain ASCII"),
        ] {
            assert!(words(token).is_err_and(|words| words.contains(said)), "{token:?}");
        }
    }
}
