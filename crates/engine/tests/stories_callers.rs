//! Where a service puts up no fence, the undo of what is only known to have begun waits for whoever may still call it.

mod world;

use amends_api::{Cause, StepAct};
use amends_engine::{StepReading, StepState};
use amends_protocol::{CaseId, HistoryState as H, Outcome};
use world::{Reply, Says, World, report};

/// Billing is asked through its own API; checkout, which calls it, speaks the protocol.
const SHOP: &str = "
rulebook: shop
settle: { quiet: 60s }
services:
  checkout: { url: \"http://checkout\", actions: { place: { effect: none, calls: [billing.charge] } } }
  billing:
    url: \"http://billing\"
    actions:
      charge:
        compensation: refund
        endpoints: { compensate: { path: \"/payments/{requestId}/refund\", done: [2xx] } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

const REFUND: &str = "compensate billing.charge";
const FENCE: &str = "compensate checkout.place";

/// Something is said of a charge while checkout does not answer.
fn charged(state: H) -> (World, CaseId) {
    let mut world = World::new(SHOP);
    world.replies.insert(FENCE.to_owned(), Reply::Silent);
    let case =
        world.report(report("billing/odd", "s").action("charge").saw("billing.charge", state));
    world.settle_down();
    (world, case)
}

fn is_refunded(world: &World, case: CaseId) -> bool {
    world.step(case, REFUND).state == StepState::Done(Outcome::Compensated)
}

fn awaited(world: &World, case: CaseId) -> Vec<String> {
    let awaits = world.step(case, REFUND).awaits_callers();
    awaits.into_iter().flat_map(|awaits| &awaits.callers).map(ToString::to_string).collect()
}

#[test]
fn what_took_effect_is_refunded_at_once() {
    let (world, case) = charged(H::Succeeded);
    assert!(is_refunded(&world, case));
}

#[test]
fn what_may_still_be_on_its_way_waits_until_its_caller_is_fenced_and_says_so() {
    for state in [H::Started, H::Unknown] {
        let (mut world, case) = charged(state);
        let step = world.step(case, REFUND);
        assert_eq!((&step.state, step.cause()), (&StepState::Waiting, Some(Cause::Callers)));
        assert_eq!(awaited(&world, case), ["checkout.place"], "{state}");
        assert!(step.extra.message.as_ref().is_some_and(|text| text.contains("checkout.place")));
        world.answer(FENCE, StepReading::Done(Outcome::NothingToCompensate));
        world.settle_down();
        assert!(is_refunded(&world, case), "{state}");
        assert!(awaited(&world, case).is_empty());
    }
}

#[test]
fn a_caller_that_has_ended_is_not_waited_for() {
    let (mut world, case) = charged(H::Unknown);
    world.report(report("checkout/odd", "s").action("place").saw("checkout.place", H::Failed));
    world.settle_down();
    assert!(is_refunded(&world, case));
}

#[test]
fn who_is_out_of_reach_for_the_quiet_time_does_not_keep_the_money() {
    let (mut world, case) = charged(H::Unknown);
    world.pass_ms(30_000);
    world.crash();
    world.settle_down();
    assert_eq!(awaited(&world, case), ["checkout.place"], "a restart changes nothing");
    world.pass_ms(29_000);
    assert!(!is_refunded(&world, case));
    world.pass_ms(2_000);
    assert!(is_refunded(&world, case));
}

#[test]
fn a_spilled_case_goes_on_waiting_and_comes_back_in_time() {
    let mut world = World::new(SHOP).with_budget(1);
    world.replies.insert(FENCE.to_owned(), Reply::Says(StepReading::NotSent));
    let case =
        world.report(report("billing/odd", "s").action("charge").saw("billing.charge", H::Unknown));
    world.settle_down();
    assert_eq!(awaited(&world, case), ["checkout.place"]);
    world.pass_ms(61_000);
    assert!(is_refunded(&world, case));
}

#[test]
fn a_person_may_send_it_ahead() {
    let (mut world, case) = charged(H::Unknown);
    let step = world.step(case, REFUND).id;
    world.act(step, StepAct::retry(world::reason()));
    world.settle_down();
    assert!(is_refunded(&world, case));
}

#[test]
fn each_request_waits_for_itself() {
    let mut world = World::new(SHOP);
    world.replies.insert(FENCE.to_owned(), Reply::Silent);
    let mut both = report("billing/odd", "s").action("charge");
    both.data.history = vec![
        world::evidence("billing.charge", "a", H::Succeeded),
        world::evidence("billing.charge", "b", H::Started),
    ];
    let case = world.report(both);
    world.settle_down();
    let states: Vec<StepState> = world
        .steps_of(case)
        .filter(|row| row.action.to_string() == "billing.charge")
        .map(|row| row.state.clone())
        .collect();
    assert_eq!(states, [StepState::Done(Outcome::Compensated), StepState::Waiting]);
}
