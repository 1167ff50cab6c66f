//! Cases that can't be worked on: `GET /v1/quarantine`, `GET /v1/quarantine/{id}`, `POST /v1/quarantine/{id}/acts`.

use super::answers::Merged;
use super::body::{Actor, Sent, check_reason};
use super::filters::{Asked, questions};
use super::openapi::Told;
use super::parameters::Text;
use super::path::Id;
use super::secrets::secrets_of;
use super::{ApiError, App};
use crate::access::Caller;
use crate::all_nodes::OfAll;
use amends_api::access::{Right, Within};
use amends_api::{QuarantineAct, QuarantineView, RawCaseView, RawRowView};
use amends_engine::{Mend, Mending, RawCase, RulebookRef, Veil};
use amends_protocol::CaseId;
use amends_rulebook::secrets::MASK;
use amends_store::{Store, StoreError};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

questions! {
    /// How rows are handed out.
    pub(crate) struct HandedOut {
        /// With the values of secret fields, too.
        secrets: Option<Shown>,
    }
}

/// The word `shown`.
#[derive(Debug)]
pub(crate) struct Shown;

impl Text for Shown {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "shown" => Ok(Self),
            other => Err(format!("`{other}` says nothing here; it can only be `shown`")),
        }
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "enum": ["shown"] })
    }
}

/// `GET /v1/quarantine`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
) -> Result<Merged<Json<QuarantineView>>, ApiError> {
    quarantine(&app).await
}

/// `GET /v1/quarantine/{id}`: the rows of any case, as they lie in the store, but for secret fields; for
/// administrators with `secrets=shown`, those too.
pub(crate) async fn export<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Id(id): Id<CaseId>,
    Asked(HandedOut { secrets }): Asked<HandedOut>,
) -> Result<Json<RawCaseView>, ApiError> {
    match secrets {
        None => Ok(Json(rows(&app, id).await?)),
        Some(Shown) => {
            // Nobody else is ever shown a secret field; who mends rows may have to.
            caller.must(Right::Admin, Within::Everywhere)?;
            tracing::warn!(case = %id, "stored rows were handed out with their secret fields");
            Ok(Json(same(&raw(&app, id).await?)?))
        }
    }
}

/// `POST /v1/quarantine/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<CaseId>,
    Actor(actor): Actor,
    Sent(act): Sent<QuarantineAct>,
) -> Result<Merged<Json<QuarantineView>>, ApiError> {
    mend(&app, id, act, &actor).await?;
    quarantine(&app).await
}

/// What can't be worked on now.
async fn quarantine<S: Store>(app: &App<S>) -> Result<Merged<Json<QuarantineView>>, ApiError> {
    let OfAll { what, silent } = app.supervisor.all_quarantine().await?;
    Ok(Merged::of(Json(what), &silent))
}

/// All rows of a case, without secret fields.
pub(crate) async fn rows<S: Store>(app: &App<S>, id: CaseId) -> Result<RawCaseView, ApiError> {
    let stored: RawCaseView = same(&raw(app, id).await?)?;
    let veil = veil_over(app, &stored).await;
    Ok(shown(&stored, &veil))
}

/// What is secret in the rows of a case, by what they say of its rulebook.
async fn veil_over<S: Store>(app: &App<S>, stored: &RawCaseView) -> Veil {
    let case = stored.rows.iter().find(|row| row.table == "cases");
    let text = |column: &str| case.and_then(|row| row.columns.get(column)).and_then(Value::as_str);
    let version = text("rulebook").zip(text("rulebook_hash"));
    let version = version.map(|(name, hash)| RulebookRef { name: name.into(), hash: hash.into() });
    let secrets = secrets_of(app, version.as_ref()).await;
    let rows: Vec<RawRowView> = stored.rows.iter().map(|row| row.clone().spelled_out()).collect();
    Veil::of_json(secrets, rows.iter().flat_map(|row| row.columns.values()))
}

fn shown(stored: &RawCaseView, veil: &Veil) -> RawCaseView {
    if veil.is_clear() {
        return stored.clone();
    }
    let rows = stored.rows.iter().map(|row| {
        let mut row = row.clone().spelled_out();
        row.columns.values_mut().for_each(|value| hide(value, veil));
        row.as_stored()
    });
    RawCaseView { id: stored.id, rows: rows.collect() }
}

/// A text that should be JSON and can't be read may hold anything.
fn hide(value: &mut Value, veil: &Veil) {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => *value = MASK.into(),
        value => veil.json(value),
    }
}

/// Mended rows with what was not shown put back, where it was left as it was.
fn with_secrets(
    mended: Vec<RawRowView>,
    stored: &RawCaseView,
    veil: &Veil,
) -> Result<Vec<RawRowView>, ApiError> {
    if veil.is_clear() {
        return Ok(mended);
    }
    let key = |row: &RawRowView| (row.table.clone(), row.columns.get("key").cloned());
    let put_back = |row: RawRowView| {
        let Some(before) = stored.rows.iter().find(|before| key(before) == key(&row)) else {
            return Ok(row);
        };
        let (before, mut row) = (before.clone().spelled_out(), row.spelled_out());
        for (name, value) in &mut row.columns {
            let Some(before) = before.columns.get(name) else { continue };
            let mut shown = before.clone();
            hide(&mut shown, veil);
            unveil(value, &shown, before).map_err(|path| {
                let place = format!("{}.{name}{path}", row.table);
                ApiError::invalid(format!(
                    "`{place}` holds `{MASK}`, and nothing that was hidden stood there: write what belongs there, or export the rows with `secrets=shown` (on the command line `--with-secrets`)"
                ))
            })?;
        }
        Ok(row.as_stored())
    };
    mended.into_iter().map(put_back).collect()
}

fn unveil(mended: &mut Value, shown: &Value, before: &Value) -> Result<(), String> {
    if mended == shown {
        *mended = before.clone();
        return Ok(());
    }
    match mended {
        Value::String(text) if text.contains(MASK) => Err(String::new()),
        Value::Object(members) => members.iter_mut().try_for_each(|(name, value)| {
            let of = |whole: &'_ Value| whole.get(name).cloned().unwrap_or_default();
            unveil(value, &of(shown), &of(before)).map_err(|path| format!(".{name}{path}"))
        }),
        Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(n, item)| {
            let of = |whole: &'_ Value| whole.get(n).cloned().unwrap_or_default();
            unveil(item, &of(shown), &of(before)).map_err(|path| format!(".{n}{path}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Takes a case out of quarantine.
pub(crate) async fn mend<S: Store>(
    app: &App<S>,
    id: CaseId,
    act: QuarantineAct,
    actor: &amends_engine::Actor,
) -> Result<(), ApiError> {
    let (QuarantineAct::Repair { reason, .. } | QuarantineAct::Discard { reason }) = &act;
    check_reason(reason)?;
    let before = raw(app, id).await?;
    let rows: RawCaseView = same(&before)?;
    let veil = veil_over(app, &rows).await;
    let audit = serde_json::to_value(shown(&rows, &veil)).unwrap_or_default();
    let store = app.supervisor.store();
    let (mending, stored, reason) = match act {
        QuarantineAct::Repair { reason, rows: mended } => {
            let mended = with_secrets(mended, &rows, &veil)?;
            let rows = mended.into_iter().map(RawRowView::as_stored).collect();
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
