//! Failures as the caller sees them.

use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::fakes::Reception;
use crate::finding::Tried;
use amends_protocol::ProblemCode;

const SECTION: &str = "forward-requests";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "failure-is-problem",
        "a business failure is a problem `action-failed` or `effect-unknown` with the code of its report",
        "the caller decides by the type whether the action may have had an effect; any other 5xx proves nothing",
        SECTION,
        |context| Box::pin(is_problem(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "failure-names-request",
        "a failed answer says which saga and which request it belongs to",
        "logs on both sides are laid side by side when something failed, not when all went well",
        SECTION,
        |context| Box::pin(names_request(context)),
    )
    .after(&["forward-names"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "failure-has-no-effect",
        "a request that failed without effect has none",
        "the caller counts it as never happened, and nobody would ever undo it",
        SECTION,
        |context| Box::pin(has_no_effect(context)),
    )
    .after(&["failure-is-problem"])
    .needs(&[Means::FailsWith, Means::Observe]),
    Check::of_action(
        "failure-does-not-wait",
        "the caller gets its answer while the supervisor does not answer",
        "the supervisor is needed to clear up, not to fail; its absence must not make every failure slow",
        "reports",
        |context| Box::pin(does_not_wait(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
];

async fn is_problem(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let exchange = context.failed(&ask).await?;
    let expected = "a business failure: a problem of type `action-failed` or `effect-unknown`";
    let problem = exchange.any_problem(expected)?;
    if !problem.is(ProblemCode::ActionFailed) && !problem.is(ProblemCode::EffectUnknown) {
        return Err(exchange.unlike(expected));
    }
    let wanted = context.action.fails_with.as_ref().map(|fails| fails.code.as_str());
    match problem.code.as_deref() == wanted {
        true => Ok(()),
        false => {
            let expected = format!("`code` is the report's code, `{}`", wanted.unwrap_or_default());
            let came = format!("`{}`", problem.code.unwrap_or_default());
            Err(exchange.wrong(expected, came))
        }
    }
}

async fn names_request(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let exchange = context.failed(&ask).await?;
    exchange.names(&ask)
}

async fn has_no_effect(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let exchange = context.failed(&ask).await?;
    match exchange.says(ProblemCode::ActionFailed) {
        true => context.shows(&[&ask], 0, "after `action-failed`").await,
        false => Ok(()),
    }
}

async fn does_not_wait(context: &TestContext) -> Tried {
    let supervisor = context.supervisor()?;
    supervisor.begin([Reception::HELD]);
    let ask = context.ask(Kind::Fails);
    let exchange = context.send(&ask).await;
    supervisor.let_go();
    let expected = "a failure is answered while the supervisor keeps the report waiting";
    exchange.answered(expected).map(|_| ())
}
