//! Recorded calls, whatever client sends them: written down before they are sent, judged by what their answer proves,
//! written down again. Sends nothing itself.

use crate::config::KitError;
use crate::context::ActionContext;
use crate::failure::CallFailed;
use crate::saga_context::derive_request_id;
use crate::store::{CallRow, Fence, HistoryStore, HistoryTx, RequestRow};
use amends_protocol::{HistoryState, Problem, ProblemCode, headers};
use http::{HeaderMap, StatusCode, header};

/// Calls that one request may make. Every one is evidence in reports and answers, which have a size limit.
const CALLS_PER_REQUEST: u64 = 1_000;

impl<S: HistoryStore> ActionContext<S> {
    /// The next call to an action; counted now, recorded when it begins.
    pub(crate) fn next_call(&self, service: &str, action: &str) -> RecordedCall<S> {
        let ordinal = self.calls.next_ordinal(service, action);
        let call_id = derive_request_id(self.request_id(), service, action, ordinal);
        let row = CallRow {
            call_id,
            saga: self.saga().clone(),
            parent: self.request_id().to_owned(),
            service: service.to_owned(),
            action: action.to_owned(),
        };
        RecordedCall { context: self.clone(), row }
    }
}

/// One call to another service.
pub(crate) struct RecordedCall<S: HistoryStore> {
    pub(crate) context: ActionContext<S>,
    pub(crate) row: CallRow,
}

impl<S: HistoryStore> RecordedCall<S> {
    /// Writes the call down. Only then may it be sent, and only when this is `Ok`.
    ///
    /// # Errors
    /// Why it must not be sent.
    pub(crate) async fn begin(&self) -> Result<(), CallFailed> {
        let (parent, row) = (self.context.row.clone(), self.row.clone());
        let begun = self
            .context
            .inner
            .write(Some(&self.row.saga), move |tx| {
                Box::pin(async move { begin(tx, &parent, &row).await })
            })
            .await;
        match begun {
            Ok(Begun::Yes) => Ok(()),
            Ok(Begun::Lost) => {
                Err(self.not_sent("not sent: another process took the request over"))
            }
            Ok(Begun::Fenced) => {
                let mut refused = self.not_sent("not sent: the saga is being undone");
                refused.problem = Some(Problem::new(
                    ProblemCode::SagaFenced,
                    format!(
                        "`{}` of saga `{}` is being undone, so it may call nobody any more",
                        self.context.row.request.action, self.row.saga
                    ),
                ));
                Err(refused)
            }
            Ok(Begun::TooMany) => {
                Err(self
                    .not_sent(format!("not sent: a request may make {CALLS_PER_REQUEST} calls")))
            }
            Err(error) => Err(self.not_sent(format!("not sent: {error}"))),
        }
    }

    /// Writes down what became of the call.
    pub(crate) async fn end(&self, reading: &Result<(), Reading>) {
        let (state, report) = match reading {
            Ok(()) => (HistoryState::Succeeded, None),
            Err(bad) => (bad.state, bad.report.clone()),
        };
        self.context.calls.suspect(report);
        let call_id = self.row.call_id.clone();
        let written: Result<(), KitError> = self
            .context
            .inner
            .write(None, move |tx| Box::pin(async move { tx.end_call(&call_id, state).await }))
            .await;
        if let Err(error) = written {
            // It stays `started`, which counts as "may have happened".
            tracing::error!(%error, call = self.row.call_id, "the result of a call cannot be recorded");
        }
    }

    /// Writes the saga context of the call into its headers.
    pub(crate) fn write_context(&self, to: &mut HeaderMap) {
        let request = &self.context.row.request;
        let caller = format!("{}.{}", self.context.inner.config.service, request.action);
        request.passed_on.write(&self.row.saga, &self.row.call_id, &caller, to);
    }

    /// The failure of a call that was never sent.
    pub(crate) fn not_sent(&self, detail: impl Into<String>) -> CallFailed {
        self.failed(Reading {
            state: HistoryState::Failed,
            status: None,
            report: None,
            problem: None,
            detail: detail.into(),
        })
    }

    pub(crate) fn failed(&self, reading: Reading) -> CallFailed {
        CallFailed {
            service: self.row.service.clone(),
            action: self.row.action.clone(),
            request_id: self.row.call_id.clone(),
            state: reading.state,
            status: reading.status,
            report: reading.report,
            problem: reading.problem,
            detail: reading.detail,
        }
    }
}

enum Begun {
    Yes,
    Fenced,
    /// The run is not the one that the request is in any more.
    Lost,
    TooMany,
}

/// INVARIANT: a call begins only while its request is `started`, in this run, and no fence is up. So whatever a compensation of that
/// request must take into account is on record when the fence goes up, and goes into the answer to the step.
async fn begin<T: HistoryTx>(
    tx: &mut T,
    parent: &RequestRow,
    row: &CallRow,
) -> Result<Begun, KitError> {
    match tx.standing_of(&row.parent).await? {
        Some(found) if found.fence == Fence::Up => return Ok(Begun::Fenced),
        Some(found)
            if found.state == HistoryState::Started
                && found.worker == parent.worker
                && found.run == parent.run => {}
        _ => return Ok(Begun::Lost),
    }
    if tx.count_calls(&row.saga, &row.parent).await? >= CALLS_PER_REQUEST {
        return Ok(Begun::TooMany);
    }
    tx.begin_call(row).await?;
    Ok(Begun::Yes)
}

/// An answer that is no success, and what it proves.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) state: HistoryState,
    pub(crate) status: Option<u16>,
    pub(crate) report: Option<String>,
    pub(crate) problem: Option<Problem>,
    pub(crate) detail: String,
}

impl Reading {
    /// No whole answer came.
    pub(crate) fn none(detail: String) -> Self {
        Self { state: HistoryState::Unknown, status: None, report: None, problem: None, detail }
    }

    /// The callee says that the same call is still running.
    pub(crate) fn is_still_running(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.is(ProblemCode::InProgress))
    }
}

/// What an answer proves. A 2xx: it took effect. A problem of one of our types: what the type says. Any other 4xx but a
/// time-out: it took none. All else proves nothing, problems of other types included: frameworks and proxies dress
/// their own 5xx in them, and know nothing of what the handler did before.
pub(crate) fn judge(status: StatusCode, answered: &HeaderMap, body: &[u8]) -> Result<(), Reading> {
    if status.is_success() {
        return Ok(());
    }
    let problem: Option<Problem> =
        is_problem(answered).then(|| serde_json::from_slice(body).ok()).flatten();
    let ours = problem.as_ref().and_then(|p| ProblemCode::ALL.iter().find(|code| p.is(**code)));
    let proves_nothing = match ours {
        Some(ProblemCode::InProgress | ProblemCode::Internal | ProblemCode::EffectUnknown) => true,
        Some(_) => false,
        None => !status.is_client_error() || status == StatusCode::REQUEST_TIMEOUT,
    };
    let said = problem.as_ref().and_then(|p| p.detail.clone());
    let report = answered.get(headers::AMENDS_REPORT).and_then(|value| value.to_str().ok());
    Err(Reading {
        state: match proves_nothing {
            true => HistoryState::Unknown,
            false => HistoryState::Failed,
        },
        status: Some(status.as_u16()),
        report: report.map(str::to_owned),
        detail: match said {
            Some(detail) => format!("answered {}: {detail}", status.as_u16()),
            None => format!("answered {}", status.as_u16()),
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
