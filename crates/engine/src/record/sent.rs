//! What the last try of a step asked, as far as it can't be told from the rest of what is stored.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Ids of requests that are kept of one try; of more, what was asked can't be told.
const NAMED: usize = 50;

/// What a try asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sent {
    /// Digest of the version, the report and the fields that it was made of.
    pub of: u64,
    /// The requests that it named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Arc<str>>,
    /// They were more than are kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Sent {
    pub(crate) fn new(of: u64, requests: &[Arc<str>]) -> Self {
        let cut = requests.len() > NAMED;
        Self { of, named: if cut { Vec::new() } else { requests.to_vec() }, cut }
    }
}
