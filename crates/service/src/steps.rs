//! The supervisor's steps: `compensate`, `retry`, `notify`. Each is decided and done in one transaction (a retry in
//! two, with the handler between them), and its outcome is remembered under the step's id. Of a `compensate` that
//! cannot be done, the fence alone is kept.

use crate::config::KitError;
use crate::failure::{Finality, Refusal};
use crate::forward::{Ended, Reporting, execute};
use crate::guarded::guarded;
use crate::history::{RequestEvent, Standing, Verdict, decide};
use crate::kit::Kit;
use crate::ledger::{self, Admission};
use crate::store::{BoxFuture, Fence, HistoryStore, HistoryTx, OwedRow, RequestRow, StepRow};
use crate::undo::{DoneRequest, Notice, UncertainRequest, Undo};
use amends_protocol::{
    Evidence, HistoryState, Outcome, Problem, ProblemCode, SagaId, StepAnswer, StepRequest, Verb,
};
use serde_json::Value;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tracing::Instrument;

/// Why a step has no outcome; the problem that the supervisor gets.
#[derive(Debug)]
pub(crate) enum NotDone {
    Problem(Problem),
    /// Not yet: it was taken, and its outcome is told later.
    Accepted,
    Kit(KitError),
}

impl From<KitError> for NotDone {
    fn from(error: KitError) -> Self {
        Self::Kit(error)
    }
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> Self {
        match refusal.finality {
            Finality::Final => not_done(ProblemCode::Refused, refusal.message),
            Finality::Passing => not_done(ProblemCode::Unavailable, refusal.message),
        }
    }
}

fn not_done(code: ProblemCode, detail: impl Into<String>) -> NotDone {
    NotDone::Problem(Problem::new(code, detail))
}

/// Carries out a step, or answers it as before.
pub(crate) async fn perform<S: HistoryStore>(
    kit: Kit<S>,
    verb: Verb,
    step: StepRequest,
) -> Result<StepAnswer, NotDone> {
    let action = step.action.action.to_string();
    let known = match verb {
        Verb::Compensate | Verb::Retry => kit.work.actions.contains_key(action.as_str()),
        Verb::Notify => kit.work.notices.contains_key(action.as_str()),
    };
    if !known {
        let what = if verb == Verb::Notify { "notice" } else { "action" };
        let detail = format!("`{}` has no {what} `{action}`; correct the rulebook", kit.service());
        return Err(not_done(ProblemCode::NotFound, detail));
    }
    let began = Instant::now();
    let span = tracing::info_span!(
        "step",
        service = kit.service(),
        %verb,
        action,
        saga = %step.saga_id,
        step = %step.step_id,
        attempt = step.attempt,
    );
    let done = match verb {
        Verb::Retry => retry(&kit, step).instrument(span).await,
        Verb::Compensate | Verb::Notify => at_once(&kit, verb, step).instrument(span).await,
    };
    let outcome = done.as_ref().ok().map(|answer| answer.outcome);
    kit.inner.observer.step_ended(verb, &action, outcome, began.elapsed());
    done
}

/// A step that is decided and done in one transaction.
async fn at_once<S: HistoryStore>(
    kit: &Kit<S>,
    verb: Verb,
    step: StepRequest,
) -> Result<StepAnswer, NotDone> {
    let (own, saga) = (kit.clone(), step.saga_id.clone());
    kit.write(Some(&saga), move |tx| {
        Box::pin(async move { carry_out(tx, &own, verb, &step).await })
    })
    .await?
}

/// The inner error says why the step cannot be done, and is to be committed all the same.
async fn carry_out<S: HistoryStore>(
    tx: &mut S::Tx,
    kit: &Kit<S>,
    verb: Verb,
    step: &StepRequest,
) -> Result<Result<StepAnswer, NotDone>, NotDone> {
    if let Some(outcome) = remembered(tx, verb, step).await? {
        return Ok(Ok(answer(tx, &step.saga_id, outcome).await?));
    }
    if tx.find_owed(&step.step_id.to_string()).await?.is_some_and(|owed| owed.outcome.is_none()) {
        return Ok(Err(NotDone::Accepted));
    }
    let outcome = match verb {
        Verb::Compensate => match compensate(tx, kit, step).await? {
            Ok(outcome) => outcome,
            Err(why) => return Ok(Err(why)),
        },
        Verb::Notify | Verb::Retry => notify(tx, kit, step).await?,
    };
    tx.insert_step(&done_step(verb, step, outcome)).await?;
    Ok(Ok(answer(tx, &step.saga_id, outcome).await?))
}

