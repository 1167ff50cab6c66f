//! What a case does, told as stories on the food-order business: each test is one sentence of the design.

mod world;

use amends_engine::{Answer, Errand, StepReading, StepState, WalkResult};
use amends_protocol::resources::{CaseAct, StepAct};
use amends_protocol::{CaseState, ClosedOn, HistoryState as H, Outcome, StuckReason};
use amends_rulebook::Rulebook;
use serde_json::{Map, json};
use world::{Reply, Says, World, evidence, report, words};

fn reason() -> String {
    "because".to_owned()
}

/// Payment failed for good, and its History says that it left nothing behind.
fn payment_report_1(saga: &str) -> amends_protocol::Report {
    report("payment/report-1", saga)
        .action("pay")
        .saw("payment.pay", H::Failed)
        .saw("coupon.redeem", H::Succeeded)
        .saw("delivery.request", H::Succeeded)
}

#[test]
fn the_five_reports_ask_for_exactly_what_the_rules_list() {
    let undo = |what: &[&str]| -> std::collections::BTreeSet<String> {
        what.iter()
            .map(|a| format!("compensate {a}"))
            .chain(["notify sms.send-cancellation".to_owned()])
            .collect()
    };
    let table = [
        ("payment/report-1", "pay", undo(&["coupon.redeem", "delivery.request", "rider.match"])),
        ("payment/report-2", "pay", undo(&["delivery.request", "rider.match"])),
        ("order/report-1", "place", words(["retry order.place"])),
        ("order/report-2", "place", undo(&["payment.pay", "delivery.request", "rider.match"])),
        (
            "order/report-3",
            "place",
            undo(&["payment.pay", "coupon.redeem", "delivery.request", "rider.match"]),
        ),
    ];
    for (kind, action, expected) in table {
        let mut world = World::food_order();
        let own = format!("{}.{action}", kind.split_once('/').expect("a kind").0);
        let case = world.report(report(kind, "s").action(action).saw(&own, H::Failed));
        world.settle_down();
        world.pass_ms(60_000);
        assert_eq!(world.plan(case), expected, "{kind}");
        assert!(world.steps_of(case).all(|s| matches!(s.state, StepState::Done(_))), "{kind}");
        assert_eq!(world.state(case), CaseState::Settled, "{kind}");
    }
}

#[test]
fn notices_go_out_when_the_compensations_are_done() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Silent);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    assert_eq!(world.step(case, "notify sms.send-cancellation").state, StepState::Waiting);
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
    world.answer("compensate coupon.redeem", StepReading::Done(Outcome::Compensated));
    world.settle_down();
    assert_eq!(
        world.step(case, "notify sms.send-cancellation").state,
        StepState::Done(Outcome::Notified)
    );
}

