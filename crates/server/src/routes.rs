//! All that the supervisor answers, put together: the REST API, the console, and what stands around them.

use crate::http::{ApiError, App, hosts, unread};
use crate::{console, http};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};

/// All routes. The OpenAPI document lists those of the API; a test compares them.
pub fn router<S: Store>(app: App<S>) -> Router {
    http::router()
        .merge(console::router())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), hosts::check::<S>))
        .layer(Extension(app.bodies.clone()))
        .layer(middleware::from_fn(unread::take_the_rest))
        .with_state(app)
}

async fn no_such_path(uri: Uri, headers: HeaderMap) -> Response {
    let wanted = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if wanted.contains("text/html") {
        return console::nothing_at(uri.path());
    }
    let detail = format!("there is no `{}`; `/v1` lists what there is", uri.path());
    ApiError::not_found(detail).into_response()
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let detail =
        format!("`{}` does not take `{method}`; the header `Allow` says what it takes", uri.path());
    Problem::new(ProblemCode::MethodNotAllowed, detail).into()
}
