//! Cases: `GET /v1/cases`, `GET /v1/cases/{id}`, `POST /v1/cases/{id}/acts`.

use super::body::{Sent, check_reason};
use super::filters::{Asked, OfCases, OfGroup, Paging};
use super::parameters::Position;
use super::path::{Id, Pair};
use super::secrets::{found_cases, may_search, sight_of};
use super::{ApiError, App};
use crate::access::Caller;
use crate::clock::{Clock, SystemClock};
use crate::views::{self, Veiled};
use amends_api::access::{Right, Within};
use amends_api::{CaseAct, CaseDetail, CaseProof, CaseSummary, ClosedOn, Page, ReportView};
use amends_engine::{CaseBooks, Question, Veil, asked, claiming, open_questions, sharing};
use amends_protocol::{CaseId, Problem, ProblemCode, StepId};
use amends_rulebook::{Considered, Facts, Rulebook};
use amends_store::{CaseRecord, Store, StoreError};
use axum::Json;
use axum::extract::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::SemaphorePermit;

/// `GET /v1/cases`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Asked((of, group, page)): Asked<(OfCases, OfGroup, Paging)>,
) -> Result<Json<Page<CaseSummary>>, ApiError> {
    let mut filter = of.filter(SystemClock.now());
    may_search(&caller, &filter)?;
    if let Some(group) = group.id() {
        filter.members = Some(app.supervisor.members(group).await?.cases);
    }
    Ok(Json(found_cases(&app, &caller, filter, page.request()).await?))
}

/// `GET /v1/cases/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<CaseId>,
) -> Result<Json<CaseDetail>, ApiError> {
    Ok(Json(within_bounds(detail(&app, &caller, id).await?)))
}

/// `GET /v1/cases/{id}/reports/{position}`: one report, whole. Positions count from 0, in the order of `reports`.
pub(crate) async fn report<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Pair(case, Position(position)): Pair<CaseId, Position>,
) -> Result<Json<ReportView>, ApiError> {
    let detail = detail(&app, &caller, case).await?;
    let report = detail.reports.into_iter().nth(position);
    report.map(Json).ok_or_else(|| {
        ApiError::not_found(format!("there is no report `{position}` of case `{case}`"))
    })
}

/// `POST /v1/cases/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<CaseId>,
    Sent(act): Sent<CaseAct>,
) -> Result<Json<CaseDetail>, ApiError> {
    check_reason(act.reason())?;
    may_lead_to(&caller, &act)?;
    app.supervisor.act_on_case(id, act, caller.acts_as()).await?;
    Ok(Json(within_bounds(detail(&app, &caller, id).await?)))
}

/// That somebody may act on what belongs to the rulebook that a case is to be answered by from now on.
///
/// # Errors
/// `forbidden`, with the scope that is missing.
pub(crate) fn may_lead_to(caller: &Caller, act: &CaseAct) -> Result<(), ApiError> {
    match act {
        CaseAct::Replan { rulebook: Some(name), .. } => {
            Ok(caller.must(Right::Act, Within::Rulebook(name))?)
        }
        _ => Ok(()),
    }
}

/// What the reports of one answer may bring, in bytes of JSON: people read the first, programs ask for the rest.
const REPORTS_BYTES: usize = 2 << 20;

/// Leaves out what the later reports of a very large case bring; they say so.
pub(crate) fn within_bounds(mut case: CaseDetail) -> CaseDetail {
    let mut left = REPORTS_BYTES;
    for report in &mut case.reports {
        let data = &mut report.data;
        let size = json_length(&data.data) + json_length(&data.history);
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => {
                data.data.clear();
                data.history.clear();
                report.cut = true;
            }
        }
    }
    case
}

fn json_length(value: &impl serde::Serialize) -> usize {
    struct Length(usize);
    impl std::io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    let _ = serde_json::to_writer(&mut length, value); // it was read from JSON
    length.0
}

/// `GET /v1/cases/{id}/proof`
pub(crate) async fn proof<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<CaseId>,
) -> Result<Json<CaseProof>, ApiError> {
    Ok(Json(case_proof(&app, &caller, id).await?))
}

/// What a case's closing word rests on, judged by the version that it was planned with.
pub(crate) async fn case_proof<S: Store>(
    app: &App<S>,
    caller: &Caller,
    id: CaseId,
) -> Result<CaseProof, ApiError> {
    let _turn = turn(app).await;
    let (record, book) = found(app, id).await?;
    let sight = sight_of(app, caller, record.stored.case.rulebook.as_ref()).await;
    let record = Veiled::case(app.supervisor.on_the_wall().case(record), sight);
    Ok(views::proof(record, book, &app.supervisor.kept_back()))
}

/// All that is known of a case, with its rules by their labels.
pub(crate) async fn detail<S: Store>(
    app: &App<S>,
    caller: &Caller,
    id: CaseId,
) -> Result<CaseDetail, ApiError> {
    Ok(told_in_full(app, caller, id, 0).await?.0)
}

/// For each of a case's first reports, the rules that were looked at for it.
pub(crate) type Looked = Vec<Vec<Considered>>;

/// What is known of a case that only its own page tells.
#[derive(Default)]
pub(crate) struct Behind {
    pub(crate) looked: Looked,
    /// By the id of a step or part, what it asks.
    pub(crate) asked: BTreeMap<StepId, amends_engine::Asked>,
}

