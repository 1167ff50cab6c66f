//! What a case's closing word rests on: of each action that the saga may have reached, who said what. Plain data.

use crate::{ActView, CaseErasure, CaseState, ClosedOn, Source, Verdict};
use amends_protocol::{ActionName, CaseId, HistoryState, Outcome, SagaId, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that may still stand though its case is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MayStand {
    /// The service.
    pub service: String,
    /// Its action.
    pub action: String,
    /// Which request of it; absent if none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What is known of it: `unknown` if nobody has told of it.
    pub state: HistoryState,
    /// Why it may stand, in plain words.
    pub why: String,
}

impl MayStand {
    /// Its action, as `service.action`.
    #[must_use]
    pub fn name(&self) -> ActionName {
        ActionName::new(&self.service, &self.action)
    }
}

/// A case's proof: answer of `GET /v1/cases/{id}/proof`. Complete in itself, to be kept as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseProof {
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "c-17"))]
    pub case_id: CaseId,
    /// Its saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// What happened, in plain words.
    pub sentence: String,
    /// Where the case stands.
    pub state: CaseState,
    /// Its closing word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_on: Option<ClosedOn>,
    /// Who settled it, if a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
    /// When its first report came.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub opened_at: Timestamp,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub settled_at: Option<Timestamp>,
    /// When its saga was said to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub saga_ended_at: Option<Timestamp>,
    /// Name of the rulebook that it is planned with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rulebook: Option<String>,
    /// Content hash of that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rulebook_hash: Option<String>,
    /// That version can't be read any more: what was said is there, and no verdict on it but what was kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_rulebook: bool,
    /// Its business data went for good, or go as soon as it is settled: what, and digests of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure: Option<CaseErasure>,
    /// Of each action that the saga may have reached, whether anything of it may stand, and on whose word.
    pub actions: Vec<ActionProof>,
    /// What may still stand.
    pub may_still_stand: Vec<MayStand>,
    /// What people did about the case, oldest first.
    pub acts: Vec<ActView>,
}

/// What is known of one action of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionProof {
    /// `service.action`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "payment.pay"))]
    pub action: ActionName,
    /// Whether anything of it may stand.
    pub verdict: Verdict,
    /// Why, in plain words.
    pub why: String,
    /// Who said what of it, oldest first.
    pub statements: Vec<Statement>,
}

/// What one witness said of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Statement {
    /// Who: a service, or a person.
    pub by: String,
    /// In what.
    pub source: Source,
    /// When it came; absent of what came before such times were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub at: Option<Timestamp>,
    /// Id of the report, or of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What became of the request, by this word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<HistoryState>,
    /// How the step ended, by this word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}
