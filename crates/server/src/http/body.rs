//! Reads bodies within limits of size and time, and JSON that says where it is wrong.

use super::ApiError;
use amends_protocol::headers::AMENDS_ACTOR;
use amends_protocol::{Problem, ProblemCode};
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest body of an act or an announcement, in bytes. Ten thousand step ids fit.
const BODY_LIMIT: usize = 1 << 20;
/// How long a body may take to arrive: a megabyte over a bad line takes a few seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest name of who acts, in bytes.
const ACTOR_LIMIT: usize = 128;
/// Longest reason, in bytes: a sentence or two, kept for ever.
const REASON_LIMIT: usize = 2_000;
/// Who acts when nobody says.
const NOBODY: &str = "api";

/// A whole body with the headers that came before it.
pub(crate) struct Payload {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl<T: Send + Sync> FromRequest<T> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &T) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = read_body(&head.headers, body, BODY_LIMIT).await?;
        Ok(Self { headers: head.headers, bytes })
    }
}

impl Payload {
    /// The body as JSON. The content type must say so, which also keeps forms of other web sites out.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let kind = self
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        if !is_json(kind) {
            let detail = format!("`{kind}` is not understood here; send `application/json`");
            return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail).into());
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|e| ApiError::invalid(format!("the body can't be read: {e}")))
    }

    /// Who acts.
    pub(crate) fn actor(&self) -> Result<&str, ApiError> {
        actor(&self.headers)
    }
}

/// Whether a content type is plain JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Who acts, by the header `Amends-Actor`.
pub(crate) fn actor(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(value) = headers.get(AMENDS_ACTOR) else { return Ok(NOBODY) };
    let name = value.to_str().map(str::trim).unwrap_or_default();
    check_actor(name)?;
    Ok(name)
}

/// A name for who acts.
pub(crate) fn check_actor(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > ACTOR_LIMIT || name.contains(char::is_control) {
        return Err(ApiError::invalid(format!(
            "say who acts in 1 to {ACTOR_LIMIT} bytes; over the API, by the header `Amends-Actor` in printable ASCII"
        )));
    }
    Ok(())
}

/// A reason that says something.
pub(crate) fn check_reason(reason: &str) -> Result<(), ApiError> {
    match reason.trim() {
        "" => Err(ApiError::invalid("`reason` is empty; say why, the audit keeps it")),
        text if text.len() > REASON_LIMIT => Err(ApiError::invalid(format!(
            "`reason` has {} bytes; at most {REASON_LIMIT} are kept",
            text.len()
        ))),
        _ => Ok(()),
    }
}

/// The whole body, if it is not longer than `limit` bytes and comes in time.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        let detail = format!("the body is longer than {limit} bytes; send less at once");
        ApiError::from(Problem::new(ProblemCode::TooLarge, detail))
    };
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) || body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(e)) if is_length_limit(&e) => Err(too_large()),
        Ok(Err(e)) => Err(ApiError::invalid(format!("the body broke off: {e}"))),
        Err(_) => Err(ApiError::invalid(format!(
            "the body did not come within {} s",
            BODY_TIMEOUT.as_secs()
        ))),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if e.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = e.source();
    }
    false
}
