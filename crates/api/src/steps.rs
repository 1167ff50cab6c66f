//! A step and its tries, as people see them.

use crate::signs::{CALLS_BACK, Sign, Signed};
use crate::{AttemptResult, Cause, Hidden, RuleHoldView, StepActName, StepStateName, StuckReason};
use amends_protocol::{ActionName, CaseId, Outcome, SagaId, StepId, Timestamp, Verb};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A step within a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepView {
    /// The step; also its idempotency key, unless `key` says another.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "s-17-3-9f86d081884c7d65"))]
    pub id: StepId,
    /// The case.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub case_id: CaseId,
    /// The saga.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub saga_id: SagaId,
    /// What is asked.
    pub verb: Verb,
    /// Of which action, `service.action`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "payment.pay"))]
    pub action: ActionName,
    /// It is a fence: a `compensate` of an action without an undo of its own, which bars it from calling others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fence: bool,
    /// Stages run one after the other; 65535 is the last, where notices go.
    pub stage: u16,
    /// Where it stands.
    pub state: StepStateName,
    /// Who may still call what it undoes, where nothing would bar that: its stage has come, and it waits until they
    /// have ended, or until `dueAt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub awaits: Vec<ActionName>,
    /// The hold because of which it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<RuleHoldView>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How it ended outside, as a person recorded in answer to a question about it: `outcome` is what its service said.
    /// Only when one case is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Outcome>,
    /// Why it needs a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StuckReason>,
    /// Why it is not done yet: what keeps everything back that goes to its service, else what its own tries met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Its service took the request (202) and named no place to look: it tells when it is done. If it does not, it is
    /// asked again at `dueAt`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_callback: bool,
    /// When it will be sent (or polled) next; never in the past, and absent while its service is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// Tries so far.
    pub attempts: u32,
    /// Why its business data is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
    /// What the last try brought, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it entered the plan.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub planned_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// Ids of the reports that demand it; empty for a step that a person added.
    pub because: Vec<String>,
    /// Ids of later reports that would have asked for it, had a person not decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_have_asked: Vec<String>,
    /// Who decided, when a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The request data that an operator put in place of the report's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Map<String, Value>>,
    /// Id of the report whose fields a mapped request takes, once it was tried; only when one case is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_from: Option<String>,
    /// Id of the trace that its requests belong to, as 32 hexadecimal digits; only when one case is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The one request that a mapped request is about, once it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The idempotency key of a mapped request, once it was tried; absent where the step's id is the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What was told of that one request and fills in its fields, in place of a report's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_data: Option<Map<String, Value>>,
    /// Where the action is undone, or run again, request by request: a part for each, with an id of its own. The step's
    /// state is that of the part that needs most; an act on the step means all parts that have not ended. Only when one
    /// case or one step is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub parts: Vec<StepView>,
    /// What a person can do to it now. The engine takes exactly these acts.
    #[serde(default)]
    pub may: Vec<StepActName>,
    /// Why it can't do the others, as the end of a sentence that begins with "the step"; only when one case or one step
    /// is shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub may_not: BTreeMap<StepActName, String>,
    /// Its tries; only when one case or one step is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<AttemptView>,
}

impl StepView {
    /// What it asks for, in one word: its verb, or `fence`.
    #[must_use]
    pub const fn asks(&self) -> &'static str {
        if self.fence { "fence" } else { self.verb.as_str() }
    }

    /// How it is shown: by how it ended, a person's word before its service's, else by why it is stuck, else by where
    /// it stands.
    #[must_use]
    pub fn sign(&self) -> Sign {
        match (self.recorded.or(self.outcome), self.reason) {
            (Some(outcome), _) => outcome.sign(),
            (None, Some(_)) if self.cause == Some(Cause::Question) => Cause::Question.sign(),
            (None, Some(reason)) => reason.sign(),
            (None, None) if self.awaits_callback => CALLS_BACK,
            (None, None) => self.state.sign(),
        }
    }
}

/// One try of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptView {
    /// From 1.
    pub attempt: u32,
    /// When it was released for sending.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub sent_at: Timestamp,
    /// When its result was known.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ended_at: Timestamp,
    /// How it ended.
    pub result: AttemptResult,
    /// It is no answer: the service called back, after the try of this number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub called_back: bool,
    /// HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
