//! What may happen to one saga at once, in every order: originals, duplicates, compensations, retries, sweeps, on one
//! process or two, with a crash, a mistaken death or a lost answer at every place.

use super::memory::{Grain, Memory, MemoryStore, MemoryTx};
use super::schedule::{Choices, Mishap, Task, alone, explore, pause, run};
use crate::background::sweep_once;
use crate::config::KitConfig;
use crate::context::{ActionContext, Effect};
use crate::failure::Failure;
use crate::forward::{Arrival, take};
use crate::kit::Kit;
use crate::local_request::LocalRequest;
use crate::saga_context::PassedOn;
use crate::steps::{NotDone, perform};
use crate::store::HistoryTx as _;
use amends_protocol::{HistoryState, Outcome, Problem, SagaId, Verb};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// What somebody does, all of it about one action of one saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A forward request with this id; the same id twice is a duplicate.
    Pay(&'static str),
    /// A `compensate` step with this number; the same number twice is a duplicate.
    Undo(u32),
    Retry(u32),
    Sweep,
}

/// What was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// `r-1` took effect.
    Paid,
    /// `r-1` failed.
    Failed,
}

/// Where the acts take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    OneProcess,
    /// The first act in one process, all others in another.
    TwoProcesses,
    /// By turns in two processes.
    ByTurns,
}

#[derive(Clone, Debug)]
struct Scene {
    before: Before,
    acts: Vec<Act>,
    place: Place,
    mishap: Mishap,
    /// The action is local: all of it is one transaction.
    local: bool,
    /// How many of the first runs of `r-1` fail.
    fails: u32,
    /// The handler calls another service.
    calls: bool,
    /// How many of the first commits may lose their answers (one of them in each schedule).
    lost_answers: u32,
    grain: Grain,
}

impl Scene {
    fn of(acts: &[Act]) -> Self {
        Self {
            before: Before::Nothing,
            acts: acts.to_vec(),
            place: Place::OneProcess,
            mishap: Mishap::None,
            local: false,
            fails: 0,
            calls: false,
            lost_answers: 0,
            grain: Grain::Transaction,
        }
    }

    fn is_struck(&self) -> bool {
        matches!(self.mishap, Mishap::Mistaken | Mishap::MistakenAtOnce)
    }
}

/// What somebody was told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Answer { request: &'static str, status: u16, body: Value },
    Done { step: u32, outcome: Outcome },
    NotDone { kind: String },
    Swept,
}

/// What the handlers of all processes share.
#[derive(Default)]
struct Handlers {
    runs: Mutex<HashMap<String, u32>>,
    under_way: Mutex<HashMap<String, u32>>,
    overlapped: Mutex<bool>,
}

/// A handler at work.
struct AtWork<'a> {
    handlers: &'a Handlers,
    id: String,
}

impl Handlers {
    fn enter(&self, id: &str) -> (u32, AtWork<'_>) {
        let mut under_way = self.under_way.lock().expect("whole");
        let count = under_way.entry(id.to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            *self.overlapped.lock().expect("whole") = true;
        }
        let mut runs = self.runs.lock().expect("whole");
        let run = runs.entry(id.to_owned()).or_default();
        let earlier = *run;
        *run += 1;
        (earlier, AtWork { handlers: self, id: id.to_owned() })
    }

    fn runs(&self) -> u32 {
        self.runs.lock().expect("whole").values().sum()
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut under_way = self.handlers.under_way.lock().expect("whole");
        under_way.entry(self.id.clone()).and_modify(|count| *count -= 1);
    }
}

fn saga() -> SagaId {
    SagaId::new("order-1").expect("an id")
}

fn kit(memory: &Memory, worker: &str, handlers: &Arc<Handlers>, scene: &Scene) -> Kit<MemoryStore> {
    let (handlers, fails, calls) = (handlers.clone(), scene.fails, scene.calls);
    let builder =
        Kit::builder(KitConfig::new("payment"), memory.open(worker)).expect("good settings");
    let builder = match scene.local {
        true => builder.local_action_within("pay", move |tx, request| {
            Box::pin(pay_locally(tx, request, handlers.clone(), fails))
        }),
        false => {
            builder.action("pay", move |context, _| pay(context, handlers.clone(), fails, calls))
        }
    };
    builder
        .compensation_within("pay", |tx, undo| {
            Box::pin(async move {
                for request in &undo.requests {
                    tx.let_others().await;
                    let id = request.id.clone();
                    tx.change(move |world| world.undone.push(id.clone()));
                }
                Ok(())
            })
        })
        .build()
}

