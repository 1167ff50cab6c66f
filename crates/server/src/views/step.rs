//! A step with its tries.

use super::Veiled;
use super::kept_back::KeptBack;
use amends_api::{AttemptResult, AttemptView, RuleHoldView, StepActName, StepView, StuckReason};
use amends_engine::{AttemptRow, CalledBack, StepRow, StepState, Whole};
use amends_protocol::{Outcome, SagaId, StepId, Timestamp};
use amends_store::{ListedStep, StepRecord};
use std::collections::{BTreeMap, HashMap};

/// A step of a list, without its tries.
pub(crate) fn listed_step(listed: Veiled<ListedStep>, kept_back: &KeptBack) -> StepView {
    let hidden = listed.hidden();
    let ListedStep { step, saga, because, would_have_asked, .. } = listed.rows();
    StepView { hidden, ..of_row(step, saga, (because, would_have_asked), kept_back) }
}

/// One step with its tries.
pub(crate) fn step(record: Veiled<StepRecord>, kept_back: &KeptBack) -> StepView {
    let hidden = record.hidden();
    let StepRecord { listed, others, attempts } = record.rows();
    let ListedStep { step, saga, because, would_have_asked, .. } = listed;
    let mut tries: HashMap<StepId, Vec<AttemptRow>> = HashMap::new();
    for attempt in attempts {
        tries.entry(attempt.step).or_default().push(attempt);
    }
    let rows: Vec<StepRow> = std::iter::once(step).chain(others).collect();
    let whole = Whole::among(&rows);
    of_whole(&whole, |row| {
        let log = log(tries.remove(&row.id).unwrap_or_default(), row);
        let demands = (because.clone(), would_have_asked.clone());
        let view = of_row(row.clone(), saga.clone(), demands, kept_back);
        StepView { log, may_not: reasons(row.may_not()), hidden, ..view }
    })
}

