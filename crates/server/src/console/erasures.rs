//! `/erasures`: business data that went for good, and the act on a case that lets them go.

use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::http::{
    ApiError, App, ErasureId, Query, erasable_sagas, erase, erasure_detail, listed_erasures,
};
use crate::views::erasure_id;
use amends_api::{ErasureDetail, ErasureRequest, ErasureView, Page as Rows};
use amends_protocol::CaseId;
use amends_protocol::wire::percent;
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;

#[derive(Template)]
#[template(path = "erasures.html")]
struct ListPage {
    frame: Frame,
    rows: Rows<ErasureView>,
}

#[derive(Template)]
#[template(path = "erasure.html")]
struct OnePage {
    frame: Frame,
    erasure: ErasureDetail,
}

/// `GET /erasures`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/erasures");
    let mut query = Query::of(&uri).map_err(wrong)?;
    let page = query.page().map_err(wrong)?;
    query.finish().map_err(wrong)?;
    let rows = listed_erasures(&app, page).await.map_err(wrong)?;
    let itself = uri.path_and_query().map_or_else(|| "/erasures".to_owned(), ToString::to_string);
    let frame = Frame::live(&app, Part::Audit, "Erasures", itself, &visitor);
    Ok(show(&ListPage { frame, rows }))
}

/// `GET /erasures/{id}`
pub(super) async fn show_one<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let wrong = |error: ApiError| PageError::from(error).back("/erasures");
    let ErasureId(number) = id.parse().map_err(|e: String| wrong(ApiError::not_found(e)))?;
    let erasure = erasure_detail(&app, number, false).await.map_err(wrong)?;
    let title = format!("Erasure {}", erasure.view.id);
    let itself = format!("/erasures/{}", erasure.view.id);
    let frame = Frame::live(&app, Part::Audit, title, itself, &visitor);
    Ok(show(&OnePage { frame, erasure }))
}

/// `POST /cases/{id}/erasures`: the business data of a case go. Whoever wants that types the case's number.
pub(super) async fn erase_case<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let back = format!("/cases/{}", percent::part(&id));
    let wrong = |error: ApiError| PageError::from(error).back(&back).sent(&form);
    let id: CaseId = id.parse().map_err(|e| wrong(ApiError::not_found(format!("{e}"))))?;
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    if form.text("confirm") != id.to_string() {
        let text =
            format!("nothing was erased: to confirm it, write `{id}` into the field for that");
        return Err(wrong(ApiError::invalid(text)));
    }
    let record = app.supervisor.store().case(id).await.map_err(|e| wrong(e.into()))?;
    let Some(record) = record else {
        return Err(wrong(ApiError::not_found(format!("there is no case `{id}`"))));
    };
    let wanted = ErasureRequest {
        sagas: vec![record.stored.case.saga],
        field: None,
        reason,
        when_settled: !form.text("when_settled").is_empty(),
        dry_run: false,
    };
    let found = erasable_sagas(&app, &wanted).await.map_err(wrong)?;
    let number = erase(&app, wanted, found, who).await.map_err(wrong)?;
    Ok(form.remember(see(&format!("/erasures/{}", erasure_id(number)))))
}

impl ListPage {
    fn next(&self) -> Option<String> {
        let cursor = self.rows.next.as_deref()?;
        Some(format!("/erasures?cursor={}", percent::part(cursor)))
    }
}
