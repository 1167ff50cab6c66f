//! An effect or a fence, never both: what `compensate` promises, with and without rivals.

use crate::base::Base;
use crate::rig::{DEADLINE, Service, send, step_body};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Instant;

async fn what_took_effect_is_undone_once_and_stays_undone<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    payment.pay("order-1", "r-2", &json!({ "amount": 12 })).await;
    payment.pay("order-2", "r-3", &json!({ "amount": 7 })).await;

    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
    assert_eq!(payment.ledger("order-1").await, (0, 4), "both requests of the saga are undone");
    assert_eq!(payment.ledger("order-2").await, (7, 1), "and none of another saga");

    // The same step again has its first outcome; another step finds it done.
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
    assert_eq!(
        payment.step("compensate", "pay", "order-1", 2).await.outcome(),
        "already_compensated"
    );
    assert_eq!(payment.ledger("order-1").await, (0, 4));

    // Nothing of the saga takes effect any more: neither the original again nor a new request.
    for request in ["r-1", "r-9"] {
        let late = payment.pay("order-1", request, &json!({ "amount": 30 })).await;
        assert_eq!((late.status, late.problem()), (409, "saga-fenced"), "{request}");
    }
    let states: Vec<_> =
        payment.history("order-1").await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["compensated", "compensated"]);
}

async fn a_compensation_that_comes_first_refuses_the_late_original<B: Base>() {
    let payment = Service::<B>::start().await;
    assert_eq!(
        payment.step("compensate", "pay", "order-1", 1).await.outcome(),
        "nothing_to_compensate"
    );
    let late = payment.pay("order-1", "r-1", &json!({})).await;
    assert_eq!((late.status, late.problem()), (409, "saga-fenced"));
    assert_eq!(
        payment.step("compensate", "pay", "order-1", 2).await.outcome(),
        "nothing_to_compensate"
    );
    assert_eq!(payment.ledger("order-1").await, (0, 0));
    // The fence is about this action and this saga alone.
    assert_eq!(payment.act("log", "order-1", "r-2", &json!({})).await.status, 200);
    assert_eq!(payment.pay("order-2", "r-3", &json!({})).await.status, 200);
}

async fn a_compensation_does_not_wait_for_the_running_original_which_then_fails<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    assert_eq!(
        payment.step("compensate", "pay", "order-1", 1).await.outcome(),
        "nothing_to_compensate"
    );
    payment.controls.gate.open(1);
    let original = original.await.expect("ends");
    assert_eq!((original.status, original.problem()), (409, "saga-fenced"));
    assert_eq!(payment.controls.effects.load(Ordering::SeqCst), 0, "its effect is not even tried");
    assert_eq!(payment.ledger("order-1").await, (0, 0));
    assert_eq!(payment.history("order-1").await, [("pay".into(), "fenced".into())]);
}

async fn a_running_original_that_was_fenced_calls_nobody_any_more<B: Base>() {
    let delivery = Service::<B>::configured("delivery", |_| {}).await;
    let payment = Service::<B>::start().await;
    let call = json!({ "url": delivery.url, "service": "delivery", "action": "pay", "body": {} });
    let (url, body) = (format!("{}/pay", payment.url), json!({ "wait": true, "calls": [call] }));
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &body).await
    });
    payment.controls.gate.reached(1).await;
    payment.step("compensate", "pay", "order-1", 1).await;
    payment.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").problem(), "saga-fenced");
    assert_eq!(delivery.history("order-1").await, [], "the call was not sent");
    assert_eq!(payment.history("order-1").await, [("pay".into(), "fenced".into())]);
}

async fn calls_that_are_under_way_are_evidence_in_the_answer<B: Base>() {
    let delivery = Service::<B>::configured("delivery", |_| {}).await;
    let payment = Service::<B>::start().await;
    let call = |wait: bool| json!({ "url": delivery.url, "service": "delivery", "action": "pay", "body": { "wait": wait } });
    let (url, body) =
        (format!("{}/pay", payment.url), json!({ "calls": [call(false), call(true)] }));
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &body).await
    });
    delivery.controls.gate.reached(1).await;
    let answer = payment.step("compensate", "pay", "order-1", 1).await;
    let evidence: Vec<_> = answer.body["history"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|call| (call["service"].as_str(), call["action"].as_str(), call["state"].as_str()))
        .collect();
    let of = |state| (Some("delivery"), Some("pay"), Some(state));
    assert_eq!(evidence, [of("succeeded"), of("started")]);
    delivery.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").problem(), "saga-fenced");
}

