//! The sandbox's imitation of Target's paths and answers on the wire.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::{Frame, Incoming};
use percent_encoding::percent_decode_str;

use super::Sandbox;
use super::delivery::parameter;
use super::exchange::{Reply, Request as Call};
use super::faults::{Fault, http_date};
use super::wire::Api;
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::BATCH_FILE_BYTES_MAX;
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;

/// Largest part of a body that is read before the connection is dropped. Units: bytes.
const BODY_BYTES_MAX: usize = BATCH_FILE_BYTES_MAX + 1024 * 1024;

/// The API of a path, with its client code and the identity asked for.
struct Route {
    api: Api,
    client: String,
    fetched: Option<Identity>,
}

impl Route {
    fn of(path: &str, query: &str) -> Option<Self> {
        let parts: Vec<String> = path.split('/').skip(1).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let client = || parameter(query, "client").unwrap_or_default();
        let (api, client, fetched) = match parts[..] {
            ["m2", client, "profile", "update"] => (Api::Single, client.to_owned(), None),
            ["m2", client, "profile", "batchUpdate"] => (Api::BulkV1, client.to_owned(), None),
            ["m2", client, "v2", "profile", "batchUpdate"] => (Api::BulkV2, client.to_owned(), None),
            ["m2", client, "profile", "batchStatus"] => (Api::BatchStatus, client.to_owned(), None),
            ["rest", "v1", "profiles", "thirdPartyId", key] => {
                (Api::Fetch, client(), Identity::new(IdentityKind::ThirdPartyId, key).ok())
            }
            ["rest", "v1", "profiles", key] => (Api::Fetch, client(), Identity::new(IdentityKind::PcId, key).ok()),
            // Adobe's SDKs name the organisation instead of the client code.
            ["rest", "v1", "delivery"] => {
                let organisation = || parameter(query, "imsOrgId").unwrap_or_default();
                (Api::Delivery, Some(client()).filter(|client| !client.is_empty()).unwrap_or_else(organisation), None)
            }
            _ => return None,
        };
        (!client.is_empty()).then_some(Self { api, client, fetched })
    }

    fn takes(&self, method: &str) -> bool {
        match self.api {
            Api::Single => matches!(method, "GET" | "POST"),
            Api::BatchStatus | Api::Fetch => method == "GET",
            Api::BulkV1 | Api::BulkV2 | Api::Delivery => method == "POST",
        }
    }
}

/// Answers a call of one of Target's APIs.
pub(super) async fn call(sandbox: &Sandbox, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let Some(route) = Route::of(head.uri.path(), query) else {
        return Ok(text(
            404,
            "the simulator has /m2/CLIENT/profile/update, /m2/CLIENT[/v2]/profile/batchUpdate, /m2/CLIENT/profile/batchStatus, \
             /rest/v1/profiles/[thirdPartyId/]ID?client=CLIENT, /rest/v1/delivery?client=CLIENT and /sandbox/…",
        ));
    };
    if !route.takes(head.method.as_str()) {
        return Ok(text(405, "this path has another method"));
    }
    let body = read(body).await?;
    let request = Call {
        api: route.api,
        client: &route.client,
        fetched: route.fetched,
        method: head.method.as_str(),
        query,
        content_type: header(&head.headers, CONTENT_TYPE).unwrap_or_default(),
        authorization: header(&head.headers, AUTHORIZATION),
        body: &body,
    };
    let wall = Clock::system();
    let (reply, identity, now) = {
        let mut target = sandbox.target();
        let now = target.now(wall);
        let (reply, identity) = target.begin(&request, now);
        (reply, identity, now)
    };
    let in_progress = InProgress { sandbox, identity };
    if let Some(Fault::Slow(delay)) = reply.fault.as_ref().map(Fault::effect) {
        tokio::time::sleep(*delay).await;
    }
    drop(in_progress);
    let mut response = respond(&reply, now)?;
    if let Ok(date) = HeaderValue::from_str(&http_date(now)) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// An update whose answer is being sent; it also ends if the client goes away.
struct InProgress<'s> {
    sandbox: &'s Sandbox,
    identity: Option<Identity>,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.sandbox.target().end(self.identity.take());
    }
}

fn respond(reply: &Reply, now: Timestamp) -> io::Result<Response<Body>> {
    let effect = reply.fault.as_ref().map(Fault::effect);
    match effect {
        Some(fault) if fault.is_silent() => {
            return Err(io::Error::other("the simulator was told to drop the connection"));
        }
        Some(Fault::Reset) => return Ok(broken(reply)),
        _ => {}
    }
    let mut response = text(reply.status, &reply.body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Some(retry_after) = &reply.retry_after
        && let Ok(text) = HeaderValue::from_str(&retry_after.header(now))
    {
        headers.insert(RETRY_AFTER, text);
    }
    if effect == Some(&Fault::Redirect) {
        headers.insert(LOCATION, HeaderValue::from_static("http://127.0.0.1:9/login"));
    }
    Ok(response)
}

/// Returns an answer that breaks off after its first bytes.
fn broken(reply: &Reply) -> Response<Body> {
    let begun = Bytes::copy_from_slice(&reply.body.as_bytes()[..reply.body.len().min(4)]);
    let mut response = Response::new(Body::new(Broken::Begun(begun)));
    response.headers_mut().insert(CONTENT_LENGTH, (reply.body.len() + 1).into());
    response
}

/// A body in three steps: its first bytes, a pause to flush them, an error.
enum Broken {
    Begun(Bytes),
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
        match std::mem::replace(&mut *self, Self::Flushing) {
            Self::Begun(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Self::Flushing => {
                *self = Self::Failing;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Failing => Poll::Ready(Some(Err(io::Error::other("the simulator was told to break off")))),
        }
    }
}

pub(super) fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

pub(super) async fn read(body: Incoming) -> io::Result<Bytes> {
    Limited::new(body, BODY_BYTES_MAX).collect().await.map(Collected::to_bytes).map_err(io::Error::other)
}

pub(super) fn text(status: u16, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
