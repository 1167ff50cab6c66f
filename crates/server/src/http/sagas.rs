//! Announced sagas: `POST /v1/sagas`, `GET /v1/sagas/{id}`, `POST /v1/sagas/{id}/end`.

use super::access::speaks_for;
use super::answers::{Created, NoContent};
use super::body::Sent;
use super::path::Id;
use super::{ApiError, App};
use crate::access::Caller;
use amends_api::access::{Right, Within};
use amends_engine::SagaRow;
use amends_protocol::wire::percent;
use amends_protocol::{SagaBegin, SagaId, SagaView, is_opaque_name};
use amends_store::{CaseFilter, PageRequest, Store};
use axum::Json;
use axum::extract::State;

/// `POST /v1/sagas`
pub(crate) async fn begin<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Sent(begin): Sent<SagaBegin>,
) -> Result<Created<SagaView>, ApiError> {
    for (field, text) in [("service", Some(&begin.service)), ("action", begin.action.as_ref())] {
        if let Some(text) = text.filter(|t| !is_opaque_name(t)) {
            let rule = "it must be 1 to 128 bytes of printable ASCII without spaces";
            return Err(ApiError::invalid(format!("`{field}` is `{text}`; {rule}")));
        }
    }
    speaks_for(&caller, &begin.service)?;
    let row = app.supervisor.begin_saga(begin).await?;
    let location = format!("/v1/sagas/{}", percent::strict(row.saga.as_str()));
    Ok(Created { location: Some(location), body: view(row) })
}

/// `GET /v1/sagas/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(saga): Id<SagaId>,
    caller: Caller,
) -> Result<Json<SagaView>, ApiError> {
    let row = app.supervisor.store().saga(&saga).await?;
    let may_read = caller.may(Right::Read, Within::Everywhere);
    let row = row.filter(|row| may_read || speaks_for(&caller, &row.service).is_ok());
    row.map(view)
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("saga `{saga}` was never announced")))
}

/// `POST /v1/sagas/{id}/end`
pub(crate) async fn end<S: Store>(
    State(app): State<App<S>>,
    Id(saga): Id<SagaId>,
    caller: Caller,
) -> Result<NoContent, ApiError> {
    if let Some(row) = app.supervisor.store().saga(&saga).await? {
        speaks_for(&caller, &row.service)?;
    } else if let Some(service) = began(&app, &saga).await? {
        speaks_for(&caller, &service)?;
    }
    app.supervisor.end_saga(saga, caller.sender()).await?;
    Ok(NoContent)
}

/// The service that began a saga, as its case knows it.
async fn began<S: Store>(app: &App<S>, saga: &SagaId) -> Result<Option<String>, ApiError> {
    let filter = CaseFilter { saga: Some(saga.clone()), ..CaseFilter::default() };
    let found = app.supervisor.store().cases(filter, PageRequest::first(1)).await?;
    let entry = found.items.into_iter().next().and_then(|listed| {
        let reported = listed.first_report.and_then(|row| row.report.data.entry.clone());
        listed.case.extra.entry.or(reported)
    });
    Ok(entry.and_then(|entry| entry.split_once('.').map(|(service, _)| service.to_owned())))
}

fn view(row: SagaRow) -> SagaView {
    SagaView {
        saga_id: row.saga,
        state: row.state,
        service: row.service.to_string(),
        deadline: row.deadline,
    }
}