async fn a_refusal_leaves_the_fence_alone_and_is_not_remembered<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    payment.controls.refuses.store(true, Ordering::SeqCst);
    let refused = payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!((refused.status, refused.problem()), (422, "refused"));
    assert_eq!(refused.body["detail"], "the month is closed");
    assert_eq!(payment.ledger("order-1").await, (30, 1));
    assert_eq!(payment.history("order-1").await, [("pay".into(), "succeeded".into())]);
    // While a person decides, nothing new takes effect; what did is answered as before.
    let late = payment.pay("order-1", "r-2", &json!({ "amount": 1 })).await;
    assert_eq!((late.status, late.problem()), (409, "saga-fenced"));
    assert_eq!(payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await.status, 200);
    assert_eq!(payment.ledger("order-1").await, (30, 1));

    payment.controls.refuses.store(false, Ordering::SeqCst);
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
    assert_eq!(payment.ledger("order-1").await, (0, 2));
}

async fn a_running_original_is_stopped_by_a_refused_compensation_and_seen_by_the_next<B: Base>() {
    let delivery = Service::<B>::configured("delivery", |_| {}).await;
    let payment = Service::<B>::start().await;
    let call = json!({ "url": delivery.url, "service": "delivery", "action": "pay", "body": {}, "tolerated": true });
    let (url, body) = (format!("{}/pay", payment.url), json!({ "wait": true, "calls": [call] }));
    let sent = body.clone();
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &sent).await
    });
    payment.controls.gate.reached(1).await;
    payment.controls.refuses.store(true, Ordering::SeqCst);
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.problem(), "refused");
    payment.controls.gate.open(1);
    let original = original.await.expect("ends");
    assert_eq!((original.status, original.problem()), (409, "saga-fenced"));
    assert_eq!(payment.controls.effects.load(Ordering::SeqCst), 0, "its effect is not even tried");
    assert_eq!(delivery.history("order-1").await, [], "the call was not sent");
    // Its handler may have done something elsewhere, so it is not called fenced before an undo has looked.
    assert_eq!(payment.history("order-1").await, [("pay".into(), "unknown".into())]);
    assert_eq!(payment.pay("order-1", "r-1", &body).await.problem(), "saga-fenced");
    assert_eq!(payment.step("retry", "pay", "order-1", 2).await.problem(), "refused");
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 0, "it is no news");

    payment.controls.refuses.store(false, Ordering::SeqCst);
    payment.controls.charged_outside.lock().expect("whole").insert("r-1".to_owned());
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
    assert_eq!(payment.ledger("order-1").await, (0, 0));
}

async fn a_running_original_that_fails_behind_the_fence_is_turned_away_too<B: Base>() {
    let payment = Service::<B>::start().await;
    let url = format!("{}/pay", payment.url);
    let body = json!({ "wait": true, "fail": "report-1" });
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &body).await
    });
    payment.controls.gate.reached(1).await;
    payment.controls.refuses.store(true, Ordering::SeqCst);
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.problem(), "refused");
    payment.controls.gate.open(1);
    assert_eq!(original.await.expect("ends").problem(), "saga-fenced");
    assert_eq!(payment.history("order-1").await, [("pay".into(), "unknown".into())]);
    assert_eq!(payment.kit.pending_reports().await.expect("readable"), 0);
}

async fn what_failed_before_a_refused_compensation_does_not_run_again<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({ "fail": "report-1", "fail_runs": 1 })).await;
    payment.controls.refuses.store(true, Ordering::SeqCst);
    payment.pay("order-1", "r-2", &json!({})).await;
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.problem(), "refused");
    assert_eq!(payment.step("retry", "pay", "order-1", 2).await.problem(), "refused");
    assert_eq!(payment.controls.runs.lock().expect("whole")["r-1"], 1);
    assert_eq!(payment.ledger("order-1").await, (10, 1));
}

async fn an_undo_that_trips_is_rolled_back_and_asked_for_again<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    payment.controls.trips.store(true, Ordering::SeqCst);
    let tripped = payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!(
        (tripped.status, tripped.problem(), tripped.header("retry-after")),
        (503, "unavailable", Some("1"))
    );
    assert_eq!(payment.ledger("order-1").await, (30, 1));
    assert_eq!(payment.pay("order-1", "r-2", &json!({})).await.problem(), "saga-fenced");
    payment.controls.trips.store(false, Ordering::SeqCst);
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
}

