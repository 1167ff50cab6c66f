//! History as it is shown: what happened, in the protocol's words.

use crate::check::{Check, Means};
use crate::context::{History, Kind, TestContext};
use crate::finding::Tried;
use crate::step::Signed;
use crate::wire::Sent;
use amends_protocol::{Outcome, Verb};

const SECTION: &str = "history";

pub(super) const CHECKS: &[Check] = &[
    Check::of_service(
        "history-unknown-saga",
        "the History of an unknown saga is an empty list",
        "the supervisor asks every service that a saga could have reached; an error would keep the case open",
        SECTION,
        |context| Box::pin(unknown_saga(context)),
    ),
    Check::of_service(
        "history-malformed-saga",
        "a malformed saga id in the path is refused with 400",
        "an empty list would be taken as the proof that nothing happened",
        SECTION,
        |context| Box::pin(malformed_saga(context)),
    ),
    Check::of_action(
        "history-succeeded",
        "a request that took effect is `succeeded`, under its action and its id, without `service`",
        "what is not in History is not undone",
        SECTION,
        |context| Box::pin(succeeded(context)),
    )
    .after(&["forward-works", "history-unknown-saga"]),
    Check::of_action(
        "history-failed",
        "a request that failed is `failed`, or `unknown` if it may have had an effect",
        "a failed request that is shown as done is undone without need, one that isn't shown is not fenced",
        SECTION,
        |context| Box::pin(failed(context)),
    )
    .after(&["forward-works", "history-unknown-saga"])
    .needs(&[Means::FailsWith]),
    Check::of_action(
        "history-started",
        "a request is `started` while it runs",
        "a request that is written down only at its end is lost when the process dies before",
        "forward-requests",
        |context| Box::pin(started(context)),
    )
    .after(&["forward-works", "history-unknown-saga"])
    .needs(&[Means::Running]),
    Check::of_action(
        "history-compensated",
        "a request that was undone is `compensated`, a failed one that was undone is `fenced`",
        "people and the supervisor read from it that nothing is left to do",
        SECTION,
        |context| Box::pin(compensated(context)),
    )
    .after(&["forward-works", "history-succeeded"]),
    Check::of_action(
        "history-order",
        "History tells requests in the order in which they came",
        "people read from it what happened; of several failed requests, the latest is the one that a retry means",
        SECTION,
        |context| Box::pin(order(context)),
    )
    .after(&["forward-works", "history-succeeded"])
    .leaves("the order among calls"),
    Check::of_action(
        "history-pages",
        "a History that comes in pages has an end, and leaves no request out",
        "the supervisor reads on while a page says `next`; what it can't read to its end counts as unread",
        SECTION,
        |context| Box::pin(pages(context)),
    )
    .after(&["forward-works", "history-succeeded"])
    .leaves("pages that begin after more requests than a check makes"),
];

async fn unknown_saga(context: &TestContext) -> Tried {
    let saga = context.saga();
    let history = context.history(&saga).await?;
    if !history.entries.is_empty() {
        return Err(history.exchange.unlike("an unknown saga: 200 with empty `entries`"));
    }
    let answer = history.exchange.answered("an answer")?;
    match answer.json()["sagaId"].as_str() == Some(&saga) {
        true => Ok(()),
        false => Err(history
            .exchange
            .unlike(format!("`sagaId` is the saga that was asked for, `{saga}`"))),
    }
}

async fn malformed_saga(context: &TestContext) -> Tried {
    for malformed in ["two words", &"x".repeat(129)] {
        let sent: Sent = context.history_request(malformed, Signed::Rightly);
        let exchange = context.exchange(sent).await;
        let expected = "the History of what is no saga id: 400 with a problem";
        if exchange.answered(expected)?.status != 400 {
            return Err(exchange.unlike(expected));
        }
        exchange.any_problem(expected)?;
    }
    Ok(())
}

async fn succeeded(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let history = context.history(&ask.saga).await?;
    stands(&history, &ask.request, &["succeeded"], "after a request that succeeded")?;
    let own = history.entries.iter().find(|e| e.service.is_none() && e.request_id == ask.request);
    match own.is_some_and(|entry| entry.action == context.action.name) {
        true => Ok(()),
        false => {
            let expected = format!("the entry's `action` is `{}`", context.action.name);
            Err(history.exchange.unlike(expected))
        }
    }
}

/// That History shows a request in one of these states.
fn stands(history: &History, request: &str, states: &[&str], what: &str) -> Tried {
    let words: Vec<String> = states.iter().map(|state| format!("`{state}`")).collect();
    let expected =
        format!("{what}: an entry of the request `{request}` that is {}", words.join(" or "));
    match history.own(request) {
        Some(state) if states.contains(&state) => Ok(()),
        Some(state) => Err(history.exchange.wrong(expected, format!("it is `{state}`"))),
        None => Err(history.exchange.wrong(expected, "there is no such entry")),
    }
}

async fn failed(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Fails);
    let answer = context.failed(&ask).await?;
    let wanted = match answer.says(amends_protocol::ProblemCode::EffectUnknown) {
        true => "unknown",
        false => "failed",
    };
    let history = context.history(&ask.saga).await?;
    stands(&history, &ask.request, &[wanted], "after a request that failed")
}

async fn started(context: &TestContext) -> Tried {
    let running = context.start().await?;
    let history = context.history(&running.ask.saga).await?;
    stands(&history, &running.ask.request, &["started"], "while a request runs")?;
    context.finish(running).await.map(|_| ())
}

async fn compensated(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let failing = match context.action.fails_with {
        Some(_) => {
            let failing = context.ask_in(&ask.saga, Kind::Fails);
            context.failed(&failing).await?;
            Some(failing)
        }
        None => None,
    };
    let step = context.step(Verb::Compensate, &ask.saga);
    context.carry_out_to(&step, Outcome::Compensated, "a compensation").await?;
    let history = context.history(&ask.saga).await?;
    stands(&history, &ask.request, &["compensated"], "after a compensation")?;
    match failing {
        Some(failing) => {
            let wanted = ["fenced", "compensated"];
            stands(&history, &failing.request, &wanted, "of a failed request, after a compensation")
        }
        None => Ok(()),
    }
}

async fn order(context: &TestContext) -> Tried {
    let saga = context.saga();
    let mut asks = Vec::new();
    for kind in [Kind::Plain, Kind::Fails, Kind::Plain] {
        let ask = context.ask_in(&saga, kind);
        context.send(&ask).await.answered("an answer")?;
        asks.push(ask.request);
    }
    let history = context.history(&saga).await?;
    let told = history.received();
    let places: Vec<usize> =
        asks.iter().filter_map(|ask| told.iter().position(|id| id == ask)).collect();
    match places.is_sorted() {
        true => Ok(()),
        false => {
            let expected =
                format!("the requests in the order in which they came: {}", asks.join(", "));
            Err(history.exchange.wrong(expected, told.join(", ")))
        }
    }
}

async fn pages(context: &TestContext) -> Tried {
    let first = context.ask(Kind::Plain);
    context.done(&first).await?;
    let second = context.ask_in(&first.saga, Kind::Plain);
    context.done(&second).await?;
    let history = context.history(&first.saga).await?;
    for ask in [&first, &second] {
        stands(&history, &ask.request, &["succeeded"], "after two requests, on one of the pages")?;
    }
    Ok(())
}
