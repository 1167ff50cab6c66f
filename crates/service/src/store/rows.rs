//! The rows of History as the kit sees them, whatever database holds them. No behaviour but reading stored words.

use crate::config::KitError;
use crate::saga_context::PassedOn;
use amends_protocol::{HistoryState, Outcome, PROBLEM_TYPE_BASE, ProblemCode, SagaId, Verb};
use serde_json::Value;

/// A forward request that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRequest {
    /// Its id, unique in this History.
    pub request_id: String,
    /// Its saga.
    pub saga: SagaId,
    /// The action that it asks for.
    pub action: String,
    /// SHA-256 of action and body.
    pub fingerprint: Vec<u8>,
    /// What it asks with.
    pub body: Value,
    /// Trace and baggage, which a re-run passes on.
    pub passed_on: PassedOn,
}

/// A request as History holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRow {
    /// What it arrived with.
    pub request: NewRequest,
    /// Its state.
    pub state: HistoryState,
    /// The worker that started it last.
    pub worker: String,
    /// How often it was started; who was started under a lower number has lost it.
    pub run: i64,
    /// What it was answered, once it was.
    pub answer: Option<StoredAnswer>,
}

/// What a request was answered; replayed word for word.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
    /// The id of the report about its failure.
    pub report: Option<String>,
}

impl StoredAnswer {
    /// Whether it says that the action may have had an effect.
    pub(crate) fn is_unsure(&self) -> bool {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix(PROBLEM_TYPE_BASE) == Some(ProblemCode::EffectUnknown.as_str())
    }
}

/// Whether the tombstone of an action is up in a saga. It never comes down while the saga is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Requests of the action may take effect.
    Down,
    /// None may.
    Up,
}

impl Fence {
    /// From whether it is up.
    #[must_use]
    pub const fn when(up: bool) -> Self {
        match up {
            true => Self::Up,
            false => Self::Down,
        }
    }
}

/// Where a request stands: what a decision about it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredStanding {
    /// Its state.
    pub state: HistoryState,
    /// The worker that started it last.
    pub worker: String,
    /// How often it was started.
    pub run: i64,
    /// The fence of its action.
    pub fence: Fence,
}

/// A request that has been `started` for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its number in the order of arrival.
    pub seq: i64,
    /// Its id.
    pub request_id: String,
    /// Its saga.
    pub saga: SagaId,
    /// The worker that started it last.
    pub worker: String,
    /// How often it was started.
    pub run: i64,
}

/// A call to another service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// The request id that the other service sees.
    pub call_id: String,
    /// The saga.
    pub saga: SagaId,
    /// The request that makes the call.
    pub parent: String,
    /// The service called.
    pub service: String,
    /// Its action.
    pub action: String,
}

/// A step that has its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// The step's id.
    pub step_id: String,
    /// Its saga.
    pub saga: SagaId,
    /// What it asked for.
    pub verb: Verb,
    /// Of which action.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// A step that was answered 202, whose outcome is owed to the supervisor.
#[derive(Clone, PartialEq, Eq)]
pub struct OwedRow {
    /// The step's id.
    pub step_id: String,
    /// Its saga.
    pub saga: SagaId,
    /// The action that it undoes.
    pub action: String,
    /// What shows that the outcome comes from whoever was asked; a secret of the step.
    pub proof: Option<String>,
    /// Where the outcome goes, if the step said so.
    pub url: Option<String>,
    /// The undo had found an effect of a request of which nobody knew whether it had one.
    pub found: bool,
    /// How it ended; none while the undo goes on.
    pub outcome: Option<Outcome>,
}

impl std::fmt::Debug for OwedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwedRow")
            .field("step_id", &self.step_id)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// A report that is to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// Its id, for ever.
    pub report_id: String,
    /// Its saga.
    pub saga: SagaId,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// The event's data, as JSON.
    pub data: String,
}

/// A report on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingReport {
    /// What was put into the outbox.
    pub report: ReportRow,
    /// When it happened, UTC milliseconds.
    pub happened_at_ms: i64,
    /// How often it was tried before.
    pub tries: u32,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportState {
    /// It has to be tried again.
    Pending,
    /// The supervisor has it.
    Sent,
    /// The supervisor will never take it.
    Dead,
}

impl ReportState {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }
}

/// What a look into the outbox gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Reports to send now.
    pub reports: Vec<OutgoingReport>,
    /// When nothing was to be sent: how long until something will be, if anything waits.
    pub next_in_ms: Option<u64>,
}

/// Reads stored JSON.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, KitError> {
    serde_json::from_str(text).map_err(corrupt)
}

/// The state in which a request is written that comes with its answer, or without.
pub(crate) fn state_of(answer: Option<&StoredAnswer>) -> HistoryState {
    match answer {
        Some(_) => HistoryState::Succeeded,
        None => HistoryState::Started,
    }
}

/// A stored value cannot be read back.
pub(crate) fn corrupt(error: impl ToString) -> KitError {
    KitError::Corrupt(error.to_string())
}
