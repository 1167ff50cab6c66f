//! What the request of a step is about, as it is stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The one request that a step or part is about, and where a mapped endpoint takes its fields from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// Position of the report whose fields it takes, once it is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<u32>,
    /// The request; none where one request is for the saga, or none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Arc<str>>,
    /// What was told of that request, in place of the report's fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Arc<Map<String, Value>>>,
}

impl Subject {
    /// The choice of where the fields come from is open again; which request it is about stays.
    pub(crate) fn forget_source(&mut self) {
        self.report = None;
        self.data = None;
    }
}