/// The inner error says why the undo cannot be done; the fence is up all the same, and to be committed.
async fn compensate<S: HistoryStore>(
    tx: &mut S::Tx,
    kit: &Kit<S>,
    step: &StepRequest,
) -> Result<Result<Outcome, NotDone>, NotDone> {
    let (saga, action) = (&step.saga_id, &*step.action.action);
    if !tx.unfinished_steps(saga, action).await?.is_empty() {
        // It goes on for another step already; to begin it twice may undo it twice.
        tx.owe(&owed(step, false)).await?;
        return Ok(Err(NotDone::Accepted));
    }
    let mut meant = meant(tx, kit, saga, action).await?;
    let undo = Undo {
        saga: saga.clone(),
        action: action.to_owned(),
        requests: std::mem::take(&mut meant.done),
        uncertain: std::mem::take(&mut meant.uncertain),
        report: step.report.clone(),
        data: step.data.clone(),
        found: AtomicBool::new(false),
        later: AtomicBool::new(false),
    };
    // INVARIANT: nothing of the action takes effect once a compensation was answered, refusals included: what a
    // person sees when it was refused is what there is to decide about.
    tx.put_fence(saga, action).await?;
    if let Err(why) = undo_in(tx, kit, &undo).await? {
        return Ok(Err(why));
    }
    let found = undo.has_found_effect();
    if undo.is_answered_later() {
        tx.owe(&owed(step, found)).await?;
        return Ok(Err(NotDone::Accepted));
    }
    meant.has_effect = !undo.requests.is_empty();
    Ok(Ok(meant.mark_undone(tx, found).await?))
}

/// The requests of an action in a saga that a compensation is about.
#[derive(Default)]
struct StepTarget {
    done: Vec<DoneRequest>,
    uncertain: Vec<UncertainRequest>,
    /// Each with whether it is uncertain, and the state that it gets.
    entered: Vec<(String, bool, HistoryState)>,
    /// Any of them took effect.
    has_effect: bool,
    undone_before: bool,
}

async fn meant<S: HistoryStore>(
    tx: &mut S::Tx,
    kit: &Kit<S>,
    saga: &SagaId,
    action: &str,
) -> Result<StepTarget, KitError> {
    let mut meant = StepTarget::default();
    for row in tx.requests_of(saga, Some(action)).await? {
        let id = &row.request.request_id;
        let running = &kit.inner.running;
        let holder = ledger::holder(tx, running, row.state, id, &row.worker, row.run).await?;
        let standing = Standing::of(row.state, holder);
        meant.undone_before |= standing == Standing::Compensated;
        let Verdict::Enter(state) = decide(standing, Fence::Up, RequestEvent::Compensate) else {
            continue;
        };
        meant.entered.push((id.clone(), is_uncertain(standing), state));
        if standing == Standing::Succeeded {
            meant.done.push(done_request(row));
        } else if is_uncertain(standing) {
            let (id, body) = (row.request.request_id, row.request.body);
            meant.uncertain.push(UncertainRequest { id, body });
        }
    }
    meant.has_effect = !meant.done.is_empty();
    Ok(meant)
}

impl StepTarget {
    /// `found`: uncertain ones had an effect.
    async fn mark_undone<T: HistoryTx>(self, tx: &mut T, found: bool) -> Result<Outcome, KitError> {
        for (request_id, unsure, state) in self.entered {
            let state = match unsure && found {
                true => HistoryState::Compensated,
                false => state,
            };
            tx.undo_request(&request_id, state).await?;
        }
        Ok(match (self.has_effect || found, self.undone_before) {
            (true, _) => Outcome::Compensated,
            (false, true) => Outcome::AlreadyCompensated,
            (false, false) => Outcome::NothingToCompensate,
        })
    }
}

fn owed(step: &StepRequest, found: bool) -> OwedRow {
    OwedRow {
        step_id: step.step_id.to_string(),
        saga: step.saga_id.clone(),
        action: step.action.action.to_string(),
        proof: step.callback.as_ref().map(|callback| callback.proof.reveal().to_owned()),
        url: step.callback.as_ref().and_then(|callback| callback.url.clone()),
        found,
        outcome: None,
    }
}

