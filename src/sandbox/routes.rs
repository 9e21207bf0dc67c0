//! The sandbox's two faces: Target's path, and `/sandbox/…` for whoever watches.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::{Frame, Incoming};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::Sandbox;
use super::faults::Fault;
use super::target::{HeldProfile, Reply, Unknown};
use super::wire;
use crate::clock::Clock;
use crate::identity::{Identity, IdentityKind};

/// How much of a body is read before it is refused. Units: bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Target's words for a success. Source: Target Single Profile Update API.
const SUCCESS: &str = "trueRequest successfully submitted";

/// `GET` or `POST` of `/m2/CLIENT/profile/update`.
pub(super) async fn update(sandbox: &Sandbox, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let parts: Vec<&str> = head.uri.path().split('/').collect();
    if !matches!(parts[..], ["", "m2", client, "profile", "update"] if !client.is_empty()) {
        return Ok(text(404, "the sandbox has /m2/CLIENT/profile/update and /sandbox/…"));
    }
    if head.method != Method::GET && head.method != Method::POST {
        return Ok(text(405, "an update is a GET or a POST"));
    }
    let body = read(body).await?;
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let request = wire::Request {
        method: head.method.as_str(),
        query: head.uri.query().unwrap_or_default(),
        content_type,
        body: &body,
    };
    let (reply, identity) = sandbox.target().begin(request, Clock::new(None).now());
    let in_progress = InProgress { sandbox, identity };
    if let Reply::Fault(Fault::Slow(delay)) = &reply {
        tokio::time::sleep(*delay).await;
    }
    drop(in_progress);
    respond(reply)
}

/// An update whose answer is on the way; also a client that goes away ends it.
struct InProgress<'s> {
    sandbox: &'s Sandbox,
    identity: Option<Identity>,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.sandbox.target().end(self.identity.take());
    }
}

fn respond(reply: Reply) -> io::Result<Response<Body>> {
    match reply {
        Reply::True | Reply::Fault(Fault::Slow(_)) => Ok(text(200, SUCCESS)),
        Reply::Wrong(wrong) => Ok(text(wrong.status, &wrong.problem)),
        Reply::Fault(Fault::Refuse(attribute)) => Ok(text(400, &format!("the attribute {attribute} is refused"))),
        Reply::Fault(Fault::Status(status, seconds)) => {
            let mut response = text(status, "the sandbox was told to fail");
            if let Some(seconds) = seconds {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Ok(response)
        }
        Reply::Fault(Fault::Portal) => {
            let mut response =
                text(200, "<!doctype html><title>Welcome</title><p>Please log in to the guest network.</p>");
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            Ok(response)
        }
        Reply::Fault(Fault::Redirect) => {
            let mut response = text(302, "");
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("http://127.0.0.1:9/login"));
            Ok(response)
        }
        Reply::Fault(Fault::Outage) => Err(io::Error::other("the sandbox was told to drop the connection")),
        Reply::Fault(Fault::Reset) => Ok(broken()),
    }
}

/// An answer that breaks off after its first word.
fn broken() -> Response<Body> {
    let mut response = Response::new(Body::new(Broken::Begun));
    response.headers_mut().insert(CONTENT_LENGTH, SUCCESS.len().into());
    response
}

/// A body in three steps: a word, a pause in which it is flushed, an error.
enum Broken {
    Begun,
    Flushing,
    Failing,
}

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match *self {
            Self::Begun => {
                *self = Self::Flushing;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"true")))))
            }
            Self::Flushing => {
                *self = Self::Failing;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Failing => Poll::Ready(Some(Err(io::Error::other("the sandbox was told to break off")))),
        }
    }
}

/// `/sandbox/…`: what the sandbox holds, and how it is told to fail.
pub(super) async fn control(sandbox: &Sandbox, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    let body = String::from_utf8_lossy(&body);
    let path: Vec<String> = head.uri.path().split('/').skip(2).map(decode).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Ok(match (head.method.as_str(), &path[..]) {
        ("GET", ["profiles"]) => profiles(sandbox),
        ("GET", ["profiles", kind, key]) => profile(sandbox, kind, key),
        ("PUT", ["profiles", kind, key]) => learn(sandbox, kind, key),
        ("GET", ["requests"]) => requests(sandbox),
        ("GET", ["faults"]) => text(200, &sandbox.target().faults.to_string()),
        ("PUT", ["faults"]) => arm(sandbox, body.trim()),
        ("DELETE", ["faults"]) => arm(sandbox, ""),
        ("PUT", ["unknown"]) => set_unknown(sandbox, body.trim()),
        _ => text(
            404,
            "GET /sandbox/profiles[/KIND/KEY], PUT /sandbox/profiles/KIND/KEY, GET /sandbox/requests, \
             GET|PUT|DELETE /sandbox/faults, PUT /sandbox/unknown (vanish or accept)",
        ),
    })
}

fn profiles(sandbox: &Sandbox) -> Response<Body> {
    let target = sandbox.target();
    let all: Vec<_> = target.profiles().map(|(kind, key, profile)| document(kind, key, profile)).collect();
    document_response(&json!({ "profiles": all }))
}

fn profile(sandbox: &Sandbox, kind: &str, key: &str) -> Response<Body> {
    let target = sandbox.target();
    let found = IdentityKind::from_name(kind)
        .and_then(|kind| target.profile(kind, key).map(|profile| document(kind, key, profile)));
    match found {
        Some(found) => document_response(&found),
        None => text(404, "the sandbox knows no such profile"),
    }
}

fn document(kind: IdentityKind, key: &str, profile: &HeldProfile) -> serde_json::Value {
    json!({ "kind": kind.name(), "key": key, "attributes": profile })
}

fn learn(sandbox: &Sandbox, kind: &str, key: &str) -> Response<Body> {
    match format!("{kind}:{key}").parse::<Identity>() {
        Ok(identity) => {
            sandbox.target().learn(&identity);
            text(200, "known")
        }
        Err(error) => text(400, &error.to_string()),
    }
}

fn requests(sandbox: &Sandbox) -> Response<Body> {
    let target = sandbox.target();
    document_response(&json!({ "total": target.requests_total(), "requests": target.requests() }))
}

fn arm(sandbox: &Sandbox, faults: &str) -> Response<Body> {
    match faults.parse() {
        Ok(faults) => {
            sandbox.target().faults = faults;
            text(200, "armed")
        }
        Err(error) => text(400, &error),
    }
}

fn set_unknown(sandbox: &Sandbox, unknown: &str) -> Response<Body> {
    let unknown = match unknown {
        "vanish" => Unknown::Vanish,
        "accept" => Unknown::Accept,
        _ => return text(400, "unknown identities can vanish or accept"),
    };
    sandbox.target().unknown = unknown;
    text(200, "set")
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

async fn read(body: Incoming) -> io::Result<Bytes> {
    Limited::new(body, BODY_BYTES_MAX).collect().await.map(Collected::to_bytes).map_err(io::Error::other)
}

fn text(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn document_response(document: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{document:#}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
