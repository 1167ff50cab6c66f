//! The supervisor's requests at the services: steps, looks at accepted steps, Histories. Each meets the sky of the
//! moment first. The readings are those that `crates/server/src/dispatch` would make of the answers over HTTP.

use super::model::{Around, Services};
use crate::event::{Callback, Forward, Reply, StepCall, WorldEvent};
use crate::scenario::Sky;
use amends_engine::{HistoryResult, StepReading, StepResult};
use amends_node::EffectResult;
use amends_protocol::{Evidence, HistoryState, Outcome, OutcomeCallback, Testimony, Verb};
use amends_rulebook::{ActionClass, ActionId};
use amends_simulate::SeededRng;

/// What came of asking for a step.
enum Performed {
    Answer(StepReading),
    /// A run has begun; its end answers.
    Runs,
}

impl Services {
    /// A step's request reaches its service, or what stands before it.
    pub(crate) fn ask(&mut self, call: StepCall, around: &mut Around<'_>) {
        let service = self.book.get(call.action).name.service.clone();
        let sky = self.sky(around.queue.now(), &service, &[call.step.tag, u64::from(call.attempt)]);
        let unknown = |status| result(StepReading::Unknown, status);
        let busy = |overloaded, after, status| {
            let answer = StepReading::Busy { overloaded, retry_after_ms: after };
            result(answer, Some(status))
        };
        match sky {
            Some(Sky::Down) => self.answer(call, result(StepReading::NotSent, None), 1, around),
            Some(Sky::Gateway(503)) => self.answer(call, busy(true, None, 503), 3, around),
            Some(Sky::Gateway(status @ (300..=399 | 401 | 403 | 404))) => {
                self.answer(call, result(StepReading::Definite, Some(status)), 3, around);
            }
            Some(Sky::Gateway(status)) => self.answer(call, unknown(Some(status)), 3, around),
            Some(Sky::RequestLost) => {}
            Some(Sky::Broken) => self.answer(call, unknown(Some(500)), 5, around),
            Some(Sky::Busy) => self.answer(call, busy(false, None, 409), 5, around),
            Some(Sky::TooMany(ms)) => self.answer(call, busy(true, Some(ms), 429), 5, around),
            Some(Sky::Overloaded(ms)) => self.answer(call, busy(true, Some(ms), 503), 5, around),
            Some(Sky::Rejects) => {
                self.answer(call, result(StepReading::Rejected, Some(422)), 5, around);
            }
            Some(Sky::Refuses) if call.verb == Verb::Compensate => {
                self.sagas[call.saga].fences[call.action.0 as usize] = true;
                self.answer(call, result(StepReading::Refused, Some(409)), 5, around);
            }
            Some(Sky::SaysNothing | Sky::SaysDone)
                if !self.sagas[call.saga].steps.contains_key(&call.key()) =>
            {
                self.lie(call, sky == Some(Sky::SaysNothing), around);
            }
            Some(Sky::AcceptsAndCallsBack(ms)) => self.accept(call, ms, true, None, around),
            Some(Sky::AcceptsForPolling(ms)) => {
                self.accept(call, ms, false, Some("/later".to_owned()), around);
            }
            Some(Sky::AcceptsAndForgets) => self.accept(call, 2_000, false, None, around),
            Some(Sky::AnswerLost) => drop(self.perform(call, true, around)),
            Some(Sky::AnswerLostThenCallsBack(ms)) => {
                if let Performed::Answer(StepReading::Done(outcome)) =
                    self.perform(call, true, around)
                {
                    let history = self.told(call, around);
                    let said = OutcomeCallback { history, ..OutcomeCallback::of(outcome) };
                    self.call_back(call, said, true, ms, around);
                }
            }
            Some(Sky::Slow(ms)) => self.serve(call, ms, around),
            Some(Sky::Twice(ms)) => {
                let again = StepCall { effect: 0, ..call };
                around.queue.after(ms, WorldEvent::Repeated { call: again });
                self.serve(call, 0, around);
            }
            Some(Sky::Contradicts(ms)) => {
                self.serve(call, 0, around);
                self.contradict(call, ms, around);
            }
            Some(
                Sky::Refuses
                | Sky::SaysNothing
                | Sky::SaysDone
                | Sky::ConcealsHistory
                | Sky::InventsHistory
                | Sky::Deploy,
            )
            | None => self.serve(call, 0, around),
        }
    }

