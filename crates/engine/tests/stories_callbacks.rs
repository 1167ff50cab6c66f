//! Who may tell the outcome of a step on its own: whoever was asked for it, and proves that; without a proof, a service
//! that has answered 202.

mod world;

use amends_api::{CaseState, StuckReason};
use amends_engine::{Answer, StepReading, StepState};
use amends_protocol::{
    CallbackProof, CaseId, Evidence, HistoryState as H, Outcome, OutcomeCallback, StepId,
};
use world::{Reply, World, evidence, payment_report_1};

const STEP: &str = "compensate coupon.redeem";

/// A coupon that is to be given back, and how its service takes that.
fn coupon(answer: Option<StepReading>) -> (World, CaseId, StepId) {
    let mut world = World::food_order();
    world.replies.insert("coupon".into(), answer.map_or(Reply::Silent, Reply::Says));
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let step = world.step(case, STEP).id;
    (world, case, step)
}

fn taken() -> StepReading {
    StepReading::Accepted { location: None, retry_after_ms: None }
}

fn says(outcome: Outcome) -> OutcomeCallback {
    OutcomeCallback::of(outcome)
}

fn tells_of_more(outcome: Outcome) -> OutcomeCallback {
    let history: Vec<Evidence> = vec![evidence("rider.match", "r-9", H::Succeeded)];
    OutcomeCallback { history: history.into(), ..says(outcome) }
}

fn is_unproven(answer: &Answer) -> bool {
    matches!(answer, Answer::Unproven(_))
}

#[test]
fn the_proof_counts_in_every_state_after_the_first_send() {
    let states: [(&str, Option<StepReading>, u64); 5] = [
        ("in flight", None, 0),
        ("due again", Some(StepReading::Unknown), 0),
        ("accepted", Some(taken()), 0),
        ("after the patience with a 202", Some(taken()), 48 * 3_600_000),
        ("stuck", Some(StepReading::Rejected), 0),
    ];
    for (state, answer, later) in states {
        let (mut world, case, step) = coupon(answer);
        world.pass_ms(later);
        assert_eq!(world.call_back(step, Outcome::Compensated), Answer::Done, "{state}");
        let row = world.step(case, STEP);
        assert_eq!(row.state, StepState::Done(Outcome::Compensated), "{state}");
        assert!(row.extra.callbacks[0].counted, "{state}");
        assert_eq!(world.call_back(step, Outcome::Compensated), Answer::Done, "{state}: again");
    }
}

#[test]
fn a_wrong_proof_changes_nothing_whatever_the_state() {
    for answer in [None, Some(StepReading::Unknown), Some(taken()), Some(StepReading::Rejected)] {
        let (mut world, case, step) = coupon(answer.clone());
        let before = world.stored(case);
        let wrong = CallbackProof::new("p-00000000000000000000000000000000");
        let lie = tells_of_more(Outcome::Compensated).proven(wrong);
        assert!(is_unproven(&world.call_back_as(step, lie)), "{answer:?}");
        assert_eq!(world.stored(case), before, "{answer:?}");
    }
}

#[test]
fn the_proof_of_one_step_is_worth_nothing_for_another() {
    let (mut world, case, step) = coupon(None);
    let other = world.step(case, "compensate delivery.request").id;
    let proof = world.proof_of(other).expect("it was sent");
    let lie = says(Outcome::Compensated).proven(proof);
    assert!(is_unproven(&world.call_back_as(step, lie)));
    assert_eq!(world.step(case, STEP).state, StepState::InFlight);
}

#[test]
fn without_a_proof_only_a_step_that_was_taken_with_202_is_answered() {
    // A kit of before.
    let (mut world, case, step) = coupon(Some(taken()));
    assert_eq!(world.call_back_as(step, says(Outcome::Compensated)), Answer::Done);
    assert_eq!(world.step(case, STEP).state, StepState::Done(Outcome::Compensated));

    let (mut world, case, step) = coupon(Some(StepReading::Unknown));
    let before = world.stored(case);
    assert!(is_unproven(&world.call_back_as(step, tells_of_more(Outcome::Compensated))));
    assert_eq!(world.stored(case), before);
}

#[test]
fn that_a_step_was_taken_is_known_after_a_restart_and_after_the_patience_with_it() {
    let (mut world, case, step) = coupon(Some(taken()));
    world.replies.insert("coupon".into(), Reply::Says(StepReading::Unknown));
    world.pass_ms(48 * 3_600_000);
    world.crash();
    assert!(!matches!(world.step(case, STEP).state, StepState::Accepted { .. }));
    assert_eq!(world.call_back_as(step, says(Outcome::Compensated)), Answer::Done);
}

#[test]
fn the_proof_is_the_same_after_a_restart() {
    let (mut world, case, step) = coupon(Some(taken()));
    let proof = world.proof_of(step).expect("it was sent");
    world.crash();
    let late = says(Outcome::Compensated).proven(proof);
    assert_eq!(world.call_back_as(step, late), Answer::Done);
    assert_eq!(world.step(case, STEP).state, StepState::Done(Outcome::Compensated));
}

