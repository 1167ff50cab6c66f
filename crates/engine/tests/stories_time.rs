//! How old a step may get, what stops its age, and who goes first to a service in trouble.

mod world;

use amends_api::{BreakerState, CaseState, StepAct, StuckReason};
use amends_engine::{HistoryResult, Input, StepReading, StepState, Trust};
use amends_protocol::{HistoryState as H, Outcome};
use std::sync::Arc;
use world::{Reply, Says, World, reason, report};

/// A retry that is given up after five seconds.
const GIVES_UP: &str = "
rulebook: shop
services:
  shop: { url: \"http://shop\", actions: { order: { on_failure: retry } } }
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund } } }
rules:
  - { on: shop/odd, retry: shop.order, give_up: { after: 5s, then: { compensate: [payment.pay] } } }
";

/// A compensation that a person hears of after five seconds.
const AGES: &str = "
rulebook: shop
services:
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund, retry_policy: { age: 5s } } } }
rules:
  - { on: \"payment/*\", compensate: [payment.pay] }
";

fn reported(world: &mut World, kind: &str, cases: usize) -> Vec<amends_protocol::CaseId> {
    (0..cases).map(|n| world.report(report(kind, &format!("s{n}")))).collect()
}

#[test]
fn what_was_never_tried_is_given_up_in_time() {
    let mut world = World::new(GIVES_UP);
    world.replies.insert("shop".into(), Reply::Says(StepReading::NotSent));
    let cases = reported(&mut world, "shop/odd", 200);
    world.settle_down();
    world.pass_ms(10_000);
    for case in cases {
        let refund = world.step(case, "compensate payment.pay");
        assert_eq!(refund.state, StepState::Done(Outcome::Compensated), "{case}");
    }
}

#[test]
fn what_was_never_tried_is_stuck_in_time() {
    let mut world = World::new(AGES);
    world.replies.insert("payment".into(), Reply::Says(StepReading::NotSent));
    let cases = reported(&mut world, "payment/odd", 600);
    world.settle_down();
    world.pass_ms(4_900);
    assert!(cases.iter().all(|case| world.state(*case) == CaseState::Open));
    world.pass_ms(5_100);
    for case in cases {
        let step = world.step(case, "compensate payment.pay");
        assert_eq!(step.state, StepState::Stuck(StuckReason::OutOfTime), "{case}");
    }
}

#[test]
fn an_age_stands_still_while_the_service_is_paused() {
    let mut world = World::new(AGES);
    world.replies.insert("payment".into(), Reply::Says(StepReading::NotSent));
    let before = world.report(report("payment/odd", "before"));
    world.settle_down();
    world.pass_ms(3_000);
    world.pause("payment", true);
    let updated_at = world.step(before, "compensate payment.pay").updated_at;
    let amid = world.report(report("payment/odd", "amid"));
    world.pass_ms(3_600_000);
    assert_eq!(world.step(before, "compensate payment.pay").updated_at, updated_at);
    world.crash();
    world.pass_ms(3_600_000);
    world.pause("payment", false);
    for (ms, old) in [(1_900, [false, false]), (200, [true, false]), (2_950, [true, true])] {
        world.pass_ms(ms);
        let stuck = [before, amid].map(|case| world.state(case) == CaseState::Stuck);
        assert_eq!(stuck, old, "{ms} ms later");
    }
}

#[test]
fn an_age_begins_anew_when_a_person_has_it_tried_again() {
    let mut world = World::new(AGES);
    world.replies.insert("payment".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(report("payment/odd", "s"));
    world.settle_down();
    world.pass_ms(6_000);
    let step = world.step(case, "compensate payment.pay").id;
    world.pass_ms(3_600_000);
    world.act(step, StepAct::retry(reason()));
    world.pass_ms(4_000);
    assert_eq!(world.state(case), CaseState::Open);
    world.pass_ms(2_000);
    assert_eq!(world.state(case), CaseState::Stuck);
}

#[test]
fn a_step_that_waits_for_its_stage_has_no_age() {
    let mut world = World::new(
        "
rulebook: shop
services:
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund } } }
  coupon: { url: \"http://coupon\", actions: { redeem: { compensation: restore, retry_policy: { age: 5s } } } }
rules:
  - { on: \"payment/*\", compensate: [payment.pay], then: { compensate: [coupon.redeem] } }
",
    );
    world.replies.insert("payment".into(), Reply::Says(StepReading::NotSent));
    world.replies.insert("coupon".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(report("payment/odd", "s"));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.step(case, "compensate coupon.redeem").state, StepState::Waiting);
    world.replies.remove("payment");
    world.pass_ms(1_000);
    assert!(matches!(world.step(case, "compensate coupon.redeem").state, StepState::Due(_)));
    world.pass_ms(6_000);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Stuck(StuckReason::OutOfTime)
    );
}

