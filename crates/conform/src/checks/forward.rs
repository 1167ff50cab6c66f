//! Forward requests: done once, however often they come.

use crate::check::{Check, Means};
use crate::context::{Kind, TestContext};
use crate::finding::{Stop, Tried};
use crate::wire::{Exchange, HttpAnswer};
use amends_protocol::{ProblemCode, headers};
use serde_json::Value;
use std::time::Duration;

const SECTION: &str = "forward-requests";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "forward-works",
        "a new request succeeds and takes effect once",
        "nothing else can be tried on an action that does not work",
        SECTION,
        |context| Box::pin(works(context)),
    ),
    Check::of_action(
        "forward-names",
        "an answer says which saga and which request it belongs to",
        "a caller that started the saga learns its id here, and logs on both sides can be laid side by side",
        SECTION,
        |context| Box::pin(names(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "forward-repeat",
        "a repeated request gets the first answer again and takes no further effect",
        "a caller repeats a request whose answer was lost; without this the customer is charged twice",
        SECTION,
        |context| Box::pin(repeat(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "forward-key-reused",
        "a request id that comes with other contents, or in another saga, is refused",
        "otherwise a caller that mixes up its ids is told that its second request was done, and it was not",
        SECTION,
        |context| Box::pin(key_reused(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "forward-same-contents",
        "white space in a repeated request makes it no other one",
        "what a caller's library writes differently after an update would be refused as a second request",
        SECTION,
        |context| Box::pin(same_contents(context)),
    )
    .after(&["forward-repeat"]),
    Check::of_action(
        "forward-at-once",
        "of the same request sent several times at once, one takes effect",
        "gateways and callers repeat while the first try is still on its way",
        SECTION,
        |context| Box::pin(at_once(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "forward-running",
        "a request that comes again while it runs is not run a second time",
        "a caller that gave up waiting repeats; running both halves the truth of History",
        SECTION,
        |context| Box::pin(running(context)),
    )
    .after(&["forward-works"])
    .needs(&[Means::Running]),
];

async fn works(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.send(&ask).await.succeeds("a new request")?;
    context.shows(&[&ask], 1, "after a request that succeeded").await
}

async fn names(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?.names(&ask)
}

async fn repeat(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let first = context.done(&ask).await?;
    let again = context.send(&ask).await;
    again.repeats(first.answered("an answer")?, "a repeated request")?;
    context.shows(&[&ask], 1, "after a request that came twice").await
}

async fn key_reused(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let mut other = context.ask_in(&ask.saga, Kind::Plain);
    if other.sent.body == ask.sent.body {
        other = context.ask_in(&ask.saga, Kind::Fails);
    }
    if other.sent.body == ask.sent.body {
        let add = Some("body: { … \"{unique}\" … }");
        return Err(Stop::skipped("every request of the action has the same body", add));
    }
    other.sent.path.clone_from(&ask.sent.path);
    let other = other.with(headers::REQUEST_ID, &ask.request);
    context.done(&ask).await?;
    let what = "a request id that came before with other contents";
    context.send(&other).await.is_problem(ProblemCode::KeyReused, what)?;
    let saga = context.saga();
    let elsewhere = ask.clone().with(headers::SAGA_ID, &saga).without(headers::BAGGAGE);
    let what = "a request id that came before in another saga";
    context.send(&elsewhere).await.is_problem(ProblemCode::KeyReused, what)?;
    context.shows(&[&ask], 1, "after another request under the same id").await
}

async fn same_contents(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let first = context.done(&ask).await?;
    let mut again = ask.clone();
    let contents: Value = serde_json::from_slice(&ask.sent.body).unwrap_or_default();
    again.sent.body = format!(" {contents:#}\n").into();
    let repeated = context.send(&again).await;
    let what = "a repeated request with other white space";
    repeated.repeats(first.answered("an answer")?, what)?;
    context.shows(&[&ask], 1, "after a request that came again with other white space").await
}

/// How often a request is sent at once: more than one, and few enough for a small pool of workers.
const COPIES: usize = 4;

async fn at_once(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let copies = context.at_once(vec![ask.sent.clone(); COPIES]).await;
    let first = copies.iter().find_map(success);
    let Some(first) = first else {
        let what = "of the same request, sent four times at once, one";
        return copies.first().map_or(Ok(()), |copy| copy.succeeds(what).map(|_| ()));
    };
    for copy in &copies {
        once_or_busy(copy, Some(first))?;
    }
    let again = context.send(&ask).await;
    again.repeats(first, "the request once more, later")?;
    context.shows(&[&ask], 1, "after the same request four times at once").await
}

fn success(exchange: &Exchange) -> Option<&HttpAnswer> {
    exchange.came.as_ref().ok().filter(|answer| answer.is_success())
}

/// The first answer, or "still running".
fn once_or_busy(copy: &Exchange, first: Option<&HttpAnswer>) -> Tried {
    let what = "a request that comes again while it runs: 409 `in-progress` with `Retry-After`, or the first answer";
    let answer = copy.answered(what)?;
    if answer.status == 409 {
        copy.is_problem(ProblemCode::InProgress, "a request that comes again while it runs")?;
        return match answer.header("retry-after") {
            Some(_) => Ok(()),
            None => Err(copy.wrong(what, "409 `in-progress` without `Retry-After`")),
        };
    }
    match first {
        Some(first) => copy.repeats(first, "a request that came again while it ran").map(|_| ()),
        None => Err(copy.unlike(what)),
    }
}

/// How long a repeated request is given to show that it runs a second time. One that is answered at once, as most do,
/// costs nothing of it; one that waits for the first is let go then.
const GRACE: Duration = Duration::from_millis(400);

async fn running(context: &TestContext) -> Tried {
    let running = context.start().await?;
    let ask = running.ask.clone();
    let (client, sent) = (context.stage.client.clone(), ask.sent.clone());
    let mut copy = tokio::spawn(async move { client.exchange_of_held(sent).await });
    let second_call = async {
        match (&context.action.calls, &context.stage.downstream) {
            (Some(_), Some(downstream)) => downstream.called(2).await,
            _ => std::future::pending().await,
        }
    };
    let mut early = None;
    tokio::select! {
        ended = &mut copy => early = ended.ok(),
        () = second_call => {
            context.finish(running).await?;
            let expected = "a request that comes again while it runs is not run a second time";
            return Err(Stop::found(expected, "it made its call to the other service twice"));
        }
        () = tokio::time::sleep(GRACE) => {}
    }
    let is_held = context.action.calls.is_some() && context.stage.downstream.is_some();
    if let (Some(copy), true) = (&early, is_held) {
        context.remember(copy);
        // The first one is still held, so there is no first answer yet.
        once_or_busy(copy, None)?;
    }
    let first = context.finish(running).await?;
    let answer = first.succeeds("a request that others met while it ran")?;
    let copy = match early {
        Some(copy) => copy,
        None => match copy.await {
            Ok(copy) => copy,
            Err(_) => return Err(Stop::skipped("the kit ends", None)),
        },
    };
    once_or_busy(&copy, Some(answer))?;
    context.shows(&[&ask], 1, "after a request that came again while it ran").await
}
