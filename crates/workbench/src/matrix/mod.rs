//! The rulebook at a glance: reports down, actions across, and in each cell what becomes of the action. A value that knows
//! nothing of how it is drawn; `text`, `page` and `picture` draw it.

mod cell;
mod label;
mod page;
mod picture;
mod place;
mod text;

pub use cell::{Cell, CellKind};
pub(crate) use place::PlaceOfRow;

use crate::check;
use crate::check::answers;
use amends_rulebook::{
    ActionId, Demand, Diagnostic, Mode, Past, ReportDecl, Rule, RuleId, Rulebook, Target,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one matrix; a longer table is no glance.
const ROWS_LIMIT: usize = 2_000;
/// Cells of one matrix: a page of more is too long for a browser. A table this wide has fewer rows, but some.
const CELLS_LIMIT: usize = 200_000;
const LEAST_ROWS: usize = 20;

/// One row: a report and a rule that can answer it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The report, or the rule's pattern; with the conditions if there are any. No two rows have the same.
    pub label: String,
    /// The rule; none if no rule answers the report.
    pub rule: Option<RuleId>,
    /// The declared report, as its position in [`Rulebook::reports`].
    pub report: Option<usize>,
    /// What is done when the rule's retry is given up.
    pub given_up: bool,
    /// Whether the rule's plan is carried out, waits for approval, or is only recorded.
    pub mode: Mode,
    /// More cases than this in a minute wait for approval.
    pub limit_per_minute: Option<u32>,
    /// The pivot that has taken effect at the report's place, and what the rule says of what came before it.
    pub past: Option<(String, Past)>,
    /// Sets that the rule names, of which each saga says what is in them; only where no place is declared.
    pub sets: Vec<&'static str>,
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
    /// Actions whose columns were folded away, because no row reaches them.
    pub folded: Vec<String>,
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
            folded: Vec::new(),
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
        label::tell_apart(book, &mut matrix.rows);
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
        let rows = (CELLS_LIMIT / self.columns.len().max(1)).clamp(LEAST_ROWS, ROWS_LIMIT);
        if self.rows.len() >= rows {
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
        let place = PlaceOfRow::new(book, report.map(|(_, r)| r));
        let demand = rule.map(|r| &r.demand);
        let cells = place.cells(book, &self.columns, demand);
        let give_up = rule.and_then(|r| r.give_up.as_ref());
        let sets = |demand| if place.is_known() { Vec::new() } else { sets(demand) };
        let (n, id) = (report.map(|(n, _)| n), rule.map(|r| r.id));
        let mode = rule.map_or(Mode::Auto, |r| r.mode);
        let limit_per_minute = rule.and_then(|r| r.limit_per_minute);
        let past = rule.and_then(|rule| {
            let given_up = rule.give_up.as_ref().map(|give_up| &give_up.then);
            let mut demands = std::iter::once(&rule.demand).chain(given_up);
            let pivot = place.passed(book).filter(|_| demands.any(Demand::is_backward))?;
            Some((book.get(pivot).name.to_string(), rule.past.unwrap_or_default()))
        });
        let row = Row {
            label,
            rule: id,
            report: n,
            given_up: false,
            mode,
            limit_per_minute,
            past,
            sets: demand.map_or_else(Vec::new, sets),
            cells,
            findings,
        };
        let after = give_up.map(|give_up| Row {
            label: format!("{}, given up", row.label),
            given_up: true,
            sets: sets(&give_up.then),
            cells: place.cells(book, &self.columns, Some(&give_up.then)),
            findings: Vec::new(),
            ..row.clone()
        });
        self.rows.push(row);
        self.rows.extend(after);
    }

    /// Folds away the columns that no row reaches, and keeps their names.
    #[must_use]
    pub fn folded(mut self) -> Self {
        let reached: Vec<bool> = (0..self.columns.len())
            .map(|n| self.rows.iter().any(|row| row.cells[n].kind != CellKind::NotReached))
            .collect();
        let left_out = self.heads.iter().zip(&reached).filter(|(_, reached)| !**reached);
        self.folded =
            left_out.map(|((service, action), _)| format!("{service}.{action}")).collect();
        keep(&mut self.columns, &reached);
        keep(&mut self.heads, &reached);
        self.rows.iter_mut().for_each(|row| keep(&mut row.cells, &reached));
        self
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
            json!({
                "label": row.label,
                "givenUp": row.given_up,
                "answered": row.rule.is_some(),
                "mode": row.rule.map(|_| row.mode.as_str()),
                "limitPerMinute": row.limit_per_minute,
                "past": row.past.as_ref().map(|(pivot, past)| json!({ "pivot": pivot, "what": past.as_str() })),
                "cells": cells,
                "findings": findings,
            })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let findings: Vec<_> =
            self.findings.iter().map(|d| json!({ "code": d.code, "severity": d.severity.as_str(), "message": d.message })).collect();
        json!({ "rulebook": self.name, "columns": heads, "rows": rows, "omitted": self.omitted, "findings": findings })
    }

    /// What a row asks for: what is undone, stage by stage, what is run again, sent and kept.
    fn lead(&self, row: &Row) -> String {
        if row.rule.is_none() {
            return "answered by no rule".to_owned();
        }
        let with = |kind: CellKind| self.staged(row, kind);
        let undone = if row.sets.is_empty() {
            with(CellKind::Compensate)
        } else {
            named(row, with(CellKind::Compensate))
        };
        let parts: Vec<String> = [
            ("GAP! ", with(CellKind::Missing)),
            ("", undone),
            ("run ", with(CellKind::Retry).map(|names| format!("{names} again"))),
            ("notify ", with(CellKind::Notify)),
            ("keep ", with(CellKind::Kept)),
        ]
        .into_iter()
        .filter_map(|(word, names)| names.map(|names| format!("{word}{names}")))
        .collect();
        if parts.is_empty() { "nothing else".to_owned() } else { parts.join("; ") }
    }

    /// The actions of a kind, those of later stages behind `then`.
    fn staged(&self, row: &Row, kind: CellKind) -> Option<String> {
        let mut stages: BTreeMap<Option<u16>, Vec<String>> = BTreeMap::new();
        for ((service, action), cell) in self.heads.iter().zip(&row.cells) {
            if cell.kind == kind {
                stages.entry(cell.stage).or_default().push(format!("{service}.{action}"));
            }
        }
        let all: Vec<String> = stages.into_values().map(|names| names.join(", ")).collect();
        (!all.is_empty()).then(|| all.join("; then "))
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
            let mode = row.mode_word().map_or(String::new(), |word| format!(" ({word})"));
            format!("{}{mode}: {all}", row.label)
        };
        self.rows.iter().map(line).collect()
    }
}

