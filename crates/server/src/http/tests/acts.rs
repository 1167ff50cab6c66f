//! What a step or a case may have done to it is offered as `may`, and exactly that is taken; a filter means the same steps
//! wherever it is used.

use super::desk::{BOOK, Desk, binary};
use amends_api::{CaseActName, StepActName};
use amends_engine::StepReading;
use amends_protocol::Outcome;
use amends_rulebook::Rulebook;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A step of a fresh saga in one of these states, with its case.
async fn step_that_is(desk: &Desk, wanted: &str, saga: &str) -> Value {
    let reading = match wanted {
        "due" => StepReading::Busy { overloaded: false, retry_after_ms: Some(600_000) },
        "accepted" => StepReading::Accepted { location: None, retry_after_ms: None },
        "done" => StepReading::Done(Outcome::Compensated),
        _ => StepReading::Refused,
    };
    desk.script.answer("payment.pay", reading);
    let case = desk.report(saga, &format!("r-{saga}")).await;
    let first = if wanted == "waived" { "stuck" } else { wanted };
    let step = desk.payment_step(&case, first).await;
    if wanted == "waived" {
        let acts = format!("/v1/steps/{}/acts", step["id"].as_str().expect("an id"));
        let waived = desk.post(&acts, &json!({"act": "waive", "reason": "not needed"})).await;
        assert_eq!(waived.status, StatusCode::OK, "{waived:?}");
        return waived.body;
    }
    step
}

