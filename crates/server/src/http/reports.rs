//! Takes reports in: CloudEvents 1.0 over HTTP, one or many. Answers only once they are durable; decides nothing.

use super::{ApiError, App, read_body};
use crate::ingest::Fault;
use crate::ingest::envelope::{self, content_type};
use amends_protocol::wire::cloudevents::Mode;
use amends_protocol::{BatchProblem, EventReceipt, ReportReceipt};
use amends_protocol::{Problem, ProblemCode, Report};
use amends_store::Store;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;

/// Mistakes of a batch that are listed in `errors`, for people; `events` has all of them.
const ERRORS_LISTED: usize = 20;

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let mut problem = Problem::new(fault.code, fault.detail);
        problem.errors = fault.errors;
        Self::from(problem)
    }
}

/// `POST /v1/reports`: one event in binary or structured mode, or a batch by its content type.
pub(crate) async fn receive<S: Store>(
    State(app): State<App<S>>,
    request: Request,
) -> Result<Response, ApiError> {
    counted(&app, take_any(&app, request).await)
}

/// `POST /v1/reports:batch`: only a batch.
pub(crate) async fn receive_batch<S: Store>(
    State(app): State<App<S>>,
    request: Request,
) -> Result<Response, ApiError> {
    counted(&app, take_only_batch(&app, request).await)
}

/// Counts what was not taken; what was taken is counted where it is known whether it is a duplicate.
fn counted<S: Store>(
    app: &App<S>,
    taken: Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    taken.inspect_err(|error| app.supervisor.metrics().report_turned_away(error.status()))
}

async fn take_any<S: Store>(app: &App<S>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let mode = Mode::of(content_type(&head.headers));
    let limit = if mode == Mode::Batch { app.limits.batch_bytes } else { app.limits.report_bytes };
    let body = read_body(&head, body, limit).await?;
    let report = match mode {
        Mode::Binary => envelope::read_binary(&head.headers, &body)?,
        Mode::Structured => envelope::read_structured(&head.headers, &body)?,
        Mode::Batch => return take_batch(app, &head.headers, &body).await,
    };
    let receipt = app.supervisor.report(report).await?;
    let status = if receipt.duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/v1/cases/{}", receipt.case_id);
    Ok((status, [(header::LOCATION, location)], Json(receipt)).into_response())
}

async fn take_only_batch<S: Store>(app: &App<S>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let kind = content_type(&head.headers);
    if Mode::of(kind) != Mode::Batch {
        let detail = format!("`{kind}` is not a batch; send `application/cloudevents-batch+json`");
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail).into());
    }
    let body = read_body(&head, body, app.limits.batch_bytes).await?;
    take_batch(app, &head.headers, &body).await
}

/// Each event for itself: one that can't be taken holds up none of the others. The status is that of the batch as a
/// whole, and anything but 2xx means that at least one is not taken.
async fn take_batch<S: Store>(
    app: &App<S>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ApiError> {
    let events = envelope::read_batch(headers, body, app.limits.batch_events)?;
    let take = |read: Result<Report, Fault>| async {
        match read {
            Ok(report) => app.supervisor.report(report).await,
            Err(fault) => Err(ApiError::from(fault).into_problem()),
        }
    };
    let results = join_all(events.into_iter().map(take)).await;
    if results.iter().any(Result::is_err) {
        return Ok(partly_taken(app, results));
    }
    let receipts: Vec<ReportReceipt> = results.into_iter().flatten().collect();
    let all_known = receipts.iter().all(|r| r.duplicate);
    let status = if all_known { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(receipts)).into_response())
}

/// What became of each event, under the problem that the sender can do most about: one that passes by itself asks for
/// the same batch again (those that are taken count as duplicates then), and only if none is left the malformed ones
/// are told as such, which will never be taken.
fn partly_taken<S: Store>(app: &App<S>, results: Vec<Result<ReportReceipt, Problem>>) -> Response {
    let (mut events, mut worst, mut failed) = (Vec::with_capacity(results.len()), None, 0);
    let mut errors = Vec::new();
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(receipt) => events.push(EventReceipt::Taken(receipt)),
            Err(problem) => {
                app.supervisor.metrics().report_turned_away(problem.status);
                failed += 1;
                let detail = problem.detail.clone().unwrap_or_default();
                if errors.len() < ERRORS_LISTED {
                    errors.push(format!("event {n}: {detail}"));
                }
                let passes = problem.retryable == Some(true);
                events.push(EventReceipt::NotTaken {
                    status: problem.status,
                    code: problem.code.clone().unwrap_or_default(),
                    detail,
                    retryable: passes,
                });
                if worst.is_none() || passes {
                    worst = Some(problem);
                }
            }
        }
    }
    let Problem { status, code, retryable, .. } =
        worst.unwrap_or_else(|| Problem::new(ProblemCode::InvalidReport, ""));
    let what = if retryable == Some(true) {
        "send the same batch again, after the pause: the others are taken and count as duplicates"
    } else {
        "the others are taken; `events` says what is wrong with these, which will never be taken as they are"
    };
    let code = ProblemCode::ALL.iter().find(|c| Some(c.as_str()) == code.as_deref());
    let detail = format!("{failed} of the {} events were not taken; {what}", events.len());
    let mut problem = Problem::new(*code.unwrap_or(&ProblemCode::InvalidReport), detail);
    debug_assert_eq!(problem.status, status, "a problem of the table");
    problem.errors = errors;
    ApiError::from(problem.clone()).with_body(&BatchProblem { problem, events })
}

/// `OPTIONS /v1/reports`: the handshake of CloudEvents web hooks. Consent is said by headers, never by the status.
pub(crate) async fn handshake(headers: HeaderMap) -> Response {
    let mut answer = StatusCode::OK.into_response();
    let map = answer.headers_mut();
    map.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    if let Some(origin) = headers.get("webhook-request-origin") {
        map.insert(HeaderName::from_static("webhook-allowed-origin"), origin.clone());
        map.insert(HeaderName::from_static("webhook-allowed-rate"), HeaderValue::from_static("*"));
    }
    answer
}
