//! A case: its row in a list, and all that is known of it.

use super::Veiled;
use super::act::act;
use super::erasure::case_erasure;
use super::kept_back::KeptBack;
use super::question::answer;
use super::step::{awaits_callback, ending, log, of_row, of_whole, reasons};
use crate::dispatch::trace_id;
use amends_api::sentence::{CaseFacts, HistoryFacts, StepFacts, case_sentence};
use amends_api::{
    CaseDetail, CaseProof, CaseSummary, HistoryView, MayStand, NoteView, ReportStanding,
    ReportView, StepView,
};
use amends_engine::{
    AttemptRow, CaseBooks, CaseExtra, CaseRow, HistoryQuery, Proof, ReportRole, ReportRow, StepRow,
    StoredCase, Whole, wholes,
};
use amends_protocol::{ActionName, HistoryState, StepId, Timestamp};
use amends_rulebook::{RuleId, Rulebook};
use amends_store::{CaseRecord, ListedCase};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A case as a row of a list.
pub(crate) fn case_summary(listed: Veiled<ListedCase>, kept_back: &KeptBack) -> CaseSummary {
    let hidden = listed.hidden();
    let listed = listed.rows();
    let summary = summary(&listed.case, listed.first_report.as_ref(), &listed.steps, kept_back);
    CaseSummary { hidden, ..summary }
}

/// All that is known of a case but its open questions. Without the version that it was planned with, its reports have
/// no rules.
pub(crate) fn case(
    record: Veiled<CaseRecord>,
    books: CaseBooks<'_>,
    kept_back: &KeptBack,
) -> CaseDetail {
    let (book, hidden) = (books.own, record.hidden());
    let CaseRecord { stored, attempts, acts } = record.rows();
    let StoredCase { case, reports, steps } = stored;
    let summary = summary(&case, reports.first(), &steps, kept_back);
    let summary = CaseSummary { hidden, ..summary };
    let plan = plan(&case, (&steps, &reports), attempts, kept_back);
    let may = case.may(&steps, books);
    let may_not = case.may_not(&steps, books).into_iter().collect();
    let CaseExtra {
        histories,
        notes,
        quiet_at,
        settled_by,
        may_still_stand,
        saga_ended_at,
        answers,
        ..
    } = case.extra;
    let histories = histories.into_iter().map(|row| walk(row, kept_back));
    let notes = notes.into_iter().map(|note| NoteView { at: Timestamp(note.at), text: note.text });
    CaseDetail {
        rulebook_hash: case.rulebook.map(|r| r.hash.to_string()),
        plan,
        reports: reports.iter().map(|row| report(row, book)).collect(),
        histories: histories.collect(),
        questions: Vec::new(),
        answers: answers.into_iter().map(answer).collect(),
        notes: notes.collect(),
        acts: acts.into_iter().map(|entry| act(entry, hidden.is_none())).collect(),
        may,
        may_not,
        quiet_at: quiet_at.map(Timestamp),
        settled_by,
        may_still_stand,
        saga_ended_at: saga_ended_at.map(Timestamp),
        which_rulebook: Vec::new(),
        summary,
    }
}

fn walk(row: HistoryQuery, kept_back: &KeptBack) -> HistoryView {
    let (cause, next_try_at) = kept_back.walk(&row);
    HistoryView {
        cause,
        since: row.since.map(Timestamp).filter(|_| !row.answered),
        next_try_at,
        service: row.service.to_string(),
        answered: row.answered,
        attempts: row.attempts,
        message: row.message,
        unavailable_since: None,
        entries: row.entries,
    }
}

fn plan(
    case: &CaseRow,
    (steps, reports): (&[StepRow], &[ReportRow]),
    attempts: Vec<AttemptRow>,
    kept_back: &KeptBack,
) -> Vec<StepView> {
    let mut tries: HashMap<StepId, Vec<AttemptRow>> = HashMap::new();
    for attempt in attempts {
        tries.entry(attempt.step).or_default().push(attempt);
    }
    let id_at = |position: &u32| {
        let found = reports.get(*position as usize).filter(|row| row.position == *position);
        found.map(|row| row.report.id.clone())
    };
    let mut view = |row: &StepRow| {
        let log = log(tries.remove(&row.id).unwrap_or_default(), row);
        let because = row.extra.because.iter().filter_map(id_at).collect();
        let would_have_asked = row.extra.would_have_asked.iter().filter_map(id_at).collect();
        let data_from = row.extra.subject.as_ref().and_then(|subject| id_at(&subject.report?));
        let chosen = row.extra.subject.as_ref().and_then(|subject| subject.report);
        let chosen = chosen.or(row.extra.because.first().copied()).unwrap_or(0);
        let report = reports.get(chosen as usize).or(reports.first());
        let traceparent = report.and_then(|row| row.report.traceparent.as_deref());
        let trace_id = Some(trace_id(traceparent, row.id.case));
        let may_not = reasons(row.may_not());
        let view = of_row(row.clone(), case.saga.clone(), (because, would_have_asked), kept_back);
        let answer = case.recorded(row);
        let recorded = answer.and_then(|answer| answer.outcome);
        let decided_by = answer.map(|answer| answer.by.to_string()).or(view.decided_by);
        StepView { log, data_from, trace_id, may_not, recorded, decided_by, ..view }
    };
    wholes(steps).iter().map(|whole| of_whole(whole, &mut view)).collect()
}

