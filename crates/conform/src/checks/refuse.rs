//! Compensations that the service refuses: said rightly, without half a deed, and with the fence up.

use crate::check::{Check, Means};
use crate::finding::Tried;
use crate::scene::{Ask, Kind, Scene};
use crate::step::Done;
use amends_protocol::{ProblemCode, Verb};

const SECTION: &str = "what-each-verb-means";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "refuse-is-problem",
        "a refused compensation is a problem of type `refused`, or 200 with the outcome `refused`",
        "the supervisor then asks a person; any other answer is tried again and again, or taken for done",
        "what-each-verb-means",
        |scene| Box::pin(is_problem(scene)),
    )
    .after(&["compensate-undoes"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-keeps",
        "a refused compensation undoes nothing and is not remembered as an outcome",
        "a person decides on what History shows, and may ask again",
        SECTION,
        |scene| Box::pin(keeps(scene)),
    )
    .after(&["refuse-is-problem"])
    .needs(&[Means::RefusesWith]),
    Check::of_action(
        "refuse-fences",
        "after a refusal nothing of the action starts in this saga any more, neither anew nor by `retry`",
        "while a person decides, nothing may be added to what there is to decide about",
        SECTION,
        |scene| Box::pin(fences(scene)),
    )
    .after(&["refuse-is-problem"])
    .needs(&[Means::RefusesWith]),
];

/// Sends the request whose compensation is refused, and asks for it.
async fn refused(scene: &Scene) -> Tried<(Ask, Done)> {
    let ask = scene.ask(Kind::Refuses);
    scene.done(&ask).await?;
    let done = scene.carry_out(&scene.step(Verb::Compensate, &ask.saga)).await?;
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

async fn is_problem(scene: &Scene) -> Tried {
    let (_, done) = refused(scene).await?;
    must_refuse(&done)
}

async fn keeps(scene: &Scene) -> Tried {
    let (ask, done) = refused(scene).await?;
    must_refuse(&done)?;
    scene.shows(&[&ask], 1, "after a refused compensation").await?;
    let history = scene.history(&ask.saga).await?;
    if history.own(&ask.request) == Some("compensated") {
        let expected = "the request stays what it was, since nothing was undone";
        return Err(history.exchange.wrong(expected, "it is `compensated`"));
    }
    let again = scene.carry_out(&scene.step(Verb::Compensate, &ask.saga)).await?;
    must_refuse(&again)
}

async fn fences(scene: &Scene) -> Tried {
    let (ask, done) = refused(scene).await?;
    must_refuse(&done)?;
    let fresh = scene.ask_in(&ask.saga, Kind::Plain);
    let what = "a new request of an action whose compensation was refused";
    scene.send(&fresh).await.is_problem(ProblemCode::SagaFenced, what)?;
    scene.shows(&[&ask, &fresh], 1, "after a new request that was refused").await
}
