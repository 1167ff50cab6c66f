//! The audit: `GET /v1/acts`, and where its chain ends: `GET /v1/acts/head`.

use super::filters::{Asked, Paging, questions};
use super::{ApiError, App};
use crate::access::Caller;
use crate::views;
use amends_api::{ActView, AuditHead, Page};
use amends_protocol::CaseId;
use amends_store::{ActFilter, CaseOrder, Store};
use axum::Json;
use axum::extract::State;

questions! {
    /// What acts can be asked for.
    pub(crate) struct OfActs {
        /// Of this case.
        case: Option<CaseId>,
        /// In this order.
        sort: Option<CaseOrder>,
    }
}

/// `GET /v1/acts`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Asked((of, page)): Asked<(OfActs, Paging)>,
) -> Result<Json<Page<ActView>>, ApiError> {
    let filter = ActFilter { case: of.case, order: of.sort.unwrap_or_default() };
    let rows = app.supervisor.store().acts(filter, page.request()).await?;
    let with_data = caller.sees_data();
    Ok(Json(views::page(rows, |entry| views::act(entry, with_data))))
}

/// `GET /v1/acts/head`
pub(crate) async fn head<S: Store>(State(app): State<App<S>>) -> Result<Json<AuditHead>, ApiError> {
    let ends = app.supervisor.store().audit_ends().await?;
    let (number, digest) = (ends.written.number, ends.written.digest);
    Ok(Json(AuditHead { number, digest, removed: ends.removed }))
}