fn report(row: &ReportRow, book: Option<&Rulebook>) -> ReportView {
    let role = match row.role {
        ReportRole::Rule(_) => ReportStanding::Rule,
        ReportRole::RuleHeld(_) => ReportStanding::RuleHeld,
        ReportRole::ByHand => ReportStanding::ByHand,
        ReportRole::Derived => ReportStanding::Derived,
        ReportRole::AwaitsRoot(_) => ReportStanding::AwaitsRoot,
        ReportRole::Unmatched => ReportStanding::Unmatched,
        ReportRole::Excess => ReportStanding::Excess,
    };
    ReportView {
        source: row.report.source.clone(),
        id: row.report.id.clone(),
        service: row.report.service().to_owned(),
        received_at: row.received_at,
        rule: book.and_then(|book| rule_label(row.role, book)),
        role,
        traceparent: row.report.traceparent.clone(),
        data: row.report.data.clone(),
        cut: false,
    }
}

fn rule_label(role: ReportRole, book: &Rulebook) -> Option<String> {
    let (ReportRole::Rule(index) | ReportRole::RuleHeld(index)) = role else { return None };
    let rule = book.rules().get(index as usize)?;
    debug_assert_eq!(rule.id, RuleId(index));
    Some(rule.index_label.clone())
}

fn summary(
    case: &CaseRow,
    first: Option<&ReportRow>,
    steps: &[StepRow],
    kept_back: &KeptBack,
) -> CaseSummary {
    let mut counts = BTreeMap::new();
    let steps = wholes(steps);
    for step in &steps {
        *counts.entry(step.speaker().state.name()).or_insert(0) += 1;
    }
    CaseSummary {
        hidden: None,
        sentence: sentence(case, first, &steps, kept_back),
        id: case.id,
        saga_id: case.saga.clone(),
        rulebook: case.rulebook.as_ref().map(|r| r.name.to_string()),
        state: case.state,
        quarantined: false,
        closed_on: case.closed_on,
        report: case.report.to_string(),
        message: case.message.as_deref().map(ToOwned::to_owned),
        customer: case.extra.business.customer.clone(),
        key: case.extra.business.key.clone(),
        amounts: case.extra.business.amounts.clone(),
        erasure: case.extra.erasure.as_ref().map(|erasure| case_erasure(erasure, false)),
        opened_at: case.opened_at,
        updated_at: case.updated_at,
        settled_at: case.settled_at,
        steps: counts,
    }
}

/// The actions of which something may still stand, each once.
fn left(case: &CaseRow) -> Vec<ActionName> {
    let mut names: Vec<ActionName> =
        case.extra.may_still_stand.iter().map(MayStand::name).collect();
    names.dedup();
    names
}

/// What a case's closing word rests on. Without the version that it was planned with nothing can be judged.
pub(crate) fn proof(
    record: Veiled<CaseRecord>,
    book: Option<Arc<Rulebook>>,
    kept_back: &KeptBack,
) -> CaseProof {
    let hidden = record.hidden();
    let CaseRecord { stored, acts, .. } = record.rows();
    let (case, detail) = (&stored.case, &stored.case.extra);
    let head = CaseProof {
        case_id: case.id,
        saga_id: case.saga.clone(),
        sentence: sentence(case, stored.reports.first(), &wholes(&stored.steps), kept_back),
        state: case.state,
        closed_on: case.closed_on,
        settled_by: detail.settled_by.clone(),
        opened_at: case.opened_at,
        settled_at: case.settled_at,
        saga_ended_at: detail.saga_ended_at.map(Timestamp),
        rulebook: case.rulebook.as_ref().map(|r| r.name.to_string()),
        rulebook_hash: case.rulebook.as_ref().map(|r| r.hash.to_string()),
        without_rulebook: book.is_none(),
        erasure: detail.erasure.as_ref().map(|erasure| case_erasure(erasure, true)),
        actions: Vec::new(),
        may_still_stand: Vec::new(),
        acts: acts.into_iter().map(|entry| act(entry, hidden.is_none())).collect(),
    };
    let Proof { actions, may_still_stand } = Proof::of(stored, book);
    CaseProof { actions, may_still_stand, ..head }
}

fn sentence(
    case: &CaseRow,
    first: Option<&ReportRow>,
    steps: &[Whole<'_>],
    kept_back: &KeptBack,
) -> String {
    let (service, code) = case.report.split_once('/').unwrap_or((&case.report, ""));
    let mut after: Vec<&str> = Vec::new();
    for told in first.map_or(&[][..], |row| &row.report.data.history) {
        let new = told.state == HistoryState::Succeeded && told.service != service;
        if new && !after.contains(&told.service.as_str()) {
            after.push(&told.service);
        }
    }
    let steps = steps.iter().map(|whole| {
        let step = whole.speaker();
        let (outcome, reason) = ending(&step.state);
        let outcome = case.recorded(step).and_then(|answer| answer.outcome).or(outcome);
        StepFacts {
            verb: step.verb,
            action: step.action.clone(),
            state: step.state.name(),
            outcome,
            reason,
            cause: kept_back.cause(step),
            due_at: kept_back.next(step),
            awaits_callback: awaits_callback(&step.state),
        }
    });
    let histories = case.extra.histories.iter().filter_map(|walk| {
        let (cause, due_at) = kept_back.walk(walk);
        let since = walk.since.map(Timestamp);
        Some(HistoryFacts { service: &walk.service, cause: cause?, since, due_at })
    });
    case_sentence(&CaseFacts {
        state: case.state,
        closed_on: case.closed_on,
        service,
        code,
        message: case.message.as_deref(),
        after,
        steps: steps.collect(),
        histories: histories.collect(),
        quiet_at: case.extra.quiet_at.map(Timestamp),
        settled_by: case.extra.settled_by.as_deref(),
        may_still_stand: left(case),
    })
}
