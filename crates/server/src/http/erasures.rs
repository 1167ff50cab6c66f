//! Business data that goes for good: `POST /v1/erasures` with a dry run, `GET /v1/erasures`, `GET /v1/erasures/{id}`,
//! `POST /v1/erasures/{id}/confirm`.

use super::body::{Sent, check_reason};
use super::filters::{Asked, Paging};
use super::openapi::{Answered, JSON, Told};
use super::parameters::Text;
use super::path::Id;
use super::{ApiError, App, erasing_anywhere};
use crate::access::Caller;
use crate::views;
use amends_api::{
    CaseState, ErasableSaga, ErasureClaim, ErasureConfirmed, ErasureDetail, ErasurePlan,
    ErasureRequest, ErasureView, FieldHeld, Page,
};
use amends_engine::{ERASE_LIMIT, Erase, ErasedRow, ErasureRow, Gone, bare_report_data, erasable};
use amends_protocol::{CaseId, SagaId};
use amends_rulebook::{DataRole, Rulebook};
use amends_store::{CaseFilter, FieldValue, HoldingPlace, PageRequest, Store};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

/// Longest value to look for, in bytes.
const VALUE_LIMIT: usize = 1_000;

/// The number in `er-3`.
pub(crate) struct ErasureId(pub(crate) u64);

impl FromStr for ErasureId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("er-").and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| format!("`{text}` is no erasure; write it as in `er-3`"))
    }
}

impl Text for ErasureId {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "pattern": "^er-[0-9]{1,19}$", "example": "er-3" })
    }
}

/// `POST /v1/erasures`
pub(crate) async fn make<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Sent(wanted): Sent<ErasureRequest>,
) -> Result<Wanted, ApiError> {
    let dry_run = wanted.dry_run;
    let found = found(&app, &wanted).await?;
    if dry_run {
        return Ok(Wanted::Planned(plan(&app, found).await?));
    }
    let (actor, more) = (caller.acts_as(), found.more);
    let number = carry_out(&app, wanted, found, actor).await?;
    Ok(Wanted::Made(detail(&app, number, more).await?))
}

/// What was asked of `POST /v1/erasures`.
pub(crate) enum Wanted {
    /// It is in the store.
    Made(ErasureDetail),
    /// A dry run.
    Planned(ErasurePlan),
}

impl IntoResponse for Wanted {
    fn into_response(self) -> Response {
        match self {
            Self::Made(made) => {
                let place = format!("/v1/erasures/{}", made.view.id);
                (StatusCode::CREATED, [(header::LOCATION, place)], Json(made)).into_response()
            }
            Self::Planned(plan) => Json(plan).into_response(),
        }
    }
}

impl Answered for Wanted {
    fn told(told: &mut Told) {
        let (made, plan) = (told.schema::<ErasureDetail>(), told.schema::<ErasurePlan>());
        told.answer(201, JSON, made);
        told.answer_header(201, "Location", "Where it is.");
        told.answer(200, JSON, plan);
    }
}

/// `GET /v1/erasures`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    Asked(page): Asked<Paging>,
) -> Result<Json<Page<ErasureView>>, ApiError> {
    Ok(Json(listed(&app, page.request()).await?))
}

/// One page of erasures, the newest first.
pub(crate) async fn listed<S: Store>(
    app: &App<S>,
    page: PageRequest,
) -> Result<Page<ErasureView>, ApiError> {
    let rows = app.supervisor.store().erasures(page).await?;
    Ok(views::page(rows, views::listed_erasure))
}

/// `GET /v1/erasures/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(ErasureId(number)): Id<ErasureId>,
) -> Result<Json<ErasureDetail>, ApiError> {
    Ok(Json(detail(&app, number, false).await?))
}

