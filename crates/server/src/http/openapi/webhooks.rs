//! Every request that services are sent.

use super::operation::describe;
use super::{JSON, PROBLEM, Told};
use amends_protocol::{HistoryAnswer, Problem, StepAnswer, StepRequest};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const STEP: [&str; 3] = [
    "step",
    "participants",
    "`POST {url}/amends/v1/{verb}/{action}`: asks a service to compensate, retry or notify.",
];

const HISTORY: [&str; 3] = [
    "history",
    "participants",
    "`GET {url}/amends/v1/history/{saga}`: asks a service what it knows of a saga.",
];

const STEP_HEADERS: &[(&str, bool, &str)] = &[
    ("Saga-Id", true, "The saga."),
    ("Idempotency-Key", true, "The step's id, quoted; the same on every attempt."),
    ("traceparent", true, "W3C trace context of the attempt."),
    ("baggage", true, "`saga-id`, percent-encoded."),
    (
        "webhook-id",
        false,
        "Standard Webhooks; with the other two if the service has a signing key.",
    ),
    ("webhook-timestamp", false, "Seconds since 1970, new for each attempt."),
    (
        "webhook-signature",
        false,
        "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; several while keys rotate.",
    ),
];

/// What each status of a step's answer means, and whether it is a problem.
const STEP_ANSWERS: &[(u16, &str)] = &[
    (200, "Ended so."),
    (202, "Taken. `Location` is polled; or the service posts to `/v1/steps/{id}/outcome` later."),
    (204, "Done."),
    (409, "Not now; tried again."),
    (
        422,
        "With the type `refused`: the service cannot, for good. With any other: the request is wrong; a person looks.",
    ),
    (429, "Less, please. `Retry-After` is honoured."),
    (503, "Not now. `Retry-After` is honoured."),
];

const HISTORY_ANSWERS: &[(u16, &str)] = &[(200, "Its History."), (404, "It knows nothing of it.")];

/// What services are sent, by name; their schemas are added to those that are there.
pub(crate) fn webhooks(schemas: &mut BTreeMap<String, Value>) -> Map<String, Value> {
    let (step, history) = (step(), history());
    let said = |told: &Told, names, meanings, otherwise: &str| {
        let mut all = describe(told, names, told.parameters.clone(), meanings);
        all["responses"]["default"] = json!({ "description": otherwise });
        all
    };
    let webhooks = [
        ("step", json!({ "post": said(&step, STEP, STEP_ANSWERS, "Nobody knows; tried again.") })),
        ("history", json!({ "get": said(&history, HISTORY, HISTORY_ANSWERS, "Asked again.") })),
    ];
    schemas.extend(step.schemas);
    schemas.extend(history.schemas);
    webhooks.into_iter().map(|(name, item)| (name.to_owned(), item)).collect()
}

fn step() -> Told {
    let mut told = Told::default();
    for (name, required, meaning) in STEP_HEADERS {
        told.header(name, *required, meaning, json!({ "type": "string" }));
    }
    let (request, answer) = (told.schema::<StepRequest>(), told.schema::<StepAnswer>());
    let problem = told.schema::<Problem>();
    told.body(JSON, request);
    told.answer(200, JSON, answer);
    told.empty(202);
    told.empty(204);
    for status in [409, 422, 429, 503] {
        told.answer(status, PROBLEM, problem.clone());
    }
    told
}

fn history() -> Told {
    let mut told = Told::default();
    let after = "The `next` of the page before; left out of the first request.";
    told.query("after", after, json!({ "type": "string" }));
    told.header("Saga-Id", true, "The saga.", json!({ "type": "string" }));
    let answer = told.schema::<HistoryAnswer>();
    told.answer(200, JSON, answer);
    told.empty(404);
    told
}
