//! What a person may do to steps and cases, as it is sent, and what people did, as the audit tells it. Plain data.

use crate::audit::{ActDigest, ChainLink, ChainedAct, Content};
use crate::{AuditActName, CaseActName, Hidden, StepActName};
use amends_protocol::{ActionName, CaseId, Outcome, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a person did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActView {
    /// Its number in the audit, from 1, without gaps.
    #[serde(default)]
    pub number: u64,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// As whom the request was let in, as `token:ci`; absent where nobody is asked who they are, and of what the
    /// supervisor did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The address that the request came from; absent of what the supervisor did itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What; `unknown` if this version of the supervisor does not know the word that is stored.
    #[serde(deserialize_with = "or_unknown")]
    pub act: AuditActName,
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
    /// Why reason or details are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
    /// SHA-256 of this entry and all before it, as [`crate::audit`] makes it.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$"))]
    pub digest: Option<ActDigest>,
    /// SHA-256 of the reason as it was written.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$"))]
    pub reason_digest: Option<ActDigest>,
    /// SHA-256 of the details as they were written: JSON without spaces, names in order.
    #[serde(default, deserialize_with = "if_readable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$"))]
    pub detail_digest: Option<ActDigest>,
}

impl ActView {
    /// As its digest covers it. A text that is shown is looked at; of one that isn't, the digest beside it is believed.
    #[must_use]
    pub fn chained(&self) -> ChainedAct {
        let content = |text: String, digest: Option<ActDigest>| match digest {
            Some(digest) if self.hidden.is_some() => Content::Gone(digest),
            _ => Content::Text(text),
        };
        let case = self.case_id.or(self.step_id.map(|step| step.case));
        ChainedAct {
            number: self.number,
            at: self.at,
            actor: self.actor.clone(),
            principal: self.principal.clone(),
            address: self.address.clone(),
            act: self.act.to_string(),
            case: case.map(|case| case.to_string()),
            step: self.step_id.map(|step| step.to_string()),
            reason: content(self.reason.clone(), self.reason_digest),
            detail: content(self.detail.to_string(), self.detail_digest),
        }
    }
}

/// A word of a newer supervisor is read all the same.
fn or_unknown<'de, D: serde::Deserializer<'de>>(from: D) -> Result<AuditActName, D::Error> {
    Ok(String::deserialize(from)?.parse().unwrap_or(AuditActName::Unknown))
}

/// A digest that is none stands for itself: the entry is read all the same, and does not verify.
fn if_readable<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<ActDigest>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The end of the audit's chain. Kept elsewhere it is an anchor: `amends audit verify --anchor NUMBER:DIGEST` finds out
/// whether the audit up to there is still what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditHead {
    /// The number of the last entry; 0 if there is none yet.
    pub number: u64,
    /// Its digest.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
    pub digest: ActDigest,
    /// The last entry that retention has removed: the chain of what is kept begins behind it.
    pub removed: ChainLink,
}

/// What an operator wants done to a step: body of `POST /v1/steps/{id}/acts`.
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

    /// The same, to be changed.
    pub fn reason_mut(&mut self) -> &mut String {
        match self {
            Self::Retry { reason, .. }
            | Self::Edit { reason, .. }
            | Self::Waive { reason }
            | Self::Record { reason, .. }
            | Self::Approve { reason } => reason,
        }
    }
}

/// What an operator wants done to a case: body of `POST /v1/cases/{id}/acts`.
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

    /// The same, to be changed.
    pub fn reason_mut(&mut self) -> &mut String {
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
