//! The document agrees with the routes and with the committed file.

use super::*;
use std::collections::BTreeSet;
use std::path::Path;

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
    let all = operations::<AnyStore>();
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
        AttemptResult, AuditActName, BreakerState, BulkActName, BulkState, CaseActName, CaseState,
        Cause, ClosedOn, EventKind, FindingSeverity, NodeState, QuestionEffect, QuestionKind,
        RejectedWay, ReportStanding, ReportWay, Source, StepActName, StepStateName,
        StrangerActName, StuckReason, TroubleReason, Verdict,
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
        AuditActName,
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
        NodeState,
        Outcome,
        QuestionEffect,
        QuestionKind,
        RejectedWay,
        ReportStanding,
        ReportWay,
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
    check("EventState", amends_api::EventState::words().into_iter().map(Value::from).collect());
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

/// Every `METHOD /path` of a text that begins with a verb and a path of the API.
fn paths_named(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for (at, _) in text.match_indices(&format!("{method} /v1/")) {
            let path = &text[at + method.len() + 1..];
            let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/:{}_-.…".contains(c);
            let end = path.find(|c| !is_of_path(c)).unwrap_or(path.len());
            found
                .push((method.to_lowercase(), path[..end].trim_end_matches(['.', ':']).to_owned()));
        }
    }
    found
}

/// Whether the document has an operation for a path that a page names, by its own `{…}` or with real values in place.
fn has_path(document: &Value, (method, named): &(String, String)) -> bool {
    let fits = |path: &str| {
        let (own, other): (Vec<_>, Vec<_>) =
            (path.split('/').collect(), named.split('/').collect());
        own.len() == other.len()
            && own.iter().zip(&other).all(|(own, other)| {
                own == other || (own.starts_with('{') && !other.starts_with('{'))
            })
    };
    members(&document["paths"]).any(|(path, item)| fits(path) && item[method].is_object())
}

#[test]
fn every_path_that_the_document_or_a_page_names_is_one_of_its_own() {
    let document = document();
    let mut texts = vec![("openapi.json".to_owned(), openapi_json())];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("it is there") {
            let path = entry.expect("readable").path();
            match path.extension().and_then(|ext| ext.to_str()) {
                None => folders.push(path),
                Some("md" | "yaml") => {
                    let text = std::fs::read_to_string(&path).expect("UTF-8");
                    texts.push((path.display().to_string(), text));
                }
                Some(_) => {}
            }
        }
    }
    let (mut named, mut unknown) = (0, Vec::new());
    for (file, text) in &texts {
        for path in paths_named(text) {
            // What its examples have a payment provider offer, and an ellipsis, are not of this API.
            let is_other = path.1.starts_with("/v1/refunds") || path.1.contains('…');
            named += usize::from(!is_other);
            if !is_other && !has_path(&document, &path) {
                unknown.push(format!("{file}: {} {}", path.0, path.1));
            }
        }
    }
    assert_eq!(unknown, Vec::<String>::new());
    assert!(named > 50, "{named} are named");
    let wrong = ("post".to_owned(), "/v1/steps/{stepId}/acts".to_owned());
    assert!(!has_path(&document, &wrong), "a parameter of another name is found");
}

#[test]
fn the_page_of_the_api_has_every_word_of_the_lists_that_it_explains() {
    use amends_api::{Cause, ClosedOn, EventKind, NodeState, ServiceHealth, Verdict};
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/api.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let words = Cause::ALL.iter().map(|word| word.as_str());
    let words = words.chain(ClosedOn::ALL.iter().map(|word| word.as_str()));
    let words = words.chain(EventKind::ALL.iter().map(|word| word.as_str()));
    let words = words.chain(ServiceHealth::ALL.iter().map(|word| word.as_str()));
    let words = words.chain(NodeState::ALL.iter().map(|word| word.as_str()));
    let words = words.chain(Verdict::ALL.iter().map(|word| word.as_str()));
    let missing: Vec<&str> = words.filter(|word| !page.contains(&format!("`{word}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
