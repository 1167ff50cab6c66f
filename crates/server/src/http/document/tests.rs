//! The document agrees with the routes and with the committed file.

use super::*;
use std::collections::BTreeSet;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");

fn document() -> Value {
    serde_json::from_str(&openapi_json()).expect("JSON")
}

#[test]
fn the_committed_document_is_up_to_date() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == openapi_json(),
        "docs/reference/openapi.json is out of date; run `cargo xtask openapi`"
    );
}

#[test]
fn what_is_said_by_hand_fits_what_the_types_say() {
    let all = operations::<SqliteStore>();
    let mistakes: Vec<_> = all.iter().flat_map(Operation::mistakes).collect();
    assert_eq!(mistakes, Vec::<String>::new());
}

#[test]
fn operations_have_names_of_their_own() {
    let document = document();
    let mut ids = Vec::new();
    for (_, item) in members(&document["paths"]).chain(members(&document["webhooks"])) {
        ids.extend(members(item).map(|(_, one)| one["operationId"].as_str().expect("an id")));
    }
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
}

#[test]
fn closed_lists_are_told_in_the_words_that_are_on_the_wire() {
    use amends_api::{
        AttemptResult, BreakerState, BulkActName, BulkState, CaseActName, CaseState, Cause,
        ClosedOn, EventKind, FindingSeverity, QuestionEffect, QuestionKind, ReportStanding, Source,
        StepActName, StepStateName, StrangerActName, StuckReason, TroubleReason, Verdict,
    };
    use amends_protocol::{HistoryState, Outcome, SagaState, Verb};
    let document = document();
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
        AttemptResult,
        BreakerState,
        BulkActName,
        BulkState,
        CaseActName,
        CaseState,
        Cause,
        ClosedOn,
        EventKind,
        FindingSeverity,
        HistoryState,
        Outcome,
        QuestionEffect,
        QuestionKind,
        ReportStanding,
        SagaState,
        Source,
        StepActName,
        StepStateName,
        StrangerActName,
        StuckReason,
        TroubleReason,
        Verb,
        Verdict
    );
}

#[test]
fn every_schema_that_is_named_is_there_and_no_other() {
    let document = document();
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    let there = members(&document["components"]["schemas"]);
    let there: BTreeSet<String> =
        there.map(|(name, _)| format!("#/components/schemas/{name}")).collect();
    assert_eq!(wanted, there);
}

#[test]
fn objects_are_closed_or_say_why_they_are_open() {
    let document = document();
    let mut open = Vec::new();
    for (name, schema) in members(&document["components"]["schemas"]) {
        let is_object = schema["properties"].is_object();
        if is_object && schema["additionalProperties"] != json!(false) && schema["x-open"].is_null()
        {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().expect("an object").iter().map(|(name, value)| (name.as_str(), value))
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
