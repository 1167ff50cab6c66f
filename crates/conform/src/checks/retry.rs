//! `retry`: the stored request runs again, and only where it may.

use crate::check::{Check, Means};
use crate::context::{Ask, Kind, TestContext};
use crate::fakes::Reply;
use crate::finding::{Stop, Tried};
use amends_protocol::{Outcome, PROBLEM_TYPE_BASE, ProblemCode, Verb};
use serde_json::json;

const SECTION: &str = "what-each-verb-means";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "retry-succeeded",
        "a `retry` of a request that succeeded says `retried` and runs nothing",
        "a report may be older than the success; running again would do it twice",
        "what-each-verb-means",
        |context| Box::pin(succeeded(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "retry-unknown",
        "a `retry` of what never came is 404 `not-found`",
        "the request may still be on its way; a refusal would stop the case for good",
        "what-each-verb-means",
        |context| Box::pin(unknown(context)),
    ),
    Check::of_action(
        "retry-fenced",
        "a `retry` of what was compensated is refused",
        "backward beats forward: what is undone must not be done again",
        "what-each-verb-means",
        |context| Box::pin(fenced(context)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "retry-fails-again",
        "a `retry` that fails again asks to be tried later, and makes no new report",
        "the supervisor goes on trying as its rule says; a new report would begin a second plan for the same failure",
        SECTION,
        |context| Box::pin(fails_again(context)),
    )
    .after(&["forward-works", "report-arrives"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "retry-runs-again",
        "a `retry` of a request that failed runs it with its stored contents, under its own id",
        "\"retry the order only\" needs no caller that still knows what was ordered",
        SECTION,
        |context| Box::pin(runs_again(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "retry-running",
        "a `retry` of a request that still runs says \"not yet\", 409",
        "it would run twice at the same time",
        "what-each-verb-means",
        |context| Box::pin(running(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Running]),
    Check::of_action(
        "retry-fenced-failure",
        "a `retry` of a failed request is refused once its action was compensated",
        "backward beats forward, also where there was nothing to undo",
        SECTION,
        |context| Box::pin(fenced_failure(context)),
    )
    .after(&["compensate-failed"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "retry-unknown-fenced",
        "a `retry` of what never came is refused where the fence is up, since it cannot come any more",
        "404 says that it may still come; the supervisor would ask for a day",
        "the-life-of-a-request",
        |context| Box::pin(unknown_fenced(context)),
    )
    .after(&["retry-unknown", "fence-late-request"]),
    Check::of_action(
        "retry-latest",
        "a `retry` that names no request means the latest that did not succeed",
        "it is the one that the saga went on from",
        SECTION,
        |context| Box::pin(latest(context)),
    )
    .after(&["retry-runs-again", "history-succeeded", "history-failed"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "retry-named",
        "a `retry` that names a failed request means that one, not a later one",
        "each failed request has a step of its own; one of them would run twice and the other never",
        SECTION,
        |context| Box::pin(named(context)),
    )
    .after(&["retry-runs-again", "history-succeeded", "history-failed"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "retry-named-succeeded",
        "a `retry` that names a request that succeeded meanwhile runs nothing, also no other one",
        "the other one has a step of its own, and perhaps shall not run at all",
        SECTION,
        |context| Box::pin(named_succeeded(context)),
    )
    .after(&["retry-named"])
    .needs(&[Means::Calls]),
];

async fn succeeded(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Retry, &ask.saga);
    context.carry_out_to(&step, Outcome::Retried, "the retry of a request that succeeded").await?;
    context.shows(&[&ask], 1, "after a retry of what had succeeded").await
}

async fn unknown(context: &TestContext) -> Tried {
    let step = context.step(Verb::Retry, &context.saga());
    let done = context.carry_out(&step).await?;
    done.exchange.is_problem(ProblemCode::NotFound, "the retry of what never came").map(|_| ())
}

async fn fenced(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let undo = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&undo, Outcome::Compensated, "a compensation").await?;
    let done = context.carry_out(&context.step(Verb::Retry, &ask.saga)).await?;
    if !done.is_refusal() {
        return Err(done.unlike("the retry of what was compensated: a problem of type `refused`"));
    }
    context.shows(&[&ask], 0, "after a retry of what was compensated").await
}

async fn fails_again(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let first = context.failed(&ask).await?;
    let reports = context.stage.supervisor.is_some();
    let report = match reports {
        true => Some(context.report_of(&ask, &first).await?.id),
        false => None,
    };
    let done = context.carry_out(&context.step(Verb::Retry, &ask.saga)).await?;
    let expected = "a retry that fails again: an answer after which the supervisor asks again, best 503 `unavailable`";
    let answer = done.exchange.answered(expected)?;
    if answer.is_success() || answer.status == 422 || done.is_refusal() {
        return Err(done.unlike(expected));
    }
    let Some(report) = report else { return Ok(()) };
    let others = context.all_reports_of(&ask.saga).await?;
    match others.iter().find(|event| event.id != report) {
        None => Ok(()),
        Some(other) => Err(Stop::found(
            "no new report of a retry that fails",
            format!("the report `{}`", other.id),
        )),
    }
}

/// What the called service says when it fails for sure.
pub(super) fn failing_call(report: Option<&str>) -> Reply {
    Reply::Problem {
        status: ProblemCode::ActionFailed.status(),
        type_uri: format!("{PROBLEM_TYPE_BASE}{}", ProblemCode::ActionFailed.as_str()),
        report: report.map(str::to_owned),
    }
}

async fn runs_again(context: &TestContext) -> Tried {
    context.let_calls_be(vec![failing_call(None)]);
    let ask = context.ask(Kind::Calls);
    let expected = "the request of `calls` fails when its call fails";
    let first = context.send(&ask).await;
    if first.answered(expected)?.is_success() {
        return Err(first.unlike(expected));
    }
    let step = context.step(Verb::Retry, &ask.saga);
    let what = "the retry of a request that can succeed by now";
    context.carry_out_to(&step, Outcome::Retried, what).await?;
    context
        .carry_out_to(&step.again(), Outcome::Retried, "the same retry, asked for again")
        .await?;
    context.send(&ask).await.succeeds("the request, repeated after its retry")?;
    let calls = context.downstream()?.calls();
    let bodies: Vec<_> = calls.iter().map(|call| call.body.clone()).collect();
    if calls.len() != 2 || bodies.first() != bodies.last() {
        let expected = "the request calls the other service once in each of its two runs, with the same contents";
        let all: Vec<String> = bodies.iter().map(|b| crate::finding::shown_body(b)).collect();
        return Err(Stop::found(expected, format!("{} calls: {}", calls.len(), all.join(", "))));
    }
    context.shows(&[&ask], 1, "after a retry").await
}

async fn fenced_failure(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    context.carry_out(&context.step(Verb::Compensate, &ask.saga)).await?;
    must_be_refused(context, &ask.saga, "the retry of a failed request that was compensated").await
}

async fn unknown_fenced(context: &TestContext) -> Tried {
    let saga = context.saga();
    let undo = context.step(Verb::Compensate, &saga);
    let what = "a compensation in a saga that nobody has seen";
    context.carry_out_to(&undo, Outcome::NothingToCompensate, what).await?;
    must_be_refused(context, &saga, "the retry of what never came, behind the fence").await
}

async fn must_be_refused(context: &TestContext, saga: &str, what: &str) -> Tried {
    let done = context.carry_out(&context.step(Verb::Retry, saga)).await?;
    match done.is_refusal() {
        true => Ok(()),
        false => Err(done.unlike(format!("{what}: a problem of type `refused`"))),
    }
}

/// Two requests of one saga that failed since their calls did, the earlier one first.
async fn two_failed(context: &TestContext) -> Tried<[Ask; 2]> {
    context.let_calls_be(vec![failing_call(None), failing_call(None)]);
    let first = context.ask(Kind::Calls);
    let second = context.ask_in(&first.saga, Kind::Calls);
    for ask in [&first, &second] {
        let expected = "the request of `calls` fails when its call fails";
        let failed = context.send(ask).await;
        if failed.answered(expected)?.is_success() {
            return Err(failed.unlike(expected));
        }
    }
    Ok([first, second])
}

/// Asks for a retry that names these requests, and looks that of two failed ones just this one has succeeded then.
async fn retries(context: &TestContext, asks: [&Ask; 2], named: &[&Ask], meant: &Ask) -> Tried {
    let saga = &meant.saga;
    let ids: Vec<&str> = named.iter().map(|ask| ask.request.as_str()).collect();
    let step = context.step(Verb::Retry, saga);
    let step = if ids.is_empty() { step } else { step.with("requestIds", json!(ids)) };
    let what = match ids.as_slice() {
        [] => "a retry that names no request".to_owned(),
        ids => format!("a retry that names `{}`", ids.join("`, `")),
    };
    context.carry_out_to(&step, Outcome::Retried, &what).await?;
    let history = context.history(saga).await?;
    let succeeded: Vec<&str> = asks
        .iter()
        .map(|ask| ask.request.as_str())
        .filter(|request| history.own(request) == Some("succeeded"))
        .collect();
    match succeeded == [meant.request.as_str()] {
        true => Ok(()),
        false => {
            let all = asks.map(|ask| ask.request.as_str()).join("` and `");
            let expected = format!(
                "{what}, of the failed `{all}`: just `{}` has succeeded then",
                meant.request
            );
            Err(history
                .exchange
                .wrong(expected, format!("these have: `{}`", succeeded.join("`, `"))))
        }
    }
}

async fn latest(context: &TestContext) -> Tried {
    let [first, second] = &two_failed(context).await?;
    retries(context, [first, second], &[], second).await
}

async fn named(context: &TestContext) -> Tried {
    let [first, second] = &two_failed(context).await?;
    retries(context, [first, second], &[first], first).await
}

async fn named_succeeded(context: &TestContext) -> Tried {
    let [first, second] = &two_failed(context).await?;
    retries(context, [first, second], &[first], first).await?;
    // Another step for it: the supervisor does not know yet that it succeeded.
    retries(context, [first, second], &[first], first).await
}

async fn running(context: &TestContext) -> Tried {
    let running = context.start().await?;
    let ask = running.ask.clone();
    let step = context.step(Verb::Retry, &ask.saga);
    let exchange = context.ask_step(&step).await;
    let expected = "the retry of a request that still runs: 409, or 202 if the step waits for it";
    let status = exchange.answered(expected)?.status;
    context.finish(running).await?;
    if !matches!(status, 202 | 409) {
        return Err(exchange.unlike(expected));
    }
    context.shows(&[&ask], 1, "after a retry that met its request running").await
}
