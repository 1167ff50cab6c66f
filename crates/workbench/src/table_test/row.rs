//! One row of a table of tests.

use amends_protocol::{Evidence, Report, Verb};
use amends_rulebook::{ActionId, CaseFacts, Mode, Plan, Rule, Rulebook, Span};
use std::collections::BTreeSet;

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

impl TableTest {
    /// The rule that answers, and the plan.
    pub(super) fn plan<'b>(&self, book: &'b Rulebook) -> (Option<&'b Rule>, Plan) {
        let others = self.others.iter().map(|(by, e)| (by.as_str(), e));
        let case = CaseFacts::of_all_reports(book, &[&self.report], others)
            .with_given_up(book, |_| self.given_up);
        let rule = case.reports.first().and_then(|r| r.role.rule());
        (rule.map(|id| book.rule(id)), book.wants(&case))
    }
}
