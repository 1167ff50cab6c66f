//! All that the supervisor answers, put together: the REST API, the console, and what stands around them.

use crate::access::side::Side;
use crate::http::{ApiError, App, hosts, unread};
use crate::withheld::of_answer;
use crate::{console, gate, http};
use amends_protocol::{Problem, ProblemCode};
use amends_store::Store;
use axum::Router;
use axum::extract::{Extension, MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::csrf::{CsrfLayer, ProtectionError};

/// All routes. The OpenAPI document lists those of the API; a test compares them.
pub fn router<S: Store>(app: App<S>) -> Router {
    let withheld = app.withheld.clone();
    let own_pages = own_pages(&app.public_url).with_rejection_response(of_another_site);
    http::router()
        .merge(console::router())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), gate::check::<S>))
        .layer(middleware::from_fn_with_state(app.clone(), gate::identify::<S>))
        .layer(middleware::from_fn(on_this_side))
        .layer(own_pages)
        .layer(middleware::from_fn_with_state(app.clone(), hosts::check::<S>))
        .layer(middleware::map_response(for_nobody_else))
        .layer(Extension(app.bodies.clone()))
        .layer(middleware::map_response(move |answer| {
            std::future::ready(of_answer(&withheld, answer))
        }))
        .layer(middleware::from_fn(unread::take_the_rest))
        .with_state(app)
}

/// What changes something may not come from a page of another site, which a browser sends with the operator's rights:
/// browsers tell where a request comes from by `Sec-Fetch-Site` or `Origin`, and programs send neither.
fn own_pages(public_url: &str) -> CsrfLayer {
    let layer = CsrfLayer::new();
    let mut parts = public_url.splitn(4, '/');
    let (Some(scheme), Some(_), Some(host)) = (parts.next(), parts.next(), parts.next()) else {
        return layer;
    };
    // An address that is no origin trusts nobody more.
    layer.clone().add_trusted_origin(format!("{scheme}//{host}")).unwrap_or(layer)
}

#[allow(clippy::needless_pass_by_value)] // as the layer wants it
fn of_another_site(_: ProtectionError) -> Response {
    let detail =
        "the request was sent from another web site; open the console itself and act there";
    ApiError::from(Problem::new(ProblemCode::Forbidden, detail)).into_response()
}

/// Answers hold what is not for everybody: nobody keeps them, and nobody takes them for what they don't say they are.
async fn for_nobody_else(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// Where services and people have an address each, each is answered at its own.
async fn on_this_side(request: Request, next: Next) -> Response {
    let side = request.extensions().get::<Side>().copied().unwrap_or_default();
    let place = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    match side.refusal(place) {
        None => next.run(request).await,
        Some(why) => ApiError::not_found(why.to_owned()).into_response(),
    }
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
