//! What a mapped request is about, where a saga has several reports or several requests of one action.

mod world;

use amends_engine::{StepReading, StepState};
use amends_protocol::{CaseState, Evidence, HistoryState as H, Report, StuckReason};
use serde_json::json;
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
        let about = world.step(case, STEP).memo.subject.clone().expect("a mapped request");
        let reports: Vec<_> = world.memory.reports_of(case).collect();
        assert_eq!(reports[about.report as usize].report.id, "b-1", "who has the field");
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
    let about = world.step(case, STEP).memo.subject.clone().expect("a mapped request");
    assert_eq!(about.request.as_deref(), Some("b"));
}

#[test]
fn what_is_asked_under_one_key_stays() {
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    world.replies.insert("billing".into(), Reply::Says(StepReading::Unknown));
    let case = world.report(tells("shop", "s-1", &[("m", H::Succeeded)], json!({})));
    world.settle_down();
    world.report(tells("shop", "s-2", &[("c", H::Succeeded)], json!({})));
    world.replies.clear();
    world.pass_ms(60_000);
    let about = world.step(case, STEP).memo.subject.clone().expect("a mapped request");
    assert_eq!(about.request.as_deref(), Some("m"));
    let notes: Vec<_> = world.case(case).detail.notes.iter().map(|n| n.text.as_str()).collect();
    assert!(notes.iter().any(|text| text.contains("`c` may still stand")), "{notes:?}");
}

#[test]
fn of_two_charges_that_may_stand_none_is_left_behind_in_silence() {
    let twice = [("p-1", H::Succeeded), ("p-2", H::Unknown)];
    let mut world = World::new(shop("/payments/{requestId}/refund", "").as_str());
    let case = world.report(tells("shop", "s-1", &twice, json!({})));
    world.settle_down();
    let step = world.step(case, STEP);
    assert_eq!(step.state, StepState::Stuck(StuckReason::Unsendable));
    let why = step.memo.message.clone().unwrap_or_default();
    assert!(why.contains("`p-1`, `p-2`"), "{why}");
    assert!(world.sent.is_empty(), "{:?}", world.sent);
    // One request undoes them all, says the rulebook.
    let book = shop("/payments/{data.order}/refund", ", covers: saga");
    let mut world = World::new(book.as_str());
    let case = world.report(tells("shop", "s-1", &twice, json!({ "order": "o" })));
    world.settle_down();
    world.pass_ms(60_000);
    assert_eq!(world.state(case), CaseState::Settled);
}
