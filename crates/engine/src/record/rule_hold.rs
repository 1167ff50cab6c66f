//! What an operator holds, as it is stored: a rulebook or one of its rules, whatever the version.

use super::service::Decision;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What a hold is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HoldScope {
    /// The rulebook, by name.
    pub rulebook: Arc<str>,
    /// The rule, by label; none for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<str>>,
}

impl fmt::Display for HoldScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "rule `{rule}` of rulebook `{}`", self.rulebook),
            None => write!(f, "rulebook `{}`", self.rulebook),
        }
    }
}

/// What is kept of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHoldRow {
    /// The key.
    pub scope: HoldScope,
    /// Who holds it; none once it was released.
    pub decision: Option<Decision>,
}

/// A hold in force. A step that waits because of it keeps it, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHold {
    /// What is held.
    #[serde(flatten)]
    pub scope: HoldScope,
    /// By whom, when and why.
    #[serde(flatten)]
    pub decision: Decision,
}
