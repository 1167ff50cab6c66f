//! One try of a step: when it goes out, and what its result makes of the step.

use crate::backoff;
use crate::case::Case;
use crate::service_queue::{DefiniteAnswer, EffectKey, Health};
use crate::subject::Unsendable;
use crate::transition::StepEvent;
use crate::turn::Turn;
use crate::{
    AttemptRow, Effect, PollStep, SameAnswer, SendStep, Sent, StepReading, StepResult, StepState,
    Subject, Write,
};
use amends_api::{Cause, Source, StuckReason};
use amends_protocol::{Outcome, Salt, StepId, Timestamp, Verb};
use amends_rulebook::{ActionId, RetryPolicy, Rulebook};
use std::sync::Arc;

/// So many equal definite answers at least before one is the last word.
const DEFINITE_TRIES: u32 = 3;

/// Longest pause between looks at an accepted step, in milliseconds.
const POLL_CAP_MS: u64 = 60_000;

/// Shortest pause between looks at an accepted step, in milliseconds.
const POLL_FLOOR_MS: u64 = 500;

impl Case {
    /// Lets steps go whose stage has come. A compensation also waits for a retry that is still under way.
    pub(crate) fn release(&mut self, now: Timestamp, turn: &mut Turn) {
        self.heed_pivots(now, turn);
        self.heed_rule_holds(now, turn);
        self.open_fences(now, turn);
        while let Some(frontier) = self.frontier() {
            self.open_stage(frontier, now, turn);
            if self.awaits_retry() || !self.end_without_request(frontier, now, turn) {
                break;
            }
        }
    }

