//! What the engine asks to be stored, row by row. A store keeps these and gives them back unchanged; it decides nothing.

mod act;
mod actor;
mod awaits;
mod business;
mod called_back;
mod calls;
mod erasure;
mod note;
mod pivot;
mod rule_hold;
mod sagas;
mod sent;
mod service;
mod stranger;
mod subject;

pub use act::ActRow;
pub use actor::Actor;
pub use awaits::AwaitsCallers;
pub use business::Business;
pub use called_back::CalledBack;
pub use calls::CallsBefore;
pub use erasure::{ErasedField, ErasedRow, Erasure, ErasureRow, Gone, GoneDigest};
pub use note::Note;
pub use pivot::AtPivot;
pub use rule_hold::{HoldScope, RuleHold, RuleHoldRow};
pub use sagas::{SagaRow, SagaState};
pub use sent::Sent;
pub use service::{Decision, Limits, ServiceRow, ServiceSettings};
pub use stranger::{StrangerDecision, StrangerDecisionRow};
pub use subject::Subject;

use crate::{QuestionAnswer, Recheck, StrangerRow};
use amends_api::{CaseState, Cause, ClosedOn, MayStand, Source, StepStateName, StuckReason};
use amends_protocol::{
    ActionName, CaseId, Evidence, Lost, Outcome, Report, SagaId, StepId, Timestamp, Verb,
};
use amends_rulebook::{Role, RuleId, Rulebook};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{borrow::Cow, sync::Arc};

/// One write of a batch. A batch is committed whole or not at all, in order; of several writes of one key the last counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Removes a case with its reports and steps, so that they can be written anew. Its tries and its audit stay.
    Remove(CaseId),
    /// Inserts or replaces a case, by id.
    Case(Box<CaseRow>),
    /// Inserts or replaces a report, by case and position. `(source, id)` is unique over all cases.
    Report(Box<ReportRow>),
    /// Inserts or replaces a step, by case and ordinal.
    Step(Box<StepRow>),
    /// Adds one try of a step, by case, ordinal and attempt.
    Attempt(Box<AttemptRow>),
    /// Adds one entry to the audit.
    Act(Box<ActRow>),
    /// Inserts or replaces an announced saga, by saga id.
    Saga(Box<SagaRow>),
    /// Inserts or replaces what operators set for a service, by its name.
    Service(Box<ServiceRow>),
    /// Inserts, replaces or removes what a person said of a stranger, by rulebook and action.
    Stranger(Box<StrangerDecisionRow>),
    /// Inserts, replaces or removes a hold, by rulebook and rule.
    RuleHold(Box<RuleHoldRow>),
    /// Keeps a version of a rulebook, by its content hash (known content stays as it was), and makes it the only active
    /// one of its name.
    Activate(Box<ActivationRow>),
    /// Adds an erasure, by number.
    Erasure(Box<ErasureRow>),
    /// Inserts or replaces what became of a saga of an erasure, by both. Where its data went, what no other write holds
    /// of its case goes in the same batch, as [`crate::audit_texts_that_go`] and [`crate::is_in_store_alone`] say: the
    /// messages of tries, reports beyond the case's limit, texts of the audit. Its bytes are not to be found in the
    /// store's files afterwards.
    Erased(Box<ErasedRow>),
}

/// A case without its reports and steps.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseRow {
    /// Its number; the key.
    pub id: CaseId,
    /// Its saga; unique.
    pub saga: SagaId,
    /// Name and content hash of the rulebook that it is planned with.
    pub rulebook: Option<RulebookRef>,
    /// Where it stands.
    pub state: CaseState,
    /// On what evidence it was settled.
    pub closed_on: Option<ClosedOn>,
    /// When its first report came.
    pub opened_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// `service/code` of the first report.
    pub report: Arc<str>,
    /// Message of the first report.
    pub message: Option<Arc<str>>,
    /// The rest, stored as one JSON text.
    pub extra: CaseExtra,
}

/// Names one version of a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RulebookRef {
    /// Its name.
    pub name: Arc<str>,
    /// Its content hash.
    pub hash: Arc<str>,
}

