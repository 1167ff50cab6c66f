//! What holds for every rulebook: order means nothing, overlap is found exactly when it exists, no text makes it panic.

use amends_rulebook::{
    Diagnostic, Facts, Known, Loaded, Rulebook, Severity, SourceFile, load, render,
};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const FOOD_ORDER: &str = include_str!("../../../demo/rulebook/food-order.yaml");

fn load_text(text: &str) -> Loaded {
    load(SourceFile { path: "x.yaml".to_owned(), text: text.into() }, &mut |_| {
        Err("no such file".to_owned())
    })
}

// Order of the parts

const SERVICES: &[&str] = &[
    r#"  order: { url: "http://order", actions: { place: { compensation: cancel, tags: [money], calls: [payment.pay, "sms.send?"] } } }"#,
    r#"  payment: { url: "http://payment", actions: { pay: { compensation: refund, tags: [money] } } }"#,
    "  other: {}",
    r#"  sms: { url: "http://sms", actions: { send: { on_failure: retry, correction: unsend } } }"#,
];

const RULES: &[&str] = &[
    r#"  - { on: "*/*", compensate: recorded }"#,
    "  - { on: payment/*, compensate: all }",
    "  - { on: payment/a*, compensate: [tag:money], then: { notify: [sms.unsend] } }",
    "  - { on: payment/ab, compensate: downstream, notify: [sms.unsend] }",
    "  - { on: payment/ab, when: { data.n: { gt: 3 } }, compensate: [order.place] }",
    "  - { on: payment/ab, when: { data.n: { lte: 3 }, data.k: x }, retry: payment.pay }",
    "  - { on: order/ab, when: { action: place }, retry: order.place, give_up: { after: 3 attempts, then: { compensate: all } } }",
];

fn put_together(services: &[&str], rules: &[&str]) -> Arc<Rulebook> {
    let text =
        format!("rulebook: x\nrules:\n{}\nservices:\n{}\n", rules.join("\n"), services.join("\n"));
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The answer to a report and its plan, in names.
fn answer(
    book: &Rulebook,
    service: &str,
    code: &str,
    data: &Map<String, Value>,
    effects: &[&str],
) -> (String, BTreeSet<String>) {
    let facts = Facts {
        service,
        code,
        action: Some("place"),
        entry: None,
        caller: None,
        message: None,
        data,
    };
    let rule = book.rule(book.matching(&facts).expect("there is a default"));
    let id = |name: &str| name.split_once('.').and_then(|(s, a)| book.action(s, a)).expect(name);
    let effects = effects.iter().map(|e| id(e)).collect();
    let steps =
        book.resolve(&rule.demand, &Known { reporter: Some(id("payment.pay")), effects: &effects });
    let steps = steps
        .iter()
        .map(|s| format!("{} {} {}", s.stage.0, s.verb, book.get(s.action).name))
        .collect();
    (rule.index_label.clone(), steps)
}

fn all_effects() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(vec!["order.place", "payment.pay", "sms.send", "sms.unsend"], 0..=4)
}

proptest! {
    #[test]
    fn the_order_of_services_and_rules_changes_nothing(
        services in Just(SERVICES.to_vec()).prop_shuffle(),
        rules in Just(RULES.to_vec()).prop_shuffle(),
        effects in all_effects(),
        n in select(vec![json!(2), json!(3), json!(4), json!("4"), Value::Null]),
        k in select(vec![json!("x"), json!("y")]),
    ) {
        let (plain, shuffled) = (put_together(SERVICES, RULES), put_together(&services, &rules));
        let data = Map::from_iter([("n".to_owned(), n), ("k".to_owned(), k)]);
        for service in ["order", "payment", "sms", "other"] {
            for code in ["a", "ab", "abc", "b", ""] {
                let ours = answer(&plain, service, code, &data, &effects);
                prop_assert_eq!(ours, answer(&shuffled, service, code, &data, &effects));
            }
        }
    }

    #[test]
    fn more_evidence_never_removes_a_step(less in all_effects(), more in all_effects(), rule in select(RULES.to_vec())) {
        let book = put_together(SERVICES, RULES);
        let (service, code) = if rule.contains("order/") { ("order", "ab") } else { ("payment", "ab") };
        let data = Map::from_iter([("n".to_owned(), json!(3))]);
        for code in [code, "a", "b"] {
            let few = answer(&book, service, code, &data, &less).1;
            let both: Vec<_> = less.iter().chain(&more).copied().collect();
            prop_assert!(few.is_subset(&answer(&book, service, code, &data, &both).1));
        }
    }
}

