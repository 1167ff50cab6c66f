//! `notify`: a message goes out once per saga.

use crate::check::Check;
use crate::context::{Kind, TestContext};
use crate::finding::{Stop, Tried};
use amends_protocol::{Outcome, ProblemCode, Verb};

pub(super) const CHECKS: &[Check] = &[
    Check::of_notice(
        "notify-once",
        "a notice goes out once per saga, whatever the step's id",
        "a customer who gets the same text three times calls; one who gets none does so too",
        "what-each-verb-means",
        |context| Box::pin(once(context)),
    )
    .after(&["forward-works"]),
    Check::of_notice(
        "notify-at-once",
        "of several steps for one notice at once, one sends it",
        "a step that timed out is asked for again while the first try is still at work",
        "what-each-verb-means",
        |context| Box::pin(at_once(context)),
    )
    .after(&["notify-once"]),
    Check::of_service(
        "notify-unknown",
        "a notice that the service does not have is 404 `not-found`",
        "any 200 would be taken as sent",
        "what-each-verb-means",
        |context| Box::pin(unknown(context)),
    ),
];

async fn once(context: &TestContext) -> Tried {
    let Some(notice) = &context.notice else {
        return Err(Stop::skipped("no notice is known", Some("notices: { … }")));
    };
    // Somebody has to be there to be written to.
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step_on(Verb::Notify, &ask.saga, &notice.name);
    context.carry_out_to(&step, Outcome::Notified, "a notice").await?;
    context.shows_notice(&[&ask], 1, "after one step").await?;
    context.carry_out_to(&step.again(), Outcome::Notified, "the same step again").await?;
    let other = context.step_on(Verb::Notify, &ask.saga, &notice.name);
    context.carry_out_to(&other, Outcome::Notified, "another step for the same notice").await?;
    context.shows_notice(&[&ask], 1, "after three requests for the same notice").await
}

async fn at_once(context: &TestContext) -> Tried {
    let Some(notice) = &context.notice else {
        return Err(Stop::skipped("no notice is known", Some("notices: { … }")));
    };
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let signer = context.stage.config.signer.as_ref();
    let steps = [(); 2].map(|()| context.step_on(Verb::Notify, &ask.saga, &notice.name));
    context.at_once(steps.iter().map(|step| step.request(signer)).collect()).await;
    for step in &steps {
        let done = context.carry_out_patiently(&step.again()).await?;
        if done.outcome != Some(Outcome::Notified) {
            return Err(done.unlike("a step for a notice, asked for again: the outcome `notified`"));
        }
    }
    context.shows_notice(&[&ask], 1, "after two steps for one notice at once").await
}

async fn unknown(context: &TestContext) -> Tried {
    let step = context.step_on(Verb::Notify, &context.saga(), "no-such-notice");
    let exchange = context.ask_step(&step).await;
    exchange.is_problem(ProblemCode::NotFound, "a step for an unknown notice").map(|_| ())
}