    /// A service does what it is asked, and answers so much later than usual.
    pub(crate) fn serve(&mut self, call: StepCall, late: u64, around: &mut Around<'_>) {
        match self.perform(call, false, around) {
            Performed::Runs => {}
            Performed::Answer(reading) => {
                let status = match reading {
                    StepReading::Done(_) => 200,
                    StepReading::Accepted { .. } => 202,
                    StepReading::Busy { overloaded: false, .. } | StepReading::Refused => 409,
                    StepReading::Busy { .. } => 503,
                    _ => 404,
                };
                let is_nothing = reading == StepReading::Done(Outcome::NothingToCompensate);
                let status = if is_nothing && self.is_mapped(call.action) { 404 } else { status };
                let mut answer = result(reading, Some(status));
                answer.history = self.told(call, around);
                self.answer(call, answer, 5 + late, around);
            }
        }
    }

    /// The calls that an answer tells. Some services say nothing of calls but in their Histories; of those that only
    /// call others, many.
    fn told(&self, call: StepCall, around: &Around<'_>) -> Testimony {
        let action = self.book.get(call.action);
        let service = &action.name.service;
        let silent_percent = if action.class == ActionClass::Compensable { 20 } else { 50 };
        if SeededRng::of(self.seed, &[13, u64::from(call.action.0)]).chance(silent_percent) {
            return Testimony::default();
        }
        if self.sky(around.queue.now(), service, &[9]) == Some(Sky::ConcealsHistory) {
            return Vec::new().into();
        }
        let mut calls = self.own_calls(call.saga, service);
        calls.retain(|c| c.state.may_have_effect());
        calls.into()
    }

    fn answer(&self, call: StepCall, result: StepResult, base: u64, around: &mut Around<'_>) {
        let way =
            SeededRng::of(self.seed, &[4, call.step.tag, u64::from(call.attempt)]).between(1, 15);
        around.queue.after(
            base + way,
            WorldEvent::Result { effect: call.effect, done: EffectResult::Step(result) },
        );
    }

    fn lie(&mut self, call: StepCall, nothing: bool, around: &mut Around<'_>) {
        self.sagas[call.saga].lied_to = true;
        let outcome = match call.verb {
            Verb::Compensate if nothing => Outcome::NothingToCompensate,
            verb => plain(verb),
        };
        around.story.tell(|| format!("the service says {outcome} and does nothing"));
        self.sagas[call.saga].steps.insert(call.key(), Some(outcome));
        self.answer(call, result(StepReading::Done(outcome), Some(200)), 5, around);
    }

    fn contradict(&self, call: StepCall, ms: u64, around: &mut Around<'_>) {
        let outcome = match call.verb {
            Verb::Compensate => Outcome::NothingToCompensate,
            _ => Outcome::Refused,
        };
        self.call_back(call, OutcomeCallback::of(outcome), knows_proofs(call), ms, around);
    }

    fn call_back(
        &self,
        call: StepCall,
        said: OutcomeCallback,
        proven: bool,
        after_ms: u64,
        around: &mut Around<'_>,
    ) {
        let proof = self.proofs.get(&call.step).filter(|_| proven).cloned();
        let said = OutcomeCallback { proof, ..said };
        let callback = Callback { step: call.step, said, tries: 0, forged: false };
        around.queue.after(after_ms, WorldEvent::Callback(callback));
    }

    fn accept(
        &mut self,
        call: StepCall,
        ms: u64,
        calls_back: bool,
        location: Option<String>,
        around: &mut Around<'_>,
    ) {
        match self.sagas[call.saga].steps.get(&call.key()) {
            Some(Some(_)) => return self.serve(call, 0, around),
            Some(None) => {}
            None => {
                self.sagas[call.saga].steps.insert(call.key(), None);
                let done = Forward::Accepted { call: StepCall { effect: 0, ..call }, calls_back };
                around.queue.after(ms, WorldEvent::Forward(done));
            }
        }
        let reading = StepReading::Accepted { location, retry_after_ms: None };
        self.answer(call, result(reading, Some(202)), 3, around);
    }