#[test]
fn a_callback_that_overtakes_its_202_waits_for_it() {
    let (mut world, case, step) = coupon(None);
    let early = tells_of_more(Outcome::Compensated);
    assert_eq!(world.call_back_as(step, early), Answer::Kept);
    assert_eq!(world.step(case, STEP).state, StepState::InFlight, "nobody has proved anything");
    world.answer(STEP, taken());
    let row = world.step(case, STEP);
    assert_eq!(row.state, StepState::Done(Outcome::Compensated));
    assert!(row.extra.callbacks[0].counted);
    let told = &world.case(case).extra.told;
    assert!(told.iter().any(|told| *told.by == *"coupon"), "its evidence counts too: {told:?}");
}

#[test]
fn a_callback_during_a_try_that_brings_no_202_did_not_count() {
    for (answer, then) in [
        (StepReading::Unknown, None),
        (StepReading::Rejected, Some(StepState::Stuck(StuckReason::Rejected))),
        (
            StepReading::Done(Outcome::NothingToCompensate),
            Some(StepState::Done(Outcome::NothingToCompensate)),
        ),
    ] {
        let (mut world, case, step) = coupon(None);
        assert_eq!(world.call_back_as(step, says(Outcome::Compensated)), Answer::Kept);
        world.answer(STEP, answer.clone());
        let row = world.step(case, STEP);
        assert_ne!(row.state, StepState::Done(Outcome::Compensated), "{answer:?}");
        if let Some(then) = then {
            assert_eq!(row.state, then, "{answer:?}");
        }
        let kept = &row.extra.callbacks;
        assert_eq!((kept.len(), kept[0].counted), (1, false), "people see that it came");
    }
}

#[test]
fn nobody_answers_for_a_step_that_was_never_sent() {
    let mut world = World::food_order();
    world.pause("coupon", true);
    let case = world.report(payment_report_1("s"));
    world.settle_down();
    let row = world.step(case, STEP).clone();
    assert!(matches!(row.state, StepState::Due(_)));
    let Answer::Conflict(why) = world.call_back_as(row.id, says(Outcome::Compensated)) else {
        panic!("it was never sent");
    };
    assert!(why.contains("has not been sent to coupon"), "{why}");
    assert_eq!(world.step(case, STEP), &row);
    // Nor is one that waits for an earlier stage.
    let later = world.steps_of(case).find(|s| s.state == StepState::Waiting).map(|s| s.id);
    let later = later.expect("the rider is released after the delivery");
    let said = world.call_back_as(later, says(Outcome::Compensated));
    assert!(matches!(said, Answer::Conflict(_)), "{said:?}");
}

#[test]
fn another_outcome_after_the_end_is_seen_and_changes_nothing() {
    let (mut world, case, step) = coupon(Some(StepReading::Done(Outcome::Compensated)));
    let said = world.call_back(step, Outcome::NothingToCompensate);
    assert!(matches!(said, Answer::Conflict(_)), "{said:?}");
    let row = world.step(case, STEP);
    assert_eq!(row.state, StepState::Done(Outcome::Compensated));
    let callback = &row.extra.callbacks[0];
    assert_eq!((callback.outcome, callback.counted), (Outcome::NothingToCompensate, false));
}

#[test]
fn what_a_person_decided_stays_whoever_calls_back() {
    let (mut world, case, step) = coupon(Some(StepReading::Unknown));
    let waived = amends_api::StepAct::Waive { reason: world::reason() };
    assert_eq!(world.act(step, waived), Answer::Done);
    let said = world.call_back(step, Outcome::Compensated);
    assert!(matches!(said, Answer::Conflict(_)), "{said:?}");
    assert_eq!(world.step(case, STEP).state, StepState::Done(Outcome::Waived));
}

/// Billing is asked for each payment by itself.
const BY_REQUEST: &str = "
rulebook: shop
settle: { quiet: 0s }
services:
  shop: { actions: { sell: { effect: none, calls: [billing.charge] } } }
  billing:
    url: http://billing:80
    actions:
      charge:
        compensation: refund
        endpoints: { compensate: { path: \"/payments/{requestId}/refund\", done: [2xx] } }
rules: [{ on: \"*/*\", compensate: recorded }]
";

#[test]
fn each_part_has_a_proof_of_its_own() {
    let mut world = World::new(BY_REQUEST);
    world.replies.insert("billing".into(), Reply::Says(taken()));
    let mut report = world::report("shop/odd", "s");
    report.data.history = ["a", "b"]
        .map(|request| Evidence::new("billing", "charge", request, H::Succeeded))
        .to_vec();
    let case = world.report(report);
    world.settle_down();
    let rows: Vec<_> = world.steps_of(case).cloned().collect();
    let [a, b] = &rows[..] else { panic!("two parts: {rows:#?}") };
    let part = a.part_id().expect("a part");
    let swapped = says(Outcome::Compensated).proven(world.proof_of(b.id).expect("sent"));
    assert!(is_unproven(&world.call_back_as(part, swapped)));
    let right = says(Outcome::Compensated).proven(world.proof_of(a.id).expect("sent"));
    assert_eq!(world.call_back_as(part, right), Answer::Done, "by the part's id");
    assert_eq!(world.call_back(b.id, Outcome::Compensated), Answer::Done, "by the id it was sent");
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}
