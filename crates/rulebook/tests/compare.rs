//! What a change of a rulebook changes, and why a report is answered as it is.

use amends_rulebook::{Known, Rulebook, compare, compare_answers, explain};
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const RULES: &str = "rulebook: bank\nservices:\n  t: { url: 'http://t', actions: { run: { compensation: revoke, calls: [d.take] } } }\n  d: { url: 'http://d', actions: { take: { compensation: put-back } } }\nrules:\n";

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"))
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
            "retry: t.run, give_up: { after: 5 attempts, then: { compensate: [d.take] } }",
            "- given up: compensate t.run",
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
        message: None,
        data: &data,
    };
    let change = compare_answers(&a, &b, &facts, &["payment.pay".to_owned()]).expect("they differ");
    assert_eq!(change.before.steps.len(), 1);
    assert_eq!(change.after.steps.len(), 5);
    assert_eq!(compare_answers(&a, &a, &facts, &[]), None);
    assert_eq!(change.to_json()["report"], json!("coupon/expired"));
}

#[test]
fn an_explanation_says_what_would_change_the_plan() {
    let book = book(&format!(
        "{RULES}  - {{ on: t/odd, when: {{ data.amount: {{ gte: 1000 }} }}, compensate: all, mode: ask }}\n  - {{ on: '*/*', compensate: recorded }}\n"
    ));
    let data = Map::from_iter([("amount".to_owned(), json!(10))]);
    let facts = amends_rulebook::Facts {
        service: "t",
        code: "odd",
        action: Some("run"),
        message: None,
        data: &data,
    };
    let effects = BTreeSet::new();
    let explained =
        explain(&book, &facts, &Known { reporter: book.action("t", "run"), effects: &effects });
    insta::with_settings!({ snapshot_path => "data/explain", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("below-the-bound", explained.to_text(&book));
    });
    let json = explained.to_json(&book);
    assert_eq!(json["rule"], "*/*");
    assert_eq!(json["changes"].as_array().map(Vec::len), Some(2));
}
