//! Why something is not shown that is there, or was.

use serde::{Deserialize, Serialize};

/// Why something is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Hidden {
    /// Business data is for those who may `read:data`.
    NeedsReadData,
    /// It was erased; its digest is what is left.
    Erased,
}
