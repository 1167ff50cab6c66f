//! Open questions: what evidence leaves in doubt, and what a person says about it. Plain data.

use crate::{QuestionActName, QuestionEffect, QuestionId, QuestionKind, StrangerActName};
use amends_protocol::{ActionName, CaseId, Outcome, SagaId, Timestamp};
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

/// What an operator says about a question: body of `POST /v1/questions/{id}/acts`. It covers the
/// statements that there are now: another request or another witness asks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum QuestionAct {
    /// Take the doubt as it is; the case then closes by a person.
    Accept {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// Write down how it was ended outside; the case then closes by a person.
    Record {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// How it ended, e.g. `compensated`.
        outcome: Outcome,
    },
    /// Ask whoever can tell once more: a History is read anew, an endpoint of the service's own asked under a new key.
    AskAgain {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// A try of the step before may have run after all, and whoever says so has weighed up that it may run once
        /// more. Needed where one brought no answer.
        #[serde(default, rename = "mayHaveRun", skip_serializing_if = "std::ops::Not::not")]
        may_have_run: bool,
    },
    /// Say which of the values of a data conflict is right; the step then goes out with it.
    Choose {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
        /// One of the values that were told.
        value: Value,
    },
    /// Nobody needs to hear of this stranger, in any case of its rulebook: [`StrangerAct::Ignore`].
    Ignore {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// The rulebook will declare this stranger: [`StrangerAct::Declare`].
    Declare {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
}

/// What a person says of a name that a rulebook does not know: body of
/// `POST /v1/strangers/{rulebook}/{action}/acts`. It holds for all versions of the rulebook that don't declare it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StrangerAct {
    /// Nobody needs to hear of it; what it held goes on.
    Ignore {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// The rulebook will declare it: its cases wait until then, and people need not hear of it again.
    Declare {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
    /// Take back what was said of it.
    Reconsider {
        /// Why.
        #[cfg_attr(
            feature = "openapi",
            schema(min_length = 1, max_length = 2000, pattern = r"\S")
        )]
        reason: String,
    },
}

impl StrangerAct {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> StrangerActName {
        match self {
            Self::Ignore { .. } => StrangerActName::Ignore,
            Self::Declare { .. } => StrangerActName::Declare,
            Self::Reconsider { .. } => StrangerActName::Reconsider,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Ignore { reason } | Self::Declare { reason } | Self::Reconsider { reason } => {
                reason
            }
        }
    }

    /// The same, to be changed.
    pub fn reason_mut(&mut self) -> &mut String {
        match self {
            Self::Ignore { reason } | Self::Declare { reason } | Self::Reconsider { reason } => {
                reason
            }
        }
    }
}

/// A name that evidence tells of and a rulebook does not know, or did not: an item of `GET /v1/strangers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StrangerView {
    /// Name of the rulebook.
    pub rulebook: String,
    /// The action, `service.action`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "billing.charge"))]
    pub action: ActionName,
    /// The active version of the rulebook declares it now: cases that wait for it can be planned anew.
    pub declared: bool,
    /// Cases that are held by it, and wait.
    pub waiting: u64,
    /// The group of open work with these cases, for `replan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Cases whose evidence has told of it since the supervisor started.
    pub cases: u64,
    /// One of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub example: Option<CaseId>,
    /// What a person has said of it; none: it is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<StrangerDecisionView>,
    /// What a person can say of it now. The engine takes exactly these acts.
    pub may: Vec<StrangerActName>,
}

/// What a person has said of a stranger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StrangerDecisionView {
    /// What.
    pub act: StrangerActName,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
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
            Self::Ignore { .. } => QuestionActName::Ignore,
            Self::Declare { .. } => QuestionActName::Declare,
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Accept { reason }
            | Self::Ignore { reason }
            | Self::Declare { reason }
            | Self::Record { reason, .. }
            | Self::AskAgain { reason, .. }
            | Self::Choose { reason, .. } => reason,
        }
    }

    /// The same, to be changed.
    pub fn reason_mut(&mut self) -> &mut String {
        match self {
            Self::Accept { reason }
            | Self::Ignore { reason }
            | Self::Declare { reason }
            | Self::Record { reason, .. }
            | Self::AskAgain { reason, .. }
            | Self::Choose { reason, .. } => reason,
        }
    }
}

/// What the newest cases of a rulebook leave in doubt: answer of `GET /v1/rulebooks/{name}/questions`. With it a team
/// sees what would be stuck before it lets a rule out of shadow mode, or a kind of question hold its cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookQuestions {
    /// Name of the rulebook.
    pub rulebook: String,
    /// Cases that were looked at: the newest, settled ones too.
    pub cases: u64,
    /// When the oldest of them was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// All kinds, also those of which there is nothing.
    pub kinds: Vec<QuestionsOfKind>,
}

/// How many cases a kind of question holds, or would hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuestionsOfKind {
    /// What is in doubt, in a word.
    pub kind: QuestionKind,
    /// What the active version says of this kind.
    pub effect: QuestionEffect,
    /// Cases that such a question holds.
    pub stuck: u64,
    /// Cases that it would hold, if it were not only noted: by the rulebook's word, since the name was never declared,
    /// or since rules in shadow mode alone answer the case.
    pub would_be_stuck: u64,
    /// The newest of all these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub example: Option<CaseId>,
}

/// What became of a question: answer of `POST /v1/questions/{id}/acts`.
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
