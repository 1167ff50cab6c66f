//! A very large rulebook: how long it takes to load and to check, whether that grows linearly, and how long it takes to
//! find the rule for a report. No supervisor, no network.

use amends_rulebook::{Facts, Rulebook, Severity};
use amends_workbench::check;
use anyhow::{anyhow, ensure};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const SERVICES: usize = 1_000;
const ACTIONS_PER_SERVICE: usize = 5;

/// Rules per measurement; ten times as many should take about ten times as long.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// Reports that are matched per measurement.
const MATCHES: usize = 1_000_000;

pub fn run() -> anyhow::Result<Value> {
    let mut sizes = Vec::new();
    for rules in SIZES {
        sizes.push(measure(rules)?);
    }
    Ok(json!({ "services": SERVICES, "actions": SERVICES * ACTIONS_PER_SERVICE, "sizes": sizes }))
}

fn measure(rules: usize) -> anyhow::Result<Value> {
    let text = rulebook(rules);
    let start = Instant::now();
    let book = Rulebook::from_yaml(&text).map_err(|found| anyhow!("{:?}", found.first()))?;
    let load_ms = start.elapsed().as_millis();
    let start = Instant::now();
    let found = check(&book);
    let check_ms = start.elapsed().as_millis();
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    ensure!(errors == 0, "the rulebook was made without mistakes: {:?}", found.first());
    let [exact, conditional, default] = ["exact", "conditional", "default"].map(|kind| {
        let ns = match_ns(&book, rules, kind);
        (kind, ns)
    });
    Ok(json!({
        "rules": book.rules().len(),
        "bytes": text.len(),
        "loadMs": load_ms,
        "checkMs": check_ms,
        "matchNs": { exact.0: exact.1, conditional.0: conditional.1, default.0: default.1 },
    }))
}

/// Half of the rules answer one code each, half one code with a condition on a field. Every code is declared.
fn rulebook(rules: usize) -> String {
    let mut text = String::from("rulebook: large\nservices:\n");
    for service in 0..SERVICES {
        let _ = write!(text, "  s{service}: {{ url: \"http://s{service}\", actions: {{ ");
        for action in 0..ACTIONS_PER_SERVICE {
            // Each first action calls the others of its service, and the next service of its group of ten.
            let mut calls: Vec<String> = match action {
                0 => (1..ACTIONS_PER_SERVICE).map(|a| format!("s{service}.a{a}")).collect(),
                _ => Vec::new(),
            };
            if action == 0 && service % 10 < 9 {
                calls.push(format!("s{}.a0", service + 1));
            }
            let calls = calls.join(", ");
            let _ = write!(text, "a{action}: {{ compensation: undo, calls: [{calls}] }}, ");
        }
        text.push_str("} }\n");
    }
    text.push_str("reports:\n");
    for service in 0..SERVICES {
        for code in 0..rules.div_ceil(SERVICES) {
            let _ = writeln!(text, "  s{service}/c{code}: {{ in: a0, after: [s{service}.a1] }}");
        }
        let _ = writeln!(text, "  s{service}/c: {{ in: a0, data: [kind] }}");
    }
    text.push_str("rules:\n");
    for rule in 0..rules {
        let (service, code) = (rule % SERVICES, rule / SERVICES);
        let when = match rule % 2 {
            0 => String::new(),
            _ => format!(", when: {{ data.kind: k{code} }}"),
        };
        let code = if rule % 2 == 0 { format!("c{code}") } else { "c".to_owned() };
        let _ = writeln!(text, "  - {{ on: s{service}/{code}, compensate: recorded{when} }}");
    }
    text.push_str("  - { on: \"*/*\", compensate: recorded }\n");
    text
}

fn match_ns(book: &Arc<Rulebook>, rules: usize, kind: &str) -> u128 {
    // A thousand different reports, so that not one cache line answers them all.
    let per_service = (rules / SERVICES).max(1);
    let reports: Vec<(String, String, Map<String, Value>)> = (0..1_000)
        .map(|n| {
            let code = (n * 7) % per_service;
            let mut data = Map::new();
            data.insert("kind".to_owned(), json!(format!("k{code}")));
            let (service, code) = match kind {
                "exact" => ((n * 2) % SERVICES, format!("c{code}")),
                "conditional" => ((n * 2 + 1) % SERVICES, "c".to_owned()),
                _ => (n % SERVICES, "nothing-of-the-kind".to_owned()),
            };
            (format!("s{service}"), code, data)
        })
        .collect();
    let start = Instant::now();
    for n in 0..MATCHES {
        let (service, code, data) = &reports[n % reports.len()];
        let facts = Facts {
            service,
            code,
            action: Some("a0"),
            entry: None,
            caller: None,
            message: None,
            data,
        };
        black_box(book.matching(black_box(&facts)));
    }
    start.elapsed().as_nanos() / MATCHES as u128
}
