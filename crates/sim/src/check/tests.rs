//! Every checker can fail: each is shown a run in which the very thing happens that it is there for, and one like it in
//! which it does not.

mod nodes;
mod parts;
mod waiting;

use super::{Check, End, Seen, Violation, every};
use crate::scenario::{Corpus, Item, SagaPlan, Scenario};
use crate::services::Services;
use crate::stored::Stored;
use crate::switches::Switches;
use amends_api::{CaseState, ClosedOn, StuckReason};
use amends_engine::{
    Answer, CaseExtra, CaseRow, Decision, Effect, Engine, ReportRole, ReportRow, RulebookRef,
    SendStep, ServiceRow, ServiceSettings, StepExtra, StepReading, StepResult, StepRow, StepState,
    Write,
};
use amends_node::EffectResult;
use amends_protocol::{
    ActionName, CallbackProof, CaseId, Evidence, HistoryState, Outcome, Report, ReportData, SagaId,
    StepId, Timestamp, Verb,
};
use amends_rulebook::Rulebook;
use amends_simulate::{SeededRng, flows};
use std::sync::Arc;

const BOOK: &str = "
rulebook: shop
defaults: { concurrency: 1 }
services:
  order: { url: 'http://order', actions: { place: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: 'http://payment', actions: { pay: { compensation: refund } } }
rules:
  - { on: order/late, retry: order.place, give_up: { after: 2 attempts, then: { compensate: recorded } } }
  - { on: order/failed, compensate: [payment.pay], then: { compensate: [order.place] } }
  - { on: payment/declined, compensate: recorded, limit: 1 per minute }
  - { on: '*/*', compensate: recorded }
";

const NOW: Timestamp = Timestamp(1_000_000);
const CASE: CaseId = CaseId(1);

/// A store, and the checkers that look on while it changes.
struct Watched {
    checks: Vec<Box<dyn Check>>,
    store: Stored,
    book: Arc<Rulebook>,
    now: Timestamp,
    found: Vec<Violation>,
}

impl Watched {
    fn new() -> Self {
        Self::of(BOOK)
    }

    fn of(book: &str) -> Self {
        let book = Rulebook::from_yaml(book).expect("a valid rulebook");
        let store = Stored::new(&[Arc::clone(&book)], NOW);
        Self { checks: every(1), store, book, now: NOW, found: Vec::new() }
    }

    fn see(&mut self, seen: &Seen<'_>) {
        for check in &mut self.checks {
            if let Err(text) = check.see(self.now, seen, &self.store) {
                self.found.push(Violation { checker: check.name(), at: 0, text });
            }
        }
    }

    fn commit(&mut self, writes: Vec<Write>) {
        self.see(&Seen::Commit { writes: &writes });
        let _ = self.store.rows.commit(writes.clone().into());
        self.see(&Seen::Committed { writes: &writes, at: 0 });
    }

    fn case(&self, state: CaseState) -> CaseRow {
        CaseRow {
            id: CASE,
            saga: saga(),
            rulebook: Some(RulebookRef {
                name: self.book.name().into(),
                hash: self.book.hash().into(),
            }),
            state,
            closed_on: (state == CaseState::Settled).then_some(ClosedOn::Proven),
            opened_at: NOW,
            updated_at: NOW,
            settled_at: (state == CaseState::Settled).then_some(NOW),
            report: "order/failed".into(),
            message: None,
            extra: CaseExtra::default(),
        }
    }

    /// An open case with a report under a rule, and these steps.
    fn open(&mut self, code: &str, steps: Vec<StepRow>) {
        let report = report(code);
        let rule = self.book.rules().iter().position(|r| r.on == format!("order/{code}"));
        let role = ReportRole::Rule(rule.map_or(3, |n| n as u32));
        let mut writes = vec![Write::Case(Box::new(self.case(CaseState::Open)))];
        writes.push(report_row(0, role, report));
        writes.extend(steps.into_iter().map(|s| Write::Step(Box::new(s))));
        self.commit(writes);
    }

    fn send(&mut self, number: u64, step: &StepRow, id: StepId) {
        self.send_under(number, step, id, None);
    }

    fn send_under(&mut self, number: u64, step: &StepRow, id: StepId, key: Option<&str>) {
        let action = self.book.action(&step.action.service, &step.action.action);
        let effect = Effect::Send(Box::new(SendStep {
            step: id,
            proof: CallbackProof::new("p-0"),
            key: key.map(Arc::from),
            attempt: step.attempts,
            verb: step.verb,
            action: step.action.clone(),
            action_id: action.expect("known"),
            rulebook: Arc::clone(&self.book),
            saga: saga(),
            request_ids: step.request().cloned().into_iter().collect(),
            report: Arc::new(report("failed")),
            data: None,
            veil: amends_engine::Veil::default(),
        }));
        let service = Arc::clone(&step.action.service);
        self.see(&Seen::Effect { number, effect: &effect, service: &service });
    }

    fn answered(&mut self, number: u64, step: &StepRow, answer: StepReading, status: u16) {
        self.answered_as(number, step, StepResult::new(answer, Some(status)).telling(vec![]));
    }

    fn answered_as(&mut self, number: u64, step: &StepRow, result: StepResult) {
        let action = self.book.action(&step.action.service, &step.action.action);
        let effect = Effect::Poll(Box::new(amends_engine::PollStep {
            step: step.id,
            key: None,
            attempt: 1,
            verb: step.verb,
            action: step.action.clone(),
            action_id: action.expect("known"),
            rulebook: Arc::clone(&self.book),
            saga: saga(),
            location: "/".into(),
        }));
        let service = Arc::clone(&step.action.service);
        let result = EffectResult::Step(result);
        self.see(&Seen::Result { number, service: &service, effect: &effect, result: &result });
    }

    fn rest(&mut self, next: Option<Timestamp>) {
        let mut engine = Engine::new(0);
        engine.restore_active(Arc::clone(&self.book));
        self.see(&Seen::Rest { engine: &engine, at: self.now.0 - NOW.0, next });
    }

    /// The run ends with the whole saga in place.
    fn end(&mut self, corpus: Corpus) {
        self.end_with_effects_at(corpus, 0);
    }

    fn end_with_effects_at(&mut self, corpus: Corpus, at: i64) {
        let (flows, _) = flows(&self.book, &mut SeededRng::new(1));
        let flow = flows[0].clone();
        let scenario = Scenario {
            seed: 1,
            corpus,
            world: Arc::clone(&self.book),
            versions: vec![Arc::clone(&self.book)],
            items: vec![Item::Saga(SagaPlan {
                id: saga(),
                at: 0,
                late_ms: 0,
                flow,
                deadline_ms: None,
            })],
            kept: None,
            nodes: 1,
        };
        let mut services = Services::new(&scenario);
        for node in 0..services.sagas[0].requests.len() {
            let action = services.action_of(0, node);
            services.sagas[0].effects.push((action, at));
            services.sagas[0].requests[node].effect = Some(at);
        }
        let switches = Switches::default();
        self.see(&Seen::End(End { scenario: &scenario, services: &services, switches }));
    }

    fn found(&self, checker: &str) -> bool {
        self.found.iter().any(|violation| violation.checker == checker)
    }

    #[track_caller]
    fn is_content(&self) {
        assert!(self.found.is_empty(), "{:#?}", self.found);
    }
}

fn saga() -> SagaId {
    SagaId::new("saga-1").expect("valid")
}

fn report(code: &str) -> Report {
    Report {
        id: code.to_owned(),
        source: "order".to_owned(),
        saga_id: saga(),
        time: None,
        traceparent: None,
        data: ReportData {
            code: code.to_owned(),
            action: Some("place".to_owned()),
            ..ReportData::default()
        },
    }
}

fn report_row(position: u32, role: ReportRole, report: Report) -> Write {
    let report = Arc::new(report);
    Write::Report(Box::new(ReportRow { case: CASE, position, received_at: NOW, role, report }))
}

fn step(ordinal: u32, verb: Verb, action: &str, stage: u16, state: StepState) -> StepRow {
    let action: ActionName = action.parse().expect("valid");
    let attempts = u32::from(state == StepState::InFlight);
    StepRow {
        id: StepId::derive(CASE, ordinal, &saga(), verb.as_str(), &action),
        verb,
        action,
        stage,
        state,
        attempts,
        planned_at: NOW,
        updated_at: NOW,
        extra: StepExtra { because: vec![0], ..StepExtra::default() },
    }
}

fn pay(state: StepState) -> StepRow {
    step(1, Verb::Compensate, "payment.pay", 0, state)
}

fn place(state: StepState) -> StepRow {
    step(2, Verb::Compensate, "order.place", 1, state)
}

#[test]
fn a_report_that_was_acknowledged_and_is_not_stored() {
    let mut run = Watched::new();
    run.see(&Seen::Acknowledged { report: &report("failed"), case: CASE });
    assert!(run.found("1 acknowledged"));
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting)]);
    run.see(&Seen::Acknowledged { report: &report("failed"), case: CASE });
    run.see(&Seen::Replied { ticket: 1, answer: &Answer::Done });
    run.is_content();
}

