//! The routes of a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::{Refusal, busy, json, unknown_token};
use super::body::{invalid, read};
use crate::core::fleet::{
    BODY_BYTES_MAX, DEVICE_PATH, Handover, JOIN_PATH, Join, Joined, KnownDevice, PARTS_PATH, Taken,
};
use crate::http::guard::bearer;
use crate::http::problem::Problem;
use crate::hub::database::Database;
use crate::hub::devices::{Device, Joining, new_secret};

/// Largest body by which a device joins. Units: bytes.
const JOIN_BYTES_MAX: usize = 16 * 1024;

/// Longest time after which a device that has more comes again: when the node is as busy as it may be. Units: seconds.
const NEXT_SECONDS_MAX: usize = 15;

/// State that a node needs to answer.
pub struct Node {
    database: Database,
    in_flight_max: usize,
    in_flight: Semaphore,
    is_draining: AtomicBool,
}

impl Node {
    /// Returns a node that handles at most so many requests at a time.
    #[must_use]
    pub fn new(database: Database, in_flight_max: usize) -> Self {
        let in_flight = Semaphore::new(in_flight_max);
        Self { database, in_flight_max, in_flight, is_draining: AtomicBool::new(false) }
    }

    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    fn begin(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.in_flight.try_acquire().map_err(|_| busy())
    }

    /// The busier a node is, the later a device comes again that has more.
    fn next_seconds(&self) -> u64 {
        let used = self.in_flight_max.saturating_sub(self.in_flight.available_permits());
        // The request that asks is no reason to wait.
        (used.saturating_sub(1) * NEXT_SECONDS_MAX / self.in_flight_max.max(1)) as u64
    }

    async fn device(&self, headers: &HeaderMap) -> Result<Device, Refusal> {
        let token = bearer(headers).ok().and_then(|token| std::str::from_utf8(token).ok());
        let token = token.ok_or_else(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "urn:outpost:problem:unauthorized",
                "the token is missing",
                "send the header \"Authorization: Bearer TOKEN\", with the token that outpost join got",
            )
        })?;
        Ok(self.database.device(token).await?.ok_or_else(unknown_token)?)
    }
}

/// Returns the routes.
pub(super) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route(PARTS_PATH, post(take))
        .route(JOIN_PATH, post(join))
        .route(DEVICE_PATH, get(known))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .fallback(|| async {
            Problem::not_found(format!("this hub has no such path: devices hand over at {PARTS_PATH}"))
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:outpost:problem:method-not-allowed",
                "this path has another method",
                format!("devices POST to {PARTS_PATH} and {JOIN_PATH}"),
            )
        })
        .with_state(node)
}

async fn take(State(node): State<Arc<Node>>, request: Request) -> Result<Response<Body>, Refusal> {
    let _permit = node.begin()?;
    let (head, body) = request.into_parts();
    // Before its body: what a stranger sends is not read.
    let device = node.device(&head.headers).await?;
    let body = read(&head.headers, body, BODY_BYTES_MAX).await?;
    let handover = Handover::read(&body)?;
    drop(body);
    let refused = node.database.take(&device, &handover).await?;
    let taken = Taken { refused, mappings: 0, next_in_seconds: node.next_seconds(), time: device.now };
    Ok(json(&head.headers, &taken))
}

async fn join(State(node): State<Arc<Node>>, request: Request) -> Result<Response<Body>, Refusal> {
    let _permit = node.begin()?;
    let (head, body) = request.into_parts();
    let body = read(&head.headers, body, JOIN_BYTES_MAX).await?;
    let wish: Join = serde_json::from_slice(&body).map_err(|error| {
        // The library's words may repeat the code.
        invalid(format!(
            "the body must be JSON with code and device_id, and may have group and attempt; it is not from column {}",
            error.column()
        ))
    })?;
    let token = new_secret().map_err(|_| busy())?;
    let joining = Joining {
        code: &wish.code,
        name: &wish.device_id,
        group: wish.group.as_deref(),
        attempt: wish.attempt.as_deref(),
        token: &token,
    };
    let group = node.database.join(&joining).await??;
    tracing::info!(device = wish.device_id, "a device has joined");
    Ok(json(&head.headers, &Joined { token, device_id: wish.device_id, group }))
}

async fn known(State(node): State<Arc<Node>>, headers: HeaderMap) -> Result<Response<Body>, Refusal> {
    let _permit = node.begin()?;
    let Device { name, group, now, .. } = node.device(&headers).await?;
    Ok(json(&headers, &KnownDevice { device_id: name.to_string(), group, time: now }))
}

async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

/// A node whose database is gone is ready: it says so itself, in words that devices understand.
async fn ready(State(node): State<Arc<Node>>) -> Result<Json<serde_json::Value>, Refusal> {
    if node.is_draining.load(Ordering::Relaxed) {
        return Err(Problem::not_ready("this node is to stop").into());
    }
    Ok(Json(serde_json::json!({ "status": "ready" })))
}
