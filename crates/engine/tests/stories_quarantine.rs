//! Cases that can't be worked on, until a person mends them.

mod world;

use amends_api::CaseState;
use amends_engine::{Answer, Mend, Mending, ReportRole, ReportRow, StepState, Write};
use amends_protocol::{CaseId, HistoryState as H, Outcome};
use std::sync::Arc;
use world::{Says, World, payment_report_1, reason, report};

#[test]
fn a_case_that_was_in_the_store_alone_and_cannot_be_read_is_quarantined_and_nothing_else() {
    let mut world = World::food_order().with_budget(0);
    world.pause("coupon", true);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    assert!(world.engine.is_spilled(case), "all else is done, and coupon is paused");
    world.memory.break_case(case, "a byte is another");
    world.report(report("order/report-3", "s").action("place"));
    assert_eq!(world.engine.quarantined().len(), 1);
    assert!(!world.engine.is_spilled(case), "it is in one place");
    assert_eq!(world.engine.memory_use().spilled_bytes, 0);
}

#[test]
fn what_a_settled_case_hears_while_it_cannot_be_read_is_answered_when_it_is_repaired() {
    let mut world = World::food_order();
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
    world.memory.break_case(case, "a byte is another");

    let late = report("order/report-3", "s").action("place").saw("payment.pay", H::Unknown);
    assert_eq!(world.report(late), case);
    world.settle_down();
    assert!(
        !world.plan(case).contains("compensate payment.pay"),
        "nobody can say what it asks for"
    );

    let mend = Mend {
        case,
        mending: Mending::Repair,
        stored: world.memory.case(case),
        before: serde_json::Value::Null,
        actor: "kim".into(),
        reason: reason().into(),
    };
    assert_eq!(world.mend(mend), Answer::Done);
    world.settle_down();
    assert_eq!(
        world.step(case, "compensate payment.pay").state,
        StepState::Done(Outcome::Compensated)
    );
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

fn settled_case(world: &mut World) -> CaseId {
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
    case
}

#[test]
fn after_a_restart_people_are_told_of_a_settled_case_that_holds_an_unanswered_report() {
    let mut world = World::food_order();
    let case = settled_case(&mut world);
    world.memory.break_case(case, "a byte is another");
    world.crash();
    assert!(world.engine.quarantined().is_empty(), "nobody has asked anything of it");

    let late = report("order/report-3", "s").action("place").saw("payment.pay", H::Unknown);
    assert_eq!(world.report(late), case, "it is acknowledged");
    world.crash();
    let quarantined = world.engine.quarantined();
    assert_eq!(quarantined.iter().map(|one| one.case.id).collect::<Vec<_>>(), [case]);
    assert_eq!(quarantined[0].case.next_report, 2, "the report is not forgotten");
    world.crash();
    assert_eq!(world.engine.quarantined().len(), 1, "nor ever later");
}

#[test]
fn what_a_settled_case_heard_while_the_store_refused_it_is_answered_after_a_restart() {
    let mut world = World::food_order();
    let case = settled_case(&mut world);
    let late = report("order/report-3", "s").action("place").saw("payment.pay", H::Unknown);
    let row = ReportRow {
        case,
        position: 1,
        received_at: world.now,
        role: ReportRole::Unmatched,
        report: Arc::new(late),
    };
    let stored = world.memory.commit(vec![Write::Report(Box::new(row))].into());
    stored.expect("as the quarantine keeps it");
    world.crash();
    assert_eq!(world.state(case), CaseState::Open);
    world.settle_down();
    let undone = StepState::Done(Outcome::Compensated);
    assert_eq!(world.step(case, "compensate payment.pay").state, undone);
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn what_an_open_case_heard_while_the_store_refused_it_is_answered_after_a_restart() {
    let mut world = World::food_order();
    world.pause("coupon", true);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    assert!(world.engine.quarantine(case, "its key belongs to another row"));
    let late = report("order/report-3", "s").action("place").saw("payment.pay", H::Unknown);
    assert_eq!(world.report(late), case);
    assert!(!world.plan(case).contains("compensate payment.pay"), "it asks for nothing yet");

    world.crash();
    world.settle_down();
    let undone = StepState::Done(Outcome::Compensated);
    assert_eq!(world.step(case, "compensate payment.pay").state, undone);
    assert_eq!(world.state(case), CaseState::Open, "coupon is paused; a rule answers all reports");
}

#[test]
fn the_end_of_a_saga_is_to_be_said_again_while_its_case_can_keep_nothing() {
    let mut world = World::food_order();
    world.begin("s", "order", 600_000);
    world.pause("coupon", true);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    assert!(world.engine.quarantine(case, "its key belongs to another row"));
    let answer = world.end("s");
    assert!(
        matches!(&answer, Answer::Unavailable(why) if why.contains("is quarantined")),
        "{answer:?}"
    );
    assert_eq!(world.case(case).extra.saga_ended_at, None);
    world.crash();
    assert_eq!(world.end("s"), Answer::Done);
    assert!(world.case(case).extra.saga_ended_at.is_some());
}