fn words(may: &Value) -> Vec<&str> {
    may.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn a_step_is_offered_what_is_taken_and_nothing_else() {
    let desk = Desk::open().await;
    let mut sagas = 0;
    for state in ["stuck", "due", "accepted", "done", "waived"] {
        for act in StepActName::ALL {
            sagas += 1;
            let step = step_that_is(&desk, state, &format!("o-{sagas}")).await;
            let path = format!("/v1/steps/{}", step["id"].as_str().expect("an id"));
            assert_eq!(desk.get(&path).await.body["may"], step["may"], "alone as in its case");
            let mut body = json!({"act": act, "reason": "to see"});
            match act {
                StepActName::Edit => body["data"] = json!({"a": 1}),
                StepActName::Record => body["outcome"] = json!("compensated"),
                StepActName::Approve | StepActName::Retry | StepActName::Waive => {}
            }
            let reply = desk.post(&format!("{path}/acts"), &body).await;
            if words(&step["may"]).contains(&act.as_str()) {
                assert_eq!(reply.status, StatusCode::OK, "{act} on {state}: {reply:?}");
            } else {
                assert_eq!(reply.problem(), "conflict", "{act} on {state}: {reply:?}");
                let possible = match words(&step["may"]).join(", ") {
                    none if none.is_empty() => "no act is possible any more".to_owned(),
                    acts => format!("possible now: {acts}"),
                };
                assert!(reply.detail().ends_with(&possible), "{act} on {state}: {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_case_is_offered_what_is_taken_and_nothing_else() {
    let desk = Desk::open().await;
    let mut sagas = 0;
    for state in ["stuck", "settled", "unmatched"] {
        for act in CaseActName::ALL {
            sagas += 1;
            let saga = format!("o-{sagas}");
            let case = if state == "unmatched" {
                let narrow = BOOK.replace("\"*/*\"", "order/other");
                activate(&desk, &narrow).await;
                let report = binary(&saga, &saga, &json!({"code": "odd", "action": "place"}));
                desk.send(report).await.body["caseId"].as_str().expect("a case").to_owned()
            } else {
                step_that_is(&desk, if state == "stuck" { "stuck" } else { "done" }, &saga).await
                    ["caseId"]
                    .as_str()
                    .expect("a case")
                    .to_owned()
            };
            let path = format!("/v1/cases/{case}");
            if state == "settled" {
                let settle = json!({"act": "settle", "reason": "looked at it"});
                let settled = desk.post(&format!("{path}/acts"), &settle).await;
                assert!(settled.status == StatusCode::OK || settled.problem() == "conflict");
            }
            let shown = desk.until(&path, |body| body["state"] == state).await;
            let mut body = json!({"act": act, "reason": "to see"});
            if *act == CaseActName::Plan {
                body["retry"] = json!(["payment.pay"]);
            }
            let reply = desk.post(&format!("{path}/acts"), &body).await;
            if words(&shown["may"]).contains(&act.as_str()) {
                assert_eq!(reply.status, StatusCode::OK, "{act} on {state}: {reply:?}");
            } else {
                assert_eq!(reply.problem(), "conflict", "{act} on {state}: {reply:?}");
            }
        }
    }
}

async fn activate(desk: &Desk, text: &str) {
    let book = Rulebook::from_yaml(text).expect("valid");
    desk.supervisor.activate(book, "test", "another").await.expect("active");
}

/// Whether a form has a button of this act that can be pressed. One that can't be says why.
fn has_button(form: &str, act: &str) -> bool {
    let mut buttons =
        form.match_indices("<button").filter_map(|(at, _)| form[at..].split('>').next());
    buttons.any(|tag| tag.contains(&format!("value=\"{act}\"")) && !tag.contains(" disabled"))
}

#[tokio::test]
async fn the_console_offers_what_may_be_done() {
    let desk = Desk::open().await;
    for (n, state) in ["stuck", "due", "accepted", "done", "waived"].into_iter().enumerate() {
        let step = step_that_is(&desk, state, &format!("o-{n}")).await;
        let case = step["caseId"].as_str().expect("a case");
        let shown = desk.get(&format!("/v1/cases/{case}")).await.body;
        let page = desk.get(&format!("/cases/{case}")).await;
        let page = page.body.as_str().expect("a page");
        let forms = |path: &str| -> String {
            page.split("<form ")
                .filter(|form| form.contains(&format!("action=\"{path}\"")))
                .collect()
        };
        let id = step["id"].as_str().expect("an id");
        let form = forms(&format!("/steps/{id}/acts"));
        for act in StepActName::ALL {
            let button = has_button(&form, act.as_str());
            let offered = words(&step["may"]).contains(&act.as_str());
            assert_eq!(button, offered, "{act} on a step that is {state}");
        }
        let form = forms(&format!("/cases/{case}/acts"));
        for act in CaseActName::ALL {
            let button = has_button(&form, act.as_str());
            let offered = words(&shown["may"]).contains(&act.as_str());
            assert_eq!(button, offered, "{act} on the case of a step that is {state}");
        }
    }
}

#[tokio::test]
async fn a_filter_means_the_steps_that_the_act_is_for() {
    let desk = Desk::open().await;
    let mut ids = std::collections::BTreeMap::new();
    for (n, state) in ["stuck", "due", "accepted", "done", "waived"].into_iter().enumerate() {
        let step = step_that_is(&desk, state, &format!("o-{n}")).await;
        ids.insert(state, step["id"].clone());
    }
    for (act, filter, meant) in [
        ("retry", json!({"service": "payment"}), &["stuck", "due"][..]),
        ("retry", json!({"service": "payment", "state": "stuck,done"}), &["stuck", "waived"]),
        ("retry", json!({"service": "payment", "outcome": "waived"}), &["waived"]),
        ("retry", json!({"service": "payment", "state": "accepted"}), &[]),
        ("waive", json!({"service": "payment"}), &["stuck"]),
        ("waive", json!({"service": "payment", "state": "due,accepted"}), &["due", "accepted"]),
        ("approve", json!({"service": "payment", "state": "stuck"}), &[]),
    ] {
        let wanted: Vec<&Value> = meant.iter().map(|state| &ids[state]).collect();
        let one = json!({"act": act, "reason": "why"});
        let at_once = json!({"act": one, "filter": filter, "dryRun": true});
        let at_once = desk.post("/v1/steps:act", &at_once).await.body;
        assert_eq!(at_once["ids"].as_array().expect("ids").iter().collect::<Vec<_>>(), wanted);
        let waves = json!({"act": act, "reason": "why", "filter": filter, "dryRun": true});
        let waves = desk.post("/v1/bulk", &waves).await.body;
        let sample = waves["sample"].as_array().expect("a sample");
        assert_eq!(
            sample.iter().map(|s| &s["stepId"]).collect::<Vec<_>>(),
            wanted,
            "{act} {filter}"
        );
        assert_eq!(waves["matched"], wanted.len());
    }
}
