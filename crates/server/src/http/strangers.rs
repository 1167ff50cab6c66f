//! Names that rulebooks don't know: `GET /v1/strangers`, `POST /v1/strangers/{rulebook}/{action}/acts`.

use super::body::{Payload, check_reason};
use super::path::Pair;
use super::query::Query;
use super::{ApiError, App};
use crate::views;
use amends_api::{StrangerAct, StrangerView};
use amends_protocol::ActionName;
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;

/// `GET /v1/strangers`: by rulebook and name.
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
) -> Result<Json<Vec<StrangerView>>, ApiError> {
    let mut query = Query::of(&uri)?;
    let rulebook = query.text("rulebook")?;
    query.finish()?;
    Ok(Json(found(&app, rulebook.as_deref()).await?))
}

/// `POST /v1/strangers/{rulebook}/{action}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Pair(rulebook, action): Pair,
    payload: Payload,
) -> Result<Json<Vec<StrangerView>>, ApiError> {
    let action: ActionName = action.parse().map_err(|e| ApiError::not_found(format!("{e}")))?;
    let act: StrangerAct = payload.json()?;
    check_reason(act.reason())?;
    app.supervisor.act_on_stranger(&rulebook, action, act, payload.actor()?).await?;
    Ok(Json(found(&app, Some(&rulebook)).await?))
}

/// The strangers of a rulebook, or of all.
pub(crate) async fn found<S: Store>(
    app: &App<S>,
    rulebook: Option<&str>,
) -> Result<Vec<StrangerView>, ApiError> {
    let found = app.supervisor.strangers().await?.into_iter();
    let meant = found.filter(|one| rulebook.is_none_or(|name| *one.rulebook == *name));
    Ok(meant.map(views::stranger).collect())
}
