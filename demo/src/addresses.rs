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
    /// The broker, if reports go there.
    pub broker: Option<BrokerAddress>,
}

/// Where services publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BrokerAddress {
    /// `nats://127.0.0.1:4222`.
    Nats(String),
    /// `127.0.0.1:9092`.
    Kafka(String),
}
