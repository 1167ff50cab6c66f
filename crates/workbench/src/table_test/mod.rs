//! Table tests of a rulebook: given a report and Histories, expect a plan. Pure; the caller reads the files.

mod coverage;
mod junit;
mod read;
mod report;
mod row;

pub use coverage::Coverage;
pub use junit::{Suite, junit};
pub use read::{LoadedTests, load_tests, rulebook_path};
pub use report::{TestReport, TestResult};
pub use row::{Expectation, TableTest};

use amends_protocol::Verb;
use amends_rulebook::{ActionId, Hold, Mode, Plan, Rule, Rulebook, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// Runs the tests of one rulebook.
#[must_use]
pub fn run_tests(book: &Rulebook, tests: &[TableTest]) -> TestReport {
    let mut coverage = Coverage::of(book);
    let results = tests
        .iter()
        .map(|test| {
            let (rule, plan) = test.plan(book);
            coverage.reach(book, test, rule, &plan);
            let differences = compare(book, test, rule, &plan);
            TestResult { name: test.name.clone(), span: test.span, differences }
        })
        .collect();
    TestReport { results, coverage }
}

fn compare(book: &Rulebook, test: &TableTest, rule: Option<&Rule>, plan: &Plan) -> Vec<String> {
    let expect = &test.expect;
    let mut differences = Vec::new();
    match (expect.unmatched, rule) {
        (true, None) => return differences,
        (true, Some(rule)) => {
            return vec![format!("rule `{}` answers, none was expected", rule.index_label)];
        }
        (false, None) => return vec!["no rule answers".to_owned()],
        (false, Some(_)) => {}
    }
    let Some(rule) = rule else { return differences };
    if test.given_up && rule.give_up.is_none() {
        differences.push(format!("rule `{}` gives nothing up", rule.index_label));
    }
    if let Some(wanted) = expect.rule.as_ref().filter(|w| **w != rule.on && **w != rule.index_label)
    {
        differences.push(format!("rule `{}` answers, expected `{wanted}`", rule.index_label));
    }
    if let Some(wanted) = expect.mode.filter(|m| *m != rule.mode) {
        let (is, wanted) = (rule.mode.as_str(), wanted.as_str());
        differences.push(format!("the mode is `{is}`, expected `{wanted}`"));
    }
    if let Some(wanted) = &expect.stages {
        compare_stages(book, wanted, plan, rule.mode, &mut differences);
    }
    differences
}

fn compare_stages(
    book: &Rulebook,
    wanted: &[BTreeSet<(Verb, ActionId)>],
    plan: &Plan,
    mode: Mode,
    differences: &mut Vec<String>,
) {
    let planned = stages(plan, |hold| (hold == Hold::Shadow) == (mode == Mode::Shadow));
    let flat = |stages: &[BTreeSet<(Verb, ActionId)>]| -> BTreeSet<(Verb, ActionId)> {
        stages.iter().flatten().copied().collect()
    };
    let name = |(verb, id): &(Verb, ActionId)| format!("{verb} {}", book.get(*id).name);
    let (all_wanted, all_planned) = (flat(wanted), flat(&planned));
    for step in all_wanted.difference(&all_planned) {
        differences.push(format!("expected, not in the plan: {}", name(step)));
    }
    for step in all_planned.difference(&all_wanted) {
        differences.push(format!("in the plan, not expected: {}", name(step)));
    }
    if !differences.is_empty() || planned == wanted {
        return;
    }
    let stage_of = |stages: &[BTreeSet<(Verb, ActionId)>], step| {
        stages.iter().position(|s| s.contains(step)).map_or(0, |n| n + 1)
    };
    for step in &all_planned {
        let (is, should) = (stage_of(&planned, step), stage_of(wanted, step));
        if is != should {
            differences.push(format!("{} is in stage {is}, expected in {should}", name(step)));
        }
    }
}

/// The steps of a plan that are held so, stage by stage.
fn stages(plan: &Plan, held: impl Fn(Hold) -> bool) -> Vec<BTreeSet<(Verb, ActionId)>> {
    let mut stages: BTreeMap<Stage, BTreeSet<(Verb, ActionId)>> = BTreeMap::new();
    for want in plan.all().filter(|want| held(want.hold)) {
        stages.entry(want.step.stage).or_default().insert((want.step.verb, want.step.action));
    }
    stages.into_values().collect()
}
