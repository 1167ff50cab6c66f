//! Cases: `GET /v1/cases`, `GET /v1/cases/{id}`, `POST /v1/cases/{id}/acts`.

use super::body::{Payload, check_reason};
use super::path::Id;
use super::query::{Query, case_filter};
use super::{ApiError, App};
use crate::clock::{Clock, SystemClock};
use crate::views;
use amends_engine::{CaseBooks, claiming};
use amends_protocol::CaseId;
use amends_protocol::resources::{CaseAct, CaseDetail, CaseSummary, Page};
use amends_rulebook::Rulebook;
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use std::sync::Arc;

/// `GET /v1/cases`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
) -> Result<Json<Page<CaseSummary>>, ApiError> {
    let mut query = Query::of(&uri)?;
    let (mut filter, page) = (case_filter(&mut query, SystemClock.now())?, query.page()?);
    let group = query.group()?;
    query.finish()?;
    if let Some(group) = group {
        filter.among = Some(app.supervisor.members(group).await?.cases);
    }
    let rows = app.supervisor.store().cases(filter, page).await?;
    Ok(Json(views::page(rows, views::case_summary)))
}

/// `GET /v1/cases/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
) -> Result<Json<CaseDetail>, ApiError> {
    detail(&app, id).await.map(Json)
}

/// `POST /v1/cases/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
    payload: Payload,
) -> Result<Json<CaseDetail>, ApiError> {
    let act: CaseAct = payload.json()?;
    check_reason(act.reason())?;
    app.supervisor.act_on_case(id, act, payload.actor()?).await?;
    detail(&app, id).await.map(Json)
}

/// All that is known of a case, with its rules by their labels.
pub(crate) async fn detail<S: Store>(app: &App<S>, id: CaseId) -> Result<CaseDetail, ApiError> {
    let record = app.supervisor.store().case(id).await?;
    let record = record.ok_or_else(|| ApiError::not_found(format!("there is no case `{id}`")))?;
    let book = match &record.stored.case.rulebook {
        // The labels are for people: a version that can't be read any more only costs them.
        Some(book) => app.versions.get(&app.supervisor, &book.hash).await.ok().flatten(),
        None => None,
    };
    let case = &record.stored.case;
    let name = case.rulebook.as_ref().map(|r| &*r.name);
    let active = active_for(name, &case.report, &app.supervisor.active_books());
    Ok(views::case(record, CaseBooks { own: book.as_deref(), active: active.as_deref() }))
}

/// The active rulebook that a case would be answered by anew, by the name of the one that it began with and its first
/// report.
pub(crate) fn active_for(
    rulebook: Option<&str>,
    report: &str,
    active: &[Arc<Rulebook>],
) -> Option<Arc<Rulebook>> {
    let service = report.split('/').next().unwrap_or_default();
    claiming(active.iter(), rulebook, service).cloned()
}
