//! What a service said of a step on its own, kept with the step.

use amends_protocol::Outcome;
use serde::{Deserialize, Serialize};

/// One callback about a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledBack {
    /// UTC milliseconds.
    pub at: i64,
    /// The last try before it.
    pub attempt: u32,
    /// What it said.
    pub outcome: Outcome,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// It decided how the step ended: it was not too late, and who was asked had said it.
    pub counted: bool,
}
