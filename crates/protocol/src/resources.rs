//! What the supervisor's REST API shows and takes. Times are RFC 3339, ids are text, names are camelCase.

mod acts;
mod bulk;
mod groups;
mod overview;
mod proof;
mod quarantine;
mod questions;
mod sagas;
mod steps;

pub use acts::ActView;
pub use bulk::{
    BulkCount, BulkDeed, BulkFailure, BulkProgress, BulkResult, BulkSample, BulkState,
    BulkSteering, BulkView, BulkWanted,
};
pub use groups::GroupView;
pub use overview::{
    AttemptFigures, DecisionView, LimitsView, LimitsWanted, MinuteView, Overview, Progress,
    ServiceView, SettleFigures, TroubleView,
};
pub use proof::{ActionProof, CaseProof, MayStand, Statement};
pub use quarantine::{
    QuarantineAct, QuarantineView, QuarantinedView, RawCaseView, RawRowView, UnreadableView,
};
pub use questions::{
    AnswerView, QuestionAct, QuestionAnswered, QuestionView, QuestionsOfKind, RulebookQuestions,
    StatementView, StrangerAct, StrangerDecisionView, StrangerView,
};
pub use sagas::{SagaBegin, SagaView};
pub use steps::{AttemptView, StepView};

use crate::{
    ActionName, CaseActName, CaseId, CaseState, ClosedOn, Evidence, Money, Outcome, Problem,
    ReportData, SagaId, StepActName, StepId, StepStateName, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One page of a list. `next` goes back unchanged as `cursor`; absent on the last page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The page ended early so that it comes soon: only cases opened after this moment (or before it, oldest first) have
    /// been looked at; `next` goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub searched_until: Option<Timestamp>,
}

/// Answer of `POST /v1/reports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportReceipt {
    /// The case that holds the report.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "c-17"))]
    pub case_id: CaseId,
    /// Whether the same report was there before; nothing was doubled.
    pub duplicate: bool,
}

/// What became of one event of a batch that was not taken as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventReceipt {
    /// It is durable.
    Taken(ReportReceipt),
    /// It is not.
    NotTaken {
        /// The status that it would have got alone.
        status: u16,
        /// The code of the problem.
        code: String,
        /// What is wrong, for people.
        detail: String,
        /// Whether the same event may be taken later. If not, it is malformed.
        retryable: bool,
    },
}

/// The answer to a batch of which at least one event was not taken. The others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchProblem {
    /// 429 or 503 if sending the same batch again mends it; 400 or another 4xx if what is left is malformed.
    #[serde(flatten)]
    pub problem: Problem,
    /// What became of each event, in the order of the batch. Absent if the body could not be read as a batch: then none
    /// was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventReceipt>,
}

/// A case as a row of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseSummary {
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "c-17"))]
    pub id: CaseId,
    /// Its saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// Name of the rulebook that it began with; absent if none claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rulebook: Option<String>,
    /// In plain words: what failed, how far it is undone, what is next.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "payment failed after coupon: no rider; 3 of 4 undone; coupon unreachable, next try 14:05:10 UTC"
        )
    )]
    pub sentence: String,
    /// Where it stands.
    pub state: CaseState,
    /// On what evidence it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_on: Option<ClosedOn>,
    /// The first report, `service/code`.
    pub report: String,
    /// The first report's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whom it concerns, by the field with the role `customer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The business's own name of what is undone, by the field with the role `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How much it is about, by currency, by fields with the role `amount`; of several requests that are undone one by
    /// one their sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Money>,
    /// When its first report came.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub opened_at: Timestamp,
    /// When anything about it changed last.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub settled_at: Option<Timestamp>,
    /// Its steps by state (see [`StepStateName`]); states without steps are absent.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u32>))]
    pub steps: BTreeMap<StepStateName, u32>,
}

/// A case with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseDetail {
    /// The row of the list.
    #[serde(flatten)]
    pub summary: CaseSummary,
    /// Content hash of the rulebook version that it was planned with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rulebook_hash: Option<String>,
    /// Its reports in the order of arrival.
    pub reports: Vec<ReportView>,
    /// Its plan and how far it has come.
    pub plan: Vec<StepView>,
    /// Histories that were asked for.
    pub walks: Vec<WalkView>,
    /// What evidence leaves in doubt; while one of these holds the case, it is stuck.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<QuestionView>,
    /// What people said about questions, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerView>,
    /// What else a person should know, oldest first.
    pub notes: Vec<NoteView>,
    /// What people did about it, oldest first.
    pub acts: Vec<ActView>,
    /// What a person can do to it now. The engine takes exactly these acts.
    #[serde(default)]
    pub may: Vec<CaseActName>,
    /// If nothing happens, when it settles on `quiet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub quiet_at: Option<Timestamp>,
    /// Who settled it, if it is closed on `by_person`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
    /// What may still stand, of a case that is closed on `quiet` or `by_person`: the first 100. `GET
    /// /v1/cases/{id}/proof` has all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_still_stand: Vec<MayStand>,
    /// When its saga was said to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub saga_ended_at: Option<Timestamp>,
    /// The rulebooks that share the reporting service, where nothing says to which of them the case belongs: `replan`
    /// it with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub which_rulebook: Vec<String>,
}

