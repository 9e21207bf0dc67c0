//! What an answer of Target means: one table, one function. Pure.
//!
//! Source: the forwarding rules of the contract; Target Single Profile Update API for the words of a success.

use std::time::{Duration, SystemTime};

use crate::limits::ANSWER_WORDS_CHARS_MAX;

/// The outcome of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Target said yes.
    Delivered,
    /// Target refused this update for good, in these words.
    Refused(String),
    /// The request is larger than Target takes: split it.
    TooLarge,
    /// Target asks all of this device to wait.
    Throttled(Option<Duration>),
    /// A server error or a timeout: to be tried again.
    Failing(String),
    /// No connection could be made.
    Unreachable(String),
    /// The connection broke off before an answer: Target may have taken the update.
    Broken(String),
    /// The answer is not Target's own: a portal, a proxy, a redirect.
    Foreign(String),
    /// Our credentials were not accepted.
    Unauthorized(String),
}

impl Outcome {
    /// The name in metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused(_) => "refused",
            Self::TooLarge => "too_large",
            Self::Throttled(_) => "throttled",
            Self::Failing(_) => "failing",
            Self::Unreachable(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::Foreign(_) => "foreign",
            Self::Unauthorized(_) => "unauthorized",
        }
    }

    /// What it says, as a clause for a person.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Delivered => "Target said yes".to_owned(),
            Self::TooLarge => "the request is larger than Target takes".to_owned(),
            Self::Throttled(_) => "Target asks to wait".to_owned(),
            Self::Refused(words)
            | Self::Failing(words)
            | Self::Unreachable(words)
            | Self::Broken(words)
            | Self::Foreign(words)
            | Self::Unauthorized(words) => words.clone(),
        }
    }

    /// Whether Target may have counted the request against its quota.
    #[must_use]
    pub const fn reached_target(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Foreign(_))
    }
}

/// What classification needs of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header, if any.
    pub retry_after: Option<&'a str>,
    /// The `Content-Type` header, if any.
    pub content_type: Option<&'a str>,
    /// Where a redirect goes, if it says so.
    pub location: Option<&'a str>,
    /// The first bytes of the body.
    pub body: &'a [u8],
}

/// Reads an answer to a single update. `now` is for a `Retry-After` that is a date.
#[must_use]
pub fn classify(answer: Answer<'_>, now: SystemTime) -> Outcome {
    classify_with(answer, now, |body| match body {
        body if body.starts_with(b"true") => Some(Outcome::Delivered),
        body if body.starts_with(b"false") => Some(Outcome::Refused(format!("200: {}", words(body)))),
        _ => None,
    })
}

/// Reads an answer of any API. `success` reads the body of a 200, and gives nothing where the words are not Target's own.
pub fn classify_with(answer: Answer<'_>, now: SystemTime, success: impl FnOnce(&[u8]) -> Option<Outcome>) -> Outcome {
    let retry_after = answer.retry_after.and_then(|text| parse_retry_after(text, now));
    let body = answer.body.trim_ascii_start();
    match answer.status {
        200 => {
            success(body).unwrap_or_else(|| Outcome::Foreign(foreign(answer.content_type.unwrap_or_default(), body)))
        }
        300..=399 => Outcome::Foreign(redirected(answer)),
        201..=299 => Outcome::Foreign(format!("the answer was status {}, which is not Target's", answer.status)),
        401 => Outcome::Unauthorized("Target answered 401: the token is missing or has expired".to_owned()),
        403 => Outcome::Unauthorized("Target answered 403: the token may not update profiles".to_owned()),
        407 => Outcome::Foreign("the proxy wants credentials (407)".to_owned()),
        408 => Outcome::Failing("Target answered 408 Request Timeout".to_owned()),
        413 | 414 => Outcome::TooLarge,
        420 | 429 => Outcome::Throttled(retry_after),
        400..=499 => Outcome::Refused(format!("{}: {}", answer.status, words(answer.body))),
        503 if retry_after.is_some() => Outcome::Throttled(retry_after),
        511 => Outcome::Foreign("the network wants a login (511)".to_owned()),
        status => Outcome::Failing(format!("Target answered status {status}")),
    }
}

