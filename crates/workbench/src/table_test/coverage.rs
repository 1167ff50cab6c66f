//! What a set of tests has reached: rules that answered, and cells of the matrix of reports and actions. Counts only.

use super::row::TableTest;
use crate::places::Place;
use amends_protocol::{Evidence, HistoryState, Report, ReportData, SagaId, Verb};
use amends_rulebook::{ActionId, CaseFacts, Plan, Rule, Rulebook};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Reached or not, by name.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Labels of the rules that are written out.
    pub rules: BTreeMap<String, bool>,
    /// Cells that are not empty: declared report (once more for when its retry is given up) and step.
    pub cells: BTreeMap<(String, String), bool>,
}

impl Coverage {
    pub(super) fn of(book: &Rulebook) -> Self {
        let written = book.rules().iter().filter(|r| !r.implied);
        let rules = written.map(|r| (r.index_label.clone(), false)).collect();
        let mut cells = BTreeMap::new();
        for (n, declared) in book.reports().iter().enumerate() {
            let Some(report) = typical(book, n) else { continue };
            let state = Place::of_report(book, declared).map(|place| place.state(book));
            let told = evidence(book, state.unwrap_or_default().effects());
            let told = told.iter().map(|e| (e.service.as_str(), e));
            let case = CaseFacts::of_all_reports(book, &[&report], told);
            let given_up = case.clone().with_given_up(book, |_| true);
            let mut add = |case: &CaseFacts| {
                let row = row_name(&book.report_name(n), !case.given_up.is_empty());
                let plan = book.wants(case);
                let steps = plan.in_earnest().map(|s| step_name(book, s.verb, s.action));
                cells.extend(steps.map(|step| ((row.clone(), step), false)));
            };
            add(&case);
            if !given_up.given_up.is_empty() {
                add(&given_up);
            }
        }
        Self { rules, cells }
    }

    pub(super) fn reach(
        &mut self,
        book: &Rulebook,
        test: &TableTest,
        rule: Option<&Rule>,
        plan: &Plan,
    ) {
        if let Some(reached) = rule.and_then(|rule| self.rules.get_mut(&rule.index_label)) {
            *reached = true;
        }
        let report = &test.report;
        let row = row_name(&format!("{}/{}", report.service(), report.data.code), test.given_up);
        for want in plan.all() {
            let cell = (row.clone(), step_name(book, want.step.verb, want.step.action));
            if let Some(reached) = self.cells.get_mut(&cell) {
                *reached = true;
            }
        }
    }

    /// Reached and all, of rules and of cells.
    #[must_use]
    pub fn counts(&self) -> [(usize, usize); 2] {
        [
            (self.rules.values().filter(|r| **r).count(), self.rules.len()),
            (self.cells.values().filter(|r| **r).count(), self.cells.len()),
        ]
    }

    /// As data, with what was not reached by name.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let [(rules, all_rules), (cells, all_cells)] = self.counts();
        let missed_rules: Vec<_> =
            self.rules.iter().filter(|(_, r)| !**r).map(|(name, _)| name).collect();
        let missed_cells: Vec<_> = self
            .cells
            .iter()
            .filter(|(_, r)| !**r)
            .map(|((report, step), _)| json!({ "report": report, "step": step }))
            .collect();
        json!({
            "rules": { "reached": rules, "all": all_rules, "missed": missed_rules },
            "cells": { "reached": cells, "all": all_cells, "missed": missed_cells },
        })
    }
}

/// As the matrix calls it.
fn row_name(report: &str, given_up: bool) -> String {
    if given_up { format!("{report}, given up") } else { report.to_owned() }
}

fn step_name(book: &Rulebook, verb: Verb, action: ActionId) -> String {
    format!("{verb} {}", book.get(action).name)
}

/// The n-th declared report as it usually comes: its own action failed without effect.
fn typical(book: &Rulebook, n: usize) -> Option<Report> {
    let declared = book.reports().get(n)?;
    let action = declared.action?;
    let name = &book.get(action).name;
    Some(Report {
        id: "typical".to_owned(),
        source: name.service.to_string(),
        saga_id: SagaId::new("typical").ok()?,
        time: None,
        traceparent: None,
        data: ReportData {
            code: declared.code.to_string(),
            action: Some(name.action.to_string()),
            history: vec![Evidence::new(
                &*name.service,
                &*name.action,
                "typical",
                HistoryState::Failed,
            )],
            ..ReportData::default()
        },
    })
}

fn evidence(book: &Rulebook, effects: impl IntoIterator<Item = ActionId>) -> Vec<Evidence> {
    let told = |id: ActionId| {
        Evidence::new(
            &*book.get(id).name.service,
            &*book.get(id).name.action,
            "typical",
            HistoryState::Succeeded,
        )
    };
    effects.into_iter().map(told).collect()
}
