//! What was acknowledged and is refused after all is never lost: people see it.

use super::seen::{Check, Seen, when};
use crate::stored::Stored;
use amends_protocol::Timestamp;

/// A letter that its owner refuses is among the rejected ones by then: whoever has left it may have been told that it
/// was taken.
pub(super) struct Refusals;

impl Check for Refusals {
    fn name(&self) -> &'static str {
        "refusals"
    }

    fn see(&mut self, _now: Timestamp, seen: &Seen<'_>, store: &Stored) -> Result<(), String> {
        let Seen::LetterJudged { letter, answer } = seen else { return Ok(()) };
        let is_refused = answer.refused().is_some();
        when(is_refused && store.rows.refused_letter(*letter).is_none(), || {
            format!("letter {letter} is refused, and nobody is told: {answer:?}")
        })
    }
}
