//! A forward request has one effect, one answer, and one report if it fails.

use crate::base::Base;
use crate::rig::{Service, send, until};
use crate::supervisor::FakeSupervisor;
use serde_json::json;
use std::collections::HashSet;

async fn a_request_takes_effect_once_and_is_answered_the_same_again<B: Base>() {
    let payment = Service::<B>::start().await;
    let first = payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    assert_eq!((first.status, &first.body), (200, &json!({ "charged": 30, "run": 1 })));
    assert_eq!(
        (first.header("saga-id"), first.header("request-id")),
        (Some("order-1"), Some("r-1"))
    );

    let again = payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    assert_eq!((again.status, again.body), (200, first.body));
    assert_eq!(payment.ledger("order-1").await, (30, 1));
    assert_eq!(payment.history("order-1").await, [("pay".into(), "succeeded".into())]);
}

async fn the_first_caller_need_not_name_anything<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let first = send(&url, &[], &json!({})).await;
    let saga = first.header("saga-id").expect("a new saga").to_owned();
    assert!(first.header("request-id").is_some());
    assert_eq!(payment.ledger(&saga).await, (10, 1));

    // A client that names its request but no saga finds its saga again.
    let named = send(&url, &[("request-id", "mine")], &json!({})).await;
    let again = send(&url, &[("request-id", "mine")], &json!({})).await;
    assert_eq!(named.header("saga-id"), again.header("saga-id"));
    assert_eq!(payment.ledger(named.header("saga-id").expect("named")).await, (10, 1));
}

async fn the_saga_may_come_in_baggage<B: Base>() {
    let payment = Service::<B>::start().await;
    let answer =
        send(&format!("{}/pay", payment.url), &[("baggage", "a=1,saga-id=order-9")], &json!({}))
            .await;
    assert_eq!(answer.header("saga-id"), Some("order-9"));
}

async fn an_id_that_comes_with_other_contents_is_refused<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    let others = [
        payment.pay("order-1", "r-1", &json!({ "amount": 31 })).await,
        payment.pay("order-2", "r-1", &json!({ "amount": 30 })).await,
        payment.act("log", "order-1", "r-1", &json!({ "amount": 30 })).await,
    ];
    for other in others {
        assert_eq!((other.status, other.problem()), (422, "key-reused"));
    }
    assert_eq!(payment.ledger("order-1").await, (30, 1));
}

async fn what_is_not_a_request_is_told_so_and_leaves_nothing<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let unknown = payment.act("dance", "order-1", "r-1", &json!({})).await;
    assert_eq!((unknown.status, unknown.problem()), (404, "not-found"));
    assert_eq!(unknown.header("saga-id"), Some("order-1"));
    let bad_saga = send(&url, &[("saga-id", "two words")], &json!({})).await;
    assert_eq!((bad_saga.status, bad_saga.problem()), (400, "invalid-request"));
    let too_long = payment.pay("order-1", "r-2", &json!("x".repeat(1024 * 1024))).await;
    assert_eq!((too_long.status, too_long.problem()), (413, "too-large"));
    assert_eq!(payment.history("order-1").await, []);
}

