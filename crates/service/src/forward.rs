//! Forward actions: takes a request into History, runs its handler, commits its effect or its failure. A request that
//! began goes on even when its caller hangs up.

use crate::answer;
use crate::config::KitError;
use crate::context::{ActionContext, Effect};
use crate::failure::{Failure, RolledBack};
use crate::guarded::guarded;
use crate::kit::Kit;
use crate::ledger::{self, Admission, Arrived, Failed, Finish};
use crate::local::{self, Entered};
use crate::observer::ReportNews;
use crate::running::RunningGuard;
use crate::saga_context::{PassedOn, SagaContext};
use crate::store::{HistoryStore, NewRequest, RequestRow, StoredAnswer, corrupt};
use amends_protocol::{HistoryState, ProblemCode, SagaId};
use axum::body::Bytes;
use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// A forward request before it is in History.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) saga: Option<SagaId>,
    pub(crate) request_id: String,
    pub(crate) action: String,
    pub(crate) body: Value,
    pub(crate) passed_on: PassedOn,
}

/// Answers `POST /{action}`.
pub(crate) async fn forward<S: HistoryStore>(
    kit: Kit<S>,
    action: String,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let context = match SagaContext::read(headers) {
        Ok(context) => context,
        Err(problem) => return answer::problem(&problem),
    };
    let saga = context.saga.clone();
    let request_id = context.request_id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let name = |response, saga: Option<&SagaId>| answer::named(response, saga, Some(&request_id));
    let refuse = |code, detail: String| name(answer::refuse(code, detail), saga.as_ref());
    if !kit.work.actions.contains_key(action.as_str()) {
        let detail = format!("`{}` has no action `{action}`", kit.service());
        return refuse(ProblemCode::NotFound, detail);
    }
    if saga.is_none() && !kit.inner.config.starts_sagas {
        let detail = format!(
            "`{}` begins no sagas, and this request names none; send the header `Saga-Id`",
            kit.service()
        );
        return refuse(ProblemCode::InvalidRequest, detail);
    }
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => {
            let detail = format!("the body of `{action}` is not JSON: {error}");
            return refuse(ProblemCode::InvalidRequest, detail);
        }
    };
    let mut passed_on = context.passed_on;
    if context.saga.is_none() {
        passed_on.entry = Some(format!("{}.{action}", kit.service()));
    }
    let arrival =
        Arrival { saga: context.saga, request_id: request_id.clone(), action, body, passed_on };
    // In a task of its own: the caller's connection may go away at any time.
    match tokio::spawn(take(kit, arrival)).await {
        Ok((saga, response)) => name(response, saga.as_ref()),
        Err(error) => {
            let error = KitError::Panicked(error.to_string());
            name(answer::broken(ProblemCode::Internal, &error), saga.as_ref())
        }
    }
}

/// Takes a request in and sees it to its end. Gives its saga, which may be new, and the answer.
pub(crate) async fn take<S: HistoryStore>(
    kit: Kit<S>,
    arrival: Arrival,
) -> (Option<SagaId>, Response) {
    let (given, action, began) = (arrival.saga.clone(), arrival.action.clone(), Instant::now());
    let (saga, taken) = match admit(&kit, arrival).await {
        Ok(taken) => taken,
        // Also when it is certain that nothing was written now: the same request may have come before, so nothing may be
        // said about its effect.
        Err(error) => return (given, answer::broken(ProblemCode::Internal, &error)),
    };
    let response = match taken {
        Taken::Ended(ended, answer, guard) => {
            // INVARIANT: the run counts as under way until its end is written.
            drop(guard);
            kit.inner.observer.request_ended(&action, ended, began.elapsed());
            answer::stored(&answer)
        }
        Taken::Here(Admission::Run(row, guard)) => {
            match execute(&kit, row, guard, Reporting::Yes).await {
                Ended::Succeeded(answer) | Ended::Failed(answer) => answer::stored(&answer),
                Ended::Fenced => answer::problem(&answer::fenced(&saga)),
                Ended::Lost(admission) => told(&saga, admission),
                Ended::Broken(error) => answer::broken(ProblemCode::Internal, &error),
            }
        }
        Taken::Here(other) => told(&saga, other),
    };
    (Some(saga), response)
}

/// What a request came to when it was taken in.
enum Taken {
    Here(Admission),
    /// It was local, and is over.
    Ended(HistoryState, StoredAnswer, Option<RunningGuard>),
}

