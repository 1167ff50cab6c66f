//! What the answered reports of a case ask for, as one set of steps.
//!
//! INVARIANT: the set is keyed by verb and action, and more reports or more evidence never take a step out of it, move it
//! to an earlier stage or weaken its hold; so the order in which they come does not matter. One exception is the stage of
//! a step in shadow: it must not delay what is meant in earnest.

use super::demand::{Known, PlannedStep};
use super::facts::{CaseFacts, ReportFacts, Undoing};
use super::roles::Role;
use crate::{ActionClass, ActionId, Demand, Mode, Past, Rule, Rulebook, Stage, UndoOrder};
use amends_protocol::Verb;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a step may be carried out. Of several demands the strongest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Recorded only.
    Shadow,
    /// Once a person approves.
    Ask,
    /// At once.
    Auto,
}

/// One step that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Verb, action and stage.
    pub step: PlannedStep,
    /// Whether it may be carried out.
    pub hold: Hold,
    /// Positions of the reports that ask for it, those whose rule names it first; none if it only undoes a retry that a person planned.
    pub because: Vec<u32>,
    /// A retry that is dropped, because the case is being undone.
    pub superseded: bool,
    /// A compensation of an action that has no undo of its own: it only bars it from going on.
    pub fence: bool,
}

/// What is wanted in a case: one entry per verb and action, by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sorted by stage, then action.
    pub wants: Vec<Want>,
}

impl Plan {
    /// What will happen, some of it perhaps only after a person's approval.
    pub fn in_earnest(&self) -> impl Iterator<Item = PlannedStep> {
        self.all().filter(|want| want.hold != Hold::Shadow).map(|want| want.step)
    }

    /// What would happen if rules in shadow mode were meant in earnest.
    pub fn in_shadow(&self) -> impl Iterator<Item = PlannedStep> {
        self.all().filter(|want| want.hold == Hold::Shadow).map(|want| want.step)
    }

    /// Every step that is not superseded, in shadow or not.
    pub fn all(&self) -> impl Iterator<Item = &Want> {
        self.wants.iter().filter(|want| !want.superseded)
    }
}

impl Plan {
    /// Compensations in the reverse order of calls; fences are of no stage.
    fn go_in_reverse(&mut self, book: &Rulebook) {
        for want in self.wants.iter_mut().filter(|want| !want.fence) {
            let PlannedStep { stage, action, verb } = want.step;
            want.step.stage = book.reverse_calls().stage(stage, verb, action);
        }
        self.wants.sort_unstable_by_key(|want| want.step);
    }
}

impl Rulebook {
    /// What a case wants, given all that is known of it.
    #[must_use]
    pub fn wants(&self, case: &CaseFacts) -> Plan {
        let effects = case.all_effects();
        let within = case.concerns(self);
        let mut wants = Wants::default();
        let (mut strongest, mut in_reverse) = (None, None);
        let mut sets = Vec::new();
        for asked in case.demands(self) {
            let known = Known { reporter: asked.report.action, effects: &effects };
            for step in self.resolve_within(asked.demand, &known, within.as_ref(), &case.unsent) {
                wants.add(step, asked.hold, &[asked.position]);
            }
            if asked.demand.has_sets() {
                sets.push((asked.position, asked.report.action, asked.hold, asked.demand));
            }
            if asked.demand.is_backward() {
                if asked.order == UndoOrder::ReverseCalls {
                    in_reverse = in_reverse.max(Some(asked.hold));
                }
                strongest = strongest.max(Some(asked.hold));
                wants.add_reporter(self, asked.position, asked.report, asked.hold);
            }
        }
        // What a person undoes is undone in earnest, whatever rules only tried out.
        if case.undoing == Undoing::ByHand && strongest.is_none_or(|hold| hold == Hold::Shadow) {
            strongest = Some(Hold::Auto);
        }
        if let Some(strongest) = strongest {
            for (position, report) in (0..).zip(&case.reports) {
                if let Some(most) = case.undone_with_others(self, report) {
                    wants.add_reporter(self, position, report, strongest.min(most));
                }
            }
            for action in &case.retried {
                wants.add_undoing_of_retry(self, *action, strongest);
            }
        }
        if !case.going_on.is_empty() {
            wants.add_fences(self, case, &sets);
            wants.add_fences_of_pivots(self, case);
        }
        let mut plan = wants.into_plan(self, strongest, case.is_backward(self));
        // An order that was only tried out must not delay what is meant in earnest.
        let is_tried = in_reverse == Some(Hold::Shadow) && strongest != in_reverse;
        if in_reverse.is_some() && !is_tried {
            plan.go_in_reverse(self);
        }
        plan
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
            ActionClass::Retriable | ActionClass::Pivot | ActionClass::Free => None,
        }
    }

    /// Whether a step is dropped once its case is being undone: backward beats forward. A correcting notice goes on: it
    /// belongs to the undoing.
    #[must_use]
    pub fn is_superseded_by_undoing(&self, verb: Verb, action: Option<ActionId>) -> bool {
        verb == Verb::Retry && action.is_none_or(|id| self.get(id).correction_of.is_none())
    }
}

