//! Numbers of everything: `GET /v1/overview`.

use super::{ApiError, App};
use crate::clock::{Clock, SystemClock};
use amends_api::Overview;
use amends_store::Store;
use axum::Json;
use axum::extract::State;

/// `GET /v1/overview`
pub(crate) async fn show<S: Store>(State(app): State<App<S>>) -> Result<Json<Overview>, ApiError> {
    Ok(Json(app.supervisor.overview(SystemClock.now()).await?))
}
