//! A list, page by page. Plain data.

use amends_protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// One page of a list. `next` goes back unchanged as `cursor`; absent on the last page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The page ended early so that it comes soon: only cases opened after this moment (or before it, oldest first)
    /// have been looked at; `next` goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub searched_until: Option<Timestamp>,
}