#[test]
fn a_step_that_the_rule_names_is_missing() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::InFlight)]);
    assert!(run.found("2 planned"));
}

#[test]
fn what_may_have_happened_is_not_in_the_plan() {
    let mut run = Watched::new();
    let mut told = report("odd");
    told.data.history.push(Evidence::new("payment", "pay", "r", HistoryState::Unknown));
    let case = Write::Case(Box::new(run.case(CaseState::Open)));
    run.commit(vec![case, report_row(0, ReportRole::Rule(3), told)]);
    assert!(run.found("2 planned"));
}

#[test]
fn an_outcome_is_written_over_and_the_step_asked_for_again() {
    let mut run = Watched::new();
    run.open(
        "failed",
        vec![pay(StepState::Done(Outcome::Compensated)), place(StepState::InFlight)],
    );
    run.is_content();
    run.send(1, &pay(StepState::InFlight), pay(StepState::InFlight).id);
    assert!(run.found("3 once done"));
    run.commit(vec![Write::Step(Box::new(pay(StepState::Done(Outcome::NothingToCompensate))))]);
    assert!(run.found("3 outcomes stay"));
}

#[test]
fn a_request_that_is_not_durable() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::Due(NOW)), place(StepState::Waiting)]);
    run.send(1, &pay(StepState::InFlight), pay(StepState::InFlight).id);
    assert!(run.found("4 durable first"));
}

