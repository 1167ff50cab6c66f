//! What the supervisor asks of a service: to undo, to run again, to send a correction.

use super::services::{Reply, Request, Saga, id};
use crate::made_up::Class;
use amends_engine::StepReading;
use amends_protocol::{Evidence, HistoryState, Outcome, StepId, Verb};
use std::sync::Arc;

impl Saga<'_> {
    /// Carries out a step once, however often it is asked for; with the calls that the service knows of.
    pub(super) fn perform(
        &mut self,
        step: StepId,
        verb: Verb,
        action: usize,
        named: &[Arc<str>],
    ) -> (StepReading, Vec<Evidence>) {
        let reading = match self.remembered.get(&step) {
            Some(outcome) => StepReading::Done(*outcome),
            None => match verb {
                Verb::Compensate => StepReading::Done(self.compensate(action, named)),
                Verb::Notify => StepReading::Done(self.correct(action)),
                Verb::Retry => self.run_again(action, named),
            },
        };
        if let StepReading::Done(outcome) = reading {
            self.remembered.insert(step, outcome);
        }
        if self.made.actions[action].is_mapped() {
            return (reading, Vec::new());
        }
        let mut calls = self.own_calls(&format!("s{}", self.made.actions[action].service));
        calls.retain(|call| call.state.may_have_effect());
        (reading, calls)
    }

    fn of_action(&mut self, action: usize) -> impl Iterator<Item = (usize, &mut Request)> {
        let all = self.requests.iter_mut().enumerate();
        all.filter(move |(_, r)| r.action == action && r.state.is_some())
    }

    fn compensate(&mut self, action: usize, named: &[Arc<str>]) -> Outcome {
        self.fences[action] = true;
        let class = self.made.actions[action].class;
        if !self.made.actions[action].is_undoable() {
            // Barred from now on; what it has done stays.
            for (_, request) in self.of_action(action) {
                if request.state != Some(HistoryState::Succeeded) {
                    request.state = Some(HistoryState::Fenced);
                }
            }
            return Outcome::NothingToCompensate;
        }
        let one = named.first().filter(|_| class == Class::Charged).cloned();
        let (mut undone, mut before) = (false, false);
        for (n, request) in self.of_action(action) {
            if one.as_ref().is_some_and(|one| **one != *id(n)) {
                continue;
            }
            match (request.state, request.effect) {
                (Some(HistoryState::Compensated), _) => before = true,
                (_, true) | (Some(HistoryState::Succeeded), _) => {
                    undone |= request.effect;
                    request.state = Some(HistoryState::Compensated);
                }
                _ => request.state = Some(HistoryState::Fenced),
            }
            request.effect = false;
        }
        match (undone, before) {
            (true, _) => Outcome::Compensated,
            (false, true) => Outcome::AlreadyCompensated,
            (false, false) => Outcome::NothingToCompensate,
        }
    }

    /// A correction that was sent bars the message.
    fn correct(&mut self, action: usize) -> Outcome {
        self.corrected[action] = true;
        self.fences[action] = true;
        for (_, request) in self.of_action(action) {
            if request.state != Some(HistoryState::Succeeded) {
                request.state = Some(HistoryState::Fenced);
            }
        }
        Outcome::Notified
    }

    /// The latest that did not succeed, one that is named before others; one that alone is named and has succeeded is
    /// meant all the same.
    fn run_again(&mut self, action: usize, named: &[Arc<str>]) -> StepReading {
        let known: Vec<usize> = self.of_action(action).map(|(n, _)| n).collect();
        let is_named = |n: &usize| named.iter().any(|name| **name == *id(*n));
        let open = |n: &&usize| self.requests[**n].state != Some(HistoryState::Succeeded);
        let chosen = known
            .iter()
            .rfind(|n| open(n) && is_named(n))
            .or_else(|| known.iter().find(|n| named.len() == 1 && is_named(n)))
            .or_else(|| known.iter().rfind(open))
            .or(known.last());
        let Some(n) = chosen.copied() else {
            return if self.fences[action] { StepReading::Refused } else { StepReading::Unknown };
        };
        let busy = StepReading::Busy { overloaded: false, retry_after_ms: None };
        match self.requests[n].state {
            Some(HistoryState::Succeeded) => return StepReading::Done(Outcome::Retried),
            Some(HistoryState::Compensated | HistoryState::Fenced) => return StepReading::Refused,
            Some(HistoryState::Started) if self.requests[n].is_running => return busy,
            _ => {}
        }
        let outer = self.rerun.replace(n);
        self.start(n);
        self.work();
        self.rerun = outer;
        match self.requests[n].reply {
            Some(Reply::Ok) => StepReading::Done(Outcome::Retried),
            Some(Reply::Fenced) => StepReading::Refused,
            Some(Reply::Failed(_)) => {
                StepReading::Busy { overloaded: true, retry_after_ms: Some(100) }
            }
            Some(Reply::Nothing) | None => StepReading::Unknown,
        }
    }
}
