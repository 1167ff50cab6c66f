//! Cases that can't be worked on, until a person mends them.

mod world;

use amends_engine::{Answer, Mend, Mending, StepState};
use amends_protocol::{CaseState, HistoryState as H, Outcome};
use world::{Says, World, payment_report_1, reason, report};

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
