//! Where everybody is.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where everybody is: base URLs without a slash at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The supervisor.
    pub supervisor: String,
    /// The services by name.
    pub services: BTreeMap<String, String>,
}
