//! What people may do to a case, and what then stays as they decided.

mod world;

use amends_api::{CaseAct, CaseState, ClosedOn, StepAct, StepActName, StuckReason};
use amends_engine::{Answer, Effect, NewLimits, Replaces, StepReading, StepState};
use amends_protocol::{HistoryState as H, Outcome};
use amends_rulebook::Rulebook;
use serde_json::{Map, json};
use world::{Reply, Says, World, evidence, payment_report_1, reason, report};

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
    assert_eq!(
        world.memory.acts().last().map(|a| (&*a.act, &*a.actor.name)),
        Some(("waive", "kim"))
    );
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
    assert_eq!(row.extra.would_have_asked, [1]);
    assert_eq!(row.extra.because, [0]);
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
    assert_eq!(world.act(step, StepAct::edit(reason(), data.clone())), Answer::Done);
    let Some(Effect::Send(send)) = world.under_way.back() else { panic!("sent again") };
    assert_eq!((send.step, send.attempt), (step, 2));
    assert_eq!(send.data.as_deref(), Some(&data));
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
    assert!(conflict(world.act(step, StepAct::retry(reason()))));
    assert!(conflict(world.act(step, StepAct::Approve { reason: reason() })));
    assert!(matches!(world.act(step, StepAct::Waive { reason: " ".into() }), Answer::Invalid(_)));
    let wrong = StepAct::Record { reason: reason(), outcome: Outcome::Notified };
    assert!(matches!(world.act(step, wrong), Answer::Invalid(_)));
    assert!(world.memory.acts().iter().all(|a| a.act == "activate"));
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
    assert_eq!(row.extra.decided_by.as_deref(), Some("kim"));
    assert_ne!(world.case(case).closed_on, Some(ClosedOn::Proven), "a person's word is no fence");
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
    assert_eq!(world.act_on_case(case, CaseAct::replan(reason())), Answer::Done);
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
    assert_eq!(world.case(case).closed_on, Some(ClosedOn::Forward), "nothing is known of a.x");
    assert!(world.sent.is_empty());
    let told = world.report(report("a/broken", "t").saw("a.x", H::Succeeded));
    world.settle_down();
    world.pass_ms(60 * 60_000);
    let row = world.case(told);
    assert_eq!((row.state, row.closed_on), (CaseState::Settled, Some(ClosedOn::Quiet)));
    let left = &row.extra.may_still_stand[0];
    assert_eq!(left.name().to_string(), "a.x");
    assert!(left.why.contains("shadow"), "{}", left.why);
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
    let held = &world.case(cases[2]).extra.notes[0].text;
    assert!(held.contains("more than 2 cases a minute for rule `*/*`"), "{held}");
}

