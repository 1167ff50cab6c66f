//! An undo that takes longer than the supervisor waits is answered 202; its outcome is owed until the supervisor has
//! it.

use crate::base::Base;
use crate::rig::{Answer, Service};
use crate::supervisor::FakeSupervisor;
use amends_service::{Kit, KitError, Refusal, SagaId};
use serde_json::{Value, json};
use std::future::ready;
use std::sync::atomic::Ordering;

/// A payment service that is asked to undo what it did, and has only begun.
async fn begun<B: Base>(payment: &Service<B>) -> Answer {
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    payment.controls.later.store(true, Ordering::SeqCst);
    let begun = payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!((begun.status, &begun.body), (202, &json!({})), "{begun:?}");
    begun
}

async fn finish<B: Base>(kit: &Kit<B>, end: Result<(), Refusal>) -> Result<bool, KitError> {
    let saga = SagaId::new("order-1").expect("an id");
    kit.finish_undo_within(&saga, "pay", move |_| Box::pin(ready(end))).await
}

/// What the supervisor is told of the step.
fn word(outcome: &str) -> Value {
    json!({ "outcome": outcome, "proof": "p-1" })
}

const STEP: &str = "s-1-1-00000000000000aa";

async fn an_undo_that_goes_on_is_answered_202_until_it_ends_and_then_told<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    begun(&payment).await;
    let again = payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!(again.status, 202, "asked again, it undoes nothing");
    assert_eq!(payment.ledger("order-1").await, (0, 2), "it was begun once");
    assert_eq!(payment.history("order-1").await, [("pay".into(), "succeeded".into())]);
    let late = payment.pay("order-1", "r-2", &json!({ "amount": 5 })).await;
    assert_eq!((late.status, late.problem()), (409, "saga-fenced"), "the fence is up meanwhile");

    assert!(finish(&payment.kit, Ok(())).await.expect("durable"), "there was something to end");
    assert_eq!(supervisor.outcomes(1).await, [(STEP.to_owned(), word("compensated"))]);
    assert_eq!(payment.history("order-1").await, [("pay".into(), "compensated".into())]);
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
    assert!(!finish(&payment.kit, Ok(())).await.expect("readable"), "it has ended");
    let other = payment.step("compensate", "pay", "order-1", 2).await;
    assert_eq!(other.outcome(), "already_compensated");
}

async fn what_is_owed_outlives_the_process_and_an_absent_supervisor<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::start().await;
    begun(&payment).await;
    let place = payment.place.clone();
    let not_yet = finish(&payment.kit, Err(Refusal::try_later("the bank sleeps"))).await;
    assert!(matches!(not_yet, Err(KitError::Unfinished(_))), "{not_yet:?}");
    payment.stop().await;

    // The next process ends it while the supervisor is away, and dies; the one after that tells.
    let payment = Service::<B>::at(&place, "payment", |_| {}).await;
    assert!(finish(&payment.kit, Ok(())).await.expect("durable"));
    payment.stop().await;
    supervisor.told.answers.lock().expect("whole").extend([503, 502]);
    let url = supervisor.url.clone();
    let mut payment =
        Service::<B>::at(&place, "payment", |config| config.supervisor = Some(url)).await;
    payment.background();
    assert_eq!(supervisor.outcomes(1).await, [(STEP.to_owned(), word("compensated"))]);
    assert_eq!(payment.history("order-1").await, [("pay".into(), "compensated".into())]);
}

async fn an_undo_that_is_refused_in_the_end_is_told_so_and_begins_anew<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    begun(&payment).await;
    let no = Err(Refusal::new("the account is closed"));
    assert!(finish(&payment.kit, no).await.expect("durable"));
    assert_eq!(supervisor.outcomes(1).await, [(STEP.to_owned(), word("refused"))]);
    assert_eq!(payment.history("order-1").await, [("pay".into(), "succeeded".into())]);

    // A person has it tried again, under the same id.
    let again = payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert!(finish(&payment.kit, Ok(())).await.expect("durable"));
    let told = supervisor.outcomes(2).await;
    assert_eq!(told[1], (STEP.to_owned(), word("compensated")));
}

async fn two_steps_on_one_undo_begin_it_once<B: Base>() {
    let supervisor = FakeSupervisor::start().await;
    let payment = Service::<B>::reporting_to(&supervisor).await;
    begun(&payment).await;
    assert_eq!(payment.step("compensate", "pay", "order-1", 2).await.status, 202);
    assert_eq!(payment.ledger("order-1").await, (0, 2), "it was begun once");
    assert!(finish(&payment.kit, Ok(())).await.expect("durable"));
    let mut told = supervisor.outcomes(2).await;
    told.sort_by(|(a, _), (b, _)| a.cmp(b));
    let outcomes: Vec<_> = told.iter().map(|(_, word)| word["outcome"].clone()).collect();
    assert_eq!(outcomes, ["compensated", "already_compensated"]);
}

crate::on_each_database!(
    two_steps_on_one_undo_begin_it_once,
    an_undo_that_goes_on_is_answered_202_until_it_ends_and_then_told,
    what_is_owed_outlives_the_process_and_an_absent_supervisor,
    an_undo_that_is_refused_in_the_end_is_told_so_and_begins_anew,
);
