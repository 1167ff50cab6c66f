//! Cases, steps and timers as a pure state machine: `handle(now, input)` changes what is in memory, and
//! `take_output` says what to write and then what to do.
//!
//! No clock, no randomness, no IO, no async: time comes in as an argument, and nothing happens here. What must never
//! break is listed in `ARCHITECTURE.md`; the tests that hold it are in `tests/`.

mod act;
mod age;
mod asked;
mod attempt;
mod backoff;
mod batch;
mod brief;
mod business;
mod callback;
mod callers;
mod case;
mod closing;
mod conflict;
mod effect;
mod engine;
mod erase;
mod fences;
mod heard;
mod hearing;
mod history_query;
mod holdings;
mod home;
mod input;
mod letter;
mod lookup;
mod memory;
mod moment;
mod on_hold;
mod partition;
mod parts;
mod pivots;
mod plan;
mod posted;
mod proof;
mod question;
mod questions;
mod record;
mod residence;
mod rule_holds;
mod rule_limits;
mod rulebook_row;
mod same_answer;
mod service_queue;
mod settings;
mod shared;
mod shown;
mod standing;
mod strangers;
mod subject;
mod survey;
mod timer;
mod traffic;
mod transition;
mod turn;
mod veil;
mod whole;

pub use amends_rulebook::{SUPERVISOR, SecretFields, SecretValues, StillNeeded};
pub use asked::{Asked, LastTry, asked};
pub use batch::{Batch, Committed, SettingsChange, Share};
pub use effect::{
    DomainEvent, Effect, Event, HistoryResult, PollStep, ReadHistory, SendStep, StepReading,
    StepResult,
};
pub use engine::{Engine, ServiceDemand, ServiceQueueStatus};
pub use erase::{
    ERASE_LIMIT, KeptFromErasing, Taken, audit_texts_that_go, bare_attempts, bare_case,
    bare_report, bare_report_data, bare_step, erasable, is_in_store_alone,
};
pub use holdings::{Adopted, SharedStore};
pub use home::Home;
pub use input::{
    About, Activation, Answer, Erase, Input, Mend, Mending, NewLimits, Replaces, Ticket,
};
pub use letter::{Letter, LetterId, LetterKind, LetterMark, LettersRead, LettersWanted};
pub use lookup::{
    BrokenCase, EARLIER_VERSIONS, Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace,
    Quarantined, RawCase, RawRow, RawValue,
};
pub use memory::{Memory, MemoryConflict};
pub use moment::{Moment, Trust};
pub use partition::{Epoch, Lease, Partition};
pub use posted::{LetterAbout, NoLetter, RefusedLetter};
pub use proof::Proof;
pub use question::{DataField, Question, QuestionAnswer, Recheck, Said, Statement, StrangerRow};
pub use questions::{FoundQuestion, FoundQuestions, QuestionFilter, QuestionScan, open_questions};
pub use record::{
    ActRow, ActivationRow, Actor, AtPivot, AttemptRow, AwaitsCallers, Business, CalledBack,
    CallsBefore, CaseExtra, CaseRow, Decision, Dropped, ErasedField, ErasedRow, Erasure,
    ErasureRow, EvidenceRow, Gone, GoneDigest, HistoryQuery, HoldScope, KnownRequests, Limits,
    Note, ReportRole, ReportRow, RuleHold, RuleHoldRow, RulebookRef, SagaRow, SagaState, Sent,
    ServiceRow, ServiceSettings, StepExtra, StepRow, StepState, StoredCase, StrangerDecision,
    StrangerDecisionRow, Subject, Write,
};
pub use residence::MemoryUse;
pub use rule_limits::{RULE_MINUTE_MS, RuleCases, RuleMinute, RuleMinutes};
pub use rulebook_row::{RulebookRow, UnreadableRow, UnreadableRulebook};
pub use same_answer::SameAnswer;
pub use settings::Settings;
pub use survey::{
    FoundStranger, Group, GroupKey, GroupScan, LateCase, Lateness, Members, Progress, StrangerScan,
    Survey, SurveyScan, Trouble,
};
pub use transition::{CaseBooks, claiming, plannable, sharing};
pub use turn::Output;
pub use veil::Veil;
pub use whole::{Whole, wholes};
