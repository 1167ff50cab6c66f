//! Table tests beside a rulebook: they pass when the rules are as expected, and say what differs when they are not.

use amends_rulebook::{Rulebook, SourceFile, position};
use amends_workbench::{Suite, TestReport, junit, load_tests, rulebook_path, run_tests};
use std::sync::Arc;

const FOOD_ORDER: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const TESTS: &str = include_str!("../../../demo/rulebook/food-order.test.yaml");
const MARKETPLACE: &str = include_str!("../../../demo/rulebook/marketplace.yaml");
const MARKETPLACE_TESTS: &str = include_str!("../../../demo/rulebook/marketplace.test.yaml");

fn source(text: &str) -> SourceFile {
    SourceFile { path: "x.test.yaml".to_owned(), text: text.into() }
}

fn run(rulebook: &str, tests: &str) -> TestReport {
    let book = Rulebook::from_yaml(rulebook).expect("a valid rulebook");
    let loaded = load_tests(&source(tests), &book);
    assert_eq!(loaded.diagnostics, []);
    run_tests(&book, &loaded.tests)
}

fn one_test(text: &str) -> Vec<String> {
    let report = run(FOOD_ORDER, &format!("tests:\n  - {{ name: x, {text} }}\n"));
    report.results[0].differences.clone()
}

#[test]
fn the_tests_of_the_food_order_rulebook_pass_and_reach_every_rule_and_cell() {
    assert_eq!(rulebook_path(&source(TESTS)).as_deref(), Some("food-order.yaml"));
    let report = run(FOOD_ORDER, TESTS);
    let failed: Vec<_> = report.failed().collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(report.results.len(), 9);
    assert_eq!(report.coverage.counts(), [(6, 6), (23, 23)]);
}

#[test]
fn the_tests_of_the_marketplace_rulebook_pass_and_reach_every_rule() {
    let report = run(MARKETPLACE, MARKETPLACE_TESTS);
    let failed: Vec<_> = report.failed().collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let [(reached, rules), _] = report.coverage.counts();
    assert_eq!((reached, rules), (3, 3));
}

#[test]
fn a_step_taken_out_of_a_rule_is_named() {
    let text = FOOD_ORDER.replace(
        "compensate: [coupon.redeem, delivery.request, rider.match]",
        "compensate: [coupon.redeem, rider.match]",
    );
    let report = run(&text, TESTS);
    let failed: Vec<_> = report.failed().collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].differences, ["expected, not in the plan: compensate delivery.request"]);
}

#[test]
fn differences_are_told_one_by_one() {
    let payment = "report: payment/report-2, history: { payment.pay: failed }";
    let cases = [
        ("expect: { rule: \"*/*\" }", "rule `payment/report-2` answers, expected `*/*`"),
        ("expect: { mode: ask }", "the mode is `auto`, expected `ask`"),
        ("expect: { unmatched: true }", "rule `payment/report-2` answers, none was expected"),
        (
            "expect: { plan: { compensate: [delivery.request, rider.match], notify: [sms.send-cancellation] } }",
            "notify sms.send-cancellation is in stage 2, expected in 1",
        ),
        (
            "expect: { plan: [{ compensate: delivery.request }, { notify: sms.send-cancellation }] }",
            "in the plan, not expected: compensate rider.match",
        ),
    ];
    for (expect, difference) in cases {
        assert_eq!(one_test(&format!("{payment}, {expect}")), [difference]);
    }
}

#[test]
fn a_report_without_a_rule_is_expected_or_told() {
    let book = FOOD_ORDER.split("  # Whatever else").next().expect("the rules before the default");
    let test =
        |expect: &str| format!("tests: [{{ name: x, report: payment/odd, expect: {expect} }}]");
    assert_eq!(run(book, &test("{ unmatched: true }")).failed().count(), 0);
    let report = run(book, &test("{ plan: [] }"));
    assert_eq!(report.results[0].differences, ["no rule answers"]);
}

