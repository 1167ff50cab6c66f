//! The History tables: finds where a request stands, asks `history` what is to be done, and writes just that. Every
//! function works within its caller's transaction; none commits.

use crate::config::KitError;
use crate::failure::Failure;
use crate::history::{Event, Fence, Standing, Verdict, decide};
use crate::kit::{Running, RunningGuard, now_ms};
use crate::report;
use crate::rows::{RequestRow, StoredAnswer, corrupt, fence_of, find, insert, of_action, state_of};
use crate::saga_context::PassedOn;
use amends_protocol::{HistoryState, ProblemCode, SagaId};
use rusqlite::{Transaction, params};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// A forward request before it is in History.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) saga: Option<SagaId>,
    pub(crate) request_id: String,
    pub(crate) action: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) body: Value,
    pub(crate) passed_on: PassedOn,
}

/// What becomes of a request that is to run.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is `started` now, and counted as running until the guard is dropped.
    Run(Arc<RequestRow>, RunningGuard),
    Replay(StoredAnswer),
    Busy,
    Fenced,
    /// The id is taken by a request with other contents.
    KeyReused,
    /// There is nothing to run again.
    Missing,
}

/// Takes in a forward request. Also gives the saga, which may be new or that of the request's first arrival.
pub(crate) fn arrive(
    tx: &Transaction<'_>,
    running: &Running,
    arrival: Arrival,
) -> Result<(SagaId, Admission), KitError> {
    if let Some(row) = find(tx, &arrival.request_id)? {
        let other_saga = arrival.saga.as_ref().is_some_and(|saga| *saga != row.saga);
        let saga = row.saga.clone();
        if other_saga || row.fingerprint != arrival.fingerprint {
            return Ok((arrival.saga.unwrap_or(saga), Admission::KeyReused));
        }
        let verdict = judge(tx, running, &row, Event::Arrive)?;
        if verdict == Verdict::Refuse {
            count_refused(tx, &saga, &row.action)?;
        }
        return Ok((saga, admit(tx, running, row, verdict)?));
    }
    let saga = match arrival.saga {
        Some(saga) => saga,
        None => new_saga()?,
    };
    let fence = fence_of(tx, &saga, &arrival.action)?;
    let row = RequestRow {
        request_id: arrival.request_id,
        saga: saga.clone(),
        action: arrival.action,
        fingerprint: arrival.fingerprint,
        body: arrival.body,
        passed_on: arrival.passed_on,
        state: HistoryState::Started,
        answer: None,
    };
    let verdict = decide(Standing::Absent, fence, Event::Arrive);
    if verdict == Verdict::Run {
        insert(tx, &row)?;
    }
    if verdict == Verdict::Refuse {
        count_refused(tx, &saga, &row.action)?;
    }
    Ok((saga, admit(tx, running, row, verdict)?))
}

/// Picks the request that a `retry` step means: the latest one of the action that did not succeed, one that the
/// supervisor names before others; if all succeeded, the latest.
pub(crate) fn rerun(
    tx: &Transaction<'_>,
    running: &Running,
    saga: &SagaId,
    action: &str,
    named: &[String],
) -> Result<Admission, KitError> {
    let mut rows = of_action(tx, saga, action)?;
    let unsucceeded = |row: &RequestRow| row.state != HistoryState::Succeeded;
    let wanted = rows
        .iter()
        .rposition(|row| unsucceeded(row) && named.contains(&row.request_id))
        .or_else(|| rows.iter().rposition(unsucceeded))
        .or_else(|| rows.len().checked_sub(1));
    let Some(wanted) = wanted else {
        let fence = fence_of(tx, saga, action)?;
        return Ok(match decide(Standing::Absent, fence, Event::Rerun) {
            Verdict::Missing => Admission::Missing,
            _ => Admission::Fenced,
        });
    };
    let row = rows.swap_remove(wanted);
    let verdict = judge(tx, running, &row, Event::Rerun)?;
    admit(tx, running, row, verdict)
}

fn judge(
    tx: &Transaction<'_>,
    running: &Running,
    row: &RequestRow,
    event: Event,
) -> Result<Verdict, KitError> {
    let standing = Standing::of(row.state, running.contains(&row.request_id));
    Ok(decide(standing, fence_of(tx, &row.saga, &row.action)?, event))
}

