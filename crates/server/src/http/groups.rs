//! Open work by cause: `GET /v1/groups`.

use super::{ApiError, App};
use amends_api::GroupView;
use amends_store::Store;
use axum::Json;
use axum::extract::State;

/// `GET /v1/groups`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
) -> Result<Json<Vec<GroupView>>, ApiError> {
    Ok(Json(app.supervisor.groups().await?))
}
