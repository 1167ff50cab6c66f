//! Fences of a case: who may still call others, and how the step ends that bars one of them from it.
//!
//! A fence is a compensation on the wire. It undoes nothing, so it never needs a person: a service that puts up none
//! costs the case its proof, not its end.

use crate::case::Case;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{CallsBefore, StepRow, StepState};
use amends_api::StuckReason;
use amends_protocol::{ActionName, Evidence, HistoryState, Loss, Outcome, Timestamp, Verb};
use amends_rulebook::{Action, ActionClass, ActionId, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Case {
    /// Actions without an undo of their own that the saga may have reached and that may still call others. One whose
    /// History is being read is left out: it may say that the action has ended. So is what only somebody may have
    /// called who has ended and whose History is awaited: it tells of his calls. `asks`: Histories are asked for at
    /// once.
    pub(crate) fn going_on(&self, book: &Rulebook, asks: bool) -> BTreeSet<ActionId> {
        let is_read = |id: &ActionId| {
            let service = &book.get(*id).name.service;
            self.row.extra.histories.iter().any(|w| w.service == *service && !w.answered)
        };
        let is_first = asks && self.row.extra.histories.is_empty();
        let is_awaited =
            |id: &ActionId| is_read(id) || (is_first && book.keeps_history(book.get(*id).service));
        let tells = |id| is_awaited(&id) || self.tells_of_every_request(book, id);
        let mut now = self.reached_where(book, tells).now;
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
            step.extra.fence && ended
        };
        let refused = self.steps.iter().filter(refused);
        refused.filter_map(|s| book.action(&s.action.service, &s.action.action)).collect()
    }

    /// Whether new wants may have come without any news, since a History that was awaited has been read.
    pub(crate) fn may_need_fences(&self) -> bool {
        let needs_some = |book: &Arc<Rulebook>| book.may_need_fences() || !book.events().is_empty();
        self.book.as_ref().is_some_and(needs_some) && !self.is_settled() && !self.steps.is_empty()
    }

    /// Messages that nobody waits for and that were not sent: the sender's History tells of its work and not of the
    /// message. While a History is awaited that may say so, its messages count as not sent yet.
    pub(crate) fn unsent(&self, book: &Rulebook) -> BTreeSet<(ActionId, ActionId)> {
        let asked = self.services_to_ask(book, &self.reach(book));
        let is_unsent = |(sender, consumer): &&(ActionId, ActionId)| {
            let name = &book.get(*sender).name;
            let query = self.row.extra.histories.iter().find(|query| query.service == name.service);
            match query {
                None => asked.contains(&name.service),
                Some(query) if !query.answered => true,
                Some(query) => {
                    let is_own =
                        |e: &&Evidence| *e.service == *name.service && *e.action == *name.action;
                    let mut own = query.entries.iter().filter(is_own).peekable();
                    own.peek().is_some()
                        && own.all(|entry| has_ended(entry.state))
                        && !self.is_told_in_part(&name.service)
                        && !self.told_call(book, &name.service, *consumer)
                }
            }
        };
        book.events().iter().filter(is_unsent).copied().collect()
    }

    /// Whether a service told of more than was kept.
    fn is_told_in_part(&self, service: &str) -> bool {
        let mut dropped = self.row.extra.dropped.iter();
        dropped.any(|one| *one.by == *service && one.lost.why != Loss::Data)
    }

    /// Lets fences go: they are of no stage. They wait for a retry that is still under way, as compensations do.
    pub(crate) fn open_fences(&mut self, now: Timestamp, turn: &mut Turn) {
        if self.awaits_retry() {
            return;
        }
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let waits = step.state == StepState::Waiting && step.extra.on_hold.is_none();
            if step.extra.fence && waits {
                let event = if step.extra.held { StepEvent::Hold } else { StepEvent::Open(now) };
                self.must_change(index, event, now, turn);
            }
        }
    }

    /// An action that has ended meanwhile needs no fence any more.
    pub(crate) fn drop_needless_fences(
        &mut self,
        book: &Rulebook,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let waits =
                matches!(step.state, StepState::Waiting | StepState::Due(_) | StepState::Stuck(_));
            let action = book.action(&step.action.service, &step.action.action);
            if step.extra.fence && waits && action.is_some_and(|id| self.has_ended(book, id)) {
                self.step_mut(index).extra.message = Some("it has ended by itself".to_owned());
                self.must_change(index, StepEvent::Supersede, now, turn);
            }
        }
    }

    /// The answer that bars an action from more calls tells those that it made before, or says nothing of them.
    pub(crate) fn note_calls(&mut self, index: usize, tells: bool) {
        let step = &self.steps[index];
        let action = self.book.as_ref().and_then(|book| {
            Some(book.get(book.action(&step.action.service, &step.action.action)?))
        });
        // That a pivot took effect before it was barred, only its History says.
        let is_pivot = action.is_some_and(|action| action.class == ActionClass::Pivot);
        let calls_others = action.is_some_and(|action| !action.calls.is_empty());
        if step.verb == Verb::Compensate && (calls_others || is_pivot) && !self.is_mapped(step) {
            self.step_mut(index).extra.calls = Some(CallsBefore::by_answer(tells && !is_pivot));
        }
    }

    /// Whether it is not known whom an action without an undo has called, though its fence is up.
    pub(crate) fn has_untold_calls(&self, name: &ActionName) -> bool {
        let untold = |step: &StepRow| {
            matches!(step.extra.calls, Some(CallsBefore::Untold | CallsBefore::Asked))
        };
        self.steps.iter().any(|step| step.action == *name && untold(step) && is_up(step))
    }

    /// Whether an action is barred from more calls, by the word of its service, and has told those before.
    pub(crate) fn is_barred_and_told(&self, name: &ActionName) -> bool {
        let told = |step: &StepRow| step.extra.calls == Some(CallsBefore::Told);
        self.steps.iter().any(|step| step.action == *name && told(step) && bars(step))
    }

    /// Reads the Histories of those who were barred without a word of their calls, as far as `which` wants to know.
    /// True if any is awaited.
    pub(crate) fn ask_for_calls(
        &mut self,
        which: impl Fn(&StepRow) -> bool,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let untold = |step: &&StepRow| {
            step.extra.calls == Some(CallsBefore::Untold) && bars(step) && which(step)
        };
        let steps = self.steps.iter().filter(untold);
        let services: BTreeSet<_> = steps.map(|step| Arc::clone(&step.action.service)).collect();
        self.ask_again(&services, now, turn);
        self.ask_histories(services, now, turn);
        self.histories_pending()
    }

    /// The History of a service is asked for: it tells of all calls of those who are barred by now.
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
            if *step.action.service == *service && step.extra.calls == Some(from) && bars(step) {
                self.step_mut(index).extra.calls = Some(to);
            }
        }
    }

    /// Whether a step's action may have sent a message that is to be corrected and that nobody has told of.
    pub(crate) fn may_have_sent(&self, step: &StepRow, book: &Rulebook) -> bool {
        let Some(id) = book.action(&step.action.service, &step.action.action) else { return false };
        let unheard = |call: &Action| {
            call.correction.is_some() && !self.heard().anybodys_word(&call.name).may_have_effect()
        };
        book.get(id).calls.iter().any(|call| unheard(book.get(call.action)))
    }

    /// What the end of a try makes of a step; of a fence, which never gets stuck, something else.
    pub(crate) fn ending_of_try(&mut self, index: usize, event: StepEvent) -> StepEvent {
        let step = &self.steps[index];
        if !step.extra.fence {
            return event;
        }
        let puts_up_none = match &event {
            // The fence is up all the same: what is refused is only the undo.
            StepEvent::Stick(StuckReason::Refused) => {
                return StepEvent::Answer(Outcome::NothingToCompensate);
            }
            StepEvent::Stick(_) => true,
            StepEvent::Fail(_) => matches!(step.extra.status, Some(200 | 404 | 405 | 501)),
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
        let going_on = self.going_on(book, false).into_iter().filter(calls_on);
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

/// Whether a request calls nobody any more.
pub(crate) const fn has_ended(state: HistoryState) -> bool {
    match state {
        HistoryState::Succeeded
        | HistoryState::Failed
        | HistoryState::Compensated
        | HistoryState::Fenced => true,
        HistoryState::Started | HistoryState::Unknown => false,
    }
}

/// Whether nothing of a step's action goes on any more, by the word of its service.
fn bars(step: &StepRow) -> bool {
    step.verb == Verb::Compensate && is_undone_by_its_service(step)
}

/// Whether a step is a fence that is up, by the word of its service.
pub(crate) fn is_up(step: &StepRow) -> bool {
    step.extra.fence && bars(step)
}

/// Whether a step has ended by the word of its service: undone, or nothing was there.
pub(crate) fn is_undone_by_its_service(step: &StepRow) -> bool {
    let is_undone = matches!(
        step.state,
        StepState::Done(
            Outcome::Compensated | Outcome::AlreadyCompensated | Outcome::NothingToCompensate
        )
    );
    is_undone && !step.extra.by_hand
}
