//! The engine itself: takes an input, finds the case, lets it change, and gathers what is to be written and done.
//!
//! INVARIANT: a case that is not settled is known here, in memory or in short (`spilling.rs`); a settled one is only
//! in the store. What is only in the store comes back by [`Engine::learn`] before an input that concerns it.

mod activation;
mod erasures;
mod homes;
mod loading;
mod partitions;
mod people;
mod permits;
mod quarantine;
mod reports;
mod rule_holds;
mod sagas;
mod secrets;
mod sending;
mod settings;
mod spilling;
mod strangers;

use crate::act::ActBy;
use crate::attempt;
use crate::case::Case;
use crate::holdings::Holdings;
use crate::residence::{MemoryUse, Residence};
use crate::rule_limits::RuleLimits;
use crate::service_queue::ServiceQueue;
use crate::strangers::Sighting;
use crate::timer::Timer;
use crate::turn::{Output, Turn};
use crate::{
    Answer, ErasedRow, Input, Moment, Partition, Quarantined, SagaRow, ServiceSettings,
    StrangerDecision, Ticket, UnreadableRow, Write,
};
use amends_api::{BreakerState, Cause};
use amends_protocol::{ActionName, CaseId, SagaId, StepId, Timestamp};
use amends_rulebook::{Rulebook, StillNeeded};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The state machine of one supervisor, or of the partitions of it that are here.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// Versions in use, by hash.
    books: FxHashMap<Arc<str>, Arc<Rulebook>>,
    /// Active versions, by name.
    active: BTreeMap<Arc<str>, Arc<Rulebook>>,
    /// Cases in memory.
    cases: FxHashMap<CaseId, Box<Case>>,
    residence: Residence,
    by_saga: BTreeMap<SagaId, CaseId>,
    /// Announced sagas that are under way.
    sagas: BTreeMap<SagaId, SagaRow>,
    /// Announced sagas that are not under way any more, as far as the inputs until the next output are about them.
    ended_sagas: BTreeMap<SagaId, SagaRow>,
    /// Announced sagas whose deadline the wall clock tells, by deadline; all others have a timer.
    by_wall: BTreeSet<(Timestamp, SagaId)>,
    turn: Turn,
    limits: RuleLimits,
    /// Of a store that several loops share; none if it is owned as a whole.
    holdings: Option<Holdings>,
    /// Partitions of the settled cases that have left with the last output, of a shared store.
    left: BTreeMap<CaseId, Partition>,
    /// Timers that are due but for what may have been left for their partition meanwhile, with their moments.
    unheard: Vec<(Timestamp, Timer)>,
    last_case: u64,
    last_erasure: u64,
    changed: BTreeSet<CaseId>,
    /// Cases that can't be worked on.
    quarantine: BTreeMap<CaseId, Quarantined>,
    /// Those of the engine before this one: they have been reported.
    quarantined_before: BTreeMap<CaseId, Quarantined>,
    /// Stored rows of no case that can't be read.
    unreadable: Vec<UnreadableRow>,
    /// Those that people have been told of before the last loading.
    unreadable_before: Vec<UnreadableRow>,
    /// Cases whose rows are to be removed before they are written anew.
    removed: Vec<CaseId>,
    /// Sagas whose business data go with the next output.
    erased: Vec<ErasedRow>,
    /// What open cases still have to ask for of which not all are here, as the store tells it for the inputs until the
    /// next output.
    needed: Vec<(Arc<str>, StillNeeded)>,
    /// Nothing more is sent: the process is about to stop.
    halted: bool,
}

/// What a service would be asked for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDemand {
    /// The service.
    pub service: Arc<str>,
    /// Most requests at once, from all nodes together.
    pub concurrency: u32,
    /// Requests of this node that are under way.
    pub in_flight: u32,
    /// Requests of this node that nothing but a missing permit keeps back.
    pub ready: u32,
}

/// How a service's queue stands, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceQueueStatus {
    /// The service.
    pub service: Arc<str>,
    /// The state of its breaker.
    pub breaker: BreakerState,
    /// Why everything that goes to it is kept back: a pause, an outage.
    pub keeps_back: Option<Cause>,
    /// What operators have set: a pause, limits.
    pub settings: ServiceSettings,
    /// Effects under way.
    pub in_flight: u32,
    /// Most effects at once.
    pub concurrency: u32,
    /// Most effects a second, if an operator set a limit.
    pub per_second: Option<u32>,
    /// Steps and histories that wait for their turn or for the service's return.
    pub queued: usize,
    /// Failures in a row.
    pub failures: u32,
    /// What it failed with last.
    pub message: Option<String>,
    /// Since when no History of it could be read, while its steps may go well.
    pub histories_failing_since: Option<Timestamp>,
    /// That has been so for ten minutes, without the service's pauses.
    pub histories_unavailable: bool,
    /// What the last reading failed with.
    pub histories_message: Option<String>,
}

