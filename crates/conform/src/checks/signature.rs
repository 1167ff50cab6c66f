//! Signatures: who may ask for steps and read History.

use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::finding::Tried;
use crate::step::Signed;
use amends_protocol::{Outcome, ProblemCode, Verb};

const SECTION: &str = "signatures";

pub(super) const CHECKS: &[Check] = &[
    Check::of_service(
        "signature-missing",
        "a step without a signature is refused with 401, and nothing is undone",
        "whoever reaches the port could undo orders",
        SECTION,
        |context| Box::pin(refused(context, Signed::NotAtAll, "a step without a signature")),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::Signing]),
    Check::of_service(
        "signature-wrong",
        "a step that a stranger signed is refused with 401, and nothing is undone",
        "a signature that is not compared is none",
        SECTION,
        |context| Box::pin(refused(context, Signed::ByStranger, "a step that a stranger signed")),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::Signing]),
    Check::of_service(
        "signature-old",
        "a step whose signature is ten minutes old, or ahead, is refused with 401",
        "what was recorded once could be played again at any time",
        SECTION,
        |context| Box::pin(old(context)),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::Signing]),
    Check::of_service(
        "signature-other-body",
        "a step whose signature is of another body is refused with 401",
        "the contents could be changed on their way",
        SECTION,
        |context| {
            Box::pin(refused(
                context,
                Signed::OverAnotherBody,
                "a step whose signature is of another body",
            ))
        },
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::Signing]),
    Check::of_service(
        "signature-rotation",
        "of several signatures one that fits is enough",
        "while a key is replaced, the supervisor signs with both",
        SECTION,
        |context| Box::pin(rotation(context)),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::Signing]),
    Check::of_service(
        "signature-version",
        "a signature of another version is ignored, whatever it holds",
        "the day that a second version comes, nothing may break, and nothing may get through",
        SECTION,
        |context| Box::pin(version(context)),
    )
    .after(&["signature-rotation", "signature-wrong"])
    .needs(&[Means::Signing]),
    Check::of_service(
        "signature-history",
        "a reading of History without a right signature is refused with 401",
        "History tells who ordered what",
        SECTION,
        |context| Box::pin(history(context)),
    )
    .after(&["history-unknown-saga"])
    .needs(&[Means::Signing]),
];

async fn refused(context: &TestContext, signed: Signed, what: &str) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    let exchange = context.ask_step(&step.clone().signed(signed)).await;
    exchange.is_problem(ProblemCode::Unauthorized, what)?;
    context.shows(&[&ask], 1, "after a step that was refused").await?;
    // Had the refused one been carried out or remembered, this would not be the first.
    context
        .carry_out_to(&step, Outcome::Compensated, "the same step, rightly signed")
        .await
        .map(|_| ())
}

async fn old(context: &TestContext) -> Tried {
    refused(context, Signed::LongAgo, "a step whose signature is ten minutes old").await?;
    refused(context, Signed::LongAhead, "a step whose signature is ten minutes ahead").await
}

async fn rotation(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga).signed(Signed::ByBoth);
    let what = "a step with two signatures, the second one right";
    context.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}

async fn version(context: &TestContext) -> Tried {
    let what = "a step whose only signature is of another version, with the right bytes";
    refused(context, Signed::AsAnotherVersion, what).await?;
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga).signed(Signed::BesideAnotherVersion);
    let what = "a step with a signature of another version beside the right one";
    context.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}

async fn history(context: &TestContext) -> Tried {
    let saga = context.saga();
    for (signed, what) in [
        (Signed::NotAtAll, "a reading of History without a signature"),
        (Signed::ByStranger, "a reading of History that a stranger signed"),
    ] {
        let exchange = context.exchange(context.history_request(&saga, signed)).await;
        exchange.is_problem(ProblemCode::Unauthorized, what)?;
    }
    Ok(())
}
