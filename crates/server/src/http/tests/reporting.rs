//! Reports in: what a service meets.

use super::desk::{Desk, binary};
use crate::http::HttpLimits;
use amends_engine::StepReading;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

fn event(saga: &str, id: &str) -> Value {
    json!({"specversion": "1.0", "type": "dev.amends.report.v1", "source": "order", "id": id, "subject": saga,
           "data": {"code": "failed", "action": "place"}})
}

fn typed(path: &str, kind: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("content-type", kind)
        .body(Body::from(body.to_string()))
        .expect("a request")
}

const BATCH: &str = "application/cloudevents-batch+json";

#[tokio::test]
async fn a_report_opens_a_case_whose_steps_are_done() {
    let desk = Desk::open().await;
    let reply =
        desk.send(binary("o-1", "r-1", &json!({"code": "failed", "action": "place"}))).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let case = reply.body["caseId"].as_str().expect("a case");
    assert_eq!(reply.header("location"), format!("/v1/cases/{case}"));
    let step = desk.payment_step(case, "done").await;
    assert_eq!(step["outcome"], "compensated");
    let shown = desk.get(&format!("/v1/cases/{case}")).await.body;
    assert_eq!(shown["reports"][0]["rule"], "order/failed", "the rule is named: {shown}");
}

#[tokio::test]
async fn the_same_report_again_is_answered_the_same_and_doubles_nothing() {
    let desk = Desk::open().await;
    let case = desk.report("o-1", "r-1").await;
    let again =
        desk.send(typed("/v1/reports", "application/cloudevents+json", &event("o-1", "r-1"))).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.body, json!({"caseId": case, "duplicate": true}));
    let shown = desk.get(&format!("/v1/cases/{case}")).await.body;
    assert_eq!(shown["reports"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let desk = Desk::open().await;
    let batch = json!([event("o-1", "r-1"), event("o-2", "r-2"), event("o-1", "r-1")]);
    for path in ["/v1/reports:batch", "/v1/reports"] {
        let reply = desk.send(typed(path, BATCH, &batch)).await;
        let receipts = reply.body.as_array().expect("a list");
        assert_eq!(receipts.len(), 3);
        assert_eq!(receipts[0]["caseId"], receipts[2]["caseId"]);
        assert_ne!(receipts[0]["caseId"], receipts[1]["caseId"]);
        let first_time = path == "/v1/reports:batch";
        assert_eq!(reply.status, if first_time { StatusCode::ACCEPTED } else { StatusCode::OK });
    }
    assert_eq!(desk.send(typed("/v1/reports:batch", BATCH, &json!([]))).await.body, json!([]));
}

#[tokio::test]
async fn one_bad_event_of_a_batch_neither_loses_nor_blocks_the_others() {
    let desk = Desk::open().await;
    let (mut bad, mut ours) = (event("o-2", "r-2"), event("o-3", "r-3"));
    bad["data"] = json!({});
    ours["source"] = json!("supervisor");
    let batch = json!([event("o-1", "r-1"), bad, ours, event("o-4", "r-4")]);
    for known in [false, true] {
        let reply = desk.send(typed("/v1/reports:batch", BATCH, &batch)).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::BAD_REQUEST, "invalid-report"));
        let events = reply.body["events"].as_array().expect("one for each").clone();
        assert_eq!(events.len(), 4, "{reply:?}");
        for (n, case) in [(0, "c-1"), (3, "c-2")] {
            assert_eq!(events[n], json!({ "caseId": case, "duplicate": known }));
        }
        for n in [1, 2] {
            assert_eq!(
                (&events[n]["status"], &events[n]["retryable"]),
                (&json!(400), &json!(false))
            );
        }
        assert!(reply.body["errors"][0].as_str().expect("an error").starts_with("event 1: "));
        assert!(reply.body["detail"].as_str().expect("text").starts_with("2 of the 4 events"));
    }
    assert_eq!(desk.get("/v1/cases").await.body["items"].as_array().map(Vec::len), Some(2));
}

/// What passes by itself is told before what never does: the sender sends the batch again, and is not stuck with it.
#[tokio::test]
async fn a_batch_that_can_not_be_taken_now_is_asked_for_again() {
    let desk = Desk::open().await;
    desk.supervisor.stop();
    desk.until("/readyz", |body| body["code"] == "unavailable").await;
    let batch = json!([{}, event("o-1", "r-1")]);
    let reply = desk.send(typed("/v1/reports:batch", BATCH, &batch)).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.body["retryable"], true);
    let retryable: Vec<_> = (0..2).map(|n| reply.body["events"][n]["retryable"].clone()).collect();
    assert_eq!(retryable, [false, true]);
}