#[test]
fn a_supervisor_that_was_down_gives_nothing_up() {
    let mut world = World::new(GIVES_UP);
    world.replies.insert("shop".into(), Reply::Says(StepReading::NotSent));
    let cases = reported(&mut world, "shop/odd", 20);
    world.settle_down();
    world.pass_ms(3_000);
    world.crash(); // supervisor time stands still, however long it lasts
    world.pass_ms(1_900);
    for case in &cases {
        assert!(matches!(world.step(*case, "retry shop.order").state, StepState::Due(_)));
    }
    world.pass_ms(2_000);
    for case in &cases {
        assert_eq!(world.step(*case, "retry shop.order").state, StepState::Superseded);
    }
}

#[test]
fn restarts_are_no_tries() {
    let mut world = World::new(
        "
rulebook: shop
services:
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund, retry_policy: { attempts: 2 } } } }
rules:
  - { on: \"payment/*\", compensate: [payment.pay] }
",
    );
    world.replies.insert("payment".into(), Reply::Silent);
    let case = world.report(report("payment/odd", "s"));
    for _ in 0..5 {
        world.settle_down();
        world.crash();
    }
    world.answer("compensate payment.pay", StepReading::Unknown);
    assert!(matches!(world.step(case, "compensate payment.pay").state, StepState::Due(_)));
    world.replies.insert("payment".into(), Reply::Done(Outcome::Compensated));
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

/// What is undone is what the Histories say.
const RECORDED: &str = "
rulebook: shop
services:
  shop: { url: \"http://shop\", actions: { order: { compensation: cancel, calls: [payment.pay] } } }
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund } } }
rules:
  - { on: shop/odd, compensate: recorded }
  - { on: payment/odd, compensate: [payment.pay] }
";

#[test]
fn histories_out_of_order_hold_up_no_compensation_and_are_probed_one_at_a_time() {
    let mut world = World::new(RECORDED);
    let failed = HistoryResult::Failed {
        message: "answered 500".into(),
        unreachable: false,
        retry_after_ms: None,
    };
    world.histories.insert("payment".into(), failed);
    world.turn((0..6_000).map(|n| {
        let report = Arc::new(report("shop/odd", &format!("s{n}")));
        Input::Report { report, known_in: None, ticket: 1_000_000 + n }
    }));
    let cases: Vec<_> = world.memory.cases().map(|row| row.id).collect();
    assert_eq!(cases.len(), 6_000);
    world.settle_down();
    world.pass_ms(10_000);
    let asked = world.walked.iter().filter(|service| *service == "payment").count();
    assert!(asked < 16 + 5 + 12, "{asked} readings in 10 s");
    world.replies.insert("compensate payment.pay".into(), Reply::Silent);
    world.report(report("payment/odd", "new"));
    world.pass_ms(1_000);
    assert!(world.sent.contains(&"compensate payment.pay".to_owned()));
    let queue = world.engine.queues().into_iter().find(|queue| &*queue.service == "payment");
    let queue = queue.expect("known");
    assert_eq!(queue.breaker, BreakerState::Closed, "the service itself is well");
    assert!(queue.histories_failing_since.is_some(), "and people see what is not");
    world.histories.clear();
    world.pass_ms(120_000);
    assert!(cases.iter().all(|case| world.state(*case) != CaseState::Stuck));
    let unread = cases
        .iter()
        .filter(|case| world.case(**case).extra.histories.iter().any(|query| !query.answered));
    assert_eq!(unread.count(), 0, "all are read once the first probe went well");
}

