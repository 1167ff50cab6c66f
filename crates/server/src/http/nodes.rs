//! The nodes that share the store: `GET /v1/nodes`, `POST /v1/nodes/{name}/drain` and `/resume`.

use super::body::{Actor, Sent, check_reason};
use super::path::Id;
use super::{ApiError, App};
use crate::faults::store_problem;
use amends_api::{DrainWanted, NodeView, NodesView, ReasonGiven};
use amends_store::Store;
use axum::Json;
use axum::extract::State;

/// `GET /v1/nodes`
pub(crate) async fn list<S: Store>(State(app): State<App<S>>) -> Result<Json<NodesView>, ApiError> {
    Ok(Json(app.nodes.view().await.map_err(store_problem)?))
}

/// `POST /v1/nodes/{name}/drain`: it gives back what it holds, in order.
pub(crate) async fn drain<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Actor(actor): Actor,
    Sent(DrainWanted { reason, last }): Sent<DrainWanted>,
) -> Result<Json<NodeView>, ApiError> {
    check_reason(&reason)?;
    Ok(Json(app.nodes.drain(&app.supervisor, &name, last, &actor, &reason).await?))
}

/// `POST /v1/nodes/{name}/resume`: it takes its share again.
pub(crate) async fn resume<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Actor(actor): Actor,
    Sent(ReasonGiven { reason }): Sent<ReasonGiven>,
) -> Result<Json<NodeView>, ApiError> {
    check_reason(&reason)?;
    Ok(Json(app.nodes.resume(&app.supervisor, &name, &actor, &reason).await?))
}