fn admit(
    tx: &Transaction<'_>,
    running: &Running,
    row: RequestRow,
    verdict: Verdict,
) -> Result<Admission, KitError> {
    Ok(match verdict {
        Verdict::Run => {
            tx.prepare_cached(
                "UPDATE amends_requests SET state = 'started', started_at = ?2, ended_at = NULL
                 WHERE request_id = ?1",
            )?
            .execute(params![row.request_id, now_ms()])?;
            let guard = running.enter(&row.request_id);
            Admission::Run(Arc::new(row), guard)
        }
        Verdict::Replay => match row.answer {
            Some(answer) => Admission::Replay(answer),
            None => return Err(corrupt("a finished request has no answer")),
        },
        Verdict::Busy => Admission::Busy,
        Verdict::Refuse => Admission::Fenced,
        Verdict::Missing | Verdict::Leave | Verdict::Stray | Verdict::Enter(_) => {
            return Err(corrupt("a request stands where it cannot"));
        }
    })
}

/// How the commit of a running request went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Done,
    /// A compensation came first: nothing may be written.
    Fenced,
}

/// Marks a running request succeeded, with its answer. The caller's effect is in the same transaction.
pub(crate) fn succeed(
    tx: &Transaction<'_>,
    running: &Running,
    request_id: &str,
    value: &Value,
) -> Result<Finish, KitError> {
    let answer = StoredAnswer { status: 200, body: value.clone(), report: None };
    finish(tx, running, request_id, Event::Commit, &answer)
}

/// Whether a running request may still commit; asked before its effect runs.
pub(crate) fn may_commit(
    tx: &Transaction<'_>,
    running: &Running,
    request_id: &str,
) -> Result<Finish, KitError> {
    let (standing, fence) = stands(tx, running, request_id)?;
    match decide(standing, fence, Event::Commit) {
        Verdict::Enter(_) => Ok(Finish::Done),
        Verdict::Refuse => Ok(Finish::Fenced),
        _ => Err(stray(request_id)),
    }
}

/// Marks a running request failed (or unknown) and, if `reported`, puts the report into the outbox. Gives the answer.
pub(crate) fn fail(
    tx: &Transaction<'_>,
    running: &Running,
    service: &str,
    row: &RequestRow,
    failure: &Failure,
    reported: bool,
) -> Result<Option<StoredAnswer>, KitError> {
    let event = match failure.effect_unknown {
        true => Event::FailUnsure,
        false => Event::Fail,
    };
    let earlier = row.answer.as_ref().and_then(|answer| answer.report.clone());
    let id = match reported {
        true => Some(Uuid::now_v7().to_string()),
        false => earlier,
    };
    let answer = StoredAnswer {
        status: crate::answer::failure_status(failure),
        body: crate::answer::failure_body(failure)?,
        report: id,
    };
    if finish(tx, running, &row.request_id, event, &answer)? == Finish::Fenced {
        turn_away(tx, running, row)?;
        return Ok(None);
    }
    if reported && let Some(id) = &answer.report {
        report::publish(tx, service, row, failure, id)?;
    }
    Ok(Some(answer))
}

/// Closes a running request that the fence stopped. After a compensation nothing is left to write; after a refused one
/// the request enters `unknown`, since its handler may have done something outside of the tables.
pub(crate) fn turn_away(
    tx: &Transaction<'_>,
    running: &Running,
    row: &RequestRow,
) -> Result<(), KitError> {
    let answer = StoredAnswer {
        status: ProblemCode::SagaFenced.status(),
        body: serde_json::to_value(crate::answer::fenced(&row.saga)).map_err(corrupt)?,
        report: row.answer.as_ref().and_then(|answer| answer.report.clone()),
    };
    finish(tx, running, &row.request_id, Event::TurnAway, &answer)?;
    Ok(count_refused(tx, &row.saga, &row.action)?)
}

/// Counts a late original, or the commit of one, that the fence turned away.
fn count_refused(tx: &Transaction<'_>, saga: &SagaId, action: &str) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE amends_fences SET refused = refused + 1 WHERE saga = ?1 AND action = ?2",
        [saga.as_str(), action],
    )?;
    Ok(())
}

