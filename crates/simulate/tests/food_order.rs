//! The business of the source: its rulebook leaves nothing behind, and every step of it is needed.

use amends_rulebook::{Demand, Rule, Rulebook, StageDemand, Target};
use amends_simulate::{Counterexample, Finding, Options, Simulation, simulate};
use std::sync::Arc;

const FOOD_ORDER: &str = include_str!("../../../demo/rulebook/food-order.yaml");

fn stories(found: &Simulation) -> String {
    found.counterexamples.iter().map(ToString::to_string).collect()
}

#[test]
fn the_rulebook_of_the_source_leaves_nothing_behind() {
    let book = Rulebook::from_yaml(FOOD_ORDER).expect("valid");
    let result = simulate(&book, &Options::default());
    assert!(result.counterexamples.is_empty(), "{}", stories(&result));
    assert!(result.flows_complete);
    assert_eq!(result.rules_not_reached, Vec::<String>::new());
    for tier in &result.tiers {
        assert!(tier.all > 0 && tier.played == tier.all, "{:?}", result.tiers);
    }
}

/// One step of one rule: where it stands, and what it is.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    rule: usize,
    in_give_up: bool,
    verb: &'static str,
    target: usize,
}

fn lists(stage: &StageDemand) -> [(&'static str, &[Target]); 3] {
    [("compensate", &stage.compensate), ("retry", &stage.retry), ("notify", &stage.notify)]
}

fn places(book: &Rulebook) -> Vec<Place> {
    let mut all = Vec::new();
    for (rule, written) in book.rules().iter().enumerate().filter(|(_, r)| !r.implied) {
        let give_up = written.give_up.as_ref().map(|g| &g.then);
        let demands = [(false, Some(&written.demand)), (true, give_up)];
        for (in_give_up, demand) in demands.into_iter().filter_map(|(g, d)| Some((g, d?))) {
            assert_eq!(demand.stages.len(), 1, "the printer below knows no `then`");
            for (verb, targets) in lists(&demand.stages[0]) {
                all.extend((0..targets.len()).map(|target| Place {
                    rule,
                    in_give_up,
                    verb,
                    target,
                }));
            }
        }
    }
    all
}

fn show(book: &Rulebook, target: &Target) -> String {
    match target {
        Target::Recorded => "recorded".to_owned(),
        Target::Action(id) => book.get(*id).name.to_string(),
        other => panic!("not in this rulebook: {other:?}"),
    }
}

fn print_demand(
    book: &Rulebook,
    demand: &Demand,
    skip: impl Fn(&'static str, usize) -> bool,
) -> String {
    let mut parts = Vec::new();
    for (verb, targets) in lists(&demand.stages[0]) {
        let kept: Vec<String> = targets
            .iter()
            .enumerate()
            .filter(|(n, _)| !skip(verb, *n))
            .map(|(_, t)| show(book, t))
            .collect();
        if !kept.is_empty() {
            parts.push(format!("{verb}: [{}]", kept.join(", ")));
        }
    }
    parts.join(", ")
}

fn print_rule(book: &Rulebook, index: usize, rule: &Rule, without: &Place) -> Option<String> {
    let here = |in_give_up: bool| {
        move |verb: &'static str, target: usize| {
            *without == Place { rule: index, in_give_up, verb, target }
        }
    };
    let mut text = print_demand(book, &rule.demand, here(false));
    if text.is_empty() {
        return None;
    }
    if let Some(give_up) = &rule.give_up {
        let then = print_demand(book, &give_up.then, here(true));
        let attempts = give_up.attempts.expect("counted in attempts");
        if !then.is_empty() {
            text += &format!(", give_up: {{ after: {attempts} attempts, then: {{ {then} }} }}");
        }
    }
    Some(format!("  - {{ on: \"{}\", {text} }}\n", rule.on))
}

/// The rulebook without one step. A rule that asks for nothing any more goes, and the rescue with it.
fn without(book: &Rulebook, place: &Place) -> Arc<Rulebook> {
    let printed = |rescue: bool| -> (String, bool) {
        let mut whole = true;
        let mut text = String::new();
        for (n, rule) in book.rules().iter().enumerate().filter(|(_, r)| !r.implied) {
            match print_rule(book, n, rule, place) {
                Some(line) if rescue || rule.on != "*/*" => text += &line,
                Some(_) => {}
                None => whole = false,
            }
        }
        (text, whole)
    };
    let (mut rules, whole) = printed(true);
    if !whole {
        rules = printed(false).0;
    }
    let head = FOOD_ORDER.split("\nrules:").next().expect("a head");
    let text = format!("{head}\nrules:\n{rules}");
    Rulebook::from_yaml(&text).unwrap_or_else(|found| panic!("{text}\n{found:#?}"))
}

fn concerns(found: &Counterexample, rule: &Rule) -> bool {
    // Without the rule for everything some report is answered by none.
    let unanswered = rule.on == "*/*" && matches!(found.finding, Finding::Unmatched { .. });
    unanswered
        || found.rules.contains(&rule.index_label)
        || found.finding.to_string().contains(&rule.on)
}

#[test]
fn every_step_of_every_rule_is_needed() {
    let book = Rulebook::from_yaml(FOOD_ORDER).expect("valid");
    let options = |stop_after| Options { pairs: false, stop_after, ..Options::default() };
    let mut spare = Vec::new();
    let places = places(&book);
    assert_eq!(places.len(), 19);
    for place in places {
        let rule = &book.rules()[place.rule];
        let lesser = without(&book, &place);
        // The first counterexample is about the step nearly always; else there are others before it.
        let found = [1, 40].into_iter().any(|stop_after| {
            let result = simulate(&lesser, &options(stop_after));
            result.counterexamples.iter().any(|c| concerns(c, rule))
        });
        if !found {
            let after = if place.in_give_up { " when given up" } else { "" };
            spare.push(format!("{}: {}{after}", rule.on, place.verb));
        }
    }
    assert!(spare.is_empty(), "no counterexample shows that these are needed: {spare:#?}");
}
