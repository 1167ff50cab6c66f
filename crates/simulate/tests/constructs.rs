//! What each way of calling comes to in the proof, as stories: whose failure it is, what may have happened by then, and
//! what a rule that forgets it leaves behind.

use amends_rulebook::Rulebook;
use amends_simulate::{Counterexample, prove};
use std::ops::ControlFlow;

/// A shop whose order makes these calls, and everything that it may call.
fn shop(calls: &str, reports: &str, rules: &str) -> Vec<Counterexample> {
    let text = format!(
        r#"
rulebook: shop
settle: {{ quiet: 2s }}
services:
  order: {{ url: "http://order", actions: {{ place: {{ compensation: cancel, calls: {calls} }} }} }}
  card: {{ url: "http://card", actions: {{ pay: {{ compensation: refund }} }} }}
  voucher: {{ url: "http://voucher", actions: {{ pay: {{ compensation: pay-back }} }} }}
  gift: {{ url: "http://gift", actions: {{ wrap: {{ compensation: unwrap, calls: [paper.take] }} }} }}
  paper: {{ url: "http://paper", actions: {{ take: {{ compensation: put-back }} }} }}
  mail: {{ url: "http://mail", actions: {{ send: {{ correction: send-sorry }} }} }}
reports:
  paper/odd: {{ in: take }}
{reports}
rules:
{rules}
  - {{ on: "*/*", compensate: recorded }}
"#
    );
    let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{text}{found:#?}"));
    let proof = prove(&book, 50_000, &mut |_| ControlFlow::Continue(()));
    assert!(proof.is_whole(), "{:?}", proof.not_proved);
    proof.left_behind
}

fn ends(found: &[Counterexample]) -> Vec<String> {
    found.iter().map(|end| end.finding.to_string()).collect()
}

#[track_caller]
fn is_clean(found: &[Counterexample]) {
    let stories: String = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{stories}");
}

/// The first end of which something is told.
#[track_caller]
fn told<'f>(found: &'f [Counterexample], what: &str) -> &'f Counterexample {
    let end = found.iter().find(|end| end.finding.to_string().contains(what));
    end.unwrap_or_else(|| panic!("{what}: {:#?}", ends(found)))
}

const CARD_LEFT: &str = "left behind: card.pay (would take: compensate card.pay)";

#[test]
fn a_tolerated_failure_stays_below_and_the_order_goes_on() {
    let calls = "[card.pay, { call: gift.wrap, tolerate: true }]";
    is_clean(&shop(calls, "", ""));
    // What the gift called belongs to its failure; that the order stands is no concern of it.
    let after_paper = "  gift/torn: { in: wrap, after: [paper.take] }";
    let nothing = "  - { on: gift/torn, compensate: [gift.wrap] }";
    let found = shop(calls, after_paper, nothing);
    let end = told(&found, "left behind");
    assert!(end.story.iter().any(|line| line == "order.place takes effect"), "{end}");
    assert_eq!(ends(&found).len(), 1, "{found:#?}");
    is_clean(&shop(calls, after_paper, "  - { on: gift/torn, compensate: [paper.take] }"));
}

#[test]
fn a_message_that_arrives_when_its_sender_has_failed_meets_a_fence_or_is_left() {
    let calls = "[{ event: gift.wrap }, card.pay]";
    is_clean(&shop(calls, "", ""));
    // A list asks for what it names, and bars nobody else.
    let declined = "  card/declined: { in: pay }";
    let found = shop(calls, declined, "  - { on: card/declined, compensate: [order.place] }");
    let end = told(&found, "gift.wrap");
    let line = |text: &str| end.story.iter().position(|line| line.contains(text));
    assert!(line("order.place fails") < line("gift.wrap takes effect"), "{end}");
    is_clean(&shop(
        calls,
        declined,
        "  - { on: card/declined, compensate: [order.place, gift.wrap, paper.take] }",
    ));
}

#[test]
fn of_several_ways_exactly_one_is_taken() {
    let calls = "[{ one_of: [card.pay, voucher.pay] }, gift.wrap]";
    is_clean(&shop(calls, "", ""));
    // Each way has a report of its own, and a rule that names nothing of the other one.
    let reports = "  order/after-card: { in: place, after: [card.pay] }\n  order/after-voucher: { in: place, after: [voucher.pay] }";
    let one = |way: &str| format!("  - {{ on: order/after-{way}, compensate: [{way}.pay] }}");
    is_clean(&shop(calls, reports, &[one("card"), one("voucher")].join("\n")));
    // Behind both ways a rule must name both.
    let torn = "  gift/torn: { in: wrap, after: [] }";
    let both =
        |list: &str| shop(calls, torn, &format!("  - {{ on: gift/torn, compensate: [{list}] }}"));
    assert_eq!(ends(&both("voucher.pay")), [CARD_LEFT]);
    is_clean(&both("voucher.pay, card.pay"));
}

#[test]
fn while_one_of_several_at_once_fails_another_may_be_under_way() {
    let calls = "[{ parallel: [card.pay, gift.wrap] }]";
    is_clean(&shop(calls, "", ""));
    let declined = "  card/declined: { in: pay }";
    let rule = |list: &str| format!("  - {{ on: card/declined, compensate: [{list}] }}");
    let found = shop(calls, declined, &rule("order.place"));
    let end = told(&found, "gift.wrap, paper.take");
    assert!(end.faults[0].contains("card.pay fails"), "{end}");
    // It may go on when the case is settled, so whoever leaves out what it calls leaves that behind.
    let found = shop(calls, declined, &rule("gift.wrap"));
    assert!(
        ends(&found).iter().all(|end| end.starts_with("left behind: paper.take")),
        "{found:#?}"
    );
    is_clean(&shop(calls, declined, &rule("gift.wrap, paper.take")));
}

#[test]
fn of_any_number_of_calls_the_second_may_fail_when_the_first_stands() {
    let calls = "[\"gift.wrap*\"]";
    is_clean(&shop(calls, "", ""));
    let torn = "  gift/torn: { in: wrap, after: [] }";
    let found = shop(calls, torn, "  - { on: gift/torn, compensate: [gift.wrap] }");
    // The first gift is undone with the second; its paper is not.
    let end = told(&found, "left behind: paper.take");
    let effects = end.story.iter().filter(|line| *line == "gift.wrap takes effect").count();
    assert_eq!(effects, 1, "{end}");
    is_clean(&shop(calls, torn, "  - { on: gift/torn, compensate: [gift.wrap, paper.take] }"));
}

#[test]
fn an_effect_before_the_calls_stands_when_they_fail() {
    let calls = "[own, card.pay]";
    is_clean(&shop(calls, "", ""));
    let declined = "  card/declined: { in: pay }";
    // Whoever runs the card again forgets the order, which has failed and stands.
    let retry = "  - { on: card/declined, retry: card.pay, give_up: { after: 3 attempts, then: { compensate: [card.pay] } } }";
    let found = shop(calls, declined, retry);
    assert!(found.iter().all(|end| end.faults[0].contains("card.pay fails")), "{found:#?}");
}
