//! Cases: `GET /v1/cases`, `GET /v1/cases/{id}`, `POST /v1/cases/{id}/acts`.

use super::body::{Payload, check_reason};
use super::path::Id;
use super::query::{Query, case_filter};
use super::{ApiError, App};
use crate::clock::{Clock, SystemClock};
use amends_engine::ReportRole;
use amends_protocol::CaseId;
use amends_protocol::resources::{CaseAct, CaseDetail, CaseSummary, Page};
use amends_rulebook::RuleId;
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;

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
    Ok(Json(app.supervisor.store().cases(filter, page).await?))
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
    check_reason(match &act {
        CaseAct::Replan { reason }
        | CaseAct::Plan { reason, .. }
        | CaseAct::Settle { reason }
        | CaseAct::Retry { reason } => reason,
    })?;
    app.supervisor.act_on_case(id, act, payload.actor()?).await?;
    detail(&app, id).await.map(Json)
}

/// All that is known of a case, with its rules by their labels.
pub(crate) async fn detail<S: Store>(app: &App<S>, id: CaseId) -> Result<CaseDetail, ApiError> {
    let record = app.supervisor.store().case(id).await?;
    let record = record.ok_or_else(|| ApiError::not_found(format!("there is no case `{id}`")))?;
    let mut detail = record.detail;
    let Some(hash) = detail.rulebook_hash.as_deref() else { return Ok(detail) };
    // The labels are for people: a version that can't be read any more only costs them.
    let book = match app.versions.get(&app.supervisor, hash).await {
        Ok(Some(book)) => book,
        Ok(None) | Err(_) => return Ok(detail),
    };
    for (report, role) in detail.reports.iter_mut().zip(&record.roles) {
        if let ReportRole::Rule(index) | ReportRole::RuleHeld(index) = role
            && let Some(rule) = book.rules().get(*index as usize)
        {
            debug_assert_eq!(rule.id, RuleId(*index));
            report.rule = Some(rule.index_label.clone());
        }
    }
    Ok(detail)
}