    fn open_stage(&mut self, frontier: u16, now: Timestamp, turn: &mut Turn) {
        let awaits_retry = self.awaits_retry();
        let book = self.book.clone();
        let mut reached = None;
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            if step.state != StepState::Waiting || step.stage != frontier {
                continue;
            }
            if step.verb == Verb::Compensate && awaits_retry {
                continue;
            }
            let has_nothing_to_ask = |book: &Arc<Rulebook>| {
                self.lacks_request(step, book) || self.has_no_effect_by_now(step, book)
            };
            if book.as_ref().is_some_and(has_nothing_to_ask) {
                continue;
            }
            if self.is_held_at_pivot(index) || step.extra.on_hold.is_some() {
                continue;
            }
            if let Some(book) = &book
                && self.waits_for_callers(index, book, now, &mut reached, turn)
            {
                continue;
            }
            let step = &self.steps[index];
            // What the service asked for before it had to wait still counts.
            let at = step.extra.not_before.map_or(now, |at| now.max(Timestamp(at)));
            let event = if step.extra.held { StepEvent::Hold } else { StepEvent::Open(at) };
            self.must_change(index, event, now, turn);
        }
    }

    /// The row that an id names: that of a part, or the first of a step.
    pub(crate) fn step_index(&self, id: amends_protocol::StepId) -> Option<usize> {
        if id.part.is_some() {
            return self.steps.iter().position(|row| row.is(id));
        }
        let index = (id.ordinal as usize).checked_sub(1)?;
        (self.steps.get(index)?.id == id).then_some(index)
    }

    /// The effect for a step whose turn has come (or, for a probe, will come); none if it is no longer due.
    pub(crate) fn launch_step(
        &mut self,
        index: usize,
        now: Timestamp,
        probing: bool,
        turn: &mut Turn,
    ) -> Option<Effect> {
        let step = &self.steps[index];
        if !matches!(step.state, StepState::Due(at) if at <= now || probing) {
            return None;
        }
        if (!step.extra.fence && self.frontier().is_some_and(|f| f < step.stage))
            || (step.verb == Verb::Compensate && self.awaits_retry())
            || self.is_on_hold(index, turn)
        {
            self.must_change(index, StepEvent::CloseStage, now, turn);
            return None;
        }
        let rulebook = Arc::clone(self.book.as_ref()?);
        let Some(action_id) = rulebook.action(&step.action.service, &step.action.action) else {
            let extra = &mut self.step_mut(index).extra;
            extra.message = Some("the rulebook no longer knows this action".to_owned());
            extra.last = Some(Cause::Unsendable);
            self.must_change(index, StepEvent::Stick(StuckReason::Unsendable), now, turn);
            return None;
        };
        let (send, subject) = match self.request_now(index, action_id, rulebook, turn.salt) {
            Ok(built) => built?,
            Err(Unsendable { why, cause }) => {
                let extra = &mut self.step_mut(index).extra;
                extra.message = Some(why);
                extra.last = Some(cause);
                if let Some(subject) = extra.subject.as_mut().filter(|_| !extra.may_have_run) {
                    subject.forget_source(); // whatever is chosen next has not been tried
                }
                self.must_change(index, StepEvent::Stick(StuckReason::Unsendable), now, turn);
                return None;
            }
        };
        let wall = self.wall;
        let speaks = send.key.is_none() && send.verb == Verb::Compensate;
        let knew = speaks.then(|| self.heard().known_requests(&send.action));
        self.early.remove(&send.step.ordinal);
        let step = self.step_mut(index);
        step.attempts = send.attempt;
        step.extra.knew = knew;
        step.extra.asked = send.digest().or(step.extra.asked);
        step.extra.sent = Some(Sent::new(send.made_of(), &send.request_ids));
        step.extra.subject = subject;
        step.extra.called_back = false;
        step.extra.key.clone_from(&send.key);
        step.extra.sent_at = Some(wall.0);
        self.must_change(index, StepEvent::Launch, now, turn);
        Some(Effect::Send(Box::new(send)))
    }

    /// The next try of a step, and what it is about; none without a report.
    ///
    /// # Errors
    /// Says for people why it can't be asked.
    fn request_now(
        &self,
        index: usize,
        action_id: ActionId,
        rulebook: Arc<Rulebook>,
        salt: Salt,
    ) -> Result<Option<(SendStep, Option<Subject>)>, Unsendable> {
        let step = &self.steps[index];
        let subject = self.subject(step, &rulebook)?;
        let chosen = subject.as_ref().and_then(|s| self.reports.get(s.report? as usize));
        let Some(report) = chosen.or_else(|| self.report_for(step)) else { return Ok(None) };
        let request_ids = match &subject {
            Some(Subject { request: Some(request), .. }) => vec![Arc::clone(request)],
            _ => self.heard().requests(&step.action).cloned().collect(),
        };
        let told = subject.as_ref().and_then(|subject| subject.data.clone());
        let about = subject.as_ref();
        let send = SendStep {
            step: step.id,
            proof: salt.callback_proof(step.id),
            key: about.and_then(|about| self.key_for(index, about, &rulebook, salt)),
            attempt: step.attempts.saturating_add(1),
            verb: step.verb,
            action: step.action.clone(),
            action_id,
            rulebook,
            saga: self.row.saga.clone(),
            request_ids,
            report: Arc::clone(&report.report),
            data: step.extra.edited.clone().or(told),
            veil: self.veil(),
        };
        let asked_before = step.extra.asked.filter(|_| step.extra.may_have_run);
        if let (Some(before), Some(now)) = (asked_before, send.digest())
            && before != now
        {
            return Err(Unsendable::from(format!(
                "a try of {} {} may have run, and the rulebook asks for something else now, which is never done under the same key: retry it under a new key (`newKey`, on the command line `--new-key`)",
                step.verb, step.action
            )));
        }
        Ok(Some((send, subject)))
    }

    /// The service has returned: an accepted step is looked at now. False if there is nothing to look at.
    pub(crate) fn expedite_poll(&mut self, index: usize, now: Timestamp) -> bool {
        let StepState::Accepted { poll_at, location: Some(_), .. } =
            &mut self.step_mut(index).state
        else {
            return false;
        };
        *poll_at = now;
        true
    }

    /// The effect to look at an accepted step; none if there is nothing to look at.
    pub(crate) fn launch_poll(
        &mut self,
        index: usize,
        now: Timestamp,
        probing: bool,
    ) -> Option<Effect> {
        let rulebook = Arc::clone(self.book.as_ref()?);
        let policy = self.policy(&self.steps[index]);
        let saga = self.row.saga.clone();
        let step = &mut self.steps[index];
        let StepState::Accepted { poll_at, location: Some(location), .. } = &mut step.state else {
            return None;
        };
        if *poll_at > now && !probing {
            return None;
        }
        // Not to be looked at twice at once; the result sets the real time.
        *poll_at = now.plus_ms(policy.timeout_ms.saturating_mul(2));
        let action_id = rulebook.action(&step.action.service, &step.action.action)?;
        Some(Effect::Poll(Box::new(PollStep {
            step: step.id,
            key: step.extra.key.clone(),
            attempt: step.attempts,
            verb: step.verb,
            action: step.action.clone(),
            action_id,
            rulebook,
            saga,
            location: Arc::clone(location),
        })))
    }

    /// A try (or a look) has ended. True if the plan may have to change.
    pub(crate) fn step_ended(
        &mut self,
        index: usize,
        attempt: u32,
        result: StepResult,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let service = Arc::clone(&self.steps[index].action.service);
        let news = self.record_evidence(&service, Source::Answer, &result.history);
        let step = &self.steps[index];
        let under_way = matches!(step.state, StepState::InFlight | StepState::Accepted { .. });
        if !under_way || attempt != step.attempts {
            let has_ended = self.late_answer(index, &result, now, turn);
            return news || has_ended && self.may_change_the_plan(index);
        }
        let is_accepted = matches!(step.state, StepState::Accepted { .. });
        self.note_calls(index, result.history.is_whole());
        let mut news = news;
        if is_accepted {
            self.looked(index, result, now, turn);
        } else {
            let early = self.early.remove(&self.steps[index].id.ordinal);
            self.tried(index, result, now, turn);
            news |= self.take_early(index, early, now, turn);
        }
        news || self.may_change_the_plan(index)
    }

    /// Whether the end of a try may: a retry's may be what compensations wait for, or add something to undo; whoever
    /// calls what puts up no fence may need one.
    fn may_change_the_plan(&self, index: usize) -> bool {
        let step = &self.steps[index];
        let unfenced = step.extra.fence && step.state == StepState::Done(Outcome::NotFenceable);
        unfenced || step.verb == Verb::Retry
    }

    /// The answer to a try that nobody waits for any more. What a person decided stays; the case says what came. True
    /// if it ends the step.
    fn late_answer(
        &mut self,
        index: usize,
        result: &StepResult,
        now: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let StepReading::Done(outcome) = result.answer else { return false };
        let step = &self.steps[index];
        if step.extra.by_hand && step.state.is_terminal() {
            let text = format!("{} answered `{outcome}` after the decision by hand", step.action);
            self.note(text);
            return false;
        }
        let is_open =
            matches!(step.state, StepState::Waiting | StepState::Due(_) | StepState::Stuck(_));
        if is_open {
            self.note_calls(index, result.history.is_whole());
            self.must_change(index, StepEvent::Answer(outcome), now, turn);
        }
        is_open
    }

    fn looked(&mut self, index: usize, result: StepResult, now: Timestamp, turn: &mut Turn) {
        let StepState::Accepted { until, location, .. } = self.steps[index].state.clone() else {
            return;
        };
        let patience_ms = self.policy(&self.steps[index]).accepted_ms;
        let waited = patience_ms.saturating_sub(until.ms_since(now));
        let pause = (waited / 4).clamp(POLL_FLOOR_MS, POLL_CAP_MS);
        if is_gone(&result) {
            let step = &self.steps[index];
            turn.traffic.queue(&step.action.service).back_off(EffectKey::Poll(step.id));
        }
        let extra = &mut self.step_mut(index).extra;
        extra.last = cause(&result);
        extra.message = result.message;
        extra.status = result.status;
        let again = |after: Option<u64>, location| StepEvent::Accept {
            poll_at: now.plus_ms(after.unwrap_or(0).max(pause)),
            until,
            location,
        };
        let event = match result.answer {
            StepReading::Done(outcome) => StepEvent::Answer(outcome),
            StepReading::Refused => StepEvent::Stick(StuckReason::Refused),
            StepReading::Accepted { location: moved, retry_after_ms } => {
                again(retry_after_ms, moved.map(Into::into).or(location))
            }
            StepReading::Busy { retry_after_ms, .. } => again(retry_after_ms, location),
            StepReading::Rejected
            | StepReading::Definite
            | StepReading::Unsendable
            | StepReading::NotSent
            | StepReading::Unknown => again(None, location),
        };
        self.end_try(index, event, now, turn);
    }

    fn tried(&mut self, index: usize, result: StepResult, now: Timestamp, turn: &mut Turn) {
        let policy = self.policy(&self.steps[index]);
        let own = turn.traffic.queue(&self.steps[index].action.service).own_time(now);
        // Before anything is made of the answer: it may be the answer to the second of two.
        self.step_mut(index).extra.may_have_run |= result.sent_twice;
        let nothing = result.answer == StepReading::Done(Outcome::NothingToCompensate);
        let once_more = nothing && self.must_say_it_twice(index, result.status);
        let extra = &mut self.step_mut(index).extra;
        extra.last = cause(&result);
        extra.message.clone_from(&result.message);
        extra.status = result.status;
        extra.not_before = None;
        let definite = result.status.filter(|_| result.answer == StepReading::Definite);
        extra.definite = SameAnswer::after(extra.definite, definite, own);
        if matches!(
            result.answer,
            StepReading::Accepted { .. }
                | StepReading::Busy { .. }
                | StepReading::Definite
                | StepReading::Unknown
        ) {
            extra.counted = extra.counted.saturating_add(1);
            extra.may_have_run = true;
        }
        extra.accepted |= matches!(result.answer, StepReading::Accepted { .. });
        let event = match result.answer {
            StepReading::Done(_) if once_more => {
                extra.said_nothing = true;
                extra.message =
                    Some("says that there is nothing to undo; asked once more".to_owned());
                let quiet_ms = self.book.as_ref().map_or(0, |book| book.settings().quiet_ms);
                StepEvent::Fail(now.plus_ms(quiet_ms.max(policy.first_ms)))
            }
            StepReading::Done(outcome) => StepEvent::Answer(outcome),
            StepReading::Refused => StepEvent::Stick(StuckReason::Refused),
            StepReading::Rejected => StepEvent::Stick(StuckReason::Rejected),
            StepReading::Unsendable => StepEvent::Stick(StuckReason::Unsendable),
            StepReading::Accepted { ref location, retry_after_ms } => StepEvent::Accept {
                poll_at: now.plus_ms(retry_after_ms.unwrap_or(0).max(POLL_FLOOR_MS)),
                until: now.plus_ms(policy.accepted_ms),
                location: location.as_deref().map(Into::into),
            },
            StepReading::Busy { retry_after_ms, .. } => {
                extra.not_before = retry_after_ms.map(|ms| now.plus_ms(ms).0);
                self.fail(index, &policy, retry_after_ms, now, turn)
            }
            StepReading::Definite if self.is_definite(index, &policy, own, turn) => {
                StepEvent::Stick(StuckReason::Rejected)
            }
            StepReading::Unknown | StepReading::NotSent | StepReading::Definite => {
                self.fail(index, &policy, None, now, turn)
            }
        };
        let away = self.steps[index].action.service.clone();
        let waits_for_service = is_gone(&result) || result.answer == StepReading::Definite;
        if matches!(event, StepEvent::Fail(_)) && waits_for_service {
            turn.traffic.queue(&away).back_off(EffectKey::Step(self.steps[index].id));
        }
        if !matches!(event, StepEvent::Answer(_)) {
            self.log_attempt(index, &result, turn);
        }
        self.end_try(index, event, now, turn);
    }

    /// Whether a definite answer is the last word about this step: it came again and again for long enough, and not to
    /// everything that its service is asked.
    fn is_definite(
        &self,
        index: usize,
        policy: &RetryPolicy,
        own: Timestamp,
        turn: &mut Turn,
    ) -> bool {
        let step = &self.steps[index];
        step.extra.definite.is_some_and(|same| {
            let since = Timestamp(same.since);
            same.count >= DEFINITE_TRIES
                && own.ms_since(since) >= policy.definite_after_ms
                && turn.traffic.queue(&step.action.service).definite_is_of_step(step.id, since)
        })
    }

    /// The patience with an accepted step is at an end: nobody knows, so it is asked for again under the same key.
    pub(crate) fn patience_over(&mut self, index: usize, now: Timestamp, turn: &mut Turn) -> bool {
        if !matches!(self.steps[index].state, StepState::Accepted { until, .. } if until <= now) {
            return false;
        }
        let policy = self.policy(&self.steps[index]);
        let extra = &mut self.step_mut(index).extra;
        extra.last = Some(Cause::NoAnswer);
        extra.message = Some("accepted, but no outcome came in time".to_owned());
        let event = self.fail(index, &policy, None, now, turn);
        self.end_try(index, event, now, turn);
        true
    }

    /// After a restart nobody knows what became of a try that was under way: it is as one without an answer. It
    /// does not count against the step's limit of tries: that the supervisor stopped is not the service's failure.
    pub(crate) fn interrupted(&mut self, index: usize, now: Timestamp, turn: &mut Turn) {
        let result = StepResult::new(StepReading::Unknown, None)
            .saying("the supervisor stopped before the answer came");
        self.log_attempt(index, &result, turn);
        let extra = &mut self.step_mut(index).extra;
        extra.may_have_run = true;
        extra.last = Some(Cause::NoAnswer);
        extra.message = result.message;
        self.end_try(index, StepEvent::Fail(now), now, turn);
    }

    /// A retry that a compensation waits for is not tried again, whatever came.
    pub(crate) fn end_try(
        &mut self,
        index: usize,
        event: StepEvent,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let last = self.steps[index].extra.last_try;
        let event = match self.ending_of_try(index, event) {
            StepEvent::Fail(_) | StepEvent::Stick(_) if last => StepEvent::Supersede,
            StepEvent::Stick(reason)
                if reason != StuckReason::Unsendable && self.give_up(index) =>
            {
                self.step_mut(index).extra.message = Some(format!("given up ({reason})"));
                StepEvent::Supersede
            }
            other => other,
        };
        self.must_change(index, event, now, turn);
    }

    /// The event after a failed try: another one, or stuck at the end of the policy. What the service wants
    /// (`Retry-After`) is a lower bound, but not past the step's time limit: a person must hear of it then.
    fn fail(
        &self,
        index: usize,
        policy: &RetryPolicy,
        after_ms: Option<u64>,
        now: Timestamp,
        turn: &mut Turn,
    ) -> StepEvent {
        let step = &self.steps[index];
        if let Some(reason) = self.out_of(step, policy, now, turn) {
            return StepEvent::Stick(reason);
        }
        let pause = backoff::pause_ms(policy, step.id.tag, step.attempts);
        let wanted = after_ms.map_or(0, |ms| ms.saturating_add(pause.min(ms / 10)));
        let at = now.plus_ms(pause.max(wanted));
        let end = self.too_old_at(step, policy, now, turn);
        StepEvent::Fail(end.map_or(at, |end| at.min(end)))
    }

    fn log_attempt(&self, index: usize, result: &StepResult, turn: &mut Turn) {
        let step = &self.steps[index];
        turn.out.writes.push(Write::Attempt(Box::new(AttemptRow {
            step: step.id,
            attempt: step.attempts,
            sent_at: step.extra.sent_at.map_or(self.wall, Timestamp),
            ended_at: self.wall,
            result: result.answer.result().as_str().into(),
            status: result.status,
            message: result.message.as_deref().map(Into::into),
        })));
    }
}

