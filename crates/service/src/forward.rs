//! Forward actions: takes a request into History, runs its handler, commits its effect or its failure. A request that
//! began goes on even when its caller hangs up.

use crate::answer;
use crate::config::KitError;
use crate::context::ActionContext;
use crate::database::panic_text;
use crate::failure::Failure;
use crate::kit::{Kit, RunningGuard};
use crate::ledger::{self, Admission, Arrival, Finish};
use crate::rows::{RequestRow, StoredAnswer};
use crate::saga_context::SagaContext;
use amends_protocol::{ProblemCode, SagaId};
use axum::body::Bytes;
use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;

/// Answers `POST /{action}`.
pub(crate) async fn forward(
    kit: Kit,
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
    if !kit.inner.actions.contains_key(action.as_str()) {
        let detail = format!("`{}` has no action `{action}`", kit.inner.service);
        let response = answer::refuse(ProblemCode::NotFound, detail);
        return name(response, saga.as_ref());
    }
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => {
            let detail = format!("the body of `{action}` is not JSON: {error}");
            let response = answer::refuse(ProblemCode::InvalidRequest, detail);
            return name(response, saga.as_ref());
        }
    };
    let arrival = Arrival {
        saga: context.saga,
        request_id: request_id.clone(),
        fingerprint: fingerprint(&action, &body),
        action,
        body,
        passed_on: context.passed_on,
    };
    // In a task of its own: the caller's connection may go away at any time.
    match tokio::spawn(take(kit, arrival)).await {
        Ok((saga, response)) => name(response, saga.as_ref()),
        Err(error) => {
            let error = KitError::Panicked(error.to_string());
            name(answer::broken(ProblemCode::Internal, &error), saga.as_ref())
        }
    }
}

async fn take(kit: Kit, arrival: Arrival) -> (Option<SagaId>, Response) {
    let given = arrival.saga.clone();
    let running = kit.inner.running.clone();
    let taken = kit.inner.database.write(move |tx| ledger::arrive(tx, &running, arrival)).await;
    let (saga, admission) = match taken {
        Ok(taken) => taken,
        Err(error) => return (given, answer::broken(ProblemCode::Internal, &error)),
    };
    let response = match admission {
        Admission::Run(row, guard) => match execute(&kit, row, guard, Reporting::Yes).await {
            Ended::Succeeded(answer) | Ended::Failed(answer) => answer::stored(&answer),
            Ended::Fenced => fenced(&saga),
            Ended::Broken(error) => answer::broken(ProblemCode::Internal, &error),
        },
        Admission::Replay(answer) => answer::stored(&answer),
        Admission::Busy => answer::refuse(
            ProblemCode::InProgress,
            "the same request is still running; ask again with the same request id",
        ),
        Admission::Fenced => fenced(&saga),
        Admission::KeyReused => answer::refuse(
            ProblemCode::KeyReused,
            "this request id was used before with another saga, action or body; use a new one for a new request",
        ),
        Admission::Missing => answer::refuse(ProblemCode::NotFound, "there is no such request"),
    };
    (Some(saga), response)
}

fn fenced(saga: &SagaId) -> Response {
    answer::problem(&answer::fenced(saga))
}

/// Whether a failure is news for the supervisor. A `retry` step gets its failure as the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reporting {
    Yes,
    No,
}

/// How the run of a request ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Succeeded(StoredAnswer),
    Failed(StoredAnswer),
    /// A compensation came first: nothing took effect.
    Fenced,
    /// The database failed; the request stays `started` and the sweep will report it.
    Broken(KitError),
}

/// Runs a request that is `started`: its handler, then its effect and History row in one transaction, or else its
/// failure and report in one transaction.
pub(crate) async fn execute(
    kit: &Kit,
    row: Arc<RequestRow>,
    guard: RunningGuard,
    reporting: Reporting,
) -> Ended {
    let failure = match attempt(kit, &row).await {
        Ok(answer) => return Ended::Succeeded(answer),
        Err(Unfinished::Fenced) => return Ended::Fenced,
        Err(Unfinished::Kit(KitError::Panicked(text))) => Failure::panicked(text),
        Err(Unfinished::Kit(error)) => return Ended::Broken(error),
        Err(Unfinished::Failure(failure)) => failure,
    };
    tracing::info!(saga = %row.saga, action = row.action, request = row.request_id, %failure, "an action failed");
    let (running, service) = (kit.inner.running.clone(), kit.inner.service.clone());
    let failed = kit
        .inner
        .database
        .write(move |tx| {
            let reported = reporting == Reporting::Yes;
            ledger::fail(tx, &running, &service, &row, &failure, reported)
        })
        .await;
    drop(guard);
    match failed {
        Ok(Some(answer)) => {
            kit.inner.outbox_filled.notify_one();
            Ended::Failed(answer)
        }
        Ok(None) => Ended::Fenced,
        Err(error) => Ended::Broken(error),
    }
}

/// Why a request did not come to its end; rolls back the transaction that it is returned from.
enum Unfinished {
    Failure(Failure),
    Fenced,
    Kit(KitError),
}

impl From<KitError> for Unfinished {
    fn from(error: KitError) -> Self {
        Self::Kit(error)
    }
}

async fn attempt(kit: &Kit, row: &Arc<RequestRow>) -> Result<StoredAnswer, Unfinished> {
    let context = ActionContext::new(kit.clone(), row.clone());
    let handling = {
        let kit = kit.clone();
        let row = row.clone();
        // A task of its own turns a panic of the handler into a value.
        tokio::spawn(async move {
            match kit.inner.actions.get(row.action.as_str()) {
                Some(action) => (action.handler)(context, row.body.clone()).await,
                None => {
                    Err(Failure::new("no-action", format!("there is no action `{}`", row.action)))
                }
            }
        })
    };
    let effect = match handling.await {
        Ok(Ok(effect)) => effect,
        Ok(Err(failure)) => return Err(Unfinished::Failure(failure)),
        Err(error) if error.is_panic() => {
            let text = panic_text(&*error.into_panic());
            return Err(Unfinished::Kit(KitError::Panicked(text)));
        }
        Err(_) => return Err(Unfinished::Kit(KitError::Closed)),
    };
    let (running, row) = (kit.inner.running.clone(), row.clone());
    let value = kit
        .inner
        .database
        .write(move |tx| {
            // INVARIANT: the fence is looked at in the transaction that holds the effect.
            if ledger::may_commit(tx, &running, &row.request_id)? == Finish::Fenced {
                ledger::turn_away(tx, &running, &row)?;
                return Ok(None);
            }
            let value = (effect.run)(tx).map_err(Unfinished::Failure)?;
            match ledger::succeed(tx, &running, &row.request_id, &value)? {
                Finish::Done => Ok(Some(value)),
                Finish::Fenced => Err(Unfinished::Fenced),
            }
        })
        .await?
        .ok_or(Unfinished::Fenced)?;
    Ok(StoredAnswer { status: 200, body: value, report: None })
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
