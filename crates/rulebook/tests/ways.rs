//! `b>d.go`: a callee that is reached on two ways is named with the way.

use amends_rulebook::{Position, Rulebook};
use std::sync::Arc;

/// Payment and stock both post to the ledger; stock does not always.
fn book(report: &str) -> Result<Arc<Rulebook>, Vec<String>> {
    let text = format!(
        "
rulebook: books
services:
  order: {{ url: \"http://order\", actions: {{ place: {{ compensation: undo, calls: [payment.pay, stock.reserve, \"ledger.post?\"] }} }} }}
  payment: {{ url: \"http://payment\", actions: {{ pay: {{ compensation: undo, calls: [ledger.post] }}, fee: {{ compensation: undo, calls: [ledger.post] }} }} }}
  stock: {{ url: \"http://stock\", actions: {{ reserve: {{ compensation: undo, calls: [\"ledger.post?\"] }} }} }}
  ledger: {{ url: \"http://ledger\", actions: {{ post: {{ compensation: undo }} }} }}
reports:
  order/odd: {{ in: place, {report} }}
rules:
  - {{ on: \"*/*\", compensate: recorded }}
"
    );
    Rulebook::from_yaml(&text).map_err(|found| {
        let told = |d: &amends_rulebook::Diagnostic| {
            format!("{}: {}: {}", d.code, d.message, d.help.clone().unwrap_or_default())
        };
        found.iter().map(told).collect()
    })
}

fn position(report: &str) -> Option<Position> {
    let book = book(report).unwrap_or_else(|found| panic!("{found:#?}"));
    book.reports()[0].position(&book)
}

#[test]
fn the_way_says_which_call_it_is_and_so_where_the_report_comes() {
    assert_eq!(position("after: [payment>ledger.post]"), Some(Position::After(0)));
    assert_eq!(position("after: [stock>ledger.post]"), Some(Position::After(1)));
    assert_eq!(position("after: [stock.reserve > ledger.post]"), Some(Position::After(1)));
    assert_eq!(position("after: [order>ledger.post]"), Some(Position::After(2)));
    assert_eq!(position("after: [order>stock>ledger.post]"), Some(Position::After(1)));
    assert_eq!(position("sent: order>ledger.post"), Some(Position::Sent(2)));
}

#[test]
fn it_is_written_as_it_was_read() {
    let book = book("after: [payment>ledger.post], without: [stock>ledger.post]");
    let book = book.unwrap_or_else(|found| panic!("{found:#?}"));
    let report = &book.reports()[0];
    let name = |id| book.get(id).name.to_string();
    assert_eq!(report.after[0].written(name), "payment.pay>ledger.post");
    assert_eq!(report.without[0].written(name), "stock.reserve>ledger.post");
}

#[test]
fn a_way_that_is_not_there_is_told_with_those_that_are() {
    let told = |report: &str| book(report).expect_err("a mistake").join("; ");
    assert_eq!(
        told("after: [warehouse>ledger.post]"),
        "no-such-way: `warehouse` doesn't call `ledger.post` itself in the work of `order.place`: the ways to it are `order.place>ledger.post`, `payment.pay>ledger.post`, `stock.reserve>ledger.post`"
    );
    assert_eq!(
        told("after: [payment>ledger.post, payment.pay>ledger.post, payment.fee>ledger.post]"),
        "no-such-way: `payment.fee` doesn't call `ledger.post` itself in the work of `order.place`: the ways to it are `order.place>ledger.post`, `payment.pay>ledger.post`, `stock.reserve>ledger.post`"
    );
    assert!(
        told("after: [payment.pay], without: [payment>ledger.post]")
            .starts_with("contradictory-report: `payment.pay>ledger.post` is called in every saga"),
    );
}
