//! The services of the demo, and where they are.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The six services, in the order of the call chain.
pub const SERVICES: [&str; 6] = ["order", "payment", "coupon", "delivery", "rider", "sms"];

/// Where everybody is: base URLs without a slash at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The supervisor.
    pub supervisor: String,
    /// The services by name.
    pub services: BTreeMap<String, String>,
}
