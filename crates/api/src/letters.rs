//! What becomes of what one node has left for another, for whoever was told its letter. Plain data.

use crate::RejectedId;
use amends_protocol::words;
use serde::{Deserialize, Serialize};

words! {
    /// Where a letter is.
    LetterState, "state of a letter" {
        /// It is durable, and the node that works on its saga has yet to take it.
        Waiting = "waiting",
        /// It was refused, and nobody was told: it lies among the rejected reports.
        Refused = "refused",
        /// Neither: it was taken, or its refusal was told or discarded. Nothing is kept of it.
        Gone = "gone",
    }
}

/// A letter: answer of `GET /v1/letters/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LetterView {
    /// Its id, as the receipt has told it.
    #[cfg_attr(feature = "openapi", schema(format = "uuid"))]
    pub letter: String,
    /// Where it is.
    pub state: LetterState,
    /// If it was refused: where it lies among the rejected reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, pattern = "^r-[0-9a-f]{16}$", example = "r-9f86d081884c7d65")
    )]
    pub rejected: Option<RejectedId>,
    /// If it was refused: the code of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "invalid-request"))]
    pub code: Option<String>,
}
