//! The meaning of Target's answers: one table, one function. Pure.
//!
//! Source: docs/promises.md; Target Single Profile Update API for the text of a success.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::core::forwarding::why::{Cause, Why};
use crate::core::limits::ANSWER_WORDS_CHARS_MAX;

/// The outcome of one attempt.
///
/// All but [`Self::Lost`] are definite: Target either has the update or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Target accepted the update.
    Delivered,
    /// Target refused this update permanently.
    Refused(Refused),
    /// The request is larger than Target accepts: split it.
    TooLarge,
    /// Target asks the whole device to wait; `None` leaves the time to us.
    Throttled(Option<Duration>),
    /// Target answered with an error of its own: try again.
    Failing(String),
    /// No connection could be made, and nothing was sent.
    Unreachable(Why),
    /// The request was sent but no answer came: Target may have accepted the update, or may accept it later.
    Lost(String),
    /// The answer is not Target's: a portal, a proxy, a gateway, a redirect.
    Foreign(Why),
    /// Our credentials were not accepted.
    Unauthorized(String),
    /// The configuration does not allow sending, and nothing was sent.
    NotSetUp(String),
}

/// A refusal in Target's words. Prints as `400: words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// Beginning of the answer, without control characters.
    pub words: String,
}

impl Refused {
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        Self { status, words: words(body) }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.words)
    }
}

impl Outcome {
    /// Returns the name used in metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused(_) => "refused",
            Self::TooLarge => "too_large",
            Self::Throttled(_) => "throttled",
            Self::Failing(_) => "failing",
            Self::Unreachable(_) => "unreachable",
            Self::Lost(_) => "lost",
            Self::Foreign(_) => "foreign",
            Self::Unauthorized(_) => "unauthorized",
            Self::NotSetUp(_) => "not_set_up",
        }
    }

    /// Returns the outcome as a clause for a person.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Delivered => "Target said yes".to_owned(),
            Self::TooLarge => "the request is larger than Target takes".to_owned(),
            Self::Throttled(_) => "Target asks to wait".to_owned(),
            Self::Refused(refused) => refused.to_string(),
            Self::Unreachable(why) | Self::Foreign(why) => why.words.clone(),
            Self::Failing(words) | Self::Lost(words) | Self::Unauthorized(words) | Self::NotSetUp(words) => {
                words.clone()
            }
        }
    }

    /// An answer that is not Target's own.
    pub(super) fn foreign(words: impl Into<String>) -> Self {
        Self::Foreign(Why::new(Cause::Foreign, words))
    }

    /// Returns true if it is unknown whether Target has the update. Any other outcome is definite.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// Returns true if Target may have counted the request against its quota.
    #[must_use]
    pub const fn reached_target(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::Foreign(_) | Self::NotSetUp(_))
    }
}

/// The parts of an answer that decide its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header, if any.
    pub retry_after: Option<&'a str>,
    /// The `Date` header, if any: the clock behind a date in `Retry-After`.
    pub date: Option<&'a str>,
    /// The `Content-Type` header, if any.
    pub content_type: Option<&'a str>,
    /// Target of a redirect, if any.
    pub location: Option<&'a str>,
    /// Beginning of the body.
    pub body: &'a [u8],
}

/// Classifies an answer to a single update. `now` is needed for a `Retry-After` with a date, if the answer has no
/// `Date`.
#[must_use]
pub fn classify(answer: Answer<'_>, now: SystemTime) -> Outcome {
    classify_with(answer, now, |body| match body {
        body if body.starts_with(b"true") => Some(Outcome::Delivered),
        body if body.starts_with(b"false") => Some(Outcome::Refused(Refused::new(200, body))),
        _ => None,
    })
}