#[test]
fn a_step_that_several_rules_ask_for_takes_the_latest_of_their_stages() {
    for order in [["a/one", "a/two"], ["a/two", "a/one"]] {
        let mut world = World::new(
            "
rulebook: staged
services:
  a: { url: \"http://a\", actions: { x: { compensation: undo } } }
  b: { url: \"http://b\", actions: { y: { compensation: undo } } }
rules:
  - { on: a/one, compensate: [a.x] }
  - { on: a/two, compensate: [b.y], then: { compensate: [a.x] } }
",
        );
        world.pause("a", true);
        world.replies.insert("b".into(), Reply::Silent);
        let cases = order.map(|kind| world.report(report(kind, "s")));
        world.settle_down();
        assert_eq!(world.step(cases[0], "compensate a.x").stage, 1, "{order:?}");
        world.pause("a", false);
        assert_eq!(world.sent, ["compensate b.y"], "{order:?}");
        world.answer("compensate b.y", StepReading::Done(Outcome::Compensated));
        world.settle_down();
        assert_eq!(world.sent, ["compensate b.y", "compensate a.x"], "{order:?}");
    }
}

#[test]
fn a_report_that_comes_again_changes_nothing() {
    let mut world = World::food_order();
    let first = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(60_000);
    let sent = world.sent.len();
    assert_eq!(world.report(payment_report_1("s")), first);
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.sent.len(), sent);
}

#[test]
fn a_derived_report_joins_its_root_whichever_comes_first() {
    for root_first in [true, false] {
        let mut world = World::food_order();
        let root = payment_report_1("s").id("p1");
        let derived = report("order/downstream", "s")
            .action("place")
            .saw("order.place", H::Failed)
            .caused_by("p1");
        let mut both = vec![root, derived];
        if !root_first {
            both.reverse();
        }
        let cases: Vec<_> = both.into_iter().map(|r| world.report(r)).collect();
        world.settle_down();
        assert_eq!(cases[0], cases[1]);
        assert_eq!(
            world.plan(cases[0]),
            words([
                "compensate coupon.redeem",
                "compensate delivery.request",
                "compensate rider.match",
                "notify sms.send-cancellation"
            ])
        );
        assert_eq!(world.state(cases[0]), CaseState::Settled);
        assert_eq!(world.cases[&cases[0]].closed_on, Some(ClosedOn::Fenced));
    }
}

#[test]
fn a_derived_report_whose_root_never_comes_is_answered_by_its_own_rule() {
    let mut world = World::food_order();
    let case = world.report(
        report("order/downstream", "s")
            .action("place")
            .saw("order.place", H::Started)
            .caused_by("lost"),
    );
    world.settle_down();
    assert!(world.plan(case).is_empty());
    assert_eq!(world.state(case), CaseState::Open);
    world.pass_ms(11_000);
    assert!(world.plan(case).contains("compensate order.place"));
    assert!(world.cases[&case].detail.notes.iter().any(|n| n.text.contains("lost")));
}

#[test]
fn causes_in_a_circle_still_get_an_answer() {
    let mut world = World::food_order();
    let saw = |r: amends_protocol::Report| r.saw("order.place", H::Unknown).action("place");
    world.report(saw(report("order/a", "s")).id("a").caused_by("b"));
    let case = world.report(saw(report("order/b", "s")).id("b").caused_by("a"));
    world.pass_ms(30_000);
    assert!(world.plan(case).contains("compensate order.place"));
}

#[test]
fn the_reporter_is_in_its_own_plan_unless_its_history_proves_it_empty() {
    let mut world = World::food_order();
    let half_done = world.report(report("payment/report-2", "s1").action("pay"));
    let proven =
        world.report(report("payment/report-2", "s2").action("pay").saw("payment.pay", H::Failed));
    assert!(world.plan(half_done).contains("compensate payment.pay"));
    assert!(!world.plan(proven).contains("compensate payment.pay"));
}

#[test]
fn recorded_starts_from_the_report_and_is_completed_by_the_histories() {
    let mut world = World::food_order();
    world.histories.insert(
        "delivery".into(),
        WalkResult::Told(vec![evidence("delivery.request", "d", H::Succeeded)]),
    );
    world.histories.insert(
        "rider".into(),
        WalkResult::Failed { message: "refused".into(), unreachable: true, retry_after_ms: None },
    );
    let case = world.report(
        report("payment/odd", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("coupon.redeem", H::Unknown),
    );
    assert_eq!(
        world.plan(case),
        words(["compensate coupon.redeem", "notify sms.send-cancellation"])
    );
    world.settle_down();
    assert!(world.plan(case).contains("compensate delivery.request"), "found by the walk");
    world.pass_ms(20_000);
    assert_eq!(world.state(case), CaseState::Open, "rider's History is still unknown");
    world
        .histories
        .insert("rider".into(), WalkResult::Told(vec![evidence("rider.match", "m", H::Started)]));
    world.pass_ms(120_000);
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_call_that_was_still_running_is_found_by_the_answers_to_other_steps() {
    let mut world = World::food_order();
    world.replies.insert(
        "compensate delivery.request".into(),
        Reply::SaysWith(
            StepReading::Done(Outcome::Compensated),
            vec![evidence("rider.match", "m", H::Unknown)],
        ),
    );
    let case = world.report(
        report("payment/odd", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("delivery.request", H::Succeeded),
    );
    world.settle_down();
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_case_that_is_not_fenced_settles_on_quiet_after_a_last_look() {
    let mut world = World::food_order();
    let case = world.report(report("payment/odd", "s").action("pay"));
    world.settle_down();
    assert_eq!(
        world.state(case),
        CaseState::Open,
        "coupon, delivery and rider might still be called"
    );
    let walks = world.walked.len();
    world.pass_ms(2_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(world.cases[&case].closed_on, Some(ClosedOn::Quiet));
    assert!(world.walked.len() > walks, "the last look asks again");
}

#[test]
fn the_last_look_may_find_something_and_then_the_quiet_time_begins_anew() {
    let mut world = World::food_order();
    let case = world.report(report("payment/odd", "s").action("pay"));
    world.settle_down();
    world.histories.insert(
        "coupon".into(),
        WalkResult::Told(vec![evidence("coupon.redeem", "late", H::Succeeded)]),
    );
    world.pass_ms(2_000);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(world.state(case), CaseState::Open);
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_report_for_a_settled_case_reopens_it_with_only_the_new_steps() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
    let sent = world.sent.len();
    world.report(report("order/report-3", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert_eq!(world.sent[sent..], ["compensate payment.pay".to_owned()]);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn order_report_1_retries_the_order_only_and_settles_forward() {
    let mut world = World::food_order();
    let case =
        world.report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert_eq!(world.sent, ["retry order.place"]);
    assert_eq!(world.cases[&case].closed_on, Some(ClosedOn::Forward));
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
fn a_refusal_is_stuck_and_everything_else_goes_on() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(StepReading::Refused));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Stuck(StuckReason::Refused)
    );
    assert_eq!(
        world.step(case, "compensate rider.match").state,
        StepState::Done(Outcome::Compensated)
    );
    assert_eq!(
        world.step(case, "notify sms.send-cancellation").state,
        StepState::Waiting,
        "a stuck step holds its stage back"
    );

    let step = world.step(case, "compensate coupon.redeem").id;
    assert_eq!(world.act(step, StepAct::Waive { reason: reason() }), Answer::Done);
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Done(Outcome::Waived)
    );
    assert_eq!(world.acts.last().map(|a| (a.act, &*a.actor)), Some(("waive", "kim")));
    assert!(
        matches!(world.act(step, StepAct::Waive { reason: reason() }), Answer::Conflict(_)),
        "once is enough"
    );
}

#[test]
fn what_a_person_waived_stays_waived_and_later_reports_are_noted_beside_it() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(StepReading::Refused));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    world.act(step, StepAct::Waive { reason: reason() });
    world.settle_down();
    world.pass_ms(10_000);
    world.report(report("order/report-3", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    let row = world.step(case, "compensate coupon.redeem");
    assert_eq!(row.state, StepState::Done(Outcome::Waived));
    assert_eq!(row.memo.would_have_asked, [1]);
    assert_eq!(row.memo.because, [0]);
}

#[test]
fn an_operator_edits_and_tries_again_under_the_same_key() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(StepReading::Rejected));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    world.replies.insert("compensate coupon.redeem".into(), Reply::Silent);
    let data = Map::from_iter([("coupon".to_owned(), json!("SPRING"))]);
    assert_eq!(
        world.act(step, StepAct::Edit { reason: reason(), data: data.clone() }),
        Answer::Done
    );
    let Some(Errand::Send(send)) = world.under_way.back() else { panic!("sent again") };
    assert_eq!((send.step, send.attempt), (step, 2));
    assert_eq!(send.edited.as_deref(), Some(&data));
    world.answer("compensate coupon.redeem", StepReading::Done(Outcome::Compensated));
    world.settle_down();
    world.pass_ms(10_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn acts_that_make_no_sense_are_refused_with_a_reason_and_change_nothing() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    let conflict = |answer: Answer| matches!(answer, Answer::Conflict(_));
    assert!(conflict(world.act(step, StepAct::Waive { reason: reason() })), "it is compensated");
    assert!(conflict(world.act(step, StepAct::Retry { reason: reason() })));
    assert!(conflict(world.act(step, StepAct::Approve { reason: reason() })));
    assert!(matches!(world.act(step, StepAct::Waive { reason: " ".into() }), Answer::Invalid(_)));
    let wrong = StepAct::Record { reason: reason(), outcome: Outcome::Notified };
    assert!(matches!(world.act(step, wrong), Answer::Invalid(_)));
    assert!(world.acts.iter().all(|a| a.act == "activate"));
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn an_outcome_reached_outside_can_be_recorded() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Says(StepReading::Refused));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    let act = StepAct::Record { reason: reason(), outcome: Outcome::Compensated };
    assert_eq!(world.act(step, act), Answer::Done);
    world.settle_down();
    let row = world.step(case, "compensate coupon.redeem");
    assert_eq!(row.state, StepState::Done(Outcome::Compensated));
    assert_eq!(row.memo.decided_by.as_deref(), Some("kim"));
    assert_ne!(world.cases[&case].closed_on, Some(ClosedOn::Fenced), "a person's word is no fence");
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
    assert_eq!(world.cases.len(), 1);
    assert_eq!(world.reports.len(), 1, "no deadline is missed by a saga that has failed already");
}

#[test]
fn evidence_of_an_action_that_the_rulebook_does_not_know_is_noted() {
    let mut world = World::food_order();
    let case =
        world.report(report("payment/odd", "s").action("pay").saw("coupon.burn", H::Succeeded));
    world.settle_down();
    assert!(world.cases[&case].detail.notes.iter().any(|n| n.text.contains("coupon.burn")));
}

#[test]
fn an_accepted_step_is_polled_until_it_ends() {
    let mut world = World::food_order();
    let accepted = StepReading::Accepted { location: Some("/jobs/1".into()), retry_after_ms: None };
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
fn a_report_that_no_rule_answers_waits_for_a_person() {
    let mut world = World::new(
        "
rulebook: narrow
services: { a: { url: \"http://a\", actions: { x: { compensation: y } } } }
rules: [{ on: a/known, compensate: [a.x] }]
",
    );
    let case = world.report(report("a/strange", "s"));
    assert_eq!(world.state(case), CaseState::Unmatched);
    let plan = |what: &str| CaseAct::Plan {
        reason: reason(),
        compensate: vec![what.parse().expect("a name")],
        retry: vec![],
        notify: vec![],
    };
    assert!(matches!(world.act_on_case(case, plan("a.nope")), Answer::Invalid(_)));
    assert_eq!(world.act_on_case(case, plan("a.x")), Answer::Done);
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_mended_rulebook_answers_an_unmatched_case_by_replanning() {
    let narrow = "
rulebook: r
services: { a: { url: \"http://a\", actions: { x: { compensation: y } } } }
rules: [{ on: a/known, compensate: [a.x] }]
";
    let mut world = World::new(narrow);
    let case = world.report(report("a/strange", "s"));
    world.activate(Rulebook::from_yaml(&narrow.replace("a/known", "\"*/*\"")).expect("valid"));
    assert_eq!(
        world.state(case),
        CaseState::Unmatched,
        "a case keeps the rulebook that it began with"
    );
    assert_eq!(world.act_on_case(case, CaseAct::Replan { reason: reason() }), Answer::Done);
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_rule_in_ask_mode_waits_for_a_yes_and_one_in_shadow_mode_sends_nothing() {
    let book = |mode: &str| {
        format!(
            "
rulebook: r
services: {{ a: {{ url: \"http://a\", actions: {{ x: {{ compensation: y }} }} }} }}
rules: [{{ on: \"*/*\", compensate: [a.x], mode: {mode} }}]
"
        )
    };
    let mut world = World::new(&book("ask"));
    let case = world.report(report("a/broken", "s"));
    world.settle_down();
    let step = world.step(case, "compensate a.x").id;
    assert_eq!(
        world.step(case, "compensate a.x").state,
        StepState::Stuck(StuckReason::AwaitsApproval)
    );
    assert_eq!(world.state(case), CaseState::Stuck);
    assert!(world.sent.is_empty());
    assert_eq!(world.act(step, StepAct::Approve { reason: reason() }), Answer::Done);
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Settled);

    let mut world = World::new(&book("shadow"));
    let case = world.report(report("a/broken", "s"));
    world.settle_down();
    assert_eq!(world.step(case, "compensate a.x").state, StepState::Shadow);
    assert_eq!(world.state(case), CaseState::Settled);
    assert!(world.sent.is_empty());

    let plan = || CaseAct::Plan {
        reason: reason(),
        compensate: vec!["a.x".parse().expect("a name")],
        retry: vec![],
        notify: vec![],
    };
    assert_eq!(world.act_on_case(case, plan()), Answer::Done, "a person means it in earnest");
    world.settle_down();
    assert_eq!(world.sent, ["compensate a.x"]);
    assert!(
        matches!(world.act_on_case(case, plan()), Answer::Conflict(_)),
        "it is in the plan already"
    );
}

#[test]
fn past_its_limit_a_rule_falls_back_to_ask() {
    let mut world = World::new(
        "
rulebook: r
services: { a: { url: \"http://a\", actions: { x: { compensation: y } } } }
rules: [{ on: \"*/*\", compensate: [a.x], limit: 2 per minute }]
",
    );
    let cases: Vec<_> =
        (0..3).map(|n| world.report(report("a/broken", &format!("s{n}")))).collect();
    world.settle_down();
    let states: Vec<_> = cases.iter().map(|c| world.state(*c)).collect();
    assert_eq!(states, [CaseState::Settled, CaseState::Settled, CaseState::Stuck]);
}

#[test]
fn a_saga_that_never_ends_gets_a_report_at_its_deadline() {
    let mut world = World::food_order();
    world.begin("silent", "order", 5_000);
    world.begin("fine", "order", 5_000);
    assert_eq!(world.end("fine"), Answer::Done);
    world.histories.insert(
        "payment".into(),
        WalkResult::Told(vec![evidence("payment.pay", "p", H::Succeeded)]),
    );
    world.pass_ms(4_000);
    assert!(world.cases.is_empty());
    world.crash();
    world.pass_ms(60_000);
    assert_eq!(world.cases.len(), 1);
    let case = *world.cases.keys().next().expect("one");
    assert_eq!(&*world.cases[&case].report, "supervisor/deadline");
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
    assert!(world.attempts.iter().any(|a| a.step == key && a.result == "unknown"));
}

#[test]
fn a_service_belongs_to_one_rulebook() {
    let mut world = World::food_order();
    let other = Rulebook::from_yaml(
        "
rulebook: other
services: { payment: { url: \"http://p\", actions: { pay: { compensation: refund } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
",
    )
    .expect("valid");
    world.activate(other);
    let case = world.report(payment_report_1("s"));
    assert_eq!(world.cases[&case].rulebook.as_ref().map(|r| &*r.name), Some("food-order"));
}

#[test]
fn a_late_answer_after_a_waiver_is_noted_and_changes_nothing() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Silent);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    assert_eq!(world.act(step, StepAct::Waive { reason: reason() }), Answer::Done);
    world.answer("compensate coupon.redeem", StepReading::Done(Outcome::Compensated));
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Done(Outcome::Waived)
    );
    assert!(world.cases[&case].detail.notes.iter().any(|n| n.text.contains("after the decision")));
}
