//! One act on many steps as a bulk act of the supervisor: made, started, and watched to its end. Ctrl-C leaves it running
//! there.

use crate::client::Client;
use crate::commands::bulk::{outcome, watch};
use crate::failure::Outcome;
use amends_api::{BulkActName, BulkRequest, BulkSteering, BulkView};
use amends_protocol::StepId;
use std::collections::BTreeMap;

/// Steps, by id or by filter.
pub(super) struct Many {
    pub(super) ids: Vec<StepId>,
    pub(super) filter: Option<BTreeMap<String, String>>,
}

/// Does it in a ramp. `done` is the word for the answer, as in `retried 3 of 3 steps`.
pub(super) async fn perform(
    client: &Client,
    act: BulkActName,
    many: Many,
    (reason, done, json): (&str, &str, bool),
) -> Outcome {
    let wanted = BulkRequest {
        act,
        reason: reason.to_owned(),
        ids: many.ids.iter().map(ToString::to_string).collect(),
        filter: many.filter,
        dry_run: false,
    };
    let made: BulkView = client.post("/v1/bulk", &wanted).await?;
    let id = made.id.unwrap_or_default();
    let path = format!("/v1/bulk/{id}");
    let _: BulkView = client.post(&format!("{path}/start"), &BulkSteering::default()).await?;
    let view = watch(client, &path).await?;
    outcome(&view, done, json)
}
