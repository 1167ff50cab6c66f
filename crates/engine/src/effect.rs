//! What is to be done after a commit. Nothing here has happened yet, and nothing here may happen before the writes of
//! the same [`crate::Output`] are durable.

use crate::Veil;
use amends_api::{AttemptResult, AuditActName, BreakerState, ClosedOn, QuestionId, QuestionKind};
use amends_protocol::{
    ActionName, CallbackProof, CaseId, Outcome, Report, SagaId, StepId, Testimony, Timestamp, Verb,
    digest,
};
use amends_rulebook::{ActionId, RenderedBody, Rulebook};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Something to do outside. Each effect is answered by exactly one [`crate::Input::StepEnded`] or
/// [`crate::Input::HistoryEnded`]; whoever performs it sets the time limit.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ask a service for a step, once.
    Send(Box<SendStep>),
    /// Look how a step that a service took with 202 has come along, once.
    Poll(Box<PollStep>),
    /// Read a service's History of a saga, once.
    ReadHistory(Box<ReadHistory>),
}

impl Effect {
    /// The step that the effect is for and the number of the try, if it is for a step.
    #[must_use]
    pub fn step(&self) -> Option<(StepId, u32)> {
        match self {
            Self::Send(send) => Some((send.step, send.attempt)),
            Self::Poll(poll) => Some((poll.step, poll.attempt)),
            Self::ReadHistory(_) => None,
        }
    }

    /// The saga that it is about.
    #[must_use]
    pub fn saga(&self) -> &SagaId {
        match self {
            Self::Send(send) => &send.saga,
            Self::Poll(poll) => &poll.saga,
            Self::ReadHistory(query) => &query.saga,
        }
    }

    /// The service that it goes to.
    #[must_use]
    pub fn service(&self) -> &Arc<str> {
        match self {
            Self::Send(send) => &send.action.service,
            Self::Poll(poll) => &poll.action.service,
            Self::ReadHistory(query) => &query.service,
        }
    }
}

/// One try of a step.
#[derive(Clone, Debug)]
pub struct SendStep {
    /// The step; its idempotency key where it has none of its own.
    pub step: StepId,
    /// What shows that a callback about it comes from whoever was sent it.
    pub proof: CallbackProof,
    /// The idempotency key of a mapped request.
    pub key: Option<Arc<str>>,
    /// From 1.
    pub attempt: u32,
    /// What is asked.
    pub verb: Verb,
    /// Of which action.
    pub action: ActionName,
    /// The same in `rulebook`, which knows URL, endpoint mapping and time limit.
    pub action_id: ActionId,
    /// The version that the case is planned with.
    pub rulebook: Arc<Rulebook>,
    /// The saga.
    pub saga: SagaId,
    /// Requests of the action that the case knows of.
    pub request_ids: Vec<Arc<str>>,
    /// The report that the case began with.
    pub report: Arc<Report>,
    /// Data in place of the report's: an operator's, or what was told of the one request.
    pub data: Option<Arc<Map<String, Value>>>,
    /// What nobody is shown of it, should its service repeat it.
    pub veil: Veil,
}

impl SendStep {
    /// The business fields of the request.
    #[must_use]
    pub fn data(&self) -> &Map<String, Value> {
        self.data.as_deref().unwrap_or(&self.report.data.data)
    }

    /// The value of a placeholder; none if it has none.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value> {
        let report = &self.report;
        Some(match name {
            "sagaId" => self.saga.as_str().into(),
            "stepId" => self.step.to_string().into(),
            "key" => match &self.key {
                Some(key) => (&**key).into(),
                None => self.step.to_string().into(),
            },
            "caseId" => self.step.case.to_string().into(),
            "requestId" => (&**self.request_ids.first()?).into(),
            "attempt" => self.attempt.into(),
            "callback.proof" => self.proof.reveal().into(),
            "action" => self.action.to_string().into(),
            "report.code" => report.data.code.as_str().into(),
            "report.service" => report.service().into(),
            "report.id" => report.id.as_str().into(),
            "report.message" => report.data.message.as_deref()?.into(),
            _ => {
                let mut keys = name.strip_prefix("data.")?.split('.');
                let first = self.data().get(keys.next()?)?;
                keys.try_fold(first, |value, key| value.get(key))?.clone()
            }
        })
    }

    /// Digest of what its request is made of, besides the step itself and the requests that it names.
    #[must_use]
    pub fn made_of(&self) -> u64 {
        made_of(&self.rulebook, &self.report, self.data())
    }

    /// Digest of what is asked, but for what differs from try to try, for secrets, and for the host, since a service
    /// may move; none of what can't be built.
    #[must_use]
    pub fn digest(&self) -> Option<u64> {
        let action = self.rulebook.get(self.action_id);
        let endpoint = action.endpoints.get(self.verb)?;
        let fields = |name: &str| match name {
            "attempt" => Some(0.into()),
            // Where we are reached may change too, as may secrets.
            other if other.starts_with("secret.") || other.starts_with("callback.") => {
                Some(other.into())
            }
            other => self.field(other),
        };
        let request = endpoint.render(&fields).ok()?;
        let headers: Vec<String> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = match &request.body {
            None => String::new(),
            Some(RenderedBody::Json(value)) => value.to_string(),
            Some(RenderedBody::Form(pairs)) => format!("{pairs:?}"),
        };
        let headers = headers.join("\n");
        Some(digest(&[&request.method, &request.path, &headers, &body]))
    }
}