impl CaseFacts {
    /// Whether anything is being undone in earnest.
    #[must_use]
    pub fn is_backward(&self, book: &Rulebook) -> bool {
        self.undoing != Undoing::No
            || self.demands(book).any(|a| a.hold != Hold::Shadow && a.demand.is_backward())
    }

    /// Whether rules in shadow mode alone answer its reports, so that nothing is done for it, by nobody.
    #[must_use]
    pub fn is_only_watched(&self, book: &Rulebook) -> bool {
        let rules = self.reports.iter().filter_map(|report| report.role.rule());
        let mut rules = rules.filter_map(|id| book.rules().get(id.0 as usize)).peekable();
        self.undoing == Undoing::No
            && rules.peek().is_some()
            && rules.all(|rule| rule.mode == Mode::Shadow)
    }

    /// Whether what is asked for in earnest depends on the Histories.
    #[must_use]
    pub fn uses_recorded(&self, book: &Rulebook) -> bool {
        self.demands(book).any(|a| a.hold != Hold::Shadow && a.demand.uses_recorded())
    }

    /// What the answered reports ask for.
    pub(super) fn demands<'a>(&'a self, book: &'a Rulebook) -> impl Iterator<Item = Asked<'a>> {
        (0..).zip(&self.reports).flat_map(move |(position, report)| {
            let rule = report.role.rule().and_then(|id| book.rules().get(id.0 as usize));
            let given_up = rule.filter(|r| self.given_up.contains(&r.id));
            let then = given_up.and_then(|r| r.give_up.as_ref()).map(|g| &g.then);
            let demands = rule.map(|r| &r.demand).into_iter().chain(then);
            let hold = rule.map_or(Hold::Auto, |r| self.hold(r, report.role));
            let order = rule.map_or(UndoOrder::AtOnce, |r| r.undo_order);
            let past = rule.and_then(|r| r.past).unwrap_or_default();
            demands.map(move |demand| Asked { position, report, demand, order, past, hold })
        })
    }

    fn hold(&self, rule: &Rule, role: Role) -> Hold {
        match (rule.mode, role) {
            _ if self.is_watched(rule) => Hold::Shadow,
            (Mode::Ask | Mode::Shadow, _) | (Mode::Auto, Role::RuleHeld(_)) => Hold::Ask,
            (Mode::Auto, _) => Hold::Auto,
        }
    }

    /// Whether a rule is only tried out: by its mode, or as long as a person holds it.
    fn is_watched(&self, rule: &Rule) -> bool {
        rule.mode == Mode::Shadow || self.on_hold.contains(&rule.id)
    }

    /// How far a reporter is undone when its case is, whatever its own report asks for: it follows from another's
    /// failure, or was to be run again, which is superseded. A rule in shadow mode adds nothing in earnest.
    fn undone_with_others(&self, book: &Rulebook, report: &ReportFacts) -> Option<Hold> {
        match report.role {
            Role::Derived => Some(Hold::Auto),
            Role::Rule(id) | Role::RuleHeld(id) => {
                let rule = book.rules().get(id.0 as usize)?;
                Some(if self.is_watched(rule) { Hold::Shadow } else { Hold::Auto })
            }
            Role::AwaitsRoot | Role::Unmatched | Role::ByHand | Role::Excess => None,
        }
    }

    fn all_effects(&self) -> Cow<'_, BTreeSet<ActionId>> {
        if self.retried.is_empty() {
            Cow::Borrowed(&self.effects)
        } else {
            Cow::Owned(self.effects.union(&self.retried).copied().collect())
        }
    }
}

/// One demand of one report.
pub(super) struct Asked<'a> {
    position: u32,
    report: &'a ReportFacts,
    pub(super) demand: &'a Demand,
    order: UndoOrder,
    pub(super) past: Past,
    pub(super) hold: Hold,
}

#[derive(Default)]
struct Wants(BTreeMap<(ActionId, Verb), Entry>);

struct Entry {
    stage: Stage,
    hold: Hold,
    because: Vec<u32>,
    fence: bool,
}

impl Wants {
    fn add(&mut self, step: PlannedStep, hold: Hold, because: &[u32]) {
        let fresh = || Entry { stage: step.stage, hold, because: Vec::new(), fence: false };
        let entry = self.0.entry((step.action, step.verb)).or_insert_with(fresh);
        // A demand in shadow mode must not delay a real one.
        match (entry.hold, hold) {
            (Hold::Shadow, Hold::Ask | Hold::Auto) => entry.stage = step.stage,
            (Hold::Ask | Hold::Auto, Hold::Shadow) => {}
            _ => entry.stage = entry.stage.max(step.stage),
        }
        entry.hold = entry.hold.max(hold);
        for position in because {
            if !entry.because.contains(position) {
                entry.because.push(*position);
            }
        }
    }