/// The saga is the one that is named, or that of the request's first arrival, or a new one.
async fn admit<S: HistoryStore>(
    kit: &Kit<S>,
    arrival: Arrival,
) -> Result<(SagaId, Taken), KitError> {
    let local = kit.work.actions.get(arrival.action.as_str()).and_then(|a| a.local.clone());
    let mut named = arrival.saga.is_some();
    let saga = match arrival.saga {
        Some(saga) => saga,
        None => SagaId::new(&Uuid::now_v7().to_string()).map_err(corrupt)?,
    };
    let mut request = NewRequest {
        request_id: arrival.request_id,
        saga,
        fingerprint: fingerprint(&arrival.action, &arrival.body),
        action: arrival.action,
        body: arrival.body,
        passed_on: arrival.passed_on,
    };
    loop {
        let entered = match &local {
            Some(work) => {
                let span = action_span(kit, &request, 1);
                local::enter(kit, work, &request, named).instrument(span).await?
            }
            None => {
                let (running, asked) = (kit.inner.running.clone(), request.clone());
                let arrived = kit.write(Some(&request.saga), move |tx| {
                    Box::pin(async move { ledger::arrive(tx, &running, asked, named).await })
                });
                Entered::Arrived(arrived.await?)
            }
        };
        let taken = match entered {
            Entered::Arrived(Arrived::Here(admission)) => Taken::Here(admission),
            // Once at most: then the saga is named.
            Entered::Arrived(Arrived::In(saga)) => {
                (request.saga, named) = (saga, true);
                continue;
            }
            Entered::Succeeded(answer) => Taken::Ended(HistoryState::Succeeded, answer, None),
            Entered::Failed(answer, guard) => {
                Taken::Ended(failed_state(&answer), answer, Some(guard))
            }
        };
        return Ok((request.saga, taken));
    }
}

/// The answer to a request that does not run here and now.
fn told(saga: &SagaId, admission: Admission) -> Response {
    match admission {
        Admission::Replay(answer) => answer::stored(&answer),
        Admission::Busy => answer::refuse(
            ProblemCode::InProgress,
            "the same request is still running; ask again with the same request id",
        ),
        Admission::Fenced => answer::problem(&answer::fenced(saga)),
        Admission::KeyReused => answer::refuse(
            ProblemCode::KeyReused,
            "this request id was used before with another saga, action or body; use a new one for a new request",
        ),
        Admission::Missing | Admission::Run(..) => {
            answer::refuse(ProblemCode::NotFound, "there is no such request")
        }
    }
}

/// Whether a failure is news for the supervisor. A `retry` step gets its failure as the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reporting {
    Yes,
    No,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Succeeded(StoredAnswer),
    Failed(StoredAnswer),
    Fenced,
    /// Somebody else has decided about the request; what its caller is told.
    Lost(Admission),
    /// The kit could not write the end; nobody knows, until the sweep has found the row.
    Broken(KitError),
}

impl Ended {
    /// What History says now; of a lost run somebody else tells.
    fn state(&self) -> Option<HistoryState> {
        match self {
            Self::Succeeded(_) => Some(HistoryState::Succeeded),
            Self::Failed(answer) => Some(failed_state(answer)),
            Self::Fenced => Some(HistoryState::Fenced),
            Self::Lost(_) => None,
            Self::Broken(_) => Some(HistoryState::Started),
        }
    }
}

fn failed_state(answer: &StoredAnswer) -> HistoryState {
    match answer.is_unsure() {
        true => HistoryState::Unknown,
        false => HistoryState::Failed,
    }
}

fn action_span<S: HistoryStore>(kit: &Kit<S>, request: &NewRequest, run: i64) -> tracing::Span {
    tracing::info_span!(
        "action",
        service = kit.service(),
        action = request.action,
        saga = %request.saga,
        request = request.request_id,
        run,
    )
}

/// Runs a request that is `started`: its handler, then its effect and History row in one transaction, or else its
/// failure and report in one transaction.
pub(crate) async fn execute<S: HistoryStore>(
    kit: &Kit<S>,
    row: Arc<RequestRow>,
    guard: RunningGuard,
    reporting: Reporting,
) -> Ended {
    let began = Instant::now();
    let span = action_span(kit, &row.request, row.run);
    let ended = run(kit, &row, reporting).instrument(span).await;
    // INVARIANT: the run counts as under way until its end is written, or could not be.
    drop(guard);
    if let Some(state) = ended.state() {
        kit.inner.observer.request_ended(&row.request.action, state, began.elapsed());
    }
    ended
}

