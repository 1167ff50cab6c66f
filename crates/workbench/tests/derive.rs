//! Every failure point of the demo's business, against what its source says of it.

use amends_protocol::Verb;
use amends_rulebook::{Known, Rulebook, render};
use amends_workbench::{ExplicitPart, check, count_failure_points, derive, explicit_rulebook};
use std::collections::BTreeSet;
use std::sync::Arc;

const TEXT: &str = include_str!("../../../demo/rulebook/food-order.yaml");

fn book(text: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(text).unwrap_or_else(|found| panic!("{found:#?}\n{text}"))
}

fn steps(book: &Rulebook, needs: &BTreeSet<(Verb, amends_rulebook::ActionId)>) -> String {
    let all: Vec<_> = needs.iter().map(|(v, id)| format!("{v} {}", book.get(*id).name)).collect();
    all.join(", ")
}

#[test]
fn where_the_source_speaks_the_derived_answer_is_its_rule() {
    let book = book(TEXT);
    let derived = derive(&book);
    let mut spoken = BTreeSet::new();
    for (n, report) in book.reports().iter().enumerate() {
        let rule = book.rules().iter().find(|r| r.on == book.report_name(n)).expect("one each");
        let at: Vec<_> = derived.points.iter().filter(|p| p.reports.contains(&n)).collect();
        assert!(!at.is_empty(), "{} is at no failure point", rule.on);
        for point in at {
            let effects = point.state.effects();
            let known = Known { reporter: report.action, effects: &effects };
            let asked: BTreeSet<_> = book
                .resolve(&rule.demand, &known)
                .into_iter()
                .map(|s| (s.verb, s.action))
                .collect();
            let needs = if report.keep {
                BTreeSet::from([(Verb::Retry, point.action)])
            } else {
                point.needs.clone()
            };
            assert_eq!(steps(&book, &asked), steps(&book, &needs), "{}", rule.on);
            spoken.insert(rule.on.clone());
        }
    }
    assert_eq!(spoken.len(), 5);
}

#[test]
fn every_failure_point_is_named_also_where_the_source_is_silent() {
    let book = book(TEXT);
    let derived = derive(&book);
    let lines: Vec<String> = derived
        .points
        .iter()
        .map(|p| {
            let reports: Vec<_> = p.reports.iter().map(|n| book.report_name(*n)).collect();
            let said = if reports.is_empty() { "silent".to_owned() } else { reports.join(" ") };
            format!(
                "{} {}: {} [{said}]",
                book.get(p.action).name,
                p.in_words(&book),
                steps(&book, &p.needs)
            )
        })
        .collect();
    insta::with_settings!({ snapshot_path => "data/derive", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("food-order", lines.join("\n"));
    });
    assert_eq!(derived.total, derived.points.len() as u128);
    assert_eq!(count_failure_points(&book), derived.total);
}

#[test]
fn what_a_caller_did_before_belongs_to_the_failure_of_what_it_calls_next() {
    let book = book(
        "rulebook: shop\nservices:\n  a: { url: 'http://a', actions: { start: { compensation: x, calls: [b.first, 'c.second?', d.third] } } }\n  b: { url: 'http://b', actions: { first: { compensation: x } } }\n  c: { url: 'http://c', actions: { second: { compensation: x } } }\n  d: { url: 'http://d', actions: { third: { compensation: x } } }\nrules: [{ on: '*/*', compensate: recorded }]\n",
    );
    let third = book.action("d", "third").expect("there");
    let derived = derive(&book);
    let point = derived.points.iter().find(|p| p.action == third).expect("a point of its own");
    assert_eq!(steps(&book, &point.needs), "compensate b.first, compensate c.second");
}

#[test]
fn the_explicit_rulebook_is_sound_and_names_each_point_once() {
    let legacy = include_str!("data/corpus/good/legacy-behind-legacy.yaml");
    let twice = include_str!("data/corpus/good/called-twice.yaml");
    let travel = include_str!("data/derive/travel.yaml");
    let others = [BOTH_WAYS, ONE_WAY, ONE_WAY_OF_MANY, SAME_IN_TWO_WAYS, ONE_WAY_BELOW_ANOTHER];
    for text in [TEXT, travel, legacy, twice].into_iter().chain(others) {
        let short = book(text);
        let derived = derive(&short);
        let whole = explicit_rulebook(&short, &derived, ExplicitPart::Whole);
        let long = book(&whole);
        let found = check(&long);
        assert!(found.is_empty(), "{}", render(&found, long.sources(), false));
        let again = derive(&long);
        assert_eq!(again.total, derived.total);
        let silent: Vec<_> = again.silent().map(|p| p.in_words(&long)).collect();
        assert_eq!(silent, Vec::<String>::new(), "each point has a report that speaks of it");
        let codes: BTreeSet<_> =
            derived.points.iter().map(|p| (p.action, p.code.clone())).collect();
        assert_eq!(codes.len(), derived.points.len());
        let reports = explicit_rulebook(&short, &derived, ExplicitPart::Reports);
        assert!(whole.contains(&reports), "the reports alone are a part of the whole");
    }
}

