//! What a mapped request is about, where a saga has several reports or several requests of one action.

mod world;

use amends_api::{CaseState, Cause, ClosedOn, QuestionAct, QuestionKind, StepAct, StuckReason};
use amends_engine::{Answer, Input, Question, StepReading, StepState, open_questions, wholes};
use amends_protocol::{CaseId, Evidence, HistoryState as H, Outcome, PartTag, Report, StepId};
use amends_rulebook::Rulebook;
use serde_json::json;
use std::collections::BTreeSet;
use world::{Reply, World};

/// Billing is asked with a field of a report, or by request.
fn shop(path: &str, more: &str) -> String {
    format!(
        "
rulebook: shop
settle: {{ quiet: 0s }}
services:
  shop: {{ actions: {{ sell: {{ effect: none, calls: [billing.charge] }} }} }}
  billing:
    url: http://billing:80
    actions:
      charge:
        compensation: refund
        endpoints: {{ compensate: {{ path: \"{path}\", done: [2xx]{more} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
"
    )
}

fn tells(source: &str, id: &str, requests: &[(&str, H)], data: serde_json::Value) -> Report {
    let mut report = world::report(&format!("{source}/odd"), "s");
    report.id = id.to_owned();
    report.data.data = data.as_object().cloned().unwrap_or_default();
    let told = requests
        .iter()
        .map(|(request, state)| Evidence::new("billing", "charge", *request, *state));
    report.data.history = told.collect();
    report
}

const STEP: &str = "compensate billing.charge";

#[test]
fn the_order_of_reports_decides_nothing() {
    let of_shop = || tells("shop", "s-1", &[("q", H::Unknown)], json!({ "cart": 7 }));
    let of_billing = || tells("billing", "b-1", &[("q", H::Unknown)], json!({ "paymentId": "p" }));
    for reports in [[of_shop(), of_billing()], [of_billing(), of_shop()]] {
        let mut world = World::new(shop("/payments/{data.paymentId}/refund", "").as_str());
        let [first, second] = reports;
        if first.id == "s-1" {
            world.replies.insert("billing".into(), Reply::Says(StepReading::Unsendable));
        }
        let case = world.report(first);
        world.settle_down();
        world.replies.clear();
        world.report(second);
        world.settle_down();
        let about = world.step(case, STEP).extra.subject.clone().expect("a mapped request");
        let reports: Vec<_> = world.memory.reports_of(case).collect();
        assert_eq!(
            reports[about.report.expect("chosen") as usize].report.id,
            "b-1",
            "who has the field"
        );
        world.pass_ms(60_000);
        assert_eq!(world.state(case), CaseState::Settled);
    }
}

#[test]
fn the_request_that_took_effect_is_undone_and_not_the_one_that_failed() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let case =
        world.report(tells("shop", "s-1", &[("a", H::Failed), ("b", H::Succeeded)], json!({})));
    world.settle_down();
    let about = world.step(case, STEP).extra.subject.clone().expect("a mapped request");
    assert_eq!(about.request.as_deref(), Some("b"));
}

/// What was asked of billing: by request, in order.
fn asked(world: &World) -> Vec<String> {
    let sent = world.sends.iter().filter(|send| &*send.action.service == "billing");
    sent.flat_map(|send| send.request_ids.iter().map(ToString::to_string)).collect()
}

fn whole(world: &World, case: CaseId) -> (StepState, Vec<String>) {
    let steps: Vec<_> = world.memory.steps_of(case).cloned().collect();
    let wholes = wholes(&steps);
    let whole = wholes.iter().find(|whole| &*whole.lead().action.service == "billing");
    let whole = whole.expect("planned");
    let parts = whole.parts().into_iter();
    let state = whole.speaker().state.clone();
    (state, parts.filter_map(|row| row.request()).map(ToString::to_string).collect())
}

#[test]
fn a_request_that_is_learned_between_two_tries_is_a_part_of_its_own() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    world.replies.insert("billing".into(), Reply::Says(StepReading::Unknown));
    let case = world.report(tells("shop", "s-1", &[("m", H::Succeeded)], json!({})));
    world.settle_down();
    world.report(tells("shop", "s-2", &[("c", H::Succeeded)], json!({})));
    world.replies.clear();
    world.pass_ms(60_000);
    let (state, parts) = whole(&world, case);
    assert_eq!(
        (state, parts),
        (StepState::Done(Outcome::Compensated), vec!["c".into(), "m".into()])
    );
    let asked = asked(&world);
    assert_eq!(asked.iter().filter(|request| *request == "c").count(), 1, "{asked:?}");
    let keys = |request: &str| {
        let of = world.sends.iter().filter(|send| send.request_ids.iter().any(|r| **r == *request));
        of.map(|send| send.key.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!((keys("m").len(), keys("c").len()), (1, 1), "one key for all tries of one request");
    assert_ne!(keys("m"), keys("c"));
}

#[test]
fn of_two_charges_each_is_undone_under_its_own_key() {
    let twice = [("p-1", H::Succeeded), ("p-2", H::Unknown), ("p-3", H::Failed)];
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let case = world.report(tells("shop", "s-1", &twice, json!({})));
    world.settle_down();
    assert_eq!(asked(&world), ["p-1", "p-2"], "what failed is asked for by nobody");
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_charge_that_is_learned_after_the_case_has_settled_reopens_it() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let case = world.report(tells("shop", "s-1", &[("a", H::Succeeded)], json!({})));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
    world.replies.insert("billing".into(), Reply::Says(StepReading::Refused));
    world.report(tells("shop", "s-2", &[("b", H::Succeeded)], json!({})));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck);
    assert_eq!(whole(&world, case).0, StepState::Stuck(StuckReason::Refused));
    assert_eq!(asked(&world), ["a", "b"], "what is done stays done");
}

#[test]
fn an_act_on_a_step_means_its_parts_that_have_not_ended_and_one_on_a_part_that_part() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    world.replies.insert("billing".into(), Reply::Says(StepReading::Refused));
    let three = [("a", H::Succeeded), ("b", H::Succeeded), ("c", H::Succeeded)];
    let case = world.report(tells("shop", "s-1", &three, json!({})));
    world.settle_down();
    let step = world.step(case, STEP).id;
    let part = StepId { part: Some(PartTag::of("b")), ..step };
    let retry = || StepAct::retry("asked them".to_owned());
    world.replies.clear();
    assert_eq!(world.act(part, retry()), Answer::Done);
    world.settle_down();
    assert_eq!(asked(&world), ["a", "b", "c", "b"]);
    let edit = StepAct::edit("x".to_owned(), serde_json::Map::new());
    assert!(matches!(world.act(step, edit), Answer::Conflict(why) if why.contains("3 parts")));
    assert_eq!(world.act(step, StepAct::Waive { reason: "by hand".to_owned() }), Answer::Done);
    world.pass_ms(60_000);
    assert_eq!(whole(&world, case).0, StepState::Done(Outcome::Waived));
    let steps: Vec<_> = world.memory.steps_of(case).cloned().collect();
    let done = steps.iter().filter(|row| row.state == StepState::Done(Outcome::Compensated));
    assert_eq!(done.filter_map(|row| row.request()).map(|r| &**r).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_step_without_any_known_request_ends_as_nothing_and_a_late_one_is_undone() {
    let book = shop("/payments/{requestId}/refund", "").replace("recorded", "[billing.charge]");
    let mut world = World::new(book.as_str());
    let case = world.report(tells("shop", "s-1", &[], json!({})));
    world.settle_down();
    let step = world.step(case, STEP);
    assert_eq!(step.state, StepState::Done(Outcome::NothingToCompensate));
    assert_eq!(step.extra.message.as_deref(), Some("no request of it is known"));
    assert!(asked(&world).is_empty());
    world.report(tells("shop", "s-2", &[("q", H::Succeeded)], json!({})));
    world.settle_down();
    assert_eq!(asked(&world), ["q"]);
    assert_eq!(whole(&world, case).1, ["q"]);
}

#[test]
fn two_charges_of_which_nothing_tells_the_fields_are_a_persons() {
    let twice = [("p-1", H::Succeeded), ("p-2", H::Unknown)];
    let mut world = World::new(shop("/payments/{data.payment}/refund", "").as_str());
    let case = world.report(tells("shop", "s-1", &twice, json!({ "payment": "x" })));
    world.settle_down();
    let step = world.step(case, STEP);
    assert_eq!(step.state, StepState::Stuck(StuckReason::Unsendable));
    let why = step.extra.message.clone().unwrap_or_default();
    assert!(why.contains("`p-1`, `p-2`"), "{why}");
    assert!(world.sends.is_empty(), "{:?}", world.sends);
    // One request undoes them all, says the rulebook.
    let book = shop("/payments/{data.order}/refund", ", covers: saga");
    let mut world = World::new(book.as_str());
    let case = world.report(tells("shop", "s-1", &twice, json!({ "order": "o" })));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn each_part_takes_the_fields_that_were_told_of_its_own_request() {
    let mut world = World::new(shop("/payments/{data.payment}/refund", "").as_str());
    let twice = [("q-1", H::Succeeded), ("q-2", H::Succeeded)];
    let mut report = tells("shop", "s-1", &twice, json!({ "payment": "of the order" }));
    for (evidence, payment) in report.data.history.iter_mut().zip(["p-1", "p-2"]) {
        evidence.data.insert("payment".to_owned(), payment.into());
    }
    world.report(report);
    world.settle_down();
    let payments: Vec<_> =
        world.sends.iter().map(|send| send.data.clone().expect("its own")).collect();
    assert_eq!(payments.iter().map(|data| &data["payment"]).collect::<Vec<_>>(), ["p-1", "p-2"]);
}

#[test]
fn evidence_that_comes_later_with_the_missing_fields_wakes_the_step() {
    let mut world = World::new(shop("/payments/{data.payment}/refund", "").as_str());
    let twice = [("q-1", H::Succeeded), ("q-2", H::Succeeded)];
    let case = world.report(tells("shop", "s-1", &twice, json!({})));
    world.settle_down();
    assert_eq!(world.state(case), CaseState::Stuck);
    let mut report = tells("shop", "s-2", &twice, json!({}));
    for (evidence, payment) in report.data.history.iter_mut().zip(["p-1", "p-2"]) {
        evidence.data.insert("payment".to_owned(), payment.into());
    }
    world.report(report);
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_charge_of_which_only_the_action_is_known_is_a_persons() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let mut report = tells("shop", "s-1", &[("q", H::Succeeded)], json!({}));
    report.data.history[0].request_id = None;
    let case = world.report(report);
    world.settle_down();
    assert_eq!(world.step(case, STEP).state, StepState::Stuck(StuckReason::Unsendable));
    world.report(tells("shop", "s-2", &[("q", H::Succeeded)], json!({})));
    world.settle_down();
    assert_eq!(asked(&world), ["q"]);
}

/// What the supervisor can't send as it is (a secret is missing, a header can't hold a value) stays stuck, whatever
/// else is heard; only another choice of fields is tried.
#[test]
fn what_cannot_be_sent_is_tried_once_however_much_is_heard() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    world.replies.insert("billing".into(), Reply::Says(StepReading::Unsendable));
    let case = world.report(tells("shop", "s-1", &[("a", H::Succeeded)], json!({ "odd": 1 })));
    world.settle_down();
    for (id, state) in [("s-2", H::Unknown), ("s-3", H::Failed)] {
        world.report(tells("shop", id, &[("a", state)], json!({ "odd": 2 })));
        world.settle_down();
        world.pass_ms(60_000);
    }
    assert_eq!(world.step(case, STEP).state, StepState::Stuck(StuckReason::Unsendable));
    assert_eq!(asked(&world), ["a"], "{:?}", world.sent);
}

/// Whoever keeps the money says that this request took none: its refund, which still waits for the caller, is not sent.
/// When it says later that it did after all, it is.
#[test]
fn a_waiting_refund_ends_when_its_request_is_said_to_have_failed_and_wakes_when_it_succeeded() {
    let book = shop("/payments/{requestId}/refund", "").replace("quiet: 0s", "quiet: 30s");
    let mut world = World::new(&book);
    let case =
        world.report(tells("shop", "s-1", &[("a", H::Unknown), ("b", H::Unknown)], json!({})));
    world.settle_down();
    assert_eq!(asked(&world), Vec::<String>::new(), "shop may still call billing");
    world.report(tells("billing", "b-1", &[("a", H::Failed), ("b", H::Failed)], json!({})));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!((asked(&world), world.state(case)), (vec![], CaseState::Settled));
    world.crash();
    world.report(tells("billing", "b-2", &[("b", H::Succeeded)], json!({})));
    world.settle_down();
    assert_eq!(asked(&world), ["b"]);
}

/// The order of arrival decides nothing, also where the refund is due at once and its service's word comes with it.
#[test]
fn a_refund_that_is_due_and_was_not_sent_ends_when_its_service_says_that_the_request_failed() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let reports = [
        tells("shop", "s-1", &[("a", H::Succeeded)], json!({})),
        tells("billing", "b-1", &[("a", H::Failed)], json!({})),
    ];
    let inputs = reports.into_iter().zip(100..).map(|(report, ticket)| Input::Report {
        report: report.into(),
        known_in: None,
        ticket,
    });
    world.turn(inputs);
    world.settle_down();
    assert_eq!(asked(&world), Vec::<String>::new());
}

#[test]
fn a_yes_to_one_request_is_none_to_those_that_are_learned_later() {
    let book =
        shop("/payments/{requestId}/refund", "").replace("recorded }", "recorded, mode: ask }");
    let mut world = World::new(&book);
    let case =
        world.report(tells("shop", "s-1", &[("a", H::Succeeded), ("b", H::Succeeded)], json!({})));
    world.settle_down();
    let part = StepId { part: Some(PartTag::of("a")), ..world.step(case, STEP).id };
    let approve = StepAct::Approve { reason: "looked at".to_owned() };
    assert_eq!(world.act(part, approve), Answer::Done);
    world.settle_down();
    world.report(tells("shop", "s-2", &[("c", H::Succeeded)], json!({})));
    world.settle_down();
    assert_eq!(asked(&world), ["a"]);
    assert_eq!(world.state(case), CaseState::Stuck);
}

#[test]
fn two_reports_of_the_service_that_name_different_places_are_a_persons() {
    let of_billing = |id: &str, payment: &str| {
        tells("billing", id, &[("q", H::Unknown)], json!({ "payment": payment }))
    };
    let mut world = World::new(shop("/payments/{data.payment}/refund", "").as_str());
    world.replies.insert("billing".into(), Reply::Says(StepReading::NotSent));
    let case = world.report(of_billing("b-1", "x"));
    world.settle_down();
    world.report(of_billing("b-2", "y"));
    world.pass_ms(5_000);
    let step = world.step(case, STEP);
    assert_eq!(step.state, StepState::Stuck(StuckReason::Unsendable));
    let why = step.extra.message.clone().unwrap_or_default();
    assert!(
        ["report b-1", "\"x\"", "report b-2", "\"y\""].iter().all(|part| why.contains(part)),
        "{why}"
    );
}

/// Two callers name different payments for the same request of billing.
fn two_payments(more: &str) -> (World, CaseId, String) {
    let till =
        "  till: { actions: { ring: { effect: none, calls: [billing.charge] } } }\n  billing:";
    let book = shop("/payments/{data.payment}/refund", "").replace("  billing:", till) + more;
    let mut world = World::new(&book);
    let case = world.report(of_payment("shop", "s-1", "x"));
    world.settle_down();
    (world, case, book)
}

fn of_payment(source: &str, id: &str, payment: &str) -> Report {
    let mut report = tells(source, id, &[("q", H::Succeeded)], json!({}));
    report.data.history[0].data.insert("payment".to_owned(), payment.into());
    report
}

fn asked_in(world: &World, case: CaseId, book: &str) -> Vec<Question> {
    let book = Rulebook::from_yaml(book).unwrap_or_else(|found| panic!("{found:#?}"));
    open_questions(&world.stored(case), Some(&book))
}

/// The refund had not been sent when the second caller told of it.
fn in_conflict(more: &str) -> (World, CaseId, String) {
    let (mut world, _, book) = two_payments(more);
    world.sends.clear();
    world.replies.insert("billing".into(), Reply::Says(StepReading::NotSent));
    let mut report = of_payment("shop", "s-2", "x");
    report.saga_id = amends_protocol::SagaId::new("t").expect("valid");
    let case = world.report(report);
    world.settle_down();
    let mut report = of_payment("till", "t-1", "y");
    report.saga_id = amends_protocol::SagaId::new("t").expect("valid");
    world.report(report);
    world.replies.clear();
    world.sends.clear();
    world.pass_ms(60_000);
    (world, case, book)
}

#[test]
fn two_callers_that_name_different_payments_are_a_question() {
    let (world, case, book) = in_conflict("");
    assert_eq!(world.state(case), CaseState::Stuck);
    assert!(world.sends.is_empty(), "nothing goes out before it is known where");
    let step = world.step(case, STEP);
    assert_eq!(
        (&step.state, step.cause()),
        (&StepState::Stuck(StuckReason::Unsendable), Some(Cause::Question))
    );
    let [question] = &asked_in(&world, case, &book)[..] else { panic!("one question") };
    assert_eq!((question.kind, question.holds()), (QuestionKind::DataConflict, true));
    assert_eq!(
        question.sentence(),
        "of request q of billing.charge, shop says payment = \"x\", and till says \"y\""
    );
    let may: Vec<_> = question.may().iter().map(|act| act.as_str()).collect();
    assert_eq!(may, ["accept", "record", "choose"]);
}

#[test]
fn a_person_chooses_a_value_and_the_step_goes_out_with_it() {
    let (mut world, case, _) = in_conflict("");
    let choose = |value: &str| QuestionAct::Choose { reason: "so".to_owned(), value: value.into() };
    let Answer::Invalid(why) = world.answer_question(case, choose("z")) else { panic!("taken") };
    assert!(why.contains("\"x\" and \"y\""), "{why}");
    assert_eq!(world.answer_question(case, choose("y")), Answer::Done);
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_ne!(world.case(case).closed_on, Some(ClosedOn::ByPerson), "the service has undone it");
    let data: Vec<_> = world.sends.iter().map(|send| send.data.clone().expect("chosen")).collect();
    assert_eq!(data.iter().map(|data| &data["payment"]).collect::<Vec<_>>(), ["y"]);
    let acts = world.memory.acts();
    let act = acts.iter().find(|act| &*act.act == "answer").expect("in the audit");
    assert_eq!(act.detail["value"], "y");
}

#[test]
fn a_third_value_before_it_went_out_asks_again_and_a_second_witness_does_not() {
    let of = |source: &str, id: &str, payment: &str| {
        let mut report = of_payment(source, id, payment);
        report.saga_id = amends_protocol::SagaId::new("t").expect("valid");
        report
    };
    let (mut world, case, book) = in_conflict("");
    world.replies.insert("billing".into(), Reply::Says(StepReading::NotSent));
    let choose = QuestionAct::Choose { reason: "so".to_owned(), value: "y".into() };
    assert_eq!(world.answer_question(case, choose), Answer::Done);
    world.settle_down();
    world.report(of("shop", "s-3", "y"));
    world.pass_ms(5_000);
    assert!(asked_in(&world, case, &book).is_empty(), "it says what was chosen");
    world.report(of("shop", "s-4", "z"));
    world.pass_ms(60_000);
    assert_eq!(asked_in(&world, case, &book).len(), 1);
}

#[test]
fn the_services_own_word_ends_a_data_conflict() {
    let (mut world, case, _) = in_conflict("");
    let mut report = of_payment("billing", "b-1", "z");
    report.saga_id = amends_protocol::SagaId::new("t").expect("valid");
    world.report(report);
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
    assert_eq!(
        world.sends.last().and_then(|send| send.data.clone()).expect("told")["payment"],
        "z"
    );
}

#[test]
fn a_data_conflict_is_recorded_or_accepted_and_the_case_closes_by_a_person() {
    let record = QuestionAct::Record { reason: "so".to_owned(), outcome: Outcome::Compensated };
    let accept = QuestionAct::Accept { reason: "so".to_owned() };
    for (act, outcome) in [(record, Outcome::Compensated), (accept, Outcome::Waived)] {
        let (mut world, case, _) = in_conflict("");
        assert_eq!(world.answer_question(case, act), Answer::Done);
        world.settle_down();
        world.pass_ms(60_000);
        assert_eq!(world.step(case, STEP).state, StepState::Done(outcome));
        assert_eq!(world.case(case).closed_on, Some(ClosedOn::ByPerson));
        assert!(world.sends.is_empty());
    }
}

#[test]
fn where_a_data_conflict_is_only_noted_its_step_needs_a_person_all_the_same() {
    let (world, case, book) = in_conflict("questions: { data_conflict: note }\n");
    assert_eq!(world.state(case), CaseState::Stuck);
    assert!(!asked_in(&world, case, &book)[0].holds());
}

/// A refund whose end nobody knows, and its keys so far.
fn lost_refund(world: &mut World) -> StepId {
    world.replies.insert("billing".into(), Reply::Says(StepReading::Unknown));
    let case = world.report(tells("shop", "s-1", &[("q", H::Succeeded)], json!({})));
    world.settle_down();
    world.step(case, STEP).id
}

fn again(new_key: bool, may_have_run: bool) -> StepAct {
    StepAct::Retry { reason: "asked them".to_owned(), new_key, may_have_run }
}

fn last_key(world: &World) -> Option<String> {
    world.sends.last().and_then(|send| send.key.as_deref()).map(ToOwned::to_owned)
}

#[test]
fn a_new_key_is_a_persons_and_after_a_try_of_unknown_end_they_have_to_say_so() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let step = lost_refund(&mut world);
    let first = last_key(&world);
    assert!(first.as_ref().is_some_and(|key| key.len() <= 36), "{first:?}");
    assert_eq!(world.act(step, again(false, false)), Answer::Done);
    world.settle_down();
    assert_eq!(last_key(&world), first, "a plain retry is the same question");
    let refused = world.act(step, again(true, false));
    assert!(
        matches!(&refused, Answer::Conflict(why) if why.contains("--may-have-run")),
        "{refused:?}"
    );
    let edit = StepAct::edit("x".to_owned(), serde_json::Map::new());
    assert!(
        matches!(world.act(step, edit), Answer::Conflict(_)),
        "other data are another question"
    );
    world.replies.clear();
    assert_eq!(world.act(step, again(true, true)), Answer::Done);
    world.settle_down();
    assert_ne!(last_key(&world), first);
}

#[test]
fn another_rulebook_asks_for_nothing_else_under_the_same_key() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let step = lost_refund(&mut world);
    let first = last_key(&world);
    let other = shop("/v2/payments/{requestId}/refund", "");
    world.activate(amends_rulebook::Rulebook::from_yaml(&other).expect("valid"));
    world.replies.clear();
    let replan = amends_api::CaseAct::replan("v2".to_owned());
    assert_eq!(world.act_on_case(step.case, replan), Answer::Done);
    world.pass_ms(60_000);
    let row = world.step(step.case, STEP);
    assert_eq!(row.state, StepState::Stuck(StuckReason::Unsendable));
    assert!(row.extra.message.as_deref().is_some_and(|why| why.contains("--new-key")));
    assert_eq!(last_key(&world), first, "nothing went out");
    assert_eq!(world.act(step, again(true, true)), Answer::Done);
    world.settle_down();
    world.pass_ms(60_000);
    assert_ne!(last_key(&world), first);
    assert_eq!(world.state(step.case), CaseState::Settled);
}

#[test]
fn a_third_party_takes_no_request_away_from_what_is_undone() {
    for denied in [H::Failed, H::Compensated, H::Fenced] {
        let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
        let mut third = tells("stock", "x-1", &[("q", denied)], json!({}));
        third.data.caused_by = vec!["s-1".to_owned()];
        world.report(third);
        world.report(tells("shop", "s-1", &[("q", H::Unknown)], json!({})));
        world.settle_down();
        assert_eq!(asked(&world), ["q"], "{denied}");
    }
}
