//! Time and queues: what is due, what may go to which service now, and what its answers say of the service.

use super::Engine;
use crate::attempt;
use crate::brief::{Standing, StepDue};
use crate::history_query;
use crate::service_queue::{Breaker, BreakerChange, EffectKey, Health};
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::{
    Answer, DomainEvent, Effect, HistoryResult, Input, StepReading, StepResult, StepState, Ticket,
};
use amends_api::BreakerState;
use amends_protocol::{CaseId, OutcomeCallback, StepId, Timestamp};
use std::sync::Arc;

/// How long a queue is held after a 429 that names no time, in milliseconds.
const HOLD_MS: u64 = 1_000;

/// Longest hold of a whole queue, in milliseconds: a careless `Retry-After` of one answer must not stop everything.
const HOLD_CAP_MS: u64 = 60_000;

/// Pause between looks at an accepted step of a paused service, in milliseconds: as long as it has for an answer once
/// the pause is over.
const PAUSED_LOOK_MS: u64 = 60_000;

/// Jobs of one service that turn out in one turn to be nothing to send, for the same reason.
const STALE_SLICE: usize = 1_000;

/// Steps of one service that become too old in one turn, so that no turn is too large for a commit.
const EXPIRE_SLICE: usize = 1_000;

impl Engine {
    pub(super) fn wake(&mut self, now: Timestamp) {
        while self.may_want_more()
            && let Some((at, timer)) = self.turn.traffic.timers.pop_due(now)
        {
            if self.must_hear_first(now, at, &timer) {
                continue;
            }
            match timer {
                Timer::Step(id) => self.step_timer(now, (at, id)),
                Timer::TooOld(id) => self.too_old(now, id),
                Timer::Cause(id) | Timer::Quiet(id) if self.is_spilled(id) => {
                    self.want(id, (at, timer));
                }
                Timer::Query(id, service) if self.is_spilled(id) => {
                    if self.spilled_reading_is_due(id, &service, now) {
                        self.turn.traffic.enqueue(&service, EffectKey::History(id));
                    }
                }
                Timer::Query(id, service) => {
                    self.with_case(id, |case, engine| {
                        case.history_timer(&service, now, &mut engine.turn);
                    });
                }
                Timer::Cause(id) => {
                    self.with_case(id, |case, engine| {
                        case.assign_roles(None, now, &mut engine.limits, &mut engine.turn);
                        engine.go_on(case, true, now);
                    });
                }
                Timer::Quiet(id) => {
                    self.with_case(id, |case, engine| engine.advance(case, now));
                }
                Timer::Probe(service) => self.turn.traffic.stir(&service),
                Timer::Ages(service) => self.expire(now, &service),
                Timer::Deadlines => self.deadlines(),
                Timer::Deadline(saga) => self.deadline(now, &saga),
            }
        }
    }

    pub(super) fn step_called_back(
        &mut self,
        now: Timestamp,
        step: StepId,
        callback: OutcomeCallback,
        ticket: Ticket,
    ) {
        let answer = self.with_step(step, |case, index, engine| {
            let heard = case.called_back(index, callback, now, &mut engine.turn);
            if heard.counts {
                engine.go_on(case, true, now);
            }
            heard.answer
        });
        // It is the service's to say it again.
        let answer = answer.or(self.refusal(step.case).map(Answer::Unavailable));
        self.answer(ticket, answer, || format!("there is no step {step}"));
    }

    pub(super) fn step_ended(
        &mut self,
        now: Timestamp,
        step: StepId,
        attempt: u32,
        result: StepResult,
    ) {
        self.with_step(step, |case, index, engine| {
            let planning = case.step_ended(index, attempt, result, now, &mut engine.turn);
            engine.go_on(case, planning, now);
        });
    }

