//! What proves who a service is goes to its supervisor and to nobody else, whoever would like to have it.

use crate::base::Base;
use crate::rig::{Service, send, step_body};
use crate::supervisor::FakeSupervisor;
use amends_service::{SagaId, SupervisorToken};
use serde_json::{Value, json};
use std::future::ready;
use std::sync::atomic::Ordering;

const TOKEN: &str = "amends_1_secret";

/// An undo that takes long ends.
async fn finish<B: Base>(payment: &Service<B>, saga: &str) {
    let saga = SagaId::new(saga).expect("an id");
    let ended = payment.kit.finish_undo_within(&saga, "pay", |_| Box::pin(ready(Ok(()))));
    assert!(ended.await.expect("durable"), "there was something to end");
}

async fn a_token_goes_with_reports_and_outcomes_to_the_supervisor_alone<B: Base>() {
    let (supervisor, stranger) = (FakeSupervisor::start().await, FakeSupervisor::start().await);
    let url = supervisor.url.clone();
    let mut payment = Service::<B>::configured("payment", |config| {
        config.supervisor = Some(url);
        config.supervisor_token = Some(SupervisorToken::Here(TOKEN.to_owned()));
    })
    .await;
    payment.background();
    payment.pay("order-1", "r-1", &json!({ "amount": 30, "fail": "no-money" })).await;
    supervisor.reports(1).await;

    payment.controls.later.store(true, Ordering::SeqCst);
    payment.pay("order-2", "r-2", &json!({ "amount": 30 })).await;
    assert_eq!(payment.step("compensate", "pay", "order-2", 1).await.status, 202);
    finish(&payment, "order-2").await;
    supervisor.outcomes(1).await;

    // Somebody asks for an undo, and would like to hear of its end elsewhere.
    payment.pay("order-3", "r-3", &json!({ "amount": 30 })).await;
    let mut step = step_body("payment", "pay", "order-3", 2);
    step["callback"]["url"] = Value::from(format!("{}/v1/steps/s/outcome", stranger.url));
    let key = format!("\"{}\"", step["stepId"].as_str().expect("text"));
    let asked = format!("{}/amends/v1/compensate/pay", payment.url);
    assert_eq!(send(&asked, &[("idempotency-key", &key)], &step).await.status, 202);
    finish(&payment, "order-3").await;
    stranger.outcomes(1).await;

    let shown = |to: &FakeSupervisor| to.told.shown.lock().expect("whole").clone();
    let token = Some(format!("Bearer {TOKEN}"));
    assert_eq!(shown(&supervisor), [token.clone(), token]);
    assert_eq!(shown(&stranger), [None], "it hears of the end, and not who we are");
}

crate::on_each_database!(a_token_goes_with_reports_and_outcomes_to_the_supervisor_alone);
