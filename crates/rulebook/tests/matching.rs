//! Which rule answers which report: layers, conditions, and the explanation that `explain` shows.

use amends_rulebook::{Facts, Rulebook};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

const HEAD: &str = r#"
rulebook: shop
services:
  payment: { url: "http://payment", actions: { pay: { compensation: refund }, charge: { compensation: refund } } }
  delivery: {}
  rider: { url: "http://rider", actions: { match: { compensation: release, on_failure: retry } } }
rules:
"#;

/// A rulebook with one rule per line, `on` or `on when conditions`.
fn book(rules: &[&str]) -> Arc<Rulebook> {
    let mut text = HEAD.to_owned();
    for rule in rules {
        let (on, when) = rule.split_once(" when ").unwrap_or((rule, "{}"));
        writeln!(text, "  - {{ on: \"{on}\", when: {when}, compensate: all }}")
            .expect("writes to a text");
    }
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn answer(book: &Rulebook, report: &str, data: Value) -> String {
    let data = data.as_object().cloned().unwrap_or_default();
    let (service, code) = report.split_once('/').expect("service/code");
    let action = data.get("@action").and_then(Value::as_str);
    let message = data.get("@message").and_then(Value::as_str);
    let facts = Facts { service, code, action, entry: None, caller: None, message, data: &data };
    book.matching(&facts).map_or("none".to_owned(), |id| book.rule(id).index_label.clone())
}

#[test]
fn the_most_specific_layer_answers() {
    let book = book(&[
        "*/*",
        "payment/*",
        "payment/card-*",
        "payment/card-ex*",
        "payment/card-expired",
        "payment/card-expired when { data.vip: true }",
    ]);
    let table = [
        (
            "payment/card-expired",
            json!({ "vip": true }),
            "payment/card-expired when data.vip = true",
        ),
        ("payment/card-expired", json!({}), "payment/card-expired"),
        ("payment/card-exceeded", json!({}), "payment/card-ex*"),
        ("payment/card-lost", json!({}), "payment/card-*"),
        ("payment/card-", json!({}), "payment/card-*"),
        ("payment/card", json!({}), "payment/*"),
        ("payment/", json!({}), "payment/*"),
        ("delivery/card-expired", json!({}), "*/*"),
        ("ghost/card-expired", json!({}), "*/*"),
        ("ghost/card-expired", json!({ "@action": "haunt" }), "none"), // nobody knows what it did
        ("supervisor/deadline", json!({}), "*/*"),
        ("supervisor/deadline", json!({ "@action": "delivery.request" }), "*/*"),
        ("supervisor/deadline", json!({ "@action": "ghost.request" }), "none"),
        ("payment/café", json!({}), "payment/*"),
    ];
    for (report, data, label) in table {
        assert_eq!(answer(&book, report, data.clone()), label, "{report} {data}");
    }
}

#[test]
fn a_rule_whose_conditions_fail_leaves_the_report_to_the_next_layer() {
    let book = book(&[
        "payment/late when { data.amount: { gt: 100 } }",
        "payment/* when { data.amount: { lt: 0 } }",
        "*/*",
    ]);
    let label = |amount: i64| answer(&book, "payment/late", json!({ "amount": amount }));
    assert_eq!(label(101), "payment/late when data.amount > 100");
    assert_eq!(label(-1), "payment/* when data.amount < 0");
    assert_eq!(label(7), "*/*");
}

#[test]
fn without_a_default_a_report_can_stay_unanswered() {
    assert_eq!(answer(&book(&["payment/late"]), "payment/early", json!({})), "none");
}

#[test]
fn each_matcher_says_yes_and_no() {
    let table = [
        ("{ data.x: card }", json!({ "x": "card" }), true),
        ("{ data.x: card }", json!({ "x": "Card" }), false),
        ("{ data.x: 7 }", json!({ "x": 7.0 }), true),
        ("{ data.x: 7 }", json!({ "x": "7" }), false),
        ("{ data.x: '7' }", json!({ "x": "7" }), true),
        ("{ data.x: true }", json!({ "x": true }), true),
        ("{ data.x: true }", json!({ "x": "true" }), false),
        ("{ data.x.y: 1 }", json!({ "x": { "y": 1 } }), true),
        ("{ data.x.y: 1 }", json!({ "x.y": 1 }), false),
        ("{ data.x: { one_of: [a, 2, false] } }", json!({ "x": 2 }), true),
        ("{ data.x: { one_of: [a, 2, false] } }", json!({ "x": true }), false),
        ("{ data.x: { not: a } }", json!({}), true),
        ("{ data.x: { not: a } }", json!({ "x": [1] }), true),
        ("{ data.x: { not: a } }", json!({ "x": "a" }), false),
        ("{ data.x: { not: a, present: true } }", json!({}), false),
        ("{ data.x: { prefix: DE- } }", json!({ "x": "DE-10" }), true),
        ("{ data.x: { prefix: DE- } }", json!({ "x": "D" }), false),
        ("{ data.x: { gte: 10, lt: 100 } }", json!({ "x": 10 }), true),
        ("{ data.x: { gte: 10, lt: 100 } }", json!({ "x": 99.99 }), true),
        ("{ data.x: { gte: 10, lt: 100 } }", json!({ "x": 100 }), false),
        ("{ data.x: { gt: 10, lte: 100 } }", json!({ "x": 10 }), false),
        ("{ data.x: { gt: 10 } }", json!({ "x": "11" }), false),
        ("{ data.x: { gt: 9007199254740992 } }", json!({ "x": 9007199254740993u64 }), true),
        ("{ data.x: { present: true } }", json!({ "x": null }), false),
        ("{ data.x: { present: true } }", json!({ "x": {} }), true),
        ("{ data.x: { present: false } }", json!({ "y": 1 }), true),
        ("{ action: pay }", json!({ "@action": "pay" }), true),
        ("{ action: pay }", json!({}), false),
        ("{ message: { prefix: time } }", json!({ "@message": "timeout" }), true),
    ];
    for (when, data, holds) in table {
        let book = book(&[&format!("payment/late when {when}"), "*/*"]);
        assert_eq!(answer(&book, "payment/late", data.clone()) != "*/*", holds, "{when} on {data}");
    }
}

#[test]
fn a_thousand_rules_on_one_code_each_answer_their_own_report() {
    let rules: Vec<String> = (0..1000)
        .map(|n| match n % 3 {
            0 => format!("payment/late when {{ data.customer: c{n} }}"),
            1 => format!("payment/late when {{ data.customer: {{ one_of: [c{n}, d{n}] }}, data.amount: {{ gt: 5 }} }}"),
            _ => format!("payment/late when {{ data.customer: {n}, data.kind: card }}"),
        })
        .collect();
    let mut all: Vec<&str> = rules.iter().map(String::as_str).collect();
    all.push("*/*");
    let book = book(&all);
    for n in 0..1000 {
        let data = match n % 3 {
            0 => json!({ "customer": format!("c{n}") }),
            1 => json!({ "customer": format!("d{n}"), "amount": 6 }),
            _ => json!({ "customer": n, "kind": "card" }),
        };
        let data = data.as_object().expect("an object");
        let facts = Facts {
            service: "payment",
            code: "late",
            action: None,
            entry: None,
            caller: None,
            message: None,
            data,
        };
        assert_eq!(book.matching(&facts).map(|id| id.0), Some(n), "{data:?}");
    }
    assert_eq!(answer(&book, "payment/late", json!({ "customer": "d1", "amount": 5 })), "*/*");
}

#[test]
fn a_retry_that_is_written_out_is_not_implied_again() {
    let implied = |rules: &[&str]| book(rules).rules().iter().filter(|r| r.implied).count();
    assert_eq!(implied(&["*/*"]), 1);
    assert_eq!(implied(&["*/*", "rider/*"]), 1, "the action is more special than the service");
    assert_eq!(implied(&["*/*", "rider/* when { action: match }"]), 0);
    assert_eq!(implied(&["*/*", "rider/* when { action: { one_of: [match] } }"]), 0);
    assert_eq!(implied(&["*/*", "rider/late when { action: match }"]), 1);
}

#[test]
fn the_supervisor_reports_deadlines_and_rules_answer() {
    let book = book(&["supervisor/deadline", "*/*"]);
    assert_eq!(answer(&book, "supervisor/deadline", json!({})), "supervisor/deadline");
}

#[test]
fn an_explanation_goes_field_by_field_most_specific_first() {
    let book = book(&[
        "*/*",
        "payment/late when { data.amount: { gte: 10, lt: 100 } }",
        "payment/late",
        "payment/lost",
    ]);
    let data = Map::from_iter([("amount".to_owned(), json!(100))]);
    let facts = Facts {
        service: "payment",
        code: "late",
        action: None,
        entry: None,
        caller: None,
        message: None,
        data: &data,
    };
    let mut shown = String::new();
    for one in book.considered(&facts) {
        let mark = if one.chosen {
            "*"
        } else if one.matches {
            "+"
        } else {
            "-"
        };
        writeln!(shown, "{mark} {}", book.rule(one.rule).index_label).expect("writes to a text");
        for check in one.checks {
            let found = check.found.unwrap_or("nothing".to_owned());
            writeln!(
                shown,
                "    {} {}: wanted {}, found {found}",
                if check.holds { "ok" } else { "no" },
                check.field,
                check.wanted
            )
            .expect("writes to a text");
        }
    }
    assert_eq!(
        shown,
        "\
- payment/late when data.amount >= 10 and < 100
    ok service: wanted payment, found payment
    ok code: wanted late, found late
    no data.amount: wanted >= 10 and < 100, found 100
* payment/late
    ok service: wanted payment, found payment
    ok code: wanted late, found late
- payment/lost
    ok service: wanted payment, found payment
    no code: wanted lost, found late
+ */*
    ok code: wanted *, found late
"
    );
}

#[test]
fn numbers_beyond_what_a_float_holds_are_told_apart() {
    let book = Rulebook::from_yaml(
        "rulebook: bank\nservices: { bank: { url: 'http://bank', actions: { book: { compensation: undo } } } }\nrules:\n  - { on: bank/a, when: { data.id: 18446744073709551614 }, compensate: all }\n  - { on: bank/a, when: { data.id: 18446744073709551615 }, compensate: recorded }\n  - { on: bank/b, when: { data.id: { lte: 9007199254740992 } }, compensate: all }\n  - { on: bank/b, when: { data.id: { gt: 9007199254740992 } }, compensate: recorded }\n  - { on: '*/*', compensate: recorded }\n",
    )
    .expect("the two are not the same");
    for (code, id, rule) in [
        ("a", "18446744073709551614", 0),
        ("a", "18446744073709551615", 1),
        ("a", "18446744073709551613", 4),
        ("b", "9007199254740992", 2),
        ("b", "9007199254740993", 3),
        ("b", "9007199254740992.000000000000000000001", 3),
        ("b", "98765432109876543210987654", 3),
    ] {
        let id: serde_json::Value = serde_json::from_str(id).expect("a number");
        let data = serde_json::Map::from_iter([("id".to_owned(), id.clone())]);
        let facts = Facts {
            service: "bank",
            code,
            action: None,
            entry: None,
            caller: None,
            message: None,
            data: &data,
        };
        assert_eq!(book.matching(&facts).map(|r| r.0), Some(rule), "{code} {id}");
    }
}