    fn step_timer(&mut self, now: Timestamp, (at, id): (Timestamp, StepId)) {
        let Some((service, standing)) = self.standing(id) else { return };
        match standing.due(now, self.turn.traffic.queue(&service).paused()) {
            StepDue::Nothing => {}
            StepDue::LaterInPause => {
                self.turn.traffic.timers.set(now.plus_ms(PAUSED_LOOK_MS), Timer::Step(id));
            }
            StepDue::PatienceOver if self.is_spilled(id.case) => {
                self.want(id.case, (at, Timer::Step(id)));
            }
            StepDue::PatienceOver => {
                self.with_step(id, |case, index, engine| {
                    case.patience_over(index, now, &mut engine.turn);
                    engine.go_on(case, true, now);
                });
            }
            StepDue::Send => self.turn.traffic.enqueue(&service, EffectKey::Step(id)),
            StepDue::Accepted { look, until } => {
                if look {
                    self.turn.traffic.enqueue(&service, EffectKey::Poll(id));
                }
                self.turn.traffic.timers.set(until, Timer::Step(id));
            }
        }
    }

    /// Where an unfinished step stands, and its service, wherever its case is.
    pub(super) fn standing(&self, id: StepId) -> Option<(Arc<str>, Standing)> {
        if let Some(case) = self.cases.get(&id.case) {
            let step = &case.steps[case.step_index(id)?];
            return Some((Arc::clone(&step.action.service), Standing::of(&step.state)?));
        }
        self.spilled_step(id)
    }

