//! Open work by cause: `GET /v1/groups`.

use super::answers::Rows;
use super::{ApiError, App};
use amends_api::GroupView;
use amends_store::Store;
use axum::extract::State;

/// `GET /v1/groups`
pub(crate) async fn list<S: Store>(State(app): State<App<S>>) -> Result<Rows<GroupView>, ApiError> {
    Ok(Rows(app.supervisor.groups().await?))
}