/// The same, with which rules were looked at for its first reports, and what its steps ask: that is judged by what they
/// hold, secrets included, and told without them.
pub(crate) async fn told_in_full<S: Store>(
    app: &App<S>,
    caller: &Caller,
    id: CaseId,
    reports: usize,
) -> Result<(CaseDetail, Behind), ApiError> {
    let _turn = turn(app).await;
    let (record, book) = found(app, id).await?;
    let case = &record.stored.case;
    let name = case.rulebook.as_ref().map(|r| &*r.name);
    let active_books = app.supervisor.active_books();
    let entry = case.extra.entry.as_deref();
    let active = active_for(name, &case.report, entry, &active_books);
    let sharing = match (name, &active) {
        (None, None) => sharing_of(&case.report, &active_books),
        _ => Vec::new(),
    };
    let questions = open_questions(&record.stored, book.as_ref());
    let questions = questions.iter().map(|question| views::question(question, case)).collect();
    let behind = match &book {
        Some(book) if reports > 0 => Behind {
            looked: looked_at(&record, book, reports),
            asked: asked(&record.stored, book).into_iter().collect(),
        },
        _ => Behind::default(),
    };
    let sight = sight_of(app, caller, case.rulebook.as_ref()).await;
    // Questions and requests are put into words from the data itself.
    let (questions, behind) = match sight.data {
        true => (questions, behind),
        false => (Vec::new(), Behind::default()),
    };
    let record = Veiled::case(app.supervisor.on_the_wall().case(record), sight);
    let several = !sharing.is_empty();
    let books = CaseBooks { own: book.as_deref(), active: active.as_deref(), several };
    let case = views::case(record, books, &app.supervisor.kept_back());
    let mut case = CaseDetail { questions, which_rulebook: sharing, ..case };
    case.summary.quarantined = app.supervisor.is_quarantined(id);
    let unavailable = app.supervisor.unavailable_histories();
    for walk in case.histories.iter_mut().filter(|walk| !walk.answered) {
        walk.unavailable_since = unavailable.get(&walk.service).copied();
    }
    Ok((case, behind))
}

fn looked_at(record: &CaseRecord, book: &Rulebook, reports: usize) -> Looked {
    let rows = record.stored.reports.iter().take(reports);
    let looked = rows.map(|row| {
        let veil = Veil::of_report(book.secrets().clone(), &row.report);
        let mut looked = book.considered(&Facts::of(&row.report));
        let checks = looked.iter_mut().flat_map(|considered| &mut considered.checks);
        checks.for_each(|check| veil.text(&mut check.found));
        looked
    });
    looked.collect()
}

/// What a case leaves in doubt, by the version that it was planned with. Whoever settled it by hand has said enough.
pub(crate) async fn doubts<S: Store>(app: &App<S>, id: CaseId) -> Result<Vec<Question>, ApiError> {
    let _turn = turn(app).await;
    let (record, book) = found(app, id).await?;
    Ok(match record.stored.case.closed_on {
        Some(ClosedOn::ByPerson) => Vec::new(),
        _ => open_questions(&record.stored, book.as_ref()),
    })
}

/// A place among those who read whole cases. Never closed; without one there would only be more at once.
async fn turn<S: Store>(app: &App<S>) -> Option<SemaphorePermit<'_>> {
    app.case_reads.acquire().await.ok()
}

/// A case with the version that it was planned with, if that can be read.
async fn found<S: Store>(
    app: &App<S>,
    id: CaseId,
) -> Result<(CaseRecord, Option<Arc<Rulebook>>), ApiError> {
    let record = match app.supervisor.store().case(id).await {
        // Another node may hold it, and not have said so yet.
        Err(StoreError::Corrupt { row, what })
            if app.supervisor.is_quarantined(id) || app.supervisor.store().is_shared() =>
        {
            let detail = format!(
                "case {id} is quarantined, because {row} can't be read: {what}; `GET /v1/quarantine/{id}` has its rows"
            );
            return Err(Problem::new(ProblemCode::Conflict, detail).into());
        }
        found => found?,
    };
    let record = record.ok_or_else(|| ApiError::not_found(format!("there is no case `{id}`")))?;
    let book = match &record.stored.case.rulebook {
        // A version that can't be read any more only costs what is judged by it, and the labels of rules.
        Some(book) => {
            app.versions.get(&app.supervisor, &app.workshop, &book.hash).await.ok().flatten()
        }
        None => None,
    };
    Ok((record, book))
}

/// The active rulebook that a case would be answered by anew, by the name of the one that it began with and its first
/// report.
pub(crate) fn active_for(
    rulebook: Option<&str>,
    report: &str,
    entry: Option<&str>,
    active: &[Arc<Rulebook>],
) -> Option<Arc<Rulebook>> {
    let service = report.split('/').next().unwrap_or_default();
    claiming(active.iter(), rulebook, service, entry).cloned()
}

/// The active rulebooks that share the service of a report, by name.
fn sharing_of(report: &str, active: &[Arc<Rulebook>]) -> Vec<String> {
    let service = report.split('/').next().unwrap_or_default();
    sharing(active.iter(), service).into_iter().map(|book| book.name().to_owned()).collect()
}
