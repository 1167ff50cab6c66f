//! What the plan of a case depends on, and nothing else: the answered reports, what is known to have happened, and what
//! was decided before. No order of arrival and no clock.

use super::roles::{Reported, Role, roles};
use crate::{ActionId, Facts, Known, Rule, RuleId, Rulebook, ServiceId};
use amends_protocol::{ActionName, Evidence, HistoryState, Report, Verb};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The source of reports that the supervisor itself makes. No service may have this name.
pub const SUPERVISOR: &str = "supervisor";

/// All that a plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseFacts {
    /// The reports, by position.
    pub reports: Vec<ReportFacts>,
    /// Actions that happened or may have happened, by anybody's word. A union: more evidence never takes one away, so
    /// that the plan does not depend on who spoke first.
    pub effects: BTreeSet<ActionId>,
    /// Actions whose retry ran or may have run: that took effect as well.
    pub retried: BTreeSet<ActionId>,
    /// Rules whose retry was given up.
    pub given_up: BTreeSet<RuleId>,
    /// Whether something is being undone that no report of now asks for.
    pub undoing: Undoing,
    /// Actions that the saga may have reached and that may still call others. Less evidence makes them more.
    pub going_on: BTreeSet<ActionId>,
    /// Of those, whose service puts up no fence.
    pub not_fenceable: BTreeSet<ActionId>,
    /// Messages that nobody waits for and that were not sent, as far as can be known: who would have sent them to whom.
    pub unsent: BTreeSet<(ActionId, ActionId)>,
    /// Rules that a person holds: what they ask for is wanted as if they were only tried out.
    pub on_hold: BTreeSet<RuleId>,
    /// The case has reports that are not among these, so that it may concern the whole saga.
    pub reports_left_out: bool,
}

/// What a plan depends on of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportFacts {
    /// How it is answered.
    pub role: Role,
    /// The action that it is about; none if it does not say or the rulebook does not know it.
    pub action: Option<ActionId>,
    /// Its own History proves that nothing of that action took effect.
    pub proven_without_effect: bool,
}

/// Compensations that stand in the plan already, in earnest, whatever the reports ask for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undoing {
    /// None.
    #[default]
    No,
    /// There are some: for reports of now or under an earlier rulebook.
    Planned,
    /// A person asked for some.
    ByHand,
}

impl CaseFacts {
    /// The actions that the case concerns, if that is not the whole saga. More reports never make it less.
    #[must_use]
    pub fn concerns(&self, book: &Rulebook) -> Option<BTreeSet<ActionId>> {
        let failing = self.reports.iter().map(|report| report.action);
        book.concerned_by(failing).filter(|_| !self.reports_left_out)
    }

    /// A case of these answered reports, with what was heard besides them (each with its witness).
    pub fn of<'a>(
        book: &Rulebook,
        reports: impl IntoIterator<Item = (&'a Report, Role)>,
        heard: impl IntoIterator<Item = (&'a str, &'a Evidence)>,
    ) -> Self {
        let reports: Vec<(&Report, Role)> = reports.into_iter().collect();
        let histories = reports.iter().flat_map(|(report, _)| &report.data.history);
        let told = histories.chain(heard.into_iter().map(|(_, evidence)| evidence));
        let effects = told
            .filter(|evidence| evidence.state.may_have_effect())
            .filter_map(|evidence| book.action(&evidence.service, &evidence.action))
            .collect();
        let word = |position: usize, name: &ActionName| {
            let (service, action) = (Arc::clone(&name.service), Arc::clone(&name.action));
            let history = reports.get(position).map_or(&[][..], |(r, _)| &r.data.history);
            let own =
                history.iter().filter(move |e| *e.service == *service && *e.action == *action);
            own.map(|evidence| evidence.state)
        };
        Self::of_known(book, reports.iter().copied(), word, effects)
    }

