//! Announced sagas: `POST /v1/sagas`, `GET /v1/sagas/{id}`, `POST /v1/sagas/{id}/end`.

use super::answers::{Created, NoContent};
use super::body::Sent;
use super::path::Id;
use super::{ApiError, App};
use amends_engine::SagaRow;
use amends_protocol::wire::percent;
use amends_protocol::{SagaBegin, SagaId, SagaView, is_opaque_name};
use amends_store::Store;
use axum::Json;
use axum::extract::State;

/// `POST /v1/sagas`
pub(crate) async fn begin<S: Store>(
    State(app): State<App<S>>,
    Sent(begin): Sent<SagaBegin>,
) -> Result<Created<SagaView>, ApiError> {
    for (field, text) in [("service", Some(&begin.service)), ("action", begin.action.as_ref())] {
        if let Some(text) = text.filter(|t| !is_opaque_name(t)) {
            let rule = "it must be 1 to 128 bytes of printable ASCII without spaces";
            return Err(ApiError::invalid(format!("`{field}` is `{text}`; {rule}")));
        }
    }
    let row = app.supervisor.begin_saga(begin).await?;
    let location = format!("/v1/sagas/{}", percent::strict(row.saga.as_str()));
    Ok(Created { location: Some(location), body: view(row) })
}

/// `GET /v1/sagas/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(saga): Id<SagaId>,
) -> Result<Json<SagaView>, ApiError> {
    let row = app.supervisor.store().saga(&saga).await?;
    row.map(view)
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("saga `{saga}` was never announced")))
}

/// `POST /v1/sagas/{id}/end`
pub(crate) async fn end<S: Store>(
    State(app): State<App<S>>,
    Id(saga): Id<SagaId>,
) -> Result<NoContent, ApiError> {
    app.supervisor.end_saga(saga).await?;
    Ok(NoContent)
}

fn view(row: SagaRow) -> SagaView {
    SagaView {
        saga_id: row.saga,
        state: row.state,
        service: row.service.to_string(),
        deadline: row.deadline,
    }
}
