//! What stands behind a pivot, and what a rule says of a saga that is past one.

use amends_rulebook::{Past, Rulebook};
use std::sync::Arc;

fn book(calls: &str) -> Arc<Rulebook> {
    let text = format!(
        "
rulebook: bank
services:
  shop: {{ url: \"http://shop\", actions: {{ buy: {{ compensation: undo, calls: [order.place, review.ask] }} }} }}
  order: {{ url: \"http://order\", actions: {{ place: {{ compensation: undo, calls: [{calls}] }} }} }}
  card: {{ url: \"http://card\", actions: {{ charge: {{ compensation: undo, calls: [fraud.check] }} }} }}
  fraud: {{ url: \"http://fraud\", actions: {{ check: {{ compensation: undo }} }} }}
  bank: {{ url: \"http://bank\", actions: {{ transfer: {{ effect: pivot, calls: [ledger.book, own, ledger.tell] }} }} }}
  ledger: {{ url: \"http://ledger\", actions: {{ book: {{ compensation: undo }}, tell: {{ compensation: undo }} }} }}
  parcel: {{ url: \"http://parcel\", actions: {{ send: {{ compensation: undo }} }} }}
  review: {{ url: \"http://review\", actions: {{ ask: {{ compensation: undo }} }} }}
rules:
  - {{ on: card/odd, compensate: recorded, past: undo }}
  - {{ on: card/kept, compensate: recorded, past: keep }}
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn before(calls: &str) -> Vec<String> {
    let book = book(calls);
    let [pivot] = book.pivots() else { panic!("{:?}", book.pivots()) };
    let mut names: Vec<String> =
        pivot.before.iter().map(|id| book.get(*id).name.to_string()).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_was_called_before_it_and_whoever_called_it_comes_before() {
    let all = ["card.charge", "fraud.check", "ledger.book", "order.place", "shop.buy"];
    assert_eq!(before("card.charge, bank.transfer, parcel.send"), all);
}

#[test]
fn what_is_called_at_the_same_time_may_have_come_before_and_another_way_never() {
    let at_once = before("{ parallel: [bank.transfer, parcel.send] }, card.charge");
    assert_eq!(at_once, ["ledger.book", "order.place", "parcel.send", "shop.buy"]);
    let ways = before("card.charge, { one_of: [parcel.send, bank.transfer] }");
    assert!(!ways.contains(&"parcel.send".to_owned()), "{ways:?}");
    assert!(ways.contains(&"card.charge".to_owned()), "{ways:?}");
}

#[test]
fn a_rule_says_what_becomes_of_it() {
    let book = book("card.charge, bank.transfer, parcel.send");
    let said: Vec<Option<Past>> = book.rules().iter().map(|rule| rule.past).collect();
    assert_eq!(said, [Some(Past::Undo), Some(Past::Keep), None]);
}