#[test]
fn a_limits_minute_begins_with_its_first_case_and_a_new_one_when_it_is_over() {
    const MINUTE_MS: u64 = 60_000;
    let mut world = World::new(
        "
rulebook: r
services: { a: { url: \"http://a\", actions: { x: { compensation: y } } } }
rules: [{ on: \"*/*\", compensate: [a.x], limit: 1 per minute }]
",
    );
    // The clock's minute is a third over, so the first case's minute lies across two of it.
    assert_eq!(world.now.0 % 60_000, 20_000);
    let mut arrives = |saga: &str, after_ms: u64| {
        world.pass_ms(after_ms);
        let case = world.report(report("a/broken", saga));
        world.settle_down();
        world.state(case)
    };
    assert_eq!(arrives("first", 0), CaseState::Settled);
    assert_eq!(arrives("in-the-same-minute", MINUTE_MS - 1), CaseState::Stuck);
    assert_eq!(arrives("in-the-next", 1), CaseState::Settled);
    assert_eq!(arrives("too-soon-again", MINUTE_MS / 2), CaseState::Stuck);
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
    let refused = world.try_to_activate(other, Replaces::Any);
    let why = "service `payment` already belongs to rulebook `food-order`".to_owned();
    assert_eq!(refused, Answer::Conflict(why));
    let case = world.report(payment_report_1("s"));
    assert_eq!(world.case(case).rulebook.as_ref().map(|r| &*r.name), Some("food-order"));
}

#[test]
fn an_operators_retry_does_not_forget_that_an_earlier_try_may_have_run() {
    let mut world = World::food_order();
    world.replies.insert("retry order.place".into(), Reply::Says(StepReading::Unknown));
    let case =
        world.report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    world.replies.insert("retry order.place".into(), Reply::Says(StepReading::NotSent));
    let step = world.step(case, "retry order.place").id;
    world.act(step, StepAct::retry(reason()));
    world.settle_down();
    world.report(report("order/report-2", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert!(world.plan(case).contains("compensate order.place"));
}

#[test]
fn an_edited_retry_in_flight_is_awaited_like_any_other() {
    let mut world = World::food_order();
    world.replies.insert("retry order.place".into(), Reply::Says(StepReading::Rejected));
    let case =
        world.report(report("order/report-1", "s").action("place").saw("order.place", H::Failed));
    world.replies.insert("retry order.place".into(), Reply::Silent);
    world.answer("retry order.place", StepReading::Unknown);
    let step = world.step(case, "retry order.place").id;
    world.act(step, StepAct::edit(reason(), Map::new()));
    world.report(report("order/report-2", "s").action("place").saw("order.place", H::Failed));
    world.settle_down();
    assert!(world.sent.iter().all(|s| s == "retry order.place"), "{:?}", world.sent);
    world.answer("retry order.place", StepReading::Done(Outcome::Retried));
    world.settle_down();
    assert_eq!(
        world.step(case, "compensate order.place").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_step_that_the_new_rulebook_does_not_know_makes_the_case_stuck_in_the_open() {
    let mut world = World::food_order();
    world.pause("coupon", true);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    // No activation takes such a version; a store that an older supervisor wrote may have it.
    world.restart_with(
        Rulebook::from_yaml(
            "
rulebook: food-order
services: { payment: { url: \"http://p\", actions: { pay: { compensation: refund } } } }
rules: [{ on: \"*/*\", compensate: recorded }]
",
        )
        .expect("valid"),
    );
    assert_eq!(world.act_on_case(case, CaseAct::replan(reason())), Answer::Done);
    world.pause("coupon", false);
    world.settle_down();
    assert_eq!(
        world.step(case, "compensate coupon.redeem").state,
        StepState::Stuck(StuckReason::Unsendable)
    );
    assert_eq!(world.state(case), CaseState::Stuck);
}

#[test]
fn a_late_answer_brings_its_evidence_to_a_case_that_was_settled_by_hand() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".into(), Reply::Silent);
    let case = world.report(
        report("payment/odd", "s")
            .action("pay")
            .saw("payment.pay", H::Failed)
            .saw("coupon.redeem", H::Succeeded),
    );
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    world.act(step, StepAct::Waive { reason: reason() });
    world.settle_down();
    assert_eq!(world.act_on_case(case, CaseAct::Settle { reason: reason() }), Answer::Done);
    let stored = world.stored(case);
    world.engine.hydrate(stored); // as the driver does for every result of a case that is not in memory
    world.answer_with(
        "compensate coupon.redeem",
        StepReading::Done(Outcome::Compensated),
        vec![evidence("delivery.request", "d", H::Succeeded)],
    );
    world.settle_down();
    assert_eq!(
        world.step(case, "compensate delivery.request").state,
        StepState::Done(Outcome::Compensated)
    );
}

#[test]
fn a_plan_by_hand_asks_only_for_what_makes_sense() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    let act = CaseAct::Plan {
        reason: reason(),
        compensate: vec!["sms.send".parse().expect("a name")],
        retry: vec![],
        notify: vec![],
    };
    assert!(matches!(world.act_on_case(case, act), Answer::Invalid(_)));
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
    assert!(world.case(case).extra.notes.iter().any(|n| n.text.contains("after the decision")));
}

#[test]
fn a_pause_and_limits_outlive_a_restart_and_are_taken_back() {
    let mut world = World::food_order();
    for _ in 0..3 {
        world.pause("coupon", true);
    }
    let limits = NewLimits { concurrency: Some(3), per_second: Some(2) };
    assert_eq!(world.limit("delivery", limits), Answer::Done);
    assert_eq!(world.limit("delivery", limits), Answer::Done);
    world.crash();
    let queue = |world: &World, name: &str| {
        world.engine.queues().into_iter().find(|l| &*l.service == name).expect("a queue")
    };
    let delivery = queue(&world, "delivery");
    assert_eq!((delivery.concurrency, delivery.per_second), (3, Some(2)));
    assert_eq!(&*queue(&world, "coupon").settings.pause.expect("paused").by, "kim");
    world.report(payment_report_1("s"));
    world.settle_down();
    assert!(!world.sent.contains(&"compensate coupon.redeem".to_owned()), "{:?}", world.sent);

    assert_eq!(world.limit("delivery", NewLimits::default()), Answer::Done);
    for _ in 0..3 {
        world.pause("coupon", false);
    }
    world.crash();
    let delivery = queue(&world, "delivery");
    assert_eq!((delivery.settings.limits, delivery.per_second), (None, None));
    world.pass_ms(1_000);
    assert!(world.sent.contains(&"compensate coupon.redeem".to_owned()), "{:?}", world.sent);
    let acts: Vec<_> =
        world.memory.acts().iter().map(|a| &*a.act).filter(|a| *a != "activate").collect();
    assert_eq!(acts, ["pause", "limit", "limit", "resume"], "what changes nothing leaves nothing");
}

#[test]
fn a_limit_per_second_spreads_the_work_and_loses_none() {
    let mut world = World::food_order();
    let limits = NewLimits { concurrency: None, per_second: Some(4) };
    world.limit("coupon", limits);
    for n in 0..12 {
        world.report(payment_report_1(&format!("s-{n}")));
        world.settle_down();
    }
    let sent =
        |world: &World| world.sent.iter().filter(|s| *s == "compensate coupon.redeem").count();
    assert!((1..=2).contains(&sent(&world)), "the first at once: {}", sent(&world));
    world.pass_ms(1_000);
    assert!((4..=6).contains(&sent(&world)), "then four a second: {}", sent(&world));
    world.pass_ms(3_000);
    assert_eq!(sent(&world), 12);
}

/// Where nodes share a service's concurrency, nothing goes without a permit, and what is under way stays.
#[test]
fn requests_go_as_far_as_there_are_permits() {
    let mut world = World::food_order();
    let coupon: std::sync::Arc<str> = "coupon".into();
    let sent =
        |world: &World| world.sent.iter().filter(|s| *s == "compensate coupon.redeem").count();
    let demand = |world: &World| {
        let found = world.engine.demands(world.now).find(|one| *one.service == *"coupon");
        found.map(|one| (one.concurrency, one.in_flight, one.ready))
    };
    world.replies.insert("coupon".into(), Reply::Silent);
    world.engine.go_by_permits();
    for n in 0..5 {
        world.report(payment_report_1(&format!("s-{n}")));
    }
    world.pass_ms(1_000);
    assert_eq!((sent(&world), demand(&world)), (0, Some((16, 0, 5))));
    let permit = |world: &mut World, permits| {
        world.engine.permit(&coupon, permits, world.now);
        world.pass_ms(1);
    };
    permit(&mut world, 2);
    assert_eq!((sent(&world), demand(&world)), (2, Some((16, 2, 3))));
    permit(&mut world, 1);
    world.answer("compensate coupon.redeem", StepReading::Done(Outcome::Compensated));
    assert_eq!((sent(&world), demand(&world)), (2, Some((16, 1, 3))), "one is under way still");
    world.answer("compensate coupon.redeem", StepReading::Done(Outcome::Compensated));
    assert_eq!((sent(&world), demand(&world)), (3, Some((16, 1, 2))), "then the next");
    permit(&mut world, 100);
    assert_eq!((sent(&world), demand(&world)), (5, Some((16, 3, 0))));
    world.pause("coupon", true);
    world.report(payment_report_1("s-5"));
    assert_eq!(demand(&world), Some((16, 3, 0)), "a pause keeps it back, not a permit");
}

#[test]
fn limits_that_make_no_sense_change_nothing() {
    let mut world = World::food_order();
    for limits in [
        NewLimits { concurrency: Some(0), per_second: None },
        NewLimits { concurrency: None, per_second: Some(1_000_000) },
    ] {
        assert!(matches!(world.limit("coupon", limits), Answer::Invalid(_)), "{limits:?}");
    }
    assert!(matches!(world.limit("nobody", NewLimits::default()), Answer::NotFound(_)));
}

#[test]
fn a_waived_retry_is_not_brought_back_once_the_case_is_being_undone() {
    let mut world = World::new(
        "
rulebook: r
services: { a: { url: \"http://a\", actions: { x: { compensation: y } } } }
rules: [{ on: a/again, retry: [a.x] }, { on: a/undo, compensate: [a.x] }]
",
    );
    world.replies.insert("retry a.x".into(), Reply::Says(StepReading::Refused));
    let case = world.report(report("a/again", "s"));
    world.settle_down();
    let step = world.step(case, "retry a.x").id;
    world.act(step, StepAct::Waive { reason: reason() });
    assert!(world.step(case, "retry a.x").may().contains(&StepActName::Retry), "not undone yet");
    world.report(report("a/undo", "s"));
    world.settle_down();
    assert_eq!(world.step(case, "retry a.x").may(), [StepActName::Record]);
    let Answer::Conflict(why) = world.act(step, StepAct::retry(reason())) else {
        panic!("it would be replaced at once");
    };
    assert!(why.ends_with("the case is being undone instead; possible now: record"), "{why}");
}

#[test]
fn a_refused_act_is_no_sign_of_life() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let quiet_at = world.case(case).extra.quiet_at;
    assert!(quiet_at.is_some(), "it waits for its quiet time");
    world.skip_ms(10);
    let step = world.step(case, "compensate coupon.redeem").id;
    assert!(matches!(world.act(step, StepAct::retry(reason())), Answer::Conflict(_)));
    assert_eq!(world.case(case).extra.quiet_at, quiet_at);
}
