//! Calls to other services: written down before they are sent, judged by what their answer proves, written down again.

use crate::config::KitError;
use crate::failure::CallFailed;
use crate::history::Fence;
use crate::kit::{Kit, now_ms};
use crate::rows::{RequestRow, state_of};
use crate::saga_context::put;
use crate::transport::Reply;
use amends_protocol::{HistoryState, Problem, ProblemCode, headers};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri, header};
use rusqlite::{Transaction, params};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Pause before a call is repeated that the callee says is still running: short against the call's time limit, long
/// against the callee's work of asking its History.
const STILL_RUNNING_PAUSE: Duration = Duration::from_millis(50);

/// Calls that one request may make. Every one is evidence in reports and answers, which have a size limit.
const CALLS_PER_REQUEST: u32 = 1_000;

impl Kit {
    /// Makes one recorded call of `request`.
    pub(crate) async fn call(
        &self,
        request: &RequestRow,
        base_url: &str,
        service: &str,
        action: &str,
        call_id: &str,
        body: &Value,
    ) -> Result<Value, CallFailed> {
        let failed = |state, detail: String| CallFailed {
            service: service.to_owned(),
            action: action.to_owned(),
            request_id: call_id.to_owned(),
            state,
            status: None,
            report: None,
            problem: None,
            detail,
        };
        let address = format!("{}/{action}", base_url.trim_end_matches('/'));
        let uri: Uri = address.parse().map_err(|error| {
            failed(HistoryState::Failed, format!("`{address}` is not a URL: {error}"))
        })?;
        let begun = self
            .begin_call(request, service, action, call_id)
            .await
            .map_err(|error| failed(HistoryState::Failed, format!("not sent: {error}")))?;
        match begun {
            Begun::Yes => {}
            Begun::Fenced => {
                let mut refused =
                    failed(HistoryState::Failed, "not sent: the saga is being undone".to_owned());
                refused.problem = Some(fenced_problem(request));
                return Err(refused);
            }
            Begun::TooMany => {
                let detail = format!("not sent: a request may make {CALLS_PER_REQUEST} calls");
                return Err(failed(HistoryState::Failed, detail));
            }
        }
        let result = self.exchange(request, uri, call_id, body).await;
        let state = match &result {
            Ok(_) => HistoryState::Succeeded,
            Err(bad) => bad.state,
        };
        if let Err(error) = self.end_call(call_id, state).await {
            // It stays `started`, which counts as "may have happened".
            tracing::error!(%error, call_id, "the result of a call cannot be recorded");
        }
        result.map_err(|bad| CallFailed {
            service: service.to_owned(),
            action: action.to_owned(),
            request_id: call_id.to_owned(),
            state: bad.state,
            status: bad.status,
            report: bad.report,
            problem: bad.problem,
            detail: bad.detail,
        })
    }

    async fn begin_call(
        &self,
        request: &RequestRow,
        service: &str,
        action: &str,
        call_id: &str,
    ) -> Result<Begun, KitError> {
        let row = CallRow {
            call_id: call_id.to_owned(),
            saga: request.saga.as_str().to_owned(),
            parent: request.request_id.clone(),
            service: service.to_owned(),
            action: action.to_owned(),
        };
        self.inner.database.write(move |tx| begin(tx, &row)).await
    }

    async fn end_call(&self, call_id: &str, state: HistoryState) -> Result<(), KitError> {
        let call_id = call_id.to_owned();
        self.inner
            .database
            .write(move |tx| {
                // INVARIANT: a call that succeeded once stays known as such, whatever a repetition is answered.
                tx.prepare_cached(
                    "UPDATE amends_calls SET state = ?2, ended_at = ?3 WHERE call_id = ?1 AND state <> 'succeeded'",
                )?
                .execute(params![call_id, state.as_str(), now_ms()])?;
                Ok::<_, KitError>(())
            })
            .await
    }

