//! What the supervisor answers to whoever reports. Plain data.

use crate::{CaseId, Problem};
use serde::{Deserialize, Serialize};

/// Answer of `POST /v1/reports`: the report is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportReceipt {
    /// The case that holds the report. Absent if another node works on it, and has not said within a second which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "c-17"))]
    pub case_id: Option<CaseId>,
    /// Whether the same report was there before; nothing was doubled. False where the case is absent.
    pub duplicate: bool,
    /// In place of the case: under which name the report waits for the node that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<String>,
}

/// What became of one event of a batch that was not taken as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventReceipt {
    /// It is durable.
    Taken(ReportReceipt),
    /// It is not.
    NotTaken {
        /// The status that it would have got alone.
        status: u16,
        /// The code of the problem.
        code: String,
        /// What is wrong, for people.
        detail: String,
        /// Whether the same event may be taken later. If not, it is malformed.
        retryable: bool,
    },
}

/// The answer to a batch of which at least one event was not taken. The others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchProblem {
    /// 429 or 503 if sending the same batch again mends it; 400 or another 4xx if what is left is malformed.
    #[serde(flatten)]
    pub problem: Problem,
    /// What became of each event, in the order of the batch. Absent if the body could not be read as a batch: then none
    /// was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventReceipt>,
}
