//! The plan that a set of reports about one saga leads to, before anything is sent: what the supervisor's engine plans
//! for the same reports and Histories. Knows no attempts, limits and acts of people.

use crate::{
    ActionClass, ActionId, Example, Facts, Known, Mode, PlannedStep, RuleId, Rulebook, Stage,
    examples,
};
use amends_protocol::{Evidence, Report, Verb};
use std::collections::{BTreeMap, BTreeSet};

/// What the reports of one saga lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CasePlan {
    /// For each report, the rule that answers it; none for a derived one and for one that no rule answers.
    pub rules: Vec<Option<RuleId>>,
    /// For each report, whether it follows from another of them and is answered by that one's rule.
    pub derived: Vec<bool>,
    /// The steps of rules that are carried out (or wait for a yes), by stage.
    pub steps: Vec<PlannedStep>,
    /// Steps that only rules in shadow mode ask for.
    pub shadow: Vec<PlannedStep>,
}

impl CasePlan {
    /// Whether some report is answered by no rule, so that the case waits for a person.
    #[must_use]
    pub fn is_unmatched(&self) -> bool {
        self.rules.iter().zip(&self.derived).any(|(rule, derived)| rule.is_none() && !derived)
    }

    /// The steps stage by stage.
    #[must_use]
    pub fn stages(&self) -> Vec<BTreeSet<(Verb, ActionId)>> {
        let mut stages: BTreeMap<Stage, BTreeSet<(Verb, ActionId)>> = BTreeMap::new();
        for step in &self.steps {
            stages.entry(step.stage).or_default().insert((step.verb, step.action));
        }
        stages.into_values().collect()
    }
}

impl Rulebook {
    /// Plans a case of these reports. `others` is what the Histories of services say that the case would ask.
    #[must_use]
    pub fn plan_case(&self, reports: &[&Report], others: &[Evidence]) -> CasePlan {
        let derived = derived(reports);
        let rules: Vec<Option<RuleId>> = reports
            .iter()
            .zip(&derived)
            .map(|(report, derived)| if *derived { None } else { self.matching(&facts(report)) })
            .collect();
        let steps = self.wanted(reports, &rules, &derived, others, |mode| mode != Mode::Shadow);
        let in_shadow = self.wanted(reports, &rules, &derived, others, |mode| mode == Mode::Shadow);
        let planned =
            |s: &PlannedStep| steps.iter().any(|p| (p.verb, p.action) == (s.verb, s.action));
        let shadow = in_shadow.into_iter().filter(|s| !planned(s)).collect();
        CasePlan { rules, derived, steps, shadow }
    }

    fn wanted(
        &self,
        reports: &[&Report],
        rules: &[Option<RuleId>],
        derived: &[bool],
        others: &[Evidence],
        counts: impl Fn(Mode) -> bool,
    ) -> Vec<PlannedStep> {
        let told = reports.iter().flat_map(|r| &r.data.history).chain(others);
        let effects: BTreeSet<ActionId> = told
            .filter(|e| e.state.may_have_effect())
            .filter_map(|e| self.action(&e.service, &e.action))
            .collect();
        let mut wants: BTreeMap<(ActionId, Verb), Stage> = BTreeMap::new();
        let mut want = |step: PlannedStep| {
            let stage = wants.entry((step.action, step.verb)).or_insert(step.stage);
            *stage = (*stage).max(step.stage);
        };
        let mut backward = false;
        for (report, rule) in reports.iter().zip(rules) {
            let Some(rule) = rule.map(|id| self.rule(id)).filter(|r| counts(r.mode)) else {
                continue;
            };
            let reporter = self.reporter(report);
            self.resolve(&rule.demand, &Known { reporter, effects: &effects })
                .into_iter()
                .for_each(&mut want);
            if rule.demand.is_backward() {
                backward = true;
                self.undo_of_reporter(report).into_iter().for_each(&mut want);
            }
        }
        if backward {
            for (report, _) in reports.iter().zip(derived).filter(|(_, derived)| **derived) {
                self.undo_of_reporter(report).into_iter().for_each(&mut want);
            }
            // Backward beats forward; the correcting notice is no retry.
            wants.retain(|(_, verb), _| *verb != Verb::Retry);
        }
        let mut steps: Vec<PlannedStep> = wants
            .into_iter()
            .map(|((action, verb), stage)| PlannedStep { stage, action, verb })
            .collect();
        steps.sort_unstable();
        steps
    }

    /// Fields of reports that a rule's conditions accept, at both ends of them; at most `limit`. One without fields for
    /// a rule without conditions, none if the conditions are too entangled to find any.
    #[must_use]
    pub fn examples_of(&self, rule: RuleId, limit: usize) -> Vec<Example> {
        self.rules.get(rule.0 as usize).map_or_else(Vec::new, |r| examples::of_rule(r, limit))
    }

    /// The action that a report is about, as far as the rulebook knows it.
    #[must_use]
    pub fn reporter(&self, report: &Report) -> Option<ActionId> {
        match &report.data.action {
            Some(action) => self.action(report.service(), action),
            None => self.report(report.service(), &report.data.code).and_then(|r| r.action),
        }
    }

    /// The reporter belongs to its own plan, unless its History proves that nothing of its action took effect.
    fn undo_of_reporter(&self, report: &Report) -> Option<PlannedStep> {
        let action = self.reporter(report)?;
        let name = &self.get(action).name;
        let mut own = report
            .data
            .history
            .iter()
            .filter(|e| *e.service == *name.service && *e.action == *name.action)
            .peekable();
        let proven = own.peek().is_some() && own.all(|e| !e.state.may_have_effect());
        let undoable = self.get(action).class == ActionClass::Compensable;
        (undoable && !proven).then_some(PlannedStep {
            stage: Stage(0),
            action,
            verb: Verb::Compensate,
        })
    }
}

/// What a rule may look at in a report.
#[must_use]
pub fn facts(report: &Report) -> Facts<'_> {
    Facts {
        service: report.service(),
        code: &report.data.code,
        action: report.data.action.as_deref(),
        message: report.data.message.as_deref(),
        data: &report.data.data,
    }
}

/// For each report, whether a chain of causes leads from it to one that names no cause. Causes that were never reported,
/// and causes in a circle, make no report derived.
fn derived(reports: &[&Report]) -> Vec<bool> {
    let causes = |n: usize| {
        let report = reports[n];
        report.data.caused_by.iter().filter(move |c| **c != report.id)
    };
    let mut rooted: Vec<bool> = (0..reports.len()).map(|n| causes(n).next().is_none()).collect();
    let mut derived = vec![false; reports.len()];
    loop {
        let ids: BTreeSet<&str> =
            (0..reports.len()).filter(|n| rooted[*n]).map(|n| reports[n].id.as_str()).collect();
        let next: Vec<usize> = (0..reports.len())
            .filter(|n| !rooted[*n] && causes(*n).any(|c| ids.contains(c.as_str())))
            .collect();
        if next.is_empty() {
            return derived;
        }
        for n in next {
            rooted[n] = true;
            derived[n] = true;
        }
    }
}
