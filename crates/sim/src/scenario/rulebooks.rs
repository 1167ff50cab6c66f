//! The rulebooks of a run: the food-order business or a made-up one, in versions that replace each other, and the world
//! as it is, of which a rulebook may tell only a part.

use super::item::Corpus;
use super::reads::{Read, with_reads};
use amends_rulebook::Rulebook;
use amends_simulate::SeededRng;
use amends_simulate::growth::{Shape, business};
use std::fmt::Write as _;
use std::sync::Arc;

const FOOD_ORDER: &str = include_str!("../../../../demo/rulebook/food-order.yaml");

/// The rulebooks of a run.
#[derive(Clone, Debug)]
pub struct Books {
    /// Everything that exists.
    pub world: Arc<Rulebook>,
    /// What the supervisor is told; the first of each name is active at the beginning.
    pub versions: Vec<Arc<Rulebook>>,
}

/// What the rules of a rulebook may use beyond the plain ones.
#[derive(Clone, Copy, Debug, Default)]
struct Style {
    /// Rules that wait for a person or only record.
    modes: bool,
    /// Reports that no rule answers.
    partial: bool,
    /// Few cases a minute.
    limits: bool,
}

impl Style {
    fn draw(rng: &mut SeededRng, corpus: Corpus) -> Self {
        match corpus {
            Corpus::Honest => Self::default(),
            Corpus::Hostile => {
                Self { modes: rng.chance(25), partial: rng.chance(5), limits: rng.chance(20) }
            }
        }
    }
}

/// The parts of a rulebook's text.
#[derive(Clone, Debug)]
struct Parts {
    name: String,
    services: String,
    reports: String,
    rules: String,
}

impl Parts {
    /// The whole text. The quiet time is a promise that nothing late comes after it; the services of a run keep it.
    fn text(&self) -> String {
        let Self { name, services, reports, rules } = self;
        format!(
            "rulebook: {name}\nsettle: {{ quiet: 60s }}\nservices:\n{services}reports:\n{reports}rules:\n{rules}"
        )
    }
}

/// Draws the rulebooks of a run.
///
/// # Errors
/// What is wrong with a text that was made up; it means a fault in this file.
pub fn rulebooks(rng: &mut SeededRng, corpus: Corpus) -> Result<Books, String> {
    let food_order = rng.chance(40);
    let shape = Shape {
        services: 3 + rng.below(5),
        sagas: 1 + rng.below(2),
        depth: 2 + rng.below(3),
        optional_percent: 30,
        seed: rng.number(),
    };
    let services = if food_order { section("services", "reports") } else { made_up(&shape) };
    let reads = if rng.chance(40) { Read::draw(rng, &services) } else { Vec::new() };
    let told: Vec<Read> = reads.iter().filter(|read| read.declared).cloned().collect();
    let count = 1 + usize::from(rng.chance(50));
    let mut versions: Vec<Arc<Rulebook>> = Vec::new();
    let mut world = None;
    for _ in 0..count {
        let style = Style::draw(rng, corpus);
        let mut parts = if food_order {
            food_order_parts(rng, style)
        } else {
            made_up_parts(&shape, rng, style)
        };
        let services = std::mem::take(&mut parts.services);
        parts.services = with_reads(&services, &told);
        versions.push(parsed(&parts)?);
        if world.is_none() {
            parts.services = with_reads(&services, &reads);
            world = Some(parsed(&parts)?);
        }
    }
    let world = world.ok_or("no version was drawn")?;
    Ok(Books { world, versions })
}

fn parsed(parts: &Parts) -> Result<Arc<Rulebook>, String> {
    let text = parts.text();
    Rulebook::from_yaml(&text).map_err(|found| format!("{found:#?}\n{text}"))
}

/// A part of the food-order rulebook, without its comments.
fn section(from: &str, to: &str) -> String {
    let text: String = FOOD_ORDER
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n");
    let (_, rest) = text.split_once(&format!("\n{from}:\n")).unwrap_or_default();
    let (part, _) = rest.split_once(&format!("\n{to}:\n")).unwrap_or((rest, ""));
    format!("{}\n", part.trim_end())
}

fn food_order_parts(rng: &mut SeededRng, style: Style) -> Parts {
    let attempts = 2 + rng.below(9);
    let rules = section("rules", "end").replacen(
        "after: 10 attempts",
        &format!("after: {attempts} attempts"),
        1,
    );
    // What stands last answers whatever no other rule answers.
    let (rules, _) = rules.split_once("  - on: \"*/*\"\n").unwrap_or((&rules, ""));
    let general = general_rule(rng, style);
    let concurrency = concurrency(rng);
    Parts {
        name: "food-order".to_owned(),
        services: section("services", "reports"),
        reports: section("reports", "rules"),
        rules: format!("{rules}{general}{}", defaults(rng, concurrency)),
    }
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

/// The services of a made-up business.
fn made_up(shape: &Shape) -> String {
    let head = business(shape);
    head.split_once("services:\n").map(|(_, services)| services.to_owned()).unwrap_or_default()
}

fn made_up_parts(shape: &Shape, rng: &mut SeededRng, style: Style) -> Parts {
    let services = made_up(shape);
    let concurrency = concurrency(rng);
    let defaults = defaults(rng, concurrency);
    let names: Vec<&str> = services
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(": { url").map(|(name, _)| name))
        .collect();
    let entries = &names[..shape.sagas.min(names.len())];
    let (mut reports, mut rules) = (String::new(), String::new());
    for entry in entries {
        let _ = writeln!(reports, "  {entry}/own-part: {{ in: run, keep: true }}");
        let after = 2 + rng.below(8);
        let _ = writeln!(
            rules,
            "  - {{ on: {entry}/own-part, retry: {entry}.run, give_up: {{ after: {after} attempts, then: {{ compensate: recorded }} }} }}"
        );
        if rng.chance(40) {
            // The entry is undone after all that it called.
            let _ = writeln!(
                rules,
                "  - {{ on: {entry}/*, compensate: recorded, then: {{ compensate: [{entry}.run] }} }}"
            );
        }
    }
    rules += &general_rule(rng, style);
    rules += &defaults;
    Parts { name: format!("business-{}", shape.services), services, reports, rules }
}
