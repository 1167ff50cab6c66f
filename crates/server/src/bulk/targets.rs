//! What a bulk act is about: a frozen set, as it is stored.

use amends_api::QuestionId;
use amends_protocol::{CaseId, StepId};
use serde::{Deserialize, Serialize};

/// Most targets of one bulk act.
pub(crate) const MOST_TARGETS: usize = 10_000;

/// What a bulk act is about, in the order in which it is done: oldest case first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Targets {
    /// Steps.
    Steps(Vec<StepId>),
    /// Cases.
    Cases(Vec<CaseId>),
    /// Open questions.
    Questions(Vec<QuestionId>),
}

impl Targets {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Steps(ids) => ids.len(),
            Self::Cases(ids) => ids.len(),
            Self::Questions(ids) => ids.len(),
        }
    }
}
