//! `/bulk`: one act on many. `/bulk/new` says what would be touched; making it freezes the set; `/bulk/{id}` shows it
//! before it is started, how its waves go out, and stops it.

use super::cases::Filter;
use super::form::Form;
use super::page::{Frame, PageError, Part, see, show};
use super::visitor::Visitor;
use super::words::{date_and_time, relative};
use crate::bulk::{LISTED, Purpose, preview};
use crate::clock::{Clock, SystemClock};
use crate::http::{ApiError, App, BulkId, Selection, may_act_on, resolve_targets, within_bulk};
use crate::views::bare_bulk;
use amends_api::access::Right;
use amends_api::signs::Signed;
use amends_api::{BulkActName, BulkState, BulkView, StepStateName};
use amends_protocol::CaseId;
use amends_store::Store;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use std::str::FromStr;

#[derive(Template)]
#[template(path = "bulk_list.html")]
struct ListPage {
    frame: Frame,
    bulks: Vec<BulkView>,
}

#[derive(Template)]
#[template(path = "bulk_new.html")]
struct NewPage {
    frame: Frame,
    filter: Filter,
    act: BulkActName,
    view: BulkView,
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: Frame,
    bulk: BulkView,
    id: String,
    /// It was stopped, and its last wave is still out.
    is_ending: bool,
}

/// `GET /bulk`
pub(super) async fn list<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let frame = Frame::live(&app, Part::Bulk, "Bulk acts", "/bulk".to_owned(), &visitor);
    let bulks = app.bulks.list(&app.supervisor).await?;
    Ok(show(&ListPage { frame, bulks }))
}

/// `GET /bulk/new?act=…` with a filter of steps, or with `of=cases` and a filter of cases, or `case=…` for each.
pub(super) async fn propose<S: Store>(
    State(app): State<App<S>>,
    uri: Uri,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let filter = Filter::of(&uri);
    let act = act_of(filter.get("act")).map_err(|e| PageError::from(e).back("/cases"))?;
    let frame = Frame::still(&app, Part::Bulk, "A bulk act", &visitor);
    let wrong = |error: ApiError| PageError::from(error).back("/cases");
    let selection = selection(act, filter.pairs()).map_err(wrong)?;
    let found =
        resolve_targets(&app, &visitor.caller, act.into(), selection).await.map_err(wrong)?;
    may_act_on(&app, &visitor.caller, &found.targets).await.map_err(wrong)?;
    let purpose =
        Purpose { act, reason: "(not made yet)".to_owned(), actor: frame.who.name.as_str().into() };
    let (view, _) = preview(purpose, found, &app.supervisor.kept_back(), frame.now);
    Ok(show(&NewPage { frame, filter, act, view }))
}

/// `POST /bulk`: freezes the set. Nothing is done before it is started.
pub(super) async fn make<S: Store>(
    State(app): State<App<S>>,
    form: Form,
) -> Result<Response, PageError> {
    let pairs: Vec<(String, String)> =
        form.under("filter.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let back = address(&pairs);
    let wrong = |error: ApiError| PageError::from(error).back(&back);
    let (reason, who) = (form.reason().map_err(wrong)?, form.who().map_err(wrong)?);
    let act = act_of(form.text("act")).map_err(wrong)?;
    let selection = selection(act, &pairs).map_err(wrong)?;
    let found =
        resolve_targets(&app, &form.visitor.caller, act.into(), selection).await.map_err(wrong)?;
    may_act_on(&app, &form.visitor.caller, &found.targets).await.map_err(wrong)?;
    let reason = app.supervisor.kept_text(&reason);
    let purpose = Purpose { act, reason, actor: who };
    let (view, targets) = preview(purpose, found, &app.supervisor.kept_back(), SystemClock.now());
    if targets.len() == 0 {
        let error = ApiError::invalid("nothing matches any more, so there is nothing to do");
        return Err(wrong(error));
    }
    let job = app.bulks.make(&app.supervisor, view, &targets).await?;
    Ok(form.remember(see(&format!("/bulk/b-{}", job.number))))
}

/// `GET /bulk/{id}`
pub(super) async fn show_one<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    let number = number(&id)?;
    let job = app.bulks.job(&app.supervisor, number).await;
    let job = job.map_err(|problem| PageError::from(problem).back("/bulk"))?;
    within_bulk(&app, &visitor.caller, Right::Read, number).await?;
    let (mut bulk, is_ending) = (job.view(), job.is_ending());
    if !visitor.caller.sees_data() {
        bulk = bare_bulk(bulk);
    }
    let frame =
        Frame::live(&app, Part::Bulk, format!("Bulk act {id}"), format!("/bulk/{id}"), &visitor);
    Ok(show(&BulkPage { frame, bulk, id, is_ending }))
}

