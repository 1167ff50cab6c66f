//! The engine itself: takes an input, finds the case, lets it change, and gathers what is to be written and done.
//!
//! INVARIANT: a case that is not settled is in memory; a settled one is only in the store and comes back by
//! [`Engine::hydrate`] before an input that concerns it.

use crate::agenda::{Agenda, Output};
use crate::attempt;
use crate::case::Case;
use crate::lane::{Breaker, BreakerChange, Health, Job};
use crate::plan::{REPORTS_LIMIT, RuleLimits};
use crate::timer::Timer;
use crate::transition::StepEvent;
use crate::walk;
use crate::{
    ActRow, Answer, CaseMemo, CaseRow, Errand, Happening, Input, ReportRole, ReportRow,
    RulebookRef, SagaRow, SagaState, StepState, StoredCase, Ticket, Write,
};
use amends_protocol::resources::SagaBegin;
use amends_protocol::{CaseId, CaseState, Report, ReportData, SagaId, StepId, Timestamp};
use amends_rulebook::Rulebook;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The source of reports that the supervisor itself makes.
pub const SUPERVISOR: &str = "supervisor";

/// Steps looked at for their age each time that a dead service is probed; the oldest are first.
const EXPIRE_SLICE: usize = 100;

/// The state machine of one supervisor (or one partition of it).
#[derive(Debug, Default)]
pub struct Engine {
    /// Versions in use, by hash.
    books: FxHashMap<Arc<str>, Arc<Rulebook>>,
    /// Active versions, by name.
    active: BTreeMap<Arc<str>, Arc<Rulebook>>,
    cases: FxHashMap<CaseId, Box<Case>>,
    by_saga: FxHashMap<SagaId, CaseId>,
    /// Announced sagas that are under way.
    sagas: FxHashMap<SagaId, SagaRow>,
    agenda: Agenda,
    limits: RuleLimits,
    last_case: u64,
    changed: BTreeSet<CaseId>,
    /// Nothing more is sent: the process is about to stop.
    halted: bool,
}

/// How a service's lane stands, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// The service.
    pub service: Arc<str>,
    /// `closed`, `open` or `probing`.
    pub breaker: &'static str,
    /// Whether a person has paused it.
    pub paused: bool,
    /// Errands under way.
    pub in_flight: u32,
    /// Most errands at once.
    pub concurrency: u32,
    /// Steps and walks that wait for their turn or for the service's return.
    pub queued: usize,
    /// Failures in a row.
    pub failures: u32,
    /// What it failed with last.
    pub message: Option<String>,
}

impl Engine {
    /// An engine without cases, whose next case will have the number after `last_case`.
    #[must_use]
    pub fn new(last_case: u64) -> Self {
        Self { last_case, ..Self::default() }
    }

    // ---- looking ----

    /// When time alone will next have something to do.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.agenda.timers.next_at()
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

    /// Number of cases in memory.
    #[must_use]
    pub fn open_cases(&self) -> usize {
        self.cases.len()
    }

    /// Whether a version of a rulebook is known, by its hash.
    #[must_use]
    pub fn knows_rulebook(&self, hash: &str) -> bool {
        self.books.contains_key(hash)
    }

    /// All lanes, by service.
    #[must_use]
    pub fn lanes(&self) -> Vec<LaneStatus> {
        let mut lanes: Vec<_> = self
            .agenda
            .lanes
            .iter()
            .map(|(service, lane)| LaneStatus {
                service: Arc::clone(service),
                breaker: lane.breaker.as_str(),
                paused: lane.paused,
                in_flight: lane.in_flight,
                concurrency: lane.limit,
                queued: lane.queued(),
                failures: lane.failures,
                message: lane.message.clone(),
            })
            .collect();
        lanes.sort_by(|a, b| a.service.cmp(&b.service));
        lanes
    }

    // ---- loading ----

    /// Makes a version known without making it active: cases that are restored may need it.
    pub fn learn_rulebook(&mut self, book: Arc<Rulebook>) {
        self.books.insert(book.hash().into(), book);
    }

    /// Makes a version the active one of its name, without audit: at start, from the store.
    pub fn restore_active(&mut self, book: Arc<Rulebook>) {
        self.set_limits(&book);
        self.learn_rulebook(Arc::clone(&book));
        self.active.insert(book.name().into(), book);
    }