/// `POST /v1/erasures/{id}/confirm`: changes nothing.
pub(crate) async fn confirm<S: Store>(
    State(app): State<App<S>>,
    Id(ErasureId(number)): Id<ErasureId>,
    Sent(claim): Sent<ErasureClaim>,
) -> Result<Json<ErasureConfirmed>, ApiError> {
    let (row, erased) = stored(&app, number).await?;
    let mut of = Vec::new();
    match claim {
        ErasureClaim { value: None, report: None } => {
            return Err(ApiError::invalid("give `value`, or the `data` of a report as `report`"));
        }
        ErasureClaim { value, report } => {
            let field = row.field.as_ref();
            let name = |value: &String| {
                field.filter(|field| field.was(value)).map(|field| field.name.clone())
            };
            of.extend(value.as_ref().and_then(name));
            if let Some(mut data) = report {
                let json = bare_report_data(&mut data).json();
                of.extend(erased.iter().flat_map(|row| {
                    let rows = row.gone.confirmed("report ", &json).into_iter();
                    rows.map(|report| format!("{} {report}", row.saga))
                }));
            }
        }
    }
    Ok(Json(ErasureConfirmed { same: !of.is_empty(), of }))
}

async fn stored<S: Store>(
    app: &App<S>,
    number: u64,
) -> Result<(ErasureRow, Vec<ErasedRow>), ApiError> {
    let found = app.supervisor.store().erasure(number).await?;
    let id = views::erasure_id(number);
    found.ok_or_else(|| ApiError::not_found(format!("there is no erasure `{id}`")))
}

/// An erasure as it is shown.
pub(crate) async fn detail<S: Store>(
    app: &App<S>,
    number: u64,
    more: bool,
) -> Result<ErasureDetail, ApiError> {
    let (row, erased) = stored(app, number).await?;
    Ok(views::erasure(row, erased, more))
}

/// The sagas that are meant.
pub(crate) struct Found {
    sagas: BTreeSet<SagaId>,
    more: bool,
}

/// Finds the sagas that are meant, and checks what can be checked before.
pub(crate) async fn found<S: Store>(
    app: &App<S>,
    wanted: &ErasureRequest,
) -> Result<Found, ApiError> {
    check_reason(&wanted.reason)?;
    match (&wanted.field, wanted.sagas.is_empty()) {
        (None, true) => Err(ApiError::invalid("give `sagas`, or a `field` with its value")),
        (Some(_), false) => {
            Err(ApiError::invalid("`sagas` and `field` exclude each other; give one of them"))
        }
        (None, false) if wanted.sagas.len() > ERASE_LIMIT => {
            let count = wanted.sagas.len();
            let text = format!("there are {count} sagas; at most {ERASE_LIMIT} are taken at once");
            Err(ApiError::invalid(text))
        }
        (None, false) => Ok(Found { sagas: wanted.sagas.iter().cloned().collect(), more: false }),
        (Some(field), true) => {
            if wanted.reason.contains(&field.value) && !field.value.is_empty() {
                let text =
                    "the reason repeats the value that is to go, and it stays: write another";
                return Err(ApiError::invalid(text));
            }
            holding(app, field).await
        }
    }
}

/// The sagas that hold a value in a field.
async fn holding<S: Store>(app: &App<S>, field: &FieldHeld) -> Result<Found, ApiError> {
    if field.value.is_empty() || field.value.len() > VALUE_LIMIT {
        return Err(ApiError::invalid(format!("`field.value` has 1 to {VALUE_LIMIT} bytes")));
    }
    let books = app.supervisor.active_books();
    let paths = paths_of(&books, &field.name);
    if paths.is_empty() {
        let known: Vec<String> = declared(&books).into_iter().map(|(path, _)| path).collect();
        return Err(ApiError::invalid(format!(
            "no active rulebook declares a field `{}`, and it is no role; declared are: {}",
            field.name,
            known.join(", ")
        )));
    }
    let _turn = app.long_read()?;
    let field = FieldValue { paths: paths.into_iter().collect(), value: field.value.clone() };
    let (mut sagas, mut next) = (BTreeSet::new(), Some(HoldingPlace::default()));
    while let Some(after) = next.take() {
        let page = app.supervisor.store().holding(field.clone(), after).await?;
        let mut found = page.found.into_iter().map(|one| one.saga);
        sagas.extend(found.by_ref().take(ERASE_LIMIT - sagas.len()));
        if found.next().is_some() {
            return Ok(Found { sagas, more: true });
        }
        next = page.next;
    }
    Ok(Found { sagas, more: false })
}

