//! The fence: what was compensated stays so.

use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::finding::{Stop, Tried};
use amends_protocol::{Outcome, ProblemCode, Verb};

const SECTION: &str = "forward-requests";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "fence-late-request",
        "a request that comes after its compensation is refused with 409 `saga-fenced`",
        "requests overtake each other; one that was compensated before it came would stay for ever",
        SECTION,
        |context| Box::pin(late_request(context)),
    )
    .after(&["compensate-nothing"]),
    Check::of_action(
        "fence-repeat",
        "a repeated request that was compensated meanwhile is refused, never answered with its old success",
        "the caller would go on with what is no longer there",
        SECTION,
        |context| Box::pin(repeat(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "fence-new-request",
        "after a compensation, a new request of the action in that saga is refused",
        "a service above that tries again under a new id would bring back what the case has settled",
        SECTION,
        |context| Box::pin(new_request(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "fence-other-saga",
        "the fence of one saga keeps no other saga from its work",
        "one failed order must not stop the shop",
        "what-each-verb-means",
        |context| Box::pin(other_saga(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "fence-other-action",
        "the fence of one action keeps no other action of the saga from its work",
        "what runs forward on purpose, a notice or a clean-up, would be stopped by the undo of something else",
        "what-each-verb-means",
        |context| Box::pin(other_action(context)),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::OtherAction]),
    Check::of_action(
        "fence-repeat-failure",
        "a failed request that is repeated after its compensation is refused",
        "the caller is to learn that the saga is over; its old failure would have it try again",
        SECTION,
        |context| Box::pin(repeat_failure(context)),
    )
    .after(&["compensate-failed"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "report-undone",
        "a report tells nothing of own requests that are undone already",
        "the supervisor would ask for the undo of what was given back",
        "reports",
        |context| Box::pin(reports_undone(context)),
    )
    .after(&["fence-other-action", "report-arrives"])
    .needs(&[Means::OtherFails, Means::Supervisor]),
    Check::of_fence(
        "fence-without-undo",
        "a compensation of an action that has no undo finds nothing to undo, and bars the action all the same",
        "an orchestrator that goes on calling after everything below it was undone brings it all back",
        "what-each-verb-means",
        |context| Box::pin(without_undo(context)),
    ),
];

async fn late_request(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let step = context.step(Verb::Compensate, &ask.saga);
    context
        .carry_out_to(&step, Outcome::NothingToCompensate, "a compensation that comes first")
        .await?;
    let what = "the request, coming after its compensation";
    context.send(&ask).await.is_problem(ProblemCode::SagaFenced, what)?;
    context.send(&ask).await.is_problem(ProblemCode::SagaFenced, "the late request once more")?;
    context.shows(&[&ask], 0, "after a request that came too late").await
}

async fn other_action(context: &TestContext) -> Tried {
    let other = context.other_action(|_| true)?;
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let elsewhere = context.ask_of(other, &ask.saga, Kind::Plain);
    let what = format!("a request of `{}`, of which nothing was compensated", other.name);
    context.send(&elsewhere).await.succeeds(&what).map(|_| ())
}

async fn repeat_failure(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    context.carry_out(&context.step(Verb::Compensate, &ask.saga)).await?;
    let what = "a failed request that comes again after its compensation";
    context.send(&ask).await.is_problem(ProblemCode::SagaFenced, what).map(|_| ())
}

async fn reports_undone(context: &TestContext) -> Tried {
    let other = context.other_action(|other| other.fails_with.is_some())?;
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let failing = context.ask_of(other, &ask.saga, Kind::Fails);
    let answer = context.failed(&failing).await?;
    let event = context.report_of(&failing, &answer).await?;
    let told = event.data["history"].as_array().cloned().unwrap_or_default();
    match told.iter().find(|entry| entry["requestId"] == ask.request.as_str()) {
        None => Ok(()),
        Some(entry) => {
            let expected = format!("no evidence of the request `{}`, which is undone", ask.request);
            Err(Stop::found(expected, format!("`{entry}`")))
        }
    }
}

async fn without_undo(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let step = context.step(Verb::Compensate, &ask.saga);
    let what = "a compensation of an action without an undo";
    context.carry_out_to(&step, Outcome::NothingToCompensate, what).await?;
    let what = "a request of an action without an undo, coming after its fence";
    context.send(&ask).await.is_problem(ProblemCode::SagaFenced, what)?;
    let other = context.ask(Kind::Plain);
    context.send(&other).await.succeeds("a request of another saga")?;
    Ok(())
}

async fn repeat(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let what = "a repeated request that was compensated";
    context.send(&ask).await.is_problem(ProblemCode::SagaFenced, what)?;
    context.shows(&[&ask], 0, "after a compensated request that was repeated").await
}

async fn new_request(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let fresh = context.ask_in(&ask.saga, Kind::Plain);
    let what = "a new request of a compensated action";
    context.send(&fresh).await.is_problem(ProblemCode::SagaFenced, what)?;
    context.shows(&[&ask, &fresh], 0, "after a new request of a compensated action").await
}

async fn other_saga(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let other = context.ask(Kind::Plain);
    context.send(&other).await.succeeds("a request of another saga")?;
    context.shows(&[&other], 1, "of another saga").await
}
