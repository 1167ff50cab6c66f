//! The rulebooks of a run: the food-order business or a made-up one, in versions that replace each other.

use super::item::Corpus;
use amends_rulebook::Rulebook;
use amends_simulate::SeededRng;
use amends_simulate::growth::{Shape, business};
use std::fmt::Write as _;
use std::sync::Arc;

const FOOD_ORDER: &str = include_str!("../../../../demo/rulebook/food-order.yaml");

/// What the rules of a rulebook may use beyond the plain ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Rules that wait for a person or only record.
    pub modes: bool,
    /// Reports that no rule answers.
    pub partial: bool,
    /// Few cases a minute.
    pub limits: bool,
}

/// Versions of one rulebook: the first is active at the beginning.
///
/// # Errors
/// What is wrong with a text that was made up; it means a fault in this file.
pub fn rulebooks(rng: &mut SeededRng, corpus: Corpus) -> Result<Vec<Arc<Rulebook>>, String> {
    let food_order = rng.chance(40);
    let shape = Shape {
        services: 3 + rng.below(5),
        sagas: 1 + rng.below(2),
        depth: 2 + rng.below(3),
        optional_percent: 30,
        seed: rng.number(),
    };
    let head = business(&shape);
    let count = 1 + usize::from(rng.chance(50));
    (0..count)
        .map(|_| {
            let style = match corpus {
                Corpus::Honest => Style::default(),
                Corpus::Hostile => {
                    Style { modes: rng.chance(25), partial: rng.chance(5), limits: rng.chance(20) }
                }
            };
            let text = if food_order {
                food_order_text(rng, style)
            } else {
                made_up_text(&head, &shape, rng, style)
            };
            Rulebook::from_yaml(&text).map_err(|found| format!("{found:#?}\n{text}"))
        })
        .collect()
}

/// The quiet time is a promise that nothing late comes after it; the services of a run keep it.
fn with_quiet(text: &str) -> String {
    text.replacen("quiet: 2s", "quiet: 60s", 1)
}

fn food_order_text(rng: &mut SeededRng, style: Style) -> String {
    let mut text = with_quiet(FOOD_ORDER);
    let attempts = 2 + rng.below(9);
    text = text.replacen("after: 10 attempts", &format!("after: {attempts} attempts"), 1);
    let rule = "  - on: \"*/*\"\n    compensate: recorded\n";
    let (before, after) = text.split_once(rule).unwrap_or((&text, ""));
    let general = general_rule(rng, style);
    let concurrency = concurrency(rng);
    format!("{before}{general}{after}")
        .lines()
        .filter(|l| {
            !l.trim_start().starts_with("owner: operations")
                && !l.trim_start().starts_with("why: A compensation")
        })
        .fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        })
        + &defaults(rng, concurrency)
}

fn concurrency(rng: &mut SeededRng) -> usize {
    if rng.chance(50) { 16 } else { 1 + rng.below(3) }
}

fn defaults(rng: &mut SeededRng, concurrency: usize) -> String {
    let age = if rng.chance(30) { "24h" } else { "6h" };
    let accepted = 30 + rng.below(60);
    format!(
        "defaults: {{ concurrency: {concurrency}, retry_policy: {{ first: 200ms, cap: 30s, timeout: 5s, age: {age}, accepted: {accepted}s }} }}\n"
    )
}

/// The answer to whatever no other rule answers.
fn general_rule(rng: &mut SeededRng, style: Style) -> String {
    if style.partial {
        return String::new();
    }
    let limit = if style.limits {
        format!(", limit: {} per minute", 1 + rng.below(3))
    } else {
        String::new()
    };
    let mode = match rng.below(3) {
        0 if style.modes => ", mode: ask",
        1 if style.modes => ", mode: shadow",
        _ => "",
    };
    let demand = if rng.chance(15) { "all" } else { "recorded" };
    format!("  - {{ on: \"*/*\", compensate: {demand}{mode}{limit} }}\n")
}

fn made_up_text(head: &str, shape: &Shape, rng: &mut SeededRng, style: Style) -> String {
    let mut text = with_quiet(head);
    let concurrency = concurrency(rng);
    text += &defaults(rng, concurrency);
    let names: Vec<&str> = head
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(": { url").map(|(name, _)| name))
        .collect();
    let entries = &names[..shape.sagas.min(names.len())];
    text.push_str("reports:\n");
    for entry in entries {
        let _ = writeln!(text, "  {entry}/own-part: {{ in: run, keep: true }}");
    }
    text.push_str("rules:\n");
    for entry in entries {
        let after = 2 + rng.below(8);
        let _ = writeln!(
            text,
            "  - {{ on: {entry}/own-part, retry: {entry}.run, give_up: {{ after: {after} attempts, then: {{ compensate: recorded }} }} }}"
        );
        if rng.chance(40) {
            // The entry is undone after all that it called.
            let _ = writeln!(
                text,
                "  - {{ on: {entry}/*, compensate: recorded, then: {{ compensate: [{entry}.run] }} }}"
            );
        }
    }
    text + &general_rule(rng, style)
}
