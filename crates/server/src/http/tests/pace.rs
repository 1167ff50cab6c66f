//! How often somebody may ask: who asks too often waits, and nobody else does.

use super::access::{Gate, of};
use super::desk::{Reply, binary};
use crate::access::Peer;
use crate::http::HttpLimits;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

/// Asks until it is told to wait.
async fn until_told_to_wait(ask: impl AsyncFn() -> Reply) -> (usize, Reply) {
    for n in 0..1_000 {
        let reply = ask().await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            return (n, reply);
        }
    }
    panic!("a thousand requests were let in")
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait_and_nobody_else_is() {
    let gate = Gate::with(HttpLimits { requests: 1, ..HttpLimits::default() }).await;
    let (flood, other) = (gate.token(&["read"]).await, gate.token(&["read"]).await);
    let (let_in, told) = until_told_to_wait(async || gate.get("/v1/services", &flood).await).await;
    assert!(let_in >= 10, "ten seconds' worth at once, not {let_in}");
    assert_eq!((told.problem(), told.header("retry-after")), ("overloaded", "1"));
    assert!(told.detail().contains("`limits.requests`"), "{}", told.detail());
    assert_eq!(gate.get("/v1/services", &other).await.status, StatusCode::OK);
    assert_eq!(gate.get("/livez", &flood).await.status, StatusCode::OK, "probes never wait");
    let metrics = gate.get("/metrics", &other).await.body;
    let metrics = metrics.as_str().expect("text");
    assert!(metrics.contains("amends_access_refused_total{result=\"limited\"} 1"), "{metrics}");
}

#[tokio::test]
async fn reports_that_are_taken_have_no_pace_and_those_that_are_refused_do() {
    let gate = Gate::with(HttpLimits { requests: 1, ..HttpLimits::default() }).await;
    let token = gate.token(&["report:order"]).await;
    let report = |id: String, data: Value| gate.desk.send(of(binary("o-1", &id, &data), &token));
    for n in 0..40 {
        let reply = report(format!("r-{n}"), json!({ "code": "failed", "action": "place" })).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
    }
    let wrong = async || report("r-x".to_owned(), json!({ "code": 7 })).await;
    let (_, told) = until_told_to_wait(wrong).await;
    assert_eq!(told.header("retry-after"), "1");
}

#[tokio::test]
async fn who_guesses_tokens_is_slowed_down_by_address() {
    let gate = Gate::with(HttpLimits { requests: 1, ..HttpLimits::default() }).await;
    let guess = async |address: &str| {
        let mut request = Request::get("/v1/cases").body(Body::empty()).expect("a request");
        request.extensions_mut().insert(Peer::at(address.parse().expect("an address")));
        gate.desk.send(of(request, "amends_0123456789ab_guessed")).await
    };
    until_told_to_wait(async || guess("192.0.2.7").await).await;
    assert_eq!(guess("192.0.2.8").await.status, StatusCode::UNAUTHORIZED, "nobody else is");
}
