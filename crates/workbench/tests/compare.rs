//! What a change of a rulebook changes, and why a report is answered as it is.

use amends_protocol::{Evidence, HistoryState, Report, ReportData, SagaId};
use amends_rulebook::Rulebook;
use amends_workbench::{compare, compare_answers, explain, strangers};
use serde_json::{Map, json};
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const RULES: &str = "rulebook: bank\nservices:\n  t: { url: 'http://t', actions: { run: { compensation: revoke, calls: [d.take] } } }\n  d: { url: 'http://d', actions: { take: { compensation: put-back } } }\nrules:\n";

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"))
}

fn report(kind: &str, action: &str) -> Report {
    let (service, code) = kind.split_once('/').expect("a kind of report");
    Report {
        id: "r".to_owned(),
        source: service.to_owned(),
        saga_id: SagaId::new("s").expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData {
            code: code.to_owned(),
            action: Some(action.to_owned()),
            ..ReportData::default()
        },
    }
}

fn evidence(of: &str, state: HistoryState) -> Evidence {
    let (service, action) = of.split_once('.').expect("an action");
    Evidence::new(service, action, "r", state)
}

#[test]
fn order_comments_and_names_of_people_are_no_difference() {
    let moved = TEXT.replace("owner: order team", "owner: the order people");
    let (services, rules) = moved.split_once("\nrules:\n").expect("it has rules");
    let mut pieces: Vec<&str> = rules.split("\n\n").collect();
    pieces.reverse();
    let shuffled = format!("# another comment\n{services}\nrules:\n{}\n", pieces.join("\n\n"));
    let found = compare(&book(TEXT), &book(&shuffled));
    assert!(found.changes.is_empty(), "{}", found.to_text());
    assert!(found.tried > 10);
}

#[test]
fn a_forgotten_step_is_a_difference_of_its_report_alone() {
    let changed = TEXT.replacen(
        "[coupon.redeem, delivery.request, rider.match]",
        "[delivery.request, rider.match]",
        1,
    );
    let found = compare(&book(TEXT), &book(&changed));
    assert_eq!(found.changes.len(), 1, "{}", found.to_text());
    assert_eq!(found.changes[0].report, "payment/report-1");
    assert!(found.to_text().contains("\n  - compensate coupon.redeem\n"), "{}", found.to_text());
    let back = compare(&book(&changed), &book(TEXT));
    assert!(back.to_text().contains("\n  + compensate coupon.redeem\n"));
}

#[test]
fn a_moved_bound_is_found_by_a_report_between_the_old_and_the_new_one() {
    let rules = |bound: u32| {
        book(&format!(
            "{RULES}  - {{ on: t/odd, when: {{ data.amount: {{ gte: {bound} }} }}, compensate: all, mode: ask }}\n  - {{ on: '*/*', compensate: all }}\n"
        ))
    };
    let found = compare(&rules(1000), &rules(500));
    assert!(!found.changes.is_empty());
    for change in &found.changes {
        let amount = change.example.data["amount"].as_f64().expect("a number");
        assert!((500.0..1000.0).contains(&amount), "{amount}");
        assert_eq!((change.before.mode.as_str(), change.after.mode.as_str()), ("auto", "ask"));
    }
}

#[test]
fn stages_limits_and_giving_up_count() {
    let rules = |more: &str| {
        book(&format!(
            "{RULES}  - {{ on: '*/*', compensate: all }}\n  - {{ on: t/late, {more} }}\n"
        ))
    };
    let base = rules("retry: t.run, give_up: { after: 5 attempts, then: { compensate: all } }");
    for (other, said) in [
        (
            "retry: t.run, give_up: { after: 6 attempts, then: { compensate: all } }",
            "given up after 6 attempts instead of after 5 attempts",
        ),
        (
            "retry: t.run, give_up: { after: 5 attempts, then: { compensate: [t.run] } }",
            "- given up: compensate d.take",
        ),
        (
            "retry: t.run, limit: 5 per minute, give_up: { after: 5 attempts, then: { compensate: all } }",
            "mode auto, 5 per minute instead of auto",
        ),
    ] {
        let text = compare(&base, &rules(other)).to_text();
        assert!(text.contains(said), "{text}");
    }
    let flat = rules("compensate: [t.run, d.take]");
    let staged = rules("compensate: [d.take], then: { compensate: [t.run] }");
    assert!(
        compare(&flat, &staged).to_text().contains("~ compensate t.run in stage 1 instead of 0")
    );
}

