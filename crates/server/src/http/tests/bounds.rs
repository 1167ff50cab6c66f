//! What one client can not take from the others.

use super::desk::{Desk, binary};
use crate::access::{Needs, ROUTES};
use crate::http::HttpLimits;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use std::convert::Infallible;

const MIB: usize = 1 << 20;

/// A report whose body never ends, after so many bytes.
fn endless(bytes: usize) -> Request<Body> {
    let part = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes]))]);
    Request::post("/v1/reports")
        .header("content-type", "application/json")
        .body(Body::from_stream(part.chain(stream::pending())))
        .expect("a request")
}

#[tokio::test]
async fn bodies_that_do_not_end_take_a_share_of_the_memory_and_no_more() {
    let desk = Desk::with(HttpLimits { bodies: MIB, ..HttpLimits::default() }).await;
    let large = || {
        let data = json!({ "code": "failed", "data": { "text": "x".repeat(MIB / 2) } });
        desk.send(binary("o-1", "r-1", &data))
    };
    assert_eq!(large().await.status, StatusCode::ACCEPTED);
    {
        let held = desk.send(endless(MIB - 1));
        let mut held = std::pin::pin!(held);
        // One look is enough: all that it sends is there.
        assert!(held.as_mut().now_or_never().is_none());
        let refused = large().await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (429, "overloaded"));
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(desk.report("o-2", "r-2").await, "c-2", "a report of common size needs none");
    }
    assert_eq!(large().await.status, StatusCode::OK, "the client has gone");
}

#[tokio::test]
async fn the_answer_about_a_case_holds_so_much_and_each_report_is_there_whole() {
    let desk = Desk::open().await;
    for n in 0..4 {
        let data = json!({ "code": "failed", "data": { "text": "x".repeat(MIB * 3 / 4) } });
        let reply = desk.send(binary("o-1", &format!("r-{n}"), &data)).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }
    let shown = desk.get("/v1/cases/c-1").await.body;
    assert!(shown.to_string().len() < 2 * MIB);
    let cut: Vec<bool> = (0..4).map(|n| shown["reports"][n]["cut"] == true).collect();
    assert_eq!(cut, [false, false, true, true]);
    assert_eq!(shown["reports"][3]["data"]["code"], "failed", "the rest of it is there");
    let whole = desk.get("/v1/cases/c-1/reports/3").await.body;
    assert_eq!(whole["id"], "r-3");
    assert_eq!(whole["data"]["data"]["text"].as_str().map(str::len), Some(MIB * 3 / 4));
    for missing in ["/v1/cases/c-1/reports/4", "/v1/cases/c-1/reports/x", "/v1/cases/c-9/reports/0"]
    {
        assert_eq!(desk.get(missing).await.problem(), "not-found", "{missing}");
    }
}

#[tokio::test]
async fn a_case_of_hundreds_of_large_reports_is_shown_within_bounds() {
    const REPORTS: usize = 40;
    let desk = Desk::open().await;
    for n in 0..REPORTS {
        let data = json!({ "code": "failed", "data": { "text": "x".repeat(MIB * 3 / 4) } });
        let reply = desk.send(binary("o-1", &format!("r-{n}"), &data)).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED);
    }
    for path in ["/v1/cases/c-1", "/v1/cases", "/v1/steps", "/v1/overview", "/v1/groups"] {
        let reply = desk.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        let length = reply.body.to_string().len();
        assert!(length < 3 * MIB, "{path}: {length} bytes");
    }
    for path in ["/cases/c-1", "/cases", "/", "/bulk/new?act=waive&case=c-1"] {
        let page = desk.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let length = page.body.as_str().expect("a page").len();
        assert!(length < 8 * MIB, "{path}: {length} bytes");
    }
    let page = desk.get("/cases/c-1").await.body;
    let way = r#"href="/v1/cases/c-1/reports/20""#;
    assert!(page.as_str().is_some_and(|page| page.contains(way)), "the way to what is left out");
}

#[tokio::test]
async fn so_many_exports_at_once() {
    let desk = Desk::open().await;
    desk.report("o-1", "r-1").await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let ask = Request::get("/v1/cases:export").header("host", "localhost");
        let ask = ask.body(Body::empty()).expect("a request");
        let answer = tower::ServiceExt::oneshot(desk.router.clone(), ask).await.expect("no fault");
        assert_eq!(answer.status(), StatusCode::OK);
        open.push(answer); // nobody reads it yet
    }
    assert_eq!(desk.get("/v1/cases:export").await.problem(), "overloaded");
    let preview =
        json!({ "act": "retry", "reason": "x", "filter": { "state": "stuck" }, "dryRun": true });
    assert_eq!(desk.post("/v1/bulk", &preview).await.problem(), "overloaded");
    drop(open);
    assert_eq!(desk.get("/v1/cases:export").await.status, StatusCode::OK);
    assert_eq!(desk.post("/v1/bulk", &preview).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_rulebook_of_a_kind_that_any_web_site_can_send_is_not_read() {
    let desk = Desk::open().await;
    let ask = Request::post("/v1/rulebooks:check").header("content-type", "text/plain");
    let reply = desk.send(ask.body(Body::from("rulebook: x")).expect("a request")).await;
    assert_eq!(reply.problem(), "unsupported-media-type");
}

#[tokio::test]
async fn bodies_without_a_floor_and_forms_without_an_end_are_problems_everywhere() {
    let desk = Desk::open().await;
    let (arrays, objects) = ("[".repeat(400_000), "{\"a\":".repeat(150_000));
    let takes_json = |(method, path, _): &&(&str, &str, Needs)| {
        ["POST", "PUT"].contains(method) && path.starts_with("/v1")
    };
    for (method, path, _) in ROUTES.iter().filter(takes_json) {
        let kinds = [
            ("application/json", &arrays),
            ("application/json", &objects),
            ("application/yaml", &arrays),
        ];
        for (kind, body) in kinds {
            let request = Request::builder().method(*method).uri(path.replace(['{', '}'], ""));
            let request = request.header("content-type", kind).body(Body::from(body.clone()));
            let reply = desk.send(request.expect("a request")).await;
            let is_told = reply.status.is_client_error() || path.ends_with(":check");
            assert!(
                is_told && !reply.status.is_server_error(),
                "{method} {path}: {:?}",
                reply.status
            );
        }
    }
    let form = "a=1&".repeat(20_001);
    for (_, path, _) in
        ROUTES.iter().filter(|(method, path, _)| *method == "POST" && !path.starts_with("/v1"))
    {
        let request = Request::post(path.replace(['{', '}'], ""))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.clone()));
        let reply = desk.send(request.expect("a request")).await;
        let is_told =
            reply.status.is_client_error() || ["/logout", "/me/sessions/end-others"].contains(path);
        assert!(is_told && !reply.status.is_server_error(), "{path}: {:?}", reply.status);
    }
    assert_eq!(desk.report("o-1", "r-1").await, "c-1", "nobody else is hurt");
}
