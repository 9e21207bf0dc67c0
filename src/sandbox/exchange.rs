//! One call of the sandbox's Target: the request, what it comes to, the answer, and its line in the log.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::faults::{Fault, RetryAfter};
use super::wire::{Api, Wrong};
use crate::core::identity::Identity;
use crate::core::timestamp::Timestamp;

/// A call of one of Target's APIs, as received.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Which API.
    pub api: Api,
    /// The client code in the path or the query.
    pub client: &'a str,
    /// Whose profile is fetched.
    pub fetched: Option<Identity>,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The query, without the question mark.
    pub query: &'a str,
    /// The `Content-Type`.
    pub content_type: &'a str,
    /// The `Authorization`, if any.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// One request as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// Its number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// Which API.
    pub api: &'static str,
    /// `GET` or `POST`.
    pub method: String,
    /// Bytes of query and body.
    pub bytes: usize,
    /// Kind and key, as far as the request could be read and is about one.
    pub identity: Option<(&'static str, String)>,
    /// What it wrote.
    pub attributes: BTreeMap<String, String>,
    /// Rows of a batch.
    pub rows: usize,
    /// Whether Target does what it asks for.
    pub applied: bool,
    /// What the sandbox thinks of it, in words.
    pub verdict: String,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// What was wrong with the request.
    pub wrong: Option<String>,
    /// The fault that struck it.
    pub fault: Option<String>,
}

/// What the sandbox answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
    /// The body.
    pub body: String,
    /// What a fault makes of it.
    pub fault: Option<Fault>,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, retry_after: None, body: body.into(), fault: None }
    }

    fn wrong(wrong: &Wrong) -> Self {
        Self::new(wrong.status, "text/plain; charset=utf-8", wrong.problem.clone())
    }

    pub(super) fn json(status: u16, document: &serde_json::Value) -> Self {
        Self::new(status, "application/json", document.to_string())
    }
}

/// What one call came to, before it is logged.
pub(super) struct Handled {
    pub(super) reply: Reply,
    pub(super) identity: Option<Identity>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) rows: usize,
    pub(super) applied: bool,
    pub(super) verdict: String,
    pub(super) wrong: Option<String>,
}

impl Handled {
    pub(super) fn done(reply: Reply, verdict: impl Into<String>) -> Self {
        Self {
            reply,
            identity: None,
            attributes: BTreeMap::new(),
            rows: 0,
            applied: true,
            verdict: verdict.into(),
            wrong: None,
        }
    }

    pub(super) fn wrong(wrong: Wrong) -> Self {
        let (reply, verdict) = (Reply::wrong(&wrong), format!("refused: {}", wrong.problem));
        Self { applied: false, wrong: Some(wrong.problem), ..Self::done(reply, verdict) }
    }

    /// What a fault answers in the place of Target.
    pub(super) fn struck(fault: &Fault) -> Self {
        let text = |status, body: &str| Reply::new(status, "text/plain; charset=utf-8", body);
        let reply = match fault.effect() {
            Fault::Refuse(attribute) => {
                let problem = format!("the attribute {attribute} is refused");
                return Self::wrong(Wrong { status: 400, problem });
            }
            Fault::Status(status, retry_after) => {
                Reply { retry_after: retry_after.clone(), ..text(*status, "the sandbox was told to fail") }
            }
            Fault::Gateway(status) => Reply::new(
                *status,
                "text/html",
                "<!doctype html><title>Gateway</title><p>This request was not let through.</p>",
            ),
            Fault::Portal => Reply::new(
                200,
                "text/html",
                "<!doctype html><title>Welcome</title><p>Please log in to the guest network.</p>",
            ),
            Fault::Redirect => text(302, ""),
            _ => text(500, ""),
        };
        Self { applied: false, ..Self::done(reply, format!("struck by the fault {fault}")) }
    }

    /// A quota of a rolling day is spent: the next succeeds in so many seconds.
    pub(super) fn spent(seconds: u64, what: &str) -> Self {
        let message = format!("the {what} of 24 hours are spent; the next succeeds in {seconds} seconds");
        let reply = Reply {
            retry_after: Some(RetryAfter::Seconds(seconds.to_string())),
            ..Reply::json(429, &json!({ "status": 429, "message": message }))
        };
        Self { applied: false, ..Self::done(reply, format!("refused: {message}")) }
    }
}