/// Classifies an answer of any API. `success` reads the body of a 200, and returns `None` if it is not Target's.
pub fn classify_with(answer: Answer<'_>, now: SystemTime, success: impl FnOnce(&[u8]) -> Option<Outcome>) -> Outcome {
    let body = answer.body.trim_ascii_start();
    match answer.status {
        200 => {
            success(body).unwrap_or_else(|| Outcome::foreign(foreign(answer.content_type.unwrap_or_default(), body)))
        }
        300..=399 => Outcome::foreign(redirected(answer)),
        201..=299 => Outcome::foreign(format!("the answer was status {}, which is not Target's", answer.status)),
        // These ask to send less or later, whoever answers and in whatever form.
        408 => Outcome::Failing("Target answered 408 Request Timeout".to_owned()),
        413 | 414 => Outcome::TooLarge,
        420 | 429 => Outcome::Throttled(asked(answer, now)),
        503 if answer.retry_after.is_some_and(|text| !text.trim().is_empty()) => Outcome::Throttled(asked(answer, now)),
        407 => Outcome::Foreign(Why::new(Cause::Proxy, intermediary(407))),
        405 | 421 | 425 | 431 | 451 | 511 => Outcome::foreign(intermediary(answer.status)),
        400..=499 if is_page(answer) => Outcome::foreign(format!(
            "a gateway or proxy answers with a page of its own instead of Target (status {}); have Target's host let \
             through, and check endpoint and client_code in [target]",
            answer.status
        )),
        401 => Outcome::Unauthorized("Target answered 401: the token is missing or has expired".to_owned()),
        403 => Outcome::Unauthorized("Target answered 403: the token may not update profiles".to_owned()),
        400..=499 => Outcome::Refused(Refused::new(answer.status, answer.body)),
        502 | 504 => {
            Outcome::Failing(format!("a gateway got no answer from Target in time (status {})", answer.status))
        }
        status => Outcome::Failing(format!("Target answered status {status}")),
    }
}

/// Returns who answers with a status that Target never sends, and what to do about it.
pub(super) const fn intermediary(status: u16) -> &'static str {
    match status {
        405 => {
            "a gateway does not let requests of this kind pass (405); have Target's host let through, and check endpoint \
             in [target]"
        }
        407 => "the proxy wants credentials (407); set proxy_user and proxy_password in [target.http]",
        421 => "a gateway does not serve Target's host (421); check endpoint in [target], and the DNS server",
        425 => "a gateway takes no requests yet (425 Too Early); have Target's host let through",
        431 => {
            "a gateway finds the request's headers too large (431); check the length of the token, and have Target's host \
             let through"
        }
        451 => "the network blocks Target's host by law or policy (451); have Target's host let through",
        _ => "the network wants a login (511); log in on this network, or have Target's host let through",
    }
}

/// Returns true if an answer is a page for people, which none of Target's APIs sends. The XML of its Bulk API does not
/// count.
fn is_page(answer: Answer<'_>) -> bool {
    let body = answer.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(answer.body).trim_ascii_start();
    is_html(answer.content_type.unwrap_or_default()) || (body.starts_with(b"<") && !body.starts_with(b"<response"))
}

