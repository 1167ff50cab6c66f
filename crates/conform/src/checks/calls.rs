//! Calls to other services: with the saga's context, under derived ids, and with the evidence that their answers give.

use super::retry::failing_call;
use crate::check::{Check, Means};
use crate::context::{Ask, ENTRY, Entry, Kind, TestContext};
use crate::fakes::{Call, ReceivedReport, Reply};
use crate::finding::{Stop, Tried};
use amends_protocol::{Outcome, PROBLEM_TYPE_BASE, ProblemCode, Verb, headers, is_opaque_name};
use serde_json::Value;

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "call-context",
        "a call carries `Saga-Id`, a request id, and `baggage` with the saga and the members that came; if it names a \
         caller, it is the action that calls",
        "a call outside of the saga is never undone",
        "saga-context",
        |context| Box::pin(saga_context(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-trace",
        "a call continues the trace of its request",
        "the way of a failed order through the services can be followed in one place",
        "saga-context",
        |context| Box::pin(trace(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-request-id",
        "the id of a call is the same when its request runs again, and no other request's call has it",
        "the called service then answers from its History instead of doing it twice",
        "saga-context",
        |context| Box::pin(request_id(context)),
    )
    .after(&["retry-runs-again", "call-context"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-started",
        "a call is in History before it is answered",
        "a process that dies while it waits must not forget whom it asked",
        "forward-requests",
        |context| Box::pin(started(context)),
    )
    .after(&["call-context", "history-unknown-saga"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-succeeded",
        "a call that was answered well is `succeeded` in History, under the names of service, action and request",
        "the supervisor finds from it whom else to ask",
        "history",
        |context| Box::pin(succeeded(context)),
    )
    .after(&["call-started"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-failed",
        "a call that was answered `action-failed` is `failed`, in History and in the report",
        "what provably did not happen need not be undone",
        "forward-requests",
        |context| Box::pin(failed(context)),
    )
    .after(&["call-succeeded", "report-arrives"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-unknown",
        "a call whose connection broke, or whose answer proves nothing, is `unknown`",
        "it may have happened; what is taken for failed here stays with the customer",
        "forward-requests",
        |context| Box::pin(unknown(context)),
    )
    .after(&["call-succeeded", "report-arrives"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-cause",
        "a failure that follows from a failed call names that call's report in `causedBy`",
        "one failure stays one case, whoever reports it on the way up",
        "reports",
        |context| Box::pin(cause(context)),
    )
    .after(&["report-arrives"])
    .needs(&[Means::Calls, Means::Supervisor]),
    Check::of_action(
        "call-in-progress",
        "a call that is answered `in-progress` is asked again under the same id, or `unknown`",
        "the first try is still at work; a new id would do it twice, and `failed` would be wrong",
        "forward-requests",
        |context| Box::pin(in_progress(context)),
    )
    .after(&["call-succeeded"])
    .needs(&[Means::Calls]),
    Check::of_action(
        "call-baggage",
        "a call carries all members of `baggage` as they came: 64 of them, 8,192 bytes, over several lines",
        "whoever uses baggage for the tenant or the region routes the call elsewhere without it",
        "saga-context",
        |context| Box::pin(baggage(context)),
    )
    .after(&["call-context"])
    .needs(&[Means::Calls])
    .leaves("more members and bytes: they may be dropped"),
    Check::of_action(
        "call-ordinal",
        "two calls of one request to the same action have different ids",
        "the called service would take the second for a repetition of the first, and not do it",
        "saga-context",
        |context| Box::pin(ordinal(context)),
    )
    .after(&["call-context"])
    .needs(&[Means::Twice]),
    Check::of_action(
        "call-after-fence",
        "a request makes no further call once its action was compensated",
        "what it still calls is called after everybody was asked, and stays",
        "what-to-write-and-when",
        |context| Box::pin(after_fence(context)),
    )
    .after(&["compensate-running"])
    .needs(&[Means::Twice]),
];

/// Sends the request of `calls` and gives its one call.
async fn one_call(context: &TestContext, ask: &Ask) -> Tried<Call> {
    context.let_calls_be(Vec::new());
    context.done(ask).await?;
    let mut calls = context.downstream()?.calls();
    match (calls.pop(), calls.len()) {
        (Some(call), 0) => Ok(call),
        (_, others) => {
            let expected = "the request of `calls` makes one call, to the kit's address";
            Err(Stop::found(expected, format!("{} calls", others + usize::from(others > 0))))
        }
    }
}

/// The members of a call's `baggage`, as they are written.
fn members_of(call: &Call) -> Vec<String> {
    let lines = call.headers.get_all(headers::BAGGAGE).iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    lines.flat_map(|value| value.split(',')).map(|member| member.trim().to_owned()).collect()
}

async fn saga_context(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Calls);
    let call = one_call(context, &ask).await?;
    let shown = |name: &str| call.header(name).unwrap_or("").to_owned();
    if call.header(headers::SAGA_ID) != Some(&ask.saga) {
        let came = format!("`{}`", shown(headers::SAGA_ID));
        return Err(Stop::found(format!("the call has `Saga-Id: {}`", ask.saga), came));
    }
    let id = shown(headers::REQUEST_ID);
    if !is_opaque_name(&id) || id == ask.request {
        let expected = "the call has a `Request-Id` of its own, 1 to 128 bytes of printable ASCII";
        return Err(Stop::found(expected, format!("`{id}`")));
    }
    let baggage = members_of(&call);
    let entry = format!("{}={ENTRY}", headers::BAGGAGE_ENTRY);
    for wanted in [format!("saga-id={}", ask.saga), "shop=conform".to_owned(), entry] {
        if !baggage.contains(&wanted) {
            let came = format!("`{}`", baggage.join(","));
            return Err(Stop::found(
                format!("`baggage` of the call has the member `{wanted}`"),
                came,
            ));
        }
    }
    let own = format!("{}.{}", context.stage.config.service, context.action.name);
    match call.header(headers::AMENDS_CALLER) {
        Some(caller) if caller != own => {
            let expected = format!("`Amends-Caller` of the call is `{own}`, or is not there");
            Err(Stop::found(expected, format!("`{caller}`")))
        }
        _ => Ok(()),
    }
}

async fn baggage(context: &TestContext) -> Tried {
    let mut ask = context.ask(Kind::Calls);
    let first = ask.sent.headers.get(headers::BAGGAGE).and_then(|value| value.to_str().ok());
    let first = first.unwrap_or_default().to_owned();
    // In all as much as everybody must pass on, with the commas; one has a property, one is encoded.
    let room = (BAGGAGE_BYTES - first.len()) / BAGGAGE_MEMBERS - "conform-00=,".len();
    let mut members: Vec<String> =
        (1..BAGGAGE_MEMBERS).map(|n| format!("conform-{n:02}={}", "v".repeat(room))).collect();
    members[1] = "conform-02=a%20b%2Cc".to_owned();
    members[2] = "conform-03=3;ttl=5".to_owned();
    let (some, others) = members.split_at(members.len() / 2);
    ask = ask.with(headers::BAGGAGE, &format!("{first},{}", some.join(",")));
    ask.sent.add(headers::BAGGAGE, &others.join(","));
    let call = one_call(context, &ask).await?;
    let came = members_of(&call);
    let lost: Vec<&str> =
        members.iter().map(String::as_str).filter(|m| !came.iter().any(|c| c == m)).collect();
    match lost.as_slice() {
        [] => Ok(()),
        [one, ..] => {
            let expected =
                format!("`baggage` of the call has all {} members that came", members.len() + 1);
            Err(Stop::found(expected, format!("{} are missing, the first is `{one}`", lost.len())))
        }
    }
}

/// What everybody passes on: members, and bytes of all.
const BAGGAGE_MEMBERS: usize = 64;
const BAGGAGE_BYTES: usize = 8_192;

async fn ordinal(context: &TestContext) -> Tried {
    context.let_calls_be(Vec::new());
    let ask = context.ask(Kind::Twice);
    context.done(&ask).await?;
    let calls = context.downstream()?.calls();
    let ids: Vec<&str> = calls.iter().filter_map(Call::request_id).collect();
    match ids.as_slice() {
        [one, other] if one != other => Ok(()),
        _ => {
            let expected = "the request of `twice` makes two calls, each under an id of its own";
            Err(Stop::found(expected, format!("{} calls: `{}`", calls.len(), ids.join("`, `"))))
        }
    }
}

async fn after_fence(context: &TestContext) -> Tried {
    let saga = context.saga();
    let running = context.start_as(Kind::Twice, &saga).await?;
    let done = context.carry_out(&context.step(Verb::Compensate, &saga)).await;
    let original = context.finish(running).await?;
    let done = done?;
    if done.outcome.is_none() {
        let expected = "a compensation is carried out while the request still runs";
        return Err(done.unlike(expected));
    }
    match context.downstream()?.calls().len() {
        0 | 1 => Ok(()),
        calls => {
            let expected =
                "a request that was compensated during its first call makes no second one";
            Err(original.wrong(expected, format!("it made {calls}")))
        }
    }
}

async fn trace(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Calls);
    let sent = ask.sent.headers.get(headers::TRACEPARENT).and_then(|v| v.to_str().ok());
    let trace_id = |text: &str| text.split('-').nth(1).map(str::to_owned);
    let wanted = sent.and_then(trace_id).unwrap_or_default();
    let call = one_call(context, &ask).await?;
    let came = call.header(headers::TRACEPARENT).unwrap_or("");
    match trace_id(came).is_some_and(|id| id == wanted) {
        true => Ok(()),
        false => {
            let expected = format!("`traceparent` of the call has the trace id `{wanted}`");
            Err(Stop::found(expected, format!("`{came}`")))
        }
    }
}

async fn request_id(context: &TestContext) -> Tried {
    context.let_calls_be(vec![failing_call(None)]);
    let ask = context.ask(Kind::Calls);
    context.send(&ask).await;
    let step = context.step(Verb::Retry, &ask.saga);
    context.carry_out_to(&step, Outcome::Retried, "a retry").await?;
    let calls = context.downstream()?.calls();
    let ids: Vec<&str> = calls.iter().filter_map(Call::request_id).collect();
    let first = ids.first().copied().unwrap_or_default().to_owned();
    if ids.len() < 2 || ids.iter().any(|id| *id != first) {
        let expected = "the call has the same `Request-Id` in both runs of its request";
        return Err(Stop::found(expected, format!("`{}`", ids.join("`, `"))));
    }
    let other = context.ask_in(&ask.saga, Kind::Calls);
    let call = one_call(context, &other).await?;
    match call.request_id() == Some(&first) {
        false => Ok(()),
        true => {
            let expected = "the call of another request has another `Request-Id`";
            Err(Stop::found(expected, format!("`{first}` again")))
        }
    }
}

/// The entry of the action's call in a History.
pub(super) async fn entry(
    context: &TestContext,
    saga: &str,
    states: &[&str],
    what: &str,
) -> Tried<Entry> {
    let history = context.history(saga).await?;
    let Some(plan) = &context.action.calls else {
        return Err(Stop::skipped("no call is known", None));
    };
    let words: Vec<String> = states.iter().map(|state| format!("`{state}`")).collect();
    let expected = format!(
        "{what}: an entry of `{}.{}` that is {}",
        plan.service,
        plan.action,
        words.join(" or ")
    );
    let named = |entry: &&Entry| {
        entry.service.as_deref() == Some(&plan.service) && entry.action == plan.action
    };
    let found = history.calls().find(named).cloned();
    match found {
        Some(entry) if states.contains(&entry.state.as_str()) => Ok(entry),
        Some(entry) => Err(history.exchange.wrong(expected, format!("it is `{}`", entry.state))),
        None => Err(history.exchange.wrong(expected, "there is no such entry")),
    }
}

async fn started(context: &TestContext) -> Tried {
    context.let_calls_be(vec![Reply::Hold]);
    let running = context.start().await?;
    let saga = running.ask.saga.clone();
    entry(context, &saga, &["started"], "while the call is under way").await?;
    context.finish(running).await.map(|_| ())
}

async fn succeeded(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Calls);
    let call = one_call(context, &ask).await?;
    let entry = entry(context, &ask.saga, &["succeeded"], "after a call that succeeded").await?;
    match call.request_id() == Some(&entry.request_id) {
        true => Ok(()),
        false => {
            let id = call.request_id().unwrap_or_default();
            let expected = format!("the entry has the `Request-Id` of the call, `{id}`");
            Err(Stop::found(expected, format!("`{}`", entry.request_id)))
        }
    }
}

/// Lets the call of a request go as `reply` says, which must make the request fail.
pub(super) async fn failing(
    context: &TestContext,
    reply: Reply,
) -> Tried<(Ask, crate::wire::Exchange)> {
    context.let_calls_be(vec![reply]);
    let ask = context.ask(Kind::Calls);
    let exchange = context.send(&ask).await;
    let expected = "the request of `calls` fails when its call fails";
    match exchange.answered(expected)?.is_success() {
        false => Ok((ask, exchange)),
        true => Err(exchange.unlike(expected)),
    }
}

/// That the report about a request says this of its call.
pub(super) async fn reported(
    context: &TestContext,
    ask: &Ask,
    answer: &crate::wire::Exchange,
    state: &str,
    what: &str,
) -> Tried {
    if context.stage.supervisor.is_none() {
        return Ok(());
    }
    let Some(plan) = &context.action.calls else { return Ok(()) };
    let event = context.report_of(ask, answer).await?;
    let evidence = event.data["history"].as_array().cloned().unwrap_or_default();
    let named = |entry: &&Value| {
        entry["service"] == plan.service.as_str() && entry["action"] == plan.action.as_str()
    };
    let told = evidence.iter().find(named).map(|entry| entry["state"].clone());
    match told == Some(Value::from(state)) {
        true => Ok(()),
        false => {
            let expected = format!(
                "{what}: the report's `history` says `{state}` of `{}.{}`",
                plan.service, plan.action
            );
            let came = told.map_or("nothing of it".to_owned(), |told| format!("`{told}`"));
            Err(Stop::found(expected, came))
        }
    }
}

async fn failed(context: &TestContext) -> Tried {
    let (ask, answer) = failing(context, failing_call(None)).await?;
    let what = "after a call that was answered `action-failed`";
    entry(context, &ask.saga, &["failed"], what).await?;
    reported(context, &ask, &answer, "failed", what).await
}

async fn unknown(context: &TestContext) -> Tried {
    let gateway = Reply::Problem { status: 502, type_uri: "about:blank".to_owned(), report: None };
    let unsure = Reply::Problem {
        status: ProblemCode::EffectUnknown.status(),
        type_uri: format!("{PROBLEM_TYPE_BASE}{}", ProblemCode::EffectUnknown.as_str()),
        report: None,
    };
    for (reply, what) in [
        (Reply::HangUp, "after a call whose connection broke"),
        (gateway, "after a call that a gateway answered with 502"),
        (unsure, "after a call that was answered `effect-unknown`"),
    ] {
        let (ask, answer) = failing(context, reply).await?;
        entry(context, &ask.saga, &["unknown"], what).await?;
        reported(context, &ask, &answer, "unknown", what).await?;
    }
    Ok(())
}

async fn cause(context: &TestContext) -> Tried {
    let below = format!("report-below-{}", context.saga());
    let (ask, answer) = failing(context, failing_call(Some(&below))).await?;
    let event: ReceivedReport = context.report_of(&ask, &answer).await?;
    let causes = &event.data["causedBy"];
    match causes.as_array().is_some_and(|causes| causes.contains(&Value::from(below.as_str()))) {
        true => Ok(()),
        false => {
            let expected = format!("`causedBy` names the report of the failed call, `{below}`");
            Err(Stop::found(expected, format!("`{causes}`")))
        }
    }
}

async fn in_progress(context: &TestContext) -> Tried {
    let busy = Reply::Problem {
        status: ProblemCode::InProgress.status(),
        type_uri: format!("{PROBLEM_TYPE_BASE}{}", ProblemCode::InProgress.as_str()),
        report: None,
    };
    context.let_calls_be(vec![busy]);
    let ask = context.ask(Kind::Calls);
    context.send(&ask).await.answered("an answer")?;
    let what = "after a call that was still running when it was asked";
    let entry = entry(context, &ask.saga, &["succeeded", "unknown"], what).await?;
    let calls = context.downstream()?.calls();
    let ids: Vec<&str> = calls.iter().filter_map(Call::request_id).collect();
    match ids.iter().all(|id| *id == entry.request_id) {
        true => Ok(()),
        false => {
            let expected = "a call that is asked again keeps its `Request-Id`";
            Err(Stop::found(expected, format!("`{}`", ids.join("`, `"))))
        }
    }
}
