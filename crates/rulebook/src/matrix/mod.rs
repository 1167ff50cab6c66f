//! The rulebook at a glance: reports down, actions across, and in each cell what becomes of the action. A value that knows
//! nothing of how it is drawn; `text` and `page` draw it.

mod page;
mod place;
mod text;

pub(crate) use page::{colors, escape};
pub(crate) use place::Place;

use crate::check::answers;
use crate::{ActionId, Diagnostic, ReportDecl, Rule, RuleId, Rulebook, check};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one matrix; a longer table is no glance.
const ROWS_LIMIT: usize = 2_000;

/// What becomes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// The saga has not come to it.
    NotReached,
    /// It is the one that failed; it is undone too, unless its History proves that it did nothing.
    Own,
    /// It happened and stays.
    Kept,
    /// It is undone.
    Compensate,
    /// It is undone if the Histories say that it happened or may have.
    CompensateIfRecorded,
    /// It is run again.
    Retry,
    /// It is a message and is sent, or corrected.
    Notify,
    /// It is a message and is corrected if the Histories say that it went out or may have.
    NotifyIfRecorded,
    /// It should be undone or corrected, and the rule doesn't ask for it.
    Missing,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What becomes of the action.
    pub kind: CellKind,
    /// Its stage, from 1; only of rules with several stages.
    pub stage: Option<u16>,
    /// Asked for although it cannot have happened.
    pub superfluous: bool,
}

/// One row: a report and a rule that can answer it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The report, or the rule's pattern; with the conditions if there are any.
    pub label: String,
    /// The rule; none if no rule answers the report.
    pub rule: Option<RuleId>,
    /// The declared report, as its position in [`Rulebook::reports`].
    pub report: Option<usize>,
    /// What is done when the rule's retry is given up.
    pub given_up: bool,
    /// By column.
    pub cells: Vec<Cell>,
    /// Findings about the rule or the report, as positions in [`Matrix::findings`].
    pub findings: Vec<usize>,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The rulebook's name.
    pub name: String,
    /// The columns: every action, in the order of the calls.
    pub columns: Vec<ActionId>,
    /// `service` and `action` of each column.
    pub heads: Vec<(String, String)>,
    /// The rows: declared reports first, then the rules for whatever else comes.
    pub rows: Vec<Row>,
    /// Rows beyond the limit.
    pub omitted: usize,
    /// What [`check`] says of the rulebook.
    pub findings: Vec<Diagnostic>,
}

impl Matrix {
    /// The whole rulebook. `only` leaves out rows whose label doesn't contain it.
    #[must_use]
    pub fn new(book: &Rulebook, only: Option<&str>) -> Self {
        let columns = columns(book);
        let heads = columns
            .iter()
            .map(|id| {
                let name = &book.get(*id).name;
                (name.service.to_string(), name.action.to_string())
            })
            .collect();
        let mut matrix = Self {
            name: book.name().to_owned(),
            columns,
            heads,
            rows: Vec::new(),
            omitted: 0,
            findings: check(book),
        };
        let mut shown: BTreeSet<RuleId> = BTreeSet::new();
        for (n, report) in book.reports().iter().enumerate() {
            matrix.add_report(book, n, report, only, &mut shown);
        }
        for rule in book.rules().iter().filter(|r| !shown.contains(&r.id)) {
            matrix.add(book, rule.index_label.clone(), None, Some(rule), only);
        }
        matrix
    }

    fn add_report(
        &mut self,
        book: &Rulebook,
        n: usize,
        report: &ReportDecl,
        only: Option<&str>,
        shown: &mut BTreeSet<RuleId>,
    ) {
        let name = book.report_name(n);
        let service = &book.services()[report.service.0 as usize].name;
        let (rules, _) = answers(book, service, &report.code, report.action);
        if rules.is_empty() {
            self.add(book, name, Some((n, report)), None, only);
            return;
        }
        for rule in rules.into_iter().map(|id| book.rule(id)) {
            let label = if rule.when.is_empty() {
                name.clone()
            } else {
                let conditions: Vec<_> = rule.when.iter().map(ToString::to_string).collect();
                format!("{name} when {}", conditions.join(" and "))
            };
            if rule.on == name {
                shown.insert(rule.id);
            }
            self.add(book, label, Some((n, report)), Some(rule), only);
        }
    }

    fn add(
        &mut self,
        book: &Rulebook,
        label: String,
        report: Option<(usize, &ReportDecl)>,
        rule: Option<&Rule>,
        only: Option<&str>,
    ) {
        if only.is_some_and(|text| !label.contains(text)) {
            return;
        }
        if self.rows.len() >= ROWS_LIMIT {
            self.omitted += 1;
            return;
        }
        let spans = [report.map(|(_, r)| r.span), rule.filter(|r| !r.implied).map(|r| r.span)];
        let about = |d: &Diagnostic| {
            spans.iter().flatten().any(|s| *s == d.at)
                && report.is_none_or(|(_, r)| {
                    d.related.is_empty()
                        || d.related.iter().any(|(at, _)| *at == r.span)
                        || d.at == r.span
                })
        };
        let findings = (0..self.findings.len()).filter(|n| about(&self.findings[*n])).collect();
        let place = Place::new(book, report.map(|(_, r)| r));
        let demand = rule.map(|r| &r.demand);
        let cells = place.cells(book, &self.columns, demand);
        let give_up = rule.and_then(|r| r.give_up.as_ref());
        let (n, id) = (report.map(|(n, _)| n), rule.map(|r| r.id));
        let after = give_up.map(|_| format!("{label}, given up"));
        self.rows.push(Row { label, rule: id, report: n, given_up: false, cells, findings });
        if let (Some(give_up), Some(label)) = (give_up, after) {
            let cells = place.cells(book, &self.columns, Some(&give_up.then));
            self.rows.push(Row {
                label,
                rule: id,
                report: n,
                given_up: true,
                cells,
                findings: Vec::new(),
            });
        }
    }