/// Why the acts are not possible that are not.
pub(super) fn reasons(refused: Vec<(StepActName, &'static str)>) -> BTreeMap<StepActName, String> {
    refused.into_iter().map(|(act, why)| (act, why.to_owned())).collect()
}

/// A step as its parts make it: what it says of itself is what the part says that speaks for it.
pub(super) fn of_whole(whole: &Whole<'_>, mut view: impl FnMut(&StepRow) -> StepView) -> StepView {
    let mut views: Vec<(&StepRow, StepView)> =
        whole.rows().iter().map(|row| (*row, view(row))).collect();
    let part =
        |(row, view): &(&StepRow, StepView)| Some(StepView { id: row.part_id()?, ..view.clone() });
    let mut parts: Vec<StepView> = views.iter().filter_map(part).collect();
    parts.sort_by(|a, b| a.request_id.cmp(&b.request_id));
    let lead = views.remove(0).1;
    if views.is_empty() {
        return StepView { parts, ..lead };
    }
    let speaker = whole.speaker();
    let said = match parts.iter().find(|part| Some(part.id) == speaker.part_id()) {
        Some(part) => part.clone(),
        None => lead.clone(),
    };
    let mut log: Vec<AttemptView> = lead.log.clone();
    log.extend(views.iter().flat_map(|(_, view)| view.log.iter().cloned()));
    log.sort_by_key(|attempt| attempt.sent_at);
    StepView {
        attempts: whole.attempts(),
        may: whole.may(),
        may_not: reasons(whole.may_not()),
        log,
        state: said.state,
        held: said.held,
        outcome: said.outcome,
        reason: said.reason,
        cause: said.cause,
        recorded: said.recorded,
        awaits_callback: said.awaits_callback,
        due_at: said.due_at,
        message: said.message,
        ended_at: said.ended_at,
        decided_by: said.decided_by,
        edited: None,
        data_from: None,
        request_id: None,
        request_data: None,
        key: None,
        parts,
        ..lead
    }
}

/// A step's row, with the ids of the reports that demand it or would have.
pub(super) fn of_row(
    row: StepRow,
    saga: SagaId,
    (because, would_have_asked): (Vec<String>, Vec<String>),
    kept_back: &KeptBack,
) -> StepView {
    let (outcome, reason) = ending(&row.state);
    let has_ended = outcome.is_some() || row.state == StepState::Superseded;
    let ended_at = has_ended.then_some(row.updated_at);
    let subject = row.extra.subject.clone().unwrap_or_default();
    let held = row.on_hold().map(super::rule_hold);
    let awaits = row.awaits_callers().filter(|_| held.is_none()).cloned();
    let due_at = kept_back.next(&row).or(awaits.as_ref().map(|awaits| Timestamp(awaits.until)));
    StepView {
        hidden: None,
        cause: kept_back.cause(&row),
        may: row.may(),
        may_not: BTreeMap::new(),
        id: row.shown_id(),
        case_id: row.id.case,
        saga_id: saga,
        verb: row.verb,
        action: row.action,
        fence: row.extra.fence,
        stage: row.stage,
        state: row.state.name(),
        awaits: awaits.map(|awaits| awaits.callers).unwrap_or_default(),
        message: held.as_ref().map(RuleHoldView::sentence).or(row.extra.message),
        held,
        outcome,
        reason,
        recorded: None,
        awaits_callback: awaits_callback(&row.state),
        due_at,
        attempts: row.attempts,
        planned_at: row.planned_at,
        ended_at,
        because,
        would_have_asked,
        decided_by: row.extra.decided_by,
        edited: row.extra.edited.map(|data| (*data).clone()),
        data_from: None,
        trace_id: None,
        request_id: subject.request.map(|id| id.to_string()),
        request_data: subject.data.map(|data| (*data).clone()),
        key: row.extra.key.map(|key| key.to_string()),
        parts: Vec::new(),
        log: Vec::new(),
    }
}

/// How a step ended, or why it is stuck.
pub(super) fn ending(state: &StepState) -> (Option<Outcome>, Option<StuckReason>) {
    match state {
        StepState::Done(outcome) => (Some(*outcome), None),
        StepState::Stuck(reason) => (None, Some(*reason)),
        StepState::Waiting
        | StepState::Due(_)
        | StepState::InFlight
        | StepState::Accepted { .. }
        | StepState::Superseded
        | StepState::Shadow => (None, None),
    }
}

/// Whether only its service's own word can end it before it is asked again.
pub(super) const fn awaits_callback(state: &StepState) -> bool {
    matches!(state, StepState::Accepted { location: None, .. })
}

/// The stored tries of a step and the one that ended it. That one has no row of its own, because the step's row tells
/// everything about it and nearly every step ends with its first try: that saves a third of all rows.
pub(super) fn log(stored: Vec<AttemptRow>, row: &StepRow) -> Vec<AttemptView> {
    let mut log: Vec<AttemptView> = stored.into_iter().map(attempt).collect();
    log.extend(ending_try(&log, row));
    log.extend(row.extra.callbacks.iter().map(callback));
    log.sort_by_key(|entry| (entry.attempt, entry.ended_at));
    log
}

/// What the service said on its own. One that came too late, or while nobody knew that it was its service's, says so.
fn callback(said: &CalledBack) -> AttemptView {
    let at = Timestamp(said.at);
    let message = match (&said.message, said.counted) {
        (message, true) => message.clone(),
        (None, false) => Some("did not count".to_owned()),
        (Some(text), false) => Some(format!("did not count: {text}")),
    };
    AttemptView {
        attempt: said.attempt,
        sent_at: at,
        ended_at: at,
        result: said.outcome.into(),
        called_back: true,
        status: None,
        message,
    }
}

fn ending_try(log: &[AttemptView], row: &StepRow) -> Option<AttemptView> {
    let result = match &row.state {
        // A waiver is a person's; no try brought it.
        StepState::Done(Outcome::Waived) => return None,
        StepState::Done(outcome) => AttemptResult::from(*outcome),
        StepState::Stuck(StuckReason::Refused) => AttemptResult::Refused,
        StepState::Stuck(StuckReason::Rejected) => AttemptResult::Rejected,
        _ => return None,
    };
    let sent_at = row.extra.sent_at.filter(|_| row.attempts > 0)?;
    let logged = log
        .last()
        .is_some_and(|last| last.attempt >= row.attempts && last.result != AttemptResult::Accepted);
    let called_back = row.extra.called_back && !row.extra.callbacks.is_empty();
    if logged || called_back || row.extra.by_hand {
        return None; // no try brought the outcome
    }
    Some(AttemptView {
        attempt: row.attempts,
        sent_at: Timestamp(sent_at),
        ended_at: row.updated_at,
        result,
        called_back: false,
        status: row.extra.status,
        message: row.extra.message.clone(),
    })
}

fn attempt(row: AttemptRow) -> AttemptView {
    AttemptView {
        attempt: row.attempt,
        sent_at: row.sent_at,
        ended_at: row.ended_at,
        // Only a row that was changed by hand has another word.
        result: row.result.parse().unwrap_or(AttemptResult::Unknown),
        called_back: false,
        status: row.status,
        message: row.message.map(|message| message.to_string()),
    }
}
