//! Draws rules: for most declared reports one, with conditions now and then, and a rule for all the rest.

use super::business::{Class, Declared, Made};
use super::write::name;
use crate::seeded_rng::SeededRng;
use std::fmt::Write as _;

/// A code that no report declares.
pub(crate) const UNDECLARED: &str = "odd";

pub(super) fn rules(actions: &[Made], reports: &[Declared], rng: &mut SeededRng) -> String {
    let mut text = String::from("rules:\n");
    let order = |rng: &mut SeededRng| match rng.below(8) {
        0 => ", undo_order: reverse_calls",
        _ => "",
    };
    for Declared { action, code, .. } in reports {
        if !rng.chance(75) {
            continue;
        }
        let service = actions[*action].service;
        if let Some(when) = condition(actions, *action, rng) {
            let demand = demand(actions, *action, rng) + past(actions, rng);
            let _ = writeln!(text, "  - {{ on: s{service}/{code}, {when}, {demand} }}");
            if rng.chance(50) {
                continue;
            }
        }
        let demand = demand(actions, *action, rng) + order(rng) + past(actions, rng);
        let _ = writeln!(text, "  - {{ on: s{service}/{code}, {demand} }}");
    }
    if rng.chance(20) {
        let at = rng.below(actions.len());
        let demand = demand(actions, at, rng);
        let on = if rng.chance(50) { "*" } else { UNDECLARED };
        let _ = writeln!(text, "  - {{ on: \"s{}/{on}\", {demand} }}", actions[at].service);
    }
    let everything = match rng.below(10) {
        0 => "all".to_owned(),
        1 => listed(actions, 60, rng).unwrap_or_else(|| "recorded".to_owned()),
        _ => "recorded".to_owned(),
    };
    let (order, past) = (order(rng), past(actions, rng));
    let _ = writeln!(text, "  - {{ on: \"*/*\", compensate: {everything}{order}{past} }}");
    text
}

/// What becomes of what came before a pivot; where there is none, nobody says it.
fn past(actions: &[Made], rng: &mut SeededRng) -> &'static str {
    let has_pivot = actions.iter().any(|made| made.class == Class::Pivot);
    match rng.below(6) {
        0 if has_pivot => ", past: undo",
        1 if has_pivot => ", past: keep",
        2 if has_pivot => ", past: ask",
        _ => "",
    }
}

/// Now and then a rule asks where the saga began, or who called.
fn condition(actions: &[Made], at: usize, rng: &mut SeededRng) -> Option<String> {
    if !rng.chance(20) {
        return None;
    }
    let calls_it = |n: &usize| actions[*n].callees().contains(&at);
    let callers: Vec<usize> = (0..actions.len()).filter(calls_it).collect();
    let caller = rng.pick(&callers).copied()?;
    Some(match rng.chance(50) {
        true => format!("when: {{ caller: {} }}", name(actions, caller)),
        false => format!("when: {{ entry: {} }}", name(actions, 0)),
    })
}

fn demand(actions: &[Made], at: usize, rng: &mut SeededRng) -> String {
    let again = |then: &str| {
        let name = name(actions, at);
        format!("retry: {name}, give_up: {{ after: 3 attempts, then: {{ compensate: {then} }} }}")
    };
    match rng.below(10) {
        0 => "compensate: all".to_owned(),
        1 => "compensate: downstream".to_owned(),
        2 | 3 => "compensate: recorded".to_owned(),
        4 => again("recorded"),
        5 => again(&listed(actions, 70, rng).unwrap_or_else(|| "recorded".to_owned())),
        _ => {
            let list = listed(actions, 75, rng);
            let mut text = list.map_or_else(
                || "compensate: recorded".to_owned(),
                |list| format!("compensate: {list}"),
            );
            let notices: Vec<String> = (0..actions.len())
                .filter(|n| actions[*n].class == Class::Notice && rng.chance(75))
                .map(|n| format!("s{}.correct-{n}", actions[n].service))
                .collect();
            if !notices.is_empty() {
                let _ = write!(text, ", notify: [{}]", notices.join(", "));
            }
            text
        }
    }
}

/// A list of compensable actions, each there with some chance.
fn listed(actions: &[Made], percent: usize, rng: &mut SeededRng) -> Option<String> {
    let names: Vec<String> = (0..actions.len())
        .filter(|n| actions[*n].is_undoable() && rng.chance(percent))
        .map(|n| name(actions, n))
        .collect();
    (!names.is_empty()).then(|| format!("[{}]", names.join(", ")))
}