    /// The reporter belongs to its own plan, unless its History proves that nothing of its action took effect: a failed
    /// step is often half done. A message that may have gone out is corrected.
    fn add_reporter(&mut self, book: &Rulebook, position: u32, report: &ReportFacts, hold: Hold) {
        let half_done = report.action.filter(|_| !report.proven_without_effect);
        if let Some(step) = half_done.and_then(|action| book.undoing(action)) {
            self.add(step, hold, &[position]);
        }
    }

    /// What a retry did or may have done joins what is undone, because of the reports that asked for the retry.
    fn add_undoing_of_retry(&mut self, book: &Rulebook, action: ActionId, hold: Hold) {
        let Some(step) = book.undoing(action) else { return };
        let retry = self.0.get(&(action, Verb::Retry));
        let because = retry.map_or_else(Vec::new, |entry| entry.because.clone());
        self.add(step, hold, &because);
    }

    /// A fence is there only together with a compensation, and with its hold. Lists ask for what they name alone.
    fn add_fences(
        &mut self,
        book: &Rulebook,
        case: &CaseFacts,
        sets: &[(u32, Option<ActionId>, Hold, &Demand)],
    ) {
        let undone = |((_, verb), entry): (&(ActionId, Verb), &Entry)| {
            (*verb == Verb::Compensate).then_some(entry.hold)
        };
        let Some(most) = self.0.iter().filter_map(undone).max() else { return };
        let concerns = |reporter: &Option<ActionId>, demand: &Demand, id: ActionId| {
            demand.is_for_all_of_a_saga()
                || reporter.is_some_and(|reporter| book.downstream(reporter).contains(&id))
        };
        let hold = |id: ActionId| {
            let asking =
                sets.iter().filter(|(_, reporter, _, demand)| concerns(reporter, demand, id));
            asking.map(|(_, _, hold, _)| (*hold).min(most)).max()
        };
        let in_earnest = |id: ActionId, verb: Verb| {
            self.0.get(&(id, verb)).is_some_and(|entry| entry.hold != Hold::Shadow)
        };
        let barred = |id: ActionId| {
            let action = book.get(id);
            let corrected = action.correction.is_some_and(|by| in_earnest(by, Verb::Notify));
            corrected || (in_earnest(id, Verb::Compensate) && action.bars())
        };
        for (id, hold) in book.fences(&case.going_on, &case.not_fenceable, barred, hold) {
            let step = PlannedStep { stage: Stage(0), action: id, verb: Verb::Compensate };
            let because =
                sets.iter().filter(|(_, reporter, _, demand)| concerns(reporter, demand, id));
            let because: Vec<u32> = because.map(|(position, ..)| *position).collect();
            self.add(step, hold, &because);
            if let Some(entry) = self.0.get_mut(&(id, Verb::Compensate)) {
                entry.fence = true;
            }
        }
    }

    /// Whoever may still reach a pivot is barred there while what came before it is undone.
    fn add_fences_of_pivots(&mut self, book: &Rulebook, case: &CaseFacts) {
        let goes_on = |id: &ActionId| {
            case.going_on.contains(id) && !case.not_fenceable.contains(id) && book.is_fenceable(*id)
        };
        for pivot in book.pivots().iter().filter(|pivot| goes_on(&pivot.action)) {
            let undone = self.0.iter().filter(|((action, verb), entry)| {
                *verb == Verb::Compensate
                    && !entry.fence
                    && book.undoes_before(pivot, *verb, *action)
            });
            let undone: Vec<(Hold, Vec<u32>)> =
                undone.map(|(_, entry)| (entry.hold, entry.because.clone())).collect();
            let Some(hold) = undone.iter().map(|(hold, _)| *hold).max() else { continue };
            let because: BTreeSet<u32> =
                undone.into_iter().flat_map(|(_, because)| because).collect();
            let because: Vec<u32> = because.into_iter().collect();
            let step =
                PlannedStep { stage: Stage(0), action: pivot.action, verb: Verb::Compensate };
            self.add(step, hold, &because);
            if let Some(entry) = self.0.get_mut(&(pivot.action, Verb::Compensate)) {
                entry.fence = true;
            }
        }
    }

    fn into_plan(self, book: &Rulebook, strongest: Option<Hold>, backward: bool) -> Plan {
        let want = |((action, verb), Entry { stage, hold, because, fence }): (_, Entry)| {
            let undone = backward || (hold == Hold::Shadow && strongest.is_some());
            let superseded = undone && book.is_superseded_by_undoing(verb, Some(action));
            Want { step: PlannedStep { stage, action, verb }, hold, because, superseded, fence }
        };
        let mut wants: Vec<Want> = self.0.into_iter().map(want).collect();
        wants.sort_unstable_by_key(|want| want.step);
        Plan { wants }
    }
}
