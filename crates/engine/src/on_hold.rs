//! Rules that people hold: what only they ask for waits, until they are released. It is planned and shown as ever.
//!
//! What a held rule asks for is a question to the planner: of all that the case wants, that which it would not want in
//! earnest if the held rules were only tried out. So what another rule asks for as well goes, and what follows from the
//! undoing that a held rule asks for waits with it.
//!
//! INVARIANT: nothing that only held rules ask for is sent. What is under way ends, and is not tried again before the
//! release; what a service has taken is looked at as ever.

use crate::case::Case;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{RuleHold, StepRow, StepState};
use amends_protocol::{ActionName, Timestamp, Verb};
use amends_rulebook::{Hold, RuleId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Case {
    /// Brings the steps up to what people hold: what is due goes back to waiting, and what waits says for whom.
    pub(crate) fn heed_rule_holds(&mut self, now: Timestamp, turn: &mut Turn) {
        let is_marked = |step: &StepRow| step.extra.on_hold.is_some();
        let waiting = self.waiting_on_hold(turn);
        if waiting.is_none() && !self.steps.iter().any(is_marked) {
            return;
        }
        for index in 0..self.steps.len() {
            let waits = |state: &StepState| matches!(state, StepState::Waiting | StepState::Due(_));
            let step = &self.steps[index];
            let hold = waiting.as_ref().and_then(|waiting| waiting.hold_of(self, step));
            let hold = hold.filter(|_| waits(&step.state));
            let is_new = step.extra.on_hold != hold;
            if is_new {
                self.step_mut(index).extra.on_hold = hold.clone();
            }
            match self.steps[index].state {
                StepState::Due(_) if hold.is_some() => {
                    self.must_change(index, StepEvent::CloseStage, now, turn);
                }
                StepState::Waiting if is_new => self.tell_of_step(index, turn),
                _ => {}
            }
        }
    }

    /// Whether a person holds the rules that ask for a step.
    pub(crate) fn is_on_hold(&self, index: usize, turn: &Turn) -> bool {
        let waiting = self.waiting_on_hold(turn);
        waiting.is_some_and(|waiting| waiting.hold_of(self, &self.steps[index]).is_some())
    }

    /// What of the case waits; none if nobody holds a rule that answers it.
    fn waiting_on_hold(&self, turn: &Turn) -> Option<WaitingOnHold> {
        let name = &self.row.rulebook.as_ref()?.name;
        if !turn.rule_holds.concern(name) {
            return None;
        }
        let book = self.book.as_deref()?;
        let answering = self.reports.iter().filter_map(|report| report.role.for_planner().rule());
        let rules = answering.filter_map(|id| book.rules().get(id.0 as usize));
        let held = rules.filter_map(|rule| {
            Some((rule.id, Arc::clone(turn.rule_holds.of(name, &rule.index_label)?)))
        });
        let held: BTreeMap<RuleId, Arc<RuleHold>> = held.collect();
        let first = Arc::clone(held.values().next()?);
        let goes = book.wants(&self.facts_but_for(book, held.keys().copied().collect()));
        let goes = goes.all().filter(|want| want.hold != Hold::Shadow);
        let goes = goes.map(|want| (want.step.verb, book.get(want.step.action).name.clone()));
        Some(WaitingOnHold { held, first, goes: goes.collect() })
    }
}

/// What of a case waits, since people hold rules that answer it.
struct WaitingOnHold {
    held: BTreeMap<RuleId, Arc<RuleHold>>,
    first: Arc<RuleHold>,
    /// What is asked for all the same.
    goes: BTreeSet<(Verb, ActionName)>,
}

impl WaitingOnHold {
    /// The hold because of which a step waits. What a person has planned goes.
    fn hold_of(&self, case: &Case, step: &StepRow) -> Option<Arc<RuleHold>> {
        let is_by_hand = step.extra.because.is_empty();
        if is_by_hand || self.goes.contains(&(step.verb, step.action.clone())) {
            return None;
        }
        let asking = step.extra.because.iter().filter_map(|n| case.reports.get(*n as usize));
        let mut rules = asking.filter_map(|report| report.role.for_planner().rule());
        let own = rules.find_map(|rule| self.held.get(&rule));
        Some(Arc::clone(own.unwrap_or(&self.first)))
    }
}

impl StepRow {
    /// Who holds the rules that ask for it, if it waits for that.
    #[must_use]
    pub fn on_hold(&self) -> Option<&RuleHold> {
        self.extra.on_hold.as_deref().filter(|_| self.state == StepState::Waiting)
    }
}
