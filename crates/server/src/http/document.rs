//! The OpenAPI 3.1 document, and the operations that it tells of. A test compares it with
//! `docs/reference/openapi.json`.

use super::openapi::{self, Answered, JSON, Operation, TAGS, Told, get};
use amends_store::{AnyStore, Store};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::LazyLock;

const DESCRIPTION: &str = "The compensation supervisor: reports in, compensations out. Every failed answer is an RFC 9457 problem; its kinds are in docs/reference/problems.md. Words of closed lists are enums. An object has the members that are listed and no others, unless its schema says by `x-open` why not; a later version of the API may add some, so a client should ignore what it does not know.";

/// This document, as an answer.
struct Document;

impl Answered for Document {
    fn told(told: &mut Told) {
        told.answer(200, JSON, json!({ "type": "object" }));
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        static TEXT: LazyLock<String> = LazyLock::new(openapi_json);
        ([(header::CONTENT_TYPE, JSON)], TEXT.as_str()).into_response()
    }
}

/// `GET /openapi.json`
async fn serve() -> Document {
    Document
}

/// Every operation, that of the document included.
pub(super) fn operations<S: Store>() -> Vec<Operation<S>> {
    let mut all = super::operations::operations();
    let document = get("/openapi.json", serve).named("openapi", "running", "This document.");
    all.push(document.says(200, "OpenAPI 3.1."));
    all
}

/// The OpenAPI 3.1 document of the REST API and, under `webhooks`, of the requests that services are sent.
///
/// # Panics
/// Never: it is made of constants, and a test makes it.
#[must_use]
pub fn openapi_json() -> String {
    let (paths, mut schemas) = openapi::paths(&operations::<AnyStore>());
    let webhooks = openapi::webhooks(&mut schemas);
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Amends",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" }
        },
        "servers": [{ "url": "http://127.0.0.1:7100", "description": "where `amends serve` listens unless told otherwise" }],
        "tags": TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect::<Vec<_>>(),
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": openapi::closed(schemas),
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer",
                "description": "Where access is controlled: a token of `amends token create`, or a signed token of the platform, with the scope that the operation names.",
            } },
        }
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

#[cfg(test)]
mod tests;
