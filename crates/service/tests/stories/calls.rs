//! Calls to others: on record before they are sent, judged by what their answer proves, linked to their reports.

use crate::base::Base;
use crate::rig::{Service, listen, send};
use crate::supervisor::FakeSupervisor;
use amends_service::axum::Router;
use amends_service::axum::body::Body;
use amends_service::axum::response::Response;
use amends_service::axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

fn call(url: &str, service: &str) -> Value {
    json!({ "url": url, "service": service, "action": "pay", "body": {} })
}

/// A stranger that answers everything alike.
async fn stranger(status: u16, content_type: &'static str, body: &'static str) -> String {
    let answer = move || async move {
        Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(Body::from(body))
            .expect("an answer")
    };
    listen(Router::new().route("/pay", post(answer))).await.0
}

async fn the_whole_context_travels_along<B: Base>() {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let looking = seen.clone();
    let look = move |headers: HeaderMap| async move {
        looking.lock().expect("whole").push(headers);
        "null"
    };
    let (url, _server) = listen(Router::new().route("/pay", post(look))).await;
    let payment = Service::<B>::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("saga-id", "order-1"),
        ("request-id", "r-1"),
        ("traceparent", trace),
        ("baggage", "tenant=7,saga-id=order-1"),
    ];
    let body = json!({ "calls": [call(&url, "coupon"), call(&url, "coupon")] });
    assert_eq!(send(&format!("{}/pay", payment.url), &headers, &body).await.status, 200);

    let seen = seen.lock().expect("whole");
    for headers in seen.iter() {
        assert_eq!(headers["saga-id"], "order-1");
        assert_eq!(headers["traceparent"], trace);
        assert_eq!(headers["baggage"], "saga-id=order-1,tenant=7");
    }
    assert_ne!(seen[0]["request-id"], seen[1]["request-id"]);
    assert_eq!(seen[0]["request-id"].len(), 32);
}

async fn a_failure_below_names_its_report_as_the_cause<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    let failing = json!({ "url": coupon.url, "service": "coupon", "action": "pay", "body": { "fail": "used-up" } });
    let failed = payment.pay("order-1", "r-1", &json!({ "calls": [failing] })).await;
    assert_eq!((failed.status, &failed.body["code"]), (502, &json!("downstream")));

    let below = coupon.ask("SELECT report_id FROM amends_outbox").await.remove(0);
    let (_, data) = supervisor.reports(1).await.remove(0);
    assert_eq!(data["causedBy"], json!(below));
    assert_eq!(data["data"], json!({ "service": "coupon", "action": "pay" }));
    let states: Vec<_> = data["history"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| (&e["service"], &e["state"]))
        .collect();
    assert_eq!(
        states,
        [(&json!("payment"), &json!("failed")), (&json!("coupon"), &json!("failed"))]
    );
}

/// A message is no call: nobody knows when it arrives. It is written down once, however often its sender runs.
async fn a_message_may_have_been_taken_from_when_it_goes_out<B: Base>() {
    let payment = Service::<B>::start().await;
    let message = json!({ "via": "message", "service": "loyalty", "action": "earn" });
    let body = json!({ "calls": [message], "fail": "no-money", "fail_runs": 1 });
    assert_eq!(payment.pay("order-1", "r-1", &body).await.status, 402);
    let on_its_way = ("loyalty.earn".to_owned(), "unknown".to_owned());
    assert!(payment.history("order-1").await.contains(&on_its_way));

    assert_eq!(payment.step("retry", "pay", "order-1", 1).await.status, 200);
    let history = payment.history("order-1").await;
    assert_eq!(history.iter().filter(|entry| **entry == on_its_way).count(), 1, "{history:?}");
}

