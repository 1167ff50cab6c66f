//! Every request that services are sent, as data.

use super::operation::{Answer, Body, Operation};
use super::operations::{JSON, PROBLEM};

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

const STEP_ANSWERS: &[Answer] = &[
    Answer("200", "Ended so.", JSON, "StepAnswer"),
    Answer(
        "202",
        "Taken. `Location` is polled; or the service posts to `/v1/steps/{id}/outcome` later.",
        "",
        "",
    ),
    Answer("204", "Done.", "", ""),
    Answer("409", "Not now; tried again.", PROBLEM, "Problem"),
    Answer(
        "422",
        "With the type `refused`: the service cannot, for good. With any other: the request is wrong; a person looks.",
        PROBLEM,
        "Problem",
    ),
    Answer("429", "Less, please. `Retry-After` is honoured.", PROBLEM, "Problem"),
    Answer("503", "Not now. `Retry-After` is honoured.", PROBLEM, "Problem"),
    Answer("default", "Nobody knows; tried again.", "", ""),
];

/// Where a History goes on.
const HISTORY_QUERY: &[(&str, &str)] =
    &[("after", "The `next` of the page before; left out of the first request.")];

/// What services are sent.
pub(super) const WEBHOOKS: &[Operation] = &[
    Operation {
        method: "post",
        path: "step",
        tag: "participants",
        id: "step",
        summary: "`POST {url}/amends/v1/{verb}/{action}`: asks a service to compensate, retry or notify.",
        query: &[],
        headers: STEP_HEADERS,
        bodies: &[Body(JSON, "StepRequest")],
        answers: STEP_ANSWERS,
    },
    Operation {
        method: "get",
        path: "history",
        tag: "participants",
        id: "history",
        summary: "`GET {url}/amends/v1/history/{saga}`: asks a service what it knows of a saga.",
        query: HISTORY_QUERY,
        headers: &[("Saga-Id", true, "The saga.")],
        bodies: &[],
        answers: &[
            Answer("200", "Its History.", JSON, "HistoryAnswer"),
            Answer("404", "It knows nothing of it.", "", ""),
            Answer("default", "Asked again.", "", ""),
        ],
    },
];
