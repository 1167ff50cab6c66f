//! Reads bodies within limits of size and time, and JSON that says where it is wrong.

use super::ApiError;
use super::bodies::{Bodies, UsedUp};
use super::openapi::{JSON, Taken, Told};
use crate::access::Caller;
use amends_protocol::causes::of_json;
use amends_protocol::headers::AMENDS_ACTOR;
use amends_protocol::{Problem, ProblemCode, check_keys};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use utoipa::ToSchema;

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

/// A body of JSON. The content type must say so, which also keeps forms of other web sites out.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Serialize> FromRequest<S> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = read_body(&head, body, BODY_LIMIT).await?;
        let kind = head.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !is_json(kind) {
            let detail = format!("`{kind}` is not understood here; send `application/json`");
            return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail).into());
        }
        object(&bytes).map(Self)
    }
}

/// A body that is a JSON object, and so are its objects. Serde takes a list for the members of a struct in their order;
/// what was sent so is found by writing down what was read.
pub(crate) fn object<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, ApiError> {
    let wrong = |e: serde_json::Error| {
        ApiError::invalid(format!("the body can't be read: {}", of_json(&e)))
    };
    check_keys(bytes).map_err(|e| ApiError::invalid(e.to_string()))?;
    let read: T = serde_json::from_slice(bytes).map_err(wrong)?;
    let sent: Value = serde_json::from_slice(bytes).map_err(wrong)?;
    match list_for_object(&sent, &serde_json::to_value(&read).map_err(wrong)?) {
        Some(path) => {
            let what =
                if path.is_empty() { "the body".to_owned() } else { format!("`{}`", &path[1..]) };
            Err(ApiError::invalid(format!("{what} is a list; send an object, `{{…}}`")))
        }
        None => Ok(read),
    }
}

/// Where a list was sent and an object was read: `.rows.0`; empty for the whole.
fn list_for_object(sent: &Value, read: &Value) -> Option<String> {
    match (sent, read) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Object(sent), Value::Object(read)) => sent.iter().find_map(|(name, value)| {
            let path = list_for_object(value, read.get(name)?)?;
            Some(format!(".{name}{path}"))
        }),
        (Value::Array(sent), Value::Array(read)) => {
            sent.iter().zip(read).enumerate().find_map(|(n, (value, read))| {
                let path = list_for_object(value, read)?;
                Some(format!(".{n}{path}"))
            })
        }
        _ => None,
    }
}

impl<T: ToSchema> Taken for Sent<T> {
    fn told(told: &mut Told) {
        let schema = told.schema::<T>();
        told.body(JSON, schema);
        told_of_bodies(told);
    }
}

/// What may be wrong with a body.
pub(crate) fn told_of_bodies(told: &mut Told) {
    told.problems(&[
        ProblemCode::InvalidRequest,
        ProblemCode::TooLarge,
        ProblemCode::UnsupportedMediaType,
        ProblemCode::Overloaded,
    ]);
}

/// Who acts, for the audit: whoever is known to ask, or whom somebody trusted names by the header `Amends-Actor`.
pub(crate) struct Actor(pub(crate) amends_engine::Actor);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Caller::from_request_parts(parts, state).await?.acts_as()))
    }
}

impl Taken for Actor {
    fn told(told: &mut Told) {
        let meaning = "Who acts, for the audit: counts from a trusted proxy, and from this machine where access is not controlled.";
        let schema = json!({
            "type": "string", "minLength": 1, "maxLength": ACTOR_LIMIT, "pattern": "^[!-~]([ -~]*[!-~])?$",
        });
        told.header("Amends-Actor", false, meaning, schema);
        told.problems(&[ProblemCode::InvalidRequest]);
    }
}

/// Whether a content type is plain JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Who acts, by the header `Amends-Actor`. Of two names one is somebody's who would like to act as another: a proxy
/// that adds its header leaves the sender's.
pub(crate) fn actor_told(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut all = headers.get_all(AMENDS_ACTOR).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return match headers.contains_key(AMENDS_ACTOR) {
            false => Ok(None),
            true => Err(ApiError::invalid(
                "there are several `Amends-Actor` headers; send one, and let a proxy set it in place of the sender's",
            )),
        };
    };
    let name = value.to_str().map(str::trim).unwrap_or_default();
    check_actor(name)?;
    Ok(Some(name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::{BulkAct, QuarantineAct, RulebookSources, StepAct};

    fn refused<T: DeserializeOwned + Serialize + std::fmt::Debug>(body: &str) -> String {
        let error = object::<T>(body.as_bytes()).expect_err(body);
        error.into_problem().detail.unwrap_or_default()
    }

    #[test]
    fn a_list_is_no_object_wherever_it_stands() {
        let list = "is a list; send an object, `{…}`";
        assert_eq!(refused::<StepAct>(r#"["retry", "why"]"#), format!("the body {list}"));
        let inner = r#"{"act": ["retry", "why"], "ids": ["s-1-1-9f86d081884c7d65"]}"#;
        assert_eq!(refused::<BulkAct>(inner), format!("`act` {list}"));
        let second = r#"{"sources": [{"path": "a", "text": "b"}, ["c", "d"]]}"#;
        assert_eq!(refused::<RulebookSources>(second), format!("`sources.1` {list}"));
        let rows = r#"{"act": "repair", "reason": "cut off", "rows": [["cases", {}]]}"#;
        assert_eq!(refused::<QuarantineAct>(rows), format!("`rows.0` {list}"));
    }

    #[test]
    fn lists_that_are_meant_are_taken() {
        let act = r#"{"act": "edit", "reason": "why", "data": {"a": [1, [2], {"b": []}]}}"#;
        assert!(object::<StepAct>(act.as_bytes()).is_ok());
    }
}
