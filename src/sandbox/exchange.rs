//! One call of the sandbox's Target: the request, its result, the answer, and its entry in the log.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::faults::{Fault, RetryAfter};
use super::wire::{Api, Wrong};
use crate::core::identity::Identity;
use crate::core::timestamp::Timestamp;
use crate::core::words::counted;

/// A call of one of Target's APIs, as received.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// API of the call.
    pub api: Api,
    /// Client code in the path or the query.
    pub client: &'a str,
    /// Identity of the profile to fetch.
    pub fetched: Option<Identity>,
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Query, without the question mark.
    pub query: &'a str,
    /// The header `Content-Type`.
    pub content_type: &'a str,
    /// The header `Authorization`, if any.
    pub authorization: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// One request as it is displayed.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// Number of the request, from 1.
    pub number: u64,
    /// Time of arrival.
    pub at: Timestamp,
    /// API of the call.
    pub api: &'static str,
    /// `GET` or `POST`.
    pub method: String,
    /// Size of query and body. Units: bytes.
    pub bytes: usize,
    /// Kind and key, if the request could be read and is about one profile.
    pub identity: Option<(&'static str, String)>,
    /// Attributes written.
    pub attributes: BTreeMap<String, String>,
    /// Rows of a batch.
    pub rows: usize,
    /// True if Target does what the request asks for.
    pub applied: bool,
    /// Judgement of the sandbox, in words.
    pub verdict: String,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// Error of the request, if any.
    pub wrong: Option<String>,
    /// Fault that affected it, if any.
    pub fault: Option<String>,
}

/// An answer of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The header `Retry-After`, if any.
    pub retry_after: Option<RetryAfter>,
    /// The body.
    pub body: String,
    /// Fault that changes the answer, if any.
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

/// The result of one call, before it is logged.
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

    /// Returns the answer of a fault instead of Target's.
    pub(super) fn struck(fault: &Fault) -> Self {
        let text = |status, body: &str| Reply::new(status, "text/plain; charset=utf-8", body);
        let reply = match fault.effect() {
            Fault::Refuse(attribute) => {
                let problem = format!("the attribute {attribute} is refused");
                return Self::wrong(Wrong { status: 400, problem });
            }
            Fault::Status(status, retry_after) => {
                Reply { retry_after: retry_after.clone(), ..text(*status, "the simulator was told to fail") }
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

    /// Returns the answer for a used-up daily quota: the next request will succeed in that many seconds.
    pub(super) fn spent(seconds: u64, what: &str) -> Self {
        let message = format!("the {what} of 24 hours are spent; the next succeeds in {}", counted(seconds, "second"));
        let reply = Reply {
            retry_after: Some(RetryAfter::Seconds(seconds.to_string())),
            ..Reply::json(429, &json!({ "status": 429, "message": message }))
        };
        Self { applied: false, ..Self::done(reply, format!("refused: {message}")) }
    }
}
