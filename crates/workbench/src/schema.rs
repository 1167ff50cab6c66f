//! JSON Schemas of rulebooks and manifests, for editors: completion, explanations, and a first check while one types. They
//! say how the text is shaped; only `load` knows whether its names and conditions make sense.

use amends_api::{QuestionEffect, QuestionKind};
use amends_rulebook::tree::{self, Kind, Node};
use amends_rulebook::{
    DataRole, DataType, Diagnostic, Mapped, Past, SUPERVISOR, UndoOrder, fields,
};
use serde_json::{Map, Value, json};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a rulebook.
#[must_use]
pub fn rulebook_schema() -> Value {
    let mut services = named(reference("service"), "Services by name.");
    // The name under which deadlines are reported is taken.
    services["propertyNames"] =
        json!({ "allOf": [reference("name"), { "not": { "const": SUPERVISOR } }] });
    let mut reports = named(reference("report"), "Reports as `service/code`.");
    reports["propertyNames"] = json!({ "pattern": "^[^/]+/[!-)+-~]{1,128}$" });
    let properties = json!({
        "rulebook": described(reference("name"), "The rulebook's name, unique in one supervisor."),
        "import": described(some_of(reference("text")), "Manifests, with paths relative to this file's folder."),
        "settle": object(json!({ "quiet": described(reference("durationOrZero"), "How long a case must show no sign of life before it counts as quiet.") }), &[]),
        "cause_wait": described(reference("durationOrZero"), "How long a report that names a cause waits for the cause's own report."),
        "history_age": described(reference("duration"), "How long a History may be unavailable, though its service is in reach, before a person is asked."),
        "questions": described(questions(), "What a question of each kind does to its case: it holds it (the default), or is only shown."),
        "strangers": described(strangers(), "How names are met that the rulebook does not know: `hold` their cases, or ignore some."),
        "undo_order": described(undo_order(), "In which order its rules undo what belongs to one stage."),
        "defaults": object(json!({ "retry_policy": reference("retryPolicy"), "concurrency": reference("concurrency") }), &[]),
        "services": services,
        "reports": reports,
        "rules": described(json!({ "type": ["array", "null"], "items": reference("rule") }), "Which report leads to which steps."),
    });
    top(
        "Amends rulebook",
        "https://amends.dev/schema/rulebook.json",
        object(properties, &["rulebook"]),
    )
}

fn strangers() -> Value {
    let pattern = json!({ "type": "string", "pattern": "^[^.]+\\..+$" });
    let ignore = object(json!({ "ignore": some_of(pattern) }), &[]);
    json!({ "anyOf": [{ "const": "hold" }, ignore] })
}

fn undo_order() -> Value {
    json!({ "enum": UndoOrder::ALL.map(UndoOrder::as_str) })
}

fn questions() -> Value {
    let effects: Vec<&str> = QuestionEffect::ALL.iter().map(|effect| effect.as_str()).collect();
    let kinds =
        QuestionKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), json!({ "enum": effects })));
    object(Value::Object(kinds.collect()), &[])
}

/// The schema of a manifest.
#[must_use]
pub fn manifest_schema() -> Value {
    let mut properties = service_properties();
    properties["service"] = described(reference("name"), "The service's name.");
    properties["shared"] = described(
        json!({ "type": "boolean" }),
        "`true`: several rulebooks may import it; a report belongs to that of its saga's entry.",
    );
    top(
        "Amends manifest",
        "https://amends.dev/schema/manifest.json",
        object(properties, &["service"]),
    )
}

fn top(title: &str, id: &str, mut schema: Value) -> Value {
    schema["$schema"] = DIALECT.into();
    schema["$id"] = id.into();
    schema["title"] = title.into();
    schema["$defs"] = definitions();
    schema
}

