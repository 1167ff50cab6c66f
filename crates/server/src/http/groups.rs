//! Open work by cause: `GET /v1/groups`.

use super::answers::{Merged, Rows};
use super::{ApiError, App};
use crate::access::Caller;
use crate::all_nodes::OfAll;
use crate::views::bare_groups;
use amends_api::GroupView;
use amends_store::Store;
use axum::extract::State;

/// `GET /v1/groups`
pub(crate) async fn list<S: Store>(
    State(app): State<App<S>>,
    caller: Caller,
) -> Result<Merged<Rows<GroupView>>, ApiError> {
    let OfAll { what: mut groups, silent } = app.supervisor.groups().await?;
    if !caller.sees_data() {
        bare_groups(&mut groups);
    }
    Ok(Merged::of(Rows(groups), &silent))
}
