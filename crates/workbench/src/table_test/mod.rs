//! Table tests of a rulebook: given a report and Histories, expect a plan. Pure; the caller reads the files.

mod coverage;
mod junit;
mod read;

pub use coverage::Coverage;
pub use junit::{Suite, junit};
pub use read::{LoadedTests, load_tests, rulebook_path};

use amends_protocol::{Evidence, Report, Verb};
use amends_rulebook::{ActionId, CaseFacts, Hold, Mode, Plan, Rule, Rulebook, Span, Stage};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One row: what is given, and what is expected.
#[derive(Clone, Debug)]
pub struct TableTest {
    /// Its name, unique in its file.
    pub name: String,
    /// The report that comes.
    pub report: Report,
    /// What the Histories of services say, each entry with the service whose History it is.
    pub others: Vec<(String, Evidence)>,
    /// The rule's retry has been given up.
    pub given_up: bool,
    /// What should follow.
    pub expect: Expectation,
    /// Its name in the source.
    pub span: Span,
}

/// What should follow from a report. What is not said is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// No rule answers.
    pub unmatched: bool,
    /// `on` of the rule that answers, or its label.
    pub rule: Option<String>,
    /// Its mode.
    pub mode: Option<Mode>,
    /// The steps, stage by stage.
    pub stages: Option<Vec<BTreeSet<(Verb, ActionId)>>>,
}

/// How a test went.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// Its place.
    pub span: Span,
    /// Every difference, one line each; none if it passed.
    pub differences: Vec<String>,
}

/// How all tests of a rulebook went.
#[derive(Clone, Debug)]
pub struct TestReport {
    /// In the order written.
    pub results: Vec<TestResult>,
    /// What they have reached.
    pub coverage: Coverage,
}

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

impl TableTest {
    /// The rule that answers, and the plan.
    fn plan<'b>(&self, book: &'b Rulebook) -> (Option<&'b Rule>, Plan) {
        let others = self.others.iter().map(|(by, e)| (by.as_str(), e));
        let case = CaseFacts::of_all_reports(book, &[&self.report], others)
            .with_given_up(book, |_| self.given_up);
        let rule = case.reports.first().and_then(|r| r.role.rule());
        (rule.map(|id| book.rule(id)), book.wants(&case))
    }
}

impl TestReport {
    /// Tests that failed.
    pub fn failed(&self) -> impl Iterator<Item = &TestResult> {
        self.results.iter().filter(|r| !r.differences.is_empty())
    }

    /// As data.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|r| {
                json!({ "name": r.name, "passed": r.differences.is_empty(), "differences": r.differences })
            })
            .collect();
        let failed = self.failed().count();
        json!({
            "tests": results,
            "passed": self.results.len() - failed,
            "failed": failed,
            "coverage": self.coverage.to_json(),
        })
    }
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
