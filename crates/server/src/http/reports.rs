//! Takes reports in: CloudEvents 1.0 over HTTP, one or many. Answers only once they are durable; decides nothing.

use super::access::speaks_for;
use super::openapi::{Answered, JSON, PROBLEM, Taken, Told};
use super::{ApiError, App, read_body};
use crate::access::Caller;
use crate::ingest::Fault;
use crate::ingest::envelope::{self, content_type};
use amends_protocol::wire::cloudevents::Mode;
use amends_protocol::{
    BatchProblem, EventReceipt, NAME_LIMIT, Problem, ProblemCode, REPORT_SOURCE_LIMIT, REPORT_TYPE,
    Report, ReportData, ReportReceipt,
};
use amends_store::Store;
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde_json::{Value, json};

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
    caller: Caller,
    ReportSent(request): ReportSent,
) -> Result<Receipts, NotTaken> {
    counted(&app, take_any(&app, &caller, request).await)
}

/// `POST /v1/reports:batch`: only a batch.
pub(crate) async fn receive_batch<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    BatchSent(request): BatchSent,
) -> Result<ReceiptsOfBatch, NotTaken> {
    counted(&app, take_only_batch(&app, &caller, request).await).map(ReceiptsOfBatch)
}

/// Counts what was not taken; what was taken is counted where it is known whether it is a duplicate, and each event of
/// a batch for itself.
fn counted<S: Store, T>(app: &App<S>, taken: Result<T, NotTaken>) -> Result<T, NotTaken> {
    taken.inspect_err(|not_taken| {
        if not_taken.events.is_empty() {
            app.supervisor.metrics().report_turned_away(not_taken.error.status());
        }
    })
}

async fn take_any<S: Store>(
    app: &App<S>,
    caller: &Caller,
    request: Request,
) -> Result<Receipts, NotTaken> {
    let (head, body) = request.into_parts();
    let mode = Mode::of(content_type(&head.headers));
    let limit = if mode == Mode::Batch { app.limits.batch_bytes } else { app.limits.report_bytes };
    let body = read_body(&head, body, limit).await?;
    let report = match mode {
        Mode::Binary => envelope::read_binary(&head.headers, &body)?,
        Mode::Structured => envelope::read_structured(&head.headers, &body)?,
        Mode::Batch => {
            return take_batch(app, caller, &head.headers, &body).await.map(Receipts::Many);
        }
    };
    speaks_for(caller, report.service())?;
    Ok(Receipts::One(taken(app, report).await?))
}

async fn taken<S: Store>(app: &App<S>, report: Report) -> Result<ReportReceipt, Problem> {
    let taken = app.supervisor.report(report).await;
    taken.inspect(|_| app.supervisor.metrics().ways().came_over_http(true))
}

async fn take_only_batch<S: Store>(
    app: &App<S>,
    caller: &Caller,
    request: Request,
) -> Result<Vec<ReportReceipt>, NotTaken> {
    let (head, body) = request.into_parts();
    let kind = content_type(&head.headers);
    if Mode::of(kind) != Mode::Batch {
        let detail = format!("`{kind}` is not a batch; send `application/cloudevents-batch+json`");
        return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail).into());
    }
    let body = read_body(&head, body, app.limits.batch_bytes).await?;
    take_batch(app, caller, &head.headers, &body).await
}

/// Each event for itself: one that can't be taken holds up none of the others. The status is that of the batch as a
/// whole, and anything but 2xx means that at least one is not taken.
async fn take_batch<S: Store>(
    app: &App<S>,
    caller: &Caller,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<ReportReceipt>, NotTaken> {
    let events = envelope::read_batch(headers, body, app.limits.batch_events)?;
    let take = |read: Result<Report, Fault>| async {
        match read {
            Ok(report) => match speaks_for(caller, report.service()) {
                Ok(()) => taken(app, report).await,
                Err(error) => Err(error.into_problem()),
            },
            Err(fault) => Err(ApiError::from(fault).into_problem()),
        }
    };
    let results = join_all(events.into_iter().map(take)).await;
    if results.iter().any(Result::is_err) {
        return Err(partly_taken(app, results));
    }
    Ok(results.into_iter().flatten().collect())
}

/// What became of each event, under the problem that the sender can do most about: one that passes by itself asks for
/// the same batch again (those that are taken count as duplicates then), and only if none is left the malformed ones
/// are told as such, which will never be taken.
fn partly_taken<S: Store>(app: &App<S>, results: Vec<Result<ReportReceipt, Problem>>) -> NotTaken {
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
    NotTaken { error: problem.into(), events }
}

/// A report on its way, in any mode; nothing of it has been read.
pub(crate) struct ReportSent(Request);

impl<S: Send + Sync> FromRequest<S> for ReportSent {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self(request))
    }
}

/// Attributes of an event in binary mode.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("ce-specversion", "`1.0`; like all `ce-` headers, in binary mode only."),
    ("ce-type", "`dev.amends.report.v1`."),
    ("ce-source", "The reporting service."),
    ("ce-id", "Unique per source."),
    ("ce-subject", "The saga id."),
    ("ce-time", "The service's clock, RFC 3339."),
];

impl Taken for ReportSent {
    fn told(told: &mut Told) {
        let event = event(told);
        let data = told.schema::<ReportData>();
        told.body("application/cloudevents+json", event.clone());
        told.body(JSON, data);
        told.body(BATCH, json!({ "type": "array", "items": event }));
        for (name, meaning) in ATTRIBUTES {
            told.header(name, false, meaning, json!({ "type": "string" }));
        }
    }
}

/// A batch of reports on its way.
pub(crate) struct BatchSent(Request);

const BATCH: &str = "application/cloudevents-batch+json";

