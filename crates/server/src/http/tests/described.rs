//! What the document of the API tells is what the router does.

use super::desk::Desk;
use crate::http::openapi_json;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

/// Every method is tried on every path: the router takes those that the document has, and no others.
#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let desk = Desk::open().await;
    let document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 40, "the document has lost its paths");
    for (path, told) in paths {
        // What is in braces is no id of anything, and no method does anything to it.
        let address = path.replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let request = Request::builder()
                .method(Method::from_bytes(method.as_bytes()).expect("a method"))
                .uri(&address)
                .header("host", "127.0.0.1:7100")
                .body(Body::empty())
                .expect("a request");
            // Its body is not awaited: that of events has no end.
            let answer = desk.router.clone().oneshot(request).await.expect("routes do not fail");
            let answer = answer.status();
            let is_told = told.get(method.to_lowercase()).is_some();
            let is_taken = answer != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_taken, is_told, "{method} {address}: {answer}");
        }
    }
}