/// The part of a case that nobody searches by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaseExtra {
    /// Evidence from answers to steps (that from reports and histories is with them).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<EvidenceRow>,
    /// Histories asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "histories")]
    pub histories: Vec<HistoryQuery>,
    /// For people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Rule indexes (of the case's rulebook) of `give_up` demands that have come into force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gave_up: Vec<u32>,
    /// When the case settles if nothing more happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_at: Option<i64>,
    /// The last look around before settling on quiet has been taken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub looked_again: bool,
    /// Evidence that did not arrive whole, or had no room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// Actions that evidence tells of and the rulebook does not know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<StrangerRow>,
    /// What people said about open questions. The questions themselves are not kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<QuestionAnswer>,
    /// Reports that came when the case was full. They are in the store only; their evidence is in `told`.
    #[serde(skip_serializing_if = "is_zero")]
    pub excess: u32,
    /// UTC milliseconds when its saga was said to have ended (`POST /v1/sagas/{id}/end`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga_ended_at: Option<i64>,
    /// The action with which its saga began, as `service.action`, if the saga announced itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// Whom it concerns and how much it is about.
    #[serde(skip_serializing_if = "Business::is_empty")]
    pub business: Business,
    /// Who settled it, if a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<String>,
    /// What may still stand, as it was known when the case was settled; so it can be shown without a rulebook.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may_still_stand: Vec<MayStand>,
    /// Its business data went, or go as soon as it is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<Erasure>,
}

/// Evidence with its witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// The service that said it.
    pub by: Arc<str>,
    /// UTC milliseconds when it said so; absent of what was told before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// In what it said so; absent of what was told before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Source>,
    /// What it said.
    #[serde(flatten)]
    pub evidence: Evidence,
}

/// Evidence that the case does not have, though it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The service that told it.
    pub by: Arc<str>,
    /// Of what, and why it is missing.
    #[serde(flatten)]
    pub lost: Lost,
}

/// A History that the case asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Whose.
    pub service: Arc<str>,
    /// UTC milliseconds of the next try; absent once answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<i64>,
    /// UTC milliseconds since when it is waited for; absent of what was asked for before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Whether a try is under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_flight: bool,
    /// Whether it has answered.
    #[serde(default)]
    pub answered: bool,
    /// UTC milliseconds when its History was read last; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<i64>,
    /// Whether it was asked for, the last time, when its saga was known to have ended and nobody but its beginning
    /// could call anything of its service any more, and nothing was heard since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_after_end: bool,
    /// Whether it was asked for, the last time, when nobody could call anything of its service any more, by the word of
    /// whoever could have, and nothing was heard since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked_after_callers: bool,
    /// Tries so far.
    pub attempts: u32,
    /// What the last try brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Evidence>,
    /// It could not be read for so long that a person is asked; also if one said to go on without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unavailable: bool,
    /// The reading that came after steps which had nothing to undo though something is said to stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck: Option<Recheck>,
}

/// A report within a case.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// The case.
    pub case: CaseId,
    /// From 0, in the order of arrival; with `case` the key.
    pub position: u32,
    /// When it came.
    pub received_at: Timestamp,
    /// How it is answered.
    pub role: ReportRole,
    /// The report itself, stored as JSON; `source` and `id` also as columns.
    pub report: Arc<Report>,
}

/// How a report of a case is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportRole {
    /// By the rule with this index in the case's rulebook.
    Rule(u32),
    /// By the rule with this index, whose limit of cases per minute was passed: its steps wait for a person's yes.
    RuleHeld(u32),
    /// By a person, who picked the steps.
    ByHand,
    /// By its root's rule: it names another report of the case as its cause.
    Derived,
    /// It names a cause that has not come yet; until this moment (UTC milliseconds) it waits for it.
    AwaitsRoot(i64),
    /// By no rule.
    Unmatched,
    /// By none, since its case is full: what it tells of requests counts as evidence, and it asks for nothing.
    Excess,
}