/// A case undoes its reporter with the rest, whether a rule names it or not.
#[test]
fn whether_a_rule_names_the_reporter_is_no_difference() {
    let named = TEXT.replacen(
        "[coupon.redeem, delivery.request, rider.match]",
        "[payment.pay, coupon.redeem, delivery.request, rider.match]",
        1,
    );
    let found = compare(&book(TEXT), &book(&named));
    assert!(found.is_empty(), "{}", found.to_text());
    // A set that contains it is none either.
    let rules = |demand: &str| {
        book(&format!(
            "{RULES}  - {{ on: '*/*', compensate: all }}\n  - {{ on: t/late, {demand} }}\n"
        ))
    };
    let found = compare(&rules("compensate: downstream"), &rules("compensate: [t.run, d.take]"));
    let about: Vec<_> = found.changes.iter().map(|c| c.example.action.clone()).collect();
    assert_eq!(about, [None], "only a report that doesn't say what failed: {}", found.to_text());
    // Given up, what failed is undone on both sides.
    let given_up = |then: &str| {
        rules(&format!(
            "retry: t.run, give_up: {{ after: 5 attempts, then: {{ compensate: {then} }} }}"
        ))
    };
    let text = compare(&given_up("[d.take]"), &given_up("[t.run, d.take]")).to_text();
    assert!(text.contains("no difference"), "{text}");
}

#[test]
fn every_value_of_a_long_list_counts() {
    let rules = |cities: &[String]| {
        let list = cities.join(", ");
        book(&format!(
            "{RULES}  - {{ on: '*/*', compensate: all }}\n  - {{ on: t/late, when: {{ data.city: {{ one_of: [{list}] }}, data.vip: true }}, retry: t.run }}\n"
        ))
    };
    let cities: Vec<String> = (0..200).map(|n| format!("city-{n:03}")).collect();
    for without in [0, 57, 199] {
        let mut fewer = cities.clone();
        let gone = fewer.remove(without);
        for (a, b) in [(&cities, &fewer), (&fewer, &cities)] {
            let found = compare(&rules(a), &rules(b));
            let examples: Vec<_> = found.changes.iter().map(|c| &c.example.data["city"]).collect();
            assert!(!examples.is_empty(), "without {gone}");
            assert!(examples.iter().all(|city| **city == json!(gone)), "{examples:?}");
        }
    }
}

#[test]
fn how_steps_are_asked_for_counts() {
    let rules = |service: &str, action: &str, settings: &str| {
        book(&format!(
            "rulebook: bank\n{settings}services:\n  t:\n    url: 'http://t'\n{service}    actions:\n      run:\n        compensation: revoke\n{action}rules: [{{ on: '*/*', compensate: all }}]\n"
        ))
    };
    let base = rules("", "", "");
    let endpoint = "        endpoints: { compensate: { method: POST, path: '/runs/{sagaId}/revoke', headers: { x-step: '{stepId}' }, body: { why: '{report.message}', n: 1 }, done: 2xx, nothing: 404 } }\n";
    for (other, said) in [
        (
            rules("", "        retry_policy: { timeout: 3s }\n", ""),
            "t.run: retry_policy.timeout 3s instead of 10s",
        ),
        (
            rules("", "        retry_policy: { attempts: 4 }\n", ""),
            "t.run: retry_policy.attempts 4 instead of none",
        ),
        (rules("    concurrency: 2\n", "", ""), "t: concurrency 2 instead of 16"),
        (rules("    signing_key: k\n", "", ""), "t: signing_key k instead of none"),
        (rules("", "", "settle: { quiet: 5s }\n"), "all cases: settle.quiet 5s instead of 30s"),
        (
            rules("", endpoint, ""),
            "t.run: endpoints.compensate POST /runs/{sagaId}/revoke, x-step: {stepId}, body {\"n\":1,\"why\":\"{report.message}\"}, done 2xx, nothing 404 instead of none",
        ),
    ] {
        let found = compare(&base, &other);
        assert!(found.changes.is_empty() && !found.is_empty());
        assert!(found.to_text().contains(said), "`{said}` is not in\n{}", found.to_text());
        assert_eq!(found.asking.len(), 1, "{}", found.to_text());
        assert_eq!(found.to_json()["asking"][0]["about"], found.asking[0].about.as_str());
    }
}

#[test]
fn a_new_action_is_one_difference() {
    let base = TEXT.replace(
        "actions:\n      redeem:",
        "actions:\n      give: { compensation: take-back }\n      redeem:",
    );
    let found = compare(&book(TEXT), &book(&base));
    let asking: Vec<_> = found.asking.iter().map(|c| (c.about.as_str(), c.what.as_str())).collect();
    assert_eq!(asking, [("coupon.give", "action")]);
    assert!(found.to_text().contains("  + action coupon.give\n"), "{}", found.to_text());
}

