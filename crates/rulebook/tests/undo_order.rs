//! `undo_order: reverse_calls`: dependent compensations go one after another, independent ones at once.

use amends_rulebook::{CaseFacts, Hold, Known, Rulebook};
use std::sync::Arc;

/// The services of a kitchen; `order.create` calls these, under a rule with this order.
fn kitchen(calls: &str, order: &str) -> Arc<Rulebook> {
    let text = format!(
        "rulebook: kitchen
services:
  order: {{ url: \"http://order:80\", actions: {{ create: {{ compensation: reject, calls: {calls} }}, approve: {{ on_failure: retry }} }} }}
  ticket: {{ url: \"http://ticket:80\", actions: {{ create: {{ compensation: cancel, calls: [stock.take] }} }} }}
  stock: {{ url: \"http://stock:80\", actions: {{ take: {{ compensation: put-back }} }} }}
  card: {{ url: \"http://card:80\", actions: {{ pay: {{ compensation: refund }} }} }}
  mail: {{ url: \"http://mail:80\", actions: {{ send: {{ correction: sorry }} }} }}
rules:
  - {{ on: card/odd, compensate: all, then: {{ notify: mail.sorry }}, undo_order: {order} }}
  - {{ on: card/tried, compensate: all, mode: shadow, undo_order: reverse_calls }}
  - {{ on: \"*/*\", compensate: all }}
"
    );
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{calls}: {found:#?}"))
}

/// The compensations, stage by stage, when everything has to be undone.
fn undone(book: &Rulebook, on: &str) -> Vec<Vec<String>> {
    let rule = book.rules().iter().find(|rule| rule.on == on).expect("there");
    let reporter = book.action("card", "pay");
    let effects = book.action_ids().collect();
    let facts = CaseFacts::of_rule(rule.id, &Known { reporter, effects: &effects }, false);
    let plan = book.wants(&facts);
    let mut stages: Vec<(u16, Vec<String>)> = Vec::new();
    for want in plan.all() {
        let name = book.get(want.step.action).name.to_string();
        match stages.last_mut() {
            Some((stage, names)) if *stage == want.step.stage.0 => names.push(name),
            _ => stages.push((want.step.stage.0, vec![name])),
        }
    }
    stages.into_iter().map(|(_, names)| names).collect()
}

fn in_reverse(calls: &str) -> Vec<Vec<String>> {
    undone(&kitchen(calls, "reverse_calls"), "card/odd")
}

#[test]
fn what_was_called_last_is_undone_first_and_a_caller_after_its_callees() {
    let wanted =
        [["card.pay"], ["stock.take"], ["ticket.create"], ["order.create"], ["mail.sorry"]];
    assert_eq!(in_reverse("[ticket.create, card.pay, order.approve]"), wanted);
}

#[test]
fn own_says_where_the_callers_effect_stands() {
    let wanted =
        [["card.pay"], ["order.create"], ["stock.take"], ["ticket.create"], ["mail.sorry"]];
    assert_eq!(in_reverse("[ticket.create, own, card.pay]"), wanted);
}

#[test]
fn what_no_order_of_calls_connects_is_undone_at_once() {
    for calls in
        ["[{ parallel: [ticket.create, card.pay] }]", "[{ one_of: [ticket.create, card.pay] }]"]
    {
        let stages = in_reverse(calls);
        assert_eq!(stages.len(), 4, "{calls}: {stages:?}");
        let ticket = stages.iter().position(|s| s.contains(&"ticket.create".to_owned()));
        let card = stages.iter().position(|s| s.contains(&"card.pay".to_owned()));
        assert_eq!((ticket, card), (Some(1), Some(1)), "{calls}: {stages:?}");
    }
}

#[test]
fn a_message_delays_nobody_and_is_undone_after_what_followed_from_it() {
    let stages = in_reverse("[{ event: ticket.create }, card.pay]");
    assert_eq!(
        stages,
        [
            vec!["stock.take"],
            vec!["ticket.create", "card.pay"],
            vec!["order.create"],
            vec!["mail.sorry"]
        ]
    );
}

#[test]
fn otherwise_all_goes_at_once() {
    let book = kitchen("[ticket.create, card.pay]", "at_once");
    assert_eq!(undone(&book, "card/odd").len(), 2, "the compensations, then the message");
}

#[test]
fn an_order_on_trial_stands_for_itself_alone() {
    let book = kitchen("[ticket.create, card.pay]", "at_once");
    assert_eq!(undone(&book, "card/tried").len(), 4);
    let rule = |on: &str| book.rules().iter().find(|rule| rule.on == on).expect("there").id;
    let effects = book.action_ids().collect();
    let known = Known { reporter: book.action("card", "pay"), effects: &effects };
    let mut facts = CaseFacts::of_rule(rule("card/tried"), &known, false);
    facts.reports.extend(CaseFacts::of_rule(rule("*/*"), &known, false).reports);
    let stages: Vec<u16> = book.wants(&facts).wants.iter().map(|want| want.step.stage.0).collect();
    assert!(stages.iter().all(|stage| *stage == 0), "{stages:?}");
    assert!(book.wants(&facts).wants.iter().all(|want| want.hold == Hold::Auto));
}
