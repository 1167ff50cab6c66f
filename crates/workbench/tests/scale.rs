//! The checker on a large business: everything is looked at, in work that grows with its size. No clock: the limit of work
//! that `check` sets itself is the measure.

use amends_rulebook::Rulebook;
use amends_workbench::{CheckSettings, check, check_with, derive};
use std::fmt::Write as _;

/// A business of `services` services with five actions each, two levels of calls, and `per_service` special rules each.
fn business(services: usize, per_service: usize) -> String {
    let mut text = "rulebook: large\nservices:\n".to_owned();
    let mut write = |line: String| writeln!(text, "{line}").expect("writes to a text");
    for s in 0..services {
        write(format!("  s{s}:\n    url: 'http://s{s}'\n    actions:"));
        let next =
            (s % 10 != 9 && s + 1 < services).then(|| format!("s{}.a0, 's{}.a1?'", s + 1, s + 1));
        write(format!(
            "      a0: {{ compensation: undo, calls: [s{s}.a2, {}] }}",
            next.unwrap_or_default()
        ));
        for a in 1..5 {
            write(format!("      a{a}: {{ compensation: undo }}"));
        }
    }
    write("reports:".to_owned());
    for s in 0..services {
        for r in 0..per_service {
            write(format!("  s{s}/r{r}: {{ in: a{}, after: [] }}", r % 5));
        }
    }
    write("rules:\n  - { on: '*/*', compensate: recorded }".to_owned());
    for s in 0..services {
        for r in 0..per_service {
            write(format!("  - {{ on: s{s}/r{r}, compensate: recorded, mode: ask }}"));
        }
    }
    text
}

#[test]
fn a_thousand_services_with_a_hundred_thousand_rules_are_checked_in_full() {
    let book = Rulebook::from_yaml(&business(1_000, 100)).expect("without mistakes");
    assert_eq!(
        (book.services().len(), book.actions().len(), book.rules().len()),
        (1_000, 5_000, 100_001)
    );
    assert_eq!(check(&book), [], "and the limit of work is not reached");
}

/// Rules for one report that look at two fields each: 40 countries, and so many stretches of amounts in each.
fn divided(stretches: usize, but: Option<usize>) -> String {
    let mut text = "rulebook: divided\nservices: { pay: { url: 'http://pay', actions: { do: { compensation: undo } } } }\nrules:\n  - { on: '*/*', compensate: recorded }\n".to_owned();
    for n in (0..40 * stretches).filter(|n| Some(*n) != but) {
        let (country, at) = (n / stretches, n % stretches);
        let amount = match at {
            0 => "{ lt: 1 }".to_owned(),
            at if at + 1 == stretches => format!("{{ gte: {at} }}"),
            at => format!("{{ gte: {at}, lt: {} }}", at + 1),
        };
        writeln!(text, "  - {{ on: pay/no, when: {{ data.country: C{country}, data.amount: {amount} }}, compensate: all }}")
            .expect("writes to a text");
    }
    text
}

#[test]
fn one_hole_among_four_thousand_rules_is_found_and_shown() {
    let book = Rulebook::from_yaml(&divided(100, None)).expect("without mistakes");
    assert_eq!(check(&book), [], "and the bound is not reached");
    let book = Rulebook::from_yaml(&divided(100, Some(1_742))).expect("without mistakes");
    let found = check(&book);
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(only.code, "gap-in-conditions");
    assert!(only.label.contains(r#"{"data":{"amount":42,"country":"C17"}}"#), "{}", only.label);
}

#[test]
fn forty_thousand_values_of_one_field_are_looked_through_for_gaps() {
    let mut text = divided(0, None);
    for n in 0..40_000 {
        let value = if n % 2 == 0 { n.to_string() } else { format!("c{n}") };
        writeln!(text, "  - {{ on: pay/no, when: {{ data.k: {value} }}, compensate: all }}")
            .expect("writes to a text");
    }
    let book = Rulebook::from_yaml(&text).expect("without mistakes");
    let mut settings = CheckSettings::default();
    settings.set("mixed-types", None).expect("a code");
    assert_eq!(check_with(&book, &settings), [], "and the bound is not reached");
}

/// A tree of decisions, each branch by a field of its own, as one rule for each leaf.
fn tree(node: usize, path: &mut Vec<String>, rules: &mut Vec<String>) {
    if path.len() == 9 {
        rules.push(format!(
            "  - {{ on: pay/no, when: {{ {} }}, compensate: all }}\n",
            path.join(", ")
        ));
        return;
    }
    for (n, present) in [false, true].into_iter().enumerate() {
        path.push(format!("data.f{node}: {{ present: {present} }}"));
        tree(2 * node + 1 + n, path, rules);
        path.pop();
    }
}

#[test]
fn a_tree_of_five_hundred_decisions_is_followed() {
    let mut rules = Vec::new();
    tree(0, &mut Vec::new(), &mut rules);
    assert_eq!(rules.len(), 512);
    let found = |rules: &[String]| {
        let last = "  - { on: pay/no, compensate: recorded }\n";
        let text = divided(0, None) + &rules.concat() + last;
        let book = Rulebook::from_yaml(&text).expect("without mistakes");
        check(&book).iter().map(|d| d.code).collect::<Vec<_>>()
    };
    assert_eq!(found(&rules), ["shadowed-rule"], "nothing is left for the last one");
    rules.remove(234);
    assert_eq!(found(&rules), Vec::<&str>::new(), "one leaf is");
}

#[test]
fn conditions_that_are_too_entangled_for_an_answer_are_named() {
    let mut text = divided(0, None);
    for n in 0..3_000 {
        writeln!(text, "  - {{ on: pay/no, when: {{ data.k: {n}, data.z: {{ not: z{n} }} }}, compensate: all }}")
            .expect("writes to a text");
    }
    let book = Rulebook::from_yaml(&text).expect("without mistakes");
    let codes: Vec<_> = check(&book).iter().map(|d| d.code).collect();
    assert_eq!(codes, ["not-fully-checked"]);
}

#[test]
fn a_flaw_among_ten_thousand_rules_is_found() {
    let text = business(100, 100)
        .replace("on: s42/r7, compensate: recorded", "on: s42/r7, compensate: [s0.a3]");
    let book = Rulebook::from_yaml(&text).expect("without mistakes");
    let found = check(&book);
    assert!(found.iter().all(|d| d.message.contains("`s42/r7`")), "{found:#?}");
    assert!(found.iter().any(|d| d.code == "under-compensation"), "{found:#?}");
}

#[test]
fn a_rulebook_that_is_too_entangled_says_so() {
    // Every rule lists tags for a whole service, in a chain where everything lies below everything.
    let mut text =
        "rulebook: chain\nservices:\n  s:\n    url: 'http://s'\n    actions:\n".to_owned();
    for n in 0..3_000 {
        let calls = if n + 1 < 3_000 { format!(", calls: [s.a{}]", n + 1) } else { String::new() };
        writeln!(text, "      a{n}: {{ compensation: undo{calls} }}").expect("writes to a text");
    }
    text +=
        "rules:\n  - { on: s/*, compensate: [s.a0] }\n  - { on: '*/*', compensate: recorded }\n";
    let book = Rulebook::from_yaml(&text).expect("without mistakes");
    let codes: Vec<_> = check(&book).iter().map(|d| d.code).collect();
    assert!(codes.contains(&"not-fully-checked"), "{codes:?}");
    assert!(derive(&book).points.len() <= amends_workbench::POINTS_LIMIT);
}
