//! `amends rules hits`: which rules have answered reports of a running supervisor, when last, and which never did.

use super::active::active;
use super::stored::{self, Which};
use crate::commands::Connection;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::CaseDetail;
use amends_protocol::{CaseId, Timestamp};
use amends_rulebook::Rulebook;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Options of `rules hits`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends rules hits\n  amends rules hits --rulebook food-order --since 2026-01-01T00:00:00Z\n  \
amends rules hits next.yaml -o csv"
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
    #[command(flatten)]
    printing: Printing,
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

/// How often the rules were used, as it is printed.
#[derive(Clone, Debug, Serialize)]
struct Counted {
    cases: usize,
    /// Reports that needed no rule.
    derived: u64,
    /// Reports that found none.
    unmatched: u64,
    /// Every rule of the rulebook, then those that only other versions have; the busiest first.
    rules: Vec<RuleHits>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleHits {
    rule: String,
    kind: &'static str,
    reports: u64,
    cases: u64,
    last_at: Option<Timestamp>,
    last_case: Option<CaseId>,
}

impl RuleHits {
    fn new(rule: String, kind: &'static str, hits: &Hits) -> Self {
        let (last_at, last_case) = (hits.last.map(|(at, _)| at), hits.last.map(|(_, case)| case));
        Self { rule, kind, reports: hits.reports, cases: hits.cases, last_at, last_case }
    }
}

pub(super) fn run(options: &HitsOptions) -> Outcome {
    let file = options.rules.as_deref().map(super::read_one).transpose()?;
    let client = options.connection.client()?;
    let read = async || {
        let book = match &file {
            Some(book) => Arc::clone(book),
            None => active(&client, options.rulebook.as_deref()).await?,
        };
        let mut tally = Tally::default();
        let mut count = |case: CaseDetail| {
            tally.add(&case);
            Ok(())
        };
        let cases = stored::each(&client, &options.which, Some(book.name()), &mut count).await?;
        Ok(tally.counted(&book, cases))
    };
    crate::commands::block_on(options.printing.list(read, show))
}

impl Tally {
    fn counted(&self, book: &Rulebook, cases: usize) -> Counted {
        let mut rest: BTreeMap<&str, &Hits> =
            self.rules.iter().map(|(label, hits)| (label.as_str(), hits)).collect();
        let mut rules: Vec<RuleHits> = Vec::new();
        for rule in book.rules() {
            let hits = rest.remove(rule.index_label.as_str()).cloned().unwrap_or_default();
            let kind = if rule.implied { "implied" } else { "written" };
            rules.push(RuleHits::new(rule.index_label.clone(), kind, &hits));
        }
        let others = rest.into_iter();
        rules.extend(others.map(|(l, h)| RuleHits::new(l.to_owned(), "of another version", h)));
        rules.sort_by(|a, b| (b.reports, &a.rule).cmp(&(a.reports, &b.rule)));
        Counted { cases, derived: self.derived, unmatched: self.unmatched, rules }
    }
}

fn show(found: &Counted, width: Width) -> Outcome {
    let mut heads = vec!["rule", "reports", "cases", "last", "case", "rule is"];
    if width == Width::Wide {
        heads.push("at");
    }
    let mut grid = Grid::new(&heads);
    for hits in &found.rules {
        let mut row = vec![
            hits.rule.clone(),
            hits.reports.to_string(),
            hits.cases.to_string(),
            hits.last_at.map_or("never".to_owned(), |at| relative(at, now())),
            hits.last_case.map_or(String::new(), |case| case.to_string()),
            hits.kind.to_owned(),
        ];
        if width == Width::Wide {
            row.push(hits.last_at.map_or("-".to_owned(), clock));
        }
        grid.row(row);
    }
    grid.print()?;
    output::line(&format!(
        "\n{} cases; {} derived reports needed no rule, {} found none",
        found.cases, found.derived, found.unmatched
    ))
}