fn is_html(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Describes who answers a 200 instead of Target. The text of a portal may repeat what was sent to it, so it is not
/// kept.
fn foreign(content_type: &str, body: &[u8]) -> String {
    if body.is_empty() {
        return "something on the network answers in Target's place, with nothing".to_owned();
    }
    if body.starts_with(b"<") || is_html(content_type) {
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

/// Reads how long Target asks to wait: seconds, or an HTTP date.
///
/// A date is relative to the answer's own `Date`, since the device's clock may be wrong by hours; a past one means no
/// wait. `None` leaves the time to us, as does a number that is negative or absurdly large.
fn asked(answer: Answer<'_>, now: SystemTime) -> Option<Duration> {
    let text = answer.retry_after?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let sent = answer.date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    Some(until.duration_since(sent).unwrap_or(Duration::ZERO))
}

/// Returns the beginning of an answer, with control characters escaped.
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

    fn answer(status: u16, body: &str) -> Answer<'_> {
        let body = body.as_bytes();
        Answer { status, retry_after: None, date: None, content_type: None, location: None, body }
    }

    fn outcome(answer: Answer<'_>) -> Outcome {
        classify(answer, SystemTime::UNIX_EPOCH)
    }

    fn check(status: u16, body: &str, label: &str) {
        assert_eq!(outcome(answer(status, body)).label(), label, "{status} {body:?}");
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
        check(400, "bad", "refused");
        check(401, "", "unauthorized");
        check(403, "", "unauthorized");
        check(404, "", "refused");
        check(404, "No such path", "refused");
        check(405, "", "foreign");
        check(407, "", "foreign");
        check(408, "", "failing");
        check(413, "", "too_large");
        check(414, "", "too_large");
        check(420, "", "throttled");
        check(421, "", "foreign");
        check(425, "", "foreign");
        check(429, "", "throttled");
        check(431, "", "foreign");
        check(451, "", "foreign");
        check(500, "", "failing");
        check(502, "", "failing");
        check(503, "", "failing");
        check(504, "", "failing");
        check(511, "", "foreign");
        check(599, "", "failing");
    }

    #[test]
    fn a_page_with_a_4xx_is_a_gateway_s_answer_and_not_a_refusal() {
        for status in [400, 401, 403, 404, 410, 422] {
            check(status, " \n<!DOCTYPE html><h1>Blocked</h1>", "foreign");
            check(status, "\u{feff}<html>", "foreign");
            let told = outcome(Answer { content_type: Some("Text/HTML; charset=utf-8"), ..answer(status, "Blocked") });
            assert!(
                told.reason().contains("gateway") && told.reason().contains(&format!("status {status}")),
                "{told:?}"
            );
        }
        // The request means the same, whoever makes it.
        check(429, "<html>", "throttled");
        check(413, "<html>", "too_large");
        check(408, "<html>", "failing");
        // The Bulk API answers in XML.
        check(400, "<response><success>false</success></response>", "refused");
    }

    #[test]
    fn a_status_that_target_does_not_send_says_who_answers_and_what_to_do() {
        for (status, who) in [
            (405, "gateway"),
            (407, "proxy"),
            (421, "gateway"),
            (425, "gateway"),
            (431, "gateway"),
            (451, "network"),
            (511, "network"),
        ] {
            let told = outcome(answer(status, "no")).reason();
            assert!(told.contains(who) && told.contains(&status.to_string()) && told.contains("; "), "{told}");
        }
    }

    #[test]
    fn only_a_lost_answer_is_ambiguous_and_only_what_reached_target_counts() {
        for (status, body, is_lost, reached) in [
            (200, "true", false, true),
            (400, "no", false, true),
            (429, "", false, true),
            (500, "", false, true),
            (502, "", false, true),
            (504, "", false, true),
            (511, "", false, false),
        ] {
            let outcome = outcome(answer(status, body));
            assert_eq!((outcome.is_lost(), outcome.reached_target()), (is_lost, reached), "{status}");
        }
        let lost = Outcome::Lost("no answer".to_owned());
        assert!(lost.is_lost() && lost.reached_target());
        let unreachable = Outcome::Unreachable(Why::new(Cause::Connection, "no connection"));
        assert!(!unreachable.is_lost() && !unreachable.reached_target());
    }

    #[test]
    fn who_answers_in_target_s_place_is_told_apart() {
        let told = |status, content_type, location, body: &str| {
            let answer = Answer { content_type, location, ..answer(status, body) };
            match outcome(answer) {
                Outcome::Foreign(why) => why.words,
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

    fn check_wait(retry_after: &str, date: Option<&str>, expected: Option<u64>) {
        for status in [420, 429, 503] {
            let answer = Answer { retry_after: Some(retry_after), date, ..answer(status, "") };
            let expected = Outcome::Throttled(expected.map(Duration::from_secs));
            assert_eq!(outcome(answer), expected, "{status} {retry_after:?} {date:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_or_up_to_us() {
        check_wait("7", None, Some(7));
        check_wait(" 0 ", None, Some(0));
        check_wait("18446744073709551615", None, Some(u64::MAX));
        check_wait("Thu, 01 Jan 1970 00:01:00 GMT", None, Some(60));
        for odd in ["soon", "-1", "-9223372036854775809", "99999999999999999999", "1.5", "Thu, 99 Foo 1970"] {
            check_wait(odd, None, None);
        }
        let blank = |status| outcome(Answer { retry_after: Some(" "), ..answer(status, "") });
        assert_eq!(blank(429), Outcome::Throttled(None));
        assert_eq!(blank(503).label(), "failing");
    }

    #[test]
    fn a_date_in_retry_after_counts_from_the_answer_s_own_clock() {
        // The device's clock is at 1970: by it both dates are decades ahead.
        let sent = Some("Wed, 25 Nov 2026 10:00:00 GMT");
        check_wait("Wed, 25 Nov 2026 10:00:30 GMT", sent, Some(30));
        check_wait("Wed, 25 Nov 2026 09:59:30 GMT", sent, Some(0));
        check_wait("Thu, 01 Jan 1970 00:01:00 GMT", Some("noon"), Some(60));
    }

    #[test]
    fn the_words_of_a_refusal_are_short_and_without_control_characters() {
        let Outcome::Refused(refused) = outcome(answer(400, &format!("a\nb{}", "x".repeat(500)))) else {
            panic!("a 400 is a refusal");
        };
        let text = refused.to_string();
        assert!(text.starts_with("400: a\\nbxxx"));
        assert_eq!(text.chars().count(), "400: ".len() + ANSWER_WORDS_CHARS_MAX);
    }
}
