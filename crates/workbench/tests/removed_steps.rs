//! The demo's rulebook leaves nothing behind, and each of its steps is needed: without any one of them, `check` says what
//! would be left.

use amends_rulebook::{Diagnostic, Loaded, Severity, SourceFile, load, render};
use amends_workbench::check;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");

fn load_text(text: &str) -> Loaded {
    let root = SourceFile { path: "food-order.yaml".to_owned(), text: text.into() };
    load(root, &mut |_| Err("it imports nothing".to_owned()))
}

/// What `amends rules check` finds.
fn findings(text: &str) -> (Vec<Diagnostic>, String) {
    let loaded = load_text(text);
    let mut found = loaded.diagnostics;
    if let Some(book) = &loaded.rulebook {
        found.extend(check(book));
    }
    let shown = render(&found, &loaded.sources, false);
    (found, shown)
}

/// The text once without each step of each rule, with the step's name.
fn without_each_step(text: &str) -> Vec<(String, String)> {
    let rules = text.find("\nrules:").expect("it has rules");
    let mut all = Vec::new();
    let mut rule = "";
    let mut at = rules + 1;
    for line in text[rules + 1..].split_inclusive('\n') {
        if let Some(on) = line.trim().strip_prefix("- on: ") {
            rule = on.trim_matches('"');
        }
        let give_up = if line.trim_start().starts_with("then:") { " give_up" } else { "" };
        for verb in ["compensate", "retry", "notify"] {
            let Some(key) = line.find(&format!("{verb}: ")) else {
                continue;
            };
            let start = at + key;
            let value = &text[start + verb.len() + 2..];
            let list = value.strip_prefix('[').map(|rest| &rest[..rest.find(']').expect("closed")]);
            let whole =
                list.map_or_else(|| value.find([',', '}', '\n']).expect("ends"), |l| l.len() + 2);
            let items: Vec<&str> =
                list.unwrap_or(&value[..whole]).split(',').map(str::trim).collect();
            for item in &items {
                let rest: Vec<_> = items.iter().filter(|i| *i != item).copied().collect();
                let end = start + verb.len() + 2 + whole;
                let mut changed = text[..start].trim_end_matches(", ").to_owned();
                if rest.is_empty() {
                    changed += text[end..].strip_prefix(", ").unwrap_or(&text[end..]);
                } else {
                    changed += &format!("{verb}: [{}]{}", rest.join(", "), &text[end..]);
                }
                all.push((format!("{rule}{give_up} {verb} {item}"), changed));
            }
        }
        at += line.len();
    }
    all
}

#[test]
fn the_rulebook_as_it_stands_has_no_finding() {
    let (found, shown) = findings(TEXT);
    assert!(found.is_empty(), "{shown}");
}

#[test]
fn without_any_single_step_something_is_named() {
    let variants = without_each_step(TEXT);
    assert_eq!(variants.len(), 19, "{:#?}", variants.iter().map(|v| &v.0).collect::<Vec<_>>());
    for (step, text) in &variants {
        let (found, shown) = findings(text);
        assert!(found.iter().any(|d| d.severity == Severity::Error), "without {step}\n{shown}");
        let removed = step.rsplit(' ').next().expect("a name");
        let rule = step.split(' ').next().expect("a rule");
        let by_name = shown.contains(removed) || shown.contains(rule);
        assert!(by_name, "without {step}, and it isn't named\n{shown}");
    }
}

#[test]
fn what_is_left_behind_is_shown_with_the_state_of_the_saga() {
    let text = TEXT.replacen(
        "[coupon.redeem, delivery.request, rider.match]",
        "[delivery.request, rider.match]",
        1,
    );
    let (_, shown) = findings(&text);
    insta::with_settings!({ snapshot_path => "data/check", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("a-coupon-left-behind", shown);
    });
}
