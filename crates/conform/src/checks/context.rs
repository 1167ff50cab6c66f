//! The saga context of what comes in: whose saga a request belongs to.

use crate::check::Check;
use crate::context::{Ask, Kind, TestContext};
use crate::finding::Tried;
use amends_protocol::{Outcome, ProblemCode, Verb, headers, is_opaque_name};

const SECTION: &str = "saga-context";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "context-header-wins",
        "`Saga-Id` wins over `baggage`",
        "intermediaries may change `baggage`; the request would be written down under another saga and never be undone",
        SECTION,
        |context| Box::pin(header_wins(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-baggage",
        "a saga that is named in `baggage` alone is taken from there",
        "services that only pass on OpenTelemetry's context name the saga this way; a new one would cut the link",
        SECTION,
        |context| Box::pin(baggage(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-malformed-saga",
        "a malformed saga id is refused with 400",
        "a new saga in its place would cut the link, and the request could never be undone",
        SECTION,
        |context| Box::pin(malformed_saga(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-malformed-trace",
        "a malformed `traceparent` is dropped, and the request is done",
        "a broken trace is no reason to lose an order",
        SECTION,
        |context| Box::pin(malformed_trace(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-opaque-saga",
        "any printable ASCII may stand in a saga id, from the request to the compensation",
        "callers use their own order numbers; one with a `/` in it would be done and could not be undone",
        SECTION,
        |context| Box::pin(opaque_saga(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-malformed-request",
        "a malformed request id is refused with 400",
        "a new id in its place would do the request once more whenever it is repeated",
        SECTION,
        |context| Box::pin(malformed_request(context)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-begins",
        "a request without a saga begins one and tells its id, or is refused with 400 `invalid-request`",
        "whoever began a saga without a name for it could never have it undone",
        "forward-requests",
        |context| Box::pin(begins(context)),
    )
    .after(&["forward-names"]),
];

/// That History knows the request under the saga.
async fn belongs(context: &TestContext, ask: &Ask, what: &str) -> Tried {
    let history = context.history(&ask.saga).await?;
    match history.entries.is_empty() {
        false => Ok(()),
        true => {
            let expected = format!("{what}: the request is in the History of saga `{}`", ask.saga);
            Err(history.exchange.wrong(expected, "that saga's History is empty"))
        }
    }
}

async fn header_wins(context: &TestContext) -> Tried {
    let other = context.saga();
    let ask = context.ask(Kind::Plain).with(headers::BAGGAGE, &format!("saga-id={other}"));
    context.done(&ask).await?;
    belongs(context, &ask, "`Saga-Id` and `baggage` name different sagas").await
}

async fn baggage(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain).without(headers::SAGA_ID);
    context.done(&ask).await?;
    belongs(context, &ask, "`baggage` alone names the saga").await
}

async fn malformed_saga(context: &TestContext) -> Tried {
    let ask =
        context.ask(Kind::Plain).with(headers::SAGA_ID, "two words").without(headers::BAGGAGE);
    let exchange = context.send(&ask).await;
    let expected = "a malformed `Saga-Id`: 400 with a problem";
    match exchange.answered(expected)?.status {
        400 => exchange.any_problem(expected).map(|_| ()),
        _ => Err(exchange.unlike(expected)),
    }
}

async fn malformed_request(context: &TestContext) -> Tried {
    for malformed in ["two words", &"x".repeat(129)] {
        let ask = context.ask(Kind::Plain).with(headers::REQUEST_ID, malformed);
        let exchange = context.send(&ask).await;
        let expected = "a malformed `Request-Id`: 400 with a problem";
        match exchange.answered(expected)?.status {
            400 => exchange.any_problem(expected)?,
            _ => return Err(exchange.unlike(expected)),
        };
    }
    Ok(())
}

async fn begins(context: &TestContext) -> Tried {
    let mut ask = context.ask(Kind::Plain);
    for name in [headers::SAGA_ID, headers::REQUEST_ID, headers::BAGGAGE, headers::AMENDS_CALLER] {
        ask = ask.without(name);
    }
    let exchange = context.send(&ask).await;
    let expected =
        "a request without a saga: 2xx with `Saga-Id` and `Request-Id`, or 400 `invalid-request`";
    let answer = exchange.answered(expected)?;
    if answer.status == 400 {
        return exchange.is_problem(ProblemCode::InvalidRequest, expected).map(|_| ());
    }
    let named = |name| answer.header(name).filter(|id| is_opaque_name(id));
    let (true, Some(saga), Some(request)) =
        (answer.is_success(), named(headers::SAGA_ID), named(headers::REQUEST_ID))
    else {
        return Err(exchange.unlike(expected));
    };
    context.remember_saga(saga);
    let history = context.history(saga).await?;
    match history.own(request) {
        Some(_) => Ok(()),
        None => {
            let expected =
                format!("the request `{request}` is in the History of the saga `{saga}`");
            Err(history.exchange.unlike(expected))
        }
    }
}

async fn malformed_trace(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain).with(headers::TRACEPARENT, "00-not-a-trace-01");
    context.send(&ask).await.succeeds("a request with a malformed `traceparent`")?;
    context.shows(&[&ask], 1, "after a request with a malformed `traceparent`").await
}

/// A saga id with everything that paths, headers and `baggage` treat specially.
pub(super) fn strange_saga(context: &TestContext) -> String {
    let saga = format!("{}/a?b#c%20&\"d\",e;f=g\\h", context.saga());
    context.remember_saga(&saga);
    saga
}

async fn opaque_saga(context: &TestContext) -> Tried {
    let ask = context.ask_in(&strange_saga(context), Kind::Plain);
    context.send(&ask).await.succeeds("a request of a saga with special characters in its id")?;
    belongs(context, &ask, "a saga with special characters in its id, encoded as one path segment")
        .await?;
    let step = context.step(Verb::Compensate, &ask.saga);
    let what = "the compensation of a saga with special characters in its id";
    context.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}