#[test]
fn a_step_under_two_keys() {
    let mut run = Watched::new();
    let first = pay(StepState::InFlight);
    run.open("failed", vec![first.clone(), place(StepState::Waiting)]);
    run.send(1, &first, first.id);
    run.is_content();
    run.send(2, &first, StepId { tag: first.id.tag ^ 1, ..first.id });
    assert!(run.found("one key"));
}

#[test]
fn a_stage_before_its_turn() {
    let mut run = Watched::new();
    let later = place(StepState::InFlight);
    run.open("failed", vec![pay(StepState::Due(NOW)), later.clone()]);
    run.send(1, &later, later.id);
    assert!(run.found("5 stages"));
}

#[test]
fn a_retry_goes_out_while_the_case_is_undone() {
    let mut run = Watched::new();
    let retry = step(3, Verb::Retry, "order.place", 0, StepState::InFlight);
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting), retry.clone()]);
    run.send(1, &retry, retry.id);
    assert!(run.found("backward beats forward"));
}

#[test]
fn something_goes_to_a_paused_service() {
    let mut run = Watched::new();
    let decision = Decision { at: 0, by: "kim".into(), reason: "because".into() };
    let settings = ServiceSettings { pause: Some(decision), ..ServiceSettings::default() };
    let row = ServiceRow { service: "payment".into(), settings };
    run.commit(vec![Write::Service(Box::new(row))]);
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting)]);
    let sent = pay(StepState::InFlight);
    run.send(1, &sent, sent.id);
    assert!(run.found("paused"));
}

#[test]
fn a_derived_report_is_answered_by_a_rule_of_its_own() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting)]);
    let mut derived = report("downstream");
    derived.data.caused_by.push("failed".to_owned());
    run.commit(vec![report_row(1, ReportRole::Derived, derived.clone())]);
    run.is_content();
    run.commit(vec![report_row(1, ReportRole::Rule(3), derived)]);
    assert!(run.found("causes"));
}

