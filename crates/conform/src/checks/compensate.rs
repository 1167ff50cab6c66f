//! Compensation: once, of everything, and whatever else is under way.

use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::finding::{Stop, Tried};
use crate::step::{Done, outcome_of};
use amends_protocol::{Outcome, ProblemCode, Verb};
use serde_json::{Value, json};

const SECTION: &str = "what-each-verb-means";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "compensate-repeat",
        "the same step again gets the same outcome",
        "steps come at least once; people read from the outcome what was really undone",
        "steps",
        |context| Box::pin(repeat(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-other-step",
        "another step on what is undone already says `already_compensated` and undoes nothing",
        "a reopened case asks under a new id; money given back twice is lost",
        "what-each-verb-means",
        |context| Box::pin(other_step(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-at-once",
        "of several compensations at once, one undoes",
        "a step that timed out is asked for again while the first try is still at work",
        SECTION,
        |context| Box::pin(at_once(context)),
    )
    .after(&["compensate-undoes", "compensate-repeat", "compensate-other-step"]),
    Check::of_action(
        "compensate-every-request",
        "one step undoes every request of the action in the saga, also those that `requestIds` does not name",
        "the supervisor may not know of all of them; the ids are a hint and never a limit",
        SECTION,
        |context| Box::pin(every_request(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-nothing",
        "where nothing happened, a compensation says `nothing_to_compensate`",
        "rules ask for more than was done, because that is safe; it must be neither an error nor a lie",
        "what-each-verb-means",
        |context| Box::pin(nothing(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-failed",
        "of a request that failed without effect, there is nothing to compensate",
        "to give back what was never taken is as wrong as not to give it back",
        SECTION,
        |context| Box::pin(failed(context)),
    )
    .after(&["compensate-nothing"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "compensate-running",
        "a compensation does not wait for a request that still runs, and never do both take effect",
        "a request that commits after it was compensated is the one thing that nobody would ever find",
        SECTION,
        |context| Box::pin(running(context)),
    )
    .after(&["compensate-nothing"])
    .needs(&[Means::Running]),
    Check::of_action(
        "compensate-other-action",
        "a compensation leaves the requests of other actions alone",
        "the rulebook may want them to stay; what it wants undone it asks for",
        SECTION,
        |context| Box::pin(other_action(context)),
    )
    .after(&["compensate-undoes", "history-succeeded"])
    .needs(&[Means::OtherAction])
    .leaves("the other action's effect: it is read from History"),
    Check::of_action(
        "compensate-tells-calls",
        "if the answer to a compensation has a `history`, it tells of every call that may have taken effect",
        "the supervisor believes that nobody else was called, and what they did stays",
        SECTION,
        |context| Box::pin(tells_calls(context)),
    )
    .after(&["compensate-running"])
    .needs(&[Means::Calls])
    .leaves("answers without a `history`: the page allows them"),
];

async fn repeat(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let what = "the same step, asked for again";
    context.carry_out_to(&step.again(), Outcome::Compensated, what).await?;
    context.shows(&[&ask], 0, "after a step that came twice").await
}

async fn other_step(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let first = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&first, Outcome::Compensated, "a compensation").await?;
    let second = context.step(Verb::Compensate, &ask.saga);
    let what = "another step on what is undone";
    context.carry_out_to(&second, Outcome::AlreadyCompensated, what).await?;
    context.shows(&[&ask], 0, "after two steps").await
}

async fn at_once(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let signer = context.stage.config.signer.as_ref();
    let (one, other) =
        (context.step(Verb::Compensate, &ask.saga), context.step(Verb::Compensate, &ask.saga));
    let both = [&one, &other, &one, &other];
    let answers = context.at_once(both.iter().map(|step| step.request(signer)).collect()).await;
    let expected = "steps that come at once are done, taken (202), or not yet (409)";
    for answer in &answers {
        let status = answer.answered(expected)?.status;
        if outcome_of(Verb::Compensate, answer).is_none() && !matches!(status, 202 | 409) {
            return Err(answer.unlike(expected));
        }
    }
    let one = context.carry_out_patiently(&one.again()).await?;
    let other = context.carry_out_patiently(&other.again()).await?;
    let mut outcomes = [one.outcome, other.outcome];
    outcomes.sort_unstable();
    if outcomes != [Some(Outcome::Compensated), Some(Outcome::AlreadyCompensated)] {
        let word =
            |done: &Done| done.outcome.map_or("none".to_owned(), |outcome| format!("`{outcome}`"));
        let expected = "of two steps at once one is `compensated`, the other `already_compensated`";
        return Err(Stop::found(expected, format!("{} and {}", word(&one), word(&other))));
    }
    context.shows(&[&ask], 0, "after two steps, each twice, all at once").await
}

async fn every_request(context: &TestContext) -> Tried {
    let first = context.ask(Kind::Plain);
    context.done(&first).await?;
    let second = context.ask_in(&first.saga, Kind::Plain);
    if context.send(&second).await.answered("an answer")?.status >= 300 {
        return Err(Stop::skipped("the action succeeds only once in a saga", None));
    }
    let both = [&first, &second];
    context.shows(&both, 2, "after two requests in one saga").await?;
    let step =
        context.step(Verb::Compensate, &first.saga).with("requestIds", json!([first.request]));
    let what = "one step for two requests, of which `requestIds` names one";
    context.carry_out_to(&step, Outcome::Compensated, what).await?;
    context.shows(&both, 0, "after one step for two requests").await
}

async fn nothing(context: &TestContext) -> Tried {
    let saga = context.saga();
    let step = context.step(Verb::Compensate, &saga);
    let what = "a compensation in a saga that nobody has seen";
    context.carry_out_to(&step, Outcome::NothingToCompensate, what).await?;
    let what = "the same step again";
    context.carry_out_to(&step.again(), Outcome::NothingToCompensate, what).await.map(|_| ())
}

async fn other_action(context: &TestContext) -> Tried {
    let other = context.other_action(|_| true)?;
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let elsewhere = context.ask_of(other, &ask.saga, Kind::Plain);
    let what = format!("a request of `{}`", other.name);
    context.send(&elsewhere).await.succeeds(&what)?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let history = context.history(&ask.saga).await?;
    match history.own(&elsewhere.request) {
        Some("succeeded") => Ok(()),
        stands => {
            let name = &other.name;
            let expected =
                format!("the request of `{name}` stays `succeeded`: nobody asked for its undo");
            let came =
                stands.map_or("it is not there".to_owned(), |state| format!("it is `{state}`"));
            Err(history.exchange.wrong(expected, came))
        }
    }
}

async fn tells_calls(context: &TestContext) -> Tried {
    let ended = context.ask(Kind::Calls);
    context.let_calls_be(Vec::new());
    context.done(&ended).await?;
    told_of_call(context, &ended.saga, "after a call that succeeded").await?;
    let running = context.start().await?;
    let told = told_of_call(context, &running.ask.saga, "while its call is under way").await;
    context.finish(running).await?;
    told
}

/// That the compensation of a saga tells of the last call, if it tells of calls.
async fn told_of_call(context: &TestContext, saga: &str, what: &str) -> Tried {
    let done = context.carry_out(&context.step(Verb::Compensate, saga)).await?;
    let calls = context.downstream()?.calls();
    let call = calls.last().and_then(|call| call.request_id()).unwrap_or_default();
    let told = done.exchange.answered("an answer to a step")?.json();
    let Some(told) = told["history"].as_array() else { return Ok(()) };
    let may_stand = |state: &Value| {
        let state = state.as_str().unwrap_or_default();
        matches!(state, "started" | "succeeded" | "unknown")
    };
    match told.iter().any(|entry| entry["requestId"] == call && may_stand(&entry["state"])) {
        true => Ok(()),
        false => {
            let expected = format!(
                "a compensation, {what}: `history` tells of the call `{call}`, or is not there"
            );
            Err(done.exchange.wrong(expected, format!("{}", Value::from(told.clone()))))
        }
    }
}

async fn failed(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let answer = context.failed(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    let done = context.carry_out(&step).await?;
    let unsure = answer.says(ProblemCode::EffectUnknown);
    match done.outcome {
        Some(Outcome::NothingToCompensate) => Ok(()),
        Some(Outcome::Compensated) if unsure => Ok(()),
        _ => {
            let expected =
                "the compensation of a failed request: the outcome `nothing_to_compensate`";
            Err(done.unlike(expected))
        }
    }
}

async fn running(context: &TestContext) -> Tried {
    let running = context.start().await?;
    let ask = running.ask.clone();
    let step = context.step(Verb::Compensate, &ask.saga);
    let early = context.carry_out(&step).await?;
    let expected = "a compensation is answered while the request still runs";
    early.exchange.answered(expected)?;
    let original = context.finish(running).await?;
    let took_effect = original.answered("the original is answered as well")?.is_success();
    let done = match early.outcome {
        Some(_) => early,
        None => context.carry_out_patiently(&step.again()).await?,
    };
    let possible = [Some(Outcome::Compensated), Some(Outcome::NothingToCompensate)];
    if !possible.contains(&done.outcome) {
        let expected = "the outcome `compensated` or `nothing_to_compensate`";
        return Err(done.unlike(expected));
    }
    if took_effect && done.outcome == Some(Outcome::NothingToCompensate) {
        let expected = "the original is refused, 409 `saga-fenced`, since its compensation found nothing to undo";
        return Err(original.unlike(expected));
    }
    if !took_effect {
        original
            .is_problem(ProblemCode::SagaFenced, "a request that was compensated while it ran")?;
    }
    context.shows(&[&ask], 0, "after a compensation that met its request running").await
}
