//! The paths below `/sandbox/`: the sandbox's data, the requests that it received, and its faults.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Request, Response};
use hyper::body::Incoming;
use serde_json::json;

use super::Sandbox;
use super::delivery::parameter;
use super::faults::duration;
use super::profiles::HeldProfile;
use super::routes::{decode, read, text};
use super::target::{Target, Unknown};
use crate::core::identity::{Identity, IdentityKind};
use crate::device::clock::Clock;

/// Answer to an unknown path: the list of paths.
const HELP: &str =
    "GET    /sandbox/profiles[/KIND/KEY]         what profiles will show once every write has come through
       …/KIND/KEY?wait=10s                  the same, once it has an attribute, or after that time
PUT    /sandbox/profiles/KIND/KEY           makes an identity known
POST   /sandbox/profiles/KIND/KEY           writes attributes (a JSON object) as the web site does, in a visit
DELETE /sandbox/profiles/KIND/KEY           the profile expires
GET    /sandbox/requests                    every request with its verdict
GET    /sandbox/faults, PUT, DELETE         how it fails
PUT    /sandbox/unknown                     what becomes of updates for unknown identities: vanish or accept
PUT    /sandbox/delay                       how long a write takes to show, such as 1h; at most 24h
PUT    /sandbox/clock                       how far its clock is ahead, such as 25h
PUT    /sandbox/token, DELETE               the bearer token that calls must carry
PUT    /sandbox/updates_per_day, DELETE     single updates in any 24 hours
PUT    /sandbox/reads_per_day, DELETE       fetches in any 24 hours
";

const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest time for which a request waits for an attribute.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Answers a request to the sandbox itself.
pub(super) async fn answer(sandbox: &Sandbox, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    let body = String::from_utf8_lossy(&body);
    let path: Vec<String> = head.uri.path().split('/').skip(2).map(decode).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if let (&Method::GET, ["profiles", kind, key]) = (&head.method, &path[..])
        && let Some(wait) = parameter(head.uri.query().unwrap_or_default(), "wait")
    {
        match duration(&wait) {
            Ok(wait) => wait_for_attribute(sandbox, kind, key, wait.min(WAIT_MAX)).await,
            Err(problem) => return Ok(text(400, &problem)),
        }
    }
    let mut target = sandbox.target();
    let now = target.now(Clock::system());
    target.advance(now);
    let done = match (head.method.as_str(), &path[..]) {
        ("GET", [] | [""]) => Ok(HELP.to_owned()),
        ("GET", ["profiles"]) => return Ok(profiles(&target)),
        ("GET", ["profiles", kind, key]) => return Ok(profile(&target, kind, key)),
        ("GET", ["requests"]) => {
            return Ok(document(&json!({ "total": target.requests_total(), "requests": target.requests() })));
        }
        ("GET", ["faults"]) => Ok(target.faults.to_string()),
        (method, ["profiles", kind, key]) => identity(kind, key).and_then(|identity| match method {
            "PUT" => {
                target.learn(&identity);
                Ok("known".to_owned())
            }
            "POST" => visit(&mut target, &identity, &body, now),
            "DELETE" if target.expire(&identity) => Ok("expired".to_owned()),
            _ => Err("the simulator knows no such profile".to_owned()),
        }),
        ("PUT", [setting]) => set(&mut target, setting, body.trim()),
        ("DELETE", [setting]) => set(&mut target, setting, ""),
        _ => return Ok(text(404, HELP)),
    };
    Ok(match done {
        Ok(done) => text(200, &done),
        Err(problem) => text(400, &problem),
    })
}

/// Waits until a profile has an attribute, or the time is over.
async fn wait_for_attribute(sandbox: &Sandbox, kind: &str, key: &str, wait: Duration) {
    let Some(kind) = IdentityKind::from_name(kind) else { return };
    let has_any = |target: &Target| target.profile(kind, key).is_some_and(|profile| !profile.is_empty());
    let _ = tokio::time::timeout(wait, sandbox.wait_until(has_any)).await;
}

fn identity(kind: &str, key: &str) -> Result<Identity, String> {
    format!("{kind}:{key}").parse::<Identity>().map_err(|error| error.to_string())
}

fn visit(
    target: &mut Target,
    identity: &Identity,
    body: &str,
    now: crate::core::timestamp::Timestamp,
) -> Result<String, String> {
    let attributes: BTreeMap<String, String> =
        serde_json::from_str(body).map_err(|error| format!("the body is a JSON object of texts: {error}"))?;
    let is_taken = target.visit(identity, &attributes, now);
    if is_taken { Ok("written".to_owned()) } else { Err("the profile would hold more than 64 KB".to_owned()) }
}

fn set(target: &mut Target, setting: &str, value: &str) -> Result<String, String> {
    let count = || match value {
        "" => Ok(None),
        value => value.parse().map(Some).map_err(|_| format!("\"{value}\" is not a number")),
    };
    match setting {
        "faults" => target.faults = value.parse()?,
        "unknown" => {
            target.unknown = match value {
                "vanish" => Unknown::Vanish,
                "accept" => Unknown::Accept,
                _ => return Err("unknown identities can vanish or accept".to_owned()),
            }
        }
        "delay" => {
            let delay = duration(value)?;
            if delay > DELAY_MAX {
                return Err("a write shows within 24 hours".to_owned());
            }
            target.set_delay(delay);
        }
        "clock" => target.clock_ahead = duration(value)?,
        "token" => target.token = (!value.is_empty()).then(|| value.to_owned()),
        "updates_per_day" => target.updates_per_day = count()?,
        "reads_per_day" => target.reads_per_day = count()?,
        _ => return Err(format!("there is no such setting\n{HELP}")),
    }
    Ok("set".to_owned())
}

fn profiles(target: &Target) -> Response<Body> {
    let all: Vec<_> = target.profiles().map(|(kind, key, profile)| shown(kind, key, profile)).collect();
    document(&json!({ "profiles": all }))
}

fn profile(target: &Target, kind: &str, key: &str) -> Response<Body> {
    let found = IdentityKind::from_name(kind)
        .and_then(|kind| target.profile(kind, key).map(|profile| shown(kind, key, profile)));
    match found {
        Some(found) => document(&found),
        None => text(404, "the simulator knows no such profile"),
    }
}

fn shown(kind: IdentityKind, key: &str, profile: &HeldProfile) -> serde_json::Value {
    json!({ "kind": kind.name(), "key": key, "attributes": profile })
}

fn document(document: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{document:#}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
