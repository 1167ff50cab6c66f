//! Reads bodies within limits of size and time, and JSON that says where it is wrong.

use super::ApiError;
use super::bodies::{Bodies, UsedUp};
use amends_protocol::headers::AMENDS_ACTOR;
use amends_protocol::{Problem, ProblemCode, check_keys};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest body of an act or an announcement, in bytes. Ten thousand step ids fit.
const BODY_LIMIT: usize = 1 << 20;
/// How long a body may take to arrive: a megabyte over a bad line takes a few seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing of a body may come: what is sent slowly holds memory that others need.
const BODY_PAUSE: Duration = Duration::from_secs(10);
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
        let bytes = read_body(&head, body, BODY_LIMIT).await?;
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
        check_keys(&self.bytes).map_err(|e| ApiError::invalid(e.to_string()))?;
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
    one_actor(headers)?;
    let Some(value) = headers.get(AMENDS_ACTOR) else { return Ok(NOBODY) };
    let name = value.to_str().map(str::trim).unwrap_or_default();
    check_actor(name)?;
    Ok(name)
}

/// Of two names one is somebody's who would like to act as another: a proxy that adds its header leaves the sender's.
pub(crate) fn one_actor(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get_all(AMENDS_ACTOR).iter().nth(1) {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid(
            "there are several `Amends-Actor` headers; send one, and let a proxy set it in place of the sender's",
        )),
    }
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

/// The whole body, if it is not longer than `limit` bytes, comes in time, and has room beside all others. One that says
/// that it is too long is refused before any of it is read.
pub(crate) async fn read_body(head: &Parts, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let declared = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) || body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    // Every route has it; without one there is nothing to share.
    let bodies = head.extensions.get::<Bodies>().cloned().unwrap_or_else(|| Bodies::new(limit));
    match tokio::time::timeout(BODY_TIMEOUT, gather(&bodies, body, limit, declared)).await {
        Ok(read) => read,
        Err(_) => Err(too_slow(BODY_TIMEOUT)),
    }
}

async fn gather(
    bodies: &Bodies,
    mut body: Body,
    limit: usize,
    declared: Option<usize>,
) -> Result<Bytes, ApiError> {
    let most = declared.unwrap_or(limit);
    let mut whole = bodies.begin();
    loop {
        let frame = match tokio::time::timeout(BODY_PAUSE, body.frame()).await {
            Ok(None) => return Ok(whole.finish()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(e))) => {
                return Err(ApiError::invalid(format!("the body broke off: {e}")));
            }
            Err(_) => return Err(too_slow(BODY_PAUSE)),
        };
        let Ok(part) = frame.into_data() else { continue };
        if whole.len() + part.len() > limit {
            return Err(too_large(limit));
        }
        whole.push(&part, most).map_err(|UsedUp| {
            Problem::new(
                ProblemCode::Overloaded,
                "the bodies of the requests under way take up all memory that is for them (`limits.bodies`); try again shortly",
            )
        })?;
    }
}

fn too_large(limit: usize) -> ApiError {
    let detail = format!("the body is longer than {limit} bytes; send less at once");
    Problem::new(ProblemCode::TooLarge, detail).into()
}

fn too_slow(limit: Duration) -> ApiError {
    let what = if limit == BODY_PAUSE {
        "nothing of the body came for"
    } else {
        "the body did not come within"
    };
    ApiError::invalid(format!("{what} {} s", limit.as_secs()))
}
