//! Refund and caller: where a service puts up no fence, an undo that overtakes what it undoes is lost. So a request
//! that is only known to have begun, or of which nobody knows the end, waits with its undo for whoever may still call.

use crate::case::Case;
use crate::fences::is_undone_by_its_service;
use crate::standing::Reached;
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{AwaitsCallers, StepRow, StepState};
use amends_protocol::{ActionName, HistoryState, Timestamp, Verb};
use amends_rulebook::{ActionId, Rulebook};

impl Case {
    /// Whether a step whose stage has come waits for callers of its action. It does so for the quiet time at most; who
    /// is out of reach for longer must not keep everybody's money. `reached` is worked out once for all steps.
    pub(crate) fn waits_for_callers(
        &mut self,
        index: usize,
        book: &Rulebook,
        now: Timestamp,
        reached: &mut Option<Reached>,
        turn: &mut Turn,
    ) -> bool {
        let callers = self.callers_of_what_is_unclear(&self.steps[index], book, reached);
        let awaited = self.steps[index].extra.awaits.clone();
        let quiet = now.plus_ms(book.settings().quiet_ms);
        let until = awaited.as_ref().map_or(quiet, |awaits| Timestamp(awaits.until));
        if callers.is_empty() || until <= now {
            if awaited.is_some() && callers.is_empty() {
                self.stop_waiting_for_callers(index);
            }
            return false;
        }
        let names: Vec<String> = callers.iter().map(ToString::to_string).collect();
        let awaits = AwaitsCallers { until: until.0, callers };
        if awaited.as_ref() != Some(&awaits) {
            let extra = &mut self.step_mut(index).extra;
            extra.message = Some(format!(
                "what it undoes may still be on its way: waits until {} can call it no more",
                names.join(", ")
            ));
            extra.awaits = Some(awaits);
        }
        turn.traffic.timers.set(until, Timer::Quiet(self.row.id));
        true
    }

    /// A step need not wait for callers any more, or a person does not want it to.
    pub(crate) fn stop_waiting_for_callers(&mut self, index: usize) {
        let extra = &mut self.step_mut(index).extra;
        extra.awaits = None;
        extra.message = None;
    }

    /// A person wants a step now that waits for callers.
    pub(crate) fn go_ahead_of_callers(&mut self, index: usize, now: Timestamp, turn: &mut Turn) {
        self.stop_waiting_for_callers(index);
        self.must_change(index, StepEvent::Open(now), now, turn);
    }

    /// Who may still call what a step undoes, if that matters: nothing bars a late request, and of what is known of it
    /// nothing has ended.
    fn callers_of_what_is_unclear(
        &self,
        step: &StepRow,
        book: &Rulebook,
        reached: &mut Option<Reached>,
    ) -> Vec<ActionName> {
        let planned_by_rule = !step.extra.because.is_empty() && !step.extra.held;
        if step.verb != Verb::Compensate
            || step.extra.fence
            || step.attempts > 0
            || !planned_by_rule
        {
            return Vec::new();
        }
        let action = book.action(&step.action.service, &step.action.action);
        let Some(id) = action.filter(|id| !book.get(*id).bars()) else { return Vec::new() };
        if !self.is_unclear(step) {
            return Vec::new();
        }
        let reached = reached.get_or_insert_with(|| self.reached(book));
        self.callers_at_large(book, id, reached).map(|id| book.get(id).name.clone()).collect()
    }

    /// Whether of the requests that a step undoes some are known and none is known to have ended.
    fn is_unclear(&self, step: &StepRow) -> bool {
        let states: Vec<HistoryState> = match step.request() {
            Some(request) => self.state_of(&step.action, request).into_iter().collect(),
            None => self.states_of(&step.action).collect(),
        };
        let is_open =
            |state: &HistoryState| matches!(state, HistoryState::Started | HistoryState::Unknown);
        !states.is_empty() && states.iter().all(is_open)
    }

    /// Who may still call an action: neither ended nor barred by its own compensation.
    fn callers_at_large<'a>(
        &'a self,
        book: &'a Rulebook,
        id: ActionId,
        reached: &'a Reached,
    ) -> impl Iterator<Item = ActionId> + 'a {
        let is_barred = |caller: &ActionId| {
            let name = &book.get(*caller).name;
            let undoes = |step: &&StepRow| step.verb == Verb::Compensate && step.action == *name;
            let mut undos = self.steps.iter().filter(undoes).peekable();
            book.get(*caller).bars()
                && undos.peek().is_some()
                && undos.all(is_undone_by_its_service)
        };
        self.callers_going_on(book, id, reached).filter(move |caller| !is_barred(caller))
    }
}

impl StepRow {
    /// Until when it waits for callers of its action, if it does.
    #[must_use]
    pub fn awaits_callers(&self) -> Option<&AwaitsCallers> {
        self.extra.awaits.as_ref().filter(|_| self.state == StepState::Waiting)
    }
}
