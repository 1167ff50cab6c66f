//! Business data that goes for good: what is asked for, what would go, and what went. Plain data.

use crate::CaseState;
use amends_protocol::{CaseId, ReportData, SagaId, Timestamp};
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/erasures`: of which sagas, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureRequest {
    /// Of these sagas, at most 500; or give `field`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub sagas: Vec<SagaId>,
    /// Of all that hold this value in a declared field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<FieldHeld>,
    /// Why. It stays: write no business data into it.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: String,
    /// Where a case is not settled, its data go as soon as it is; otherwise the whole erasure is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub when_settled: bool,
    /// Only say what would go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A value of a declared field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldHeld {
    /// The field's path, as an active rulebook declares it, or a role: `customer`, `key`.
    pub name: String,
    /// Its value; a number as it is written. Kept as a digest alone.
    pub value: String,
}

/// What an erasure would take: answer of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasurePlan {
    /// Of each saga.
    pub sagas: Vec<ErasableSaga>,
    /// How many of their cases are not settled.
    pub open: u64,
    /// Values that would go.
    pub fields: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// More sagas hold the value than one erasure takes: the same again takes the next ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What would go of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasableSaga {
    /// The saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// Its case; absent if it has only announced itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub case_id: Option<CaseId>,
    /// Where the case stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<CaseState>,
    /// Values that would go.
    pub fields: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// An erasure as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureView {
    /// Its id, `er-3`.
    #[cfg_attr(feature = "openapi", schema(example = "er-3"))]
    pub id: String,
    /// When it was asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// As whom they were let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The address that they asked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why.
    pub reason: String,
    /// The field by whose value its sagas were found; absent if they were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How many sagas it is of.
    pub sagas: u64,
    /// Of these, how many wait for their case to settle.
    pub waiting: u64,
    /// Of these, how many the nodes that hold them have yet to take: each does so within moments, or refuses it, which
    /// is a rejected report then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_yet: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// An erasure with what became of each saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureDetail {
    /// The row of the list.
    #[serde(flatten)]
    pub view: ErasureView,
    /// By saga.
    pub erased: Vec<ErasedSaga>,
    /// More sagas hold the value than one erasure takes: the same again takes the next ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What became of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasedSaga {
    /// The saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// Its case; absent if it had only announced itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub case_id: Option<CaseId>,
    /// When its data went last; absent while they wait for the case to settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub done_at: Option<Timestamp>,
    /// Values that went.
    pub fields: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Of each row that held some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<ErasedDigest>,
}

/// The digest of what one row held: salted, so that it tells nothing to whoever can only guess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasedDigest {
    /// Which row: `report 0`, a step's id, `case`, `saga`.
    pub of: String,
    /// SHA-256, in hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
}

/// That the business data of a case went, or will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseErasure {
    /// The erasure, `er-3`.
    pub id: String,
    /// Who asked for it.
    pub by: String,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub asked_at: Timestamp,
    /// When data went last; absent while they wait for the case to settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub done_at: Option<Timestamp>,
    /// Values that went.
    pub fields: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// In a proof, of each row that held some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<ErasedDigest>,
}

/// Body of `POST /v1/erasures/{id}/confirm`: what somebody has, who wants to know whether it is what went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureClaim {
    /// The value of the field by which its sagas were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The `data` of a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportData>,
}

/// Whether it is what went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErasureConfirmed {
    /// It is.
    pub same: bool,
    /// What it was: `order-4711 report 0`.
    pub of: Vec<String>,
}
