//! Open questions: what evidence leaves in doubt, and what a person says about it. Plain data.

use crate::{
    ActionName, CaseId, Outcome, QuestionActName, QuestionEffect, QuestionId, QuestionKind, SagaId,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An open question: an item of `GET /v1/questions`, and of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuestionView {
    /// Its id. What it is about decides it, so it is the same after a restart, and when it is asked again.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "q-17-9f86d081884c7d65"))]
    pub id: QuestionId,
    /// What is in doubt, in a word.
    pub kind: QuestionKind,
    /// Whether it keeps its case from settling.
    pub effect: QuestionEffect,
    /// In plain words.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "billing says that there was nothing to undo of billing.charge, and shop says: succeeded"
        )
    )]
    pub sentence: String,
    /// The service that it is about.
    pub service: String,
    /// The action that it is about, `service.action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "billing.charge"))]
    pub action: Option<ActionName>,
    /// The one request that it is about, of a data conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The field on whose value its sources don't agree, of a data conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub case_id: CaseId,
    /// Its saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub saga_id: Option<SagaId>,
    /// Name of the rulebook that the case is planned with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rulebook: Option<String>,
    /// Who says what; at most 100 are listed. Left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementView>,
    /// What a person can do about it now. The engine takes exactly these acts.
    pub may: Vec<QuestionActName>,
    /// When its case changed last: it has not been asked for longer than the case stands as it does.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
}

/// One statement that a question rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementView {
    /// Who says it.
    pub by: String,
    /// Of which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What: a state of a History, an outcome, `more` (it told more than was kept), `no_history`, or of a data
    /// conflict the value as JSON text.
    pub says: String,
    /// Of a data conflict, the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What an operator says about a question: body of `POST /v1/questions/{questionId}/acts`. It covers the
/// statements that there are now: another request or another witness asks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum QuestionAct {
    /// Take the doubt as it is; the case then closes by a person.
    Accept {
        /// Why.
        reason: String,
    },
    /// Write down how it was ended outside; the case then closes by a person.
    Record {
        /// Why.
        reason: String,
        /// How it ended, e.g. `compensated`.
        outcome: Outcome,
    },
    /// Ask whoever can tell once more: a History is read anew, an endpoint of the service's own asked under a new key.
    AskAgain {
        /// Why.
        reason: String,
        /// A try of the step before may have run after all, and whoever says so has weighed up that it may run once
        /// more. Needed where one brought no answer.
        #[serde(default, rename = "mayHaveRun", skip_serializing_if = "std::ops::Not::not")]
        may_have_run: bool,
    },
    /// Say which of the values of a data conflict is right; the step then goes out with it.
    Choose {
        /// Why.
        reason: String,
        /// One of the values that were told.
        value: Value,
    },
}

impl QuestionAct {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> QuestionActName {
        match self {
            Self::Accept { .. } => QuestionActName::Accept,
            Self::Record { .. } => QuestionActName::Record,
            Self::AskAgain { .. } => QuestionActName::AskAgain,
            Self::Choose { .. } => QuestionActName::Choose,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Accept { reason }
            | Self::Record { reason, .. }
            | Self::AskAgain { reason, .. }
            | Self::Choose { reason, .. } => reason,
        }
    }
}

/// What became of a question: answer of `POST /v1/questions/{questionId}/acts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuestionAnswered {
    /// The question.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: QuestionId,
    /// The questions of its case that are still open.
    pub open: Vec<QuestionView>,
}

/// What a person said about a question of a case, as the case keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnswerView {
    /// The question.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: QuestionId,
    /// Its kind.
    pub kind: QuestionKind,
    /// What was said.
    pub act: QuestionActName,
    /// How it was ended outside, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The value that was chosen, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The sentence of the question as it was then.
    pub sentence: String,
}
