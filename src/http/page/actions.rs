//! The buttons of the page. Each leads to a page that can be loaded again without repeating the action, and that says
//! what came of it in words of ours alone: whoever made a link may have written anything.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;

use super::show::{Asked, Viewer, lead_to, page};
use crate::core::words::answers;
use crate::http::api::{Api, beside};
use crate::http::problem::Problem;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/page/rejected/{id}/retry", post(retry_rejected))
        .route("/page/retried", get(retried))
        .route("/page/retry-all", post(retry_all))
        .route("/page/retried-all", get(retried_all))
        .route("/page/retry-now", post(retry_now))
        .route("/page/tried", get(tried))
        .route(super::show::BUNDLE_PATH, post(bundle))
}

async fn retry_rejected(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Response<Body> {
    let id: i64 = id.parse().unwrap_or_default();
    let retried = beside(move || api.books.retry_rejected(id)).await;
    let status = retried.map_or_else(|_| "gone".to_owned(), |retried| retried.status);
    lead_to(&format!("/page/retried?id={id}&status={status}"))
}

#[derive(Deserialize)]
struct Retried {
    #[serde(default)]
    id: String,
    #[serde(default)]
    status: String,
}

async fn retried(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(retried): Query<Retried>,
) -> Result<Response<Body>, Problem> {
    let Retried { id, status } = retried;
    let id: i64 = id.parse().unwrap_or_default();
    let text = match status.as_str() {
        "rejected" => answers::STILL_REJECTED,
        "pending" | "recorded" => answers::RETRIED,
        "unmapped" => answers::RETRIED_UNMAPPED,
        "outdated" => answers::RETRIED_OUTDATED,
        _ => answers::RETRIED_GONE,
    };
    page(api, viewer, Asked { notice: vec![text.with([id.to_string().into()])], ..Asked::default() }).await
}

async fn retry_all(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    let (tried, still) = beside(move || api.books.retry_all_rejected()).await?;
    Ok(lead_to(&format!("/page/retried-all?tried={tried}&still={still}")))
}

#[derive(Deserialize)]
struct RetriedAll {
    #[serde(default)]
    tried: String,
    #[serde(default)]
    still: String,
}

async fn retried_all(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(retried): Query<RetriedAll>,
) -> Result<Response<Body>, Problem> {
    let count = |text: &str| -> i64 { text.parse().unwrap_or_default() };
    let mut notice = vec![answers::RETRIED_ALL.with([count(&retried.tried).into()])];
    let still = count(&retried.still);
    notice.extend((still > 0).then(|| answers::RETRIED_STILL.with([still.into()])));
    page(api, viewer, Asked { notice, ..Asked::default() }).await
}

async fn retry_now(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    let books = api.books.clone();
    let retried = beside(move || books.retry_now()).await?;
    Ok(lead_to(if retried.waits_until.is_some() { "/page/tried?status=waits" } else { "/page/tried" }))
}

async fn tried(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Query(retried): Query<Retried>,
) -> Result<Response<Body>, Problem> {
    let text = if retried.status == "waits" { answers::TRIED_WAITS } else { answers::TRIED_NOW };
    page(api, viewer, Asked { notice: vec![text.said()], ..Asked::default() }).await
}

/// Makes the bundle for support, and has it downloaded.
async fn bundle(State(api): State<Arc<Api>>) -> Result<Response<Body>, Problem> {
    let bundle = api.bundle.clone().ok_or_else(|| Problem::not_found("this agent makes no bundle"))?;
    let failed = |detail: String| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "urn:outpost:problem:no-bundle",
            "the bundle cannot be made",
            detail,
        )
    };
    let made = tokio::task::spawn_blocking(move || bundle()).await;
    let zip = made.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    let name = format!("attachment; filename=\"outpost-{}.zip\"", api.books.device_id);
    let name = HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/zip")), (CONTENT_DISPOSITION, name)];
    Ok((headers, zip).into_response())
}