/// `POST /bulk/{id}/acts`: `start` or `stop`.
pub(super) async fn steer<S: Store>(
    State(app): State<App<S>>,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, PageError> {
    let back = format!("/bulk/{id}");
    let wrong = |error: ApiError| PageError::from(error).back(&back);
    let who = form.who().map_err(wrong)?;
    let number = number(&id)?;
    let job = app.bulks.job(&app.supervisor, number).await.map_err(|p| wrong(p.into()))?;
    within_bulk(&app, &form.visitor.caller, Right::Act, number).await.map_err(wrong)?;
    // The first start is what it was made for; whatever comes later has a reason of its own.
    let is_first = job.view().state == BulkState::Preview;
    let reason = if is_first { None } else { Some(form.reason().map_err(wrong)?) };
    let steered = match form.text("act") {
        "start" => app.bulks.start(&app.supervisor, &job, &who, reason).await,
        "stop" => app.bulks.stop(&app.supervisor, &job, &who, reason).await,
        other => return Err(wrong(ApiError::invalid(format!("`{other}` is no act of this form")))),
    };
    steered.map_err(|problem| wrong(problem.into()))?;
    Ok(form.remember(see(&back)))
}

fn number(id: &str) -> Result<u64, PageError> {
    let read = BulkId::from_str(id).map(|BulkId(number)| number);
    read.map_err(|e| PageError::from(ApiError::not_found(e)).back("/bulk"))
}

fn act_of(text: &str) -> Result<BulkActName, ApiError> {
    text.parse().map_err(|unknown| ApiError::filter(format!("`act`: {unknown}")))
}

/// What the fields of an address or a form point at: selected cases, the cases that are listed, or steps by their filter.
fn selection(act: BulkActName, pairs: &[(String, String)]) -> Result<Selection, ApiError> {
    let steers = |name: &str| matches!(name, "act" | "of" | "cursor" | "limit" | "sort");
    let fields: Vec<(String, String)> =
        pairs.iter().filter(|(name, _)| !steers(name)).cloned().collect();
    if fields.is_empty() {
        return Err(ApiError::filter(
            "nothing is selected, and no filter narrows it; select cases first",
        ));
    }
    let selected: Vec<CaseId> = fields
        .iter()
        .filter(|(name, _)| name == "case")
        .map(|(_, id)| id.parse().map_err(|e| ApiError::filter(format!("`case`: {e}"))))
        .collect::<Result<_, _>>()?;
    let is_of_cases = pairs.iter().any(|(name, _)| name == "of");
    Ok(match (selected.is_empty(), is_of_cases) {
        (false, _) if act == BulkActName::Replan => Selection::Cases(selected),
        (true, true) => Selection::OfCases(fields),
        _ => Selection::Filter(fields),
    })
}

fn address(pairs: &[(String, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("/bulk/new?{}", query.finish())
}

/// What an act does, in a sentence.
fn meaning(act: BulkActName) -> &'static str {
    match act {
        BulkActName::Retry => "Each step is tried again now, whatever its backoff says.",
        BulkActName::Waive => {
            "Each step is given up: it is not asked for any more, and is shown as waived, never as undone."
        }
        BulkActName::Approve => "Each step that waits for approval is sent.",
        BulkActName::Replan => {
            "The reports of each case are answered anew by the active rulebook; steps are only added."
        }
        BulkActName::Accept => {
            "Each doubt is taken as it is: its case then closes by a person, if nothing else is open in it."
        }
    }
}

impl NewPage {
    /// The same act on all steps of the selected cases that have not ended, where only those that need a person are meant.
    fn wider(&self) -> Option<String> {
        let names = |name: &str| !self.filter.get(name).is_empty();
        let is_wider = self.act == BulkActName::Waive && names("case") && !names("state");
        let states = StepStateName::ALL.iter().filter(|state| state.is_unfinished());
        let unfinished = states.map(|state| state.as_str()).collect::<Vec<_>>().join(",");
        is_wider.then(|| self.filter.address("/bulk/new", &[("state", &unfinished)]))
    }
}

/// Where the list is from which it was proposed.
fn list_of(act: &BulkActName) -> (&'static str, &'static str) {
    match act {
        BulkActName::Accept => ("/questions", "Back to the questions"),
        BulkActName::Retry | BulkActName::Waive | BulkActName::Approve | BulkActName::Replan => {
            ("/cases", "Back to the cases")
        }
    }
}

impl BulkPage {
    fn bar(&self) -> super::picture::Bar {
        let p = &self.bulk.progress;
        let pieces = [
            ("done", "done", p.succeeded),
            ("stuck", "failed again", p.failed),
            ("waived", "not changed", p.unchanged),
            ("flight", "waiting for an answer", p.waiting),
            ("queue", "left", p.left),
        ];
        super::picture::Bar::with(&pieces, "nothing")
    }

    fn may_start(&self) -> bool {
        matches!(self.bulk.state, BulkState::Preview | BulkState::Stopped)
    }
}
