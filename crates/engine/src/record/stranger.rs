//! What people said of names that rulebooks don't know, as it is stored.

use super::service::Decision;
use amends_api::StrangerActName;
use amends_protocol::ActionName;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a person said of a name that a rulebook does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrangerDecisionRow {
    /// The rulebook, by name.
    pub rulebook: Arc<str>,
    /// The action; with `rulebook` the key.
    pub action: ActionName,
    /// What holds now; none if it was taken back or is declared meanwhile.
    pub decision: Option<StrangerDecision>,
}

/// What was said of a stranger, stored as one JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangerDecision {
    /// What.
    pub act: StrangerActName,
    /// By whom, when and why.
    #[serde(flatten)]
    pub decision: Decision,
}
