//! What an operator sees first: how much is open, what is wrong, how each service is doing. Plain data.

use crate::{
    BreakerState, CaseState, Money, QuestionKind, ReportWay, RuleHoldView, ServiceHealth,
    SilentNodeView, TroubleReason,
};
use amends_protocol::{CaseId, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers of everything, for an overview: `GET /v1/overview`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// Nodes that did not answer, of several that each work on a part of all sagas: what they work on is missing in
    /// these numbers, or old. The numbers of `cases` and `rejectedReports` are always of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent_nodes: Vec<SilentNodeView>,
    /// When open work was looked at.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Cases by state; states without cases are absent.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub cases: BTreeMap<CaseState, u64>,
    /// Steps that wait for a person's yes.
    pub awaiting_approval: u64,
    /// How much the cases that are not settled are about, by currency: never across.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Money>,
    /// Cases that are not settled and in none of these sums; 0 without any sum.
    pub without_amount: u64,
    /// When the oldest case that is not settled was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub oldest_open_at: Option<Timestamp>,
    /// Cases that are older than the objective of their rule, or of the configuration; `group=g-late` lists them.
    pub late: u64,
    /// Open questions that hold their cases, by kind; `GET /v1/questions` lists them.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub questions: BTreeMap<QuestionKind, u64>,
    /// Open questions that are only shown, because the rulebook says `note`: without that word their cases were stuck.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub noted_questions: BTreeMap<QuestionKind, u64>,
    /// What operators hold of rulebooks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<RuleHoldView>,
    /// Cases that can't be worked on; `GET /v1/quarantine` lists them. In `cases` they count by their stored
    /// state, if that can be read; they are in no other number here.
    pub quarantined: u64,
    /// Stored rows of no case that can't be read.
    pub unreadable_rows: u64,
    /// Messages of brokers that could not be taken as reports; `GET /v1/reports/rejected` lists them.
    pub rejected_reports: u64,
    /// Reports and settled cases of each of the last 60 minutes, oldest first; the last one is still running. Minutes
    /// before `countedSince` are not known.
    pub minutes: Vec<MinuteView>,
    /// Since when `minutes` are known: the start of the supervisor (the first of several), or what it found in the
    /// store then.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub counted_since: Timestamp,
    /// How long cases took from their first report to being settled.
    pub time_to_settle: SettleFigures,
    /// Every service of the active rulebooks, by name.
    pub services: Vec<ServiceView>,
    /// The brokers that reports come from, besides HTTP; none if none is configured. Over all nodes.
    pub ways: Vec<WayView>,
    /// What comes over HTTP, since the start of each supervisor.
    pub over_http: OverHttpView,
    /// What went wrong last and still is, newest first; at most 20.
    pub troubles: Vec<TroubleView>,
}

/// A broker that reports come from, as this supervisor sees it since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WayView {
    /// Which.
    pub way: ReportWay,
    /// Whether reports come.
    pub connected: bool,
    /// Since when that is so.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub since: Timestamp,
    /// Messages that are not taken yet, as was known some seconds ago: those that wait at the broker, and those in
    /// hand.
    pub waiting: u64,
    /// When a report was taken last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_taken_at: Option<Timestamp>,
    /// Reports that were taken, those that were known included.
    pub taken: u64,
    /// Events that tell of no failure.
    pub skipped: u64,
    /// Messages that were put aside for people.
    pub rejected: u64,
    /// What is wrong with the bridges that read there, by the rulebooks that are active: whose reports nobody answers,
    /// and what they don't give. In sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<String>,
}

/// Reports over HTTP, as this supervisor has seen them since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverHttpView {
    /// When a report was taken last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_taken_at: Option<Timestamp>,
    /// Reports that were taken, those that were known included.
    pub taken: u64,
    /// Reports that were answered with what is wrong with them, and will never be taken as they are.
    pub rejected: u64,
}

/// One minute of work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MinuteView {
    /// Its beginning.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Reports that entered a case.
    pub reported: u64,
    /// Cases that were settled.
    pub settled: u64,
}

/// How long cases took to settle, of the newest that were settled within the last 60 minutes (at most 4,096 by each
/// node).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettleFigures {
    /// How many cases these figures are of.
    pub cases: u64,
    /// Half of them took no longer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// All but one in a hundred took no longer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<u64>,
}

/// A participant as the supervisor sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// The rulebook that it belongs to.
    pub rulebook: String,
    /// Where it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How it is, all in all.
    pub health: ServiceHealth,
    /// Its circuit breaker; where several nodes ask it, the one that keeps back most.
    pub breaker: BreakerState,
    /// Where several nodes ask it: those whose breaker is not closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<NodeBreakerView>,
    /// Whether an operator has paused dispatch to it.
    pub paused: bool,
    /// Who paused it, when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<DecisionView>,
    /// Limits that an operator set in place of the rulebook's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsView>,
    /// Requests under way.
    pub in_flight: u32,
    /// Most requests at once, as it holds now.
    pub concurrency: u32,
    /// Most requests a second, if an operator set a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// Steps and walks that wait for their turn or for its return.
    pub queued: u32,
    /// Failures in a row.
    pub failures: u32,
    /// What it failed with last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when no History of it could be read, once that has lasted for ten minutes (its pauses apart).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub histories_unavailable_since: Option<Timestamp>,
    /// What the last reading of a History failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histories_message: Option<String>,
    /// How far it has come in the cases that are not settled.
    #[serde(default)]
    pub progress: Progress,
    /// How it answered lately.
    #[serde(default)]
    pub attempts: AttemptFigures,
}

/// The circuit breaker of a service as one of several nodes has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeBreakerView {
    /// The node, by its name.
    pub node: String,
    /// Its breaker.
    pub breaker: BreakerState,
}

/// Who decided something, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DecisionView {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Limits that an operator set; what is absent follows the rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsView {
    /// Most requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Most requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// By whom, when and why.
    #[serde(flatten)]
    pub decision: DecisionView,
}

/// Body of `POST /v1/services/{name}/limits`. What is absent is the rulebook's again; with neither, both are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsWanted {
    /// Most requests at once, 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Most requests a second, 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// Why.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: String,
}

/// Steps of one service in cases that are not settled. Superseded steps and those in shadow mode are in none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Ended with an outcome that the service reached.
    pub done: u64,
    /// A person decided to go without.
    pub waived: u64,
    /// Not asked for yet.
    pub waiting: u64,
    /// Asked for, or taken by the service with 202.
    pub in_flight: u64,
    /// Asked for in vain; another try follows.
    pub retrying: u64,
    /// Need a person.
    pub stuck: u64,
}

/// How a service answered, of the newest requests (steps, looks at accepted ones, Histories) of the last 5 minutes, at
/// most 1,024 of each node. Over several nodes, percentiles are near.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptFigures {
    /// How many requests these figures are of.
    pub requests: u64,
    /// Share of them that brought no answer, or one that ends nothing: 0 to 1.
    pub error_rate: f64,
    /// So many of the newest brought none, one after the other; over several nodes, at each of those that asked.
    pub failed_in_a_row: u64,
    /// Half of them took no longer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// All but one in a hundred took no longer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

/// Something that needs a person, and still does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TroubleView {
    /// Since when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub case_id: CaseId,
    /// The step that is stuck; absent for a question, and when no rule answers the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub step_id: Option<StepId>,
    /// `verb service.action`, what a question is about, or the report that no rule answers.
    pub subject: String,
    /// Why.
    pub why: TroubleReason,
    /// What the last try brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
