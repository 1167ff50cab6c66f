//! What the supervisor's REST API shows people and their tools, and takes from them: resources, queries, acts, and how
//! states are put into words and signs.
//!
//! Pure data: no clock, no IO. Times are RFC 3339, ids are text, names are camelCase. What participants say and hear
//! (reports, steps, Histories, their receipts) is in `amends-protocol`.

pub mod access;
mod acts;
pub mod audit;
mod backups;
mod bulk;
mod cases;
pub mod csv;
mod erasures;
mod events;
mod groups;
mod hidden;
mod index;
mod letters;
mod money;
mod nodes;
mod overview;
mod page;
pub mod plain;
mod proof;
mod quarantine;
mod question_id;
mod questions;
mod rejected;
pub mod remedies;
mod rulebooks;
pub mod sentence;
pub mod signs;
mod steps;
mod words;

/// The header that names the nodes which have yet to read what was set for all sagas, in small letters.
pub const NOT_SEEN_BY: &str = "amends-not-seen-by";

pub use acts::{ActView, AuditHead, BulkAct, CaseAct, ReasonGiven, StepAct};
pub use audit::AuditActName;
pub use backups::{BackupView, BackupWanted};
pub use bulk::{
    BulkActName, BulkCount, BulkFailure, BulkProgress, BulkRequest, BulkResult, BulkSample,
    BulkState, BulkSteering, BulkView,
};
pub use cases::{CaseDetail, CaseSummary, HistoryView, NoteView, ReportView};
pub use erasures::{
    CaseErasure, ErasableSaga, ErasedDigest, ErasedSaga, ErasureClaim, ErasureConfirmed,
    ErasureDetail, ErasurePlan, ErasureRequest, ErasureView, FieldHeld,
};
pub use events::{EventState, EventView};
pub use groups::GroupView;
pub use hidden::Hidden;
pub use index::Index;
pub use letters::{LetterState, LetterView};
pub use money::{Amount, Money, NoAmount, Totals, amounts_in_words, totals_in_words};
pub use nodes::{DrainWanted, NodeView, NodesView, SilentNodeView};
pub use overview::{
    AttemptFigures, DecisionView, LimitsView, LimitsWanted, MinuteView, NodeBreakerView,
    OverHttpView, Overview, Progress, ServiceView, SettleFigures, TroubleView, WayView,
};
pub use page::Page;
pub use proof::{ActionProof, CaseProof, MayStand, Statement};
pub use quarantine::{
    QuarantineAct, QuarantineView, QuarantinedView, RawCaseView, RawRowView, UnreadableView,
};
pub use question_id::QuestionId;
pub use questions::{
    AnswerView, QuestionAct, QuestionAnswered, QuestionView, QuestionsOfKind, RulebookQuestions,
    StatementView, StrangerAct, StrangerDecisionView, StrangerView,
};
pub use rejected::{
    RejectedAct, RejectedBody, RejectedDone, RejectedHeader, RejectedId, RejectedMessage,
    RejectedView,
};
pub use rulebooks::{
    DiagnosticView, ProofState, RuleHoldView, RulebookCheck, RulebookSources, RulebookVerdict,
    RulebookView, SourceView,
};
pub use steps::{AttemptView, StepView};
pub use words::{
    AttemptResult, BreakerState, CaseActName, CaseState, Cause, ClosedOn, EventKind,
    FindingSeverity, NodeState, QuestionActName, QuestionEffect, QuestionKind, RejectedWay,
    ReportStanding, ReportWay, ServiceHealth, Source, StepActName, StepStateName, StrangerActName,
    StuckReason, TroubleReason, Verdict,
};
