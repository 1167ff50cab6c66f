//! Two rulebooks over stored cases: retries that were given up, limits of cases a minute.

use amends_api::CaseDetail;
use amends_rulebook::Rulebook;
use amends_workbench::{Replay, Replayed};
use serde_json::{Value, json};
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"))
}

/// A case as the supervisor tells of it: one report at a second of the day, and the tries of one step.
fn case(number: u32, report: &str, second: u32, plan: Value) -> CaseDetail {
    let (service, code) = report.split_once('/').expect("service/code");
    let action = if service == "order" { "place" } else { "pay" };
    let at = format!("2026-01-01T10:{:02}:{:02}Z", second / 60, second % 60);
    serde_json::from_value(json!({
        "id": format!("c-{number}"), "sagaId": format!("o-{number}"), "state": "settled", "report": report,
        "openedAt": at, "updatedAt": at, "steps": {},
        "reports": [{
            "source": service, "id": format!("r-{number}"), "service": service, "receivedAt": at, "role": "rule",
            "data": { "code": code, "action": action, "history": [
                { "service": "payment", "action": "pay", "requestId": "q", "state": "succeeded" },
            ] },
        }],
        "plan": plan, "histories": [], "notes": [], "acts": [],
    }))
    .unwrap_or_else(|error| panic!("{error}"))
}

/// A retry of the order with these results, a minute apart.
fn retry(results: &[&str]) -> Value {
    let at = |n: usize| format!("2026-01-01T10:{n:02}:00Z");
    let log: Vec<_> = results
        .iter()
        .enumerate()
        .map(|(n, result)| json!({ "attempt": n + 1, "sentAt": at(n), "endedAt": at(n), "result": result }))
        .collect();
    json!([{
        "id": "s-1-1-0000000000000000", "caseId": "c-1", "sagaId": "o-1", "verb": "retry", "action": "order.place",
        "stage": 0, "state": "superseded", "attempts": results.len(), "plannedAt": at(0), "because": ["r-1"], "log": log,
    }])
}

fn replay(old: &str, new: &str, cases: &[CaseDetail]) -> Replayed {
    let (old, new) = (book(old), book(new));
    let mut replay = Replay::new(&old, &new);
    cases.iter().for_each(|case| replay.add(case));
    replay.finish()
}

/// The demo's rule for order/report-1 gives up after another number of attempts, or never.
fn giving_up(after: &str) -> String {
    let text = TEXT.replace("after: 10 attempts", after);
    assert!(text != TEXT || after == "after: 10 attempts");
    text
}

#[test]
fn a_retry_is_given_up_if_the_tries_that_it_had_are_enough() {
    let five = [case(1, "order/report-1", 0, retry(&["unknown"; 5]))];
    let same = replay(TEXT, &giving_up("after: 6 attempts"), &five);
    assert_eq!((same.cases, same.differ), (1, 0), "neither would have given up");
    let told = replay(TEXT, &giving_up("after: 5 attempts"), &five).to_text();
    let wanted = "order/report-1: 1 case, e.g. c-1\n  - retry order.place in stage 1\n  + compensate order.place in stage 1\n  + compensate payment.pay in stage 1\n1 of 1 cases would get another plan\n";
    assert_eq!(told, wanted);
    // Four minutes have passed between the first try and the last.
    assert_eq!(replay(TEXT, &giving_up("after: 4m"), &five).differ, 1);
    assert_eq!(replay(TEXT, &giving_up("after: 5m"), &five).differ, 0);
}

#[test]
fn what_is_asked_for_after_giving_up_counts_where_it_was_given_up() {
    let other = TEXT.replace("then: { compensate: recorded }", "then: { compensate: downstream }");
    let given_up = case(1, "order/report-1", 0, retry(&["unknown"; 10]));
    let went_well = case(2, "order/report-1", 0, retry(&["unknown", "retried"]));
    let refused = case(3, "order/report-1", 0, retry(&["refused"]));
    let busy = case(4, "order/report-1", 0, retry(&["not_sent"; 30]));
    let found = replay(TEXT, &other, &[given_up, went_well, refused, busy]);
    assert_eq!(found.differ, 2, "{}", found.to_text());
    assert!(
        found.to_text().contains("+ compensate coupon.redeem in stage 1"),
        "{}",
        found.to_text()
    );
    assert!(!found.to_text().contains("c-2") && !found.to_text().contains("c-4"));
}

/// The supervisor's own report names another service's action in full.
#[test]
fn a_saga_that_was_never_ended_is_planned_from_the_action_that_began_it() {
    let mut case = case(1, "supervisor/deadline", 0, json!([]));
    case.reports[0].data.action = Some("order.place".to_owned());
    let other = TEXT.replace(
        "- on: \"*/*\"\n    compensate: recorded",
        "- on: \"*/*\"\n    compensate: downstream",
    );
    let told = replay(TEXT, &other, &[case]).to_text();
    assert!(told.contains("+ compensate coupon.redeem in stage 1"), "{told}");
    assert!(!told.contains("order.place"), "undone by both: {told}");
}

#[test]
fn cases_beyond_a_limit_would_have_waited_for_a_yes() {
    let limited = TEXT.replacen(
        "- on: payment/report-2\n",
        "- on: payment/report-2\n    limit: 2 per minute\n",
        1,
    );
    // Newest first, as a supervisor lists them: three within a minute, and one after it.
    let cases: Vec<_> = [(4, 75), (3, 50), (2, 30), (1, 5)]
        .iter()
        .map(|(n, second)| case(*n, "payment/report-2", *second, json!([])))
        .collect();
    let found = replay(TEXT, &limited, &cases);
    let wanted = "payment/report-2: 1 case, e.g. c-3\n  + waits for approval: over 2 cases a minute for rule payment/report-2\n1 of 4 cases would get another plan\n";
    assert_eq!(found.to_text(), wanted);
    assert_eq!(found.to_json()["groups"][0]["example"], "c-3");
    assert_eq!(replay(&limited, TEXT, &cases).differ, 1);
    assert_eq!(replay(&limited, &limited, &cases).differ, 0);
}
