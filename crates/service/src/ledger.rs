//! The life of a request in History: finds where it stands, asks `history` what is to be done, and has just that written.
//! Every function works within its caller's transaction; none commits.

use crate::config::KitError;
use crate::failure::Failure;
use crate::history::{Holder, RequestEvent, Standing, Verdict, decide};
use crate::report;
use crate::running::{Running, RunningGuard};
use crate::store::{
    Fence, HistoryTx, NewRequest, RequestRow, StoredAnswer, StoredStanding, Unfinished, corrupt,
};
use amends_protocol::{HistoryState, ProblemCode, SagaId};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

/// What becomes of a request that arrives or is to run again.
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

/// What became of a forward request.
#[derive(Debug)]
pub(crate) enum Arrived {
    Here(Admission),
    /// The id belongs to a request of another saga, and this one named none: to be asked again in that saga.
    In(SagaId),
}

/// Takes in a forward request. `named` says whether its caller named the saga, or it is a new one.
pub(crate) async fn arrive<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    request: NewRequest,
    named: bool,
) -> Result<Arrived, KitError> {
    // One statement for the usual case; all others are looked at more closely.
    if tx.insert_request(&request, None).await? {
        debug_assert_eq!(decide(Standing::Absent, Fence::Down, RequestEvent::Arrive), Verdict::Run);
        return Ok(Arrived::Here(admitted(running, first_run(running, request))));
    }
    let admission = match tx.find_request(&request.request_id).await? {
        // INVARIANT: a request that was not inserted and is not there met the fence.
        None => {
            admit(
                tx,
                running,
                Err(&request),
                decide(Standing::Absent, Fence::Up, RequestEvent::Arrive),
            )
            .await?
        }
        Some(row) if row.request.saga != request.saga => match named {
            // A request never changes its saga, so this holds without a lock on the other one.
            true => Admission::KeyReused,
            false => return Ok(Arrived::In(row.request.saga)),
        },
        Some(row) if row.request.fingerprint != request.fingerprint => Admission::KeyReused,
        Some(row) => {
            let verdict = judge(tx, running, &row, RequestEvent::Arrive).await?;
            admit(tx, running, Ok(row), verdict).await?
        }
    };
    if matches!(admission, Admission::Fenced) {
        tx.count_refused(&request.saga, &request.action).await?;
    }
    Ok(Arrived::Here(admission))
}

/// Picks the request that a `retry` step means: the latest one of the action that did not succeed, one that the
/// supervisor names before others; if all succeeded, the latest.
pub(crate) async fn rerun<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    saga: &SagaId,
    action: &str,
    named: &[String],
) -> Result<Admission, KitError> {
    let mut rows = tx.requests_of(saga, Some(action)).await?;
    let unsucceeded = |row: &RequestRow| row.state != HistoryState::Succeeded;
    let wanted = rows
        .iter()
        .rposition(|row| unsucceeded(row) && named.contains(&row.request.request_id))
        // The one that is meant succeeded meanwhile: any other one has a step of its own.
        .or_else(|| rows.iter().position(|row| *named == [row.request.request_id.as_str()]))
        .or_else(|| rows.iter().rposition(unsucceeded))
        .or_else(|| rows.len().checked_sub(1));
    let Some(wanted) = wanted else {
        let fence = tx.fence_of(saga, action).await?;
        return Ok(match decide(Standing::Absent, fence, RequestEvent::Rerun) {
            Verdict::Missing => Admission::Missing,
            _ => Admission::Fenced,
        });
    };
    let row = rows.swap_remove(wanted);
    let verdict = judge(tx, running, &row, RequestEvent::Rerun).await?;
    admit(tx, running, Ok(row), verdict).await
}

/// What the caller of a request is told that this process has lost: the same as if it came again.
pub(crate) async fn lost<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    request_id: &str,
) -> Result<Admission, KitError> {
    let Some(row) = tx.find_request(request_id).await? else {
        return Err(corrupt(format!("request `{request_id}` vanished while it ran")));
    };
    tracing::warn!(
        request_id,
        state = %row.state,
        worker = row.worker,
        run = row.run,
        "this process was taken for dead; its effect is not committed"
    );
    let verdict = judge(tx, running, &row, RequestEvent::Arrive).await?;
    admit(tx, running, Ok(row), verdict).await
}

async fn judge<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    row: &RequestRow,
    event: RequestEvent,
) -> Result<Verdict, KitError> {
    let id = &row.request.request_id;
    let standing =
        Standing::of(row.state, holder(tx, running, row.state, id, &row.worker, row.run).await?);
    let fence = tx.fence_of(&row.request.saga, &row.request.action).await?;
    Ok(decide(standing, fence, event))
}