    /// Takes back an open case after a restart: what was under way counts as unanswered, timers are set again.
    pub fn restore(&mut self, now: Timestamp, stored: StoredCase) {
        let id = stored.case.id;
        self.hydrate(stored);
        self.with_case(id, |case, engine| {
            let agenda = &mut engine.agenda;
            for index in 0..case.steps.len() {
                let step = &case.steps[index];
                let (step_id, service) = (step.id, Arc::clone(&step.action.service));
                match &step.state {
                    StepState::InFlight => case.interrupted(index, now, agenda),
                    StepState::Due(at) if *at <= now => {
                        agenda.enqueue(&service, Job::Step(step_id))
                    }
                    StepState::Due(at) => agenda.timers.set(*at, Timer::Step(step_id)),
                    StepState::Accepted { poll_at, until, location } => {
                        let at = if location.is_some() { (*poll_at).min(*until) } else { *until };
                        agenda.timers.set(at, Timer::Step(step_id));
                    }
                    _ => {}
                }
            }
            case.resume_walks(now, agenda);
            if let Some(at) = case.row.detail.quiet_at {
                agenda.timers.set(Timestamp(at), Timer::Quiet(id));
            }
            for row in &case.reports {
                if let ReportRole::AwaitsRoot(until) = row.role {
                    agenda.timers.set(Timestamp(until), Timer::Cause(id));
                }
            }
            case.plan(now, &mut engine.agenda);
            engine.advance(case, now);
        });
    }

    /// Takes back an announced saga after a restart.
    pub fn restore_saga(&mut self, row: SagaRow) {
        if row.state == SagaState::Begun {
            self.agenda.timers.set(row.deadline, Timer::Deadline(row.saga.clone()));
            self.sagas.insert(row.saga.clone(), row);
        }
    }

    /// Brings a settled case back into memory for the input that follows; it leaves again with the next output unless
    /// it was reopened. A case that is in memory already stays as it is.
    pub fn hydrate(&mut self, stored: StoredCase) {
        let id = stored.case.id;
        if self.cases.contains_key(&id) {
            return;
        }
        let book = stored.case.rulebook.as_ref().and_then(|r| self.books.get(&r.hash)).cloned();
        self.by_saga.insert(stored.case.saga.clone(), id);
        self.cases.insert(id, Box::new(Case::stored(stored, book)));
        self.last_case = self.last_case.max(id.0);
        self.changed.insert(id);
    }

    /// From now on nothing more is sent; results are still taken. For an orderly end of the process.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    // ---- what happens ----

