//! `retry`: the stored request runs again, and only where it may.

use crate::check::{Check, Means};
use crate::finding::{Stop, Tried};
use crate::scene::{Ask, Kind, Scene};
use crate::stands::Reply;
use amends_protocol::{Outcome, PROBLEM_TYPE_BASE, ProblemCode, Verb};
use serde_json::json;

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
    Check::of_action(
        "retry-fenced-failure",
        "a `retry` of a failed request is refused once its action was compensated",
        "backward beats forward, also where there was nothing to undo",
        SECTION,
        |scene| Box::pin(fenced_failure(scene)),
    )
    .after(&["compensate-failed"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "retry-unknown-fenced",
        "a `retry` of what never came is refused where the fence is up, since it cannot come any more",
        "404 says that it may still come; the supervisor would ask for a day",
        "the-life-of-a-request",
        |scene| Box::pin(unknown_fenced(scene)),
    )
    .after(&["retry-unknown", "fence-late-request"]),
    Check::of_action(
        "retry-latest",
        "a `retry` that names no request means the latest that did not succeed",
        "it is the one that the saga went on from",
        SECTION,
        |scene| Box::pin(latest(scene)),
    )
    .after(&["retry-runs-again", "history-succeeded", "history-failed"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "retry-named",
        "a `retry` that names a failed request means that one, not a later one",
        "each failed request has a step of its own; one of them would run twice and the other never",
        SECTION,
        |scene| Box::pin(named(scene)),
    )
    .after(&["retry-runs-again", "history-succeeded", "history-failed"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "retry-named-succeeded",
        "a `retry` that names a request that succeeded meanwhile runs nothing, also no other one",
        "the other one has a step of its own, and perhaps shall not run at all",
        SECTION,
        |scene| Box::pin(named_succeeded(scene)),
    )
    .after(&["retry-named"])
    .needs(&[Means::Calls]),
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

async fn fenced_failure(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Fails);
    scene.failed(&ask).await?;
    scene.carry_out(&scene.step(Verb::Compensate, &ask.saga)).await?;
    must_be_refused(scene, &ask.saga, "the retry of a failed request that was compensated").await
}

async fn unknown_fenced(scene: &Scene) -> Tried {
    let saga = scene.saga();
    let undo = scene.step(Verb::Compensate, &saga);
    let what = "a compensation in a saga that nobody has seen";
    scene.carry_out_to(&undo, Outcome::NothingToCompensate, what).await?;
    must_be_refused(scene, &saga, "the retry of what never came, behind the fence").await
}

async fn must_be_refused(scene: &Scene, saga: &str, what: &str) -> Tried {
    let done = scene.carry_out(&scene.step(Verb::Retry, saga)).await?;
    match done.is_refusal() {
        true => Ok(()),
        false => Err(done.unlike(format!("{what}: a problem of type `refused`"))),
    }
}

/// Two requests of one saga that failed since their calls did, the earlier one first.
async fn two_failed(scene: &Scene) -> Tried<[Ask; 2]> {
    scene.let_calls_be(vec![failing_call(None), failing_call(None)]);
    let first = scene.ask(Kind::Calls);
    let second = scene.ask_in(&first.saga, Kind::Calls);
    for ask in [&first, &second] {
        let expected = "the request of `calls` fails when its call fails";
        let failed = scene.send(ask).await;
        if failed.answered(expected)?.is_success() {
            return Err(failed.unlike(expected));
        }
    }
    Ok([first, second])
}

/// Asks for a retry that names these requests, and looks that of two failed ones just this one has succeeded then.
async fn retries(scene: &Scene, asks: [&Ask; 2], named: &[&Ask], meant: &Ask) -> Tried {
    let saga = &meant.saga;
    let ids: Vec<&str> = named.iter().map(|ask| ask.request.as_str()).collect();
    let step = scene.step(Verb::Retry, saga);
    let step = if ids.is_empty() { step } else { step.with("requestIds", json!(ids)) };
    let what = match ids.as_slice() {
        [] => "a retry that names no request".to_owned(),
        ids => format!("a retry that names `{}`", ids.join("`, `")),
    };
    scene.carry_out_to(&step, Outcome::Retried, &what).await?;
    let history = scene.history(saga).await?;
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

async fn latest(scene: &Scene) -> Tried {
    let [first, second] = &two_failed(scene).await?;
    retries(scene, [first, second], &[], second).await
}

async fn named(scene: &Scene) -> Tried {
    let [first, second] = &two_failed(scene).await?;
    retries(scene, [first, second], &[first], first).await
}

async fn named_succeeded(scene: &Scene) -> Tried {
    let [first, second] = &two_failed(scene).await?;
    retries(scene, [first, second], &[first], first).await?;
    // Another step for it: the supervisor does not know yet that it succeeded.
    retries(scene, [first, second], &[first], first).await
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
