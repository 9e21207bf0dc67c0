//! All that is served: the API and the page.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;

use super::api::{self, Api};
use super::page;
use super::problem::Problem;

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    api::routes()
        .merge(page::routes())
        .fallback(|| async { Problem::not_found("the paths of this agent are listed in its README") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:outpost:problem:method-not-allowed",
                "this path has another method",
                "events are sent with POST, everything else is read with GET",
            )
        })
        .with_state(api)
}
