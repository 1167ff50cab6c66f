//! `amends rules hits`: which rules have answered reports of a running supervisor, when last, and which never did.

use super::active::active;
use super::stored::{self, Which};
use crate::commands::Connection;
use crate::failure::Outcome;
use crate::moment::{now, relative};
use crate::output::{self, Grid};
use amends_api::CaseDetail;
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::Rulebook;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of `rules hits`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules hits\n  amends rules hits --rulebook food-order --since 2026-01-01T00:00:00Z\n  \
amends rules hits next.yaml --json"
)]
pub struct HitsOptions {
    /// A file with the rulebook whose rules are counted [default: the one that the supervisor plans with]
    #[arg(value_name = "PATH")]
    rules: Option<PathBuf>,
    /// Which rulebook of the supervisor, if it has several
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    rulebook: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What is known of one rule.
#[derive(Clone, Debug, Default)]
struct Hits {
    reports: u64,
    cases: u64,
    last: Option<(Timestamp, CaseId)>,
}

#[derive(Default)]
struct Tally {
    rules: BTreeMap<String, Hits>,
    unmatched: u64,
    derived: u64,
}

impl Tally {
    fn add(&mut self, case: &CaseDetail) {
        let mut here: Vec<&str> = Vec::new();
        for report in &case.reports {
            match (report.role.as_str(), &report.rule) {
                ("derived", _) => self.derived += 1,
                ("unmatched", _) => self.unmatched += 1,
                (_, None) => {}
                (_, Some(rule)) => {
                    let hits = self.rules.entry(rule.clone()).or_default();
                    hits.reports += 1;
                    hits.last = hits.last.max(Some((report.received_at, case.summary.id)));
                    if !here.contains(&rule.as_str()) {
                        hits.cases += 1;
                        here.push(rule);
                    }
                }
            }
        }
    }
}

pub(super) fn run(options: &HitsOptions) -> Outcome {
    let file = options.rules.as_deref().map(super::read_one).transpose()?;
    let client = options.connection.client()?;
    let mut tally = Tally::default();
    let (book, seen) = crate::commands::block_on(async {
        let book = match file {
            Some(book) => book,
            None => active(&client, options.rulebook.as_deref()).await?,
        };
        let mut count = |case: CaseDetail| {
            tally.add(&case);
            Ok(())
        };
        let seen = stored::each(&client, &options.which, Some(book.name()), &mut count).await?;
        Ok((book, seen))
    })?;
    if options.json { print_json(&book, &tally, seen) } else { print(&book, &tally, seen) }
}

/// Every rule of the rulebook, then those that only older versions have; the busiest first.
fn rows<'t>(book: &Rulebook, tally: &'t Tally) -> Vec<(String, Hits, &'static str)> {
    let mut rows: Vec<(String, Hits, &'static str)> = Vec::new();
    let mut rest: BTreeMap<&'t str, &'t Hits> =
        tally.rules.iter().map(|(label, hits)| (label.as_str(), hits)).collect();
    for rule in book.rules() {
        let hits = rest.remove(rule.index_label.as_str()).cloned().unwrap_or_default();
        let what = if rule.implied { "implied" } else { "written" };
        rows.push((rule.index_label.clone(), hits, what));
    }
    rows.extend(rest.into_iter().map(|(l, h)| (l.to_owned(), h.clone(), "of another version")));
    rows.sort_by(|a, b| (b.1.reports, &a.0).cmp(&(a.1.reports, &b.0)));
    rows
}

fn print(book: &Rulebook, tally: &Tally, seen: usize) -> Outcome {
    let mut grid = Grid::new(&["rule", "reports", "cases", "last", "case", "rule is"]);
    for (label, hits, what) in rows(book, tally) {
        let (last, case) = match hits.last {
            Some((at, case)) => (relative(at, now()), case.to_string()),
            None => ("never".to_owned(), String::new()),
        };
        grid.row(vec![
            label,
            hits.reports.to_string(),
            hits.cases.to_string(),
            last,
            case,
            what.to_owned(),
        ]);
    }
    grid.print()?;
    output::line(&format!(
        "\n{seen} cases; {} derived reports needed no rule, {} found none",
        tally.derived, tally.unmatched
    ))
}

fn print_json(book: &Rulebook, tally: &Tally, seen: usize) -> Outcome {
    let rules: Vec<_> = rows(book, tally)
        .into_iter()
        .map(|(label, hits, what)| {
            json!({
                "rule": label,
                "kind": what,
                "reports": hits.reports,
                "cases": hits.cases,
                "lastAt": hits.last.map(|(at, _)| at),
                "lastCase": hits.last.map(|(_, case)| case),
            })
        })
        .collect();
    output::json(&json!({
        "cases": seen,
        "derived": tally.derived,
        "unmatched": tally.unmatched,
        "rules": rules,
    }))
}
