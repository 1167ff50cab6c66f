//! Sagas that announce themselves. Plain data.

use crate::{SagaId, Timestamp, words};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `POST /v1/sagas`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SagaBegin {
    /// The saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// The service that begins it; picks the rulebook.
    pub service: String,
    /// The action that it begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// When it must have ended; past it the synthetic report `supervisor/deadline` is made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub deadline: Timestamp,
    /// Business fields for the synthetic report.
    #[serde(
        default,
        deserialize_with = "crate::null_is_absent",
        skip_serializing_if = "Map::is_empty"
    )]
    pub data: Map<String, Value>,
}

words! {
    /// Where an announced saga stands.
    SagaState, "saga state" {
        /// Under way.
        Begun = "begun",
        /// Its service said so.
        Ended = "ended",
        /// The deadline passed first, or a report came; its case tells the rest.
        Overdue = "overdue",
    }
}

/// A saga that announced itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SagaView {
    /// The saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// Where it stands.
    pub state: SagaState,
    /// The service that began it.
    pub service: String,
    /// When it must have ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub deadline: Timestamp,
}
