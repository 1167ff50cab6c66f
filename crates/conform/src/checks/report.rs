//! Reports: that they come, that they are what the supervisor understands, and that nothing loses them.

use super::context::strange_saga;
use crate::check::{Check, Means};
use crate::context::{ENTRY, Kind, TestContext};
use crate::fakes::{ReceivedReport, Reception};
use crate::finding::{Stop, Tried};
use amends_protocol::{
    EVIDENCE_LIMIT, HistoryState, ProblemCode, REPORT_CAUSES_LIMIT, REPORT_MESSAGE_LIMIT, headers,
    is_opaque_name,
};
use serde_json::Value;

const SECTION: &str = "reports";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "report-arrives",
        "a failure is reported to the supervisor, with the saga as its subject",
        "without a report nobody undoes what the others did",
        SECTION,
        |context| Box::pin(arrives(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-envelope",
        "a report is a CloudEvent 1.0 of type `dev.amends.report.v1` from this service",
        "the supervisor refuses any other for good",
        SECTION,
        |context| Box::pin(envelope(context)),
    )
    .after(&["report-arrives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-content",
        "a report names its code, the action and the request, within the bounds",
        "code and service pick the rule; the request lets the supervisor tell which attempt it was",
        SECTION,
        |context| Box::pin(content(context)),
    )
    .after(&["report-arrives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-history",
        "a report brings its evidence: its own request, and in which state it is",
        "what nobody says to have happened is not undone",
        SECTION,
        |context| Box::pin(history(context)),
    )
    .after(&["report-content"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "failure-names-report",
        "a failed answer names its report in `Amends-Report`",
        "the caller names it as the cause, so that one failure stays one case",
        SECTION,
        |context| Box::pin(named(context)),
    )
    .after(&["report-arrives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-survives",
        "a report is sent again, under the same id, until the supervisor has said that it has it",
        "supervisors restart and networks break; a report that is given up is money that is never given back",
        SECTION,
        |context| Box::pin(survives(context)),
    )
    .after(&["report-arrives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "report-subject",
        "the subject of a report is the saga id, percent-encoded where a header needs it",
        "a report about another saga leads the supervisor to undo nothing, or the wrong thing",
        SECTION,
        |context| Box::pin(subject(context)),
    )
    .after(&["context-opaque-saga", "report-arrives"])
    .needs(&[Means::FailsWith, Means::Supervisor]),
    Check::of_action(
        "failure-repeat",
        "a failed request that is repeated gets the same answer with the same report, and no further report is made",
        "a caller that repeats would make one failure into many, and a success after a report would never be undone",
        "forward-requests",
        |context| Box::pin(repeat(context)),
    )
    .after(&["report-arrives"])
    .needs(&[Means::FailsWith]),
];

async fn arrives(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    context.told(|event| event.subject == ask.saga, "a report about the saga").await.map(|_| ())
}

async fn envelope(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    let event = context.told(|event| event.subject == ask.saga, "a report about the saga").await?;
    let mut mistakes = event.mistakes.clone();
    let service = &context.stage.config.service;
    if event.service() != service {
        let source = &event.source;
        mistakes.push(format!(
            "`source` is `{source}`, which is not `{service}` and does not end in it"
        ));
    }
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(Stop::found("a report that the supervisor takes", mistakes.join("; "))),
    }
}

async fn content(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    let event = context.told(|event| event.subject == ask.saga, "a report about the saga").await?;
    let code = context.action.fails_with.as_ref().map_or("", |fails| fails.code.as_str());
    let wanted = [
        ("code", code),
        ("action", context.action.name.as_str()),
        ("requestId", ask.request.as_str()),
    ];
    for (key, wanted) in wanted {
        if event.text(key) != Some(wanted) {
            let came = format!("`{}`", event.data[key]);
            return Err(Stop::found(format!("`{key}` of the report is `{wanted}`"), came));
        }
    }
    for key in ["entry", "caller"] {
        let told = &event.data[key];
        if !told.is_null() && *told != ENTRY {
            let expected =
                format!("`{key}` of the report is `{ENTRY}`, as it came, or is not there");
            return Err(Stop::found(expected, format!("`{told}`")));
        }
    }
    let entries = |key: &str| event.data[key].as_array().map_or(0, Vec::len);
    let message = event.text("message").map_or(0, str::len);
    let bounds = [
        ("message", "bytes", message, REPORT_MESSAGE_LIMIT),
        ("causedBy", "entries", entries("causedBy"), REPORT_CAUSES_LIMIT),
        ("history", "entries", entries("history"), EVIDENCE_LIMIT),
    ];
    for (key, unit, is, limit) in bounds {
        if is > limit {
            return Err(Stop::found(
                format!("`{key}` has at most {limit} {unit}"),
                format!("{is}"),
            ));
        }
    }
    Ok(())
}

async fn history(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let answer = context.failed(&ask).await?;
    let event = context.report_of(&ask, &answer).await?;
    let evidence = event.data["history"].as_array().cloned().unwrap_or_default();
    for entry in &evidence {
        let text = |key: &str| entry[key].as_str().is_some_and(is_opaque_name);
        let state = entry["state"].as_str().and_then(|state| state.parse::<HistoryState>().ok());
        let told = matches!(
            state,
            Some(
                HistoryState::Started
                    | HistoryState::Succeeded
                    | HistoryState::Failed
                    | HistoryState::Unknown
            )
        );
        if !(text("service") && text("action") && text("requestId") && told) {
            let expected = "evidence has `service`, `action`, `requestId` and a `state` of `started`, `succeeded`, \
                            `failed` or `unknown`";
            return Err(Stop::found(expected, format!("`{entry}`")));
        }
    }
    let wanted = match answer.says(ProblemCode::EffectUnknown) {
        true => "unknown",
        false => "failed",
    };
    let own = |entry: &&Value| {
        entry["requestId"] == ask.request.as_str()
            && entry["service"] == context.stage.config.service.as_str()
    };
    match evidence.iter().find(own) {
        Some(entry) if entry["state"] == wanted => Ok(()),
        Some(entry) => Err(Stop::found(
            format!("its own request is `{wanted}`"),
            format!("it is `{}`", entry["state"]),
        )),
        None => Err(Stop::found("its own request is in the report's `history`", "it is not there")),
    }
}

async fn named(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let exchange = context.failed(&ask).await?;
    let event = context.told(|event| event.subject == ask.saga, "a report about the saga").await?;
    let expected = format!("`Amends-Report: {}`, the id of the report that came", event.id);
    let answer = exchange.answered(&expected)?;
    match answer.header(headers::AMENDS_REPORT) {
        Some(id) if id == event.id => Ok(()),
        Some(id) => Err(exchange.wrong(expected, format!("`{id}`"))),
        None => Err(exchange.wrong(expected, "no such header")),
    }
}

async fn survives(context: &TestContext) -> Tried {
    let supervisor = context.supervisor()?;
    supervisor.begin([Reception::AWAY, Reception::HANG_UP, Reception::AWAY]);
    let ask = context.ask(Kind::Fails);
    context.failed(&ask).await?;
    let limit = context.stage.config.report_timeout;
    let taken = supervisor.told(|one| one.event.subject == ask.saga && one.is_taken());
    let arrived = tokio::time::timeout(limit, taken).await.ok().flatten();
    let tries = supervisor.tries();
    let tries: Vec<_> = tries.iter().filter(|one| one.event.subject == ask.saga).collect();
    if arrived.is_none() {
        let expected =
            "a report is sent again after 503 and after a connection that broke, until 202 or 200";
        let came = format!("{} tries within {limit:?}, the last one in vain", tries.len());
        return Err(Stop::found(expected, came));
    }
    let mut ids: Vec<&str> = tries.iter().map(|one| one.event.id.as_str()).collect();
    ids.dedup();
    match ids.len() {
        1 => Ok(()),
        _ => Err(Stop::found(
            "a report keeps its id when it is sent again",
            format!("ids {}", ids.join(", ")),
        )),
    }
}

async fn subject(context: &TestContext) -> Tried {
    let ask = context.ask_in(&strange_saga(context), Kind::Fails);
    let answer = context.failed(&ask).await?;
    let named = answer.came.as_ref().ok().and_then(|a| a.header(headers::AMENDS_REPORT));
    let named = named.map(str::to_owned);
    let of_request = |event: &ReceivedReport| {
        event.subject == ask.saga
            || event.text("requestId") == Some(&ask.request)
            || named.as_ref() == Some(&event.id)
    };
    let event =
        context.told(of_request, "a report of a saga with special characters in its id").await?;
    match event.subject == ask.saga {
        true => Ok(()),
        false => {
            let expected = format!("the subject `{}`, once it is percent-decoded", ask.saga);
            Err(Stop::found(expected, format!("`{}`", event.subject)))
        }
    }
}

async fn repeat(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let first = context.failed(&ask).await?;
    let first = first.answered("an answer")?;
    let again = context.send(&ask).await;
    let answer = again.repeats(first, "a failed request that is repeated")?;
    if answer.header(headers::AMENDS_REPORT) != first.header(headers::AMENDS_REPORT) {
        let word = |header: Option<&str>| header.unwrap_or("none").to_owned();
        let expected = format!(
            "the first answer's `Amends-Report` again, `{}`",
            word(first.header(headers::AMENDS_REPORT))
        );
        return Err(again.wrong(expected, word(answer.header(headers::AMENDS_REPORT))));
    }
    // Without a report of its own there is nothing to count; other checks say so.
    if context.stage.supervisor.is_none()
        || !first.header(headers::AMENDS_REPORT).is_some_and(is_opaque_name)
    {
        return Ok(());
    }
    let reports = context.all_reports_of(&ask.saga).await?;
    let about = |event: &&ReceivedReport| event.text("requestId") == Some(&ask.request);
    let mut ids: Vec<&str> = reports.iter().filter(about).map(|event| event.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.len() {
        0 | 1 => Ok(()),
        _ => Err(Stop::found(
            "one report about one failed request",
            format!("reports {}", ids.join(", ")),
        )),
    }
}
