//! HTTP answers: every failed one is an RFC 9457 problem, every one says which saga and request it belongs to.

use crate::config::KitError;
use crate::failure::Failure;
use crate::saga_context::put;
use crate::store::{StoredAnswer, corrupt};
use amends_protocol::{Problem, ProblemCode, SagaId, headers};
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

/// What the caller is told to wait before it asks again about something that still runs.
pub(crate) const RETRY_AFTER_SECONDS: &str = "1";

/// The status that the caller of a failed action sees.
pub(crate) fn failure_status(failure: &Failure) -> u16 {
    match failure.status {
        status @ 400..=599 => status,
        _ => 500,
    }
}

/// The problem that the caller of a failed action sees; its `code` is the report's code.
pub(crate) fn failure_body(failure: &Failure) -> Result<Value, KitError> {
    let kind = match failure.effect_unknown {
        true => ProblemCode::EffectUnknown,
        false => ProblemCode::ActionFailed,
    };
    let mut problem = Problem::new(kind, failure.message.clone());
    problem.status = failure_status(failure);
    problem.code = Some(failure.code.clone());
    serde_json::to_value(problem).map_err(corrupt)
}

/// What anything of an action is told that is being undone in its saga.
pub(crate) fn fenced(saga: &SagaId) -> Problem {
    let detail = format!("saga `{saga}` is being undone here; start a new saga to try again");
    Problem::new(ProblemCode::SagaFenced, detail)
}

/// The stored answer of a request.
pub(crate) fn stored(answer: &StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match status.is_success() {
        true => json(status, "application/json", &answer.body),
        false => json(status, "application/problem+json", &answer.body),
    };
    if let Some(report) = &answer.report {
        put(response.headers_mut(), headers::AMENDS_REPORT, report);
    }
    response
}

/// A problem of the protocol's table; those that pass by themselves say when to ask again.
pub(crate) fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, "application/problem+json", problem);
    let waits = problem.is(ProblemCode::InProgress) || problem.is(ProblemCode::Unavailable);
    if waits {
        let value = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// The same from its parts.
pub(crate) fn refuse(code: ProblemCode, detail: impl Into<String>) -> Response {
    problem(&Problem::new(code, detail))
}

/// The kit itself failed: whether a commit went through is not known.
pub(crate) fn broken(code: ProblemCode, error: &KitError) -> Response {
    tracing::error!(%error, "the service kit failed");
    let mut told = Problem::new(code, error.to_string());
    if code == ProblemCode::Internal {
        "The service failed".clone_into(&mut told.title);
    }
    problem(&told)
}

/// A JSON answer.
pub(crate) fn json(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response {
    let bytes = match serde_json::to_vec(body) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            b"null".to_vec()
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// Says which saga and request an answer belongs to.
pub(crate) fn named(
    mut response: Response,
    saga: Option<&SagaId>,
    request_id: Option<&str>,
) -> Response {
    if let Some(saga) = saga {
        put(response.headers_mut(), headers::SAGA_ID, saga.as_str());
    }
    if let Some(id) = request_id {
        put(response.headers_mut(), headers::REQUEST_ID, id);
    }
    response
}
