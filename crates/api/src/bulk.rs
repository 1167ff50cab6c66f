//! Bulk acts as jobs: one act on a frozen set of steps or cases, let out in a ramp. Plain data.

use crate::Cause;
use amends_protocol::{CaseId, StepId, Timestamp, words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// What a bulk act does to each.
    BulkActName, "bulk act" {
        /// Try steps again now.
        Retry = "retry",
        /// Go without steps.
        Waive = "waive",
        /// Approve steps that wait for it.
        Approve = "approve",
        /// Answer the reports of cases anew with the active rulebook.
        Replan = "replan",
        /// Take what questions leave in doubt as it is.
        Accept = "accept",
    }
}

impl BulkActName {
    /// So many of what it is done to: `1 step`, `3 questions`.
    #[must_use]
    pub fn of(self, count: u64) -> String {
        let one = match self {
            Self::Retry | Self::Waive | Self::Approve => "step",
            Self::Replan => "case",
            Self::Accept => "question",
        };
        format!("{count} {one}{}", if count == 1 { "" } else { "s" })
    }
}

words! {
    /// Where a bulk act stands.
    BulkState, "state of a bulk act" {
        /// Made and looked at; nothing has been done.
        Preview = "preview",
        /// Goes out, wave by wave.
        Running = "running",
        /// Somebody stopped it, or it stopped by itself; it can be started again and goes on with what is left.
        Stopped = "stopped",
        /// Nothing is left.
        Done = "done",
    }
}

/// Body of `POST /v1/bulk`. Either `ids`, or a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkRequest {
    /// What to do.
    pub act: BulkActName,
    /// Why; stands in the audit of each.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: String,
    /// To these steps; for `replan`, to these cases; for `accept`, to these questions.
    #[serde(
        default,
        deserialize_with = "amends_protocol::null_is_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ids: Vec<String>,
    /// To the steps that this filter finds (the names of `GET /v1/steps`); for `replan`, to the cases (of
    /// `GET /v1/cases`); for `accept`, to the questions (of `GET /v1/questions`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<BTreeMap<String, String>>,
    /// Only show what it would touch; nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
}

/// Body of `POST /v1/bulk/{id}/start` and `/stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkSteering {
    /// Why, if other than what the bulk act was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000, pattern = r"\S"))]
    pub reason: Option<String>,
}

/// A bulk act and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkView {
    /// Its id, `b-3`; absent after a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it stands.
    pub state: BulkState,
    /// Why it stands there: who stopped it, or which rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What it does.
    pub act: BulkActName,
    /// What for.
    pub reason: String,
    /// Who made it.
    pub actor: String,
    /// As whom they were let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The address that they asked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it was made: what it touches was frozen then.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub made_at: Timestamp,
    /// When it was started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub started_at: Option<Timestamp>,
    /// When it ended or was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// How many steps (or cases) it is about.
    pub matched: u64,
    /// The filter found more than the 10,000 that one bulk act takes; make another one afterwards.
    pub more: bool,
    /// What they are, as they were when it was made.
    pub counts: Vec<BulkCount>,
    /// The first of them, as they were then.
    pub sample: Vec<BulkSample>,
    /// How far it has come.
    pub progress: BulkProgress,
    /// Those that could not be changed, or that failed again, with the reason; at most 100.
    pub failures: Vec<BulkFailure>,
}

/// How many of one kind a bulk act touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkCount {
    /// The service; of cases, the one that reported.
    pub service: String,
    /// The action; absent for cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Why they are not done, as far as the last try tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// How many.
    pub count: u64,
}

/// One of those that a bulk act touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkSample {
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub case_id: CaseId,
    /// The step; absent for cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub step_id: Option<StepId>,
    /// `verb service.action`; of cases, the first report.
    pub subject: String,
    /// Where it stood.
    pub state: String,
    /// What the last try brought; of cases, the report's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Answer to `POST /v1/steps:act`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkResult {
    /// How many steps were meant.
    pub matched: usize,
    /// How many were changed.
    pub done: usize,
    /// Those that could not be, with the reason.
    pub failed: Vec<BulkFailure>,
    /// The steps meant; at most 1,000 are listed.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub ids: Vec<StepId>,
}

/// A step (or case) that a bulk act could not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkFailure {
    /// Its id.
    pub id: String,
    /// Why not.
    pub detail: String,
}

/// How far a bulk act has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkProgress {
    /// Done, and their services answered well.
    pub succeeded: u64,
    /// Tried again in vain.
    pub failed: u64,
    /// Not changed, since they no longer were in a state for it.
    pub unchanged: u64,
    /// Not yet touched.
    pub left: u64,
    /// The wave that is out, from 1; 0 before the first.
    pub wave: u64,
    /// Of this wave, those that wait for an answer.
    pub waiting: u64,
}