async fn run<S: HistoryStore>(kit: &Kit<S>, row: &Arc<RequestRow>, reporting: Reporting) -> Ended {
    let failure = match attempt(kit, row).await {
        Ok(Committed::Done(answer)) => return Ended::Succeeded(answer),
        Ok(Committed::Fenced) => return Ended::Fenced,
        Ok(Committed::Lost(admission)) => return Ended::Lost(admission),
        Err(RolledBack::Failure(failure)) => failure,
        Err(RolledBack::Kit(KitError::Panicked(text))) => Failure::panicked(text),
        // Also when nobody knows whether it committed: `fail` looks at the row, after whatever the database still does
        // about it, and a request that did succeed is answered so.
        Err(RolledBack::Kit(error)) => Failure::not_committed(&error),
    };
    tracing::info!(%failure, "an action failed");
    let news = reporting == Reporting::Yes;
    let (own, row) = (kit.clone(), row.clone());
    let failed = kit
        .write(Some(&row.request.saga.clone()), move |tx| {
            Box::pin(async move {
                let (running, service) = (&own.inner.running, own.service());
                ledger::fail(tx, running, service, &row, &failure, news).await
            })
        })
        .await;
    match failed {
        Ok(Failed::Answer { answer, reported }) => {
            if reported {
                kit.report_queued();
            }
            Ended::Failed(answer)
        }
        Ok(Failed::Fenced) => Ended::Fenced,
        Ok(Failed::Lost(Admission::Replay(answer))) if answer.status == 200 => {
            Ended::Succeeded(answer)
        }
        Ok(Failed::Lost(admission)) => Ended::Lost(admission),
        Err(error) => Ended::Broken(error),
    }
}

impl<S: HistoryStore> Kit<S> {
    /// A report is in the outbox.
    pub(crate) fn report_queued(&self) {
        self.inner.observer.report(ReportNews::Queued);
        self.inner.outbox_filled.notify_one();
    }
}

/// What the transaction of an effect came to.
enum Committed {
    Done(StoredAnswer),
    Fenced,
    Lost(Admission),
}

async fn attempt<S: HistoryStore>(
    kit: &Kit<S>,
    row: &Arc<RequestRow>,
) -> Result<Committed, RolledBack> {
    let context = ActionContext::new(Arc::clone(&kit.inner), row.clone());
    let handling = async {
        match kit.work.actions.get(row.request.action.as_str()) {
            Some(action) => (action.handler)(context.clone(), row.request.body.clone()).await,
            None => {
                let message = format!("there is no action `{}`", row.request.action);
                Err(Failure::new("no-action", message))
            }
        }
    };
    let effect = guarded(handling)
        .await?
        .map_err(|failure| RolledBack::Failure(context.calls.blame(failure)))?;
    let (running, row) = (kit.inner.running.clone(), row.clone());
    kit.write(Some(context.saga()), move |tx| {
        Box::pin(async move { commit(tx, &running, &row, effect).await })
    })
    .await
}

/// INVARIANT: where the request and its fence stand is looked at in the transaction that holds the effect; and something
/// of ours is written after the effect, so that a failed statement that the host kept to itself is found out.
async fn commit<S: HistoryStore>(
    tx: &mut S::Tx,
    running: &crate::running::Running,
    row: &RequestRow,
    effect: Effect<S>,
) -> Result<Committed, RolledBack> {
    match ledger::may_commit(tx, running, row).await? {
        Finish::Done => {}
        Finish::Fenced => return Ok(Committed::Fenced),
        Finish::Lost(admission) => return Ok(Committed::Lost(admission)),
    }
    let value =
        guarded(async { (effect.run)(&mut *tx).await }).await?.map_err(RolledBack::Failure)?;
    Ok(Committed::Done(ledger::succeed(tx, row, value).await?))
}

/// SHA-256 over action and body. The body is taken as a value, so that white space and the order of members, which
/// may differ between two repetitions of one request, don't make it another request.
fn fingerprint(action: &str, body: &Value) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(action.len().to_le_bytes());
    digest.update(action);
    digest_value(body, &mut digest);
    digest.finalize().to_vec()
}

/// Feeds a value with its members in order. As deep as the value, which the JSON reader limits to 128 levels.
fn digest_value(value: &Value, digest: &mut Sha256) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            digest.update(b"{");
            for (key, value) in members {
                digest.update(Value::from(key.as_str()).to_string());
                digest.update(b":");
                digest_value(value, digest);
                digest.update(b",");
            }
            digest.update(b"}");
        }
        Value::Array(items) => {
            digest.update(b"[");
            for item in items {
                digest_value(item, digest);
                digest.update(b",");
            }
            digest.update(b"]");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            digest.update(value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fingerprint;
    use serde_json::{Value, json};

    #[test]
    fn the_same_contents_have_the_same_fingerprint_however_they_are_written() {
        let read = |text| serde_json::from_str::<Value>(text).expect("JSON");
        let one = fingerprint("pay", &read(r#"{"a": [1, {"x": "y", "z": null}], "b": true}"#));
        assert_eq!(one, fingerprint("pay", &read(r#"{"b":true,"a":[1,{"z":null,"x":"y"}]}"#)));
        for other in [
            json!({"a": [1], "b": true}),
            json!([1, 2]),
            json!([12]),
            json!([[1], 2]),
            json!({"a": "1"}),
        ] {
            assert_ne!(one, fingerprint("pay", &other), "{other}");
        }
        assert_ne!(fingerprint("pay", &json!([1, 2])), fingerprint("pay", &json!([12])));
        assert_ne!(
            one,
            fingerprint("refund", &read(r#"{"a": [1, {"x": "y", "z": null}], "b": true}"#))
        );
    }
}