#[test]
fn more_is_under_way_than_may_be_and_a_result_comes_twice() {
    let mut run = Watched::new();
    let sent = pay(StepState::InFlight);
    run.open("failed", vec![sent.clone(), place(StepState::Waiting)]);
    run.send(1, &sent, sent.id);
    run.is_content();
    run.send(2, &sent, sent.id);
    assert!(run.found("concurrency"));
    let mut run = Watched::new();
    run.answered(7, &sent, StepReading::Unknown, 500);
    assert!(run.found("concurrency"));
}

#[test]
fn a_limited_rule_answers_too_many_cases() {
    let mut run = Watched::new();
    for n in 1..=3 {
        let id = CaseId(n);
        let saga = SagaId::new(&format!("saga-{n}")).expect("valid");
        let case = CaseRow { id, saga: saga.clone(), ..run.case(CaseState::Open) };
        let mut declined = Report { saga_id: saga, ..report("declined") };
        declined.id = format!("declined-{n}");
        run.commit(vec![
            Write::Case(Box::new(case)),
            Write::Report(Box::new(ReportRow {
                case: id,
                position: 0,
                received_at: NOW,
                role: ReportRole::Rule(2),
                report: Arc::new(declined),
            })),
        ]);
        assert_eq!(run.found("limit per minute"), n > 2);
    }
}

#[test]
fn a_retry_is_never_given_up() {
    let mut run = Watched::new();
    let retry = step(1, Verb::Retry, "order.place", 0, StepState::InFlight);
    run.open("late", vec![retry.clone()]);
    for n in 1..=2 {
        run.send(n, &retry, retry.id);
        run.answered(n, &retry, StepReading::Unknown, 500);
    }
    run.is_content();
    run.send(3, &retry, retry.id);
    assert!(run.found("give up"));
}

#[test]
fn memory_and_store_tell_different_stories() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting)]);
    run.rest(None); // the engine there holds no case
    assert!(run.found("memory as stored"));
}

#[test]
fn a_reload_plans_what_nobody_had_planned() {
    let mut run = Watched::new();
    // The rule asks for both steps; only one was ever planned.
    run.open("failed", vec![pay(StepState::InFlight)]);
    for _ in 0..1_000 {
        run.rest(None);
    }
    assert!(run.found("reloads alike"));
}

#[test]
fn a_case_says_something_else_than_its_steps() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting)]);
    run.is_content();
    run.commit(vec![Write::Step(Box::new(pay(StepState::Stuck(StuckReason::Refused))))]);
    let case = run.case(CaseState::Open);
    run.commit(vec![Write::Case(Box::new(case))]);
    assert!(run.found("2 states of cases"));
}

#[test]
fn a_case_never_ends() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::InFlight), place(StepState::Waiting)]);
    run.end(Corpus::Hostile);
    assert!(run.found("ends"));
}

#[test]
fn an_honest_system_needs_a_person() {
    let mut run = Watched::new();
    let stuck = pay(StepState::Stuck(StuckReason::OutOfTime));
    let case = Write::Case(Box::new(run.case(CaseState::Stuck)));
    let steps = [stuck, place(StepState::Waiting)].map(|s| Write::Step(Box::new(s)));
    run.commit(
        [vec![case, report_row(0, ReportRole::Rule(1), report("failed"))], steps.to_vec()].concat(),
    );
    run.end(Corpus::Hostile);
    assert!(!run.found("ends"));
    run.end(Corpus::Honest);
    assert!(run.found("ends"));
}

#[test]
fn a_settled_case_leaves_something_behind() {
    let mut run = Watched::new();
    let done = StepState::Done(Outcome::NothingToCompensate);
    run.open("failed", vec![pay(done.clone()), place(done)]);
    let case = run.case(CaseState::Settled);
    run.commit(vec![Write::Case(Box::new(case))]);
    run.is_content();
    run.end(Corpus::Hostile);
    assert!(run.found("nothing left behind"));
}