#[test]
fn forty_optional_calls_are_counted_and_not_written_out() {
    let calls: Vec<_> = (0..40).map(|n| format!("'s.a{n}?'")).collect();
    let actions: Vec<_> = (0..40).map(|n| format!("a{n}: {{ compensation: x }}")).collect();
    let book = book(&format!(
        "rulebook: wide\nservices: {{ s: {{ url: 'http://s', actions: {{ top: {{ compensation: x, calls: [{}] }}, {} }} }} }}\nrules: [{{ on: '*/*', compensate: recorded }}]\n",
        calls.join(", "),
        actions.join(", ")
    ));
    // 1 before any call, and per call the ways before it twice: sent, and answered.
    let by_hand = 1 + (0..40).map(|n| 2 * (1u128 << n)).sum::<u128>() + 40;
    assert_eq!(count_failure_points(&book), by_hand);
    let derived = derive(&book);
    assert_eq!(derived.total, by_hand);
    assert!(derived.points.len() <= amends_workbench::POINTS_LIMIT);
}

#[test]
fn ways_that_come_to_the_same_are_counted_once() {
    // The order calls the coupon or not, and so does the payment: that it was called is one way, whoever called it.
    let book = Rulebook::from_yaml(
        r#"
rulebook: two-ways
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: ["coupon.redeem?", payment.pay] } } }
  payment: { url: "http://payment", actions: { pay: { compensation: refund, calls: ["coupon.redeem?"] } } }
  coupon: { url: "http://coupon", actions: { redeem: { compensation: restore } } }
rules:
  - { on: "*/*", compensate: recorded }
"#,
    )
    .expect("valid");
    let derived = derive(&book);
    assert_eq!(derived.points.len(), 11);
    assert_eq!((derived.total, count_failure_points(&book)), (11, 11));
}

