//! What a person may do to steps and cases, as it is sent, and what people did, as the audit tells it. Plain data.

use crate::{CaseActName, StepActName};
use amends_protocol::{ActionName, CaseId, Outcome, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a person did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, e.g. `waive`.
    pub act: String,
    /// Why.
    pub reason: String,
    /// The case, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub case_id: Option<CaseId>,
    /// The step, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub step_id: Option<StepId>,
    /// Details, e.g. the edited data.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

/// What an operator wants done to a step: body of `POST /v1/steps/{stepId}/acts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepAct {
    /// Try again now, whatever the backoff says; limits start anew.
    Retry {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// Ask under a new idempotency key, as if it had never been asked for. For one mapped request at a time.
        #[serde(default, rename = "newKey", skip_serializing_if = "std::ops::Not::not")]
        new_key: bool,
        /// A try of it may have run under the old key, and a new one may do it once more: that is known.
        #[serde(default, rename = "mayHaveRun", skip_serializing_if = "std::ops::Not::not")]
        may_have_run: bool,
    },
    /// Replace the request's `data`, then try again; a mapped request goes out under a new idempotency key.
    Edit {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// The new data.
        data: Map<String, Value>,
        /// A try of it may have run under the old key, and a new one may do it once more: that is known.
        #[serde(default, rename = "mayHaveRun", skip_serializing_if = "std::ops::Not::not")]
        may_have_run: bool,
    },
    /// Go without this step.
    Waive {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// Write down an outcome that was reached outside.
    Record {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// The outcome.
        outcome: Outcome,
    },
    /// Approve a step that waits for it.
    Approve {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
}

impl StepAct {
    /// Try again now, under the same key.
    #[must_use]
    pub const fn retry(reason: String) -> Self {
        Self::Retry { reason, new_key: false, may_have_run: false }
    }

    /// Replace the data of a request that has not run.
    #[must_use]
    pub const fn edit(reason: String, data: Map<String, Value>) -> Self {
        Self::Edit { reason, data, may_have_run: false }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> StepActName {
        match self {
            Self::Retry { .. } => StepActName::Retry,
            Self::Edit { .. } => StepActName::Edit,
            Self::Waive { .. } => StepActName::Waive,
            Self::Record { .. } => StepActName::Record,
            Self::Approve { .. } => StepActName::Approve,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. }
            | Self::Edit { reason, .. }
            | Self::Waive { reason }
            | Self::Record { reason, .. }
            | Self::Approve { reason } => reason,
        }
    }
}

/// What an operator wants done to a case: body of `POST /v1/cases/{caseId}/acts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CaseAct {
    /// Answer the case's reports anew with the active rulebook; only adds steps.
    Replan {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// With this rulebook, by name: where several share the reporting service, and nothing says to which of them
        /// the case belongs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rulebook: Option<String>,
    },
    /// Add steps by hand, e.g. to an unmatched case.
    Plan {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// `service.action` to compensate.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        compensate: Vec<ActionName>,
        /// `service.action` to retry.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        retry: Vec<ActionName>,
        /// `service.action` to notify.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        notify: Vec<ActionName>,
    },
    /// Close it by hand; refused while a step has not ended.
    Settle {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// Retry every stuck or waiting-for-backoff step of the case now.
    Retry {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
}

impl CaseAct {
    /// Answers the reports anew with the active rulebook that claims the case.
    #[must_use]
    pub const fn replan(reason: String) -> Self {
        Self::Replan { reason, rulebook: None }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> CaseActName {
        match self {
            Self::Replan { .. } => CaseActName::Replan,
            Self::Plan { .. } => CaseActName::Plan,
            Self::Settle { .. } => CaseActName::Settle,
            Self::Retry { .. } => CaseActName::Retry,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Replan { reason, .. }
            | Self::Plan { reason, .. }
            | Self::Settle { reason }
            | Self::Retry { reason } => reason,
        }
    }
}

/// One act on many steps: body of `POST /v1/steps:act`. Either `ids`, or the filter of the step list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkAct {
    /// What to do.
    pub act: StepAct,
    /// To these steps.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub ids: Vec<StepId>,
    /// To the steps that this filter finds (same names as the query of `GET /v1/steps`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<BTreeMap<String, String>>,
    /// Only say which steps it would touch.
    #[serde(default)]
    pub dry_run: bool,
}

/// Why something is done: body of `POST /v1/services/{name}/pause` and `/resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReasonGiven {
    /// Why.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_within_an_enum_with_a_tag() {
        let text =
            r#"{"act":"edit","reason":"x","data":{"a":1.50,"b":[98765432109876543210987654]}}"#;
        let act: StepAct = serde_json::from_str(text).expect("an act");
        assert_eq!(serde_json::to_string(&act).expect("JSON"), text);
    }
}
