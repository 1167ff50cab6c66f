//! A process that dies in the middle: what it left behind is found, reported, and can be retried or undone.

use crate::base::Base;
use crate::rig::{Controls, DEADLINE, Service, build, listen, send, until};
use crate::supervisor::FakeSupervisor;
use amends_service::KitConfig;
use serde_json::json;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Lets a payment service die with its request half done: its runtime goes away, with every task in it.
fn die_half_way<B: Base>(place: &B::Place, body: &serde_json::Value) {
    let life = runtime();
    life.block_on(async {
        let controls = Arc::new(Controls::default());
        let kit = build(KitConfig::new("payment"), B::open(place).await, &controls);
        let (url, _server) = listen(kit.router()).await;
        let body = body.clone();
        tokio::spawn(async move {
            send(&format!("{url}/pay"), &[("saga-id", "order-1"), ("request-id", "r-1")], &body)
                .await
        });
        controls.gate.reached(1).await;
    });
    life.shutdown_timeout(DEADLINE);
    runtime().block_on(B::bury(place));
}

fn new_place<B: Base>() -> B::Place {
    runtime().block_on(B::new_place())
}

fn what_a_dead_process_left_is_reported_as_unknown<B: Base>() {
    let place = new_place::<B>();
    die_half_way::<B>(&place, &json!({ "wait": true }));
    runtime().block_on(async {
        let supervisor = FakeSupervisor::start().await;
        let url = supervisor.url.clone();
        let mut payment = Service::<B>::at(&place, "payment", |config| {
            config.supervisor = Some(url);
            config.unfinished_after_ms = 0;
        })
        .await;
        let busy = payment.pay("order-1", "r-1", &json!({ "wait": true })).await;
        assert_eq!(busy.problem(), "in-progress", "nobody knows yet that it died");

        payment.background();
        let (headers, data) = supervisor.reports(1).await.remove(0);
        assert_eq!((&data["code"], &data["requestId"]), (&json!("crashed"), &json!("r-1")));
        assert_eq!(data["history"][0]["state"], "unknown");
        let replayed = payment.pay("order-1", "r-1", &json!({ "wait": true })).await;
        assert_eq!(replayed.problem(), "effect-unknown");
        assert_eq!(replayed.headers["amends-report"], headers["ce-id"]);

        // Forward is possible …
        payment.controls.gate.open(1);
        assert_eq!(payment.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
        assert_eq!(payment.ledger("order-1").await, (10, 1));
        // … and backward.
        assert_eq!(payment.step("compensate", "pay", "order-1", 2).await.outcome(), "compensated");
        assert_eq!(payment.ledger("order-1").await.0, 0);
        payment.stop().await;
    });
}

fn what_a_dead_process_left_can_be_retried_or_undone_before_the_sweep<B: Base>() {
    for (verb, outcome, ledger) in
        [("retry", "retried", (10, 1)), ("compensate", "nothing_to_compensate", (0, 0))]
    {
        let place = new_place::<B>();
        die_half_way::<B>(&place, &json!({ "wait": true }));
        runtime().block_on(async {
            let payment = Service::<B>::at(&place, "payment", |_| {}).await;
            payment.controls.gate.open(1);
            assert_eq!(payment.step(verb, "pay", "order-1", 1).await.outcome(), outcome);
            assert_eq!(payment.ledger("order-1").await, ledger);
        });
    }
}

fn a_process_that_dies_in_a_retry_makes_no_second_report<B: Base>() {
    let place = new_place::<B>();
    let supervisor_life = runtime();
    let supervisor = supervisor_life.block_on(FakeSupervisor::start());
    let life = runtime();
    let url = supervisor.url.clone();
    let report = life.block_on(async {
        let payment = Service::<B>::at(&place, "payment", |_| {}).await;
        payment.controls.gate.open(1);
        let failed = payment
            .pay("order-1", "r-1", &json!({ "wait": true, "fail": "report-1", "fail_runs": 1 }))
            .await;
        let step = crate::rig::step_body("payment", "pay", "order-1", 1);
        let retry = format!("{}/amends/v1/retry/pay", payment.url);
        tokio::spawn(async move { send(&retry, &[], &step).await });
        payment.controls.gate.reached(2).await;
        failed.header("amends-report").expect("named").to_owned()
    });
    life.shutdown_timeout(DEADLINE);
    runtime().block_on(async {
        B::bury(&place).await;
        let mut payment = Service::<B>::at(&place, "payment", |config| {
            config.supervisor = Some(url);
            config.unfinished_after_ms = 0;
        })
        .await;
        payment.background();
        until("the sweep comes by", async || payment.history("order-1").await[0].1 == "unknown")
            .await;
        // What the sweep reports is durable with what it found: once nothing waits, there is no more.
        until("the outbox is empty", async || {
            payment.kit.pending_reports().await.expect("readable") == 0
        })
        .await;
        let told: Vec<_> =
            supervisor.reports(1).await.into_iter().map(|(h, _)| h["ce-id"].clone()).collect();
        assert_eq!(told, [report]);
        // The supervisor's next attempt of the same step finishes the work.
        payment.controls.gate.open(1);
        payment.controls.runs.lock().expect("whole").insert("r-1".to_owned(), 1);
        assert_eq!(payment.step("retry", "pay", "order-1", 1).await.outcome(), "retried");
        assert_eq!(payment.ledger("order-1").await, (10, 1));
        payment.stop().await;
    });
}

fn a_call_that_was_under_way_is_evidence_in_the_report<B: Base>() {
    let place = new_place::<B>();
    let others = runtime();
    let coupon = others.block_on(Service::<B>::configured("coupon", |_| {}));
    let call = json!({ "url": coupon.url, "service": "coupon", "action": "pay", "body": {} });
    // The handler waits before it calls; a second request's call is cut off by the coupon's gate.
    let cut = json!({ "url": coupon.url, "service": "coupon", "action": "pay", "body": { "wait": true } });
    let life = runtime();
    life.block_on(async {
        let store = B::open(&place).await;
        let kit = build(KitConfig::new("payment"), store, &Arc::new(Controls::default()));
        let (url, _server) = listen(kit.router()).await;
        let body = json!({ "calls": [call, cut] });
        tokio::spawn(async move {
            send(&format!("{url}/pay"), &[("saga-id", "order-1"), ("request-id", "r-1")], &body)
                .await
        });
        coupon.controls.gate.reached(1).await;
    });
    life.shutdown_timeout(DEADLINE);
    runtime().block_on(async {
        B::bury(&place).await;
        let supervisor = FakeSupervisor::start().await;
        let url = supervisor.url.clone();
        let mut payment = Service::<B>::at(&place, "payment", |config| {
            config.supervisor = Some(url);
            config.unfinished_after_ms = 0;
        })
        .await;
        payment.background();
        let (_, data) = supervisor.reports(1).await.remove(0);
        let states: Vec<_> =
            data["history"].as_array().expect("a list").iter().map(|e| &e["state"]).collect();
        assert_eq!(states, ["unknown", "succeeded", "unknown"]);
        payment.stop().await;
    });
}

async fn a_request_that_this_process_works_on_is_never_swept<B: Base>() {
    let mut payment = Service::<B>::configured("payment", |config| {
        config.unfinished_after_ms = 0;
        config.sweep_every_ms = 1;
    })
    .await;
    let url = format!("{}/pay", payment.url);
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    // A row of some dead process beside it shows when the sweep has been here.
    payment
        .tell(
            "INSERT INTO amends_requests
                 (request_id, saga, action, fingerprint, body, context, state, worker, run, started_at)
             SELECT 'r-2', 'order-2', action, fingerprint, body, context, state, 'somebody', 1, started_at
             FROM amends_requests",
        )
        .await;
    payment.background();
    until("the sweep comes by", async || payment.history("order-2").await[0].1 == "unknown").await;
    assert_eq!(payment.history("order-1").await, [("pay".into(), "started".into())]);
    payment.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").status, 200);
}

async fn a_file_that_a_second_process_changed_is_not_overwritten<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    payment.tell("UPDATE amends_requests SET state = 'unknown'").await;
    payment.controls.gate.open(1);
    let answer = original.await.expect("ends");
    assert_eq!((answer.status, answer.problem()), (500, "internal"));
    assert_eq!(payment.ledger("order-1").await, (0, 0), "the effect is rolled back");
}

crate::on_each_database!(
    a_request_that_this_process_works_on_is_never_swept,
    a_file_that_a_second_process_changed_is_not_overwritten,
);

crate::lives_on_each_database!(
    what_a_dead_process_left_is_reported_as_unknown,
    what_a_dead_process_left_can_be_retried_or_undone_before_the_sweep,
    a_process_that_dies_in_a_retry_makes_no_second_report,
    a_call_that_was_under_way_is_evidence_in_the_report,
);
