//! One state of the small world: services, network, the real engine and its rows; what may happen next, and what must
//! hold.

use super::business::Business;
use super::services::{Entry, Outbox, SAGA, Said, Services};
use amends_api::{CaseState, ClosedOn};
use amends_engine::{
    Activation, CaseRow, Effect, Engine, HistoryResult, Input, Memory, Moment, Replaces,
    StepReading, StepResult, StepState, Trust,
};
use amends_protocol::{HistoryState, OutcomeCallback, Report, SagaId, StepId, Timestamp};
use amends_rulebook::Rulebook;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    EntryArrives,
    Call(usize),
    Arrives(usize, bool),
    TimesOut(usize),
    Ends,
    ReportOfA,
    ReportOfB(usize),
    LoseReportOfA,
    LoseReportOfB(usize),
    SayTheEnd,
    Answer(usize),
    LoseAnswer(usize),
    Accept(usize),
    CallBack(usize),
    Crash,
    Time,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryArrives => f.write_str("a.x arrives"),
            Self::Call(n) => write!(f, "a calls b.y, request {n}"),
            Self::Arrives(n, true) => write!(f, "b.y request {n} arrives and succeeds"),
            Self::Arrives(n, false) => write!(f, "b.y request {n} arrives and fails"),
            Self::TimesOut(n) => write!(f, "a waits no longer for request {n}"),
            Self::Ends => f.write_str("a.x ends"),
            Self::ReportOfA => f.write_str("a's report comes"),
            Self::ReportOfB(n) => write!(f, "b's report of request {n} comes"),
            Self::LoseReportOfA => f.write_str("a's report is lost"),
            Self::LoseReportOfB(n) => write!(f, "b's report of request {n} is lost"),
            Self::SayTheEnd => f.write_str("a says that the saga has ended"),
            Self::Answer(n) => write!(f, "effect {n} is answered"),
            Self::LoseAnswer(n) => write!(f, "effect {n} is done and its answer is lost"),
            Self::Accept(n) => write!(f, "effect {n} is accepted (202)"),
            Self::CallBack(n) => write!(f, "accepted step {n} is done and called back"),
            Self::Crash => f.write_str("the supervisor crashes and starts again"),
            Self::Time => f.write_str("time passes to the next timer"),
        }
    }
}

#[derive(Clone)]
pub(super) struct State {
    services: Services,
    engine: Engine,
    memory: Memory,
    book: Arc<Rulebook>,
    now: Timestamp,
    effects: Vec<Effect>,
    accepted: Vec<StepId>,
    faults: u8,
}

impl State {
    pub(super) fn new(business: &Business) -> Self {
        let book = Rulebook::from_yaml(&business.rulebook())
            .unwrap_or_else(|found| unreachable!("{}: {found:?}", business.name));
        let mut state = Self {
            services: Services::new(business),
            engine: Engine::new(0),
            memory: Memory::default(),
            book: Arc::clone(&book),
            now: Timestamp(1_700_000_000_000),
            effects: Vec::new(),
            accepted: Vec::new(),
            faults: business.faults,
        };
        let activation = Activation {
            rulebook: book,
            actor: "model".into(),
            reason: "model".into(),
            from_file: false,
            replaces: Replaces::Any,
        };
        state.turn(Input::Activate { activation: Box::new(activation), ticket: 0 });
        state
    }

    /// Everything that may happen now.
    pub(super) fn moves(&self) -> Vec<Move> {
        let services = &self.services;
        let mut moves = Vec::new();
        let mut may = |holds: bool, what: Move| {
            if holds {
                moves.push(what);
            }
        };
        may(services.entry == Entry::OnTheWay, Move::EntryArrives);
        may(services.may_end(), Move::Ends);
        for (n, call) in services.calls.iter().enumerate() {
            may(services.may_call(n), Move::Call(n));
            may(call.on_the_way, Move::Arrives(n, true));
            may(call.on_the_way, Move::Arrives(n, false));
            may(call.at_caller == Some(HistoryState::Started), Move::TimesOut(n));
            may(services.reports_of_b[n] == Outbox::Waiting, Move::ReportOfB(n));
            let lost = services.reports_of_b[n] == Outbox::Waiting && self.faults > 0;
            may(lost, Move::LoseReportOfB(n));
        }
        may(services.report_of_a == Outbox::Waiting, Move::ReportOfA);
        may(services.report_of_a == Outbox::Waiting && self.faults > 0, Move::LoseReportOfA);
        may(services.may_say_the_end() && self.case().is_some(), Move::SayTheEnd);
        for (n, effect) in self.effects.iter().enumerate() {
            may(true, Move::Answer(n));
            may(self.faults > 0, Move::LoseAnswer(n));
            may(self.faults > 0 && matches!(effect, Effect::Send(_)), Move::Accept(n));
        }
        (0..self.accepted.len()).for_each(|n| may(true, Move::CallBack(n)));
        may(self.faults > 0 && self.case().is_some(), Move::Crash);
        let waits = self.effects.is_empty() && self.accepted.is_empty();
        may(waits && self.engine.next_wakeup().is_some(), Move::Time);
        moves
    }

