//! Routes of everything that is served: the API and the page.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{Method, Response, StatusCode};
use axum::middleware::map_response;
use axum::response::IntoResponse;

use super::api::{self, Api};
use super::page;
use super::problem::Problem;

/// Returns the routes of the local API and of the page.
pub fn router(api: Arc<Api>) -> Router {
    let routes = api::routes()
        .merge(page::routes())
        .fallback(|| async {
            Problem::not_found(
                "this agent has no such path: events are sent to /v1/events, and GET /openapi.json describes all paths",
            )
        })
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(api);
    // Around all routes, because a route adds `Allow` outside its own layers.
    Router::new().fallback_service(routes).layer(map_response(name_methods))
}

/// The method of a request that its path does not allow.
#[derive(Clone)]
struct Refused(Method);

async fn method_not_allowed(method: Method) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.extensions_mut().insert(Refused(method));
    response
}

/// Names the methods that a path allows, as `Allow` does.
async fn name_methods(response: Response<Body>) -> Response<Body> {
    let Some(Refused(method)) = response.extensions().get() else { return response };
    let allowed = response.headers().get(ALLOW).cloned();
    let names = allowed.as_ref().and_then(|value| value.to_str().ok()).unwrap_or("no other method");
    let mut answer = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "urn:outpost:problem:method-not-allowed",
        "this path has another method",
        format!("{method} was received; this path takes {names}, and GET /openapi.json describes all paths"),
    )
    .into_response();
    if let Some(allowed) = allowed {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}
