//! What outlives a `kill -9`: everything that was answered, and what nobody could answer any more is found and told.

use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::fakes::{ReceivedReport, Reception, Try};
use crate::finding::{Stop, Tried};
use amends_protocol::{Outcome, ProblemCode, Verb, headers};
use serde_json::Value;
use std::time::Duration;

const SECTION: &str = "what-to-write-and-when";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "restart-keeps",
        "a request that was answered is in History after a `kill -9`, and its repetition gets the first answer",
        "what was done and is not on record is done again, and never undone",
        SECTION,
        |context| Box::pin(keeps(context)),
    )
    .after(&["forward-repeat", "history-succeeded"])
    .needs(&[Means::Process])
    .leaves("a power cut, and a kill between effect and History: both must be one transaction"),
    Check::of_action(
        "restart-fence",
        "a fence stands after a `kill -9`",
        "a late request would take effect in a saga that was undone",
        "what-each-verb-means",
        |context| Box::pin(fence(context)),
    )
    .after(&["fence-late-request"])
    .needs(&[Means::Process]),
    Check::of_action(
        "restart-step",
        "a step that comes again after a `kill -9` gets the same outcome",
        "people read from the outcome what was really undone",
        "steps",
        |context| Box::pin(step(context)),
    )
    .after(&["compensate-repeat"])
    .needs(&[Means::Process]),
    Check::of_action(
        "restart-report",
        "a report that was not taken before a `kill -9` comes after it, under the same id",
        "the failure was answered, so nobody else will ever tell of it",
        "sending-a-report",
        |context| Box::pin(report(context)),
    )
    .after(&["report-survives"])
    .needs(&[Means::FailsWith, Means::Supervisor, Means::Process]),
    Check::of_action(
        "restart-refused-report",
        "a report that was refused as wrong is tried once more after the next start",
        "what refused it may be mended by then, and a report that nobody sends again is lost",
        "sending-a-report",
        |context| Box::pin(refused_report(context)),
    )
    .after(&["report-refused"])
    .needs(&[Means::FailsWith, Means::Supervisor, Means::Process]),
    Check::of_action(
        "restart-crashed",
        "a request that ran at a `kill -9` becomes `unknown`, and is reported with the code `crashed`",
        "nobody knows how far it came, and its caller may have gone",
        SECTION,
        |context| Box::pin(crashed(context)),
    )
    .after(&["restart-keeps", "history-started", "report-history"])
    .needs(&[Means::Running, Means::Supervisor, Means::Process]),
    Check::of_action(
        "restart-call",
        "a call that was under way at a `kill -9` is `unknown` in the report about its request",
        "`started` says that somebody still waits for its answer",
        "evidence",
        |context| Box::pin(call(context)),
    )
    .after(&["restart-crashed", "call-started"])
    .needs(&[Means::Calls, Means::Supervisor, Means::Process]),
];

async fn keeps(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let first = context.done(&ask).await?;
    context.crash().await?;
    let history = context.history(&ask.saga).await?;
    if history.own(&ask.request) != Some("succeeded") {
        let expected =
            format!("after a restart: an entry of `{}` that is `succeeded`", ask.request);
        let came = history.own(&ask.request).unwrap_or("no such entry").to_owned();
        return Err(history.exchange.wrong(expected, came));
    }
    let what = "a request, repeated after a restart";
    context.send(&ask).await.repeats(first.answered("an answer")?, what)?;
    context.shows(&[&ask], 1, "after a restart").await
}

async fn fence(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let step = context.step(Verb::Compensate, &ask.saga);
    let what = "a compensation that comes first";
    context.carry_out_to(&step, Outcome::NothingToCompensate, what).await?;
    context.crash().await?;
    let what = "a request, coming after its compensation and a restart";
    context.send(&ask).await.is_problem(ProblemCode::SagaFenced, what)?;
    context.shows(&[&ask], 0, "after a request that came too late").await
}

async fn step(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    context.crash().await?;
    let what = "the same step, asked for again after a restart";
    context.carry_out_to(&step.again(), Outcome::Compensated, what).await?;
    context.shows(&[&ask], 0, "after a step that came again after a restart").await
}

