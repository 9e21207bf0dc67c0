//! Answers of a node: JSON, packed if the device takes that, and problems in words.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, VARY};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::core::fleet::HandoverError;
use crate::core::packed::packed;
use crate::http::problem::Problem;
use crate::hub::devices::JoinRefused;
use crate::hub::error::HubError;

/// Seconds within which a device is asked to come again, at random, so that not all come at once.
const RETRY_SECONDS: std::ops::RangeInclusive<u16> = 2..=30;

/// Size from which an answer is packed. Units: bytes.
const PACKED_FROM: usize = 1_024;

/// A problem, with a time to come again where that helps.
pub(super) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = self.0.into_response();
        if response.headers().contains_key(RETRY_AFTER) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(fastrand::u16(RETRY_SECONDS)));
        }
        response
    }
}

impl From<HubError> for Refusal {
    fn from(error: HubError) -> Self {
        Self(match error {
            HubError::Revoked => unknown_token(),
            HubError::TooManyRefused => Problem::too_large(error.to_string()),
            error if error.is_full() => {
                tracing::error!(error = chain(&error), "the database is full: devices wait");
                Problem::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "urn:outpost:problem:store-full",
                    "there is no room in the database",
                    "nothing was taken; the device keeps it and sends it again",
                )
            }
            error => {
                tracing::warn!(error = chain(&error), "the database could not be used: devices wait");
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "urn:outpost:problem:database-unavailable",
                    "the database cannot be used now",
                    format!("{error}; send the same again later"),
                )
            }
        })
    }
}

impl From<HandoverError> for Refusal {
    fn from(error: HandoverError) -> Self {
        let words = error.to_string();
        Self(match error {
            HandoverError::Json(_) => super::body::invalid(format!("{words}; nothing was taken")),
            HandoverError::Protocol(_) => Problem::new(
                StatusCode::UPGRADE_REQUIRED,
                "urn:outpost:problem:protocol",
                "the device and the hub have versions that do not understand each other",
                words,
            ),
            HandoverError::TooMany(..) => Problem::too_large(format!("{words}; nothing was taken")),
        })
    }
}

impl From<JoinRefused> for Refusal {
    fn from(refused: JoinRefused) -> Self {
        let status = match refused {
            JoinRefused::NameTaken => StatusCode::CONFLICT,
            JoinRefused::Name => StatusCode::BAD_REQUEST,
            JoinRefused::Code | JoinRefused::Group(_) => StatusCode::FORBIDDEN,
        };
        Self(Problem::new(status, "urn:outpost:problem:not-joined", "the device may not join", refused.to_string()))
    }
}

/// Returns the problem of a token that no device has.
pub(super) fn unknown_token() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "urn:outpost:problem:unknown-token",
        "the token is wrong",
        "the token is not known to this hub: it is of another hub, or its device was revoked; outpost join gets another one",
    )
}

/// Returns the problem of more requests than a node handles at a time.
pub(super) fn busy() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "urn:outpost:problem:busy",
        "this node has more to do than it takes at a time",
        "nothing was taken; send the same again later",
    )
}

/// Returns a document as JSON.
pub(super) fn json(headers: &HeaderMap, document: &impl Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(document).expect("our own documents are JSON");
    let takes_gzip = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("gzip"));
    let is_packed = bytes.len() >= PACKED_FROM && headers.get(ACCEPT_ENCODING).is_some_and(takes_gzip);
    let mut response = Response::new(Body::from(if is_packed { packed(&bytes) } else { bytes }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Returns an error with its causes. Those of the database name no value: what a statement was about is in its detail, which is
/// left out.
fn chain(error: &HubError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
