//! Takes reports in: CloudEvents 1.0 over HTTP, one or many. Answers only once they are durable; decides nothing.

mod check;
mod envelope;
mod header_value;

use crate::http::{ApiError, App, read_body};
use amends_protocol::{Problem, ProblemCode, Report, resources::ReportReceipt};
use amends_store::Store;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use envelope::{Fault, Mode, content_type};
use futures_util::future::join_all;

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
    let body = read_body(&head.headers, body, limit).await?;
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
    let body = read_body(&head.headers, body, app.limits.batch_bytes).await?;
    take_batch(app, &head.headers, &body).await
}

/// All or an error: if one report can't be taken now, the whole answer is its problem. Those that were taken stay
/// taken, and count as duplicates when the batch comes again.
async fn take_batch<S: Store>(
    app: &App<S>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ApiError> {
    let reports = envelope::read_batch(headers, body, app.limits.batch_events)?;
    let take = |report: Report| app.supervisor.report(report);
    let results = join_all(reports.into_iter().map(take)).await;
    let receipts = results.into_iter().collect::<Result<Vec<ReportReceipt>, Problem>>()?;
    let all_known = receipts.iter().all(|r| r.duplicate);
    let status = if all_known { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(receipts)).into_response())
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
