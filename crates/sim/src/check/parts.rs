//! Parts: where requests of an action are undone one by one, each that may have taken effect has one, and no other.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_engine::{Effect, SendStep, StepRow, StepState, Write};
use amends_protocol::{ActionName, CaseId, Evidence, HistoryState, StepId, Timestamp, Verb};
use amends_rulebook::Rulebook;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Half of invariant 2, by request. To be undone: whatever may have taken effect, by the word that counts, has a part;
/// what surely did not gets none, and is not asked for if it has one from before. To be run again: each
/// request that its own service reports, unless it has succeeded. And no request has two.
#[derive(Default)]
pub(super) struct Parts {
    /// Parts that there were before, whatever was heard since.
    known: BTreeSet<(StepId, Arc<str>)>,
}

impl Check for Parts {
    fn name(&self) -> &'static str {
        "2 parts"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        match seen {
            Seen::Committed { writes, .. } => writes.iter().try_for_each(|write| match write {
                Write::Case(row) => {
                    let is_of_it = |write: &&Write| matches!(write, Write::Report(report) if report.case == row.id);
                    let reports = writes.iter().filter(is_of_it).count();
                    self.look(store, row.id, reports > 1)
                }
                _ => Ok(()),
            }),
            Seen::Effect { effect: Effect::Send(send), .. } => first_try(store, send),
            _ => Ok(()),
        }
    }
}

impl Parts {
    /// `of_several`: what one report has let plan, another one that came with it may take back.
    fn look(&mut self, store: &Stored, case: CaseId, of_several: bool) -> Result<(), String> {
        let Some(book) = store.book_of(case) else { return Ok(()) };
        run_again(store, case, book)?;
        let rows = || store.rows.steps_of(case).filter(|row| is_undone_by_request(row, book));
        let leads = rows().filter(|row| row.extra.part_of.is_none());
        for lead in leads.filter(|row| is_meant(row)) {
            let told = told(store, case, &lead.action);
            let of_action = || rows().filter(|row| row.action == lead.action);
            let mut parts = BTreeSet::new();
            for (row, request) in of_action().filter_map(|row| Some((row, row.request()?))) {
                when(!parts.insert(request), || {
                    format!("{request} of {} has two parts in {case}", row.action)
                })?;
                let is_new = self.known.insert((row.id, Arc::clone(request)));
                let state = told.get(request).copied();
                let is_sure = state.is_some_and(|state| !state.may_have_effect());
                when(is_new && is_sure && !of_several, || {
                    format!(
                        "{request} of {} is to be undone, and it surely did not take effect",
                        row.action
                    )
                })?;
            }
            let missing =
                told.iter().find(|(id, state)| state.may_have_effect() && !parts.contains(id));
            when(missing.is_some(), || {
                let request = missing.map(|(id, _)| id.to_string()).unwrap_or_default();
                format!(
                    "{request} of {} may have taken effect, and {case} has no part for it",
                    lead.action
                )
            })?;
        }
        Ok(())
    }
}

/// Nobody is asked to undo a request that surely did not take effect, as was perhaps not known when it was planned.
fn first_try(store: &Stored, send: &SendStep) -> Result<(), String> {
    let case = send.step.case;
    let Some(book) = store.book_of(case).filter(|_| send.attempt == 1) else { return Ok(()) };
    let row = store.rows.steps_of(case).find(|row| row.id == send.step);
    let planned = row.filter(|row| !row.extra.because.is_empty() && row.extra.decided_by.is_none());
    let Some(row) = planned.filter(|row| is_undone_by_request(row, book)) else { return Ok(()) };
    let Some(request) = row.request() else { return Ok(()) };
    let told = told(store, case, &row.action);
    when(told.get(request).is_some_and(|state| !state.may_have_effect()), || {
        format!("{case} asks to undo {request} of {}, which surely did not take effect", row.action)
    })
}

/// Each request that its own service has reported is run again by itself, if its action is.
fn run_again(store: &Stored, case: CaseId, book: &Rulebook) -> Result<(), String> {
    let rows = || store.rows.steps_of(case).filter(|row| row.verb == Verb::Retry);
    for lead in rows().filter(|row| row.extra.part_of.is_none() && is_meant(row)) {
        let action = book.action(&lead.action.service, &lead.action.action).map(|id| book.get(id));
        if action.is_none_or(|action| action.endpoints.retry.is_some()) {
            continue;
        }
        let told = told(store, case, &lead.action);
        let own = store.rows.reports_of(case).map(|row| &row.report).filter(|report| {
            report.service() == &*lead.action.service
                && report.data.action.as_deref() == Some(&*lead.action.action)
        });
        for request in own.filter_map(|report| report.data.request_id.as_deref()) {
            let state = told.get(request).copied().unwrap_or(HistoryState::Failed);
            let failed = state == HistoryState::Failed || state.may_have_effect();
            let failed = failed && state != HistoryState::Succeeded;
            let mut parts = rows().filter(|row| row.action == lead.action);
            let has_part = parts.any(|row| row.request().is_some_and(|id| **id == *request));
            when(failed && !has_part, || {
                format!("{request} of {} has failed, and {case} runs it not again", lead.action)
            })?;
        }
    }
    Ok(())
}

fn is_undone_by_request(row: &StepRow, book: &Rulebook) -> bool {
    let action = book.action(&row.action.service, &row.action.action).map(|id| book.get(id));
    let endpoint = action.and_then(|action| action.endpoints.compensate.as_ref());
    row.verb == Verb::Compensate && endpoint.is_some_and(|endpoint| endpoint.is_for_one_request())
}

fn is_meant(row: &StepRow) -> bool {
    !matches!(row.state, StepState::Shadow | StepState::Superseded)
}

/// What is known of each request of an action: by its own service, or else by others.
pub(super) fn told(
    store: &Stored,
    case: CaseId,
    action: &ActionName,
) -> BTreeMap<Arc<str>, HistoryState> {
    let mut own = BTreeMap::new();
    let mut others = BTreeMap::new();
    let mut hear = |by: &str, evidence: &Evidence| {
        let Some(id) = evidence.request_id.as_deref().filter(|_| evidence.name() == *action) else {
            return;
        };
        let words = if *by == *action.service { &mut own } else { &mut others };
        let state = words.entry(Arc::from(id)).or_insert(evidence.state);
        *state = state.joined(evidence.state);
    };
    for row in store.rows.reports_of(case) {
        row.report.data.history.iter().for_each(|told| hear(row.report.service(), told));
    }
    if let Some(detail) = store.rows.case_row(case).map(|row| &row.extra) {
        for walk in &detail.histories {
            walk.entries.iter().for_each(|told| hear(&walk.service, told));
        }
        detail.told.iter().for_each(|told| hear(&told.by, &told.evidence));
    }
    others.extend(own);
    others
}