/// The order calls the coupon or not, and the payment always does.
const BOTH_WAYS: &str = r#"
rulebook: both-ways
services:
  order: { url: "http://order", actions: { place: { compensation: cancel, calls: ["coupon.redeem?", payment.pay, "mail.send?"] } } }
  payment: { url: "http://payment", actions: { pay: { compensation: refund, calls: [coupon.redeem] } } }
  coupon: { url: "http://coupon", actions: { redeem: { compensation: restore } } }
  mail: { url: "http://mail", actions: { send: { correction: sorry } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

/// Of two orders one is updated; money goes back by the account, by a voucher, or not at all.
const ONE_WAY: &str = r#"
rulebook: one-way
services:
  cancel:
    url: "http://cancel"
    actions:
      cancel: { effect: none, calls: [{ one_of: [order.update, other.update] }, { one_of: [account.draw, [voucher.check, voucher.issue], none] }] }
  order: { url: "http://order", actions: { update: { compensation: restore } } }
  other: { url: "http://other", actions: { update: { compensation: restore } } }
  account: { url: "http://account", actions: { draw: { compensation: charge } } }
  voucher: { url: "http://voucher", actions: { check: { effect: none }, issue: { compensation: cancel } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

/// Optional calls stand in one of two ways, and below the other one.
const ONE_WAY_OF_MANY: &str = r#"
rulebook: one-way-of-many
services:
  ship:
    url: "http://ship"
    actions:
      send: { compensation: stop, calls: ["box.pack?", { one_of: [[slot.book, "dhl.fetch?"], [ups.fetch, slot.check]] }, ledger.post] }
  box: { url: "http://box", actions: { pack: { compensation: unpack } } }
  slot: { url: "http://slot", actions: { book: { compensation: free }, check: { effect: none } } }
  dhl: { url: "http://dhl", actions: { fetch: { compensation: cancel } } }
  ups: { url: "http://ups", actions: { fetch: { compensation: cancel, calls: ["box.pack?"] } } }
  ledger: { url: "http://ledger", actions: { post: { compensation: strike } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

/// Each of two ways ends with a call that comes behind both as well.
const SAME_IN_TWO_WAYS: &str = r#"
rulebook: same-in-two-ways
services:
  shop: { url: "http://shop", actions: { sell: { compensation: stop, calls: [{ one_of: [[gift.wrap, post.send], post.send] }, post.send] } } }
  gift: { url: "http://gift", actions: { wrap: { compensation: unwrap } } }
  post: { url: "http://post", actions: { send: { compensation: call-back } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

/// What one way calls itself, the other one may call through another.
const ONE_WAY_BELOW_ANOTHER: &str = r#"
rulebook: one-way-below-another
services:
  shop: { url: "http://shop", actions: { sell: { compensation: stop, calls: [{ one_of: [post.send, gift.wrap] }] } } }
  gift: { url: "http://gift", actions: { wrap: { compensation: unwrap, calls: ["post.send?"] } } }
  post: { url: "http://post", actions: { send: { compensation: call-back } } }
rules:
  - { on: "*/*", compensate: recorded }
"#;

fn points(book: &Rulebook, action: &str) -> Vec<String> {
    let (service, action) = action.split_once('.').expect("service.action");
    let action = book.action(service, action).expect("there");
    let of = derive(book).points.into_iter().filter(|p| p.action == action);
    of.map(|p| format!("{}: {}", p.in_words(book).replace('`', ""), steps(book, &p.needs)))
        .collect()
}

#[test]
fn what_one_call_leaves_out_and_a_later_one_always_makes_has_happened() {
    let book = book(BOTH_WAYS);
    assert_eq!(
        points(&book, "order.place"),
        [
            "before any call: ",
            "sent coupon.redeem, answer unknown: compensate coupon.redeem",
            "after coupon.redeem: compensate coupon.redeem",
            "sent payment.pay, answer unknown, without coupon.redeem: compensate payment.pay, compensate coupon.redeem",
            "sent payment.pay, answer unknown, with coupon.redeem: compensate payment.pay, compensate coupon.redeem",
            "after payment.pay: compensate payment.pay, compensate coupon.redeem",
            "sent mail.send, answer unknown: compensate payment.pay, compensate coupon.redeem, notify mail.sorry",
            "after mail.send: compensate payment.pay, compensate coupon.redeem, notify mail.sorry",
        ]
    );
    assert_eq!(count_failure_points(&book), derive(&book).total);
}

#[test]
fn a_saga_that_takes_one_way_takes_none_of_the_others() {
    let points = points(&book(ONE_WAY), "cancel.cancel");
    let first = [
        "before any call: ",
        "sent order.update, answer unknown, without other.update: compensate order.update",
        "after order.update, without other.update: compensate order.update",
        "sent other.update, answer unknown, without order.update: compensate other.update",
        "after other.update, without order.update: compensate other.update",
    ];
    assert_eq!(points[..5], first);
    // Two orders times: the account sent and answered, the check and the issue of a voucher each sent and answered.
    assert_eq!(points.len(), 5 + 2 * 6);
    let both = |line: &&String| {
        line.contains("compensate order.update") && line.contains("compensate other.update")
    };
    assert_eq!(points.iter().filter(both).count(), 0, "{points:#?}");
    let book = book(ONE_WAY);
    assert_eq!(count_failure_points(&book), derive(&book).total);
}

#[test]
fn what_the_second_call_led_to_is_not_said_by_what_the_first_left_out() {
    let book = book(
        r#"
rulebook: twice
services:
  shop: { url: "http://shop", actions: { sell: { compensation: stop, calls: [post.send, post.send] } } }
  post: { url: "http://post", actions: { send: { compensation: call-back, calls: ["stamp.use?"] } } }
  stamp: { url: "http://stamp", actions: { use: { compensation: restore } } }
rules:
  - { on: "*/*", compensate: recorded }
"#,
    );
    let sent = points(&book, "shop.sell");
    let second = "sent post.send (call 2 of it), answer unknown, without stamp.use: ";
    let second = sent.iter().find_map(|line| line.strip_prefix(second));
    assert_eq!(second, Some("compensate post.send, compensate stamp.use"), "{sent:#?}");
}

#[test]
fn the_same_call_in_two_ways_is_counted_by_the_way_that_a_saga_takes() {
    let book = book(SAME_IN_TWO_WAYS);
    let whole = explicit_rulebook(&book, &derive(&book), ExplicitPart::Whole);
    assert!(
        whole.contains("{ in: sell, after: [post.send, gift.wrap], sent: post.send }"),
        "{whole}"
    );
    assert!(!whole.contains("post.send, post.send, post.send"), "no saga sends three: {whole}");
    assert!(!whole.contains("no report tells it"), "{whole}");
}

#[test]
fn a_place_that_no_report_tells_from_another_is_named_and_left_to_the_last_rule() {
    let text = SAME_IN_TWO_WAYS.replace(
        "[[gift.wrap, post.send], post.send]",
        "[[post.send, gift.wrap], [post.send, gift.wrap, gift.wrap]]",
    );
    let book = book(&text);
    let whole = explicit_rulebook(&book, &derive(&book), ExplicitPart::Whole);
    assert!(whole.contains("  # `shop.sell` sent `post.send`"), "{whole}");
    let long = Rulebook::from_yaml(&whole).unwrap_or_else(|found| panic!("{found:#?}\n{whole}"));
    assert!(check(&long).is_empty(), "{whole}");
}

#[test]
fn an_action_that_is_called_twice_has_two_places() {
    let book = book(include_str!("data/corpus/good/called-twice.yaml"));
    assert_eq!(
        points(&book, "trip.book"),
        [
            "before any call: ",
            "sent flight.reserve, answer unknown: compensate flight.reserve",
            "after flight.reserve: compensate flight.reserve",
            "sent hotel.reserve, answer unknown: compensate flight.reserve, compensate hotel.reserve",
            "after hotel.reserve: compensate flight.reserve, compensate hotel.reserve",
            "sent flight.reserve (call 2 of it), answer unknown: compensate flight.reserve, compensate hotel.reserve",
            "after flight.reserve (call 2 of it): compensate flight.reserve, compensate hotel.reserve",
        ]
    );
    let told: Vec<_> = derive(&book)
        .points
        .iter()
        .filter(|p| p.is_declared())
        .map(|p| (p.in_words(&book).replace('`', ""), book.report_name(p.reports[0])))
        .collect();
    let places = [
        ("after flight.reserve", "trip/no-hotel"),
        ("sent flight.reserve (call 2 of it), answer unknown", "trip/no-answer"),
        ("after flight.reserve (call 2 of it)", "trip/changed-mind"),
    ];
    let places: Vec<_> = places.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(told, places);
    let codes: Vec<_> = derive(&book).points.into_iter().map(|p| p.code).collect();
    assert!(codes.contains(&"book-after-flight-reserve-2".to_owned()), "{codes:?}");
}

#[test]
fn however_the_source_is_written_the_explicit_rulebook_reads_well() {
    let in_braces = r#"# Our shop.
{rulebook: shop, services: {
  # Takes the orders.
  order: {url: "http://order", actions: {place: {compensation: cancel, calls: [payment.pay]}}},
  payment: {url: "http://payment", actions: {pay: {compensation: refund}}}},
 rules: [{on: "*/*", compensate: recorded}], reports: {payment/declined: {in: pay, after: []}},
 settle: {quiet: 5s}}
# The end.
"#;
    let json = r#"{"rulebook": "shop", "rules": [{"on": "*/*", "compensate": "recorded"}], "services": {"payment": {"url": "http://payment", "actions": {"pay": {"compensation": "refund"}}}}}"#;
    let with_marks = "---\r\nrulebook: shop\r\n# Only the default.\r\nrules:\r\n  - { on: '*/*', compensate: recorded }\r\nservices:\r\n  payment: { url: 'http://payment', actions: { pay: { compensation: refund } } }\r\n...\r\n";
    let without_an_end = "rulebook: shop\nservices: { payment: { url: 'http://payment', actions: { pay: { compensation: refund } } } }\n\n# What is decided.\nrules: [{ on: '*/*', compensate: recorded }]";
    for text in [in_braces, json, with_marks, without_an_end] {
        let short = book(text);
        let whole = explicit_rulebook(&short, &derive(&short), ExplicitPart::Whole);
        let long = book(&whole);
        let found = check(&long);
        assert!(found.is_empty(), "{}", render(&found, long.sources(), false));
        assert_eq!(long.settings(), short.settings());
        assert!(whole.lines().all(|l| l.chars().count() <= 120), "{whole}");
        assert!(!whole.contains("decided") && !whole.contains("Only") && !whole.contains('\r'));
        assert_eq!(whole.matches("rules:").count(), 1, "{whole}");
    }
    let short = book(in_braces);
    let whole = explicit_rulebook(&short, &derive(&short), ExplicitPart::Whole);
    let head = "# Our shop.\nrulebook: shop\nservices:\n  # Takes the orders.\n  order: { url: \"http://order\", actions: { place: { compensation: cancel, calls: [payment.pay] } } }\n  payment: { url: \"http://payment\", actions: { pay: { compensation: refund } } }\nsettle: { quiet: 5s }\n# The end.\n\nreports:\n  payment/declined: { in: pay, after: [] }\n";
    assert!(whole.starts_with(head), "{whole}");
}
