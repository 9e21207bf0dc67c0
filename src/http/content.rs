//! The content type of a request with events, from its headers: structured, batch or binary mode, uncompressed, in
//! UTF-8.

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};

use super::problem::Problem;
use crate::intake::cloudevents::{self, Invalid, Parsed};

/// Longest part of a header that is repeated in an error. Units: characters.
const SHOWN_MAX: usize = 100;

/// Content types accepted for events.
const TAKEN: &str = "application/cloudevents+json for one event, application/cloudevents-batch+json for an array of them \
    (application/json for either), or ce-* headers with data of any type";

/// The form of the events in a request.
pub enum Content {
    /// One event.
    Structured,
    /// An array of events.
    Batch,
    /// Attributes in headers, data in the body.
    Binary,
    /// JSON without further indication; its first character tells.
    Plain,
}

impl Content {
    /// Returns the form announced by the headers.
    ///
    /// # Errors
    /// 415, with what was received and what is required; 400 if there are two content types.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        check_encoding(headers)?;
        check_one_type(headers)?;
        let content_type = content_type(headers).unwrap_or_default();
        if let Some(charset) = charsets(content_type).find(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
            let charset = shown(charset);
            return Err(unsupported(format!("the charset is {charset}, and must be utf-8; nothing was recorded")));
        }
        match cloudevents::media_type(content_type).as_str() {
            "application/cloudevents+json" => Ok(Self::Structured),
            "application/cloudevents-batch+json" => Ok(Self::Batch),
            media_type if media_type.starts_with("application/cloudevents") => Err(not_taken(headers)),
            _ if headers.keys().any(|name| name.as_str().starts_with("ce-")) => Ok(Self::Binary),
            "application/json" => Ok(Self::Plain),
            _ => Err(not_taken(headers)),
        }
    }

    /// Reads the events of a body.
    ///
    /// # Errors
    /// 400 with the invalid events; 413; 415 for plain JSON that is neither an event nor an array.
    pub fn parse(&self, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Parsed>, Problem> {
        match (self, body.trim_ascii_start().first()) {
            (Self::Structured, _) | (Self::Plain, Some(b'{')) => Ok(vec![cloudevents::structured(body)?]),
            (Self::Batch, _) | (Self::Plain, Some(b'[')) => Ok(cloudevents::batch(body)?),
            (Self::Plain, _) => Err(unsupported(format!(
                "application/json was received, and its body is neither an event nor an array of events; send {TAKEN}; \
                 nothing was recorded"
            ))),
            (Self::Binary, _) => {
                let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
                Ok(vec![cloudevents::binary(pairs, content_type(headers), body)?])
            }
        }
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    for value in headers.get_all(CONTENT_ENCODING) {
        let encoding = value.to_str().unwrap_or("not readable").trim();
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            let encoding = shown(encoding);
            return Err(unsupported(format!(
                "the Content-Encoding is {encoding}, and the body must be sent uncompressed; nothing was recorded"
            )));
        }
    }
    Ok(())
}

/// Refuses two content types, in separate headers or in one: it is unclear which applies to the body.
fn check_one_type(headers: &HeaderMap) -> Result<(), Problem> {
    let types = headers.get_all(CONTENT_TYPE).iter();
    // A list, as some proxies join headers. Source: RFC 9110, section 5.3.
    let is_list = content_type(headers).is_some_and(|found| cloudevents::media_type(found).contains(','));
    match types.count() {
        0 | 1 if !is_list => Ok(()),
        _ => {
            let found: Vec<&str> =
                headers.get_all(CONTENT_TYPE).iter().filter_map(|found| found.to_str().ok()).collect();
            let words = format!("one Content-Type must be given; found {}", shown(&found.join(", ")));
            Err(Invalid::new(words).into())
        }
    }
}

fn not_taken(headers: &HeaderMap) -> Problem {
    let found = match (headers.get(CONTENT_TYPE), content_type(headers)) {
        (None, _) => "no Content-Type was received".to_owned(),
        (Some(_), None) => "a Content-Type was received that is not ASCII".to_owned(),
        (Some(_), Some(found)) => format!("the Content-Type {} was received", shown(found)),
    };
    unsupported(format!("{found}; send {TAKEN}; nothing was recorded"))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

fn charsets(content_type: &str) -> impl Iterator<Item = &str> {
    content_type.split(';').skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

/// Returns as much of a text as an answer shows.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

fn unsupported(detail: String) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "urn:outpost:problem:unsupported-media-type",
        "this content is not understood",
        detail,
    )
}
