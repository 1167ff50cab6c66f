//! Numbers of everything: `GET /v1/overview`.

use super::{ApiError, App};
use crate::access::Caller;
use crate::clock::{Clock, SystemClock};
use crate::faults::store_problem;
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
    count_all(&app, &mut overview).await?;
    if !caller.sees_data() {
        bare_overview(&mut overview);
    }
    Ok(Json(overview))
}

/// Of a node that works on a part of all sagas: says so, and counts the cases of all of them.
pub(crate) async fn count_all<S: Store>(
    app: &App<S>,
    overview: &mut Overview,
) -> Result<(), ApiError> {
    if let Some(node) = app.nodes.one_of_several() {
        overview.node = Some(node.to_owned());
        overview.cases = app.supervisor.store().case_counts().await.map_err(store_problem)?;
    }
    Ok(())
}
