//! What rules are matched against.

use amends_protocol::Report;
use serde_json::{Map, Value};

/// What a rule can look at in a report.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The reporting service.
    pub service: &'a str,
    /// Its code.
    pub code: &'a str,
    /// The action that failed, without the service.
    pub action: Option<&'a str>,
    /// For people.
    pub message: Option<&'a str>,
    /// Business fields.
    pub data: &'a Map<String, Value>,
}

impl<'a> Facts<'a> {
    /// What a rule may look at in this report.
    #[must_use]
    pub fn of(report: &'a Report) -> Self {
        Self {
            service: report.service(),
            code: &report.data.code,
            action: report.data.action.as_deref(),
            message: report.data.message.as_deref(),
            data: &report.data.data,
        }
    }
}