impl Engine {
    /// An engine without cases, whose next case will have the number after `last_case`.
    #[must_use]
    pub fn new(last_case: u64) -> Self {
        Self { last_case, ..Self::default() }
    }

    /// When time alone will next have something to do.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.turn.traffic.timers.next_at()
    }

    /// Whether the saga's case is in memory.
    #[must_use]
    pub fn holds_saga(&self, saga: &SagaId) -> bool {
        self.by_saga.contains_key(saga)
    }

    /// Whether the case is in memory.
    #[must_use]
    pub fn holds_case(&self, case: CaseId) -> bool {
        self.cases.contains_key(&case)
    }

    /// Whether an announced saga is known to be under way.
    #[must_use]
    pub fn holds_announced(&self, saga: &SagaId) -> bool {
        self.sagas.contains_key(saga)
    }

    /// Number of open cases, in memory or not.
    #[must_use]
    pub fn open_cases(&self) -> usize {
        let MemoryUse { resident_cases, spilled_cases, .. } = self.memory_use();
        resident_cases + spilled_cases
    }

    /// Whether a version of a rulebook is known, by its hash.
    #[must_use]
    pub fn knows_rulebook(&self, hash: &str) -> bool {
        self.books.contains_key(hash)
    }

    /// All queues, by service.
    #[must_use]
    pub fn queues(&self) -> Vec<ServiceQueueStatus> {
        let mut queues: Vec<_> = self
            .turn
            .traffic
            .queues
            .iter()
            .map(|(service, queue)| ServiceQueueStatus {
                service: Arc::clone(service),
                breaker: queue.state(),
                keeps_back: queue.keeps_back(),
                settings: queue.settings.clone(),
                in_flight: queue.in_flight,
                concurrency: queue.concurrency(),
                per_second: queue.per_second(),
                queued: queue.queued(),
                failures: queue.failures(),
                message: queue.message.clone(),
                histories_failing_since: queue
                    .histories
                    .failing_since
                    .map(|at| self.on_the_wall(at)),
                histories_unavailable: queue.histories.unavailable,
                histories_message: queue.histories.message.clone(),
            })
            .collect();
        queues.sort_by(|a, b| a.service.cmp(&b.service));
        queues
    }

    /// Strangers that evidence has told of since the start, each with the rulebook that does not know it.
    pub(crate) fn strangers_heard(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, &ActionName, &Sighting)> {
        self.turn.strangers.unknown_to(&self.active)
    }

    /// What people have said of strangers, by rulebook and action.
    pub(crate) fn stranger_decisions(
        &self,
    ) -> impl Iterator<Item = (&(Arc<str>, ActionName), &StrangerDecision)> {
        self.turn.strangers.decided()
    }

    /// Whether the active version of a rulebook declares an action.
    pub(crate) fn declares(&self, rulebook: &str, action: &ActionName) -> bool {
        let book = self.active.get(rulebook);
        book.is_some_and(|book| book.action(&action.service, &action.action).is_some())
    }

    /// When a moment of supervisor time will be on the wall clock, or was.
    pub(crate) fn on_the_wall(&self, at: Timestamp) -> Timestamp {
        self.turn.moment.on_the_wall(at)
    }

    pub(crate) fn known_queue(&self, service: &Arc<str>) -> Option<&ServiceQueue> {
        self.turn.traffic.queues.get(service)
    }

    /// From now on nothing more is sent; results are still taken. For an orderly end of the process.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Takes one input. What comes of it is fetched by [`Engine::take_output`], for one input or many.
    pub fn handle(&mut self, moment: impl Into<Moment>, input: Input) {
        self.turn.moment = moment.into();
        let now = self.turn.moment.now;
        self.wake(now);
        match self.without_secrets(input) {
            Input::Report { report, known_in, ticket } => {
                self.report(now, report, known_in, ticket)
            }
            Input::StepEnded { step, attempt, service, result } => {
                self.hold_queue(now, &service, &result);
                let health = attempt::health(&result, step, self.definite_after_ms(step));
                self.queue_ended(now, &service, health, result.message.as_deref());
                self.step_ended(now, step, attempt, result);
            }
            Input::EndedElsewhere { step, attempt, result, .. } => {
                self.step_ended(now, step, attempt, result);
            }
            Input::StepCalledBack { step, callback, ticket } => {
                self.step_called_back(now, step, callback, ticket);
            }
            Input::HistoryEnded { case, service, result } => {
                let result = self.history_ended(now, &service, result);
                self.with_case(case, |case, engine| {
                    let news = case.reading_ended(&service, result, now, &mut engine.turn);
                    engine.go_on(case, news, now);
                });
            }
            Input::StepAct { step, act, actor, bulk, ticket } => {
                self.step_act(step, act, ActBy { actor: &actor, bulk, now }, ticket);
            }
            Input::CaseAct { case, act, actor, bulk, ticket } => {
                self.case_act(case, act, ActBy { actor: &actor, bulk, now }, ticket);
            }
            Input::QuestionAct { question, act, actor, bulk, ticket } => {
                self.question_act(question, act, ActBy { actor: &actor, bulk, now }, ticket);
            }
            Input::StrangerAct { rulebook, action, act, actor, ticket } => {
                let by = ActBy { actor: &actor, bulk: None, now };
                self.stranger_act(&rulebook, &action, &act, by, ticket);
            }
            Input::Pause { service, paused, actor, reason, ticket } => {
                self.pause(now, &service, paused, &actor, &reason, ticket);
            }
            Input::HoldRule { scope, held, actor, reason, ticket } => {
                let by = ActBy { actor: &actor, bulk: None, now };
                self.hold_rule(&scope, held, by, &reason, ticket);
            }
            Input::Limit { service, limits, actor, reason, ticket } => {
                self.limit(&service, limits, &actor, &reason, ticket);
            }
            Input::Audit { act, actor, reason, detail, ticket } => {
                self.audit(act, &actor, &reason, detail);
                self.turn.answer(ticket, Answer::Done);
            }
            Input::SagaBegan { begin, ticket } => self.saga_began(now, begin, ticket),
            Input::SagaEnded { saga, ticket } => self.saga_ended(now, &saga, ticket),
            Input::Activate { activation, ticket } => self.activate(*activation, ticket),
            Input::Mend { mend, ticket } => self.mend(now, *mend, ticket),
            Input::Erase { erase, ticket } => self.erase(*erase, ticket),
            Input::Unheld(input) => self.unheld(now, *input),
            Input::Tick => {}
        }
    }

    /// Everything that came of the inputs since the last call. The writes are to be durable before anything else of it
    /// happens; if they cannot be, this engine must be thrown away and loaded anew.
    pub fn take_output(&mut self, moment: impl Into<Moment>) -> Output {
        self.turn.moment = moment.into();
        // Only now, when all inputs of the turn have had their say: a later one may bring a step of an earlier stage.
        self.pump(self.turn.moment.now);
        let mut out = std::mem::take(&mut self.turn.out);
        self.ended_sagas.clear();
        self.left.clear();
        self.needed.clear();
        let mut writes = Vec::with_capacity(out.writes.len() + self.changed.len() * 4);
        writes.extend(std::mem::take(&mut self.removed).into_iter().map(Write::Remove));
        for id in std::mem::take(&mut self.changed) {
            self.erase_if_settled(id, &out.writes);
            let Some(case) = self.cases.get_mut(&id) else { continue };
            case.drain_writes(&mut writes);
            if case.is_settled()
                && let Some(case) = self.cases.remove(&id)
            {
                self.residence.left(&case);
                self.by_saga.remove(&case.row.saga);
                if self.holdings.is_some() {
                    self.left.insert(id, Partition::of(&case.row.saga));
                }
            }
            self.count_resident(id);
        }
        self.spill();
        self.forget_settled_in_quarantine();
        writes.append(&mut out.writes);
        out.writes = writes;
        self.write_erased(&mut out);
        out.rule_cases = self.limits.take_admitted();
        out
    }

    fn go_on(&mut self, case: &mut Case, planning: bool, now: Timestamp) {
        if planning {
            case.sign_of_life();
            case.plan(now, &mut self.turn);
        } else if case.may_need_fences() {
            case.plan(now, &mut self.turn);
        }
        self.advance(case, now);
    }

    fn advance(&mut self, case: &mut Case, now: Timestamp) {
        case.release(now, &mut self.turn);
        case.keep_ages(now, &mut self.turn);
        case.conclude(now, &mut self.turn);
    }

    /// Lets `change` work on a case and the engine side by side; none if there is no such case in memory.
    fn with_case<T>(
        &mut self,
        id: CaseId,
        change: impl FnOnce(&mut Case, &mut Self) -> T,
    ) -> Option<T> {
        let mut case = self.cases.remove(&id)?;
        case.wall = self.turn.moment.wall;
        self.turn.heard = self.heard_of(&case.row.saga);
        let result = change(&mut case, self);
        self.cases.insert(id, case);
        self.changed.insert(id);
        Some(result)
    }

    fn with_step<T>(
        &mut self,
        id: StepId,
        change: impl FnOnce(&mut Case, usize, &mut Self) -> T,
    ) -> Option<T> {
        self.with_case(id.case, |case, engine| {
            let index = case.step_index(id)?;
            Some(change(case, index, engine))
        })?
    }

    fn answer(&mut self, ticket: Ticket, answer: Option<Answer>, missing: impl FnOnce() -> String) {
        self.turn.answer(ticket, answer.unwrap_or_else(|| Answer::NotFound(missing())));
    }
}
