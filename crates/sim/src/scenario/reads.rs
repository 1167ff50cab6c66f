//! Calls that change nothing, of which a rulebook may know or not: nobody has to declare them, since they leave nothing
//! behind.

use amends_simulate::SeededRng;
use std::collections::BTreeSet;

/// A service that only answers questions.
const CATALOG: &str =
    "  catalog: { url: \"http://catalog\", actions: { look: { effect: none } } }\n";

/// An action asks another service, before all its other calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// The asking action, counted among those that change something.
    caller: usize,
    /// The service that is asked, counted likewise by its action; none for one that does nothing else.
    asked: Option<usize>,
    optional: bool,
    /// Rulebooks know of it.
    pub(super) declared: bool,
}

impl Read {
    /// Some for these services.
    pub(super) fn draw(rng: &mut SeededRng, services: &str) -> Vec<Self> {
        let count = services.lines().filter(|line| is_action(line)).count();
        let mut all: Vec<Self> = Vec::new();
        for caller in 0..count {
            if !rng.chance(30) {
                continue;
            }
            let asked = if rng.chance(50) { None } else { Some(rng.below(count)) };
            let declared = rng.chance(30);
            all.push(Self {
                caller,
                asked: asked.filter(|asked| *asked != caller),
                optional: rng.chance(50),
                declared,
            });
        }
        all
    }
}

fn is_action(line: &str) -> bool {
    line.contains("{ compensation:") || line.contains("{ on_failure:")
}

/// These services with these calls.
pub(super) fn with_reads(services: &str, reads: &[Read]) -> String {
    let names: Vec<String> = service_of_each(services);
    let asked: BTreeSet<usize> = reads.iter().filter_map(|read| read.asked).collect();
    let mut text = String::new();
    let mut action = 0;
    for line in services.lines() {
        if !is_action(line) {
            text = text + line + "\n";
            continue;
        }
        let mut line = line.to_owned();
        for read in reads.iter().filter(|read| read.caller == action) {
            let name = read.asked.map_or("catalog", |n| names[n].as_str());
            line = with_call(&line, &format!("\"{name}.look{}\"", mark(read)));
        }
        if asked.contains(&action) {
            line = match line.split_once("actions: { ") {
                Some((before, after)) => {
                    format!("{before}actions: {{ look: {{ effect: none }}, {after}")
                }
                None => format!("      look: {{ effect: none }}\n{line}"),
            };
        }
        text = text + &line + "\n";
        action += 1;
    }
    let catalog = reads.iter().any(|read| read.asked.is_none());
    text + if catalog { CATALOG } else { "" }
}

const fn mark(read: &Read) -> &'static str {
    if read.optional { "?" } else { "" }
}

fn with_call(line: &str, call: &str) -> String {
    match line.split_once("calls: [") {
        Some((before, after)) => format!("{before}calls: [{call}, {after}"),
        None => ["{ compensation:", "{ on_failure:"].iter().fold(line.to_owned(), |line, class| {
            line.replacen(class, &format!("{{ calls: [{call}], {}", &class[2..]), 1)
        }),
    }
}

/// The service of each action that changes something.
fn service_of_each(services: &str) -> Vec<String> {
    let mut service = String::new();
    let mut all = Vec::new();
    for line in services.lines() {
        let name = line.strip_prefix("  ").and_then(|rest| rest.split(':').next());
        if let Some(name) = name.filter(|name| !name.starts_with(' ')) {
            name.clone_into(&mut service);
        }
        if is_action(line) {
            all.push(service.clone());
        }
    }
    all
}
