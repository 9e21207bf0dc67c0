//! Reads updates in the sandbox, strictly, so that a client accepted here is accepted by Target. Pure.
//!
//! Source: Target Single Profile Update API; where that page is silent, the stricter reading applies.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::core::attribute::check_value_length;
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::{ATTRIBUTE_NAME_CHARS_MAX, UPDATE_BODY_BYTES_MAX, UPDATE_QUERY_BYTES_MAX};

/// One of Target's APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Single Profile Update API.
    Single,
    /// Bulk Profile Update API, version 1, which creates no profiles.
    BulkV1,
    /// Bulk Profile Update API, version 2, which does.
    BulkV2,
    /// The status of a batch.
    BatchStatus,
    /// Fetch profile API.
    Fetch,
    /// Delivery API.
    Delivery,
}

impl Api {
    /// All APIs.
    pub const ALL: [Self; 6] =
        [Self::Single, Self::BulkV1, Self::BulkV2, Self::BatchStatus, Self::Fetch, Self::Delivery];

    /// Returns the name used in the log of requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::BulkV1 => "bulk_v1",
            Self::BulkV2 => "bulk_v2",
            Self::BatchStatus => "batch_status",
            Self::Fetch => "fetch",
            Self::Delivery => "delivery",
        }
    }
}

/// A request for an update, as received.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Query, without the question mark.
    pub query: &'a str,
    /// The header `Content-Type`.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// A valid update of one profile, as an API was sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Identity of the profile.
    pub identity: Identity,
    /// Attributes by name without `profile.`.
    pub attributes: BTreeMap<String, String>,
}

/// A refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// HTTP status of the answer.
    pub status: u16,
    /// Description for the log and the answer.
    pub problem: String,
}

pub(super) fn wrong<T>(status: u16, problem: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { status, problem: problem.into() })
}

/// Reads an update.
///
/// # Errors
/// [`Wrong`], for anything that Target's page forbids.
pub fn read(request: Request<'_>) -> Result<Update, Wrong> {
    let form = form(request)?;
    let mut identities = Vec::new();
    let mut attributes = BTreeMap::new();
    for pair in form.split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            return wrong(400, "a parameter lacks its \"=\"");
        };
        let (name, value) = (decode(name)?, decode(value)?);
        if let Some(kind) = identity_kind(&name) {
            identities.push((kind, value));
        } else {
            insert(&mut attributes, &name, value)?;
        }
    }
    match identities.len() {
        1 => {}
        found => return wrong(400, format!("{found} identities; there must be exactly one")),
    }
    let (kind, key) = identities.remove(0);
    match Identity::new(kind, key) {
        Ok(identity) if !attributes.is_empty() => Ok(Update { identity, attributes }),
        Ok(_) => wrong(400, "there is no attribute"),
        Err(error) => wrong(400, error.to_string()),
    }
}

/// Returns the kind of identity that a parameter names. Source: Target Single Profile Update API.
fn identity_kind(parameter: &str) -> Option<IdentityKind> {
    match parameter {
        "mbox3rdPartyId" => Some(IdentityKind::ThirdPartyId),
        "mboxPC" => Some(IdentityKind::PcId),
        _ => None,
    }
}

/// Returns the form, from the query or the body.
fn form(request: Request<'_>) -> Result<&str, Wrong> {
    if request.query.len() > UPDATE_QUERY_BYTES_MAX {
        return wrong(414, format!("the query has {} bytes, at most {UPDATE_QUERY_BYTES_MAX}", request.query.len()));
    }
    if request.method == "GET" || request.body.is_empty() {
        return Ok(request.query);
    }
    if request.body.len() > UPDATE_BODY_BYTES_MAX {
        return wrong(413, format!("the body has {} bytes, at most {UPDATE_BODY_BYTES_MAX}", request.body.len()));
    }
    if !request.query.is_empty() {
        return wrong(400, "parameters stand both in the query and in the body");
    }
    if !request.content_type.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return wrong(415, "the Content-Type must be application/x-www-form-urlencoded");
    }
    std::str::from_utf8(request.body).or_else(|_| wrong(400, "the body is not UTF-8"))
}