#[tokio::test]
async fn limits_are_problems() {
    let limits = HttpLimits {
        report_bytes: 200,
        batch_bytes: 2_000,
        batch_events: 2,
        event_streams: 1,
        ..HttpLimits::default()
    };
    let desk = Desk::with(limits).await;
    let long = json!({"code": "failed", "message": "x".repeat(300)});
    let reply = desk.send(binary("o-1", "r-1", &long)).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
    let chunks = futures_util::stream::iter((0..50).map(|_| Ok::<_, std::io::Error>("0123456789")));
    let endless = Request::post("/v1/reports").body(Body::from_stream(chunks)).expect("a request");
    assert_eq!(desk.send(endless).await.problem(), "too-large");
    let many = json!([event("a", "1"), event("b", "2"), event("c", "3")]);
    assert_eq!(desk.send(typed("/v1/reports:batch", BATCH, &many)).await.problem(), "too-large");
    let reply = desk.send(typed("/v1/reports:batch", "application/json", &json!([]))).await;
    assert_eq!(
        (reply.status, reply.problem()),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
    );
    let form = typed("/v1/reports", "application/x-www-form-urlencoded", &json!({}));
    assert_eq!(desk.send(form).await.problem(), "unsupported-media-type");
}

#[tokio::test]
async fn a_stopping_supervisor_takes_nothing_and_says_when_to_come_back() {
    let desk = Desk::open().await;
    desk.supervisor.stop();
    let ready = desk.until("/readyz", |body| body["code"] == "unavailable").await;
    assert_eq!(ready["status"], 503);
    let reply = desk.send(binary("o-1", "r-1", &json!({"code": "failed"}))).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test]
async fn consent_to_web_hooks_is_said_by_headers() {
    let desk = Desk::open().await;
    let ask = |origin: Option<&str>| {
        let request = Request::builder().method("OPTIONS").uri("/v1/reports");
        let request = origin
            .into_iter()
            .fold(request, |r, origin| r.header("webhook-request-origin", origin));
        request.body(Body::empty()).expect("a request")
    };
    let reply = desk.send(ask(Some("shop.example"))).await;
    assert_eq!(reply.header("webhook-allowed-origin"), "shop.example");
    assert_eq!(desk.send(ask(None)).await.header("webhook-allowed-origin"), "");
}

#[tokio::test]
async fn a_service_tells_the_outcome_of_a_step_that_it_took_with_202() {
    let desk = Desk::open().await;
    desk.script
        .answer("payment.pay", StepReading::Accepted { location: None, retry_after_ms: None });
    let case = desk.report("o-1", "r-1").await;
    let step = desk.payment_step(&case, "accepted").await;
    let path = format!("/v1/steps/{}/outcome", step["id"].as_str().expect("an id"));
    let waived = desk.post(&path, &json!({"outcome": "waived"})).await;
    assert_eq!(waived.problem(), "invalid-request");
    let reply =
        desk.post(&path, &json!({"outcome": "already_compensated", "message": "by hand"})).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
    assert_eq!(desk.payment_step(&case, "done").await["outcome"], "already_compensated");
    assert_eq!(
        desk.post("/v1/steps/s-9-9-0/outcome", &json!({"outcome": "compensated"})).await.problem(),
        "not-found"
    );
}

#[tokio::test]
async fn a_saga_announces_itself_and_ends() {
    let desk = Desk::open().await;
    let begin = json!({"sagaId": "o/1", "service": "order", "action": "place", "deadline": "2099-01-01T00:00:00Z"});
    let reply = desk.post("/v1/sagas", &begin).await;
    assert_eq!(
        (reply.status, &reply.body["state"]),
        (StatusCode::CREATED, &json!("begun")),
        "{reply:?}"
    );
    assert_eq!(reply.header("location"), "/v1/sagas/o%2F1");
    assert_eq!(desk.post("/v1/sagas/o%2F1/end", &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(desk.get("/v1/sagas/o%2F1").await.body["state"], "ended");
    assert_eq!(desk.get("/v1/sagas/o-2").await.problem(), "not-found");
    let nameless = json!({"sagaId": "o-3", "service": "", "deadline": "2099-01-01T00:00:00Z"});
    assert_eq!(desk.post("/v1/sagas", &nameless).await.problem(), "invalid-request");
}
