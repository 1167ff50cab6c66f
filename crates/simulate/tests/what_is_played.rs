//! What the simulator plays of a rulebook, and that it says how much of it: no rule is passed over in silence.

use amends_rulebook::Rulebook;
use amends_simulate::{Counterexample, Options, Simulation, simulate};

fn played(text: &str) -> Simulation {
    played_with(text, &Options { pairs: false, ..Options::default() })
}

fn played_with(text: &str, options: &Options) -> Simulation {
    let book = Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}"));
    simulate(&book, options)
}

fn findings(simulation: &Simulation) -> Vec<String> {
    simulation.counterexamples.iter().map(|c| c.finding.to_string()).collect()
}

const SHOP: &str = r#"
rulebook: shop
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: [stock.reserve, payment.pay] } } }
  stock: { url: "http://stock", actions: { reserve: { compensation: release } } }
  payment: { url: "http://payment", actions: { pay: { compensation: refund } } }
"#;

const STOCK_LEFT: &str = "left behind: stock.reserve (would take: compensate stock.reserve)";

const SIX_IN_A_CHAIN: &str = r#"
rulebook: chain
services:
  a: { url: "http://a", actions: { do: { compensation: undo, calls: [b.do] } } }
  b: { url: "http://b", actions: { do: { compensation: undo, calls: [c.do] } } }
  c: { url: "http://c", actions: { do: { compensation: undo, calls: [d.do] } } }
  d: { url: "http://d", actions: { do: { compensation: undo, calls: [e.do] } } }
  e: { url: "http://e", actions: { do: { compensation: undo, calls: [f.do] } } }
  f: { url: "http://f", actions: { do: { compensation: undo } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

#[test]
fn a_tier_with_more_orders_than_are_tried_is_a_part_whatever_the_seed() {
    let varied = |seed| {
        let options = Options { pairs: false, seed, ..Options::default() };
        let tier = played_with(SIX_IN_A_CHAIN, &options).tiers.swap_remove(1);
        (tier.played, tier.all)
    };
    let (played, all) = varied(1);
    assert!(played < all, "{played} of {all}");
    // Six reports come in 720 orders; one fault alone has more than the sample of everything else.
    assert!(all > 720 * 3 && played > 1_000, "{played} of {all}");
    for seed in [2, 6] {
        assert_eq!(varied(seed), (played, all), "seed {seed}");
    }
}

/// The order calls the coupon itself, in some sagas, and the payment calls it too.
const COUPON_ON_TWO_WAYS: &str = r#"
rulebook: two-ways
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: ["coupon.redeem?", payment.pay] } } }
  payment: { url: "http://payment", actions: { pay: { compensation: refund, calls: ["coupon.redeem?"] } } }
  coupon: { url: "http://coupon", actions: { redeem: { compensation: restore } } }
reports:
  order/after-coupon: { in: place, after: [coupon.redeem] }
rules:
  - { on: order/after-coupon, compensate: [coupon.redeem] }
  - { on: "*/*", compensate: recorded }
"#;

#[test]
fn a_declared_report_comes_right_after_the_direct_call_and_nowhere_else() {
    // After the payment, which may have redeemed a coupon as well, it would leave the payment behind.
    let result = played(COUPON_ON_TWO_WAYS);
    assert_eq!(findings(&result), Vec::<String>::new());
    assert_eq!(result.rules_not_reached, Vec::<String>::new());
}

#[test]
fn a_rule_for_a_code_that_nobody_declared_is_played() {
    for code in ["order/failed-late", "payment/declined"] {
        let result = played(&format!(
            "{SHOP}rules:\n  - {{ on: {code}, compensate: [payment.pay] }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
        ));
        assert!(findings(&result).contains(&STOCK_LEFT.to_owned()), "{code}: {result:#?}");
        let fault = &result.counterexamples[0].faults[0];
        let way_out = "(which `reports:` doesn't declare, so it may come from anywhere)";
        assert!(fault.contains(way_out), "{fault}");
    }
    // Declared where it comes from, the same rule is right.
    let right = played(&format!(
        "{SHOP}reports:\n  order/failed-late: {{ in: place, after: [stock.reserve] }}\nrules:\n  - {{ on: order/failed-late, compensate: [stock.reserve] }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
    ));
    assert_eq!(findings(&right), Vec::<String>::new());
    let undeclared = played(&format!(
        "{SHOP}rules:\n  - {{ on: order/failed-late, compensate: [stock.reserve] }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
    ));
    assert!(!undeclared.counterexamples.is_empty());
}

