//! States in plain words, for the head of a case and of a group. Pure: no clock and no formatting for a medium; times
//! are UTC.

mod case;
mod group;
mod moments;
mod question;
mod reason;
mod silent;

pub use case::{CaseFacts, HistoryFacts, StepFacts, case_sentence};
pub use group::group_title;
pub use moments::{date_and_time, relative, span};
pub use question::{QuestionFacts, question_sentence};
pub use reason::{breaker_sentence, histories_sentence, stuck_sentence, with_detail};
pub use silent::silent_sentence;
