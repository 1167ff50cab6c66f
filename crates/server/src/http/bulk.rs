//! Bulk acts: `POST /v1/bulk`, `GET /v1/bulk`, `GET /v1/bulk/{id}`, `POST /v1/bulk/{id}/start` and `/stop`.

use super::body::{Payload, check_reason};
use super::path::Id;
use super::query::{Query, UNFINISHED, case_filter, step_filter};
use super::{ApiError, App};
use crate::bulk::{Meant, preview};
use crate::clock::{Clock, SystemClock};
use amends_protocol::resources::{BulkDeed, BulkSteering, BulkView, BulkWanted};
use amends_protocol::{StepStateName, StuckReason};
use amends_store::{CaseFilter, MOST_STEP_IDS, StepFilter, Store};
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
    let wanted: BulkWanted = payload.json()?;
    check_reason(&wanted.reason)?;
    let by = (payload.actor()?, SystemClock.now());
    let meant = meant(&app, &wanted).await?;
    let dry_run = wanted.dry_run;
    let (view, targets) = preview(&app.supervisor, wanted, meant, by, MOST_STEP_IDS).await?;
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

/// What a bulk act is about.
pub(crate) async fn meant<S: Store>(app: &App<S>, wanted: &BulkWanted) -> Result<Meant, ApiError> {
    let mut query = match (&wanted.filter, wanted.ids.as_slice()) {
        (None, []) => return Err(ApiError::invalid("give `ids` or a `filter`")),
        (Some(_), [_, ..]) => {
            return Err(ApiError::invalid(
                "`ids` and `filter` exclude each other; give one of them",
            ));
        }
        (Some(filter), []) if filter.is_empty() => {
            return Err(ApiError::invalid(
                "`filter` is empty and would mean everything; narrow it",
            ));
        }
        (Some(filter), []) => Query::from_pairs(filter.clone().into_iter().collect()),
        (None, ids) if ids.len() > MOST_STEP_IDS => {
            return Err(ApiError::invalid(format!(
                "there are {} ids; at most {MOST_STEP_IDS} are taken at once",
                ids.len()
            )));
        }
        (None, ids) if wanted.act == BulkDeed::Replan => {
            let among = Some(parsed(ids)?);
            return Ok(Meant::Cases(CaseFilter { among, ..CaseFilter::default() }));
        }
        (None, ids) => {
            let ids = Some(parsed(ids)?);
            return Ok(Meant::Steps(StepFilter { ids, ..StepFilter::default() }));
        }
    };
    let group = query.group()?;
    if wanted.act == BulkDeed::Replan {
        let mut filter = case_filter(&mut query, SystemClock.now())?;
        query.finish()?;
        if let Some(group) = group {
            filter.among = Some(app.supervisor.members(group).await?.cases);
        }
        return Ok(Meant::Cases(filter));
    }
    let mut filter = step_filter(&mut query)?;
    query.finish()?;
    if let Some(group) = group {
        filter.ids = Some(app.supervisor.members(group).await?.steps);
    }
    if filter.state.is_empty() && filter.outcome.is_none() {
        filter.state = states(wanted.act);
    }
    if wanted.act == BulkDeed::Approve && filter.reason.is_none() {
        filter.reason = Some(StuckReason::AwaitsApproval);
    }
    Ok(Meant::Steps(filter))
}

/// The states that are meant when a filter names none.
pub(crate) fn states(act: BulkDeed) -> Vec<StepStateName> {
    match act {
        BulkDeed::Retry => vec![StepStateName::Stuck, StepStateName::Due],
        BulkDeed::Approve => vec![StepStateName::Stuck],
        BulkDeed::Waive | BulkDeed::Replan => UNFINISHED.to_vec(),
    }
}

fn parsed<T: FromStr<Err: Display>>(ids: &[String]) -> Result<Vec<T>, ApiError> {
    ids.iter().map(|id| id.parse().map_err(|e| ApiError::invalid(format!("`ids`: {e}")))).collect()
}