#[test]
fn histories_that_cannot_be_read_are_told_of_once_for_all_their_cases() {
    const MINUTE: u64 = 60_000;
    let mut world = World::new(RECORDED);
    let failed = HistoryResult::Failed {
        message: "answered 500".into(),
        unreachable: false,
        retry_after_ms: None,
    };
    world.histories.insert("payment".into(), failed);
    reported(&mut world, "shop/odd", 3);
    world.settle_down();
    world.pass_ms(9 * MINUTE);
    world.pause("payment", true);
    world.pass_ms(30 * MINUTE);
    world.pause("payment", false);
    world.pass_ms(MINUTE / 2);
    assert_eq!(world.histories_told, [], "the pause does not count");
    world.pass_ms(2 * MINUTE);
    assert_eq!(world.histories_told, [("payment".to_owned(), false)]);
    let shown = |world: &World| world.engine.queues().iter().any(|l| l.histories_unavailable);
    assert!(shown(&world));
    world.pass_ms(60 * MINUTE);
    assert_eq!(world.histories_told.len(), 1, "told once");
    world.histories.clear();
    world.pass_ms(MINUTE);
    assert_eq!(world.histories_told.last(), Some(&("payment".to_owned(), true)));
    assert!(!shown(&world));
}

#[test]
fn quiet_begins_when_nothing_is_open() {
    let mut world = World::new(RECORDED);
    world.replies.insert("shop".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(report("shop/odd", "s").action("order").saw("payment.pay", H::Unknown));
    world.settle_down();
    world.pass_ms(600_000);
    assert_eq!(world.case(case).extra.quiet_at, None, "a step is open");
}

const DAY: u64 = 86_400_000;

/// Announces a saga that has five seconds, by a wall clock that is ahead by `ahead_ms`.
fn begin_by(world: &mut World, saga: &str, ahead_ms: i64, trust: Trust) {
    world.ahead_ms = ahead_ms;
    world.trust = trust;
    world.begin(saga, "payment", 5_000);
}

#[test]
fn a_clock_that_is_set_fires_no_deadline_and_delays_none() {
    for ahead_ms in [-7_200_000, 7_200_000, 86_400_000] {
        let mut world = World::new(AGES);
        begin_by(&mut world, "s", 0, Trust::Agreed);
        (world.ahead_ms, world.trust) = (ahead_ms, Trust::Jumped);
        world.pass_ms(4_900);
        assert!(world.memory.cases().next().is_none(), "ahead by {ahead_ms}");
        world.pass_ms(200);
        assert_eq!(world.memory.cases().count(), 1, "ahead by {ahead_ms}");
    }
}

#[test]
fn a_deadline_from_before_the_start_waits_for_a_clock_that_can_be_trusted() {
    let mut world = World::new(AGES);
    begin_by(&mut world, "s", 0, Trust::Agreed);
    (world.ahead_ms, world.trust) = (40 * 86_400_000, Trust::Started);
    world.crash();
    world.pass_ms(1_000);
    (world.ahead_ms, world.trust) = (0, Trust::Jumped);
    world.pass_ms(600_000);
    assert!(world.memory.cases().next().is_none());
    world.trust = Trust::Agreed;
    world.pass_ms(10_000);
    assert_eq!(world.memory.cases().count(), 1);
}

#[test]
fn a_deadline_that_a_wrong_clock_calls_past_is_judged_by_the_right_one() {
    let mut world = World::new(AGES);
    begin_by(&mut world, "s", 40 * 86_400_000, Trust::Started);
    world.pass_ms(60_000);
    assert!(world.memory.cases().next().is_none(), "no time was left by the clock of that moment");
    begin_by(&mut world, "t", 0, Trust::Started);
    world.pass_ms(5_100);
    assert_eq!(world.memory.cases().count(), 1, "one with time left runs at once");
    world.trust = Trust::Agreed;
    world.pass_ms(10_000);
    assert_eq!(world.memory.cases().count(), 2);
}

#[test]
fn steps_are_tried_again_whatever_the_wall_clock_says() {
    let mut world = World::new(AGES.replace("age: 5s", "age: 3d").as_str());
    world.replies.insert("payment".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(report("payment/odd", "s"));
    world.settle_down();
    for ahead_ms in [-7_200_000, 7_200_000, 86_400_000, 40 * 86_400_000, 0] {
        world.ahead_ms = ahead_ms;
        let before = world.sent.len();
        world.pass_ms(10_000);
        assert!(world.sent.len() >= before + 5, "a probe a second, ahead by {ahead_ms}");
        let row = world.step(case, "compensate payment.pay");
        let ms = row.updated_at.0 - world.now.0 - ahead_ms;
        assert!((-10_000..=0).contains(&ms), "its stamp is the wall clock's: {ms}");
    }
    world.replies.clear();
    world.pass_ms(1_000 + DAY);
    assert_eq!(world.state(case), CaseState::Settled);
}
