//! What is read of `calls`: which calls there are, how they hang together, and what stands in no sensible rulebook.

use amends_rulebook::{Coupling, FlowStep, Rulebook, Times};
use std::sync::Arc;

/// A kiosk whose `order.place` calls this.
fn kiosk(calls: &str) -> String {
    format!(
        "rulebook: kiosk
services:
  order: {{ url: \"http://order:80\", actions: {{ place: {{ compensation: cancel, calls: {calls} }} }} }}
  card: {{ url: \"http://card:80\", actions: {{ pay: {{ compensation: refund }} }} }}
  voucher: {{ url: \"http://voucher:80\", actions: {{ check: {{ effect: none }}, pay: {{ compensation: back }} }} }}
  mail: {{ url: \"http://mail:80\", actions: {{ send: {{ correction: sorry }} }} }}
rules: [{{ on: \"*/*\", compensate: recorded }}]
"
    )
}

fn read(calls: &str) -> Arc<Rulebook> {
    Rulebook::from_yaml(&kiosk(calls)).unwrap_or_else(|found| panic!("{calls}: {found:#?}"))
}

/// The calls of `order.place` as names, and what else is known of each.
fn calls(book: &Rulebook) -> Vec<(String, Times, bool, Coupling)> {
    let place = book.get(book.action("order", "place").expect("declared"));
    let told = |c: &amends_rulebook::Call| {
        (book.get(c.action).name.to_string(), c.times, c.optional, c.coupling)
    };
    place.calls.iter().map(told).collect()
}

#[test]
fn a_list_of_names_is_one_call_after_another() {
    let book = read(r#"[card.pay, "voucher.pay?", "mail.send*", "card.pay+"]"#);
    let told: Vec<_> = calls(&book)
        .into_iter()
        .map(|(name, times, optional, _)| (name, times, optional))
        .collect();
    let wanted = [
        ("card.pay", Times::Once, false),
        ("voucher.pay", Times::AtMostOnce, true),
        ("mail.send", Times::AnyNumber, true),
        ("card.pay", Times::AtLeastOnce, false),
    ];
    assert_eq!(told, wanted.map(|(name, times, optional)| (name.to_owned(), times, optional)));
    let flow = &book.get(book.action("order", "place").expect("declared")).calls;
    assert_eq!(flow.steps(), (0..4).map(FlowStep::Call).collect::<Vec<_>>());
    assert_eq!(flow.calls_before_own(), 4, "its own effect stands behind the last call");
}

#[test]
fn of_several_ways_each_call_is_optional_and_excludes_the_other_ways() {
    let book = read(
        "[mail.send, { one_of: [card.pay, [voucher.check, voucher.pay], none] }, own, mail.send]",
    );
    let flow = &book.get(book.action("order", "place").expect("declared")).calls;
    assert_eq!(
        flow.steps(),
        [
            FlowStep::Call(0),
            FlowStep::OneOf(vec![1..2, 2..4, 4..4]),
            FlowStep::Own,
            FlowStep::Call(4)
        ]
    );
    let optional: Vec<bool> = flow.iter().map(|c| c.optional).collect();
    assert_eq!(optional, [false, true, true, true, false]);
    assert_eq!(flow.excluded_by(1).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(flow.excluded_by(3).collect::<Vec<_>>(), [1]);
    assert_eq!(flow.excluded_by(0).count(), 0);
    assert_eq!(flow.calls_before_own(), 4);
}

#[test]
fn what_an_answer_means_is_said_call_by_call() {
    let book = read(
        "[{ parallel: [card.pay, \"voucher.pay?\"] }, { call: mail.send, tolerate: true }, { event: mail.send, within: 1h }, { event: card.pay }]",
    );
    let answers: Vec<_> = calls(&book).into_iter().map(|(.., coupling)| coupling).collect();
    let event = |within_ms| Coupling::Event { within_ms };
    assert_eq!(
        answers,
        [
            Coupling::Strict,
            Coupling::Strict,
            Coupling::Tolerated,
            event(Some(3_600_000)),
            event(None)
        ]
    );
}

#[test]
fn what_was_read_is_written_the_same() {
    for items in [
        vec!["card.pay", "voucher.pay?", "mail.send*", "mail.send+"],
        vec!["own", "card.pay"],
        vec!["{ one_of: [card.pay, [voucher.check, voucher.pay?], none] }"],
        vec!["{ one_of: [card.pay, none], tolerate: true }", "own"],
        vec!["{ parallel: [card.pay, voucher.pay?] }"],
        vec!["{ call: mail.send, tolerate: true }", "{ event: card.pay, within: 1h }"],
    ] {
        let quoted = |item: &&str| {
            if item.starts_with('{') { (*item).to_owned() } else { format!("\"{item}\"") }
        };
        let text: Vec<String> = items.iter().map(quoted).collect();
        let book = read(&format!("[{}]", text.join(", ")).replace("\"own\"", "own"));
        let flow = &book.get(book.action("order", "place").expect("declared")).calls;
        assert_eq!(flow.written(|id| book.get(id).name.to_string()), items);
    }
}

#[test]
fn what_cannot_mean_anything_is_refused_with_a_way_out() {
    for (item, why) in [
        ("{ call: card.pay, event: mail.send }", "says exactly one of"),
        ("{ tolerate: true }", "says exactly one of"),
        ("{ one_of: [card.pay] }", "of a single call says nothing"),
        ("{ parallel: [card.pay] }", "of a single call says nothing"),
        ("{ parallel: [card.pay, none] }", "`none` within `parallel`"),
        ("{ one_of: [card.pay, [voucher.pay, own]] }", "`own` within `one_of`"),
        (
            "{ one_of: [card.pay, { parallel: [voucher.pay, mail.send] }] }",
            "a mapping within `one_of`",
        ),
        ("{ one_of: [card.pay, [[voucher.pay]]] }", "a list within `one_of`"),
        ("{ event: mail.send, tolerate: true }", "`tolerate` beside `event`"),
        ("{ call: mail.send, within: 1h }", "`within` beside a call"),
        ("own, own", "stands twice"),
    ] {
        let found = Rulebook::from_yaml(&kiosk(&format!("[{item}]"))).expect_err(item);
        let [one] = found.as_slice() else { panic!("{item}: {found:#?}") };
        assert_eq!(one.code, "bad-call", "{item}");
        assert!(one.message.contains(why), "{item}: {}", one.message);
        assert!(one.help.is_some(), "{item}");
    }
}

#[test]
fn an_action_without_an_effect_has_no_place_for_it() {
    let text = kiosk("[card.pay]")
        .replace("check: { effect: none }", "check: { effect: none, calls: [own, mail.send] }");
    let found = Rulebook::from_yaml(&text).expect_err("refused");
    assert_eq!(found[0].message, "`own` in an action with `effect: none`");
}
