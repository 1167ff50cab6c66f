//! Bulk acts: `POST /v1/bulk`, `GET /v1/bulk`, `GET /v1/bulk/{id}`, `POST /v1/bulk/{id}/start` and `/stop`.

use super::body::{Payload, check_reason};
use super::path::Id;
use super::targets::{Selection, resolve_targets};
use super::{ApiError, App};
use crate::bulk::{Purpose, preview};
use crate::clock::{Clock, SystemClock};
use amends_api::{BulkDeed, BulkSteering, BulkView, BulkWanted};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::fmt::Display;
use std::str::FromStr;

/// The number in `b-3`.
pub(crate) struct BulkId(pub(crate) u64);

impl FromStr for BulkId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("b-").and_then(|n| n.parse().ok());
        number.map(Self).ok_or_else(|| format!("`{text}` is no bulk act; write it as in `b-3`"))
    }
}

/// `POST /v1/bulk`: freezes what is meant and shows it. Nothing is done before it is started.
pub(crate) async fn make<S: Store>(
    State(app): State<App<S>>,
    payload: Payload,
) -> Result<(StatusCode, Json<BulkView>), ApiError> {
    let BulkWanted { act, reason, ids, filter, dry_run } = payload.json()?;
    check_reason(&reason)?;
    let purpose = Purpose { act, reason, actor: payload.actor()?.to_owned() };
    let ids = match act {
        BulkDeed::Replan => Selection::Cases(parsed(&ids)?),
        BulkDeed::Accept => Selection::Questions(parsed(&ids)?),
        BulkDeed::Retry | BulkDeed::Waive | BulkDeed::Approve => Selection::Steps(parsed(&ids)?),
    };
    let _turn = app.long_read()?;
    let found = resolve_targets(&app, act.into(), ids.or_filter(filter)?).await?;
    let (view, targets) = preview(purpose, found, SystemClock.now());
    if dry_run {
        return Ok((StatusCode::OK, Json(view)));
    }
    if targets.len() == 0 {
        return Err(ApiError::invalid("nothing matches, so there is nothing to do"));
    }
    let job = app.bulks.make(&app.supervisor, view, &targets).await?;
    Ok((StatusCode::CREATED, Json(job.view())))
}

/// `GET /v1/bulk`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
) -> Result<Json<Vec<BulkView>>, ApiError> {
    Ok(Json(app.bulks.list(&app.supervisor).await?))
}

/// `GET /v1/bulk/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(BulkId(number)): Id<BulkId>,
) -> Result<Json<BulkView>, ApiError> {
    Ok(Json(app.bulks.job(&app.supervisor, number).await?.view()))
}

/// `POST /v1/bulk/{id}/start`
pub(crate) async fn start<S: Store>(
    State(app): State<App<S>>,
    Id(BulkId(number)): Id<BulkId>,
    payload: Payload,
) -> Result<Json<BulkView>, ApiError> {
    let reason = steering(&payload)?;
    let job = app.bulks.job(&app.supervisor, number).await?;
    app.bulks.start(&app.supervisor, &job, payload.actor()?, reason).await?;
    Ok(Json(job.view()))
}

/// `POST /v1/bulk/{id}/stop`
pub(crate) async fn stop<S: Store>(
    State(app): State<App<S>>,
    Id(BulkId(number)): Id<BulkId>,
    payload: Payload,
) -> Result<Json<BulkView>, ApiError> {
    let reason = steering(&payload)?;
    let job = app.bulks.job(&app.supervisor, number).await?;
    app.bulks.stop(&app.supervisor, &job, payload.actor()?, reason).await?;
    Ok(Json(job.view()))
}

fn steering(payload: &Payload) -> Result<Option<String>, ApiError> {
    let BulkSteering { reason } = payload.json()?;
    reason.as_deref().map(check_reason).transpose()?;
    Ok(reason)
}

fn parsed<T: FromStr<Err: Display>>(ids: &[String]) -> Result<Vec<T>, ApiError> {
    ids.iter().map(|id| id.parse().map_err(|e| ApiError::invalid(format!("`ids`: {e}")))).collect()
}
