//! Retries, outages, limits, restarts and deadlines: what happens as time passes.

mod world;

use amends_api::{CaseAct, CaseState, ClosedOn, StuckReason};
use amends_engine::{Answer, HistoryResult, Input, StepReading, StepState};
use amends_protocol::{HistoryState as H, Outcome};
use world::{Reply, Says, World, evidence, payment_report_1, reason, report, words};

#[test]
fn order_report_1_retries_the_order_only_and_settles_forward() {
    let mut world = World::food_order();
    let case =
        world.report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert_eq!(world.sent, ["retry order.place"]);
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Forward));
}

#[test]
fn a_retry_not_yet_sent_is_superseded_by_compensation() {
    let mut world = World::food_order();
    world.pause("order", true);
    let case =
        world.report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
    world.report(report("order/report-2", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert_eq!(world.step(case, "retry order.place").state, StepState::Superseded);
    assert!(!world.plan(case).contains("compensate order.place"), "it never ran");
    world.pause("order", false);
    world.settle_down();
    assert!(!world.sent.contains(&"retry order.place".to_owned()));
}

#[test]
fn a_retry_in_flight_is_awaited_first_and_what_it_did_is_undone_too() {
    let mut world = World::food_order();
    world.replies.insert("retry order.place".into(), Reply::Silent);
    let case =
        world.report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    world.report(report("order/report-2", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert_eq!(world.sent, ["retry order.place"], "compensations wait for the retry's end");
    world.answer("retry order.place", StepReading::Done(Outcome::Retried));
    world.settle_down();
    assert_eq!(world.step(case, "retry order.place").state, StepState::Done(Outcome::Retried));
    assert_eq!(
        world.step(case, "compensate order.place").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_retry_in_flight_that_fails_is_not_tried_again_once_all_is_undone() {
    for (answer, undone) in
        [(StepReading::Unknown, true), (StepReading::NotSent, false), (StepReading::Refused, false)]
    {
        let mut world = World::food_order();
        world.replies.insert("retry order.place".into(), Reply::Silent);
        let case = world
            .report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
        world.settle_down();
        world.report(report("order/report-2", "s").action("place").saw("order.place", H::Failed));
        world.answer("retry order.place", answer.clone());
        world.settle_down();
        assert_eq!(
            world.step(case, "retry order.place").state,
            StepState::Superseded,
            "{answer:?}"
        );
        assert_eq!(world.plan(case).contains("compensate order.place"), undone, "{answer:?}");
    }
}

#[test]
fn a_retry_that_is_given_up_turns_into_compensation() {
    let mut world = World::food_order();
    let failing = StepReading::Busy { overloaded: true, retry_after_ms: Some(100) };
    world.replies.insert("retry order.place".into(), Reply::Says(failing));
    let case = world.report(
        report("order/report-1", "s")
            .action("place")
            .saw("order.place", H::Failed)
            .saw("payment.pay", H::Succeeded),
    );
    world.settle_down();
    world.pass_ms(3_600_000);
    assert_eq!(world.sent.iter().filter(|s| *s == "retry order.place").count(), 10);
    assert_eq!(world.step(case, "retry order.place").state, StepState::Superseded);
    assert_eq!(
        world.step(case, "compensate payment.pay").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(
        world.step(case, "compensate order.place").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn the_retry_of_a_rider_is_dropped_when_its_saga_is_undone() {
    let mut world = World::food_order();
    world.pause("rider", true);
    let case =
        world.report(report("rider/none-free", "s").action("match").saw("rider.match", H::Failed));
    assert_eq!(world.plan(case), words(["retry rider.match"]));
    world.report(payment_report_1("s"));
    world.pause("rider", false);
    world.settle_down();
    assert_eq!(world.step(case, "retry rider.match").state, StepState::Superseded);
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_dead_service_delays_only_its_own_steps_and_all_go_at_once_when_it_returns() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), Reply::Says(StepReading::NotSent));
    let cases: Vec<_> = (0..50).map(|n| world.report(payment_report_1(&format!("s{n}")))).collect();
    world.settle_down();
    world.pass_ms(600_000);
    for case in &cases {
        assert_eq!(
            world.step(*case, "compensate rider.match").state,
            StepState::Done(Outcome::Compensated)
        );
        assert!(matches!(world.step(*case, "compensate coupon.redeem").state, StepState::Due(_)));
    }
    let tries = world.sent.iter().filter(|s| *s == "compensate coupon.redeem").count();
    assert!(tries < 50 * 5 + 700, "a dead service is probed, not hammered: {tries}");
    world.replies.clear();
    world.pass_ms(1_001);
    for case in &cases {
        let row = world.step(*case, "compensate coupon.redeem");
        assert_eq!(
            row.state,
            StepState::Done(Outcome::Compensated),
            "within one probe of its return"
        );
    }
}

#[test]
fn retry_after_is_a_lower_bound() {
    let mut world = World::food_order();
    let busy = StepReading::Busy { overloaded: true, retry_after_ms: Some(30_000) };
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(busy));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let StepState::Due(at) = world.step(case, "compensate coupon.redeem").state else {
        panic!("due")
    };
    assert!(at >= world.now.plus_ms(30_000));
}

#[test]
fn retry_after_never_hides_a_step_past_its_time_limit() {
    let mut world = World::food_order();
    let years = StepReading::Busy { overloaded: true, retry_after_ms: Some(10 * 365 * 86_400_000) };
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(years));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(25 * 3_600_000);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Stuck(StuckReason::OutOfTime)
    );
}

#[test]
fn a_saga_announced_after_its_failure_gets_no_second_case() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(60_000);
    let stored = world.stored(case);
    world.engine.hydrate(stored); // as the driver does before a saga begins
    world.begin("s", "order", 1_000);
    world.pass_ms(60_000);
    assert_eq!(world.memory.cases().count(), 1);
    assert_eq!(
        world.memory.reports().count(),
        1,
        "no deadline is missed by a saga that has failed already"
    );
}

#[test]
fn an_accepted_step_is_polled_until_it_ends() {
    let mut world = World::food_order();
    let accepted = StepReading::Accepted { location: Some("/keys/1".into()), retry_after_ms: None };
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(accepted.clone()));
    world.replies.insert("poll coupon.redeem".into(), Reply::Says(accepted));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(10_000);
    assert!(matches!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Accepted { .. }
    ));
    world.replies.insert("poll coupon.redeem".into(), Reply::Done(Outcome::Compensated));
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(world.sent.iter().filter(|s| s.ends_with("coupon.redeem")).count(), 1);
}

#[test]
fn an_accepted_step_without_an_outcome_is_asked_for_again() {
    let mut world = World::food_order();
    let accepted = StepReading::Accepted { location: None, retry_after_ms: None };
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(accepted));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(3_599_000);
    assert_eq!(world.step(case, "compensate coupon.redeem").attempts, 1);
    world.pass_ms(600_000);
    assert_eq!(world.step(case, "compensate coupon.redeem").attempts, 2);
}

