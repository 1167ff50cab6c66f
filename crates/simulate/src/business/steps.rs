//! The supervisor's steps at the model services: `compensate`, `retry`, `notify`, each remembered by its key.

use super::{ModelServices, Reply, request_id};
use amends_engine::StepReading;
use amends_protocol::{Evidence, HistoryState, Outcome, StepId, Verb};
use amends_rulebook::{ActionClass, ActionId, Endpoint};
use std::sync::Arc;

impl ModelServices<'_> {
    /// Carries out a step, or answers it as before; with the calls that the service made. `named` are the requests that
    /// the supervisor names: to an endpoint that undoes one by one, the one; else a hint.
    pub(crate) fn perform(
        &mut self,
        step: StepId,
        verb: Verb,
        action: ActionId,
        named: &[Arc<str>],
    ) -> (StepReading, Vec<Evidence>) {
        let service = &*self.book.get(action).name.service;
        let reading = match self.remembered.get(&step) {
            Some(outcome) => StepReading::Done(*outcome),
            None => match verb {
                Verb::Compensate => StepReading::Done(self.compensate(action, named)),
                Verb::Retry => self.retry(action, named),
                Verb::Notify => StepReading::Done(self.notify(action)),
            },
        };
        if let StepReading::Done(outcome) = reading {
            self.remembered.insert(step, outcome);
        }
        let calls = self.own_calls(service).filter(|c| c.state.may_have_effect()).collect();
        (reading, calls)
    }

    fn requests_of(&self, action: ActionId) -> Vec<usize> {
        (0..self.rows.len()).filter(|n| self.flow.nodes[*n].action == action).collect()
    }

    fn compensate(&mut self, action: ActionId, named: &[Arc<str>]) -> Outcome {
        if self.book.get(action).class != ActionClass::Compensable {
            return self.fence(action);
        }
        let (mut undone, mut before) = (false, false);
        let mapped = self.book.get(action).endpoints.compensate.as_ref();
        let mut nodes = self.requests_of(action);
        if mapped.is_some_and(Endpoint::is_for_one_request)
            && let [one] = named
        {
            nodes.retain(|node| request_id(*node) == **one);
        }
        for node in nodes {
            let row = &mut self.rows[node];
            let Some(state) = row.state else { continue };
            before |= state == HistoryState::Compensated;
            undone |= row.effect;
            row.state = Some(match state {
                HistoryState::Compensated | HistoryState::Fenced => state,
                HistoryState::Started | HistoryState::Unknown | HistoryState::Failed
                    if !row.effect =>
                {
                    HistoryState::Fenced
                }
                _ => HistoryState::Compensated,
            });
            row.effect = false;
        }
        self.fences[action.0 as usize] = true;
        match (undone, before) {
            (true, _) => Outcome::Compensated,
            (false, true) => Outcome::AlreadyCompensated,
            (false, false) => Outcome::NothingToCompensate,
        }
    }

    /// An action without an undo of its own is only barred; what it has done stays.
    fn fence(&mut self, action: ActionId) -> Outcome {
        for node in self.requests_of(action) {
            let row = &mut self.rows[node];
            if row.state.is_some_and(|state| state != HistoryState::Succeeded) {
                row.state = Some(HistoryState::Fenced);
            }
        }
        self.fences[action.0 as usize] = true;
        Outcome::NothingToCompensate
    }

    /// Picks the latest request that did not succeed, one that is named before others; if all did, there is nothing to
    /// run.
    fn retry(&mut self, action: ActionId, named: &[Arc<str>]) -> StepReading {
        let requests = self.requests_of(action);
        let arrived = || requests.iter().copied().filter(|n| self.rows[*n].state.is_some());
        let is_named = |n: &usize| named.iter().any(|id| request_id(*n) == **id);
        let unsucceeded = |n: &usize| self.rows[*n].state != Some(HistoryState::Succeeded);
        let wanted = arrived()
            .rfind(|n| unsucceeded(n) && is_named(n))
            .or_else(|| arrived().find(|n| named.len() == 1 && is_named(n)))
            .or_else(|| arrived().rfind(unsucceeded))
            .or_else(|| arrived().next_back());
        let Some(node) = wanted else {
            // Nothing to run again: a 404, which proves nothing.
            return match self.fences[action.0 as usize] {
                true => StepReading::Refused,
                false => StepReading::Unknown,
            };
        };
        match self.rows[node].state {
            Some(HistoryState::Succeeded) => return StepReading::Done(Outcome::Retried),
            Some(HistoryState::Compensated | HistoryState::Fenced) => return StepReading::Refused,
            Some(HistoryState::Started) if self.rows[node].running => {
                return StepReading::Busy { overloaded: false, retry_after_ms: None };
            }
            _ => {}
        }
        self.rows[node].state = Some(HistoryState::Started);
        let outer = self.rerun.replace(node);
        let reply = self.run(node, 0);
        self.rerun = outer;
        match reply {
            Reply::Ok => StepReading::Done(Outcome::Retried),
            Reply::Fenced => StepReading::Refused,
            Reply::Nothing => StepReading::Unknown,
            Reply::Failed { .. } => {
                StepReading::Busy { overloaded: true, retry_after_ms: Some(100) }
            }
        }
    }

    /// A correction bars the message that it corrects.
    fn notify(&mut self, action: ActionId) -> Outcome {
        if let Some(original) = self.book.get(action).correction_of {
            self.corrected[original.0 as usize] = true;
            self.fences[original.0 as usize] = true;
            for node in self.requests_of(original) {
                let row = &mut self.rows[node];
                if row.state.is_some_and(|s| s != HistoryState::Succeeded) {
                    row.state = Some(HistoryState::Fenced);
                }
            }
        }
        Outcome::Notified
    }
}