impl ReportRole {
    /// In the planner's words, which know no time.
    #[must_use]
    pub const fn for_planner(self) -> Role {
        match self {
            Self::Rule(rule) => Role::Rule(RuleId(rule)),
            Self::RuleHeld(rule) => Role::RuleHeld(RuleId(rule)),
            Self::ByHand => Role::ByHand,
            Self::Derived => Role::Derived,
            Self::AwaitsRoot(_) => Role::AwaitsRoot,
            Self::Unmatched => Role::Unmatched,
            Self::Excess => Role::Excess,
        }
    }
}

/// A step of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// Case and ordinal are the key.
    pub id: StepId,
    /// What is asked.
    pub verb: Verb,
    /// Of which action.
    pub action: ActionName,
    /// Stages run one after the other.
    pub stage: u16,
    /// Where it stands.
    pub state: StepState,
    /// Tries so far.
    pub attempts: u32,
    /// When it entered the plan.
    pub planned_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// The rest, stored as one JSON text.
    pub extra: StepExtra,
}

impl StepRow {
    /// Why it is not done yet, as far as its own tries tell; none if nothing has gone wrong with it.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match &self.state {
            StepState::Stuck(reason) => Some(match reason {
                StuckReason::Refused => Cause::Refused,
                StuckReason::Rejected => Cause::Rejected,
                StuckReason::Unsendable if self.extra.last == Some(Cause::Question) => {
                    Cause::Question
                }
                StuckReason::Unsendable => Cause::Unsendable,
                StuckReason::AwaitsApproval => Cause::Approval,
                StuckReason::OutOfAttempts | StuckReason::OutOfTime => {
                    self.extra.last.unwrap_or(Cause::NoAnswer)
                }
            }),
            StepState::Due(_) | StepState::InFlight => {
                self.extra.last.filter(|_| self.attempts > 0)
            }
            StepState::Accepted { .. } => Some(Cause::Accepted),
            StepState::Waiting if self.extra.on_hold.is_some() => Some(Cause::Held),
            StepState::Waiting if self.extra.pivot == Some(AtPivot::Asks) => Some(Cause::Question),
            StepState::Waiting => self.awaits_callers().map(|_| Cause::Callers),
            StepState::Done(_) | StepState::Superseded | StepState::Shadow => None,
        }
    }
}

/// The part of a step that nobody searches by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepExtra {
    /// Positions of the reports that demand it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<u32>,
    /// It undoes nothing: it bars an action that has no undo of its own from calling others any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fence: bool,
    /// What is known of the calls that its action made before the answer that barred it from more. Absent where that
    /// makes no calls, and of steps that ended before it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallsBefore>,
    /// Positions of reports that would have asked for it, had a person not decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_have_asked: Vec<u32>,
    /// Who decided, when a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The outcome was written by a person, not answered by the service.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// The outcome came by a callback, not as the answer to a request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub called_back: bool,
    /// What its service said of it on its own, the last of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callbacks: Vec<CalledBack>,
    /// Its service has taken it with 202. Never cleared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
    /// Request data that an operator put in place of the report's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<Arc<Map<String, Value>>>,
    /// The ordinal of the step that it is a part of. A step's first request has the step's own row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u32>,
    /// Its stage has come, and whoever may still call its action has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaits: Option<AwaitsCallers>,
    /// A person holds the rules that ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_hold: Option<Arc<RuleHold>>,
    /// How it stands to a pivot behind what it undoes; none where the saga is not past one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pivot: Option<AtPivot>,
    /// What its request is about: which request of the action as soon as that is known, the rest from its first try on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The idempotency key of a mapped request; absent where the step's id is the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// How often a person has decided to ask anew, under another key.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// What the last try asked, as far as it can't be told from the rest; absent before that, and of what was tried
    /// before this was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// Digest of what was asked under the key, so that nothing else is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// What the last try brought, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// HTTP status of the last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why the last try did not end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Cause>,
    /// UTC milliseconds when the current (or last) try was released for sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<i64>,
    /// Milliseconds of supervisor time since when its age counts; absent while it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counting_since: Option<i64>,
    /// Milliseconds that its service had been paused by then.
    #[serde(skip_serializing_if = "is_zero_ms")]
    pub paused_before_ms: u64,
    /// Milliseconds of age from before.
    #[serde(skip_serializing_if = "is_zero_ms")]
    pub aged_ms: u64,
    /// A try reached the service, or may have: what it did is not known to be nothing. Never cleared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_have_run: bool,
    /// A mapped endpoint has said once that there was nothing to undo, and was asked once more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub said_nothing: bool,
    /// UTC milliseconds before which the service does not want to be asked again (`Retry-After`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// The definite answer that the last tries brought alike; none after any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definite: Option<crate::SameAnswer>,
    /// Tries that reached the service since the limits started to count.
    #[serde(skip_serializing_if = "is_zero")]
    pub counted: u32,
    /// The rule's mode or limit wants a person's yes; cleared by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The rule's mode or limit wants a person's yes to each request, also after it was given to some.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// What was known of its action when a participant was last asked; absent before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knew: Option<KnownRequests>,
    /// The case is being undone: this retry is not tried (again), and compensations wait for its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last_try: bool,
}