// Overlap

/// A test of one field, as it is written.
fn matcher() -> impl Strategy<Value = String> {
    let scalar = || select(vec!["a", "ab", "b", "1", "2", "true", "false"]);
    let number = || select(vec!["1", "2", "3"]);
    prop_oneof![
        scalar().prop_map(str::to_owned),
        scalar().prop_map(|s| format!("{{ not: {s} }}")),
        (scalar(), scalar()).prop_map(|(a, b)| format!("{{ one_of: [{a}, {b}] }}")),
        select(vec!["a", "ab", "b", "\"\""]).prop_map(|p| format!("{{ prefix: {p} }}")),
        (select(vec!["a", "ab"]), scalar())
            .prop_map(|(p, n)| format!("{{ prefix: {p}, not: {n} }}")),
        (select(vec!["gt", "gte"]), number()).prop_map(|(m, n)| format!("{{ {m}: {n} }}")),
        (select(vec!["lt", "lte"]), number()).prop_map(|(m, n)| format!("{{ {m}: {n} }}")),
        (number(), number(), number())
            .prop_map(|(a, b, c)| format!("{{ gte: {a}, lte: {b}, not: {c} }}")),
        any::<bool>().prop_map(|p| format!("{{ present: {p} }}")),
    ]
}

/// Conditions on some of three fields, at least one; the third lies inside the second.
fn conditions() -> impl Strategy<Value = String> {
    let test = || proptest::option::of(matcher());
    [test(), test(), test()].prop_filter_map("at least one", |tests| {
        let names = ["data.x", "data.y", "data.y.z"];
        let all: Vec<_> =
            names.iter().zip(tests).filter_map(|(n, t)| Some(format!("{n}: {}", t?))).collect();
        (!all.is_empty()).then(|| all.join(", "))
    })
}

/// Something of every kind that the tests above can tell apart.
fn values() -> Vec<Value> {
    let mut all: Vec<Value> =
        ["", "a", "ab", "abc", "ax", "b", "bc", "c"].iter().map(|t| json!(t)).collect();
    all.extend([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0].map(|n| json!(n)));
    all.extend([json!(true), json!(false), Value::Null, json!([1])]);
    all
}

fn worlds() -> Vec<Map<String, Value>> {
    let mut ys = values();
    ys.extend(values().into_iter().map(|z| json!({ "z": z })));
    let pairs = values()
        .into_iter()
        .flat_map(|x| ys.iter().map(move |y| (x.clone(), y.clone())).collect::<Vec<_>>());
    pairs.map(|(x, y)| Map::from_iter([("x".to_owned(), x), ("y".to_owned(), y)])).collect()
}

fn two_rules(a: &str, b: &str) -> Loaded {
    load_text(&format!(
        "rulebook: x\nservices: {{ s: {{ url: 'http://s', actions: {{ do: {{ compensation: undo }} }} }} }}\nrules:\n  \
         - {{ on: '*/*', compensate: all }}\n  - {{ on: s/c, when: {{ {a} }}, compensate: all }}\n  - {{ on: s/c, when: {{ {b} }}, compensate: all }}\n"
    ))
}

fn has(found: &[Diagnostic], code: &str) -> bool {
    found.iter().any(|d| d.code == code)
}

