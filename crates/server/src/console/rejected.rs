//! `/rejected`: messages of brokers that could not be taken as reports, why, and what a person can do about each.

use super::cases::Filter;
use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::http::{ApiError, App, Query, rejected, rejected_message};
use crate::rejected::act_on_rejected;
use amends_api::{
    Page as Rows, RejectedAct, RejectedBody, RejectedId, RejectedMessage, RejectedView,
};
use amends_store::{RejectedFilter, Store};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;

/// Most characters of a body that a page shows; the API has it whole.
const BODY_SHOWN: usize = 16 << 10;

#[derive(Template)]
#[template(path = "rejected.html")]
struct ListPage {
    frame: Frame,
    filter: Filter,
    rows: Rows<RejectedView>,
}

#[derive(Template)]
#[template(path = "rejected_one.html")]
struct MessagePage {
    frame: Frame,
    message: RejectedMessage,
}

/// `GET /rejected`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let filter = Filter::of(&uri);
    let wrong = |error| PageError::from(error).back("/rejected");
    let mut query = Query::from_pairs(filter.pairs().to_vec());
    let of = RejectedFilter {
        way: query.one("way").map_err(wrong)?,
        source: query.text("source").map_err(wrong)?,
    };
    let page = query.page().map_err(wrong)?;
    query.finish().map_err(wrong)?;
    let rows = rejected(&app, &visitor.caller, of, page).await.map_err(wrong)?;
    app.supervisor.count_rejected().await.map_err(|error| wrong(error.into()))?;
    let itself = uri.path_and_query().map_or_else(|| "/rejected".to_owned(), ToString::to_string);
    let frame = Frame::live(&app, Part::Rejected, "Rejected reports", itself, &visitor);
    Ok(show(&ListPage { frame, filter, rows }))
}

/// `GET /rejected/{id}`
pub(super) async fn show_one<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let id = known(&id)?;
    let found = rejected_message(&app, &visitor.caller, id).await;
    let message = found.map_err(|error| PageError::from(error).back("/rejected"))?;
    let title = format!("Rejected report {id}");
    // Without a live connection: what is being typed must not be replaced.
    Ok(show(&MessagePage { frame: Frame::still(&app, Part::Rejected, title, &visitor), message }))
}

/// `POST /rejected/{id}/acts`: `retry` or `discard`.
pub(super) async fn act<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let id = known(&id)?;
    let wrong =
        |error: ApiError| PageError::from(error).back(format!("/rejected/{id}")).sent(&form);
    let asked = || -> Result<_, ApiError> {
        let (reason, who) = (form.reason()?, form.who()?);
        match form.text("act") {
            "retry" => Ok((RejectedAct::Retry { reason }, who)),
            "discard" => Ok((RejectedAct::Discard { reason }, who)),
            other => Err(ApiError::invalid(format!("`{other}` is no act of this form"))),
        }
    };
    let (act, who) = asked().map_err(wrong)?;
    let done = act_on_rejected((&app.supervisor, &app.channels), id, &act, who).await;
    let done = done.map_err(|problem| wrong(problem.into()))?;
    let next = done.case_id.map_or_else(|| "/rejected".to_owned(), |case| format!("/cases/{case}"));
    Ok(form.remember(see(&next)))
}

fn known(text: &str) -> Result<RejectedId, PageError> {
    let wrong = |e| PageError::from(ApiError::not_found(format!("{e}"))).back("/rejected");
    text.parse().map_err(wrong)
}

impl ListPage {
    fn next(&self) -> Option<String> {
        let cursor = self.rows.next.as_deref()?;
        Some(self.filter.address("/rejected", &[("cursor", cursor)]))
    }

    fn is_filtered(&self) -> bool {
        !self.filter.get("way").is_empty() || !self.filter.get("source").is_empty()
    }
}

impl MessagePage {
    /// What is shown of the body, and whether that is less than what there is.
    fn body(&self) -> (&str, bool) {
        let (RejectedBody::Text(text) | RejectedBody::Base64(text) | RejectedBody::Withheld(text)) =
            &self.message.body;
        let shown = &text[..text.floor_char_boundary(BODY_SHOWN)];
        (shown, shown.len() < text.len())
    }

    fn is_withheld(&self) -> bool {
        matches!(self.message.body, RejectedBody::Withheld(_))
    }

    fn is_base64(&self) -> bool {
        matches!(self.message.body, RejectedBody::Base64(_))
    }
}
