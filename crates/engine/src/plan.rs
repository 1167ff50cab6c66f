//! What the planner wants becomes steps: merged with those that stand, in time and with what people decided. What is
//! wanted, and how each report is answered, is the planner's business (`amends_rulebook::CaseFacts`).
//!
//! INVARIANT: the plan is a set keyed by verb and action. Reports only ever add to it, in any order, any number of
//! times; what was sent stays sent, and what a person decided stays decided.

use crate::case::{Case, retry_may_have_effect};
use crate::rule_limits::RuleLimits;
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{DomainEvent, Partition, ReportRole, StepExtra, StepRow, StepState};
use amends_api::StuckReason;
use amends_protocol::{ActionName, Outcome, Salt, Timestamp, Verb};
use amends_rulebook::{
    ActionClass, CaseFacts, Hold, Plan, Reported, Role, RuleId, Rulebook, Undoing, Want, roles,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Reports of one case. A saga with more is a loop somewhere, and a person must look.
pub(crate) const REPORTS_LIMIT: usize = 1_000;

/// Reports of one case beyond its limit: within what a store can number (2^20 rows of a case).
pub(crate) const EXCESS_LIMIT: u32 = 1_000_000;

/// How long a derived report waits for its root where no rulebook says.
pub(crate) const DEFAULT_CAUSE_WAIT_MS: u64 = 10_000;

impl Case {
    /// Asks the planner how each report is answered. `fresh` is one that has no answer yet.
    pub(crate) fn assign_roles(
        &mut self,
        fresh: Option<usize>,
        now: Timestamp,
        limits: &mut RuleLimits,
        turn: &mut Turn,
    ) {
        for (index, role) in self.roles_now(fresh, now).into_iter().enumerate() {
            let waits = matches!(self.reports[index].role, ReportRole::AwaitsRoot(_));
            match role {
                _ if fresh != Some(index) && !waits => {}
                Role::AwaitsRoot if waits => {}
                Role::AwaitsRoot => self.wait_for_root(index, now, turn),
                Role::Rule(rule) => {
                    self.note_waited(index);
                    let role = self.admit(rule, now, limits);
                    self.set_role(index, role);
                }
                Role::RuleHeld(rule) => self.set_role(index, ReportRole::RuleHeld(rule.0)),
                Role::Unmatched => {
                    self.note_waited(index);
                    self.set_role(index, ReportRole::Unmatched);
                }
                Role::ByHand => self.set_role(index, ReportRole::ByHand),
                Role::Derived => self.set_role(index, ReportRole::Derived),
                Role::Excess => self.set_role(index, ReportRole::Excess),
            }
        }
    }

    fn roles_now(&self, fresh: Option<usize>, now: Timestamp) -> Vec<Role> {
        let rows = self.reports.iter().enumerate();
        let reported = rows.map(|(index, row)| Reported {
            report: &row.report,
            role: Some(row.role.for_planner()).filter(|_| fresh != Some(index)),
            waited: matches!(row.role, ReportRole::AwaitsRoot(until) if now.0 >= until),
        });
        let reported: Vec<_> = reported.collect();
        roles(self.book.as_deref(), &reported)
    }

    fn wait_for_root(&mut self, index: usize, now: Timestamp, turn: &mut Turn) {
        let wait = self.book.as_ref().map_or(DEFAULT_CAUSE_WAIT_MS, |b| b.settings().cause_wait_ms);
        let until = now.plus_ms(wait);
        self.set_role(index, ReportRole::AwaitsRoot(until.0));
        turn.traffic.timers.set(until, Timer::Cause(self.row.id));
    }

    /// Says why a report that names a cause is answered as a root.
    fn note_waited(&mut self, index: usize) {
        let report = Arc::clone(&self.reports[index].report);
        let causes: Vec<&str> =
            report.data.caused_by.iter().filter(|c| **c != report.id).map(String::as_str).collect();
        if causes.is_empty() {
            return;
        }
        let (who, named) = (report.service(), causes.join(", "));
        let came = self.reports.iter().any(|r| causes.contains(&r.report.id.as_str()));
        let why = if came { "which leads back to it" } else { "which was never reported" };
        self.note(format!("{who} names {named} as the cause, {why}"));
    }

    /// Makes every root report unanswered again, for a new rulebook.
    pub(crate) fn forget_roles(&mut self, now: Timestamp) {
        for index in 0..self.reports.len() {
            if self.reports[index].role != ReportRole::Derived {
                self.set_role(index, ReportRole::AwaitsRoot(now.0));
            }
        }
    }

    /// Counts a case that a rule answers against the rule's limit.
    fn admit(&mut self, id: RuleId, now: Timestamp, limits: &mut RuleLimits) -> ReportRole {
        let known = self.reports.iter().find_map(|r| match r.role {
            ReportRole::Rule(n) | ReportRole::RuleHeld(n) if n == id.0 => Some(r.role),
            _ => None,
        });
        if let Some(role) = known {
            return role; // a limit counts cases, not reports
        }
        let Some(book) = self.book.clone() else { return ReportRole::Rule(id.0) };
        let (rule, partition) = (book.rule(id), Partition::of(&self.row.saga));
        match rule.limit_per_minute {
            Some(limit) if !limits.admit(now, partition, (&*book, id.0), limit) => {
                let label = &rule.index_label;
                self.note(format!(
                    "more than {limit} cases a minute for rule `{label}`: waits for approval"
                ));
                ReportRole::RuleHeld(id.0)
            }
            _ => ReportRole::Rule(id.0),
        }
    }

    /// All that the planner needs to know of this case.
    fn facts(&self, book: &Rulebook) -> CaseFacts {
        let reports = self.reports.iter().map(|row| (&*row.report, row.role.for_planner()));
        let heard = self.heard();
        let word = |position, name: &ActionName| heard.word_of_report(position, name).iter();
        let mut facts = CaseFacts::of_known(book, reports, word, heard.effects(book));
        facts.given_up.extend(self.row.extra.gave_up.iter().copied().map(RuleId));
        let retried =
            self.steps.iter().filter(|s| s.verb == Verb::Retry && retry_may_have_effect(s));
        facts
            .retried
            .extend(retried.filter_map(|s| book.action(&s.action.service, &s.action.action)));
        facts.undoing = self.undoing();
        facts.reports_left_out = self.row.extra.excess > 0;
        if !book.events().is_empty() && facts.uses_recorded(book) {
            facts.unsent = self.unsent(book);
        }
        if book.may_need_fences() {
            facts.going_on = self.going_on(book, facts.uses_recorded(book));
            // Behind a fence nobody tells any more that a pivot had been begun: those who can are read before.
            facts.going_on.retain(|id| {
                book.get(*id).class != ActionClass::Pivot || !self.is_unread_at_pivot(book, *id)
            });
            facts.not_fenceable = self.not_fenceable(book);
        }
        facts
    }

    /// The same as if some rules were only tried out.
    pub(crate) fn facts_but_for(&self, book: &Rulebook, on_hold: BTreeSet<RuleId>) -> CaseFacts {
        CaseFacts { on_hold, ..self.facts(book) }
    }

    /// What is being undone in earnest already.
    fn undoing(&self) -> Undoing {
        let planned = self.steps.iter().filter(|s| s.verb == Verb::Compensate && !s.extra.fence);
        let planned = planned.map(|s| match &s.state {
            StepState::Shadow => Undoing::No,
            _ if s.extra.because.is_empty() => Undoing::ByHand,
            _ => Undoing::Planned,
        });
        planned.max().unwrap_or_default()
    }

    /// Whether anything is being undone in this case (in earnest, not in shadow).
    pub(crate) fn is_backward(&self) -> bool {
        self.undoing() != Undoing::No
            || self.book.as_ref().is_some_and(|book| self.facts(book).is_backward(book))
    }

    /// Whether it is answered in shadow mode alone.
    pub(crate) fn is_only_watched(&self, book: &Rulebook) -> bool {
        self.facts(book).is_only_watched(book)
    }

    /// Whether what the plan asks for depends on the Histories.
    pub(crate) fn uses_recorded(&self) -> bool {
        self.book.as_ref().is_some_and(|book| self.facts(book).uses_recorded(book))
    }

    /// Brings the plan up to what the reports and the evidence demand now.
    pub(crate) fn plan(&mut self, now: Timestamp, turn: &mut Turn) {
        let Some(book) = self.book.clone() else { return };
        let facts = self.facts(&book);
        self.merge(&book, book.wants(&facts), now, turn);
        self.split_steps(&book, now, turn);
        for index in 0..self.steps.len() {
            if self.can_be_built_now(index, &book) {
                self.must_change(index, StepEvent::Retry(now), now, turn);
            }
        }
        self.drop_needless_fences(&book, now, turn);
        if facts.is_backward(&book) {
            self.supersede_retries(&book, now, turn);
        }
        self.note_strangers(&book, facts.uses_recorded(&book), turn);
        if facts.uses_recorded(&book) {
            let services = self.services_to_ask(&book, &self.reach(&book));
            self.ask_histories(services, now, turn);
        }
        self.note_business(&book);
    }

    /// Evidence of actions that the rulebook does not know cannot be acted on; a person must hear of it.
    fn note_strangers(&mut self, book: &Rulebook, uses_recorded: bool, turn: &mut Turn) {
        let Some(heard) = self.heard_mut() else { return };
        let mut texts = BTreeSet::new();
        for (by, name) in heard.new_strangers(book) {
            if book.strangers().ignores(&name.service, &name.action) {
                continue;
            }
            let by_case = (&by, self.row.id);
            turn.strangers.note(book.name(), &name, by_case, turn.moment.wall);
            self.keep_stranger(&name, turn.strangers.declared(book.name(), &name));
            texts.insert(format!("{by} tells of {name}, which the rulebook does not know"));
        }
        texts.into_iter().filter(|_| uses_recorded).for_each(|text| self.note(text));
    }

    fn merge(&mut self, book: &Rulebook, plan: Plan, now: Timestamp, turn: &mut Turn) {
        let leads = self.steps.iter().enumerate().filter(|(_, row)| row.extra.part_of.is_none());
        let known: FxHashMap<(Verb, ActionName), usize> =
            leads.map(|(i, s)| ((s.verb, s.action.clone()), i)).collect();
        let before = self.steps.len();
        for want in plan.wants {
            let name = &book.get(want.step.action).name;
            match known.get(&(want.step.verb, name.clone())) {
                Some(lead) => {
                    let rows: Vec<usize> = self.rows_of_step(&self.steps[*lead]).collect();
                    rows.into_iter().for_each(|row| self.strengthen(row, &want, now, turn));
                }
                None => self.add_planned(name.clone(), want, turn.salt),
            }
        }
        let steps = self.steps.len() - before;
        if steps > 0
            && let Some(first) = self.reports.first()
        {
            let report = self.shown(Arc::clone(&first.report));
            turn.publish(DomainEvent::Planned { case: self.row.id, report, steps });
        }
    }

    fn add_planned(&mut self, action: ActionName, want: Want, salt: Salt) {
        let state = if want.hold == Hold::Shadow { StepState::Shadow } else { StepState::Waiting };
        let extra = StepExtra {
            because: want.because,
            held: want.hold == Hold::Ask,
            asks: want.hold == Hold::Ask,
            fence: want.fence,
            ..StepExtra::default()
        };
        self.push_step(salt, want.step.verb, action, want.step.stage.0, state, extra);
    }

    pub(crate) fn push_step(
        &mut self,
        salt: Salt,
        verb: Verb,
        action: ActionName,
        stage: u16,
        state: StepState,
        extra: StepExtra,
    ) {
        let ordinal = u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX);
        let id = salt.step_id(self.row.id, ordinal, &self.row.saga, verb, &action);
        self.add_step(StepRow {
            id,
            verb,
            action,
            stage,
            state,
            attempts: 0,
            planned_at: self.wall,
            updated_at: self.wall,
            extra,
        });
    }

    /// A step that is in the plan already is asked for again.
    fn strengthen(&mut self, index: usize, want: &Want, now: Timestamp, turn: &mut Turn) {
        let step = &self.steps[index];
        let decided = step.extra.decided_by.is_some();
        let news: Vec<u32> = want
            .because
            .iter()
            .copied()
            .filter(|p| !step.extra.because.contains(p) && !step.extra.would_have_asked.contains(p))
            .collect();
        if !news.is_empty() {
            let extra = &mut self.step_mut(index).extra;
            if decided { &mut extra.would_have_asked } else { &mut extra.because }.extend(news);
        }
        if decided {
            return;
        }
        let step = &self.steps[index];
        let wakes = step.state == StepState::Shadow && want.hold != Hold::Shadow;
        let unsent = step.attempts == 0
            && matches!(
                step.state,
                StepState::Waiting
                    | StepState::Due(_)
                    | StepState::Stuck(StuckReason::AwaitsApproval)
            );
        if wakes || (unsent && want.step.stage.0 > step.stage) {
            self.step_mut(index).stage = want.step.stage.0;
        }
        if wakes {
            let extra = &mut self.step_mut(index).extra;
            extra.held = want.hold == Hold::Ask;
            extra.asks = extra.held;
            self.must_change(index, StepEvent::Retry(now), now, turn);
        }
        if want.hold == Hold::Auto && self.steps[index].extra.asks {
            self.step_mut(index).extra.asks = false;
        }
        if want.hold == Hold::Auto && self.steps[index].extra.held {
            self.step_mut(index).extra.held = false;
            if self.steps[index].state == StepState::Stuck(StuckReason::AwaitsApproval) {
                self.must_change(index, StepEvent::Retry(now), now, turn);
            }
        }
    }

    /// Backward beats forward: a retry not yet sent is dropped, one under way is awaited first.
    fn supersede_retries(&mut self, book: &Rulebook, now: Timestamp, turn: &mut Turn) {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let action = book.action(&step.action.service, &step.action.action);
            if !book.is_superseded_by_undoing(step.verb, action) {
                continue;
            }
            match step.state {
                StepState::Waiting | StepState::Due(_) | StepState::Stuck(_) => {
                    self.step_mut(index).extra.message =
                        Some("replaced by compensation".to_owned());
                    self.must_change(index, StepEvent::Supersede, now, turn);
                }
                // One that a person could still bring back would be replaced at once.
                StepState::InFlight
                | StepState::Accepted { .. }
                | StepState::Done(Outcome::Waived)
                | StepState::Shadow => {
                    if !step.extra.last_try {
                        self.step_mut(index).extra.last_try = true;
                    }
                }
                StepState::Done(_) | StepState::Superseded => {}
            }
        }
    }
}
