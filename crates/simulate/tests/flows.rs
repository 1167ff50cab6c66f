//! Flows of other shapes than the source's.

use amends_rulebook::Rulebook;
use amends_simulate::{Options, simulate};

const PAGE: &str = include_str!("../../../docs/concepts/simulation.md");

const EIGHT: &str = r#"
rulebook: eight
settle: { quiet: 2s }
services:
  shop: { url: "http://shop", actions: { buy: { compensation: cancel, calls: [stock.reserve, wallet.charge, parcel.send] } } }
  stock: { url: "http://stock", actions: { reserve: { compensation: release, calls: [depot.pick] } } }
  depot: { url: "http://depot", actions: { pick: { compensation: put-back } } }
  wallet: { url: "http://wallet", actions: { charge: { compensation: refund, calls: ["points.spend?", bank.debit] } } }
  points: { url: "http://points", actions: { spend: { compensation: give-back } } }
  bank: { url: "http://bank", actions: { debit: { compensation: credit } } }
  parcel: { url: "http://parcel", actions: { send: { compensation: stop, calls: [mail.tell] } } }
  mail: { url: "http://mail", actions: { tell: { on_failure: retry, correction: tell-otherwise } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

#[test]
fn eight_services_with_every_single_failure() {
    let book = Rulebook::from_yaml(EIGHT).expect("valid");
    let options = Options { pairs: false, ..Options::default() };
    let result = simulate(&book, &options);
    let stories: String = result.counterexamples.iter().map(ToString::to_string).collect();
    assert!(result.counterexamples.is_empty(), "{stories}");
    assert_eq!((result.flows, result.longest), (2, 8));
    for tier in &result.tiers {
        assert!(tier.all > 0 && tier.played == tier.all, "{:?}", result.tiers);
    }
    let alone = result.tiers[0].played;
    let said = format!(
        "171 faults: {alone} schedules for every fault by itself and {} with all that varies around it, all of them played",
        result.tiers[1].played
    );
    assert_eq!(result.faults, 171);
    assert!(PAGE.contains(&said), "docs/concepts/simulation.md doesn't say: {said}");
}

/// An orchestrator without effects of its own goes on after its caller and a callee have failed: it is fenced.
#[test]
fn an_orchestrator_that_has_no_undo_leaves_nothing_behind() {
    let found = findings(
        r#"
rulebook: orchestrated
services:
  page: { url: "http://page", actions: { buy: { effect: none, calls: [checkout.place] } } }
  checkout: { url: "http://checkout", actions: { place: { effect: none, calls: [payment.charge, shipping.ship] } } }
  payment: { url: "http://payment", actions: { charge: { compensation: refund } } }
  shipping: { url: "http://shipping", actions: { ship: { compensation: cancel } } }
rules: [{ on: "*/*", compensate: recorded }]
"#,
    );
    assert!(found.is_empty(), "{found:#?}");
}

/// A mail that its caller can do without fails when it has gone out: it is corrected, and the order stands.
#[test]
fn what_fails_below_a_tolerated_call_is_taken_back_and_all_else_stands() {
    let found = findings(
        r#"
rulebook: mailed
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: [payment.charge, { call: mail.send, tolerate: true }] } } }
  payment: { url: "http://payment", actions: { charge: { compensation: refund } } }
  mail: { url: "http://mail", actions: { send: { correction: send-sorry, calls: [outbox.store] } } }
  outbox: { url: "http://outbox", actions: { store: { compensation: remove } } }
rules: [{ on: "*/*", compensate: recorded }]
"#,
    );
    assert!(found.is_empty(), "{found:#?}");
}

/// The same mail, sent well: whoever corrects it while the order stands tells the customer something wrong.
#[test]
fn a_message_below_a_tolerated_call_that_went_well_is_wrongly_corrected() {
    let found = findings(
        r#"
rulebook: mailed
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: [{ call: mail.send, tolerate: true }] } } }
  mail: { url: "http://mail", actions: { send: { correction: send-sorry } } }
reports:
  order/late: { in: place, after: [mail.send], keep: true }
rules:
  - { on: order/late, retry: order.place, then: { notify: [mail.send-sorry] } }
  - { on: "*/*", compensate: recorded }
"#,
    );
    let wrongly = "all of it stands, yet a correction went out for: mail.send";
    assert!(found.iter().any(|finding| finding == wrongly), "{found:#?}");
}

fn findings(text: &str) -> Vec<String> {
    let book = Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"));
    // A step that never ends is tried for a simulated day: a few of those are enough.
    let result = simulate(&book, &Options { stop_after: 3, ..Options::default() });
    result.counterexamples.iter().map(|c| c.finding.to_string()).collect()
}

const SHOP: &str = r#"
rulebook: shop
settle: { quiet: 2s }
services:
  shop: { url: "http://shop", actions: { buy: { compensation: cancel, calls: [wallet.charge] } } }
  wallet: { url: "http://wallet", actions: { charge: { compensation: refund } } }
reports:
  shop/late: { in: buy, after: [wallet.charge] }
rules:
"#;