    pub(super) fn make(&mut self, what: Move) {
        match what {
            Move::EntryArrives => self.services.entry_arrives(),
            Move::Call(n) => self.services.call(n),
            Move::Arrives(n, succeeds) => self.services.call_arrives(n, succeeds),
            Move::TimesOut(n) => {
                self.services.calls[n].at_caller = Some(HistoryState::Unknown);
            }
            Move::Ends => self.services.ends(),
            Move::ReportOfA => {
                self.services.report_of_a = Outbox::Gone;
                self.report(self.services.report_by_a());
            }
            Move::ReportOfB(n) => {
                self.services.reports_of_b[n] = Outbox::Gone;
                self.report(self.services.report_by_b(n));
            }
            Move::LoseReportOfA => {
                self.faults -= 1;
                self.services.report_of_a = Outbox::Gone;
            }
            Move::LoseReportOfB(n) => {
                self.faults -= 1;
                self.services.reports_of_b[n] = Outbox::Gone;
            }
            Move::SayTheEnd => {
                self.services.end_said = true;
                self.turn(Input::SagaEnded { saga: saga(), ticket: 0 });
            }
            Move::Answer(n) => self.answer(n),
            Move::LoseAnswer(n) => self.lose_answer(n),
            Move::Accept(n) => self.accept(n),
            Move::CallBack(n) => self.call_back(n),
            Move::Crash => self.crash(),
            Move::Time => {
                self.now = self.now.max(self.engine.next_wakeup().unwrap_or(self.now));
                self.turn(Input::Tick);
            }
        }
    }

    fn report(&mut self, report: Report) {
        self.turn(Input::Report { report: Arc::new(report), known_in: None, ticket: 0 });
    }

    fn answer(&mut self, n: usize) {
        let effect = self.effects.remove(n);
        let result = self.perform(&effect);
        self.ended(&effect, result);
    }

    /// It was done, and nobody hears of it.
    fn lose_answer(&mut self, n: usize) {
        self.faults -= 1;
        let effect = self.effects.remove(n);
        let _ = self.perform(&effect);
        self.ended(&effect, Heard::Nothing);
    }

    fn accept(&mut self, n: usize) {
        self.faults -= 1;
        let effect = self.effects.remove(n);
        self.accepted.extend(effect.step().map(|(step, _)| step));
        self.ended(
            &effect,
            Heard::Step(StepReading::Accepted { location: None, retry_after_ms: None }),
        );
    }

    fn call_back(&mut self, n: usize) {
        let step = self.accepted.remove(n);
        let Some(row) = self.memory.step(step) else { return };
        let service = Arc::clone(&row.action.service);
        if let Said::Ended(outcome) = self.services.compensate(&service) {
            let callback = OutcomeCallback::of(outcome);
            self.turn(Input::StepCalledBack { step, callback, ticket: 0 });
        } else {
            self.accepted.push(step);
        }
    }

    /// What was under way is lost; what was accepted will be called back all the same.
    fn crash(&mut self) {
        self.faults -= 1;
        self.effects.clear();
        let mut before = Engine::new(0);
        before.set_budget(usize::MAX);
        before.learn_rulebook(Arc::clone(&self.book));
        self.engine = self.memory.start(&mut before, self.moment());
        self.turn(Input::Tick);
    }

    fn perform(&mut self, effect: &Effect) -> Heard {
        match effect {
            Effect::ReadHistory(walk) => Heard::History(self.services.history(&walk.service)),
            Effect::Send(send) => match self.services.compensate(&send.action.service) {
                Said::Ended(outcome) => Heard::Step(StepReading::Done(outcome)),
                Said::Busy => {
                    Heard::Step(StepReading::Busy { overloaded: false, retry_after_ms: None })
                }
            },
            Effect::Poll(_) => Heard::Nothing,
        }
    }