    async fn exchange(
        &self,
        request: &RequestRow,
        uri: Uri,
        call_id: &str,
        body: &Value,
    ) -> Result<Value, BadAnswer> {
        let mut sent = HeaderMap::new();
        request.passed_on.write(&request.saga, call_id, &mut sent);
        put(&mut sent, "content-type", "application/json");
        let bytes = Bytes::from(body.to_string());
        let deadline = Instant::now() + self.inner.call_timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let reply = self
                .inner
                .transport
                .post(uri.clone(), sent.clone(), bytes.clone(), left)
                .await
                .map_err(BadAnswer::none)?;
            let bad = match judge(&reply) {
                Ok(value) => return Ok(value),
                Err(bad) => bad,
            };
            let still_running =
                bad.problem.as_ref().is_some_and(|problem| problem.is(ProblemCode::InProgress));
            if !still_running || Instant::now() + STILL_RUNNING_PAUSE >= deadline {
                return Err(bad);
            }
            tokio::time::sleep(STILL_RUNNING_PAUSE).await;
        }
    }
}

enum Begun {
    Yes,
    Fenced,
    TooMany,
}

struct CallRow {
    call_id: String,
    saga: String,
    parent: String,
    service: String,
    action: String,
}

/// INVARIANT: a call begins only while its request is `started` and no fence is up. So whatever a compensation of that request must take
/// into account is on record when the fence goes up, and goes into the answer to the step.
fn begin(tx: &Transaction<'_>, row: &CallRow) -> Result<Begun, KitError> {
    if state_of(tx, &row.parent)? != Some((HistoryState::Started, Fence::Down)) {
        return Ok(Begun::Fenced);
    }
    let made: u32 = tx
        .prepare_cached("SELECT count(*) FROM amends_calls WHERE saga = ?1 AND parent = ?2")?
        .query_row([&row.saga, &row.parent], |found| found.get(0))?;
    if made >= CALLS_PER_REQUEST {
        return Ok(Begun::TooMany);
    }
    tx.prepare_cached(
        "INSERT INTO amends_calls (call_id, saga, parent, service, action, state, started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'started', ?6)
         ON CONFLICT (call_id) DO UPDATE SET state = 'started', started_at = ?6, ended_at = NULL
         WHERE state <> 'succeeded'",
    )?
    .execute(params![row.call_id, row.saga, row.parent, row.service, row.action, now_ms()])?;
    Ok(Begun::Yes)
}

fn fenced_problem(request: &RequestRow) -> Problem {
    let detail = format!(
        "`{}` of saga `{}` is being undone, so it may call nobody any more",
        request.action, request.saga
    );
    Problem::new(ProblemCode::SagaFenced, detail)
}

/// An answer that is no success, and what it proves.
struct BadAnswer {
    state: HistoryState,
    status: Option<u16>,
    report: Option<String>,
    problem: Option<Problem>,
    detail: String,
}

impl BadAnswer {
    fn none(detail: String) -> Self {
        Self { state: HistoryState::Unknown, status: None, report: None, problem: None, detail }
    }
}

/// What an answer proves. A 2xx: it took effect. A problem of one of our types: what the type says. Any other 4xx but a
/// time-out: it took none. All else proves nothing, problems of other types included: frameworks and proxies dress
/// their own 5xx in them, and know nothing of what the handler did before.
fn judge(reply: &Reply) -> Result<Value, BadAnswer> {
    if reply.status.is_success() {
        return Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null));
    }
    let problem: Option<Problem> =
        is_problem(&reply.headers).then(|| serde_json::from_slice(&reply.body).ok()).flatten();
    let ours = problem.as_ref().and_then(|p| ProblemCode::ALL.iter().find(|code| p.is(**code)));
    let proves_nothing = match ours {
        Some(ProblemCode::InProgress | ProblemCode::Internal | ProblemCode::EffectUnknown) => true,
        Some(_) => false,
        None => !reply.status.is_client_error() || reply.status == StatusCode::REQUEST_TIMEOUT,
    };
    let said = problem.as_ref().and_then(|p| p.detail.clone());
    Err(BadAnswer {
        state: match proves_nothing {
            true => HistoryState::Unknown,
            false => HistoryState::Failed,
        },
        status: Some(reply.status.as_u16()),
        report: reply
            .headers
            .get(headers::AMENDS_REPORT)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        detail: match said {
            Some(detail) => format!("answered {}: {detail}", reply.status.as_u16()),
            None => format!("answered {}", reply.status.as_u16()),
        },
        problem,
    })
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/problem+json"))
}