#[test]
fn steps_out_of_attempts_or_time_need_a_person() {
    let mut world = World::new(
        "
rulebook: one
services:
  a: { url: \"http://a\", actions: { x: { compensation: y, retry_policy: { attempts: 3 } } } }
  b: { url: \"http://b\", actions: { x: { compensation: y, retry_policy: { age: 1h } } } }
rules: [{ on: \"*/*\", compensate: [a.x, b.x] }]
",
    );
    world.replies.insert("a".into(), Reply::Says(StepReading::Unknown));
    world.replies.insert("b".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(report("a/broken", "s"));
    world.settle_down();
    world.pass_ms(2 * 3_600_000);
    assert_eq!(
        world.step(case, "compensate a.x").state,
        StepState::Stuck(StuckReason::OutOfAttempts)
    );
    assert_eq!(world.step(case, "compensate b.x").state, StepState::Stuck(StuckReason::OutOfTime));
    assert_eq!(world.state(case), CaseState::Stuck);
    world.replies.clear();
    assert_eq!(world.act_on_case(case, CaseAct::Retry { reason: reason() }), Answer::Done);
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_saga_that_never_ends_gets_a_report_at_its_deadline() {
    let mut world = World::food_order();
    world.begin("silent", "order", 5_000);
    world.begin("fine", "order", 5_000);
    assert_eq!(world.end("fine"), Answer::Done);
    assert_eq!(world.end("fine"), Answer::Done, "said again");
    world.begin("fine", "order", 5_000); // a retry that was late; it has ended all the same
    world.histories.insert(
        "payment".into(),
        HistoryResult::Told(vec![evidence("payment.pay", "p", H::Succeeded)].into()),
    );
    world.pass_ms(4_000);
    assert!(world.memory.cases().count() == 0);
    world.crash();
    world.pass_ms(60_000);
    assert_eq!(world.memory.cases().count(), 1);
    let case = world.only_case();
    assert_eq!(&*world.case(case).report, "supervisor/deadline");
    assert_eq!(
        world.step(case, "compensate payment.pay").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_crash_in_flight_sends_again_under_the_same_key() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), Reply::Silent);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let key = world.step(case, "compensate coupon.redeem").id;
    world.replies.clear();
    world.crash();
    world.settle_down();
    let row = world.step(case, "compensate coupon.redeem");
    assert_eq!((row.id, row.attempts), (key, 2));
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert!(world.memory.attempts().any(|a| a.step == key && a.result == "unknown"));
}

#[test]
fn the_reporters_own_history_is_asked_too_whoever_reported_first() {
    for order in [["coupon/odd", "payment/report-2"], ["payment/report-2", "coupon/odd"]] {
        let mut world = World::food_order();
        let told = HistoryResult::Told(vec![evidence("coupon.redeem", "r", H::Succeeded)].into());
        world.histories.insert("payment".into(), told);
        let cases = order.map(|kind| world.report(report(kind, "s")));
        world.settle_down();
        world.pass_ms(60_000);
        let row = world.step(cases[0], "compensate coupon.redeem");
        assert_eq!(row.state, StepState::Done(Outcome::Compensated), "{order:?}");
    }
}

/// Two rules retry the same action; each gives up on its own terms.
const TWO_GIVE_UPS: &str = "
rulebook: two
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo } } }
  sms: { url: \"http://s\", actions: { send: { on_failure: retry, correction: sorry } } }
rules:
  - { on: a/soon, retry: a.x, give_up: { after: 2 attempts, then: { notify: [sms.sorry] } } }
  - { on: a/late, retry: a.x, give_up: { after: 5 attempts, then: { compensate: [a.x] } } }
";

#[test]
fn the_strictest_give_up_counts_and_every_consequence_comes_into_force() {
    for order in [["a/soon", "a/late"], ["a/late", "a/soon"]] {
        let mut world = World::new(TWO_GIVE_UPS);
        world.replies.insert("retry a.x".into(), Reply::Silent);
        let cases = order.map(|kind| world.report(report(kind, "s").action("x")));
        world.answer("retry a.x", StepReading::Unknown);
        world.replies.insert("retry a.x".into(), Reply::Says(StepReading::Unknown));
        world.settle_down();
        world.pass_ms(3_600_000);
        let tries = world.sent.iter().filter(|s| *s == "retry a.x").count();
        assert_eq!(tries, 2, "{order:?}");
        assert_eq!(
            world.plan(cases[0]),
            words(["retry a.x", "compensate a.x", "notify sms.sorry"]),
            "{order:?}"
        );
        assert_eq!(world.state(cases[0]), CaseState::Settled, "{order:?}");
    }
}

#[test]
fn giving_up_may_just_tell_somebody() {
    let mut world = World::new(TWO_GIVE_UPS);
    world.replies.insert("retry a.x".into(), Reply::Says(StepReading::Unknown));
    let case = world.report(report("a/soon", "s").action("x"));
    world.settle_down();
    world.pass_ms(3_600_000);
    assert_eq!(world.step(case, "retry a.x").state, StepState::Superseded);
    assert_eq!(world.step(case, "notify sms.sorry").state, StepState::Done(Outcome::Notified));
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_refusal_by_callback_is_like_any_refusal_and_may_be_said_twice() {
    let mut world = World::new(TWO_GIVE_UPS);
    let accepted = StepReading::Accepted { location: None, retry_after_ms: None };
    world.replies.insert("retry a.x".into(), Reply::Says(accepted));
    let case = world.report(report("a/soon", "s").action("x"));
    world.settle_down();
    let step = world.step(case, "retry a.x").id;
    assert_eq!(world.call_back(step, Outcome::Refused), Answer::Done);
    world.settle_down();
    assert_eq!(world.step(case, "retry a.x").state, StepState::Superseded, "given up");

    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    let step = world.step(case, "compensate coupon.redeem").id;
    assert_eq!(world.call_back(step, Outcome::Refused), Answer::Done);
    assert_eq!(world.call_back(step, Outcome::Refused), Answer::Done);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Stuck(StuckReason::Refused)
    );
}

#[test]
fn a_restart_during_an_outage_does_not_bring_the_backoff_back() {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), Reply::Says(StepReading::NotSent));
    let cases: Vec<_> = (0..20).map(|n| world.report(payment_report_1(&format!("s{n}")))).collect();
    world.settle_down();
    world.pass_ms(1_800_000);
    world.crash();
    world.settle_down();
    world.pass_ms(3_000);
    world.replies.clear();
    world.pass_ms(2_000);
    for case in cases {
        let row = world.step(case, "compensate coupon.redeem");
        assert_eq!(row.state, StepState::Done(Outcome::Compensated));
    }
}

#[test]
fn a_history_is_asked_for_as_seldom_as_its_service_wants() {
    let mut world = World::food_order();
    let busy = HistoryResult::Failed {
        message: "busy".into(),
        unreachable: false,
        retry_after_ms: Some(60_000),
    };
    world.histories.insert("coupon".into(), busy);
    for n in 0..6 {
        world.report(
            report("payment/odd", &format!("s{n}")).action("pay").saw("payment.pay", H::Failed),
        );
    }
    world.settle_down();
    world.pass_ms(600_000);
    let histories = world.walked.iter().filter(|s| *s == "coupon").count();
    assert!(histories <= 6 * 11, "{histories}");
}

#[test]
fn a_429_holds_the_whole_queue() {
    let mut world = World::food_order();
    world.pause("coupon", true);
    for n in 0..50 {
        world.report(payment_report_1(&format!("s{n}")));
    }
    world.settle_down();
    world.limited.insert("coupon".into());
    world.sent.clear();
    world.pause("coupon", false);
    world.settle_down();
    let first = world.sent.len();
    assert!(first <= 16, "no more than what was under way at once: {first}");
    world.limited.clear();
    world.pass_ms(60_000);
    assert!(world.memory.cases().all(|c| c.state == CaseState::Settled));
}

/// Found by the simulator: the step of the later stage went out in the very turn that brought one of an earlier stage.
#[test]
fn a_turn_that_brings_an_earlier_stage_sends_nothing_of_a_later_one() {
    let mut world = World::new(
        "
rulebook: shop
services:
  a: { url: \"http://a\", concurrency: 1, actions: { x: { compensation: undo, calls: [b.y] } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules: [{ on: \"*/*\", compensate: recorded, then: { compensate: [a.x] } }]
",
    );
    world.pause("a", true);
    let case = world.report(report("a/failed", "s").action("x"));
    assert!(matches!(world.step(case, "compensate a.x").state, StepState::Due(_)));
    let resumed = Input::Pause {
        service: "a".into(),
        paused: false,
        actor: "kim".into(),
        reason: "it is back".into(),
        ticket: 0,
    };
    let told = Input::HistoryEnded {
        case,
        service: "b".into(),
        result: HistoryResult::Told(vec![evidence("b.y", "r", H::Succeeded)].into()),
    };
    world.turn([resumed, told]);
    assert_eq!(world.step(case, "compensate b.y").state, StepState::InFlight);
    assert_ne!(world.step(case, "compensate a.x").state, StepState::InFlight);
}