#[test]
fn mistakes_in_a_test_file_are_told_all_at_once() {
    let text = "\
rulebok: food-order.yaml
tests:
  - name: one
    report: payment
    expect: { plan: [] }
  - name: one
    report: payment/report-1
    history: { payment.pay: failled, cupon.redeem: failed }
    histories: { deliverry: {} }
    expect: {}
  - report: payment/report-1
    expect: { plan: [{ compensate: rider.mach, undo: x }] }
";
    let book = Rulebook::from_yaml(FOOD_ORDER).expect("valid");
    let found = load_tests(&source(text), &book).diagnostics;
    let told: Vec<String> = found
        .iter()
        .map(|d| format!("{} {}: {}", position(text, d.at.start).0, d.code, d.message))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_slip_in_a_code_is_told_and_the_test_runs() {
    let rulebook = "rulebook: shop
services:
  payment:
    url: \"http://payment:8080\"
    actions: { pay: { compensation: refund } }
    reports: { declined: { in: pay } }
rules:
  - { on: \"*/*\", compensate: recorded }
";
    let book = Rulebook::from_yaml(rulebook).expect("valid");
    let told = |code: &str| {
        let text =
            format!("tests: [{{ name: x, report: payment/{code}, expect: {{ plan: [] }} }}]");
        let loaded = load_tests(&source(&text), &book);
        assert_eq!(loaded.tests.len(), 1, "{code}");
        let helps = loaded.diagnostics.into_iter().map(|d| (d.code, d.help.unwrap_or_default()));
        helps.collect::<Vec<_>>()
    };
    let meant = "did you mean `payment/declined`?".to_owned();
    assert_eq!(told("decline"), [("undeclared-report", meant)]);
    for right in ["declined", "out-of-order"] {
        assert_eq!(told(right), [], "{right}");
    }
}

#[test]
fn junit_names_what_failed_and_escapes_it() {
    let tests =
        "tests: [{ name: \"a < b & c\", report: payment/report-2, expect: { rule: \"*/*\" } }]";
    let report = run(FOOD_ORDER, tests);
    insta::assert_snapshot!(junit(&[
        ("x.test.yaml".to_owned(), Suite::Ran(&report)),
        ("y.test.yaml".to_owned(), Suite::Broken("error: <tests> is missing".to_owned())),
    ]));
}

#[test]
fn what_is_asked_for_after_giving_up_is_tested_and_counted() {
    let test = |report: &str| {
        format!(
            "tests: [{{ name: x, report: {report}, given_up: true, history: {{ order.place: failed, payment.pay: unknown }}, expect: {{ plan: [{{ compensate: [payment.pay, order.place] }}] }} }}]"
        )
    };
    let report = run(FOOD_ORDER, &test("order/report-1"));
    assert_eq!(report.results[0].differences, [""; 0]);
    let reached = report.coverage.cells.iter().filter(|(_, reached)| **reached);
    let reached: Vec<_> = reached.map(|((row, step), _)| format!("{row}: {step}")).collect();
    assert_eq!(
        reached,
        [
            "order/report-1, given up: compensate order.place",
            "order/report-1, given up: compensate payment.pay"
        ]
    );
    // A rule that gives nothing up makes such a test say nothing.
    let report = run(FOOD_ORDER, &test("order/report-2"));
    let first = report.results[0].differences.first().map(String::as_str);
    assert_eq!(first, Some("rule `order/report-2` gives nothing up"));
}

#[test]
fn coverage_names_what_no_test_reaches() {
    let book: Arc<Rulebook> = Rulebook::from_yaml(FOOD_ORDER).expect("valid");
    let only_one = TESTS.split("\n  - name: the payment failed in").next().expect("the first test");
    let report = run_tests(&book, &load_tests(&source(only_one), &book).tests);
    let missed = report.to_json();
    assert_eq!(missed["coverage"]["rules"]["reached"], 1);
    assert_eq!(missed["coverage"]["rules"]["missed"][0], "*/*");
    assert_eq!(missed["coverage"]["cells"]["reached"], 4);
}
