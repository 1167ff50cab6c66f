//! Builds the request of a step: address, headers, the exact bytes of the body. Pure, and sends nothing.

use super::route::{Route, Routes};
use super::trace;
use amends_engine::{PollStep, ReadHistory, SendStep};
use amends_protocol::wire::{Traceparent, baggage};
use amends_protocol::{ActionName, CaseId, SagaId, StepId, Timestamp, headers};
use amends_rulebook::{ActionId, Endpoint, Poll, RenderedBody, Rulebook};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a placeholder of a secret begins with.
const SECRET: &str = "secret.";

/// The placeholder of the address for a step's late outcome.
const CALLBACK_URL: &str = "callback.url";

/// A request that is ready to go.
pub(crate) type Outgoing = Request<Full<Bytes>>;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("amends/", env!("CARGO_PKG_VERSION")));
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("application/json, application/problem+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// [`amends_protocol::StepRequest`] with borrowed parts; the same JSON (a test says so).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepBody<'a> {
    saga_id: &'a SagaId,
    case_id: CaseId,
    step_id: &'a str,
    attempt: u32,
    action: &'a ActionName,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    request_ids: &'a [Arc<str>],
    report: ReportBody<'a>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    data: &'a Map<String, Value>,
    callback: CallbackBody<'a>,
}

#[derive(Serialize)]
struct CallbackBody<'a> {
    proof: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct ReportBody<'a> {
    service: &'a str,
    code: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// The request of one try of a step. The error says why it can't be built, for people.
pub(crate) fn of_step(
    send: &SendStep,
    routes: &Routes,
    now: Timestamp,
) -> Result<Outgoing, String> {
    let action = action(&send.rulebook, send.action_id)?;
    let route = routes.service(action.service.0 as usize)?;
    let id = send.step.to_string();
    let callback = routes.callback(&id);
    let mut request = match action.endpoints.get(send.verb) {
        Some(endpoint) => of_endpoint(send, endpoint, route, callback.as_deref())?,
        None => {
            let uri =
                routes.step(send.action_id, send.verb).ok_or("the action has no address")?.clone();
            let body = serde_json::to_vec(&step_body(send, &id, callback.as_deref()))
                .map_err(|e| format!("the body can't be written: {e}"))?;
            let mut request = bare(Method::POST, uri, body.into());
            request.1.insert(CONTENT_TYPE, JSON);
            request
        }
    };
    let trace = trace::of_attempt(send.report.traceparent.as_deref(), send.step, send.attempt);
    let ids = Ids { id: &id, key: send.key.as_deref() };
    let common = common_headers(&send.saga, ids, trace, route, &request.2, now)?;
    Ok(request.finish(common))
}

/// The request of one look at a step that was taken with 202.
pub(crate) fn of_poll(
    poll: &PollStep,
    routes: &Routes,
    now: Timestamp,
) -> Result<Outgoing, String> {
    let action = action(&poll.rulebook, poll.action_id)?;
    let route = routes.service(action.service.0 as usize)?;
    let mut request = bare(Method::GET, route.locate(&poll.location)?, Bytes::new());
    let id = poll.step.to_string();
    if let Some(endpoint) = action.endpoints.get(poll.verb) {
        // What the service wants in each of its requests; what needs the report was for the first.
        let secrets = secrets_for(endpoint, route)?;
        let headers = endpoint.headers(&|name| match name.strip_prefix(SECRET) {
            Some(secret) => secrets.get(secret).map(|value| value.as_str().into()),
            None => field_of_poll(poll, &id, name),
        });
        let known = headers.into_iter().filter_map(|(name, value)| Some((name, value.ok()?)));
        own_headers(&mut request.1, known.filter(|(name, _)| *name != CONTENT_TYPE.as_str()))?;
    }
    let trace = trace::of_attempt(None, poll.step, poll.attempt);
    let ids = Ids { id: &id, key: poll.key.as_deref() };
    let common = common_headers(&poll.saga, ids, trace, route, &request.2, now)?;
    Ok(request.finish(common))
}