/// How many requests of an action were known at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KnownRequests {
    /// By anybody's word.
    pub by_anybody: u32,
    /// By the word of the action's own service.
    pub by_own: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero_ms(ms: &u64) -> bool {
    *ms == 0
}

/// Where a step stands. Only the engine changes it, by the table in `transition.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// For an earlier stage.
    Waiting,
    /// Will be sent at this moment, or when its service's queue is free again after it.
    Due(Timestamp),
    /// Released for sending; after a crash it may or may not have been sent.
    InFlight,
    /// The service took it (202).
    Accepted {
        /// When to look next.
        poll_at: Timestamp,
        /// When to stop waiting for it.
        until: Timestamp,
        /// Where to look; without it, only a callback can end it before `until`.
        location: Option<Arc<str>>,
    },
    /// Ended.
    Done(Outcome),
    /// Needs a person.
    Stuck(StuckReason),
    /// A retry that a compensation replaced.
    Superseded,
    /// Planned in shadow mode.
    Shadow,
}

impl StepState {
    /// The state without its data.
    #[must_use]
    pub const fn name(&self) -> StepStateName {
        match self {
            Self::Waiting => StepStateName::Waiting,
            Self::Due(_) => StepStateName::Due,
            Self::InFlight => StepStateName::InFlight,
            Self::Accepted { .. } => StepStateName::Accepted,
            Self::Done(_) => StepStateName::Done,
            Self::Stuck(_) => StepStateName::Stuck,
            Self::Superseded => StepStateName::Superseded,
            Self::Shadow => StepStateName::Shadow,
        }
    }

    /// Whether it will never change again by itself or by a report. A stuck step is not terminal.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !self.name().is_unfinished()
    }
}

/// One try of a step and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// The step.
    pub step: StepId,
    /// From 1; with the step the key.
    pub attempt: u32,
    /// When it was released for sending.
    pub sent_at: Timestamp,
    /// When its result was known.
    pub ended_at: Timestamp,
    /// One word.
    pub result: Cow<'static, str>,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// For people.
    pub message: Option<Arc<str>>,
}

/// A version of a rulebook that becomes the active one of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRow {
    /// When.
    pub at: Timestamp,
    /// Its name.
    pub name: Arc<str>,
    /// Its content hash; the key.
    pub hash: Arc<str>,
    /// Path and text of its files, root first.
    pub sources: Vec<(String, Arc<str>)>,
    /// It is now the version of its name that was last taken from a file.
    pub from_file: bool,
}

impl ActivationRow {
    /// The activation of a version.
    #[must_use]
    pub fn of(book: &Rulebook, at: Timestamp, from_file: bool) -> Self {
        let sources = book.sources().iter();
        Self {
            at,
            name: book.name().into(),
            hash: book.hash().into(),
            sources: sources.map(|s| (s.path.clone(), Arc::clone(&s.text))).collect(),
            from_file,
        }
    }
}

/// A case with its reports and steps, as the store gives it back. Reports by position, steps by ordinal.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCase {
    /// The case.
    pub case: CaseRow,
    /// Its reports.
    pub reports: Vec<ReportRow>,
    /// Its steps.
    pub steps: Vec<StepRow>,
}