/// All declared fields, with their roles.
fn declared(books: &[Arc<Rulebook>]) -> BTreeSet<(String, Option<&'static str>)> {
    let fields = books.iter().flat_map(|book| book.reports());
    let fields = fields.flat_map(|report| report.data.iter().flatten());
    let role = |role: &DataRole| match role {
        DataRole::Customer => Some("customer"),
        DataRole::Key => Some("key"),
        DataRole::Amount(_) => None,
    };
    fields.map(|field| (field.path.to_string(), field.role.as_ref().and_then(role))).collect()
}

/// The paths that a name means: a field's own, or those of all fields with that role.
fn paths_of(books: &[Arc<Rulebook>], name: &str) -> BTreeSet<String> {
    let is_meant = |(path, role): &(String, Option<&str>)| path == name || *role == Some(name);
    declared(books).into_iter().filter(is_meant).map(|(path, _)| path).collect()
}

/// What would go.
pub(crate) async fn plan<S: Store>(app: &App<S>, found: Found) -> Result<ErasurePlan, ApiError> {
    let mut plan = ErasurePlan { more: found.more, ..ErasurePlan::default() };
    for saga in found.sagas {
        let Some((case, state, gone)) = of_saga(app, &saga).await? else {
            return Err(ApiError::not_found(format!(
                "there is no case and no announcement of `{saga}`"
            )));
        };
        let Gone { fields, bytes, .. } = gone;
        plan.open += u64::from(state.is_some_and(|state| state != CaseState::Settled));
        plan.fields += fields;
        plan.bytes += bytes;
        plan.sagas.push(ErasableSaga { saga_id: saga, case_id: case, state, fields, bytes });
    }
    Ok(plan)
}

type OfSaga = (Option<CaseId>, Option<CaseState>, Gone);

async fn of_saga<S: Store>(app: &App<S>, saga: &SagaId) -> Result<Option<OfSaga>, ApiError> {
    let store = app.supervisor.store();
    let filter = CaseFilter { saga: Some(saga.clone()), ..CaseFilter::default() };
    let listed = store.cases(filter, PageRequest::first(1)).await?.items.into_iter().next();
    if let Some(listed) = listed {
        let (id, state) = (listed.case.id, listed.case.state);
        let record = store.case(id).await?;
        let gone = record.map_or_else(Gone::default, |record| erasable(record.stored));
        return Ok(Some((Some(id), Some(state), gone)));
    }
    let announced = store.saga(saga).await?;
    Ok(announced.map(|row| {
        let bytes = serde_json::to_string(&*row.data).map_or(0, |text| text.len() as u64);
        let fields = row.data.len() as u64;
        let bytes = if fields == 0 { 0 } else { bytes };
        (None, None, Gone { fields, bytes, ..Gone::default() })
    }))
}

/// Has it done.
pub(crate) async fn carry_out<S: Store>(
    app: &App<S>,
    wanted: ErasureRequest,
    found: Found,
    actor: amends_engine::Actor,
) -> Result<u64, ApiError> {
    if found.sagas.is_empty() {
        return Err(ApiError::not_found("no saga holds that value in that field"));
    }
    let sagas: Vec<SagaId> = found.sagas.into_iter().collect();
    let is_shared = app.supervisor.store().is_shared();
    if is_shared {
        erasing_anywhere::check(app, &sagas, wanted.when_settled).await?;
    }
    let erase = Erase {
        number: None,
        sagas,
        field: wanted.field.map(|field| (field.name, field.value)),
        when_settled: wanted.when_settled,
        actor,
        reason: wanted.reason.into(),
    };
    let number = app.supervisor.erase(erase).await?;
    if is_shared {
        erasing_anywhere::wait(app, number).await?;
    }
    let (_, erased) = stored(app, number).await?;
    app.bulks.forget(&erased.iter().filter_map(|row| row.case).collect());
    Ok(number)
}