    /// Accepted work is done now.
    pub(super) fn accepted(&mut self, call: StepCall, calls_back: bool, around: &mut Around<'_>) {
        if self.sagas[call.saga].steps.get(&call.key()) == Some(&None) {
            self.sagas[call.saga].steps.remove(&call.key());
        }
        let outcome = match self.perform(call, true, around) {
            Performed::Answer(StepReading::Done(outcome)) => outcome,
            Performed::Answer(StepReading::Refused) => Outcome::Refused,
            // Not yet, or nothing to run: it is asked for again.
            Performed::Answer(_) | Performed::Runs => return,
        };
        if calls_back {
            let history = self.told(call, around);
            let said = OutcomeCallback { history, ..OutcomeCallback::of(outcome) };
            self.call_back(call, said, knows_proofs(call), 5, around);
        }
    }

    /// A look at an accepted step.
    pub(crate) fn look(&mut self, call: StepCall, around: &mut Around<'_>) {
        let service = self.book.get(call.action).name.service.clone();
        let now = around.queue.now();
        match self.sky(now, &service, &[call.step.tag, 1, now as u64]) {
            Some(Sky::Down) => {
                return self.answer(call, result(StepReading::NotSent, None), 1, around);
            }
            Some(Sky::Gateway(status)) => {
                return self.answer(call, result(StepReading::Unknown, Some(status)), 3, around);
            }
            Some(Sky::RequestLost | Sky::AnswerLost) => return,
            _ => {}
        }
        let reading = match self.sagas[call.saga].steps.get(&call.key()) {
            Some(Some(Outcome::Refused)) => StepReading::Refused,
            Some(Some(outcome)) => StepReading::Done(*outcome),
            Some(None) => StepReading::Accepted { location: None, retry_after_ms: None },
            None => StepReading::Unknown,
        };
        let status = if reading == StepReading::Unknown { 404 } else { 200 };
        let mut answer = result(reading, Some(status));
        answer.history = self.told(call, around);
        self.answer(call, answer, 4, around);
    }

    /// Carries out a step, or answers it as before. `silent`: nobody waits for the answer.
    fn perform(&mut self, call: StepCall, silent: bool, around: &mut Around<'_>) -> Performed {
        match self.sagas[call.saga].steps.get(&call.key()) {
            Some(Some(outcome)) => return Performed::Answer(StepReading::Done(*outcome)),
            Some(None) => return Performed::Answer(busy()),
            None => {}
        }
        let outcome = match call.verb {
            Verb::Compensate if self.is_mapped(call.action) => self.remove(call),
            Verb::Compensate => self.compensate(call.saga, call.action),
            Verb::Notify => self.notify(call.saga, call.action),
            Verb::Retry => return self.retry(call, silent, around),
        };
        let (verb, name) = (call.verb, self.book.get(call.action).name.clone());
        around.story.tell(|| format!("{} {verb} {name} at its service: {outcome}", call.step));
        self.sagas[call.saga].steps.insert(call.key(), Some(outcome));
        Performed::Answer(StepReading::Done(outcome))
    }

    fn requests_of(&self, saga: usize, action: ActionId) -> Vec<usize> {
        let nodes = &self.sagas[saga].plan.flow.nodes;
        (0..nodes.len()).filter(|n| nodes[*n].action == action).collect()
    }