/// The request of one reading of a History, or of a page of it.
pub(crate) fn of_walk(
    walk: &ReadHistory,
    after: Option<&str>,
    route: &Route,
    now: Timestamp,
) -> Result<Outgoing, String> {
    let mut request = bare(Method::GET, route.history(walk.saga.as_str(), after)?, Bytes::new());
    // No step is asked for, so the signature is over an id that names the reading.
    let id = format!("history-{}", walk.case);
    let trace =
        trace::of_attempt(None, StepId { case: walk.case, ordinal: 0, tag: 0, part: None }, 0);
    let ids = Ids { id: &id, key: None };
    let mut common = common_headers(&walk.saga, ids, trace, route, &request.2, now)?;
    common.remove(headers::IDEMPOTENCY_KEY);
    Ok(request.finish(common))
}

/// Method and address, own headers, body.
struct Parts((Method, Uri), HeaderMap, Bytes);

fn bare(method: Method, uri: Uri, body: Bytes) -> Parts {
    Parts((method, uri), HeaderMap::with_capacity(16), body)
}

impl Parts {
    /// What a rulebook maps stands above the common headers.
    fn finish(&mut self, common: HeaderMap) -> Outgoing {
        let Self((method, uri), own, body) = self;
        let mut request = Request::new(Full::new(std::mem::take(body)));
        *request.method_mut() = std::mem::take(method);
        *request.uri_mut() = std::mem::take(uri);
        *request.headers_mut() = common;
        for (name, value) in std::mem::take(own) {
            if let Some(name) = name {
                request.headers_mut().insert(name, value);
            }
        }
        request
    }
}

fn action(book: &Rulebook, id: ActionId) -> Result<&amends_rulebook::Action, String> {
    book.actions()
        .get(id.0 as usize)
        .ok_or_else(|| format!("rulebook `{}` has no such action", book.name()))
}

fn step_body<'a>(send: &'a SendStep, id: &'a str, callback: Option<&'a str>) -> StepBody<'a> {
    let report = &send.report;
    StepBody {
        saga_id: &send.saga,
        case_id: send.step.case,
        step_id: id,
        attempt: send.attempt,
        action: &send.action,
        request_ids: &send.request_ids,
        report: ReportBody {
            service: report.service(),
            code: &report.data.code,
            id: &report.id,
            message: report.data.message.as_deref(),
        },
        data: send.data(),
        callback: CallbackBody { proof: send.proof.reveal(), url: callback },
    }
}

fn of_endpoint(
    send: &SendStep,
    endpoint: &Endpoint,
    route: &Route,
    callback: Option<&str>,
) -> Result<Parts, String> {
    let secrets = secrets_for(endpoint, route)?;
    if callback.is_none() && endpoint.placeholders().contains(&CALLBACK_URL) {
        return Err(format!(
            "the request names `{{{CALLBACK_URL}}}`, and the configuration does not say where services reach this supervisor: set `dispatch.callback_url`"
        ));
    }
    let rendered = endpoint.render(&|name| match name.strip_prefix(SECRET) {
        Some(secret) => secrets.get(secret).map(|value| value.as_str().into()),
        None if name == CALLBACK_URL => callback.map(Value::from),
        None => send.field(name),
    })?;
    let method = rendered
        .method
        .parse::<Method>()
        .map_err(|_| format!("`{}` is not a method", rendered.method))?;
    let (kind, body) = match &rendered.body {
        Some(RenderedBody::Json(value)) => (
            Some(JSON),
            serde_json::to_vec(value).map_err(|e| format!("the body can't be written: {e}"))?,
        ),
        Some(RenderedBody::Form(pairs)) => {
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            (Some(FORM), form.into_bytes())
        }
        None => (None, Vec::new()),
    };
    let mut parts = bare(method, route.at(&rendered.path)?, body.into());
    if let Some(kind) = kind {
        parts.1.insert(CONTENT_TYPE, kind);
    }
    own_headers(&mut parts.1, rendered.headers)?;
    Ok(parts)
}

/// The secrets that a request names.
fn secrets_for<'e>(
    endpoint: &'e Endpoint,
    route: &Route,
) -> Result<BTreeMap<&'e str, String>, String> {
    let named = endpoint.placeholders().into_iter().filter_map(|name| name.strip_prefix(SECRET));
    named.map(|name| Ok((name, route.secret(name)?))).collect()
}