async fn an_answer_counts_for_what_it_proves<B: Base>() {
    const PROBLEM: &str = "application/problem+json";
    let payment = Service::<B>::start().await;
    let gone = {
        let (url, server) = listen(Router::new()).await;
        server.abort();
        assert!(server.await.is_err());
        url
    };
    let cases = [
        ("plain success", stranger(200, "text/plain", "fine").await, "succeeded"),
        ("no content", stranger(204, "text/plain", "").await, "succeeded"),
        ("a client error", stranger(400, "text/plain", "no").await, "failed"),
        (
            "a failed action",
            stranger(500, PROBLEM, r#"{"type":"https://amends.dev/problems/action-failed"}"#).await,
            "failed",
        ),
        (
            "an uncertain action",
            stranger(500, PROBLEM, r#"{"type":"https://amends.dev/problems/effect-unknown"}"#)
                .await,
            "unknown",
        ),
        (
            "a broken kit",
            stranger(500, PROBLEM, r#"{"type":"https://amends.dev/problems/internal"}"#).await,
            "unknown",
        ),
        (
            "a framework's own problem",
            stranger(500, PROBLEM, r#"{"type":"about:blank","title":"Internal Server Error"}"#)
                .await,
            "unknown",
        ),
        (
            "a type of ours that nobody knows",
            stranger(500, PROBLEM, r#"{"type":"https://amends.dev/problems/news"}"#).await,
            "unknown",
        ),
        (
            "a gateway's problem",
            stranger(502, PROBLEM, r#"{"type":"about:blank"}"#).await,
            "unknown",
        ),
        (
            "a mesh's problem",
            stranger(503, PROBLEM, r#"{"type":"https://mesh.example/problems/overload"}"#).await,
            "unknown",
        ),
        ("a gateway's time-out", stranger(504, PROBLEM, "{}").await, "unknown"),
        (
            "a failed action behind a 502",
            stranger(502, PROBLEM, r#"{"type":"https://amends.dev/problems/action-failed"}"#).await,
            "failed",
        ),
        (
            "a client error of another type",
            stranger(422, PROBLEM, r#"{"type":"https://shop.example/no-stock"}"#).await,
            "failed",
        ),
        (
            "a time-out as a problem",
            stranger(408, PROBLEM, r#"{"type":"about:blank"}"#).await,
            "unknown",
        ),
        ("a broken proxy", stranger(502, "text/html", "<h1>Bad Gateway</h1>").await, "unknown"),
        ("a time-out", stranger(408, "text/plain", "").await, "unknown"),
        ("a redirect", stranger(302, "text/plain", "").await, "unknown"),
        ("nobody", gone, "unknown"),
    ];
    for (number, (what, url, state)) in cases.iter().enumerate() {
        let saga = format!("order-{number}");
        let mut call = call(url, "stranger");
        call["tolerated"] = json!(true);
        let answer = payment.pay(&saga, &saga, &json!({ "calls": [call] })).await;
        assert_eq!(answer.status, 200, "{what}");
        let recorded = payment.history(&saga).await.remove(1);
        assert_eq!(recorded, ("stranger.pay".into(), (*state).into()), "{what}");
    }
}

async fn a_call_that_takes_too_long_may_have_happened<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let url = supervisor.url.clone();
    let mut payment = Service::<B>::configured("payment", |config| {
        config.call_timeout_ms = 50;
        config.supervisor = Some(url);
    })
    .await;
    payment.background();
    let slow = json!({ "url": coupon.url, "service": "coupon", "action": "pay", "body": { "wait": true } });
    let failed = payment.pay("order-1", "r-1", &json!({ "calls": [slow] })).await;
    assert_eq!(failed.body["code"], "downstream");
    let (_, data) = supervisor.reports(1).await.remove(0);
    assert_eq!(data["history"][1]["state"], "unknown");
    // And it did happen, later.
    coupon.controls.gate.open(1);
    crate::rig::until("the coupon is used", async || coupon.ledger("order-1").await == (10, 1))
        .await;
}

/// A service that says "still running" so many times before it is done; it writes down the ids that it is asked with.
async fn busy(times: usize, asked: &Arc<Mutex<Vec<String>>>) -> String {
    let asked = asked.clone();
    let answer = move |headers: HeaderMap| async move {
        let mut asked = asked.lock().expect("whole");
        asked.push(headers["request-id"].to_str().expect("text").to_owned());
        let (status, body) = match asked.len() <= times {
            true => (409, r#"{"type":"https://amends.dev/problems/in-progress"}"#),
            false => (200, "7"),
        };
        Response::builder()
            .status(status)
            .header("content-type", "application/problem+json")
            .body(Body::from(body))
            .expect("an answer")
    };
    listen(Router::new().route("/pay", post(answer))).await.0
}

async fn a_call_that_still_runs_from_before_is_waited_for_under_its_id<B: Base>() {
    let asked = Arc::default();
    let url = busy(2, &asked).await;
    let payment = Service::<B>::start().await;
    let answer = payment.pay("order-1", "r-1", &json!({ "calls": [call(&url, "coupon")] })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(payment.history("order-1").await[1], ("coupon.pay".into(), "succeeded".into()));
    let asked = asked.lock().expect("whole").clone();
    assert_eq!(asked, [asked[0].clone(), asked[0].clone(), asked[0].clone()]);
}

async fn a_call_that_runs_for_longer_than_the_limit_may_have_happened<B: Base>() {
    let asked = Arc::default();
    let url = busy(usize::MAX, &asked).await;
    let payment = Service::<B>::configured("payment", |config| config.call_timeout_ms = 120).await;
    let failed = payment.pay("order-1", "r-1", &json!({ "calls": [call(&url, "coupon")] })).await;
    assert_eq!(failed.body["code"], "downstream");
    assert_eq!(payment.history("order-1").await[1], ("coupon.pay".into(), "unknown".into()));
}

async fn an_address_that_is_none_fails_before_anything_is_sent<B: Base>() {
    let payment = Service::<B>::start().await;
    let failed =
        payment.pay("order-1", "r-1", &json!({ "calls": [call("not a url", "coupon")] })).await;
    assert_eq!(failed.body["code"], "downstream");
    assert!(
        failed.body["detail"].as_str().expect("text").contains("`not a url/pay` is not a URL"),
        "{failed:?}"
    );
}

async fn what_succeeded_once_stays_known_as_such_whatever_a_repetition_is_answered<B: Base>() {
    let asked = Arc::new(Mutex::new(0));
    let counting = asked.clone();
    let answer = move || async move {
        let mut asked = counting.lock().expect("whole");
        *asked += 1;
        StatusCode::from_u16(if *asked == 1 { 200 } else { 400 }).expect("a status")
    };
    let (url, _server) = listen(Router::new().route("/pay", post(answer))).await;
    let payment = Service::<B>::start().await;
    let body = json!({ "calls": [call(&url, "forgetful")], "fail": "report-1" });
    payment.pay("order-1", "r-1", &body).await;
    assert_eq!(payment.step("retry", "pay", "order-1", 1).await.status, 503);
    assert_eq!(*asked.lock().expect("whole"), 2);
    assert_eq!(payment.history("order-1").await[1], ("forgetful.pay".into(), "succeeded".into()));
}

crate::on_each_database!(
    the_whole_context_travels_along,
    a_failure_below_names_its_report_as_the_cause,
    a_message_may_have_been_taken_from_when_it_goes_out,
    an_answer_counts_for_what_it_proves,
    a_call_that_takes_too_long_may_have_happened,
    a_call_that_still_runs_from_before_is_waited_for_under_its_id,
    a_call_that_runs_for_longer_than_the_limit_may_have_happened,
    an_address_that_is_none_fails_before_anything_is_sent,
    what_succeeded_once_stays_known_as_such_whatever_a_repetition_is_answered,
);
