//! The service's HTTP surface: forward actions, the participant's endpoints, health. Reads and checks what comes in;
//! decides nothing about sagas.

use crate::answer;
use crate::config::KitError;
use crate::forward::forward;
use crate::history_page;
use crate::kit::Kit;
use crate::signature;
use crate::steps::{NotDone, perform};
use crate::store::{HistoryStore, HistoryTx};
use amends_protocol::{HistoryEntry, Problem, ProblemCode, SagaId, StepRequest, Verb, headers};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest body that is read. Requests are stored whole in History; what is larger belongs behind a link.
const BODY_LIMIT: usize = 1024 * 1024;

pub(crate) fn router<S: HistoryStore>(kit: Kit<S>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok").fallback(wrong_method))
        .route("/amends/v1/manifest", get(manifest::<S>).fallback(wrong_method))
        .route("/amends/v1/history/{saga}", get(history::<S>).fallback(wrong_method))
        .route("/amends/v1/{verb}/{action}", post(step::<S>).fallback(wrong_method))
        .route("/{action}", post(action::<S>).fallback(wrong_method))
        .with_state(kit)
}

async fn wrong_method() -> Response {
    answer::refuse(
        ProblemCode::MethodNotAllowed,
        "actions and steps take POST; history, manifest and health take GET",
    )
}

async fn action<S: HistoryStore>(
    State(kit): State<Kit<S>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match read_body(body).await {
        Ok(body) => forward(kit, name, &headers, &body).await,
        Err(problem) => answer::problem(&problem),
    }
}

async fn step<S: HistoryStore>(
    State(kit): State<Kit<S>>,
    Path((verb, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(problem) => return answer::problem(&problem),
    };
    let (verb, step) = match read_step(&kit, &verb, &action, &headers, &body) {
        Ok(read) => read,
        Err(problem) => return answer::problem(&problem),
    };
    let saga = step.saga_id.clone();
    // In a task of its own, so that a supervisor that hangs up doesn't stop a retry half-way.
    let response = match tokio::spawn(perform(kit, verb, step)).await {
        Ok(Ok(done)) => answer::json(StatusCode::OK, "application/json", &done),
        Ok(Err(NotDone::Accepted)) => {
            answer::json(StatusCode::ACCEPTED, "application/json", &Map::<String, Value>::new())
        }
        Ok(Err(NotDone::Problem(problem))) => answer::problem(&problem),
        Ok(Err(NotDone::Kit(error))) => answer::broken(ProblemCode::Unavailable, &error),
        Err(error) => answer::refuse(ProblemCode::Unavailable, error.to_string()),
    };
    answer::named(response, Some(&saga), None)
}

/// Checks signature, path, body and key against each other.
fn read_step<S: HistoryStore>(
    kit: &Kit<S>,
    verb: &str,
    action: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Verb, StepRequest), Problem> {
    let invalid = |detail: String| Problem::new(ProblemCode::InvalidRequest, detail);
    let verb: Verb =
        verb.parse().map_err(|error| Problem::new(ProblemCode::NotFound, format!("{error}")))?;
    check_signature(kit, headers, body)?;
    let step: StepRequest = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("the body is not a step: {error}")))?;
    if *step.action.action != *action || *step.action.service != *kit.service() {
        return Err(invalid(format!(
            "the path asks `{}.{action}`, the body asks `{}`; they must be the same",
            kit.service(),
            step.action
        )));
    }
    if let Some(key) = headers.get(headers::IDEMPOTENCY_KEY) {
        let key = key.to_str().unwrap_or_default().trim();
        let bare = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key);
        if bare != step.step_id.to_string() {
            let detail = format!(
                "`Idempotency-Key` is `{bare}` and the step is `{}`; they must be the same",
                step.step_id
            );
            return Err(Problem::new(ProblemCode::KeyReused, detail));
        }
    }
    Ok((verb, step))
}

fn check_signature<S: HistoryStore>(
    kit: &Kit<S>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    match kit.inner.config.signing_keys.as_slice() {
        [] => Ok(()),
        keys => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            signature::verify(keys, headers, body, i64::try_from(now).unwrap_or(i64::MAX))
                .map_err(|detail| Problem::new(ProblemCode::Unauthorized, detail))
        }
    }
}

async fn history<S: HistoryStore>(
    State(kit): State<Kit<S>>,
    Path(saga): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(problem) = check_signature(&kit, &headers, b"") {
        return answer::problem(&problem);
    }
    let saga = match SagaId::new(&saga) {
        Ok(saga) => saga,
        Err(error) => return answer::refuse(ProblemCode::InvalidRequest, error.to_string()),
    };
    let from = match history_page::told_before(query.as_deref()) {
        Ok(from) => from,
        Err(detail) => return answer::refuse(ProblemCode::InvalidRequest, detail),
    };
    let asked = saga.clone();
    let read =
        kit.inner.store.read(move |tx| Box::pin(async move { entries(tx, &asked).await })).await;
    let response = match read {
        Ok(entries) => {
            let body = history_page::page(saga.clone(), entries, from);
            answer::json(StatusCode::OK, "application/json", &body)
        }
        Err(error) => answer::broken(ProblemCode::Unavailable, &error),
    };
    answer::named(response, Some(&saga), None)
}

async fn entries<T: HistoryTx>(tx: &mut T, saga: &SagaId) -> Result<Vec<HistoryEntry>, KitError> {
    let own = tx.requests_of(saga, None).await?.into_iter().map(|row| HistoryEntry {
        service: None,
        action: row.request.action,
        request_id: Some(row.request.request_id),
        state: row.state,
        data: Map::new(),
    });
    let calls = tx.calls_of(saga).await?.into_iter().map(|call| HistoryEntry {
        service: Some(call.service),
        action: call.action,
        request_id: call.request_id,
        state: call.state,
        data: call.data,
    });
    Ok(own.chain(calls).collect())
}

async fn manifest<S: HistoryStore>(State(kit): State<Kit<S>>) -> Response {
    match &kit.inner.config.manifest {
        Some(manifest) => {
            let mut response = Response::new(Body::from(manifest.clone()));
            let yaml = HeaderValue::from_static("application/yaml");
            response.headers_mut().insert(header::CONTENT_TYPE, yaml);
            response
        }
        None => {
            let detail = format!("`{}` serves no manifest", kit.service());
            answer::refuse(ProblemCode::NotFound, detail)
        }
    }
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, BODY_LIMIT).await.map_err(|error| {
        let too_long = std::error::Error::source(&error)
            .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        match too_long {
            true => {
                Problem::new(ProblemCode::TooLarge, format!("a body may have {BODY_LIMIT} bytes"))
            }
            false => {
                Problem::new(ProblemCode::InvalidRequest, format!("the body broke off: {error}"))
            }
        }
    })
}
