//! What each target means in a saga: sets are made concrete by what is known, and stages merge to the latest.

use amends_rulebook::{ActionId, Known, Rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Two entry actions, `order.place` and `gift.send`, share the payment; `audit.note` stands apart.
fn book(demand: &str) -> Arc<Rulebook> {
    let text = format!(
        r#"
rulebook: shop
services:
  order: {{ url: "http://order", actions: {{ place: {{ compensation: cancel, calls: [payment.pay, stock.take] }} }} }}
  gift: {{ url: "http://gift", actions: {{ send: {{ compensation: cancel, calls: ["payment.pay?"] }} }} }}
  payment: {{ url: "http://payment", actions: {{ pay: {{ compensation: refund, tags: [money], calls: [bank.move, sms.send] }} }} }}
  bank: {{ url: "http://bank", actions: {{ move: {{ compensation: move-back, tags: [money] }} }} }}
  stock: {{ url: "http://stock", actions: {{ take: {{ on_failure: retry, tags: [goods] }} }} }}
  sms: {{ url: "http://sms", actions: {{ send: {{ correction: unsend, tags: [money, goods] }} }} }}
  audit: {{ url: "http://audit", actions: {{ note: {{ compensation: strike }} }} }}
rules:
  - {{ on: "*/*", {demand} }}
"#
    );
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The plan as `stage:verb action`, notices of the top level as stage `last`.
fn plan(demand: &str, reporter: Option<&str>, effects: &[&str]) -> Vec<String> {
    let book = book(demand);
    let id = |name: &str| -> ActionId {
        name.split_once('.').and_then(|(s, a)| book.action(s, a)).expect(name)
    };
    let effects: BTreeSet<_> = effects.iter().map(|e| id(e)).collect();
    let rule = book.rules().iter().find(|r| !r.implied).expect("one is written");
    let steps =
        book.resolve(&rule.demand, &Known { reporter: reporter.map(id), effects: &effects });
    let stage = |n: u16| if n == u16::MAX { "last".to_owned() } else { n.to_string() };
    steps
        .iter()
        .map(|s| format!("{}:{} {}", stage(s.stage.0), s.verb, book.get(s.action).name))
        .collect()
}

#[test]
fn recorded_is_what_the_histories_say() {
    let recorded = |effects: &[&str]| plan("compensate: recorded", Some("payment.pay"), effects);
    assert_eq!(recorded(&[]), Vec::<String>::new());
    assert_eq!(
        recorded(&["payment.pay", "stock.take"]),
        ["0:compensate payment.pay"],
        "what is only retried is not undone"
    );
    assert_eq!(recorded(&["sms.send"]), ["last:notify sms.unsend"], "what was said is corrected");
    assert_eq!(recorded(&["sms.unsend"]), Vec::<String>::new());
}

#[test]
fn all_is_what_the_saga_could_have_reached() {
    let all = |reporter| plan("compensate: all", reporter, &[]);
    let reached = ["order.place", "gift.send", "payment.pay", "bank.move"]
        .map(|a| format!("0:compensate {a}"));
    assert_eq!(all(Some("bank.move")), reached);
    assert_eq!(
        all(Some("order.place")),
        ["order.place", "payment.pay", "bank.move"].map(|a| format!("0:compensate {a}"))
    );
    assert_eq!(all(Some("audit.note")), ["0:compensate audit.note"]);
    assert_eq!(all(None).len(), 5, "the whole rulebook");
}

#[test]
fn downstream_is_what_the_failing_action_could_have_called() {
    let downstream = |reporter| plan("compensate: downstream", reporter, &[]);
    assert_eq!(downstream(Some("payment.pay")), ["0:compensate bank.move"]);
    assert_eq!(
        downstream(Some("gift.send")),
        ["0:compensate payment.pay", "0:compensate bank.move"]
    );
    assert_eq!(downstream(None), Vec::<String>::new());
}

#[test]
fn a_tag_means_the_actions_that_the_verb_fits() {
    assert_eq!(
        plan("compensate: [tag:money]", None, &[]),
        ["0:compensate payment.pay", "0:compensate bank.move"]
    );
    assert_eq!(plan("notify: [tag:money]", None, &[]), ["last:notify sms.send"]);
    assert_eq!(plan("retry: [tag:goods]", None, &[]), ["0:retry stock.take", "0:retry sms.send"]);
}

#[test]
fn a_step_asked_for_twice_is_one_step_in_the_latest_of_its_stages() {
    let demand = "compensate: [bank.move, payment.pay], notify: [sms.send], then: { compensate: [payment.pay], notify: [sms.unsend], then: { compensate: recorded } }";
    assert_eq!(
        plan(demand, None, &["order.place", "sms.send"]),
        [
            "0:compensate bank.move",
            "1:compensate payment.pay",
            "2:compensate order.place",
            "last:notify sms.send",
            "last:notify sms.unsend"
        ]
    );
}
