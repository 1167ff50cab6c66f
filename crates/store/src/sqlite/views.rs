//! Turns rows into what people are shown: one case with everything, one step with its log, numbers of all.

use super::{
    key::{case_number, key_range, row_key},
    lookup::case_by_id,
    rows::{
        STEP_COLUMNS, collect, column, first_report, read_error, reports_of, step_row, steps_of,
    },
};
use crate::{CaseRecord, StoreError};
use amends_engine::{CaseRow, ReportRole, ReportRow, StepRow, StepState};
use amends_protocol::sentence::{CaseFacts, StepFacts, case_sentence};
use amends_protocol::{
    CaseId, HistoryState, Outcome, SagaId, StepId, StepStateName, StuckReason, Timestamp,
    resources::{
        ActView, AttemptView, CaseDetail, CaseSummary, NoteView, ReportView, StepView, WalkView,
    },
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

pub(crate) const ACT_COLUMNS: &str = "id, at, actor, act, reason, case_id, step, detail";
/// Most acts shown with one case; the list of acts has them all.
const ACTS_OF_CASE: usize = 1000;

/// A case as a row of a list.
pub(crate) fn summary(conn: &Connection, case: CaseRow) -> Result<CaseSummary, StoreError> {
    let (first, steps) = (first_report(conn, case.id)?, steps_of(conn, case.id)?);
    Ok(summary_with(case, first.as_ref(), &steps))
}

fn summary_with(case: CaseRow, first: Option<&ReportRow>, steps: &[StepRow]) -> CaseSummary {
    let mut counts = BTreeMap::new();
    for step in steps {
        *counts.entry(step.state.name()).or_insert(0) += 1;
    }
    CaseSummary {
        sentence: sentence(&case, first, steps),
        id: case.id,
        saga_id: case.saga,
        rulebook: case.rulebook.map(|r| r.name.to_string()),
        state: case.state,
        closed_on: case.closed_on,
        report: case.report.to_string(),
        message: case.message.map(|m| m.to_string()),
        opened_at: case.opened_at,
        updated_at: case.updated_at,
        settled_at: case.settled_at,
        steps: counts,
    }
}

fn sentence(case: &CaseRow, first: Option<&ReportRow>, steps: &[StepRow]) -> String {
    let (service, code) = case.report.split_once('/').unwrap_or((&case.report, ""));
    let mut after: Vec<&str> = Vec::new();
    for told in first.map_or(&[][..], |row| &row.report.data.history) {
        let new = told.state == HistoryState::Succeeded && told.service != service;
        if new && !after.contains(&told.service.as_str()) {
            after.push(&told.service);
        }
    }
    let steps = steps.iter().map(|step| {
        let (outcome, reason, due_at) = ending(&step.state);
        StepFacts {
            verb: step.verb,
            action: step.action.clone(),
            state: step.state.name(),
            outcome,
            reason,
            cause: step.cause(),
            due_at,
        }
    });
    case_sentence(&CaseFacts {
        state: case.state,
        closed_on: case.closed_on,
        service,
        code,
        message: case.message.as_deref(),
        after,
        steps: steps.collect(),
        quiet_at: case.detail.quiet_at.map(Timestamp),
    })
}

/// How a step ended, why it is stuck, when it is tried next.
fn ending(state: &StepState) -> (Option<Outcome>, Option<StuckReason>, Option<Timestamp>) {
    match state {
        StepState::Due(at) | StepState::Accepted { poll_at: at, .. } => (None, None, Some(*at)),
        StepState::Done(outcome) => (Some(*outcome), None, None),
        StepState::Stuck(reason) => (None, Some(*reason), None),
        StepState::Waiting | StepState::InFlight | StepState::Superseded | StepState::Shadow => {
            (None, None, None)
        }
    }
}

/// All that is known of one case.
pub(crate) fn case(conn: &Connection, id: CaseId) -> Result<Option<CaseRecord>, StoreError> {
    let Some(case) = case_by_id(conn, id)? else { return Ok(None) };
    let (reports, steps) = (reports_of(conn, id)?, steps_of(conn, id)?);
    let mut logs = logs(conn, key_range(id))?;
    let summary = summary_with(case.clone(), reports.first(), &steps);
    let mut plan = Vec::with_capacity(steps.len());
    for row in steps {
        let log = complete(logs.remove(&row.id.ordinal).unwrap_or_default(), &row);
        let id_at = |position: u32| {
            let report = reports.get(position as usize).filter(|r| r.position == position);
            report.map(|r| r.report.id.clone())
        };
        let because = row.memo.because.iter().filter_map(|&p| id_at(p)).collect();
        let would_have = row.memo.would_have_asked.iter().filter_map(|&p| id_at(p)).collect();
        plan.push(StepView { log, ..step_view(row, case.saga.clone(), because, would_have) });
    }
    let memo = &case.detail;
    let walks = memo.walks.iter().map(|walk| WalkView {
        service: walk.service.to_string(),
        answered: walk.answered,
        attempts: walk.attempts,
        message: walk.message.clone(),
        entries: walk.entries.clone(),
    });
    let notes =
        memo.notes.iter().map(|note| NoteView { at: Timestamp(note.at), text: note.text.clone() });
    let detail = CaseDetail {
        rulebook_hash: case.rulebook.as_ref().map(|r| r.hash.to_string()),
        walks: walks.collect(),
        notes: notes.collect(),
        acts: acts_of(conn, id)?,
        quiet_at: memo.quiet_at.map(Timestamp),
        reports: reports.iter().map(report_view).collect(),
        plan,
        summary,
    };
    Ok(Some(CaseRecord { detail, roles: reports.iter().map(|r| r.role).collect() }))
}

fn report_view(row: &ReportRow) -> ReportView {
    let role = match row.role {
        ReportRole::Rule(_) => "rule",
        ReportRole::RuleHeld(_) => "rule_held",
        ReportRole::ByHand => "by_hand",
        ReportRole::Derived => "derived",
        ReportRole::AwaitsRoot(_) => "awaits_root",
        ReportRole::Unmatched => "unmatched",
    };
    ReportView {
        source: row.report.source.clone(),
        id: row.report.id.clone(),
        service: row.report.service().to_owned(),
        received_at: row.received_at,
        rule: None,
        role: role.to_owned(),
        data: row.report.data.clone(),
    }
}

/// A step of a list, without its log.
pub(crate) fn step(conn: &Connection, row: StepRow, saga: SagaId) -> Result<StepView, StoreError> {
    let because = report_ids(conn, row.id.case, &row.memo.because)?;
    let would_have = report_ids(conn, row.id.case, &row.memo.would_have_asked)?;
    Ok(step_view(row, saga, because, would_have))
}

/// One step with its log.
pub(crate) fn step_with_log(conn: &Connection, id: StepId) -> Result<Option<StepView>, StoreError> {
    let Some(case) = case_by_id(conn, id.case)? else { return Ok(None) };
    let Ok(key) = row_key(id.case, id.ordinal) else { return Ok(None) };
    let sql = format!("SELECT {STEP_COLUMNS} FROM steps s WHERE s.key = ?1 AND s.tag = ?2");
    let found = collect(conn, &sql, [key, id.tag.cast_signed()], step_row)?;
    let Some(row) = found.into_iter().next() else { return Ok(None) };
    let tries = logs(conn, (key, key))?.remove(&id.ordinal).unwrap_or_default();
    let log = complete(tries, &row);
    Ok(Some(StepView { log, ..step(conn, row, case.saga)? }))
}

fn step_view(
    row: StepRow,
    saga: SagaId,
    because: Vec<String>,
    would_have_asked: Vec<String>,
) -> StepView {
    let (outcome, reason, due_at) = ending(&row.state);
    let has_ended = outcome.is_some() || row.state == StepState::Superseded;
    let ended_at = has_ended.then_some(row.updated_at);
    StepView {
        cause: row.cause(),
        id: row.id,
        case_id: row.id.case,
        saga_id: saga,
        verb: row.verb,
        action: row.action,
        stage: row.stage,
        state: row.state.name(),
        outcome,
        reason,
        due_at,
        attempts: row.attempts,
        message: row.memo.message,
        planned_at: row.planned_at,
        ended_at,
        because,
        would_have_asked,
        decided_by: row.memo.decided_by,
        edited: row.memo.edited.map(|data| (*data).clone()),
        log: Vec::new(),
    }
}

fn report_ids(
    conn: &Connection,
    case: CaseId,
    positions: &[u32],
) -> Result<Vec<String>, StoreError> {
    let mut one =
        conn.prepare_cached("SELECT id FROM reports WHERE key = ?1").map_err(read_error)?;
    let mut ids = Vec::with_capacity(positions.len());
    for &position in positions {
        let id = one.query_row([row_key(case, position)?], |row| row.get(0));
        ids.extend(id.optional().map_err(read_error)?);
    }
    Ok(ids)
}

/// Stored tries of the steps in a range of keys, by ordinal.
fn logs(
    conn: &Connection,
    keys: (i64, i64),
) -> Result<FxHashMap<u32, Vec<AttemptView>>, StoreError> {
    let sql = "SELECT step, attempt, sent_at, ended_at, result, status, message FROM attempts
               WHERE step BETWEEN ?1 AND ?2 ORDER BY step, attempt";
    let tries = collect(conn, sql, keys, |row| {
        let view = AttemptView {
            attempt: column(row, 1)?,
            sent_at: Timestamp(column(row, 2)?),
            ended_at: Timestamp(column(row, 3)?),
            result: column(row, 4)?,
            status: column(row, 5)?,
            message: column(row, 6)?,
        };
        Ok((super::key::position_of(column(row, 0)?), view))
    })?;
    let mut by_step: FxHashMap<u32, Vec<AttemptView>> = FxHashMap::default();
    for (ordinal, view) in tries {
        by_step.entry(ordinal).or_default().push(view);
    }
    Ok(by_step)
}

/// Adds the try that ended the step. It has no row of its own, because the step's row tells everything about it and
/// nearly every step ends with its first try: that saves a third of all rows.
fn complete(mut log: Vec<AttemptView>, row: &StepRow) -> Vec<AttemptView> {
    let result = match &row.state {
        // A waiver is a person's; no try brought it.
        StepState::Done(Outcome::Waived) => return log,
        StepState::Done(outcome) => outcome.as_str(),
        StepState::Stuck(reason @ (StuckReason::Refused | StuckReason::Rejected)) => {
            reason.as_str()
        }
        _ => return log,
    };
    let Some(sent_at) = row.memo.sent_at.filter(|_| row.attempts > 0) else { return log };
    let logged = log.last().is_some_and(|last| {
        last.attempt >= row.attempts && last.result != StepStateName::Accepted.as_str()
    });
    if logged || row.memo.by_hand {
        return log; // no try brought the outcome
    }
    log.push(AttemptView {
        attempt: row.attempts,
        sent_at: Timestamp(sent_at),
        ended_at: row.updated_at,
        result: result.to_owned(),
        status: row.memo.status,
        message: row.memo.message.clone(),
    });
    log
}

/// A row of [`ACT_COLUMNS`] with its number.
pub(crate) fn act(row: &Row<'_>) -> Result<(i64, ActView), StoreError> {
    let id: i64 = column(row, 0)?;
    let corrupt = |what: String| StoreError::Corrupt { row: format!("act {id}"), what };
    let step: Option<String> = column(row, 6)?;
    let view = ActView {
        at: Timestamp(column(row, 1)?),
        actor: column(row, 2)?,
        act: column(row, 3)?,
        reason: column(row, 4)?,
        case_id: column::<Option<i64>>(row, 5)?.map(|n| CaseId(n.cast_unsigned())),
        step_id: step
            .map(|s| s.parse())
            .transpose()
            .map_err(|e: amends_protocol::InvalidName| corrupt(e.to_string()))?,
        detail: serde_json::from_str(&column::<String>(row, 7)?)
            .map_err(|e| corrupt(e.to_string()))?,
    };
    Ok((id, view))
}

/// Acts on a case, oldest first; of very many, the latest.
fn acts_of(conn: &Connection, case: CaseId) -> Result<Vec<ActView>, StoreError> {
    let sql =
        format!("SELECT {ACT_COLUMNS} FROM acts WHERE case_id = ?1 ORDER BY id DESC LIMIT ?2");
    let mut acts = collect(conn, &sql, params![case_number(case)?, ACTS_OF_CASE as i64], act)?;
    acts.reverse();
    Ok(acts.into_iter().map(|(_, act)| act).collect())
}
