//! What must hold of every change of a step's row, whatever happens in the world.

use amends_engine::{StepRow, StepState};
use amends_protocol::Outcome;

/// INVARIANT 3 once more, at the row: what a service did is never undone.
pub(super) fn check_step_change(before: &StepRow, after: &StepRow) {
    assert_eq!((before.id, before.verb, &before.action), (after.id, after.verb, &after.action));
    if let StepState::Done(outcome) = before.state
        && outcome != Outcome::Waived
        && !is_asked_in_doubt(outcome, before, after)
    {
        assert_eq!(after.state, before.state, "{} was done", before.id);
    }
}

/// Who says that there was nothing to undo may be asked once more by a person, under another key; who was never asked
/// may be asked yet.
fn is_asked_in_doubt(outcome: Outcome, before: &StepRow, after: &StepRow) -> bool {
    let is_unasked = before.attempts == 0 && !before.memo.by_hand;
    outcome == Outcome::NothingToCompensate
        && (is_unasked || after.memo.generation > before.memo.generation)
}