fn insert(attributes: &mut BTreeMap<String, String>, name: &str, value: String) -> Result<(), Wrong> {
    let Some(name) = name.strip_prefix("profile.") else {
        return wrong(400, "a parameter is neither an identity nor begins with \"profile.\"");
    };
    check_attribute(name, &value)?;
    match attributes.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => wrong(400, "an attribute occurs twice"),
    }
}

/// Checks that Target accepts a name and a value.
pub(super) fn check_attribute(name: &str, value: &str) -> Result<(), Wrong> {
    let chars = name.chars().count();
    if chars == 0 || chars > ATTRIBUTE_NAME_CHARS_MAX {
        return wrong(
            400,
            format!("an attribute name has {chars} characters, 1 to {ATTRIBUTE_NAME_CHARS_MAX} are allowed"),
        );
    }
    if let Err(found) = check_value_length(value) {
        return wrong(400, format!("a value has {found} characters, at most 5000 are allowed"));
    }
    if value.contains('\0') {
        return wrong(400, "a value holds a NUL character");
    }
    Ok(())
}

pub(super) fn decode(text: &str) -> Result<String, Wrong> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return wrong(400, "a percent sign is not followed by two hexadecimal digits");
        }
        rest = &rest[at + 3..];
    }
    match percent_decode_str(&text.replace('+', " ")).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => wrong(400, "a parameter is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: &str) -> Result<Update, Wrong> {
        read(Request {
            method: "POST",
            query: "",
            content_type: "application/x-www-form-urlencoded",
            body: body.as_bytes(),
        })
    }

    fn check(body: &str, status: u16, problem: &str) {
        let found = post(body).expect_err(body);
        assert!(found.status == status && found.problem.contains(problem), "{body}: {found:?}");
    }

    #[test]
    fn the_example_of_the_page_is_read() {
        let update = post("mbox3rdPartyId=123456&profile.lastStore=Malm%C3%B6%20C&profile.visits=7").expect("valid");
        assert_eq!(update.identity, "third_party_id:123456".parse().expect("valid"));
        assert_eq!(update.attributes["lastStore"], "Malmö C");
        assert_eq!(post("mboxPC=1&profile.a=x+y").expect("valid").attributes["a"], "x y");
    }

    #[test]
    fn what_the_page_forbids_is_refused() {
        check("profile.a=1", 400, "0 identities");
        check("mboxPC=1&mbox3rdPartyId=2&profile.a=1", 400, "2 identities");
        check("mboxPC=&profile.a=1", 400, "empty");
        check("mboxPC=1", 400, "no attribute");
        check("mboxPC=1&a=1", 400, "profile.");
        check("mboxPC=1&profile.a=1&profile.a=2", 400, "twice");
        check("mboxPC=1&profile.a=%zz", 400, "hexadecimal");
        check("mboxPC=1&profile.a=%ff", 400, "UTF-8");
        check("mboxPC=1&profile.a=%00", 400, "NUL");
        check("mboxPC=1&profile.a", 400, "\"=\"");
        check(&format!("mboxPC={}&profile.a=1", "x".repeat(257)), 400, "257");
        check(&format!("mboxPC=1&profile.{}=1", "x".repeat(129)), 400, "129");
    }

    #[test]
    fn sizes_are_exact() {
        let head = "mboxPC=1&profile.a=1&profile.b=".len();
        let many = |bytes: usize| {
            let mut body = "mboxPC=1".to_owned();
            for index in 0.. {
                let left = bytes - body.len();
                let pair = format!("&profile.a{index:04}={}", "x".repeat(4_000.min(left.saturating_sub(head))));
                if pair.len() + head > left {
                    body.push_str(&format!("&profile.z={}", "x".repeat(left - "&profile.z=".len())));
                    return body;
                }
                body.push_str(&pair);
            }
            unreachable!("the loop ends when the body is full")
        };
        assert_eq!(many(60_000).len(), 60_000);
        assert!(post(&many(60_000)).is_ok());
        assert_eq!(post(&many(60_001)).expect_err("too large").status, 413);
        let get = |bytes: usize| {
            let query = many(bytes);
            read(Request { method: "GET", query: &query, content_type: "", body: b"" }).map(|_| ())
        };
        assert_eq!(get(8_000), Ok(()));
        assert_eq!(get(8_001).expect_err("too large").status, 414);
    }
}
