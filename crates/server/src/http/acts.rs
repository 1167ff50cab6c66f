//! The audit: `GET /v1/acts`.

use super::filters::{Asked, Paging, questions};
use super::{ApiError, App};
use crate::views;
use amends_api::{ActView, Page};
use amends_protocol::CaseId;
use amends_store::Store;
use axum::Json;
use axum::extract::State;

questions! {
    /// What acts can be asked for.
    pub(crate) struct OfActs {
        /// Of this case.
        case: Option<CaseId>,
    }
}

/// `GET /v1/acts`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    Asked((of, page)): Asked<(OfActs, Paging)>,
) -> Result<Json<Page<ActView>>, ApiError> {
    let rows = app.supervisor.store().acts(of.case, page.request()).await?;
    Ok(Json(views::page(rows, views::act)))
}