/// Ends the undo of an action in a saga that was to be told of later: the host's last work, History, and the outcome
/// that is owed for each of its steps. Gives how many steps there were.
pub(crate) async fn finish<S: HistoryStore>(
    tx: &mut S::Tx,
    kit: &Kit<S>,
    (saga, action): (&SagaId, &str),
    work: impl for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<(), Refusal>> + Send,
) -> Result<usize, KitError> {
    let steps = tx.unfinished_steps(saga, action).await?;
    if steps.is_empty() {
        return Ok(0);
    }
    tx.savepoint().await?;
    let outcome = match guarded(async { work(&mut *tx).await }).await? {
        Ok(()) => {
            tx.release_savepoint().await?;
            let found = steps.iter().any(|step| step.found);
            meant(tx, kit, saga, action).await?.mark_undone(tx, found).await?
        }
        Err(refusal) => {
            tx.roll_back_to_savepoint().await?;
            tx.release_savepoint().await?;
            if refusal.finality == Finality::Passing {
                return Err(KitError::Unfinished(refusal.message));
            }
            Outcome::Refused
        }
    };
    for (place, step) in steps.iter().enumerate() {
        let outcome = match outcome {
            Outcome::Compensated if place > 0 => Outcome::AlreadyCompensated,
            outcome => outcome,
        };
        if outcome != Outcome::Refused {
            let (step_id, action) = (step.step_id.clone(), step.action.clone());
            let (saga, verb) = (step.saga.clone(), Verb::Compensate);
            tx.insert_step(&StepRow { step_id, saga, verb, action, outcome }).await?;
        }
        tx.end_owed(&step.step_id, outcome).await?;
    }
    Ok(steps.len())
}

/// Whether the request may have done something outside of the tables.
const fn is_uncertain(standing: Standing) -> bool {
    match standing {
        Standing::Running | Standing::Elsewhere | Standing::Abandoned | Standing::Unknown => true,
        Standing::Absent
        | Standing::Succeeded
        | Standing::Failed
        | Standing::Compensated
        | Standing::Fenced => false,
    }
}

/// Runs the host's undo if there is anything for it. When it cannot be done, only what it wrote is taken back.
///
/// # Errors
/// The outer one when the database cannot do even that; the whole transaction has to be rolled back then.
async fn undo_in<S: HistoryStore>(
    tx: &mut S::Tx,
    kit: &Kit<S>,
    undo: &Undo,
) -> Result<Result<(), NotDone>, KitError> {
    if undo.requests.is_empty() && undo.uncertain.is_empty() {
        return Ok(Ok(()));
    }
    let action = kit.work.actions.get(undo.action.as_str());
    let Some(by_host) = action.and_then(|action| action.undo.as_ref()) else {
        return Ok(match undo.requests.is_empty() {
            true => Ok(()),
            false => {
                let detail = format!(
                    "`{}.{}` took effect and has no compensation; correct the rulebook or add one",
                    kit.service(),
                    undo.action
                );
                Err(not_done(ProblemCode::Refused, detail))
            }
        });
    };
    tx.savepoint().await?;
    let undone = match guarded(async { by_host(&mut *tx, undo).await }).await {
        Ok(Ok(())) => match tx.release_savepoint().await {
            Ok(()) => return Ok(Ok(())),
            // A statement had failed and the host kept that to itself.
            Err(error) => NotDone::Kit(error),
        },
        Ok(Err(refusal)) => refusal.into(),
        Err(panic) => NotDone::Kit(panic),
    };
    tx.roll_back_to_savepoint().await?;
    tx.release_savepoint().await?;
    Ok(Err(undone))
}

async fn notify<S: HistoryStore>(
    tx: &mut S::Tx,
    kit: &Kit<S>,
    step: &StepRequest,
) -> Result<Outcome, NotDone> {
    let name = &*step.action.action;
    let first = tx.insert_notice(&step.saga_id, name).await?;
    if first && let Some(send) = kit.work.notices.get(name) {
        let carried_out = |row: &RequestRow| {
            matches!(row.state, HistoryState::Succeeded | HistoryState::Compensated)
                && row.answer.is_some()
        };
        let requests = tx.requests_of(&step.saga_id, None).await?;
        let notice = Notice {
            saga: step.saga_id.clone(),
            name: name.to_owned(),
            requests: requests.into_iter().filter(carried_out).map(done_request).collect(),
            report: step.report.clone(),
            data: step.data.clone(),
        };
        guarded(async { send(&mut *tx, &notice).await }).await??;
    }
    Ok(Outcome::Notified)
}

