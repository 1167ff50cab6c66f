//! Business data that goes: at once where a case is settled, else as soon as it is, and what comes later too.

mod world;

use amends_api::{CaseAct, CaseState, StepAct};
use amends_engine::{
    Answer, Erase, Gone, Input, LastTry, StepReading, StepResult, asked, bare_report_data,
};
use amends_protocol::{CaseId, HistoryState as H, Outcome, ReportData, SagaId};
use amends_rulebook::Rulebook;
use serde_json::json;
use std::sync::Arc;
use world::{FOOD_ORDER, Says, World, payment_report_1, reason, report};

const VALUE: &str = "ann@example.org";

fn saga(name: &str) -> SagaId {
    SagaId::new(name).expect("valid")
}

fn erase(world: &mut World, sagas: &[&str], when_settled: bool) -> Answer {
    let erase = Box::new(Erase {
        number: None,
        sagas: sagas.iter().map(|name| saga(name)).collect(),
        field: Some(("customer".to_owned(), VALUE.to_owned())),
        when_settled,
        actor: "kim".into(),
        reason: "asked for by mail".into(),
    });
    let ticket = 4711;
    world.answer_to(Input::Erase { erase, ticket }, ticket)
}

fn failed(name: &str) -> amends_protocol::Report {
    let mut failed = payment_report_1(name).with("customer", json!(VALUE));
    failed.data.message = Some(format!("the card of {VALUE} was declined"));
    failed.data.history[0].data =
        json!({ "payer": VALUE }).as_object().cloned().expect("an object");
    failed
}

fn settled(world: &mut World, name: &str) -> CaseId {
    let case = world.report(failed(name));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
    case
}

/// Whether anything that is stored repeats the value.
fn holds(world: &World) -> bool {
    format!("{:?}", world.memory).contains(VALUE)
}

fn acts(world: &World, case: CaseId) -> Vec<String> {
    let acts = world.memory.acts().iter().filter(|act| act.case == Some(case));
    acts.map(|act| format!("{} {}", act.actor, act.act)).collect()
}

#[test]
fn a_settled_case_loses_its_data_at_once_and_keeps_its_proof() {
    let mut world = World::food_order();
    let case = settled(&mut world, "s");
    assert!(holds(&world));
    let (before, closed) = (world.plan(case), world.case(case).closed_on);
    assert_eq!(erase(&mut world, &["s"], false), Answer::Erased(1));
    assert!(!holds(&world), "{:#?}", world.memory);

    let row = world.case(case);
    assert_eq!((world.plan(case), row.closed_on), (before, closed));
    let erasure = row.extra.erasure.clone().expect("it says so");
    assert_eq!((erasure.number, &*erasure.by, erasure.done_at.is_some()), (1, "kim", true));
    assert!(erasure.gone.fields >= 3, "{erasure:?}");
    let told: Vec<_> =
        world.memory.reports_of(case).flat_map(|row| &row.report.data.history).collect();
    assert_eq!(told.len(), 3, "who said what of which request stays");
    assert_eq!(
        acts(&world, case),
        ["kim erase", "the supervisor erased"]
            .map(|text| { text.replace("the supervisor", amends_engine::SUPERVISOR) })
    );
    let (erasure, erased) = world.memory.erasure(1).expect("kept");
    assert_eq!((&*erasure.reason, erased.len()), ("asked for by mail", 1));
    assert!(erasure.field.as_ref().is_some_and(|field| field.was(VALUE) && !field.was("bob")));
}

#[test]
fn whoever_has_what_went_can_have_it_confirmed_and_nobody_can_who_guesses_wrong() {
    let mut world = World::food_order();
    let case = settled(&mut world, "s");
    erase(&mut world, &["s"], false);
    let gone = world.case(case).extra.erasure.clone().expect("erased").gone;
    let json = |mut data: ReportData| bare_report_data(&mut data).json();
    assert_eq!(gone.confirmed("report ", &json(failed("s").data)), ["report 0"]);
    assert!(gone.confirmed("report ", &json(failed("s").with("amount", json!(1)).data)).is_empty());
    let plain = Gone::default().digest("report 0", &json(failed("s").data));
    assert!(gone.digests.iter().all(|one| one.digest != plain), "each is salted");
}

#[test]
fn a_case_that_is_not_settled_keeps_its_data_and_says_why() {
    let mut world = World::food_order();
    world.pause("coupon", true);
    let case = world.report(failed("s"));
    world.settle_down();
    let Answer::Conflict(why) = erase(&mut world, &["s"], false) else {
        panic!("its data are needed")
    };
    assert!(why.contains("`s`") && why.contains("whenSettled"), "{why}");
    assert_eq!(world.case(case).extra.erasure, None);
    assert!(world.memory.erasure(1).is_none(), "nothing of it is kept");
}

#[test]
fn what_is_to_go_when_its_case_is_settled_goes_then_also_over_a_crash() {
    for budget in [usize::MAX, 0] {
        let mut world = World::food_order().with_budget(budget);
        world.pause("coupon", true);
        let case = world.report(failed("s"));
        world.settle_down();
        assert_eq!(erase(&mut world, &["s"], true), Answer::Erased(1));
        assert!(holds(&world), "it is still needed");
        assert_eq!(world.memory.erasure(1).expect("kept").1[0].done_at, None);
        world.crash();
        world.pause("coupon", false);
        world.settle_down();
        world.pass_ms(120_000);
        assert_eq!(world.state(case), CaseState::Settled);
        assert!(!holds(&world), "with the commit that settled it");
        assert!(world.memory.erasure(1).expect("kept").1[0].done_at.is_some());
        assert!(
            world.sends.iter().any(|send| send.data().contains_key("customer")),
            "it was there when it was asked"
        );
        assert_eq!(
            acts(&world, case).last().map(String::as_str),
            Some(&*format!("{} erased", amends_engine::SUPERVISOR))
        );
    }
}