    /// A service of its own kind removes what there is: of one request, or all of a saga, where it answers alike if
    /// there is nothing. It puts up no fence for the action. Some bar what they were asked for, some let it take effect
    /// later.
    fn remove(&mut self, call: StepCall) -> Outcome {
        let endpoint = self.book.get(call.action).endpoints.compensate.as_ref();
        let is_one = endpoint.is_some_and(|endpoint| endpoint.is_for_one_request());
        let all = self.requests_of(call.saga, call.action);
        let is_meant = |node: &usize| !is_one || call.request == Some(*node);
        let bars = self.bars(call.action);
        let (mut undone, mut before) = (false, false);
        for node in all.into_iter().filter(is_meant) {
            let request = &mut self.sagas[call.saga].requests[node];
            before |= request.state == Some(HistoryState::Compensated);
            if request.effect.take().is_some() {
                undone = true;
                request.state = Some(HistoryState::Compensated);
            } else if bars {
                request.barred = true;
                let is_open = request.state.is_some_and(HistoryState::may_have_effect);
                request.state =
                    request.state.map(|s| if is_open { HistoryState::Fenced } else { s });
            } else {
                request.removed = true;
            }
        }
        match (is_one, undone, before) {
            (false, ..) | (true, true, _) => Outcome::Compensated,
            (true, false, true) => Outcome::AlreadyCompensated,
            (true, false, false) => Outcome::NothingToCompensate,
        }
    }

    fn compensate(&mut self, saga: usize, action: ActionId) -> Outcome {
        if self.book.get(action).class != ActionClass::Compensable {
            return self.fence(saga, action);
        }
        let (mut undone, mut before) = (false, false);
        for node in self.requests_of(saga, action) {
            let request = &mut self.sagas[saga].requests[node];
            let Some(state) = request.state else { continue };
            before |= state == HistoryState::Compensated;
            undone |= request.effect.is_some();
            request.state = Some(match state {
                HistoryState::Compensated | HistoryState::Fenced => state,
                HistoryState::Started | HistoryState::Unknown | HistoryState::Failed
                    if request.effect.is_none() =>
                {
                    HistoryState::Fenced
                }
                _ => HistoryState::Compensated,
            });
            request.effect = None;
        }
        self.sagas[saga].fences[action.0 as usize] = true;
        match (undone, before) {
            (true, _) => Outcome::Compensated,
            (false, true) => Outcome::AlreadyCompensated,
            (false, false) => Outcome::NothingToCompensate,
        }
    }

    /// An action without an undo of its own is only barred; what it has done stays.
    fn fence(&mut self, saga: usize, action: ActionId) -> Outcome {
        for node in self.requests_of(saga, action) {
            let request = &mut self.sagas[saga].requests[node];
            if request.state.is_some_and(|state| state != HistoryState::Succeeded) {
                request.state = Some(HistoryState::Fenced);
            }
        }
        self.sagas[saga].fences[action.0 as usize] = true;
        Outcome::NothingToCompensate
    }

    /// Picks the latest request that did not succeed, the one that is named before others; if all did, there is nothing
    /// to run.
    fn retry(&mut self, call: StepCall, silent: bool, around: &mut Around<'_>) -> Performed {
        let requests = self.requests_of(call.saga, call.action);
        let state = |n: &usize| self.sagas[call.saga].requests[*n].state;
        let arrived = || requests.iter().copied().filter(|n| state(n).is_some());
        let wanted = arrived()
            .find(|n| call.request == Some(*n))
            .or_else(|| arrived().rfind(|n| state(n) != Some(HistoryState::Succeeded)))
            .or_else(|| arrived().next_back());
        let Some(node) = wanted else {
            // Nothing to run again: a 404, which proves nothing.
            return Performed::Answer(match self.sagas[call.saga].fences[call.action.0 as usize] {
                true => StepReading::Refused,
                false => StepReading::Unknown,
            });
        };
        match state(&node) {
            Some(HistoryState::Succeeded) => {
                self.sagas[call.saga].steps.insert(call.key(), Some(Outcome::Retried));
                return Performed::Answer(StepReading::Done(Outcome::Retried));
            }
            Some(HistoryState::Compensated | HistoryState::Fenced) => {
                return Performed::Answer(StepReading::Refused);
            }
            Some(HistoryState::Started) if self.sagas[call.saga].requests[node].running => {
                return Performed::Answer(busy());
            }
            _ => {}
        }
        if self.sagas[call.saga].fences[call.action.0 as usize] {
            return Performed::Answer(StepReading::Refused);
        }
        let effect = if silent { 0 } else { call.effect };
        self.sagas[call.saga].requests[node].rerun = Some(StepCall { effect, ..call });
        self.start(call.saga, node, around);
        Performed::Runs
    }

