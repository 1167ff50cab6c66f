//! Cases that can't be worked on, until a person mends them.

mod world;

use amends_engine::{Answer, Mend, Mending, StepState};
use amends_protocol::{CaseState, HistoryState as H, Outcome};
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