#[test]
fn what_comes_to_an_erased_case_later_goes_when_it_is_settled_again() {
    let mut world = World::food_order();
    let case = settled(&mut world, "s");
    erase(&mut world, &["s"], false);
    let first = world.case(case).extra.erasure.clone().expect("erased").gone;
    let late = report("order/report-3", "s").action("place").saw("payment.pay", H::Unknown);
    assert_eq!(world.report(late.with("customer", json!(VALUE))), case);
    assert!(holds(&world), "it is needed again");
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert!(!holds(&world));
    let gone = world.case(case).extra.erasure.clone().expect("erased").gone;
    assert!(gone.digests.starts_with(&first.digests) && gone.digests.len() > first.digests.len());
}

#[test]
fn a_reason_that_repeats_a_value_goes_and_others_stay() {
    let mut world = World::food_order();
    world
        .replies
        .insert("compensate coupon.redeem".to_owned(), world::Reply::Says(StepReading::Refused));
    let case = world.report(failed("s"));
    world.settle_down();
    let step = world.step(case, "compensate coupon.redeem").id;
    let data = json!({ "customer": VALUE }).as_object().cloned().expect("an object");
    let edit = StepAct::Edit { reason: "a typo".to_owned(), data, may_have_run: false };
    assert_eq!(world.act(step, edit), Answer::Done);
    world.settle_down();
    let waive = StepAct::Waive { reason: format!("{VALUE} agreed") };
    assert_eq!(world.act(step, waive), Answer::Done);
    world.settle_down();
    world.pass_ms(120_000);
    erase(&mut world, &["s"], false);
    assert!(!holds(&world), "{:#?}", world.memory.acts());
    let reasons: Vec<_> = world.memory.acts().iter().filter(|act| act.case == Some(case)).collect();
    let reasons: Vec<_> = reasons.iter().map(|act| (&*act.act, &*act.reason)).collect();
    assert_eq!(&reasons[..3], [("edit", "a typo"), ("waive", ""), ("erase", "asked for by mail")]);
}

/// Rules are picked by business fields, and requests are made of them: nothing is guessed without.
#[test]
fn nothing_is_planned_or_asked_anew_from_what_is_not_there_any_more() {
    let mut world = World::food_order();
    let case = settled(&mut world, "s");
    erase(&mut world, &["s"], false);
    let replan = CaseAct::Replan { reason: reason(), rulebook: None };
    let Answer::Conflict(why) = world.act_on_case(case, replan) else { panic!("it can't") };
    assert!(why.contains("erased"), "{why}");
    let book = Rulebook::from_yaml(FOOD_ORDER).expect("valid");
    for (_, asked) in asked(&world.stored(case), &Arc::clone(&book)) {
        assert!(
            !matches!(asked.last, LastTry::Kept { .. }),
            "what was sent can't be told any more"
        );
    }
}

#[test]
fn an_announcement_goes_with_its_saga_and_not_while_it_is_under_way() {
    let mut world = World::food_order();
    world.begin("s", "order", 60_000);
    let Answer::Conflict(why) = erase(&mut world, &["s"], true) else { panic!("it is needed") };
    assert!(why.contains("under way"), "{why}");
    world.end("s");
    assert_eq!(erase(&mut world, &["s"], false), Answer::Erased(1));
    assert!(world.memory.saga(&saga("s")).expect("known").data.is_empty());
}

#[test]
fn an_erasure_is_whole_or_nothing() {
    let mut world = World::food_order();
    settled(&mut world, "s");
    assert!(matches!(erase(&mut world, &["s", "unknown"], false), Answer::NotFound(_)));
    assert!(matches!(erase(&mut world, &[], false), Answer::Invalid(_)));
    assert!(holds(&world));
    world.pause("coupon", true);
    world.report(failed("open"));
    world.settle_down();
    assert!(matches!(erase(&mut world, &["s", "open"], false), Answer::Conflict(_)));
    assert_eq!(erase(&mut world, &["open", "s"], true), Answer::Erased(1));
    assert_eq!(erase(&mut world, &["s"], false), Answer::Erased(2), "again is fine");
    world.crash();
    assert_eq!(erase(&mut world, &["s"], false), Answer::Erased(3), "numbers go on");
}

#[test]
fn a_late_word_of_a_service_leaves_nothing_on_an_erased_case() {
    let mut world = World::food_order();
    world.replies.insert("compensate coupon.redeem".to_owned(), world::Reply::Silent);
    let case = world.report(failed("s"));
    world.settle_down();
    let said = StepResult::new(StepReading::Done(Outcome::Compensated), Some(200)).saying(VALUE);
    world.answer_as("compensate coupon.redeem", said.telling(vec![]));
    world.settle_down();
    world.pass_ms(120_000);
    assert_eq!(world.state(case), CaseState::Settled);
    erase(&mut world, &["s"], false);
    assert!(!holds(&world));
}