    /// As data: `columns`, `rows` with `cells`, and `findings` as codes and messages.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let heads: Vec<_> = self.heads.iter().map(|(s, a)| format!("{s}.{a}")).collect();
        let row = |row: &Row| {
            let cells: BTreeMap<&str, Value> = heads
                .iter()
                .zip(&row.cells)
                .map(|(head, cell)| {
                    (head.as_str(), json!({ "kind": cell.kind.as_str(), "stage": cell.stage, "superfluous": cell.superfluous }))
                })
                .collect();
            let findings: Vec<_> = row.findings.iter().map(|n| self.findings[*n].code).collect();
            json!({ "label": row.label, "givenUp": row.given_up, "answered": row.rule.is_some(), "cells": cells, "findings": findings })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let findings: Vec<_> =
            self.findings.iter().map(|d| json!({ "code": d.code, "severity": d.severity.as_str(), "message": d.message })).collect();
        json!({ "rulebook": self.name, "columns": heads, "rows": rows, "omitted": self.omitted, "findings": findings })
    }

    /// The rows as a list of sentences, e.g. `payment/report-2: undo delivery.request, rider.match; notify sms.send`.
    #[must_use]
    pub fn as_list(&self) -> Vec<String> {
        let line = |row: &Row| {
            let with = |kind: CellKind| {
                let fits = |(_, cell): &(&(String, String), &Cell)| cell.kind == kind;
                let names: Vec<_> = self
                    .heads
                    .iter()
                    .zip(&row.cells)
                    .filter(fits)
                    .map(|((s, a), _)| format!("{s}.{a}"))
                    .collect();
                (!names.is_empty()).then(|| names.join(", "))
            };
            let parts: Vec<String> = [
                (CellKind::Missing, "MISSING"),
                (CellKind::Compensate, "undo"),
                (CellKind::Retry, "retry"),
                (CellKind::Kept, "keep"),
                (CellKind::Notify, "notify"),
                (CellKind::CompensateIfRecorded, "undo if recorded"),
                (CellKind::NotifyIfRecorded, "notify if recorded"),
            ]
            .into_iter()
            .filter_map(|(kind, word)| with(kind).map(|names| format!("{word} {names}")))
            .collect();
            let all = if row.rule.is_none() {
                "answered by no rule".to_owned()
            } else if parts.is_empty() {
                "nothing".to_owned()
            } else {
                parts.join("; ")
            };
            format!("{}: {all}", row.label)
        };
        self.rows.iter().map(line).collect()
    }
}

impl CellKind {
    /// Its name in data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotReached => "not_reached",
            Self::Own => "own",
            Self::Kept => "kept",
            Self::Compensate => "compensate",
            Self::CompensateIfRecorded => "compensate_if_recorded",
            Self::Retry => "retry",
            Self::Notify => "notify",
            Self::NotifyIfRecorded => "notify_if_recorded",
            Self::Missing => "missing",
        }
    }

    /// Its word in a table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotReached => "·",
            Self::Own => "own",
            Self::Kept => "kept",
            Self::Compensate => "undo",
            Self::CompensateIfRecorded => "(undo)",
            Self::Retry => "retry",
            Self::Notify => "notify",
            Self::NotifyIfRecorded => "(notify)",
            Self::Missing => "GAP!",
        }
    }

    /// What the word means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NotReached => "not reached by then",
            Self::Own => "failed itself; undone too, unless proven without effect",
            Self::Kept => "happened and stays",
            Self::Compensate => "undone",
            Self::CompensateIfRecorded => "undone if the Histories say that it may have happened",
            Self::Retry => "run again",
            Self::Notify => "its (correcting) message is sent",
            Self::NotifyIfRecorded => "corrected if the Histories say that it may have gone out",
            Self::Missing => "needed, and the rule doesn't ask for it",
        }
    }

    /// Every kind, in the order of a legend.
    pub(crate) const ALL: [Self; 9] = [
        Self::Compensate,
        Self::CompensateIfRecorded,
        Self::Retry,
        Self::Notify,
        Self::NotifyIfRecorded,
        Self::Kept,
        Self::Own,
        Self::NotReached,
        Self::Missing,
    ];
}

impl Cell {
    /// Its text in a table, e.g. `undo 2` for the second stage, `undo*` for what cannot be needed.
    #[must_use]
    pub fn text(&self) -> String {
        let stage = self.stage.map_or(String::new(), |n| format!(" {n}"));
        format!("{}{}{stage}", self.kind.word(), if self.superfluous { "*" } else { "" })
    }
}

/// Callers before what they call, so that the table reads from left to right; corrections stand in their message's column.
fn columns(book: &Rulebook) -> Vec<ActionId> {
    let mut columns = Vec::new();
    let mut seen = vec![false; book.actions().len()];
    let is_entry =
        |id: &ActionId| book.graph.callers(*id).is_empty() && book.get(*id).correction_of.is_none();
    let mut open: Vec<ActionId> = book.action_ids().filter(is_entry).collect();
    open.reverse();
    while let Some(id) = open.pop() {
        if !std::mem::replace(&mut seen[id.0 as usize], true) {
            columns.push(id);
            open.extend(book.get(id).calls.iter().rev().map(|c| c.action));
        }
    }
    columns
}
