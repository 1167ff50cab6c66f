//! What became of a run.

use crate::check::Violation;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The same for the same scenario.
    pub hash: u64,
    /// Events that happened.
    pub events: u64,
    /// Cases that there were.
    pub cases: usize,
    /// The first thing that was wrong.
    pub violation: Option<Violation>,
    /// What happened, if it was to be told.
    pub story: Vec<String>,
}
