//! A case: as a row of a list, and with all that is known of it. Plain data.

use crate::{
    ActView, AnswerView, CaseActName, CaseErasure, CaseState, Cause, ClosedOn, Hidden, MayStand,
    Money, QuestionView, ReportStanding, StepStateName, StepView,
};
use amends_protocol::{CaseId, Evidence, ReportData, SagaId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// It can't be worked on, whatever its state: `GET /v1/quarantine/{id}` says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
    /// On what evidence it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_on: Option<ClosedOn>,
    /// The first report, `service/code`.
    pub report: String,
    /// Why its business data is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
    /// Its business data went for good, or go as soon as it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure: Option<CaseErasure>,
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
    #[serde(alias = "walks")]
    pub histories: Vec<HistoryView>,
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
    /// Why it can't do the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub may_not: BTreeMap<CaseActName, String>,
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
    /// What it is in its case.
    pub role: ReportStanding,
    /// The trace context that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
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
pub struct HistoryView {
    /// Whose.
    pub service: String,
    /// Whether it has answered.
    pub answered: bool,
    /// Why it has not answered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Since when it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// When it is asked for next; absent while it is being read and while its service is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub next_try_at: Option<Timestamp>,
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
