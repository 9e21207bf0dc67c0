//! The hub on the wire: it takes Target's place for a device of a fleet, and is reached by the same client.

use std::time::SystemTime;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::outcome::{Answer, Outcome, classify_with};
use crate::core::fleet::Taken;
use crate::core::forwarding::why::Why;

/// The hub's answer to a device's parts.
#[derive(Clone, Debug)]
pub enum Handed {
    /// All is committed, but for the parts it names.
    Taken(Taken),
    /// Nothing was taken, or it is unknown whether.
    Failed(Outcome),
}

impl Handed {
    /// Returns the name for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Taken(_) => Outcome::Delivered.label(),
            Self::Failed(outcome) => outcome.label(),
        }
    }
}

/// A problem in the hub's own words: RFC 9457.
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    _kind: String,
    title: String,
    #[serde(default)]
    detail: Option<String>,
}

/// Reads an answer. Anything that is not the hub's own is a portal's or a proxy's.
pub(super) fn read(answer: Answer<'_>, now: SystemTime) -> Handed {
    if answer.status == 200
        && let Ok(taken) = serde_json::from_slice(answer.body)
    {
        return Handed::Taken(taken);
    }
    let problem = serde_json::from_slice::<Problem>(answer.body).ok();
    let words = || {
        let Problem { title, detail, .. } = problem.as_ref()?;
        let words = detail.as_ref().map_or_else(|| title.clone(), |detail| format!("{title}: {detail}"));
        Some(super::outcome::words(words.as_bytes()))
    };
    Handed::Failed(match (answer.status, words()) {
        (401, Some(words)) => Outcome::Unauthorized(format!("the hub answered 401: {words}")),
        (403, Some(words)) => Outcome::Unauthorized(format!("the hub answered 403: {words}")),
        // An order that this program does not know: it holds everything until it is updated.
        (409 | 426, Some(words)) => Outcome::Unauthorized(format!("the hub does not speak with this version: {words}")),
        (status @ (400..=408 | 410..=412 | 415..=428 | 430..=499), Some(words)) if status != 408 && status != 420 => {
            Outcome::Failing(format!("the hub answered {status}: {words}"))
        }
        (507, Some(_)) => classify_with(Answer { status: 503, ..answer }, now, |_| None),
        _ => match classify_with(answer, now, |_| None) {
            Outcome::Refused(refused) => {
                Outcome::foreign(format!("something answers in the hub's place ({refused}); check url in [hub]"))
            }
            outcome => of_hub(outcome),
        },
    })
}

/// Reads a document of the hub's.
pub(super) fn read_document<T: DeserializeOwned>(answer: Answer<'_>, now: SystemTime) -> Result<T, Outcome> {
    match read(answer, now) {
        _ if answer.status == 200 => serde_json::from_slice(answer.body)
            .map_err(|_| Outcome::foreign("something answers in the hub's place; check the hub's URL")),
        Handed::Failed(outcome) => Err(outcome),
        Handed::Taken(_) => Err(Outcome::Failing("the hub answered something else than was asked".to_owned())),
    }
}

/// Names of Target in the client's messages, and what replaces them where a hub is asked. Longer names come first.
const WORDS: [(&str, &str); 7] = [
    ("client_code and endpoint in [target]", "url in [hub]"),
    ("endpoint and client_code in [target]", "url in [hub]"),
    ("endpoint in [target]", "url in [hub]"),
    ("[target.http]", "[hub]"),
    ("[target]", "[hub]"),
    ("Adobe Target", "the hub"),
    ("Target", "the hub"),
];

/// Says of a hub what the client says of Target.
pub(super) fn of_hub(outcome: Outcome) -> Outcome {
    let said = |words: String| WORDS.iter().fold(words, |words, (target, hub)| words.replace(target, hub));
    let why = |why: Why| Why::new(why.cause, said(why.words));
    match outcome {
        Outcome::Unreachable(it) => Outcome::Unreachable(why(it)),
        Outcome::Foreign(it) => Outcome::Foreign(why(it)),
        Outcome::Failing(words) => Outcome::Failing(said(words)),
        Outcome::Lost(words) => Outcome::Lost(said(words)),
        Outcome::Unauthorized(words) => Outcome::Unauthorized(said(words)),
        Outcome::NotSetUp(words) => Outcome::NotSetUp(said(words)),
        Outcome::Delivered | Outcome::Throttled(_) | Outcome::Refused(_) | Outcome::TooLarge => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(status: u16, retry_after: Option<&str>, body: &str) -> &'static str {
        let body = body.as_bytes();
        read(
            Answer { status, retry_after, date: None, content_type: None, location: None, body },
            SystemTime::UNIX_EPOCH,
        )
        .label()
    }

    #[test]
    fn what_stands_in_the_way_is_said_of_the_hub() {
        let body = b"<html>Log in</html>";
        let answer = Answer { status: 200, retry_after: None, date: None, content_type: None, location: None, body };
        let Handed::Failed(outcome) = read(answer, SystemTime::UNIX_EPOCH) else { panic!("a page is no answer") };
        let words = outcome.reason();
        assert!(words.contains("in the hub's place") && !words.contains("Target"), "{words}");
    }

    #[test]
    fn each_answer_of_the_hub() {
        let problem = r#"{"type":"about:blank","title":"No","detail":"since"}"#;
        let taken = r#"{"refused":[],"mappings":0,"next_in_seconds":0,"time":"2026-11-27T08:00:00Z"}"#;
        for (status, retry_after, body, expected) in [
            (200, None, taken, "delivered"),
            (200, None, "{}", "foreign"),
            (200, None, "<html>", "foreign"),
            (400, None, problem, "failing"),
            (400, None, "no", "foreign"),
            (401, None, problem, "unauthorized"),
            (403, None, problem, "unauthorized"),
            (404, None, "not found", "foreign"),
            (409, None, problem, "unauthorized"),
            (413, None, problem, "too_large"),
            (426, None, problem, "unauthorized"),
            (429, Some("7"), problem, "throttled"),
            (503, Some("7"), problem, "throttled"),
            (507, Some("7"), problem, "throttled"),
            (500, None, problem, "failing"),
            (302, None, "", "foreign"),
        ] {
            assert_eq!(label(status, retry_after, body), expected, "{status} {body}");
        }
    }
}
