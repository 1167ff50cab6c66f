//! How the rules have fared lately: which rule answered which report how often, and what became of its steps. Looks at the
//! newest cases only, so that a page comes soon however much is stored.

use crate::access::Caller;
use crate::http::{ApiError, App, Doubts, case_detail};
use amends_api::signs::Signed;
use amends_api::{CaseDetail, CaseState, ClosedOn, StepStateName, StepView};
use amends_protocol::{Outcome, Timestamp};
use amends_rulebook::{ActionId, Rulebook};
use amends_store::{CaseFilter, PageRequest, Store};
use amends_workbench::Row;
use std::collections::BTreeMap;

/// Cases looked at. `amends rules hits` looks at all.
pub(super) const CASES: u32 = 200;

/// What became of an action under one row of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fared {
    pub(super) done: u32,
    pub(super) waived: u32,
    pub(super) open: u32,
    pub(super) stuck: u32,
}

/// A row's report, if it is a declared one, and its rule.
type Key = (Option<String>, String);

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// What these cases leave in doubt, whichever version they were planned with.
    pub(super) doubts: Doubts,
    /// Cases that were looked at.
    pub(super) cases: usize,
    rows: BTreeMap<Key, (u32, Option<Timestamp>)>,
    cells: BTreeMap<(Key, ActionId), Fared>,
}

impl Hits {
    /// Counts those of the newest cases of a rulebook that were planned with this version.
    pub(super) async fn of<S: Store>(
        app: &App<S>,
        caller: &Caller,
        book: &Rulebook,
    ) -> Result<Self, ApiError> {
        let filter =
            CaseFilter { rulebooks: vec![book.name().to_owned()], ..CaseFilter::default() };
        let newest = app.supervisor.store().cases(filter, PageRequest::first(CASES)).await?;
        let mut hits = Self::default();
        for listed in newest.items {
            let detail = case_detail(app, caller, listed.case.id).await;
            if let Ok(detail) = &detail {
                hits.doubt(detail);
            }
            match detail {
                // Labels of another version may mean other rules.
                Ok(detail) if detail.rulebook_hash.as_deref() != Some(book.hash()) => {}
                Ok(detail) => hits.add(&detail, book),
                // Removed in the meantime.
                Err(error) if error.status() == 404 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(hits)
    }

    /// Whoever settled a case by hand has said enough of what it leaves in doubt.
    fn doubt(&mut self, case: &CaseDetail) {
        let by_person = case.summary.closed_on == Some(ClosedOn::ByPerson);
        let open = case.questions.iter().filter(|_| !by_person);
        let open = open.map(|question| (question.kind, question.effect));
        self.doubts.see(case.summary.id, case.summary.opened_at, open);
    }

    fn add(&mut self, case: &CaseDetail, book: &Rulebook) {
        self.cases += 1;
        for report in &case.reports {
            let Some(rule) = &report.rule else { continue };
            let declared = book.report(&report.service, &report.data.code).is_some();
            let name = declared.then(|| format!("{}/{}", report.service, report.data.code));
            let key = (name, rule.clone());
            let row = self.rows.entry(key.clone()).or_default();
            row.0 += 1;
            row.1 = row.1.max(Some(report.received_at));
            for step in case.plan.iter().filter(|s| s.because.contains(&report.id)) {
                let Some(id) = book.action(&step.action.service, &step.action.action) else {
                    continue;
                };
                // A correction stands in the column of its message.
                let column = book.get(id).correction_of.unwrap_or(id);
                self.cells.entry((key.clone(), column)).or_default().count(step);
            }
        }
    }

    fn key(row: &Row, book: &Rulebook) -> Option<Key> {
        let rule = book.rules().get(row.rule?.0 as usize)?;
        Some((row.report.map(|n| book.report_name(n)), rule.index_label.clone()))
    }

    /// How often a row was hit, and when last.
    pub(super) fn row(&self, row: &Row, book: &Rulebook) -> (u32, Option<Timestamp>) {
        Self::key(row, book).and_then(|key| self.rows.get(&key).copied()).unwrap_or_default()
    }

    /// How a cell fared; none if it was never asked for.
    pub(super) fn cell(&self, row: &Row, column: ActionId, book: &Rulebook) -> Option<Fared> {
        if row.given_up {
            return None;
        }
        self.cells.get(&(Self::key(row, book)?, column)).copied()
    }
}

impl Fared {
    fn count(&mut self, step: &StepView) {
        match (step.state, step.outcome) {
            (StepStateName::Done, Some(Outcome::Waived)) => self.waived += 1,
            (StepStateName::Done, _) => self.done += 1,
            (StepStateName::Stuck, _) => self.stuck += 1,
            (state, _) if state.is_under_way() => self.open += 1,
            _ => {}
        }
    }

    /// `✓ 12 ◐ 1 ■ 1`.
    pub(super) fn words(&self) -> String {
        let parts = [
            (self.done, StepStateName::Done.sign()),
            (self.waived, Outcome::Waived.sign()),
            (self.open, CaseState::Open.sign()),
            (self.stuck, StepStateName::Stuck.sign()),
        ];
        let told = parts.iter().filter(|(n, _)| *n > 0).map(|(n, s)| format!("{} {n}", s.shape));
        told.collect::<Vec<_>>().join(" ")
    }
}