async fn pay(
    context: ActionContext<MemoryStore>,
    handlers: Arc<Handlers>,
    fails: u32,
    calls: bool,
) -> Result<Effect<MemoryStore>, Failure> {
    let (id, run) = (context.request_id().to_owned(), context.row.run);
    let (earlier, _at_work) = handlers.enter(&id);
    if calls {
        let call = context.next_call("coupon", "redeem");
        call.begin().await?;
        pause().await;
        call.end(&Ok(())).await;
    }
    pause().await;
    if id == "r-1" && earlier < fails {
        return Err(Failure::new("report-1", run.to_string()));
    }
    Ok(context.effect_within(move |tx| {
        Box::pin(async move {
            tx.let_others().await;
            tx.change(move |world| world.effects.push((id.clone(), run)));
            Ok(json!({ "run": run }))
        })
    }))
}

async fn pay_locally(
    tx: &mut MemoryTx,
    request: &LocalRequest,
    handlers: Arc<Handlers>,
    fails: u32,
) -> Result<Value, Failure> {
    let id = request.id.clone();
    // There is a row only where a `retry` runs it again.
    let row = tx.find_request(&id).await.expect("reads");
    let (run, (earlier, _at_work)) = (row.map_or(1, |row| row.run), handlers.enter(&id));
    tx.let_others().await;
    // What was written before a failure is taken back with it.
    let written = id.clone();
    tx.change(move |world| world.effects.push((written.clone(), run)));
    if id == "r-1" && earlier < fails {
        return Err(Failure::new("report-1", run.to_string()));
    }
    Ok(json!({ "run": run }))
}

async fn act(kit: Kit<MemoryStore>, act: Act) -> Told {
    match act {
        Act::Pay(request) => {
            let arrival = Arrival {
                saga: Some(saga()),
                request_id: request.to_owned(),
                action: "pay".to_owned(),
                body: json!({}),
                passed_on: PassedOn::default(),
            };
            let (_, response) = take(kit, arrival).await;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.expect("whole").to_bytes();
            let body = serde_json::from_slice(&bytes).expect("JSON");
            Told::Answer { request, status, body }
        }
        Act::Undo(step) => ask(kit, Verb::Compensate, step).await,
        Act::Retry(step) => ask(kit, Verb::Retry, step).await,
        Act::Sweep => {
            sweep_once(&kit).await.expect("sweeps");
            Told::Swept
        }
    }
}

async fn ask(kit: Kit<MemoryStore>, verb: Verb, step: u32) -> Told {
    let request = json!({
        "sagaId": "order-1",
        "caseId": "c-1",
        "stepId": format!("s-1-{step}-00000000000000aa"),
        "attempt": 1,
        "action": "payment.pay",
        "report": { "service": "payment", "code": "report-1", "id": "rep-1" },
    });
    let request = serde_json::from_value(request).expect("a step");
    match perform(kit, verb, request).await {
        Ok(answer) => Told::Done { step, outcome: answer.outcome },
        Err(NotDone::Problem(problem)) => Told::NotDone { kind: kind(&problem).to_owned() },
        Err(NotDone::Kit(error)) => Told::NotDone { kind: error.to_string() },
        Err(NotDone::Accepted) => Told::NotDone { kind: "accepted".to_owned() },
    }
}

fn kind(problem: &Problem) -> &str {
    problem.type_uri.rsplit('/').next().unwrap_or_default()
}

