//! The document agrees with the routes and with the committed file.

use super::*;
use std::collections::BTreeSet;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");

#[test]
fn the_committed_document_is_up_to_date() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == openapi_json(),
        "docs/reference/openapi.json is out of date; run `cargo xtask openapi`"
    );
}

#[test]
fn every_route_is_described_and_every_description_has_a_route() {
    let routes: BTreeSet<&str> = include_str!("../mod.rs")
        .split(".route(\"")
        .skip(1)
        .filter_map(|s| s.split('"').next())
        .collect();
    let described: BTreeSet<&str> = OPERATIONS.iter().map(|o| o.path).collect();
    assert_eq!(routes, described);
}

#[test]
fn closed_lists_are_told_in_the_words_that_are_on_the_wire() {
    use amends_api::{
        BulkDeed, BulkState, CaseActName, CaseState, Cause, ClosedOn, Source, StepActName,
        StepStateName, StuckReason, Verdict,
    };
    use amends_protocol::{HistoryState, Outcome, Verb};
    let document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let check = |name: &str, words: Vec<Value>| {
        let told = document.pointer(&format!("/components/schemas/{name}/enum"));
        assert_eq!(told, Some(&Value::from(words)), "{name}");
    };
    macro_rules! check_all {
        ($($name:ident),+) => {$(
            let words = $name::ALL.iter().map(|word| serde_json::json!(word)).collect();
            check(stringify!($name), words);
        )+};
    }
    check_all!(
        BulkDeed,
        BulkState,
        CaseActName,
        CaseState,
        Cause,
        ClosedOn,
        HistoryState,
        Outcome,
        Source,
        StepActName,
        StepStateName,
        StuckReason,
        Verb,
        Verdict
    );
}

#[test]
fn every_schema_that_is_named_is_there() {
    let document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    assert!(wanted.len() > 30, "the document names its schemas");
    for name in wanted {
        assert!(document.pointer(&name[1..]).is_some(), "`{name}` leads nowhere");
    }
}

#[test]
fn operation_ids_are_unique_and_tags_are_explained() {
    let all = || OPERATIONS.iter().chain(WEBHOOKS);
    let ids: BTreeSet<_> = all().map(|o| o.id).collect();
    assert_eq!(ids.len(), all().count());
    for operation in all() {
        assert!(
            operations::TAGS.iter().any(|(name, _)| *name == operation.tag),
            "tag `{}`",
            operation.tag
        );
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                found.insert(target.clone());
            }
            members.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}