fn definitions() -> Value {
    let policy = json!({
        "first": described(reference("duration"), "The bound of the first pause."),
        "cap": described(reference("duration"), "The bound of every later pause."),
        "timeout": described(reference("duration"), "How long one attempt may take."),
        "attempts": described(json!({ "anyOf": [{ "const": "none" }, { "type": "integer", "minimum": 1, "maximum": 1_000_000 }] }), "After so many the step is stuck."),
        "age": described(json!({ "anyOf": [{ "const": "none" }, reference("duration")] }), "At this age the step is stuck."),
        "accepted": described(reference("duration"), "How long a service may take that answered 202."),
        "definite_after": described(reference("duration"), "How long a 3xx or 4xx that nobody mapped must come again before the step is stuck; `5m` if nothing is said."),
    });
    json!({
        "name": { "type": ["string", "integer", "boolean"], "pattern": "^[A-Za-z0-9_-]{1,128}$" },
        "text": { "type": ["string", "number", "boolean"] },
        "duration": { "type": "string", "pattern": "^0*[1-9][0-9]*\\s*(ms|s|m|h|d)$" },
        "durationOrZero": { "type": "string", "pattern": "^[0-9]+\\s*(ms|s|m|h|d)$" },
        "url": { "type": "string", "allOf": [
            { "pattern": "^[!-~]{1,2000}$" },
            { "pattern": "^https?://(\\[[^\\]/@?#{}\\\\\"<>]+\\]|[^/:@?#{}\\\\\"<>\\[]+)(:[0-9]{1,5})?(/[^?#{}\\\\\"<>]*)?$" },
        ] },
        "concurrency": { "type": "integer", "minimum": 1, "maximum": 10_000 },
        "action": { "type": "string", "pattern": "^[^.]+\\..+$" },
        "retryPolicy": object(policy, &[]),
        "service": nullable(object(service_properties(), &[])),
        "call": call(),
        "actionDeclaration": nullable(object(action_properties(), &[])),
        "endpoint": endpoint(),
        "answerBody": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": { "anyOf": [reference("text"), reference("answerBody")] },
        },
        "report": nullable(report()),
        "when": {
            "type": "object",
            "propertyNames": { "pattern": "^(action|message|entry|caller|data(\\.[^.]+){1,32})$" },
            "additionalProperties": { "anyOf": [
                reference("text"),
                { "type": "array", "items": reference("text"), "minItems": 1 },
                reference("matchers"),
            ] },
            "maxProperties": 64,
        },
        "matchers": matchers(),
        "rule": asking(object(rule_properties(), &["on"]), true),
        "stage": asking(object(stage_properties(true), &[]), true),
        "lastStage": asking(object(stage_properties(false), &[]), false),
        "giveUp": object(json!({
            "after": described(at_least_one(json!({ "type": "string", "pattern": "^\\s*0*[1-9][0-9]*\\s*(attempts?|ms|s|m|h|d)$" })), "`10 attempts`, `2h`, or both in a list: what comes first counts."),
            "then": described(reference("lastStage"), "What is asked for instead."),
        }), &["after", "then"]),
    })
}

fn matchers() -> Value {
    let mut matchers = object(
        json!({
            "one_of": { "type": "array", "items": reference("text"), "minItems": 1 },
            "prefix": reference("text"),
            "gt": { "type": "number" },
            "gte": { "type": "number" },
            "lt": { "type": "number" },
            "lte": { "type": "number" },
            "present": { "type": "boolean" },
            "not": at_least_one(reference("text")),
        }),
        &[],
    );
    matchers["minProperties"] = 1.into();
    matchers
}

/// One of the verbs must be there.
fn asking(mut schema: Value, may_retry: bool) -> Value {
    let verbs =
        if may_retry { &["compensate", "retry", "notify"][..] } else { &["compensate", "notify"] };
    schema["anyOf"] = verbs.iter().map(|verb| json!({ "required": [verb] })).collect();
    schema
}

fn service_properties() -> Value {
    let mut actions = named(reference("actionDeclaration"), "Actions by name.");
    actions["propertyNames"] = reference("name");
    let mut reports = named(reference("report"), "Reports by code, without the service.");
    reports["propertyNames"] = json!({ "pattern": "^([A-Za-z0-9_-]{1,128}/)?[!-)+-~]{1,128}$" });
    json!({
        "url": described(reference("url"), "Where its steps are sent."),
        "concurrency": described(reference("concurrency"), "Requests on their way to it at once."),
        "signing_key": described(reference("name"), "Name of a key in the server's configuration; never the key itself."),
        "retry_policy": reference("retryPolicy"),
        "history": described(reference("duration"), "How long it remembers requests."),
        "fence": fence(),
        "actions": actions,
        "reports": reports,
    })
}

fn fence() -> Value {
    described(
        json!({ "type": "boolean" }),
        "`false`: no fence is put up here, so none is asked for.",
    )
}