fn shop(rules: &str) -> Vec<String> {
    findings(&format!("{SHOP}{rules}"))
}

#[test]
fn the_default_alone_leaves_nothing_behind() {
    assert_eq!(shop("  - { on: \"*/*\", compensate: recorded }\n"), Vec::<String>::new());
}

#[test]
fn a_report_without_a_rule_never_comes_to_its_end() {
    let found = shop("  - { on: wallet/*, compensate: recorded }\n");
    assert!(found.contains(&"no rule answers: shop/late".to_owned()), "{found:?}");
}

#[test]
fn a_rule_in_shadow_mode_leaves_everything_behind() {
    let found = shop(
        "  - { on: shop/late, compensate: recorded, mode: shadow }\n  - { on: \"*/*\", compensate: recorded }\n",
    );
    assert_eq!(found[0], "left behind: wallet.charge (would take: compensate wallet.charge)");
}

#[test]
fn a_rule_that_waits_for_a_yes_gets_it() {
    let found = shop(
        "  - { on: shop/late, compensate: recorded, mode: ask }\n  - { on: \"*/*\", compensate: recorded }\n",
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_rule_with_conditions_is_tried_where_they_hold() {
    let found = shop(
        "  - { on: shop/late, when: { data.amount: { gt: 100 } }, compensate: [shop.buy] }\n  - { on: \"*/*\", compensate: recorded }\n",
    );
    assert_eq!(found[0], "left behind: wallet.charge (would take: compensate wallet.charge)");
}

#[test]
fn a_rule_that_runs_again_what_was_undone_below_is_found() {
    // The wallet has failed for good, so running the shop's part again cannot succeed.
    // A step that never ends is tried for a simulated day, so the faults by themselves are enough.
    let book = Rulebook::from_yaml(&format!(
        "{SHOP}  - {{ on: wallet/*, retry: shop.buy }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
    ))
    .expect("valid");
    let found = simulate(&book, &Options { max_schedules: 50, pairs: false, ..Options::default() });
    let found: Vec<String> = found.counterexamples.iter().map(|c| c.finding.to_string()).collect();
    assert!(found.iter().any(|f| f.starts_with("the case never comes to its end")), "{found:?}");
}

/// An action that fails makes its callers fail, and its retry doesn't bring them back: they are run again in later stages,
/// from the inside out, and find their calls answered.
#[test]
fn running_an_inner_action_again_leaves_its_callers_failed() {
    let bank = |retry: &str| {
        findings(&format!(
            r#"
rulebook: bank
settle: {{ quiet: 2s }}
services:
  shop: {{ url: "http://shop", actions: {{ buy: {{ compensation: cancel, calls: [stock.reserve, wallet.charge] }} }} }}
  stock: {{ url: "http://stock", actions: {{ reserve: {{ compensation: release }} }} }}
  wallet: {{ url: "http://wallet", actions: {{ charge: {{ compensation: refund }} }} }}
reports:
  wallet/odd: {{ in: charge, keep: true }}
rules:
  - {{ on: wallet/odd, {retry}, give_up: {{ after: 5 attempts, then: {{ compensate: recorded }} }} }}
  - {{ on: "*/*", compensate: recorded }}
"#
        ))
    };
    assert_eq!(
        bank("retry: wallet.charge").first().map(String::as_str),
        Some("the saga went on without: shop.buy (would take: then retry shop.buy)")
    );
    assert_eq!(bank("retry: wallet.charge, then: { retry: shop.buy }"), Vec::<String>::new());
}

/// A message that failed may have gone out all the same. Whatever a rule lists, it is corrected when the saga is undone.
#[test]
fn a_message_that_failed_is_corrected_when_the_saga_is_undone() {
    let found = findings(
        r#"
rulebook: mail
settle: { quiet: 2s }
services:
  shop: { url: "http://shop", actions: { buy: { compensation: cancel, calls: [stock.reserve, mail.tell] } } }
  stock: { url: "http://stock", actions: { reserve: { compensation: release } } }
  mail: { url: "http://mail", actions: { tell: { correction: tell-otherwise } } }
reports:
  mail/failed: { in: tell }
rules:
  - { on: mail/failed, compensate: [stock.reserve, shop.buy] }
  - { on: "*/*", compensate: recorded }
"#,
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_same_seed_plays_the_same() {
    let book = Rulebook::from_yaml(EIGHT).expect("valid");
    let options = Options { max_schedules: 500, ..Options::default() };
    let run = || serde_json::to_value(simulate(&book, &options)).expect("plain");
    assert_eq!(run(), run());
    assert_eq!(run()["schedules"], 500);
}

/// Each of two requests of one action that only has to succeed in the end is run again, also if one of them was half
/// done, or its service died at work on it.
#[test]
fn two_requests_that_failed_are_two_retries() {
    let found = findings(
        r#"
rulebook: twice
settle: { quiet: 2s }
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: [sms.send, sms.send] } } }
  sms: { url: "http://sms", actions: { send: { on_failure: retry } } }
rules: [{ on: "*/*", compensate: recorded }]
"#,
    );
    assert!(found.is_empty(), "{found:#?}");
}
