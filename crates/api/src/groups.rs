//! Groups of open work by cause. Plain data.

use crate::{Cause, Money};
use amends_protocol::{CaseId, StepId, Timestamp, Verb};
use serde::{Deserialize, Serialize};

/// Open work that is held up by the same thing: an item of `GET /v1/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupView {
    /// Its id: the parameter `group` of lists and bulk acts. The same for the same trouble, after a restart too.
    #[cfg_attr(feature = "openapi", schema(example = "g-9f86d081884c7d65"))]
    pub id: String,
    /// In plain words.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "payment unreachable: 412 waiting since 14:02 UTC")
    )]
    pub title: String,
    /// The service; of cases that no rule answers, the one that reported.
    pub service: String,
    /// The action, without its service; absent for Histories and cases that no rule answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The verb; absent for Histories and cases that no rule answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// Why it is not done.
    pub cause: Cause,
    /// It needs a person; it does not go on by itself.
    pub stuck: bool,
    /// What the last try brought, without what differs from case to case; of cases that no rule answers, the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many steps, Histories or cases.
    pub count: u64,
    /// In how many cases.
    pub cases: u64,
    /// How much its cases are about, by currency: never across.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Money>,
    /// Cases that are in none of these sums; absent without any sum.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_amount: u64,
    /// Since when the oldest of them has been held up.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
    /// When the first of them is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub next_try_at: Option<Timestamp>,
    /// The oldest case.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub example_case: CaseId,
    /// Its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub example_step: Option<StepId>,
    /// Lists its cases.
    pub list: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(n: &u64) -> bool {
    *n == 0
}