/// Who is at work on a request, in the eyes of one who is not.
pub(crate) async fn holder<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    state: HistoryState,
    request_id: &str,
    worker: &str,
    run: i64,
) -> Result<Holder, KitError> {
    if state != HistoryState::Started {
        return Ok(Holder::Nobody);
    }
    if worker == running.worker() {
        return Ok(match running.contains(request_id, run) {
            true => Holder::Asker,
            false => Holder::Nobody,
        });
    }
    Ok(match tx.is_alive(worker).await? {
        true => Holder::Other,
        false => Holder::Nobody,
    })
}

/// Does what was decided about a request that came, which is in History or is not.
async fn admit<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    found: Result<RequestRow, &NewRequest>,
    verdict: Verdict,
) -> Result<Admission, KitError> {
    Ok(match (verdict, found) {
        (Verdict::Run, Ok(mut row)) => {
            row.run = tx.restart_request(&row.request.request_id).await?;
            running.worker().clone_into(&mut row.worker);
            admitted(running, row)
        }
        (Verdict::Replay, Ok(RequestRow { answer: Some(answer), .. })) => Admission::Replay(answer),
        (Verdict::Replay, _) => return Err(corrupt("a finished request has no answer")),
        (Verdict::Busy, _) => Admission::Busy,
        (Verdict::Refuse, _) => Admission::Fenced,
        (Verdict::Run, Err(_))
        | (Verdict::Missing | Verdict::Leave | Verdict::Lost | Verdict::Enter(_), _) => {
            return Err(corrupt("a request stands where it cannot"));
        }
    })
}

fn first_run(running: &Running, request: NewRequest) -> RequestRow {
    RequestRow {
        request,
        state: HistoryState::Started,
        worker: running.worker().to_owned(),
        run: 1,
        answer: None,
    }
}

fn admitted(running: &Running, row: RequestRow) -> Admission {
    let guard = running.enter(&row);
    Admission::Run(Arc::new(row), guard)
}

/// How a run may end, or ended.
#[derive(Debug)]
pub(crate) enum Finish {
    Done,
    /// A compensation came first: nothing may be written.
    Fenced,
    /// Somebody else has decided about the request; what its caller is told.
    Lost(Admission),
}

/// Whether a run may still commit; asked before its effect runs, in the transaction that holds the effect.
///
/// INVARIANT: nobody else writes to the request between this and the end of the transaction, since every transaction that
/// decides about the saga waits for it.
pub(crate) async fn may_commit<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    row: &RequestRow,
) -> Result<Finish, KitError> {
    let finish = match verdict_on(tx, running, row, RequestEvent::Commit).await? {
        Verdict::Enter(_) => Finish::Done,
        Verdict::Refuse => {
            tx.count_refused(&row.request.saga, &row.request.action).await?;
            turn_away(tx, running, row).await?;
            Finish::Fenced
        }
        _ => Finish::Lost(lost(tx, running, &row.request.request_id).await?),
    };
    Ok(finish)
}

/// Whether a request that arrives would run, as far as its transaction can see.
pub(crate) async fn may_begin<T: HistoryTx>(
    tx: &mut T,
    request: &NewRequest,
) -> Result<bool, KitError> {
    debug_assert_eq!(decide(Standing::Absent, Fence::Down, RequestEvent::Arrive), Verdict::Run);
    tx.may_insert(request).await
}

/// Writes a request that ran within this transaction as succeeded at once. Gives nothing, and writes nothing, if its id was
/// taken in another saga meanwhile.
pub(crate) async fn succeed_at_once<T: HistoryTx>(
    tx: &mut T,
    request: &NewRequest,
    value: Value,
) -> Result<Option<StoredAnswer>, KitError> {
    let answer = StoredAnswer { status: 200, body: value, report: None };
    Ok(tx.insert_request(request, Some(&answer)).await?.then_some(answer))
}

/// Marks a run that may commit as succeeded, with its answer. The caller's effect is in the same transaction.
pub(crate) async fn succeed<T: HistoryTx>(
    tx: &mut T,
    row: &RequestRow,
    value: Value,
) -> Result<StoredAnswer, KitError> {
    let answer = StoredAnswer { status: 200, body: value, report: None };
    tx.end_request(&row.request.request_id, HistoryState::Succeeded, &answer).await?;
    Ok(answer)
}