#[test]
fn a_rule_for_one_action_only_is_not_played_in_another() {
    let text = SHOP.replace("reserve: {", "count: { compensation: uncount }, reserve: {");
    let result = played(&format!(
        "{text}rules:\n  - {{ on: stock/odd, when: {{ action: count }}, compensate: [stock.count] }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
    ));
    // `stock.count` is a saga by itself, in which there is nothing else.
    assert_eq!(findings(&result), Vec::<String>::new());
    assert_eq!(result.rules_not_reached, Vec::<String>::new());
}

#[test]
fn a_rule_that_no_schedule_reaches_is_named() {
    // A call that fails is reported as `downstream` with its cause, and the cause is what is answered.
    let result = played(&format!(
        "{SHOP}rules:\n  - {{ on: stock/downstream, compensate: recorded }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
    ));
    assert_eq!(result.rules_not_reached, ["stock/downstream"]);
}

#[test]
fn a_rule_for_many_codes_is_played_beside_the_declared_ones() {
    for pattern in ["payment/*", "payment/card-*"] {
        let result = played(&format!(
            "{SHOP}reports:\n  payment/declined: {{ in: pay }}\nrules:\n  - {{ on: payment/declined, compensate: recorded }}\n  - {{ on: \"{pattern}\", compensate: downstream }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
        ));
        let of_it = |c: &&Counterexample| c.rules.iter().any(|r| r == pattern);
        let found = result.counterexamples.iter().find(of_it).map(|c| c.finding.to_string());
        assert_eq!(found.as_deref(), Some(STOCK_LEFT), "{pattern}: {result:#?}");
    }
}

#[test]
fn every_rule_with_conditions_is_played_where_they_hold() {
    let ranges = ["lt: 10", "gte: 10, lt: 100", "gte: 100, lt: 200", "gte: 200, lt: 300"];
    let rule = |range: &str| {
        format!(
            "  - {{ on: order/*, when: {{ data.amount: {{ {range} }} }}, compensate: recorded }}\n"
        )
    };
    let rules: String = ranges.iter().map(|range| rule(range)).collect();
    let last = "  - { on: order/*, when: { data.amount: { gte: 300 } }, compensate: recorded, mode: shadow }\n";
    let result = played(&format!(
        "{SHOP}rules:\n{rules}{last}  - {{ on: \"*/*\", compensate: recorded }}\n"
    ));
    assert!(!findings(&result).is_empty(), "{result:#?}");
    assert_eq!(result.rules_not_reached, Vec::<String>::new());
    let reached_badly = |r: &String| r.contains(">= 300") || r.contains("gte");
    assert!(result.counterexamples[0].rules.iter().any(reached_badly), "{result:#?}");
}

#[test]
fn a_report_of_a_call_without_an_answer_comes_whether_the_call_arrived_or_not() {
    let with = |compensate: &str| {
        played(&format!(
            "{SHOP}reports:\n  order/no-answer: {{ in: place, after: [stock.reserve], sent: payment.pay }}\nrules:\n  - {{ on: order/no-answer, compensate: [{compensate}] }}\n  - {{ on: \"*/*\", compensate: recorded }}\n"
        ))
    };
    let whole = with("stock.reserve, payment.pay");
    assert_eq!(findings(&whole), Vec::<String>::new());
    assert_eq!(whole.rules_not_reached, Vec::<String>::new());
    let payment_left = "left behind: payment.pay (would take: compensate payment.pay)";
    assert!(findings(&with("stock.reserve")).contains(&payment_left.to_owned()));
    assert!(findings(&with("payment.pay")).contains(&STOCK_LEFT.to_owned()));
}

#[test]
fn each_call_of_an_action_that_is_called_twice_is_a_place_of_its_own() {
    let result = played(
        r#"
rulebook: travel
services:
  trip: { url: "http://trip", actions: { book: { compensation: drop, calls: [flight.reserve, hotel.reserve, flight.reserve] } } }
  flight: { url: "http://flight", actions: { reserve: { compensation: release } } }
  hotel: { url: "http://hotel", actions: { reserve: { compensation: release } } }
reports:
  trip/no-hotel: { in: book, after: [flight.reserve] }
  trip/changed-mind: { in: book, after: [flight.reserve, flight.reserve] }
rules:
  # If it came after the second flight too, it would leave the hotel behind.
  - { on: trip/no-hotel, compensate: [flight.reserve] }
  - { on: trip/changed-mind, compensate: [flight.reserve, hotel.reserve] }
  - { on: "*/*", compensate: recorded }
"#,
    );
    assert_eq!(findings(&result), Vec::<String>::new());
    assert_eq!(result.rules_not_reached, Vec::<String>::new());
}