/// Digest of the version, the report and the fields that a request is made of.
pub(crate) fn made_of(book: &Rulebook, report: &Report, data: &Map<String, Value>) -> u64 {
    let fields = serde_json::to_string(data).unwrap_or_default();
    digest(&[book.hash(), &report.source, &report.id, &fields])
}

/// One look at a step that was taken with 202.
#[derive(Clone, Debug)]
pub struct PollStep {
    /// The step.
    pub step: StepId,
    /// As of the try that was taken.
    pub key: Option<Arc<str>>,
    /// The try that was taken.
    pub attempt: u32,
    /// What was asked.
    pub verb: Verb,
    /// Of which action.
    pub action: ActionName,
    /// The same in `rulebook`.
    pub action_id: ActionId,
    /// The version that the case is planned with.
    pub rulebook: Arc<Rulebook>,
    /// The saga.
    pub saga: SagaId,
    /// `Location` of the 202, absolute or relative to the service's URL. It must stay on that service's host.
    pub location: Arc<str>,
}

/// One reading of a History.
#[derive(Clone, Debug)]
pub struct ReadHistory {
    /// The case that wants it.
    pub case: CaseId,
    /// Whose History.
    pub service: Arc<str>,
    /// Knows the service's URL.
    pub rulebook: Arc<Rulebook>,
    /// Of which saga.
    pub saga: SagaId,
}

/// What a try of a step brought, read from the wire by the rules of DESIGN.md section 4.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    /// The reading.
    pub answer: StepReading,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// For people: the service's message, or what went wrong.
    pub message: Option<String>,
    /// Evidence that the answer carried.
    pub history: Testimony,
    /// The request went out two times, because a kept connection turned out to be dead: the first may have run.
    pub sent_twice: bool,
}

impl StepResult {
    /// A result that says nothing more, also nothing of calls.
    #[must_use]
    pub fn new(answer: StepReading, status: Option<u16>) -> Self {
        let (message, history) = (None, Testimony::default());
        Self { answer, status, message, history, sent_twice: false }
    }

    /// The same with the evidence that came along; an empty list says that nobody was called.
    #[must_use]
    pub fn telling(self, history: impl Into<Testimony>) -> Self {
        Self { history: history.into(), ..self }
    }

    /// The same with a word for people.
    #[must_use]
    pub fn saying(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }
}

/// How a try of a step is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepReading {
    /// 200 with an outcome, 204, or a mapped status that means done or nothing. Never `refused` or `waived`.
    Done(Outcome),
    /// 202.
    Accepted {
        /// Where to look.
        location: Option<String>,
        /// When to look, in milliseconds from now; a lower bound.
        retry_after_ms: Option<u64>,
    },
    /// A problem of type `refused`, or a mapped status that means so. Final.
    Refused,
    /// What the rulebook maps to a person, or a problem of ours that says the request itself is invalid. A person must
    /// look.
    Rejected,
    /// Any other 3xx or 4xx than 408, 409, 423, 425 and 429: asked again it will be the same, unless it came from what
    /// stands before the service. Only if it lasts a person must look.
    Definite,
    /// The request cannot be built (a placeholder without value, a service without URL); of a poll, its `Location`
    /// leaves the service's host. A person must look.
    Unsendable,
    /// 409, 429, 503: not now. The service answered, so it lives; `overloaded` says whether it wants less.
    Busy {
        /// 429 or 503 rather than 409.
        overloaded: bool,
        /// `Retry-After` in milliseconds; a lower bound.
        retry_after_ms: Option<u64>,
    },
    /// The connection was refused, or the name did not resolve: it was not sent.
    NotSent,
    /// Sent, and nobody knows: a time limit, a broken connection, any other status.
    Unknown,
}

