//! Where everything is. Plain data.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answer of `GET /v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Index {
    /// `amends`.
    pub name: String,
    /// The version of the supervisor.
    pub version: String,
    /// Paths by what is there.
    pub links: BTreeMap<String, String>,
}
