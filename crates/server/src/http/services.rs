//! Services: `GET /v1/services`, `POST /v1/services/{name}/pause`, `/resume` and `/limits`.

use super::answers::{Merged, Rows, Set};
use super::body::{Actor, Sent, check_reason};
use super::path::Id;
use super::{ApiError, App};
use crate::access::Caller;
use crate::all_nodes::OfAll;
use crate::clock::{Clock, SystemClock};
use crate::views::bare_services;
use amends_api::{LimitsWanted, ReasonGiven, ServiceView};
use amends_engine::NewLimits;
use amends_store::Store;
use axum::Json;
use axum::extract::State;

/// `GET /v1/services`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
) -> Result<Merged<Rows<ServiceView>>, ApiError> {
    let OfAll { what: mut services, silent } = app.supervisor.services(SystemClock.now()).await?;
    if !caller.sees_data() {
        bare_services(&mut services);
    }
    Ok(Merged::of(Rows(services), &silent))
}

/// `POST /v1/services/{name}/pause`: nothing more is sent to it until it is resumed.
pub(crate) async fn pause<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Actor(actor): Actor,
    Sent(why): Sent<ReasonGiven>,
) -> Result<Set<Json<ServiceView>>, ApiError> {
    set(&app, &name, true, &actor, &why).await
}

/// `POST /v1/services/{name}/resume`
pub(crate) async fn resume<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Actor(actor): Actor,
    Sent(why): Sent<ReasonGiven>,
) -> Result<Set<Json<ServiceView>>, ApiError> {
    set(&app, &name, false, &actor, &why).await
}

/// `POST /v1/services/{name}/limits`: sets limits in place of the rulebook's, or takes them back.
pub(crate) async fn limit<S: Store>(
    State(app): State<App<S>>,
    Id(name): Id<String>,
    Actor(actor): Actor,
    Sent(LimitsWanted { concurrency, per_second, reason }): Sent<LimitsWanted>,
) -> Result<Set<Json<ServiceView>>, ApiError> {
    check_reason(&reason)?;
    let limits = NewLimits { concurrency, per_second };
    let late = app.supervisor.limit(&name, limits, &actor, &reason).await?;
    Ok(Set(late, view(&app, &name).await?))
}

async fn set<S: Store>(
    app: &App<S>,
    name: &str,
    paused: bool,
    actor: &amends_engine::Actor,
    ReasonGiven { reason }: &ReasonGiven,
) -> Result<Set<Json<ServiceView>>, ApiError> {
    check_reason(reason)?;
    let late = app.supervisor.pause(name, paused, actor, reason).await?;
    Ok(Set(late, view(app, name).await?))
}

async fn view<S: Store>(app: &App<S>, name: &str) -> Result<Json<ServiceView>, ApiError> {
    let services = app.supervisor.services(SystemClock.now()).await?;
    let now = services.what.into_iter().find(|s| s.name == name);
    now.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no service `{name}`")))
}
