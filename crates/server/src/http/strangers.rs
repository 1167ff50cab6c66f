//! Names that rulebooks don't know: `GET /v1/strangers`, `POST /v1/strangers/{rulebook}/{action}/acts`.

use super::answers::{Merged, Rows, Set};
use super::body::{Actor, Sent, check_reason};
use super::filters::{Asked, questions};
use super::path::Pair;
use super::{ApiError, App};
use crate::all_nodes::OfAll;
use amends_api::{StrangerAct, StrangerView};
use amends_protocol::ActionName;
use amends_store::Store;
use axum::extract::State;

questions! {
    /// What strangers can be asked for.
    pub(crate) struct OfStrangers {
        /// Of one of these rulebooks, by name.
        rulebook: Vec<String>,
    }
}

/// `GET /v1/strangers`: by rulebook and name.
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    Asked(of): Asked<OfStrangers>,
) -> Result<Merged<Rows<StrangerView>>, ApiError> {
    let OfAll { what, silent } = found(&app, &of.rulebook).await?;
    Ok(Merged::of(Rows(what), &silent))
}

/// `POST /v1/strangers/{rulebook}/{action}/acts`
pub(crate) async fn act<S: Store>(
    State(app): State<App<S>>,
    Pair(rulebook, action): Pair<String, ActionName>,
    Actor(actor): Actor,
    Sent(act): Sent<StrangerAct>,
) -> Result<Set<Rows<StrangerView>>, ApiError> {
    check_reason(act.reason())?;
    let late = app.supervisor.act_on_stranger(&rulebook, action, act, &actor).await?;
    Ok(Set(late, Rows(found(&app, &[rulebook]).await?.what)))
}

/// The strangers of these rulebooks; of all, if none is named.
pub(crate) async fn found<S: Store>(
    app: &App<S>,
    rulebooks: &[String],
) -> Result<OfAll<Vec<StrangerView>>, ApiError> {
    let mut found = app.supervisor.strangers().await?;
    found.what.retain(|one| rulebooks.is_empty() || rulebooks.contains(&one.rulebook));
    Ok(found)
}
