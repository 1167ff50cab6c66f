//! Cases, steps and timers as a pure state machine: `handle(now, input)` changes what is in memory, and
//! `take_output` says what to write and then what to do.
//!
//! No clock, no randomness, no IO, no async: time comes in as an argument, and nothing happens here. What must never
//! break is listed in `ARCHITECTURE.md`; the tests that hold it are in `tests/`.

mod act;
mod age;
mod agenda;
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
mod fences;
mod heard;
mod hearing;
mod input;
mod lane;
mod lookup;
mod memory;
mod moment;
mod on_hold;
mod parts;
mod pivots;
mod plan;
mod proof;
mod question;
mod questions;
mod record;
mod residence;
mod rule_holds;
mod same_answer;
mod shared;
mod standing;
mod strangers;
mod subject;
mod survey;
mod timer;
mod transition;
mod veil;
mod walk;
mod whole;

pub use agenda::Output;
pub use amends_rulebook::SUPERVISOR;
pub use asked::{Asked, LastTry, asked};
pub use batch::{Batch, Epoch, Partition};
pub use effect::{
    Errand, Event, Happening, PollStep, SendStep, StepReading, StepResult, WalkHistory, WalkResult,
};
pub use engine::{Engine, LaneStatus};
pub use input::{About, Activation, Answer, Input, Mend, Mending, NewLimits, Replaces, Ticket};
pub use lookup::{
    BrokenCase, EARLIER_VERSIONS, Loaded, LookupRequest, LookupResult, OpenPage, OpenPlace,
    Quarantined, RawCase, RawRow, RawValue, RulebookRow, UnreadableRow, UnreadableRulebook,
};
pub use memory::{Memory, MemoryConflict};
pub use moment::{Moment, Trust};
pub use proof::Proof;
pub use question::{DataField, Question, QuestionAnswer, Recheck, Said, Statement, StrangerRow};
pub use questions::{FoundQuestion, FoundQuestions, QuestionFilter, QuestionWalk, open_questions};
pub use record::{
    ActRow, ActivationRow, AtPivot, AttemptRow, AwaitsCallers, Business, CalledBack, CallsBefore,
    CaseMemo, CaseRow, Decision, Dropped, HoldScope, KnownRequests, Limits, Note, ReportRole,
    ReportRow, RuleHold, RuleHoldRow, RulebookRef, SagaRow, SagaState, Sent, ServiceRow,
    ServiceSettings, StepMemo, StepRow, StepState, StoredCase, StrangerDecision,
    StrangerDecisionRow, Subject, Told, WalkRow, Write,
};
pub use residence::MemoryUse;
pub use same_answer::SameAnswer;
pub use survey::{
    FoundStranger, Group, GroupKey, GroupWalk, LateCase, Lateness, Members, Progress, StrangerWalk,
    Survey, SurveyWalk, Trouble,
};
pub use transition::{CaseBooks, claiming, plannable, sharing};
pub use veil::Veil;
pub use whole::{Whole, wholes};