fn action_properties() -> Value {
    json!({
        "compensation": described(reference("name"), "The operation that undoes it."),
        "on_failure": described(json!({ "const": "retry" }), "It is run again when it fails."),
        "correction": described(reference("name"), "The message that corrects this one."),
        "effect": described(json!({ "enum": ["none", "notice", "pivot"] }), "`none`: nothing worth undoing; `notice`: a message; `pivot`: nothing can undo it, and after it the saga only goes forward."),
        "calls": described(some_of(reference("call")), "What it calls, in order; `?` at the end: not in every saga; `*`: any number of times; `+`: at least once; `own`: its own effect stands here."),
        "tags": described(some_of(reference("name")), "Names of sets that it belongs to."),
        "retry_policy": reference("retryPolicy"),
        "fence": fence(),
        "endpoints": object(json!({ "compensate": reference("endpoint"), "retry": reference("endpoint"), "notify": reference("endpoint") }), &[]),
    })
}

/// An item of `calls`.
fn call() -> Value {
    let name = || reference("action");
    let ways = json!({ "anyOf": [
        { "const": "none" },
        name(),
        { "type": "array", "items": name(), "minItems": 1 },
    ] });
    let several = |item: Value| json!({ "type": "array", "items": item, "minItems": 2 });
    let tolerate = || {
        described(json!({ "type": "boolean" }), "`true`: the caller goes on whatever comes of it.")
    };
    let within = described(reference("duration"), "How long the message may be under way at most.");
    let call = described(name(), "A call of which more is said.");
    let event = described(name(), "A message that nobody waits for.");
    let one_of = described(
        several(ways),
        "Exactly one of these is done: a call, a list of calls in this order, or `none`.",
    );
    let parallel = described(several(name()), "All of these are called at once.");
    json!({ "anyOf": [
        { "const": "own" },
        name(),
        object(json!({ "call": call, "tolerate": tolerate() }), &["call"]),
        object(json!({ "event": event, "within": within }), &["event"]),
        object(json!({ "one_of": one_of, "tolerate": tolerate() }), &["one_of"]),
        object(json!({ "parallel": parallel, "tolerate": tolerate() }), &["parallel"]),
    ] })
}

fn endpoint() -> Value {
    let path = || json!({ "type": "string", "pattern": "^/" });
    let mut poll = meanings();
    merge(
        &mut poll,
        json!({ "path": described(path(), "Where to look; `{answer.id}` takes a field of the answer that accepted it.") }),
    );
    let mut all = meanings();
    merge(
        &mut all,
        json!({
            "method": described(json!({ "enum": ["POST", "PUT", "PATCH", "DELETE", "GET"] }), "`POST` if not written."),
            "path": described(path(), "Behind the service's `url`; `{data.x}` takes a field of the report."),
            "headers": { "type": "object", "additionalProperties": reference("text") },
            "body": described(json!(true), "JSON, or the fields of a form, with placeholders in its texts."),
            "covers": described(json!({ "enum": ["request", "saga"] }), "`saga`: one request undoes all that the action did for the saga."),
            "poll": described(object(poll, &[]), "How to look whether an accepted step is done."),
        }),
    );
    object(all, &["path"])
}

/// The lists of an endpoint that say what an answer means.
fn meanings() -> Value {
    let status = json!({ "anyOf": [{ "type": "integer", "minimum": 200, "maximum": 599 }, { "type": "string", "pattern": "^[2-5]([0-9]{2}|xx)$" }] });
    let of_body = object(json!({ "status": status, "body": reference("answerBody") }), &["status"]);
    let answers = some_of(json!({ "anyOf": [status, of_body] }));
    let lists = Mapped::ALL.iter().map(|meaning| (meaning.as_str().to_owned(), answers.clone()));
    Value::Object(lists.collect())
}

fn data_fields() -> Value {
    let path = "^(data\\.)?[^.]+(\\.[^.]+)*$";
    let one = json!({ "type": ["string", "number", "boolean"], "pattern": path });
    let types: Vec<&str> = DataType::ALL.iter().map(|kind| kind.as_str()).collect();
    json!({ "anyOf": [
        one.clone(),
        { "type": "array", "items": one },
        {
            "type": "object",
            "propertyNames": { "pattern": path },
            "additionalProperties": {
                "anyOf": [{ "type": "null" }, { "enum": types }, data_field(&types)],
            },
        },
    ] })
}

fn data_field(types: &[&str]) -> Value {
    let properties = json!({
        "type": described(json!({ "enum": types }), "What it holds."),
        "secret": described(json!({ "type": "boolean" }), "It goes to services and is never shown to people."),
        "role": described(json!({ "enum": DataRole::WORDS }), "What it means: the business's own name of what is undone, whom it concerns, how much."),
        "currency": described(reference("text"), "Of an amount: the field of the same data that says its currency, or the currency itself, e.g. `EUR`."),
    });
    let mut field = object(properties, &[]);
    field["dependentRequired"] = json!({ "currency": ["role"] });
    field
}