/// Whether an outcome can be the answer to a verb at all.
pub(crate) fn check_outcome(verb: Verb, outcome: Outcome) -> Result<(), String> {
    let fits = outcome == Outcome::Refused || verb.may_end(outcome);
    if fits { Ok(()) } else { Err(format!("`{outcome}` is no answer to `{verb}`")) }
}

fn is_gone(result: &StepResult) -> bool {
    match result.answer {
        StepReading::NotSent => true,
        StepReading::Unknown => matches!(result.status, None | Some(502 | 504)),
        StepReading::Busy { retry_after_ms: None, .. } => result.status == Some(503),
        StepReading::Busy { .. }
        | StepReading::Done(_)
        | StepReading::Accepted { .. }
        | StepReading::Refused
        | StepReading::Rejected
        | StepReading::Definite
        | StepReading::Unsendable => false,
    }
}

/// Why a try did not end its step; none if it did, or if the service took it.
fn cause(result: &StepResult) -> Option<Cause> {
    match result.answer {
        StepReading::Done(_) | StepReading::Accepted { .. } => None,
        StepReading::Refused => Some(Cause::Refused),
        StepReading::Rejected => Some(Cause::Rejected),
        StepReading::Unsendable => Some(Cause::Unsendable),
        StepReading::NotSent => Some(Cause::Unreachable),
        StepReading::Unknown if result.status.is_none() => Some(Cause::NoAnswer),
        StepReading::Busy { .. } | StepReading::Unknown if is_gone(result) => {
            Some(Cause::Unreachable)
        }
        StepReading::Busy { .. } => Some(Cause::Busy),
        StepReading::Unknown | StepReading::Definite => Some(Cause::Status),
    }
}

/// What a step's result says of the service.
pub(crate) fn health(result: &StepResult, step: StepId, definite_after_ms: u64) -> Health {
    match (&result.answer, result.status) {
        _ if is_gone(result) => Health::Gone,
        (StepReading::Unsendable, _) => Health::NoSign,
        (StepReading::Definite, Some(status)) => {
            Health::Rejects(DefiniteAnswer { step, status, definite_after_ms })
        }
        _ => Health::Alive,
    }
}
