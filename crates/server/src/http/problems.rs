//! Turns what went wrong into `application/problem+json`. The table of kinds is `amends_protocol::ProblemCode`.

use crate::faults::store_problem;
use crate::withheld::without_credentials;
use amends_protocol::{Problem, ProblemCode};
use amends_store::StoreError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

/// Pause that a turned-away caller is asked for, in seconds: the queue empties within that, or the supervisor is in
/// trouble that no pause mends.
const RETRY_AFTER_SECONDS: &str = "1";

/// A failed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError(Box<Problem>);

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for ApiError {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        store_problem(error).into()
    }
}

impl ApiError {
    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(ProblemCode::NotFound, detail).into()
    }

    /// The body is not what the resource takes.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Problem::new(ProblemCode::InvalidRequest, detail).into()
    }

    /// A parameter is not what the resource takes.
    pub(crate) fn filter(detail: impl Into<String>) -> Self {
        Problem::new(ProblemCode::InvalidFilter, detail).into()
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// Gives the problem itself.
    pub(crate) fn into_problem(self) -> Problem {
        *self.0
    }

    /// The problem itself.
    #[cfg(test)]
    pub(crate) fn problem(&self) -> &Problem {
        &self.0
    }
}

impl ApiError {
    /// Answers with more members than a problem has by itself.
    pub(crate) fn with_body(self, body: &impl serde::Serialize) -> Response {
        self.answer(serde_json::to_vec(body).unwrap_or_default())
    }

    fn answer(self, body: Vec<u8>) -> Response {
        let problem = *self.0;
        // Whoever puts a token where none belongs is told what is wrong, and not the token once more.
        let body = match std::str::from_utf8(&body).map(without_credentials) {
            Ok(Cow::Owned(hidden)) => hidden.into_bytes(),
            Ok(Cow::Borrowed(_)) | Err(_) => body,
        };
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(code = problem.code, detail = problem.detail, "a request failed");
        }
        let mut answer = (status, body).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        self.answer(body)
    }
}
