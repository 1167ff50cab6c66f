//! From reports to a plan: which report is answered by what, and the union of what they demand.
//!
//! INVARIANT: the plan is a set keyed by verb and action. Reports only ever add to it, in any order, any number of
//! times; what was sent stays sent, and what a person decided stays decided.

use crate::agenda::Agenda;
use crate::case::{Case, facts, retry_may_have_effect};
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::{Happening, ReportRole, StepMemo, StepRow, StepState};
use amends_protocol::{ActionName, StepId, StuckReason, Timestamp, Verb};
use amends_rulebook::{ActionId, Demand, Known, Mode, Rulebook, Stage};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reports of one case. A saga with more is a loop somewhere, and a person must look.
pub(crate) const REPORTS_LIMIT: usize = 1_000;

/// How long a derived report waits for its root where no rulebook says.
const DEFAULT_CAUSE_WAIT_MS: u64 = 10_000;

/// Whether a step may be carried out. The strongest demand wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    Shadow,
    Ask,
    Auto,
}

struct Want {
    stage: u16,
    hold: Hold,
    because: Vec<u32>,
}

type Wants = BTreeMap<(ActionId, Verb), Want>;

/// A limit counts the cases of this long.
const LIMIT_WINDOW_MS: u64 = 60_000;

/// Counts the cases that each limited rule has answered in its current minute. A minute begins with the first case after
/// the one before has ended, not with the clock's: else a burst across the full minute would pass twice the limit.
#[derive(Debug, Default)]
pub(crate) struct RuleLimits(FxHashMap<(Arc<str>, u32), Window>);

#[derive(Debug)]
struct Window {
    began: Timestamp,
    cases: u32,
}

impl RuleLimits {
    /// Counts one more case; false if the rule's limit is passed.
    fn admit(&mut self, now: Timestamp, book: &Rulebook, rule: u32, per_minute: u32) -> bool {
        let fresh = || Window { began: now, cases: 0 };
        let window = self.0.entry((book.hash().into(), rule)).or_insert_with(fresh);
        if now.ms_since(window.began) >= LIMIT_WINDOW_MS {
            *window = fresh();
        }
        window.cases = window.cases.saturating_add(1);
        window.cases <= per_minute
    }
}

impl Case {
    /// Decides how each report is answered. `fresh` is one that has no answer yet.
    ///
    /// A report that names a cause within the case is derived and needs no rule. One whose cause has not come waits
    /// for it a while, then counts as a root of its own. Causes that form a circle have no root and end the same way.
    pub(crate) fn assign_roles(
        &mut self,
        fresh: Option<usize>,
        now: Timestamp,
        limits: &mut RuleLimits,
        agenda: &mut Agenda,
    ) {
        let derived = self.derived(fresh);
        for (index, is_derived) in derived.into_iter().enumerate() {
            let waits = matches!(self.reports[index].role, ReportRole::AwaitsRoot(_));
            if fresh != Some(index) && !waits {
                continue;
            }
            if is_derived {
                self.set_role(index, ReportRole::Derived);
            } else if self.names_cause(index) {
                self.wait_for_root(index, fresh == Some(index), now, limits, agenda);
            } else {
                let role = self.match_rule(index, now, limits);
                self.set_role(index, role);
            }
        }
    }

    fn wait_for_root(
        &mut self,
        index: usize,
        fresh: bool,
        now: Timestamp,
        limits: &mut RuleLimits,
        agenda: &mut Agenda,
    ) {
        let wait = self.book.as_ref().map_or(DEFAULT_CAUSE_WAIT_MS, |b| b.settings().cause_wait_ms);
        match self.reports[index].role {
            ReportRole::AwaitsRoot(until) if !fresh => {
                if now.0 >= until {
                    let causes = self.reports[index].report.data.caused_by.join(", ");
                    let who = self.reports[index].report.service().to_owned();
                    self.note(
                        now,
                        format!("{who} names {causes} as the cause, which was never reported"),
                    );
                    let role = self.match_rule(index, now, limits);
                    self.set_role(index, role);
                }
            }
            _ => {
                let until = now.plus_ms(wait);
                self.set_role(index, ReportRole::AwaitsRoot(until.0));
                agenda.timers.set(until, Timer::Cause(self.row.id));
            }
        }
    }

    fn names_cause(&self, index: usize) -> bool {
        let report = &self.reports[index].report;
        report.data.caused_by.iter().any(|cause| *cause != report.id)
    }