#[test]
fn a_step_waits_although_it_is_too_old() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::Due(NOW)), place(StepState::Waiting)]);
    run.now = NOW.plus_ms(3_600_000);
    run.rest(None);
    assert!(!run.found("ages"), "an hour is not too much");
    run.now = NOW.plus_ms(30 * 86_400_000);
    run.rest(None);
    assert!(run.found("ages"));
}

#[test]
fn a_step_is_stuck_as_too_old_before_its_time() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::Due(NOW)), place(StepState::Waiting)]);
    let stuck = pay(StepState::Stuck(StuckReason::OutOfTime));
    run.commit(vec![Write::Step(Box::new(stuck))]);
    assert!(run.found("ages"));
}

#[test]
fn a_retry_is_given_up_after_too_few_tries() {
    let mut run = Watched::new();
    let retry = step(1, Verb::Retry, "order.place", 0, StepState::InFlight);
    run.open("late", vec![retry]);
    let mut case = run.case(CaseState::Open);
    case.extra.gave_up.push(0);
    run.commit(vec![Write::Case(Box::new(case))]);
    assert!(run.found("give up"));
}

#[test]
fn a_history_is_read_while_a_step_waits_for_a_place() {
    let mut run = Watched::new();
    run.open("failed", vec![pay(StepState::Due(NOW)), place(StepState::Waiting)]);
    run.rest(None);
    let walk = amends_engine::ReadHistory {
        case: CASE,
        service: "payment".into(),
        rulebook: Arc::clone(&run.book),
        saga: saga(),
    };
    let (effect, service) = (Effect::ReadHistory(Box::new(walk)), "payment".into());
    run.see(&Seen::Effect { number: 7, effect: &effect, service: &service });
    assert!(run.found("steps before readings"));
}

#[test]
fn an_effect_comes_while_its_case_is_settled_as_proven() {
    let settled = |effects_at| {
        let mut run = Watched::new();
        let done = StepState::Done(Outcome::NothingToCompensate);
        run.open("failed", vec![pay(done.clone()), place(done)]);
        let case = run.case(CaseState::Settled);
        run.commit(vec![Write::Case(Box::new(case))]);
        run.end_with_effects_at(Corpus::Hostile, effects_at);
        run.found("proven")
    };
    assert!(settled(5));
    assert!(!settled(0), "it came with the case");
}

#[test]
fn supervisor_time_goes_by_a_clock_that_is_set() {
    let mut run = Watched::new();
    run.rest(None);
    run.now = NOW.plus_ms(1_000);
    let mut engine = Engine::new(0);
    engine.restore_active(Arc::clone(&run.book));
    run.see(&Seen::Rest { engine: &engine, at: 1_000, next: None });
    run.is_content();
    run.now = NOW.plus_ms(7_200_000);
    run.see(&Seen::Rest { engine: &engine, at: 2_000, next: None });
    assert!(run.found("time"));
}

#[test]
fn a_case_is_removed_and_a_deadline_judged_by_a_clock_that_is_wrong_for_a_moment() {
    let saga_plan = |flow| SagaPlan { id: saga(), at: 0, late_ms: 0, flow, deadline_ms: Some(9) };
    let mut run = Watched::new();
    let (flows, _) = flows(&run.book, &mut SeededRng::new(1));
    let scenario = Scenario {
        seed: 1,
        corpus: Corpus::Hostile,
        world: Arc::clone(&run.book),
        versions: vec![Arc::clone(&run.book)],
        items: vec![Item::Saga(saga_plan(flows[0].clone()))],
        kept: None,
        nodes: 1,
    };
    run.checks = vec![Box::new(super::time::WallClock::new(&scenario))];
    run.see(&Seen::Pruned { case: CASE, settled_for_ms: 3, keep_ms: 2 });
    run.is_content();
    run.see(&Seen::Pruned { case: CASE, settled_for_ms: 1, keep_ms: 2 });
    assert!(run.found("wall clock"));
    run.found.clear();
    let mut deadline = report("deadline");
    deadline.source = amends_engine::SUPERVISOR.to_owned();
    let case = Write::Case(Box::new(run.case(CaseState::Open)));
    run.commit(vec![case, report_row(0, ReportRole::Rule(3), deadline)]);
    assert!(run.found("wall clock"), "it is at 0 ms, and the saga has until 9 ms");
}
