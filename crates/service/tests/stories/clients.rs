//! Calls through the host's own clients are recorded like the kit's own, and failures that follow from them name them.

use crate::base::Base;
use crate::rig::Service;
use crate::supervisor::FakeSupervisor;
use serde_json::{Value, json};

const CLIENTS: [&str; 2] = ["tower", "reqwest"];

fn call(to: &str, via: &str, body: Value) -> Value {
    json!({ "url": to, "service": "coupon", "action": "pay", "body": body, "via": via })
}

async fn a_call_through_another_client_is_recorded_and_repeated_like_ones_own<B: Base>() {
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let payment = Service::<B>::start().await;
    for via in CLIENTS {
        let calls = [call(&coupon.url, via, json!({ "amount": 3 }))];
        let body = json!({ "calls": calls, "fail": "report-1", "fail_runs": 1 });
        assert_eq!(payment.pay(via, via, &body).await.status, 402);
        assert_eq!(payment.history(via).await[1], ("coupon.pay".into(), "succeeded".into()));
        assert_eq!(payment.step("retry", "pay", via, via.len() as u32).await.outcome(), "retried");
        assert_eq!(coupon.ledger(via).await, (3, 1), "{via}: the repetition has the same id");
    }
}

async fn a_failed_answer_is_given_back_whole_and_named_as_the_cause<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    for (number, via) in CLIENTS.into_iter().enumerate() {
        let calls = [call(&coupon.url, via, json!({ "fail": "used-up", "message": "all gone" }))];
        let failed = payment.pay(via, via, &json!({ "calls": calls })).await;
        assert_eq!(failed.body["code"], "own-words");
        let told = failed.body["detail"].as_str().expect("text");
        assert!(told.starts_with("402: ") && told.contains("all gone"), "{via}: {told}");
        assert_eq!(payment.history(via).await[1], ("coupon.pay".into(), "failed".into()));

        let query = format!("SELECT report_id FROM amends_outbox WHERE saga = '{via}'");
        let below = coupon.ask(&query).await.remove(0);
        let (_, data) = supervisor.reports(number + 1).await.remove(number);
        assert_eq!(data["causedBy"], json!(below), "{via}");
    }
}

async fn a_failure_that_says_so_has_no_cause<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    let mut failing = call(&coupon.url, "tower", json!({ "fail": "used-up" }));
    failing["uncaused"] = json!(true);
    payment.pay("order-1", "r-1", &json!({ "calls": [failing] })).await;
    assert_eq!(supervisor.reports(1).await[0].1.get("causedBy"), None);
}

async fn a_call_that_succeeded_afterwards_ends_the_suspicion<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let coupon = Service::<B>::configured("coupon", |_| {}).await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    let mut failing = call(&coupon.url, "tower", json!({ "fail": "used-up" }));
    failing["tolerated"] = json!(true);
    let good = call(&coupon.url, "reqwest", json!({}));
    payment.pay("order-1", "r-1", &json!({ "calls": [failing, good], "fail": "report-1" })).await;
    assert_eq!(supervisor.reports(1).await[0].1.get("causedBy"), None);
}

async fn a_call_that_nobody_answers_may_have_happened<B: Base>() {
    let payment = Service::<B>::start().await;
    let nobody = {
        let coupon = Service::<B>::configured("coupon", |_| {}).await;
        let url = coupon.url.clone();
        coupon.stop().await;
        url
    };
    for via in CLIENTS {
        let calls = [call(&nobody, via, json!({}))];
        let failed = payment.pay(via, via, &json!({ "calls": calls })).await;
        assert_eq!(failed.body["code"], "downstream", "{via}");
        assert_eq!(payment.history(via).await[1], ("coupon.pay".into(), "unknown".into()));
    }
}

crate::on_each_database!(
    a_call_through_another_client_is_recorded_and_repeated_like_ones_own,
    a_failed_answer_is_given_back_whole_and_named_as_the_cause,
    a_failure_that_says_so_has_no_cause,
    a_call_that_succeeded_afterwards_ends_the_suspicion,
    a_call_that_nobody_answers_may_have_happened,
);
