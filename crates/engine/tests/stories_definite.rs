//! Definite answers (a redirect, 401, 404 and the like that nobody mapped): of a deploy nobody hears, a wrong step is
//! stuck in the end, and a service that rejects everything holds its steps until it answers something else.

mod world;

use amends_api::{CaseState, Cause, StuckReason};
use amends_engine::{Input, Lateness, StepReading, StepResult, StepState, Survey};
use amends_protocol::{CaseId, Outcome};
use world::{Reply, World, payment_report_1};

const MINUTE: u64 = 60_000;

fn rejects() -> Reply {
    Reply::Says(StepReading::Definite)
}

/// So many failed sagas, each with a refund to ask for.
fn failed_sagas(world: &mut World, count: usize) -> Vec<CaseId> {
    let report = |n| payment_report_1(&format!("s-{n}"));
    (0..count).map(|n| world.report(report(n))).collect()
}

fn stuck(world: &World) -> usize {
    world.memory.cases().filter(|case| case.state == CaseState::Stuck).count()
}

fn state_of(world: &World, service: &str) -> &'static str {
    let queues = world.engine.queues();
    queues
        .iter()
        .find(|queue| &*queue.service == service)
        .map_or("closed", |queue| queue.breaker.as_str())
}

fn survey(world: &World) -> Survey {
    let mut query = world.engine.survey(Lateness { now: world.now, default_ms: None });
    while !query.look(&world.engine, 1) {}
    query.finish()
}

#[test]
fn of_a_deploy_that_answers_404_for_half_a_minute_nobody_hears() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), rejects());
    let cases = failed_sagas(&mut world, 20);
    world.settle_down();
    world.pass_ms(30_000);
    assert_eq!(state_of(&world, "coupon"), "rejecting", "it is not shown as healthy");
    world.replies.clear();
    world.pass_ms(1_000);
    assert_eq!(state_of(&world, "coupon"), "closed");
    assert_eq!((stuck(&world), world.breakers_told.as_slice()), (0, &[][..]));
    for case in cases {
        let state = &world.step(case, "compensate coupon.redeem").state;
        assert_eq!(*state, StepState::Done(Outcome::Compensated));
    }
}

#[test]
fn a_service_that_rejects_everything_is_one_trouble_and_no_step_of_it_is_stuck() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), rejects());
    failed_sagas(&mut world, 20);
    world.settle_down();
    world.pass_ms(MINUTE);
    let before = world.sent.len();
    world.pass_ms(MINUTE);
    let probes = world.sent.len() - before;
    assert!((55..=61).contains(&probes), "one step a second is tried, not {probes}");
    world.pass_ms(10 * MINUTE);
    assert_eq!(stuck(&world), 0);
    assert_eq!(world.breakers_told, ["coupon rejecting"], "people hear of it once");
    let survey = survey(&world);
    let troubles: Vec<_> = survey.groups.iter().filter(|(key, _)| key.cause.is_trouble()).collect();
    let [(key, group)] = troubles[..] else { panic!("one group, not {troubles:#?}") };
    assert_eq!((&*key.service, key.cause, group.count), ("coupon", Cause::Rejecting, 20));
    world.replies.clear();
    world.pass_ms(2_000);
    assert_eq!(world.breakers_told, ["coupon rejecting", "coupon closed"]);
    assert!(!survey_has_trouble(&world));
}

fn survey_has_trouble(world: &World) -> bool {
    survey(world).groups.keys().any(|key| key.cause.is_trouble())
}

#[test]
fn a_step_alone_is_stuck_after_five_minutes_with_what_the_service_said() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), rejects());
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(4 * MINUTE);
    assert_eq!(world.state(case), CaseState::Open, "not before its time");
    world.pass_ms(10 * MINUTE);
    let step = world.step(case, "compensate coupon.redeem");
    assert_eq!(step.state, StepState::Stuck(StuckReason::Rejected));
    assert_eq!(
        (step.extra.status, step.extra.definite.map(|d| d.count >= 3)),
        (Some(404), Some(true))
    );
    assert!(world.breakers_told.is_empty());
}

#[test]
fn any_other_answer_between_begins_the_five_minutes_anew() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), rejects());
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    for _ in 0..6 {
        world.pass_ms(4 * MINUTE);
        let step = world.step(case, "compensate coupon.redeem");
        let (id, attempt) = (step.id, step.attempts);
        world.replies.insert("compensate coupon.redeem".into(), Reply::Silent);
        // The next try meets a fault of the network.
        while !matches!(world.step(case, "compensate coupon.redeem").state, StepState::InFlight) {
            world.pass_ms(1_000);
        }
        world.answer("compensate coupon.redeem", StepReading::Unknown);
        assert!(world.step(case, "compensate coupon.redeem").attempts > attempt, "{id}");
        world.replies.insert("compensate coupon.redeem".into(), rejects());
    }
    assert_eq!(world.state(case), CaseState::Open);
}

#[test]
fn a_restart_makes_no_stuck_steps_of_a_service_that_rejects() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), rejects());
    failed_sagas(&mut world, 10);
    world.settle_down();
    world.pass_ms(8 * MINUTE);
    world.crash();
    world.settle_down();
    world.pass_ms(8 * MINUTE);
    assert_eq!(stuck(&world), 0);
    assert_eq!(state_of(&world, "coupon"), "rejecting");
}

#[test]
fn two_wrong_steps_are_stuck_once_the_service_has_done_another() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), Reply::Silent);
    let cases = failed_sagas(&mut world, 3);
    world.settle_down();
    let mut passed = 0;
    // The service takes the last one whenever it comes, and rejects the others for good.
    while passed < 30 * MINUTE {
        while let Some(effect) = world.under_way.pop_front() {
            let (step, attempt) = effect.step().expect("nothing else is silent");
            let good = step.case == cases[2];
            let (answer, status) = match good {
                true => (StepReading::Busy { overloaded: false, retry_after_ms: None }, 409),
                false => (StepReading::Definite, 404),
            };
            let service = std::sync::Arc::clone(effect.service());
            let result = StepResult::new(answer, Some(status)).telling(vec![]);
            world.input(Input::StepEnded { step, attempt, service, result });
        }
        world.pass_ms(1_000);
        passed += 1_000;
    }
    let states: Vec<_> = cases.iter().map(|case| world.state(*case)).collect();
    assert_eq!(states, [CaseState::Stuck, CaseState::Stuck, CaseState::Open]);
}
