//! Failures as the caller sees them.

use crate::check::{Check, Means};
use crate::finding::Tried;
use crate::scene::{Kind, Scene};
use crate::stands::Take;
use amends_protocol::ProblemCode;

const SECTION: &str = "forward-requests";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "failure-is-problem",
        "a business failure is a problem `action-failed` or `effect-unknown` with the code of its report",
        "the caller decides by the type whether the action may have had an effect; any other 5xx proves nothing",
        SECTION,
        |scene| Box::pin(is_problem(scene)),
    )
    .after(&["forward-works"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "failure-names-request",
        "a failed answer says which saga and which request it belongs to",
        "logs on both sides are laid side by side when something failed, not when all went well",
        SECTION,
        |scene| Box::pin(names_request(scene)),
    )
    .after(&["forward-names"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "failure-has-no-effect",
        "a request that failed without effect has none",
        "the caller counts it as never happened, and nobody would ever undo it",
        SECTION,
        |scene| Box::pin(has_no_effect(scene)),
    )
    .after(&["failure-is-problem"])
    .needs(&[Means::FailsWith, Means::Observe]),
    Check::of_action(
        "failure-does-not-wait",
        "the caller gets its answer while the supervisor does not answer",
        "the supervisor is needed to clear up, not to fail; its absence must not make every failure slow",
        "reports",
        |scene| Box::pin(does_not_wait(scene)),
    )
    .after(&["forward-works"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
];

async fn is_problem(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Fails);
    let exchange = scene.failed(&ask).await?;
    let expected = "a business failure: a problem of type `action-failed` or `effect-unknown`";
    let problem = exchange.any_problem(expected)?;
    if !problem.is(ProblemCode::ActionFailed) && !problem.is(ProblemCode::EffectUnknown) {
        return Err(exchange.unlike(expected));
    }
    let wanted = scene.action.fails_with.as_ref().map(|fails| fails.code.as_str());
    match problem.code.as_deref() == wanted {
        true => Ok(()),
        false => {
            let expected = format!("`code` is the report's code, `{}`", wanted.unwrap_or_default());
            let came = format!("`{}`", problem.code.unwrap_or_default());
            Err(exchange.wrong(expected, came))
        }
    }
}

async fn names_request(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Fails);
    let exchange = scene.failed(&ask).await?;
    exchange.names(&ask)
}

async fn has_no_effect(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Fails);
    let exchange = scene.failed(&ask).await?;
    match exchange.says(ProblemCode::ActionFailed) {
        true => scene.shows(&[&ask], 0, "after `action-failed`").await,
        false => Ok(()),
    }
}

async fn does_not_wait(scene: &Scene) -> Tried {
    let supervisor = scene.supervisor()?;
    supervisor.begin([Take::HELD]);
    let ask = scene.ask(Kind::Fails);
    let exchange = scene.send(&ask).await;
    supervisor.let_go();
    let expected = "a failure is answered while the supervisor keeps the report waiting";
    exchange.answered(expected).map(|_| ())
}
