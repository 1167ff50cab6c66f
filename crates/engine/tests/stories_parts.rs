//! One step, several requests: each is asked for by itself, over restarts, out of memory, and by callbacks.

mod world;

use amends_api::{CaseState, StuckReason};
use amends_engine::{Answer, HistoryResult, StepReading, StepState};
use amends_protocol::{CaseId, Evidence, HistoryState as H, Outcome, PartTag, Report, StepId};
use std::collections::BTreeSet;
use world::{Reply, Says, World, report};

/// Billing undoes one charge at a time; mail sends again one at a time.
const SHOP: &str = "
rulebook: shop
settle: { quiet: 10s }
services:
  shop: { url: \"http://shop\", actions: { sell: { effect: none, calls: [billing.charge, billing.charge, mail.send, mail.send] } } }
  billing:
    url: \"http://billing\"
    actions:
      charge:
        compensation: refund
        endpoints: { compensate: { path: \"/charges/{requestId}/refund\", done: [200] } }
  mail: { url: \"http://mail\", actions: { send: { on_failure: retry } } }
rules:
  - { on: mail/*, retry: mail.send }
  - { on: \"*/*\", compensate: recorded }
";

const REFUND: &str = "compensate billing.charge";

fn charged(id: &str, requests: &[(&str, H)]) -> Report {
    let mut report = report("shop/odd", "s").action("sell").saw("shop.sell", H::Failed);
    report.id = id.to_owned();
    let told = requests
        .iter()
        .map(|(request, state)| Evidence::new("billing", "charge", *request, *state));
    report.data.history.extend(told);
    report
}

fn mail_failed(request: Option<&str>, state: H) -> Report {
    let mut report = report("mail/odd", "s").action("send");
    report.id = format!("mail-{}", request.unwrap_or("nameless"));
    report.data.request_id = request.map(str::to_owned);
    report.data.history.extend(request.map(|id| Evidence::new("mail", "send", id, state)));
    report
}

/// What was asked for, in order: the verb and the requests that were named.
fn asked(world: &World) -> Vec<String> {
    let named = |send: &amends_engine::SendStep| {
        let ids: Vec<&str> = send.request_ids.iter().map(|id| &**id).collect();
        format!("{} {}", send.verb, ids.join("+"))
    };
    world.sends.iter().map(named).collect()
}

fn keys_of(world: &World, request: &str) -> BTreeSet<String> {
    let of = |send: &&amends_engine::SendStep| send.request_ids.iter().any(|id| **id == *request);
    let key = |send: &amends_engine::SendStep| {
        send.key.as_deref().map_or_else(|| send.step.to_string(), str::to_owned)
    };
    world.sends.iter().filter(of).map(key).collect()
}

/// The state of each part of the refund, by request.
fn parts(world: &World, case: CaseId) -> Vec<(String, StepState)> {
    let rows = world.steps_of(case).filter(|row| &*row.action.service == "billing");
    let part = |row: &amends_engine::StepRow| Some((row.request()?.to_string(), row.state.clone()));
    let mut parts: Vec<_> = rows.filter_map(part).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts
}

fn done(request: &str) -> (String, StepState) {
    (request.to_owned(), StepState::Done(Outcome::Compensated))
}

fn part(world: &World, case: CaseId, request: &str) -> StepId {
    StepId { part: Some(PartTag::of(request)), ..world.step(case, REFUND).id }
}

const TWO: [(&str, H); 2] = [("p-1", H::Succeeded), ("p-2", H::Unknown)];

#[test]
fn every_request_that_its_service_reports_as_failed_is_run_again_by_itself() {
    for half_done in [H::Failed, H::Unknown, H::Started] {
        let mut world = World::new(SHOP);
        world.report(mail_failed(Some("m-1"), H::Failed));
        world.report(mail_failed(Some("m-2"), half_done));
        world.settle_down();
        assert_eq!(asked(&world), ["retry m-1", "retry m-2"], "{half_done}");
    }
    let mut world = World::new(SHOP);
    world.report(mail_failed(Some("m-1"), H::Succeeded));
    world.settle_down();
    assert_eq!(asked(&world), ["retry m-1"], "it is named, and asked for by no part of its own");
}

#[test]
fn which_request_was_run_again_without_its_name_nobody_knows() {
    let mut world = World::new(SHOP);
    world.report(mail_failed(None, H::Failed));
    world.settle_down();
    world.report(mail_failed(Some("m-2"), H::Failed));
    world.settle_down();
    assert_eq!(asked(&world), ["retry ", "retry m-2"]);
}

#[test]
fn a_mapped_retry_that_names_its_request_has_a_part_for_each_and_any_other_is_one() {
    let asked_by = |path: &str| {
        let book = SHOP.replace(
            "on_failure: retry",
            &format!(
                "on_failure: retry, endpoints: {{ retry: {{ path: \"{path}\", done: [200] }} }}"
            ),
        );
        let mut world = World::new(&book);
        world.report(mail_failed(Some("m-1"), H::Failed));
        world.report(mail_failed(Some("m-2"), H::Unknown));
        world.settle_down();
        world.sends.len()
    };
    assert_eq!((asked_by("/again/{requestId}"), asked_by("/again/of/{sagaId}")), (2, 1));
}

#[test]
fn after_a_restart_each_part_that_had_not_ended_goes_out_again_under_its_own_key() {
    let mut world = World::new(SHOP);
    world.replies.insert("billing".to_owned(), Reply::Silent);
    let case = world.report(charged("s-1", &TWO));
    world.settle_down();
    world.answer(REFUND, StepReading::Done(Outcome::Compensated));
    world.replies.clear();
    world.crash();
    world.settle_down();
    assert_eq!(parts(&world, case), [done("p-1"), done("p-2")]);
    assert_eq!(asked(&world), ["compensate p-1", "compensate p-2", "compensate p-2"]);
    assert_eq!((keys_of(&world, "p-1").len(), keys_of(&world, "p-2").len()), (1, 1));
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_charge_that_is_learned_late_reopens_a_case_after_a_restart_and_undoes_no_other_again() {
    let mut world = World::new(SHOP);
    let case = world.report(charged("s-1", &[("p-1", H::Succeeded), ("p-3", H::Failed)]));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
    world.crash();
    world.report(charged("s-2", &[("p-2", H::Succeeded)]));
    // What was declined has been charged all the same.
    world.report(charged("s-3", &[("p-3", H::Succeeded)]));
    world.settle_down();
    assert_eq!(asked(&world), ["compensate p-1", "compensate p-2", "compensate p-3"]);
    assert_eq!(parts(&world, case), [done("p-1"), done("p-2"), done("p-3")]);
}

#[test]
fn a_spilled_case_takes_a_late_part_and_tries_each_part_by_its_own_timer() {
    let mut world = World::new(SHOP).with_budget(0);
    world.replies.insert("billing".to_owned(), Reply::Says(StepReading::Unknown));
    let case = world.report(charged("s-1", &TWO));
    world.settle_down();
    assert!(world.engine.is_spilled(case));
    world.report(charged("s-2", &[("p-4", H::Succeeded)]));
    world.settle_down();
    assert!(world.engine.is_spilled(case));
    world.replies.clear();
    world.pass_ms(60_000);
    assert_eq!(parts(&world, case), [done("p-1"), done("p-2"), done("p-4")]);
    for request in ["p-1", "p-2", "p-4"] {
        assert_eq!(keys_of(&world, request).len(), 1, "{request}");
    }
    assert_eq!(world.state(case), CaseState::Settled);
}

#[test]
fn a_callback_ends_the_one_part_that_it_names_also_of_a_spilled_case() {
    for budget in [usize::MAX, 0] {
        let mut world = World::new(SHOP).with_budget(budget);
        let accepted = StepReading::Accepted { location: None, retry_after_ms: None };
        world.replies.insert("billing".to_owned(), Reply::Says(accepted));
        let case = world.report(charged("s-1", &TWO));
        world.settle_down();
        assert_eq!(world.engine.is_spilled(case), budget == 0);
        let open = |world: &World| {
            let accepted =
                |(_, state): &&(String, StepState)| matches!(state, StepState::Accepted { .. });
            let parts = parts(world, case);
            parts.iter().filter(accepted).map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(open(&world), ["p-1", "p-2"]);
        let second = part(&world, case, "p-2");
        assert_eq!(world.call_back(second, Outcome::Compensated), Answer::Done);
        assert_eq!(open(&world), ["p-1"]);
        // The step's id is that of its first request, as its service was told.
        let first = world.step(case, REFUND).id;
        assert_eq!(world.call_back(first, Outcome::Compensated), Answer::Done);
        assert_eq!(parts(&world, case), [done("p-1"), done("p-2")]);
        let unknown = part(&world, case, "never-asked");
        assert_ne!(world.call_back(unknown, Outcome::Compensated), Answer::Done);
        world.pass_ms(60_000);
        assert_eq!(world.state(case), CaseState::Settled);
    }
}

/// Billing takes a field that nobody tells.
#[test]
fn what_nobody_has_called_needs_no_fields_and_what_may_have_been_is_a_persons() {
    let undone = |history: HistoryResult, tells_calls: bool| {
        let mut world = World::new(
            "
rulebook: fields
settle: { quiet: 10s }
services:
  order: { url: \"http://order\", actions: { place: { compensation: cancel, calls: [billing.charge] } } }
  billing:
    url: \"http://billing\"
    actions:
      charge:
        compensation: refund
        endpoints: { compensate: { path: \"/charges/{data.payment}/refund\", done: [200] } }
rules: [{ on: \"*/*\", compensate: all }]
",
        );
        world.histories.insert("order".to_owned(), history);
        world.replies.insert("billing".to_owned(), Reply::Says(StepReading::Unsendable));
        world.replies.insert("order".to_owned(), Reply::Silent);
        let failed = report("order/odd", "s").action("place").saw("order.place", H::Unknown);
        let case = world.report(failed);
        world.settle_down();
        assert_eq!(world.step(case, REFUND).state, StepState::Waiting, "its caller goes on");
        let cancelled = StepReading::Done(Outcome::Compensated);
        match tells_calls {
            true => world.answer("compensate order.place", cancelled),
            false => world.answer_without_history("compensate order.place", cancelled),
        }
        world.settle_down();
        let refund = world.step(case, REFUND);
        (refund.state.clone(), refund.extra.message.clone())
    };
    let nothing = StepState::Done(Outcome::NothingToCompensate);
    let nobody = (nothing, Some("nobody has called it".to_owned()));
    assert_eq!(undone(HistoryResult::NoHistory, true), nobody, "its caller says so");
    assert_eq!(
        undone(HistoryResult::Told(vec![].into()), false),
        nobody,
        "its caller's History does"
    );
    let (state, _) = undone(HistoryResult::NoHistory, false);
    assert_eq!(state, StepState::Stuck(StuckReason::Unsendable));
}
