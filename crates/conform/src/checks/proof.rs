//! What the answer to a call proves: its type before its status, and what says nothing is never taken for a no.

use super::calls::{entry, failing, reported};
use super::retry::failing_call;
use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::fakes::Reply;
use crate::finding::{Stop, Tried};
use amends_protocol::{PROBLEM_TYPE_BASE, ProblemCode, Verb};

const SECTION: &str = "what-the-answer-to-a-call-proves";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "call-time-out",
        "a call that was answered 408 is `unknown`, in History and in the report",
        "who says that it took too long has often done it",
        SECTION,
        |context| Box::pin(time_out(context)),
    )
    .after(&["call-unknown"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-redirect",
        "a call that was answered with a redirect is `unknown`, and the redirect is not followed",
        "nobody knows who took the request, and its context would go to whoever is named there",
        SECTION,
        |context| Box::pin(redirect(context)),
    )
    .after(&["call-unknown"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-type-decides",
        "the type of a problem decides what a call proves, whatever its status is",
        "a service may give its failures any status; by it alone a clear no would be undone for nothing, and a doubt \
         forgotten",
        SECTION,
        |context| Box::pin(type_decides(context)),
    )
    .after(&["call-unknown", "call-failed"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-refused",
        "a call that was answered 4xx without a problem of ours, 408 aside, is `failed`",
        "a service that knows nothing of this would leave every refused request in doubt",
        SECTION,
        |context| Box::pin(refused(context)),
    )
    .after(&["call-failed"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-stays-succeeded",
        "a call that succeeded stays `succeeded`, whatever its repetition is answered",
        "it took effect; what is shown as failed afterwards is never undone",
        SECTION,
        |context| Box::pin(stays_succeeded(context)),
    )
    .after(&["call-failed", "retry-runs-again"])
    .needs(&[Means::Twice]),
];

/// That a call which is answered so is in this state, in History and in the report.
async fn proves(context: &TestContext, reply: Reply, state: &str, what: &str) -> Tried {
    let (ask, answer) = failing(context, reply).await?;
    let what = format!("after a call that was answered {what}");
    entry(context, &ask.saga, &[state], &what).await?;
    reported(context, &ask, &answer, state, &what).await
}

fn problem(code: ProblemCode, status: u16) -> Reply {
    let type_uri = format!("{PROBLEM_TYPE_BASE}{}", code.as_str());
    Reply::Problem { status, type_uri, report: None }
}

async fn time_out(context: &TestContext) -> Tried {
    proves(context, Reply::Bare(408), "unknown", "408").await
}

async fn redirect(context: &TestContext) -> Tried {
    let (ask, _) = failing(context, Reply::Bare(307)).await?;
    let calls = context.downstream()?.calls().len();
    if calls > 1 {
        let expected = "a call that was answered 307 is not sent to its `Location`";
        return Err(Stop::found(expected, format!("{calls} calls")));
    }
    entry(context, &ask.saga, &["unknown"], "after a call that was answered 307").await.map(|_| ())
}

async fn type_decides(context: &TestContext) -> Tried {
    let unsure = problem(ProblemCode::EffectUnknown, 422);
    proves(context, unsure, "unknown", "422 with the type `effect-unknown`").await?;
    let sure = problem(ProblemCode::ActionFailed, 503);
    proves(context, sure, "failed", "503 with the type `action-failed`").await
}

async fn refused(context: &TestContext) -> Tried {
    proves(context, Reply::Bare(404), "failed", "404 without a problem").await
}

async fn stays_succeeded(context: &TestContext) -> Tried {
    context.let_calls_be(vec![Reply::Succeed, failing_call(None)]);
    let ask = context.ask(Kind::Twice);
    let expected = "the request of `twice` fails when its second call fails";
    let failed = context.send(&ask).await;
    if failed.answered(expected)?.is_success() {
        return Err(failed.unlike(expected));
    }
    let calls = context.downstream()?.calls();
    let first = calls.first().and_then(|call| call.request_id()).unwrap_or_default().to_owned();
    for (reply, what) in [
        (
            failing_call(None),
            "a call that succeeded, answered `action-failed` when it was repeated",
        ),
        (Reply::HangUp, "a call that succeeded, without an answer when it was repeated"),
    ] {
        context.let_calls_be(vec![reply.clone(), reply]);
        context.carry_out(&context.step(Verb::Retry, &ask.saga)).await?;
        let history = context.history(&ask.saga).await?;
        let told = history.calls().find(|entry| entry.request_id == first);
        match told.map(|entry| entry.state.as_str()) {
            Some("succeeded") => {}
            state => {
                let expected = format!("{what}: the call `{first}` is still `succeeded`");
                let came = state.map_or("it is not there".to_owned(), |s| format!("it is `{s}`"));
                return Err(history.exchange.wrong(expected, came));
            }
        }
    }
    Ok(())
}
