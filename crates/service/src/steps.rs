//! The supervisor's steps: `compensate`, `retry`, `notify`. Each is decided and done in one transaction (a retry in
//! two, with the handler between them), and its outcome is remembered under the step's id. Of a `compensate` that
//! cannot be done, the fence alone is kept.

use crate::config::KitError;
use crate::database::attempt;
use crate::failure::{Finality, Refusal};
use crate::forward::{Ended, Reporting, execute};
use crate::history::{Event, Fence, Standing, Verdict, decide};
use crate::kit::{Kit, now_ms};
use crate::ledger::{self, Admission};
use crate::report;
use crate::rows::{self, RequestRow, corrupt};
use crate::undo::{DoneRequest, Notice, UncertainRequest, Undo};
use amends_protocol::{
    Evidence, HistoryState, Outcome, Problem, ProblemCode, SagaId, StepAnswer, StepRequest, Verb,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;
use std::cell::Cell;

/// Why a step has no outcome; the problem that the supervisor gets.
#[derive(Debug)]
pub(crate) enum NotDone {
    Problem(Problem),
    Kit(KitError),
}

impl From<KitError> for NotDone {
    fn from(error: KitError) -> Self {
        Self::Kit(error)
    }
}

impl From<rusqlite::Error> for NotDone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Kit(error.into())
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
pub(crate) async fn perform(
    kit: Kit,
    verb: Verb,
    step: StepRequest,
) -> Result<StepAnswer, NotDone> {
    let action = step.action.action.to_string();
    let known = match verb {
        Verb::Compensate | Verb::Retry => kit.inner.actions.contains_key(action.as_str()),
        Verb::Notify => kit.inner.notices.contains_key(action.as_str()),
    };
    if !known {
        let what = if verb == Verb::Notify { "notice" } else { "action" };
        let detail =
            format!("`{}` has no {what} `{action}`; correct the rulebook", kit.inner.service);
        return Err(not_done(ProblemCode::NotFound, detail));
    }
    match verb {
        Verb::Retry => retry(kit, step).await,
        Verb::Compensate | Verb::Notify => {
            let database = kit.inner.database.clone();
            database
                .write(move |tx| {
                    if let Some(outcome) = remembered(tx, verb, &step)? {
                        return Ok(Ok(answer(tx, &step.saga_id, outcome)?));
                    }
                    let outcome = match verb {
                        Verb::Compensate => match compensate(tx, &kit, &step)? {
                            Ok(outcome) => outcome,
                            Err(why) => return Ok(Err(why)),
                        },
                        Verb::Notify | Verb::Retry => notify(tx, &kit, &step)?,
                    };
                    remember(tx, verb, &step, outcome)?;
                    Ok::<_, NotDone>(Ok(answer(tx, &step.saga_id, outcome)?))
                })
                .await?
        }
    }
}

/// The inner error says why the undo cannot be done; the fence is up all the same, and to be committed.
fn compensate(
    tx: &Transaction<'_>,
    kit: &Kit,
    step: &StepRequest,
) -> Result<Result<Outcome, NotDone>, NotDone> {
    let (saga, action) = (&step.saga_id, &*step.action.action);
    let mut done = Vec::new();
    let mut uncertain = Vec::new();
    let mut entered = Vec::new();
    let mut undone_before = false;
    for row in rows::of_action(tx, saga, action)? {
        let standing = Standing::of(row.state, kit.inner.running.contains(&row.request_id));
        undone_before |= standing == Standing::Compensated;
        let Verdict::Enter(state) = decide(standing, Fence::Up, Event::Compensate) else {
            continue;
        };
        entered.push((row.request_id.clone(), standing, state));
        match standing {
            Standing::Succeeded => done.push(done_request(row)?),
            Standing::Running | Standing::Abandoned | Standing::Unknown => {
                uncertain.push(UncertainRequest { id: row.request_id, body: row.body });
            }
            Standing::Absent | Standing::Failed | Standing::Compensated | Standing::Fenced => {}
        }
    }
    let undo = Undo {
        saga,
        action,
        requests: &done,
        uncertain: &uncertain,
        report: &step.report,
        data: &step.data,
        found: Cell::new(false),
    };
    // INVARIANT: nothing of the action takes effect once a compensation was answered, refusals included: what a
    // person sees when it was refused is what there is to decide about.
    ledger::put_fence(tx, saga, action)?;
    let undone = match attempt(tx, || undo_in(tx, kit, &undo))? {
        Ok(undone) => undone,
        Err(why) => return Ok(Err(why)),
    };
    for (request_id, standing, state) in entered {
        let unsure =
            matches!(standing, Standing::Running | Standing::Abandoned | Standing::Unknown);
        let state = match unsure && undo.found.get() {
            true => HistoryState::Compensated,
            false => state,
        };
        ledger::set_undone(tx, &request_id, state)?;
    }
    Ok(Ok(match (undone, undone_before) {
        (true, _) => Outcome::Compensated,
        (false, true) => Outcome::AlreadyCompensated,
        (false, false) => Outcome::NothingToCompensate,
    }))
}

/// Runs the host's undo if there is anything for it; says whether something was undone.
fn undo_in(tx: &Transaction<'_>, kit: &Kit, undo: &Undo<'_>) -> Result<bool, NotDone> {
    if undo.requests.is_empty() && undo.uncertain.is_empty() {
        return Ok(false);
    }
    let by_host = kit.inner.actions.get(undo.action).and_then(|action| action.undo.as_ref());
    match by_host {
        Some(by_host) => by_host(tx, undo)?,
        None if undo.requests.is_empty() => {}
        None => {
            let detail = format!(
                "`{}.{}` took effect and has no compensation; correct the rulebook or add one",
                kit.inner.service, undo.action
            );
            return Err(not_done(ProblemCode::Refused, detail));
        }
    }
    Ok(!undo.requests.is_empty() || undo.found.get())
}

fn notify(tx: &Transaction<'_>, kit: &Kit, step: &StepRequest) -> Result<Outcome, NotDone> {
    let name = &*step.action.action;
    let first = tx.execute(
        "INSERT OR IGNORE INTO amends_notices (saga, notice, sent_at) VALUES (?1, ?2, ?3)",
        params![step.saga_id.as_str(), name, now_ms()],
    )? == 1;
    if first && let Some(send) = kit.inner.notices.get(name) {
        let carried_out = |row: &RequestRow| {
            matches!(row.state, HistoryState::Succeeded | HistoryState::Compensated)
        };
        let requests = rows::of_saga(tx, &step.saga_id)?
            .into_iter()
            .filter(carried_out)
            .filter(|row| row.answer.is_some())
            .map(done_request)
            .collect::<Result<Vec<_>, _>>()?;
        let notice = Notice {
            saga: &step.saga_id,
            name,
            requests: &requests,
            report: &step.report,
            data: &step.data,
        };
        send(tx, &notice)?;
    }
    Ok(Outcome::Notified)
}

async fn retry(kit: Kit, step: StepRequest) -> Result<StepAnswer, NotDone> {
    let (running, asked) = (kit.inner.running.clone(), step.clone());
    let admission = kit
        .inner
        .database
        .write(move |tx| {
            if let Some(outcome) = remembered(tx, Verb::Retry, &asked)? {
                return Ok(Err(answer(tx, &asked.saga_id, outcome)?));
            }
            let (saga, action) = (&asked.saga_id, &*asked.action.action);
            let admission = ledger::rerun(tx, &running, saga, action, &asked.request_ids)?;
            Ok::<_, NotDone>(Ok(admission))
        })
        .await?;
    let fenced = || {
        let detail = format!("saga `{}` is being undone here, so nothing runs again", step.saga_id);
        not_done(ProblemCode::Refused, detail)
    };
    match admission {
        Err(answered) => return Ok(answered),
        Ok(Admission::Replay(_)) => {}
        Ok(Admission::Run(row, guard)) => match execute(&kit, row, guard, Reporting::No).await {
            Ended::Succeeded(_) => {}
            Ended::Failed(answer) => {
                let said = answer.body["detail"].as_str().unwrap_or("no detail").to_owned();
                return Err(not_done(ProblemCode::Unavailable, format!("it failed again: {said}")));
            }
            Ended::Fenced => return Err(fenced()),
            Ended::Broken(error) => return Err(NotDone::Kit(error)),
        },
        Ok(Admission::Busy) => {
            return Err(not_done(ProblemCode::InProgress, "the request is still running"));
        }
        Ok(Admission::Fenced) => return Err(fenced()),
        Ok(Admission::Missing | Admission::KeyReused) => {
            let detail =
                format!("no request of `{}` is known in saga `{}`", step.action, step.saga_id);
            return Err(not_done(ProblemCode::NotFound, detail));
        }
    }
    kit.inner
        .database
        .write(move |tx| {
            remember(tx, Verb::Retry, &step, Outcome::Retried)?;
            answer(tx, &step.saga_id, Outcome::Retried)
        })
        .await
}

/// The outcome that an earlier attempt of the same step had.
fn remembered(
    tx: &Transaction<'_>,
    verb: Verb,
    step: &StepRequest,
) -> Result<Option<Outcome>, NotDone> {
    let found: Option<[String; 4]> = tx
        .prepare_cached("SELECT saga, verb, action, outcome FROM amends_steps WHERE step_id = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([step.step_id.to_string()], |row| {
                    Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
                })
                .optional()
        })?;
    let Some([saga, by, action, outcome]) = found else {
        return Ok(None);
    };
    if saga != step.saga_id.as_str() || by != verb.as_str() || action != *step.action.action {
        let detail = format!("step `{}` asked for something else before", step.step_id);
        return Err(not_done(ProblemCode::KeyReused, detail));
    }
    Ok(Some(outcome.parse().map_err(corrupt)?))
}

fn remember(
    tx: &Transaction<'_>,
    verb: Verb,
    step: &StepRequest,
    outcome: Outcome,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO amends_steps (step_id, saga, verb, action, outcome, done_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            step.step_id.to_string(),
            step.saga_id.as_str(),
            verb.as_str(),
            &*step.action.action,
            outcome.as_str(),
            now_ms()
        ],
    )?;
    Ok(())
}

fn answer(connection: &Connection, saga: &SagaId, outcome: Outcome) -> Result<StepAnswer, NotDone> {
    let history: Vec<Evidence> = report::calls(connection, saga)?
        .into_iter()
        .filter(|call| call.state.may_have_effect())
        .collect();
    Ok(StepAnswer { outcome, message: None, history })
}

fn done_request(row: RequestRow) -> Result<DoneRequest, KitError> {
    Ok(DoneRequest {
        id: row.request_id,
        action: row.action,
        body: row.body,
        answer: row.answer.map_or(Value::Null, |answer| answer.body),
    })
}