/// A report within a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportView {
    /// CloudEvents source.
    pub source: String,
    /// CloudEvents id.
    pub id: String,
    /// The reporting service.
    pub service: String,
    /// When it came.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub received_at: Timestamp,
    /// The rule that answers it, by its label; absent for derived, waiting and unmatched reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `rule`, `rule_held`, `by_hand`, `derived`, `awaits_root`, `unmatched` or `excess`.
    pub role: String,
    /// What the service said.
    pub data: ReportData,
    /// `data` and `history` within `data` are left out here, because the case has more of them than one answer should
    /// hold. `GET /v1/cases/{id}/reports/{position}` has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// A History that the supervisor asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WalkView {
    /// Whose.
    pub service: String,
    /// Whether it has answered.
    pub answered: bool,
    /// Tries so far.
    pub attempts: u32,
    /// What the last try brought, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when no History of the service can be read for any case, once that has lasted for ten minutes (its pauses
    /// apart), while this one is still needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub unavailable_since: Option<Timestamp>,
    /// What it said.
    pub entries: Vec<Evidence>,
}

/// Something that a person should know about a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NoteView {
    /// When it was noticed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// In plain words.
    pub text: String,
}

/// What an operator wants done to a step: body of `POST /v1/steps/{stepId}/acts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepAct {
    /// Try again now, whatever the backoff says; limits start anew.
    Retry {
        /// Why.
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
        reason: String,
    },
    /// Write down an outcome that was reached outside.
    Record {
        /// Why.
        reason: String,
        /// The outcome.
        outcome: Outcome,
    },
    /// Say yes to a step that waits for it.
    Approve {
        /// Why.
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
        reason: String,
        /// With this rulebook, by name: where several share the reporting service, and nothing says to which of them
        /// the case belongs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rulebook: Option<String>,
    },
    /// Add steps by hand, e.g. to an unmatched case.
    Plan {
        /// Why.
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
        reason: String,
    },
    /// Retry every stuck or waiting-for-backoff step of the case now.
    Retry {
        /// Why.
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

/// A rulebook of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookView {
    /// Its name.
    pub name: String,
    /// Its content hash.
    pub hash: String,
    /// Whether new cases are planned with it.
    pub active: bool,
    /// When it was stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub stored_at: Timestamp,
    /// Number of services.
    pub services: usize,
    /// Number of rules.
    pub rules: usize,
    /// Its files, root first; only when one rulebook is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceView>,
    /// What the last reload of its file found wrong; the version shown here stays active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<DiagnosticView>,
    /// Its file says something else than this active version, e.g. after a rollback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs_from_file: bool,
}

/// One file of a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SourceView {
    /// Its path as loaded.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A finding in a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiagnosticView {
    /// Stable code.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// Path of the file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Why something is done: body of `POST /v1/services/{name}/pause` and `/resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReasonGiven {
    /// Why.
    pub reason: String,
}

/// Body of `POST /v1/backups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupWanted {
    /// Name of the file, `….sqlite`; made from the time if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A backup that was made: answer of `POST /v1/backups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupView {
    /// The file, on the supervisor's machine.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// The files of a rulebook: JSON body of `PUT /v1/rulebooks/{name}` and `POST /v1/rulebooks:check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookSources {
    /// Its files, root first; imports are resolved among them.
    pub sources: Vec<SourceView>,
    /// Why it is put, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer of `POST /v1/rulebooks:check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RulebookCheck {
    /// Whether a `PUT` of the same would be taken; warnings don't hinder it.
    pub valid: bool,
    /// Its name, if it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its content hash, if it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Everything that was found.
    pub diagnostics: Vec<DiagnosticView>,
    /// The same as text for people, with the source lines.
    pub rendered: String,
}

/// Something that happened, as the event stream tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// What: `report`, `plan`, `step`, `case`, `walk`, `act`, `breaker`, `histories`, `rulebook`.
    pub kind: String,
    /// The case, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub case_id: Option<CaseId>,
    /// The step, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub step_id: Option<StepId>,
    /// The service or `service.action`, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The new state, in a word of its list.
    pub state: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