/// Who answers in Target's place. The words of a portal may repeat what was sent to it, so that they are not kept.
fn foreign(content_type: &str, body: &[u8]) -> String {
    if body.is_empty() {
        return "something on the network answers in Target's place, with nothing".to_owned();
    }
    if body.starts_with(b"<") || content_type.starts_with("text/html") {
        return "the network shows a login page (captive portal) in Target's place; log in on this network, or have \
                Target's host let through"
            .to_owned();
    }
    "a proxy answers in Target's place, with a text of its own; have Target's host let through".to_owned()
}

fn redirected(answer: Answer<'_>) -> String {
    let host = answer.location.and_then(|location| reqwest::Url::parse(location).ok());
    let to = host.as_ref().and_then(reqwest::Url::host_str).map(|host| format!(" to {host}")).unwrap_or_default();
    format!(
        "the network redirects{to} (status {}), as login pages do (captive portal); log in on this network, or have \
         Target's host let through",
        answer.status
    )
}

/// Seconds or an HTTP date.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

/// The first words of an answer, with control characters escaped.
pub(super) fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let escaped = text.trim().chars().flat_map(|next| {
        let is_control = next.is_control();
        is_control.then(|| next.escape_default()).into_iter().flatten().chain((!is_control).then_some(next))
    });
    escaped.take(ANSWER_WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, retry_after: Option<&str>, body: &str) -> Outcome {
        let answer = Answer { status, retry_after, content_type: None, location: None, body: body.as_bytes() };
        classify(answer, SystemTime::UNIX_EPOCH)
    }

    fn check(status: u16, body: &str, label: &str) {
        assert_eq!(outcome(status, None, body).label(), label, "{status} {body:?}");
    }

    #[test]
    fn each_row_of_the_table() {
        check(200, "trueRequest successfully submitted", "delivered");
        check(200, " \r\ntrue", "delivered");
        check(200, "falseNo such client", "refused");
        check(200, "<html>Welcome to the store's Wi-Fi</html>", "foreign");
        check(200, "", "foreign");
        check(200, "TRUE", "foreign");
        check(204, "", "foreign");
        check(302, "trueRequest successfully submitted", "foreign");
        check(401, "", "unauthorized");
        check(403, "", "unauthorized");
        check(407, "", "foreign");
        check(408, "", "failing");
        check(413, "", "too_large");
        check(414, "", "too_large");
        check(400, "bad", "refused");
        check(404, "", "refused");
        check(420, "", "throttled");
        check(429, "", "throttled");
        check(500, "", "failing");
        check(503, "", "failing");
        check(511, "", "foreign");
        check(599, "", "failing");
    }

    #[test]
    fn who_answers_in_target_s_place_is_told_apart() {
        let told = |status, content_type, location, body: &str| {
            let answer = Answer { status, retry_after: None, content_type, location, body: body.as_bytes() };
            match classify(answer, SystemTime::UNIX_EPOCH) {
                Outcome::Foreign(reason) => reason,
                outcome => panic!("{outcome:?}"),
            }
        };
        assert!(told(200, Some("text/html"), None, "Welcome").contains("login page"));
        assert!(told(200, None, None, "<html>").contains("login page"));
        assert!(told(200, Some("text/plain"), None, "Blocked by policy").contains("proxy"));
        assert!(told(200, None, None, "").contains("with nothing"));
        assert!(
            told(302, None, Some("http://login.shop.example/?u=1"), "")
                .contains("redirects to login.shop.example (status 302)")
        );
        assert!(told(302, None, Some("/login"), "").contains("redirects (status 302)"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(outcome(503, Some("7"), ""), Outcome::Throttled(Some(Duration::from_secs(7))));
        assert_eq!(
            outcome(429, Some("Thu, 01 Jan 1970 00:01:00 GMT"), ""),
            Outcome::Throttled(Some(Duration::from_secs(60)))
        );
        assert_eq!(outcome(429, Some("soon"), ""), Outcome::Throttled(None));
    }

    #[test]
    fn the_words_of_a_refusal_are_short_and_without_control_characters() {
        let Outcome::Refused(text) = outcome(400, None, &format!("a\nb{}", "x".repeat(500))) else {
            panic!("a 400 is a refusal");
        };
        assert!(text.starts_with("400: a\\nbxxx"));
        assert_eq!(text.chars().count(), "400: ".len() + ANSWER_WORDS_CHARS_MAX);
    }
}
