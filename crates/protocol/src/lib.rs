//! The words and wire types that services and the supervisor share.
//!
//! Pure data: no clock, no IO. Every other crate speaks in these words; the glossary explains them.
//! What a field means on the wire is written in `docs/reference/protocol.md`.

mod callback;
pub mod causes;
mod evidence;
pub mod headers;
mod history;
mod keepable;
mod name;
mod problem;
mod receipts;
mod report;
mod sagas;
mod salt;
pub mod schemas;
pub mod spelled;
mod step;
mod time;
pub mod wire;
mod words;

pub use callback::{Callback, CallbackProof, OutcomeCallback};
pub use evidence::{
    CASE_EVIDENCE_DATA_LIMIT, EVIDENCE_DATA_LIMIT, EVIDENCE_LIMIT, Evidence, Loss, Lost, Malformed,
    NAME_RULE, Testimony, null_is_absent,
};
pub use history::{HISTORY_NEXT_LIMIT, HistoryAnswer, HistoryEntry, is_history_next};
pub use keepable::{
    DATA_DEPTH_LIMIT, NUMBER_EXPONENTS, NUMBER_LENGTH_LIMIT, ReservedKey, Unkeepable, check_data,
    check_keys, number_fits,
};
pub use name::{
    ActionName, CaseId, InvalidName, NAME_LIMIT, PartTag, ReportKey, SagaId, StepId, digest,
    is_opaque_name,
};
pub use problem::{PROBLEM_TYPE_BASE, Problem, ProblemCode};
pub use receipts::{BatchProblem, EventReceipt, ReportReceipt};
pub use report::{
    BROKER_MESSAGE_LIMIT, REPORT_CAUSES_LIMIT, REPORT_MESSAGE_LIMIT, REPORT_SOURCE_LIMIT,
    REPORT_TYPE, Report, ReportData,
};
pub use sagas::{SagaBegin, SagaState, SagaView};
pub use salt::{SALT_BYTES, Salt};
pub use step::{ReportRef, StepAnswer, StepRequest};
pub use time::Timestamp;
pub use words::{HistoryState, Outcome, UnknownWord, Verb};
