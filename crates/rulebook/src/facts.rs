//! What rules are matched against.

use amends_protocol::{Report, ReportData};
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
    /// The action with which the saga began, as `service.action`.
    pub entry: Option<&'a str>,
    /// The action that called the one that failed, as `service.action`.
    pub caller: Option<&'a str>,
    /// For people.
    pub message: Option<&'a str>,
    /// Business fields.
    pub data: &'a Map<String, Value>,
}

impl<'a> Facts<'a> {
    /// What a rule may look at in this report.
    #[must_use]
    pub fn of(report: &'a Report) -> Self {
        Self::of_data(report.service(), &report.data)
    }

    /// The same of what a service reports.
    #[must_use]
    pub fn of_data(service: &'a str, data: &'a ReportData) -> Self {
        Self {
            service,
            code: &data.code,
            action: data.action.as_deref(),
            entry: data.entry.as_deref(),
            caller: data.caller.as_deref(),
            message: data.message.as_deref(),
            data: &data.data,
        }
    }
}