/// Which worlds meet the conditions; none if they contradict themselves.
fn met(conditions: &str, worlds: &[Map<String, Value>]) -> Option<Vec<bool>> {
    let loaded = two_rules(&format!("{conditions}, message: m"), "message: n");
    let Some(book) = loaded.rulebook else {
        assert!(
            has(&loaded.diagnostics, "contradictory-conditions"),
            "{conditions}: {:?}",
            loaded.diagnostics
        );
        return None;
    };
    let answer = |data| {
        book.matching(&Facts {
            service: "s",
            code: "c",
            action: None,
            entry: None,
            caller: None,
            message: Some("m"),
            data,
        })
    };
    Some(worlds.iter().map(|w| answer(w).is_some_and(|id| id.0 == 1)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn overlap_is_reported_exactly_when_a_report_meets_both(a in conditions(), b in conditions()) {
        let worlds = worlds();
        let (Some(in_a), Some(in_b)) = (met(&a, &worlds), met(&b, &worlds)) else {
            return Ok(());
        };
        prop_assert!(in_a.contains(&true) && in_b.contains(&true), "no contradiction, so some report: {} / {}", a, b);
        let witness = in_a.iter().zip(&in_b).position(|(x, y)| *x && *y).map(|n| &worlds[n]);
        let found = two_rules(&a, &b).diagnostics;
        prop_assert_eq!(has(&found, "overlapping-rules"), witness.is_some(), "{} / {}: {:?}", a, b, witness);
    }
}

// Any text

#[derive(Clone, Debug)]
enum Mutation {
    Byte(Index, u8),
    DropLine(Index),
    RepeatLine(Index, Index),
    SwapLines(Index, Index),
    Indent(Index, usize),
    Token(Index, &'static str),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let tokens = select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        "- ",
        "\"",
        "'",
        "&a ",
        "*a",
        "!!t ",
        "? ",
        "|",
        ">",
        "#",
        "\t",
        "\n",
        "---\n",
        "null",
        "~",
        "9e999",
        "payment.pay",
        "recorded",
        "tag:x",
        "then",
        "rules:",
        "on: \"*/*\"",
        "\u{feff}",
        "é",
        "%",
        "<<: ",
        "{data.",
        "all, all",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(i, b)| Mutation::Byte(i, b)),
        any::<Index>().prop_map(Mutation::DropLine),
        (any::<Index>(), any::<Index>()).prop_map(|(i, j)| Mutation::RepeatLine(i, j)),
        (any::<Index>(), any::<Index>()).prop_map(|(i, j)| Mutation::SwapLines(i, j)),
        (any::<Index>(), 0..9usize).prop_map(|(i, n)| Mutation::Indent(i, n)),
        (any::<Index>(), tokens).prop_map(|(i, t)| Mutation::Token(i, t)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

fn apply(text: String, mutation: &Mutation) -> String {
    if text.is_empty() {
        return text;
    }
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut bytes = text.clone().into_bytes();
    match mutation {
        Mutation::Byte(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Mutation::Token(at, token) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, token.bytes());
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Mutation::Cut(at) => {
            bytes.truncate(at.index(bytes.len()));
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Mutation::DropLine(at) => {
            lines.remove(at.index(lines.len()));
        }
        Mutation::RepeatLine(from, to) => {
            let line = lines[from.index(lines.len())];
            lines.insert(to.index(lines.len()), line);
        }
        Mutation::SwapLines(a, b) => {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
        }
        Mutation::Indent(at, n) => {
            let at = at.index(lines.len());
            let line = format!("{}{}", " ".repeat(*n), lines[at].trim_start_matches(' '));
            lines[at] = &line;
            return lines.concat();
        }
    }
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_text_makes_it_panic_and_errors_withhold_the_rulebook(mutations in proptest::collection::vec(mutation(), 1..6)) {
        let text = mutations.iter().fold(FOOD_ORDER.to_owned(), apply);
        let loaded = load_text(&text);
        let failed = loaded.diagnostics.iter().any(|d| d.severity == Severity::Error);
        prop_assert_eq!(failed, loaded.rulebook.is_none());
        let shown = render(&loaded.diagnostics, &loaded.sources, true);
        prop_assert_eq!(shown.is_empty(), loaded.diagnostics.is_empty());
        for diagnostic in &loaded.diagnostics {
            let place = diagnostic.to_json(&loaded.sources);
            prop_assert!(place["line"].as_u64() <= place["endLine"].as_u64());
            prop_assert!(diagnostic.at.end <= text.len() && diagnostic.at.start <= diagnostic.at.end);
        }
        if let Some(book) = &loaded.rulebook {
            let again = amends_rulebook::load_sources(loaded.sources.clone());
            prop_assert_eq!(again.rulebook.map(|b| b.hash().to_owned()), Some(book.hash().to_owned()));
        }
    }
}
