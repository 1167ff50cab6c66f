//! Fences of a case: who may still call others, and how the step ends that bars one of them from it.
//!
//! A fence is a compensation on the wire. It undoes nothing, so it never needs a person: a service that puts up none
//! costs the case its proof, not its end.

use crate::agenda::Agenda;
use crate::case::Case;
use crate::transition::StepEvent;
use crate::{CallsBefore, StepRow, StepState};
use amends_protocol::{ActionName, Outcome, StuckReason, Timestamp, Verb};
use amends_rulebook::{ActionClass, ActionId, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Case {
    /// Actions without an undo of their own that the saga may have reached and that may still call others. One whose
    /// History is being read is left out: it may say that the action has ended.
    pub(crate) fn going_on(&self, book: &Rulebook) -> BTreeSet<ActionId> {
        let is_read = |id: &ActionId| {
            let service = &book.get(*id).name.service;
            self.row.detail.walks.iter().any(|w| w.service == *service && !w.answered)
        };
        let mut now = self.reached(book).now;
        now.retain(|id| {
            book.get(*id).class != ActionClass::Compensable
                && !self.has_ended(book, *id)
                && !is_read(id)
        });
        now
    }

    /// Actions whose service put up no fence, or for which a person went without one.
    pub(crate) fn not_fenceable(&self, book: &Rulebook) -> BTreeSet<ActionId> {
        let refused = |step: &&StepRow| {
            // Until a version ago, a fence that was not to be had was superseded.
            let ended = matches!(
                step.state,
                StepState::Superseded | StepState::Done(Outcome::Waived | Outcome::NotFenceable)
            );
            step.memo.fence && ended
        };
        let refused = self.steps.iter().filter(refused);
        refused.filter_map(|s| book.action(&s.action.service, &s.action.action)).collect()
    }

    /// Whether new wants may have come without any news, since a History that was awaited has been read.
    pub(crate) fn may_need_fences(&self) -> bool {
        self.book.as_ref().is_some_and(|book| book.may_need_fences())
            && !self.is_settled()
            && !self.steps.is_empty()
    }

    /// Lets fences go: they are of no stage. They wait for a retry that is still under way, as compensations do.
    pub(crate) fn open_fences(&mut self, now: Timestamp, agenda: &mut Agenda) {
        if self.awaits_retry() {
            return;
        }
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            if step.memo.fence && step.state == StepState::Waiting {
                let event = if step.memo.held { StepEvent::Hold } else { StepEvent::Open(now) };
                self.must_change(index, event, now, agenda);
            }
        }
    }

    /// An action that has ended meanwhile needs no fence any more.
    pub(crate) fn drop_needless_fences(
        &mut self,
        book: &Rulebook,
        now: Timestamp,
        agenda: &mut Agenda,
    ) {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let waits =
                matches!(step.state, StepState::Waiting | StepState::Due(_) | StepState::Stuck(_));
            let action = book.action(&step.action.service, &step.action.action);
            if step.memo.fence && waits && action.is_some_and(|id| self.has_ended(book, id)) {
                self.step_mut(index).memo.message = Some("it has ended by itself".to_owned());
                self.must_change(index, StepEvent::Supersede, now, agenda);
            }
        }
    }

    /// The answer to a fence tells the calls that its action made before, or says nothing of them.
    pub(crate) fn note_calls(&mut self, index: usize, tells: bool) {
        if self.steps[index].memo.fence {
            self.step_mut(index).memo.calls = CallsBefore::by_answer(tells);
        }
    }

    /// Whether it is not known whom an action has called, though it calls nobody any more.
    pub(crate) fn has_untold_calls(&self, name: &ActionName) -> bool {
        let untold = |step: &StepRow| step.action == *name && !step.memo.calls.are_known();
        self.steps.iter().any(|step| untold(step) && is_up(step))
    }

    /// Reads the Histories of those who put up a fence without a word of their calls. True if any is awaited.
    pub(crate) fn ask_for_calls(&mut self, now: Timestamp, agenda: &mut Agenda) -> bool {
        let untold = |step: &&StepRow| step.memo.calls == CallsBefore::Untold && is_up(step);
        let fences = self.steps.iter().filter(untold);
        let services: BTreeSet<_> = fences.map(|step| Arc::clone(&step.action.service)).collect();
        self.ask_again(&services, now, agenda);
        self.ask_histories(services, now, agenda);
        self.walks_pending()
    }

    /// The History of a service is asked for: it tells of all calls before the fences that are up by now.
    pub(crate) fn calls_are_asked_for(&mut self, service: &str) {
        self.change_calls(service, CallsBefore::Untold, CallsBefore::Asked);
    }

    /// The History of a service has been read.
    pub(crate) fn calls_are_read(&mut self, service: &str) {
        self.change_calls(service, CallsBefore::Asked, CallsBefore::Told);
    }

    fn change_calls(&mut self, service: &str, from: CallsBefore, to: CallsBefore) {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            if *step.action.service == *service && step.memo.calls == from && is_up(step) {
                self.step_mut(index).memo.calls = to;
            }
        }
    }

    /// What the end of a try makes of a step; of a fence, which never gets stuck, something else.
    pub(crate) fn ending_of_try(&mut self, index: usize, event: StepEvent) -> StepEvent {
        let step = &self.steps[index];
        if !step.memo.fence {
            return event;
        }
        let puts_up_none = match &event {
            // The fence is up all the same: what is refused is only the undo.
            StepEvent::Jam(StuckReason::Refused) => {
                return StepEvent::Answer(Outcome::NothingToCompensate);
            }
            StepEvent::Jam(_) => true,
            StepEvent::Fail(_) => matches!(step.memo.status, Some(200 | 404 | 405 | 501)),
            _ => false,
        };
        if !puts_up_none {
            return event;
        }
        let service = step.action.service.clone();
        self.note_without_fence(&service, "");
        StepEvent::Answer(Outcome::NotFenceable)
    }

    /// A case that is not proven says who may still call others since its rulebook says that it puts up no fence.
    pub(crate) fn note_declared_without_fence(&mut self, book: &Rulebook) {
        let calls_on = |id: &ActionId| !book.get(*id).fence && !book.get(*id).calls.is_empty();
        let going_on = self.going_on(book).into_iter().filter(calls_on);
        let services: BTreeSet<_> = going_on.map(|id| book.get(id).name.service.clone()).collect();
        for service in services {
            self.note_without_fence(&service, ", as the rulebook says");
        }
    }

    fn note_without_fence(&mut self, service: &str, by: &str) {
        self.note(format!(
            "{service} puts up no fence{by}: whether it still calls others in this saga is not known"
        ));
    }
}

/// Whether a step is a fence that is up, by the word of its service.
pub(crate) fn is_up(step: &StepRow) -> bool {
    let answered = matches!(
        step.state,
        StepState::Done(
            Outcome::Compensated | Outcome::AlreadyCompensated | Outcome::NothingToCompensate
        )
    );
    step.verb == Verb::Compensate && step.memo.fence && answered && !step.memo.by_hand
}