    /// The same for whoever has put the evidence together: what the report at a position says of an action's requests,
    /// and which actions may have had an effect, by anybody's word.
    pub fn of_known<'a, W: Iterator<Item = HistoryState>>(
        book: &Rulebook,
        reports: impl IntoIterator<Item = (&'a Report, Role)>,
        word: impl Fn(usize, &ActionName) -> W,
        effects: BTreeSet<ActionId>,
    ) -> Self {
        let of_report = |(position, (report, role)): (usize, (&'a Report, Role))| {
            let action = book.reporter(&Facts::of(report));
            let own = action.map(|id| word(position, &book.get(id).name));
            let proven_without_effect = own.is_some_and(is_proven_without_effect);
            ReportFacts { role, action, proven_without_effect }
        };
        let reports = reports.into_iter().enumerate().map(of_report).collect();
        Self { reports, effects, ..Self::default() }
    }

    /// A case of reports that nobody has answered yet, as it stands when every cause has had its time to come.
    pub fn of_all_reports<'a>(
        book: &Rulebook,
        reports: &[&'a Report],
        heard: impl IntoIterator<Item = (&'a str, &'a Evidence)>,
    ) -> Self {
        let all: Vec<_> =
            reports.iter().map(|report| Reported { report, role: None, waited: true }).collect();
        let answered = reports.iter().copied().zip(roles(Some(book), &all));
        Self::of(book, answered, heard)
    }

    /// One report that is answered by this rule.
    #[must_use]
    pub fn of_rule(rule: RuleId, known: &Known<'_>, proven_without_effect: bool) -> Self {
        let action = known.reporter;
        Self {
            reports: vec![ReportFacts { role: Role::Rule(rule), action, proven_without_effect }],
            effects: known.effects.clone(),
            ..Self::default()
        }
    }

    /// The same case once the answering rules for which `which` holds have given their retries up, after tries that may
    /// have had effects. A rule that gives nothing up stays as it is.
    #[must_use]
    pub fn with_given_up(mut self, book: &Rulebook, which: impl Fn(&Rule) -> bool) -> Self {
        for report in &self.reports {
            let rule = report.role.rule().map(|id| book.rule(id));
            let Some(rule) = rule.filter(|r| r.give_up.is_some() && which(r)) else { continue };
            self.given_up.insert(rule.id);
            let known = Known { reporter: report.action, effects: &self.effects };
            let steps = book.resolve(&rule.demand, &known).into_iter();
            self.retried.extend(steps.filter(|s| s.verb == Verb::Retry).map(|s| s.action));
        }
        self
    }
}

impl Rulebook {
    /// The action that a report is about, as far as the rulebook knows it.
    #[must_use]
    pub fn reporter(&self, report: &Facts<'_>) -> Option<ActionId> {
        match report.action {
            // The supervisor's own report is about another service's action, so it names both.
            Some(action) if report.service == SUPERVISOR => {
                let (service, action) = action.split_once('.')?;
                self.action(service, action)
            }
            Some(action) => self.action(report.service, action),
            None => self.report(report.service, report.code).and_then(|r| r.action),
        }
    }

    /// Whether a report is about what the rulebook knows: of a service that it declares, or one that names no action of
    /// its own; a report of the supervisor's own is about its action's service.
    #[must_use]
    pub fn knows_reporter(&self, report: &Facts<'_>) -> bool {
        if report.service != SUPERVISOR {
            return self.service(report.service).is_some() || report.action.is_none();
        }
        let named = report.action.and_then(|action| action.split_once('.'));
        named.is_none_or(|(service, _)| self.service(service).is_some())
    }

    /// Whether a service has a History that can be asked: it has an address, and some action of its that changes
    /// something or calls others speaks the participant protocol.
    #[must_use]
    pub fn keeps_history(&self, service: ServiceId) -> bool {
        let service = self.services().get(service.0 as usize).filter(|s| s.url.is_some());
        let own = service.map_or(&[][..], |s| &s.actions);
        own.iter().any(|id| self.get(*id).keeps_history())
    }
}

/// Whether a report's own History proves that nothing of its action took effect. If not, the reporter belongs to its
/// own plan: a failed action is often half done.
fn is_proven_without_effect(own_word: impl Iterator<Item = HistoryState>) -> bool {
    let mut word = own_word.peekable();
    word.peek().is_some() && word.all(|state| !state.may_have_effect())
}
