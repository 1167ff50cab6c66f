//! Which request is the same one: its contents are what its body says, and nothing else.

use crate::check::{Check, Means};
use crate::context::{Ask, Kind, TestContext};
use crate::finding::{Stop, Tried};
use crate::wire::Exchange;
use amends_protocol::{ProblemCode, headers};
use serde_json::Value;

const SECTION: &str = "forward-requests";

pub(super) const CHECKS: &[Check] = &[
    Check::of_action(
        "forward-other-action",
        "a request id that comes with another action is refused",
        "the caller would be told that its other action was done, and it was not",
        SECTION,
        |context| Box::pin(other_action(context)),
    )
    .after(&["forward-key-reused"])
    .needs(&[Means::OtherAction]),
    Check::of_action(
        "forward-member-order",
        "the order of members in a repeated request makes it no other one",
        "what a caller's library orders differently after an update would be refused as a second request",
        SECTION,
        |context| Box::pin(member_order(context)),
    )
    .after(&["forward-same-contents"])
    .leaves("that other spellings of one number are the same: the page does not ask for it"),
    Check::of_action(
        "forward-other-headers",
        "a repeated request with another trace, other baggage and another caller is the same request",
        "each try of a caller has a span of its own; a repetition would be refused as a second request",
        SECTION,
        |context| Box::pin(other_headers(context)),
    )
    .after(&["forward-repeat"]),
];

async fn other_action(context: &TestContext) -> Tried {
    let other = context.other_action(|_| true)?;
    let ask = context.ask(Kind::Plain);
    context.done(&ask).await?;
    let elsewhere =
        context.ask_of(other, &ask.saga, Kind::Plain).with(headers::REQUEST_ID, &ask.request);
    let mut same = elsewhere.clone();
    same.sent.body = ask.sent.body.clone();
    let what =
        format!("the id of a request to `{}`, sent to `{}`", context.action.name, other.name);
    let came = context.send(&same).await;
    // Its body may be none that the other action takes; then the id is tried with one that is.
    let came = match came.came.as_ref().map(|answer| answer.status) {
        Ok(400) => context.send(&elsewhere).await,
        _ => came,
    };
    came.is_problem(ProblemCode::KeyReused, &what).map(|_| ())
}

async fn member_order(context: &TestContext) -> Tried {
    let kinds = [Kind::Plain, Kind::Fails, Kind::Refuses];
    let mut asks = kinds.map(|kind| (kind, context.ask(kind))).into_iter();
    let other_way = |ask: &Ask| reversed(&serde_json::from_slice(&ask.sent.body).ok()?);
    let Some((kind, ask, body)) =
        asks.find_map(|(kind, ask)| other_way(&ask).map(|body| (kind, ask, body)))
    else {
        let add = Some("body: { … two members … }");
        return Err(Stop::skipped("no request has two members to tell in another order", add));
    };
    let first: Exchange = match kind {
        Kind::Fails => context.failed(&ask).await?,
        _ => context.done(&ask).await?,
    };
    let mut again = ask.clone();
    again.sent.body = body.into();
    let what = "a repeated request with its members in another order";
    context.send(&again).await.repeats(first.answered("an answer")?, what)?;
    match kind {
        Kind::Fails => Ok(()),
        _ => context.shows(&[&ask], 1, "after a request that came again in another order").await,
    }
}

/// The same value with the members of every object the other way round; nothing if that is the same text.
fn reversed(value: &Value) -> Option<String> {
    let (forwards, backwards) = (value.to_string(), written_backwards(value));
    (forwards != backwards).then_some(backwards)
}

fn written_backwards(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(",");
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}:{}", Value::from(key.as_str()), written_backwards(value))
            };
            format!("{{{}}}", joined(members.iter().rev().map(member).collect()))
        }
        Value::Array(items) => {
            format!("[{}]", joined(items.iter().map(written_backwards).collect()))
        }
        other => other.to_string(),
    }
}

async fn other_headers(context: &TestContext) -> Tried {
    let ask = context.ask(Kind::Plain);
    let first = context.done(&ask).await?;
    let fresh = context.ask_in(&ask.saga, Kind::Plain);
    let mut again = ask.clone().with(headers::AMENDS_CALLER, "conform.again");
    for name in [headers::TRACEPARENT, headers::BAGGAGE] {
        let value = fresh.sent.headers.get(name).and_then(|value| value.to_str().ok());
        let value = value.unwrap_or_default().replace("shop=conform", "shop=another");
        again = again.with(name, &value);
    }
    let what = "a repeated request with another trace, other baggage and another caller";
    context.send(&again).await.repeats(first.answered("an answer")?, what)?;
    context.shows(&[&ask], 1, "after a request that came again with other headers").await
}

#[cfg(test)]
mod tests {
    use super::reversed;
    use serde_json::json;

    #[test]
    fn members_are_told_the_other_way_round_and_lists_are_not() {
        let value = json!({ "a": 1, "b": { "c": "x,y", "d": [1, { "e": null, "f": 2 }] } });
        let backwards = reversed(&value).expect("it has members");
        assert_eq!(backwards, r#"{"b":{"d":[1,{"f":2,"e":null}],"c":"x,y"},"a":1}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&backwards).expect("JSON"), value);
        assert_eq!(reversed(&json!({ "a": [1, 2] })), None);
    }
}
