//! `retry`: the stored request runs again, and only where it may.

use crate::check::{Check, Means};
use crate::finding::{Stop, Tried};
use crate::scene::{Kind, Scene};
use crate::stands::Reply;
use amends_protocol::{Outcome, PROBLEM_TYPE_BASE, ProblemCode, Verb};

const SECTION: &str = "what-each-verb-means";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "retry-succeeded",
        "a `retry` of a request that succeeded says `retried` and runs nothing",
        "a report may be older than the success; running again would do it twice",
        "what-each-verb-means",
        |scene| Box::pin(succeeded(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "retry-unknown",
        "a `retry` of what never came is 404 `not-found`",
        "the request may still be on its way; a refusal would stop the case for good",
        "what-each-verb-means",
        |scene| Box::pin(unknown(scene)),
    ),
    Check::of_action(
        "retry-fenced",
        "a `retry` of what was compensated is refused",
        "backward beats forward: what is undone must not be done again",
        "what-each-verb-means",
        |scene| Box::pin(fenced(scene)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "retry-fails-again",
        "a `retry` that fails again asks to be tried later, and makes no new report",
        "the supervisor goes on trying as its rule says; a new report would begin a second plan for the same failure",
        SECTION,
        |scene| Box::pin(fails_again(scene)),
    )
    .after(&["forward-works", "report-arrives"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "retry-runs-again",
        "a `retry` of a request that failed runs it with its stored contents, under its own id",
        "\"retry the order only\" needs no caller that still knows what was ordered",
        SECTION,
        |scene| Box::pin(runs_again(scene)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "retry-running",
        "a `retry` of a request that still runs says \"not yet\", 409",
        "it would run twice at the same time",
        "what-each-verb-means",
        |scene| Box::pin(running(scene)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Running]),
];

async fn succeeded(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain);
    scene.done(&ask).await?;
    let step = scene.step(Verb::Retry, &ask.saga);
    scene.carry_out_to(&step, Outcome::Retried, "the retry of a request that succeeded").await?;
    scene.shows(&[&ask], 1, "after a retry of what had succeeded").await
}

async fn unknown(scene: &Scene) -> Tried {
    let step = scene.step(Verb::Retry, &scene.saga());
    let done = scene.carry_out(&step).await?;
    done.exchange.is_problem(ProblemCode::NotFound, "the retry of what never came").map(|_| ())
}

async fn fenced(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain);
    scene.done(&ask).await?;
    let undo = scene.step(Verb::Compensate, &ask.saga);
    scene.carry_out_to(&undo, Outcome::Compensated, "a compensation").await?;
    let done = scene.carry_out(&scene.step(Verb::Retry, &ask.saga)).await?;
    if !done.is_refusal() {
        return Err(done.unlike("the retry of what was compensated: a problem of type `refused`"));
    }
    scene.shows(&[&ask], 0, "after a retry of what was compensated").await
}

async fn fails_again(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Fails);
    let first = scene.failed(&ask).await?;
    let reports = scene.stage.supervisor.is_some();
    let report = match reports {
        true => Some(scene.report_of(&ask, &first).await?.id),
        false => None,
    };
    let done = scene.carry_out(&scene.step(Verb::Retry, &ask.saga)).await?;
    let expected = "a retry that fails again: an answer after which the supervisor asks again, best 503 `unavailable`";
    let answer = done.exchange.answered(expected)?;
    if answer.is_success() || answer.status == 422 || done.is_refusal() {
        return Err(done.unlike(expected));
    }
    let Some(report) = report else { return Ok(()) };
    let others = scene.all_reports_of(&ask.saga).await?;
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

async fn runs_again(scene: &Scene) -> Tried {
    scene.let_calls_be(vec![failing_call(None)]);
    let ask = scene.ask(Kind::Calls);
    let expected = "the request of `calls` fails when its call fails";
    let first = scene.send(&ask).await;
    if first.answered(expected)?.is_success() {
        return Err(first.unlike(expected));
    }
    let step = scene.step(Verb::Retry, &ask.saga);
    let what = "the retry of a request that can succeed by now";
    scene.carry_out_to(&step, Outcome::Retried, what).await?;
    scene.carry_out_to(&step.again(), Outcome::Retried, "the same retry, asked for again").await?;
    scene.send(&ask).await.succeeds("the request, repeated after its retry")?;
    let calls = scene.downstream()?.calls();
    let bodies: Vec<_> = calls.iter().map(|call| call.body.clone()).collect();
    if calls.len() != 2 || bodies.first() != bodies.last() {
        let expected = "the request calls the other service once in each of its two runs, with the same contents";
        let all: Vec<String> = bodies.iter().map(|b| crate::finding::shown_body(b)).collect();
        return Err(Stop::found(expected, format!("{} calls: {}", calls.len(), all.join(", "))));
    }
    scene.shows(&[&ask], 1, "after a retry").await
}

async fn running(scene: &Scene) -> Tried {
    let running = scene.start().await?;
    let ask = running.ask.clone();
    let step = scene.step(Verb::Retry, &ask.saga);
    let exchange = scene.ask_step(&step).await;
    let expected = "the retry of a request that still runs: 409, or 202 if the step waits for it";
    let status = exchange.answered(expected)?.status;
    scene.finish(running).await?;
    if !matches!(status, 202 | 409) {
        return Err(exchange.unlike(expected));
    }
    scene.shows(&[&ask], 1, "after a retry that met its request running").await
}
