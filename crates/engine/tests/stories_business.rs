//! Whom a case concerns and how much it is about, and what is told of its secret fields.

mod world;

use amends_api::{Money, StepAct, StuckReason};
use amends_engine::{Lateness, StepReading, StepResult, StepState};
use amends_protocol::{Evidence, HistoryState as H, Outcome, Report, SagaId};
use amends_rulebook::secrets::MASK;
use serde_json::{Value, json};
use world::{Reply, Says, World, reason, report};

const SHOP: &str = "
rulebook: shop
settle: { quiet: 10s }
services:
  shop: { url: \"http://shop\", actions: { sell: { effect: none, calls: [billing.charge, billing.charge] } } }
  billing:
    url: \"http://billing\"
    actions:
      charge:
        compensation: refund
        endpoints: { compensate: { path: \"/refunds\", body: { card: \"{data.card}\", amount: \"{data.amount}\" }, done: [200] } }
reports:
  shop/odd:
    in: sell
    data:
      user: { role: customer }
      order: { type: text, role: key }
      total: { type: decimal, role: amount, currency: currency }
      currency: text
      card: { type: text, secret: true }
  billing/odd:
    in: charge
    data: { amount: { type: decimal, role: amount, currency: EUR }, charge: { role: key }, card: { secret: true } }
rules:
  - { on: \"*/*\", compensate: recorded }
";

const REFUND: &str = "compensate billing.charge";

fn sold(id: &str, data: Value, charged: &[(&str, H, Value)]) -> Report {
    let mut report = report("shop/odd", "s").action("sell").saw("shop.sell", H::Failed);
    report.id = id.to_owned();
    report.data.data = data.as_object().expect("an object").clone();
    for (request, state, data) in charged {
        let mut told = Evidence::new("billing", "charge", *request, *state);
        told.data = data.as_object().expect("an object").clone();
        report.data.history.push(told);
    }
    report
}

fn money(amount: &str, currency: &str) -> Money {
    Money { amount: amount.parse().expect("an amount"), currency: currency.to_owned() }
}

#[test]
fn a_case_says_whom_it_concerns_and_how_much() {
    let mut world = World::new(SHOP);
    let data = json!({ "user": "u-7", "order": "o-1", "total": 1204.50, "currency": "eur" });
    let case = world.report(sold("r", data, &[]));
    world.settle_down();
    let known = &world.case(case).extra.business;
    assert_eq!((known.customer.as_deref(), known.key.as_deref()), (Some("u-7"), Some("o-1")));
    assert_eq!(known.amounts, [money("1204.5", "EUR")]);
    world.crash();
    assert_eq!(world.case(case).extra.business.amounts, [money("1204.5", "EUR")]);
}

#[test]
fn requests_that_are_undone_one_by_one_are_summed_and_one_that_failed_is_not() {
    let mut world = World::new(SHOP);
    let charged = [
        ("q-1", H::Succeeded, json!({ "amount": 0.10, "card": "4111" })),
        ("q-2", H::Unknown, json!({ "amount": 0.20, "card": "4111" })),
        ("q-3", H::Failed, json!({ "amount": 99, "card": "4111" })),
    ];
    let total = json!({ "user": 12, "total": 500, "currency": "EUR" });
    let case = world.report(sold("r", total, &charged));
    world.settle_down();
    let known = &world.case(case).extra.business;
    assert_eq!(known.amounts, [money("0.3", "EUR")], "exact, and not the total of the order");
    assert_eq!(known.customer.as_deref(), Some("12"));
    assert_eq!(world.sends.len(), 2);
}

#[test]
fn what_has_one_key_counts_once() {
    let mut world = World::new(SHOP);
    let same =
        |request| (request, H::Succeeded, json!({ "amount": 5, "charge": "c-1", "card": "4" }));
    let case = world.report(sold("r", json!({}), &[same("q-1"), same("q-2")]));
    world.settle_down();
    assert_eq!(world.case(case).extra.business.amounts, [money("5", "EUR")]);
}

#[test]
fn the_order_of_arrival_decides_nothing() {
    let business = |order: [usize; 2]| {
        let told = [
            sold("r-1", json!({ "user": "a", "total": 1, "currency": "EUR" }), &[]),
            sold("r-2", json!({ "user": "b", "total": 2, "currency": "USD", "order": "o" }), &[]),
        ];
        let mut world = World::new(SHOP);
        let cases = order.map(|n| world.report(told[n].clone()));
        world.settle_down();
        world.case(cases[0]).extra.business.clone()
    };
    assert_eq!(business([0, 1]), business([1, 0]));
    assert_eq!(business([0, 1]).amounts, [money("1", "EUR")], "never across currencies");
}

#[test]
fn what_is_no_amount_leaves_the_case_without_one() {
    for data in [
        json!({ "total": "12.50", "currency": "EUR" }),
        json!({ "total": 12.50 }),
        json!({ "total": 12.50, "currency": "no currency" }),
        json!({ "total": 1e40, "currency": "EUR" }),
        json!({ "user": { "id": 1 }, "order": "", "total": null }),
    ] {
        let mut world = World::new(SHOP);
        let case = world.report(sold("r", data.clone(), &[]));
        world.settle_down();
        assert!(world.case(case).extra.business.is_empty(), "{data}");
    }
}

#[test]
fn open_work_is_summed_by_currency() {
    let mut world = World::new(SHOP);
    world.replies.insert("billing".into(), Reply::Says(StepReading::Refused));
    for (n, (amount, currency)) in [(10, "EUR"), (20, "EUR"), (5, "USD")].into_iter().enumerate() {
        let data = json!({ "total": amount, "currency": currency, "card": "4", "amount": 1 });
        let mut report = sold(&format!("r-{n}"), data, &[("q", H::Succeeded, json!({}))]);
        report.saga_id = SagaId::new(&format!("s-{n}")).expect("a saga");
        world.report(report);
        world.settle_down();
    }
    let mut query = world.engine.survey(Lateness { now: world.now, default_ms: None });
    while !query.look(&world.engine, 10) {}
    let survey = query.finish();
    assert_eq!(survey.money.amounts(), [money("30", "EUR"), money("5", "USD")]);
    let group = survey.groups.values().next().expect("a group");
    assert_eq!((group.cases, group.money.amounts()), (3, survey.money.amounts()));
}

/// A service that asks for too much or too little would be paid back wrongly: a person says which is right.
#[test]
fn two_who_count_alike_and_name_different_amounts_leave_the_choice_to_a_person() {
    let told = |id: &str, amount: Value| {
        let mut report = report("billing/odd", "s").action("charge");
        report.id = id.to_owned();
        report.data.data =
            json!({ "amount": amount, "card": "4" }).as_object().expect("one").clone();
        report
    };
    let mut world = World::new(SHOP);
    let case = world.report(told("r-1", json!(12.5)));
    world.report(told("r-2", json!(12.50)));
    world.settle_down();
    assert_eq!(world.step(case, REFUND).state, StepState::Done(Outcome::Compensated), "the same");

    let mut world = World::new(SHOP);
    world.turn([told("r-1", json!(12.5)), told("r-2", json!(13))].map(|report| {
        amends_engine::Input::Report {
            report: std::sync::Arc::new(report),
            known_in: None,
            ticket: 0,
        }
    }));
    world.settle_down();
    let case = world.only_case();
    assert_eq!(world.step(case, REFUND).state, StepState::Stuck(StuckReason::Unsendable));
}

#[test]
fn what_is_told_and_kept_for_people_repeats_no_secret_and_the_request_has_it() {
    const CARD: &str = "4111222233334444";
    let mut world = World::new(SHOP);
    let mut report =
        sold("r", json!({}), &[("q", H::Succeeded, json!({ "card": CARD, "amount": 1 }))]);
    report.data.data.insert("card".to_owned(), CARD.into());
    report.data.message = Some(format!("card {CARD} declined"));
    world.replies.insert("billing".into(), Reply::Silent);
    let case = world.report(report);
    world.settle_down();
    assert_eq!(world.sends[0].data()["card"], CARD);
    let answer = StepResult::new(StepReading::Refused, Some(402));
    world.answer_as(REFUND, answer.saying(format!("no refund to {CARD}")));
    world.settle_down();
    let edit = json!({ "card": MASK, "amount": 2 });
    let edit = StepAct::edit(reason(), edit.as_object().expect("an object").clone());
    let step = world.step(case, REFUND).id;
    world.act(step, edit);
    world.settle_down();
    assert_eq!(world.sends[1].data()["card"], CARD, "left as it was");
    assert_eq!(world.sends[1].data()["amount"], 2);

    let case = world.case(case);
    assert_eq!(case.message.as_deref(), Some(&*format!("card {MASK} declined")));
    let told = format!("{:?}", world.told);
    assert!(told.contains(MASK) && !told.contains(CARD), "{told}");
    let acts = format!("{:?}", world.memory.acts());
    assert!(acts.contains(MASK) && !acts.contains(CARD), "{acts}");
}
