//! Conditions on where a saga began and on who called what failed, and on the types of business fields.

use amends_rulebook::{Example, Rulebook};
use std::sync::Arc;

/// An account that is used from two entries, with these rules before the default.
fn account(data: &str, rules: &str) -> String {
    format!(
        "rulebook: account
services:
  cancel: {{ url: \"http://cancel:80\", actions: {{ cancel: {{ effect: none, calls: [account.draw-back] }} }} }}
  rebook: {{ url: \"http://rebook:80\", actions: {{ rebook: {{ effect: none, calls: [change.book] }} }} }}
  change: {{ url: \"http://change:80\", actions: {{ book: {{ compensation: undo, calls: [account.draw-back] }} }} }}
  account: {{ url: \"http://account:80\", actions: {{ draw-back: {{ compensation: charge }} }} }}
reports:
  account/odd: {{ in: draw-back, data: {data} }}
rules:
{rules}
  - {{ on: \"*/*\", compensate: recorded }}
"
    )
}

fn book(rules: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(&account("[amount]", rules)).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The label of the rule that answers.
fn answer(book: &Rulebook, entry: Option<&str>, caller: Option<&str>) -> String {
    let report = Example {
        entry: entry.map(str::to_owned),
        caller: caller.map(str::to_owned),
        ..Example::default()
    };
    let rule = book.matching(&report.facts("account", "odd")).expect("there is a default");
    book.rule(rule).index_label.clone()
}

#[test]
fn a_rule_can_ask_where_the_saga_began_and_who_called() {
    let book = book(
        "  - { on: account/odd, when: { entry: cancel.cancel }, compensate: all }
  - { on: account/odd, when: { entry: rebook.rebook, caller: [change.book, rebook.rebook] }, compensate: all, mode: ask }",
    );
    let of = |entry, caller| answer(&book, entry, caller);
    assert_eq!(of(Some("cancel.cancel"), None), "account/odd when entry = \"cancel.cancel\"");
    assert!(of(Some("rebook.rebook"), Some("change.book")).contains("caller"));
    assert_eq!(of(Some("rebook.rebook"), Some("cancel.cancel")), "*/*");
}

#[test]
fn what_nobody_says_meets_no_condition() {
    let book = book("  - { on: account/odd, when: { entry: cancel.cancel }, compensate: all }");
    assert_eq!(answer(&book, None, Some("cancel.cancel")), "*/*");
}

#[test]
fn a_misspelt_entry_is_found() {
    for (when, code) in [
        ("{ entry: cancel.cancle }", "unknown-action"),
        ("{ caller: [cancel.cancel, chance.book] }", "unknown-service"),
        ("{ entry: [] }", "wrong-type"),
        ("{ entri: cancel.cancel }", "unknown-key"),
    ] {
        let rules = format!("  - {{ on: account/odd, when: {when}, compensate: all }}");
        let found = Rulebook::from_yaml(&account("[amount]", &rules)).expect_err(when);
        assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), [code], "{when}");
        assert!(found[0].help.is_some(), "{when}");
    }
}

#[test]
fn a_field_is_compared_with_what_its_type_can_be() {
    let types = "{ amount: decimal, items: integer, country: text, gift: boolean, customer: object, tags: list }";
    let codes = |when: &str| {
        let rules =
            format!("  - {{ on: account/odd, when: {{ {when} }}, compensate: all, mode: ask }}");
        let found = Rulebook::from_yaml(&account(types, &rules)).err().unwrap_or_default();
        found.iter().map(|d| d.code).collect::<Vec<_>>()
    };
    for right in [
        "data.amount: { gte: 10.5 }",
        "data.items: 3",
        "data.country: [DE, AT]",
        "data.gift: true",
        "data.customer: { present: true }",
        "data.customer.vip: true",
        "data.unknown: 5",
    ] {
        assert_eq!(codes(right), Vec::<&str>::new(), "{right}");
    }
    for wrong in [
        "data.amount: \"10.5\"",
        "data.items: 3.5",
        "data.country: { gt: 5 }",
        "data.gift: { not: \"true\" }",
        "data.tags: red",
        "data.country.code: DE",
    ] {
        assert_eq!(codes(wrong), ["wrong-data-type"], "{wrong}");
    }
}

#[test]
fn a_wide_rule_is_wrong_only_if_no_report_holds_what_it_wants() {
    let with = |code: &str| {
        let text = account(
            "{ amount: decimal }",
            &format!(
                "  - {{ on: {code}, when: {{ data.amount: much }}, compensate: all, mode: ask }}"
            ),
        );
        let text = text.replace(
            "rules:\n",
            "  account/other: { in: draw-back, data: { amount: text } }\nrules:\n",
        );
        Rulebook::from_yaml(&text).err().map_or(0, |found| found.len())
    };
    assert_eq!(with("account/*"), 0);
    assert_eq!(with("account/odd"), 1);
}
