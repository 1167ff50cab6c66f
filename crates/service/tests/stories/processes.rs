//! Several processes on one PostgreSQL, and connections that break: who was taken for dead does not commit, and nobody is
//! told a guess.

use crate::base::Base;
use crate::rig::{Service, send, until};
use amends_service::Postgres;
use serde_json::json;
use std::sync::atomic::Ordering;

/// Two processes, and an original of the first that waits in its handler.
async fn two() -> (Service<Postgres>, Service<Postgres>, tokio::task::JoinHandle<crate::rig::Answer>)
{
    let place = Postgres::new_place().await;
    let first = Service::<Postgres>::at(&place, "payment", |_| {}).await;
    let second =
        Service::<Postgres>::at(&place, "payment", |config| config.unfinished_after_ms = 0).await;
    let url = format!("{}/pay", first.url);
    let original = tokio::spawn(async move {
        let named = [("saga-id", "order-1"), ("request-id", "r-1")];
        send(&url, &named, &json!({ "wait": true })).await
    });
    first.controls.gate.reached(1).await;
    (first, second, original)
}

#[tokio::test]
async fn a_request_that_runs_elsewhere_is_neither_run_again_nor_swept() {
    let (first, mut second, original) = two().await;
    second.background();
    let again = second.pay("order-1", "r-1", &json!({ "wait": true })).await;
    assert_eq!((again.status, again.problem()), (409, "in-progress"));
    assert_eq!(second.step("retry", "pay", "order-1", 1).await.problem(), "in-progress");
    first.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").status, 200);
    assert_eq!(second.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
    assert_eq!(second.ledger("order-1").await, (10, 1));
    assert_eq!(second.history("order-1").await, [("pay".into(), "succeeded".into())]);
}

#[tokio::test]
async fn a_compensation_elsewhere_stops_a_running_original() {
    let (first, second, original) = two().await;
    assert_eq!(
        second.step("compensate", "pay", "order-1", 1).await.outcome(),
        "nothing_to_compensate"
    );
    first.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").problem(), "saga-fenced");
    assert_eq!(first.ledger("order-1").await, (0, 0));
}

#[tokio::test]
async fn who_was_taken_for_dead_and_comes_back_does_not_commit() {
    let (first, second, original) = two().await;
    Postgres::bury(&first.place).await;
    second.controls.gate.open(1);
    assert_eq!(second.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
    first.controls.gate.open(1);
    // It is answered what the other process's run came to.
    let answer = original.await.expect("ends");
    assert_eq!((answer.status, &answer.body), (200, &json!({ "charged": 10, "run": 1 })));
    assert_eq!(first.controls.effects.load(Ordering::SeqCst), 0, "its effect is not even tried");
    assert_eq!(first.ledger("order-1").await, (10, 1));
}

#[tokio::test]
async fn who_was_taken_for_dead_and_swept_does_not_commit() {
    let (first, mut second, original) = two().await;
    Postgres::bury(&first.place).await;
    second.background();
    until("it is swept", async || second.history("order-1").await[0].1 == "unknown").await;
    first.controls.gate.open(1);
    let answer = original.await.expect("ends");
    assert_eq!((answer.status, answer.problem()), (500, "effect-unknown"));
    assert!(answer.header("amends-report").is_some(), "{answer:?}");
    assert_eq!(first.ledger("order-1").await, (0, 0));
}

/// Ends every connection of the story's processes but their heartbeats', and waits until they are gone.
async fn cut(service: &Service<Postgres>) {
    let theirs =
        "FROM pg_stat_activity WHERE application_name = current_setting('application_name')
                  AND pid <> pg_backend_pid() AND query NOT LIKE '%amends_workers%'";
    service.ask(&format!("SELECT pg_terminate_backend(pid) {theirs}")).await;
    let left = format!("SELECT count(*) {theirs}");
    until("they are gone", async || service.ask(&left).await == [["0"]]).await;
}

#[tokio::test]
async fn connections_that_broke_while_nobody_looked_cost_no_request() {
    let (first, _second, original) = two().await;
    cut(&first).await;
    first.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").status, 200);
    cut(&first).await;
    assert_eq!(first.history("order-1").await, [("pay".into(), "succeeded".into())]);
    assert_eq!(first.ledger("order-1").await, (10, 1));
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_is_a_failure_that_is_told() {
    let payment = Service::<Postgres>::start().await;
    payment
        .tell("ALTER TABLE ledger ADD CONSTRAINT once UNIQUE (saga) DEFERRABLE INITIALLY DEFERRED")
        .await;
    assert_eq!(payment.pay("order-1", "r-1", &json!({})).await.status, 200);
    let refused = payment.pay("order-1", "r-2", &json!({})).await;
    assert_eq!((refused.status, refused.problem()), (500, "effect-unknown"));
    assert_eq!(refused.body["code"], "database");
    assert!(refused.header("amends-report").is_some(), "{refused:?}");
    assert_eq!(payment.ledger("order-1").await, (10, 1));
    let states: Vec<_> =
        payment.history("order-1").await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["succeeded", "unknown"]);
}