    /// For each report, whether a chain of causes leads from it to a report that stands on its own.
    fn derived(&self, fresh: Option<usize>) -> Vec<bool> {
        let stands = |index: usize| {
            !self.names_cause(index)
                || (fresh != Some(index)
                    && matches!(
                        self.reports[index].role,
                        ReportRole::Rule(_)
                            | ReportRole::RuleHeld(_)
                            | ReportRole::Unmatched
                            | ReportRole::ByHand
                    ))
        };
        let mut rooted: FxHashSet<&str> = (0..self.reports.len())
            .filter(|i| stands(*i))
            .map(|i| self.reports[i].report.id.as_str())
            .collect();
        let mut derived = vec![false; self.reports.len()];
        loop {
            let before = rooted.len();
            for (index, row) in self.reports.iter().enumerate() {
                let report = &row.report;
                let causes = report.data.caused_by.iter().filter(|c| **c != report.id);
                if !stands(index) && causes.into_iter().any(|c| rooted.contains(c.as_str())) {
                    derived[index] = true;
                    rooted.insert(&report.id);
                }
            }
            if rooted.len() == before {
                break;
            }
        }
        derived
    }

    /// Makes every root report unanswered again, for a new rulebook.
    pub(crate) fn forget_roles(&mut self, now: Timestamp) {
        for index in 0..self.reports.len() {
            if self.reports[index].role != ReportRole::Derived {
                self.set_role(index, ReportRole::AwaitsRoot(now.0));
            }
        }
    }

    fn match_rule(&mut self, index: usize, now: Timestamp, limits: &mut RuleLimits) -> ReportRole {
        let Some(book) = self.book.clone() else { return ReportRole::Unmatched };
        let Some(rule) = book.matching(&facts(&self.reports[index])) else {
            return ReportRole::Unmatched;
        };
        let known = self.reports.iter().find_map(|r| match r.role {
            ReportRole::Rule(n) | ReportRole::RuleHeld(n) if n == rule.0 => Some(r.role),
            _ => None,
        });
        if let Some(role) = known {
            return role; // a limit counts cases, not reports
        }
        match book.rule(rule).limit_per_minute {
            Some(limit) if !limits.admit(now, &book, rule.0, limit) => {
                let label = &book.rule(rule).index_label;
                self.note(
                    now,
                    format!(
                        "more than {limit} cases a minute for rule `{label}`: waits for approval"
                    ),
                );
                ReportRole::RuleHeld(rule.0)
            }
            _ => ReportRole::Rule(rule.0),
        }
    }

    /// Whether anything is being undone in this case (in earnest, not in shadow).
    pub(crate) fn is_backward(&self) -> bool {
        self.steps.iter().any(|s| s.verb == Verb::Compensate && s.state != StepState::Shadow)
            || self.book.as_ref().is_some_and(|book| {
                self.demands(book)
                    .any(|(_, demand, hold)| hold != Hold::Shadow && demand.is_backward())
            })
    }

    /// Whether what the plan asks for depends on the Histories.
    pub(crate) fn uses_recorded(&self) -> bool {
        self.book.as_ref().is_some_and(|book| {
            self.demands(book)
                .any(|(_, demand, hold)| hold != Hold::Shadow && demand.uses_recorded())
        })
    }

