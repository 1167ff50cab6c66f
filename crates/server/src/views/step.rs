//! A step with its tries.

use amends_engine::{AttemptRow, StepRow, StepState};
use amends_protocol::resources::{AttemptView, StepView};
use amends_protocol::{Outcome, SagaId, StepStateName, StuckReason, Timestamp};
use amends_store::{ListedStep, StepRecord};

/// A step of a list, without its tries.
pub(crate) fn listed_step(listed: ListedStep) -> StepView {
    let ListedStep { step, saga, because, would_have_asked } = listed;
    of_row(step, saga, because, would_have_asked)
}

/// One step with its tries.
pub(crate) fn step(record: StepRecord) -> StepView {
    let log = log(record.attempts, &record.listed.step);
    StepView { log, ..listed_step(record.listed) }
}

/// A step's row, with the ids of the reports that demand it or would have.
pub(super) fn of_row(
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
        may: row.may(),
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
        data_from: None,
        request_id: row.memo.subject.and_then(|subject| subject.request).map(|id| id.to_string()),
        key: row.memo.key.map(|key| key.to_string()),
        log: Vec::new(),
    }
}

/// How a step ended, why it is stuck, when it is tried next.
pub(super) fn ending(
    state: &StepState,
) -> (Option<Outcome>, Option<StuckReason>, Option<Timestamp>) {
    match state {
        StepState::Due(at) | StepState::Accepted { poll_at: at, .. } => (None, None, Some(*at)),
        StepState::Done(outcome) => (Some(*outcome), None, None),
        StepState::Stuck(reason) => (None, Some(*reason), None),
        StepState::Waiting | StepState::InFlight | StepState::Superseded | StepState::Shadow => {
            (None, None, None)
        }
    }
}

/// The stored tries of a step and the one that ended it. That one has no row of its own, because the step's row tells
/// everything about it and nearly every step ends with its first try: that saves a third of all rows.
pub(super) fn log(stored: Vec<AttemptRow>, row: &StepRow) -> Vec<AttemptView> {
    let mut log: Vec<AttemptView> = stored.into_iter().map(attempt).collect();
    log.extend(ending_try(&log, row));
    log
}

fn ending_try(log: &[AttemptView], row: &StepRow) -> Option<AttemptView> {
    let result = match &row.state {
        // A waiver is a person's; no try brought it.
        StepState::Done(Outcome::Waived) => return None,
        StepState::Done(outcome) => outcome.as_str(),
        StepState::Stuck(reason @ (StuckReason::Refused | StuckReason::Rejected)) => {
            reason.as_str()
        }
        _ => return None,
    };
    let sent_at = row.memo.sent_at.filter(|_| row.attempts > 0)?;
    let logged = log.last().is_some_and(|last| {
        last.attempt >= row.attempts && last.result != StepStateName::Accepted.as_str()
    });
    if logged || row.memo.by_hand {
        return None; // no try brought the outcome
    }
    Some(AttemptView {
        attempt: row.attempts,
        sent_at: Timestamp(sent_at),
        ended_at: row.updated_at,
        result: result.to_owned(),
        status: row.memo.status,
        message: row.memo.message.clone(),
    })
}

fn attempt(row: AttemptRow) -> AttemptView {
    AttemptView {
        attempt: row.attempt,
        sent_at: row.sent_at,
        ended_at: row.ended_at,
        result: row.result.into_owned(),
        status: row.status,
        message: row.message.map(|message| message.to_string()),
    }
}