async fn report(context: &TestContext) -> Tried {
    let supervisor = context.supervisor()?;
    supervisor.begin([Reception::HELD_IN_VAIN]);
    let ask = context.ask(Kind::Fails);
    let answer = context.failed(&ask).await?;
    let limit = context.stage.config.report_timeout;
    if tokio::time::timeout(limit, supervisor.holds()).await.is_err() {
        let expected = "the report of a failed request comes to `POST /v1/reports`";
        return Err(Stop::found(expected, format!("nothing within {limit:?}")));
    }
    context.crash().await?;
    supervisor.let_go();
    let event = context.report_of(&ask, &answer).await?;
    let answer = answer.answered("an answer")?;
    match answer.header(headers::AMENDS_REPORT).is_none_or(|named| named == event.id) {
        true => Ok(()),
        false => {
            let expected = "the report has the id that the failed answer named before the restart";
            Err(Stop::found(expected, format!("`{}`", event.id)))
        }
    }
}

async fn refused_report(context: &TestContext) -> Tried {
    let supervisor = context.supervisor()?;
    supervisor.begin([Reception::status(400)]);
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    let of_saga = |one: &Try| one.event.subject == ask.saga;
    let refused = supervisor.told(|one| of_saga(one) && one.turned_away);
    let limit = context.stage.config.report_timeout;
    let Ok(Some(refused)) = tokio::time::timeout(limit, refused).await else {
        let expected = "the report of a failed request comes to `POST /v1/reports`";
        return Err(Stop::found(expected, format!("nothing within {limit:?}")));
    };
    // What comes after it shows that its refusal is on record.
    let last = context.ask_in(&ask.saga, Kind::Fails);
    let answer = context.failed(&last).await?;
    context.report_of(&last, &answer).await?;
    context.crash().await?;
    let again = |event: &ReceivedReport| event.id == refused.event.id;
    let what = "a report that was refused with 400, once more after a restart,";
    context.told(again, what).await.map(|_| ())
}

/// A request that ran when the participant was killed, and the report about it.
async fn left_behind(context: &TestContext) -> Tried<(String, String, ReceivedReport)> {
    let running = context.start().await?;
    let (saga, request) = (running.ask.saga.clone(), running.ask.request.clone());
    let restarted = context.crash().await;
    context.finish(running).await?;
    restarted?;
    // Where the kit starts no participant, the check was skipped.
    let process = context.stage.process.as_ref();
    let limit = process.map_or(Duration::ZERO, |process| process.recovery_timeout());
    let about =
        |event: &ReceivedReport| event.subject == saga && event.text("requestId") == Some(&request);
    let what = "a report about a request that ran when the participant was killed";
    let event = context.told_within(limit, about, what).await?;
    Ok((saga, request, event))
}

async fn crashed(context: &TestContext) -> Tried {
    let (saga, request, event) = left_behind(context).await?;
    if event.text("code") != Some("crashed") {
        let came = format!("`{}`", event.data["code"]);
        return Err(Stop::found("the report has the code `crashed`", came));
    }
    let told = event.data["history"].as_array().cloned().unwrap_or_default();
    let own = told.iter().find(|entry| entry["requestId"] == request.as_str());
    let state = own.map_or(Value::Null, |entry| entry["state"].clone());
    if state != "unknown" {
        let expected = "the report says of its own request that it is `unknown`";
        return Err(Stop::found(expected, format!("`{state}`")));
    }
    let history = context.history(&saga).await?;
    match history.own(&request) {
        Some("unknown") => Ok(()),
        state => {
            let expected = format!("the request `{request}` is `unknown` after a restart");
            let came = state.unwrap_or("no such entry").to_owned();
            Err(history.exchange.wrong(expected, came))
        }
    }
}

async fn call(context: &TestContext) -> Tried {
    let (_, request, event) = left_behind(context).await?;
    let told = event.data["history"].as_array().cloned().unwrap_or_default();
    let calls = told.iter().filter(|entry| entry["requestId"] != request.as_str());
    let states: Vec<&Value> = calls.map(|entry| &entry["state"]).collect();
    match states.as_slice() {
        [state] if *state == "unknown" => Ok(()),
        _ => {
            let expected = "the report tells of one call, which is `unknown`";
            Err(Stop::found(expected, format!("{states:?}")))
        }
    }
}
