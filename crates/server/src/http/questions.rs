//! Open questions: `GET /v1/questions`, `GET /v1/questions/{id}`, `POST /v1/questions/{id}/acts`.

use super::answers::Merged;
use super::body::{Sent, check_reason};
use super::filters::{Asked, OfQuestions, Paging};
use super::path::Id;
use super::{ApiError, App, cases};
use crate::access::Caller;
use crate::all_nodes::OfAll;
use crate::views;
use amends_api::{Page, QuestionAct, QuestionAnswered, QuestionId, QuestionView};
use amends_engine::{CaseRow, FoundQuestions, QuestionFilter};
use amends_protocol::CaseId;
use amends_store::{CaseFilter, PageRequest, Store};
use axum::Json;
use axum::extract::State;
use std::collections::BTreeMap;

/// `GET /v1/questions`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    Asked((of, page)): Asked<(OfQuestions, Paging)>,
) -> Result<Merged<Json<Page<QuestionView>>>, ApiError> {
    let OfAll { what, silent } = found(&app, of.filter(), &page.request()).await?;
    Ok(Merged::of(Json(what), &silent))
}

/// `GET /v1/questions/{id}`: with its statements.
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<QuestionId>,
) -> Result<Json<QuestionView>, ApiError> {
    let case = cases::detail(&app, &caller, id.case).await?;
    let question = case.questions.into_iter().find(|question| question.id == id);
    let missing = || {
        ApiError::not_found(format!(
            "case {} has no open question `{id}`; it was answered, or has ended by itself",
            id.case
        ))
    };
    question.map(Json).ok_or_else(missing)
}

/// `POST /v1/questions/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<QuestionId>,
    Sent(act): Sent<QuestionAct>,
) -> Result<Json<QuestionAnswered>, ApiError> {
    check_reason(act.reason())?;
    app.supervisor.act_on_question(id, act, caller.acts_as()).await?;
    let open = cases::detail(&app, &caller, id.case).await?.questions;
    Ok(Json(QuestionAnswered { id, open }))
}

/// A page of open questions, with what the store knows of their cases.
pub(crate) async fn found<S: Store>(
    app: &App<S>,
    mut filter: QuestionFilter,
    page: &PageRequest,
) -> Result<OfAll<Page<QuestionView>>, ApiError> {
    let cursor = page.cursor.as_deref().map(str::parse::<QuestionId>).transpose();
    filter.after = cursor.map_err(|e| ApiError::filter(format!("`cursor`: {e}")))?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let OfAll { what, silent } = app.supervisor.questions(filter, limit).await?;
    let FoundQuestions { questions, more } = what;
    let mut ids: Vec<CaseId> = questions.iter().map(|found| found.id.case).collect();
    ids.dedup();
    let rows = rows(app, ids).await?;
    let items =
        questions.iter().map(|found| views::found_question(found, rows.get(&found.id.case)));
    let next = questions.last().filter(|_| more).map(|last| last.id.to_string());
    let what = Page { items: items.collect(), next, searched_until: None };
    Ok(OfAll { what, silent })
}

async fn rows<S: Store>(
    app: &App<S>,
    ids: Vec<CaseId>,
) -> Result<BTreeMap<CaseId, CaseRow>, ApiError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let page = PageRequest::first(u32::try_from(ids.len()).unwrap_or(u32::MAX));
    let filter = CaseFilter { among: Some(ids), ..CaseFilter::default() };
    let rows = app.supervisor.store().cases(filter, page).await?;
    Ok(rows.items.into_iter().map(|listed| (listed.case.id, listed.case)).collect())
}
