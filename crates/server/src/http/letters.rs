//! What became of what a node has left for another one: `GET /v1/letters/{id}`.

use super::path::Id;
use super::{ApiError, App};
use amends_api::{LetterState, LetterView};
use amends_engine::LetterId;
use amends_store::{RejectedRow, Store};
use axum::Json;
use axum::extract::State;

/// `GET /v1/letters/{id}`
pub(crate) async fn show<S: Store>(
    State(app): State<App<S>>,
    Id(id): Id<LetterId>,
) -> Result<Json<LetterView>, ApiError> {
    let (store, name) = (app.supervisor.store(), RejectedRow::name_of_letter(id));
    // In this order: one that waits now may be refused a moment later.
    let waits = store.letter_waits(id).await?;
    let refused = if waits { None } else { store.rejected_one(name).await? };
    let state = match (waits, &refused) {
        (true, _) => LetterState::Waiting,
        (false, Some(_)) => LetterState::Refused,
        (false, None) => LetterState::Gone,
    };
    Ok(Json(LetterView {
        letter: id.to_string(),
        state,
        rejected: refused.as_ref().map(RejectedRow::name),
        code: refused.map(|row| row.code.as_str().to_owned()),
    }))
}
