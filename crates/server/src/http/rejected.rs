//! Messages of brokers, and letters of nodes, that could not be taken: `GET /v1/reports/rejected`, `GET
//! /v1/reports/rejected/{id}`, `POST /v1/reports/rejected/{id}/acts`.

use super::body::{Actor, Sent, check_reason};
use super::filters::{Asked, Paging, questions};
use super::path::Id;
use super::{ApiError, App};
use crate::access::Caller;
use crate::rejected::act_on_rejected;
use crate::views::{self, Sight};
use amends_api::{
    Page, RejectedAct, RejectedDone, RejectedId, RejectedMessage, RejectedView, RejectedWay,
};
use amends_store::{PageRequest, RejectedFilter, Store};
use axum::Json;
use axum::extract::State;

questions! {
    /// What rejected messages can be asked for.
    pub(crate) struct OfRejected {
        /// That came so.
        way: Option<RejectedWay>,
        /// That say they come from there.
        source: Option<String>,
    }
}

/// `GET /v1/reports/rejected`: the newest first.
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
    Asked((of, page)): Asked<(OfRejected, Paging)>,
) -> Result<Json<Page<RejectedView>>, ApiError> {
    let filter = RejectedFilter { way: of.way, source: of.source };
    Ok(Json(rejected(&app, &caller, filter, page.request()).await?))
}

/// `GET /v1/reports/rejected/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<RejectedId>,
    caller: Caller,
) -> Result<Json<RejectedMessage>, ApiError> {
    Ok(Json(rejected_message(&app, &caller, id).await?))
}

/// `POST /v1/reports/rejected/{id}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<RejectedId>,
    Actor(actor): Actor,
    Sent(act): Sent<RejectedAct>,
) -> Result<Json<RejectedDone>, ApiError> {
    check_reason(act.reason())?;
    Ok(Json(act_on_rejected((&app.supervisor, &app.channels), id, &act, actor).await?))
}

/// One page of them, as whoever asks may see it.
pub(crate) async fn rejected<S: Store>(
    app: &App<S>,
    caller: &Caller,
    filter: RejectedFilter,
    page: PageRequest,
) -> Result<Page<RejectedView>, ApiError> {
    let rows = app.supervisor.store().rejected(filter, page).await?;
    let sight = sight(app, caller);
    Ok(views::page(rows, |listed| views::rejected(listed, &sight)))
}

/// One of them, as whoever asks may see it.
pub(crate) async fn rejected_message<S: Store>(
    app: &App<S>,
    caller: &Caller,
    id: RejectedId,
) -> Result<RejectedMessage, ApiError> {
    let found = app.supervisor.store().rejected_one(id).await?;
    let row = found.ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no rejected message `{id}`; it may have been taken or discarded"
        ))
    })?;
    Ok(views::rejected_message(row, &sight(app, caller)))
}

fn sight<S: Store>(app: &App<S>, caller: &Caller) -> Sight {
    Sight { secrets: app.supervisor.secrets_of_active(), data: caller.sees_data() }
}
