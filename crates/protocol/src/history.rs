//! What a service's History says of one saga: the answer of `GET {url}/amends/v1/history/{saga}`, page by page if it is
//! long.

use crate::{HistoryState, SagaId, null_is_absent};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// There is more: it comes to the same request with `?after=` and this text. Absent on the last page, and of a
    /// service that tells all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Longest `next` of a History, in bytes.
pub const HISTORY_NEXT_LIMIT: usize = 256;

/// Whether a text can stand in `?after=`, as the supervisor sends it.
#[must_use]
pub fn is_history_next(text: &str) -> bool {
    (1..=HISTORY_NEXT_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
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
    /// The request's id; absent if it is not known which request it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What is known of it.
    pub state: HistoryState,
    /// What undoing this one request needs.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}
