//! What people did, as the audit tells it. Plain data.

use crate::{CaseId, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a person did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, e.g. `waive`.
    pub act: String,
    /// Why.
    pub reason: String,
    /// The case, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub case_id: Option<CaseId>,
    /// The step, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub step_id: Option<StepId>,
    /// Details, e.g. the edited data.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}