    /// What became of a request of a partition that has gone elsewhere says something of its service.
    pub(super) fn unheld(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::StepEnded { step, service, result, .. } => {
                self.hold_queue(now, &service, &result);
                let definite_after_ms = self.definite_after_ms(step);
                let health = attempt::health(&result, step, definite_after_ms);
                // Nobody here knows what is secret of it.
                self.queue_ended(now, &service, health, None);
            }
            Input::HistoryEnded { service, mut result, .. } => {
                if let HistoryResult::Failed { message, .. } = &mut result {
                    "it could not be read".clone_into(message);
                }
                self.history_ended(now, &service, result);
            }
            _ => {}
        }
    }

    /// Effects that this engine has let out are not performed after all, since their partitions have gone elsewhere:
    /// others may go in their places.
    pub fn not_performed(&mut self, effects: impl IntoIterator<Item = Effect>) {
        let now = self.turn.moment.now;
        for effect in effects {
            let (service, is_history) = (effect.service(), effect.step().is_none());
            let change = self.turn.traffic.queue(service).taken_back(now, is_history);
            if let BreakerChange::Opened { probe_at } = change {
                self.turn.traffic.timers.set(probe_at, Timer::Probe(Arc::clone(service)));
            }
            self.turn.traffic.stir(service);
        }
    }

    /// A service that answers 429 gets nothing at all for a while, not only the step that it refused.
    pub(super) fn hold_queue(&mut self, now: Timestamp, service: &Arc<str>, result: &StepResult) {
        let StepReading::Busy { retry_after_ms, .. } = result.answer else { return };
        if result.status == Some(429) {
            let at = now.plus_ms(retry_after_ms.unwrap_or(HOLD_MS).min(HOLD_CAP_MS));
            self.turn.traffic.queue(service).hold(at);
            self.turn.traffic.timers.set(at, Timer::Probe(Arc::clone(service)));
        }
    }

    /// What has become too old becomes stuck, visibly, or is given up: whether or not it was ever tried.
    fn expire(&mut self, now: Timestamp, service: &Arc<str>) {
        for id in self.turn.traffic.queue(service).too_old(now, EXPIRE_SLICE) {
            self.too_old(now, id);
        }
        self.turn.traffic.watch_ages(service, now);
    }

    fn too_old(&mut self, now: Timestamp, id: StepId) {
        if self.is_spilled(id.case) {
            if let Some((_, Standing::Due(_))) = self.spilled_step(id) {
                self.want(id.case, (now, Timer::TooOld(id)));
            }
            return;
        }
        self.with_step(id, |case, index, engine| {
            if case.expire(index, now, &mut engine.turn) {
                engine.go_on(case, true, now);
            }
        });
    }

    /// How long a definite answer to a step must last.
    pub(super) fn definite_after_ms(&self, id: StepId) -> u64 {
        let policy = self.cases.get(&id.case).and_then(|case| {
            let step = &case.steps[case.step_index(id)?];
            Some(case.policy(step))
        });
        policy.unwrap_or_default().definite_after_ms
    }

    pub(super) fn queue_ended(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        health: Health,
        message: Option<&str>,
    ) {
        let change = self.turn.traffic.queue(service).ended(now, health, message);
        self.turn.traffic.stir(service);
        match change {
            BreakerChange::None => {}
            BreakerChange::Opened { probe_at } => {
                self.turn.traffic.timers.set(probe_at, Timer::Probe(Arc::clone(service)));
                // Of definite answers people hear later: a deploy is over by then.
                if !matches!(health, Health::Rejects(_)) {
                    self.tell_of_breaker(service, BreakerState::Open);
                }
            }
            BreakerChange::Closed(expedited) => {
                if self.turn.traffic.queue(service).told {
                    self.tell_of_breaker(service, BreakerState::Closed);
                }
                for key in expedited {
                    self.expedite(now, service, key);
                }
            }
        }
        if let Health::Rejects(answer) = health
            && self.turn.traffic.queue(service).became_rejecting(now, answer.definite_after_ms)
        {
            self.tell_of_breaker(service, BreakerState::Rejecting);
        }
    }

    fn tell_of_breaker(&mut self, service: &Arc<str>, state: BreakerState) {
        let queue = self.turn.traffic.queue(service);
        queue.told = state != BreakerState::Closed;
        let message = queue.message.clone().filter(|_| queue.told);
        self.turn.publish(DomainEvent::Breaker { service: Arc::clone(service), state, message });
    }

    /// A reading of a History has ended; gives what it is worth. Histories that are known to be out of order say
    /// nothing new of the service.
    pub(super) fn history_ended(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        result: HistoryResult,
    ) -> HistoryResult {
        let result = self.judged(service, result);
        let (health, message) = history_query::health(&result);
        let queue = self.turn.traffic.queue(service);
        let known = queue.histories.out_of_order();
        let was_unavailable = queue.histories.unavailable;
        let failure = message.filter(|_| matches!(result, HistoryResult::Failed { .. }));
        let change = queue.history_ended(now, failure);
        // Nor does a History that can be read say that steps are not rejected.
        let rejecting = self.turn.traffic.queue(service).rejects();
        let silent = known && health == Health::Gone || rejecting && health == Health::Alive;
        let health = if silent { Health::NoSign } else { health };
        self.queue_ended(now, service, health, message);
        match change {
            BreakerChange::None => {}
            BreakerChange::Opened { probe_at } => {
                self.turn.traffic.timers.set(probe_at, Timer::Probe(Arc::clone(service)));
            }
            BreakerChange::Closed(expedited) => {
                expedited.into_iter().for_each(|key| self.expedite(now, service, key));
            }
        }
        self.tell_of_histories(now, service, was_unavailable);
        result
    }

    /// One word for all cases that wait for the Histories of a service, and one when they can be read again.
    fn tell_of_histories(&mut self, now: Timestamp, service: &Arc<str>, was_unavailable: bool) {
        let queue = self.turn.traffic.queue(service);
        let unavailable = queue.histories_became_unavailable(now);
        if unavailable || was_unavailable && !queue.histories.unavailable {
            let message = queue.histories.message.clone();
            self.turn.publish(DomainEvent::Histories {
                service: Arc::clone(service),
                available: !unavailable,
                message,
            });
        }
        if self.turn.traffic.queue(service).histories_came_into_question(now) {
            self.look_at_those_who_wait_for(service, now);
        }
    }

    /// All cases that wait for a History of the service are looked at.
    fn look_at_those_who_wait_for(&mut self, service: &str, now: Timestamp) {
        let waits =
            |id: &CaseId| self.brief(*id).is_some_and(|brief| brief.query(service).is_some());
        let waiting: Vec<CaseId> = self.open_case_ids().into_iter().filter(waits).collect();
        waiting.into_iter().for_each(|id| self.turn.traffic.timers.set(now, Timer::Quiet(id)));
    }

    /// Who has told a History once can tell that it knows nothing: what says less is not its answer.
    fn judged(&mut self, service: &Arc<str>, result: HistoryResult) -> HistoryResult {
        let tells = self.turn.traffic.queue(service).settings.tells_history;
        match result {
            HistoryResult::Told(entries) => {
                if !tells {
                    self.turn.traffic.queue(service).settings.tells_history = true;
                    self.keep_settings(service);
                }
                HistoryResult::Told(entries)
            }
            HistoryResult::Unproven { status } if tells => HistoryResult::Failed {
                message: format!(
                    "HTTP {status} without `Saga-Id`, from whatever stands before the service: it has told Histories"
                ),
                unreachable: false,
                retry_after_ms: None,
            },
            other => other,
        }
    }

    /// The service has returned: whatever backoff a key had grown is forgotten.
    pub(super) fn expedite(&mut self, now: Timestamp, service: &Arc<str>, key: EffectKey) {
        if self.expedite_spilled(now, service, key) {
            return;
        }
        match key {
            EffectKey::Step(id) => {
                self.with_step(id, |case, index, engine| {
                    if matches!(case.steps[index].state, StepState::Due(_)) {
                        case.must_change(index, StepEvent::Expedite(now), now, &mut engine.turn);
                    }
                });
            }
            EffectKey::History(id) => {
                self.with_case(id, |case, engine| {
                    case.expedite_query(service, now, &mut engine.turn)
                });
            }
            EffectKey::Poll(id) => {
                self.with_step(id, |case, index, engine| {
                    if case.expedite_poll(index, now) {
                        engine.turn.traffic.enqueue(service, EffectKey::Poll(id));
                    }
                });
            }
        }
    }

    /// Sends whatever may go, queue by queue.
    pub(super) fn pump(&mut self, now: Timestamp) {
        if self.halted {
            return;
        }
        while let Some(service) = self.turn.traffic.next_stirred() {
            let (was, stood) = (
                self.turn.traffic.queue(&service).breaker,
                self.turn.traffic.queue(&service).state(),
            );
            // A probe may be a key whose backoff is not over: the service's return ends all waiting for it.
            let probing = matches!(was, Breaker::Open { .. });
            let probing_histories =
                probing || self.turn.traffic.queue(&service).histories.out_of_order();
            let mut stale = 0;
            while let Some(key) = self.turn.traffic.queue(&service).next(now) {
                if stale == STALE_SLICE {
                    self.turn
                        .traffic
                        .timers
                        .set(now.plus_ms(1), Timer::Probe(Arc::clone(&service)));
                    break;
                }
                stale += 1;
                let is_history = matches!(key, EffectKey::History(_));
                let probes = if is_history { probing_histories } else { probing };
                match self.spilled_awaits(key, &service, now, probes) {
                    Some(true) => {
                        self.want_for(&service, key, probes);
                        break;
                    }
                    Some(false) | None => self.turn.traffic.queue(&service).take_out(key),
                }
                if self.is_held_back(key.case()) {
                    continue; // its next owner finds it due
                }
                let effect = match key {
                    EffectKey::Step(id) => self.with_step(id, |case, index, engine| {
                        let effect = case.launch_step(index, now, probing, &mut engine.turn);
                        if effect.is_none() {
                            engine.advance(case, now); // it may have become stuck instead
                        }
                        effect
                    }),
                    EffectKey::Poll(id) => {
                        self.with_step(id, |case, index, _| case.launch_poll(index, now, probing))
                    }
                    EffectKey::History(id) => self.with_case(id, |case, _| {
                        case.launch_reading(&service, now, probing_histories)
                    }),
                };
                if let Some(effect) = effect.flatten() {
                    self.turn.traffic.queue(&service).launched(now, key);
                    self.turn.out.effects.push(effect);
                }
            }
            if let Some(at) = self.turn.traffic.queue(&service).wait_for_slot(now) {
                self.turn.traffic.timers.set(at, Timer::Probe(Arc::clone(&service)));
            }
            let state = self.turn.traffic.queue(&service).state();
            if stood != state {
                self.turn.publish(DomainEvent::Breaker { service, state, message: None });
            }
        }
    }
}
