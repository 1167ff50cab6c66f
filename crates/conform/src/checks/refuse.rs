//! Compensations that the service refuses: said rightly, without half an undo, and with the fence up.

use super::retry::failing_call;
use crate::check::{Check, Means};
use crate::context::{Ask, Kind, TestContext};
use crate::finding::{Stop, Tried};
use crate::step::Done;
use crate::wire::Exchange;
use amends_protocol::{ProblemCode, Verb};
use serde_json::json;

const SECTION: &str = "what-each-verb-means";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "refuse-is-problem",
        "a refused compensation is a problem of type `refused`, or 200 with the outcome `refused`",
        "the supervisor then asks a person; any other answer is tried again and again, or taken for done",
        SECTION,
        |context| Box::pin(is_problem(context)),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-keeps",
        "a refused compensation undoes nothing and is not remembered as an outcome",
        "a person decides on what History shows, and may ask again",
        SECTION,
        |context| Box::pin(keeps(context)),
    )
    .after(&["refuse-is-problem"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-fences",
        "after a refusal nothing of the action starts in this saga any more, neither anew nor by `retry`",
        "while a person decides, nothing may be added to what there is to decide about",
        SECTION,
        |context| Box::pin(fences(context)),
    )
    .after(&["refuse-is-problem"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-whole",
        "a refused compensation undoes none of several requests, and leaves each as it was",
        "half an undo is the one thing that a person cannot read from History",
        SECTION,
        |context| Box::pin(whole(context)),
    )
    .after(&["refuse-keeps", "history-succeeded", "history-failed", "failure-has-no-effect"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-repeat",
        "after a refusal, a finished request that is repeated still gets its first answer",
        "nothing of it was undone, so its caller may count on it",
        "the-life-of-a-request",
        |context| Box::pin(repeat(context)),
    )
    .after(&["refuse-fences", "forward-repeat"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-retry",
        "after a refusal no failed request runs again",
        "it would add an effect to what a person is deciding about",
        SECTION,
        |context| Box::pin(no_retry(context)),
    )
    .after(&["refuse-fences"])
    .needs(&[Means::RefusesWith, Means::Calls]),
    Check::of_action(
        "refuse-running",
        "a request that runs while its compensation is refused takes no effect any more",
        "it would commit behind the back of whoever decides what to do about the refusal",
        SECTION,
        |context| Box::pin(bars_running(context)),
    )
    .after(&["refuse-fences", "compensate-running"])
    .needs(&[Means::RefusesWith, Means::Running]),
    Check::of_action(
        "refuse-turned-away",
        "a request that is turned away at its end by the fence of a refusal is `unknown` in History",
        "one that stays `started` keeps its case open for ever, and is reported as crashed after a while",
        SECTION,
        |context| Box::pin(turned_away(context)),
    )
    .after(&["refuse-running", "history-started"])
    .needs(&[Means::RefusesWith, Means::Running]),
];

/// Sends the request whose compensation is refused, and asks for it.
async fn refused(context: &TestContext) -> Tried<(Ask, Done)> {
    let ask = context.ask(Kind::Refuses);
    context.done(&ask).await?;
    let done = context.carry_out(&context.step(Verb::Compensate, &ask.saga)).await?;
    Ok((ask, done))
}

fn must_refuse(done: &Done) -> Tried {
    let expected = "a compensation that the service refuses: a problem of type `refused` with 400 to 599, or 200 with \
                    the outcome `refused`";
    match done.is_refusal() {
        true => Ok(()),
        false => Err(done.unlike(expected)),
    }
}

async fn is_problem(context: &TestContext) -> Tried {
    let (_, done) = refused(context).await?;
    must_refuse(&done)
}

async fn keeps(context: &TestContext) -> Tried {
    let (ask, done) = refused(context).await?;
    must_refuse(&done)?;
    context.shows(&[&ask], 1, "after a refused compensation").await?;
    let history = context.history(&ask.saga).await?;
    if history.own(&ask.request) == Some("compensated") {
        let expected = "the request stays what it was, since nothing was undone";
        return Err(history.exchange.wrong(expected, "it is `compensated`"));
    }
    let again = context.carry_out(&context.step(Verb::Compensate, &ask.saga)).await?;
    must_refuse(&again)
}

async fn fences(context: &TestContext) -> Tried {
    let (ask, done) = refused(context).await?;
    must_refuse(&done)?;
    let fresh = context.ask_in(&ask.saga, Kind::Plain);
    let what = "a new request of an action whose compensation was refused";
    context.send(&fresh).await.is_problem(ProblemCode::SagaFenced, what)?;
    context.shows(&[&ask, &fresh], 1, "after a new request that was refused").await
}

async fn whole(context: &TestContext) -> Tried {
    let plain = context.ask(Kind::Plain);
    context.done(&plain).await?;
    let failing = match context.action.fails_with {
        Some(_) => {
            let failing = context.ask_in(&plain.saga, Kind::Fails);
            let unsure = context.failed(&failing).await?.says(ProblemCode::EffectUnknown);
            Some((failing.request, if unsure { "unknown" } else { "failed" }))
        }
        None => None,
    };
    let refusing = context.ask_in(&plain.saga, Kind::Refuses);
    if !context.send(&refusing).await.answered("an answer")?.is_success() {
        return Err(Stop::skipped("the action succeeds only once in a saga", None));
    }
    must_refuse(&context.carry_out(&context.step(Verb::Compensate, &plain.saga)).await?)?;
    context
        .shows(&[&plain, &refusing], 2, "after a refusal that was about one of two requests")
        .await?;
    let history = context.history(&plain.saga).await?;
    let stood = [(plain.request, "succeeded"), (refusing.request, "succeeded")];
    for (request, state) in stood.into_iter().chain(failing) {
        if history.own(&request) != Some(state) {
            let expected = format!("after a refusal, the request `{request}` is still `{state}`");
            let came = history.own(&request).unwrap_or("nothing").to_owned();
            return Err(history.exchange.wrong(expected, format!("`{came}`")));
        }
    }
    Ok(())
}

async fn repeat(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Refuses);
    let first = context.done(&ask).await?;
    must_refuse(&context.carry_out(&context.step(Verb::Compensate, &ask.saga)).await?)?;
    let what = "a finished request, repeated after its compensation was refused";
    context.send(&ask).await.repeats(first.answered("an answer")?, what).map(|_| ())
}

async fn no_retry(context: &TestContext) -> Tried {
    context.let_calls_be(vec![failing_call(None)]);
    let failing = context.ask(Kind::Calls);
    let expected = "the request of `calls` fails when its call fails";
    let failed = context.send(&failing).await;
    if failed.answered(expected)?.is_success() {
        return Err(failed.unlike(expected));
    }
    let refusing = context.ask_in(&failing.saga, Kind::Refuses);
    context.done(&refusing).await?;
    must_refuse(&context.carry_out(&context.step(Verb::Compensate, &failing.saga)).await?)?;
    let before = context.downstream()?.calls().len();
    let retry =
        context.step(Verb::Retry, &failing.saga).with("requestIds", json!([failing.request]));
    let done = context.carry_out(&retry).await?;
    if !done.is_refusal() {
        let expected = "the retry of a failed request after a refusal: a problem of type `refused`";
        return Err(done.unlike(expected));
    }
    match context.downstream()?.calls().len() == before {
        true => Ok(()),
        false => {
            Err(done.exchange.wrong("a retry after a refusal runs nothing", "it made its call"))
        }
    }
}

/// A request that runs while the compensation of its action in its saga is refused, let go then.
async fn running_when_refused(context: &TestContext) -> Tried<(Ask, Ask, Exchange)> {
    let refusing = context.ask(Kind::Refuses);
    context.done(&refusing).await?;
    let running = context.start_in(&refusing.saga).await?;
    let ask = running.ask.clone();
    let done = context.carry_out(&context.step(Verb::Compensate, &ask.saga)).await;
    let original = context.finish(running).await?;
    must_refuse(&done?)?;
    Ok((refusing, ask, original))
}

async fn bars_running(context: &TestContext) -> Tried {
    let (refusing, ask, original) = running_when_refused(context).await?;
    let what = "a request that ran while its compensation was refused";
    original.is_problem(ProblemCode::SagaFenced, what)?;
    context
        .shows(&[&refusing, &ask], 1, "after a request that ran while its compensation was refused")
        .await
}

async fn turned_away(context: &TestContext) -> Tried {
    let (_, ask, _) = running_when_refused(context).await?;
    let history = context.history(&ask.saga).await?;
    match history.own(&ask.request) {
        Some("unknown") => Ok(()),
        state => {
            let expected = "a request that was turned away after a refusal is `unknown`";
            let came =
                state.map_or("it is not there".to_owned(), |state| format!("it is `{state}`"));
            Err(history.exchange.wrong(expected, came))
        }
    }
}
