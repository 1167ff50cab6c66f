//! JSON Schemas (2020-12) of what services and the supervisor say to each other, as values. `docs/reference/schemas`
//! holds them as files. They say how a message is shaped; what it means, and which outcome fits which verb, is told by
//! the protocol's page. Unknown members are allowed everywhere, since the protocol ignores them.
//!
//! Words and bounds come from the types and constants of this crate. Only what draft 07 has too is used, so that tools
//! that stopped there (AsyncAPI's among them) read the same.

use crate::{
    EVIDENCE_DATA_LIMIT, EVIDENCE_LIMIT, HISTORY_NEXT_LIMIT, HistoryState, NAME_LIMIT, Outcome,
    PROBLEM_TYPE_BASE, REPORT_CAUSES_LIMIT, REPORT_MESSAGE_LIMIT, REPORT_SOURCE_LIMIT, REPORT_TYPE,
};
use serde_json::{Value, json};

/// Every schema's `$id` is this, its name and `.json`. They refer to each other by file name, so a folder of them works
/// as well as the addresses do.
pub const SCHEMA_BASE: &str = "https://amends.dev/schema/";

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

const REQUEST_ID: &str = "The request's id; absent if it is not known which request it was.";

/// States that a service tells of a request while it is not undone.
const TOLD_STATES: [HistoryState; 4] =
    [HistoryState::Started, HistoryState::Succeeded, HistoryState::Failed, HistoryState::Unknown];

/// Every schema with its name, which is also its file's: `report-data` is in `report-data.json`.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("history-answer", history_answer()),
        ("problem", problem()),
        ("report-batch", report_batch()),
        ("report-data", report_data()),
        ("report-event", report_event()),
        ("report-receipt", report_receipt()),
        ("step-answer", step_answer()),
        ("step-outcome", step_outcome()),
        ("step-request", step_request()),
    ]
}

fn report_data() -> Value {
    let properties = json!({
        "code": {
            "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": "^[!-)+-.0-~]+$",
            "description": "The kind of failure. With the reporting service it picks the rule. No `/`, no `*`."
        },
        "action": name("The action that failed, without the service."),
        "requestId": name("The request that failed."),
        "message": {
            "type": "string", "maxLength": REPORT_MESSAGE_LIMIT,
            "description": "For people. The bound is in bytes of UTF-8; a schema can only count characters."
        },
        "entry": full_name("The action with which the saga began, as `service.action`."),
        "caller": full_name("The action that called the one that failed, as `service.action`."),
        "causedBy": {
            "type": "array", "maxItems": REPORT_CAUSES_LIMIT,
            "items": name("The id of a report, as the header `Amends-Report` of a failed answer names it."),
            "description": "The reports of others that this failure follows from."
        },
        "history": evidence_list("What the service's History says of the saga: its own requests, then its calls."),
        "data": { "type": "object", "description": "Business fields, for conditions and placeholders of rules." }
    });
    let mut schema = top("report-data", "What a report says", properties, &["code"]);
    schema["$defs"] = json!({ "evidence": evidence() });
    schema
}

fn report_event() -> Value {
    let properties = json!({
        "specversion": { "const": "1.0" },
        "type": { "const": REPORT_TYPE },
        "source": {
            "type": "string", "minLength": 1, "maxLength": REPORT_SOURCE_LIMIT, "pattern": "^[!-~]+$",
            "description": "The reporting service: its name in the rulebook, or a URI that ends in it after `/` or `:`."
        },
        "id": name("Unique per source, and the same whenever the report is sent again."),
        "subject": name("The saga id."),
        "time": { "type": "string", "format": "date-time", "description": "When it failed, by the service's clock." },
        "datacontenttype": {
            "type": "string", "pattern": "^(application|text)/([a-z0-9.+-]*\\+)?json",
            "description": "`application/json` if it is not given."
        },
        "traceparent": { "type": "string", "description": "W3C trace context of the failure; an invalid one is ignored." },
        "data": { "$ref": "report-data.json" },
        "data_base64": {
            "type": "string", "contentEncoding": "base64", "description": "The data as base64 of its JSON, in place of `data`."
        }
    });
    let required = ["specversion", "type", "source", "id", "subject"];
    let mut schema = top(
        "report-event",
        "A report as a CloudEvent 1.0 in structured mode",
        properties,
        &required,
    );
    schema["oneOf"] = json!([{ "required": ["data"] }, { "required": ["data_base64"] }]);
    schema
}

fn report_batch() -> Value {
    titled(
        "report-batch",
        "Reports as CloudEvents 1.0 in batched mode",
        json!({ "type": "array", "items": { "$ref": "report-event.json" } }),
    )
}

fn report_receipt() -> Value {
    let properties = json!({
        "caseId": case_id(),
        "duplicate": { "type": "boolean", "description": "Whether the report was there before; nothing was doubled." },
        "letter": {
            "type": "string",
            "description": "In place of the case, if another of several supervisors works on it and has not said which: the name under which the report waits for that one."
        }
    });
    top("report-receipt", "The supervisor has the report", properties, &["duplicate"])
}

fn step_request() -> Value {
    let mut report = object(
        json!({
            "service": name("The reporting service."),
            "code": name("Its code."),
            "id": name("The report's id."),
            "message": { "type": "string", "description": "For people." }
        }),
        &["service", "code", "id"],
    );
    report["description"] = "The report that the case began with.".into();
    let properties = json!({
        "sagaId": name("The saga. Every request of the action in it is meant."),
        "caseId": case_id(),
        "stepId": {
            "type": "string", "pattern": "^s-[0-9]{1,20}-[0-9]{1,10}-[0-9a-f]{16}$",
            "description": "The same on every attempt; also the `Idempotency-Key`. Opaque to the service."
        },
        "attempt": { "type": "integer", "minimum": 1, "maximum": u32::MAX, "description": "Counts the tries." },
        "action": { "type": "string", "pattern": "^[^.]+\\..+$", "description": "`service.action`." },
        "requestIds": {
            "type": "array", "items": name("The id of a request."),
            "description": "Requests of the action that the supervisor knows of: a hint, never a limit."
        },
        "report": report,
        "data": {
            "type": "object",
            "description": "The report's business fields, or what an operator put in their place."
        },
        "callback": callback()
    });
    let required = ["sagaId", "caseId", "stepId", "attempt", "action", "report"];
    top("step-request", "What the supervisor asks of a service", properties, &required)
}

