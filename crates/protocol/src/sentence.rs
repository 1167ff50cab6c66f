//! States in plain words, for the head of a case and of a group. Pure: no clock and no formatting for a medium; times
//! are UTC.

mod case;
mod group;
mod moments;

pub use case::{CaseFacts, StepFacts, case_sentence};
pub use group::group_title;
pub use moments::{date_and_time, relative, span};

use crate::Timestamp;

/// `14:05:10 UTC`.
fn clock(at: Timestamp) -> String {
    format!("{} UTC", at.to_string().get(11..19).unwrap_or("?"))
}

/// `14:05 UTC`.
fn minute(at: Timestamp) -> String {
    format!("{} UTC", at.to_string().get(11..16).unwrap_or("?"))
}