impl StepReading {
    /// The kind of reading, in one word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            other => other.result().as_str(),
        }
    }

    /// How the try ended: its outcome, or the kind of reading.
    #[must_use]
    pub fn result(&self) -> AttemptResult {
        match self {
            Self::Done(outcome) => (*outcome).into(),
            Self::Accepted { .. } => AttemptResult::Accepted,
            Self::Refused => AttemptResult::Refused,
            Self::Rejected => AttemptResult::Rejected,
            Self::Definite => AttemptResult::Definite,
            Self::Unsendable => AttemptResult::Unsendable,
            Self::Busy { .. } => AttemptResult::Busy,
            Self::NotSent => AttemptResult::NotSent,
            Self::Unknown => AttemptResult::Unknown,
        }
    }
}

/// What a reading of a History brought.
#[derive(Clone, Debug, PartialEq)]
pub enum HistoryResult {
    /// The service answered; a 404 or 204 that is its own counts as an empty History.
    Told(Testimony),
    /// A 404 or 204 that need not be the service's own: it repeats no `Saga-Id` and is no problem of ours. It may be a
    /// page of whatever stands before the service.
    Unproven {
        /// Which of them.
        status: u16,
    },
    /// It has no History endpoint by declaration (every action mapped), so there is nothing to ask.
    NoHistory,
    /// It did not answer as it should.
    Failed {
        /// For people.
        message: String,
        /// Whether the service was out of reach (rather than answering with something else).
        unreachable: bool,
        /// `Retry-After` in milliseconds; a lower bound.
        retry_after_ms: Option<u64>,
    },
}

/// Something that people or programs may want to be reported, once it is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: DomainEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum DomainEvent {
    /// A report entered a case.
    Reported {
        /// The case.
        case: CaseId,
        /// The report.
        report: Arc<Report>,
    },
    /// A step changed its state.
    Step {
        /// The step.
        step: StepId,
        /// Its verb.
        verb: Verb,
        /// Its action.
        action: ActionName,
        /// Its new state.
        state: crate::StepState,
        /// For people.
        message: Option<String>,
    },
    /// A case changed its state.
    Case {
        /// The case.
        case: CaseId,
        /// Its saga.
        saga: SagaId,
        /// When its first report came.
        opened_at: Timestamp,
        /// Name of the rulebook that it is planned with.
        rulebook: Option<Arc<str>>,
        /// On what evidence, if it is settled now.
        closed_on: Option<ClosedOn>,
        /// The kinds of questions that were open when it settled, and that its rulebook only notes: with that word
        /// taken away, it would be stuck.
        noted: BTreeSet<QuestionKind>,
        /// Its new state.
        state: amends_api::CaseState,
    },
    /// Steps joined a case's plan.
    Planned {
        /// The case.
        case: CaseId,
        /// The report that the case began with.
        report: Arc<Report>,
        /// How many.
        steps: usize,
    },
    /// A History was read.
    Walked {
        /// The case.
        case: CaseId,
        /// Whose.
        service: Arc<str>,
        /// How many entries it had.
        entries: usize,
    },
    /// A person acted.
    Acted {
        /// The case, if about one.
        case: Option<CaseId>,
        /// The step, if about one.
        step: Option<StepId>,
        /// What.
        act: AuditActName,
        /// Who.
        actor: Arc<str>,
    },
    /// A question holds its case.
    Question {
        /// Which.
        question: QuestionId,
        /// What is in doubt.
        kind: QuestionKind,
        /// The service that it is about.
        service: Arc<str>,
        /// In plain words.
        sentence: String,
    },
    /// A service's breaker changed, or the service has given one definite answer to all steps for long.
    Breaker {
        /// The service.
        service: Arc<str>,
        /// Its new state.
        state: BreakerState,
        /// What it failed with last.
        message: Option<String>,
    },
    /// No History of a service could be read for ten minutes, although cases need them; or one was read again.
    Histories {
        /// The service.
        service: Arc<str>,
        /// Whether one was read again.
        available: bool,
        /// What the last reading failed with.
        message: Option<String>,
    },
    /// A case can't be worked on, or a stored row of no case can't be used.
    Quarantined {
        /// The case, if the row is one of a case.
        case: Option<CaseId>,
        /// Which row, and what is wrong with it.
        broken: crate::UnreadableRow,
    },
    /// A rulebook version became active.
    Rulebook {
        /// Its name.
        name: Arc<str>,
        /// Its content hash.
        hash: Arc<str>,
    },
}
