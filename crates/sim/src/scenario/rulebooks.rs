//! The rulebooks of a run: the food-order business or a made-up one, in versions that replace each other, and the world
//! as it is, of which a rulebook may tell only a part.

use super::charging::charging;
use super::item::Corpus;
use super::odd::{odd, orchestrated, renamed};
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
    /// Steps that are too old within the run.
    short: bool,
}

impl Style {
    fn draw(rng: &mut SeededRng, corpus: Corpus) -> Self {
        match corpus {
            Corpus::Honest => Self::default(),
            Corpus::Hostile => Self {
                modes: rng.chance(25),
                partial: rng.chance(5),
                limits: rng.chance(20),
                short: rng.chance(20),
            },
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
    /// The rule that answers whatever no other one answers, and what holds unless a service says otherwise.
    rest: String,
}

impl Parts {
    /// The whole text. The quiet time is a promise that nothing late comes after it; the services of a run keep it.
    fn text(&self) -> String {
        let Self { name, services, reports, rules, rest } = self;
        format!(
            "rulebook: {name}\nsettle: {{ quiet: 60s }}\nservices:\n{services}reports:\n{reports}rules:\n{rules}{rest}"
        )
    }
}

/// Draws the rulebooks of a run.
///
/// # Errors
/// What is wrong with a text that was made up; it means a fault in this file.
pub fn rulebooks(rng: &mut SeededRng, corpus: Corpus) -> Result<Books, String> {
    let hostile = corpus == Corpus::Hostile;
    let first =
        if rng.chance(40) { Business::food_order() } else { Business::made_up(rng, hostile) };
    let reads = if rng.chance(40) { Read::draw(rng, &first.services) } else { Vec::new() };
    let told: Vec<Read> = reads.iter().filter(|read| read.declared).cloned().collect();
    let mut versions: Vec<Arc<Rulebook>> = Vec::new();
    let mut world = None;
    for _ in 0..=usize::from(rng.chance(50)) {
        let mut parts = first.parts(rng, corpus);
        parts.services = with_reads(&first.services, &told);
        versions.push(parsed(&parts)?);
        parts.services = with_reads(&first.services, &reads);
        world.get_or_insert(parts);
    }
    let mut world = world.ok_or("no version was drawn")?;
    if hostile && rng.chance(20) {
        let second = Business::made_up(rng, hostile).renamed();
        for n in 0..=usize::from(rng.chance(30)) {
            let parts = second.parts(rng, corpus);
            versions.push(parsed(&parts)?);
            if n == 0 {
                world.services += &parts.services;
                world.reports += &parts.reports;
                world.rules += &parts.rules;
            }
        }
    }
    Ok(Books { world: parsed(&world)?, versions })
}

/// What there is to write a rulebook about.
struct Business {
    name: String,
    services: String,
    /// So many of the services begin sagas; none of the food-order business, which has rules of its own.
    entries: Option<usize>,
}

impl Business {
    fn food_order() -> Self {
        let services = section("services", "reports");
        Self { name: "food-order".to_owned(), services, entries: None }
    }

    fn made_up(rng: &mut SeededRng, hostile: bool) -> Self {
        let shape = Shape {
            services: 3 + rng.below(5),
            sagas: 1 + rng.below(2),
            depth: 2 + rng.below(3),
            optional_percent: 30,
            seed: rng.number(),
        };
        let head = business(&shape);
        let services = head.split_once("services:\n").map(|(_, s)| s).unwrap_or_default();
        let is_odd = hostile && rng.chance(50);
        let services = if is_odd { odd(services, shape.sagas, rng) } else { services.to_owned() };
        let services =
            if rng.chance(50) { charging(&services, shape.sagas, rng) } else { services };
        let services =
            if rng.chance(40) { orchestrated(&services, shape.sagas, rng) } else { services };
        Self { name: format!("business-{}", shape.services), services, entries: Some(shape.sagas) }
    }

    fn renamed(self) -> Self {
        Self { name: "second".to_owned(), services: renamed(&self.services), ..self }
    }

    /// A rulebook for it.
    fn parts(&self, rng: &mut SeededRng, corpus: Corpus) -> Parts {
        let style = Style::draw(rng, corpus);
        match self.entries {
            None => food_order_parts(self, rng, style),
            Some(entries) => made_up_parts(self, entries, rng, style),
        }
    }
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

fn food_order_parts(business: &Business, rng: &mut SeededRng, style: Style) -> Parts {
    let attempts = 2 + rng.below(9);
    let rules = section("rules", "end").replacen(
        "after: 10 attempts",
        &format!("after: {attempts} attempts"),
        1,
    );
    // What stands last answers whatever no other rule answers.
    let (rules, _) = rules.split_once("  - on: \"*/*\"\n").unwrap_or((&rules, ""));
    Parts {
        name: business.name.clone(),
        services: business.services.clone(),
        reports: section("reports", "rules"),
        rules: rules.to_owned(),
        rest: rest(rng, style),
    }
}

fn rest(rng: &mut SeededRng, style: Style) -> String {
    let general = general_rule(rng, style);
    let concurrency = concurrency(rng);
    general + &defaults(rng, style, concurrency)
}

fn concurrency(rng: &mut SeededRng) -> usize {
    if rng.chance(50) { 16 } else { 1 + rng.below(3) }
}

fn defaults(rng: &mut SeededRng, style: Style, concurrency: usize) -> String {
    let age = match style.short {
        true => format!("{}s", 5 + rng.below(120)),
        false => if rng.chance(30) { "24h" } else { "6h" }.to_owned(),
    };
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

fn made_up_parts(business: &Business, count: usize, rng: &mut SeededRng, style: Style) -> Parts {
    let names: Vec<&str> = business
        .services
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(": { url").map(|(name, _)| name))
        .collect();
    let entries = &names[..count.min(names.len())];
    let (mut reports, mut rules) = (String::new(), String::new());
    for entry in entries {
        let _ = writeln!(reports, "  {entry}/own-part: {{ in: run, keep: true }}");
        let tries = 2 + rng.below(8);
        let after = match style.short && rng.chance(50) {
            true => format!("{}s", 5 + rng.below(60)),
            false => format!("{tries} attempts"),
        };
        let _ = writeln!(
            rules,
            "  - {{ on: {entry}/own-part, retry: {entry}.run, give_up: {{ after: {after}, then: {{ compensate: recorded }} }} }}"
        );
        if rng.chance(40) {
            // The entry is undone after all that it called.
            let _ = writeln!(
                rules,
                "  - {{ on: {entry}/*, compensate: recorded, then: {{ compensate: [{entry}.run] }} }}"
            );
        }
    }
    Parts {
        name: business.name.clone(),
        services: business.services.clone(),
        reports,
        rules,
        rest: rest(rng, style),
    }
}
