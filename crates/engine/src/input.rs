//! Everything that can come to the engine from outside.

use crate::{
    Actor, HistoryResult, HoldScope, LetterId, Partition, SagaRow, StepResult, StoredCase,
};
use amends_api::{AuditActName, CaseAct, QuestionAct, QuestionId, StepAct, StrangerAct};
use amends_protocol::{
    ActionName, CaseId, OutcomeCallback, Report, ReportKey, SagaBegin, SagaId, StepId,
};
use amends_rulebook::Rulebook;
use std::sync::Arc;

/// Names the one who waits for an answer; the engine hands it back in [`crate::Output::answers`].
pub type Ticket = u64;

/// One thing that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A report came.
    Report {
        /// The report, its envelope checked.
        report: Arc<Report>,
        /// The case that already holds this very report, if the store knows one.
        known_in: Option<CaseId>,
        /// Who waits.
        ticket: Ticket,
    },
    /// An effect [`crate::Effect::Send`] or [`crate::Effect::Poll`] has ended.
    StepEnded {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// The service that it went to.
        service: Arc<str>,
        /// What it brought.
        result: StepResult,
    },
    /// An effect of another loop has ended, which does not hold the case any more: it takes no place here.
    EndedElsewhere {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// The service that it went to.
        service: Arc<str>,
        /// What it brought.
        result: StepResult,
    },
    /// A service told the outcome of a step that it had taken with 202.
    StepCalledBack {
        /// The step.
        step: StepId,
        /// What the service said.
        callback: OutcomeCallback,
        /// Who waits.
        ticket: Ticket,
    },
    /// An effect [`crate::Effect::ReadHistory`] has ended.
    HistoryEnded {
        /// The case.
        case: CaseId,
        /// Whose History.
        service: Arc<str>,
        /// What it brought.
        result: HistoryResult,
    },
    /// A person acts on a step.
    StepAct {
        /// The step.
        step: StepId,
        /// The act.
        act: StepAct,
        /// Who.
        actor: Actor,
        /// The bulk act that it is part of, for the audit.
        bulk: Option<u64>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person acts on a case.
    CaseAct {
        /// The case.
        case: CaseId,
        /// The act.
        act: CaseAct,
        /// Who.
        actor: Actor,
        /// The bulk act that it is part of, for the audit.
        bulk: Option<u64>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person says something about an open question.
    QuestionAct {
        /// The question.
        question: QuestionId,
        /// The act.
        act: QuestionAct,
        /// Who.
        actor: Actor,
        /// The bulk act that it is part of, for the audit.
        bulk: Option<u64>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person says something of a name that a rulebook does not know.
    StrangerAct {
        /// The rulebook, by name.
        rulebook: Arc<str>,
        /// The action.
        action: ActionName,
        /// What is said.
        act: StrangerAct,
        /// Who.
        actor: Actor,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person pauses or resumes dispatch to a service.
    Pause {
        /// The service.
        service: Arc<str>,
        /// True pauses.
        paused: bool,
        /// Who.
        actor: Actor,
        /// Why.
        reason: Arc<str>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person holds a rulebook or a rule, so that nothing that it asks for is sent, or releases it.
    HoldRule {
        /// What.
        scope: HoldScope,
        /// True holds.
        held: bool,
        /// Who.
        actor: Actor,
        /// Why.
        reason: Arc<str>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person sets limits of a service in place of the rulebook's, or takes them back.
    Limit {
        /// The service.
        service: Arc<str>,
        /// The new limits; a limit that is absent is the rulebook's.
        limits: NewLimits,
        /// Who.
        actor: Actor,
        /// Why.
        reason: Arc<str>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person did something outside of the engine that belongs into the audit.
    Audit {
        /// What, in a word.
        act: AuditActName,
        /// Who.
        actor: Actor,
        /// Why.
        reason: Arc<str>,
        /// Details.
        detail: serde_json::Value,
        /// Who waits.
        ticket: Ticket,
    },
    /// A saga announces itself.
    SagaBegan {
        /// What it says.
        begin: SagaBegin,
        /// Who waits.
        ticket: Ticket,
    },
    /// A saga says that it has ended: whoever began it calls nobody any more.
    SagaEnded {
        /// Which.
        saga: SagaId,
        /// Who waits.
        ticket: Ticket,
    },
    /// A rulebook version becomes the active one of its name; new cases are planned with it.
    Activate {
        /// Which, by whom and why.
        activation: Box<Activation>,
        /// Who waits.
        ticket: Ticket,
    },
    /// A person has mended a case that can't be worked on, or gives it up.
    Mend {
        /// Which, by whom and why.
        mend: Box<Mend>,
        /// Who waits.
        ticket: Ticket,
    },
    /// Somebody wants business data gone.
    Erase {
        /// Whose, by whom and why.
        erase: Box<Erase>,
        /// Who waits.
        ticket: Ticket,
    },
    /// What became of an effect whose partition has gone elsewhere meanwhile: it touches no case, and says something of
    /// its service.
    Unheld(Box<Self>),
    /// Time has passed; whatever is due is done.
    Tick,
}

/// Business data that is to go.
#[derive(Clone, Debug)]
pub struct Erase {
    /// Which erasure it is a part of, in a store that several loops share: of whoever holds the seat the number, of
    /// whoever holds the sagas, all of one partition, what becomes of them. None is the whole of it.
    pub number: Option<u64>,
    /// Of these sagas, each once.
    pub sagas: Vec<SagaId>,
    /// The field and the value by which they were found, if they were not named. The value is kept as a digest.
    pub field: Option<(String, String)>,
    /// Where a case is not settled yet, as soon as it is; otherwise that is refused.
    pub when_settled: bool,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: Arc<str>,
}

impl Erase {
    /// Who takes it, in a store that several loops share.
    #[must_use]
    pub fn partition(&self) -> Partition {
        let first = self.sagas.first().filter(|_| self.number.is_some());
        first.map_or(Partition::SEAT, Partition::of)
    }
}

/// How a case that can't be worked on comes out of quarantine.
#[derive(Clone, Debug)]
pub struct Mend {
    /// The case.
    pub case: CaseId,
    /// Which way.
    pub mending: Mending,
    /// Its rows from now on, as they have been read; none if it is discarded and not even its saga can be read.
    pub stored: Option<StoredCase>,
    /// Its rows until now, for the audit.
    pub before: serde_json::Value,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: Arc<str>,
}

/// What a person does about a case that can't be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mending {
    /// It goes on with mended rows.
    Repair,
    /// It is settled by hand, with what can be read of its reports.
    Discard,
}

impl Mending {
    /// The word in the audit.
    #[must_use]
    pub const fn act(self) -> AuditActName {
        match self {
            Self::Repair => AuditActName::Repair,
            Self::Discard => AuditActName::Discard,
        }
    }
}

/// A version of a rulebook that is to become the active one of its name.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The version.
    pub rulebook: Arc<Rulebook>,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: Arc<str>,
    /// It was taken from a file of rulebooks; the store remembers which content of a name was last.
    pub from_file: bool,
    /// What it may take the place of.
    pub replaces: Replaces,
}

/// What a new version may take the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Whatever is active.
    Any,
    /// The version with this content hash, or nothing: what a person compared it with.
    Exactly(Option<Arc<str>>),
}

/// What a store must be asked about an input before the engine takes it: the engine holds what is open, and only the
/// store knows the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About<'a> {
    /// Whether this report is known.
    pub report: Option<ReportKey>,
    /// Whether this saga has a settled case.
    pub saga: Option<&'a SagaId>,
    /// Whether this case is a settled one.
    pub case: Option<CaseId>,
    /// Whether this saga has announced itself before.
    pub announced: Option<&'a SagaId>,
    /// Whether these sagas have cases, or have announced themselves.
    pub sagas: &'a [SagaId],
}

impl Input {
    /// What must be looked up before the engine takes it.
    #[must_use]
    pub fn about(&self) -> About<'_> {
        let nothing = About::default();
        match self {
            Self::Report { report, .. } => {
                About { report: Some(report.key()), saga: Some(&report.saga_id), ..nothing }
            }
            // A late answer or effect may reopen a settled case.
            Self::StepEnded { step, .. }
            | Self::EndedElsewhere { step, .. }
            | Self::StepCalledBack { step, .. }
            | Self::StepAct { step, .. } => About { case: Some(step.case), ..nothing },
            Self::HistoryEnded { case, .. } | Self::CaseAct { case, .. } => {
                About { case: Some(*case), ..nothing }
            }
            Self::QuestionAct { question, .. } => About { case: Some(question.case), ..nothing },
            Self::Mend { mend, .. } => About {
                case: Some(mend.case),
                saga: mend.stored.as_ref().map(|stored| &stored.case.saga),
                ..nothing
            },
            // A saga that has failed already has a case, which no deadline may make again.
            Self::SagaBegan { begin, .. } => {
                let saga = Some(&begin.saga_id);
                About { saga, announced: saga, ..nothing }
            }
            // Announced or not, its case must hear of it.
            Self::SagaEnded { saga, .. } => {
                About { saga: Some(saga), announced: Some(saga), ..nothing }
            }
            Self::Erase { erase, .. } => About { sagas: &erase.sagas, ..nothing },
            Self::StrangerAct { .. }
            | Self::Pause { .. }
            | Self::HoldRule { .. }
            | Self::Limit { .. }
            | Self::Audit { .. }
            | Self::Activate { .. }
            | Self::Unheld(_)
            | Self::Tick => nothing,
        }
    }

    /// The service that it is a result of, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&Arc<str>> {
        match self {
            Self::StepEnded { service, .. } | Self::HistoryEnded { service, .. } => Some(service),
            Self::Unheld(result) => result.service(),
            _ => None,
        }
    }

    /// Who waits for the answer.
    #[must_use]
    pub const fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Report { ticket, .. }
            | Self::StepCalledBack { ticket, .. }
            | Self::StepAct { ticket, .. }
            | Self::CaseAct { ticket, .. }
            | Self::QuestionAct { ticket, .. }
            | Self::StrangerAct { ticket, .. }
            | Self::Pause { ticket, .. }
            | Self::HoldRule { ticket, .. }
            | Self::Limit { ticket, .. }
            | Self::Audit { ticket, .. }
            | Self::SagaBegan { ticket, .. }
            | Self::SagaEnded { ticket, .. }
            | Self::Activate { ticket, .. }
            | Self::Erase { ticket, .. }
            | Self::Mend { ticket, .. } => Some(*ticket),
            Self::StepEnded { .. }
            | Self::EndedElsewhere { .. }
            | Self::HistoryEnded { .. }
            | Self::Unheld(_)
            | Self::Tick => None,
        }
    }
}