fn own_headers(
    map: &mut HeaderMap,
    headers: impl IntoIterator<Item = (String, String)>,
) -> Result<(), String> {
    for (name, value) in headers {
        let header =
            name.parse::<HeaderName>().map_err(|_| format!("`{name}` is not a header's name"))?;
        let value = HeaderValue::from_str(&value)
            .map_err(|_| format!("the header `{name}` can't carry its value"))?;
        map.insert(header, value);
    }
    Ok(())
}

/// Where the mapping says that one looks for the end of a step that was accepted with this answer.
///
/// # Errors
/// Says which field is missing.
pub(crate) fn place_to_look(
    send: &SendStep,
    poll: &Poll,
    body: &[u8],
) -> Result<Option<String>, String> {
    let answer = serde_json::from_slice::<Value>(body).ok();
    poll.place(&|name| match name.strip_prefix("answer.") {
        Some(path) => amends_rulebook::field_at(answer.as_ref()?, path).cloned(),
        None => send.field(name),
    })
}

/// The value of a placeholder for a look at a step; none if only the step's own request had it.
fn field_of_poll(poll: &PollStep, id: &str, name: &str) -> Option<Value> {
    Some(match name {
        "sagaId" => poll.saga.as_str().into(),
        "stepId" => id.into(),
        "key" => poll.key.as_deref().unwrap_or(id).into(),
        "caseId" => poll.step.case.to_string().into(),
        "attempt" => poll.attempt.into(),
        "action" => poll.action.to_string().into(),
        _ => return None,
    })
}

/// How a request is known: by its step's id, which signatures are over, and by its idempotency key, if that is another.
#[derive(Clone, Copy)]
struct Ids<'a> {
    id: &'a str,
    key: Option<&'a str>,
}

fn common_headers(
    saga: &SagaId,
    Ids { id, key }: Ids<'_>,
    trace: Traceparent,
    route: &Route,
    body: &[u8],
    now: Timestamp,
) -> Result<HeaderMap, String> {
    let value = |text: String| {
        HeaderValue::try_from(text).map_err(|e| format!("a header can't be built: {e}"))
    };
    let mut map = HeaderMap::with_capacity(16);
    map.insert(ACCEPT, ACCEPTED);
    map.insert(USER_AGENT, AGENT);
    map.insert(HeaderName::from_static(headers::SAGA_ID), value(saga.as_str().to_owned())?);
    let key = format!("\"{}\"", key.unwrap_or(id));
    map.insert(HeaderName::from_static(headers::IDEMPOTENCY_KEY), value(key)?);
    map.insert(HeaderName::from_static(headers::TRACEPARENT), value(trace.to_string())?);
    let baggage = baggage::member(headers::BAGGAGE_SAGA, saga.as_str());
    map.insert(HeaderName::from_static(headers::BAGGAGE), value(baggage)?);
    if let Some(signer) = &route.signer {
        let seconds = now.0.div_euclid(1_000);
        map.insert(HeaderName::from_static(headers::WEBHOOK_ID), value(id.to_owned())?);
        map.insert(
            HeaderName::from_static(headers::WEBHOOK_TIMESTAMP),
            value(seconds.to_string())?,
        );
        map.insert(
            HeaderName::from_static(headers::WEBHOOK_SIGNATURE),
            value(signer.sign(id, seconds, body))?,
        );
    }
    Ok(map)
}

/// What [`StepBody`] borrows, owned: for the test that both are the same on the wire.
#[cfg(test)]
pub(crate) fn owned_body(send: &SendStep) -> amends_protocol::StepRequest {
    amends_protocol::StepRequest {
        saga_id: send.saga.clone(),
        case_id: send.step.case,
        step_id: send.step,
        attempt: send.attempt,
        action: send.action.clone(),
        request_ids: send.request_ids.iter().map(|id| id.to_string()).collect(),
        report: amends_protocol::ReportRef {
            service: send.report.service().to_owned(),
            code: send.report.data.code.clone(),
            id: send.report.id.clone(),
            message: send.report.data.message.clone(),
        },
        data: send.data().clone(),
        callback: Some(amends_protocol::Callback { proof: send.proof.clone(), url: None }),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
