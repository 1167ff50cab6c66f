//! Numbers of everything: `GET /v1/overview`.

use super::{ApiError, App};
use crate::access::Caller;
use crate::clock::{Clock, SystemClock};
use crate::views::bare_overview;
use amends_api::Overview;
use amends_store::Store;
use axum::Json;
use axum::extract::State;

/// `GET /v1/overview`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
) -> Result<Json<Overview>, ApiError> {
    let mut overview = app.supervisor.overview(SystemClock.now()).await?;
    if !caller.sees_data() {
        bare_overview(&mut overview);
    }
    Ok(Json(overview))
}