#[test]
fn modes_and_limits_of_any_rule_count() {
    let rules = |first: &str, last: &str| {
        book(&format!(
            "{RULES}  - {{ on: '*/*', compensate: all{last} }}\n  - {{ on: t/late*, when: {{ message: {{ prefix: no }} }}, retry: t.run{first} }}\n"
        ))
    };
    let base = rules("", "");
    for (other, said) in [
        (rules(", mode: shadow", ""), "mode shadow instead of auto"),
        (rules("", ", mode: ask"), "mode ask instead of auto"),
        (rules("", ", limit: 7 per minute"), "mode auto, 7 per minute instead of auto"),
    ] {
        let text = compare(&base, &other).to_text();
        assert!(text.contains(said), "`{said}` is not in\n{text}");
    }
}

#[test]
fn one_stored_report_is_compared_by_names() {
    let (a, b) = (
        book(TEXT),
        book(&TEXT.replace(
            "- on: \"*/*\"\n    compensate: recorded",
            "- on: \"*/*\"\n    compensate: all",
        )),
    );
    let data = Map::new();
    let facts = amends_rulebook::Facts {
        service: "coupon",
        code: "expired",
        action: Some("redeem"),
        entry: None,
        caller: None,
        message: None,
        data: &data,
    };
    let change = compare_answers(&a, &b, &facts, &["payment.pay".to_owned()]).expect("they differ");
    assert_eq!(change.before.steps.len(), 2, "what is recorded, and what failed");
    assert_eq!(change.after.steps.len(), 5);
    assert_eq!(compare_answers(&a, &a, &facts, &[]), None);
    assert_eq!(change.to_json()["report"], json!("coupon/expired"));
}

#[test]
fn an_explanation_says_what_would_change_the_plan() {
    let book = book(&format!(
        "{RULES}  - {{ on: t/odd, when: {{ data.amount: {{ gte: 1000 }} }}, compensate: all, mode: ask }}\n  - {{ on: '*/*', compensate: recorded }}\n"
    ));
    let mut report = report("t/odd", "run");
    report.data.data = Map::from_iter([("amount".to_owned(), json!(10))]);
    let explained = explain(&book, &report);
    insta::with_settings!({ snapshot_path => "data/explain", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("below-the-bound", explained.to_text(&book));
    });
    let json = explained.to_json(&book);
    assert_eq!(json["rule"], "*/*");
    assert_eq!(json["changes"].as_array().map(Vec::len), Some(2));
    // Its own History proves that it did nothing.
    report.data.history = vec![evidence("t.run", HistoryState::Failed)];
    assert!(explain(&book, &report).steps().is_empty());
}

/// A retry that was given up may have had effects, so what failed is undone with the rest.
#[test]
fn what_is_done_after_giving_up_includes_what_failed() {
    let book = book(TEXT);
    let mut report = report("order/report-1", "place");
    report.data.history = vec![evidence("payment.pay", HistoryState::Succeeded)];
    let explained = explain(&book, &report);
    assert_eq!(
        explained.changes.last().map(String::as_str),
        Some("if the retry still fails after 10 attempts: undo order.place, payment.pay")
    );
}

#[test]
fn misspelt_names_are_told_with_what_was_meant() {
    let book = book(TEXT);
    let report: amends_protocol::Report = amends_protocol::Report {
        id: "r-1".to_owned(),
        source: "payment".to_owned(),
        saga_id: amends_protocol::SagaId::new("o-1").expect("good"),
        time: None,
        traceparent: None,
        data: serde_json::from_value(json!({
            "code": "report-11",
            "action": "pai",
            "history": [
                { "service": "coupn", "action": "redeem", "requestId": "r", "state": "succeeded" },
                { "service": "delivery", "action": "request", "requestId": "r", "state": "unknown" },
            ],
        }))
        .expect("a report"),
    };
    let found = strangers(&book, &report);
    assert_eq!(
        found.actions,
        [
            "action of `payment`: `pai` is not in rulebook `food-order`; did you mean `pay`?",
            "history: `coupn.redeem` is not in rulebook `food-order`; did you mean `coupon.redeem`?",
        ]
    );
    assert_eq!(
        found.reporters,
        [
            "report of `payment`: `report-11` is not in rulebook `food-order`; did you mean `report-1`?"
        ]
    );
}