async fn an_effect_outside_of_the_tables_can_be_undone_too<B: Base>() {
    let payment = Service::<B>::start().await;
    for (saga, request, charged) in [("order-1", "r-1", true), ("order-2", "r-2", false)] {
        let failed =
            payment.pay(saga, request, &json!({ "fail": "timeout", "unsure": true })).await;
        assert_eq!(failed.problem(), "effect-unknown");
        if charged {
            payment.controls.charged_outside.lock().expect("whole").insert(request.to_owned());
        }
    }
    assert_eq!(payment.step("compensate", "pay", "order-1", 1).await.outcome(), "compensated");
    assert_eq!(
        payment.step("compensate", "pay", "order-1", 2).await.outcome(),
        "already_compensated"
    );
    assert_eq!(
        payment.step("compensate", "pay", "order-2", 3).await.outcome(),
        "nothing_to_compensate"
    );
}

async fn an_action_without_compensation_is_fenced_but_never_called_undone<B: Base>() {
    let payment = Service::<B>::start().await;
    assert_eq!(
        payment.step("compensate", "log", "order-1", 1).await.outcome(),
        "nothing_to_compensate"
    );
    assert_eq!(payment.act("log", "order-1", "r-1", &json!({})).await.problem(), "saga-fenced");
    payment.act("log", "order-2", "r-2", &json!({})).await;
    assert_eq!(payment.step("compensate", "log", "order-2", 2).await.problem(), "refused");
    assert_eq!(payment.act("log", "order-2", "r-3", &json!({})).await.problem(), "saga-fenced");
}

async fn steps_that_make_no_sense_are_told_so<B: Base>() {
    let payment = Service::<B>::start().await;
    assert_eq!(payment.step("compensate", "dance", "order-1", 1).await.status, 404);
    assert_eq!(payment.step("explode", "pay", "order-1", 1).await.status, 404);

    let url = format!("{}/amends/v1/compensate/pay", payment.url);
    let elsewhere = send(&url, &[], &step_body("coupon", "pay", "order-1", 1)).await;
    assert_eq!((elsewhere.status, elsewhere.problem()), (400, "invalid-request"));
    let other_key = send(
        &url,
        &[("idempotency-key", "\"s-9-9-00000000000000aa\"")],
        &step_body("payment", "pay", "order-1", 1),
    )
    .await;
    assert_eq!((other_key.status, other_key.problem()), (422, "key-reused"));
    let unquoted = send(
        &url,
        &[("idempotency-key", "s-1-1-00000000000000aa")],
        &step_body("payment", "pay", "order-1", 1),
    )
    .await;
    assert_eq!(unquoted.outcome(), "nothing_to_compensate");
    // One step id means one thing.
    let reused = send(&url, &[], &step_body("payment", "pay", "order-2", 1)).await;
    assert_eq!((reused.status, reused.problem()), (422, "key-reused"));
    assert_eq!(payment.pay("order-2", "r-1", &json!({})).await.status, 200, "and fences nothing");
}

async fn fifty_copies_of_one_step_undo_once<B: Base>() {
    let payment = Service::<B>::start().await;
    payment.pay("order-1", "r-1", &json!({ "amount": 30 })).await;
    let steps: Vec<_> = (0..50)
        .map(|n| {
            let url = format!("{}/amends/v1/compensate/pay", payment.url);
            // Two step ids, as of two supervisors that don't know of each other.
            let body = step_body("payment", "pay", "order-1", n % 2);
            tokio::spawn(async move { send(&url, &[], &body).await.outcome().to_owned() })
        })
        .collect();
    let mut outcomes = Vec::new();
    for step in steps {
        outcomes.push(step.await.expect("ends"));
    }
    assert_eq!(outcomes.iter().filter(|o| *o == "compensated").count(), 25);
    assert_eq!(outcomes.iter().filter(|o| *o == "already_compensated").count(), 25);
    assert_eq!(payment.ledger("order-1").await, (0, 2));
}