async fn retry<S: HistoryStore>(kit: &Kit<S>, step: StepRequest) -> Result<StepAnswer, NotDone> {
    let (running, asked) = (kit.inner.running.clone(), step.clone());
    let admission = kit
        .write(Some(&step.saga_id), move |tx| {
            Box::pin(async move {
                if let Some(outcome) = remembered(tx, Verb::Retry, &asked).await? {
                    return Ok(Err(answer(tx, &asked.saga_id, outcome).await?));
                }
                let (saga, action) = (&asked.saga_id, &*asked.action.action);
                let admission =
                    ledger::rerun(tx, &running, saga, action, &asked.request_ids).await?;
                Ok::<_, NotDone>(Ok(admission))
            })
        })
        .await?;
    let admission = match admission {
        Err(answered) => return Ok(answered),
        Ok(Admission::Run(row, guard)) => match execute(kit, row, guard, Reporting::No).await {
            Ended::Succeeded(answer) => Admission::Replay(answer),
            Ended::Failed(answer) => {
                let said = answer.body["detail"].as_str().unwrap_or("no detail");
                let detail = format!("it failed again: {said}");
                return Err(not_done(ProblemCode::Unavailable, detail));
            }
            Ended::Fenced => Admission::Fenced,
            // Whoever took it over is at it, or has ended it otherwise; the next attempt finds out.
            Ended::Lost(_) => Admission::Busy,
            Ended::Broken(error) => return Err(NotDone::Kit(error)),
        },
        Ok(admission) => admission,
    };
    match admission {
        Admission::Replay(_) => {}
        Admission::Busy | Admission::Run(..) => {
            return Err(not_done(ProblemCode::InProgress, "the request is still running"));
        }
        Admission::Fenced => {
            let detail =
                format!("saga `{}` is being undone here, so nothing runs again", step.saga_id);
            return Err(not_done(ProblemCode::Refused, detail));
        }
        Admission::Missing | Admission::KeyReused => {
            let detail =
                format!("no request of `{}` is known in saga `{}`", step.action, step.saga_id);
            return Err(not_done(ProblemCode::NotFound, detail));
        }
    }
    let saga = step.saga_id.clone();
    kit.write(Some(&saga), move |tx| {
        Box::pin(async move {
            tx.insert_step(&done_step(Verb::Retry, &step, Outcome::Retried)).await?;
            Ok(answer(tx, &step.saga_id, Outcome::Retried).await?)
        })
    })
    .await
}

/// The outcome that an earlier attempt of the same step had.
async fn remembered<T: HistoryTx>(
    tx: &mut T,
    verb: Verb,
    step: &StepRequest,
) -> Result<Option<Outcome>, NotDone> {
    let Some(found) = tx.find_step(&step.step_id.to_string()).await? else {
        return Ok(None);
    };
    if found.saga != step.saga_id || found.verb != verb || found.action != *step.action.action {
        let detail = format!("step `{}` asked for something else before", step.step_id);
        return Err(not_done(ProblemCode::KeyReused, detail));
    }
    Ok(Some(found.outcome))
}

fn done_step(verb: Verb, step: &StepRequest, outcome: Outcome) -> StepRow {
    StepRow {
        step_id: step.step_id.to_string(),
        saga: step.saga_id.clone(),
        verb,
        action: step.action.action.to_string(),
        outcome,
    }
}

async fn answer<T: HistoryTx>(
    tx: &mut T,
    saga: &SagaId,
    outcome: Outcome,
) -> Result<StepAnswer, KitError> {
    let mut history: Vec<Evidence> = tx.calls_of(saga).await?;
    history.retain(|call| call.state.may_have_effect());
    Ok(StepAnswer { outcome, message: None, history: history.into() })
}

fn done_request(row: RequestRow) -> DoneRequest {
    DoneRequest {
        id: row.request.request_id,
        action: row.request.action,
        body: row.request.body,
        answer: row.answer.map_or(Value::Null, |answer| answer.body),
    }
}