impl<S: Send + Sync> FromRequest<S> for BatchSent {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self(request))
    }
}

impl Taken for BatchSent {
    fn told(told: &mut Told) {
        let event = event(told);
        told.body(BATCH, json!({ "type": "array", "items": event }));
    }
}

/// The CloudEvents envelope, which no wire type of ours has.
fn event(told: &mut Told) -> Value {
    let data = told.schema::<ReportData>();
    told.named("ReportEvent", json!({
        "type": "object",
        "description": "A report as a CloudEvent 1.0 in structured mode. Unknown attributes are ignored.",
        "required": ["specversion", "type", "source", "id", "subject", "data"],
        "properties": {
            "specversion": { "const": "1.0" },
            "type": { "const": REPORT_TYPE },
            "source": {
                "type": "string", "minLength": 1, "maxLength": REPORT_SOURCE_LIMIT, "pattern": "^[!-~]+$",
                "description": "The reporting service: its name, or a URI that ends in it."
            },
            "id": {
                "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": "^[!-~]+$",
                "description": "Unique per source; the same when it is sent again."
            },
            "subject": {
                "type": "string", "minLength": 1, "maxLength": NAME_LIMIT, "pattern": "^[!-~]+$",
                "description": "The saga id."
            },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "type": "string", "description": "`application/json`, if given." },
            "traceparent": {
                "type": "string", "description": "W3C trace context of the failure; an invalid one is ignored."
            },
            "data": data
        }
    }))
}

/// What was taken: one, or all of a batch in its order.
pub(crate) enum Receipts {
    One(ReportReceipt),
    Many(Vec<ReportReceipt>),
}

impl IntoResponse for Receipts {
    fn into_response(self) -> Response {
        match self {
            Self::One(receipt) => {
                let location =
                    receipt.case_id.map(|case| [(header::LOCATION, format!("/v1/cases/{case}"))]);
                (of(receipt.duplicate), location, Json(receipt)).into_response()
            }
            Self::Many(receipts) => ReceiptsOfBatch(receipts).into_response(),
        }
    }
}

/// 200 if there is nothing new.
const fn of(is_known: bool) -> StatusCode {
    if is_known { StatusCode::OK } else { StatusCode::ACCEPTED }
}

impl Answered for Receipts {
    fn told(told: &mut Told) {
        let receipt = told.schema::<ReportReceipt>();
        let either = json!({ "oneOf": [receipt.clone(), { "type": "array", "items": receipt }] });
        for status in [200, 202] {
            told.answer(status, JSON, either.clone());
            told.answer_header(status, "Location", "The case, of a single report, if it is known.");
        }
    }
}

/// All of a batch was taken.
pub(crate) struct ReceiptsOfBatch(Vec<ReportReceipt>);

impl IntoResponse for ReceiptsOfBatch {
    fn into_response(self) -> Response {
        (of(self.0.iter().all(|receipt| receipt.duplicate)), Json(self.0)).into_response()
    }
}

impl Answered for ReceiptsOfBatch {
    fn told(told: &mut Told) {
        let receipt = told.schema::<ReportReceipt>();
        for status in [200, 202] {
            told.answer(status, JSON, json!({ "type": "array", "items": receipt.clone() }));
        }
    }
}

/// A report that was not taken, or a batch that was not taken as a whole.
pub(crate) struct NotTaken {
    error: ApiError,
    /// What became of each event of a batch; empty if it was not read as one.
    events: Vec<EventReceipt>,
}

impl<E: Into<ApiError>> From<E> for NotTaken {
    fn from(error: E) -> Self {
        Self { error: error.into(), events: Vec::new() }
    }
}

impl IntoResponse for NotTaken {
    fn into_response(self) -> Response {
        let Self { error, events } = self;
        let problem = error.clone().into_problem();
        error.with_body(&BatchProblem { problem, events })
    }
}

impl<T: Answered> Answered for Result<T, NotTaken> {
    fn told(told: &mut Told) {
        T::told(told);
        let problem = told.schema::<BatchProblem>();
        for status in [400, 413, 415, 429, 500, 503] {
            told.answer(status, PROBLEM, problem.clone());
        }
        for status in [429, 503] {
            told.answer_header(status, "Retry-After", "Seconds to wait.");
        }
    }
}

/// `OPTIONS /v1/reports`: the handshake of CloudEvents web hooks. Consent is said by headers, never by the status.
pub(crate) async fn handshake(Origin(origin): Origin) -> Consent {
    Consent(origin)
}

/// Who asks whether it may send events.
pub(crate) struct Origin(Option<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parts.headers.get("webhook-request-origin").cloned()))
    }
}

impl Taken for Origin {
    fn told(told: &mut Told) {
        let meaning = "Who asks for consent.";
        told.header("WebHook-Request-Origin", false, meaning, json!({ "type": "string" }));
    }
}

/// Everybody may who asks.
pub(crate) struct Consent(Option<HeaderValue>);

impl IntoResponse for Consent {
    fn into_response(self) -> Response {
        let mut answer = StatusCode::OK.into_response();
        let map = answer.headers_mut();
        map.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        if let Some(origin) = self.0 {
            map.insert(HeaderName::from_static("webhook-allowed-origin"), origin);
            let any = HeaderValue::from_static("*");
            map.insert(HeaderName::from_static("webhook-allowed-rate"), any);
        }
        answer
    }
}

impl Answered for Consent {
    fn told(told: &mut Told) {
        told.empty(200);
        told.answer_header(200, "WebHook-Allowed-Origin", "Who may send, if somebody asked.");
        told.answer_header(200, "WebHook-Allowed-Rate", "`*`: as fast as it likes.");
    }
}
