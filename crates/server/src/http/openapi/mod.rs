//! The OpenAPI 3.1 document: schemas come from the wire types, operations from the tables beside this file. A test
//! compares the tables with the routes and the document with `docs/reference/openapi.json`.

mod operation;
mod operations;
mod parameters;
mod schemas;
mod webhooks;

use axum::http::header;
use axum::response::IntoResponse;
use operation::{Answer, Body, Operation};
use operations::OPERATIONS;
use serde_json::{Map, Value, json};
use webhooks::WEBHOOKS;

/// `GET /openapi.json`
pub(super) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json())
}

/// The OpenAPI 3.1 document of the REST API and, under `webhooks`, of the requests that services are sent.
///
/// # Panics
/// Never: it is made of constants, and a test makes it.
#[must_use]
pub fn openapi_json() -> String {
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Amends",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The compensation supervisor: reports in, compensations out. Every failed answer is an RFC 9457 problem; its kinds are in docs/reference/problems.md.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" }
        },
        "servers": [{ "url": "http://127.0.0.1:7100", "description": "where `amends serve` listens unless told otherwise" }],
        "tags": operations::TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect::<Vec<_>>(),
        "paths": paths(OPERATIONS),
        "webhooks": paths(WEBHOOKS),
        "components": { "schemas": schemas::all() }
    });
    let mut text = serde_json::to_string_pretty(&sorted(document)).expect("JSON of constants");
    text.push('\n');
    text
}

/// Keys in one order, whatever features `serde_json` is built with: the committed file must not depend on them.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut all: Vec<_> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(all.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain => plain,
    }
}

fn paths(operations: &[Operation]) -> Value {
    let mut paths = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = describe(operation);
    }
    Value::Object(paths)
}

fn describe(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation
        .path
        .split('{')
        .skip(1)
        .filter_map(|p| p.split('}').next())
        .map(in_path)
        .collect();
    parameters.extend(operation.query.iter().map(|(name, text)| in_query(name, text)));
    parameters.extend(operation.headers.iter().map(|(name, required, text)| {
        json!({ "name": name, "in": "header", "required": required, "description": text, "schema": { "type": "string" } })
    }));
    let mut all = json!({
        "tags": [operation.tag],
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation),
    });
    if !parameters.is_empty() {
        all["parameters"] = parameters.into();
    }
    if !operation.bodies.is_empty() {
        let content: Map<String, Value> = operation.bodies.iter().map(body).collect();
        all["requestBody"] = json!({ "required": true, "content": content });
    }
    all
}

fn body(body: &Body) -> (String, Value) {
    (body.0.to_owned(), json!({ "schema": schema(body.1) }))
}

/// `[X]` is a list of `X`; a text without a capital is a plain type.
/// `A|B` is either, `[A]` a list of them.
fn schema(name: &str) -> Value {
    if name.contains('|') {
        return json!({ "oneOf": name.split('|').map(schema).collect::<Vec<_>>() });
    }
    if let Some(item) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        return json!({ "type": "array", "items": schema(item) });
    }
    if name.starts_with(char::is_uppercase) {
        json!({ "$ref": format!("#/components/schemas/{name}") })
    } else {
        json!({ "type": name })
    }
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for Answer(status, text, kind, body) in operation.answers {
        let mut one = json!({ "description": text });
        if !body.is_empty() {
            one["content"][*kind] = json!({ "schema": schema(body) });
        }
        responses.insert((*status).to_owned(), one);
    }
    responses.entry("default").or_insert_with(|| {
        json!({
            "description": "A problem; `code` says which.",
            "content": { "application/problem+json": { "schema": schema("Problem") } }
        })
    });
    Value::Object(responses)
}

fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn in_query(name: &str, text: &str) -> Value {
    let schema = match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 }),
        "opened_after" | "opened_before" => json!({ "type": "string", "format": "date-time" }),
        "state" | "kind" => json!({ "type": "array", "items": { "type": "string" } }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": "query", "required": false, "description": text, "schema": schema })
}

#[cfg(test)]
mod tests;
