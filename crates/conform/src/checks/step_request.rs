//! Requests for steps that are wrong in themselves: refused, with the status that the supervisor reads rightly.

use crate::check::Check;
use crate::context::TestContext;
use crate::finding::Tried;
use crate::step::Step;
use crate::wire::{Exchange, NoAnswer, Sent};
use amends_protocol::{ProblemCode, Verb};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const SECTION: &str = "steps";

/// A body that nobody needs to take: a step has some hundred bytes.
const TOO_LARGE_BYTES: usize = 8 << 20;

pub(super) const CHECKS: &[Check] = &[
    Check::of_service(
        "step-unknown-action",
        "a step on an action that the service does not have is 404 `not-found`",
        "any 200 would be taken as done; a wrong rulebook would look like a settled case",
        SECTION,
        |context| Box::pin(unknown_action(context)),
    ),
    Check::of_service(
        "step-malformed",
        "a step that cannot be read is 400",
        "the supervisor shows people what is wrong; a 500 would be tried again for ever",
        SECTION,
        |context| Box::pin(malformed(context)),
    ),
    Check::of_service(
        "step-path",
        "a step whose path and body name different actions is 400",
        "one of the two is wrong, and to guess may undo what should stay",
        SECTION,
        |context| Box::pin(path(context)),
    ),
    Check::of_service(
        "step-key",
        "a step whose `Idempotency-Key` is not its `stepId` is 422",
        "two keys for one step mean two memories of what was done",
        SECTION,
        |context| Box::pin(key(context)),
    ),
    Check::of_service(
        "step-id-reused",
        "a step id that comes with another saga is 422",
        "the remembered outcome of one saga would be given for another, in which nothing was undone",
        SECTION,
        |context| Box::pin(id_reused(context)),
    ),
    Check::of_service(
        "step-id-other-verb",
        "a step id that comes with another verb is 422 `key-reused`",
        "the remembered outcome of a compensation would be given for a retry that never ran",
        SECTION,
        |context| Box::pin(id_other_verb(context)),
    )
    .after(&["step-id-reused"])
    .leaves("a step id that comes with another action"),
    Check::of_service(
        "step-too-large",
        "a body that is far too large is 413",
        "a participant that reads whatever comes can be brought down by one request",
        SECTION,
        |context| Box::pin(too_large(context)),
    ),
    Check::of_service(
        "step-method",
        "a step by another method than POST is 405",
        "a crawler or a health check must never undo anything",
        SECTION,
        |context| Box::pin(method(context)),
    ),
];

/// A compensation in a saga that nobody has seen.
fn step(context: &TestContext) -> Step {
    context.step(Verb::Compensate, &context.saga())
}

/// A problem under this status, whatever its type.
fn refused(exchange: &Exchange, status: u16, what: &str) -> Tried {
    let expected = format!("{what}: {status} with a problem");
    match exchange.answered(&expected)?.status == status {
        true => exchange.any_problem(&expected).map(|_| ()),
        false => Err(exchange.unlike(expected)),
    }
}

async fn unknown_action(context: &TestContext) -> Tried {
    for verb in [Verb::Compensate, Verb::Retry] {
        let step = context.step_on(verb, &context.saga(), "no-such-action");
        let exchange = context.ask_step(&step).await;
        exchange.is_problem(ProblemCode::NotFound, "a step on an unknown action")?;
    }
    Ok(())
}

async fn malformed(context: &TestContext) -> Tried {
    let good = step(context);
    let mut no_saga = good.clone();
    if let Value::Object(members) = &mut no_saga.body {
        members.remove("sagaId");
    }
    let bad_saga = good.clone().with("sagaId", json!("two words"));
    for (bad, what) in
        [(no_saga, "a step without `sagaId`"), (bad_saga, "a step whose `sagaId` is none")]
    {
        refused(&context.ask_step(&bad).await, 400, what)?;
    }
    let exchange =
        context.exchange(raw(context, &good, Bytes::from_static(b"{\"sagaId\": "))).await;
    refused(&exchange, 400, "a step that is not JSON")
}

/// The step with another body, signed as it is.
fn raw(context: &TestContext, step: &Step, body: Bytes) -> Sent {
    let mut sent = step.request(None);
    sent.body = body;
    if let Some(signer) = &context.stage.config.signer {
        crate::step::sign(&mut sent, signer, &step.id, step.signed);
    }
    sent
}

async fn path(context: &TestContext) -> Tried {
    let service = &context.stage.config.service;
    let other = step(context).with("action", json!(format!("{service}.another-action")));
    refused(
        &context.ask_step(&other).await,
        400,
        "a step whose body names another action than its path",
    )?;
    let action = &context.action.name;
    let foreign = step(context).with("action", json!(format!("another-service.{action}")));
    refused(&context.ask_step(&foreign).await, 400, "a step whose body names another service")
}

async fn key(context: &TestContext) -> Tried {
    let mut step = step(context);
    step.key = "\"s-999-1-0000000000000000\"".to_owned();
    refused(&context.ask_step(&step).await, 422, "a step whose `Idempotency-Key` is another")
}

async fn id_reused(context: &TestContext) -> Tried {
    let first = step(context);
    context.carry_out(&first).await?.exchange.succeeds("a step")?;
    let saga = context.saga();
    let mut other = first.again().with("sagaId", json!(saga));
    other.saga = saga;
    let what = "a step whose id came before with another saga";
    refused(&context.ask_step(&other).await, 422, what)
}

async fn id_other_verb(context: &TestContext) -> Tried {
    let first = step(context);
    context.carry_out(&first).await?.exchange.succeeds("a step")?;
    let mut other = first.again();
    other.verb = Verb::Retry;
    let what = "a step whose id came before with another verb";
    context.ask_step(&other).await.is_problem(ProblemCode::KeyReused, what).map(|_| ())
}

async fn too_large(context: &TestContext) -> Tried {
    let step = step(context).with("data", json!({ "filler": "x".repeat(TOO_LARGE_BYTES) }));
    let exchange = context.ask_step(&step).await;
    match &exchange.came {
        // Who answers before it has read everything may close the connection before its answer is seen.
        Err(NoAnswer::Broken(_)) => Ok(()),
        _ => refused(&exchange, 413, "a step of 8 MiB"),
    }
}

async fn method(context: &TestContext) -> Tried {
    for method in [Method::GET, Method::PUT] {
        let mut sent = step(context).request(context.stage.config.signer.as_ref());
        sent.method = method;
        refused(&context.exchange(sent).await, 405, "a step by another method than POST")?;
    }
    Ok(())
}