fn play(scene: &Scene, choices: &Choices) {
    let memory = Memory::new(scene.grain);
    let handlers = Arc::new(Handlers::default());
    let first = kit(&memory, "first", &handlers, scene);
    let second = match scene.place {
        Place::OneProcess => first.clone(),
        Place::TwoProcesses | Place::ByTurns => kit(&memory, "second", &handlers, scene),
    };
    let mut told = Vec::new();
    if scene.before != Before::Nothing {
        told.push(alone(act(second.clone(), Act::Pay("r-1"))));
    }
    if scene.lost_answers > 0 {
        let number = choices.choose(2 * scene.lost_answers as usize);
        memory.lose_answer(number as u32 / 2, number.is_multiple_of(2));
    }
    let tasks = scene.acts.iter().enumerate().map(|(number, what)| {
        let (process, kit) = match (number, scene.place) {
            (0, _) | (_, Place::OneProcess) => (0, first.clone()),
            (number, Place::ByTurns) if number.is_multiple_of(2) => (0, first.clone()),
            (_, Place::TwoProcesses | Place::ByTurns) => (1, second.clone()),
        };
        Task::new(process, act(kit, *what))
    });
    let tasks = tasks.collect();
    let ended = run(choices, &memory, tasks, scene.mishap, || memory.take_for_dead("first"));
    told.extend(ended.into_iter().flatten());

    // Then everybody is gone, and somebody cleans up.
    memory.lose_no_answer();
    drop((first, second));
    memory.take_for_dead("first");
    memory.take_for_dead("second");
    let last = kit(&memory, "last", &handlers, scene);
    alone(sweep_once(&last)).expect("sweeps");
    check(scene, &memory, &handlers, &told);
    check_repetition(&memory, &handlers, last);
}

/// What must hold when all is quiet.
fn check(scene: &Scene, memory: &Memory, handlers: &Handlers, told: &[Told]) {
    let world = memory.world();
    for row in &world.requests {
        let id = row.request.request_id.as_str();
        let written: Vec<i64> =
            world.effects.iter().filter(|(known, _)| known == id).map(|(_, run)| *run).collect();
        let undone = world.undone.iter().filter(|known| *known == id).count();
        let effects = written.len();
        assert!(written.iter().all(|run| *run == row.run), "`{id}` was lost and written: {told:?}");
        if row.state == HistoryState::Failed {
            let told = &row.answer.as_ref().expect("answered").body;
            // A commit that was lost says so in words of its own.
            let is_own = told["code"] == "report-1";
            let detail = told["detail"].as_str().expect("text");
            let run = row.run.to_string();
            assert!(!is_own || detail == run, "`{id}` was lost, and its end written");
        }
        let in_force = match row.state {
            HistoryState::Succeeded => (1, 0),
            HistoryState::Compensated => (1, 1),
            _ => (0, 0),
        };
        assert_eq!((effects, undone), in_force, "`{id}` is {}: {told:?}", row.state);
        assert_ne!(row.state, HistoryState::Started, "`{id}` is left behind and nobody says so");
        if matches!(row.state, HistoryState::Failed | HistoryState::Unknown) {
            let report = row.answer.as_ref().and_then(|answer| answer.report.clone());
            let is_out = world.outbox.iter().any(|out| Some(&out.report_id) == report.as_ref());
            assert!(is_out, "`{id}` is {} and no report tells: {told:?}", row.state);
        }
        // Of a local action, a dying process leaves nothing but a run of a `retry`.
        let left = scene.local && row.state == HistoryState::Unknown;
        assert!(!left || row.run > 1, "`{id}` was left behind: {told:?}");
    }
    let mut outcomes: BTreeMap<u32, Outcome> = BTreeMap::new();
    for words in told {
        match words {
            Told::Answer { request, status: 200, body } => {
                let row = world.requests.iter().find(|row| row.request.request_id == *request);
                let row = row.expect("what was acknowledged is in History");
                assert!(matches!(row.state, HistoryState::Succeeded | HistoryState::Compensated));
                assert_eq!(
                    &row.answer.as_ref().expect("answered").body,
                    body,
                    "one answer: {told:?}"
                );
            }
            Told::Done { step, outcome } => {
                let before = outcomes.insert(*step, *outcome);
                assert!(before.is_none_or(|before| before == *outcome), "one step, one outcome");
                assert!(world.steps.iter().any(|row| row.outcome == *outcome));
            }
            Told::Answer { .. } | Told::NotDone { .. } | Told::Swept => {}
        }
    }
    let undone = |outcome: &&Outcome| !matches!(outcome, Outcome::Retried | Outcome::Notified);
    if outcomes.values().any(|outcome| undone(&outcome)) {
        let over = [HistoryState::Compensated, HistoryState::Fenced];
        assert!(world.requests.iter().all(|row| over.contains(&row.state)), "{told:?}");
        assert_eq!(world.fences.len(), 1, "the fence is up");
    }
    let compensated = outcomes.values().filter(|o| **o == Outcome::Compensated).count();
    assert!(compensated <= 1, "undone twice: {told:?}");
    if outcomes.values().any(|outcome| *outcome == Outcome::Retried) {
        assert!(!world.effects.is_empty(), "retried without effect: {told:?}");
    }
    if !scene.is_struck() {
        assert!(!*handlers.overlapped.lock().expect("whole"), "two handlers at once: {told:?}");
    }
}