    /// Takes one input. What comes of it is fetched by [`Engine::take_output`], for one input or many.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.wake(now);
        match input {
            Input::Report { report, known_in, ticket } => {
                self.report(now, *report, known_in, ticket)
            }
            Input::StepEnded { step, attempt, service, result } => {
                self.lane_ended(now, &service, attempt::health(&result), result.message.as_deref());
                self.with_step(step, |case, index, engine| {
                    let planning = case.step_ended(index, attempt, result, now, &mut engine.agenda);
                    engine.go_on(case, planning, now);
                });
            }
            Input::StepCalledBack { step, callback, ticket } => {
                let answer = self.with_step(step, |case, index, engine| {
                    let answer = match case.called_back(index, callback, now, &mut engine.agenda) {
                        Ok(()) => Answer::Done,
                        Err(why) => Answer::Conflict(why),
                    };
                    engine.go_on(case, true, now);
                    answer
                });
                self.answer(ticket, answer, || format!("there is no step {step}"));
            }
            Input::WalkEnded { case, service, result } => {
                let (health, message) = walk::health(&result);
                self.lane_ended(now, &service, health, message);
                self.with_case(case, |case, engine| {
                    let news = case.walk_ended(&service, result, now, &mut engine.agenda);
                    engine.go_on(case, news, now);
                });
            }
            Input::StepAct { step, act, actor, ticket } => {
                let answer = self.with_step(step, |case, index, engine| {
                    let answer = case.step_act(index, act, &actor, now, &mut engine.agenda);
                    engine.go_on(case, true, now);
                    answer
                });
                self.answer(ticket, answer, || format!("there is no step {step}"));
            }
            Input::CaseAct { case, act, actor, ticket } => {
                self.case_act(now, case, act, &actor, ticket)
            }
            Input::Pause { service, paused, actor, reason, ticket } => {
                self.pause(now, &service, paused, &actor, &reason, ticket);
            }
            Input::SagaBegan { begin, ticket } => self.saga_began(begin, ticket),
            Input::SagaEnded { saga, ticket } => self.saga_ended(&saga, ticket),
            Input::Activate { rulebook, actor, reason, ticket } => {
                self.activate(now, rulebook, &actor, &reason, ticket);
            }
            Input::Tick => {}
        }
        self.pump(now);
    }

    /// Everything that came of the inputs since the last call. The writes are to be durable before anything else of it
    /// happens; if they cannot be, this engine must be thrown away and loaded anew.
    pub fn take_output(&mut self, now: Timestamp) -> Output {
        let mut out = std::mem::take(&mut self.agenda.out);
        let mut writes = Vec::with_capacity(out.writes.len() + self.changed.len() * 4);
        for id in std::mem::take(&mut self.changed) {
            let Some(case) = self.cases.get_mut(&id) else { continue };
            case.drain_writes(now, &mut writes);
            if case.is_settled()
                && let Some(case) = self.cases.remove(&id)
            {
                self.by_saga.remove(&case.row.saga);
            }
        }
        writes.append(&mut out.writes);
        out.writes = writes;
        out
    }

    // ---- reports ----

    fn report(&mut self, now: Timestamp, report: Report, known_in: Option<CaseId>, ticket: Ticket) {
        let in_memory =
            self.by_saga.get(&report.saga_id).and_then(|id| self.cases.get(id)).filter(|case| {
                case.reports
                    .iter()
                    .any(|r| r.report.id == report.id && r.report.source == report.source)
            });
        if let Some(case) = known_in.or(in_memory.map(|c| c.row.id)) {
            return self.agenda.answer(ticket, Answer::Received { case, duplicate: true });
        }
        let case = self.case_for(now, &report);
        let full = self.with_case(case, |case, engine| {
            if case.reports.len() >= REPORTS_LIMIT {
                return true;
            }
            engine.add_report(case, now, report);
            false
        });
        let answer = match full {
            Some(false) => Answer::Received { case, duplicate: false },
            _ => Answer::Conflict(format!("case {case} already holds {REPORTS_LIMIT} reports")),
        };
        self.agenda.answer(ticket, answer);
    }

    fn add_report(&mut self, case: &mut Case, now: Timestamp, report: Report) {
        if case.book.is_none() {
            self.adopt(case, report.service());
        }
        case.reopen(now, &mut self.agenda);
        let index = case.reports.len();
        let report = Arc::new(report);
        case.add_report(ReportRow {
            case: case.row.id,
            position: u32::try_from(index).unwrap_or(u32::MAX),
            received_at: now,
            role: ReportRole::Unmatched,
            report: Arc::clone(&report),
        });
        self.agenda.tell(now, Happening::Reported { case: case.row.id, report });
        case.assign_roles(Some(index), now, &mut self.limits, &mut self.agenda);
        if let Some(mut saga) = self.sagas.remove(&case.row.saga) {
            saga.state = SagaState::Overdue;
            self.agenda.out.writes.push(Write::Saga(Box::new(saga)));
        }
        self.go_on(case, true, now);
    }

    /// The saga's case, made if there is none.
    fn case_for(&mut self, now: Timestamp, report: &Report) -> CaseId {
        if let Some(id) = self.by_saga.get(&report.saga_id) {
            return *id;
        }
        self.last_case += 1;
        let id = CaseId(self.last_case);
        let book = self.book_for(report.service(), &report.saga_id);
        let row = CaseRow {
            id,
            saga: report.saga_id.clone(),
            rulebook: book
                .as_ref()
                .map(|b| RulebookRef { name: b.name().into(), hash: b.hash().into() }),
            state: CaseState::Open,
            closed_on: None,
            opened_at: now,
            updated_at: now,
            settled_at: None,
            report: format!("{}/{}", report.service(), report.data.code).into(),
            message: report.data.message.as_deref().map(Into::into),
            detail: CaseMemo::default(),
        };
        self.by_saga.insert(report.saga_id.clone(), id);
        self.cases.insert(id, Box::new(Case::new(row, book)));
        id
    }

    /// The active rulebook that claims a service. The supervisor's own reports go where the saga began; a service that
    /// nobody claims goes to the only rulebook, if there is just one.
    fn book_for(&self, service: &str, saga: &SagaId) -> Option<Arc<Rulebook>> {
        let service = match self.sagas.get(saga) {
            Some(row) if service == SUPERVISOR => &*row.service,
            _ => service,
        };
        let claimed = self.active.values().find(|book| book.service(service).is_some());
        let only = if self.active.len() == 1 { self.active.values().next() } else { None };
        claimed.or(only).cloned()
    }

    fn adopt(&self, case: &mut Case, service: &str) {
        if let Some(book) = self.book_for(service, &case.row.saga) {
            case.row.rulebook =
                Some(RulebookRef { name: book.name().into(), hash: book.hash().into() });
            case.row_changed = true;
            case.book = Some(book);
        }
    }

    // ---- a case goes on ----

    fn go_on(&mut self, case: &mut Case, planning: bool, now: Timestamp) {
        if planning {
            case.sign_of_life();
            case.plan(now, &mut self.agenda);
        }
        self.advance(case, now);
    }

    fn advance(&mut self, case: &mut Case, now: Timestamp) {
        case.release(now, &mut self.agenda);
        case.conclude(now, &mut self.agenda);
    }

    /// Lets `change` work on a case and the engine side by side; none if there is no such case in memory.
    fn with_case<T>(
        &mut self,
        id: CaseId,
        change: impl FnOnce(&mut Case, &mut Self) -> T,
    ) -> Option<T> {
        let mut case = self.cases.remove(&id)?;
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
        self.agenda.answer(ticket, answer.unwrap_or_else(|| Answer::NotFound(missing())));
    }

    // ---- people ----

    fn case_act(
        &mut self,
        now: Timestamp,
        id: CaseId,
        act: amends_protocol::resources::CaseAct,
        actor: &Arc<str>,
        ticket: Ticket,
    ) {
        let replans = matches!(act, amends_protocol::resources::CaseAct::Replan { .. });
        let answer = self.with_case(id, |case, engine| {
            let first =
                case.reports.first().map(|r| r.report.service().to_owned()).unwrap_or_default();
            let named =
                case.row.rulebook.as_ref().and_then(|r| engine.active.get(&r.name)).cloned();
            let active = named.or_else(|| engine.book_for(&first, &case.row.saga));
            let answer = case.case_act(act, active, actor, now, &mut engine.agenda);
            if answer != Answer::Done {
                return answer;
            }
            if replans {
                case.reopen(now, &mut engine.agenda);
                case.forget_roles(now);
                case.assign_roles(None, now, &mut engine.limits, &mut engine.agenda);
            }
            if !case.is_settled() {
                engine.go_on(case, true, now);
            }
            answer
        });
        self.answer(ticket, answer, || format!("there is no case {id}"));
    }

    fn pause(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        paused: bool,
        actor: &Arc<str>,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        let known = self.agenda.lanes.contains_key(service)
            || self.active.values().any(|book| book.service(service).is_some());
        if !known {
            let text = format!("no active rulebook knows a service `{service}`");
            return self.agenda.answer(ticket, Answer::NotFound(text));
        }
        if let Err(answer) = crate::act::check_reason(reason) {
            return self.agenda.answer(ticket, answer);
        }
        self.agenda.lane(service).paused = paused;
        self.agenda.stir(service);
        let act = if paused { "pause" } else { "resume" };
        let detail = serde_json::json!({ "service": service });
        self.audit(now, act, actor, reason, detail);
        self.agenda.answer(ticket, Answer::Done);
    }

    fn audit(
        &mut self,
        now: Timestamp,
        act: &'static str,
        actor: &Arc<str>,
        reason: &Arc<str>,
        detail: serde_json::Value,
    ) {
        self.agenda.out.writes.push(Write::Act(Box::new(ActRow {
            at: now,
            actor: Arc::clone(actor),
            act,
            reason: Arc::clone(reason),
            case: None,
            step: None,
            detail,
        })));
        self.agenda
            .tell(now, Happening::Acted { case: None, step: None, act, actor: Arc::clone(actor) });
    }

    fn activate(
        &mut self,
        now: Timestamp,
        book: Arc<Rulebook>,
        actor: &Arc<str>,
        reason: &Arc<str>,
        ticket: Ticket,
    ) {
        let taken =
            self.active.values().filter(|other| other.name() != book.name()).find_map(|other| {
                let service = book.services().iter().find(|s| other.service(&s.name).is_some())?;
                Some(format!(
                    "service `{}` already belongs to rulebook `{}`",
                    service.name,
                    other.name()
                ))
            });
        if let Some(why) = taken {
            return self.agenda.answer(ticket, Answer::Conflict(why));
        }
        let (name, hash): (Arc<str>, Arc<str>) = (book.name().into(), book.hash().into());
        self.restore_active(book);
        let detail = serde_json::json!({ "rulebook": name, "hash": hash });
        self.audit(now, "activate", actor, reason, detail);
        self.agenda.tell(now, Happening::Rulebook { name, hash });
        self.agenda.answer(ticket, Answer::Done);
    }

    fn set_limits(&mut self, book: &Rulebook) {
        for service in book.services() {
            self.agenda.lane(&service.name).limit = service.concurrency.max(1);
        }
    }

    // ---- announced sagas ----

    fn saga_began(&mut self, begin: SagaBegin, ticket: Ticket) {
        if self.holds_announced(&begin.saga_id) {
            return self.agenda.answer(ticket, Answer::Done); // said again
        }
        let row = SagaRow {
            saga: begin.saga_id,
            service: begin.service.into(),
            action: begin.action.map(Into::into),
            deadline: begin.deadline,
            state: SagaState::Begun,
            data: Arc::new(begin.data),
        };
        if self.by_saga.contains_key(&row.saga) {
            // It has failed already; its case tells the rest, and no deadline must make another.
            let row = SagaRow { state: SagaState::Overdue, ..row };
            self.agenda.out.writes.push(Write::Saga(Box::new(row)));
            return self.agenda.answer(ticket, Answer::Done);
        }
        self.agenda.out.writes.push(Write::Saga(Box::new(row.clone())));
        self.restore_saga(row);
        self.agenda.answer(ticket, Answer::Done);
    }

    fn saga_ended(&mut self, saga: &SagaId, ticket: Ticket) {
        let answer = match self.sagas.remove(saga) {
            Some(mut row) => {
                row.state = SagaState::Ended;
                self.agenda.out.writes.push(Write::Saga(Box::new(row)));
                Answer::Done
            }
            None => Answer::NotFound(format!("no saga `{saga}` is under way")),
        };
        self.agenda.answer(ticket, answer);
    }

    /// A saga that neither ended nor reported in time gets a report made for it.
    fn deadline(&mut self, now: Timestamp, saga: &SagaId) {
        let Some(row) = self.sagas.get(saga).filter(|row| row.deadline <= now).cloned() else {
            return;
        };
        let report = Report {
            id: format!("deadline-{saga}"),
            source: SUPERVISOR.to_owned(),
            saga_id: saga.clone(),
            time: Some(now),
            traceparent: None,
            data: ReportData {
                code: "deadline".to_owned(),
                message: Some(format!(
                    "{} neither ended nor reported by {}",
                    row.service, row.deadline
                )),
                data: (*row.data).clone(),
                ..ReportData::default()
            },
        };
        let case = self.case_for(now, &report);
        self.with_case(case, |case, engine| engine.add_report(case, now, report));
    }

    // ---- time and lanes ----

    fn wake(&mut self, now: Timestamp) {
        while let Some(timer) = self.agenda.timers.pop_due(now) {
            match timer {
                Timer::Step(id) => self.step_timer(now, id),
                Timer::Walk(id, service) => {
                    self.with_case(id, |case, engine| {
                        case.hurry_walk(&service, now, &mut engine.agenda)
                    });
                }
                Timer::Cause(id) => {
                    self.with_case(id, |case, engine| {
                        case.assign_roles(None, now, &mut engine.limits, &mut engine.agenda);
                        engine.go_on(case, true, now);
                    });
                }
                Timer::Quiet(id) => {
                    self.with_case(id, |case, engine| engine.advance(case, now));
                }
                Timer::Probe(service) => self.probe(now, &service),
                Timer::Deadline(saga) => self.deadline(now, &saga),
            }
        }
    }

    fn step_timer(&mut self, now: Timestamp, id: StepId) {
        self.with_step(id, |case, index, engine| {
            let service = Arc::clone(&case.steps[index].action.service);
            if case.patience_over(index, now, &mut engine.agenda) {
                return engine.go_on(case, true, now);
            }
            match &case.steps[index].state {
                StepState::Due(at) if *at <= now => engine.agenda.enqueue(&service, Job::Step(id)),
                StepState::Accepted { poll_at, until, location } => {
                    if location.is_some() && *poll_at <= now {
                        engine.agenda.enqueue(&service, Job::Poll(id));
                    }
                    engine.agenda.timers.set(*until, Timer::Step(id));
                }
                _ => {}
            }
        });
    }

    /// A dead service's lane gets its chance; what has waited too long there becomes stuck, visibly.
    fn probe(&mut self, now: Timestamp, service: &Arc<str>) {
        let oldest: Vec<Job> = self.agenda.lane(service).oldest().take(EXPIRE_SLICE).collect();
        for job in oldest {
            if let Job::Step(id) = job {
                self.with_step(id, |case, index, engine| {
                    if case.expire(index, now, &mut engine.agenda) {
                        engine.go_on(case, true, now);
                    }
                });
            }
        }
        self.agenda.stir(service);
    }

    fn lane_ended(
        &mut self,
        now: Timestamp,
        service: &Arc<str>,
        health: Health,
        message: Option<&str>,
    ) {
        let change = self.agenda.lane(service).ended(now, health, message);
        self.agenda.stir(service);
        match change {
            BreakerChange::None => {}
            BreakerChange::Opened { probe_at } => {
                self.agenda.timers.set(probe_at, Timer::Probe(Arc::clone(service)));
                let message = self.agenda.lane(service).message.clone();
                self.agenda.tell(
                    now,
                    Happening::Breaker { service: Arc::clone(service), state: "open", message },
                );
            }
            BreakerChange::Closed(hurried) => {
                let closed = Happening::Breaker {
                    service: Arc::clone(service),
                    state: "closed",
                    message: None,
                };
                self.agenda.tell(now, closed);
                for job in hurried {
                    self.hurry(now, service, job);
                }
            }
        }
    }

    /// The service has returned: whatever backoff a job had grown is forgotten.
    fn hurry(&mut self, now: Timestamp, service: &Arc<str>, job: Job) {
        match job {
            Job::Step(id) => {
                self.with_step(id, |case, index, engine| {
                    if matches!(case.steps[index].state, StepState::Due(_)) {
                        case.must_change(index, StepEvent::Hurry(now), now, &mut engine.agenda);
                    }
                });
            }
            Job::Walk(id) => {
                self.with_case(id, |case, engine| {
                    case.hurry_walk(service, now, &mut engine.agenda)
                });
            }
            Job::Poll(_) => {}
        }
    }

    /// Sends whatever may go, lane by lane.
    fn pump(&mut self, now: Timestamp) {
        if self.halted {
            return;
        }
        while let Some(service) = self.agenda.next_stirred() {
            let was = self.agenda.lane(&service).breaker;
            // A probe may be a job whose backoff is not over: the service's return ends all waiting for it.
            let probing = matches!(was, Breaker::Open { .. });
            while let Some(job) = self.agenda.lane(&service).take(now) {
                let errand = match job {
                    Job::Step(id) => self.with_step(id, |case, index, engine| {
                        case.launch_step(index, now, probing, &mut engine.agenda)
                    }),
                    Job::Poll(id) => {
                        self.with_step(id, |case, index, _| case.launch_poll(index, now))
                    }
                    Job::Walk(id) => {
                        self.with_case(id, |case, _| case.launch_walk(&service, now, probing))
                    }
                };
                if let Some(errand) = errand.flatten() {
                    self.agenda.lane(&service).launched();
                    self.agenda.out.errands.push(errand);
                }
            }
            if was != self.agenda.lane(&service).breaker {
                let state = self.agenda.lane(&service).breaker.as_str();
                self.agenda.tell(now, Happening::Breaker { service, state, message: None });
            }
        }
    }
}

/// The errands' side of the contract, for those who perform them.
impl Errand {
    /// The step that the errand is for, if it is for one.
    #[must_use]
    pub fn step(&self) -> Option<(StepId, u32)> {
        match self {
            Self::Send(send) => Some((send.step, send.attempt)),
            Self::Poll(poll) => Some((poll.step, poll.attempt)),
            Self::Walk(_) => None,
        }
    }
}