    fn ended(&mut self, effect: &Effect, heard: Heard) {
        let service = Arc::clone(effect.service());
        let input = match (effect, heard) {
            (Effect::ReadHistory(walk), Heard::History(told)) => Input::HistoryEnded {
                case: walk.case,
                service,
                result: HistoryResult::Told(told.into()),
            },
            (Effect::ReadHistory(walk), _) => {
                let message = "no answer".to_owned();
                let result =
                    HistoryResult::Failed { message, unreachable: false, retry_after_ms: None };
                Input::HistoryEnded { case: walk.case, service, result }
            }
            (_, heard) => {
                let Some((step, attempt)) = effect.step() else { return };
                let answer =
                    if let Heard::Step(reading) = heard { reading } else { StepReading::Unknown };
                let status = matches!(answer, StepReading::Busy { .. }).then_some(409);
                let told = self.services.calls_of(&service);
                let result = StepResult::new(answer, status).telling(told);
                Input::StepEnded { step, attempt, service, result }
            }
        };
        self.turn(input);
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, wall: self.now, trust: Trust::Agreed }
    }

    /// One turn of the loop.
    fn turn(&mut self, input: Input) {
        let mut inputs = [input];
        self.memory.inform(&mut self.engine, &mut inputs);
        let moment = self.moment();
        let [input] = inputs;
        self.engine.handle(moment, input);
        let out = self.engine.take_output(moment);
        let committed = self.memory.commit(out.writes.into());
        debug_assert!(committed.is_ok(), "{committed:?}");
        self.effects.extend(out.effects);
        if self.engine.wants_cases() {
            self.turn(Input::Tick);
        }
    }

    fn case(&self) -> Option<&CaseRow> {
        self.memory.cases().next()
    }

    /// What must hold in every state.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(case) = self.case() else { return Ok(()) };
        let standing = self.services.standing();
        let left = &case.extra.may_still_stand;
        let is_named = |action: &&str| left.iter().any(|one| one.name().to_string() == **action);
        match (case.state, case.closed_on) {
            (CaseState::Stuck | CaseState::Unmatched, _) => {
                let stuck = self.memory.steps_of(case.id).map(|s| format!("{:?}", s.state));
                let stuck: Vec<_> = stuck.collect();
                Err(format!(
                    "every service keeps its promises, and the case is {}: {stuck:?}",
                    case.state
                ))
            }
            (CaseState::Settled, Some(ClosedOn::Proven)) if !standing.is_empty() => {
                Err(format!("the case is proven, and {} stands", standing.join(", ")))
            }
            (CaseState::Settled, Some(ClosedOn::Quiet)) if !standing.iter().all(is_named) => {
                Err(format!(
                    "the case is quiet, {} stands, and it names only {left:?}",
                    standing.join(", ")
                ))
            }
            _ => Ok(()),
        }
    }

    /// What must hold where nothing can happen any more; how it ended.
    pub(super) fn end(&self) -> Result<String, String> {
        match self.case() {
            None => Ok("no case".to_owned()),
            Some(case) if case.state == CaseState::Settled => {
                Ok(case.closed_on.map_or("settled", ClosedOn::as_str).to_owned())
            }
            Some(case) => {
                Err(format!("nothing can happen any more, and the case is {}", case.state))
            }
        }
    }

    /// The same for states that can't be told apart, but for the time and the number of tries.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.services.hash(&mut hash);
        (self.faults, &self.accepted).hash(&mut hash);
        let mut effects: Vec<String> = self.effects.iter().map(told_effect).collect();
        effects.sort_unstable();
        effects.hash(&mut hash);
        for queue in self.engine.queues() {
            (&queue.service, queue.breaker, queue.failures, queue.in_flight).hash(&mut hash);
        }
        let Some(case) = self.case() else { return hash.finish() };
        self.hash_case(case, &mut hash);
        for row in self.memory.reports_of(case.id) {
            (&row.report.id, std::mem::discriminant(&row.role)).hash(&mut hash);
        }
        for step in self.memory.steps_of(case.id) {
            let is_due = matches!(step.state, StepState::Due(at) if at <= self.now);
            let ended =
                if let StepState::Done(outcome) = step.state { Some(outcome) } else { None };
            (step.verb, &step.action, step.state.name(), ended, step.stage, is_due).hash(&mut hash);
            (step.extra.may_have_run, step.attempts == 0).hash(&mut hash);
        }
        hash.finish()
    }

    fn hash_case(&self, case: &CaseRow, hash: &mut DefaultHasher) {
        let memo = &case.extra;
        (case.state, case.closed_on, memo.looked_again, memo.quiet_at.is_some()).hash(hash);
        memo.saga_ended_at.is_some().hash(hash);
        for walk in &memo.histories {
            let mut told: Vec<String> = walk.entries.iter().map(|e| format!("{e:?}")).collect();
            told.sort_unstable();
            let is_due = walk.due_at.is_some_and(|at| at <= self.now.0);
            (&walk.service, walk.answered, walk.in_flight, walk.asked_after_end).hash(hash);
            (walk.told_at.is_some(), walk.asked_after_callers, is_due, told).hash(hash);
        }
        let mut told: Vec<String> =
            memo.told.iter().map(|told| format!("{} {:?}", told.by, told.evidence)).collect();
        told.sort_unstable();
        told.hash(hash);
    }
}

/// What came of an effect.
enum Heard {
    Step(StepReading),
    History(Vec<amends_protocol::Evidence>),
    Nothing,
}

fn told_effect(effect: &Effect) -> String {
    match effect {
        Effect::ReadHistory(walk) => format!("history of {}", walk.service),
        Effect::Send(send) => format!("{} {}", send.verb, send.action),
        Effect::Poll(poll) => format!("poll {}", poll.action),
    }
}

fn saga() -> SagaId {
    SagaId::new(SAGA).unwrap_or_else(|_| unreachable!("printable"))
}