async fn a_compensation_racing_the_original_leaves_an_effect_undone_or_a_fence<B: Base>() {
    let payment = Service::<B>::start().await;
    let mut seen = [0, 0];
    for round in 0..150_u32 {
        let saga = format!("order-{round}");
        let (url, step_url) =
            (format!("{}/pay", payment.url), format!("{}/amends/v1/compensate/pay", payment.url));
        let (headers, body) = (saga.clone(), step_body("payment", "pay", &saga, round));
        let controls = payment.controls.clone();
        // Before the original is under way: it may have its effect at once.
        let effects_before = controls.effects.load(Ordering::SeqCst);
        let original = tokio::spawn(async move {
            send(&url, &[("saga-id", &headers), ("request-id", &headers)], &json!({ "amount": 9 }))
                .await
        });
        // The step is sent at once, or when the handler is at work, or when the effect is.
        let name = saga.clone();
        let step = tokio::spawn(async move {
            let started = Instant::now();
            let early = || match round % 3 {
                0 => false,
                1 => !controls.runs.lock().expect("whole").contains_key(&name),
                _ => controls.effects.load(Ordering::SeqCst) == effects_before,
            };
            while early() {
                assert!(started.elapsed() < DEADLINE, "the original never got there");
                tokio::task::yield_now().await;
            }
            send(&step_url, &[], &body).await
        });
        let (original, step) = (original.await.expect("ends"), step.await.expect("ends"));
        match (original.status, step.outcome()) {
            (200, "compensated") => seen[0] += 1,
            (409, "nothing_to_compensate") => {
                assert_eq!(original.problem(), "saga-fenced");
                seen[1] += 1;
            }
            (status, outcome) => panic!("round {round}: {status} and {outcome}"),
        }
        assert_eq!(payment.ledger(&saga).await.0, 0, "round {round}");
        let again = payment.pay(&saga, "late", &json!({ "amount": 9 })).await;
        assert_eq!(again.problem(), "saga-fenced", "round {round}");
    }
    println!("undone: {}, fenced: {}", seen[0], seen[1]);
    assert!(
        seen[0] >= 50,
        "an effect that is under way when the step is sent comes first: {seen:?}"
    );
}

async fn the_fence_counts_whom_it_turned_away<B: Base>() {
    let payment = Service::<B>::start().await;
    let refused = async || {
        let rows =
            payment.ask("SELECT CAST(coalesce(sum(refused), 0) AS TEXT) FROM amends_fences").await;
        rows[0][0].clone()
    };
    let url = format!("{}/pay", payment.url);
    let original = tokio::spawn(async move {
        send(&url, &[("saga-id", "order-1"), ("request-id", "r-1")], &json!({ "wait": true })).await
    });
    payment.controls.gate.reached(1).await;
    payment.step("compensate", "pay", "order-1", 1).await;
    assert_eq!(refused().await, "0", "nobody has come yet");
    payment.controls.gate.open(1);
    original.await.expect("ends");
    assert_eq!(refused().await, "1", "the commit of the running original");
    payment.pay("order-1", "r-1", &json!({ "wait": true })).await;
    payment.pay("order-1", "r-2", &json!({})).await;
    assert_eq!(refused().await, "3", "its repetition, and a late request");
    payment.pay("order-2", "r-3", &json!({})).await;
    assert_eq!(refused().await, "3", "and nobody else");
}

crate::on_each_database!(
    the_fence_counts_whom_it_turned_away,
    what_took_effect_is_undone_once_and_stays_undone,
    a_compensation_that_comes_first_refuses_the_late_original,
    a_compensation_does_not_wait_for_the_running_original_which_then_fails,
    a_running_original_that_was_fenced_calls_nobody_any_more,
    calls_that_are_under_way_are_evidence_in_the_answer,
    a_refusal_leaves_the_fence_alone_and_is_not_remembered,
    a_running_original_is_stopped_by_a_refused_compensation_and_seen_by_the_next,
    a_running_original_that_fails_behind_the_fence_is_turned_away_too,
    what_failed_before_a_refused_compensation_does_not_run_again,
    an_undo_that_trips_is_rolled_back_and_asked_for_again,
    an_effect_outside_of_the_tables_can_be_undone_too,
    an_action_without_compensation_is_fenced_but_never_called_undone,
    steps_that_make_no_sense_are_told_so,
    fifty_copies_of_one_step_undo_once,
    a_compensation_racing_the_original_leaves_an_effect_undone_or_a_fence,
);
