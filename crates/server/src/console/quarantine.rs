//! `/quarantine`: cases that can't be worked on, with the reason, their rows, and what a person can do about each.

use super::form::Form;
use super::page::{Frame, PageError, Part, see, show, show_as};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::all_nodes::OfAll;
use crate::dispatch::{redacted, unredacted};
use crate::http::{ApiError, App, mend, raw_rows};
use amends_api::plain::escaped_json;
use amends_api::{QuarantineAct, QuarantineView, QuarantinedView, RawRowView};
use amends_protocol::{CaseId, Problem};
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

/// Longest text of rows that a page takes in, in bytes; what is longer is mended as a file.
const TEXT_LIMIT: usize = 1 << 20;

#[derive(Template)]
#[template(path = "quarantine.html")]
struct ListPage {
    frame: Frame,
    quarantine: QuarantineView,
}

#[derive(Template)]
#[template(path = "quarantined.html")]
struct CasePage {
    frame: Frame,
    found: QuarantinedView,
    /// Its rows as JSON; none if they are too long for a page.
    text: Option<String>,
    /// Why what was sent was not taken.
    refused: Option<Problem>,
    /// As it was typed.
    reason: String,
}

/// `GET /quarantine`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let itself = "/quarantine".to_owned();
    let OfAll { what: quarantine, silent } = app.supervisor.all_quarantine().await?;
    let frame = Frame::live(&app, Part::Quarantine, "Quarantine", itself, &visitor);
    Ok(show(&ListPage { frame: Frame { silent, ..frame }, quarantine }))
}

/// `GET /quarantine/{id}`; of a case that is not quarantined, its own page.
pub(super) async fn show_one<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let id = known(&id)?;
    let Some(found) = quarantined(&app, id).await? else { return Ok(see(&format!("/cases/{id}"))) };
    let text = serde_json::to_string_pretty(&shown(stored(&app, id).await?)).unwrap_or_default();
    let text = Some(escaped_json(&text).into_owned()).filter(|text| text.len() <= TEXT_LIMIT);
    let frame = frame(&app, id, &visitor);
    Ok(show(&CasePage { frame, found, text, refused: None, reason: String::new() }))
}

/// `POST /quarantine/{id}/acts`: `repair` or `discard`. What is refused is shown again as it was typed.
pub(super) async fn act<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id = known(&id)?;
    let refused = match mend_by_form(&app, id, &form).await {
        Ok(()) => return Ok(form.remember(see(&format!("/cases/{id}")))),
        Err(error) => error,
    };
    let wrong = |error: ApiError| PageError::from(error).back("/quarantine").sent(&form);
    let Some(found) = quarantined(&app, id).await? else { return Err(wrong(refused)) };
    if form.text("rows").is_empty() {
        return Err(wrong(refused).back(format!("/quarantine/{id}")));
    }
    let problem = refused.into_problem();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = CasePage {
        frame: frame(&app, id, &form.visitor),
        found,
        text: Some(form.text("rows").to_owned()),
        refused: Some(problem),
        reason: form.text("reason").to_owned(),
    };
    Ok(show_as(status, &page))
}

async fn mend_by_form<S: Store>(app: &App<S>, id: CaseId, form: &Form) -> Result<(), ApiError> {
    let (reason, who) = (form.reason()?, form.who()?);
    let act = match form.text("act") {
        "discard" => QuarantineAct::Discard { reason },
        "repair" => {
            let edited: Value = serde_json::from_str(form.text("rows"))
                .map_err(|e| ApiError::invalid(format!("the rows are no JSON: {e}")))?;
            let before = serde_json::to_value(stored(app, id).await?).unwrap_or_default();
            let rows = serde_json::from_value(unredacted(edited, &before)).map_err(|e| {
                ApiError::invalid(format!("the rows are not as they were shown: {e}"))
            })?;
            QuarantineAct::Repair { reason, rows }
        }
        other => return Err(ApiError::invalid(format!("`{other}` is no act of this form"))),
    };
    mend(app, id, act, &who).await
}

/// Without a live connection: what is being typed must not be replaced.
fn frame<S: Store>(app: &App<S>, id: CaseId, visitor: &Visitor) -> Frame {
    Frame::still(app, Part::Quarantine, format!("Quarantined case {id}"), visitor)
}

async fn quarantined<S: Store>(
    app: &App<S>,
    id: CaseId,
) -> Result<Option<QuarantinedView>, Problem> {
    let all = app.supervisor.all_quarantine().await?.what;
    Ok(all.cases.into_iter().find(|found| found.case_id == id))
}

/// Its rows as a person can read and mend them.
async fn stored<S: Store>(app: &App<S>, id: CaseId) -> Result<Vec<RawRowView>, ApiError> {
    let raw = raw_rows(app, id).await?;
    Ok(raw.rows.into_iter().map(RawRowView::spelled_out).collect())
}

fn shown(rows: Vec<RawRowView>) -> Value {
    redacted(serde_json::to_value(rows).unwrap_or_default())
}

fn known(text: &str) -> Result<CaseId, PageError> {
    let wrong = |e| PageError::from(ApiError::not_found(format!("{e}"))).back("/quarantine");
    text.parse().map_err(wrong)
}