async fn a_hundred_copies_of_one_request_have_one_effect<B: Base>() {
    let payment = Service::<B>::start().await;
    let body = json!({ "amount": 5, "wait": true });
    let copies: Vec<_> = (0..100)
        .map(|_| {
            let (url, body) = (format!("{}/pay", payment.url), body.clone());
            tokio::spawn(async move {
                send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &body).await
            })
        })
        .collect();
    payment.controls.gate.reached(1).await;
    payment.controls.gate.open(100);
    let mut done = 0;
    for copy in copies {
        let answer = copy.await.expect("ends");
        if answer.status == 200 {
            done += 1;
            assert_eq!(answer.body, json!({ "charged": 5, "run": 1 }));
        } else {
            assert_eq!((answer.status, answer.problem()), (409, "in-progress"));
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    assert!(done >= 1, "the one that ran is answered");
    assert_eq!(payment.ledger("order-1").await, (5, 1));
    assert_eq!(payment.controls.runs.lock().expect("whole")["r-1"], 1);
}

async fn a_failure_is_answered_and_reported_alike<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    payment.pay("order-1", "r-0", &json!({ "amount": 1 })).await;
    let body = json!({ "amount": 30, "fail": "report-1" });
    let failed = payment.pay("order-1", "r-1", &body).await;
    assert_eq!((failed.status, failed.problem()), (402, "action-failed"));
    assert_eq!(
        (&failed.body["code"], &failed.body["detail"]),
        (&json!("report-1"), &json!("no money"))
    );
    let id = failed.header("amends-report").expect("named").to_owned();

    let (headers, data) = supervisor.reports(1).await.remove(0);
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "dev.amends.report.v1"),
        ("ce-source", "payment"),
        ("ce-subject", "order-1"),
        ("ce-id", id.as_str()),
        ("content-type", "application/json"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let expected = json!({
        "code": "report-1", "action": "pay", "requestId": "r-1", "message": "no money",
        "data": { "amount": 30 },
        "history": [
            { "service": "payment", "action": "pay", "requestId": "r-0", "state": "succeeded" },
            { "service": "payment", "action": "pay", "requestId": "r-1", "state": "failed" },
        ],
    });
    assert_eq!(data, expected);

    // The same request again: the same failure, and no second report.
    let again = payment.pay("order-1", "r-1", &body).await;
    assert_eq!((again.status, &again.body), (402, &failed.body));
    assert_eq!(again.header("amends-report"), Some(id.as_str()));
    // The supervisor has it a moment before the outbox knows.
    until("the report has left the outbox", async || {
        payment.kit.pending_reports().await.expect("readable") == 0
    })
    .await;
    assert_eq!(supervisor.told.tries.lock().expect("whole").len(), 1);
}

async fn a_failure_inside_the_effect_rolls_all_of_it_back<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    let failed = payment.pay("order-1", "r-1", &json!({ "fail_in_effect": "report-2" })).await;
    assert_eq!((failed.status, failed.problem()), (422, "action-failed"));
    assert_eq!(payment.ledger("order-1").await, (0, 0));
    let (_, data) = supervisor.reports(1).await.remove(0);
    assert_eq!(
        (&data["code"], &data["history"][0]["state"]),
        (&json!("report-2"), &json!("failed"))
    );
}

async fn a_panic_is_a_failure_whose_effect_is_unknown<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    for (request, place) in [("r-1", "handler"), ("r-2", "effect")] {
        let failed = payment.pay("order-1", request, &json!({ "panic": place })).await;
        assert_eq!((failed.status, failed.problem()), (500, "effect-unknown"));
        assert_eq!(failed.body["code"], "panicked");
        assert_eq!(failed.body["detail"], format!("the {place} tripped"));
    }
    assert_eq!(payment.ledger("order-1").await, (0, 0));
    for (_, data) in supervisor.reports(2).await {
        assert_eq!(data["code"], "panicked");
        assert_eq!(data["history"][0]["state"], "unknown");
    }
    // The service goes on.
    assert_eq!(payment.pay("order-2", "r-3", &json!({})).await.status, 200);
}

async fn a_request_whose_caller_hung_up_still_comes_to_its_end<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let caller = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    caller.abort();
    assert!(caller.await.expect_err("hung up").is_cancelled());
    payment.controls.gate.open(1);
    until("the payment is made", async || payment.ledger("order-1").await == (10, 1)).await;
}

async fn all_ids_that_the_kit_makes_differ<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let answer = send(&url, &[], &json!({})).await;
        assert!(ids.insert(answer.header("saga-id").expect("named").to_owned()));
        assert!(ids.insert(answer.header("request-id").expect("named").to_owned()));
    }
}

crate::on_each_database!(
    a_request_takes_effect_once_and_is_answered_the_same_again,
    the_first_caller_need_not_name_anything,
    the_saga_may_come_in_baggage,
    an_id_that_comes_with_other_contents_is_refused,
    what_is_not_a_request_is_told_so_and_leaves_nothing,
    a_hundred_copies_of_one_request_have_one_effect,
    a_failure_is_answered_and_reported_alike,
    a_failure_inside_the_effect_rolls_all_of_it_back,
    a_panic_is_a_failure_whose_effect_is_unknown,
    a_request_whose_caller_hung_up_still_comes_to_its_end,
    all_ids_that_the_kit_makes_differ,
);
