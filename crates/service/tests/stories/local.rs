//! A local action keeps every promise of an action, in one transaction.

use crate::base::Base;
use crate::rig::{Service, until};
use crate::supervisor::FakeSupervisor;
use amends_service::{KitConfig, Observer};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Counts durable transactions.
#[derive(Clone, Default)]
struct Commits(Arc<AtomicU32>);

impl Observer for Commits {
    fn committed(&self, _took: Duration) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn request_effect_and_end_are_one_transaction<B: Base>() {
    let (commits, place) = (Commits::default(), B::new_place().await);
    let observed = commits.clone();
    let payment =
        Service::<B>::with(&place, KitConfig::new("payment"), |b| b.observer(observed)).await;
    let first = payment.act("charge", "order-1", "r-1", &json!({ "amount": 30 })).await;
    assert_eq!((first.status, &first.body), (200, &json!({ "charged": 30, "run": 1 })));
    assert_eq!(commits.0.load(Ordering::SeqCst), 1, "one wait for the disk");
    assert_eq!(
        (first.header("saga-id"), first.header("request-id")),
        (Some("order-1"), Some("r-1"))
    );
    assert_eq!(payment.history("order-1").await, [("charge".into(), "succeeded".into())]);

    let again = payment.act("charge", "order-1", "r-1", &json!({ "amount": 30 })).await;
    assert_eq!((again.status, again.body), (200, first.body));
    assert_eq!(payment.ledger("order-1").await, (30, 1));
    let other = payment.act("charge", "order-1", "r-1", &json!({ "amount": 31 })).await;
    assert_eq!((other.status, other.problem()), (422, "key-reused"));

    // Where the action may call others, a row is durable before it begins.
    commits.0.store(0, Ordering::SeqCst);
    payment.pay("order-2", "r-2", &json!({})).await;
    assert_eq!(commits.0.load(Ordering::SeqCst), 2);
}

async fn a_failure_is_rolled_back_and_reported<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    for (request, body, code) in [
        ("r-1", json!({ "fail_in_effect": "report-1" }), "report-1"),
        // All that it did is taken back, so it provably failed.
        ("r-2", json!({ "panic": "effect" }), "panicked"),
    ] {
        let failed = payment.act("charge", "order-1", request, &body).await;
        assert_eq!((failed.problem(), &failed.body["code"]), ("action-failed", &json!(code)));
        let again = payment.act("charge", "order-1", request, &body).await;
        assert_eq!((again.status, again.body), (failed.status, failed.body.clone()));
        assert_eq!(again.headers["amends-report"], failed.headers["amends-report"]);
    }
    assert_eq!(payment.ledger("order-1").await, (0, 0));
    assert_eq!(payment.controls.effects.load(Ordering::SeqCst), 2, "a repetition runs nothing");
    let failed = ("charge".to_owned(), "failed".to_owned());
    assert_eq!(payment.history("order-1").await, [failed.clone(), failed]);
    let reports = supervisor.reports(2).await;
    let codes: Vec<_> = reports.iter().map(|(_, data)| data["code"].clone()).collect();
    assert_eq!(codes, ["report-1", "panicked"]);
    payment.stop().await;
}

async fn duplicates_at_once_take_effect_once<B: Base>() {
    let payment = Arc::new(Service::<B>::start().await);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let payment = Arc::clone(&payment);
            tokio::spawn(async move {
                payment.act("charge", "order-1", "r-1", &json!({ "amount": 30 })).await
            })
        })
        .collect();
    for caller in callers {
        let answer = caller.await.expect("ends");
        assert!(matches!(answer.status, 200 | 409), "{answer:?}");
    }
    assert_eq!(payment.ledger("order-1").await, (30, 1));
    assert_eq!(payment.controls.effects.load(Ordering::SeqCst), 1, "it ran once");
}

async fn it_is_undone_and_fenced<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.act("charge", "order-1", "r-1", &json!({})).await;
    let undone = payment.step("compensate", "charge", "order-1", 1).await;
    assert_eq!(undone.outcome(), "compensated");
    assert_eq!(payment.ledger("order-1").await, (0, 0));
    let late = payment.act("charge", "order-1", "r-1", &json!({})).await;
    assert_eq!((late.status, late.problem()), (409, "saga-fenced"));

    // The compensation overtook its original.
    let nothing = payment.step("compensate", "charge", "order-2", 2).await;
    assert_eq!(nothing.outcome(), "nothing_to_compensate");
    let late = payment.act("charge", "order-2", "r-2", &json!({})).await;
    assert_eq!((late.status, late.problem()), (409, "saga-fenced"));
    assert_eq!(payment.ledger("order-2").await, (0, 0));
    assert_eq!(payment.controls.effects.load(Ordering::SeqCst), 1, "the fenced one never ran");
}

async fn a_retry_runs_it_as_any_other<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    let body = json!({ "fail_in_effect": "report-1" });
    payment.act("charge", "order-1", "r-1", &body).await;
    let again = payment.step("retry", "charge", "order-1", 1).await;
    assert_eq!((again.status, again.problem()), (503, "unavailable"));
    payment.act("charge", "order-2", "r-2", &json!({})).await;
    assert_eq!(payment.step("retry", "charge", "order-2", 2).await.outcome(), "retried");
    assert_eq!(payment.ledger("order-2").await, (10, 1));
    until("the report arrives", async || supervisor.reports(1).await.len() == 1).await;
    payment.stop().await;
}

crate::on_each_database!(
    request_effect_and_end_are_one_transaction,
    a_failure_is_rolled_back_and_reported,
    duplicates_at_once_take_effect_once,
    it_is_undone_and_fenced,
    a_retry_runs_it_as_any_other,
);