fn callback() -> Value {
    let mut schema = object(
        json!({
            "proof": { "type": "string", "maxLength": 64, "description": "Goes back with the outcome. A secret of the step." },
            "url": { "type": "string", "format": "uri", "description": "Where the outcome goes, if the supervisor knows how services reach it." }
        }),
        &["proof"],
    );
    schema["description"] = "How to tell the outcome later, after a 202.".into();
    schema
}

fn step_outcome() -> Value {
    let mut properties = said_of_a_step();
    properties["proof"] = json!({
        "type": "string",
        "description": "The `proof` of the step's `callback`. Without it the outcome counts only of a step that was taken with 202."
    });
    let title = "The late outcome of a step that was taken with 202: the body of a callback";
    top("step-outcome", title, properties, &["outcome"])
}

fn step_answer() -> Value {
    let title = "A service's answer to a step: the body of a 200";
    top("step-answer", title, said_of_a_step(), &["outcome"])
}

fn said_of_a_step() -> Value {
    let said = Outcome::ALL.iter().filter(|outcome| outcome.is_said_by_services());
    json!({
        "outcome": {
            "enum": said.map(|outcome| outcome.as_str()).collect::<Vec<_>>(),
            "description": "How the step ended. Which words fit depends on the verb."
        },
        "message": { "type": "string", "description": "For people; shown beside the step." },
        "history": evidence_list("Calls that the service made in this saga and that may have taken effect.")
    })
}

fn history_answer() -> Value {
    let mut entry = object(
        json!({
            "service": name("The service that the request went to; absent: the answering service itself."),
            "action": name("The operation."),
            "requestId": name(REQUEST_ID),
            "state": states(HistoryState::ALL),
            "data": undoing_data()
        }),
        &["action", "state"],
    );
    entry["description"] = "A request that the service received, or a call that it made.".into();
    let properties = json!({
        "sagaId": name("The saga asked for."),
        "entries": { "type": "array", "items": entry, "description": "Empty for an unknown saga." },
        "next": {
            "type": "string", "minLength": 1, "maxLength": HISTORY_NEXT_LIMIT, "pattern": "^[!-~]+$",
            "description": "There is more: it comes to the same request with `?after=` and this text. Absent on the last page."
        }
    });
    top(
        "history-answer",
        "What a service's History says of one saga",
        properties,
        &["sagaId", "entries"],
    )
}

fn problem() -> Value {
    let kinds = format!("The kind of problem. Ours are `{PROBLEM_TYPE_BASE}` and the code.");
    let properties = json!({
        "type": { "type": "string", "format": "uri-reference", "description": kinds },
        "title": { "type": "string", "description": "The same for every occurrence of the kind." },
        "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "A copy of the HTTP status." },
        "detail": { "type": "string", "description": "This occurrence, for people." },
        "instance": { "type": "string", "format": "uri-reference" },
        "code": {
            "type": "string",
            "description": "The last part of `type`; for a failed action the code of the report about it."
        },
        "retryable": { "type": "boolean", "description": "Whether the same request may succeed later, unchanged." },
        "errors": { "type": "array", "items": { "type": "string" }, "description": "Each single mistake." }
    });
    top("problem", "A failed answer (RFC 9457)", properties, &["type"])
}

fn evidence() -> Value {
    let mut schema = object(
        json!({
            "service": name("The service that the request went to."),
            "action": name("The operation."),
            "requestId": name(REQUEST_ID),
            "state": states(&TOLD_STATES),
            "data": undoing_data()
        }),
        &["service", "action", "state"],
    );
    schema["description"] = "One thing that a History says of a saga.".into();
    schema
}

fn evidence_list(description: &str) -> Value {
    json!({
        "type": "array", "maxItems": EVIDENCE_LIMIT, "items": { "$ref": "report-data.json#/$defs/evidence" },
        "description": description
    })
}

fn undoing_data() -> Value {
    json!({
        "type": "object",
        "description": format!(
            "What undoing this one request needs, at most {EVIDENCE_DATA_LIMIT} bytes of JSON."
        )
    })
}

fn states(states: &[HistoryState]) -> Value {
    json!({
        "enum": states.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
        "description": "What is known of the request."
    })
}

fn case_id() -> Value {
    json!({ "type": "string", "pattern": "^c-[0-9]{1,20}$", "description": "The supervisor's case." })
}

/// Text that may be a key: printable ASCII without spaces, of bounded length.
fn name(description: &str) -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": "^[!-~]+$", "description": description
    })
}

/// `service.action`.
fn full_name(description: &str) -> Value {
    json!({
        "type": "string", "maxLength": 2 * NAME_LIMIT + 1, "pattern": "^[!-~]+\\.[!-~]+$", "description": description
    })
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

fn top(name: &str, title: &str, properties: Value, required: &[&str]) -> Value {
    titled(name, title, object(properties, required))
}

fn titled(name: &str, title: &str, mut schema: Value) -> Value {
    schema["$schema"] = DIALECT.into();
    schema["$id"] = format!("{SCHEMA_BASE}{name}.json").into();
    schema["title"] = title.into();
    schema
}
