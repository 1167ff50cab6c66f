//! A step on the wire: the supervisor's request to a service, and the service's answer.

use crate::callback::is_absent;
use crate::evidence::{null_is_absent, text_or_nothing};
use crate::{ActionName, Callback, CaseId, Outcome, SagaId, StepId, Testimony};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `POST {url}/amends/v1/{verb}/{action}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepRequest {
    /// The saga to work on. Every request of the action in this saga is meant.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// The supervisor's case.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub case_id: CaseId,
    /// The same on every attempt; also the `Idempotency-Key`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub step_id: StepId,
    /// From 1, counts the tries.
    pub attempt: u32,
    /// `service.action`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub action: ActionName,
    /// Requests of the action that the supervisor knows of; a hint, never the limit of what to undo.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    pub request_ids: Vec<String>,
    /// The report that the case began with.
    pub report: ReportRef,
    /// The report's business fields, or what an operator put in their place.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// How to tell the outcome later, after a 202.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// Names a report to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportRef {
    /// The reporting service.
    pub service: String,
    /// Its code.
    pub code: String,
    /// The report's id.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Body of a 200 answer to a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepAnswer {
    /// How it ended.
    pub outcome: Outcome,
    /// For people.
    #[serde(
        default,
        deserialize_with = "text_or_nothing",
        skip_serializing_if = "Option::is_none"
    )]
    pub message: Option<String>,
    /// Calls that the service made in this saga; further evidence for the case. Empty: it made none. Absent: it does
    /// not say.
    #[serde(default, skip_serializing_if = "is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::Evidence>))]
    pub history: Testimony,
}