/// A request that comes once more is answered from History: nothing runs, nothing changes.
fn check_repetition(memory: &Memory, handlers: &Handlers, last: Kit<MemoryStore>) {
    let before = memory.world();
    let Some(row) = before.requests.iter().find(|row| row.request.request_id == "r-1") else {
        return;
    };
    let runs = handlers.runs();
    let Told::Answer { status, body, .. } = alone(act(last, Act::Pay("r-1"))) else {
        panic!("a request is answered");
    };
    match (row.state, &row.answer) {
        (HistoryState::Compensated | HistoryState::Fenced, _) => assert_eq!(status, 409),
        (_, Some(answer)) => assert_eq!((status, &body), (answer.status, &answer.body)),
        (state, None) => panic!("`{state}` without an answer"),
    }
    assert_eq!(handlers.runs(), runs);
    assert_eq!(memory.world().effects, before.effects);
}

const ACTS: [Act; 6] =
    [Act::Pay("r-1"), Act::Pay("r-2"), Act::Undo(1), Act::Undo(2), Act::Retry(3), Act::Sweep];

/// Plays a scene in all orders.
fn prove(scene: &Scene) -> u64 {
    explore(&format!("{scene:?}"), |choices| play(scene, choices))
}

fn prove_pairs(what: &str, change: impl Fn(&mut Scene)) {
    for first in ACTS {
        for second in ACTS {
            let mut schedules = 0;
            for (before, fails) in
                [(Before::Nothing, 0), (Before::Nothing, 1), (Before::Paid, 0), (Before::Failed, 1)]
            {
                let mut scene = Scene::of(&[first, second]);
                (scene.before, scene.fails) = (before, fails);
                change(&mut scene);
                schedules += prove(&scene);
            }
            println!("{what}: {first:?} and {second:?}: {schedules} schedules");
        }
    }
}

#[test]
fn every_pair_in_one_process() {
    prove_pairs("one process", |_| {});
}

#[test]
fn every_pair_in_two_processes() {
    prove_pairs("two processes", |scene| scene.place = Place::TwoProcesses);
}

#[test]
fn every_pair_in_a_process_that_crashes() {
    prove_pairs("crash", |scene| scene.mishap = Mishap::Crash);
}

#[test]
fn every_pair_in_two_processes_of_which_one_crashes() {
    prove_pairs("one of two crashes", |scene| {
        (scene.place, scene.mishap) = (Place::TwoProcesses, Mishap::Crash);
    });
}

#[test]
fn every_pair_in_two_processes_of_which_one_is_taken_for_dead() {
    prove_pairs("one of two is taken for dead", |scene| {
        (scene.place, scene.mishap) = (Place::TwoProcesses, Mishap::Mistaken);
    });
}

#[test]
fn every_pair_with_an_answer_that_is_lost() {
    prove_pairs("a lost answer", |scene| {
        (scene.place, scene.lost_answers) = (Place::TwoProcesses, 5);
    });
}

#[test]
fn every_pair_about_a_local_action() {
    prove_pairs("local", |scene| scene.local = true);
    prove_pairs("local, in two processes", |scene| {
        (scene.local, scene.place) = (true, Place::TwoProcesses);
    });
}

#[test]
fn every_pair_about_a_local_action_in_processes_that_crash() {
    prove_pairs("local, crash", |scene| (scene.local, scene.mishap) = (true, Mishap::Crash));
    prove_pairs("local, one of two crashes", |scene| {
        (scene.local, scene.place, scene.mishap) = (true, Place::TwoProcesses, Mishap::Crash);
    });
}

#[test]
fn every_pair_about_a_local_action_of_a_process_that_is_taken_for_dead() {
    prove_pairs("local, one of two is taken for dead", |scene| {
        (scene.local, scene.place, scene.mishap) = (true, Place::TwoProcesses, Mishap::Mistaken);
    });
}

#[test]
fn every_pair_about_a_local_action_with_an_answer_that_is_lost() {
    prove_pairs("local, a lost answer", |scene| {
        (scene.local, scene.place, scene.lost_answers) = (true, Place::TwoProcesses, 5);
    });
}

