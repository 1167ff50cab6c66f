//! `amends rules`: all mistakes at once, the rules at a glance, and why a rule answers.

mod support;

use support::{amends, command, finish, scratch, write};

const FOOD_ORDER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/rulebook/food-order.yaml");

/// Ten mistakes of ten kinds.
const TEN_MISTAKES: &str = r#"rulebook: ten
sevices: {}
services:
  order:
    url: "127.0.0.1:7101"
    actions:
      place: { compensation: cancel, calls: [payment.pya] }
  payment:
    url: "http://127.0.0.1:7102"
    actions:
      pay: { compensation: refund, retry_policy: { timeout: 10parsecs } }
      peek: {}
      fetch: { effect: none }
reports:
  payment/report-1: { in: pay, after: [coupon.redeem] }
rules:
  - on: payment/report-1
    compensate: [payment.fetch]
  - on: payment/*
    compensate: recorded
    mode: sometimes
  - on: payment/*
    compensate: recorded
  - on: order/report-1
    why: it asks for nothing
  - on: "*/*"
    compensate: recorded
"#;

/// The blocks of one language on a page.
fn blocks_of(page: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    page.split(&*fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_rulebooks_that_newcomers_see_first_have_no_mistakes() {
    let readme = include_str!("../../../README.md");
    let concept = include_str!("../../../docs/concepts/how-it-works.md");
    for (page, text) in [("README.md", readme), ("how-it-works.md", concept)] {
        let shown = blocks_of(text, "yaml");
        assert!(!shown.is_empty(), "{page} shows a rulebook");
        for block in shown {
            let folder = scratch();
            let path = write(folder.path(), "rules.yaml", block);
            let done = amends(&["rules", "check", "--deny-warnings", &path]);
            assert_eq!(done.code, 0, "{page}:\n{}{}", done.stdout, done.stderr);
        }
    }
}

#[test]
fn ten_mistakes_are_all_told_in_one_run() {
    let folder = scratch();
    let path = write(folder.path(), "ten.yaml", TEN_MISTAKES);

    let checked = amends(&["rules", "check", &path]).exits(1);
    assert_eq!(checked.stdout, "", "findings are no data");
    let told = checked.stderr.lines().filter(|l| l.starts_with("error[")).count();
    assert_eq!(told, 10, "{}", checked.stderr);
    assert!(checked.stderr.contains("ten.yaml:2:1"), "{}", checked.stderr);
    assert!(
        checked.stderr.trim_end().ends_with("1 rulebook checked: 10 errors, 0 warnings"),
        "{}",
        checked.stderr
    );

    let found = amends(&["rules", "check", &path, "--json"]).exits(1).json();
    assert_eq!(
        (&found["errors"], found["diagnostics"].as_array().map(Vec::len)),
        (&10.into(), Some(10))
    );
    assert_eq!(found["diagnostics"][0]["line"], 2);
}

#[test]
fn findings_keep_within_the_width_that_they_are_given() {
    let folder = scratch();
    let path = write(folder.path(), "ten.yaml", TEN_MISTAKES);
    let folded = finish(command().args(["rules", "check", &path]).env("COLUMNS", "60")).exits(1);
    for line in folded.stderr.lines().filter(|line| !line.contains("ten.yaml")) {
        assert!(line.chars().count() <= 60, "{line}\n{}", folded.stderr);
    }
    assert_eq!(folded.stderr.lines().filter(|l| l.starts_with("error[")).count(), 10);
}

#[test]
fn a_misspelt_import_is_told_what_lies_there() {
    let folder = scratch();
    write(folder.path(), "stock.yaml", "service: stock\nactions: {}\n");
    let text =
        "rulebook: shop\nimport: [stok.yaml]\nrules: [{ on: \"*/*\", compensate: recorded }]\n";
    let path = write(folder.path(), "shop.yaml", text);
    let checked = amends(&["rules", "check", &path]).exits(1);
    assert!(checked.stderr.contains("did you mean `stock.yaml`?"), "{}", checked.stderr);
}

#[test]
fn warnings_fail_only_when_they_are_denied() {
    let folder = scratch();
    let text = "rulebook: partial\nservices:\n  order:\n    url: \"http://127.0.0.1:1\"\n    actions:\n      \
        place: { compensation: cancel }\nrules:\n  - on: order/report-1\n    compensate: recorded\n";
    let path = write(folder.path(), "partial.yaml", text);
    let lenient = amends(&["rules", "check", &path]).exits(0);
    assert!(lenient.stderr.contains("0 errors, 1 warning"), "{}", lenient.stderr);
    amends(&["rules", "check", &path, "--deny-warnings"]).exits(1);
}

#[test]
fn rulebooks_of_one_folder_are_checked_against_each_other() {
    let folder = scratch();
    let book = |name: &str| {
        format!(
            "rulebook: {name}\nservices:\n  order:\n    url: \"http://127.0.0.1:1\"\n    actions:\n      \
             place: {{ compensation: cancel }}\nrules:\n  - on: \"*/*\"\n    compensate: recorded\n"
        )
    };
    write(folder.path(), "a.yaml", &book("a"));
    write(folder.path(), "b.yaml", &book("b"));
    let path = folder.path().to_str().expect("UTF-8");
    let checked = amends(&["rules", "check", path]).exits(1);
    assert!(
        checked.stderr.contains("service `order` belongs to two rulebooks"),
        "{}",
        checked.stderr
    );
    assert!(checked.stderr.contains("2 rulebooks checked: 1 error"), "{}", checked.stderr);
}

#[test]
fn a_path_that_is_not_there_is_a_failure_of_this_machine() {
    let missing = amends(&["rules", "check", "/nowhere/at/all.yaml"]).exits(6);
    assert!(missing.stderr.contains("/nowhere/at/all.yaml"), "{}", missing.stderr);
    amends(&["rules", "check"]).exits(2);
}

#[test]
fn the_rules_are_shown_at_a_glance() {
    let shown = amends(&["rules", "show", FOOD_ORDER]).exits(0);
    let row =
        shown.stdout.lines().find(|l| l.starts_with("payment/report-1")).expect("a row per report");
    assert!(row.contains("coupon.redeem, delivery.request, rider.match"), "{row}");
    assert!(shown.stdout.contains("rider/* when action = \"match\" (implied)"), "{}", shown.stdout);

    let json = amends(&["rules", "show", FOOD_ORDER, "--json"]).exits(0).json();
    assert_eq!(json[0]["rulebook"], "food-order");
    assert_eq!(json[0]["rules"][0]["stages"][0]["compensate"][0], "coupon.redeem");
}

#[test]
fn an_explanation_says_which_rule_answers_why_and_what_comes_of_it() {
    let explained = amends(&[
        "rules", "explain", "--rules", FOOD_ORDER, "--source", "payment", "--code", "report-1",
        "--action", "pay",
    ])
    .exits(0);
    let text = &explained.stdout;
    assert!(text.contains("answered by payment/report-1 (auto)"), "{text}");
    assert!(text.contains("code is report-1, wanted report-2"), "{text}");
    assert!(text.contains("last   notify      sms.send-cancellation"), "{text}");
    assert!(!text.contains("order.place "), "nothing above the payment is undone: {text}");
}

#[test]
fn more_evidence_means_more_steps_under_recorded() {
    let explain = |history: &[&str]| {
        let mut arguments = vec![
            "rules", "explain", "--rules", FOOD_ORDER, "--json", "--source", "payment", "--code",
            "odd",
        ];
        arguments.extend(history.iter().flat_map(|h| ["--history", h]));
        let explained = amends(&arguments).exits(0).json();
        assert_eq!(explained["rule"], "*/*");
        let steps = explained["plan"].as_array().expect("a plan").clone();
        steps
            .into_iter()
            .map(|s| s["action"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(explain(&[]), [""; 0]);
    assert_eq!(
        explain(&["coupon.redeem=unknown", "delivery.request=failed", "sms.send=succeeded"]),
        ["coupon.redeem", "sms.send-cancellation"]
    );
}

#[test]
fn misspelt_evidence_is_an_error_that_says_what_was_meant() {
    let explain = |more: &[&str]| {
        let all = ["rules", "explain", "--rules", FOOD_ORDER, "--code", "report-1"];
        amends(&[&all[..], more].concat())
    };
    let told = explain(&["--source", "payment", "--history", "coupn.redeem=succeeded"]).exits(2);
    assert_eq!(told.stdout, "");
    assert!(told.stderr.contains("did you mean `coupon.redeem`?"), "{}", told.stderr);
    let told = explain(&["--source", "payment", "--action", "pai"]).exits(2);
    assert!(told.stderr.contains("did you mean `pay`?"), "{}", told.stderr);
    // Rules for every service answer strangers too.
    let told = explain(&["--source", "paiment"]).exits(0);
    assert!(told.stderr.contains("did you mean `payment`?"), "{}", told.stderr);
}

#[test]
fn giving_up_undoes_what_failed_too() {
    let explained = amends(&[
        "rules",
        "explain",
        "--rules",
        FOOD_ORDER,
        "--source",
        "order",
        "--code",
        "report-1",
        "--history",
        "payment.pay=succeeded",
    ])
    .exits(0);
    let wanted = "- if the retry still fails after 10 attempts: undo order.place, payment.pay";
    assert!(explained.stdout.contains(wanted), "{}", explained.stdout);
}

#[test]
fn a_rulebook_with_mistakes_explains_nothing() {
    let folder = scratch();
    let path = write(folder.path(), "ten.yaml", TEN_MISTAKES);
    let refused =
        amends(&["rules", "explain", "--rules", &path, "--source", "a", "--code", "b"]).exits(1);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("10 errors"), "{}", refused.stderr);
}
