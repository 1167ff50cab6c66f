//! What a service's History says of one saga: the answer of `GET {url}/amends/v1/history/{saga}`.

use crate::{HistoryState, SagaId};
use serde::{Deserialize, Serialize};

/// All requests of one saga that the service received. An unknown saga is an empty list, not an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryAnswer {
    /// The saga asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// One entry per request, in the order of arrival.
    pub entries: Vec<HistoryEntry>,
}

/// One request that the service received, or one downstream call that it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEntry {
    /// The service that the request went to; absent means the answering service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The operation.
    pub action: String,
    /// The request's id.
    pub request_id: String,
    /// What is known of it.
    pub state: HistoryState,
}
