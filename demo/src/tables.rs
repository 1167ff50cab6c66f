//! The three tables of a run, as text for people. It computes nothing.

use crate::summary::Summary;
use amends_protocol::Outcome;
use comfy_table::{Cell, CellAlignment, Table, presets};
use std::collections::BTreeMap;

/// Everything that a person should see of a run.
#[must_use]
pub fn render(summary: &Summary) -> String {
    format!(
        "Which report led to which steps\n{}\n\nWhich service has compensated how far\n{}\n\nDid the business hold?\n{}\n",
        reports(summary),
        services(summary),
        invariants(summary)
    )
}

fn reports(summary: &Summary) -> Table {
    let mut table = plain(&["report", "count", "steps"]);
    for (report, count) in &summary.reports {
        let steps: Vec<_> = count
            .steps
            .iter()
            .map(|(action, endings)| format!("{action}: {}", listed(endings)))
            .collect();
        let steps = if steps.is_empty() {
            "(follows from another report)".to_owned()
        } else {
            steps.join("\n")
        };
        table.add_row([Cell::new(report), number(count.count), Cell::new(steps)]);
    }
    table
}

fn services(summary: &Summary) -> Table {
    let seen: Vec<_> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.as_str())
        .filter(|word| summary.services.values().any(|count| count.outcomes.contains_key(*word)))
        .collect();
    let titles: Vec<String> = seen.iter().map(|word| word.replace('_', " ")).collect();
    let mut header = vec!["service", "planned", "asked", "done"];
    header.extend(titles.iter().map(String::as_str));
    let shadowed = summary.services.values().any(|count| count.shadow > 0);
    header.push("superseded");
    header.extend(shadowed.then_some("shadow"));
    header.extend(["waiting", "stuck"]);
    let mut table = plain(&header);
    for (service, count) in &summary.services {
        let mut row = vec![Cell::new(service)];
        row.extend([count.planned, count.asked, count.done].map(number));
        row.extend(seen.iter().map(|word| number(count.outcomes.get(*word).copied().unwrap_or(0))));
        row.push(number(count.superseded));
        row.extend(shadowed.then(|| number(count.shadow)));
        row.extend([count.waiting, count.stuck].map(number));
        table.add_row(row);
    }
    table
}

fn invariants(summary: &Summary) -> Table {
    let mut table = plain(&["invariant", "held", "evidence from the services' databases"]);
    for invariant in &summary.invariants {
        table.add_row([
            invariant.name.as_str(),
            if invariant.held { "yes" } else { "NO" },
            &invariant.evidence,
        ]);
    }
    table
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn number(count: u64) -> Cell {
    Cell::new(count).set_alignment(CellAlignment::Right)
}

fn listed(endings: &BTreeMap<String, u64>) -> String {
    endings
        .iter()
        .map(|(ending, count)| format!("{count} {}", ending.replace('_', " ")))
        .collect::<Vec<_>>()
        .join(", ")
}
