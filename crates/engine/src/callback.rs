//! A service's late word on a step: who may give it, and what it makes of the step.
//!
//! INVARIANT: only who was asked for a step answers for it. The step's proof shows that; without it, a 202 does.

use crate::attempt::check_outcome;
use crate::case::Case;
use crate::transition::{self, StepEvent};
use crate::turn::Turn;
use crate::{Answer, CalledBack, StepRow, StepState};
use amends_api::{Source, StuckReason};
use amends_protocol::{CallbackProof, Outcome, OutcomeCallback, Salt, Timestamp};
use std::sync::Arc;

/// Callbacks that are kept of one step, for people: the last ones.
const CALLBACKS_LIMIT: usize = 20;

/// What became of a callback.
pub(crate) struct Heard {
    pub(crate) answer: Answer,
    /// It was whoever was asked, so that something may be new.
    pub(crate) counts: bool,
}

/// Why a callback counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ground {
    Proven,
    /// Its service has taken the step with 202.
    Accepted,
    /// Not yet: the try under way may still bring the 202.
    Early,
}

impl Case {
    /// A service tells the outcome of a step on its own. Said again, it changes nothing but brings its evidence.
    pub(crate) fn called_back(
        &mut self,
        index: usize,
        callback: OutcomeCallback,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Heard {
        let step = &self.steps[index];
        let unheard = |answer| Heard { answer, counts: false };
        let ground = match ground(step, callback.proof.as_ref(), turn.salt) {
            Ok(ground) => ground,
            Err(answer) => return unheard(answer),
        };
        if let Err(why) = check_outcome(step.verb, callback.outcome) {
            return unheard(Answer::Conflict(why));
        }
        if ground == Ground::Early {
            // In memory alone: a restart ends the try too, and the step is asked for again.
            self.early.insert(step.id.ordinal, callback);
            return unheard(Answer::Kept);
        }
        Heard { answer: self.take_callback(index, callback, now, turn), counts: true }
    }

    /// The try has ended during which a callback without a proof came: it counts if the try brought a 202. True if it
    /// did.
    pub(crate) fn take_early(
        &mut self,
        index: usize,
        early: Option<OutcomeCallback>,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let Some(callback) = early else { return false };
        let is_taken = matches!(self.steps[index].state, StepState::Accepted { .. });
        if is_taken {
            self.take_callback(index, callback, now, turn);
        } else {
            self.log_callback(index, &callback, false);
        }
        is_taken
    }

    fn take_callback(
        &mut self,
        index: usize,
        callback: OutcomeCallback,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Answer {
        let service = Arc::clone(&self.steps[index].action.service);
        self.record_evidence(&service, Source::Callback, &callback.history);
        let event = match (&self.steps[index].state, callback.outcome) {
            (StepState::Done(outcome), said) if *outcome == said => return Answer::Done,
            (StepState::Stuck(StuckReason::Refused), Outcome::Refused) => return Answer::Done,
            (_, Outcome::Refused) => StepEvent::Stick(StuckReason::Refused),
            (_, outcome) => StepEvent::Answer(outcome),
        };
        let legal = transition::next(&self.steps[index].state, event.clone());
        self.log_callback(index, &callback, legal.is_ok());
        if let Err(illegal) = legal {
            return Answer::Conflict(match self.steps[index].state {
                StepState::Done(Outcome::NotFenceable) => format!(
                    "the step already ended as `not_fenceable`: {service} answered that it puts up no fence, and the case goes on without"
                ),
                StepState::Done(outcome) => format!("the step already ended as `{outcome}`"),
                _ => illegal.to_string(),
            });
        }
        self.note_calls(index, callback.history.is_whole());
        let extra = &mut self.step_mut(index).extra;
        extra.message = callback.message;
        extra.called_back = true;
        self.end_try(index, event, now, turn);
        Answer::Done
    }

    fn log_callback(&mut self, index: usize, callback: &OutcomeCallback, counted: bool) {
        let at = self.wall.0;
        let step = self.step_mut(index);
        let row = CalledBack {
            at,
            attempt: step.attempts,
            outcome: callback.outcome,
            message: callback.message.clone(),
            counted,
        };
        let all = &mut step.extra.callbacks;
        if all.len() >= CALLBACKS_LIMIT {
            all.remove(0);
        }
        all.push(row);
    }
}

/// Whether a callback may count.
///
/// # Errors
/// What whoever sent it is told.
fn ground(step: &StepRow, proof: Option<&CallbackProof>, salt: Salt) -> Result<Ground, Answer> {
    let (id, service) = (step.shown_id(), &step.action.service);
    if proof.is_some_and(|given| !salt.callback_proof(step.id).is(given)) {
        return Err(Answer::Unproven(format!(
            "this is not the proof of {id}: send back the `proof` of the `callback` that came with its request"
        )));
    }
    if step.attempts == 0 {
        return Err(Answer::Conflict(format!(
            "{id} has not been sent to {service} yet, so nobody can have done it"
        )));
    }
    let was_accepted = step.extra.accepted || matches!(step.state, StepState::Accepted { .. });
    match (proof, &step.state) {
        (Some(_), _) => Ok(Ground::Proven),
        (None, _) if was_accepted => Ok(Ground::Accepted),
        (None, StepState::InFlight) => Ok(Ground::Early),
        (None, _) => Err(Answer::Unproven(format!(
            "{service} has not answered 202 to {id}, so its outcome needs the `proof` of the `callback` that came with the request"
        ))),
    }
}
