//! The first things that a step must do, before it is tried what each verb means.

use crate::check::Check;
use crate::context::{Kind, TestContext};
use crate::finding::{Stop, Tried};
use crate::step::proof_of;
use amends_protocol::{Outcome, Verb};
use serde_json::json;

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "compensate-undoes",
        "a compensation undoes the request and says `compensated`",
        "it is what everything else is for",
        "what-each-verb-means",
        |context| Box::pin(undoes(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "step-accepted",
        "a step that is answered with 202 comes to an outcome, at `Location` or by a late answer with the step's proof",
        "a step that is taken and never answered keeps its case open for ever",
        "slow-steps",
        |context| Box::pin(accepted(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "step-unknown-fields",
        "fields of a step that the participant does not know are ignored",
        "supervisors get newer; a participant that refuses what it does not know stops undoing on that day",
        "steps",
        |context| Box::pin(unknown_fields(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "step-key-bare",
        "the step's key is taken with and without its quotes",
        "proxies and older senders write `Idempotency-Key` without them",
        "steps",
        |context| Box::pin(key_bare(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "step-nulls",
        "members of a step that are `null` are read as absent",
        "the supervisor may be written in a language that writes what is not there so",
        "what-holds-everywhere",
        |context| Box::pin(nulls(context)),
    )
    .after(&["compensate-undoes"]),
];

async fn undoes(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context
        .carry_out_to(&step, Outcome::Compensated, "the compensation of a request that succeeded")
        .await?;
    context.shows(&[&ask], 0, "after its compensation").await
}

async fn accepted(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    let exchange = context.ask_step(&step).await;
    if exchange.answered("an answer to a step")?.status != 202 {
        return Err(Stop::skipped(
            "the participant answers steps at once, and need not do otherwise",
            None,
        ));
    }
    // Asked for once more while it is at work, or just after: still one step.
    let what = "a step that was taken with 202, asked for again";
    context.carry_out_to(&step.again(), Outcome::Compensated, what).await?;
    let supervisor = context.stage.supervisor.as_ref();
    if let Some(late) = supervisor.and_then(|supervisor| supervisor.late_answer(&step.id)) {
        let expected = "the late answer carries the `proof` of the step's `callback`";
        match late.proof {
            Some(proof) if proof.is(&proof_of(&step.id)) => {}
            Some(_) => return Err(exchange.wrong(expected, "another proof".to_owned())),
            None => return Err(exchange.wrong(expected, "no proof".to_owned())),
        }
    }
    context.shows(&[&ask], 0, "after a compensation that was taken with 202").await
}

async fn unknown_fields(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let mut step =
        context.step(Verb::Compensate, &ask.saga).with("priority", json!({ "level": 3 }));
    step.body["report"]["region"] = json!("west");
    let what = "a step with fields that are not in the protocol";
    context.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}

async fn nulls(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let mut step = context.step(Verb::Compensate, &ask.saga);
    for member in ["requestIds", "data", "callback"] {
        step.body[member] = json!(null);
    }
    step.body["report"]["message"] = json!(null);
    let what = "a step whose optional members are `null`";
    context.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}

async fn key_bare(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let mut step = context.step(Verb::Compensate, &ask.saga);
    step.key.clone_from(&step.id);
    let what = "a step whose key has no quotes";
    context.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}
