//! Compensation: once, of everything, and whatever else is under way.

use crate::check::{Check, Means};
use crate::finding::{Stop, Tried};
use crate::scene::{Kind, Scene};
use crate::step::{Done, outcome_of};
use amends_protocol::{Outcome, ProblemCode, Verb};
use serde_json::json;

const SECTION: &str = "what-each-verb-means";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "compensate-repeat",
        "the same step again gets the same outcome",
        "steps come at least once; people read from the outcome what was really undone",
        "steps",
        |scene| Box::pin(repeat(scene)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-other-step",
        "another step on what is undone already says `already_compensated` and undoes nothing",
        "a reopened case asks under a new id; money given back twice is lost",
        "what-each-verb-means",
        |scene| Box::pin(other_step(scene)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-at-once",
        "of several compensations at once, one undoes",
        "a step that timed out is asked for again while the first try is still at work",
        SECTION,
        |scene| Box::pin(at_once(scene)),
    )
    .after(&["compensate-undoes", "compensate-repeat", "compensate-other-step"]),
    Check::of_action(
        "compensate-every-request",
        "one step undoes every request of the action in the saga, also those that `requestIds` does not name",
        "the supervisor may not know of all of them; the ids are a hint and never a limit",
        SECTION,
        |scene| Box::pin(every_request(scene)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-nothing",
        "where nothing happened, a compensation says `nothing_to_compensate`",
        "rules ask for more than was done, because that is safe; it must be neither an error nor a lie",
        "what-each-verb-means",
        |scene| Box::pin(nothing(scene)),
    )
    .after(&["compensate-undoes"]),
    Check::of_action(
        "compensate-failed",
        "of a request that failed without effect, there is nothing to compensate",
        "to give back what was never taken is as wrong as not to give it back",
        SECTION,
        |scene| Box::pin(failed(scene)),
    )
    .after(&["compensate-nothing"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "compensate-running",
        "a compensation does not wait for a request that still runs, and never do both take effect",
        "a request that commits after it was compensated is the one thing that nobody would ever find",
        SECTION,
        |scene| Box::pin(running(scene)),
    )
    .after(&["compensate-nothing"])
    .needs(&[Means::Running]),
];

async fn repeat(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain);
    scene.done(&ask).await?;
    let step = scene.step(Verb::Compensate, &ask.saga);
    scene.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let what = "the same step, asked for again";
    scene.carry_out_to(&step.again(), Outcome::Compensated, what).await?;
    scene.shows(&[&ask], 0, "after a step that came twice").await
}

async fn other_step(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain);
    scene.done(&ask).await?;
    let first = scene.step(Verb::Compensate, &ask.saga);
    scene.carry_out_to(&first, Outcome::Compensated, "a compensation").await?;
    let second = scene.step(Verb::Compensate, &ask.saga);
    let what = "another step on what is undone";
    scene.carry_out_to(&second, Outcome::AlreadyCompensated, what).await?;
    scene.shows(&[&ask], 0, "after two steps").await
}

async fn at_once(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain);
    scene.done(&ask).await?;
    let signer = scene.stage.config.signer.as_ref();
    let (one, other) =
        (scene.step(Verb::Compensate, &ask.saga), scene.step(Verb::Compensate, &ask.saga));
    let both = [&one, &other, &one, &other];
    let answers = scene.at_once(both.iter().map(|step| step.request(signer)).collect()).await;
    let expected = "steps that come at once are done, taken (202), or not yet (409)";
    for answer in &answers {
        let status = answer.answered(expected)?.status;
        if outcome_of(Verb::Compensate, answer).is_none() && !matches!(status, 202 | 409) {
            return Err(answer.unlike(expected));
        }
    }
    let one = scene.carry_out_patiently(&one.again()).await?;
    let other = scene.carry_out_patiently(&other.again()).await?;
    let mut outcomes = [one.outcome, other.outcome];
    outcomes.sort_unstable();
    if outcomes != [Some(Outcome::Compensated), Some(Outcome::AlreadyCompensated)] {
        let word =
            |done: &Done| done.outcome.map_or("none".to_owned(), |outcome| format!("`{outcome}`"));
        let expected = "of two steps at once one is `compensated`, the other `already_compensated`";
        return Err(Stop::found(expected, format!("{} and {}", word(&one), word(&other))));
    }
    scene.shows(&[&ask], 0, "after two steps, each twice, all at once").await
}

async fn every_request(scene: &Scene) -> Tried {
    let first = scene.ask(Kind::Plain);
    scene.done(&first).await?;
    let second = scene.ask_in(&first.saga, Kind::Plain);
    if scene.send(&second).await.answered("an answer")?.status >= 300 {
        return Err(Stop::skipped("the action succeeds only once in a saga", None));
    }
    let both = [&first, &second];
    scene.shows(&both, 2, "after two requests in one saga").await?;
    let step = scene.step(Verb::Compensate, &first.saga).with("requestIds", json!([first.request]));
    let what = "one step for two requests, of which `requestIds` names one";
    scene.carry_out_to(&step, Outcome::Compensated, what).await?;
    scene.shows(&both, 0, "after one step for two requests").await
}

async fn nothing(scene: &Scene) -> Tried {
    let saga = scene.saga();
    let step = scene.step(Verb::Compensate, &saga);
    let what = "a compensation in a saga that nobody has seen";
    scene.carry_out_to(&step, Outcome::NothingToCompensate, what).await?;
    let what = "the same step again";
    scene.carry_out_to(&step.again(), Outcome::NothingToCompensate, what).await.map(|_| ())
}

async fn failed(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Fails);
    let answer = scene.failed(&ask).await?;
    let step = scene.step(Verb::Compensate, &ask.saga);
    let done = scene.carry_out(&step).await?;
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

async fn running(scene: &Scene) -> Tried {
    let running = scene.start().await?;
    let ask = running.ask.clone();
    let step = scene.step(Verb::Compensate, &ask.saga);
    let early = scene.carry_out(&step).await?;
    let expected = "a compensation is answered while the request still runs";
    early.exchange.answered(expected)?;
    let original = scene.finish(running).await?;
    let took_effect = original.answered("the original is answered as well")?.is_success();
    let done = match early.outcome {
        Some(_) => early,
        None => scene.carry_out_patiently(&step.again()).await?,
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
    scene.shows(&[&ask], 0, "after a compensation that met its request running").await
}
