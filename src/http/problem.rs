//! Errors as RFC 9457 `application/problem+json`.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::inspect::Unanswered;
use crate::intake::cloudevents::Invalid;
use crate::store::StoreError;

/// Seconds after which a client may try again if the store cannot take its event.
const RETRY_SECONDS: u16 = 10;

/// Seconds after which a client may try again if the agent is only busy.
const RETRY_BUSY_SECONDS: u16 = 1;

const BUSY: &str = "urn:outpost:problem:busy";

const UNKNOWN_TOKEN: &str = "urn:outpost:problem:unknown-token";

/// One problem, in the terms of RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Box<str>>,
    /// All errors, if there is more than one invalid event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<EventError>,
}

/// The error of one event of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct EventError {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    detail: String,
}

impl From<&Invalid> for EventError {
    fn from(invalid: &Invalid) -> Self {
        let field = invalid.field.clone();
        let detail = field.iter().cloned().chain([invalid.detail()]).collect::<Vec<_>>().join(": ");
        Self { event: invalid.index, field, detail }
    }
}

impl Problem {
    /// Returns a problem with a status. The type names the kind of problem, the title says it in words.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            event: None,
            field: None,
            errors: Vec::new(),
        }
    }

    /// Returns the problem of a body that is too large.
    #[must_use]
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "urn:outpost:problem:too-large", "the request is too large", detail)
    }

    /// Returns the problem of a request without a readable token, with the reason.
    #[must_use]
    pub fn no_token(found: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "urn:outpost:problem:unauthorized",
            "the token is missing",
            format!(
                "{found}; send the header \"Authorization: Bearer TOKEN\", where TOKEN is the content of intake.token in \
                 the agent's data directory, or what outpost token create prints"
            ),
        )
    }

    /// Returns the problem of an unknown token.
    #[must_use]
    pub fn unknown_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            UNKNOWN_TOKEN,
            "the token is wrong",
            "the token is not known to this agent: it is mistyped, of another agent, revoked, or replaced; \
             outpost token list shows the names of those that are good",
        )
    }

    /// Returns the problem of a Host or Origin that is not allowed.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "urn:outpost:problem:forbidden", "this caller is not allowed", detail)
    }

    /// Returns the problem of too many requests waiting for the disk.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            BUSY,
            "more events wait than the disk can take",
            "nothing was recorded; send the same events again later, or in smaller batches",
        )
    }

    /// All places for connections are taken.
    #[must_use]
    pub fn no_place() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            BUSY,
            "too many connections are open",
            "nothing was recorded; close connections that are not used, or keep one open for many requests, and send this again",
        )
    }

    /// Returns the problem of an agent that refuses events now.
    #[must_use]
    pub fn not_ready(why: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "urn:outpost:problem:not-ready",
            "new events are refused",
            format!("new events are refused: {why}"),
        )
    }

    /// Returns the problem of a path that does not exist.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "urn:outpost:problem:not-found", "there is nothing here", detail)
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let detail = format!("{invalid}; nothing was recorded");
        if invalid.is_too_large {
            return Self::too_large(detail);
        }
        let errors = if invalid.later.is_empty() {
            Vec::new()
        } else {
            std::iter::once(&invalid).chain(&invalid.later).map(EventError::from).collect()
        };
        Self {
            event: invalid.index,
            field: invalid.field.map(String::into_boxed_str),
            errors,
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "urn:outpost:problem:invalid-event",
                "the body is not what it should be",
                detail,
            )
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "urn:outpost:problem:store-full",
                "there is no room for events",
                error.to_string(),
            ),
            _ => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:outpost:problem:store-unavailable",
                "the store cannot be used now",
                error.to_string(),
            ),
        }
    }
}

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotFound(detail) => Self::not_found(detail),
            Unanswered::Store(error) => Self::from(error),
            Unanswered::NotRead(_) | Unanswered::Client(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "urn:outpost:problem:not-read",
                "Target did not show the profile",
                unanswered.to_string(),
            ),
        }
    }
}

/// The name of the problem that a response is of, for whoever counts.
#[derive(Clone, Copy)]
pub(super) struct ProblemName(pub(super) &'static str);

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self).expect("texts and numbers are JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let name = self.kind.rsplit(':').next().unwrap_or(self.kind);
        response.extensions_mut().insert(ProblemName(name));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.status, 503 | 507) {
            let seconds = if self.kind == BUSY { RETRY_BUSY_SECONDS } else { RETRY_SECONDS };
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.status {
            401 if self.kind == UNKNOWN_TOKEN => {
                let challenge = HeaderValue::from_static("Bearer realm=\"outpost\", error=\"invalid_token\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            // Without a token, no error is named. Source: RFC 6750, section 3.1.
            401 => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"outpost\""));
            }
            // Source: RFC 9110, section 12.5.3.
            415 => {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            _ => {}
        }
        response
    }
}
