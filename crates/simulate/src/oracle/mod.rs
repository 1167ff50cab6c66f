//! A second opinion on a made-up rulebook: what does the real engine leave, of a saga that goes any way it can?
//!
//! It shares with the play that proves nothing but the engine. Services are at work by themselves and send each other
//! messages; calls are read from what was drawn, not from the rulebook; whatever may come next comes next. So it has no
//! choice of schedules that could be the wrong one, and it meets far more of them than it must.

mod chance;
mod faults;
mod services;
mod steps;
mod verdict;

use crate::made_up::MadeUp;
use crate::play::plan_lines;
use crate::supervisor::ModelSupervisor;
use amends_engine::{Effect, HistoryResult, Input, StepReading, StepResult};
use amends_protocol::Timestamp;
use amends_rulebook::Rulebook;
use chance::Chance;
use services::Saga;
use std::sync::Arc;

/// What comes in and goes out in one saga at most; what takes more never ends by itself.
const TURNS_LIMIT: usize = 600;

/// When the supervisor hears of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When all that can go on by itself has gone on, as the play that proves has it.
    Afterwards,
    /// While it goes on.
    Meanwhile,
}

/// Plays sagas of a made-up rulebook, each with one failure and else by chance; how many were played, and the story of
/// the first that ends neither whole nor undone.
#[must_use]
pub fn look(
    made: &MadeUp,
    book: &Arc<Rulebook>,
    pace: Pace,
    seed: u64,
    plays: u64,
) -> (u64, Option<Vec<String>>) {
    for n in 0..plays {
        let play = Play::new(made, book, pace, Chance::new(seed, n));
        if let Some(story) = play.run() {
            return (n + 1, Some(story));
        }
    }
    (plays, None)
}

struct Play<'m> {
    book: &'m Arc<Rulebook>,
    saga: Saga<'m>,
    supervisor: ModelSupervisor,
    pace: Pace,
}

/// What may come next.
enum Next {
    Move(usize),
    Late(usize),
    Report(usize),
    Effect(usize),
    Time,
}

impl<'m> Play<'m> {
    fn new(made: &'m MadeUp, book: &'m Arc<Rulebook>, pace: Pace, chance: Chance) -> Self {
        Self {
            book,
            saga: Saga::new(made, book, chance),
            supervisor: ModelSupervisor::new(book),
            pace,
        }
    }

    fn run(mut self) -> Option<Vec<String>> {
        self.saga.begin();
        if self.pace == Pace::Afterwards {
            self.saga.work();
        }
        for _ in 0..TURNS_LIMIT {
            self.supervisor.approve();
            match self.next() {
                Some(next) => self.go_on(next),
                None => {
                    let is_over = self.supervisor.is_at_rest() || !self.pass_time();
                    if is_over {
                        return self.verdict();
                    }
                }
            }
        }
        None
    }

    /// Any of what may happen now; none: nothing but time.
    fn next(&mut self) -> Option<Next> {
        let all = (0..self.saga.moves.len()).map(Next::Move);
        let all = all.chain((0..self.saga.late.len()).map(Next::Late));
        let all = all.chain((0..self.saga.outbox.len()).map(Next::Report));
        let mut all: Vec<Next> =
            all.chain((0..self.supervisor.effects.len()).map(Next::Effect)).collect();
        if all.is_empty() {
            return None;
        }
        // Nothing is done in no time at all, but nobody waits for hours while a service is at work.
        if self.saga.moves.is_empty() && self.supervisor.effects.is_empty() {
            all.push(Next::Time);
        }
        let n = self.saga.chance.below(all.len());
        Some(all.swap_remove(n))
    }

    fn go_on(&mut self, next: Next) {
        match next {
            Next::Move(n) => self.saga.happen(n),
            // Whoever declares a quiet time says that nothing is longer under way than that.
            Next::Late(n) if self.supervisor.is_quiet_time_over() => {
                self.saga.late.remove(n);
            }
            Next::Late(n) => {
                let late = self.saga.late.remove(n);
                self.saga.moves.push(late);
                if self.pace == Pace::Afterwards {
                    self.saga.work();
                }
            }
            Next::Report(n) => {
                let report = self.saga.outbox.remove(n);
                let report = Arc::clone(&self.saga.reports[report]);
                self.saga.tell(|| format!("reported: {}", report.data.code));
                self.supervisor.report(&report);
            }
            Next::Effect(n) => {
                if let Some(effect) = self.supervisor.effects.remove(n) {
                    self.perform(effect);
                }
            }
            Next::Time => {
                self.pass_time();
            }
        }
    }

    fn pass_time(&mut self) -> bool {
        self.supervisor.pass_time(Timestamp(i64::MAX))
    }

    fn perform(&mut self, effect: Effect) {
        let input = match effect {
            Effect::ReadHistory(walk) => {
                let keeps = self.book.service(&walk.service).map(|id| self.book.keeps_history(id));
                self.saga.tell(|| format!("History of {} is read: {keeps:?}", walk.service));
                let result = match keeps {
                    Some(true) => HistoryResult::Told(self.saga.history(&walk.service).into()),
                    _ => HistoryResult::NoHistory,
                };
                Input::HistoryEnded { case: walk.case, service: walk.service, result }
            }
            Effect::Send(send) => {
                let action = self.saga.action_named(&send.action.to_string());
                let (answer, calls) =
                    self.saga.perform(send.step, send.verb, action, &send.request_ids);
                self.saga.tell(|| format!("asked: {} {}: {answer:?}", send.verb, send.action));
                let service = Arc::clone(&send.action.service);
                let result = StepResult::new(answer, None).telling(calls);
                Input::StepEnded { step: send.step, attempt: send.attempt, service, result }
            }
            Effect::Poll(poll) => {
                // Nobody answers 202 here.
                let service = Arc::clone(&poll.action.service);
                let result = StepResult::new(StepReading::Unknown, None);
                Input::StepEnded { step: poll.step, attempt: poll.attempt, service, result }
            }
        };
        self.supervisor.input(input);
    }

    fn verdict(self) -> Option<Vec<String>> {
        if !self.supervisor.is_settled() {
            return None;
        }
        let left = self.saga.left(self.supervisor.past())?;
        let mut story = self.saga.story;
        story.extend(plan_lines(&self.supervisor));
        story.push(left);
        Some(story)
    }
}
