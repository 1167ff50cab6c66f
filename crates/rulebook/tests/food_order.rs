//! The rulebook of the demo, read as a person reads it: five special rules, one default, and what each of them asks for.

use amends_protocol::Verb;
use amends_rulebook::{
    ActionId, Facts, Known, NamedCall, PlannedStep, Rulebook, SourceFile, Stage, load,
};
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");

fn book() -> Arc<Rulebook> {
    let root = SourceFile { path: "demo/rulebook/food-order.yaml".to_owned(), text: TEXT.into() };
    let loaded = load(root, &mut |_| Err("it imports nothing".to_owned()));
    assert_eq!(loaded.diagnostics, []);
    loaded.rulebook.expect("without mistakes")
}

fn id(book: &Rulebook, name: &str) -> ActionId {
    let (service, action) = name.split_once('.').expect("service.action");
    book.action(service, action).unwrap_or_else(|| panic!("no action `{name}`"))
}

fn label_of(book: &Rulebook, report: &str, action: Option<&str>) -> String {
    let (service, code) = report.split_once('/').expect("service/code");
    let facts = Facts {
        service,
        code,
        action,
        entry: None,
        caller: None,
        message: None,
        data: &Map::new(),
    };
    book.matching(&facts).map_or("none".to_owned(), |rule| book.rule(rule).index_label.clone())
}

/// The plan for a report, as `verb action` in the order of the stages; `|` divides stages.
fn plan(book: &Rulebook, report: &str, reporter: Option<&str>, effects: &[&str]) -> String {
    let (service, code) = report.split_once('/').expect("service/code");
    let facts = Facts {
        service,
        code,
        action: reporter.and_then(|r| r.split_once('.')).map(|r| r.1),
        entry: None,
        caller: None,
        message: None,
        data: &Map::new(),
    };
    let rule = book.rule(book.matching(&facts).expect("there is a default"));
    let effects: BTreeSet<_> = effects.iter().map(|e| id(book, e)).collect();
    let known = Known { reporter: reporter.map(|r| id(book, r)), effects: &effects };
    show(book, &book.resolve(&rule.demand, &known))
}

fn show(book: &Rulebook, steps: &[PlannedStep]) -> String {
    let mut out = String::new();
    let mut before = None;
    for step in steps {
        if before.is_some_and(|stage| stage != step.stage) {
            out += " |";
        }
        before = Some(step.stage);
        out += &format!(" {} {}", step.verb, book.get(step.action).name);
    }
    out.trim().to_owned()
}

#[test]
fn each_report_has_its_rule_and_all_others_the_default() {
    let book = book();
    for special in [
        "payment/report-1",
        "payment/report-2",
        "order/report-1",
        "order/report-2",
        "order/report-3",
    ] {
        assert_eq!(label_of(&book, special, None), special);
    }
    assert_eq!(label_of(&book, "payment/report-9", Some("pay")), "*/*");
    assert_eq!(label_of(&book, "unheard-of/anything", None), "*/*");
    assert_eq!(
        label_of(&book, "rider/nobody-free", Some("match")),
        "rider/* when action = \"match\""
    );
    assert_eq!(label_of(&book, "sms/gateway-down", Some("send")), "sms/* when action = \"send\"");
    assert_eq!(
        label_of(&book, "rider/nobody-free", None),
        "*/*",
        "a report that doesn't name its action has no implied rule"
    );
}

#[test]
fn each_rule_asks_for_what_the_pattern_says() {
    let book = book();
    let text = " | notify sms.send-cancellation";
    let table = [
        (
            "payment/report-1",
            "compensate coupon.redeem compensate delivery.request compensate rider.match",
        ),
        ("payment/report-2", "compensate delivery.request compensate rider.match"),
        (
            "order/report-2",
            "compensate payment.pay compensate delivery.request compensate rider.match",
        ),
        (
            "order/report-3",
            "compensate payment.pay compensate coupon.redeem compensate delivery.request compensate rider.match",
        ),
    ];
    for (report, steps) in table {
        assert_eq!(plan(&book, report, None, &[]), format!("{steps}{text}"), "{report}");
    }
    assert_eq!(
        plan(&book, "order/report-1", Some("order.place"), &["payment.pay"]),
        "retry order.place"
    );
    assert_eq!(
        plan(&book, "rider/busy", Some("rider.match"), &["payment.pay"]),
        "retry rider.match"
    );
}

#[test]
fn the_default_undoes_what_is_recorded_and_corrects_what_was_said() {
    let book = book();
    let effects = ["payment.pay", "coupon.redeem", "sms.send"];
    let steps = plan(&book, "coupon/broken", Some("coupon.redeem"), &effects);
    assert_eq!(
        steps,
        "compensate payment.pay compensate coupon.redeem | notify sms.send-cancellation"
    );
}

#[test]
fn giving_up_the_retry_undoes_the_order() {
    let book = book();
    let rule = book.rules().iter().find(|r| r.on == "order/report-1").expect("there");
    let give_up = rule.give_up.as_ref().expect("there");
    assert_eq!((give_up.attempts, give_up.age_ms), (Some(10), None));
    assert!(give_up.then.is_backward() && give_up.then.uses_recorded());
    assert!(!rule.demand.is_backward() && !rule.demand.uses_recorded());
    let effects = BTreeSet::from([id(&book, "delivery.request"), id(&book, "sms.send")]);
    let steps = book.resolve(&give_up.then, &Known { reporter: None, effects: &effects });
    assert_eq!(show(&book, &steps), "compensate delivery.request | notify sms.send-cancellation");
    assert_eq!(steps.last().map(|s| (s.verb, s.stage)), Some((Verb::Notify, Stage::NOTICES)));
}

#[test]
fn every_action_of_the_chain_could_have_been_reached_from_the_order() {
    let book = book();
    let names =
        |ids: &[ActionId]| ids.iter().map(|i| book.get(*i).name.to_string()).collect::<Vec<_>>();
    let all = [
        "order.place",
        "payment.pay",
        "coupon.redeem",
        "delivery.request",
        "rider.match",
        "sms.send",
    ];
    for action in all {
        assert_eq!(names(book.saga_reach(id(&book, action))), all, "through {action}");
    }
    assert_eq!(names(book.downstream(id(&book, "delivery.request"))), ["rider.match", "sms.send"]);
    assert_eq!(names(book.downstream(id(&book, "coupon.redeem"))), Vec::<String>::new());
}

#[test]
fn declared_facts_are_at_hand() {
    let book = book();
    assert_eq!(
        (book.name(), book.settings().quiet_ms, book.settings().cause_wait_ms),
        ("food-order", 2_000, 10_000)
    );
    let report = book.report("order", "report-2").expect("declared");
    assert_eq!(report.action, Some(id(&book, "order.place")));
    assert_eq!(report.without, [NamedCall::of(id(&book, "coupon.redeem"))]);
    assert!(book.report("order", "report-1").is_some_and(|r| r.keep));
    let send = book.get(id(&book, "sms.send"));
    let cancellation = book.get(send.correction.expect("it has one"));
    assert_eq!(cancellation.name.to_string(), "sms.send-cancellation");
    assert_eq!(cancellation.correction_of, Some(id(&book, "sms.send")));
    assert!(book.get(id(&book, "payment.pay")).calls.iter().any(|c| c.optional));
}
