//! A saga that reports in a loop: its case is full, and what still may stand is undone all the same.

mod world;

use amends_api::CaseState;
use amends_engine::{Answer, Erase, Input, ReportRole, StepState};
use amends_protocol::{CaseId, Evidence, HistoryState as H, SagaId};
use serde_json::json;
use world::{Says, World, evidence, report};

/// Reports of a case that are looked at.
const LIMIT: usize = 1_000;

const SHOP: &str = "
rulebook: shop
services:
  payment: { url: \"http://payment\", actions: { pay: { compensation: refund } } }
  coupon: { url: \"http://coupon\", actions: { redeem: { compensation: restore } } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

/// A case that a stranger has filled.
fn full() -> (World, CaseId) {
    let mut world = World::new(SHOP);
    let mut case = CaseId(0);
    for n in 0..LIMIT {
        case = world.report(report("stranger/odd", "s").id(&format!("odd-{n}")));
    }
    world.settle_down();
    (world, case)
}

fn role_of(world: &World, case: CaseId, position: usize) -> ReportRole {
    world.memory.reports_of(case).nth(position).expect("stored").role
}

#[test]
fn what_only_the_report_too_many_knows_of_is_undone() {
    let (mut world, case) = full();
    let late = report("payment/odd", "s").saw("coupon.redeem", H::Succeeded);
    assert_eq!(world.report(late.clone()), case);
    assert_eq!(role_of(&world, case, LIMIT), ReportRole::Excess);
    world.settle_down();
    assert!(world.sent.contains(&"compensate coupon.redeem".to_owned()), "{:?}", world.sent);
    assert_eq!(world.report(late), case, "sent again, it is known");
    assert_eq!(world.memory.reports().count(), LIMIT + 1);
}

#[test]
fn reports_without_end_cost_rows_and_nothing_else() {
    let (mut world, case) = full();
    world.pass_ms(7 * 86_400_000);
    assert_eq!(world.state(case), CaseState::Settled);
    for n in 0..10 {
        world.report(report("stranger/odd", "s").id(&format!("more-{n}")));
    }
    assert_eq!(world.state(case), CaseState::Settled, "nothing new is known");
    assert_eq!(world.case(case).extra.excess, 10);
    world.report(report("payment/odd", "s").saw("payment.pay", H::Unknown));
    assert_ne!(world.state(case), CaseState::Settled, "a request may stand");
    world.settle_down();
    assert!(matches!(world.step(case, "compensate payment.pay").state, StepState::Done(_)));
}

/// Only the store holds what a full case is told; it goes with each such report, though the case stays settled.
#[test]
fn what_a_full_case_is_told_after_its_data_went_goes_as_well() {
    let (mut world, case) = full();
    let told =
        |id: &str| report("stranger/odd", "s").id(id).with("customer", json!("ann@example.org"));
    world.report(told("before"));
    world.pass_ms(7 * 86_400_000);
    assert_eq!(world.state(case), CaseState::Settled);
    let erase = Box::new(Erase {
        number: None,
        sagas: vec![SagaId::new("s").expect("valid")],
        field: None,
        when_settled: false,
        actor: "kim".into(),
        reason: "asked for by mail".into(),
    });
    let ticket = 4711;
    assert_eq!(world.answer_to(Input::Erase { erase, ticket }, ticket), Answer::Erased(1));
    let holds = |world: &World| format!("{:?}", world.memory).contains("ann@example.org");
    assert!(!holds(&world));
    world.report(told("after"));
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(role_of(&world, case, LIMIT + 1), ReportRole::Excess);
    assert!(!holds(&world));
}

#[test]
fn a_full_case_goes_on_after_a_crash_with_the_next_position() {
    let (mut world, case) = full();
    world.report(report("payment/odd", "s").id("a").saw("payment.pay", H::Unknown));
    world.crash();
    world.report(report("payment/odd", "s").id("b").saw("coupon.redeem", H::Unknown));
    let ids: Vec<&str> = [LIMIT, LIMIT + 1]
        .iter()
        .map(|p| &*world.memory.reports_of(case).nth(*p).expect("stored").report.id)
        .collect();
    assert_eq!(ids, ["a", "b"]);
    world.settle_down();
    world.pass_ms(60_000);
    for step in ["compensate payment.pay", "compensate coupon.redeem"] {
        assert!(matches!(world.step(case, step).state, StepState::Done(_)), "{step}");
    }
}

#[test]
fn strangers_can_not_use_up_the_room_of_a_declared_service() {
    let (mut world, case) = full();
    for stranger in ["x", "y"] {
        let mut junk = report(&format!("{stranger}/odd"), "s");
        junk.data.history = (0..LIMIT).map(|n| made_up(stranger, n)).collect();
        world.report(junk);
    }
    assert_eq!(world.case(case).extra.told.len(), LIMIT, "one limit for all strangers");
    let notes = &world.case(case).extra.notes;
    assert!(notes.iter().any(|note| note.text.starts_with("y told more")), "{notes:?}");
    world.report(report("payment/odd", "s").saw("coupon.redeem", H::Succeeded));
    world.settle_down();
    assert!(world.sent.contains(&"compensate coupon.redeem".to_owned()));
}

fn made_up(stranger: &str, n: usize) -> Evidence {
    evidence(&format!("{stranger}.do"), &format!("r-{n}"), H::Unknown)
}
