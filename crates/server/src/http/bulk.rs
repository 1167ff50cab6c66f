//! Bulk acts: `POST /v1/bulk`, `GET /v1/bulk`, `GET /v1/bulk/{id}`, `POST /v1/bulk/{id}/start` and `/stop`.

use super::answers::Rows;
use super::body::{Sent, check_reason};
use super::openapi::{Answered, JSON, Told};
use super::parameters::Text;
use super::path::Id;
use super::targets::{Selection, may_act_on, resolve_targets, within_bulk};
use super::{ApiError, App};
use crate::access::Caller;
use crate::bulk::{Purpose, preview};
use crate::clock::{Clock, SystemClock};
use crate::views::bare_bulk;
use amends_api::access::Right;
use amends_api::{BulkActName, BulkRequest, BulkSteering, BulkView};
use amends_store::Store;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt::Display;
use std::str::FromStr;

/// The number in `b-3`.
pub(crate) struct BulkId(pub(crate) u64);

impl FromStr for BulkId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("b-").and_then(|n| n.parse().ok());
        number.map(Self).ok_or_else(|| format!("`{text}` is no bulk act; write it as in `b-3`"))
    }
}

impl Text for BulkId {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn schema(_: &mut Told) -> Value {
        json!({ "type": "string", "pattern": "^b-[0-9]{1,19}$", "example": "b-3" })
    }
}

/// `POST /v1/bulk`: freezes what is meant and shows it. Nothing is done before it is started.
pub(crate) async fn make<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Sent(BulkRequest { act, reason, ids, filter, dry_run }): Sent<BulkRequest>,
) -> Result<Previewed, ApiError> {
    check_reason(&reason)?;
    let reason = app.supervisor.kept_text(&reason);
    let purpose = Purpose { act, reason, actor: caller.acts_as() };
    let ids = match act {
        BulkActName::Replan => Selection::Cases(parsed(&ids)?),
        BulkActName::Accept => Selection::Questions(parsed(&ids)?),
        BulkActName::Retry | BulkActName::Waive | BulkActName::Approve => {
            Selection::Steps(parsed(&ids)?)
        }
    };
    let _turn = app.long_read()?;
    let found = resolve_targets(&app, &caller, act.into(), ids.or_filter(filter)?).await?;
    may_act_on(&app, &caller, &found.targets).await?;
    let (view, targets) = preview(purpose, found, &app.supervisor.kept_back(), SystemClock.now());
    if dry_run {
        return Ok(Previewed::Only(seen(view, &caller)));
    }
    if targets.len() == 0 {
        return Err(ApiError::invalid("nothing matches, so there is nothing to do"));
    }
    let job = app.bulks.make(&app.supervisor, view, &targets).await?;
    Ok(Previewed::Kept(seen(job.view(), &caller)))
}

/// A bulk act that has been looked at.
pub(crate) enum Previewed {
    /// It can be started.
    Kept(BulkView),
    /// A dry run.
    Only(BulkView),
}

impl IntoResponse for Previewed {
    fn into_response(self) -> Response {
        match self {
            Self::Kept(view) => (StatusCode::CREATED, Json(view)).into_response(),
            Self::Only(view) => Json(view).into_response(),
        }
    }
}

impl Answered for Previewed {
    fn told(told: &mut Told) {
        let view = told.schema::<BulkView>();
        told.answer(201, JSON, view.clone());
        told.answer(200, JSON, view);
    }
}

/// `GET /v1/bulk`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
) -> Result<Rows<BulkView>, ApiError> {
    let bulks = app.bulks.list(&app.supervisor).await?;
    Ok(Rows(bulks.into_iter().map(|view| seen(view, &caller)).collect()))
}

/// `GET /v1/bulk/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(BulkId(number)): Id<BulkId>,
    caller: Caller,
) -> Result<Json<BulkView>, ApiError> {
    let job = app.bulks.job(&app.supervisor, number).await?;
    within_bulk(&app, &caller, Right::Read, number).await?;
    Ok(Json(seen(job.view(), &caller)))
}

/// `POST /v1/bulk/{id}/start`
pub(crate) async fn start<S: Store>(
    State(app): State<App<S>>,
    Id(BulkId(number)): Id<BulkId>,
    caller: Caller,
    Sent(steering): Sent<BulkSteering>,
) -> Result<Json<BulkView>, ApiError> {
    let reason = checked(&app, steering)?;
    let job = app.bulks.job(&app.supervisor, number).await?;
    within_bulk(&app, &caller, Right::Act, number).await?;
    app.bulks.start(&app.supervisor, &job, &caller.acts_as(), reason).await?;
    Ok(Json(seen(job.view(), &caller)))
}

/// `POST /v1/bulk/{id}/stop`
pub(crate) async fn stop<S: Store>(
    State(app): State<App<S>>,
    Id(BulkId(number)): Id<BulkId>,
    caller: Caller,
    Sent(steering): Sent<BulkSteering>,
) -> Result<Json<BulkView>, ApiError> {
    let reason = checked(&app, steering)?;
    let job = app.bulks.job(&app.supervisor, number).await?;
    within_bulk(&app, &caller, Right::Act, number).await?;
    app.bulks.stop(&app.supervisor, &job, &caller.acts_as(), reason).await?;
    Ok(Json(seen(job.view(), &caller)))
}

/// As whoever asks may see it.
fn seen(view: BulkView, caller: &Caller) -> BulkView {
    if caller.sees_data() { view } else { bare_bulk(view) }
}

fn checked<S: Store>(
    app: &App<S>,
    BulkSteering { reason }: BulkSteering,
) -> Result<Option<String>, ApiError> {
    reason.as_deref().map(check_reason).transpose()?;
    Ok(reason.map(|reason| app.supervisor.kept_text(&reason)))
}

fn parsed<T: FromStr<Err: Display>>(ids: &[String]) -> Result<Vec<T>, ApiError> {
    ids.iter().map(|id| id.parse().map_err(|e| ApiError::invalid(format!("`ids`: {e}")))).collect()
}