/// Limits of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewLimits {
    /// Most requests at once.
    pub concurrency: Option<u32>,
    /// Most requests a second.
    pub per_second: Option<u32>,
}

/// What the one who waits is told, after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The report is in this case.
    Received {
        /// The case.
        case: CaseId,
        /// It was there before.
        duplicate: bool,
    },
    /// The saga is announced, now or from before.
    Announced(Box<SagaRow>),
    /// It is done.
    Done,
    /// It is set, and the settings have this version now: other nodes go by it once they have seen that. Only in a
    /// store that several share, in place of [`Answer::Done`].
    Set(u64),
    /// The erasure with this number: done, or remembered where a case is not settled.
    Erased(u64),
    /// It is another node's to take, and was left for it under this name. What becomes of it is told there.
    Posted(LetterId),
    /// A callback without a proof came while its step's try is under way: it counts if the try brings a 202.
    Kept,
    /// There is no such step, case, saga or service.
    NotFound(String),
    /// The current state does not allow it; the text says why and what would.
    Conflict(String),
    /// A callback whose proof is wrong, or missing where it is needed; the text says which.
    Unproven(String),
    /// Not now; the same may be taken later, and the text says what must happen first.
    Unavailable(String),
    /// A version of a rulebook drops what open cases still need.
    Dropped {
        /// What was refused, and what to do.
        detail: String,
        /// Each thing that is needed, in a sentence.
        needed: Vec<String>,
    },
    /// The request makes no sense, e.g. an unknown action in a plan by hand.
    Invalid(String),
}
