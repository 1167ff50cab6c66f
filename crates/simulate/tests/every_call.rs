//! Every way of calling that the reference names, in every combination that it allows, can be played; and what is
//! played is what the reference says of it.

use amends_rulebook::Rulebook;
use amends_simulate::{Options, Proof, prove, simulate};
use std::ops::ControlFlow;
use std::sync::Arc;

/// An order that makes these calls after it was paid for; then the ledger is written.
fn book(calls: &str, rules: &str) -> Arc<Rulebook> {
    let text = format!(
        r#"
rulebook: calls
services:
  order: {{ url: "http://order", actions: {{ place: {{ compensation: cancel, calls: [payment.pay, {calls}, ledger.post] }} }} }}
  payment: {{ url: "http://payment", actions: {{ pay: {{ compensation: refund }} }} }}
  stock: {{ url: "http://stock", actions: {{ reserve: {{ compensation: release }} }} }}
  gift: {{ url: "http://gift", actions: {{ pack: {{ compensation: unpack }} }} }}
  mail: {{ url: "http://mail", actions: {{ send: {{ correction: sorry }} }} }}
  ledger: {{ url: "http://ledger", actions: {{ post: {{ compensation: strike }} }} }}
{rules}"#
    );
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{calls}: {found:#?}"))
}

const RECORDED: &str = "rules: [{ on: \"*/*\", compensate: recorded }]\n";

fn proved(book: &Arc<Rulebook>) -> Proof {
    prove(book, 50_000, &mut |_| ControlFlow::Continue(()))
}

/// What each bad end leaves behind.
fn left(proof: &Proof) -> Vec<String> {
    proof.left_behind.iter().map(|end| end.finding.to_string()).collect()
}

const GROUPS: [&str; 8] = [
    "{ one_of: [stock.reserve, gift.pack], tolerate: true }",
    "{ one_of: [[stock.reserve, gift.pack], mail.send, none], tolerate: true }",
    "{ one_of: [\"stock.reserve+\", gift.pack] }",
    "{ one_of: [\"stock.reserve?\", gift.pack] }",
    "{ one_of: [[stock.reserve, \"gift.pack?\"], none] }",
    "{ one_of: [[\"stock.reserve*\", mail.send], gift.pack] }",
    "{ parallel: [\"stock.reserve+\", gift.pack] }",
    "{ parallel: [\"stock.reserve*\", mail.send], tolerate: true }",
];

#[test]
fn nothing_is_left_behind_of_any_group() {
    for calls in GROUPS {
        let proof = proved(&book(calls, RECORDED));
        assert!(proof.is_whole() && proof.plays > 100, "{calls}: {:?}", proof.not_proved);
        assert_eq!(left(&proof), Vec::<String>::new(), "{calls}");
    }
}

#[test]
fn a_rule_that_forgets_a_group_is_found_out() {
    let forgets = "reports: { ledger/closed: { in: post } }\nrules: [{ on: ledger/closed, compensate: [payment.pay] }, { on: \"*/*\", compensate: recorded }]\n";
    for calls in GROUPS {
        let book = book(calls, forgets);
        assert!(!left(&proved(&book)).is_empty(), "{calls}");
        // A sample that finds nothing must at least have made the calls.
        let sample =
            simulate(&book, &Options { max_schedules: 400, pairs: false, ..Options::default() });
        assert!(sample.longest > 3 && sample.failed > 0, "{calls}: {} bad ends", sample.failed);
    }
}

/// What follows in the way is left out, and the order goes on: the ledger is written all the same.
#[test]
fn a_tolerated_way_ends_where_a_call_of_it_fails() {
    let unanswered = "rules: [{ on: order/*, compensate: recorded }, { on: gift/*, compensate: recorded }, { on: ledger/*, compensate: recorded }, { on: payment/*, compensate: recorded }]\n";
    let book = book("{ one_of: [[stock.reserve, gift.pack], none], tolerate: true }", unanswered);
    let all = simulate(&book, &Options { max_schedules: 400, pairs: false, ..Options::default() });
    let of_stock =
        all.counterexamples.iter().filter(|c| c.faults[0].starts_with("stock.reserve fails"));
    let stories: Vec<String> = of_stock.map(|c| c.story.join("\n")).collect();
    assert!(!stories.is_empty(), "{:#?}", all.counterexamples);
    for story in stories {
        assert!(!story.contains("gift.pack takes effect"), "{story}");
        assert!(story.contains("ledger.post takes effect"), "{story}");
    }
}

/// `failed` is what many call their reports. One that is declared comes from its place and from nowhere else.
#[test]
fn no_name_of_a_report_is_one_that_comes_from_anywhere() {
    for code in ["failed", "broke", "z", "other"] {
        let rules = format!(
            "reports: {{ order/{code}: {{ in: place, after: [payment.pay] }} }}\nrules: [{{ on: order/{code}, compensate: [payment.pay] }}, {{ on: \"*/*\", compensate: recorded }}]\n"
        );
        let proof = proved(&book("\"stock.reserve?\"", &rules));
        assert!(proof.is_whole(), "{code}");
        assert_eq!(left(&proof), Vec::<String>::new(), "{code}");
    }
}

/// A message that its caller can do without may fail when it has gone out: all else stands, whatever became of it.
#[test]
fn a_loose_message_that_failed_half_done_concerns_nobody_else() {
    let ways = [
        "{ call: mail.send, tolerate: true }",
        "{ event: mail.send }",
        "{ call: \"mail.send?\", tolerate: true }",
        "{ parallel: [stock.reserve, mail.send], tolerate: true }",
    ];
    for calls in ways {
        for mail in ["correction: sorry", "effect: notice", "on_failure: retry"] {
            for below in ["", ", calls: [gift.pack]"] {
                let text = format!(
                    r#"
rulebook: mailed
services:
  order: {{ url: "http://order", actions: {{ place: {{ compensation: cancel, calls: [{calls}] }} }} }}
  mail: {{ url: "http://mail", actions: {{ send: {{ {mail}{below} }} }} }}
  stock: {{ url: "http://stock", actions: {{ reserve: {{ compensation: release }} }} }}
  gift: {{ url: "http://gift", actions: {{ pack: {{ compensation: unpack }} }} }}
rules: [{{ on: "*/*", compensate: recorded }}]
"#
                );
                let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"));
                let proof = proved(&book);
                assert_eq!(left(&proof), Vec::<String>::new(), "{calls}, {mail}{below}");
            }
        }
    }
}

/// The undo may be over when a message comes, or when who was slow goes on: whoever may still write to the customer is
/// fenced, whether it could be undone itself or not.
#[test]
fn nobody_writes_to_the_customer_after_all_was_undone() {
    for how in ["dispatch.plan", "{ event: dispatch.plan }"] {
        for plan in ["compensation: unplan", "effect: none", "effect: notice", "on_failure: retry"]
        {
            for sms in ["correction: sorry", "on_failure: retry, correction: sorry"] {
                let text = format!(
                    r#"
rulebook: told
services:
  order: {{ url: "http://order", actions: {{ place: {{ compensation: cancel, calls: [payment.pay, {how}] }} }} }}
  payment: {{ url: "http://payment", actions: {{ pay: {{ compensation: refund }} }} }}
  dispatch: {{ url: "http://dispatch", actions: {{ plan: {{ {plan}, calls: [sms.send] }} }} }}
  sms: {{ url: "http://sms", actions: {{ send: {{ {sms} }} }} }}
rules: [{{ on: "*/*", compensate: recorded }}]
"#
                );
                let book = Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"));
                assert_eq!(left(&proved(&book)), Vec::<String>::new(), "{how}, {plan}, {sms}");
            }
        }
    }
}
