//! The audit: `GET /v1/acts`.

use super::query::Query;
use super::{ApiError, App};
use crate::views;
use amends_api::{ActView, Page};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;

/// `GET /v1/acts`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
) -> Result<Json<Page<ActView>>, ApiError> {
    let mut query = Query::of(&uri)?;
    let (case, page) = (query.one("case")?, query.page()?);
    query.finish()?;
    let rows = app.supervisor.store().acts(case, page).await?;
    Ok(Json(views::page(rows, views::act)))
}