/// What a failure came to.
#[derive(Debug)]
pub(crate) enum Failed {
    /// `reported` says whether a report about it is in the outbox now.
    Answer {
        answer: StoredAnswer,
        reported: bool,
    },
    Fenced,
    Lost(Admission),
}

/// Marks a run failed (or unknown) and puts the report into the outbox: if it is `news`, or if no report tells of the
/// request yet, as when a `retry` came before the sweep had found what a dead process left. Gives the answer.
pub(crate) async fn fail<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    service: &str,
    row: &RequestRow,
    failure: &Failure,
    news: bool,
) -> Result<Failed, KitError> {
    let event = match failure.effect_unknown {
        true => RequestEvent::FailUnsure,
        false => RequestEvent::Fail,
    };
    let state = match verdict_on(tx, running, row, event).await? {
        Verdict::Enter(state) => state,
        Verdict::Refuse => {
            turn_away(tx, running, row).await?;
            return Ok(Failed::Fenced);
        }
        _ => return Ok(Failed::Lost(lost(tx, running, &row.request.request_id).await?)),
    };
    let earlier = row.answer.as_ref().and_then(|answer| answer.report.clone());
    let reported = news || earlier.is_none();
    let id = match earlier {
        Some(earlier) if !news => earlier,
        _ => Uuid::now_v7().to_string(),
    };
    let answer = StoredAnswer {
        status: crate::answer::failure_status(failure),
        body: crate::answer::failure_body(failure)?,
        report: Some(id.clone()),
    };
    tx.end_request(&row.request.request_id, state, &answer).await?;
    if reported {
        report::publish(tx, service, &row.request, failure, &id).await?;
    }
    Ok(Failed::Answer { answer, reported })
}

/// Closes a run that the fence stopped. After a compensation nothing is left to write; after a refused one the request
/// enters `unknown`, since its handler may have done something outside of the tables.
async fn turn_away<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    row: &RequestRow,
) -> Result<(), KitError> {
    if let Verdict::Enter(state) = verdict_on(tx, running, row, RequestEvent::TurnAway).await? {
        let answer = StoredAnswer {
            status: ProblemCode::SagaFenced.status(),
            body: serde_json::to_value(crate::answer::fenced(&row.request.saga))
                .map_err(corrupt)?,
            report: row.answer.as_ref().and_then(|answer| answer.report.clone()),
        };
        tx.end_request(&row.request.request_id, state, &answer).await?;
    }
    Ok(())
}

/// What the machine says of the end of this very run.
async fn verdict_on<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    row: &RequestRow,
    event: RequestEvent,
) -> Result<Verdict, KitError> {
    Ok(match tx.standing_of(&row.request.request_id).await? {
        Some(found) => decide(own_standing(running, row, &found), found.fence, event),
        None => decide(Standing::Absent, Fence::Down, event),
    })
}

fn own_standing(running: &Running, row: &RequestRow, found: &StoredStanding) -> Standing {
    let own = found.worker == running.worker() && found.run == row.run;
    Standing::of(found.state, if own { Holder::Asker } else { Holder::Other })
}

/// Requests that one look of the sweep takes; the next look takes more. It bounds the memory of a look.
pub(crate) const SWEEP_BATCH: u32 = 500;

/// Marks what a dead process left behind as `unknown`, with its report. A request that was running again after a
/// reported failure has its report already, and the step that ran it again is still open: no second one then. Says
/// whether there was anything to mark.
pub(crate) async fn sweep<T: HistoryTx>(
    tx: &mut T,
    running: &Running,
    service: &str,
    left: &Unfinished,
) -> Result<bool, KitError> {
    let Some(row) = tx.find_request(&left.request_id).await? else { return Ok(false) };
    if row.run != left.run {
        // Somebody took it over since it was looked for.
        return Ok(false);
    }
    let Verdict::Enter(state) = judge(tx, running, &row, RequestEvent::Sweep).await? else {
        return Ok(false);
    };
    let failure = Failure::crashed();
    let earlier = row.answer.as_ref().and_then(|answer| answer.report.clone());
    let reported = earlier.is_none();
    let id = earlier.unwrap_or_else(|| Uuid::now_v7().to_string());
    let answer = StoredAnswer {
        status: failure.status,
        body: crate::answer::failure_body(&failure)?,
        report: Some(id.clone()),
    };
    tx.end_request(&left.request_id, state, &answer).await?;
    if reported {
        report::publish(tx, service, &row.request, &failure, &id).await?;
    }
    Ok(true)
}