impl Row {
    /// The rule's mode and limit, if it isn't simply carried out, e.g. `ask`, or `ask over 5/min`; and what it says
    /// past a pivot.
    #[must_use]
    pub fn mode_word(&self) -> Option<String> {
        let mode = match (self.mode, self.limit_per_minute) {
            (Mode::Auto, None) => None,
            (Mode::Auto, Some(limit)) => Some(format!("ask over {limit}/min")),
            (mode, _) => Some(mode.as_str().to_owned()),
        };
        let past = self.past.as_ref().map(|(pivot, past)| match past {
            Past::Ask => format!("past {pivot}: ask"),
            Past::Undo => format!("past {pivot}: undo"),
            Past::Keep => format!("past {pivot}: keep"),
        });
        match (mode, past) {
            (Some(mode), Some(past)) => Some(format!("{mode}, {past}")),
            (mode, past) => mode.or(past),
        }
    }

    /// Whether something about it needs a look: findings, or no rule.
    pub(crate) fn is_marked(&self) -> bool {
        !self.findings.is_empty() || self.rule.is_none()
    }
}

/// The sets of a row, and what it names beside them. `all` names everything, so nothing stands beside it.
fn named(row: &Row, names: Option<String>) -> Option<String> {
    let sets = row.sets.join(", ");
    match names {
        Some(names) if !row.sets.contains(&"all") => Some(format!("{sets}, {names}")),
        _ => Some(sets),
    }
}

/// The sets that a demand names, each once.
fn sets(demand: &Demand) -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for target in demand.stages.iter().flat_map(|stage| &stage.compensate) {
        let set = match target {
            Target::Recorded => "recorded",
            Target::All => "all",
            Target::Downstream => "downstream",
            Target::Tag(_) | Target::Action(_) => continue,
        };
        if !all.contains(&set) {
            all.push(set);
        }
    }
    all
}

/// Keeps the items whose place is true.
fn keep<T>(items: &mut Vec<T>, wanted: &[bool]) {
    let mut wanted = wanted.iter();
    items.retain(|_| wanted.next().copied().unwrap_or(false));
}

/// What the words of [`Row::mode_word`] mean, as far as these rows use them.
fn mode_meanings(rows: &[Row]) -> Vec<(&'static str, &'static str)> {
    let has = |wanted: &dyn Fn(&Row) -> bool| rows.iter().any(wanted);
    let words: [(bool, &str, &str); 4] = [
        (has(&|r| r.mode == Mode::Ask), "ask", "nothing is sent before a person says yes"),
        (
            has(&|r| r.mode == Mode::Auto && r.limit_per_minute.is_some()),
            "ask over",
            "so many cases a minute go by themselves, more wait for approval",
        ),
        (has(&|r| r.mode == Mode::Shadow), "shadow", "only recorded, nothing is sent"),
        (
            has(&|r| r.past.is_some()),
            "past",
            "what came before this pivot waits for a person (ask), is undone all the same (undo), or stays (keep)",
        ),
    ];
    words.into_iter().filter(|(is, ..)| *is).map(|(_, word, meaning)| (word, meaning)).collect()
}

/// Callers before what they call, so that the table reads from left to right; corrections stand in their message's column.
fn columns(book: &Rulebook) -> Vec<ActionId> {
    let mut columns = Vec::new();
    let mut seen = vec![false; book.actions().len()];
    let is_entry =
        |id: &ActionId| book.callers(*id).is_empty() && book.get(*id).correction_of.is_none();
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