fn report() -> Value {
    let calls = || some_of(reference("action"));
    let properties = json!({
        "in": described(reference("text"), "The action that fails."),
        "after": described(calls(), "Calls that were made by then; `[]` if none was."),
        "sent": described(reference("action"), "A call whose answer never came."),
        "without": described(calls(), "Calls that were not made."),
        "keep": described(json!({ "type": "boolean" }), "Everything below succeeded and stays."),
        "data": described(data_fields(), "Business fields that it carries: a list, or each with its type, whether it is secret, and its role."),
    });
    let mut report = object(properties, &[]);
    report["dependentRequired"] = json!({ "sent": ["in"] });
    report
}

fn rule_properties() -> Value {
    let mut all = stage_properties(true);
    let more = json!({
        "on": described(json!({ "type": "string", "pattern": "^(\\*/\\*|[^/*]+/([!-)+-~]{1,128}\\*?|\\*))$" }), "`service/code`, `service/prefix*`, `service/*` or `*/*`."),
        "when": described(reference("when"), "What else must hold, all of it."),
        "give_up": described(reference("giveUp"), "When a retry ends, and what then."),
        "mode": described(json!({ "enum": ["auto", "ask", "shadow"] }), "`auto`: carry it out; `ask`: wait for a person; `shadow`: only record it."),
        "undo_order": described(undo_order(), "In which order what it compensates in one stage is undone."),
        "past": described(json!({ "enum": Past::ALL.map(Past::as_str) }), "Past a pivot, what came before it waits for a person (`ask`), is undone all the same (`undo`), or stays (`keep`)."),
        "limit": described(json!({ "type": "string", "pattern": "^\\s*0*[1-9][0-9]*\\s*per minute$" }), "More cases than this fall back to `ask`."),
        "objective": described(reference("duration"), "Its cases should be settled within this age; an older one is reported."),
        "owner": described(reference("text"), "Whom to ask about it."),
        "why": described(reference("text"), "Why it is as it is."),
    });
    merge(&mut all, more);
    all
}

fn stage_properties(may_retry: bool) -> Value {
    // Nothing written asks for nothing.
    let target = |text: Value| json!({ "anyOf": [{ "type": "null" }, text, { "type": "array", "items": text }] });
    let named = || {
        target(json!({ "type": "string", "not": { "enum": ["recorded", "all", "downstream"] } }))
    };
    let mut all = json!({
        "compensate": described(target(json!({ "type": "string" })), "What is undone: actions, `tag:x`, `recorded`, `all`, `downstream`."),
        "notify": described(named(), "Which messages go out."),
        "then": described(reference(if may_retry { "stage" } else { "lastStage" }), "A later stage, when all of this is done."),
    });
    if may_retry {
        merge(&mut all, json!({ "retry": described(named(), "What is run again.") }));
    }
    all
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// A mapping with these keys and no others.
fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn named(value: Value, description: &str) -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": value, "description": description })
}

/// Also nothing at all.
fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [{ "type": "null" }, schema] })
}

/// One value or a list of them.
fn some_of(item: Value) -> Value {
    json!({ "anyOf": [item.clone(), { "type": "array", "items": item }] })
}

/// The same, and the list is not empty.
fn at_least_one(item: Value) -> Value {
    json!({ "anyOf": [item.clone(), { "type": "array", "items": item, "minItems": 1 }] })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn described(mut schema: Value, text: &str) -> Value {
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    schema["description"] = text.into();
    schema
}

/// The text as JSON, as a schema sees it: by YAML's core schema, as rulebooks are read.
///
/// # Errors
/// The first mistake, if the text is not YAML as rulebooks have it.
pub fn as_json(text: &str) -> Result<Value, Box<Diagnostic>> {
    let (root, mistakes) = tree::parse(text)?;
    match mistakes.into_iter().next() {
        Some(mistake) => Err(mistake.into()),
        None => Ok(root.as_ref().map_or(Value::Null, value)),
    }
}

fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { .. } => fields::scalar(node).as_ref().map_or(Value::Null, fields::json),
        Kind::List(items) => items.iter().map(value).collect(),
        Kind::Map(entries) => Value::Object(
            entries.iter().map(|e| (e.key.clone(), value(&e.value))).collect::<Map<_, _>>(),
        ),
    }
}