    /// What the answered reports demand: position of the report, demand, and whether it may be carried out.
    fn demands<'a>(
        &'a self,
        book: &'a Rulebook,
    ) -> impl Iterator<Item = (usize, &'a Demand, Hold)> {
        self.reports.iter().enumerate().flat_map(move |(index, row)| {
            let (rule, held) = match row.role {
                ReportRole::Rule(rule) => (Some(rule), false),
                ReportRole::RuleHeld(rule) => (Some(rule), true),
                ReportRole::Derived
                | ReportRole::AwaitsRoot(_)
                | ReportRole::Unmatched
                | ReportRole::ByHand
                | ReportRole::Excess => (None, false),
            };
            let rule = rule.and_then(|n| book.rules().get(n as usize));
            let hold = match rule.map_or(Mode::Auto, |r| r.mode) {
                Mode::Shadow => Hold::Shadow,
                Mode::Ask => Hold::Ask,
                Mode::Auto if held => Hold::Ask,
                Mode::Auto => Hold::Auto,
            };
            let gave_up = rule
                .filter(|r| self.row.detail.gave_up.contains(&r.id.0))
                .and_then(|r| r.give_up.as_ref())
                .map(|g| (index, &g.then, hold));
            rule.map(|r| (index, &r.demand, hold)).into_iter().chain(gave_up)
        })
    }

    /// Brings the plan up to what the reports and the evidence demand now.
    pub(crate) fn plan(&mut self, now: Timestamp, agenda: &mut Agenda) {
        let Some(book) = self.book.clone() else { return };
        let wants = self.wants(&book);
        self.merge(&book, wants, now, agenda);
        if self.is_backward() {
            self.supersede_retries(&book, now, agenda);
        }
        if self.uses_recorded() {
            self.note_strangers(&book, now);
            let services = self.services_to_ask(&book, &self.reach(&book));
            self.ask_histories(services, now, agenda);
        }
    }

    /// Evidence of actions that the rulebook does not know cannot be acted on; a person must hear of it.
    fn note_strangers(&mut self, book: &Rulebook, now: Timestamp) {
        let strangers: FxHashSet<String> = self
            .told()
            .filter(|(_, e)| {
                e.state.may_have_effect() && book.action(&e.service, &e.action).is_none()
            })
            .map(|(by, e)| {
                format!(
                    "{by} tells of {}.{}, which the rulebook does not know",
                    e.service, e.action
                )
            })
            .collect();
        let mut strangers: Vec<String> = strangers.into_iter().collect();
        strangers.sort();
        for text in strangers {
            self.note(now, text);
        }
    }

    fn wants(&self, book: &Rulebook) -> Wants {
        let effects = self.effects(book);
        let mut wants = Wants::new();
        let mut strongest = None;
        for (index, demand, hold) in self.demands(book) {
            let row = &self.reports[index];
            let reporter = self.reporter(book, row);
            for step in book.resolve(demand, &Known { reporter, effects: &effects }) {
                want(&mut wants, step.action, step.verb, step.stage, hold, Some(index));
            }
            if demand.is_backward() {
                strongest = strongest.max(Some(hold));
                self.want_reporter(book, index, hold, &mut wants);
            }
        }
        // By hand: a case that is being undone without any rule still undoes its derived reporters.
        let undone_by_hand =
            self.steps.iter().any(|s| s.verb == Verb::Compensate && s.memo.because.is_empty());
        let hold = strongest.or(undone_by_hand.then_some(Hold::Auto));
        if let Some(hold) = hold {
            for index in
                (0..self.reports.len()).filter(|index| self.is_undone_with_others(book, *index))
            {
                self.want_reporter(book, index, hold, &mut wants);
            }
            self.want_undone_retries(book, hold, &mut wants);
        }
        wants
    }

    /// Whether a reporter is undone when the case is, whatever its own report demands: it follows from another's failure,
    /// or was to be run again, which is superseded. A rule in shadow mode adds nothing in earnest.
    fn is_undone_with_others(&self, book: &Rulebook, index: usize) -> bool {
        match self.reports[index].role {
            ReportRole::Derived => true,
            ReportRole::Rule(rule) | ReportRole::RuleHeld(rule) => {
                book.rules().get(rule as usize).is_some_and(|r| r.mode != Mode::Shadow)
            }
            ReportRole::AwaitsRoot(_)
            | ReportRole::Unmatched
            | ReportRole::ByHand
            | ReportRole::Excess => false,
        }
    }

    /// The reporter belongs to its own plan, unless its History proves that nothing of its action took effect: a
    /// failed step is often half done. A message that may have gone out is corrected.
    fn want_reporter(&self, book: &Rulebook, index: usize, hold: Hold, wants: &mut Wants) {
        let row = &self.reports[index];
        let Some(action) = self.reporter(book, row) else { return };
        if let Some(step) = book.undoing(action)
            && !Self::proven_without_effect(book, row, action)
        {
            want(wants, step.action, step.verb, step.stage, hold, Some(index));
        }
    }

    /// What a retry did or may have done joins what is undone.
    fn want_undone_retries(&self, book: &Rulebook, hold: Hold, wants: &mut Wants) {
        for step in self.steps.iter().filter(|s| s.verb == Verb::Retry && retry_may_have_effect(s))
        {
            let action = book.action(&step.action.service, &step.action.action);
            if let Some(step) = action.and_then(|id| book.undoing(id)) {
                want(wants, step.action, step.verb, step.stage, hold, None);
            }
        }
    }

    fn merge(&mut self, book: &Rulebook, wants: Wants, now: Timestamp, agenda: &mut Agenda) {
        let known: FxHashMap<(Verb, ActionName), usize> =
            self.steps.iter().enumerate().map(|(i, s)| ((s.verb, s.action.clone()), i)).collect();
        let mut wants: Vec<_> = wants.into_iter().collect();
        wants.sort_by_key(|((action, verb), want)| (want.stage, *action, *verb));
        let before = self.steps.len();
        for ((action, verb), want) in wants {
            let name = &book.get(action).name;
            match known.get(&(verb, name.clone())) {
                Some(index) => self.strengthen(*index, &want, now, agenda),
                None => self.add_planned(verb, name.clone(), want, now),
            }
        }
        let steps = self.steps.len() - before;
        if steps > 0
            && let Some(first) = self.reports.first()
        {
            let report = Arc::clone(&first.report);
            agenda.tell(now, Happening::Planned { case: self.row.id, report, steps });
        }
    }

    fn add_planned(&mut self, verb: Verb, action: ActionName, want: Want, now: Timestamp) {
        let state = if want.hold == Hold::Shadow { StepState::Shadow } else { StepState::Waiting };
        let memo =
            StepMemo { because: want.because, held: want.hold == Hold::Ask, ..StepMemo::default() };
        self.push_step(verb, action, want.stage, state, memo, now);
    }

    pub(crate) fn push_step(
        &mut self,
        verb: Verb,
        action: ActionName,
        stage: u16,
        state: StepState,
        memo: StepMemo,
        now: Timestamp,
    ) {
        let ordinal = u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX);
        let id = StepId::derive(self.row.id, ordinal, &self.row.saga, verb.as_str(), &action);
        self.add_step(StepRow {
            id,
            verb,
            action,
            stage,
            state,
            attempts: 0,
            planned_at: now,
            updated_at: now,
            memo,
        });
    }

    /// A step that is in the plan already is asked for again.
    fn strengthen(&mut self, index: usize, want: &Want, now: Timestamp, agenda: &mut Agenda) {
        let step = &self.steps[index];
        let decided = step.memo.decided_by.is_some();
        let news: Vec<u32> = want
            .because
            .iter()
            .copied()
            .filter(|p| !step.memo.because.contains(p) && !step.memo.would_have_asked.contains(p))
            .collect();
        if !news.is_empty() {
            let memo = &mut self.step_mut(index).memo;
            if decided { &mut memo.would_have_asked } else { &mut memo.because }.extend(news);
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
        if wakes || (unsent && want.stage > step.stage) {
            self.step_mut(index).stage = want.stage;
        }
        if wakes {
            self.step_mut(index).memo.held = want.hold == Hold::Ask;
            self.must_change(index, StepEvent::Again(now), now, agenda);
        }
        if want.hold == Hold::Auto && self.steps[index].memo.held {
            self.step_mut(index).memo.held = false;
            if self.steps[index].state == StepState::Stuck(StuckReason::AwaitsApproval) {
                self.must_change(index, StepEvent::Again(now), now, agenda);
            }
        }
    }

    /// Backward beats forward: a retry not yet sent is dropped, one under way is awaited first. The correcting notice
    /// goes on being retried: it belongs to the undoing.
    fn supersede_retries(&mut self, book: &Rulebook, now: Timestamp, agenda: &mut Agenda) {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let corrects = book
                .action(&step.action.service, &step.action.action)
                .is_some_and(|id| book.get(id).correction_of.is_some());
            if step.verb != Verb::Retry || corrects {
                continue;
            }
            match step.state {
                StepState::Waiting | StepState::Due(_) | StepState::Stuck(_) => {
                    self.step_mut(index).memo.message = Some("replaced by compensation".to_owned());
                    self.must_change(index, StepEvent::Supersede, now, agenda);
                }
                StepState::InFlight | StepState::Accepted { .. } => {
                    if !step.memo.last_try {
                        self.step_mut(index).memo.last_try = true;
                    }
                }
                StepState::Done(_) | StepState::Superseded | StepState::Shadow => {}
            }
        }
    }
}

fn want(
    wants: &mut Wants,
    action: ActionId,
    verb: Verb,
    stage: Stage,
    hold: Hold,
    report: Option<usize>,
) {
    let because = report.and_then(|r| u32::try_from(r).ok());
    let entry =
        wants.entry((action, verb)).or_insert(Want { stage: stage.0, hold, because: Vec::new() });
    // A demand in shadow mode must not delay a real one.
    match (entry.hold, hold) {
        (Hold::Shadow, Hold::Ask | Hold::Auto) => entry.stage = stage.0,
        (Hold::Ask | Hold::Auto, Hold::Shadow) => {}
        _ => entry.stage = entry.stage.max(stage.0),
    }
    entry.hold = entry.hold.max(hold);
    if let Some(position) = because.filter(|p| !entry.because.contains(p)) {
        entry.because.push(position);
    }
}
