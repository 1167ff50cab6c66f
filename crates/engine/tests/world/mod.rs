//! A small world around the engine: a fake clock, a store that is a map, services that answer as the test says, and a
//! checker that looks at every output. No sleeps, no threads.

#![allow(dead_code)] // each test file uses its own part

mod checks;

use amends_api::{CaseAct, CaseState, QuestionAct, QuestionId, StepAct, StrangerAct};
use amends_engine::{
    Activation, Answer, CaseRow, DomainEvent, Effect, Engine, HistoryResult, HoldScope, Input,
    Memory, Mend, Moment, NewLimits, Output, Replaces, SendStep, StepReading, StepResult, StepRow,
    StoredCase, Trust, Write, open_questions,
};
use amends_protocol::{
    CallbackProof, CaseId, Evidence, HistoryState, Outcome, OutcomeCallback, Report, ReportData,
    SagaBegin, SagaId, StepId, Timestamp, Verb,
};
use amends_rulebook::Rulebook;
use checks::{check_effect, check_step_change};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub const FOOD_ORDER: &str = include_str!("../../../../demo/rulebook/food-order.yaml");

/// How a service answers a step or a query.
#[derive(Clone, Debug)]
pub enum Reply {
    Done(Outcome),
    Says(StepReading),
    SaysWith(StepReading, Vec<Evidence>),
    /// The effect stays under way until [`World::answer`].
    Silent,
}

pub struct World {
    pub engine: Engine,
    pub now: Timestamp,
    /// How far the wall clock is ahead of supervisor time.
    pub ahead_ms: i64,
    pub trust: Trust,
    budget: usize,
    /// Versions that need not be read again after a crash.
    books: Vec<Arc<Rulebook>>,
    pub memory: Memory,
    // the outside
    pub under_way: VecDeque<Effect>,
    /// Services answer in an order of their own, whatever the order in which they were asked.
    pub answers_in_order: bool,
    /// By `verb service.action`, else `verb`, else done.
    pub replies: BTreeMap<String, Reply>,
    pub histories: BTreeMap<String, HistoryResult>,
    /// Services that answer every step with 429.
    pub limited: BTreeSet<String>,
    /// `verb service.action` in the order of sending.
    pub sent: Vec<String>,
    /// The same in full.
    pub sends: Vec<SendStep>,
    pub walked: Vec<String>,
    /// What people were told of Histories: the service, and whether they can be read.
    pub histories_told: Vec<(String, bool)>,
    /// What people were told of services: the service and the state of its breaker.
    pub breakers_told: Vec<String>,
    /// Everything that was told.
    pub told: Vec<DomainEvent>,
    answers: BTreeMap<u64, Answer>,
    ticket: u64,
}

impl World {
    pub fn new(rulebook: &str) -> Self {
        let book = Rulebook::from_yaml(rulebook).unwrap_or_else(|found| panic!("{found:#?}"));
        let mut world = Self {
            engine: Engine::new(0),
            now: Timestamp(1_700_000_000_000),
            ahead_ms: 0,
            trust: Trust::Agreed,
            budget: usize::MAX,
            books: vec![],
            memory: Memory::default(),
            under_way: VecDeque::new(),
            answers_in_order: false,
            replies: BTreeMap::new(),
            histories: BTreeMap::new(),
            limited: BTreeSet::new(),
            sent: vec![],
            sends: vec![],
            walked: vec![],
            histories_told: vec![],
            breakers_told: Vec::new(),
            told: Vec::new(),
            answers: BTreeMap::new(),
            ticket: 0,
        };
        world.activate(book);
        world
    }

    pub fn food_order() -> Self {
        Self::new(FOOD_ORDER)
    }

    pub fn activate(&mut self, book: Arc<Rulebook>) {
        assert_eq!(self.try_to_activate(book, Replaces::Any), Answer::Done);
    }

