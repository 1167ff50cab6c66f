//! Cases that can't be worked on: `GET /v1/quarantine`, `GET /v1/quarantine/{id}`, `POST /v1/quarantine/{id}/acts`.

use super::body::{Payload, check_reason};
use super::path::Id;
use super::{ApiError, App};
use amends_engine::{Mend, Mending, Quarantined, RawCase, UnreadableRow};
use amends_protocol::CaseId;
use amends_protocol::resources::{
    QuarantineAct, QuarantineView, QuarantinedView, RawCaseView, RawRowView, UnreadableView,
};
use amends_store::{Store, StoreError};
use axum::Json;
use axum::extract::State;

/// `GET /v1/quarantine`
pub(crate) async fn list<S: Store>(State(app): State<App<S>>) -> Json<QuarantineView> {
    Json(quarantine(&app))
}

/// `GET /v1/quarantine/{id}`: the rows of any case, as they lie in the store.
pub(crate) async fn export<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
) -> Result<Json<RawCaseView>, ApiError> {
    Ok(Json(rows(&app, id).await?))
}

/// `POST /v1/quarantine/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
    payload: Payload,
) -> Result<Json<QuarantineView>, ApiError> {
    mend(&app, id, payload.json()?, payload.actor()?).await?;
    Ok(Json(quarantine(&app)))
}

/// What can't be worked on now.
pub(crate) fn quarantine<S: Store>(app: &App<S>) -> QuarantineView {
    let quarantine = app.supervisor.quarantine();
    let cases = quarantine.cases.iter().cloned().map(view).collect();
    QuarantineView { cases, rows: quarantine.rows.iter().cloned().map(unreadable).collect() }
}

/// All rows of a case.
pub(crate) async fn rows<S: Store>(app: &App<S>, id: CaseId) -> Result<RawCaseView, ApiError> {
    same(&raw(app, id).await?)
}

/// Takes a case out of quarantine.
pub(crate) async fn mend<S: Store>(
    app: &App<S>,
    id: CaseId,
    act: QuarantineAct,
    actor: &str,
) -> Result<(), ApiError> {
    let (QuarantineAct::Repair { reason, .. } | QuarantineAct::Discard { reason }) = &act;
    check_reason(reason)?;
    let before = raw(app, id).await?;
    let audit = serde_json::to_value(&before).unwrap_or_default();
    let store = app.supervisor.store();
    let (mending, stored, reason) = match act {
        QuarantineAct::Repair { reason, rows } => {
            let rows = rows.into_iter().map(RawRowView::as_stored).collect();
            let mended: RawCase = same(&RawCaseView { id, rows })?;
            let stored = store.read_raw(mended).await.map_err(|error| match error {
                StoreError::Corrupt { row, what } => {
                    ApiError::invalid(format!("{row} can't be read yet: {what}"))
                }
                error => error.into(),
            })?;
            (Mending::Repair, Some(stored), reason)
        }
        QuarantineAct::Discard { reason } => {
            (Mending::Discard, store.salvage(before).await?, reason)
        }
    };
    let (actor, reason) = (actor.into(), reason.into());
    let mend = Mend { case: id, mending, stored, before: audit, actor, reason };
    Ok(app.supervisor.mend(mend).await?)
}

async fn raw<S: Store>(app: &App<S>, id: CaseId) -> Result<RawCase, ApiError> {
    let raw = app.supervisor.store().raw_case(id).await?;
    raw.ok_or_else(|| ApiError::not_found(format!("there is no case `{id}`")))
}

/// The store's rows and the API's are the same JSON.
fn same<T: serde::Serialize, U: serde::de::DeserializeOwned>(rows: &T) -> Result<U, ApiError> {
    serde_json::to_value(rows)
        .and_then(serde_json::from_value)
        .map_err(|e| ApiError::invalid(format!("a column is a number, a text or null: {e}")))
}

fn view(Quarantined { case, since }: Quarantined) -> QuarantinedView {
    QuarantinedView {
        case_id: case.id,
        saga_id: case.saga,
        since,
        reports: case.next_report,
        broken: unreadable(case.broken),
    }
}

fn unreadable(UnreadableRow { row, why }: UnreadableRow) -> UnreadableView {
    UnreadableView { row, why }
}