fn finish(
    tx: &Transaction<'_>,
    running: &Running,
    request_id: &str,
    event: Event,
    answer: &StoredAnswer,
) -> Result<Finish, KitError> {
    let (standing, fence) = stands(tx, running, request_id)?;
    match decide(standing, fence, event) {
        Verdict::Enter(state) => {
            tx.prepare_cached(
                "UPDATE amends_requests SET state = ?2, status = ?3, answer = ?4, report = ?5, ended_at = ?6
                 WHERE request_id = ?1",
            )?
            .execute(params![
                request_id,
                state.as_str(),
                answer.status,
                answer.body.to_string(),
                answer.report,
                now_ms()
            ])?;
            Ok(Finish::Done)
        }
        Verdict::Refuse | Verdict::Leave => Ok(Finish::Fenced),
        _ => Err(stray(request_id)),
    }
}

/// Marks what a dead process left behind as `unknown`, each with its report. A request that was running again after a
/// reported failure has its report already, and the step that ran it again is still open: no second one then. Gives
/// how many there were.
pub(crate) fn sweep(
    tx: &Transaction<'_>,
    running: &Running,
    service: &str,
    started_before: i64,
) -> Result<usize, KitError> {
    let mut swept = 0;
    for request_id in abandoned(tx, running, started_before)? {
        let Some(row) = find(tx, &request_id)? else { continue };
        let Verdict::Enter(state) = judge(tx, running, &row, Event::Sweep)? else { continue };
        let failure = Failure::crashed();
        let earlier = row.answer.as_ref().and_then(|answer| answer.report.clone());
        let reported = earlier.is_none();
        let id = earlier.unwrap_or_else(|| Uuid::now_v7().to_string());
        tx.execute(
            "UPDATE amends_requests SET state = ?2, status = ?3, answer = ?4, report = ?5, ended_at = ?6
             WHERE request_id = ?1",
            params![
                row.request_id,
                state.as_str(),
                failure.status,
                crate::answer::failure_body(&failure)?.to_string(),
                id,
                now_ms()
            ],
        )?;
        if reported {
            report::publish(tx, service, &row, &failure, &id)?;
        }
        swept += 1;
    }
    Ok(swept)
}

/// Requests that one sweep takes; the next one takes more. It bounds how long requests wait for the transaction.
const SWEEP_BATCH: usize = 500;

/// The oldest requests that are `started` and that nobody works on, a batch of them. Running ones are passed over and
/// don't count, so that ever so many of them can't hide an abandoned one; they are no more than this process works on.
fn abandoned(
    tx: &Transaction<'_>,
    running: &Running,
    started_before: i64,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = tx.prepare_cached(
        "SELECT request_id FROM amends_requests WHERE state = 'started' AND started_at <= ?1
         ORDER BY started_at, seq",
    )?;
    let mut rows = statement.query([started_before])?;
    let mut found = Vec::new();
    while found.len() < SWEEP_BATCH
        && let Some(row) = rows.next()?
    {
        let request_id: String = row.get(0)?;
        if !running.contains(&request_id) {
            found.push(request_id);
        }
    }
    Ok(found)
}

/// Puts up the tombstone: no request of the action may take effect in this saga any more.
pub(crate) fn put_fence(tx: &Transaction<'_>, saga: &SagaId, action: &str) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO amends_fences (saga, action, put_at) VALUES (?1, ?2, ?3)",
        params![saga.as_str(), action, now_ms()],
    )?;
    Ok(())
}

/// Writes the state that a compensation gives to a request.
pub(crate) fn set_undone(
    tx: &Transaction<'_>,
    request_id: &str,
    state: HistoryState,
) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE amends_requests SET state = ?2, ended_at = ?3 WHERE request_id = ?1",
        params![request_id, state.as_str(), now_ms()],
    )?;
    Ok(())
}

fn stands(
    tx: &Transaction<'_>,
    running: &Running,
    request_id: &str,
) -> Result<(Standing, Fence), KitError> {
    Ok(match state_of(tx, request_id)? {
        Some((state, fence)) => (Standing::of(state, running.contains(request_id)), fence),
        None => (Standing::Absent, Fence::Down),
    })
}

fn new_saga() -> Result<SagaId, KitError> {
    SagaId::new(&Uuid::now_v7().to_string()).map_err(corrupt)
}

fn stray(request_id: &str) -> KitError {
    KitError::Corrupt(format!(
        "request `{request_id}` changed while this process worked on it; only one process may use the file"
    ))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
