//! The saga context of what comes in: whose saga a request belongs to.

use crate::check::Check;
use crate::finding::Tried;
use crate::scene::{Ask, Kind, Scene};
use amends_protocol::{Outcome, ProblemCode, Verb, headers, is_opaque_name};

const SECTION: &str = "saga-context";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "context-header-wins",
        "`Saga-Id` wins over `baggage`",
        "intermediaries may change `baggage`; the request would be written down under another saga and never be undone",
        SECTION,
        |scene| Box::pin(header_wins(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-baggage",
        "a saga that is named in `baggage` alone is taken from there",
        "services that only pass on OpenTelemetry's context name the saga this way; a new one would cut the link",
        SECTION,
        |scene| Box::pin(baggage(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-malformed-saga",
        "a malformed saga id is refused with 400",
        "a new saga in its place would cut the link, and the request could never be undone",
        SECTION,
        |scene| Box::pin(malformed_saga(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-malformed-trace",
        "a malformed `traceparent` is dropped, and the request is done",
        "a broken trace is no reason to lose an order",
        SECTION,
        |scene| Box::pin(malformed_trace(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-opaque-saga",
        "any printable ASCII may stand in a saga id, from the request to the compensation",
        "callers use their own order numbers; one with a `/` in it would be done and could not be undone",
        SECTION,
        |scene| Box::pin(opaque_saga(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-malformed-request",
        "a malformed request id is refused with 400",
        "a new id in its place would do the request once more whenever it is repeated",
        SECTION,
        |scene| Box::pin(malformed_request(scene)),
    )
    .after(&["forward-works"]),
    Check::of_action(
        "context-begins",
        "a request without a saga begins one and tells its id, or is refused with 400 `invalid-request`",
        "whoever began a saga without a name for it could never have it undone",
        "forward-requests",
        |scene| Box::pin(begins(scene)),
    )
    .after(&["forward-names"]),
];

/// That History knows the request under the saga.
async fn belongs(scene: &Scene, ask: &Ask, what: &str) -> Tried {
    let history = scene.history(&ask.saga).await?;
    match history.entries.is_empty() {
        false => Ok(()),
        true => {
            let expected = format!("{what}: the request is in the History of saga `{}`", ask.saga);
            Err(history.exchange.wrong(expected, "that saga's History is empty"))
        }
    }
}

async fn header_wins(scene: &Scene) -> Tried {
    let other = scene.saga();
    let ask = scene.ask(Kind::Plain).with(headers::BAGGAGE, &format!("saga-id={other}"));
    scene.done(&ask).await?;
    belongs(scene, &ask, "`Saga-Id` and `baggage` name different sagas").await
}

async fn baggage(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain).without(headers::SAGA_ID);
    scene.done(&ask).await?;
    belongs(scene, &ask, "`baggage` alone names the saga").await
}

async fn malformed_saga(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain).with(headers::SAGA_ID, "two words").without(headers::BAGGAGE);
    let exchange = scene.send(&ask).await;
    let expected = "a malformed `Saga-Id`: 400 with a problem";
    match exchange.answered(expected)?.status {
        400 => exchange.any_problem(expected).map(|_| ()),
        _ => Err(exchange.unlike(expected)),
    }
}

async fn malformed_request(scene: &Scene) -> Tried {
    for malformed in ["two words", &"x".repeat(129)] {
        let ask = scene.ask(Kind::Plain).with(headers::REQUEST_ID, malformed);
        let exchange = scene.send(&ask).await;
        let expected = "a malformed `Request-Id`: 400 with a problem";
        match exchange.answered(expected)?.status {
            400 => exchange.any_problem(expected)?,
            _ => return Err(exchange.unlike(expected)),
        };
    }
    Ok(())
}

async fn begins(scene: &Scene) -> Tried {
    let mut ask = scene.ask(Kind::Plain);
    for name in [headers::SAGA_ID, headers::REQUEST_ID, headers::BAGGAGE, headers::AMENDS_CALLER] {
        ask = ask.without(name);
    }
    let exchange = scene.send(&ask).await;
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
    scene.remember_saga(saga);
    let history = scene.history(saga).await?;
    match history.own(request) {
        Some(_) => Ok(()),
        None => {
            let expected =
                format!("the request `{request}` is in the History of the saga `{saga}`");
            Err(history.exchange.unlike(expected))
        }
    }
}

async fn malformed_trace(scene: &Scene) -> Tried {
    let ask = scene.ask(Kind::Plain).with(headers::TRACEPARENT, "00-not-a-trace-01");
    scene.send(&ask).await.succeeds("a request with a malformed `traceparent`")?;
    scene.shows(&[&ask], 1, "after a request with a malformed `traceparent`").await
}

/// A saga id with everything that paths, headers and `baggage` treat specially.
pub(super) fn strange_saga(scene: &Scene) -> String {
    let saga = format!("{}/a?b#c%20&\"d\",e;f=g\\h", scene.saga());
    scene.remember_saga(&saga);
    saga
}

async fn opaque_saga(scene: &Scene) -> Tried {
    let ask = scene.ask_in(&strange_saga(scene), Kind::Plain);
    scene.send(&ask).await.succeeds("a request of a saga with special characters in its id")?;
    belongs(scene, &ask, "a saga with special characters in its id, encoded as one path segment")
        .await?;
    let step = scene.step(Verb::Compensate, &ask.saga);
    let what = "the compensation of a saga with special characters in its id";
    scene.carry_out_to(&step, Outcome::Compensated, what).await.map(|_| ())
}
