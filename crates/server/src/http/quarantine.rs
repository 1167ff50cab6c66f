//! Cases that can't be worked on: `GET /v1/quarantine`, `GET /v1/quarantine/{id}`, `POST /v1/quarantine/{id}/acts`.

use super::body::{Payload, check_reason};
use super::path::Id;
use super::{ApiError, App};
use amends_engine::{Mend, Mending, Quarantined, RawCase, UnreadableRow};
use amends_protocol::CaseId;
use amends_protocol::resources::{
    QuarantineAct, QuarantineView, QuarantinedView, RawCaseView, UnreadableView,
};
use amends_store::{Store, StoreError};
use axum::Json;
use axum::extract::State;

/// `GET /v1/quarantine`
pub(crate) async fn list<S: Store>(State(app): State<App<S>>) -> Json<QuarantineView> {
    let quarantine = app.supervisor.quarantine();
    let cases = quarantine.cases.iter().cloned().map(view).collect();
    Json(QuarantineView { cases, rows: quarantine.rows.iter().cloned().map(unreadable).collect() })
}

/// `GET /v1/quarantine/{id}`: the rows of any case, as they lie in the store.
pub(crate) async fn export<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
) -> Result<Json<RawCaseView>, ApiError> {
    let raw = raw(&app, id).await?;
    Ok(Json(same(&raw)?))
}

/// `POST /v1/quarantine/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
    payload: Payload,
) -> Result<Json<QuarantineView>, ApiError> {
    let act: QuarantineAct = payload.json()?;
    let before = raw(&app, id).await?;
    let audit = serde_json::to_value(&before).unwrap_or_default();
    let store = app.supervisor.store();
    let (mending, stored, reason) = match act {
        QuarantineAct::Repair { reason, rows } => {
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
    check_reason(&reason)?;
    let (actor, reason) = (payload.actor()?.into(), reason.into());
    let mend = Mend { case: id, mending, stored, before: audit, actor, reason };
    app.supervisor.mend(mend).await?;
    Ok(list(State(app)).await)
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
