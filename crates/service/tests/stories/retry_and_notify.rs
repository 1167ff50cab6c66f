//! `retry` runs the stored request again under its own id; `notify` sends once.

use crate::base::Base;
use crate::rig::{Service, send, until};
use crate::supervisor::FakeSupervisor;
use serde_json::json;
use std::sync::atomic::Ordering;

async fn a_retry_runs_the_stored_request_until_it_succeeds_and_reports_nothing_new<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    let body = json!({ "amount": 30, "fail": "report-1", "fail_runs": 2 });
    let failed = payment.pay("order-1", "r-1", &body).await;
    assert_eq!(failed.status, 402);

    let again = payment.step("retry", "pay", "order-1", 1).await;
    assert_eq!((again.status, again.problem()), (503, "unavailable"));
    assert_eq!(again.header("retry-after"), Some("1"));
    assert_eq!(again.body["detail"], "it failed again: no money");
    assert_eq!(payment.history("order-1").await, [("pay".into(), "failed".into())]);
    // The caller's own repetition still gets the first failure's report.
    let replayed = payment.pay("order-1", "r-1", &body).await;
    assert_eq!(replayed.header("amends-report"), failed.header("amends-report"));

    assert_eq!(payment.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
    assert_eq!(payment.ledger("order-1").await, (30, 1));
    assert_eq!(payment.controls.runs.lock().expect("whole")["r-1"], 3);
    for number in [1, 2] {
        assert_eq!(payment.step("retry", "pay", "order-1", number).await.outcome(), "retried");
    }
    assert_eq!(payment.ledger("order-1").await, (30, 1), "what succeeded does not run again");
    // Now the caller gets the success, under its old id.
    assert_eq!(payment.pay("order-1", "r-1", &body).await.body, json!({ "charged": 30, "run": 3 }));
    assert_eq!(supervisor.reports(1).await.len(), 1);
    // The supervisor has it a moment before the outbox knows.
    until("the report has left the outbox", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
}

async fn a_retry_repeats_its_calls_under_the_same_ids<B: Base>() {
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let delivery = Service::<B>::configured("delivery", |_| {}).await;
    let payment = Service::<B>::start().await;
    let call = |to: &Service<B>| json!({ "url": to.url, "service": to.kit.service(), "action": "pay", "body": { "amount": 3 } });
    let calls = [call(&coupon), call(&delivery), call(&coupon)];
    let body = json!({ "calls": calls, "fail": "report-1", "fail_runs": 1 });
    assert_eq!(payment.pay("order-1", "r-1", &body).await.status, 402);
    let done = payment.step("retry", "pay", "order-1", 1).await;
    assert_eq!(done.outcome(), "retried");
    // Both services did their part once and answered the repetition from History.
    assert_eq!(coupon.ledger("order-1").await, (6, 2));
    assert_eq!(delivery.ledger("order-1").await, (3, 1));
    assert_eq!(done.body["history"].as_array().expect("a list").len(), 3);
}

async fn a_retry_of_nothing_waits_and_a_retry_of_the_undone_is_refused<B: Base>() {
    let payment = Service::<B>::start().await;
    let nothing = payment.step("retry", "pay", "order-1", 1).await;
    assert_eq!((nothing.status, nothing.problem()), (404, "not-found"));

    payment.step("compensate", "pay", "order-1", 2).await;
    payment.pay("order-2", "r-2", &json!({ "fail": "report-1" })).await;
    payment.step("compensate", "pay", "order-2", 3).await;
    payment.pay("order-3", "r-3", &json!({})).await;
    payment.step("compensate", "pay", "order-3", 4).await;
    for saga in ["order-1", "order-2", "order-3"] {
        let refused = payment.step("retry", "pay", saga, 9).await;
        assert_eq!((refused.status, refused.problem()), (422, "refused"), "{saga}");
    }
    let runs = payment.controls.runs.lock().expect("whole").clone();
    assert_eq!((runs.get("r-2"), runs.get("r-3")), (Some(&1), Some(&1)), "nothing ran again");
}

async fn a_retry_of_a_running_request_is_asked_to_wait<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    let busy = payment.step("retry", "pay", "order-1", 1).await;
    assert_eq!((busy.status, busy.problem()), (409, "in-progress"));
    assert_eq!(busy.header("retry-after"), Some("1"));
    payment.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").status, 200);
    assert_eq!(payment.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
    assert_eq!(payment.ledger("order-1").await, (10, 1));
}

async fn a_compensation_beats_a_running_retry<B: Base>() {
    let payment = Service::<B>::start().await;
    let body = json!({ "wait": true, "fail": "report-1", "fail_runs": 1 });
    payment.controls.gate.open(1);
    assert_eq!(payment.pay("order-1", "r-1", &body).await.status, 402);
    let retry = async { payment.step("retry", "pay", "order-1", 1).await };
    let compensate = async {
        payment.controls.gate.reached(2).await;
        let answer = payment.step("compensate", "pay", "order-1", 2).await;
        payment.controls.gate.open(1);
        answer
    };
    let (retried, compensated) = tokio::join!(retry, compensate);
    assert_eq!(compensated.outcome(), "nothing_to_compensate");
    assert_eq!((retried.status, retried.problem()), (422, "refused"));
    assert_eq!(payment.ledger("order-1").await, (0, 0));
}

async fn a_retry_takes_the_request_that_did_not_succeed<B: Base>() {
    let payment = Service::<B>::start().await;
    let failing = json!({ "amount": 1, "fail": "report-1", "fail_runs": 1 });
    payment.pay("order-1", "r-1", &failing).await;
    payment.pay("order-1", "r-2", &json!({ "amount": 20 })).await;
    assert_eq!(payment.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
    assert_eq!(payment.ledger("order-1").await, (21, 2));
}

async fn a_notice_goes_out_once_per_saga<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({})).await;
    for number in [1, 1, 2] {
        assert_eq!(
            payment.step("notify", "send-receipt", "order-1", number).await.outcome(),
            "notified"
        );
    }
    assert_eq!(payment.texts("order-1").await, 1);
    assert_eq!(payment.ask("SELECT text FROM texts").await[0][0], "1 requests, report-1");
    assert_eq!(payment.step("notify", "send-receipt", "order-2", 3).await.outcome(), "notified");
    assert_eq!(payment.step("notify", "pay", "order-1", 4).await.problem(), "not-found");
}

async fn a_notice_that_cannot_go_out_now_is_asked_for_again<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.controls.refuses.store(true, Ordering::SeqCst);
    let later = payment.step("notify", "send-receipt", "order-1", 1).await;
    assert_eq!(
        (later.status, later.problem(), later.header("retry-after")),
        (503, "unavailable", Some("1"))
    );
    assert_eq!(payment.texts("order-1").await, 0);
    payment.controls.refuses.store(false, Ordering::SeqCst);
    assert_eq!(payment.step("notify", "send-receipt", "order-1", 1).await.outcome(), "notified");
    assert_eq!(payment.texts("order-1").await, 1);
}

crate::on_each_database!(
    a_retry_runs_the_stored_request_until_it_succeeds_and_reports_nothing_new,
    a_retry_repeats_its_calls_under_the_same_ids,
    a_retry_of_nothing_waits_and_a_retry_of_the_undone_is_refused,
    a_retry_of_a_running_request_is_asked_to_wait,
    a_compensation_beats_a_running_retry,
    a_retry_takes_the_request_that_did_not_succeed,
    a_notice_goes_out_once_per_saga,
    a_notice_that_cannot_go_out_now_is_asked_for_again,
);
