//! The plan that a set of reports about one saga leads to, before anything is sent: what the supervisor's engine plans
//! for the same reports and Histories. Knows no attempts, limits and acts of people; that a retry was given up, it is told.

use crate::{
    ActionClass, ActionId, Demand, Example, Facts, Known, Mode, PlannedStep, Rule, RuleId,
    Rulebook, Stage, examples,
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
        self.plan_case_given_up(reports, others, &|_| false)
    }

    /// The same for a case in which the retries of some rules have been given up.
    #[must_use]
    pub fn plan_case_given_up(
        &self,
        reports: &[&Report],
        others: &[Evidence],
        given_up: &dyn Fn(&Rule) -> bool,
    ) -> CasePlan {
        let derived = derived(reports);
        let rules: Vec<Option<RuleId>> = reports
            .iter()
            .zip(&derived)
            .map(|(report, derived)| if *derived { None } else { self.matching(&facts(report)) })
            .collect();
        let answered = Answered { reports, rules: &rules, derived: &derived, others, given_up };
        let steps = self.wanted(&answered, |mode| mode != Mode::Shadow);
        let in_shadow = self.wanted(&answered, |mode| mode == Mode::Shadow);
        let planned =
            |s: &PlannedStep| steps.iter().any(|p| (p.verb, p.action) == (s.verb, s.action));
        let shadow = in_shadow.into_iter().filter(|s| !planned(s)).collect();
        CasePlan { rules, derived, steps, shadow }
    }

    fn wanted(&self, case: &Answered<'_>, counts: impl Fn(Mode) -> bool) -> Vec<PlannedStep> {
        let told = case.reports.iter().flat_map(|r| &r.data.history).chain(case.others);
        let effects: BTreeSet<ActionId> = told
            .filter(|e| e.state.may_have_effect())
            .filter_map(|e| self.action(&e.service, &e.action))
            .collect();
        let mut wants = Wants::default();
        let mut backward = false;
        for (report, rule) in case.reports.iter().zip(case.rules) {
            let Some(rule) = rule.map(|id| self.rule(id)).filter(|r| counts(r.mode)) else {
                continue;
            };
            let given_up = (case.given_up)(rule);
            let known = Known { reporter: self.reporter(report), effects: &effects };
            backward |= self.want(
                rule,
                given_up,
                &known,
                self.is_proven_without_effect(report),
                &mut wants,
            );
        }
        if backward {
            // Also those that were to be run again: that is superseded, and they may be half done.
            let answered = |n: usize| {
                case.derived[n] || case.rules[n].is_some_and(|id| counts(self.rule(id).mode))
            };
            for report in (0..case.reports.len()).filter(|n| answered(*n)).map(|n| case.reports[n])
            {
                let action = self.reporter(report);
                if let Some(action) = action.filter(|_| !self.is_proven_without_effect(report)) {
                    wants.add(self.undoing(action));
                }
            }
        }
        wants.into_steps(backward)
    }

    /// What a rule leads to in a case of one report: what it asks for and, where anything is undone, the undoing of the
    /// reporter's own action unless it is proven to have done nothing.
    #[must_use]
    pub fn steps_of(&self, rule: &Rule, known: &Known<'_>, proven: bool) -> Vec<PlannedStep> {
        let mut wants = Wants::default();
        let backward = self.want(rule, false, known, proven, &mut wants);
        wants.into_steps(backward)
    }

    /// The same once the rule's retry is given up after failed tries, which may have had effects; none if it never is.
    #[must_use]
    pub fn steps_given_up(
        &self,
        rule: &Rule,
        known: &Known<'_>,
        proven: bool,
    ) -> Option<Vec<PlannedStep>> {
        rule.give_up.as_ref()?;
        let mut wants = Wants::default();
        let backward = self.want(rule, true, known, proven, &mut wants);
        Some(wants.into_steps(backward))
    }

    /// Adds what a rule asks for; tells whether anything is undone.
    fn want(
        &self,
        rule: &Rule,
        given_up: bool,
        known: &Known<'_>,
        proven: bool,
        wants: &mut Wants,
    ) -> bool {
        let then = rule.give_up.as_ref().filter(|_| given_up).map(|g| &g.then);
        for demand in [Some(&rule.demand), then].into_iter().flatten() {
            wants.add(self.resolve(demand, known));
        }
        let backward = rule.demand.is_backward() || then.is_some_and(Demand::is_backward);
        if backward {
            if let Some(action) = known.reporter.filter(|_| !proven) {
                wants.add(self.undoing(action));
            }
            if given_up {
                let retried: Vec<ActionId> = wants.retried().collect();
                retried.into_iter().for_each(|action| wants.add(self.undoing(action)));
            }
        }
        backward
    }

    /// The step that undoes one action, whatever rules ask for: its compensation at once, or the correction of a message
    /// with the other notices. None if nothing can be done about it.
    #[must_use]
    pub fn undoing(&self, action: ActionId) -> Option<PlannedStep> {
        let declared = self.actions().get(action.0 as usize)?;
        match declared.class {
            ActionClass::Compensable => {
                Some(PlannedStep { stage: Stage(0), action, verb: Verb::Compensate })
            }
            ActionClass::Notice => declared.correction.map(|correction| PlannedStep {
                stage: Stage::NOTICES,
                action: correction,
                verb: Verb::Notify,
            }),
            ActionClass::Retriable | ActionClass::Free => None,
        }
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

    /// Whether the reporter's own History proves that nothing of its action took effect. If not, the reporter belongs to
    /// its own plan: a failed action is often half done.
    #[must_use]
    pub fn is_proven_without_effect(&self, report: &Report) -> bool {
        let Some(action) = self.reporter(report) else { return false };
        let name = &self.get(action).name;
        let mut own = report
            .data
            .history
            .iter()
            .filter(|e| *e.service == *name.service && *e.action == *name.action)
            .peekable();
        own.peek().is_some() && own.all(|e| !e.state.may_have_effect())
    }
}

/// Reports of one case with what answers them.
struct Answered<'a> {
    reports: &'a [&'a Report],
    rules: &'a [Option<RuleId>],
    derived: &'a [bool],
    others: &'a [Evidence],
    given_up: &'a dyn Fn(&Rule) -> bool,
}

/// A union of steps: one per verb and action, in the latest of its stages.
#[derive(Default)]
struct Wants(BTreeMap<(ActionId, Verb), Stage>);

impl Wants {
    fn add(&mut self, steps: impl IntoIterator<Item = PlannedStep>) {
        for step in steps {
            let stage = self.0.entry((step.action, step.verb)).or_insert(step.stage);
            *stage = (*stage).max(step.stage);
        }
    }

    fn retried(&self) -> impl Iterator<Item = ActionId> {
        self.0.keys().filter(|(_, verb)| *verb == Verb::Retry).map(|(action, _)| *action)
    }

    /// Backward beats forward; the correcting notice is no retry.
    fn into_steps(self, backward: bool) -> Vec<PlannedStep> {
        let stays = |verb: Verb| !backward || verb != Verb::Retry;
        let mut steps: Vec<PlannedStep> = self
            .0
            .into_iter()
            .filter(|((_, verb), _)| stays(*verb))
            .map(|((action, verb), stage)| PlannedStep { stage, action, verb })
            .collect();
        steps.sort_unstable();
        steps
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
