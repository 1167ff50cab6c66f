//! The late outcome of a step: who may tell it, and what people see of it.

use super::desk::Desk;
use amends_engine::StepReading;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A payment that is to be undone, which its service has answered so: the step as it stands then.
async fn asked(desk: &Desk, answer: StepReading, state: &str) -> (Value, String) {
    desk.script.answer("payment.pay", answer);
    let case = desk.report("o-1", "r-1").await;
    let step = desk.payment_step(&case, state).await;
    let path = format!("/v1/steps/{}", step["id"].as_str().expect("an id"));
    (step, path)
}

fn taken() -> StepReading {
    StepReading::Accepted { location: None, retry_after_ms: None }
}

#[tokio::test]
async fn the_outcome_counts_with_the_proof_that_came_with_the_step_and_is_seen_among_its_tries() {
    let desk = Desk::open().await;
    let (step, path) = asked(&desk, taken(), "accepted").await;
    let call = format!("{path}/outcome");
    let said = |proof: &str| json!({ "outcome": "compensated", "proof": proof, "message": "late" });

    for wrong in ["", "p-0", "p-00000000000000000000000000000000"] {
        let reply = desk.post(&call, &said(wrong)).await;
        assert_eq!((reply.status, reply.problem()), (StatusCode::FORBIDDEN, "unproven"));
        assert!(reply.detail().contains("`proof`"), "it says how to mend it: {reply:?}");
    }
    assert_eq!(desk.get(&path).await.body["log"], step["log"], "nothing has changed");

    let right = desk.script.proof(step["id"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(desk.post(&call, &said(&right)).await.status, StatusCode::NO_CONTENT);
    }
    let now = desk.get(&path).await.body;
    assert_eq!(now["outcome"], "compensated");
    let log = now["log"].as_array().expect("tries");
    assert_eq!(log.len(), 2, "the try, and the callback once: {log:#?}");
    assert_eq!((&log[0]["result"], &log[0]["calledBack"]), (&json!("accepted"), &Value::Null));
    assert_eq!((&log[1]["result"], &log[1]["calledBack"]), (&json!("compensated"), &json!(true)));
    let metrics = desk.get("/metrics").await.body;
    let metrics = metrics.as_str().expect("text");
    for line in ["{result=\"taken\"} 2", "{result=\"unproven\"} 3"] {
        assert!(metrics.contains(&format!("amends_callbacks_total{line}")), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn an_outcome_without_a_proof_needs_a_202() {
    let bare = json!({ "outcome": "compensated" });
    let desk = Desk::open().await;
    let (_, path) = asked(&desk, taken(), "accepted").await;
    let reply = desk.post(&format!("{path}/outcome"), &bare).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "a kit of before: {reply:?}");

    let desk = Desk::open().await;
    let (_, path) = asked(&desk, StepReading::Rejected, "stuck").await;
    let reply = desk.post(&format!("{path}/outcome"), &bare).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::FORBIDDEN, "unproven"));
    assert_eq!(desk.get(&path).await.body["state"], "stuck");
}

#[tokio::test]
async fn an_outcome_that_does_not_count_is_seen_too() {
    let desk = Desk::open().await;
    let done = StepReading::Done(amends_protocol::Outcome::Compensated);
    let (step, path) = asked(&desk, done, "done").await;
    let proof = desk.script.proof(step["id"].as_str().expect("an id"));
    let other = json!({ "outcome": "nothing_to_compensate", "proof": proof });
    let reply = desk.post(&format!("{path}/outcome"), &other).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::CONFLICT, "conflict"));
    let now = desk.get(&path).await.body;
    assert_eq!(now["outcome"], "compensated");
    assert_eq!(now["log"][1]["message"], "did not count", "{now:#?}");
}

#[tokio::test]
async fn nobody_can_answer_for_what_was_never_sent() {
    let desk = Desk::open().await;
    let reason = json!({ "reason": "maintenance" });
    assert!(desk.post("/v1/services/payment/pause", &reason).await.status.is_success());
    let (step, path) = asked(&desk, taken(), "due").await;
    assert_eq!(step["attempts"], 0);
    let reply = desk.post(&format!("{path}/outcome"), &json!({ "outcome": "compensated" })).await;
    assert_eq!((reply.status, reply.problem()), (StatusCode::CONFLICT, "conflict"));
    assert!(reply.detail().contains("has not been sent to payment"), "{reply:?}");
    assert_eq!(desk.get(&path).await.body["state"], "due");
}