    pub fn try_to_activate(&mut self, rulebook: Arc<Rulebook>, replaces: Replaces) -> Answer {
        self.books.push(Arc::clone(&rulebook));
        let ticket = self.next_ticket();
        let (actor, reason) = ("test".into(), "test".into());
        let activation =
            Box::new(Activation { rulebook, actor, reason, from_file: false, replaces });
        self.input(Input::Activate { activation, ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    fn moment(&self) -> Moment {
        let wall = Timestamp(self.now.0 + self.ahead_ms);
        Moment { now: self.now, wall, trust: self.trust }
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// Cases may take so many bytes of memory from now on while nothing of them is under way.
    pub fn with_budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self.engine.set_budget(bytes);
        self
    }

    /// One turn of the loop with one input.
    pub fn mend(&mut self, mend: Mend) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::Mend { mend: Box::new(mend), ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn input(&mut self, input: Input) {
        self.turn([input]);
    }

    /// One turn of the loop: look up, step, commit, check, and take the effects.
    pub fn turn(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let mut inputs: Vec<Input> = inputs.into_iter().collect();
        self.memory.inform(&mut self.engine, &mut inputs);
        let moment = self.moment();
        for input in inputs {
            self.engine.handle(moment, input);
        }
        let out = self.engine.take_output(self.moment());
        self.commit(out);
        if self.engine.wants_cases() {
            self.turn([Input::Tick]);
        }
    }

    fn commit(&mut self, out: Output) {
        let mut steps: BTreeMap<StepId, &StepRow> = BTreeMap::new();
        for write in &out.writes {
            if let Write::Step(row) = write {
                let before = steps.insert(row.id, row).or_else(|| self.memory.step(row.id));
                before.into_iter().for_each(|before| check_step_change(before, row));
            }
            if let Write::Case(row) = write {
                let faults = row.extra.notes.iter().filter(|n| n.text.starts_with("fault"));
                assert_eq!(faults.count(), 0, "{:#?}", row.extra.notes);
            }
        }
        self.memory.commit(out.writes.into()).expect("one engine never contradicts itself");
        for effect in out.effects {
            check_effect(&effect, &self.memory, &self.books);
            match &effect {
                Effect::Send(send) => {
                    self.sent.push(format!("{} {}", send.verb, send.action));
                    self.sends.push((**send).clone());
                }
                Effect::ReadHistory(query) => self.walked.push(query.service.to_string()),
                Effect::Poll(_) => {}
            }
            self.under_way.push_back(effect);
        }
        for event in out.events {
            self.told.push(event.what.clone());
            match event.what {
                DomainEvent::Histories { service, available, .. } => {
                    self.histories_told.push((service.to_string(), available));
                }
                DomainEvent::Breaker { service, state, .. } => {
                    self.breakers_told.push(format!("{service} {state}"));
                }
                _ => {}
            }
        }
        for (ticket, answer) in out.answers {
            self.answers.insert(ticket, answer);
        }
    }

    pub fn steps_of(&self, case: CaseId) -> impl Iterator<Item = &StepRow> {
        self.memory.steps_of(case)
    }

    pub fn case(&self, case: CaseId) -> &CaseRow {
        self.memory.case_row(case).expect("stored")
    }

    /// The case, when there is just one.
    pub fn only_case(&self) -> CaseId {
        let mut cases = self.memory.cases();
        let case = cases.next().expect("a case").id;
        assert!(cases.next().is_none(), "there are several");
        case
    }

    /// Lets the services answer until nothing is under way (but the silent ones).
    pub fn settle_down(&mut self) {
        let mut silent = VecDeque::new();
        let mut left_of_round = 0;
        for _ in 0..50_000 {
            if self.answers_in_order && left_of_round == 0 {
                self.under_way.make_contiguous().sort_by_cached_key(order_of_answer);
                left_of_round = self.under_way.len();
            }
            left_of_round = left_of_round.saturating_sub(1);
            let Some(effect) = self.under_way.pop_front() else {
                self.under_way = silent;
                return;
            };
            match self.reply_to(&effect) {
                Some(input) => self.input(input),
                None => silent.push_back(effect),
            }
        }
        panic!("the services are asked without end: {:?}", &self.sent[self.sent.len() - 20..]);
    }

    fn reply_to(&self, effect: &Effect) -> Option<Input> {
        let service = Arc::clone(effect.service());
        let (step, attempt, verb, action) = match effect {
            Effect::ReadHistory(query) => {
                let result = match self.histories.get(&*query.service) {
                    Some(result) => result.clone(),
                    None => HistoryResult::Told(vec![].into()),
                };
                return Some(Input::HistoryEnded { case: query.case, service, result });
            }
            Effect::Send(send) => (send.step, send.attempt, send.verb, &send.action),
            Effect::Poll(poll) => (poll.step, poll.attempt, poll.verb, &poll.action),
        };
        let key = match effect {
            Effect::Poll(_) => format!("poll {action}"),
            _ => format!("{verb} {action}"),
        };
        if self.limited.contains(&*action.service) {
            let answer = StepReading::Busy { overloaded: true, retry_after_ms: Some(1_000) };
            let result = StepResult::new(answer, Some(429)).telling(vec![]);
            return Some(Input::StepEnded { step, attempt, service, result });
        }
        let reply = self.replies.get(&key).or_else(|| self.replies.get(&*action.service)).cloned();
        let plain = match verb {
            Verb::Compensate => Outcome::Compensated,
            Verb::Retry => Outcome::Retried,
            Verb::Notify => Outcome::Notified,
        };
        let (answer, history) = match reply.unwrap_or(Reply::Done(plain)) {
            Reply::Done(outcome) => (StepReading::Done(outcome), vec![]),
            Reply::Says(reading) => (reading, vec![]),
            Reply::SaysWith(reading, history) => (reading, history),
            Reply::Silent => return None,
        };
        let status = (answer == StepReading::Definite).then_some(404);
        let result = StepResult::new(answer, status).telling(history);
        Some(Input::StepEnded { step, attempt, service, result })
    }

    /// Answers the oldest effect under way for `verb service.action`.
    pub fn answer(&mut self, what: &str, answer: StepReading) {
        self.answer_with(what, answer, vec![]);
    }

    pub fn answer_with(&mut self, what: &str, answer: StepReading, history: Vec<Evidence>) {
        self.answer_as(what, StepResult::new(answer, None).telling(history));
    }

    /// The same by an answer that says nothing of calls.
    pub fn answer_without_history(&mut self, what: &str, answer: StepReading) {
        self.answer_as(what, StepResult::new(answer, Some(200)));
    }

    /// The same with the status that brought it.
    pub fn answer_by_status(&mut self, what: &str, answer: StepReading, status: u16) {
        self.answer_as(what, StepResult::new(answer, Some(status)).telling(vec![]));
    }

    /// The same with all that a try can bring.
    pub fn answer_as(&mut self, what: &str, result: StepResult) {
        let is_it =
            |e: &Effect| matches!(e, Effect::Send(s) if format!("{} {}", s.verb, s.action) == what);
        let position = self.under_way.iter().position(is_it);
        let position = position.unwrap_or_else(|| panic!("{what} is not under way"));
        let effect = self.under_way.remove(position).expect("found");
        let (step, attempt) = effect.step().expect("a step");
        let service = Arc::clone(effect.service());
        self.input(Input::StepEnded { step, attempt, service, result });
    }

    /// The only open question of a case.
    pub fn question(&self, case: CaseId) -> QuestionId {
        let book = self.books.last().expect("a rulebook");
        match open_questions(&self.stored(case), Some(book)).as_slice() {
            [one] => one.id(case),
            all => panic!("{all:#?}"),
        }
    }

    /// What a person says about the only open question of a case.
    pub fn answer_question(&mut self, case: CaseId, act: QuestionAct) -> Answer {
        let question = self.question(case);
        self.say(question, act)
    }

    pub fn answer_to(&mut self, input: Input, ticket: u64) -> Answer {
        self.input(input);
        self.answers.remove(&ticket).expect("answered")
    }

    /// What a person says of a name that a rulebook does not know.
    pub fn say_of_stranger(&mut self, rulebook: &str, action: &str, act: StrangerAct) -> Answer {
        let ticket = self.next_ticket();
        let action = action.parse().expect("service.action");
        let (rulebook, actor) = (rulebook.into(), "kim".into());
        self.answer_to(Input::StrangerAct { rulebook, action, act, actor, ticket }, ticket)
    }

    pub fn say(&mut self, question: QuestionId, act: QuestionAct) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::QuestionAct { question, act, actor: "kim".into(), bulk: None, ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn call_back_with(&mut self, step: StepId, outcome: Outcome, history: Vec<Evidence>) {
        let ticket = self.next_ticket();
        let callback = OutcomeCallback { history: history.into(), ..OutcomeCallback::of(outcome) };
        let callback = OutcomeCallback { proof: self.proof_of(step), ..callback };
        self.input(Input::StepCalledBack { step, callback, ticket });
        assert_eq!(self.answers.remove(&ticket), Some(Answer::Done));
    }

    /// A service calls back as the kit does: with the proof that it was sent.
    pub fn call_back(&mut self, step: StepId, outcome: Outcome) -> Answer {
        let proof = self.proof_of(step);
        self.call_back_as(step, OutcomeCallback { proof, ..OutcomeCallback::of(outcome) })
    }

    /// What the service was sent with the last try of a step.
    pub fn proof_of(&self, step: StepId) -> Option<CallbackProof> {
        self.sends.iter().rfind(|send| send.step == step).map(|send| send.proof.clone())
    }

    pub fn call_back_as(&mut self, step: StepId, callback: OutcomeCallback) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::StepCalledBack { step, callback, ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while let Some(at) = self.engine.next_wakeup().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
            self.settle_down();
        }
        self.now = end;
        self.input(Input::Tick);
        self.settle_down();
    }

    /// Passes the time without letting anybody answer.
    pub fn skip_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.input(Input::Tick);
    }

    /// The process dies and starts again on what is durable; what was under way is lost.
    pub fn crash(&mut self) {
        self.under_way.clear();
        let mut before = Engine::new(0);
        before.set_budget(self.budget);
        self.books.iter().for_each(|book| before.learn_rulebook(Arc::clone(book)));
        self.engine = self.memory.start(&mut before, self.moment());
        self.input(Input::Tick);
    }

    /// The process dies and finds another version active in its store.
    pub fn restart_with(&mut self, book: Arc<Rulebook>) {
        self.memory.put_active(&book, self.now);
        self.books.push(book);
        self.crash();
    }

    pub fn stored(&self, id: CaseId) -> StoredCase {
        self.memory.case(id).expect("stored")
    }

    pub fn report(&mut self, report: Report) -> CaseId {
        let ticket = self.next_ticket();
        self.input(Input::Report { report: Arc::new(report), known_in: None, ticket });
        match self.answers.remove(&ticket) {
            Some(Answer::Received { case, .. }) => case,
            other => panic!("{other:?}"),
        }
    }

    pub fn act(&mut self, step: StepId, act: StepAct) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::StepAct { step, act, actor: "kim".into(), bulk: None, ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn act_on_case(&mut self, case: CaseId, act: CaseAct) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::CaseAct { case, act, actor: "kim".into(), bulk: None, ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn pause(&mut self, service: &str, paused: bool) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::Pause {
            service: service.into(),
            paused,
            actor: "kim".into(),
            reason: "maintenance".into(),
            ticket,
        });
        self.answers.remove(&ticket).expect("answered")
    }

    /// Of a rule of the last rulebook, or of all of it.
    pub fn hold(&mut self, rule: Option<&str>, held: bool) -> Answer {
        let rulebook = self.books.last().expect("a rulebook").name().into();
        let scope = HoldScope { rulebook, rule: rule.map(Into::into) };
        let ticket = self.next_ticket();
        let (actor, reason) = ("kim".into(), "it refunds twice".into());
        let answer = self.answer_to(Input::HoldRule { scope, held, actor, reason, ticket }, ticket);
        self.input(Input::Tick); // cases are looked at in turns of their own
        answer
    }

    pub fn limit(&mut self, service: &str, limits: NewLimits) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::Limit {
            service: service.into(),
            limits,
            actor: "kim".into(),
            reason: "too much for it".into(),
            ticket,
        });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn begin(&mut self, saga: &str, service: &str, within_ms: u64) {
        self.announce(saga, service, None, within_ms);
    }

    pub fn begin_with(&mut self, saga: &str, service: &str, action: &str, within_ms: u64) {
        self.announce(saga, service, Some(action.to_owned()), within_ms);
    }

    fn announce(&mut self, saga: &str, service: &str, action: Option<String>, within_ms: u64) {
        let ticket = self.next_ticket();
        let begin = SagaBegin {
            saga_id: SagaId::new(saga).expect("valid"),
            service: service.to_owned(),
            action,
            deadline: self.now.plus_ms(within_ms),
            data: Map::new(),
        };
        self.input(Input::SagaBegan { begin, ticket });
    }

    pub fn end(&mut self, saga: &str) -> Answer {
        let ticket = self.next_ticket();
        self.input(Input::SagaEnded { saga: SagaId::new(saga).expect("valid"), ticket });
        self.answers.remove(&ticket).expect("answered")
    }

    pub fn step(&self, case: CaseId, what: &str) -> &StepRow {
        self.steps_of(case)
            .find(|s| format!("{} {}", s.verb, s.action) == what)
            .unwrap_or_else(|| panic!("{what} is not in the plan: {:?}", self.plan(case)))
    }

    /// The plan as a set of words, without order.
    pub fn plan(&self, case: CaseId) -> BTreeSet<String> {
        self.steps_of(case).map(|s| format!("{} {}", s.verb, s.action)).collect()
    }

    pub fn state(&self, case: CaseId) -> CaseState {
        self.case(case).state
    }
}

fn order_of_answer(effect: &Effect) -> String {
    let read = if let Effect::ReadHistory(query) = effect { Some(query.case) } else { None };
    format!("{} {read:?} {:?}", effect.service(), effect.step())
}

pub fn words<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

pub fn evidence(what: &str, request: &str, state: HistoryState) -> Evidence {
    let (service, action) = what.split_once('.').expect("service.action");
    Evidence::new(service, action, request, state)
}

/// A report `service/code` about a saga; further things are added by the methods.
pub fn report(kind: &str, saga: &str) -> Report {
    let (service, code) = kind.split_once('/').expect("service/code");
    Report {
        id: format!("{service}-{code}-{saga}"),
        source: service.to_owned(),
        saga_id: SagaId::new(saga).expect("valid"),
        time: None,
        traceparent: None,
        data: ReportData { code: code.to_owned(), ..ReportData::default() },
    }
}

pub trait Says: Sized {
    fn id(self, id: &str) -> Self;
    fn action(self, action: &str) -> Self;
    fn saw(self, what: &str, state: HistoryState) -> Self;
    fn caused_by(self, id: &str) -> Self;
    fn with(self, key: &str, value: Value) -> Self;
}

impl Says for Report {
    fn id(mut self, id: &str) -> Self {
        self.id = id.to_owned();
        self
    }

    fn action(mut self, action: &str) -> Self {
        self.data.action = Some(action.to_owned());
        self
    }

    fn saw(mut self, what: &str, state: HistoryState) -> Self {
        self.data.history.push(evidence(what, &format!("r-{what}"), state));
        self
    }

    fn caused_by(mut self, id: &str) -> Self {
        self.data.caused_by.push(id.to_owned());
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.data.data.insert(key.to_owned(), value);
        self
    }
}

/// What an operator says in these tests.
pub fn reason() -> String {
    "because".to_owned()
}

/// Payment failed for good, and its History says that it left nothing behind.
pub fn payment_report_1(saga: &str) -> Report {
    report("payment/report-1", saga)
        .action("pay")
        .saw("payment.pay", HistoryState::Failed)
        .saw("coupon.redeem", HistoryState::Succeeded)
        .saw("delivery.request", HistoryState::Succeeded)
}