/// Somebody between any two statements of a local action, and the lock itself.
#[test]
fn a_local_action_statement_by_statement() {
    for (before, acts) in [
        (Before::Nothing, [Act::Pay("r-1"), Act::Pay("r-1")]),
        (Before::Nothing, [Act::Pay("r-1"), Act::Undo(1)]),
        (Before::Failed, [Act::Retry(3), Act::Undo(1)]),
    ] {
        let mut scene = Scene::of(&acts);
        (scene.before, scene.fails) = (before, u32::from(before == Before::Failed));
        (scene.local, scene.grain) = (true, Grain::Statement);
        println!("local {acts:?}, statement by statement: {} schedules", prove(&scene));
    }
}

/// A `retry` may come before the sweep has found what the crash left, and fail: then nobody has told of the request yet.
#[test]
fn a_retry_that_fails_after_a_crash_that_nobody_reported() {
    for acts in [[Act::Pay("r-1"), Act::Retry(3)], [Act::Retry(3), Act::Retry(4)]] {
        let mut scene = Scene::of(&acts);
        (scene.place, scene.mishap, scene.fails) = (Place::TwoProcesses, Mishap::Crash, 9);
        if acts[0] == Act::Retry(3) {
            scene.before = Before::Failed;
        }
        println!("{acts:?} that all fail, crash: {} schedules", prove(&scene));
    }
}

#[test]
fn useful_triples() {
    let pay = Act::Pay("r-1");
    for acts in [
        [pay, pay, Act::Undo(1)],
        [pay, Act::Pay("r-2"), Act::Undo(1)],
        [pay, Act::Undo(1), Act::Undo(2)],
        [pay, Act::Undo(1), Act::Retry(3)],
        [Act::Retry(3), pay, Act::Undo(1)],
        [Act::Retry(3), Act::Retry(4), Act::Undo(1)],
        [pay, Act::Retry(3), Act::Sweep],
    ] {
        let mut schedules = 0;
        for (before, mishap) in [
            (Before::Nothing, Mishap::None),
            (Before::Nothing, Mishap::Crash),
            (Before::Failed, Mishap::None),
            (Before::Failed, Mishap::Crash),
        ] {
            let mut scene = Scene::of(&acts);
            (scene.place, scene.mishap) = (Place::TwoProcesses, mishap);
            (scene.before, scene.fails) = (before, u32::from(before == Before::Failed));
            schedules += prove(&scene);
        }
        println!("{acts:?}: {schedules} schedules");
    }
}

/// The first run is still at work where the second one begins: only the run number tells them apart.
#[test]
fn a_process_that_was_taken_for_dead_and_is_asked_again() {
    for fails in [0, 1] {
        let mut scene = Scene::of(&[Act::Pay("r-1"), Act::Sweep, Act::Retry(3)]);
        (scene.place, scene.mishap) = (Place::ByTurns, Mishap::MistakenAtOnce);
        scene.fails = fails;
        println!("{:?} by turns, taken for dead: {} schedules", scene.acts, prove(&scene));
    }
}

/// With the lock itself, and somebody between any two statements.
#[test]
fn the_heart_of_it_statement_by_statement() {
    for (before, acts) in [
        (Before::Nothing, [Act::Pay("r-1"), Act::Pay("r-1")]),
        (Before::Nothing, [Act::Pay("r-1"), Act::Undo(1)]),
        (Before::Failed, [Act::Retry(3), Act::Undo(1)]),
    ] {
        let mut scene = Scene::of(&acts);
        (scene.before, scene.fails) = (before, u32::from(before == Before::Failed));
        scene.grain = Grain::Statement;
        println!("{acts:?}, statement by statement: {} schedules", prove(&scene));
    }
}

#[test]
fn an_original_that_calls_others_and_its_compensation() {
    for (acts, mishap) in [
        ([Act::Pay("r-1"), Act::Undo(1)], Mishap::None),
        ([Act::Pay("r-1"), Act::Undo(1)], Mishap::Crash),
        ([Act::Pay("r-1"), Act::Undo(1)], Mishap::Mistaken),
    ] {
        let mut scene = Scene::of(&acts);
        (scene.place, scene.mishap, scene.calls) = (Place::TwoProcesses, mishap, true);
        println!("{acts:?} with calls, {mishap:?}: {} schedules", prove(&scene));
    }
}