    /// A run that a step asked for is over.
    pub(super) fn rerun_ended(&mut self, call: StepCall, reply: Reply, around: &mut Around<'_>) {
        let answer = match reply {
            Reply::Ok => {
                self.sagas[call.saga].steps.insert(call.key(), Some(Outcome::Retried));
                result(StepReading::Done(Outcome::Retried), Some(200))
            }
            Reply::Fenced => result(StepReading::Refused, Some(409)),
            Reply::Failed { .. } => {
                let reading = StepReading::Busy { overloaded: true, retry_after_ms: Some(100) };
                result(reading, Some(503))
            }
            Reply::Nothing => return, // its answer is lost
        };
        self.answer(call, answer, 2, around);
    }

    /// A correction bars the message that it corrects.
    fn notify(&mut self, saga: usize, action: ActionId) -> Outcome {
        if let Some(original) = self.book.get(action).correction_of {
            self.sagas[saga].corrected[original.0 as usize] = true;
            self.sagas[saga].fences[original.0 as usize] = true;
            for node in self.requests_of(saga, original) {
                let request = &mut self.sagas[saga].requests[node];
                if request.state.is_some_and(|s| s != HistoryState::Succeeded) {
                    request.state = Some(HistoryState::Fenced);
                }
            }
        }
        Outcome::Notified
    }

    /// Somebody reads the History of a saga.
    pub(crate) fn read_history(
        &mut self,
        effect: u64,
        saga: usize,
        service: &str,
        around: &mut Around<'_>,
    ) {
        let now = around.queue.now();
        let keeps = self.book.service(service).is_some_and(|id| self.book.keeps_history(id));
        if !keeps {
            let done = EffectResult::History(HistoryResult::NoHistory);
            return around.queue.after(1, WorldEvent::Result { effect, done });
        }
        let sky = self.sky(now, service, &[saga as u64, 8, now as u64]);
        let failed = |message: &str, unreachable, retry_after_ms| HistoryResult::Failed {
            message: message.to_owned(),
            unreachable,
            retry_after_ms,
        };
        let result = match sky {
            Some(Sky::Down) => failed("connection refused", true, None),
            Some(Sky::Gateway(404)) => HistoryResult::Unproven { status: 404 },
            Some(Sky::Gateway(status)) => failed(&format!("HTTP {status}"), false, None),
            Some(Sky::RequestLost | Sky::AnswerLost) => return,
            Some(Sky::Broken) => failed("HTTP 500", false, None),
            Some(Sky::TooMany(ms) | Sky::Overloaded(ms)) => failed("not now", false, Some(ms)),
            Some(Sky::ConcealsHistory) => {
                self.sagas[saga].lied_to = true;
                HistoryResult::Told(Vec::new().into())
            }
            Some(Sky::InventsHistory) => HistoryResult::Told(self.invented(saga, service).into()),
            _ => HistoryResult::Told(self.history(saga, service).into()),
        };
        let late = if let Some(Sky::Slow(ms)) = sky { ms } else { 0 };
        around
            .queue
            .after(3 + late, WorldEvent::Result { effect, done: EffectResult::History(result) });
    }

    fn invented(&self, saga: usize, service: &str) -> Vec<Evidence> {
        let mut all = self.history(saga, service);
        all.push(Evidence::new(service, "never-heard-of", "invented", HistoryState::Succeeded));
        all
    }
}

const fn busy() -> StepReading {
    StepReading::Busy { overloaded: false, retry_after_ms: None }
}

const fn plain(verb: Verb) -> Outcome {
    match verb {
        Verb::Compensate => Outcome::Compensated,
        Verb::Retry => Outcome::Retried,
        Verb::Notify => Outcome::Notified,
    }
}

fn result(answer: StepReading, status: Option<u16>) -> StepResult {
    StepResult::new(answer, status).telling(vec![])
}

/// Whether the service is of today: a kit of before sends no proof back.
const fn knows_proofs(call: StepCall) -> bool {
    call.step.tag.is_multiple_of(2)
}
