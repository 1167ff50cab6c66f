//! The guide and the concepts tell the truth: their rulebooks load, have no finding, and differ as is said of them.

use amends_rulebook::{Rulebook, render};
use amends_workbench::{Matrix, check, compare, derive};
use std::sync::Arc;

const DEMO: &str = include_str!("../../../demo/rulebook/food-order.yaml");
const GUIDE: &str = include_str!("../../../docs/guides/from-five-rules-to-one.md");
const CONCEPTS: &str = include_str!("../../../docs/concepts/rules.md");

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"))
}

/// The guide's rulebooks: sets, without repetitions, one rule.
fn steps() -> Vec<Arc<Rulebook>> {
    let blocks = GUIDE.split("```yaml\n").skip(1).map(|b| b.split("```").next().expect("closed"));
    blocks.map(book).collect()
}

#[test]
fn no_step_of_the_guide_leaves_anything_behind() {
    let steps = steps();
    let written = |b: &Rulebook| b.rules().iter().filter(|r| !r.implied).count();
    assert_eq!(steps.iter().map(|b| written(b)).collect::<Vec<_>>(), [6, 2, 1]);
    for step in &steps {
        let found = check(step);
        assert!(found.is_empty(), "{}", render(&found, step.sources(), false));
    }
}

#[test]
fn the_first_step_changes_no_plan() {
    let found = compare(&book(DEMO), &steps()[0]);
    assert!(found.changes.is_empty(), "{}", found.to_text());
}

#[test]
fn the_second_step_changes_no_plan_and_the_third_one_only_the_order_that_was_kept() {
    let steps = steps();
    let second = compare(&steps[0], &steps[1]);
    assert!(second.changes.is_empty(), "{}", second.to_text());
    let third = compare(&steps[1], &steps[2]);
    assert!(!third.changes.is_empty());
    assert!(third.changes.iter().all(|c| c.report == "order/report-1"), "{}", third.to_text());
}

#[test]
fn the_table_and_the_numbers_are_those_of_the_demo() {
    let matrix = Matrix::new(&book(DEMO), None);
    let text = matrix.to_text(80, false);
    let mut parts = text.split("\n\n");
    let leads = parts.next().expect("what is undone, report by report");
    assert!(GUIDE.contains(leads), "{leads}");
    let table: String = parts
        .next()
        .expect("the table")
        .lines()
        .filter(|l| {
            !l.contains("given up")
                && (l.contains("report-") || l.starts_with("REPORT") || l.starts_with("     "))
        })
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(GUIDE.contains(&table), "{table}");
    let derived = derive(&book(DEMO));
    let retries =
        derived.silent().filter(|p| p.needs.iter().any(|(v, _)| v.as_str() == "retry")).count();
    assert_eq!(
        (derived.total, derived.points.len() - derived.silent().count(), retries),
        (19, 4, 2)
    );
    assert!(
        CONCEPTS
            .contains("have 19 failure points. Its five reports speak of four of them. Two are")
    );
    assert!(CONCEPTS.contains("answers the other thirteen"));
}
