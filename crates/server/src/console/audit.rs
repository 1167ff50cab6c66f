//! `/audit`: every act of a person and every change of a rulebook, newest first.

use super::cases::Filter;
use super::page::{Frame, PageError, Part, show};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::dispatch::redacted;
use crate::http::{App, Query};
use crate::views;
use amends_api::{ActView, Page as Rows};
use amends_protocol::CaseId;
use amends_store::{ActFilter, Store};
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    rows: Rows<ActView>,
}

/// `GET /audit`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let filter = Filter::of(&uri);
    let itself = uri.path_and_query().map_or_else(|| "/audit".to_owned(), ToString::to_string);
    let frame = Frame::live(&app, Part::Audit, "Audit", itself, &visitor);
    let wrong = |error| PageError::from(error).back("/audit");
    let mut query = Query::from_pairs(filter.pairs().to_vec());
    let (case, page) = (query.one::<CaseId>("case").map_err(wrong)?, query.page().map_err(wrong)?);
    query.finish().map_err(wrong)?;
    let rows = app
        .supervisor
        .store()
        .acts(ActFilter { case, ..ActFilter::default() }, page)
        .await
        .map_err(|e| wrong(e.into()))?;
    let with_data = visitor.caller.sees_data();
    let rows = views::page(rows, |entry| views::act(entry, with_data));
    Ok(show(&Page { frame, filter, rows }))
}

fn act_detail(act: &ActView) -> String {
    redacted(act.detail.clone()).to_string()
}

impl Page {
    fn next(&self) -> Option<String> {
        let cursor = self.rows.next.as_deref()?;
        Some(self.filter.address("/audit", &[("cursor", cursor)]))
    }
}
